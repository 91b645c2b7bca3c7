# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run a task of M(herdops.alpacon.alpacon_agent_policy)."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .._api.changes import change_record
from .._api.client import Client, get_or_none
from .._api.errors import AlpaconError, UsageError, clean_line
from .._api.records import to_text
from .._fleet.run import Run
from .._options.connection import CONNECTION, parse_settings
from .._options.values import validate_dictionary

PREFERENCES_PATH = "/api/workspaces/preferences/-/"
_FIELD = "agent_rollout_policy"
MODES = ("latest", "n_minus_1", "manual")
#: In the order of the numbers of the API, from 0 on.
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
#: Option -> least and greatest number.
_BOUNDS = {"start_hour": (0, 23), "length_hours": (1, 24)}
_TIMEZONE = re.compile(r"[A-Za-z0-9_+-]{1,32}(/[A-Za-z0-9_+-]{1,32}){0,3}")

WINDOW: dict[str, dict[str, Any]] = {
    "days": {"type": "list", "elements": "str", "choices": list(DAYS)},
    "start_hour": {"type": "int"},
    "length_hours": {"type": "int"},
    "timezone": {"type": "str"},
}
SPEC: dict[str, dict[str, Any]] = {
    **CONNECTION,
    "mode": {"type": "str", "choices": list(MODES)},
    "window": {"type": "dict", "options": WINDOW},
}


@dataclass(frozen=True)
class AgentPolicy:
    """When a workspace upgrades agents by itself.

    Attributes:
        window: the values of :data:`WINDOW` that the workspace states; None without a window.
    """

    mode: str
    window: Mapping[str, Any] | None

    @classmethod
    def from_row(cls, row: Any) -> AgentPolicy | None:
        """Read the preferences of a workspace; None if they have no policy."""
        policy = row.get(_FIELD) if isinstance(row, Mapping) else None
        stated = policy if isinstance(policy, Mapping) else {"mode": policy}
        mode, window = to_text(stated.get("mode")), stated.get("window")
        return cls(clean_line(mode), _read_window(window) if isinstance(window, Mapping) else None) if mode else None

    @property
    def is_automatic(self) -> bool:
        return self.mode != "manual"

    def to_result(self) -> dict[str, Any]:
        return {"mode": self.mode, "window": self.window and dict(self.window), "automatic": self.is_automatic}

    def write_diff(self) -> str:
        rows = {"mode": self.mode, **{f"window: {name}": value for name, value in (self.window or {}).items()}}
        return "".join(f"{name}: {json.dumps(value)}\n" for name, value in rows.items())


def _read_window(stated: Mapping[str, Any]) -> dict[str, Any]:
    days, zone = stated.get("days"), to_text(stated.get("timezone"))
    numbers = sorted({day for day in days if _is_number(day, 0, 6)}) if isinstance(days, list) else []
    window = {
        "days": [DAYS[number] for number in numbers] or None,
        **{name: stated.get(name) if _is_number(stated.get(name), *_BOUNDS[name]) else None for name in _BOUNDS},
        "timezone": clean_line(zone) if zone else None,
    }
    return {name: value for name, value in window.items() if value is not None}


def _is_number(value: Any, least: int, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def run_agent_policy(options: Mapping[str, Any], run: Run) -> dict[str, Any]:
    """Run a task of M(herdops.alpacon.alpacon_agent_policy).

    Raises:
        AlpaconError: nothing was changed, or the message says that the change may have been carried out.
    """
    settings = parse_settings(options, run.warn)
    window = _parse_window(options.get("window"))
    with run.open_client(settings) as client:
        before = _read_policy(client)
        after = AgentPolicy(options.get("mode") or before.mode, _merge_windows(before.window, window))
        changed = after != before
        if changed and not run.check_mode:
            after = _change(client, before, after)
        diff = {"diff": {"before": before.write_diff(), "after": after.write_diff()}} if run.diff_mode else {}
        verb = "Would be changed." if run.check_mode else "Changed."
        msg = verb if changed else "Nothing to change."
        return {"changed": changed, **after.to_result(), "msg": msg, "requests": client.requests, **diff}


def _parse_window(window: Any) -> dict[str, Any]:
    if window is None:
        return {}
    # Ansible adds null for each option that is left out.
    window = {name: value for name, value in window.items() if value is not None}
    given = {name: value for name, value in validate_dictionary("window", WINDOW, window).items() if value is not None}
    if not given:
        raise UsageError("window", "it is empty", f"Give some of {', '.join(WINDOW)}, or leave it out.")
    if "days" in given:
        if not given["days"]:
            raise UsageError("window: days", "it is an empty list", "Name days. To stop upgrades, set mode to manual.")
        given["days"] = sorted(set(given["days"]), key=DAYS.index)
    for name, (least, most) in _BOUNDS.items():
        if not least <= given.get(name, least) <= most:
            raise UsageError(f"window: {name}", f"{given[name]} is out of range", f"Give {least} to {most}.")
    if not _TIMEZONE.fullmatch(given.get("timezone", "UTC")):
        raise UsageError(
            "window: timezone", f"'{given['timezone']!s:.80}' is not a zone", "Give one such as Asia/Seoul."
        )
    return given


def _read_policy(client: Client) -> AgentPolicy:
    policy = AgentPolicy.from_row(get_or_none(client, PREFERENCES_PATH))
    if policy is None:
        raise AlpaconError(
            "This workspace has no policy for automatic upgrades of agents. It may be an older one. Nothing was"
            " changed. Upgrade agents with the playbook upgrade_agents."
        )
    return policy


def _merge_windows(before: Mapping[str, Any] | None, given: Mapping[str, Any]) -> Mapping[str, Any] | None:
    merged = {name: {**(before or {}), **given}.get(name) for name in WINDOW}
    missing = [name for name in WINDOW if merged[name] is None]
    if not given:
        return before
    if missing:
        problem = f"{', '.join(missing)} missing, and the workspace has no value for it"
        raise UsageError("window", problem, f"Give {', '.join(WINDOW)}.")
    return merged


def _change(client: Client, before: AgentPolicy, after: AgentPolicy) -> AgentPolicy:
    """Change what differs, and return the policy as the workspace states it then."""
    body: dict[str, Any] = {"mode": after.mode} if after.mode != before.mode else {}
    if after.window is not None and after.window != before.window:
        body["window"] = {**after.window, "days": [DAYS.index(day) for day in after.window["days"]]}

    def is_done(row: Any) -> bool:
        # Somebody else may change the other part meanwhile.
        stated = AgentPolicy.from_row(row)
        return stated is not None and all(getattr(stated, part) == getattr(after, part) for part in body)

    row = change_record(client, PREFERENCES_PATH, {_FIELD: body}, is_done)
    return AgentPolicy.from_row(row) or after
