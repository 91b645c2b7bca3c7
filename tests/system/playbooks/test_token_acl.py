# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test the playbook token_acl: the entries that it prints, and its comparison with a file of them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_cores import CORES
from system.plays import Play, play, run_playbook, task
from workspace.client import Workspace

from ansible_collections.herdops.alpacon.tests.unit.support import FAR, Row

in_every_core = pytest.mark.parametrize(
    "core", [pytest.param(name, marks=() if name == "development" else pytest.mark.slow) for name in CORES]
)
#: The variables of hosts that are reached over the connection.
CONNECTED = {
    "ansible_connection": "herdops.alpacon.alpacon",
    "ansible_python_interpreter": "{{ ansible_playbook_python }}",
}
ACTION = "herdops.alpacon.alpacon_server_action"
BATCH = "herdops.alpacon.alpacon_tasks"
PAYLOAD = "/bin/sh -c $RUN *"


def run(workspace: Workspace, folder: Path, plays: list[Row], *arguments: str, **keywords: Any) -> Play:
    """Run the playbook for these plays, which are on web-01 and web-02."""
    folder.mkdir(exist_ok=True)
    (folder / "site.yml").write_text(json.dumps(plays), encoding="utf-8")
    hosts = {"web-01": {}, "web-02": CONNECTED}
    arguments = ("--check", "-e", "alpacon_playbook=site.yml", *arguments)
    return run_playbook(workspace, folder, "herdops.alpacon.token_acl", hosts, *arguments, **keywords)


def printed(done: Play) -> tuple[Row, list[str]]:
    """Return the entries and the comments that the playbook printed at its end."""
    text = done.log[done.log.index("# Entries") :]
    return yaml.safe_load(text), re.findall("^ *# (.+)", text, re.MULTILINE)


def entry(command: str, username: str = "", groupname: str = "") -> Row:
    return {"command": command, "username": username, "groupname": groupname}


PLAYS = [
    *play(
        task("Line", {"line": "uptime", "username": "root", "groupname": "adm"}),
        task("Star", {"servers": ["web-01"], "line": "ls /tmp/*"}, run_once=True),
        task("Program", {"argv": ["id"], "env": {"PASSWORD": "pssst"}}),
        task("Scheduled", {"state": "scheduled", "line": "reboot", "scheduled_at": FAR}),
        task("Hidden", {"line": "echo pssst"}, no_log=True),
        task("Failed", {"servers": ["no-server"], "line": "id"}),
        task("Delegated", {"line": "id"}, delegate_to="web-03", vars={"ansible_connection": "local"}),
        task("Condition", {"line": "echo never"}, when=False),
        task("Loop of conditions", "id", module="ansible.builtin.raw", loop=[1, 2], when=False),
        task("File", {"content": "x", "dest": "/srv/a*", "username": "root"}, module="herdops.alpacon.alpacon_file"),
        task("Hidden file", {"content": "x", "dest": "/y"}, module="herdops.alpacon.alpacon_file", no_log=True),
        task("Action", {"servers": ["web-03"], "action": "restart_agent"}, module=ACTION),
        task("Secret", {"line": "echo {{ password }}", "env": {"PASSWORD": "{{ password }}"}}),
        hosts="web-01",
        vars={"password": "pssst"},
    ),
    *play(
        task("Module", {}, module="ansible.builtin.ping"),
        task("Lost", {}, module="ansible.builtin.ping", vars={"alpacon_server_id": "x"}, ignore_unreachable=True),
        task("Raw", "id", module="ansible.builtin.raw"),
        task("Conditional raw", "id", module="ansible.builtin.raw", when=False),
        hosts="web-02",
        vars={"ansible_alpacon_user": "root"},
    ),
]


@in_every_core
def test_the_entries_that_a_playbook_needs_are_printed(current: Workspace, tmp_path: Path, core: str) -> None:
    done = run(current, tmp_path, PLAYS, core=core)
    assert done.code == 0, done.log
    acl, comments = printed(done)
    ids = current.server_ids()
    assert acl["command_acl"] == [
        entry(PAYLOAD),
        entry(PAYLOAD, "root"),
        entry("echo ********"),
        entry("ls /tmp/*"),
        entry("reboot"),
        entry("sha256sum -- '/srv/a*'", "root"),
        entry("uptime", "root", "adm"),
    ]
    assert acl["file_acl"] == [{"path": "/srv/a*", "action": "upload", "username": "root", "groupname": ""}]
    assert acl["server_acl"] == [{"server": ids[name], "name": name} for name in ("web-01", "web-02", "web-03")]
    assert "pssst" not in done.log[done.log.index("# Entries") :]
    assert {row["task"]: row["reason"] for row in acl["not_covered"]} == {
        "Action": "alpacon_server_action needs a scope of the token",
        "Condition": "no host ran it",
        "Conditional raw": "no host ran it",
        "Delegated": "it runs on web-03",
        "Failed": "it failed",
        "Hidden": "no_log hides its command",
        "Hidden file": "no_log hides its file",
        "Loop of conditions": "no host ran it",
        "Lost": "a host was unreachable",
        "Raw": "check mode skips raw",
    }
    assert comments.count("This allows everything that the account may do.") == 2
    assert sum("is a wildcard here" in comment for comment in comments) == 4
    assert {command["line"].split()[2] for command in current.commands()} == {"$RUN"}


def test_needs_beyond_the_allowed_entries_fail(current: Workspace, tmp_path: Path) -> None:
    lines = ["uptime", "df -h /"]
    allowed = {
        "command_acl": [entry("df *", "*"), entry("reboot"), entry("upt", "*")],
        "server_acl": [{"server": current.server_ids()["web-01"].upper(), "name": "web-01"}],
    }
    (tmp_path / "acl.yml").write_text(yaml.safe_dump(allowed), encoding="utf-8")
    plays = play(*(task(line, {"line": line}) for line in lines), hosts="web-01")
    done = run(current, tmp_path, plays, "-e", "alpacon_allowed=acl.yml")
    assert done.code == 2, done.log
    [result] = done.tasks["Fail if the playbook needs more"]
    assert result["msg"] == "The playbook needs more than acl.yml allows: command uptime as the user of the token."
    [unused] = done.tasks["Show entries that no task needed"]
    assert unused["msg"] == ["command reboot as the user of the token", "command upt as *"]
    text = done.log[done.log.index("# Entries") :]
    assert "Incomplete" not in text
    (tmp_path / "next").mkdir()
    (tmp_path / "next/acl.yml").write_text(text, encoding="utf-8")
    again = run(current, tmp_path / "next", plays, "-e", "alpacon_allowed=acl.yml")
    assert again.code == 0, again.log
    assert "Show entries that no task needed" not in again.tasks
    other = run(current, tmp_path / "next", [{**plays[0], "hosts": "all"}], "-e", "alpacon_allowed=acl.yml")
    assert (other.code, "server web-02" in other.log) == (2, True), other.log
    plays[0]["tasks"][0]["no_log"] = True
    hidden = run(current, tmp_path / "next", plays, "-e", "alpacon_allowed=acl.yml")
    assert (hidden.code, "task uptime, since no_log hides its command" in hidden.log) == (2, True), hidden.log


def test_tasks_and_hosts_that_nothing_ran_for_are_not_covered(current: Workspace, tmp_path: Path) -> None:
    plays = [
        *play(
            task("Line", {"line": "uptime"}, when="inventory_hostname == 'web-01'", notify="Restart"),
            task("Condition", {"line": "echo never"}, when=False),
            task("Empty loop", {"line": "{{ item }}"}, loop=[]),
            task("Left out", {"line": "df"}, tags="other"),
            task("Never", {"line": "reboot"}, tags="never"),
            task("Include", {"file": "more.yml"}, module="ansible.builtin.include_tasks", when=False),
            task("Print", {"msg": "x"}, module="ansible.builtin.debug", when=False),
            {"name": "Block", "block": [task("Inside", {"line": "id"})], "rescue": [task("Rescue", {"line": "w"})]},
            handlers=[task("Restart", {"line": "systemctl restart x"})],
        ),
        *play(task("Elsewhere", {"line": "hostname"}), hosts="db", name="Databases"),
    ]
    done = run(current, tmp_path, plays, "--skip-tags", "other")
    assert done.code == 0, done.log
    acl, _comments = printed(done)
    assert [need["command"] for need in acl["command_acl"]] == ["id", "systemctl restart x", "uptime"]
    assert [row["task"] for row in acl["not_covered"]] == [
        "Condition",
        "Elsewhere",
        "Empty loop",
        "Include",
        "Left out",
        "Rescue",
    ]
    assert {row["reason"] for row in acl["not_covered"]} == {"no host ran it"}
    (tmp_path / "acl.yml").write_text(done.log[done.log.index("# Entries") :], encoding="utf-8")
    plays[0]["tasks"][-1]["when"] = "inventory_hostname == 'web-01'"
    less = run(current, tmp_path, plays, "--skip-tags", "other", "-e", "alpacon_allowed=acl.yml")
    [result] = less.tasks["Fail if the playbook needs more"]
    assert result["msg"].endswith(" allows: task (all on web-02), since none ran there."), less.log


def test_tasks_in_a_batch_are_read_as_others(current: Workspace, tmp_path: Path) -> None:
    command = "ansible.builtin.command"
    inner = [
        task("Ping", {}, module="ansible.builtin.ping"),
        task("Line", {"line": "uptime", "username": "root"}),
        task("Hidden", {"line": "echo pssst"}, no_log=True),
        task("Raw", "id", module="ansible.builtin.raw"),
        task("Condition", "id", module=command, when=False),
        task("Condition", "id", module=command, when=False),
        task("Empty loop", "id", module=command, loop=[]),
        task("Failed", {"servers": ["no-server"], "line": "id"}),
        task("Delegated", {"line": "df"}, delegate_to="web-03", vars={"ansible_connection": "local"}),
    ]
    (tmp_path / "inner.yml").write_text(json.dumps(inner), encoding="utf-8")
    (tmp_path / "short.yml").write_text(json.dumps([task("Date", {"line": "date"})]), encoding="utf-8")
    plays = play(
        task("Batch", {"file": "inner.yml"}, module=BATCH, vars={"ansible_alpacon_user": "root"}),
        task("Loop", {"file": "{{ item }}"}, module=BATCH, loop=["short.yml", "short.yml"]),
        task("Left out", {"file": "inner.yml"}, module=BATCH, when=False),
        task("Secret", {"file": "inner.yml"}, module=BATCH, no_log=True),
        task("Refused", {"role": "x", "file": "inner.yml"}, module=BATCH),
        hosts="web-02",
    )
    done = run(current, tmp_path, plays)
    assert done.code == 0, done.log
    acl, _comments = printed(done)
    assert acl["command_acl"] == [
        entry(PAYLOAD),
        entry(PAYLOAD, "root"),
        entry("date"),
        entry("uptime", "root"),
    ]
    assert [(row["task"], row["reason"]) for row in acl["not_covered"]] == [
        ("Condition", "no host ran it"),
        ("Delegated", "it runs on web-03"),
        ("Empty loop", "no host ran it"),
        ("Failed", "it failed"),
        ("Hidden", "no_log hides its command"),
        ("Left out", "no host ran it"),
        ("Raw", "check mode skips raw"),
        ("Refused", "it failed, and its later tasks are not known"),
        ("Secret", "no_log hides its tasks"),
    ]


def test_a_batch_without_a_task_that_ran_is_no_task_that_ran(current: Workspace, tmp_path: Path) -> None:
    (tmp_path / "inner.yml").write_text(json.dumps([task("Line", {"line": "id"}, when=False)]), encoding="utf-8")
    done = run(current, tmp_path, play(task("Batch", {"file": "inner.yml"}, module=BATCH), hosts="web-02"))
    assert done.code, done.log
    assert "No task of the playbook ran without an error" in done.log


ALPACON = ("-i", "my.alpacon.yml")


@in_every_core
@pytest.mark.parametrize(
    ("keywords", "arguments", "token"),
    [
        ({}, ALPACON, "alpat-expired"),
        ({}, (*ALPACON, "--limit", "web-01"), "alpat-expired"),
        ({"hosts": "db"}, ALPACON, ""),
        ({}, (*ALPACON, "--tags", "nonsense"), ""),
        ({"gather_facts": True}, (*ALPACON, "--tags", "nonsense"), ""),
        ({"tasks": [task("Check", {"that": True}, module="ansible.builtin.assert")]}, ALPACON, ""),
        ({"tasks": [task("Condition", {"line": "uptime"}, when=False)]}, ALPACON, ""),
        ({}, ("-i", "web-01,", "-e", "ansible_connection=local"), "alpat-expired"),
    ],
    ids=["token", "limit", "hosts", "tags", "facts", "local", "condition", "failed"],
)
def test_a_run_of_no_task_fails(
    current: Workspace, tmp_path: Path, core: str, keywords: Row, arguments: tuple[str, ...], token: str
) -> None:
    variables = "{ansible_python_interpreter: '{{ ansible_playbook_python }}'}"
    (tmp_path / "my.alpacon.yml").write_text("plugin: herdops.alpacon.alpacon\nconnection: true\n", encoding="utf-8")
    (tmp_path / "group_vars").mkdir()
    (tmp_path / "group_vars/all.yml").write_text(variables, encoding="utf-8")
    allowed = {"command_acl": [entry("uptime"), entry(PAYLOAD)], "server_acl": [], "not_covered": []}
    allowed["server_acl"] = [{"server": key, "name": name} for name, key in current.server_ids().items()]
    (tmp_path / "acl.yml").write_text(yaml.safe_dump(allowed), encoding="utf-8")
    plays = [{**play(task("Line", {"line": "uptime"}))[0], **keywords}]
    (tmp_path / "site.yml").write_text(json.dumps(plays), encoding="utf-8")
    given = ("--check", "-e", "alpacon_playbook=site.yml", "-e", "alpacon_allowed=acl.yml", *arguments)
    environ = {"ALPACON_TOKEN": token} if token else {}
    done = run_playbook(current, tmp_path, "herdops.alpacon.token_acl", None, *given, core=core, **environ)
    assert done.code, done.log
    assert "No task of the playbook ran without an error" in done.log
    assert "Show entries" not in done.log
    assert "command_acl: []" not in done.log


def test_the_playbook_can_be_listed_without_a_run(current: Workspace, tmp_path: Path) -> None:
    for number, option in enumerate(("--list-tasks", "--syntax-check")):
        done = run(current, tmp_path / str(number), PLAYS, option)
        assert done.code == 0, done.log


@in_every_core
def test_names_from_the_workspace_are_data(instant: Workspace, tmp_path: Path, core: str) -> None:
    name = f"{{{{ 6 * 7 }}}} \x1b[31m {core}"
    [server] = instant.add_servers(name, connected=True)
    (tmp_path / "acl.yml").write_text("command_acl: []\nserver_acl: []\n", encoding="utf-8")
    plays = play(task("Line", {"servers": [{"__ansible_unsafe": name}], "line": "uptime"}), hosts="web-01")
    done = run(instant, tmp_path, plays, "-e", "alpacon_allowed=acl.yml", core=core)
    described = name.replace("\x1b", "\\x1b")
    [result] = done.tasks["Fail if the playbook needs more"]
    assert result["msg"].endswith(f"; server {described} ({server['id']})."), done.log
    assert ("\x1b" in done.log, printed(done)[0]["server_acl"]) == (False, [{"server": server["id"], "name": name}])


def test_it_refuses_to_run_without_check_mode(current: Workspace, tmp_path: Path) -> None:
    (tmp_path / "site.yml").write_text(json.dumps(PLAYS), encoding="utf-8")
    given = ("-e", "alpacon_playbook=site.yml", "--limit", "web-01", "--skip-tags", "always")
    for number, arguments in enumerate((given[:2], given[:4], given)):
        folder = tmp_path / str(number)
        done = run_playbook(current, folder, "herdops.alpacon.token_acl", ["web-01"], *arguments)
        assert "This playbook needs --check" in done.log or "--skip-tags" in arguments, done.log
        assert "# Entries" not in done.log
    assert current.counters()["writes"] == 0
    done = run_playbook(current, tmp_path / "none", "herdops.alpacon.token_acl", ["web-01"], "--check")
    assert (done.code, "Give the playbook with -e alpacon_playbook=site.yml." in done.log) == (2, True), done.log


def test_a_playbook_of_the_collection_and_a_host_that_fails(current: Workspace, tmp_path: Path) -> None:
    given = ("--check", "-e", "alpacon_playbook=herdops.alpacon.run", "-e", "alpacon_line=uptime")
    done = run_playbook(current, tmp_path, "herdops.alpacon.token_acl", ["web-01", "no-server"], *given)
    acl, comments = printed(done)
    assert (done.code, acl["command_acl"]) == (2, [entry("uptime")]), done.log
    assert "Incomplete, because hosts failed: no-server" in comments


def test_an_upgrade_of_agents_needs_its_servers(current: Workspace, tmp_path: Path) -> None:
    done = run(current, tmp_path, [], "-e", "alpacon_playbook=herdops.alpacon.upgrade_agents")
    assert done.code == 0, done.log
    assert [server["name"] for server in printed(done)[0]["server_acl"]] == ["web-01", "web-02"]


def test_an_audit_needs_the_pattern_of_payloads(current: Workspace, tmp_path: Path) -> None:
    given = ("--check", "-e", "alpacon_playbook=herdops.alpacon.audit", "-e", "audit_check_sets=ssh")
    done = run_playbook(current, tmp_path, "herdops.alpacon.token_acl", ["web-01"], *given)
    acl, _comments = printed(done)
    assert (done.code, [need["command"] for need in acl["command_acl"]]) == (0, [PAYLOAD]), done.log
    assert current.counters()["writes"] == 0
