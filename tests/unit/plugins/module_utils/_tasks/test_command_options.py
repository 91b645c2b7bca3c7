# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Orders: which options go together, and what is refused before any request."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest

from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import UsageError
from ansible_collections.herdops.alpacon.plugins.module_utils._api.records import Server
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.run import Run
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.command import run_command
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.command_options import CommandOptions
from ansible_collections.herdops.alpacon.tests.unit.support import COMMAND, OTHER_SERVER, SERVER, command_options

LATER = "2031-01-01T03:00:00Z"


def order(**given: Any) -> CommandOptions:
    return CommandOptions.from_options(command_options(**given))


RUN: dict[str, Any] = {"servers": ["web-01"], "line": "true"}
SCHEDULE: dict[str, Any] = {**RUN, "state": "scheduled", "scheduled_at": LATER}
FINISH: dict[str, Any] = {"ids": [COMMAND], "state": "finished"}
CANCEL: dict[str, Any] = {"ids": [COMMAND], "state": "cancelled"}

BAD: list[tuple[dict[str, Any], str, str]] = [
    ({"servers": ["web-01"]}, "line", "state=executed needs it"),
    ({"line": "true"}, "servers", "state=executed needs it"),
    ({**RUN, "state": "scheduled"}, "scheduled_at", "state=scheduled needs it"),
    ({"state": "finished"}, "ids", "state=finished needs it"),
    ({"state": "cancelled", "servers": ["web-01"]}, "line", "state=cancelled needs it"),
    ({**RUN, "output_limit": -1}, "output_limit", "-1 is negative"),
    ({**RUN, "ids": [COMMAND]}, "ids", "does not go with state=executed"),
    ({**RUN, "scheduled_at": LATER}, "scheduled_at", "Use state=scheduled"),
    ({**SCHEDULE, "reuse_within": "1h"}, "reuse_within", "does not go with state=scheduled"),
    ({**FINISH, "line": "true"}, "line", "does not go with state=finished"),
    ({**CANCEL, "line": "true"}, "line", "does not go with state=cancelled"),
    ({**RUN, "wait": False, "max_concurrency": "1"}, "max_concurrency", "does not go with wait=false"),
    ({**FINISH, "max_errors": "1"}, "max_errors", "does not go with state=finished"),
    ({**FINISH, "offline": "skip"}, "offline", "does not go with state=finished"),
    ({**RUN, "line": "x" * 2049}, "line", "give that as script"),
    ({**RUN, "line": "  "}, "line", "is empty"),
    ({**RUN, "servers": ["web-01", " "]}, "servers", "one of them is empty"),
    ({**SCHEDULE, "scheduled_at": "2031-01-01T03:00:00"}, "scheduled_at", "has no zone"),
    ({**FINISH, "ids": ["web-01"]}, "ids", "is not a UUID"),
    ({**RUN, "run_after": ["first"]}, "run_after", "is not a UUID"),
    ({**RUN, "purpose": " "}, "purpose", "1 characters"),
    ({**RUN, "env": {"A": 1}}, "env", "is not a string"),
    ({**RUN, "wait_timeout": "0"}, "wait_timeout", "0 is no time to wait. Give a duration such as 90s. Set wait to f"),
    ({**RUN, "max_concurrency": "0"}, "max_concurrency", "too small"),
    ({**RUN, "max_errors": "few"}, "max_errors", "neither a number nor a percentage"),
    ({**RUN, "success_codes": []}, "success_codes", "every command would count as failed"),
]


@pytest.mark.parametrize(("given", "option", "words"), BAD)
def test_options_that_are_refused(given: dict[str, Any], option: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        order(**given)
    assert caught.value.option == option
    assert words in str(caught.value)


def test_values_are_read() -> None:
    read = order(
        servers=[" web-01 ", SERVER],
        line="true",
        reuse_within="1h",
        wait_timeout="5m",
        max_concurrency="50%",
        max_errors="10%",
        success_codes=[0, 3],
    )
    assert read.servers == ["web-01", SERVER]
    assert read.username is None
    assert read.reuse_within == 3600
    limits = read.limits
    assert (limits.wait, limits.wait_timeout, limits.max_concurrency, limits.max_errors) == (True, 300, 1, 0)
    assert not order(**RUN, wait=False).limits.wait
    assert limits.success_codes == {0, 3}


@pytest.mark.parametrize(
    ("given", "progress", "silent"),
    [
        (RUN, False, False),
        ({**RUN, "servers": ["web-01", "web-02"]}, True, False),
        ({**FINISH, "ids": [COMMAND, SERVER]}, True, False),
        ({**RUN, "progress": True}, True, False),
        ({**RUN, "servers": ["web-01", "web-02"], "progress": False}, False, True),
    ],
)
def test_progress_is_told_of_several_unless_the_task_says_otherwise(
    given: dict[str, Any], progress: bool, silent: bool
) -> None:
    assert (order(**given).progress, order(**given).silent) == (progress, silent)


def test_a_body_has_the_published_fields_alone_unless_more_is_asked_for() -> None:
    assert order(**RUN).body(Server(SERVER, "web-01")) == {
        "server": SERVER,
        "shell": "system",
        "line": "true",
        "username": "",
        "groupname": "",
        "scheduled_at": None,
    }


def test_a_body_with_everything() -> None:
    full = order(
        **SCHEDULE,
        shell="osquery",
        username="root",
        groupname="wheel",
        env={"A": "b"},
        run_after=[COMMAND.upper()],
        work_session=OTHER_SERVER,
        purpose="since",
    )
    assert full.time == datetime(2031, 1, 1, 3, tzinfo=timezone.utc)
    assert full.body(Server(SERVER)) == {
        "server": SERVER,
        "shell": "osquery",
        "line": "true",
        "username": "root",
        "groupname": "wheel",
        "scheduled_at": LATER,
        "env": {"A": "b"},
        "run_after": [COMMAND],
        "work_session": OTHER_SERVER,
        "purpose": "since",
    }


def test_a_url_in_the_clear_is_warned_about() -> None:
    warnings: list[str] = []
    with pytest.raises(UsageError):
        run_command(command_options(url="http://workspace.invalid", servers=[]), Run(warn=warnings.append))
    [warning] = warnings
    assert "unencrypted" in warning
