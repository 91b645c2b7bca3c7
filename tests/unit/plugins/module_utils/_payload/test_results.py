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
from ansible_collections.herdops.alpacon.plugins.module_utils._payload.packing import LATE, REFUSED_RC, pack
from ansible_collections.herdops.alpacon.tests.unit.payload_runner import run_payload
from ansible_collections.herdops.alpacon.tests.unit.support import PUBLISHED_ROW, Row, current_row

PAYLOAD = pack("argv:id", "echo out; echo err >&2\n")
WHOLE = run_payload(PAYLOAD).stdout
FAILED: Row = {"status": "failed", "success": False}
#: Messages of shells that do not find the label.
COMPLAINTS = [
    f"sha256:{PAYLOAD.digest}: 1: argv:id: not found\n",
    f"sha256:{PAYLOAD.digest}: line 1: argv:id: command not found",
    f"sha256:{PAYLOAD.digest}: line 0: argv:id: not found",
    f"sha256:{PAYLOAD.digest}[1]: argv:id: inaccessible or not found",
]


def command(row: Row | None = None, **fields: Any) -> Command:
    """Return a successful command of the current dialect, with these changes."""
    default = current_row(status="success", success=True, exit_code=0) if row is None else row
    return Command.from_row({**default, "line": PAYLOAD.line, **fields})


def published_command(success: bool = True) -> Command:
    """Return a command of the published dialect, which has neither exit codes nor chunks."""
    status = {**PUBLISHED_ROW["status"], "text": "Success" if success else "Failed"}
    return command(PUBLISHED_ROW, success=success, status=status)


def test_streams_and_exit_code_are_those_of_the_frame() -> None:
    done, output = unpack_output(published_command(), Output(WHOLE))
    assert (done.exit_code, output) == (0, Output("out\n", stderr="err\n"))


def test_the_output_of_a_line_is_unchanged() -> None:
    plain = command(line="echo [alpacon]")
    assert unpack_output(plain, Output(WHOLE)) == (plain, Output(WHOLE))


def test_the_output_of_an_unfinished_command_is_unchanged() -> None:
    stuck = command(status="stuck", success=None, exit_code=None)
    assert unpack_output(stuck, Output("")) == (stuck, Output(""))


def test_output_that_looks_like_an_error_of_the_agent_is_output() -> None:
    talking = pack("argv:sh", "echo Failed to submit command: job queue is full; exit 1\n")
    done = command(line=talking.line, **FAILED, exit_code=1)
    output = unpack_output(done, Output(run_payload(talking).stdout))[1]
    assert (output.text, output.refused) == ("Failed to submit command: job queue is full\n", "")


@pytest.mark.parametrize("text", COMPLAINTS)
@pytest.mark.parametrize(
    "done", [command(**FAILED, exit_code=127), published_command(False)], ids=["stated", "not stated"]
)
def test_a_shell_that_does_not_find_the_label_had_no_variables(done: Command, text: str) -> None:
    output = unpack_output(done, Output(text))[1]
    assert "did not pass on the variables" in output.refused
    assert output.text == ""


@pytest.mark.parametrize(("length", "refused"), [(999, True), (1000, False)])
def test_a_message_of_a_shell_has_less_than_a_thousand_characters(length: int, refused: bool) -> None:
    text = f": {COMPLAINTS[1]}".rjust(length, "x")
    assert bool(unpack_output(published_command(False), Output(text))[1].refused) is refused


def test_empty_output_without_chunks_means_no_variables() -> None:
    assert "did not pass on the variables" in unpack_output(published_command(), Output(""))[1].refused


@pytest.mark.parametrize("done", [command(), published_command()], ids=["current", "published"])
@pytest.mark.parametrize("text", [COMPLAINTS[0], "text", WHOLE[3:]])
def test_a_success_without_a_frame_is_doubted(done: Command, text: str) -> None:
    output = unpack_output(done, Output(text))[1]
    assert (output.doubt, output.refused, output.complete) == ("its output is missing", "", False)


def test_a_success_with_empty_output_is_doubted_if_chunks_may_be_lost() -> None:
    assert unpack_output(command(), Output(""))[1].doubt


@pytest.mark.parametrize(
    "done", [command(**FAILED, exit_code=3), published_command(False)], ids=["stated", "not stated"]
)
def test_a_failure_without_a_frame_is_a_failure(done: Command) -> None:
    output = unpack_output(done, Output(""))[1]
    assert (output.doubt, output.refused, output.complete) == ("", "", False)


def test_the_note_names_the_timeout_of_the_agent() -> None:
    done = command(**FAILED, exit_code=124)
    output = unpack_output(done, Output(f"{WHOLE[:-6]}Command timed out after 30m0s"))[1]
    assert output.note == (
        "The output cannot be read: the agent ended it after 30m0s, the longest that it lets a command run."
    )


def refuse(why: str = "sed is not installed") -> Output:
    return Output(f"[alpacon {PAYLOAD.digest}]\n[refused {why}]\n[end]\n")


@pytest.mark.parametrize(
    "done", [command(**FAILED, exit_code=126), published_command(False)], ids=["stated", "not stated"]
)
def test_a_refusal_of_the_server_has_its_reason(done: Command) -> None:
    assert unpack_output(done, refuse())[1].refused == "the server refused to run it: sed is not installed"


@pytest.mark.parametrize("done", [command(), published_command()], ids=["stated", "not stated"])
def test_a_refusal_is_doubted_if_the_command_succeeded(done: Command) -> None:
    output = unpack_output(done, refuse("forged"))[1]
    assert (output.refused, output.doubt) == ("", "the server says that it ran nothing")
    assert "forged" not in output.note


@pytest.mark.parametrize("code", [1, 3, 124, -1])
def test_output_is_incomplete_if_the_workspace_states_another_exit_code(code: int) -> None:
    done, output = unpack_output(command(**FAILED, exit_code=code), Output(WHOLE))
    assert (done.exit_code, output.text, output.complete) == (code, "", False)
    assert f"the server says rc 0, and the workspace says rc {code}" in output.note


@pytest.mark.parametrize(("text", "complete"), [("", False), (" \n", False), (WHOLE[:-3], False), (WHOLE, True)])
def test_an_output_is_complete_with_the_end_of_its_frame(text: str, complete: bool) -> None:
    is_complete = make_end_check(command())
    assert is_complete is not None
    assert is_complete(text) is complete


@pytest.mark.parametrize("text", [*COMPLAINTS, refuse().text])
def test_a_message_instead_of_a_frame_is_a_complete_output(text: str) -> None:
    is_complete = make_end_check(command())
    assert is_complete is not None
    assert is_complete(text)


LATE_FRAME = f"[alpacon {PAYLOAD.digest}]\n[refused {LATE}]\n[end]\n"


def test_a_late_payload_is_marked() -> None:
    output = unpack_output(command(**FAILED, exit_code=REFUSED_RC), Output(LATE_FRAME))[1]
    assert (output.mark, output.text) == (LATE, "")
    assert output.refused


@pytest.mark.parametrize(
    ("done", "text"),
    [
        (command(), LATE_FRAME),
        (command(**FAILED, exit_code=1), LATE_FRAME),
        (command(**FAILED, exit_code=REFUSED_RC), f"printed{LATE_FRAME[9:]}"),
        (command(**FAILED, exit_code=REFUSED_RC), f"{WHOLE}{LATE_FRAME}"),
        (command(**FAILED, exit_code=REFUSED_RC), LATE_FRAME.replace("\n[refused", "\nc2VjcmV0[refused")),
    ],
    ids=["success", "another code", "no beginning", "two frames", "output before it"],
)
def test_output_that_contradicts_a_late_payload_is_not_marked(done: Command, text: str) -> None:
    output = unpack_output(done, Output(text))[1]
    assert (output.mark, output.refused) == ("", "")
