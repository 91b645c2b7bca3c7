# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Find out what an action that copies a file would do next for each state that the file may be in on the host."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .coroutine import Coroutine
from .program import Record
from .recording import Call

_FILE = {"exists": True, "isdir": False, "islnk": False}
#: What the rehearsed module says.
_DONE = Record(0, b'{"changed": true}', b"")


class _Checksum(str):
    """Equals each checksum, and keeps the last one that it was compared with."""

    other = ""

    def __eq__(self, other: object) -> bool:
        self.other = str(other)
        return True

    def __ne__(self, other: object) -> bool:
        self.other = str(other)
        return False

    __hash__ = str.__hash__


def add_branches(calls: Iterable[tuple[Coroutine, Call]]) -> bool:
    """Let the host go on after it has stated the state of a file, and return False if that is not possible."""
    return all(_add_to_call(coroutine, call) for coroutine, call in calls)


def _add_to_call(coroutine: Coroutine, call: Call) -> bool:
    if not coroutine.queries_stat:
        return True  # the module copies on the host
    checksum = _Checksum("same")
    states: dict[str, Mapping[str, Any]] = {
        "absent": {"exists": False, "checksum": "1"},
        "different": {**_FILE, "checksum": "different"},
        "same": {**_FILE, "checksum": checksum},
    }
    try:
        branches = {state: _rehearse(coroutine, stat) for state, stat in states.items()}
    except _NotSimple:
        return False
    if not checksum.other:
        return False
    call.branches, call.checksum = branches, checksum.other
    return True


class _NotSimple(Exception):
    """A task runs more than one command after it has queried the state of a file."""


def _rehearse(coroutine: Coroutine, stat: Mapping[str, Any]) -> Call | None:
    """Return the only command that a task runs after a query; None if it runs none."""
    rehearsal = Coroutine(coroutine.function)
    rehearsal.assumed_stat = stat
    try:
        rehearsal.resume()
        call = rehearsal.request
        if rehearsal.has_ended:
            return None
        if isinstance(call, Call) and not call.is_question:
            rehearsal.resume(_DONE)
            if rehearsal.has_ended:
                return call
        raise _NotSimple
    finally:
        rehearsal.abort()
