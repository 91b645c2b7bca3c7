# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Servers that go away and come back, as after a reboot, while tasks run over the connection."""

from __future__ import annotations

from pathlib import Path

import pytest
from system.playing import over_connection, task
from workspace.client import Workspace

pytestmark = pytest.mark.slow

#: Seconds, for a server that is switched off and on again.
AWAY = 4
#: The commands of the task, and none of its modules: it asks for the boot first, then comes what reboots.
ITS_COMMANDS = " command:ansible.builtin.reboot "


@pytest.mark.timeout(180)
def test_a_server_that_reboots_is_waited_for(current: Workspace, tmp_path: Path) -> None:
    program = tmp_path / "reboot.sh"
    # The next boot has another id, and nobody hears of the end of this one.
    program.write_text(f"echo begun >> {tmp_path}/reboots\necho second > {tmp_path}/boot\nexec sleep 20\n")
    (tmp_path / "boot").write_text("first\n", encoding="utf-8")
    boots = {"reboot_command": f"/bin/sh {program}", "boot_time_command": f"cat {tmp_path}/boot", "reboot_timeout": 60}
    current.fault("kill", line=ITS_COMMANDS, after=1, times=1, seconds=0.5, away=AWAY)
    run = over_connection(
        current,
        tmp_path,
        [
            task("Reboot", boots, "ansible.builtin.reboot", vars={"alpacon_wait_timeout": 20}),
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
