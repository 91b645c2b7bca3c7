# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The task of M(herdops.alpacon.alpacon_command_info), and the lookup of the latest command of each server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import Any, Callable

from .._api.client import Client
from .._api.errors import AlpaconError
from .._api.outputs import Output, fetch_output, limit_output
from .._api.records import Command, to_iso
from .._api.settings import Warn
from .._fleet.run import Run
from .._fleet.sharing import find_servers
from .._options import values
from .._options.connection import CONNECTION, parse_settings
from .._payload.frames import make_end_check, unpack_output
from .command_query import (
    ORDERINGS,
    CircuitBreaker,
    Query,
    check_order,
    find_by_ids,
    find_commands,
    find_latest,
    parse_statuses,
    sort_commands,
)
from .command_results import describe

_FILTERS: dict[str, dict[str, Any]] = {
    "server": {"type": "str"},
    "shell": {"type": "str"},
    "requested_by": {"type": "str"},
    "requested_by_isnull": {"type": "bool"},
    "is_scheduled": {"type": "bool"},
    "search": {"type": "str"},
    "status": {"type": "list", "elements": "str"},
    "success": {"type": "bool"},
    "line": {"type": "str", "aliases": ["cmd"]},
    "since": {"type": "str"},
    "until": {"type": "str"},
}
SPEC: dict[str, dict[str, Any]] = {
    **CONNECTION,
    "ids": {"type": "list", "elements": "str", "aliases": ["id"]},
    **_FILTERS,
    "ordering": {"type": "str", "choices": [sign + name for name in ORDERINGS for sign in ("-", "")]},
    "limit": {"type": "int"},
    "with_output": {"type": "bool", "default": True},
    "output_limit": {"type": "int"},
}
RULES: dict[str, Any] = {"mutually_exclusive": [("ids", name) for name in _FILTERS]}


def run_info(options: Mapping[str, Any], run: Run) -> dict[str, Any]:
    settings = parse_settings(options, run.warn)
    ids = values.parse_uuids("ids", options.get("ids"))
    output_limit = values.check_output_limit(options.get("output_limit"))
    limit, ordering = options.get("limit"), options.get("ordering") or ""
    limit = values.check_limit((0 if ids else 100) if limit is None else limit, "commands")
    with run.open_client(settings) as client:
        if ids:
            found = _read_by_ids(client, ids, run.warn)
            found = (sort_commands(found, ordering) if ordering else found)[: limit or None]
        else:
            query = Query.from_options(client, options, run.warn)
            found = find_commands(client, query, limit)
            ordering = query.ordering
        problem = check_order(found, ordering) if ordering else ""
        if problem:
            run.warn(f"ordering: {problem}.")
        read = partial(_read_output, client, CircuitBreaker(), run.warn) if options["with_output"] else None
        commands = [describe_listed(command, read, output_limit) for command in found]
        return {"commands": commands, "changed": False, "requests": client.requests}


def _read_by_ids(client: Client, ids: Sequence[str], warn: Warn) -> list[Command]:
    commands = []
    for command_id, found in zip(ids, find_by_ids(client, ids)):
        if isinstance(found, AlpaconError):
            warn(f"ids: command {command_id} could not be read, and is missing from the result. {found}")
        elif found:
            commands.append(found)
        else:
            warn(f"ids: there is no command {command_id}, or the token has no access to it.")
    return commands


def _read_output(client: Client, breaker: CircuitBreaker, warn: Warn, command: Command) -> Output:
    """Return the output; if it cannot be read, warn and return the part in the row."""
    try:
        return breaker.call(partial(fetch_output, client, command, is_whole=make_end_check(command)))
    except AlpaconError as error:
        warn(f"The output of command {command.id} could not be read. {error}")
        return Output(command.result or "", complete=False)


def describe_listed(
    command: Command, read: Callable[[Command], Output] | None, output_limit: int | None = None
) -> dict[str, Any]:
    output = None
    if read and command.finished:
        command, output = unpack_output(command, read(command))
        output = limit_output(command, output, output_limit)
    described = describe(command, output)
    if not read:
        for key in ("stdout", "stdout_lines", "stderr", "stderr_lines", "output_complete"):
            described.pop(key)
    requester = {"id": command.requested_by, "name": command.requested_by_name}
    return {
        **described,
        **{name: getattr(command, name) for name in ("shell", "username", "groupname", "cancellable")},
        **{name: to_iso(getattr(command, name)) for name in ORDERINGS},
        "requested_by": None if requester == {"id": None, "name": None} else requester,
        "run_after": list(command.run_after),
    }


def run_lookup(
    terms: Sequence[str], options: Mapping[str, Any], warn: Warn, log: Callable[[str], None] | None = None
) -> list[Any]:
    """Return a value of the latest command of each server, or O(default) for a server without one.

    Args:
        log: see :class:`.Session`.
    """
    settings = parse_settings(options, warn)
    within = options.get("within")
    since = timedelta(seconds=values.parse_duration("within", within)) if within else None
    query = Query(line=options.get("line"), statuses=parse_statuses(options, warn), since=since)
    with Client(settings, log=log) as client:
        servers = find_servers(client, terms, "_terms", unique=False)
        found, other_status = find_latest(client, query, servers)
        for term, server in zip(terms, servers):
            if str(server.id) not in found and "default" not in options:
                raise AlpaconError(_explain_missing(term, query, other_status.get(str(server.id))))
        commands = [found.get(str(server.id)) for server in servers]
        return [
            _get_wanted(client, command, options["want"]) if command else options["default"] for command in commands
        ]


def _explain_missing(term: str, query: Query, other: Command | None) -> str:
    latest = ""
    if other:
        time = other.end or other.added_at
        latest = f" The latest one with another status is {other.status}{f', {to_iso(time)}' if time else ''}."
    return (
        f"{term} has no such command with status {' or '.join(sorted(query.statuses)) or 'of any kind'}.{latest}"
        " Give default to get a value of your own instead of this error."
    )


def _get_wanted(client: Client, command: Command, want: str) -> Any:
    if want == "id":
        return command.id
    described = describe_listed(command, partial(fetch_output, client, is_whole=make_end_check(command)))
    return described if want == "record" else described["stdout"]
