# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Servers that are offline, and servers whose agents were restarted while a command ran."""

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
OFFLINE_NAMES = NAMES[3:12:3]
LAST_SEEN = "2026-11-24T10:00:00Z"
DESCRIBED = f"{OFFLINE_NAMES[0]}, offline, last connected at {LAST_SEEN}"


@pytest.fixture
def dozen(current: Workspace) -> Workspace:
    """Return a workspace with a dozen servers, of which three are offline."""
    current.settings(instant=True)
    current.add_servers(*(name for name in NAMES if name not in OFFLINE_NAMES), connected=True)
    current.add_servers(*OFFLINE_NAMES, connected=False, last_connectivity=LAST_SEEN)
    return current


@pytest.fixture
def clock(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    """Return a clock that advances while a task waits for its commands."""
    monkeypatch.setattr(_command_task, "Fleet", partial(Fleet, sleep=clock.sleep))
    return clock


def queued(workspace: Workspace) -> list[Any]:
    return [row for row in workspace.commands() if row["status"] == "queued"]


@pytest.mark.parametrize(("by", "policy"), [("name", "fail"), ("id", "skip")])
def test_offline_servers_get_no_command(dozen: Workspace, by: str, policy: str) -> None:
    ids = dozen.server_ids()
    done = run(dozen, servers=NAMES if by == "name" else [ids[name] for name in NAMES], line="uptime", offline=policy)
    assert done["summary"] == {"success": 9, "offline": 3}
    assert done.failed == (policy == "fail")
    offline_rows = [row for row in done.commands if row["outcome"] == "offline"]
    assert sorted(row["server"]["name"] for row in offline_rows) == OFFLINE_NAMES
    assert all(row["ran"] is False and LAST_SEEN in row["msg"] and not row["changed"] for row in offline_rows)
    assert queued(dozen) == []
    if by == "name":
        assert len(dozen.commands()) == 9, "nothing is submitted to a server that is offline by its name"


@pytest.mark.parametrize("cancels", [True, False])
def test_an_offline_server_is_reported_at_once_and_at_the_timeout(
    dozen: Workspace, clock: FakeClock, cancels: bool
) -> None:
    printed: list[str] = []
    server = OFFLINE_NAMES[0] if cancels else dozen.server_ids()[OFFLINE_NAMES[0]]
    options = command_options(dozen, servers=[server], line="uptime", wait_timeout="20", cancel_on_timeout=cancels)
    done = run_command(options, Run(RunContext(report=printed.append), warn=printed.append))
    assert printed == [f"alpacon: 1 waits for {DESCRIBED} (command {done['id']})"]
    assert done["outcome"] == "timed_out"
    assert len(queued(dozen)) == (not cancels)
    assert cancels or f"It waits for {DESCRIBED}." in done["msg"]
    run_command({**options, "progress": "false"}, Run(RunContext(report=pytest.fail), warn=pytest.fail))


def test_a_server_that_reconnects_gets_its_command(current: Workspace) -> None:
    current.disconnect("web-01")
    printed: list[str] = []

    def print_and_connect(line: str) -> None:
        printed.append(line)
        current.connect("web-01")

    done = run_command(
        command_options(current, servers=["web-01"], line="echo back"),
        Run(RunContext(report=print_and_connect), warn=printed.append),
    )
    assert (done["outcome"], done["stdout"], len(printed)) == ("success", "back", 1)


VARIANTS: dict[str, Row] = {
    "submitted only": {"wait": False},
    "scheduled": {"state": "scheduled", "scheduled_at": FAR},
    "for a moment": {"wait_timeout": "0.5s"},
    "scheduled in check mode": {"state": "scheduled", "scheduled_at": FAR, "check_mode": True},
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_no_command_stays_queued_on_an_offline_server_named_by_id(dozen: Workspace, variant: str) -> None:
    done = run(
        dozen, servers=[dozen.server_ids()[OFFLINE_NAMES[0]]], line="uptime", offline="fail", **VARIANTS[variant]
    )
    assert (done["outcome"], done["ran"], done.changed, done.failed) == ("offline", False, False, True)
    assert [row for row in dozen.commands() if row["status"] != "cancelled"] == []


def test_an_inventory_host_that_is_offline_is_unreachable(dozen: Workspace, tmp_path: Path) -> None:
    task = {"herdops.alpacon.alpacon_command": {"line": "uptime", "offline": "fail", "wait": False}}
    play = run_playbook(
        dozen,
        tmp_path,
        [{"hosts": "all", "gather_facts": False, "tasks": [task]}],
        [NAMES[0], OFFLINE_NAMES[0]],
        "--forks=20",
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


def test_a_skipped_server_without_a_name_has_its_uuid_in_the_warning(current: Workspace) -> None:
    server = current.server_ids()["web-01"]
    refusal = '{"code": "server_not_connected", "source": "server"}'
    current.fault("status", method="POST", path="^/api/events/commands/$", status=503, body=refusal)
    done = run(current, servers=[server], line="true", offline="skip")
    assert done.warnings == [f"offline: 1 server is offline and skipped: {server}."]


@pytest.mark.parametrize(
    ("fault", "delivery"), [("vanish", "the agent acknowledged it"), ("never_ack", "it was delivered")]
)
def test_command_without_progress_after_a_restart_is_unknown(
    current: Workspace, clock: FakeClock, fault: str, delivery: str
) -> None:
    current.fault(fault, server="web-01")
    clock.at(5.0, lambda: current.change_server("web-01", started_at=60 if fault == "vanish" else 1))
    done = run(current, servers=["web-01"], line="true", wait_timeout="30m")
    assert (done["outcome"], done["ran"]) == ("unknown", None)
    assert f"after {delivery}" in done["msg"]
    assert 50 <= clock.passed < 75


def test_command_with_progress_after_a_restart_is_awaited(current: Workspace, clock: FakeClock) -> None:
    current.fault("vanish", server="web-01")

    def change(**fields: Any) -> None:
        [row] = current.commands()
        current.change_command(row["id"], **fields)

    clock.at(5.0, lambda: current.change_server("web-01", started_at=60))
    clock.at(40.0, lambda: change(chunks=["so far"]))
    clock.at(400.0, lambda: change(status="success", result="so far"))
    done = run(current, servers=["web-01"], line="true", wait_timeout="30m")
    assert (done["outcome"], done["stdout"]) == ("success", "so far")


def test_first_command_of_an_agent_that_reports_its_start_late_is_awaited(current: Workspace, clock: FakeClock) -> None:
    current.fault("vanish", server="web-01")
    clock.at(10.0, lambda: current.change_server("web-01", started_at=31))
    clock.at(120.0, lambda: current.change_command(current.commands()[0]["id"], status="success"))
    done = run(current, servers=["web-01"], line="sleep 120", wait_timeout="30m")
    assert (done["outcome"], done["rc"]) == ("success", 0)


def test_timeout_message_names_a_restart(current: Workspace, clock: FakeClock) -> None:
    current.fault("vanish", server="web-01")
    clock.at(5.0, lambda: current.change_server("web-01", started_at=1))
    done = run(current, servers=["web-01"], line="true", wait_timeout="20s")
    assert (done["outcome"], done["ran"]) == ("timed_out", None)
    assert "reported a start at" in done["msg"]
