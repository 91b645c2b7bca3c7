# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""alpacon_command with not_after: servers refuse payloads that are late, and commands that still wait are cancelled."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from system.support import run
from workspace.client import Workspace

from ansible_collections.herdops.alpacon.tests.unit.support import FAR, Row

SCHEDULE: Row = {"state": "scheduled", "scheduled_at": FAR}


def write(path: Path) -> Row:
    return {"servers": ["web-01"], "argv": ["touch", str(path)]}


def test_a_server_that_gets_a_command_in_time_runs_it(current: Workspace, tmp_path: Path) -> None:
    ran = run(current, **write(tmp_path / "ran"), not_after="1h")
    assert (ran["outcome"], ran["rc"], (tmp_path / "ran").exists()) == ("success", 0, True)


def submit_late(workspace: Workspace, path: Path) -> Row:
    """Submit a command that its server gets two seconds after not_after; return its result then."""
    workspace.disconnect("web-01")
    sent = run(workspace, **write(path), not_after="1s", wait=False)
    time.sleep(3)
    workspace.connect("web-01")
    return {"state": "finished", "ids": [sent["id"]]}


def test_a_server_that_gets_a_command_too_late_does_not_run_it(current: Workspace, tmp_path: Path) -> None:
    late = submit_late(current, tmp_path / "ran")
    for codes in ([0], [0, 126]):
        ran = run(current, **late, success_codes=codes)
        assert (ran.failed, ran["outcome"], ran["success"]) == (True, "late", False)
        assert (ran["ran"], ran["rc"]) == (False, None)
        assert "by its own clock" in ran["msg"]
        assert ran["servers_left"] == [current.server_ids()["web-01"]]
        assert ran["servers_unknown"] == []
    assert not (tmp_path / "ran").exists()
    again = run(current, **write(tmp_path / "ran"), reuse_within="1h", success_codes=[0, 126])
    assert (again.changed, again["outcome"], (tmp_path / "ran").exists()) == (True, "success", True)


def test_a_command_that_is_approved_too_late_does_not_run(current: Workspace, tmp_path: Path) -> None:
    current.settings(holds=[{"status": "awaiting_approval"}])
    sent = run(current, **write(tmp_path / "ran"), not_after="1s", wait=False)
    time.sleep(3)
    current.change_command(sent["id"], status="queued")
    ran = run(current, state="finished", ids=[sent["id"]])
    assert (ran["outcome"], ran["ran"], (tmp_path / "ran").exists()) == ("late", False, False)


@pytest.mark.parametrize("kind", ["line", "argv"])
def test_a_command_that_still_waits_is_cancelled(current: Workspace, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "ran"
    current.disconnect("web-01")
    given: Row = {"line": f"touch {path}"} if kind == "line" else {"argv": ["touch", str(path)]}
    ran = run(current, servers=["web-01", "web-02"], **given, not_after="4s")
    assert [row["outcome"] for row in ran.commands] == ["late", "success"]
    late = ran.commands[0]
    assert (late["ran"], late["rc"], late["changed"]) == (False, None, False)
    assert ran["servers_left"] == [current.server_ids()["web-01"]]
    path.unlink()
    current.connect("web-01")
    assert run(current, servers=["web-01"], line="true")["outcome"] == "success"
    assert not path.exists()


def test_a_command_that_is_held_is_cancelled(current: Workspace, tmp_path: Path) -> None:
    current.settings(holds=[{"line": "rm", "status": "awaiting_approval"}])
    ran = run(current, servers=["web-01"], line=f"rm {tmp_path}/a", not_after="2s", wait_for_approval=True)
    assert (ran["outcome"], ran["ran"]) == ("late", False)
    assert [row["status"] for row in current.commands()] == ["cancelled"]


def test_a_command_that_began_in_time_is_awaited(current: Workspace) -> None:
    ran = run(current, servers=["web-01"], line="sleep 4 && echo ended", not_after="2s")
    assert (ran["outcome"], ran["stdout"]) == ("success", "ended")


def test_what_was_not_submitted_in_time_is_not_submitted(current: Workspace) -> None:
    given: Row = {"servers": ["web-01", "web-02"], "max_concurrency": 1, "not_after": "3s"}
    ran = run(current, **given, line="sleep 5")
    assert [row["outcome"] for row in ran.commands] == ["success", "late"]
    assert len(current.commands()) == 1
    assert ran.commands[1]["id"] is None


def test_not_after_is_not_compared(current: Workspace, tmp_path: Path) -> None:
    given = {**write(tmp_path / "ran"), **SCHEDULE}
    first = run(current, **given, not_after="2999-06-01T00:00:00Z")
    second = run(current, **given, not_after="2999-07-01T00:00:00Z")
    assert (first.changed, second.changed, second["id"]) == (True, False, first["id"])
    assert "It keeps the not_after" in second["msg"]
    cancelled = run(current, **write(tmp_path / "ran"), state="cancelled")
    assert (cancelled.changed, cancelled["id"]) == (True, first["id"])
