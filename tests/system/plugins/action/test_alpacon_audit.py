# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test the task of an audit in plays with batches, and with no_log."""

from __future__ import annotations

from pathlib import Path

import pytest
from system.plays import play, run_playbook, task
from system.support import AGENTS
from workspace.client import Workspace

from ansible_collections.herdops.alpacon.tests.unit.support import Row

AUDIT = "herdops.alpacon.alpacon_audit"
OPTIONS = {"checks": [{"name": "hello", "line": "echo hello"}]}


def in_batches(serial: object, **options: object) -> list[Row]:
    """Return a play with batches and an audit."""
    audit = task("Audit", {**OPTIONS, **options}, AUDIT, run_once=True, ignore_errors=False)
    return play(audit, serial=serial)


def test_serial_is_refused(current: Workspace, tmp_path: Path) -> None:
    done = run_playbook(current, tmp_path, in_batches(1), AGENTS)
    assert done.code == 2, done.log
    [result] = done.tasks["Audit"]
    assert result["msg"].startswith("hosts: with serial, each batch would audit all hosts of the play. Move the task")
    assert 'add hosts: "{{ ansible_play_batch }}".' in result["msg"]
    assert current.commands() == []


def test_each_batch_may_audit_its_own_hosts(current: Workspace, tmp_path: Path) -> None:
    done = run_playbook(current, tmp_path, in_batches([1, "50%"], hosts="{{ ansible_play_batch }}"), AGENTS)
    assert done.code == 0, done.log
    assert sorted(command["server"] for command in current.commands()) == sorted(AGENTS)


@pytest.mark.parametrize("serial", [50, "100%"])
def test_a_single_batch_is_accepted(current: Workspace, tmp_path: Path, serial: object) -> None:
    done = run_playbook(current, tmp_path, in_batches(serial), AGENTS)
    assert done.code == 0, done.log
    assert len(current.commands()) == len(AGENTS)


@pytest.mark.parametrize("no_log", [False, True])
def test_no_log_hides_answers_in_the_message(current: Workspace, tmp_path: Path, no_log: bool) -> None:
    password = {"name": "password", "line": "echo {{ word }}", "severity": "high", "absent": ["{{ word }}"]}
    silent = {"no_log": no_log}
    tasks = [
        task("Audit", {"checks": [password], "dest": str(tmp_path / "report")}, AUDIT, **silent),
        task("Unknown", {"checks": [{**password, "line": "echo {{ word }}; kill $$"}]}, AUDIT, **silent),
        task("Wrong", {"checks": [{**password, "matches": ["{{ word }}("]}]}, AUDIT, **silent),
    ]
    done = run_playbook(current, tmp_path, play(*tasks), ["web-01"], "-e", "word=hunter2hunter2")
    assert ("hunter2hunter2" in done.log) is not no_log, done.log
    assert "hunter2hunter2" in (tmp_path / "report/audit.json").read_text(encoding="utf-8")
    if no_log:
        assert "1 finding of severity high or worse: web-01: password (high).\n" in done.log
        assert "matches: the problem is not shown, since the task has no_log. Escape" in done.log
