# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run the example of the guide Reviewing whose sudo a person decides on, for several hosts of a play."""

from __future__ import annotations

import threading
from pathlib import Path

import yaml
from system.plays import play, run_playbook, wait_until
from system.support import AGENTS
from workspace.client import Workspace

from ansible_collections.herdops.alpacon.tests.unit.support import Row, read_code_blocks


def test_each_host_awaits_its_own_decision(current: Workspace, tmp_path: Path) -> None:
    [block] = [block for block in read_code_blocks("reviewing", "yaml") if "line: sudo" in block]
    [entry] = yaml.safe_load(block.replace("systemctl reload nginx", "echo reloaded"))
    current.settings(sudo_holds=[{}])

    def held() -> list[Row]:
        return [row for row in current.commands() if row["sudo_grant_status"] == "pending_approval"]

    def decide() -> None:
        wait_until(lambda: len(held()) == len(AGENTS))
        for row in held():
            current.decide(row["id"], "reject" if row["server"] == "web-03" else "approve")

    thread = threading.Thread(target=decide)
    thread.start()
    hosts = {"all": {"hosts": dict.fromkeys(AGENTS)}}
    done = run_playbook(current, tmp_path, play(entry), hosts)
    thread.join()
    outcomes = [(row["outcome"], row["stdout"]) for row in done.tasks["Reload the web server"]]
    assert sorted(row[0] for row in outcomes) == ["rejected", "success", "success"], done.log
    assert ("success", "reloaded") in outcomes
    runs = {row["server"]: row["run_count"] for row in current.commands() if row["run_count"]}
    assert runs == {"web-01": 1, "web-02": 1}
    assert len(current.commands()) == 5
