# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A module that does not fit into one submit, of which pieces are on the host when its task ends early."""

from __future__ import annotations

import base64
import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from system.playing import over_connection, start_over_connection, task, until
from workspace.client import Workspace

pytestmark = pytest.mark.slow

HOURS = 3600
#: What cannot be compressed into one submit.
LARGE = base64.b64encode(random.Random(2).randbytes(1_300_000)).decode()
LARGE_MODULE = task("Large", {"cmd": "wc -c", "stdin": LARGE, "stdin_add_newline": False}, "ansible.builtin.command")


def pieces() -> set[Path]:
    """The files in which such modules wait."""
    return set(Path("/tmp").glob("alpacon-module-*"))


@pytest.fixture
def others() -> Iterator[set[Path]]:
    """Those that are there before; what comes is gone after the test."""
    before = pieces()
    yield before
    for path in pieces() - before:
        path.unlink(missing_ok=True)


def test_a_large_module_runs_and_leaves_nothing(current: Workspace, tmp_path: Path, others: set[Path]) -> None:
    run = over_connection(current, tmp_path, [LARGE_MODULE])
    assert run.results["web-01"].get("stdout") == str(len(LARGE)), run.said
    assert pieces() <= others


def test_a_task_that_cannot_send_all_removes_what_came(current: Workspace, tmp_path: Path, others: set[Path]) -> None:
    current.fault("status", method="POST", path="^/api/events/commands/$", status=403, after=2, times=1)
    run = over_connection(current, tmp_path, [LARGE_MODULE])
    assert run.results["web-01"].get("unreachable"), run.said
    assert len(current.commands()) == 3
    assert pieces() <= others


def test_what_a_killed_run_left_is_removed_by_a_later_one(
    current: Workspace, tmp_path: Path, others: set[Path]
) -> None:
    run = start_over_connection(current, tmp_path, [LARGE_MODULE])
    try:
        until(lambda: pieces() - others)
        for pid in (run.pid, *run.workers):
            os.kill(pid, signal.SIGKILL)
    finally:
        run.stop()
    [left] = pieces() - others
    assert left.stat().st_mode & 0o777 == 0o600
    ping = task("Ping", None, "ansible.builtin.ping")
    for hours, gone in ((1, False), (7, True)):
        os.utime(left, (time.time() - hours * HOURS,) * 2)
        assert over_connection(current, tmp_path, [ping]).code == 0
        assert left.exists() is not gone
