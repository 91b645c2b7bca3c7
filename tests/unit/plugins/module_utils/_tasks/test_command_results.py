# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Results of alpacon_command."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import error_from_body
from ansible_collections.herdops.alpacon.plugins.module_utils._api.outputs import Output
from ansible_collections.herdops.alpacon.plugins.module_utils._api.records import Command, Server
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.jobs import Job, Outcome, get_outcome
from ansible_collections.herdops.alpacon.plugins.module_utils._payload.frames import unpack_output
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.command_results import (
    describe,
    describe_job,
    describe_jobs,
)
from ansible_collections.herdops.alpacon.tests.unit.support import (
    COMMAND,
    LIST,
    PUBLISHED_ROW,
    SERVER,
    current_row,
)

SERVER_01 = Server(SERVER, "web-01")
DONE = current_row(
    status="success",
    success=True,
    exit_code=0,
    acked_at="2026-11-24T10:30:44.125000Z",
    handled_at="2026-11-24T10:30:44.148000Z",
    elapsed_time=0.023,
)

UPTIME: dict[str, Any] = {
    "id": COMMAND,
    "server": {"id": SERVER, "name": "web-01"},
    "line": "uptime",
    "status": "success",
    "outcome": "success",
    "rc": 0,
    "stdout": " up 12 days",
    "stdout_lines": [" up 12 days"],
    "stderr": "",
    "stderr_lines": [],
    "start": "2026-11-24T10:30:44.125000Z",
    "end": "2026-11-24T10:30:44.148000Z",
    "delta": "0:00:00.023000",
    "success": True,
    "ran": True,
    "error_phase": None,
    "output_complete": True,
    "changed": True,
    "msg": "Succeeded.",
}
KEYS = set(UPTIME)


def job(outcome: str, row: dict[str, Any] | None = None, **fields: Any) -> Job:
    command = Command.from_row(row) if row else None
    return Job(SERVER_01, body={"line": "uptime"}, command=command, outcome=Outcome(outcome), **fields)


def failed(number: int, **fields: Any) -> Job:
    row = current_row(id=f"{number % 10**8:08d}{COMMAND[8:]}", status="failed", success=False, exit_code=number)
    return Job(
        Server(f"id-{number}", f"web-{number:02d}"), command=Command.from_row(row), outcome=Outcome.FAILED, **fields
    )


def test_one_command_is_at_the_top_level_as_well() -> None:
    result = describe_jobs([job("success", DONE, output=Output(" up 12 days\n"), changed=True)])
    assert result["commands"] == [UPTIME]
    assert UPTIME.items() <= result.items()
    assert result["summary"] == {"success": 1}
    assert result["changed"] is True
    assert not result.get("failed")


def test_several_commands_have_counts_and_a_summary() -> None:
    result = describe_jobs([job("success", DONE), failed(3), job("success", DONE)])
    assert [command["outcome"] for command in result["commands"]] == ["success", "failed", "success"]
    assert result["summary"] == {"success": 2, "failed": 1}
    assert result["failed"] is True
    assert result["msg"].startswith("1 of 3 commands failed: web-03: The command ended with rc 3.")
    assert "stdout" not in result


def test_servers_left_and_unknown_are_listed_apart() -> None:
    outcomes = ("success", "failed", "failed", "offline", "not_tried", "unknown", "timed_out", "denied", "cancelled")
    jobs = [Job(Server(f"id-{word}", ""), body={}, outcome=Outcome(word)) for word in outcomes]
    result = describe_jobs(jobs, ok=frozenset((Outcome.SUCCESS, Outcome.CANCELLED, Outcome.OFFLINE)))
    assert result["servers_left"] == ["id-failed", "id-offline", "id-not_tried"]
    assert result["servers_unknown"] == ["id-unknown", "id-timed_out"]
    assert describe_jobs(jobs[-1:])["servers_left"] == ["id-cancelled"], "a command that ended before it ran is left"


def test_a_server_with_a_failed_command_and_one_that_may_still_run_is_not_left() -> None:
    pairs = [("a", Outcome.FAILED), ("a", Outcome.TIMED_OUT), ("b", Outcome.FAILED)]
    result = describe_jobs([Job(Server(server, ""), body={}, outcome=outcome) for server, outcome in pairs])
    assert (result["servers_left"], result["servers_unknown"]) == (["b"], ["a"])


@pytest.mark.parametrize(
    ("code", "output", "msg"),
    [
        (3, Output("word", stderr="word"), "The command ended with rc 3."),
        (124, Output("word\nCommand timed out after 30m0s"), "The command ended with rc 124."),
        (1, Output("", refused="the server has no user of that username"), "Never ran: the server has no user of that"),
    ],
)
def test_no_log_hides_the_output_in_messages(code: int, output: Output, msg: str) -> None:
    [described] = describe_jobs([failed(code, output=output)], no_log=True)["commands"]
    assert described["msg"].startswith(msg)
    assert "word" not in described["msg"].lower()
    assert described["stdout"] == output.text


def test_no_log_hides_the_path_of_a_skipped_command() -> None:
    text = "skipped, since /srv/word exists"
    skipped = job("success", DONE, output=Output(text, mark="skipped"), msg=text)
    assert describe_job(skipped)["msg"] == text
    assert describe_job(skipped, no_log=True)["msg"] == "Skipped, because of creates or removes."


def test_summaries_without_a_failure() -> None:
    assert describe_jobs([])["msg"] == "No commands."
    assert not describe_jobs([]).get("failed")
    assert describe_jobs([job("success", DONE)] * 2)["msg"] == "2 commands, none of them failed."


def test_summaries_of_predicted_commands() -> None:
    predicted = [Job(Server(SERVER)), Job(Server(SERVER))]
    assert describe_jobs(predicted)["msg"] == "2 commands would be submitted."
    assert describe_jobs([*predicted, job("success", DONE)])["msg"] == "2 of 3 commands would be submitted."
    assert describe_jobs([*predicted, job("offline")])["msg"].startswith("1 of 3 commands failed: ")


@pytest.mark.parametrize("outcome", list(Outcome))
def test_every_outcome_fails_unless_it_is_ok(outcome: Outcome) -> None:
    row = DONE if outcome == "success" else current_row(status="failed", success=False, exit_code=1)
    assert bool(describe_jobs([job(outcome, row)]).get("failed")) is (outcome not in ("success", "pending"))
    assert not describe_jobs([job(outcome, row)], ok=frozenset(Outcome)).get("failed")


def test_a_failure_shows_the_end_of_the_output() -> None:
    last = "y" + "x" * 288 + "\nlast words"
    message = describe_job(failed(3, output=Output(f"first{last}\n")))["msg"]
    assert message == f"The command ended with rc 3. Its output ends with: {last}"


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        ("SUDO_APPROVAL_REQUIRED", "An approval of it is pending, which is no denial"),
        ("SUDO_NO_AUTHORITY", "no right to sudo on that server. Run it with username=root"),
        ("SUDO_RISK_DENIED", "Submitting it again changes nothing"),
    ],
)
def test_a_denied_sudo_has_advice(code: str, advice: str) -> None:
    message = describe_job(failed(1, output=Output(f"Alpacon denied this sudo command ({code}).\n")))["msg"]
    assert f"denied its sudo ({code})" in message
    assert advice in message


def unpack(text: str, code: int) -> Output:
    """Unpack the output of a failed line as a fleet does."""
    row = current_row(status="failed", success=False, exit_code=code, username="ghost", groupname="ghosts")
    return unpack_output(Command.from_row(row), Output(text))[1]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("Command cancelled before execution: context canceled", "the agent was stopped"),
        ("there is no corresponding ghost username in this server", "no user ghost."),
        ("fork/exec /bin/sh: argument list too long", "larger than the server's system allows"),
    ],
)
def test_a_command_that_never_began_is_reported(text: str, why: str) -> None:
    described = describe_job(failed(1, output=unpack(text, 1)))
    assert (described["ran"], described["rc"], described["outcome"]) == (False, None, "failed")
    assert described["msg"].startswith("Never ran: ")
    assert why in described["msg"]


def test_no_log_hides_the_account_of_a_command_that_never_began() -> None:
    text = "groupname ghosts is not in user ghost's group list"
    row = current_row(status="failed", success=False, exit_code=1, username="ghost", groupname="ghosts")
    message = describe_job(job("failed", row, output=unpack(text, 1)), no_log=True)["msg"]
    assert message.startswith("Never ran: the user of that username is not a member of the group of that groupname. ")
    assert "ghost" not in message


@pytest.mark.parametrize(
    ("code", "text", "why"),
    [
        (124, "1\n2\nCommand timed out after 30m0s", " (the agent ended it after 30m0s, the longest"),
        (1, "Command timed out after 30m0s", "."),
        (-1, "", " (a signal ended it, or the agent was stopped meanwhile)."),
    ],
)
def test_a_command_that_the_agent_ended_is_explained(code: int, text: str, why: str) -> None:
    described = describe_job(failed(code, output=unpack(text, code)))
    assert f"ended with rc {code}{why}" in described["msg"]


def test_a_command_that_was_never_acknowledged_may_not_have_run() -> None:
    row = current_row(status="failed", success=False, error_phase="agent_disconnected")
    described = describe_job(job("failed", row))
    assert (described["ran"], described["rc"], "rc_assumed" in described) == (None, None, False)
    assert described["msg"] == "It failed without an exit code (agent_disconnected). It may have run."


@pytest.mark.parametrize("is_read", [True, False])
@pytest.mark.parametrize(
    "phase",
    [
        "file_exec_unsupported",
        "file_hash_mismatch",
        "file_open_failed",
        "file_payload_invalid",
        "file_too_large",
        "file_\x1b[2Jfuture",
    ],
)
def test_a_file_that_the_agent_refused_never_ran(phase: str, is_read: bool) -> None:
    row = current_row(status="failed", success=False, shell="file", exit_code=1, error_phase=phase)
    result = "FILE_REFUSED: no digest"
    command = Command.from_row({**row, "result": result})
    output = unpack_output(command, Output(result))[1] if is_read else None
    described = describe_job(Job(command.server, command=command, outcome=get_outcome(command), output=output))
    assert (described["outcome"], described["ran"], described["rc"]) == ("failed", False, None)
    assert described["msg"].startswith("Never ran: the ")
    assert "\x1b" not in described["msg"]
    assert "may have run" not in described["msg"]
    assert (result in described["msg"]) is is_read


def test_a_refused_submit() -> None:
    error = error_from_body("POST", LIST, 503, {"code": "SERVER_NOT_CONNECTED"})
    described = describe_job(job("refused", error=error, msg=str(error)))
    assert set(described) == KEYS | {"error"}
    assert described["error"] == {"status": 503, "code": "server_not_connected", "message": ""}
    assert (described["id"], described["rc"], described["ran"], described["line"]) == (None, None, False, "uptime")
    assert "its agent is not connected" in described["msg"]


@pytest.mark.parametrize(
    ("row", "rc", "assumed"),
    [
        (DONE, 0, None),
        (PUBLISHED_ROW, 0, True),
        (current_row(status="failed", success=False, acked_at="2026-11-24T10:30:45Z"), 1, True),
        (current_row(status="failed", success=False), None, None),
    ],
)
def test_an_assumed_exit_code_is_marked(row: dict[str, Any], rc: int | None, assumed: bool | None) -> None:
    described = describe(Command.from_row(row), None)
    assert (described["rc"], described.get("rc_assumed")) == (rc, assumed)


@pytest.mark.parametrize("no_log", [False, True])
def test_a_bug_in_one_description_hides_no_id(no_log: bool) -> None:
    odd = job("success", DONE, output=Output(5), msg="It ended.", changed=True)  # type: ignore[arg-type]
    first, second = describe_jobs([odd, job("success", DONE, output=Output("fine"))], no_log=no_log)["commands"]
    assert set(first) == KEYS
    assert (first["id"], first["server"], first["line"]) == (COMMAND, {"id": SERVER, "name": "web-01"}, "uptime")
    assert (first["outcome"], first["ran"], first["changed"], first["stdout"]) == ("success", None, True, "")
    assert first["msg"].startswith("It ended. Its details are missing because of a bug: AttributeError")
    assert first["msg"].endswith("AttributeError") is no_log, "the error may quote a secret"
    assert second["stdout"] == "fine"


def fail_all(outcome: Outcome, msg: str | None, numbers: Iterable[int]) -> list[Job]:
    """Return finished jobs of servers, whose message has these fields: name, id, time."""
    jobs = []
    for number in numbers:
        server, command_id = Server(f"server-{number}", f"web-{number:02}"), f"id-{number:02}"
        job = Job(server, command=Command(command_id, server, "uptime", "system", "running"))
        time = f"2031-01-01T00:00:{number:02}Z"
        job.finish(outcome, outcome.explain(command_id) if msg is None else msg.format(server.name, command_id, time))
        jobs.append(job)
    return jobs


def test_equal_failures_are_written_once() -> None:
    jobs = fail_all(Outcome.REFUSED, "The agent of {0} was restarted at {2}.", range(12))
    jobs += fail_all(Outcome.REFUSED, "The plan does not include this.", [12])
    named = "web-00, web-01, web-02, web-03, web-04 and 7 more"
    assert describe_jobs(jobs)["msg"] == (
        f"13 of 13 commands failed: {named}: The agent of <server> was restarted at <time>.;"
        " web-12: The plan does not include this."
    )


def test_a_server_with_several_failed_commands_is_named_once() -> None:
    jobs = fail_all(Outcome.REFUSED, "The plan does not include this.", [1, 1, 1])
    assert describe_jobs(jobs)["msg"] == "3 of 3 commands failed: web-01: The plan does not include this."


@pytest.mark.parametrize("outcome", [Outcome.TIMED_OUT, Outcome.AWAITING_APPROVAL])
def test_commands_that_may_still_run_are_named_by_their_ids(outcome: Outcome) -> None:
    [alone] = fail_all(outcome, None, [1])
    assert "id=id-01" in describe_jobs([alone])["msg"]
    ids = [f"id-{number:02}" for number in range(23)]
    msg = describe_jobs(fail_all(outcome, None, range(3)))["msg"]
    assert (msg.count("state=finished"), msg.endswith(f" Ids: {','.join(ids[:3])}")) == (1, True)
    assert describe_jobs(fail_all(outcome, None, range(23)))["msg"].endswith(f"Ids: {','.join(ids[:20])} and 3 more")
