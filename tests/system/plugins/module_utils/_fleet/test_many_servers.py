# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""More servers in one task than a page of a list has rows, where rows tie: a fleet that is scheduled for one time."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from system.playing import play_out
from system.support import Outcome, info_options, run
from workspace.client import Workspace

from ansible_collections.herdops.alpacon.plugins.module_utils._api.client import Client
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.run import Run
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.command_info import run_info
from ansible_collections.herdops.alpacon.tests.unit.support import FAR, LIST

pytestmark = pytest.mark.slow

LINE = "reboot"


@pytest.fixture(params=[("current", 300), ("published", 110), ("2024", 110)], ids=str)
def fleet(request: pytest.FixtureRequest, running: Callable[[str], Workspace]) -> tuple[Workspace, list[str]]:
    """A workspace whose servers answer at once, and their names; rows of other commands lie around theirs."""
    dialect, count = request.param
    workspace = running(dialect)
    workspace.reset()
    workspace.settings(instant=True)
    names = [f"node-{number:03}" for number in range(count)]
    workspace.add_servers(*names, connected=True)
    for line in ("before", "after"):
        workspace.add_many_commands(60, line=line, status="scheduled", scheduled_at=FAR, servers=names[:60])
    workspace.reset_counters()
    return workspace, names


def standing(workspace: Workspace) -> list[dict[str, Any]]:
    return [row for row in workspace.commands(line=LINE) if row["status"] in ("scheduled", "queued")]


def schedule(workspace: Workspace, names: list[str], **given: Any) -> Outcome:
    return run(workspace, state="scheduled", servers=names, **{"line": LINE, "scheduled_at": FAR, **given})


def test_a_schedule_stands_once_however_often_it_is_asked_for(fleet: tuple[Workspace, list[str]]) -> None:
    workspace, names = fleet
    first = schedule(workspace, names)
    assert (first.changed, first.failed) == (True, False)
    asked = workspace.requests_made()
    # Rows of 2024 do not state their time, so each is asked for.
    details = len(names) if workspace.dialect == "2024" else 0
    assert asked <= len(names) + details + 2 * 2 * (len(names) // 100 + 3)
    second = schedule(workspace, names)
    assert (second.changed, second.failed, second["summary"]) == (False, False, {"pending": len(names)})
    assert workspace.requests_made() - asked <= details + 3 * (len(names) // 100 + 3)
    assert Counter(row["server"] for row in standing(workspace)) == Counter(names)
    workspace.reset_counters()
    cancelled = run(workspace, state="cancelled", servers=names, line=LINE)
    assert (cancelled.changed, cancelled.failed, cancelled["summary"]) == (True, False, {"cancelled": len(names)})
    assert standing(workspace) == []
    assert workspace.requests_made() <= len(names) + 2 * (len(names) // 100 + 3)
    assert not run(workspace, state="cancelled", servers=names, line=LINE).changed


def test_a_schedule_is_moved_and_cancelled_by_its_time(fleet: tuple[Workspace, list[str]]) -> None:
    workspace, names = fleet
    schedule(workspace, names)
    later = "2998-06-01T03:00:00Z"
    moved = schedule(workspace, names, scheduled_at=later, reschedule=True)
    assert (moved.changed, moved.failed) == (True, False)
    assert Counter(row["server"] for row in standing(workspace)) == Counter(names)
    assert {row["scheduled_at"] for row in standing(workspace)} == {later.replace("Z", "+00:00")}
    assert not run(workspace, state="cancelled", servers=names, line=LINE, scheduled_at=FAR).changed
    assert run(workspace, state="cancelled", servers=names, line=LINE, scheduled_at=later).changed
    assert standing(workspace) == []


def test_what_ran_at_a_time_gone_by_is_found_on_each(fleet: tuple[Workspace, list[str]]) -> None:
    workspace, names = fleet
    time = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    rows = [
        {
            "server": name,
            "line": LINE,
            "status": "success",
            "scheduled_at": time,
            "delivered_at": time,
            "added_at": -7200,
        }
        for name in names
    ]
    workspace.add_commands(rows)
    again = schedule(workspace, names, scheduled_at=time)
    assert (again.changed, again.failed, again["summary"]) == (False, False, {"success": len(names)})


def test_what_ran_is_reused_and_awaited_and_cancelled_by_id(fleet: tuple[Workspace, list[str]]) -> None:
    workspace, names = fleet
    workspace.settings(date_header=True)
    ran = run(workspace, servers=names, line="uptime")
    assert (ran.changed, ran.failed, ran["summary"]) == (True, False, {"success": len(names)})
    ids = [command["id"] for command in ran.commands]
    again = run(workspace, servers=names, line="uptime", reuse_within="1h")
    assert (again.changed, [command["id"] for command in again.commands]) == (False, ids)
    awaited = run(workspace, state="finished", ids=ids)
    assert (awaited.failed, [command["id"] for command in awaited.commands]) == (False, ids)
    waiting = [command["id"] for command in schedule(workspace, names).commands]
    assert run(workspace, state="cancelled", ids=waiting)["summary"] == {"cancelled": len(names)}
    assert standing(workspace) == []


# While others submit


@pytest.fixture
def busy(
    request: pytest.FixtureRequest, running: Callable[[str], Workspace], monkeypatch: pytest.MonkeyPatch
) -> tuple[Workspace, list[str], Callable[[int], None]]:
    """A workspace, its servers, and what has so many commands that run at once join each time a list was read."""
    workspace = running(getattr(request, "param", "current"))
    workspace.reset()
    workspace.settings(instant=True)
    names = [f"node-{number:03}" for number in range(108)]
    workspace.add_servers(*names, connected=True)
    get, joining = Client.get, [0]

    def and_submit(self: Client, path: str, params: Any = None) -> Any:
        answer = get(self, path, params)
        if path == LIST and joining[0]:
            workspace.add_many_commands(joining[0], line="true", status="success", servers=names[:1], step=0.001)
        return answer

    monkeypatch.setattr(Client, "get", and_submit)
    return workspace, names, functools.partial(joining.__setitem__, 0)


@pytest.mark.parametrize("busy", ["current", "2024"], indirect=True)
@pytest.mark.parametrize("joining", [1, 12])
def test_a_schedule_that_is_near_stands_once_and_is_cancelled(
    busy: tuple[Workspace, list[str], Callable[[int], None]], joining: int
) -> None:
    workspace, names, join = busy
    time = (datetime.now(UTC) + timedelta(minutes=4.5)).replace(microsecond=0).isoformat()
    schedule(workspace, names, scheduled_at=time)
    join(joining)
    again = schedule(workspace, names, scheduled_at=time)
    assert (again.changed, again.failed, again["summary"]) == (False, False, {"pending": len(names)})
    assert Counter(row["server"] for row in standing(workspace)) == Counter(names)
    cancelled = run(workspace, state="cancelled", servers=names, line=LINE, scheduled_at=time)
    assert (cancelled.changed, cancelled.failed, cancelled["summary"]) == (True, False, {"cancelled": len(names)})
    assert {command["msg"] for command in cancelled.commands} == {"Cancelled."}
    assert standing(workspace) == []


@pytest.mark.parametrize("ordering", ["-scheduled_at", "scheduled_at", "added_at", "-added_at", "-handled_at"])
def test_all_that_stand_are_listed(busy: tuple[Workspace, list[str], Callable[[int], None]], ordering: str) -> None:
    workspace, names, join = busy
    schedule(workspace, names)
    join(12)
    options = info_options(url=workspace.url, token=workspace.token, ordering=ordering, limit=0, with_output=False)
    listed = run_info(options, Run(warn=pytest.fail))["commands"]
    assert Counter(row["server"]["name"] for row in listed if row["line"] == LINE) == Counter(names)


# By the playbooks


@pytest.mark.parametrize("fleet", [("current", 300)], indirect=True, ids=str)
def test_the_playbooks_schedule_once_and_cancel_all(fleet: tuple[Workspace, list[str]], tmp_path: Path) -> None:
    workspace, names = fleet

    def play(playbook: str, run: str) -> str:
        meant = {"servers": ",".join(names), "line": LINE, "scheduled_at": FAR}
        given = [word for name, value in meant.items() for word in ("-e", f"alpacon_{name}={value}")]
        done = play_out(workspace, tmp_path / run, f"herdops.alpacon.{playbook}", None, *given)
        assert done.code == 0, done.said
        return done.said

    assert "changed=1" in play("schedule", "first")
    assert "changed=0" in play("schedule", "second")
    assert Counter(row["server"] for row in standing(workspace)) == Counter(names)
    assert "changed=1" in play("cancel", "cancelled")
    assert standing(workspace) == []
