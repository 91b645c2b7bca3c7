# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""alpacon_command with not_after: a server that gets a payload too late refuses to run it."""

from __future__ import annotations

from pathlib import Path

from system.support import run
from workspace.client import Workspace

from ansible_collections.herdops.alpacon.tests.unit.support import FAR, Row

PAST = "2020-01-01T05:00:00Z"
SCHEDULE: Row = {"state": "scheduled", "scheduled_at": FAR}


def write(path: Path) -> Row:
    return {"servers": ["web-01"], "argv": ["touch", str(path)]}


def test_a_server_that_gets_a_command_in_time_runs_it(current: Workspace, tmp_path: Path) -> None:
    ran = run(current, **write(tmp_path / "ran"), not_after="1h")
    assert (ran["outcome"], ran["rc"], (tmp_path / "ran").exists()) == ("success", 0, True)


def test_a_server_that_gets_a_command_too_late_does_not_run_it(current: Workspace, tmp_path: Path) -> None:
    for codes in ([0], [0, 126]):
        ran = run(current, **write(tmp_path / "ran"), not_after=PAST, success_codes=codes)
        assert (ran.failed, ran["outcome"], ran["success"]) == (True, "late", False)
        assert (ran["ran"], ran["rc"]) == (False, None)
        assert ran["msg"].startswith("Never ran: the server got it after not_after")
        assert ran["servers_left"] == [current.server_ids()["web-01"]]
        assert ran["servers_unknown"] == []
    finished = run(current, state="finished", ids=[ran["id"]])
    assert (finished.failed, finished["outcome"], finished["ran"]) == (True, "late", False)
    assert not (tmp_path / "ran").exists()


def test_a_late_command_is_not_reused(current: Workspace, tmp_path: Path) -> None:
    run(current, **write(tmp_path / "ran"), not_after=PAST)
    again = run(current, **write(tmp_path / "ran"), reuse_within="1h", success_codes=[0, 126])
    assert (again.changed, again["outcome"], (tmp_path / "ran").exists()) == (True, "success", True)


def test_not_after_is_not_compared(current: Workspace, tmp_path: Path) -> None:
    given = {**write(tmp_path / "ran"), **SCHEDULE}
    first = run(current, **given, not_after="2999-06-01T00:00:00Z")
    second = run(current, **given, not_after="2999-07-01T00:00:00Z")
    assert (first.changed, second.changed, second["id"]) == (True, False, first["id"])
    assert "It keeps the not_after" in second["msg"]
    cancelled = run(current, **write(tmp_path / "ran"), state="cancelled")
    assert (cancelled.changed, cancelled["id"]) == (True, first["id"])
