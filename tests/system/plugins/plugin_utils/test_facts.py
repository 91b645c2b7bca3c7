# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Refuse settings that a managed host returns as facts, which override the inventory."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from system.plays import play, run_playbook, task
from system.support import Response, ScriptedServer
from workspace.client import Workspace

Row = dict[str, Any]

#: Module that returns forged facts.
FORGE = """\
#!/usr/bin/python
import json
print(json.dumps({{"changed": False, "ansible_facts": json.loads({facts!r})}}))
"""
#: Facts that ansible-core ignores.
OF_CORE = {"ansible_user": "root", "ansible_become": True, "ansible_become_user": "root", "ansible_connection": "local"}


FORGERS = ("web-01", "web-02", "web-03", "cached")


def forged(url: str, server_id: str) -> Row:
    return {
        **OF_CORE,
        "alpacon_url": url,
        "alpacon_workspace": url,
        "alpacon_server_id": server_id,
        "alpacon_validate_certs": False,
        "alpacon_ca_path": "/tmp/forged.pem",
        "alpacon_groupname": "root",
        "alpacon_purpose": "forged",
        "alpacon_work_session": server_id,
        "ansible_alpacon_user": "root",
        "awx_user_name": "forged",
        "inventory_hostname": "honest",
    }


def uses(way: str) -> list[Row]:
    """Return tasks of several kinds of plugins that read settings of their host."""
    looked_up = {"msg": "{{ query('herdops.alpacon.alpacon_command', 'web-01', default='none') }}"}
    return [task(f"{way} module", {"line": "echo used"}), task(f"{way} lookup", looked_up, "ansible.builtin.debug")]


@pytest.mark.parametrize("core", ["oldest", "development", "newest"])
def test_no_setting_comes_from_a_fact(current: Workspace, tmp_path: Path, core: str) -> None:
    current.add_servers("cached", "honest", "target", agent=True)
    current.wait_connected("cached", "honest", "target")
    ids = current.server_ids()
    over = {"ansible_connection": "herdops.alpacon.alpacon"}
    hosts: Row = {name: {"alpacon_server_id": ids[name], **over} for name in (*FORGERS, "honest")}
    hosts["by-ssh"] = {"ansible_connection": "local"}
    settings = {"alpacon_url": current.url, "alpacon_token": current.token}
    python = {"ansible_python_interpreter": "{{ ansible_playbook_python }}"}
    (tmp_path / "library").mkdir()
    (tmp_path / "facts").mkdir()
    remote = [task("Connection", "true", "ansible.builtin.command")]
    audit = {"checks": [{"name": "hello", "line": "echo hello"}], "progress": False, "hosts": ["honest"]}
    with ScriptedServer([Response({"results": [], "count": 0, "next": None})]) as evil:
        facts = forged(evil.url, ids["target"])
        for name, content in (("forge", facts), ("forge_core", OF_CORE)):
            (tmp_path / f"library/{name}.py").write_text(FORGE.format(facts=json.dumps(content)), encoding="utf-8")
        # Cached facts before ansible-core 2.19, and since.
        for file, cached in (("cached", facts), ("s1_cached", {"__payload__": json.dumps(facts)})):
            (tmp_path / "facts" / file).write_text(json.dumps(cached), encoding="utf-8")
        run = run_playbook(
            current,
            tmp_path,
            [
                *play(task("Forge", {}, "forge"), *uses("Result"), *remote, hosts="web-01"),
                *play(task("Forge once", {}, "forge", run_once=True), *uses("Once"), *remote, hosts="web-02,web-03"),
                *play(*uses("Cache"), *remote, hosts="cached"),
                {
                    **play(*uses("Gathered"), hosts="by-ssh")[0],
                    "gather_facts": True,
                    "vars": {"ansible_facts_modules": "forge"},
                },
                *play(task("Audit", audit, "herdops.alpacon.alpacon_audit"), hosts="web-01"),
                *play(
                    task("Forge core", {}, "forge_core"),
                    task("Honest", "id -un", "ansible.builtin.command"),
                    hosts="honest",
                ),
            ],
            {"all": {"hosts": hosts, "vars": {**settings, **python}}},
            core=core,
            ANSIBLE_CACHE_PLUGIN="jsonfile",
            ANSIBLE_CACHE_PLUGIN_CONNECTION=str(tmp_path / "facts"),
            ALPACON_URL="",
            ALPACON_TOKEN="",
        )
        assert evil.requests == []
    tasks = run.tasks
    honest = ("Forge", "Forge once", "Forge core", "Honest", "Gathering Facts")
    used = [(name, row) for name, rows in tasks.items() if name not in honest for row in rows if not row["failed"]]
    assert used == [], run.log
    said = [row["msg"] for name, rows in tasks.items() if name not in honest for row in rows]
    assert len(said) == 3 * 4 + 2 + 1, run.log
    assert [text for text in said if "returned settings as facts" not in text] == []
    commands = current.commands()
    # The modules that return forged facts, and the last task.
    assert {command["server"] for command in commands} == {"web-01", "web-02", "honest"}
    assert "echo used" not in {command["line"] for command in commands}
    assert {command["username"] for command in commands} == {commands[0]["username"]}
