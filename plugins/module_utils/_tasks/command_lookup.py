# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""What the lookup of the latest command of servers means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import Any

from .._api.client import Client
from .._api.errors import AlpaconError
from .._api.outputs import read_output
from .._api.records import Command, iso
from .._api.settings import Warn
from .._fleet.server_resolver import find
from .._options import values
from .._options.connection import settings_of
from .._payload.results import whole_of
from .command_info import listed
from .command_query import Query, latest, statuses, warn_of_unknown_statuses


def run_lookup(terms: Sequence[str], options: Mapping[str, Any], warn: Warn) -> list[Any]:
    """Look up the latest command of each server.

    Raises:
        AlpaconError: a server has no such command, and there is no ``default`` among the options.
    """
    settings = settings_of(options, warn)
    within = options.get("within")
    since_age = timedelta(seconds=values.duration("within", within)) if within else None
    query = Query(line=options.get("line"), statuses=statuses(options), since_age=since_age)
    warn_of_unknown_statuses(query.statuses, warn)
    with Client(settings) as client:
        servers = find(client, terms, "_terms")
        found, of_other_status = latest(client, query, servers)
        for term, server in zip(terms, servers):
            if str(server.id) not in found and "default" not in options:
                raise AlpaconError(_no_command(term, query, of_other_status.get(str(server.id))))
        return [
            _wanted(client, found[str(server.id)], options["want"]) if str(server.id) in found else options["default"]
            for server in servers
        ]


def _no_command(term: str, query: Query, of_other_status: Command | None) -> str:
    other = ""
    if of_other_status:
        since = of_other_status.end or of_other_status.added_at
        other = f" The latest one with another status is {of_other_status.status}{f', {iso(since)}' if since else ''}."
    return (
        f"{term} has no such command with status {' or '.join(sorted(query.statuses)) or 'of any kind'}.{other}"
        " Give default to get a value of your own instead of this error."
    )


def _wanted(client: Client, command: Command, want: str) -> Any:
    if want == "id":
        return command.id
    described = listed(command, partial(read_output, client, is_whole=whole_of(command)))
    return described if want == "record" else described["stdout"]
