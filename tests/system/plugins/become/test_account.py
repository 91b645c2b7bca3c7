# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Becoming another account over the connection plugin."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from system.playing import Row, over_connection, task
from workspace.client import Workspace

ACCOUNT = {"become": True, "become_method": "herdops.alpacon.account"}


def whoami(name: str, **keywords: Any) -> Row:
    return task(name, "echo $USER", "ansible.builtin.shell", **keywords)


def test_the_account_of_a_command_is_that_of_its_task(current: Workspace, tmp_path: Path) -> None:
    hosts = {"web-01": {"ansible_user": "ubuntu"}}
    run = over_connection(
        current,
        tmp_path,
        [
            whoami("Own"),
            whoami("Root", **ACCOUNT),
            whoami("Other", **ACCOUNT, become_user="deploy"),
            whoami("Password", **ACCOUNT, vars={"ansible_become_password": "not-needed"}),
        ],
        hosts,
    )
    accounts = {"Own": "ubuntu", "Root": "root", "Other": "deploy", "Password": "root"}
    assert {name: run.tasks[name][0].get("stdout") for name in accounts} == accounts, run.said
    assert len(current.commands()) == len(accounts)


def test_sudo_with_a_password_is_refused_with_the_reason(current: Workspace, tmp_path: Path) -> None:
    secret = "Xanthippe-4711"
    sudo = {"become": True, "become_method": "sudo", "vars": {"ansible_become_password": secret}}
    run = over_connection(current, tmp_path, [whoami("Sudo", **sudo)], ANSIBLE_VERBOSITY="3")
    [result] = run.tasks["Sudo"]
    assert result["failed"]
    assert "The agent has no terminal, and become method sudo asks for a password there." in result["msg"]
    assert current.commands() == []
    assert secret not in run.said
