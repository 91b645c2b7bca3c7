# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Schedule, cancel, reuse and await on more servers than a page of a list has."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from system.support import TaskResult, run
from workspace.client import Workspace

from ansible_collections.herdops.alpacon.tests.unit.support import FAR

pytestmark = pytest.mark.slow

LINE = "reboot"
NAMES = [f"node-{number:03}" for number in range(110)]


@pytest.fixture
def fleet(workspace: Workspace) -> Workspace:
    """Return a workspace whose commands end at once, with other commands before and after theirs."""
    workspace.settings(instant=True)
    workspace.add_servers(*NAMES, connected=True)
    for line in ("before", "after"):
        workspace.add_many_commands(60, line=line, status="scheduled", scheduled_at=FAR, servers=NAMES[:60])
    workspace.reset_counters()
    return workspace


def pending(workspace: Workspace) -> list[dict[str, Any]]:
    return [row for row in workspace.commands(line=LINE) if row["status"] in ("scheduled", "queued")]


def schedule(workspace: Workspace, **options: Any) -> TaskResult:
    return run(workspace, state="scheduled", servers=NAMES, **{"line": LINE, "scheduled_at": FAR, **options})


@pytest.mark.parametrize("workspace", ["current", "2024"], indirect=True)
def test_schedule_reschedule_and_cancel_on_many_servers(fleet: Workspace) -> None:
    # Rows of 2024 do not contain scheduled_at, so each command is read by its ID.
    details = len(NAMES) if fleet.dialect == "2024" else 0
    first = schedule(fleet)
    assert (first.changed, first.failed) == (True, False)
    requests = fleet.requests_made()
    assert requests <= len(NAMES) + details + 20
    second = schedule(fleet)
    assert (second.changed, second.failed, second["summary"]) == (False, False, {"pending": len(NAMES)})
    assert fleet.requests_made() - requests <= details + 12
    later = "2998-06-01T03:00:00Z"
    moved = schedule(fleet, scheduled_at=later, reschedule=True)
    assert (moved.changed, moved.failed) == (True, False)
    assert Counter(row["server"] for row in pending(fleet)) == Counter(NAMES)
    assert {row["scheduled_at"] for row in pending(fleet)} == {later.replace("Z", "+00:00")}
    assert not run(fleet, state="cancelled", servers=NAMES, line=LINE, scheduled_at=FAR).changed
    cancelled = run(fleet, state="cancelled", servers=NAMES, line=LINE)
    assert (cancelled.changed, cancelled.failed, cancelled["summary"]) == (True, False, {"cancelled": len(NAMES)})
    assert pending(fleet) == []


def test_reuse_await_and_cancel_many_commands(fleet: Workspace) -> None:
    fleet.settings(date_header=True)
    ran = run(fleet, servers=NAMES, line="uptime")
    assert (ran.changed, ran.failed, ran["summary"]) == (True, False, {"success": len(NAMES)})
    ids = [command["id"] for command in ran.commands]
    again = run(fleet, servers=NAMES, line="uptime", reuse_within="1h")
    assert (again.changed, [command["id"] for command in again.commands]) == (False, ids)
    awaited = run(fleet, state="finished", ids=ids)
    assert (awaited.failed, [command["id"] for command in awaited.commands]) == (False, ids)
    waiting = [command["id"] for command in schedule(fleet).commands]
    assert run(fleet, state="cancelled", ids=waiting)["summary"] == {"cancelled": len(NAMES)}
    assert pending(fleet) == []
