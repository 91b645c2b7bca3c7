# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Servers whose agents are not connected, or were restarted with a command in hand."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
from system.plays import run_playbook
from system.support import FakeClock, command_options, run
from workspace.client import Workspace

from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.fleet import Fleet
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.run import Run, RunContext
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks import command_task as _command_task
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.command import run_command
from ansible_collections.herdops.alpacon.tests.unit.support import FAR, Row

NAMES = [f"many-{number:03d}" for number in range(12)]
AWAY = NAMES[3:12:3]
LAST_SEEN = "2026-11-24T10:00:00Z"
OFFLINE = f"{AWAY[0]}, offline, last connected at {LAST_SEEN}"


@pytest.fixture
def dozen(current: Workspace) -> Workspace:
    """A dozen servers, of which three are offline."""
    current.settings(instant=True)
    current.add_servers(*(name for name in NAMES if name not in AWAY), connected=True)
    current.add_servers(*AWAY, connected=False, last_connectivity=LAST_SEEN)
    return current


@pytest.fixture
def quick(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    """A clock that moves on when a task waits for its commands."""
    monkeypatch.setattr(_command_task, "Fleet", partial(Fleet, sleep=clock.sleep))
    return clock


def standing(workspace: Workspace) -> list[Any]:
    return [row for row in workspace.commands() if row["status"] == "queued"]


@pytest.mark.parametrize(("by", "policy"), [("name", "fail"), ("id", "skip")])
def test_three_of_a_dozen_are_left_out(dozen: Workspace, by: str, policy: str) -> None:
    ids = dozen.server_ids()
    done = run(dozen, servers=NAMES if by == "name" else [ids[name] for name in NAMES], line="uptime", offline=policy)
    assert done["summary"] == {"success": 9, "offline": 3}
    assert done.failed == (policy == "fail")
    away = [row for row in done.commands if row["outcome"] == "offline"]
    assert sorted(row["server"]["name"] for row in away) == AWAY
    assert all(row["ran"] is False and LAST_SEEN in row["msg"] and not row["changed"] for row in away)
    assert standing(dozen) == []
    if by == "name":
        assert len(dozen.commands()) == 9, "nothing is submitted to who is known to be offline"


@pytest.mark.parametrize("cancels", [True, False])
def test_waiting_is_told_at_once_and_when_the_time_is_over(dozen: Workspace, quick: FakeClock, cancels: bool) -> None:
    told: list[str] = []
    server = AWAY[0] if cancels else dozen.server_ids()[AWAY[0]]
    options = command_options(dozen, servers=[server], line="uptime", wait_timeout="20", cancel_on_timeout=cancels)
    done = run_command(options, Run(RunContext(report=told.append), warn=told.append))
    assert told == [f"alpacon: 1 waits for {OFFLINE} (command {done['id']})"]
    assert done["outcome"] == "timed_out"
    assert len(standing(dozen)) == (not cancels)
    assert cancels or f"It waits for {OFFLINE}." in done["msg"]
    run_command({**options, "progress": False}, Run(RunContext(report=pytest.fail), warn=pytest.fail))


def test_a_server_that_comes_back_gets_its_command(current: Workspace) -> None:
    current.disconnect("web-01")
    told: list[str] = []

    def tell(line: str) -> None:
        told.append(line)
        current.connect("web-01")

    done = run_command(
        command_options(current, servers=["web-01"], line="echo back"), Run(RunContext(report=tell), warn=told.append)
    )
    assert (done["outcome"], done["stdout"], len(told)) == ("success", "back", 1)


WAYS: dict[str, Row] = {
    "submitted only": {"wait": False},
    "scheduled": {"state": "scheduled", "scheduled_at": FAR},
    "for a moment": {"wait_timeout": "0.5s"},
    "scheduled in check mode": {"state": "scheduled", "scheduled_at": FAR, "check_mode": True},
}


@pytest.mark.parametrize("way", WAYS)
def test_nothing_is_left_with_a_server_of_which_only_the_id_is_known(dozen: Workspace, way: str) -> None:
    done = run(dozen, servers=[dozen.server_ids()[AWAY[0]]], line="uptime", offline="fail", **WAYS[way])
    assert (done["outcome"], done["ran"], done.changed, done.failed) == ("offline", False, False, True)
    assert [row for row in dozen.commands() if row["status"] != "cancelled"] == []


def test_an_inventory_host_that_is_offline_is_unreachable(dozen: Workspace, tmp_path: Path) -> None:
    task = {"herdops.alpacon.alpacon_command": {"line": "uptime", "offline": "fail", "wait": False}}
    play = run_playbook(
        dozen, tmp_path, [{"hosts": "all", "gather_facts": False, "tasks": [task]}], [NAMES[0], AWAY[0]], "--forks=20"
    )
    assert play.code == 4, play.log
    assert "unreachable=1" in play.log
    assert "UNREACHABLE!" in play.log
    assert [row["server"] for row in dozen.commands()] == [NAMES[0]]


def test_skipped_servers_are_named_in_a_warning(current: Workspace) -> None:
    gone = [f"gone-{number:02}" for number in range(12)]
    current.add_servers(*gone, connected=False)
    done = run(current, servers=["web-01", *gone], line="true", offline="skip")
    assert (done.result["summary"], done.failed) == ({"success": 1, "offline": 12}, False)
    assert done.warnings == [f"offline: 12 servers are offline and skipped: {', '.join(gone[:10])} and 2 more."]


@pytest.mark.parametrize(("fault", "taken"), [("vanish", "the agent ack"), ("never_ack", "it was delivered")])
def test_command_that_makes_no_progress_after_a_restart_is_given_up(
    current: Workspace, quick: FakeClock, fault: str, taken: str
) -> None:
    current.fault(fault, server="web-01")
    quick.at(5.0, lambda: current.change_server("web-01", started_at=1))
    done = run(current, servers=["web-01"], line="true", wait_timeout="30m")
    assert (done["outcome"], done["ran"]) == ("unknown", None)
    assert f"after {taken}" in done["msg"]
    assert 50 <= quick.passed < 75


def test_command_that_goes_on_after_a_late_start_report_is_awaited(current: Workspace, quick: FakeClock) -> None:
    current.fault("vanish", server="web-01")

    def change(**fields: Any) -> None:
        [row] = current.commands()
        current.change_command(row["id"], **fields)

    quick.at(5.0, lambda: current.change_server("web-01", started_at=1))
    quick.at(40.0, lambda: change(chunks=["so far"]))
    quick.at(400.0, lambda: change(status="success", result="so far"))
    done = run(current, servers=["web-01"], line="true", wait_timeout="30m")
    assert (done["outcome"], done["stdout"]) == ("success", "so far")


def test_short_wait_tells_of_a_restart(current: Workspace, quick: FakeClock) -> None:
    current.fault("vanish", server="web-01")
    quick.at(5.0, lambda: current.change_server("web-01", started_at=1))
    done = run(current, servers=["web-01"], line="true", wait_timeout="20s")
    assert (done["outcome"], done["ran"]) == ("timed_out", None)
    assert "was restarted at" in done["msg"]
