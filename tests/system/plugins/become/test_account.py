# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Become another account over the connection plugin."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleError
from ansible.plugins.loader import become_loader
from ansible_cores import CORES
from system.plays import Row, run_over_connection, task
from workspace.client import Workspace

ACCOUNT = {"become": True, "become_method": "herdops.alpacon.account"}


def whoami(name: str, **keywords: Any) -> Row:
    return task(name, "echo $USER", "ansible.builtin.shell", **keywords)


def test_tasks_run_as_their_accounts_and_fail_if_the_server_has_no_such_account(
    current: Workspace, tmp_path: Path
) -> None:
    current.fault("fail_start", reason="group", times=1)
    copied = {"content": "x", "dest": str(tmp_path / "there"), "mode": "0600"}
    items = {"loop": ["root", "deploy", ""], "remote_user": "bob", "become_user": "{{ item }}"}
    sudo = {"become": True, "become_method": "sudo", "vars": {"ansible_user": "stranger"}}
    tasks = [
        {
            "block": [whoami("Lacking", **ACCOUNT, become_user="deploy", ignore_errors=False)],
            "rescue": [whoami("Rescued")],
        },
        whoami("Root", **ACCOUNT, vars={"ansible_become_password": "not-needed"}),
        whoami("Items", **ACCOUNT, **items),
        task("Copy", copied, "ansible.builtin.copy", **ACCOUNT),
        whoami("Unknown", **ACCOUNT, become_user="stranger"),
        whoami("Sudo", **sudo, ignore_unreachable=True),
    ]
    run = run_over_connection(current, tmp_path, tasks, {"web-01": {"ansible_user": "ubuntu"}}, "-vvv")
    result = {name: rows[0] for name, rows in run.tasks.items()}
    assert [result[name]["stdout"] for name in ("Rescued", "Root")] == ["ubuntu", "root"], run.log
    assert [item["stdout"] for item in result["Items"]["results"]] == ["root", "deploy", "root"]
    assert "nothing was run: the server has no group deploy. Name a group of the account" in result["Lacking"]["msg"]
    assert "alpacon_groupname" in result["Lacking"]["msg"]
    assert "become_user" in result["Unknown"]["msg"]
    unreachable = [bool(result[name].get("unreachable")) for name in ("Lacking", "Unknown", "Sudo")]
    assert unreachable == [False, False, True]
    assert "echo ~root" in run.log, "temporary folders are those of the account"
    assert "~ubuntu" not in run.log.partition("TASK [Copy]")[2]


def test_accounts_with_a_blank_are_refused_before_anything_is_sent(current: Workspace, tmp_path: Path) -> None:
    tasks = [
        whoami("become_user", **ACCOUNT, become_user="root "),
        whoami("remote_user", vars={"ansible_user": "root "}),
        whoami("groupname", vars={"alpacon_groupname": " wheel"}),
    ]
    run = run_over_connection(current, tmp_path, tasks)
    for name, rows in run.tasks.items():
        assert re.search(rf"{name}: '.*' begins or ends with a blank", rows[0]["msg"]), run.log
    assert len(run.tasks) == 3
    assert current.commands() == []


def test_other_connections_are_refused() -> None:
    with pytest.raises(AnsibleError, match=r"works with the connection herdops\.alpacon\.alpacon only"):
        become_loader.get("herdops.alpacon.account").build_become_command("true", None)


@pytest.mark.parametrize("core", CORES)
def test_errors_of_become_name_the_reason(current: Workspace, tmp_path: Path, core: str) -> None:
    asking, letting = tmp_path / "asking", tmp_path / "letting"
    asking.write_text("#!/bin/sh\necho 'sudo: a password is required' >&2\nexit 1\n")
    letting.write_text('#!/bin/sh\nfor last; do :; done\nexec /bin/sh -c "$last"\n')
    for program in (asking, letting):
        program.chmod(0o755)

    def by(program: object, **keywords: Any) -> Row:
        return {"become": True, "become_method": "sudo", "vars": {"ansible_become_exe": str(program), **keywords}}

    raw, secret = "ansible.builtin.raw", "Xanthippe-4711"
    discovers = {"ansible_become_password": secret, "ansible_python_interpreter": "auto"}
    tasks = [
        whoami("Missing", **by("sudo-missing")),
        whoami("Missing, with files", **by("sudo-missing", ansible_pipelining=False)),
        whoami("Asking", **by(asking)),
        whoami("Silent", **by("sudo-missing"), no_log=True),
        task("Fails", "exit 3", raw, **by(letting)),
        task("Not missed", "sudo-missing", raw),
        whoami("Password", become=True, become_method="su", vars=discovers),
        whoami("Windows", vars={"ansible_shell_type": "powershell"}),
    ]
    run = run_over_connection(current, tmp_path, tasks, ["web-01"], "-vvv", core=core)
    could_not = "The task could not become root by sudo: "
    for name in ("Missing", "Missing, with files"):
        assert re.search(rf"{could_not}.*sudo-missing: .*not found. Use become_method: ", run.tasks[name][0]["msg"])
    assert f"{could_not}sudo: a password is required. Use become_method: " in run.tasks["Asking"][0]["msg"]
    assert [run.tasks[name][0]["rc"] for name in ("Fails", "Not missed")] == [3, 127]
    _before, _silent, silent = run.log.partition("TASK [Silent]")
    silent, _fails, after = silent.partition("TASK [Fails]")
    assert "not found" not in silent
    assert could_not not in after
    said = "A become password is set, and the agent has no terminal for become method su to ask for it."
    assert said in run.tasks["Password"][0]["msg"]
    assert "Windows servers are not supported by this connection" in run.tasks["Windows"][0]["msg"]
    assert "Password" not in str(current.commands())
    assert secret not in run.log
    assert "unreachable=0" in run.log
