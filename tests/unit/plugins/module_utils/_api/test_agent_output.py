# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How much is kept of an output, and what never is cut."""

from __future__ import annotations

import pytest

from ansible_collections.herdops.alpacon.plugins.module_utils._api.agent_output import shortened, why_never_began
from ansible_collections.herdops.alpacon.plugins.module_utils._api.outputs import Output
from ansible_collections.herdops.alpacon.plugins.module_utils._api.records import Command
from ansible_collections.herdops.alpacon.tests.unit.support import Row, current_row

RAN = Command.from_row(current_row(status="success", success=True, exit_code=0))
FAILED = Command.from_row(current_row(status="failed", success=False, exit_code=1))
NO_USER = "there is no corresponding deploy username in this server"
CASCADE = "cancelled due to prior command failure"


@pytest.mark.parametrize(
    ("text", "limit", "kept", "left_out"),
    [
        ("0123456789", 4, "6789", "6 characters"),
        ("0123456789\r\n", 9, "123456789", "1 character"),
        ("0123456789", 0, "", "10 characters"),
        ("안녕하세요", 2, "세요", "3 characters"),
    ],
)
def test_the_end_is_kept(text: str, limit: int, kept: str, left_out: str) -> None:
    note = f"output_limit cut {left_out} off the start of its output."
    assert shortened(RAN, Output(text), limit) == Output(kept, False, note)


@pytest.mark.parametrize(
    ("text", "stderr", "kept", "left_out"),
    [
        ("0123456789", "abc", ("6789", "abc"), 6),
        ("abc", "0123456789", ("abc", "6789"), 6),
        ("0123456789", "0123456789", ("6789", "6789"), 12),
    ],
)
def test_each_stream_keeps_its_end(text: str, stderr: str, kept: tuple[str, str], left_out: int) -> None:
    output = shortened(RAN, Output(text, stderr=stderr), 4)
    assert (output.text, output.stderr) == kept
    assert output.note == f"output_limit cut {left_out} characters off the start of its output."


@pytest.mark.parametrize(("text", "limit"), [("0123\n", 4), ("\n", 0), ("", 0), ("0123456789", None)])
def test_an_output_within_the_limit_stays_as_it_is(text: str, limit: int | None) -> None:
    assert shortened(RAN, Output(text), limit) == Output(text)


def test_both_reasons_are_given_for_an_output_that_is_incomplete_anyway() -> None:
    kept = shortened(RAN, Output("0123456789", False, "Output is incomplete: 1 chunk never arrived."), 1)
    assert kept.note.startswith("Output is incomplete: 1 chunk never arrived. output_limit cut 9 characters off")


def test_what_tells_that_a_line_never_ran_is_not_cut() -> None:
    dropped = Command.from_row(
        current_row(status="failed", success=False, result=CASCADE, delivered_at=None, acked_at=None, handled_at=None)
    )
    assert dropped.ran is False
    assert shortened(dropped, Output(CASCADE), 3).text == CASCADE
    assert shortened(FAILED, Output(f"alpamon: {NO_USER}", refused="no account"), 3).text == f"alpamon: {NO_USER}"
    assert shortened(FAILED, Output(f"{NO_USER}, it says"), 3).text == "ays"


@pytest.mark.parametrize(
    ("fields", "never_began"),
    [
        ({}, True),
        ({"exit_code": None}, True),
        ({"exit_code": 2}, False),
        ({"error_phase": "executing"}, False),
        ({"error_phase": "executing", "exit_code": None}, False),
        ({"status": "success", "success": True}, False),
    ],
)
def test_a_line_that_ran_may_write_what_agents_do(fields: Row, never_began: bool) -> None:
    command = Command.from_row(current_row(**{"status": "failed", "success": False, "exit_code": 1, **fields}))
    assert bool(why_never_began(command, NO_USER)) is never_began
