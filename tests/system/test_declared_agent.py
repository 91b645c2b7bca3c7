# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Declare who asks, in each request that any plugin sends to the workspace, and in none to its object storage."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from system.plays import play, run_playbook, task
from workspace.client import Workspace

from ansible_collections.herdops.alpacon.plugins.module_utils._api.settings import VERSION
from ansible_collections.herdops.alpacon.tests.unit.support import ROOT

pytestmark = pytest.mark.slow

JOB = f"herdops.alpacon/{VERSION} (AWX job 42)"
VARIABLE = "alpacon_declared_agent_name"
HEADER = "x-alpacon-declared-agent-name"
#: Routes that only one of the plugins uses.
ROUTES = {"GET /api/servers/servers/", "POST /api/events/commands/", "POST /api/webftp/uploads/"}


def test_the_guide_states_the_declared_name_and_the_variable() -> None:
    guide = (ROOT / "docs/docsite/rst/awx.rst").read_text(encoding="utf-8")
    assert f"``{JOB.replace(VERSION, 'VERSION')}``" in guide
    assert f"``{VARIABLE}``" in guide


@pytest.mark.parametrize("way", ["job", "environment", "variable"])
def test_all_plugins_declare_the_job_of_awx_or_the_name_that_is_set(
    current: Workspace, tmp_path: Path, way: str
) -> None:
    expected = JOB if way == "job" else "nightly patches"
    inventory = tmp_path / "my.alpacon.yml"
    inventory.write_text("plugin: herdops.alpacon.alpacon\n", encoding="utf-8")
    upload = {"src": str(inventory), "dest": str(tmp_path / "uploaded"), "state": "uploaded"}
    tasks = [
        task("Module", {"line": "echo module", "progress": True}),
        task("Shipped module", {"line": "echo shipped"}, delegate_to="localhost"),
        task("Lookup", {"msg": "{{ query('herdops.alpacon.alpacon_command', 'web-01') }}"}, "ansible.builtin.debug"),
        task("Connection", "true", "ansible.builtin.command"),
        task("Transfer", upload, "herdops.alpacon.alpacon_file"),
    ]
    python = {"ansible_python_interpreter": "{{ ansible_playbook_python }}"}
    plays = play(*tasks, hosts="web-01")
    plays[0] |= {"connection": "herdops.alpacon.alpacon", "vars": python}
    awx = {"AWX_JOB_ID": "42", "AWX_PRIVATE_DATA_DIR": "/runner"}
    own = {VARIABLE.upper(): expected} if way == "environment" else {}
    extra = ["-e", json.dumps({VARIABLE: expected})] if way == "variable" else []
    done = run_playbook(current, tmp_path, plays, None, "-i", str(inventory), *extra, **awx, **own)
    assert not any(result["failed"] for results in done.tasks.values() for result in results), done.log
    log = current.log()
    assert {entry["route"] for entry in log} >= ROUTES
    assert {entry["headers"].get(HEADER) for entry in log} == {expected}
    assert {row["declared_agent"] for row in current.commands()} == {expected}
    stored = [entry for entry in current.storage()["log"] if "alpamon" not in entry["headers"].get("user-agent", "")]
    assert stored
    assert not any(HEADER in entry["headers"] for entry in stored)
