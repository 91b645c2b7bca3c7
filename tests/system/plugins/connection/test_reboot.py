# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Servers that go away and come back, as after a reboot, while tasks run over the connection."""

from __future__ import annotations

from pathlib import Path

import pytest
from system.playing import Row, over_connection, task
from workspace.client import Workspace

pytestmark = pytest.mark.slow

#: Seconds, for a server that is switched off and on again.
AWAY = 4
#: The commands of the task, and none of its modules: it asks for the boot first, then comes what reboots.
ITS_COMMANDS = " command:ansible.builtin.reboot "


def boots(folder: Path, ends: str) -> Row:
    """What reboots a server of the stand-in: the next boot has another id, which a file has."""
    program = folder / "reboot.sh"
    program.write_text(f"echo begun >> {folder}/reboots\necho second > {folder}/boot\n{ends}\n", encoding="utf-8")
    (folder / "boot").write_text("first\n", encoding="utf-8")
    return {"reboot_command": f"/bin/sh {program}", "boot_time_command": f"cat {folder}/boot", "reboot_timeout": 60}


@pytest.mark.timeout(180)
@pytest.mark.parametrize("ends", ["exit 0", "exec sleep 20"], ids=["told", "silent"])
def test_a_server_that_reboots_is_waited_for(current: Workspace, tmp_path: Path, ends: str) -> None:
    current.fault("kill", line=ITS_COMMANDS, after=1, times=1, seconds=0.5, away=AWAY)
    run = over_connection(
        current,
        tmp_path,
        [
            task("Reboot", boots(tmp_path, ends), "ansible.builtin.reboot", vars={"alpacon_wait_timeout": 20}),
            {"name": "Reset", "ansible.builtin.meta": "reset_connection"},
            task("Wait", {"timeout": 30}, "ansible.builtin.wait_for_connection"),
            task("Ping", None, "ansible.builtin.ping"),
        ],
    )
    [rebooted] = run.tasks["Reboot"]
    assert (rebooted["rebooted"], rebooted["changed"]) == (True, True), run.said
    assert run.tasks["Ping"][0]["ping"] == "pong", run.said
    assert run.code == 0, run.said
    assert (tmp_path / "reboots").read_text(encoding="utf-8") == "begun\n"


def test_a_reboot_that_changes_nothing_is_told(current: Workspace, tmp_path: Path) -> None:
    options = {**boots(tmp_path, "exit 0"), "reboot_command": "/bin/true", "reboot_timeout": 4}
    run = over_connection(current, tmp_path, [task("Reboot", options, "ansible.builtin.reboot")])
    [result] = run.tasks["Reboot"]
    assert result["failed"]
    assert "Timed out waiting for last boot time check" in result["msg"]
