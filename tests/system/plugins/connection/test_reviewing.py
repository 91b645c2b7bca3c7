# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the guide for reviewers says of commands of the connection plugin, and of the token that may run them."""

from __future__ import annotations

import getpass
import re
from pathlib import Path

from system.inventories import Source
from workspace.client import Workspace

from ansible_collections.herdops.alpacon.tests.unit.support import ROOT

GUIDE = (ROOT / "docs/docsite/rst/reviewing.rst").read_text(encoding="utf-8")
[PATTERN] = re.findall(r"^    (/bin/sh -c \$RUN \*)$", GUIDE, re.MULTILINE)
LINE = re.compile(r"/bin/sh -c \$RUN (command|module):ansible\.builtin\.ping sha256:[0-9a-f]{64}")
HOST = ("web-01", "-m")


def test_the_one_pattern_is_enough_and_lets_no_other_line_through(current: Workspace, tmp_path: Path) -> None:
    source = Source(current, tmp_path)
    source.write(connection=True)
    current.settings(acl={"admin": [PATTERN]})
    pinged = source.run(*HOST, "ansible.builtin.ping", program="ansible")
    assert pinged.code == 0, pinged.out + pinged.said
    plain = source.run(*HOST, "herdops.alpacon.alpacon_command", "-a", "line=uptime", program="ansible")
    assert plain.code != 0
    assert "The access list of this token does not allow that command" in plain.out + plain.said
    for row in current.commands():
        assert re.fullmatch(
            r"/bin/sh -c \$RUN (command|module):ansible\.builtin\.ping sha256:[0-9a-f]{64}", row["line"]
        )
        assert row["purpose"] == (
            f"Ansible task ansible.builtin.ping of play Ansible Ad-Hoc, played by {getpass.getuser()}"
        )
