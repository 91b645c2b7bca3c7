# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Decide whether a line or argv certainly does nothing but a single sudo."""

from __future__ import annotations

import shlex

import pytest

from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.held_sudo import is_sudo, is_sudo_line


@pytest.mark.parametrize(
    "line",
    [
        "sudo systemctl restart nginx",
        "sudo -n -u postgres psql -c 'select 1'",
        "/usr/bin/sudo -- /usr/sbin/reboot",
        "sudo apt-get install -y 'a b'",
    ],
)
def test_a_single_sudo(line: str) -> None:
    assert is_sudo_line(line)
    assert is_sudo(shlex.split(line))


@pytest.mark.parametrize(
    "line",
    [
        "",
        "sudo",
        "id",
        "sudo -u root",
        "a; sudo b",
        "sudo a && sudo b",
        "sudo a & sudo b",
        "sudo a\nsudo b",
        "sudo a | tee b",
        "sudo a > b",
        "sudo echo $(id)",
        'sudo echo "`id`"',
        "sudo echo 'a;b'",
        "sudo echo a\\;b",
        "sudo echo 'open",
        "A=1 sudo b",
        "env sudo b",
        "pseudo b",
    ],
)
def test_a_line_that_may_do_more(line: str) -> None:
    assert not is_sudo_line(line)


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["sudo", "-s"],
        ["sudo", "-i"],
        ["sudo", "-b", "id"],
        ["sudo", "A=1", "id"],
        ["sudo", "sh", "-c", "id"],
        ["sudo", "/bin/bash", "x"],
        ["sudo", "python3", "x.py"],
        ["sudo", "xargs", "id"],
        ["sudo", "/opt/deploy"],
        ["sudo", "./deploy"],
        ["sudo", "systemd-run", "id"],
        ["sudo", "apt-get", "-o", "X=sudo id"],
    ],
)
def test_a_sudo_that_may_run_another(argv: list[str]) -> None:
    assert not is_sudo(argv)
