# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A line goes from the task to the socket as CONTRIBUTING.md says, through as few functions."""

from __future__ import annotations

import re
import threading
import traceback
from types import FrameType
from typing import Any

import pytest
from system.support import run
from workspace.client import Workspace

from ansible_collections.herdops.alpacon.plugins.action.alpacon_command import ActionModule
from ansible_collections.herdops.alpacon.plugins.module_utils._api.session import Session
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.command import run_command
from ansible_collections.herdops.alpacon.tests.unit.support import ROOT

WAY = [
    (file, function.rpartition(".")[2])
    for file, function in re.findall(
        r"^\d+\. `(\w+/\w+\.py)`: `([\w.]+)`", (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"), re.MULTILINE
    )
]


def functions_of(frame: FrameType | None) -> list[tuple[str, str]]:
    """The functions of the collection's own that a thread is in, the outermost first."""
    frames = traceback.extract_stack(frame)
    own = [(each.filename.rpartition("/module_utils/"), each.name) for each in frames]
    return [(file, name) for (before, separator, file), name in own if separator and before.endswith("plugins")]


def test_a_line_goes_the_way_that_is_told(current: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    ways = []
    send, start = Session.send, threading.Thread.start
    outer: list[tuple[str, str]] = []

    def sent(session: Session, method: str, *args: Any) -> Any:
        if method == "POST":
            ways.append([*outer, *functions_of(None), ("_api/session.py", "send")])
        return send(session, method, *args)

    def started(thread: threading.Thread) -> None:
        if thread.name.startswith("alpacon"):
            outer[:] = functions_of(None)
        start(thread)

    monkeypatch.setattr(Session, "send", sent)
    monkeypatch.setattr(threading.Thread, "start", started)
    run(current, servers=["web-01"], line="true")
    [way] = ways
    assert way == WAY
    assert ActionModule.operation is run_command, "what the action calls is the first"
    assert len(WAY) <= 10
