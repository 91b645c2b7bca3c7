# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test which commands of its own run a scheduling task does not expect in lists."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.command_options import CommandOptions
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.scheduled import list_recently_submitted
from ansible_collections.herdops.alpacon.tests.unit.support import COMMAND, FAR, SERVER, command_options, current_row

NOW = datetime(2026, 12, 1, 12, tzinfo=timezone.utc)


def ago(seconds: float) -> str:
    return (NOW - timedelta(seconds=seconds)).isoformat()


@pytest.mark.parametrize(
    ("row", "is_recent"),
    [
        ({}, True),
        ({"added_at": None}, False),
        ({"added_at": ago(29)}, True),
        ({"added_at": ago(31)}, False),
        ({"line": "uptime"}, False),
        ({"scheduled_at": ago(1)}, False),
        ({"gone": True}, False),
    ],
)
def test_matching_commands_of_the_last_seconds(row: dict[str, Any], is_recent: bool) -> None:
    given = {"servers": [SERVER], "state": "scheduled", "line": "reboot", "scheduled_at": FAR}
    rows = {COMMAND: current_row(**{"line": "reboot", "scheduled_at": FAR, "added_at": ago(1), **row})}
    task: Any = SimpleNamespace(
        client=SimpleNamespace(clock=SimpleNamespace(now=lambda: NOW)),
        options=CommandOptions.from_options(command_options(**given)),
        read_submitted=lambda: rows,
    )
    assert [command.id for command in list_recently_submitted(task)] == [COMMAND] * is_recent
