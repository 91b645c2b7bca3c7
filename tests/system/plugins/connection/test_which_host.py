# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run each task on the right server and as the right account."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_cores import CORES
from system.plays import Row, run_over_connection, task
from workspace.client import Workspace

NEW = {"method": "POST", "body": {"names": ["moved"], "agent": True}, "body_format": "json", "status_code": [200, 201]}
CONNECTED = {
    "register": "state",
    "until": "state.json.servers | selectattr('name', 'eq', 'moved') | map(attribute='is_connected') | first",
    "retries": 60,
    "delay": 1,
}


def where(name: str, **keywords: object) -> Row:
    return task(name, "pwd", "ansible.builtin.command", run_once=True, **keywords)


def test_a_task_runs_on_the_host_that_it_is_delegated_to(current: Workspace, tmp_path: Path) -> None:
    ids = current.server_ids()
    hosts: dict[str, Row] = {"web-01": {"alpacon_server_id": ids["web-01"]}, "web-02": {"ansible_host": "10.77.9.9"}}
    hosts |= {"other-name": {"alpacon_server_id": ids["web-02"]}, "nobody": {}}
    run = run_over_connection(
        current,
        tmp_path,
        [
            where("Own"),
            where("By name", delegate_to="web-02"),
            where("By id", delegate_to="other-name"),
            where("Nobody", delegate_to="nobody", ignore_unreachable=True),
            where("Items", delegate_to="{{ item }}", loop=["web-01", "web-02", "web-01"]),
        ],
        hosts,
    )

    def home(name: str) -> str:
        return str(run.tasks[name][0]["stdout"]).rpartition("/")[2]

    assert [home(name) for name in ("Own", "By name", "By id")] == ["web-01", "web-02", "web-02"]
    assert "no server is named nobody" in run.log
    items = [item["stdout"].rpartition("/")[2] for item in run.tasks["Items"][0]["results"]]
    assert items == ["web-01", "web-02", "web-01"]
    assert len(current.commands()) == 6


@pytest.mark.parametrize("core", CORES)
def test_a_reset_queries_the_server_again_and_templates_variables(
    current: Workspace, tmp_path: Path, core: str
) -> None:
    url = f"{current.url}/_control/servers"
    here = {"delegate_to": "localhost", "vars": {"ansible_connection": "local"}}
    own = {"alpacon_token": "{{ mine }}", "mine": current.token, "alpacon_wait_timeout": "{{ 2 }}m"}
    tasks = [
        where("First", become=True, become_method="herdops.alpacon.account"),
        task("Gone", {"url": f"{url}/moved/", "method": "DELETE"}, "ansible.builtin.uri", **here),
        task("Anew", {"url": f"{url}/", **NEW}, "ansible.builtin.uri", **here),
        task("Connected", {"url": f"{current.url}/_control/state/"}, "ansible.builtin.uri", **here, **CONNECTED),
        {"name": "Reset", "ansible.builtin.meta": "reset_connection"},
        where("Second", become=True, become_method="herdops.alpacon.account"),
    ]
    current.add_servers("moved", agent=True)
    current.wait_connected("moved")
    before = current.server_ids()["moved"]
    run = run_over_connection(current, tmp_path, tasks, {"moved": own}, core=core)
    assert run.code == 0, run.log
    assert current.server_ids()["moved"] != before
    assert not run.tasks["Second"][0]["failed"]
    assert "WARNING" not in run.log
