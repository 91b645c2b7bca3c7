# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Helpers that run the registration tasks and register agents."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import requests
from system.support import TaskResult
from websockets.sync.client import ClientConnection, connect
from workspace.client import Workspace

from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.run import Run, RunContext
from ansible_collections.herdops.alpacon.plugins.module_utils._options.secrets import collect_secrets, mask_secrets
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.registration import SPEC as REGISTRATION_INFO_SPEC
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.registration import SPEC as REGISTRATION_SPEC
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.registration import (
    run_registration,
    run_registration_info,
)
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.registration_token import (
    SPEC as REGISTRATION_TOKEN_SPEC,
)
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.registration_token import run_registration_token
from ansible_collections.herdops.alpacon.tests.unit.support import Row

REGISTER = "/register/$"
#: The status of responses to invalid credentials.
REFUSED = {"current": 401, "published": 401, "2024": 403}


@dataclass(frozen=True)
class Agent:
    workspace: Workspace
    id: str
    key: str

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f'id="{self.id}", key="{self.key}"', "User-Agent": "alpamon/2.5.0"}

    @property
    def options(self) -> dict[str, Any]:
        return {"id": self.id, "key": self.key}

    def commit(self) -> None:
        url = f"{self.workspace.url}/api/servers/servers/-/commit/"
        body = {"version": "2.5.0", "os": {"name": "Debian"}}
        requests.put(url, json=body, headers=self.headers, timeout=30).raise_for_status()

    def dial(self) -> ClientConnection:
        url = f"{self.workspace.url.replace('http', 'ws', 1)}/ws/servers/backhaul/"
        return connect(url, additional_headers=self.headers, proxy=None)


def new_agent(workspace: Workspace, name: str = "web") -> Agent:
    """Register an agent by hand."""
    record = workspace.register(name)
    workspace.reset_counters()
    return Agent(workspace, record["id"], record["key"])


def register(workspace: Workspace, check_mode: bool = False, diff_mode: bool = False, **given: Any) -> TaskResult:
    """Run a task of alpacon_registration, without an API token unless one is given."""
    options = {"token": None, **given}
    return _run_task(run_registration, REGISTRATION_SPEC, workspace, check_mode, diff_mode, options)


def read_registrations(workspace: Workspace, **given: Any) -> TaskResult:
    options = {"token": workspace.token, **given}
    return _run_task(run_registration_info, REGISTRATION_INFO_SPEC, workspace, False, False, options)


def manage_token(
    workspace: Workspace, check_mode: bool = False, diff_mode: bool = False, process: int | None = None, **given: Any
) -> TaskResult:
    options = {"token": workspace.token, "name": "fleet", **given}
    return _run_task(
        run_registration_token, REGISTRATION_TOKEN_SPEC, workspace, check_mode, diff_mode, options, process
    )


def _run_task(
    operation: Callable[..., Row],
    spec: Mapping[str, Any],
    workspace: Workspace,
    check_mode: bool,
    diff_mode: bool,
    given: Row,
    process: int | None = None,
) -> TaskResult:
    unknown = set(given) - set(spec)
    assert not unknown, f"no such options: {unknown}"
    options = {name: option.get("default") for name, option in spec.items()}
    options.update({"url": workspace.url, **given})
    warnings: list[str] = []
    before = workspace.requests_made()
    result = operation(
        options, Run(RunContext(process=process), warn=warnings.append, check_mode=check_mode, diff_mode=diff_mode)
    )
    assert result["requests"] == workspace.requests_made() - before
    # The result never contains secrets of the options.
    assert mask_secrets(result, collect_secrets(options)) == result
    return TaskResult(result, warnings)
