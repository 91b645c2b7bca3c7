# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How much is kept of an output, and what never is cut."""

from __future__ import annotations

import pytest

from ansible_collections.herdops.alpacon.plugins.module_utils._api.outputs import (
    Output,
    blames_account,
    explain_never_began,
    limit_output,
)
from ansible_collections.herdops.alpacon.plugins.module_utils._api.records import Command
from ansible_collections.herdops.alpacon.tests.unit.support import Row, current_row

RAN = Command.from_row(current_row(status="success", success=True, exit_code=0))
FAILED = Command.from_row(current_row(status="failed", success=False, exit_code=1))
NO_USER = "there is no corresponding deploy username in this server"
CASCADE = "cancelled due to prior command failure"


@pytest.mark.parametrize(
    ("text", "stderr", "limit", "kept", "left_out"),
    [
        ("0123456789\r\n", "abc", 9, ("123456789", "abc"), "1 character"),
        ("안녕하세요", "", 2, ("세요", ""), "3 characters"),
        ("0123456789", "0123456789", 4, ("6789", "6789"), "12 characters"),
    ],
)
def test_each_stream_keeps_its_end(text: str, stderr: str, limit: int, kept: tuple[str, str], left_out: str) -> None:
    output = limit_output(RAN, Output(text, stderr=stderr), limit)
    assert (output.text, output.stderr, output.complete) == (*kept, False)
    assert output.note == f"output_limit cut {left_out} off the start of its output."


@pytest.mark.parametrize(("text", "limit"), [("0123\n", 4), ("\n", 0), ("", 0), ("0123456789", None)])
def test_an_output_within_the_limit_stays_as_it_is(text: str, limit: int | None) -> None:
    assert limit_output(RAN, Output(text), limit) == Output(text)


def test_what_tells_that_a_line_never_ran_is_not_cut() -> None:
    dropped = Command.from_row(
        current_row(status="failed", success=False, result=CASCADE, delivered_at=None, acked_at=None, handled_at=None)
    )
    assert dropped.ran is False
    assert limit_output(dropped, Output(CASCADE), 3).text == CASCADE
    assert limit_output(FAILED, Output(f"alpamon: {NO_USER}", refused="no account"), 3).text == f"alpamon: {NO_USER}"
    assert limit_output(FAILED, Output(f"{NO_USER}, it says"), 3).text == "ays"


@pytest.mark.parametrize(
    ("fields", "never_began"),
    [
        ({"exit_code": None}, True),
        ({"exit_code": 2}, False),
        ({"error_phase": "executing"}, False),
        ({"status": "success", "success": True}, False),
    ],
)
def test_a_line_that_ran_may_write_what_agents_do(fields: Row, never_began: bool) -> None:
    command = Command.from_row(current_row(**{"status": "failed", "success": False, "exit_code": 1, **fields}))
    assert bool(explain_never_began(command, NO_USER)) is never_began


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("there is no corresponding ann lee username in this server", "the server has no user ann lee"),
        ("there is no corresponding domain users groupname in this server", "the server has no group domain users."),
        (
            "groupname domain users is not in user ann lee's group list",
            "the user ann lee is not a member of the group domain users.",
        ),
    ],
)
def test_an_account_that_is_refused_is_named(said: str, why: str) -> None:
    row = current_row(status="failed", success=False, exit_code=1, username="ann lee", groupname="domain users")
    found = explain_never_began(Command.from_row(row), f"alpamon: {said}\n")
    assert found.startswith(why)
    assert ("over the connection with alpacon_groupname" in found) == ("group" in said)


@pytest.mark.parametrize(
    ("said", "refused", "blamed"),
    [
        (NO_USER, True, True),
        ("fork/exec /bin/sh: no such file or directory", True, True),
        ("fork/exec /bin/sh: argument list too long", True, False),
        (NO_USER, False, False),
    ],
)
def test_only_an_account_that_is_refused_is_blamed(said: str, refused: bool, blamed: bool) -> None:
    assert blames_account(Output(f"alpamon: {said}\n", refused="it says so" if refused else "")) is blamed
