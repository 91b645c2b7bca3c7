# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads that lag behind writes change no outcome and submit nothing twice."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from system.support import command_options, in_every_dialect
from workspace.client import Workspace

from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.run import Run, RunContext
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.command import run_command
from ansible_collections.herdops.alpacon.tests.unit.support import FAR, Row

SERVERS = ["web-01", "web-02"]
LATER = "2998-06-01T03:00:00Z"


class Lagging:
    """Tasks of one run against a workspace whose reads lag."""

    def __init__(self, workspace: Workspace, folder: Path) -> None:
        self.workspace = workspace
        self.run = Run(RunContext(folder=folder))

    def __call__(self, **options: Any) -> Row:
        """Run a task without warnings and return its result."""
        warnings: list[str] = []
        result = run_command(command_options(self.workspace, **options), replace(self.run, warn=warnings.append))
        assert warnings == []
        return result

    def pending(self, server: str = "web-01") -> list[str]:
        """Return the IDs of the scheduled commands of a server."""
        return [row["id"] for row in self.workspace.commands(server=server) if row["status"] == "scheduled"]


@pytest.fixture
def lagging(workspace: Workspace, tmp_path: Path) -> Lagging:
    """Return tasks for a workspace whose reads are up to a second old."""
    workspace.settings(read_lag=1.0)
    return Lagging(workspace, tmp_path)


def test_with_no_log_only_a_digest_of_the_line_is_written(lagging: Lagging, tmp_path: Path) -> None:
    options = {"servers": SERVERS, "line": "reboot hunter2", "state": "scheduled", "scheduled_at": FAR}
    lagging.run = replace(lagging.run, no_log=True)
    assert [lagging(**options)["changed"] for _time in range(2)] == [True, False]
    files = [file.read_text(encoding="utf-8") for file in tmp_path.rglob("*") if file.is_file()]
    assert any("sha256:" in text for text in files)
    assert not any("hunter2" in text for text in files)


@in_every_dialect
def test_schedule_reschedule_and_cancel(lagging: Lagging) -> None:
    options = {"servers": SERVERS, "line": "reboot"}
    first = lagging(state="scheduled", scheduled_at=FAR, **options)
    again = lagging(state="scheduled", scheduled_at=FAR, **options)
    assert (first["changed"], again["changed"], len(lagging.workspace.commands())) == (True, False, 2)
    moved = lagging(state="scheduled", scheduled_at=LATER, reschedule=True, **options)
    assert moved["changed"]
    assert [lagging.pending(server) for server in SERVERS] == [[row["id"]] for row in moved["commands"]]
    gone = lagging(state="cancelled", **options)
    assert gone["summary"] == {"cancelled": 2}
    assert (gone["changed"], lagging.pending()) == (True, [])
