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
    forge, clear = task("Forge", {}, "forge"), {"meta": "clear_facts"}
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
                *play(*uses("Cache"), *remote, clear, hosts="cached"),
                *play(forge, *uses("Result"), *remote, clear, hosts="web-01"),
                *play({**forge, "run_once": True}, *uses("Once"), *remote, clear, hosts="web-02,web-03"),
                {
                    **play(*uses("Gathered"), clear, hosts="by-ssh")[0],
                    "gather_facts": True,
                    "vars": {"ansible_facts_modules": "forge"},
                },
                *play(forge, task("Audit", audit, "herdops.alpacon.alpacon_audit"), clear, hosts="web-01"),
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
    honest = ("Forge", "Forge core", "Honest", "Gathering Facts")
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


@pytest.mark.parametrize("core", ["oldest", "development", "newest"])
def test_no_setting_comes_from_a_fact_of_an_earlier_item(current: Workspace, tmp_path: Path, core: str) -> None:
    ids = current.server_ids()
    facts = forged(current.url, ids["web-02"])
    (tmp_path / "library").mkdir()
    (tmp_path / "library/forge.py").write_text(FORGE.format(facts=json.dumps(facts)), encoding="utf-8")
    over = {"ansible_connection": "herdops.alpacon.alpacon", "alpacon_server_id": ids["web-01"]}
    hosts = {"web-01": {**over, "ansible_python_interpreter": "{{ ansible_playbook_python }}"}}
    run = run_playbook(current, tmp_path, play(task("Forge", {}, "forge", loop=[1, 2])), hosts, core=core)
    assert "returned settings as facts" in run.log
    assert {command["server"] for command in current.commands()} == {"web-01"}


def borrow(name: str) -> str:
    """Return a template of a variable of the second host."""
    return f"{{{{ hostvars['forger'].{name} | default('web-01') }}}}"


@pytest.mark.parametrize("core", ["oldest", "development", "newest"])
@pytest.mark.parametrize("source", ["module", "cache"])
def test_no_setting_comes_from_a_fact_of_another_host(
    current: Workspace, tmp_path: Path, core: str, source: str
) -> None:
    current.add_servers("forger", "target", agent=True)
    current.wait_connected("forger", "target")
    ids = current.server_ids()
    connection = {"ansible_connection": "herdops.alpacon.alpacon"}
    python = {"ansible_python_interpreter": "{{ ansible_playbook_python }}"}
    hosts: Row = {name: {"alpacon_server_id": ids[name], **connection} for name in ("web-01", "forger")}
    facts = forged(current.url, ids["target"])
    (tmp_path / "library").mkdir()
    (tmp_path / "library/forge.py").write_text(FORGE.format(facts=json.dumps(facts)), encoding="utf-8")
    cache = {}
    if source == "cache":
        (tmp_path / "facts").mkdir()
        for file, cached in (("forger", facts), ("s1_forger", {"__payload__": json.dumps(facts)})):
            (tmp_path / "facts" / file).write_text(json.dumps(cached), encoding="utf-8")
        cache = {"ANSIBLE_CACHE_PLUGIN": "jsonfile", "ANSIBLE_CACHE_PLUGIN_CONNECTION": str(tmp_path / "facts")}
    batch = "{{ ansible_play_hosts | map('extract', hostvars, 'alpacon_server_id') }}"
    action = {"servers": batch, "action": "restart_agent"}
    looked_up = {"msg": "{{ query('herdops.alpacon.alpacon_command', hostvars['forger'].alpacon_server_id) }}"}
    once: Row = {"run_once": True}
    each = {"servers": ["web-01"], "line": "echo used", "purpose": "{{ hostvars['forger'][item] | string }}"}
    tasks = [
        task("Batch", {"servers": batch, "line": "echo used"}, **once),
        task("Action", action, "herdops.alpacon.alpacon_server_action", **once),
        task("Each name", each, loop=sorted(set(facts) - set(OF_CORE)), **once),
        task("Variable", {"line": "echo used", "servers": ["web-01"], "username": "{{ account }}"}, **once),
        task("Delegated module", {"line": "echo used", "servers": ["web-01"]}, delegate_to="forger", **once),
        task("Delegated", "true", "ansible.builtin.command", delegate_to="forger", **once),
        task("Lookup", looked_up, "ansible.builtin.debug", **once),
        task("Servers", {"servers": [borrow("alpacon_server_id")]}, "herdops.alpacon.alpacon_server_info", **once),
        task("Connection", "true", "ansible.builtin.command", vars={"alpacon_purpose": borrow("alpacon_purpose")}),
    ]
    done = run_playbook(
        current,
        tmp_path,
        [
            *play(*([task("Forge", {}, "forge")] if source == "module" else []), hosts="forger"),
            *play(*tasks, vars={"account": borrow("alpacon_groupname")}),
            {"import_playbook": "herdops.alpacon.upgrade_agents"},
        ],
        {"all": {"hosts": hosts, "vars": python}},
        core=core,
        **cache,
    )
    rows = {name: list(rows) for name, rows in done.tasks.items() if name != "Forge"}
    assert {row["name"] for row in tasks} < rows.keys(), done.log
    assert "Upgrade the agents of the wave" in rows, done.log
    said = [str(row.get("msg")) for row in (row for name in tasks for row in rows[name["name"]])]
    said = [text for text in said if text != "One or more items failed"]
    assert [text for text in said if "returned settings as facts" not in text] == []
    # Only the module that forges the facts has run.
    assert [command["line"] for command in current.commands() if "forge" not in command["line"]] == [], done.log
    assert {command["server"] for command in current.commands()} <= {"forger"}


@pytest.mark.parametrize("core", ["oldest", "development", "newest"])
def test_no_setting_comes_from_a_cached_fact_that_an_earlier_task_has_read(
    current: Workspace, tmp_path: Path, core: str
) -> None:
    ids = current.server_ids()
    facts = {"alpacon_server_id": ids["web-02"]}
    (tmp_path / "facts").mkdir()
    for file, cached in (("forger", facts), ("s1_forger", {"__payload__": json.dumps(facts)})):
        (tmp_path / "facts" / file).write_text(json.dumps(cached), encoding="utf-8")
    hosts: Row = {name: {"alpacon_server_id": ids["web-01"]} for name in ("web-01", "forger")}
    # The worker of each task loads cached facts for itself.
    chosen = {"chosen": "{{ groups.all | map('extract', hostvars, 'alpacon_server_id') }}"}
    tasks = [
        task("Choose", chosen, "ansible.builtin.set_fact"),
        task("Run", {"servers": "{{ chosen }}", "line": "echo used"}),
        task("Again", {"servers": "{{ chosen }}", "line": "echo used"}),
    ]
    done = run_playbook(
        current,
        tmp_path,
        play(*tasks, hosts="localhost"),
        {"all": {"hosts": hosts}},
        core=core,
        ANSIBLE_CACHE_PLUGIN="jsonfile",
        ANSIBLE_CACHE_PLUGIN_CONNECTION=str(tmp_path / "facts"),
    )
    said = [row["msg"] for name in ("Run", "Again") for row in done.tasks[name]]
    assert [text[: text.index(".")] for text in said] == [
        "Host forger returned settings as facts: alpacon_server_id"
    ] * 2, done.log
    assert current.commands() == []
