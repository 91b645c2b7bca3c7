# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The contract tests speak HTTP to a stand-in workspace and use nothing of the collection."""

from __future__ import annotations

import sys
import typing as t
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from workspace.client import Workspace


@pytest.fixture(scope="session")
def _published() -> t.Iterator[Workspace]:
    with Workspace("published", servers=["web-01", "web-02"]) as workspace:
        yield workspace


@pytest.fixture(scope="session")
def _current() -> t.Iterator[Workspace]:
    with Workspace("current", servers=["web-01", "web-02"], tick=0.1) as workspace:
        yield workspace


@pytest.fixture
def published(_published: Workspace) -> Workspace:
    _published.reset()
    return _published


@pytest.fixture
def current(_current: Workspace) -> Workspace:
    _current.reset()
    _current.wait_connected("web-01", "web-02")
    return _current
