# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""alpacon_server_action in plays over many hosts: requests."""

from __future__ import annotations

from pathlib import Path

import pytest
from system.plays import play, run_playbook, task
from system.support import count_methods
from workspace.client import Workspace

MODULE = "herdops.alpacon.alpacon_server_action"
HOSTS = [f"app-{number:02d}" for number in range(10)]


@pytest.mark.slow
@pytest.mark.parametrize("action", ["restart_agent", "upgrade_agent"])
def test_ten_hosts_share_their_polls(current: Workspace, tmp_path: Path, action: str) -> None:
    current.add_servers(*HOSTS, agent=True)
    current.wait_connected(*HOSTS)
    current.settings(offered_version="2.6.0", restart_delay=6.0)
    done = run_playbook(current, tmp_path, play(task("act", {"action": action}, MODULE)), HOSTS, "--forks", "10")
    assert done.code == 0, done.log
    assert [row["outcome"] for row in done.tasks["act"]] == ["success"] * 10
    assert count_methods(current)["POST"] == 10
    # Without sharing, these are 70 for a restart, and 50 for an upgrade.
    assert count_methods(current)["GET"] <= 30
