# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test what the results of upgrades say."""

from __future__ import annotations

import pytest

from ansible_collections.herdops.alpacon.plugins.module_utils._api.records import Command
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.upgrade_results import (
    UpgradeResult,
    parse_upgrade,
)
from ansible_collections.herdops.alpacon.tests.unit.support import current_row

NOTHING, PACKAGE, PINNED = UpgradeResult.NOTHING, UpgradeResult.PACKAGE, UpgradeResult.PINNED
UNSTATED = UpgradeResult.UNSTATED
IN_PROGRESS, REFUSED, UNKNOWN = UpgradeResult.IN_PROGRESS, UpgradeResult.REFUSED, UpgradeResult.UNKNOWN
APT = "Hit:1 https://packages.example.com/alpacax/alpamon/any any InRelease\nReading state information...\n"

ZYPPER = (
    "No update candidate for 'alpamon-{}'. The highest available version is already installed.\n"
    "Resolving package dependencies...\n"
)


def parse(result: str | None, running: str | None = "2.5.0", code: int = 0) -> tuple[UpgradeResult, str]:
    status = "failed" if code else "success"
    row = current_row(line="upgrade", status=status, success=not code, exit_code=code, result=result)
    return parse_upgrade(Command.from_row(row), running)


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        ("Already up-to-date (alpamon: 2.5.0, pam: not installed)", NOTHING),
        ("Already up-to-date", NOTHING),
        ("Already running v2.5.0.", NOTHING),
        ("Already running 2.5.0", NOTHING),
        (f"{APT}alpamon is already the newest version (2.5.0).\n0 upgraded", NOTHING),
        ("alpamon is already the newest version (2.5.0-1).", NOTHING),
        (f"{APT}alpamon-pam is already the newest version (1.2.0).\n0 upgraded, 0 newly installed", NOTHING),
        ("Last metadata expiration check\nDependencies resolved.\nNothing to do.\nComplete!", UNSTATED),
        ("Loaded plugins: fastestmirror\nNo packages marked for update\n", UNSTATED),
        (f"{ZYPPER.format('2.5.0-1.x86_64')}Nothing to do.", NOTHING),
        (f"{ZYPPER.format('2.6.0-1.x86_64')}Nothing to do.", PACKAGE),
        # One of the two packages is installed, the other is current.
        ("Nothing to do.\n(1/2) Installing: alpamon-2.6.0-1.x86_64 [done]", PACKAGE),
        ("Nothing to do.\nComplete!\n  Upgrading        : alpamon-2.6.0-1.x86_64   1/2", PACKAGE),
        ("No packages marked for update\n  Updating   : alpamon-2.6.0-1.x86_64   1/2", PACKAGE),
        ("Loading repository data...\nzypper exited 0 but alpamon (still 2.5.0-1) did not move. It may", NOTHING),
        # The package of an earlier upgrade, whose timer has not restarted the agent yet.
        ("Already running v2.6.0.", PACKAGE),
        ("alpamon is already the newest version (2.5.01).", PACKAGE),
        ("alpamon is already the newest version (2.6.0~rc1).", PACKAGE),
        ("Nothing to do.\n\nzypper exited 0 but alpamon (still 2.6.0-1), alpamon-pam (still 1-1) did not", PACKAGE),
        (
            f"{APT}alpamon-pam is already the newest version (1).\nalpamon is already the newest version (2.6.0).",
            PACKAGE,
        ),
        ("libalpamon is already the newest version (1).\nSetting up alpamon (2.6.0) ...", PACKAGE),
        ("alpamon-pam is already the newest version (2.5.0).\nSetting up alpamon (2.6.0) ...", PACKAGE),
        ("alpamon is already the newest version (2.5.0).\nSetting up alpamon-pam (1.3.0) ...", PACKAGE),
        ("Upgrade already in progress.", IN_PROGRESS),
        ("Self-update already in progress.", IN_PROGRESS),
        ("", UNKNOWN),
        (None, UNKNOWN),
    ],
)
def test_a_command_that_succeeded(result: str | None, expected: UpgradeResult) -> None:
    assert parse(result) == (expected, "")


def test_a_pinned_upgrade_states_its_version() -> None:
    assert parse("Updated to v2.6.0. Restarting ...") == (PINNED, "2.6.0")
    assert parse("Updated to 2.6.0-rc1. Restarting...") == (PINNED, "2.6.0-rc1")


def test_a_command_that_failed_or_has_not_ended() -> None:
    assert parse("Upgrade refused: another one has not ended. Retry once it completes.", code=1)[0] is REFUSED
    assert parse("Upgrade to 2.6.0 failed (health): no. Reinstalled the previous version 2.5.0.", code=1)[0] is UNKNOWN
    assert parse("Already up-to-date", code=1)[0] is UNKNOWN
    running = current_row(line="upgrade", status="running", success=None, exit_code=None, result=None)
    assert parse_upgrade(Command.from_row(running), "2.5.0")[0] is UNKNOWN
    assert parse_upgrade(None, "2.5.0")[0] is UNKNOWN


def test_an_agent_of_unknown_version() -> None:
    assert parse("Already up-to-date (alpamon: 2.5.0, pam: not installed)", running=None)[0] is NOTHING
