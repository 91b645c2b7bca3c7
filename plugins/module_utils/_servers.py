# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""Resolve names and ids of servers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from ._client import Client
from ._errors import UsageError, did_you_mean
from ._lists import PAGE_SIZE
from ._model import Server, canonical_uuid, is_uuid, row_id
from ._run import Shared

PATH = "/api/servers/servers/"


def resolve(
    client: Client,
    references: Sequence[str],
    option: str = "servers",
    shared: Shared | None = None,
    hosts: int = 1,
) -> list[Server]:
    """As :func:`find`, but each server may be named once only."""
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
    found = _shared_names(client, names, option, shared, hosts) if shared and names and hosts > 1 else {}
    found.update(_by_name(client, [name for name in names if name not in found], option))
    return [Server(canonical_uuid(ref)) if is_uuid(ref) else found[ref] for ref in references]


def _shared_names(client: Client, names: Sequence[str], option: str, shared: Shared, hosts: int) -> dict[str, Server]:
    """Of these names the ones that the list of a worker of this run has; the others may be newer."""

    def read() -> Iterator[tuple[str, str]]:
        for page in client.pages(PATH):
            if (page.count or 0) > hosts * PAGE_SIZE:
                return  # asking for each name costs less
            yield from ((str(server.id), str(server.name)) for server in identified(page.rows))

    by_name: dict[str, list[Server]] = {}
    try:
        servers = shared.servers(read)
    except OSError:
        return {}  # the disk is full, say: then each worker asks for itself
    for server_id, name in servers:
        by_name.setdefault(name, []).append(Server(server_id, name))
    return {name: _the_one(name, by_name[name], [], option) for name in names if name in by_name}


def _by_name(client: Client, names: Sequence[str], option: str) -> dict[str, Server]:
    if not names:
        return {}
    if len(names) == 1:
        return {names[0]: _the_one(names[0], list(named(client, names[0])), [], option)}
    by_name: dict[str, list[Server]] = {name: [] for name in names}
    known: list[str] = []
    for server in identified(client.rows(PATH)):
        known.append(server.name or "")
        if server.name in by_name:
            by_name[server.name].append(server)
    return {name: _the_one(name, servers, known, option) for name, servers in by_name.items()}


def named(client: Client, name: str) -> Iterator[Server]:
    """The servers of exactly that name."""
    # A server that ignores the filter sends every server: compare each.
    for server in identified(client.rows(PATH, {"name": name})):
        if server.name == name:
            yield server


def identified(rows: Iterable[Any]) -> Iterator[Server]:
    """The servers of rows, but for those whose id is not a UUID: nobody could name them to the API."""
    return (Server.from_row(row) for row in rows if row_id(row))


def _the_one(name: str, servers: Sequence[Server], known: Sequence[str], option: str) -> Server:
    if len(servers) == 1:
        return servers[0]
    if servers:
        ids = ", ".join(str(server.id) for server in servers)
        raise UsageError(
            option, f"{len(servers)} servers are named {name}: {ids}", "Give the id of the one that is meant."
        )
    remedy = did_you_mean(name, known, "Check the name; the token may also not see that server.")
    raise UsageError(option, f"no server is named {name}", remedy)
