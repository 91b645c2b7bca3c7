# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Fixtures: one workspace per dialect and session, reset between tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from system.support import AGENTS, FakeClock, Script, ScriptedServer, open_client
from workspace.client import Workspace

from ansible_collections.herdops.alpacon.plugins.module_utils._api import client as _client
from ansible_collections.herdops.alpacon.plugins.module_utils._api import outputs as _outputs
from ansible_collections.herdops.alpacon.plugins.module_utils._api import response as _response
from ansible_collections.herdops.alpacon.plugins.module_utils._api.client import Client
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet import (
    completion,
    fleet,
    follow,
    jobs,
    poll_timer,
    poller,
    progress,
    run,
    submitting,
)

Connect = Callable[..., Client]


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "requests_ca_bundle", "curl_ca_bundle"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture(autouse=True)
def _short_chunk_settle(monkeypatch: pytest.MonkeyPatch) -> None:
    # Hundreds of tests run commands without output.
    monkeypatch.setattr(_outputs, "_LINE_DELAY", 0.3)


@pytest.fixture(scope="session")
def running() -> Iterator[Callable[[str], Workspace]]:
    with ExitStack() as stack:
        started: dict[str, Workspace] = {}

        def get(dialect: Any) -> Workspace:
            if dialect not in started:
                started[dialect] = stack.enter_context(Workspace(dialect, servers=AGENTS, tick=0.1))
            return started[dialect]

        yield get


def _fresh(workspace: Workspace) -> Workspace:
    workspace.reset()
    workspace.wait_connected(*AGENTS)
    return workspace


@pytest.fixture
def workspace(request: pytest.FixtureRequest, running: Callable[[str], Workspace]) -> Workspace:
    """Return an empty workspace in today's dialect, or as :data:`in_every_dialect` says."""
    return _fresh(running(getattr(request, "param", "current")))


@pytest.fixture
def current(running: Callable[[str], Workspace]) -> Workspace:
    return _fresh(running("current"))


@pytest.fixture
def published(running: Callable[[str], Workspace]) -> Workspace:
    return _fresh(running("published"))


@pytest.fixture
def old(running: Callable[[str], Workspace]) -> Workspace:
    return _fresh(running("2024"))


@pytest.fixture(scope="module")
def instant() -> Iterator[Workspace]:
    """Return a workspace without agents, in which a command ends at once and its output is its line."""
    with Workspace("current", servers=0, agents=False) as workspace:
        workspace.settings(instant=True)
        yield workspace


@pytest.fixture
def connect() -> Iterator[Connect]:
    with ExitStack() as stack:

        def make(target: Workspace | ScriptedServer | str, **settings: Any) -> Client:
            if isinstance(target, Workspace):
                settings.setdefault("token", target.token)
            url = target if isinstance(target, str) else target.url
            return stack.enter_context(open_client(url, **settings))

        yield make


@pytest.fixture
def serve() -> Iterator[Callable[..., ScriptedServer]]:
    """Start scripted servers that stop with the test."""
    with ExitStack() as stack:

        def start(script: Script | list[Any], tls: Any = None) -> ScriptedServer:
            return stack.enter_context(ScriptedServer(script, tls))

        yield start


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    """Replace the clock of client and fleet by one that sleeping moves on."""
    moved = FakeClock()
    fleet_modules = (completion, fleet, follow, jobs, poll_timer, poller, progress, run, submitting)
    for module in (_client, _response, *fleet_modules):
        monkeypatch.setattr(module, "time", moved)
    return moved
