# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Break off batches of tasks, and count how often each task ran."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from system.plays import Play, Row, run_over_connection, run_playbook, task
from workspace.client import Workspace

MODULE = "herdops.alpacon.alpacon_tasks"
#: Kills all processes of a command.
KILL = "kill -9 0"
#: Kills the program that runs the tasks of a batch. Unlike a module, it is an argument of Python.
KILL_PROGRAM = (
    "pid=$PPID; until grep -q python /proc/$pid/comm && tr '\\0' '\\n' < /proc/$pid/cmdline | grep -qx -e -c; do"
    " pid=$(sed -n 's/^PPid:[[:space:]]*//p' /proc/$pid/status); done; kill -9 $pid; sleep 5"
)


def append(word: str, more: str = "true", **keywords: object) -> Row:
    """Return a task that adds a word to a file."""
    return {"name": word, "ansible.builtin.shell": f"echo {word} >> {{{{ place }}}}/words; {more}", **keywords}


def run_batches(workspace: Workspace, folder: Path, tasks: list[Row], *arguments: str) -> tuple[Play, Row, list[str]]:
    """Return the play, the result of the task and the words of the file."""
    file = folder / "tasks.yml"
    file.write_text(json.dumps(tasks), encoding="utf-8")
    outer = {"name": "Outer", MODULE: {"file": str(file)}, "vars": {"place": str(folder)}}
    play = run_over_connection(workspace, folder, [outer], ["web-01"], *arguments)
    words = folder / "words"
    return play, play.tasks["Outer"][0], words.read_text(encoding="utf-8").split() if words.exists() else []


def statuses(result: Row) -> list[str]:
    return [row["status"] for row in result["tasks"]]


def test_a_task_that_kills_its_batch_is_not_run_again(current: Workspace, tmp_path: Path) -> None:
    tasks = [append("a"), append("b"), append("c", KILL), append("d")]
    _play, result, words = run_batches(current, tmp_path, tasks)
    assert words == ["a", "b", "c"]
    assert statuses(result) == ["changed", "changed", "unreachable"]
    assert "It may have run, and is not run again." in result["msg"]


def test_tasks_after_one_that_kills_its_batch_run_once_if_the_task_is_ignored(
    current: Workspace, tmp_path: Path
) -> None:
    ignored = {"ignore_unreachable": True}
    tasks = [append("a"), append("b", KILL_PROGRAM, **ignored), append("c")]
    loop = append("{{ item }}", "[ {{ item }} != e ] || { " + KILL_PROGRAM + "; }", loop=["d", "e", "f"], **ignored)
    _play, result, words = run_batches(current, tmp_path, [*tasks, loop, append("g")])
    assert words == ["a", "b", "c", "d", "e", "f", "g"]
    assert statuses(result) == ["changed", "unreachable", "changed", "unreachable", "changed"]


@pytest.mark.slow
def test_nothing_that_may_have_run_is_run_if_the_output_ends_too_early(current: Workspace, tmp_path: Path) -> None:
    tasks = [append("a"), append("b", KILL, ignore_unreachable=True), append("c", ignore_unreachable=True), append("d")]
    _play, result, words = run_batches(current, tmp_path, tasks)
    assert words == ["a", "b"]
    assert statuses(result) == ["changed", "unreachable", "unreachable", "unreachable"]
    assert "may have run, too: 'c', 'd'" in result["tasks"][1]["result"]["msg"]


def test_a_batch_whose_submit_or_result_is_lost_is_not_sent_again(current: Workspace, tmp_path: Path) -> None:
    current.fault("lose_after", method="POST", path="/api/events/commands/", times=1)
    _play, result, words = run_batches(current, tmp_path, [append("a"), append("b")])
    assert words == ["a", "b"], "the command was found by its line"
    assert statuses(result) == ["changed", "changed"]


@pytest.mark.slow
def test_large_outputs_end_a_batch_and_large_files_have_submits_of_their_own(
    current: Workspace, tmp_path: Path
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/1").write_bytes(b"small")
    (tmp_path / "folder/2").write_bytes(os.urandom(1_600_000))
    (tmp_path / "large").write_bytes(os.urandom(1_600_000))
    noise = "head -c 450000 /dev/urandom | od -An -tx1"
    copies = [
        {"name": "Copy", "ansible.builtin.copy": {"src": f"{{{{ place }}}}/{src}", "dest": f"{{{{ place }}}}/{dest}"}}
        for src, dest in (("large", "copy"), ("folder/", "copy-of-folder"))
    ]
    tasks = [append("a", noise), append("b"), *copies, append("c")]
    _play, result, words = run_batches(current, tmp_path, tasks)
    assert words == ["a", "b", "c"]
    assert statuses(result) == ["changed"] * 5
    assert (tmp_path / "copy").read_bytes() == (tmp_path / "large").read_bytes()
    assert (tmp_path / "copy-of-folder/2").read_bytes() == (tmp_path / "folder/2").read_bytes()
    assert "its result ended the batch" in [cut["reason"] for cut in result["cuts"]]


def test_tasks_are_items_of_the_output_and_cuts_are_shown(current: Workspace, tmp_path: Path) -> None:
    copy = {"content": "new\n", "dest": "{{ place }}/copy", "mode": "0600"}
    tasks = [
        append("a", register="first"),
        {"name": "Needs", "ansible.builtin.command": "echo {{ first.rc }}"},
        {"name": "Copy", "ansible.builtin.copy": copy},
        append("hidden", no_log=True),
        {"name": "Skipped", "ansible.builtin.command": "true", "when": False},
    ]
    play, result, _words = run_batches(current, tmp_path, tasks, "--diff", "-vv")
    assert "changed: [web-01] => (item=a)" in play.log
    assert "+new" in play.log
    assert "skipping: [web-01] => (item=Skipped)" in play.log
    assert "ENDS at 'Needs': it needs first" in play.log
    assert "echo hidden" not in play.log
    assert {"task": "Needs", "reason": "it needs first"} in result["cuts"]
    assert result["submits"] == len(current.commands())


def test_the_oldest_core_is_refused_before_anything_runs(current: Workspace, tmp_path: Path) -> None:
    outer = task("Outer", {"file": "nothing.yml"}, MODULE)
    play = run_over_connection(current, tmp_path, [outer], ["web-01"], core="oldest")
    message = play.tasks["Outer"][0]["msg"]
    assert message == "alpacon_tasks needs ansible-core 2.21 or newer. Use include_role or include_tasks instead."
    assert current.commands() == []


@pytest.mark.slow
def test_other_connections_are_refused(current: Workspace, tmp_path: Path) -> None:
    outer = task("Outer", {"file": "nothing.yml"}, MODULE)
    play = run_playbook(current, tmp_path, [{"hosts": "all", "gather_facts": False, "tasks": [outer]}], ["web-01"])
    assert "needs the connection herdops.alpacon.alpacon, and this host has" in play.tasks["Outer"][0]["msg"]


@pytest.mark.slow
def test_a_delegated_task_is_refused(current: Workspace, tmp_path: Path) -> None:
    outer = task("Outer", {"file": "nothing.yml"}, MODULE, delegate_to="web-02")
    play = run_over_connection(current, tmp_path, [outer], ["web-01", "web-02"])
    for result in play.tasks["Outer"]:
        assert "delegate_to" in result["msg"]
        assert "include_tasks" in result["msg"]
    assert current.commands() == []
