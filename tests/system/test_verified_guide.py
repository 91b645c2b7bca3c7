# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test verified scripts in playbooks: the example of the guide Reviewing, and run, schedule and cancel."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from system.plays import play, run_playbook, task
from system.support import AGENTS
from workspace.client import Workspace

from ansible_collections.herdops.alpacon.tests.unit.support import FAR, Row, read_code_blocks

SCRIPTS = {
    "tidy.sh": "#!/bin/sh\necho tidy $*\n",
    "renew.sh": "echo renew\n",
    "report.py": "#!/usr/bin/python3\nprint(6 * 7)\n",
}
COMMAND = "herdops.alpacon.alpacon_command"


@pytest.fixture
def example(current: Workspace, tmp_path: Path) -> list[Row]:
    current.settings(file_roots=True, file_review=True)
    for name in AGENTS:
        current.change_server(name, version="2.8.3")
    (tmp_path / "files").mkdir()
    for name, content in SCRIPTS.items():
        (tmp_path / "files" / name).write_text(content, encoding="utf-8")
    [block] = [block for block in read_code_blocks("reviewing", "yaml") if "verified: true" in block]
    plays: list[Row] = yaml.safe_load(block)
    return plays


def test_a_token_runs_three_scripts_and_nothing_else(current: Workspace, tmp_path: Path, example: list[Row]) -> None:
    hosts = {"all": {"children": {"web": {"hosts": dict.fromkeys(AGENTS)}}}}
    names = [entry["name"] for entry in example[0]["tasks"]]
    # A person runs it, and approves each script on each server.
    for entry in example[0]["tasks"]:
        entry["ignore_errors"] = True
    held = run_playbook(current, tmp_path, example, hosts)
    assert {row.get("outcome", row["msg"]) for name in names for row in held.tasks[name]} == {"awaiting_approval"}, (
        held.log
    )
    for row in current.commands():
        if row["status"] == "awaiting_approval":
            current.decide(row["id"], "approve", days=90)
    # The playbook token_acl prints the lines.
    (tmp_path / "nightly.yml").write_text(yaml.safe_dump(example), encoding="utf-8")
    printed = run_playbook(
        current, tmp_path, "herdops.alpacon.token_acl", hosts, "--check", "-e", "alpacon_playbook=nightly.yml"
    )
    acl = yaml.safe_load(printed.log[printed.log.index("# Entries") :])
    lines = [entry["command"] for entry in acl["command_acl"]]
    assert len(lines) == len(acl["file_acl"]) == 3
    assert all("*" not in line for line in lines)
    # A token with these lines, and without those of file_acl, runs it every night.
    token = current.add_token("nightly", "admin", acl=lines, file_acl=[])
    uploads = len(current.transfers())
    others = [
        task("Line", {"line": "id", "username": "root"}),
        task("Arguments", {"script": "tidy.sh --days 1", "verified": True, "username": "root"}),
        task("Script", {"script": "renew.sh", "username": "root"}),
        task("Program", {"argv": ["id"], "username": "root"}),
        task("File", {"content": "x", "dest": f"/root/{lines[0].rpartition('/')[2]}"}, "herdops.alpacon.alpacon_file"),
    ]
    for entry in others:
        entry["ignore_errors"] = True
    done = run_playbook(current, tmp_path, [*example, *play(*others, hosts="web")], hosts, ALPACON_TOKEN=token)
    outputs = {name: {row["stdout"] for row in done.tasks[name][-len(AGENTS) :]} for name in names}
    assert outputs == {names[0]: {"tidy --days 30"}, names[1]: {"renew"}, names[2]: {"42"}}
    assert {row["outcome"] for entry in others for row in done.tasks[entry["name"]]} == {"refused"}
    assert len(current.transfers()) == uploads
    assert "awaiting_approval" not in {row["status"] for row in current.commands()}


def test_the_playbooks_take_verified_scripts(current: Workspace, tmp_path: Path) -> None:
    current.settings(file_roots=True)
    current.change_server("web-01", version="2.8.3")
    (tmp_path / "check.sh").write_text("echo checked $1\n", encoding="utf-8")
    script = {"alpacon_servers": "web-01", "alpacon_script": "check.sh it", "alpacon_verified": True}
    given = ("-e", json.dumps({**script, "alpacon_username": "root"}))
    due = ("-e", f"alpacon_scheduled_at={FAR}")
    done = run_playbook(current, tmp_path, "herdops.alpacon.run", None, *given)
    assert "    checked it" in done.log, done.log
    scheduled = run_playbook(current, tmp_path, "herdops.alpacon.schedule", None, *given, *due)
    assert scheduled.code == 0, scheduled.log
    cancelled = run_playbook(current, tmp_path, "herdops.alpacon.cancel", None, *given, *due)
    assert cancelled.code == 0, cancelled.log
    assert [row["status"] for row in current.commands() if row["shell"] == "file"] == ["success", "cancelled"]
