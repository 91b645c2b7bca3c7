# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test that -vvv prints the ID of each command and -vvvv each request, without secrets."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from ansible_cores import CORES
from system.plays import COMMAND_MODULE, Play, run_over_connection, task
from workspace.client import Workspace

from ansible_collections.herdops.alpacon.plugins.module_utils._api.servers import SERVERS_PATH
from ansible_collections.herdops.alpacon.tests.unit.support import LIST, NO_COMMAND

HOSTS = ("web-01", "web-02")
SECRETS = ("from-the-line", "from-the-env", "from-the-module", "from-the-lookup", "from-the-agent")
COMMAND = re.compile(r"alpacon: command ([0-9a-f-]{36}) was submitted to (\S+)")
REQUEST = re.compile(r"alpacon: ([A-Z]+ /\S*): HTTP \d+ \(\d+ ms\)")


def run_tasks(workspace: Workspace, folder: Path, *arguments: str, core: str = "development") -> Play:
    lookup = f"{{{{ lookup('{COMMAND_MODULE}', 'web-01', line='from-the-lookup', default='') }}}}"
    action = {"server": "web-01", "action": "update_information", "wait": False}
    registration = {"state": "registered", "id": NO_COMMAND, "key": "from-the-agent"}
    tasks = [
        task("command", {"line": "echo from-the-line", "env": {"WORD": "from-the-env"}}, no_log=True),
        task("module", {"cmd": "echo from-the-module"}, "ansible.builtin.command", no_log=True),
        task("action", action, "herdops.alpacon.alpacon_server_action", run_once=True),
        task("registration", registration, "herdops.alpacon.alpacon_registration", run_once=True),
        task("token", {"name": "x", "state": "absent"}, "herdops.alpacon.alpacon_registration_token", run_once=True),
        task("servers", {"servers": ["web-01"]}, "herdops.alpacon.alpacon_server_info", run_once=True),
        task("lookup", {"msg": lookup}, "ansible.builtin.debug", run_once=True, no_log=True),
    ]
    run = run_over_connection(workspace, folder, tasks, HOSTS, *arguments, core=core)
    assert run.code == 0, run.log
    return run


@pytest.mark.parametrize("core", CORES)
def test_verbose_runs_print_commands_and_requests(current: Workspace, tmp_path: Path, core: str) -> None:
    run = run_tasks(current, tmp_path, "-vvvv", core=core)
    submitted = {(row["id"], row["server"]) for row in current.commands()}
    assert set(COMMAND.findall(run.log)) == submitted
    assert len(submitted) >= 2 * len(HOSTS) + 1
    requests = REQUEST.findall(run.log)
    assert len(requests) == current.requests_made()
    assert requests.count(f"POST {LIST}") == 2 * len(HOSTS)
    assert any(request.startswith(f"POST {SERVERS_PATH}") for request in requests)
    assert [text for text in (current.token, *SECRETS) if text in run.log] == []


@pytest.mark.parametrize(("arguments", "commands"), [([], False), (["-vvv"], True)])
def test_less_verbose_runs_print_less(current: Workspace, tmp_path: Path, arguments: list[str], commands: bool) -> None:
    run = run_tasks(current, tmp_path, *arguments)
    assert bool(COMMAND.search(run.log)) == commands
    assert not REQUEST.search(run.log)
