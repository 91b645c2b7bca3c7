# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a task of M(herdops.alpacon.alpacon_command_info) means; it only ever reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import Any, Callable

from .._api.client import Client
from .._api.commands import find_command
from .._api.errors import AlpaconError, UsageError
from .._api.outputs import Output, fetch_output, limit_output
from .._api.records import Command, to_iso
from .._api.settings import Warn
from .._fleet.run import Run
from .._fleet.sharing import find_servers
from .._options import values
from .._options.connection import CONNECTION, parse_settings
from .._payload.frames import make_end_check, unpack_output
from .command_query import (
    FILTERS,
    ORDERINGS,
    CircuitBreaker,
    Query,
    doubt_about_order,
    find,
    in_order,
    latest,
    statuses,
    warn_of_unknown_statuses,
)
from .command_results import describe

#: How many commands are listed unless the task says otherwise.
_LIMIT = 100

SPEC: dict[str, dict[str, Any]] = {
    **CONNECTION,
    "ids": {"type": "list", "elements": "str", "aliases": ["id"]},
    "server": {"type": "str"},
    "shell": {"type": "str"},
    "requested_by": {"type": "str"},
    "requested_by_isnull": {"type": "bool"},
    "is_scheduled": {"type": "bool"},
    "search": {"type": "str"},
    "ordering": {
        "type": "str",
        "choices": [sign + name for name in ORDERINGS for sign in ("-", "")],
    },
    "limit": {"type": "int"},
    "status": {"type": "list", "elements": "str"},
    "success": {"type": "bool"},
    "line": {"type": "str", "aliases": ["cmd"]},
    "since": {"type": "str"},
    "until": {"type": "str"},
    "with_output": {"type": "bool", "default": True},
    "output_limit": {"type": "int"},
}


def run_info(options: Mapping[str, Any], run: Run) -> dict[str, Any]:
    """Carry out a task of M(herdops.alpacon.alpacon_command_info); it only ever reads."""
    settings = parse_settings(options, run.warn)
    ids = values.parse_uuids("ids", options.get("ids"))
    if ids:
        _refuse_filters(options)
    output_limit = values.check_output_limit(options.get("output_limit"))
    limit, ordering = options.get("limit"), options.get("ordering") or ""
    if limit is None:
        limit = 0 if ids else _LIMIT
    limit = values.check_limit(limit, "commands")
    with run.client(settings) as client:
        if ids:
            found = _by_ids(client, ids, run.warn)
            found = (in_order(found, ordering) if ordering else found)[: limit or None]
        else:
            query = Query.from_options(client, options)
            warn_of_unknown_statuses(query.statuses, run.warn)
            found = find(client, query, limit)
            ordering = query.ordering
        doubt = doubt_about_order(found, ordering) if ordering else ""
        if doubt:
            run.warn(f"ordering: {doubt}.")
        read = _Outputs(client, run.warn).read if options["with_output"] else None
        commands = [listed(command, read, output_limit) for command in found]
        return {"commands": commands, "changed": False, "requests": client.requests}


def _refuse_filters(options: Mapping[str, Any]) -> None:
    for name in FILTERS:
        if options.get(name) not in (None, "", []):
            raise UsageError(name, "it does not go with ids", "Give either ids or filters.")


def _by_ids(client: Client, ids: Sequence[str], warn: Warn) -> list[Command]:
    found, missed, each = [], [], CircuitBreaker()
    for command_id in ids:
        try:
            command = each.read(partial(find_command, client, command_id))
        except AlpaconError as error:
            missed.append((command_id, error))
            continue
        if command:
            found.append(command)
        else:
            warn(f"ids: there is no command {command_id}, or the token may not see it.")
    if len(missed) == len(ids):
        raise missed[0][1]
    for command_id, why in missed:
        warn(f"ids: command {command_id} could not be read, and is left out. {why}")
    return found


class _Outputs:
    """The outputs of commands; one that cannot be read is what the row has of it."""

    def __init__(self, client: Client, warn: Warn) -> None:
        self._client = client
        self._warn = warn
        self._each = CircuitBreaker()

    def read(self, command: Command) -> Output:
        try:
            return self._each.read(partial(fetch_output, self._client, command, is_whole=make_end_check(command)))
        except AlpaconError as error:
            self._warn(f"The output of command {command.id} could not be read. {error}")
            return Output(command.result or "", complete=False)


_OUTPUT_KEYS = ("stdout", "stdout_lines", "stderr", "stderr_lines", "output_complete")


def listed(
    command: Command, read: Callable[[Command], Output] | None, output_limit: int | None = None
) -> dict[str, Any]:
    """A command as M(herdops.alpacon.alpacon_command_info) returns it.

    Args:
        read: reads the output of a finished command; None to leave outputs out.
        output_limit: how many characters of the end of its output are kept; None for all of it.
    """
    output = None
    if read and command.finished:
        command, output = unpack_output(command, read(command))
        output = limit_output(command, output, output_limit)
    described = describe(command, output)
    if not read:
        for key in _OUTPUT_KEYS:
            described.pop(key)
    described.update(
        shell=command.shell,
        username=command.username,
        groupname=command.groupname,
        requested_by=_requester(command),
        cancellable=command.cancellable,
        added_at=to_iso(command.added_at),
        scheduled_at=to_iso(command.scheduled_at),
        delivered_at=to_iso(command.delivered_at),
        acked_at=to_iso(command.acked_at),
        handled_at=to_iso(command.handled_at),
        run_after=list(command.run_after),
    )
    return described


def _requester(command: Command) -> dict[str, str | None] | None:
    if command.requested_by is None and command.requested_by_name is None:
        return None
    return {"id": command.requested_by, "name": command.requested_by_name}


def run_lookup(terms: Sequence[str], options: Mapping[str, Any], warn: Warn) -> list[Any]:
    """Look up the latest command of each server.

    Raises:
        AlpaconError: a server has no such command, and there is no ``default`` among the options.
    """
    settings = parse_settings(options, warn)
    within = options.get("within")
    since_age = timedelta(seconds=values.parse_duration("within", within)) if within else None
    query = Query(line=options.get("line"), statuses=statuses(options), since_age=since_age)
    warn_of_unknown_statuses(query.statuses, warn)
    with Client(settings) as client:
        servers = find_servers(client, terms, "_terms")
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
        other = (
            f" The latest one with another status is {of_other_status.status}{f', {to_iso(since)}' if since else ''}."
        )
    return (
        f"{term} has no such command with status {' or '.join(sorted(query.statuses)) or 'of any kind'}.{other}"
        " Give default to get a value of your own instead of this error."
    )


def _wanted(client: Client, command: Command, want: str) -> Any:
    if want == "id":
        return command.id
    described = listed(command, partial(fetch_output, client, is_whole=make_end_check(command)))
    return described if want == "record" else described["stdout"]
