# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Unpack the output of a payload by the result that the workspace states."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.herdops.alpacon.plugins.module_utils._api.outputs import Output
from ansible_collections.herdops.alpacon.plugins.module_utils._api.records import Command
from ansible_collections.herdops.alpacon.plugins.module_utils._payload.frames import make_end_check, unpack_output
from ansible_collections.herdops.alpacon.plugins.module_utils._payload.packing import pack
from ansible_collections.herdops.alpacon.tests.unit.payload_runner import run_payload
from ansible_collections.herdops.alpacon.tests.unit.support import PUBLISHED_ROW, Row, current_row

PAYLOAD = pack("argv:id", "echo out; echo err >&2\n")
WHOLE = run_payload(PAYLOAD).stdout
FAILED: Row = {"status": "failed", "success": False}
#: What shells say of a label that is no program.
COMPLAINTS = [
    f"sha256:{PAYLOAD.digest}: 1: argv:id: not found\n",
    f"sha256:{PAYLOAD.digest}: line 1: argv:id: command not found",
    f"sha256:{PAYLOAD.digest}: line 0: argv:id: not found",
    f"sha256:{PAYLOAD.digest}[1]: argv:id: inaccessible or not found",
]


def command(row: Row | None = None, **fields: Any) -> Command:
    """A command that succeeded in a workspace of today, unless told otherwise."""
    default = current_row(status="success", success=True, exit_code=0) if row is None else row
    return Command.from_row({**default, "line": PAYLOAD.line, **fields})


def old(success: bool = True) -> Command:
    """A command of a workspace that states no exit codes and has no chunks."""
    status = {**PUBLISHED_ROW["status"], "text": "Success" if success else "Failed"}
    return command(PUBLISHED_ROW, success=success, status=status)


def test_both_streams_and_the_exit_code_come_out() -> None:
    done, output = unpack_output(old(), Output(WHOLE))
    assert (done.exit_code, output) == (0, Output("out\n", stderr="err\n"))


def test_the_output_of_a_line_is_unchanged() -> None:
    plain = command(line="echo [alpacon]")
    assert unpack_output(plain, Output(WHOLE)) == (plain, Output(WHOLE))


def test_nothing_is_said_of_the_answer_of_what_nobody_knows_the_end_of() -> None:
    stuck = command(status="stuck", success=None, exit_code=None)
    assert unpack_output(stuck, Output("")) == (stuck, Output(""))


def test_a_script_that_talks_like_the_agent_ran() -> None:
    talking = pack("argv:sh", "echo Failed to submit command: job queue is full; exit 1\n")
    done = command(line=talking.line, **FAILED, exit_code=1)
    output = unpack_output(done, Output(run_payload(talking).stdout))[1]
    assert (output.text, output.refused) == ("Failed to submit command: job queue is full\n", "")


@pytest.mark.parametrize("said", COMPLAINTS)
@pytest.mark.parametrize("done", [command(**FAILED, exit_code=127), old(False)], ids=["stated", "not stated"])
def test_a_label_that_was_run_tells_that_no_variables_came(done: Command, said: str) -> None:
    output = unpack_output(done, Output(said))[1]
    assert "did not pass on the variables" in output.refused
    assert output.text == ""


@pytest.mark.parametrize(("length", "refused"), [(999, True), (1000, False)])
def test_a_complaint_of_a_shell_is_no_longer_than_a_thousand_characters(length: int, refused: bool) -> None:
    said = f": {COMPLAINTS[1]}".rjust(length, "x")
    assert bool(unpack_output(old(False), Output(said))[1].refused) is refused


def test_silence_tells_it_where_nothing_can_be_lost() -> None:
    assert "did not pass on the variables" in unpack_output(old(), Output(""))[1].refused


@pytest.mark.parametrize("done", [command(), old()], ids=["current", "published"])
@pytest.mark.parametrize("said", [COMPLAINTS[0], "text", WHOLE[3:]])
def test_a_success_without_the_beginning_of_an_answer_is_doubted(done: Command, said: str) -> None:
    output = unpack_output(done, Output(said))[1]
    assert (output.doubt, output.refused, output.complete) == ("its output is missing", "", False)


def test_a_silent_success_is_doubted_where_chunks_may_be_lost() -> None:
    assert unpack_output(command(), Output(""))[1].doubt


@pytest.mark.parametrize("done", [command(**FAILED, exit_code=3), old(False)], ids=["stated", "not stated"])
def test_a_failure_without_an_answer_is_a_failure(done: Command) -> None:
    output = unpack_output(done, Output(""))[1]
    assert (output.doubt, output.refused, output.complete) == ("", "", False)


def test_an_answer_that_the_agent_cut_off_says_so() -> None:
    done = command(**FAILED, exit_code=124)
    output = unpack_output(done, Output(f"{WHOLE[:-6]}Command timed out after 30m0s"))[1]
    assert output.note == (
        "The output cannot be read: the agent ended it after 30m0s, the longest that it lets a command run."
    )


def refusal(why: str = "sed is not installed") -> Output:
    return Output(f"[alpacon {PAYLOAD.digest}]\n[refused {why}]\n[end]\n")


@pytest.mark.parametrize("done", [command(**FAILED, exit_code=126), old(False)], ids=["stated", "not stated"])
def test_a_refusal_says_that_nothing_ran(done: Command) -> None:
    assert unpack_output(done, refusal())[1].refused == "the server refused to run it: sed is not installed"


@pytest.mark.parametrize("done", [command(), old()], ids=["stated", "not stated"])
def test_a_refusal_of_what_succeeded_is_doubted(done: Command) -> None:
    output = unpack_output(done, refusal("forged"))[1]
    assert (output.refused, output.doubt) == ("", "the server says that it ran nothing")
    assert "forged" not in output.note


@pytest.mark.parametrize("code", [1, 3, 124, -1])
def test_an_exit_code_that_the_workspace_contradicts_is_believed_of_neither(code: int) -> None:
    done, output = unpack_output(command(**FAILED, exit_code=code), Output(WHOLE))
    assert (done.exit_code, output.text, output.complete) == (code, "", False)
    assert f"the server says rc 0, and the workspace says rc {code}" in output.note


@pytest.mark.parametrize(("text", "whole"), [("", False), (" \n", False), (WHOLE[:-3], False), (WHOLE, True)])
def test_what_has_not_come_yet_is_waited_for(text: str, whole: bool) -> None:
    is_whole = make_end_check(command())
    assert is_whole is not None
    assert is_whole(text) is whole


@pytest.mark.parametrize("text", [*COMPLAINTS, refusal().text])
def test_what_is_said_in_place_of_an_answer_is_all_there_is(text: str) -> None:
    is_whole = make_end_check(command())
    assert is_whole is not None
    assert is_whole(text)
