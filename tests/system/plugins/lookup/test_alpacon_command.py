# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lookup of the latest command of servers, through Ansible itself."""

from __future__ import annotations

from pathlib import Path

from system.playing import play_out
from workspace.client import Workspace

from ansible_collections.herdops.alpacon.tests.unit.support import Row


def test_a_loop_over_it(current: Workspace, tmp_path: Path) -> None:
    servers = ["web-01", "web-02"]
    current.add_commands([{"server": name, "status": "success", "result": name, "added_at": -99} for name in servers])
    looped: Row = {
        "name": "loop",
        "ansible.builtin.debug": {"msg": "{{ item }}"},
        "with_herdops.alpacon.alpacon_command": servers,
    }
    shown = {"msg": "{{ query('herdops.alpacon.alpacon_command', 'web-02, web-01') }}"}
    tasks = [looped, {"name": "commas", "ansible.builtin.debug": shown}]
    play = play_out(current, tmp_path, [{"hosts": "all", "gather_facts": False, "tasks": tasks}], ["here"])
    assert play.code == 0, play.said
    assert [result["msg"] for result in play.tasks["loop"][0]["results"]] == servers
    assert [result["msg"] for result in play.tasks["commas"]] == [["web-02", "web-01"]]
