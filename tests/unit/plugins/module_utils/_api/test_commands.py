# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The commands API: what is submitted in time, and what makes two commands the same."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.herdops.alpacon.plugins.module_utils._api.commands import Match, submit
from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import TimeHasPassed
from ansible_collections.herdops.alpacon.plugins.module_utils._api.records import Command
from ansible_collections.herdops.alpacon.plugins.module_utils._api.response import ApiResponse
from ansible_collections.herdops.alpacon.tests.unit.support import (
    OTHER_SERVER,
    SERVER,
    Row,
    current_row,
    old_row,
)

NOW = datetime(2026, 11, 24, 12, tzinfo=timezone.utc)


@pytest.mark.parametrize(("ahead", "is_sent"), [(1, True), (0, False), (-1, False)])
def test_what_is_due_is_not_submitted_any_more(ahead: int, is_sent: bool) -> None:
    def write(_method: str, _path: str, _body: Row, before_each: Callable[[], None]) -> ApiResponse:
        before_each()
        return ApiResponse(201, current_row(added_at=None), 0.0, 0.0)

    client: Any = SimpleNamespace(write=write, clock=SimpleNamespace(now=lambda: NOW))
    body = {"scheduled_at": (NOW + timedelta(microseconds=ahead)).isoformat()}
    with contextlib.nullcontext() if is_sent else pytest.raises(TimeHasPassed):
        assert submit(client, body).line == "uptime"


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
