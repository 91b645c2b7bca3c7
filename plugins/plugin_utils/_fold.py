# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Group commands with equal results, and write the results of many servers in a few lines."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..module_utils._api.errors import AlpaconError, clean_line, join_first
from ..module_utils._fleet.jobs import CLOSED

#: Fold results from this many servers on. Show the whole output of at most this many servers that differ.
FOLD_FROM, _MAX_SHOWN = 10, 20
#: Most names in a line, most groups in a line, and most characters of each output in a line with several outputs.
_MAX_NAMES, _MAX_GROUPS, _MAX_TEXT = 5, 5, 80
_TEXTS = ("outcome", "stdout", "stderr")
_REMEDY = "Give commands of a result of alpacon_command, such as result.commands."


@dataclass
class CommandGroup:
    """Commands with the same outcome, exit code and output.

    Attributes:
        names: of the servers.
    """

    commands: list[Mapping[str, Any]] = field(default_factory=list)
    names: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Return what M(herdops.alpacon.by_output#filter) returns for the group."""
        first = self.commands[0]
        texts = {name: first.get(name) or "" for name in ("stdout", "stderr", "msg")}
        kept = {name: first.get(name) for name in ("outcome", "rc")}
        return {"count": len(self.names), "servers": self.names, **kept, **texts}

    @property
    def ended(self) -> bool:
        """Return True if the command ran to its end."""
        return self.outcome == "success" or (self.outcome == "failed" and self.commands[0].get("rc") is not None)

    @property
    def outcome(self) -> str:
        return self.commands[0].get("outcome") or "check mode"

    @property
    def status(self) -> str:
        """Return the exit code, after the outcome unless that is success."""
        rc = self.commands[0].get("rc")
        parts = [] if self.outcome == "success" and rc is not None else [self.outcome]
        if rc is not None:
            is_assumed = any(command.get("rc_assumed") for command in self.commands)
            parts.append(f"rc {rc}{' (assumed)' if is_assumed else ''}")
        if any(command.get("output_complete") is False for command in self.commands):
            parts.append("output incomplete")
        return ", ".join(parts)

    @property
    def lines(self) -> list[str]:
        return _get_lines(self.commands[0])


def group_commands(commands: Any) -> list[dict[str, Any]]:
    """Group commands by outcome, exit code and output, the largest group first.

    Raises:
        AlpaconError: these are not commands.
    """
    if not isinstance(commands, Sequence) or isinstance(commands, (str, bytes)):
        raise AlpaconError(f"It needs a list of commands, not {_name_type(commands)}. {_REMEDY}")
    for number, command in enumerate(commands):
        if not isinstance(command, Mapping) or not isinstance(command.get("server"), Mapping):
            raise AlpaconError(f"Element {number} is not a command: it has no server. {_REMEDY}")
        wrong = [name for name in _TEXTS if not isinstance(command.get(name), (str, type(None)))]
        wrong += [] if isinstance(command.get("rc"), (int, type(None))) else ["rc"]
        if wrong:
            raise AlpaconError(f"Element {number} has {_name_type(command[wrong[0]])} in {wrong[0]}. {_REMEDY}")
    return [group.to_dict() for group in _make_groups([(get_name(command), command) for command in commands])]


def _name_type(value: Any) -> str:
    return "a mapping" if isinstance(value, Mapping) else f"a value of the type {type(value).__name__}"


def get_name(command: Mapping[str, Any]) -> str:
    """Return the name of the server of a command, or else its UUID, or else the UUID of the command."""
    server = command["server"]
    name: str = server.get("name") or server.get("id") or command.get("id") or ""
    return name


def _make_groups(named: Iterable[tuple[str, Mapping[str, Any]]]) -> list[CommandGroup]:
    groups: dict[tuple[Any, ...], CommandGroup] = {}
    for name, command in named:
        key = (*(command.get(text) or "" for text in _TEXTS), command.get("rc"))
        group = groups.setdefault(key, CommandGroup())
        group.commands.append(command)
        group.names.append(name)
    # Equally large groups stay in the order of their first commands.
    return sorted(groups.values(), key=lambda group: -len(group.names))


def fold_commands(named: Iterable[tuple[str, Mapping[str, Any]]]) -> list[str]:
    """Write the results of many servers in a few lines: equal results, different results, other outcomes.

    Args:
        named: commands of a task, each with the name of its server.
    """
    groups = _make_groups(named)
    ended = [group for group in groups if group.ended]
    alike = ended.pop(0) if ended and len(ended[0].names) > 1 else None
    lines = []
    if alike:
        lines += _write_block(f"{len(alike.names):,} servers alike, {alike.status}", alike)
    if sum(len(group.names) for group in ended) > _MAX_SHOWN:
        lines.append(_write_differing(ended, alike.status if alike else "rc 0"))
    else:
        for group in ended:
            lines += _write_block(f"{_list_names(group.names)}: {group.status}", group)
    others: dict[str, CommandGroup] = {}
    for group in groups:
        if not group.ended:
            same = others.setdefault(group.status, CommandGroup())
            same.commands += group.commands
            same.names += group.names
    for status, group in others.items():
        lines.append(f"{len(group.names):,} {status}: {_list_names(group.names)}")
        # A command that may still run can be awaited or cancelled by its ID.
        ids = [command["id"] for command in group.commands if command.get("id") and group.outcome not in CLOSED]
        lines += [f"    Ids: {clean_line(','.join(ids))}"] if ids else []
    return lines


def _write_block(header: str, group: CommandGroup) -> list[str]:
    lines = group.lines
    return [f"{header}: {lines[0]}"] if len(lines) == 1 else [header, *(f"    {line}" for line in lines)]


def _write_differing(groups: Sequence[CommandGroup], usual: str) -> str:
    """Write the first groups in one line, each with its status unless that is the usual one."""
    parts = []
    for group in groups[:_MAX_GROUPS]:
        status = "" if group.status == usual else f"{group.status}: "
        first, *others = group.lines or ["no output"]
        cut = "..." if others or len(first) > _MAX_TEXT else ""
        parts.append(f"{_list_names(group.names, 1)}: {status}{first[:_MAX_TEXT]}{cut}")
    rest = sum(len(group.names) for group in groups[_MAX_GROUPS:])
    if rest:
        parts.append(f"and {rest:,} more")
    count = sum(len(group.names) for group in groups)
    return f"{count:,} differ: {'; '.join(parts)} (-v shows every result)"


def _list_names(names: Sequence[str], limit: int = _MAX_NAMES) -> str:
    return join_first(list(map(clean_line, names)), limit)


def _get_lines(command: Mapping[str, Any]) -> list[str]:
    streams = (command.get("stdout") or "", command.get("stderr") or "")
    return [clean_line(line) for stream in streams for line in stream.splitlines()]


def write_commands(named: Iterable[tuple[str, Mapping[str, Any]]]) -> list[str]:
    """Write the result of each command: the server, the outcome, the exit code, and the output below."""
    lines = []
    for name, command in named:
        rc = command["rc"]
        assumed = " (assumed)" if command.get("rc_assumed") else ""
        code = "" if rc is None else f", rc {rc}{assumed}"
        lines.append(f"{clean_line(name)}: {command['outcome'] or 'check mode'}{code}")
        if rc is None or command.get("output_complete") is False:
            message, command_id = command["msg"], command["id"]
            suffix = f" Id {command_id}" if command_id and command_id not in message else ""
            lines.append(f"    {clean_line(message)}{suffix}")
        lines += [f"    {line}" for line in _get_lines(command)]
    return lines


def show_results(hosts: Iterable[str], variables: Mapping[str, Mapping[str, Any]], fold: bool = False) -> list[str]:
    """Write the results that hosts registered in C(alpacon_result).

    Args:
        variables: the variables of each host.
        fold: fold the results of 10 servers and more.
    """
    results = {host: variables[host].get("alpacon_result") or {} for host in hosts}
    named = [
        # A server that was given by its UUID may have no name.
        (command["server"]["name"] or (host if len(results) > 1 else get_name(command)), command)
        for host, result in results.items()
        for command in result.get("commands") or ()
    ]
    lines = fold_commands(named) if fold and len(named) >= FOLD_FROM else write_commands(named)
    files = (command.get("stdout_file") for _name, command in named)
    folders = {os.path.dirname(file) for file in files if file}
    note = "Of long ones, only the end is shown and compared."
    return [*lines, *(f"The whole outputs are in {clean_line(folder)}. {note}" for folder in sorted(folders))]
