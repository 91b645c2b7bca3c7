# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test interrupted and killed audits: the next one reuses their commands."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import ansible_cores
import pytest
from system.audits import HELLO, answered_command
from system.plays import RunningPlay, start_task, wait_until
from workspace.client import Workspace

SERVERS, AT_ONCE = [f"web-{number}" for number in range(6)], 3
#: Seconds after which requests of a killed run have arrived.
SLOW = 2.0
CASES = {
    "killed alone": (signal.SIGKILL, "parent", False),
    "killed before the answer": (signal.SIGKILL, "group", True),
}


@pytest.fixture(scope="module")
def workspace() -> Iterator[Workspace]:
    with Workspace("current", servers=0, agents=False) as running:
        yield running


def audit(workspace: Workspace, folder: Path) -> RunningPlay:
    options = {"checks": [HELLO], "reuse_within": "1h", "max_concurrency": str(AT_ONCE), "progress": False}
    programs = ansible_cores.prepare("development")
    return start_task(workspace, folder, SERVERS, options, module="alpacon_audit", programs=programs)


def answer(workspace: Workspace, most: int = len(SERVERS)) -> None:
    row = answered_command(HELLO)
    waiting = [made for made in workspace.commands() if made["status"] != "success"]
    for made in waiting[:most]:
        assert made["line"] == row["line"]
        workspace.change_command(made["id"], status="success", exit_code=0, result=row["result"])


@pytest.mark.parametrize("case", CASES)
def test_the_next_audit_submits_no_check_twice(workspace: Workspace, tmp_path: Path, case: str) -> None:
    sign, target, before_the_answer = CASES[case]
    workspace.reset()
    workspace.add_servers(*SERVERS, connected=True)
    if before_the_answer:
        workspace.fault("slow", method="POST", path="^/api/events/commands/$", delay=SLOW)
    first = audit(workspace, tmp_path / "first")
    try:
        wait_until(lambda: len(workspace.commands()) >= (1 if before_the_answer else AT_ONCE))
        os.kill(first.pid if target == "parent" else -first.pid, sign)
        first.process.wait(30)
        # A surviving worker would submit the other commands now.
        answer(workspace, 1)
    finally:
        first.stop()
    workspace.clear_faults()
    second = audit(workspace, tmp_path / "second")
    try:
        while second.process.poll() is None:
            answer(workspace)
            time.sleep(0.1)
    finally:
        second.stop()
    assert Counter(made["server"] for made in workspace.commands()) == dict.fromkeys(SERVERS, 1)
    [result, *_others] = second.results.values()
    assert (second.code, result["verdict"], result["summary"]["passed"]) == (0, "pass", len(SERVERS)), second.log
    assert result["summary"]["reused"] >= 1
    assert result["summary"]["commands"] <= len(SERVERS) - (1 if before_the_answer else AT_ONCE)
