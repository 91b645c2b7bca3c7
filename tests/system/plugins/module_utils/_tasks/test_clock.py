# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Workspaces whose clock differs from this machine's, with and without a Date header."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from system.registrations import manage_token
from system.support import TaskResult, info, run
from workspace.client import Workspace

from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import UsageError
from ansible_collections.herdops.alpacon.tests.unit.support import Row

HOUR, HOURS = 3600, 7200
LINE = "echo hello"
TIMES = ("added_at", "scheduled_at", "delivered_at", "acked_at", "handled_at")


def by_this_clock(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).replace(microsecond=0).isoformat()


def schedule(workspace: Workspace, **given: Any) -> TaskResult:
    return run(workspace, **{"state": "scheduled", "servers": ["web-01"], "line": LINE, **given})


@pytest.fixture(params=[HOUR, -HOUR], ids=["ahead", "behind"])
def skewed(request: pytest.FixtureRequest, current: Workspace) -> Workspace:
    """Set the clock of the workspace an hour ahead, or behind."""
    current.settings(clock_skew=request.param)
    return current


def by_its_clock(workspace: Workspace, seconds: float) -> str:
    return by_this_clock(workspace.state()["switches"]["clock_skew"] + seconds)


def add(workspace: Workspace, age: float, **fields: Any) -> str:
    """Add a command that succeeded this many seconds ago."""
    row = {"server": "web-01", "line": LINE, "status": "success", **dict.fromkeys(TIMES, -age), **fields}
    [command] = workspace.add_commands([row])
    return command


@pytest.mark.parametrize(("age", "reused"), [(1500, True), (2100, False)])
def test_a_command_is_reused_and_listed_by_its_age(skewed: Workspace, age: float, reused: bool) -> None:
    older = add(skewed, age)
    assert [command["id"] for command in info(skewed, since="30m").commands] == ([older] if reused else [])
    # The id of a server is taken as it is: no response has stated the time before.
    task: Row = {"servers": [skewed.server_ids()["web-01"]], "line": LINE, "reuse_within": "30m"}
    assert (run(skewed, check_mode=True, **task)["id"] == older) is reused


def test_a_schedule_is_in_the_past_by_its_clock(skewed: Workspace) -> None:
    servers = [skewed.server_ids()["web-01"]]
    assert schedule(skewed, servers=servers, scheduled_at=by_its_clock(skewed, 1800)).changed
    with pytest.raises(UsageError, match="is in the past"):
        schedule(skewed, servers=servers, scheduled_at=by_its_clock(skewed, -1800))


def test_a_registration_token_expires_by_its_clock(skewed: Workspace) -> None:
    expires = datetime.fromisoformat(manage_token(skewed, expires_in="30m")["expires_at"])
    assert abs((expires - datetime.fromisoformat(by_its_clock(skewed, 1800))).total_seconds()) < 60
    assert not expires.microsecond
    assert not manage_token(skewed, expires_in="30m").changed
    assert manage_token(skewed, name="dated", expires_at=by_its_clock(skewed, 1800)).changed
    with pytest.raises(UsageError, match=r"expires_at: .* is in the past"):
        manage_token(skewed, name="other", expires_at=by_its_clock(skewed, -1800))


def test_a_command_late_by_the_clock_of_its_own_row_is_not_reported_as_scheduled(workspace: Workspace) -> None:
    workspace.settings(date_header=False, clock_skew=HOURS)
    ran = schedule(workspace, scheduled_at=by_this_clock(3600), diff_mode=True)
    [made] = workspace.commands(line=LINE)
    assert (ran.failed, ran.changed, ran["outcome"], ran["id"]) == (True, True, "sent", made["id"])
    assert "Scheduled for" not in ran["msg"]
    assert "had passed by the workspace's clock" in ran["msg"]
    assert "So it runs at once, or has run." in ran["msg"]
    assert ran["ran"] is not False, "the agent has it"
    assert "diff" not in ran.result, "nothing is scheduled"
    assert workspace.wait_for_command(made["id"])["run_count"] == 1


@pytest.mark.parametrize("cancelled", [True, False])
def test_a_late_command_is_cancelled_if_possible(current: Workspace, cancelled: bool) -> None:
    current.add_servers("off-01", connected=False)
    current.settings(date_header=False, clock_skew=HOURS)
    if not cancelled:
        current.fault("status", method="DELETE", status=403, body='{"code": "forbidden", "detail": "Not for you."}')
    ran = schedule(current, servers=["off-01"], scheduled_at=by_this_clock(3600))
    found = (ran.changed, ran["outcome"], ran["ran"], current.commands(line=LINE)[0]["status"] == "cancelled")
    assert found == ((False, "refused", False, True) if cancelled else (True, "sent", None, False))
    assert ran.failed
    assert ("cancelled before it ran." if cancelled else "Not for you.") in ran["msg"]


def test_without_a_clock_nothing_is_reused_and_a_warning_says_so(old: Workspace) -> None:
    first = run(old, servers=["web-01"], line=LINE)
    again = run(old, servers=["web-01"], line=LINE, reuse_within="5m")
    assert (again.changed, again["outcome"]) == (True, "success")
    assert again["id"] != first["id"]
    [warning] = again.warnings
    assert "reuse_within: the workspace's clock is not known" in warning
    old.settings(date_header=True)
    third = run(old, servers=["web-01"], line=LINE, reuse_within="5m")
    assert (third.changed, third["id"], third.warnings) == (False, again["id"], [])
