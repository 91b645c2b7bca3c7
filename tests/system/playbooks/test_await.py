# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test the playbook await: commands by their IDs, and those of the journal of an interrupted run."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible_cores import CORES
from system.plays import Play, run_playbook
from system.support import run
from workspace.client import Workspace

from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.journal import Journal
from ansible_collections.herdops.alpacon.tests.unit.support import SERVER

AWAIT = "herdops.alpacon.await"
OTHERS = [name for name in CORES if name != "development"]


def shown(done: Play) -> list[str]:
    [result] = done.tasks["Show each command"]
    lines: list[str] = result["msg"]
    return lines


def submit(workspace: Workspace, line: str) -> str:
    command_id: str = run(workspace, servers=["web-01"], line=line, wait=False)["id"]
    return command_id


def write_journal(folder: Path, name: str, *ids: str | None) -> Path:
    file = folder / "home/alpacon" / f"{name}.ids"
    journal = Journal(file, pytest.fail)
    for command_id in ids:
        position = journal.add_submit(SERVER, "uptime")
        if command_id and position:
            journal.add_id(position, command_id)
    return file


def test_commands_are_awaited_by_their_ids(current: Workspace, tmp_path: Path) -> None:
    ids = [submit(current, line) for line in ("echo one", "echo two; exit 3")]
    done = run_playbook(current, tmp_path, AWAIT, None, "-e", f"alpacon_ids={','.join(ids)}")
    assert done.code == 2, done.log
    assert shown(done) == ["web-01: success, rc 0", "    one", "web-01: failed, rc 3", "    two"]
    ok = run_playbook(
        current, tmp_path / "ok", AWAIT, None, "-e", f"alpacon_ids={ids[1]}", "-e", "alpacon_success_codes=3"
    )
    assert (ok.code, shown(ok)) == (0, ["web-01: success, rc 3", "    two"]), ok.log


@pytest.mark.parametrize("core", ["development", *(pytest.param(name, marks=pytest.mark.slow) for name in OTHERS)])
def test_the_newest_journal_is_awaited_and_removed(current: Workspace, tmp_path: Path, core: str) -> None:
    older = write_journal(tmp_path, "older", submit(current, "echo older"))
    os.utime(older, (1, 1))
    newest = write_journal(tmp_path, "newest", submit(current, "echo newest"))
    done = run_playbook(current, tmp_path, AWAIT, None, core=core)
    assert (done.code, shown(done)) == (0, ["web-01: success, rc 0", "    newest"]), done.log
    assert (older.exists(), newest.exists(), str(newest) in done.log) == (True, False, True)


def test_a_journal_remains_while_a_command_is_unknown(current: Workspace, tmp_path: Path) -> None:
    journal = write_journal(tmp_path, "run", submit(current, "echo one"), None)
    done = run_playbook(current, tmp_path, AWAIT, None)
    assert (done.code, shown(done)) == (0, ["web-01: success, rc 0", "    one"]), done.log
    assert "It also has 1 command without an ID." in done.log
    assert journal.exists()


def test_a_journal_without_ids_is_named(current: Workspace, tmp_path: Path) -> None:
    journal = write_journal(tmp_path, "run", None)
    done = run_playbook(current, tmp_path, AWAIT, None)
    assert done.code == 2, done.log
    assert f"There is nothing to await: {journal.parent} has" in done.log
    assert f"{journal} has 1 command without an ID." in done.log
    assert current.requests_made() == 0


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ((), "There is nothing to await: "),
        (("-e", "alpacon_servers=web-01"), "This playbook takes no alpacon_servers."),
        (("-e", "alpacon_line=true"), "This playbook takes no alpacon_line."),
        (("-e", f"alpacon_ids={SERVER}", "-i", "web-01,", "--limit", "web-01"), "Leave --limit out."),
        (("-e", "alpacon_id=x"), "takes no alpacon_id. Give IDs of commands in alpacon_ids."),
    ],
)
def test_bad_variables_send_nothing(current: Workspace, tmp_path: Path, given: tuple[str, ...], problem: str) -> None:
    done = run_playbook(current, tmp_path, AWAIT, None, *given)
    assert done.code == 2, done.log
    assert problem in done.log
    assert current.requests_made() == 0
