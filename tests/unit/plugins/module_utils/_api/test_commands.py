# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The commands API: submit, find again, cancel, output and walks."""

from __future__ import annotations

import pytest

from ansible_collections.herdops.alpacon.plugins.module_utils._api.commands import (
    Match,
)
from ansible_collections.herdops.alpacon.plugins.module_utils._api.records import Command
from ansible_collections.herdops.alpacon.tests.unit.support import (
    OTHER_SERVER,
    SERVER,
    Row,
    current_row,
    old_row,
)

# Find again


@pytest.mark.parametrize(
    ("match", "matches"),
    [
        (Match(), True),
        (Match(SERVER, "uptime", "system", "root", "root"), True),
        (Match(line=" uptime "), True),
        (Match(OTHER_SERVER), False),
        (Match(line="uptime -s"), False),
        (Match(shell="osquery"), False),
        (Match(username="bob"), False),
        (Match(groupname="wheel"), False),
    ],
)
@pytest.mark.parametrize("row", [current_row(), old_row("Queued")])
def test_what_makes_two_commands_the_same(match: Match, matches: bool, row: Row) -> None:
    assert match.matches(Command.from_row(row)) is matches


def test_a_user_that_a_row_does_not_name_is_no_difference() -> None:
    row = old_row("Queued", username=None, groupname=None)
    assert Match(SERVER, "uptime", "system", "root", "root").matches(Command.from_row(row))
