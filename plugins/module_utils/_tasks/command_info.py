# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""M(herdops.alpacon.alpacon_command_info), and the lookup of the latest command of each server; both only read."""

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

_DEFAULT_LIMIT = 100

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
    """Run a task of M(herdops.alpacon.alpacon_command_info)."""
    settings = parse_settings(options, run.warn)
    ids = values.parse_uuids("ids", options.get("ids"))
    output_limit = values.check_output_limit(options.get("output_limit"))
    limit, ordering = options.get("limit"), options.get("ordering") or ""
    limit = values.check_limit((0 if ids else _DEFAULT_LIMIT) if limit is None else limit, "commands")
    with run.client(settings) as client:
        if ids:
            found = _read_by_ids(client, ids, run.warn)
            found = (sort_commands(found, ordering) if ordering else found)[: limit or None]
        else:
            query = Query.from_options(client, options, run.warn)
            found = find_commands(client, query, limit)
            ordering = query.ordering
        doubt = check_order(found, ordering) if ordering else ""
        if doubt:
            run.warn(f"ordering: {doubt}.")
        read = partial(_read_output, client, CircuitBreaker(), run.warn) if options["with_output"] else None
        commands = [_describe_listed(command, read, output_limit) for command in found]
        return {"commands": commands, "changed": False, "requests": client.requests}


def _read_by_ids(client: Client, ids: Sequence[str], warn: Warn) -> list[Command]:
    commands = []
    for command_id, found in zip(ids, find_by_ids(client, ids)):
        if isinstance(found, AlpaconError):
            warn(f"ids: command {command_id} could not be read, and is left out. {found}")
        elif found:
            commands.append(found)
        else:
            warn(f"ids: there is no command {command_id}, or the token may not see it.")
    return commands


def _read_output(client: Client, breaker: CircuitBreaker, warn: Warn, command: Command) -> Output:
    """Return the output, or the part of it that the row has if it cannot be read."""
    try:
        return breaker.call(partial(fetch_output, client, command, is_whole=make_end_check(command)))
    except AlpaconError as error:
        warn(f"The output of command {command.id} could not be read. {error}")
        return Output(command.result or "", complete=False)


def _describe_listed(
    command: Command, read: Callable[[Command], Output] | None, output_limit: int | None = None
) -> dict[str, Any]:
    """Return a command as M(herdops.alpacon.alpacon_command_info) does, without its output if ``read`` is None."""
    output = None
    if read and command.finished:
        command, output = unpack_output(command, read(command))
        output = limit_output(command, output, output_limit)
    described = describe(command, output)
    if not read:
        for key in ("stdout", "stdout_lines", "stderr", "stderr_lines", "output_complete"):
            described.pop(key)
    is_requested = command.requested_by is not None or command.requested_by_name is not None
    return {
        **described,
        **{name: getattr(command, name) for name in ("shell", "username", "groupname", "cancellable")},
        **{name: to_iso(getattr(command, name)) for name in ORDERINGS},
        "requested_by": {"id": command.requested_by, "name": command.requested_by_name} if is_requested else None,
        "run_after": list(command.run_after),
    }


def run_lookup(terms: Sequence[str], options: Mapping[str, Any], warn: Warn) -> list[Any]:
    """Look up the latest command of each server.

    Raises:
        AlpaconError: a server has no such command, and there is no ``default`` among the options.
    """
    settings = parse_settings(options, warn)
    within = options.get("within")
    since = timedelta(seconds=values.parse_duration("within", within)) if within else None
    query = Query(line=options.get("line"), statuses=parse_statuses(options, warn), since=since)
    with Client(settings) as client:
        servers = find_servers(client, terms, "_terms", unique=False)
        found, of_other_status = find_latest(client, query, servers)
        for term, server in zip(terms, servers):
            if str(server.id) not in found and "default" not in options:
                raise AlpaconError(_no_command(term, query, of_other_status.get(str(server.id))))
        return [
            _get_wanted(client, found[str(server.id)], options["want"])
            if str(server.id) in found
            else options["default"]
            for server in servers
        ]


def _no_command(term: str, query: Query, of_other_status: Command | None) -> str:
    other = ""
    if of_other_status:
        since = of_other_status.end or of_other_status.added_at
        other = (
            f" The latest one with another status is {of_other_status.status}{f', {to_iso(since)}' if since else ''}."
        )
    return (
        f"{term} has no such command with status {' or '.join(sorted(query.statuses)) or 'of any kind'}.{other}"
        " Give default to get a value of your own instead of this error."
    )


def _get_wanted(client: Client, command: Command, want: str) -> Any:
    if want == "id":
        return command.id
    described = _describe_listed(command, partial(fetch_output, client, is_whole=make_end_check(command)))
    return described if want == "record" else described["stdout"]
