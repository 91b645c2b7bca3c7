# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run the examples in all documentation unchanged, against a workspace that has what they use."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from ansible.parsing.plugin_docs import read_docstring
from system.inventories import Source
from system.plays import run_playbook, start_plays, wait_until
from system.registrations import new_agent
from system.scripted_hosts import connect_agents
from workspace.client import Workspace

from ansible_collections.herdops.alpacon.tests.unit.support import ROOT, SERVER, Row

pytestmark = pytest.mark.slow

WORKSPACE = "https://my-workspace.us1.alpacon.io"
HOSTS = ("web-01", "web-02", "db-01")
#: Their examples need agents that really run something.
CONNECTED = ("connection/alpacon.py", "become/account.py", "modules/alpacon_audit.py", "modules/alpacon_tasks.py")
#: They have no examples.
INTERNAL = ("lookup/pending_result.py",)
PLUGINS = sorted(
    path.relative_to(ROOT / "plugins").as_posix()
    for kind in ("filter", "lookup", "modules")
    for path in (ROOT / "plugins" / kind).glob("*.py")
    if f"{kind}/{path.name}" not in (*CONNECTED, *INTERNAL)
)
INVENTORY = ROOT / "plugins/inventory/alpacon.py"
RUNNING = "/usr/local/bin/reindex"
#: The scripts and files that examples name.
SCRIPTS = {"setup.py": "#!/usr/bin/env python3\n", "rotate.sh": "#!/bin/sh\n", "app.tar": ""}
#: The files of tasks that examples name, and what the tasks run.
TASK_FILES = {
    "motd.yml": "id -un",
    "roles/geerlingguy.ntp/tasks/main.yml": "echo {{ ntp_timezone }}",
    "roles/geerlingguy.ntp/tasks/clock.yml": "date",
}
#: The content for scanners that examples name: a little of each.
_SCANNED = ROOT / "tests/unit/plugins/plugin_utils/_audit/scanners/files"
_PROFILES = ("xccdf_org.example_profile_strict", "xccdf_org.ssgproject.content_profile_anssi_bp28_minimal")
CONTENT = {
    "ssg-debian12-ds.xml": (_SCANNED / "little-ds.xml").read_text(encoding="utf-8").replace(*_PROFILES),
    "linux-baseline.json": '{"name": "linux-baseline", "controls": [{"id": "os-02", "impact": 1.0}]}',
}
#: In examples that await what runs.
AWAITED = "status=['running']"
#: Recent answers, by line; without an agent a command answers with its own line.
HISTORY = {
    "uptime": "up 2 days",
    "/usr/local/bin/backup": "done",
}


def examples_of(path: Path) -> str:
    """Return the examples in the documentation of a plugin."""
    return str(read_docstring(str(path))["plainexamples"])


@pytest.fixture(scope="module")
def busy(instant: Workspace) -> Workspace:
    facts = {"metrics": [{"cpu": 12.5, "memory": 40, "disk-usage": 95}], "users": [{"username": "root"}]}
    instant.add_servers(*HOSTS, connected=True, groups=["Operations"], facts=facts, version="2.8.3")
    # An example names it by its UUID, to rename it.
    instant.add_servers("shop-old", id=SERVER)
    instant.settings(agent_rollout_policy="latest")
    instant.add_commands(
        [
            {"server": server, "line": line, "status": "success", "result": result, "added_at": -60}
            for server in HOSTS
            for line, result in HISTORY.items()
        ]
    )
    return instant


@pytest.mark.parametrize("plugin", PLUGINS)
def test_examples_run(busy: Workspace, tmp_path: Path, plugin: str) -> None:
    agent = new_agent(busy)
    [running] = busy.add_commands([{"server": "web-01", "line": RUNNING, "status": "running"}])
    variables = {
        "alpamon_id": agent.id,
        "alpamon_key": agent.key,
        "vault_pgpassword": "pssst",
        "vault_registration_token": busy.add_registration_token("examples")["key"],
    }
    entries: list[Row] = yaml.safe_load(examples_of(ROOT / "plugins" / plugin).replace(WORKSPACE, busy.url))
    tasks = [entry for entry in entries if "hosts" not in entry]
    plays = [entry for entry in entries if "hosts" in entry]
    grouped = {"name": "Have a group", "ansible.builtin.group_by": {"key": "web"}}
    facts = {"name": "Have a fact", "ansible.builtin.set_fact": {"machine_id": 32 * "a", "cacheable": True}}
    plays.insert(0, {"hosts": "web-01", "gather_facts": False, "vars": variables, "tasks": [grouped, facts, *tasks]})
    for script, text in SCRIPTS.items():
        (tmp_path / script).write_text(text, encoding="utf-8")
    for name, content in CONTENT.items():
        (tmp_path / "files").mkdir(exist_ok=True)
        (tmp_path / "files" / name).write_text(content, encoding="utf-8")
    play = start_plays(busy, tmp_path, HOSTS, plays)
    try:
        with connect_agents(busy):
            if AWAITED in examples_of(ROOT / "plugins" / plugin):
                wait_until(
                    lambda: any(running in entry["path"] for entry in busy.log()) or play.process.poll() is not None
                )
            busy.change_command(running, status="success", success=True, exit_code=0, result="")
            play.end()
    finally:
        play.stop()
    assert play.code == 0, play.log
    assert all(entry["name"] in play.log for entry in tasks)


@pytest.mark.parametrize("plugin", CONNECTED)
def test_examples_run_on_servers(current: Workspace, tmp_path: Path, plugin: str) -> None:
    for user in ("deploy", "postgres"):
        current.add_user(user)
    for file, line in TASK_FILES.items():
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        tasks = [{"name": "Run it", "ansible.builtin.command": line}]
        (tmp_path / file).write_text(yaml.safe_dump(tasks), encoding="utf-8")
    (tmp_path / "checks").mkdir()
    (tmp_path / "checks/web.yml").write_text("checks: [{name: nginx, line: 'true'}]", encoding="utf-8")
    entries: list[Row] = yaml.safe_load(examples_of(ROOT / "plugins" / plugin))
    tasks = [entry for entry in entries if "hosts" not in entry]
    grouped = {"name": "Have a group", "ansible.builtin.group_by": {"key": "web"}}
    first = {"hosts": "web-01", "gather_facts": False, "tasks": [grouped, *tasks]}
    plays = [first, *(entry for entry in entries if "hosts" in entry)]
    # The inventory sets no connection, since that would take precedence over a keyword.
    play = run_playbook(current, tmp_path, plays, {"all": {"hosts": {host: {} for host in HOSTS}}})
    assert play.code == 0, play.log
    assert {task["name"] for entry in plays for task in entry["tasks"]} <= play.tasks.keys()
    assert any(row["line"].startswith("/bin/sh -c $RUN ") for row in current.commands())


def test_examples_of_inventories_list_servers(busy: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROD_TOKEN", busy.token)
    first, *others = examples_of(INVENTORY).replace(WORKSPACE, busy.url).split("\n\n# ")
    texts = [first, *("\n".join(line.removeprefix("# ") for line in other.splitlines()[1:]) for other in others)]
    for number, text in enumerate(texts):
        source = Source(busy, tmp_path / str(number))
        source.folder.mkdir()
        source.path.write_text(text.replace("~/.cache", str(tmp_path)), encoding="utf-8")
        listed = source.run("--list").hosts.values()
        assert {host["alpacon_name"] for host in listed} >= set(HOSTS), text
