# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run a task of M(herdops.alpacon.alpacon_server)."""

from __future__ import annotations

import contextlib
import json
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .._api.changes import change_record
from .._api.client import Client
from .._api.errors import AlpaconError, ApiError, ConnectionFailed, UsageError, clean, clean_line
from .._api.records import Server, is_uuid, normalize_uuid, to_text
from .._api.servers import SERVERS_PATH, find_whole_servers
from .._fleet.journal import replace_file
from .._fleet.run import Run
from .._options import values
from .._options.connection import CONNECTION, parse_settings
from .command_results import group_alike
from .iam_groups import resolve_groups

#: The field of the API for each option, in the order of results.
FIELDS = {
    "name": "name",
    "description": "description",
    "offline_alert": "offline_alert_enabled",
    "groups": "groups",
}
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_DESCRIPTION_LENGTH = 255
#: Seconds in which the quota of a token is full again.
_HOUR = 3600.0
#: Seconds in which reads may lag behind a change.
_RECENT = 60.0

SPEC: dict[str, dict[str, Any]] = {
    **CONNECTION,
    "servers": {"type": "list", "elements": "str", "aliases": ["server"]},
    "offline_alert": {"type": "bool"},
    "name": {"type": "str"},
    "description": {"type": "str"},
    "groups": {"type": "list", "elements": "str"},
}
RULES: dict[str, Any] = {"required_one_of": [tuple(FIELDS)]}


@dataclass
class ServerChange:
    """The change of one server.

    Attributes:
        before: the options of the server as the workspace states them; None for those that it does not state.
        after: the same after the change, or as check mode predicts them.
        different: the options to change.
    """

    server: Server
    before: dict[str, Any]
    different: dict[str, Any]
    after: dict[str, Any] = field(default_factory=dict)
    changed: bool = False
    failed: bool = False
    msg: str = "Not tried."

    def describe(self) -> dict[str, Any]:
        return {
            "id": self.server.id,
            **self.after,
            "changed": self.changed,
            "failed": self.failed,
            "msg": self.msg,
        }


class RecentChanges:
    """Options that tasks of this run sent for servers within a minute.

    Args:
        folder: shared by the workers of the run; None if there is none.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def read(self, server: Server) -> dict[str, Any]:
        """Return the options; empty without a recent change."""
        with contextlib.suppress(OSError, ValueError):
            if self._folder:
                stored = json.loads((self._folder / normalize_uuid(server.id)).read_text(encoding="utf-8"))
                if time.monotonic() - stored["time"] < _RECENT:
                    return dict(stored["options"])
        return {}

    def write(self, server: Server, options: Mapping[str, Any]) -> None:
        with contextlib.suppress(OSError):
            if self._folder:
                self._folder.mkdir(mode=0o700, exist_ok=True)
                stored = {"time": time.monotonic(), "options": {**self.read(server), **options}}
                replace_file(self._folder / normalize_uuid(server.id), json.dumps(stored))


def run_server(options: Mapping[str, Any], run: Run) -> dict[str, Any]:
    """Run a task of M(herdops.alpacon.alpacon_server); nothing was changed if it raises :class:`AlpaconError`."""
    settings = parse_settings(options, run.warn)
    references, wanted = _parse_options(options)
    state = run.open_shared_state(settings)
    recent = RecentChanges(state.folder / "changed" if state else None)
    shared = state if run.hosts > 1 else None
    # Requests for all of them may use the quota of several hours.
    quota_wait = _HOUR * (1 + 2 * len(references) / settings.requests_per_hour)
    with run.open_client(settings, shared, quota_wait) as client:
        if wanted.get("groups"):
            wanted["groups"] = sorted(resolve_groups(client, wanted["groups"]))
        servers = find_whole_servers(client, references, "servers")
        changes = [_compare(client, server, wanted, recent.read(server)) for server in servers]
        for change in changes:
            if not run.no_log:
                run.record_need(settings.url, change.server)
        _apply(client, changes, None if run.check_mode else recent)
        return {**_describe(changes, run), "requests": client.requests}


def _parse_options(options: Mapping[str, Any]) -> tuple[list[str], dict[str, Any]]:
    """Return the names and UUIDs of servers, and the options to set."""
    servers = [str(server) for server in values.split_list(options["servers"] or ())]
    if not (servers and all(servers)):
        raise UsageError("servers", "one of them is empty" if servers else "it is empty", "Give names or UUIDs.")
    wanted = {name: options[name] for name in FIELDS if options.get(name) is not None}
    name, description, groups = (wanted.get(option) for option in ("name", "description", "groups"))
    if name is not None and len(servers) > 1:
        raise UsageError("name", "several servers cannot have one name", "Give one server, or leave name out.")
    if name is not None and not _NAME.fullmatch(name):
        raise UsageError("name", f"'{name!s:.80}' is not a name", "Use 1 to 64 letters, digits, hyphens, underscores.")
    if description is not None:
        wanted["description"] = _check_description(description.strip())
    if groups is not None:
        wanted["groups"] = [str(group) for group in values.split_list(groups)]
        if not (wanted["groups"] and all(wanted["groups"])):
            raise UsageError("groups", "it is empty, or has an empty element", "Name groups, or leave groups out.")
    return [normalize_uuid(text) if is_uuid(text) else text for text in servers], wanted


def _check_description(text: str) -> str:
    if len(text) > _DESCRIPTION_LENGTH:
        raise UsageError("description", f"it has {len(text)} characters", f"Give at most {_DESCRIPTION_LENGTH}.")
    if clean(text) != text:
        raise UsageError("description", "it has a control character", "Remove that character.")
    return text


def _compare(client: Client, server: Server, wanted: Mapping[str, Any], recent: Mapping[str, Any]) -> ServerChange:
    row = server.fields
    if any(FIELDS[option] not in row for option in wanted):
        # The rows of a list may have fewer fields.
        row = client.get(_path(server))
    missing = [option for option in wanted if not isinstance(row, Mapping) or FIELDS[option] not in row]
    if missing:
        raise UsageError(
            missing[0],
            f"this workspace does not state {FIELDS[missing[0]]} of its servers, so it may be an older one",
            "Leave the option out, or upgrade the workspace. Nothing was changed.",
        )
    before = _read_options(row)
    # A read may be older than what the run changed last.
    before.update({option: recent[option] for option in wanted if recent.get(option, wanted[option]) != wanted[option]})
    return ServerChange(
        server,
        before,
        {option: value for option, value in wanted.items() if before[option] != value},
        after=dict(before),
    )


def _path(server: Server) -> str:
    return f"{SERVERS_PATH}{normalize_uuid(server.id)}/"


def _read_options(row: Any) -> dict[str, Any]:
    """Return the options that the record of a server has; None for those that it does not state."""
    row = row if isinstance(row, Mapping) else {}
    name, alert, groups = to_text(row.get("name")), row.get("offline_alert_enabled"), row.get("groups")
    if isinstance(groups, list):
        ids = [group.get("id") if isinstance(group, Mapping) else group for group in groups]
        groups = sorted(normalize_uuid(group) for group in ids if is_uuid(group))
    return {
        "name": clean_line(name) if name else None,
        "description": clean(to_text(row["description"]) or "") if "description" in row else None,
        "offline_alert": alert if isinstance(alert, bool) else None,
        "groups": groups if isinstance(groups, list) else None,
    }


def _apply(client: Client, changes: Sequence[ServerChange], recent: RecentChanges | None) -> None:
    """Change the servers, unless ``recent`` is None. Stop at an error that is not about one server alone."""
    stopped = False
    for change in changes:
        if stopped and change.different:
            change.failed = True
            continue
        names = ", ".join(change.different)
        change.changed = bool(names)
        change.after.update(change.different)
        if not names:
            change.msg = "Nothing to change."
        elif recent is None:
            change.msg = f"Would be changed: {names}."
        else:
            stopped = not _change(client, change, names)
            if change.changed:
                recent.write(change.server, change.different)


def _change(client: Client, change: ServerChange, names: str) -> bool:
    """Change a server; return False if the other servers need not be tried."""
    body = {FIELDS[option]: value for option, value in change.different.items()}

    def is_done(row: Any) -> bool:
        stated = _read_options(row)
        return all(stated[option] == value for option, value in change.different.items())

    try:
        change_record(client, _path(change.server), body, is_done)
        change.msg = f"Changed: {names}."
        return True
    except AlpaconError as error:
        is_certain = isinstance(error, (ApiError, ConnectionFailed))
        change.failed, change.msg, change.changed = True, str(error), not is_certain
        change.after = {**change.before, **({} if is_certain else dict.fromkeys(change.different))}
        return isinstance(error, ApiError) and not error.refuses_token and error.status != 429


def _describe(changes: Sequence[ServerChange], run: Run) -> dict[str, Any]:
    servers = [change.describe() for change in changes]
    # Messages that differ only in the UUID of the server are alike.
    failures = [
        (str(change.server), None, change.msg.replace(_path(change.server), f"{SERVERS_PATH}ID/"))
        for change in changes
        if change.failed
    ]
    changed = sum(change.changed for change in changes)
    result: dict[str, Any] = {"servers": servers, "changed": bool(changed), "failed": bool(failures)}
    if run.diff_mode:
        result["diff"] = {side: _write_diff(changes, side) for side in ("before", "after")}
    if len(servers) == 1:
        return {**servers[0], **result}
    listed = "; ".join(group_alike(failures)[:5])
    verb = "would be changed" if run.check_mode else "changed"
    result["msg"] = (
        f"{len(failures)} of {len(servers)} servers failed: {listed}"
        if failures
        else f"{changed} of {len(servers)} servers {verb}."
    )
    return result


def _write_diff(changes: Sequence[ServerChange], side: str) -> str:
    return "".join(
        f"{clean_line(change.server)}: {option}: {json.dumps(getattr(change, side)[option])}\n"
        for change in changes
        if change.changed
        for option in change.different
    )
