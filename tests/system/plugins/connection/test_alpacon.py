# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run modules and copy files over the connection plugin."""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from pathlib import Path

import pytest
from ansible_cores import CORES
from system.plays import Row, read_journal_ids, run_over_connection, task
from workspace.client import Workspace

#: Text that is only in the arguments of modules.
SECRET = "Xenops-and-Xerus-4711"
ARGV_OF_ALL = "for file in /proc/[0-9]*/cmdline; do tr '\\0' ' ' < $file; echo; done 2> /dev/null; true"
NAME = "ä 'ö' \"ü\" $x 汉语.bin"


def builtin(name: str, module: str, options: object = None, **keywords: object) -> Row:
    return task(name, options, f"ansible.builtin.{module}", **keywords)


def modules(workspace: Workspace, module: str = "") -> list[Row]:
    """Return the commands that ran modules."""
    return [row for row in workspace.commands() if f" module:{module}" in row["line"]]


@pytest.mark.timeout(300)
def test_modules_files_and_outputs_with_and_without_a_shell(current: Workspace, tmp_path: Path) -> None:
    current.change_server("web-02", allow_sh=False)
    (tmp_path / NAME).write_bytes(bytes(range(256)) * 40)
    script = tmp_path / "a script.sh"
    script.write_text('#!/bin/sh\nprintf "%s|" "$@"\n', encoding="utf-8")
    place = f"{tmp_path}/{{{{ inventory_hostname }}}}"
    name = {"vars": {"name": NAME}}
    tasks = [
        builtin("Ping", "ping"),
        builtin("Copy", "copy", {"src": f"{tmp_path}/{{{{ name }}}}", "dest": f"{place} {{{{ name }}}}"}, **name),
        builtin("Fetch", "fetch", {"src": f"{place} {{{{ name }}}}", "dest": f"{place} back", "flat": True}, **name),
        builtin("Nothing there", "fetch", {"src": f"{place}/none", "dest": f"{place} none"}),
        builtin("Unpipelined", "ping", vars={"ansible_pipelining": False, "ansible_remote_tmp": f"{place} own"}),
        builtin("Raw", "raw", "printf ' 汉语  '; printf err >&2; exit 4"),
        builtin("Script", "script", {"cmd": f"'{script}' 'a b' \"c'd\""}),
        builtin("Fails", "stat", {"path": "relative", "checksum_algorithm": "none"}),
        builtin("Begin", "command", "sleep 0.1", **{"async": 30, "poll": 0, "register": "begun"}),
        {"name": "Reset", "ansible.builtin.meta": "reset_connection"},
        builtin(
            "End",
            "async_status",
            {"jid": "{{ begun.ansible_job_id }}"},
            until="ended is finished",
            register="ended",
            retries=99,
            delay=0.2,
        ),
    ]
    run = run_over_connection(current, tmp_path, tasks, ["web-01", "web-02"])
    assert run.code == 0, run.log
    for number, host in enumerate(("web-01", "web-02")):
        result = {task: rows[number] for task, rows in run.tasks.items()}
        for file in (f"{host} {NAME}", f"{host} back"):
            assert (tmp_path / file).read_bytes() == (tmp_path / NAME).read_bytes()
        assert "does not exist" in result["Nothing there"]["msg"]
        assert list((tmp_path / f"{host} own").iterdir()) == []
        assert [result["Raw"][key] for key in ("stdout", "stderr", "rc")] == [" 汉语  ", "err", 4]
        assert result["Script"]["stdout"] == "a b|c'd|"
        assert "checksum_algorithm" in result["Fails"]["msg"]
        assert result["End"]["rc"] == 0
    assert len(modules(current, "ansible.builtin.ping ")) == 2, "one submit for each"


@pytest.mark.parametrize("core", CORES)
def test_arguments_of_tasks_are_neither_shown_nor_left_on_the_host(
    current: Workspace, tmp_path: Path, core: str
) -> None:
    tasks = [
        builtin("Home", "command", "pwd"),
        builtin("Shown", "raw", "echo shown; false"),
        builtin("Controls", "raw", "true \x1b]0;title\x07"),
        builtin("Raw", "raw", f"echo {SECRET}; false", no_log=True),
        # The folder cannot be made, and the server says which one.
        builtin("Copy", "copy", {"content": "x", "dest": "/x"}, vars={"ansible_remote_tmp": "/proc/x"}),
        builtin(
            "Hides", "copy", {"content": "", "dest": "/x"}, vars={"ansible_remote_tmp": f"/proc/{SECRET}"}, no_log=True
        ),
        builtin("Fails", "command", {"stdin": SECRET, "cmd": "cat /none"}, no_log=True),
        builtin("Writes", "copy", {"content": SECRET, "dest": f"{tmp_path}/own"}, no_log=True),
        builtin("Removes", "file", {"path": f"{tmp_path}/own", "state": "absent"}),
        builtin("Shows", "shell", {"stdin": SECRET, "cmd": ARGV_OF_ALL}, vars={"ansible_pipelining": False}),
    ]
    run = run_over_connection(current, tmp_path, tasks, ["web-01"], "-vvv", core=core)
    [shown] = run.tasks["Shows"]
    assert "/bin/sh -c" in shown["stdout"], run.log
    assert SECRET not in shown["stdout"]
    assert current.token not in run.log
    before, _task, _after = run.log.partition("TASK [Shows]")
    assert "EXEC echo shown; false" in before
    assert r"EXEC true \x1b]0;title\x07" in before
    assert "\x1b" not in run.log
    assert "EXEC (not shown, since the task has no_log)" in before
    assert SECRET not in before
    [failed] = run.tasks["Copy"]
    assert failed.get("unreachable", False) is False
    assert "The host could not be prepared: mkdir: cannot create directory " in failed["msg"]
    # The server has its temporary folder in its home.
    left = [path for path in Path(run.tasks["Home"][0]["stdout"]).rglob("*") if path.is_file()]
    assert [path for path in left if SECRET.encode() in path.read_bytes()] == []


def count_submits(workspace: Workspace) -> Counter[str]:
    """Return the number of submits by the name of their task."""
    return Counter(re.findall(r"^Ansible task (.+) of play", row["purpose"])[0] for row in workspace.commands())


@pytest.mark.parametrize("core", CORES)
def test_files_cost_no_submit_for_the_removal_of_their_folder(current: Workspace, tmp_path: Path, core: str) -> None:
    source, place = tmp_path / "source", str(tmp_path / "place")
    for folder in (source, tmp_path / "place"):
        folder.mkdir()
    for name in ("one", "two"):
        (source / name).write_text(name, encoding="utf-8")
    subprocess.run(["tar", "-C", source, "-cf", tmp_path / "one.tar", "one"], check=True)
    (tmp_path / "script.sh").write_text('#!/bin/sh\nwc -l < "$0"; exit $1\n', encoding="utf-8")
    copy = {"src": f"{source}/one", "dest": f"{place}/copied"}
    both = {"content": "{{ item }}", "dest": f"{place}/{{{{ item }}}}"}
    costs = [
        (builtin("Home", "raw", "cd"), 1),
        (builtin("Copy", "copy", copy), 2),
        (builtin("Copy again", "copy", copy), 2),
        (builtin("Copy with a diff", "copy", {"content": "three", "dest": f"{place}/copied"}, diff=True), 4),
        (builtin("Copy into", "copy", {**copy, "dest": place}), 3),
        (builtin("Copy there", "copy", {"src": f"{place}/copied", "dest": f"{place}/there", "remote_src": True}), 1),
        (builtin("Copy a folder", "copy", {"src": f"{source}/", "dest": f"{place}/new/"}), 4),
        (builtin("Copy in a loop", "copy", both, loop=["x", "y"]), 4),
        (builtin("Unpipelined", "copy", {**copy, "dest": f"{place}/file"}, vars={"ansible_pipelining": False}), 2),
        (builtin("Template", "template", {"src": f"{source}/two", "dest": f"{place}/templated"}), 2),
        (builtin("Unarchive", "unarchive", {"src": f"{tmp_path}/one.tar", "dest": place}), 2),
        (builtin("Assemble", "assemble", {"src": f"{source}", "dest": f"{place}/all", "remote_src": False}), 2),
        (builtin("Script", "script", f"{tmp_path}/script.sh 0"), 1),
        (builtin("Failing script", "script", f"{tmp_path}/script.sh 3"), 1),
    ]
    variables = {"ansible_remote_tmp": f"{tmp_path}/tmp"}
    run = run_over_connection(current, tmp_path, [row for row, _cost in costs], {"web-01": variables}, core=core)
    failed = [name for name, [result] in run.tasks.items() if result.get("failed")]
    assert failed == ["Failing script"], run.log
    assert count_submits(current) == {row["name"]: cost for row, cost in costs}
    assert list((tmp_path / "tmp").iterdir()) == []
    files = (file for file in (tmp_path / "place").rglob("*") if file.is_file())
    written = {file.name: file.read_text(encoding="utf-8") for file in files}
    expected = {"copied": "three", "there": "three", "file": "one", "one": "one", "two": "two", "templated": "two"}
    assert written == {**expected, "all": "one\ntwo", "x": "x", "y": "y"}


#: Action plugin that runs the module copy and then reads the file that it has put.
OWN_COPY = """
from ansible.plugins.action import ActionBase

class ActionModule(ActionBase):
    TRANSFERS_FILES = True

    def run(self, tmp=None, task_vars=None):
        super().run(tmp, task_vars)
        path = self._transfer_data(self._connection._shell.tmpdir + "/kept", "content")
        self._execute_module("ansible.legacy.ping", {}, task_vars=task_vars)
        return self._low_level_execute_command("cat " + path)
"""


def test_files_are_kept_for_other_actions_and_on_demand(current: Workspace, tmp_path: Path) -> None:
    (tmp_path / "action_plugins").mkdir()
    (tmp_path / "action_plugins/copy.py").write_text(OWN_COPY, encoding="utf-8")
    variables = {"web-01": {"ansible_remote_tmp": f"{tmp_path}/tmp"}}
    calling = builtin("Calling", "template", {"src": f"{tmp_path}/ansible.cfg", "dest": "/none"})
    run = run_over_connection(current, tmp_path, [task("Own", {}, "copy"), calling], variables)
    assert [result.get("stdout") for [result] in run.tasks.values()] == ["content"] * 2, run.log
    assert list((tmp_path / "tmp").iterdir()) == []
    copy = builtin("Copy", "copy", {"content": "x", "dest": f"{tmp_path}/x"})
    run = run_over_connection(current, tmp_path, [copy], variables, ANSIBLE_KEEP_REMOTE_FILES="1")
    [folder] = (tmp_path / "tmp").iterdir()
    assert list(folder.glob("*copy.py")), run.log


@pytest.mark.slow
def test_the_home_of_another_account_is_queried_by_each_task(current: Workspace, tmp_path: Path) -> None:
    def fetch(name: str, home: str) -> Row:
        options = {"src": f"{home}/{{{{ item }}}}", "dest": f"{tmp_path}/", "fail_on_missing": False}
        return builtin(name, "fetch", options, loop=["none", "nothing"])

    home = str(Path.home())
    counts: list[int] = []
    for tasks in ([fetch("Path", home)], [fetch("Own", "~")] * 2, [fetch("Other", "~daemon")] * 2):
        current.reset()
        run = run_over_connection(current, tmp_path / str(len(counts)), tasks)
        assert run.code == 0, run.log
        counts.append(len(current.commands()))
    path, own, other = counts
    assert (own, other) == (2 * path + 1, 2 * path + 2)


def test_an_offline_host_is_unreachable_and_a_too_large_task_fails(current: Workspace, tmp_path: Path) -> None:
    current.add_servers("away-01", connected=False)
    current.fault("status", method="POST", path="^/api/events/commands/$", status=413)
    known = {"alpacon_server_id": current.server_ids()["away-01"], "alpacon_is_connected": False}
    run = run_over_connection(current, tmp_path, [builtin("Raw", "raw", "true")], {"away-01": known, "web-02": {}})
    away, large = run.results["away-01"], run.results["web-02"]
    assert away["unreachable"], run.log
    assert "offline" in away["msg"]
    assert "may have run" not in away["msg"]
    assert (large["failed"], large.get("unreachable", False)) == (True, False)
    assert "client_max_body_size" in large["msg"]
    assert current.commands() == []


def test_an_interrupted_run_leaves_a_journal_and_printed_its_path(current: Workspace, tmp_path: Path) -> None:
    # The task interrupts the play when the path of the journal is printed.
    group = "{{ lookup('pipe', 'ps -o pgid= $$') | trim }}"
    told = "alpacon: if this run is interrupted, the IDs are in "
    wait = f"until grep -q '{told}' {tmp_path}/log; do sleep 0.1; done; kill -INT -{group}; sleep 20"
    run = run_over_connection(current, tmp_path, [builtin("Long", "shell", wait)])
    [journal] = run.journals
    assert run.log.count(f"{told}{journal}") == 1
    assert read_journal_ids(journal) == [row["id"] for row in modules(current)]
