# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The check of env and the forecast of the cost, which one worker of a run makes for all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ansible_collections.herdops.alpacon.plugins.module_utils._api.client import Client
from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import UsageError
from ansible_collections.herdops.alpacon.plugins.module_utils._api.records import Server
from ansible_collections.herdops.alpacon.plugins.module_utils._api.settings import Settings
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet import sharing
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.jobs import Job, Limits
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.run import HostLocks, Run, RunContext
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.sharing import SharedState
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks import command_task
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.command_options import CommandOptions
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.command_task import CommandTask, describe_cost
from ansible_collections.herdops.alpacon.tests.unit.shared_state import URL
from ansible_collections.herdops.alpacon.tests.unit.support import TOKEN, command_options


@pytest.fixture
def task(tmp_path: Path) -> Iterator[CommandTask]:
    """Return a task that submits a line with a variable."""
    options = CommandOptions.from_options(command_options(servers=["web-01"], line="true", env={"DIR": "/srv"}))
    with Client(Settings(URL, TOKEN)) as client:
        yield CommandTask(client, options, Run(RunContext(folder=tmp_path)), None)


def test_a_worker_that_waited_too_long_for_the_check_of_env_makes_it(
    task: CommandTask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command_task, "supports_env", lambda _client: False)
    monkeypatch.setattr(sharing, "_FIND_WAIT", 0.05)
    with SharedState(tmp_path, URL, TOKEN).try_lock("supports_env"), pytest.raises(UsageError, match=r"^env: "):
        task.check_env()


def test_one_worker_makes_the_check_of_env_even_if_nothing_shows_it(
    task: CommandTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    checks: list[Client] = []
    monkeypatch.setattr(command_task, "supports_env", checks.append)
    task.check_env()
    task.check_env()
    assert len(checks) == 1


def test_a_cost_above_a_quarter_of_the_quota_is_reported() -> None:
    assert describe_cost(0, 0, Limits()) == describe_cost(242, 1000, Limits()) == ""
    expected = "alpacon: about 251 requests are expected for 243 commands; the token has 1,000 an hour"
    assert describe_cost(243, 1000, Limits()) == expected
    assert describe_cost(250, 1000, Limits(wait=False)) == ""
    assert describe_cost(970, 1000, Limits()).endswith(
        "about 1,000 requests are expected for 970 commands; the token has 1,000 an hour"
    )


def test_a_cost_above_the_quota_is_reported_with_what_happens() -> None:
    assert describe_cost(1000, 1000, Limits(wait_timeout=1800.0)) == (
        "alpacon: about 1,030 requests are expected for 1,000 commands; the token has 1,000 an hour, so the task waits"
        " for the quota. Commands not submitted within wait_timeout (1800 s) are not_tried. Name fewer servers, or set"
        " requests_per_hour if the workspace allows more."
    )


def test_the_first_host_of_a_task_reports_the_cost_of_all(task: CommandTask, tmp_path: Path) -> None:
    reports: list[str] = []
    passed: list[str] = []

    def is_first(key: str) -> bool:
        passed.append(key)
        return passed.count(key) == 1

    context = RunContext(report=reports.append, is_first=is_first)
    jobs = [Job(Server("1"))]
    for item in ("a", "a", "b", None):
        host_locks = HostLocks(tmp_path, item, "web-01") if item else None
        task.run = Run(context, hosts=400, host_locks=host_locks)
        task.report_cost(jobs)
    assert reports == ["alpacon: about 444 requests are expected for 400 commands; the token has 1,000 an hour"] * 2
    task.options = replace(task.options, progress=False)
    task.report_cost(jobs * 1000)
    assert len(reports) == 2
