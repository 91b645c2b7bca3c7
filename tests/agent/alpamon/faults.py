# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Faults of single commands. An agent on a host has none."""

from __future__ import annotations

import typing as t

from . import lines

Fault = dict[str, t.Any]
#: Why a line is never begun, by the word of the fault `fail_start`.
REASONS = {
    "user": lines.NO_USER,
    "group": lines.NO_GROUP,
    "membership": lines.NOT_A_MEMBER,
    "no_home": lines.NO_HOME,
    "closed_home": lines.CLOSED_HOME,
    "too_large": lines.TOO_LARGE,
    "queue_full": lines.QUEUE_FULL,
    "cancelled": lines.CANCELLED,
}


class CommandFaults:
    def __init__(self, faults: t.Iterable[Fault] = ()) -> None:
        self._faults = {fault["kind"]: fault for fault in faults}

    def get(self, kind: str, seq: int | None = None) -> Fault:
        fault = self._faults.get(kind, {})
        return fault if seq is None or fault.get("seq", seq) == seq else {}

    def seconds(self, kind: str, default: float = 0.0) -> float:
        return float(self.get(kind).get("seconds", default))

    def failure(self, user: str, group: str) -> str:
        reason = self.get("fail_start").get("reason", "")
        return REASONS[reason].format(user=user, group=group) if reason else ""
