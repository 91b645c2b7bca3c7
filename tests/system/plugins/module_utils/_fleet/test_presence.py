# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Servers whose agents are not connected, or were restarted with a command in hand."""

from __future__ import annotations

import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from system.playing import start
from system.support import AGENTS, Clock, command_options, run
from workspace.client import Workspace

from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.fleet import Fleet
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.run import Run
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks import command_task as _command_task
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.command import run_command
from ansible_collections.herdops.alpacon.tests.unit.support import FAR, Row

HUNDRED = [f"many-{number:03d}" for number in range(100)]
AWAY = HUNDRED[10:70:20]
LAST_SEEN = "2026-11-24T10:00:00Z"
WAITS = f"alpacon: 1 waits for {AWAY[0]}, offline, last connected at {LAST_SEEN}"


@pytest.fixture
def hundred(current: Workspace) -> Workspace:
    """A hundred servers, of which three are offline."""
    current.settings(instant=True)
    current.add_servers(*(name for name in HUNDRED if name not in AWAY), connected=True)
    current.add_servers(*AWAY, connected=False, last_connectivity=LAST_SEEN)
    return current


def waiting(workspace: Workspace) -> list[Any]:
    return [row for row in workspace.commands() if row["status"] == "queued"]


@pytest.mark.parametrize("policy", ["fail", "skip"])
@pytest.mark.parametrize("by", ["name", "id"])
def test_three_of_a_hundred_are_left_out(hundred: Workspace, by: str, policy: str) -> None:
    ids = hundred.server_ids()
    servers = HUNDRED if by == "name" else [ids[name] for name in HUNDRED]
    before = time.monotonic()
    done = run(hundred, servers=servers, line="uptime", offline=policy, wait_timeout="60")
    assert time.monotonic() < before + 50, "it waited for its timeout"
    assert done["summary"] == {"success": 97, "offline": 3}
    assert done.failed == (policy == "fail")
    away = [row for row in done.commands if row["outcome"] == "offline"]
    assert sorted(row["server"]["name"] for row in away) == AWAY
    assert all(row["ran"] is False and LAST_SEEN in row["msg"] and not row["changed"] for row in away)
    assert waiting(hundred) == []
    if by == "name":
        assert len(hundred.commands()) == 97, "nothing is submitted to who is known to be offline"


def test_waiting_is_told_at_once_and_when_the_time_is_over(hundred: Workspace) -> None:
    told: list[str] = []
    options = command_options(hundred, servers=[AWAY[0]], line="uptime", wait_timeout="2", cancel_on_timeout=True)
    done = run_command(options, Run(warn=told.append, tell=told.append))
    assert told == [f"{WAITS} (command {done['id']})"]
    assert done["outcome"] == "timed_out"
    assert waiting(hundred) == []


def test_the_end_of_the_time_says_whom_it_waited_for(hundred: Workspace) -> None:
    done = run(hundred, servers=[AWAY[0]], line="uptime", wait_timeout="1")
    assert f"It waits for {AWAY[0]}, offline, last connected at {LAST_SEEN}." in done["msg"]


def test_an_id_alone_tells_it_as_well(hundred: Workspace) -> None:
    told: list[str] = []
    options = command_options(hundred, servers=[hundred.server_ids()[AWAY[0]]], line="uptime", wait_timeout="3")
    done = run_command(options, Run(warn=told.append, tell=told.append))
    assert told == [f"{WAITS} (command {done['id']})"]


def test_who_wants_no_progress_is_not_told(hundred: Workspace) -> None:
    told: list[str] = []
    options = command_options(hundred, servers=[AWAY[0]], line="uptime", wait_timeout="1", progress=False)
    run_command(options, Run(warn=told.append, tell=told.append))
    assert told == []


def test_a_server_that_comes_back_gets_its_command(current: Workspace) -> None:
    current.disconnect("web-01")
    told: list[str] = []

    def tell(line: str) -> None:
        told.append(line)
        current.connect("web-01")

    done = run_command(command_options(current, servers=["web-01"], line="echo back"), Run(warn=told.append, tell=tell))
    assert (done["outcome"], done["stdout"], len(told)) == ("success", "back", 1)


def test_what_was_delivered_meanwhile_is_awaited(current: Workspace) -> None:
    # The server is back before the command is taken back: too late to cancel.
    current.disconnect("web-01")
    current.fault("slow", method="GET", path="^/api/servers/servers/[0-9a-f-]+/", delay=2.5)
    ids = current.server_ids()

    def back() -> None:
        time.sleep(1.6)
        current.connect("web-01")

    threading.Thread(target=back).start()
    done = run(current, servers=[ids["web-01"]], line="echo back", offline="fail")
    assert done["outcome"] in ("success", "offline")
    assert (done["outcome"] == "success") == any(row["run_count"] for row in current.commands())


@pytest.mark.parametrize("policy", ["wait", "fail", "skip"])
def test_who_is_there_is_not_asked_after(hundred: Workspace, policy: str) -> None:
    ids = hundred.server_ids()
    hundred.reset_counters()
    run(hundred, servers=[ids[name] for name in HUNDRED if name not in AWAY], line="uptime", offline=policy)
    routes = hundred.counters()["routes"]
    assert not [route for route in routes if "/api/servers/" in route]


WAYS: dict[str, Row] = {
    "submitted only": {"wait": False},
    "scheduled": {"state": "scheduled", "scheduled_at": FAR},
    "for a moment": {"wait_timeout": "0.5s"},
    "in check mode": {"check_mode": True},
    "scheduled in check mode": {"state": "scheduled", "scheduled_at": FAR, "check_mode": True},
}


@pytest.mark.parametrize("policy", ["fail", "skip"])
@pytest.mark.parametrize("way", WAYS)
def test_nothing_is_left_with_a_server_of_which_only_the_id_is_known(hundred: Workspace, way: str, policy: str) -> None:
    done = run(hundred, servers=[hundred.server_ids()[AWAY[0]]], line="uptime", offline=policy, **WAYS[way])
    assert (done["outcome"], done["ran"], done.changed, done.failed) == ("offline", False, False, policy == "fail")
    assert [row for row in hundred.commands() if row["status"] != "cancelled"] == []


@pytest.mark.parametrize("options", [{"wait": False}, {"state": "scheduled", "scheduled_at": FAR}])
def test_each_of_several_hosts_leaves_nothing(hundred: Workspace, tmp_path: Path, options: Row) -> None:
    hosts = [*HUNDRED[:2], AWAY[0]]
    play = start(hundred, tmp_path, hosts, {"line": "uptime", "offline": "fail", **options}).end()
    assert "unreachable=1" in play.said, play.said
    assert sorted(row["server"] for row in hundred.commands()) == HUNDRED[:2]


def test_a_parent_belongs_to_somebody_else(old: Workspace) -> None:
    old.settings(offline_mode="queue")
    old.disconnect("web-02")
    [parent] = old.add_commands([{"server": "web-02", "line": "parent", "status": "queued"}])
    limits: Row = {"wait_timeout": "2s", "offline": "fail"}
    done = run(old, servers=["web-01"], line="child", run_after=[parent], **limits)
    assert done["outcome"] == "not_tried"
    assert [(row["id"], row["status"]) for row in old.commands()] == [(parent, "queued")]


def test_refused_at_the_submit_is_offline_too(old: Workspace) -> None:
    old.add_servers("gone-01", connected=False)
    old.settings(offline_mode="refuse")
    done = run(old, servers=["gone-01"], line="uptime", offline="skip")
    assert (done["outcome"], done.failed) == ("offline", False)
    assert done.warnings == ["offline: 1 server is offline and skipped: gone-01."]


def test_skipped_servers_are_named_in_a_warning(current: Workspace) -> None:
    gone = [f"gone-{number:02}" for number in range(12)]
    current.add_servers(*gone, connected=False)
    done = run(current, servers=["web-01", *gone], line="true", offline="skip")
    assert (done.result["summary"], done.failed) == ({"success": 1, "offline": 12}, False)
    assert done.warnings == [f"offline: 12 servers are offline and skipped: {', '.join(gone[:10])} and 2 more."]


@pytest.mark.parametrize(("fault", "taken"), [("vanish", "the agent had taken it"), ("never_ack", "it was delivered")])
def test_command_that_makes_no_progress_after_a_restart_is_given_up(
    current: Workspace, clock: Clock, monkeypatch: pytest.MonkeyPatch, fault: str, taken: str
) -> None:
    current.fault(fault, server="web-01")
    monkeypatch.setattr(_command_task, "Fleet", partial(Fleet, sleep=clock.sleep))
    clock.at(5.0, lambda: current.change_server("web-01", started_at=1))
    done = run(current, servers=["web-01"], line="true", wait_timeout="30m")
    assert (done["outcome"], done["ran"]) == ("unknown", None)
    assert f"after {taken}" in done["msg"]
    assert 50 <= clock.passed < 75


def test_command_that_goes_on_after_a_late_start_report_is_awaited(
    current: Workspace, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    current.fault("vanish", server="web-01")
    monkeypatch.setattr(_command_task, "Fleet", partial(Fleet, sleep=clock.sleep))

    def change(**fields: Any) -> None:
        [row] = current.commands()
        current.change_command(row["id"], **fields)

    clock.at(5.0, lambda: current.change_server("web-01", started_at=1))
    clock.at(40.0, lambda: change(chunks=["so far"]))
    clock.at(400.0, lambda: change(status="success", result="so far"))
    done = run(current, servers=["web-01"], line="true", wait_timeout="30m")
    assert (done["outcome"], done["stdout"]) == ("success", "so far")


def test_short_wait_tells_of_a_restart(current: Workspace) -> None:
    current.fault("vanish", server="web-01")
    timer = threading.Timer(0.5, lambda: current.change_server("web-01", started_at=1))
    timer.start()
    done = run(current, servers=["web-01"], line="true", wait_timeout="2s")
    timer.join()
    assert (done["outcome"], done["ran"]) == ("timed_out", None)
    assert "was restarted at" in done["msg"]


def test_no_wait_ends_by_what_was_seen_before_a_slow_answer(current: Workspace) -> None:
    # While the server is asked for a last time, the command ends.
    current.fault("slow", method="GET", path="^/api/servers/servers/[0-9a-f-]+/", delay=3.0)
    done = run(current, servers=[current.server_ids()["web-01"]], line="sleep 2.5; echo end", wait_timeout="1.5s")
    assert (done["outcome"], done["stdout"]) == ("success", "end")


def test_an_inventory_host_is_unreachable(current: Workspace, tmp_path: Path) -> None:
    current.disconnect("web-02")
    play = start(current, tmp_path, AGENTS[:2], {"line": "uptime", "offline": "fail"}).end()
    assert play.code == 4, play.said
    assert "web-02" in play.said
    assert "unreachable=1" in play.said
    assert "UNREACHABLE!" in play.said
    assert waiting(current) == []
