# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_cores import CORES
from system.plays import play, run_playbook, task
from workspace.client import Workspace


@pytest.mark.parametrize(
    "core", [pytest.param(name, marks=() if name == "development" else pytest.mark.slow) for name in CORES]
)
def test_outputs_in_groups_are_no_templates(instant: Workspace, tmp_path: Path, core: str) -> None:
    name = f"{{{{ 6 * 7 }}}} {core}"
    instant.add_servers(name, connected=True)
    # Servers answer with their line.
    command = {"servers": [{"__ansible_unsafe": name}], "line": {"__ansible_unsafe": "{{ 6 * 7 }}"}}
    show = {"msg": "{{ item.stdout }} {{ item.servers | first }}"}
    groups = "{{ result.commands | herdops.alpacon.by_output }}"
    tasks = [
        task("Run it", command, register="result"),
        task("Show groups", show, module="ansible.builtin.debug", loop=groups),
        task("Show no groups", {"msg": "{{ result | herdops.alpacon.by_output }}"}, module="ansible.builtin.debug"),
    ]
    done = run_playbook(instant, tmp_path, play(*tasks), ["web-01"], core=core)
    [shown] = done.tasks["Show groups"]
    assert [item["msg"] for item in shown["results"]] == [f"{{{{ 6 * 7 }}}} {name}"], done.log
    assert "by_output: It needs a list of commands, not a mapping. Give commands of a result" in done.log
