# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test when an action is done by the state of its server."""

from __future__ import annotations

import time
from typing import Any

import pytest

from ansible_collections.herdops.alpacon.plugins.module_utils._api.records import Command, Server
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.jobs import Limits
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.server_actions import ActionRules
from ansible_collections.herdops.alpacon.tests.unit.support import SERVER, current_row

EARLIER = "2031-01-01T02:00:00Z"


def at(second: int) -> str:
    return f"2031-01-01T03:00:{second:02d}Z"


def show(started: str) -> Server:
    return Server.from_row({"id": SERVER, "name": "web-01", "is_connected": True, "started_at": started})


def is_done_with(reported: str, times: dict[str, Any], status: str = "running", shown_for: float = 0.0) -> bool:
    """Return True if a restart is done when the workspace has shown this start of its agent for so many seconds."""
    rules, client = ActionRules(Limits(), "restart_agent", ""), None
    unused: Any = client
    [target] = rules.make_targets([show(EARLIER)], unused, lambda server_id: {"server": server_id})
    ended = {"success": None, "exit_code": None, "result": None}
    target.job.command = Command.from_row(current_row(line="restart", status=status, **ended, **times))
    target.server = show(reported)
    target.doubted_at = time.monotonic() - shown_for if shown_for else 0.0
    rules.complete(target.job)
    return bool(target.job.outcome)


@pytest.mark.parametrize(
    ("reported", "times", "is_done"),
    [
        # The report of an earlier restart arrives after this task read the server.
        (at(9), {"added_at": at(10)}, False),
        (at(12), {"added_at": at(10), "delivered_at": at(14)}, False),
        (at(12), {"added_at": at(10), "delivered_at": at(11), "acked_at": at(14)}, False),
        (at(15), {"added_at": at(10), "delivered_at": at(11), "acked_at": at(14)}, True),
        (at(15), {"added_at": at(10)}, True),
        (EARLIER, {"added_at": "2031-01-01T01:00:00Z"}, False),
    ],
)
def test_a_start_before_the_agent_had_the_command_is_that_of_an_earlier_restart(
    reported: str, times: dict[str, Any], is_done: bool
) -> None:
    assert is_done_with(reported, times) is is_done


def test_a_queued_restart_has_caused_no_start() -> None:
    assert not is_done_with(at(15), {"added_at": at(10)}, "queued")


@pytest.mark.parametrize("status", ["running", "queued"])
def test_the_clock_of_an_agent_may_be_behind_and_its_command_may_be_unreadable(status: str) -> None:
    assert is_done_with(at(9), {"added_at": at(10)}, status, shown_for=36.0)
