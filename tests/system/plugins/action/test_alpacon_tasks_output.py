# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Callbacks show the tasks that ran in batches."""

from __future__ import annotations

import importlib.metadata
import json
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path

import ansible_cores
import pytest
from collection_tree import BUILD
from system.plays import Play, Row, environment, run_over_connection, start_process, write_inputs
from system.plays import play as make_play
from workspace.client import Workspace

MODULE = "herdops.alpacon.alpacon_tasks"
TASKS: list[Row] = [
    {"name": "Changes", "ansible.builtin.command": "echo <&> \u001b[31m"},
    {"name": "Loops", "ansible.builtin.command": "echo {{ item }}", "loop": ["a", "b"], "changed_when": False},
    {"name": "Is skipped", "ansible.builtin.command": "true", "when": False},
    {"name": "Is hidden", "ansible.builtin.command": "echo secret", "no_log": True},
    {"name": "Fails and is ignored", "ansible.builtin.command": "false", "ignore_errors": True},
    {"name": "Fails", "ansible.builtin.command": "false"},
]
STATUSES = {
    "Changes": "changed",
    "Loops": "ok",
    "Is skipped": "skipped",
    "Is hidden": "changed",
    "Fails and is ignored": "ignored",
    "Fails": "failed",
}
#: Beginnings of warnings of ansible-core about a callback that raised an error.
CALLBACK_ERRORS = ("Callback dispatch", "Failure using method", "callback plugin")
ARA = "ara[server]==1.8.0"
READ_ARA = """
import json
from ara.clients import utils
client = utils.get_client(client="offline", run_sql_migrations=False)
[result] = client.get("/api/v1/results")["results"]
print(json.dumps(client.get(f"/api/v1/results/{result['id']}")))
"""


def write_task(folder: Path) -> Row:
    """Return a task that runs the tasks in batches."""
    (folder / "tasks.yml").write_text(json.dumps(TASKS), encoding="utf-8")
    return {"name": "Outer", MODULE: {"file": str(folder / "tasks.yml")}}


def find_callback_errors(play: Play) -> list[str]:
    return [line for line in play.log.splitlines() if any(word in line for word in CALLBACK_ERRORS)]


def read_statuses(result: Row) -> dict[str, str]:
    return {row["name"]: row["status"] for row in result["tasks"]}


@pytest.mark.slow
def test_junit_has_the_tasks_in_the_output_of_a_test_case(current: Workspace, tmp_path: Path) -> None:
    environ = {"ANSIBLE_CALLBACKS_ENABLED": "junit", "JUNIT_OUTPUT_DIR": str(tmp_path / "junit")}
    outer = write_task(tmp_path)
    play = run_over_connection(current, tmp_path, [{**outer, "ignore_errors": True}, outer], **environ)
    assert find_callback_errors(play) == []
    [file] = (tmp_path / "junit").glob("*.xml")
    ignored, failed = ET.parse(file).iter("testcase")
    assert read_statuses(json.loads(ignored.findtext("system-out", ""))) == {**STATUSES, "Fails": "ignored"}
    # Of a task that fails, the callback only keeps the message.
    [error] = failed.iter("error")
    assert "'Fails'" in error.attrib["message"]
    assert "secret" not in file.read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["json", "yaml"])
def test_ansible_core_prints_each_task_as_an_item(current: Workspace, tmp_path: Path, layout: str) -> None:
    environ = {"ANSIBLE_CALLBACK_RESULT_FORMAT": layout}
    play = run_over_connection(current, tmp_path, [write_task(tmp_path)], ["web-01"], "-v", **environ)
    assert find_callback_errors(play) == []
    lines = play.log.splitlines()
    for name, status in STATUSES.items():
        words = {"skipped": "skipping:", "ignored": "failed:"}
        shown = [line for line in lines if f"(item={name})" in line]
        assert [line.split()[0] for line in shown] == [words.get(status, f"{status}:")], name
    assert "echo secret" not in play.log
    assert "\u001b" not in play.log


@pytest.mark.slow
def test_ara_records_the_tasks_in_a_result(current: Workspace, tmp_path: Path) -> None:
    place = BUILD / "ara"
    packages = [ARA, *(f"{name}=={importlib.metadata.version(name)}" for name in ("ansible-core", "requests"))]
    ansible_cores.install(place, ">=3.12", packages)
    [plugins] = place.glob("lib/python3*/site-packages/ara/plugins/callback")
    environ = environment(
        current,
        tmp_path,
        ANSIBLE_CALLBACK_PLUGINS=str(plugins),
        ANSIBLE_CALLBACKS_ENABLED="ara_default",
        ARA_BASE_DIR=str(tmp_path / "ara"),
    )
    connection = {"ansible_connection": "herdops.alpacon.alpacon"}
    python = {"ansible_python_interpreter": "{{ ansible_playbook_python }}"}
    inventory = {"all": {"hosts": {"web-01": {**connection, **python}}}}
    arguments = write_inputs(tmp_path, make_play(write_task(tmp_path)), inventory)
    play = start_process([str(place / "bin/ansible-playbook"), *arguments], tmp_path, environ).end()
    assert find_callback_errors(play) == []
    read = subprocess.run(
        [str(place / "bin/python"), "-c", READ_ARA], env=environ, check=True, capture_output=True, text=True
    )
    result = json.loads(read.stdout.splitlines()[-1])
    assert result["status"] == "failed"
    assert read_statuses(result["content"]) == STATUSES


@pytest.mark.slow
def test_a_handler_that_nothing_has_is_an_error_as_in_an_include(current: Workspace, tmp_path: Path) -> None:
    inner = [{"name": "Notifies", "ansible.builtin.command": "true", "notify": "Nobody"}]
    file = str(tmp_path / "tasks.yml")
    Path(file).write_text(json.dumps(inner), encoding="utf-8")
    plays = {
        name: run_over_connection(current, tmp_path / name, [{"name": name, module: options}])
        for name, module, options in (
            ("Ordinary", "ansible.builtin.include_tasks", file),
            ("Batched", MODULE, {"file": file}),
        )
    }
    words = "The requested handler 'Nobody' was not found"
    assert [words in play.log for play in plays.values()] == [True, True]
    assert plays["Batched"].code == plays["Ordinary"].code
