# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The check of env, which one worker of a run makes for all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.herdops.alpacon.plugins.module_utils._api.client import Client
from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import UsageError
from ansible_collections.herdops.alpacon.plugins.module_utils._api.settings import Settings
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet import sharing
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.run import Run, RunContext
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.sharing import SharedState
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks import command_task
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.command_options import CommandOptions
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.command_task import CommandTask
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
