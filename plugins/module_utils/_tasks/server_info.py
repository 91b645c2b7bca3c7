# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""What a task that lists servers means; options in, result out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

from .._api.client import Client
from .._api.errors import UsageError
from .._api.records import canonical_uuid, is_uuid
from .._api.servers import look_up, remedy
from .._api.settings import Warn
from .._fleet.run import Run
from .._options.connection import CONNECTION, settings_of
from .._options.values import elements, listing_limit
from .server_listing import Described, Groups, ServerFilter, describe_server, listing, unstated, without_servers

_FILTERS: dict[str, dict[str, Any]] = {
    "connected": {"type": "bool"},
    "commissioned": {"type": "bool"},
    "name": {"type": "list", "elements": "str"},
    "os": {"type": "list", "elements": "str"},
    "platform": {"type": "list", "elements": "str"},
    "groups": {"type": "list", "elements": "str"},
    "tags": {"type": "dict"},
}

SPEC: dict[str, dict[str, Any]] = {
    **CONNECTION,
    "servers": {"type": "list", "elements": "str", "aliases": ["server"]},
    "filters": {"type": "dict", "options": _FILTERS},
    "limit": {"type": "int", "default": 0},
}


def run_server_info(options: Mapping[str, Any], run: Run) -> dict[str, Any]:
    """Carry out a task of M(herdops.alpacon.alpacon_server_info); it only ever reads."""
    settings = settings_of(options, run.warn)
    wanted = ServerFilter.from_options(options.get("filters"))
    references = _references(elements(options.get("servers") or ()))
    limit = listing_limit(options["limit"], "servers")
    with Client(settings, tell=run.tell) as client:
        groups = Groups(client, run.warn)
        if references:
            servers = _referenced(client, references, groups, run.warn)
            for warning in unstated(wanted, servers):
                run.warn(warning)
            found = [server for server in servers if wanted.accepts(server)][: limit or None]
        else:
            found = _filtered(client, wanted, groups, limit, run.warn)
        return {"servers": found, "changed": False, "requests": client.requests}


def _references(given: Sequence[str]) -> list[str]:
    for reference in given:
        if not reference:
            raise UsageError("servers", "one of them is empty", "Give names or UUIDs, or leave servers out for all.")
    return list(dict.fromkeys(canonical_uuid(ref) if is_uuid(ref) else ref for ref in given))


def _filtered(client: Client, wanted: ServerFilter, groups: Groups, limit: int, warn: Warn) -> list[Described]:
    seen: list[Described] = []

    def accepted(server: Described) -> bool:
        seen.append(server)
        return wanted.accepts(server)

    servers = listing(client, wanted.parameters, groups)
    found = list(islice(filter(accepted, servers), limit or None))
    # A limit that is reached ends the reading: the servers of a group may come later.
    complete = not limit or len(found) < limit
    for warning in [*unstated(wanted, seen), *(without_servers(wanted, seen) if complete else ())]:
        warn(warning)
    return found


def _referenced(client: Client, references: Sequence[str], groups: Groups, warn: Warn) -> list[Described]:
    """The servers that have one of these names or UUIDs; a warning tells of each that none has."""
    # Filters are not pushed here: a server that they leave out would seem not to exist.
    found, seen = look_up(client, references, whole_rows=True)
    for reference, servers in found.items():
        if not servers:
            warn(f"servers: there is no server {reference}. {remedy(client, reference, seen)}")
    unique = {server.id: server for servers in found.values() for server in servers}
    return [describe_server(server.fields, groups) for server in sorted(unique.values(), key=str)]
