# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A part of the fault campaign, from a fixed seed, and the small cases that it led to."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from faults.campaign import Campaign, Plan
from faults.draw import Bounds
from system.support import command_options
from workspace.client import Workspace

from ansible_collections.herdops.alpacon.plugins.module_utils._fleet import fleet, lost_jobs
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.run import Run
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks import scheduled as _scheduled
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.command import run_command
from ansible_collections.herdops.alpacon.tests.unit.support import FAR, Row

IN_PROCESS = ("executed", "twice", "later", "reuse", "scheduled", "race", "cancelled")
SUBMIT = {"method": "POST", "path": "^/api/events/commands/$"}
DETAIL = {"method": "GET", "path": "^/api/events/commands/[0-9a-f-]{36}/$"}
LIST = {"method": "GET", "path": r"^/api/events/commands/\?"}


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look but briefly for a command whose submit got no answer, and soon again after a look that failed."""
    monkeypatch.setattr(lost_jobs, "_NOT_LISTED_PATIENCE", 0.1)
    monkeypatch.setattr(fleet, "_PAUSE_AFTER_FAILURE", 0.1)


def run(workspace: Workspace, of: Run | None = None, **options: Any) -> Row:
    """Run a task."""
    given = {"line": "echo hello", "wait_timeout": "5", **options}
    return run_command(command_options(workspace, **given), of or Run())


@pytest.mark.slow
def test_task_and_workspace_agree_whatever_fails() -> None:
    said: list[str] = []
    plan = Plan("276", rounds=range(9), bounds=Bounds(IN_PROCESS, most=12, timeouts=(3, 4)), lanes=2)
    campaign = Campaign(plan, say=said.append)
    assert campaign.run(), "\n\n".join(campaign.complaints)
    assert sum(totals["commands"] for totals in campaign.totals.values()) > 60, said


@pytest.mark.usefixtures("hasty")
def test_the_older_of_two_identical_commands_is_not_adopted(current: Workspace, tmp_path: Path) -> None:
    server = current.server_ids()["web-01"]
    # The Date header has whole seconds: both commands are to fall into the same one.
    time.sleep(-time.time() % 1 + 0.1)
    playbook = Run(folder=tmp_path)
    first = run(current, playbook, servers=[server])
    current.fault("lose_before", times=1, **SUBMIT)
    second = run(current, playbook, servers=[server])
    assert first["outcome"] == "success"
    assert second["outcome"] == "unknown", second["msg"]
    assert second["id"] is None
    assert len(current.commands()) == 1


@pytest.mark.parametrize("fault", [LIST, DETAIL, SUBMIT], ids=["list", "detail", "submit"])
@pytest.mark.parametrize("body", ['{"results": [null]}', '{"id": null}'])
@pytest.mark.usefixtures("hasty")
def test_an_answer_of_a_wrong_shape_loses_nobody(current: Workspace, fault: Row, body: str) -> None:
    current.fault("html", status=200, body=body, times=2, **fault)
    result = run(current, servers=["web-01", "web-02", "web-03"], wait_timeout="10")
    accepted = {row["id"] for row in current.commands()}
    assert {entry["id"] for entry in result["commands"]} == accepted
    assert result["summary"] == {"success": 3}


def test_a_schedule_that_the_other_run_withdrew_is_not_claimed(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    settle = _scheduled._settle_races
    rivals: list[str] = []

    def overtaken(*arguments: Any) -> None:
        [own] = workspace.commands()
        row = {"server": "web-01", "line": own["line"], "status": "scheduled", "scheduled_at": FAR, "added_at": -60}
        rivals.extend(workspace.add_commands([row]))
        workspace.api("DELETE", f"events/commands/{own['id']}/")
        settle(*arguments)

    monkeypatch.setattr(_scheduled, "_settle_races", overtaken)
    result = run(workspace, servers=["web-01"], state="scheduled", scheduled_at=FAR)
    assert [result["id"]] == rivals
    assert (result["outcome"], result["changed"]) == ("pending", False)


def test_a_page_of_a_proxy_does_not_say_that_a_command_is_gone(workspace: Workspace) -> None:
    workspace.fault("status", status=404, body="default backend - 404", times=1, **DETAIL)
    result = run(workspace, servers=["web-01"], wait_timeout="15")
    assert (result["outcome"], result["stdout"]) == ("success", "hello")
