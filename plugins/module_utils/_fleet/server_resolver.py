# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""The servers that a task names, found by as few requests as the workers of its run need together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from .._api.client import Client
from .._api.errors import IncompleteList, UsageError
from .._api.lists import PAGE_SIZE
from .._api.records import Server, canonical_uuid, is_uuid
from .._api.servers import PATH, identified, look_up, remedy
from .sharing import Shared


def resolve(
    client: Client,
    references: Sequence[str],
    option: str = "servers",
    shared: Shared | None = None,
    hosts: int = 1,
) -> list[Server]:
    """Find the server that each reference means, as :func:`find` does, where none may be named twice."""
    servers = find(client, references, option, shared, hosts)
    seen: dict[str | None, str] = {}
    for reference, server in zip(references, servers):
        if server.id in seen:
            raise UsageError(option, f"{seen[server.id]} and {reference} are the same server", "Name each server once.")
        seen[server.id] = reference
    return servers


def find(
    client: Client,
    references: Sequence[str],
    option: str = "servers",
    shared: Shared | None = None,
    hosts: int = 1,
) -> list[Server]:
    """Find the server that each reference means, in order, with as few requests as possible.

    A UUID is taken as it is, without a request; the API refuses it at the submit if there is no such server.
    Names are compared exactly.

    Args:
        shared: what the workers of the run share; with it the list is read once for all of them.
        hosts: for how many hosts the task runs.

    Raises:
        UsageError: a name is unknown or stands for several servers.
    """
    names = list(dict.fromkeys(reference for reference in references if not is_uuid(reference)))
    found = _shared_names(client, names, shared, hosts) if shared and names and hosts > 1 else {}
    missing = [name for name in names if name not in found]
    seen: list[str] = []
    if missing:
        asked, seen = look_up(client, missing)
        found.update(asked)
    by_name = {name: _the_one(client, name, found[name], seen, option) for name in names}
    return [Server(canonical_uuid(ref)) if is_uuid(ref) else by_name[ref] for ref in references]


def _shared_names(client: Client, names: Sequence[str], shared: Shared, hosts: int) -> dict[str, list[Server]]:
    """Of these names the ones that the list of a worker of this run has; the others may be newer."""

    def read() -> Iterator[tuple[str, str]]:
        for page in client.pages(PATH, whole=True):
            if (page.count or 0) > hosts * PAGE_SIZE:
                return  # asking for each name costs less
            yield from ((str(server.name), str(server.id)) for server in identified(page.rows))

    try:
        ids = shared.server_ids(names, read)
    except (OSError, IncompleteList):
        return {}  # the disk is full, say: then each worker asks for itself
    return {name: [Server(server_id, name) for server_id in found] for name, found in ids.items()}


def _the_one(client: Client, name: str, servers: Sequence[Server], seen: Sequence[str], option: str) -> Server:
    if len(servers) == 1:
        return servers[0]
    if servers:
        ids = ", ".join(str(server.id) for server in servers)
        raise UsageError(
            option, f"{len(servers)} servers are named {name}: {ids}", "Give the id of the one that is meant."
        )
    raise UsageError(option, f"no server is named {name}", remedy(client, name, seen))
