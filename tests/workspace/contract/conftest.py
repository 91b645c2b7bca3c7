# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures of the contract tests, which use HTTP and nothing of the collection."""

from __future__ import annotations

import contextlib
import sys
import typing as t
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from workspace.client import DialectName, Workspace

Get = t.Callable[[DialectName], Workspace]


@pytest.fixture(scope="session")
def _running() -> t.Iterator[Get]:
    with contextlib.ExitStack() as stack:
        started: dict[str, Workspace] = {}

        def get(dialect: DialectName) -> Workspace:
            if dialect not in started:
                made = Workspace(dialect, servers=["web-01", "web-02"], tick=0.05)
                started[dialect] = stack.enter_context(made)
            started[dialect].reset()
            started[dialect].wait_connected("web-01", "web-02")
            return started[dialect]

        yield get


@pytest.fixture
def workspace(request: pytest.FixtureRequest, _running: Get) -> Workspace:
    return _running(request.param)


@pytest.fixture
def published(_running: Get) -> Workspace:
    return _running("published")


@pytest.fixture
def current(_running: Get) -> Workspace:
    return _running("current")


@pytest.fixture
def old(_running: Get) -> Workspace:
    return _running("2024")
