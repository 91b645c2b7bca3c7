# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pytest plugin: record which tests run each line, and the duration of each test."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Generator
from pathlib import Path

import pytest
from coverage import Coverage

#: The variable with the path of the file: seconds by test ID, null for failed tests.
SECONDS = "MUTANTS_SECONDS"

_seconds: Counter[str] = Counter()
_failed: set[str] = set()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    _switch(item.nodeid)
    try:
        return (yield)
    finally:
        _switch("")


def _switch(context: str) -> None:
    measuring = Coverage.current()
    assert measuring is not None, "pytest runs without coverage"
    measuring.switch_context(context)
    # Forked processes inherit this setting, others read it from the environment.
    measuring.set_option("run:context", context)
    os.environ["COVERAGE_PROCESS_CONFIG"] = measuring.config.serialize()


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    _seconds[report.nodeid] += report.duration  # type: ignore[assignment]
    if report.failed:
        _failed.add(report.nodeid)


def pytest_sessionfinish(session: pytest.Session) -> None:
    if not hasattr(session.config, "workerinput"):
        took = {test: None if test in _failed else seconds for test, seconds in _seconds.items()}
        Path(os.environ[SECONDS]).write_text(json.dumps(took))
