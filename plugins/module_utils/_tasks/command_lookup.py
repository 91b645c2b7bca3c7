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
from .._api.outputs import read_output
from .._api.records import Command
from .._api.settings import Warn
from .._carrier.answers import whole_of
from .._fleet.named_servers import find
from .._options import values
from .._options.connection import settings_of
from .command_info import listed
from .command_query import Query, latest, statuses, warn_of_unknown_statuses


def run_lookup(terms: Sequence[str], options: Mapping[str, Any], warn: Warn) -> list[Any]:
    """What the lookup wants of each server's latest command, or None where it has none."""
    settings = settings_of(options, warn)
    within = options.get("within")
    since_age = timedelta(seconds=values.duration("within", within)) if within else None
    query = Query(line=options.get("line"), statuses=statuses(options), since_age=since_age)
    warn_of_unknown_statuses(query.statuses, warn)
    with Client(settings) as client:
        servers = find(client, terms, "_terms")
        found = latest(client, query, servers)
        return [_wanted(client, found.get(str(server.id)), options["want"]) for server in servers]


def _wanted(client: Client, command: Command | None, want: str) -> Any:
    if command is None:
        return None
    if want == "id":
        return command.id
    described = listed(command, partial(read_output, client, is_whole=whole_of(command)))
    return described if want == "record" else described["stdout"]
