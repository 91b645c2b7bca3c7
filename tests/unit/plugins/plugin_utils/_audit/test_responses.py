# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test the evaluation of answers, and the responses in the output of a command."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.herdops.alpacon.plugins.module_utils._api.outputs import Output
from ansible_collections.herdops.alpacon.plugins.module_utils._api.records import Command, Server
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.jobs import Job, Outcome
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.checks import Check, parse_checks
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.payloads import CheckAnswer
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.responses import (
    MAX_EVALUATED,
    Evaluation,
    Response,
    evaluate,
    parse_responses,
)
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.scanners import FORMATS
from ansible_collections.herdops.alpacon.tests.unit.support import NO_COMMAND, SERVER, Row, current_row


def evaluate_check(given: Row, output: str = "", rc: int = 0, **answer: Any) -> Evaluation:
    """Evaluate an answer to a check with these keys."""
    [check] = parse_checks("checks", [{"name": "it", "line": "true", **given}])
    return evaluate(check, CheckAnswer(rc, output, **answer))


@pytest.mark.parametrize(
    ("given", "output", "rc", "outcome"),
    [
        ({}, "", 0, "passed"),
        ({}, "", 1, "failed"),
        ({"matches": "a, b"}, "x a, b x", 0, "passed"),
        ({"matches": ["^b$", "^d$"]}, "a\nb\nc", 0, "failed"),
        ({"absent": ["x", "^b"]}, "a\nb is here\nc", 0, "failed"),
        ({"number": "<= 82.5"}, "83", 0, "failed"),
        ({"number": ">= 83.5"}, "83 84", 0, "failed"),
        ({"number": "== -1.5"}, "it is -1.5", 0, "passed"),
        ({"number": "== 5"}, "disk-5: 9", 0, "passed"),
        ({"number": "== 0"}, "it is 0.5", 0, "failed"),
        ({"number": "<= most", "parameters": {"most": 90}}, "Use% 83%", 0, "passed"),
        ({"number": "<= 90"}, "nothing", 0, "unknown"),
        ({"number": "<= 90"}, "83", 1, "failed"),
    ],
)
def test_outcomes_of_outputs(given: Row, output: str, rc: int, outcome: str) -> None:
    assert evaluate_check(given, output, rc).outcome == outcome


@pytest.mark.parametrize("text", ["\u0663", "9" * 5000, "9" * 400 + ".0", "nan"])
def test_text_that_is_no_number(text: str) -> None:
    assert evaluate_check({"number": ">= 0"}, text).outcome == "unknown"


@pytest.mark.parametrize(
    ("given", "output", "rc", "message"),
    [
        ({}, "a\nno such file\n", 1, "The exit code is 1. The output ends with: no such file"),
        ({"matches": "^x$"}, "", 0, "The output is not as expected. It is empty."),
        ({"matches": "^x$"}, "a\nb", 0, "The output is not as expected. It begins with: a"),
        ({"absent": "port 2"}, "a\n  port 22 is open\nc", 0, "The output has: port 22 is open"),
        ({"number": "<= 90"}, "97", 0, "It is 97, and must be at most 90."),
        ({"number": ">= 2.5"}, "1.5", 0, "It is 1.5, and must be at least 2.5."),
    ],
)
def test_messages(given: Row, output: str, rc: int, message: str) -> None:
    assert evaluate_check(given, output, rc).message == message


def test_an_exit_code_that_the_workspace_did_not_state() -> None:
    unstated = evaluate_check({}, rc=1, rc_stated=False)
    assert (unstated.outcome, unstated.message) == ("failed", "The exit code is not 0.")
    assert evaluate_check({}, rc=0, rc_stated=False).outcome == "passed"


@pytest.mark.parametrize("given", [{}, {"matches": "x"}, {"absent": "no"}, {"kind": "problems"}])
@pytest.mark.parametrize("rc", [126, 127])
def test_exit_codes_of_a_program_that_cannot_run(given: Row, rc: int) -> None:
    evaluation = evaluate_check(given, "env: no 'scan' here\n", rc)
    assert evaluation.outcome == "unknown"
    assert str(rc) in evaluation.message
    assert "env: no 'scan' here" in evaluation.message


@pytest.mark.parametrize(
    ("given", "output", "rc", "outcome"),
    [
        # Checks whose question is whether a program is there.
        ({}, "check: line 1: type: telnet: not found\n", 0, "passed"),
        ({}, "telnet: not found\n", 1, "failed"),
        ({"matches": "not found"}, "Jan 1 cron: /bin/sh: 1: backup: not found\n", 0, "passed"),
        ({"kind": "problems"}, "check: 1: scan: not found\nproblem: no file\ndone\n", 0, "failed"),
    ],
)
def test_what_does_not_say_that_a_program_of_the_check_is_missing(
    given: Row, output: str, rc: int, outcome: str
) -> None:
    assert evaluate_check(given, output, rc).outcome == outcome


@pytest.mark.parametrize("given", [{"matches": "a"}, {"absent": "b"}, {"number": "<= 9"}])
def test_incomplete_output_never_passes(given: Row) -> None:
    assert evaluate_check(given, "a 1").outcome == "passed"
    assert evaluate_check(given, "a 1", complete=False).outcome == "unknown"
    # A part of the output can be enough to fail.
    assert evaluate_check({"absent": "1"}, "a 1", complete=False).outcome == "failed"


def test_only_the_beginning_of_an_output_is_evaluated() -> None:
    assert evaluate_check({"matches": "end"}, " " * MAX_EVALUATED + "end").outcome == "unknown"
    assert evaluate_check({"matches": "end"}, " " * (MAX_EVALUATED - 3) + "end").outcome == "passed"


@pytest.mark.parametrize(
    ("output", "outcome", "message"),
    [
        ("done\n", "passed", "No problem was found."),
        ("", "unknown", "The check did not end with done."),
        ("done\nmore", "unknown", "The check did not end with done. The output ends with: more"),
        ("problem: a\nproblem: b.\nproblem: a\n", "failed", "a. b."),
        ("unknown: only root may look\nproblem: a\n", "failed", "a."),
        ("not applicable: no sshd\nunknown: b\ndone", "unknown", "b."),
        ("not applicable: no sshd\ndone", "not_applicable", "no sshd."),
        ("fact: ports=22\ndone", "passed", "No problem was found."),
    ],
)
def test_problems(output: str, outcome: str, message: str) -> None:
    evaluation = evaluate_check({"kind": "problems"}, output, rc=3)
    assert (evaluation.outcome, evaluation.message) == (outcome, message)


def test_many_problems_are_counted() -> None:
    output = "".join(f"problem: {number} is {'x' * 300}\n" for number in range(100)) + "done\n"
    evaluation = evaluate_check({"kind": "problems"}, output)
    assert evaluation.message.endswith("And 80 more.")
    assert len(evaluation.message) < 5000


def test_one_long_problem_is_shown_whole_or_cut_with_an_ellipsis() -> None:
    updates = ", ".join(f"package-{number}" for number in range(90))
    assert evaluate_check({"kind": "problems"}, f"problem: {updates}\ndone\n").message == f"{updates}."
    assert evaluate_check({"kind": "problems"}, f"problem: {updates * 9}\ndone\n").message.endswith("\u2026")


def test_problems_in_an_incomplete_answer() -> None:
    assert evaluate_check({"kind": "problems"}, "done", complete=False).outcome == "unknown"
    assert evaluate_check({"kind": "problems"}, "problem: a", complete=False).outcome == "failed"
    for given in ({"kind": "problems"}, {"matches": "x"}):
        assert evaluate_check(given, "problem: none", rc=1, applies=False).outcome == "not_applicable"


@pytest.mark.parametrize("given", [{"kind": "problems"}, {"absent": "k"}])
def test_a_check_that_timed_out(given: Row) -> None:
    late = evaluate_check(given, "looked\n", rc=124, out_of_time=9)
    assert (late.outcome, late.message) == (
        "unknown",
        "The server took longer than 9 s, the rest of wait_timeout.",
    )
    assert evaluate_check({"kind": "problems"}, "problem: a", rc=124, out_of_time=9).outcome == "failed"


@pytest.mark.parametrize(
    ("given", "output", "evidence"),
    [
        ({"kind": "problems"}, "fine\nproblem: a\n", "problem: a"),
        ({"absent": "b+"}, "aa\nxbb\n", "xbb"),
        ({"number": "<= 90"}, "Use%\n97%", "97%"),
    ],
)
def test_evidence_is_the_position_of_the_reason(given: Row, output: str, evidence: str) -> None:
    assert output[evaluate_check(given, output).evidence :].startswith(evidence)
    assert evaluate_check({"matches": "z"}, "aa\n").evidence is None


ROWS = "a:pass\nb:fail\nc:pass\nd:pa"
CHECK = {"name": "it", "line": "oscap", "results": {"format": "xccdf"}}


def response(output: Output, rc: int = 0, packed: bool = True, given: Check | None = None) -> Response:
    """Return the response to a check, by default to a check with the results of a scanner."""
    check = given or parse_checks("checks", [CHECK])[0]
    command = Command(
        id=NO_COMMAND, server=Server(SERVER), line="", shell="system", status="success", success=True, exit_code=rc
    )
    job = Job(command.server, command=command, outcome=Outcome.SUCCESS, output=output)
    return parse_responses(job, [check], packed)[check.name]


def part(status: str, output: str = ROWS, name: str = "it") -> Output:
    """Return the output of a payload with one answer."""
    last = f"{name}\n{output}\n{name} {status}"
    return Output(f"[part {len(last)}]\n{last}\n")


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        ("rc 2 in 30 by 137", "The output is incomplete."),
        ("in 30 by 124", "The server took longer than 30 s."),
        ("in 17 by 137", "The server took longer than 17 s, the rest of wait_timeout."),
        ("rc 137 in 30 by 0", "The scanner was ended by signal 9."),
    ],
)
def test_complete_rows_of_an_incomplete_output_are_results(status: str, reason: str) -> None:
    result = response(part(status))
    assert [(one.name, one.outcome) for one in result.evaluation.rules] == [
        ("a", "passed"),
        ("b", "failed"),
        ("missing-results", "unknown"),
    ]
    assert result.evaluation.rules[-1].message.startswith(reason)
    assert not result.is_reusable


#: Complete outputs of scanners. All tests in them pass.
COMPLETE = {
    "xccdf": "xccdf_org.x_rule_a:pass\nxccdf_org.x_rule_b:pass\n",
    "tap": "1..1\nok 1 - a\n1..2\nok 1 - b\nok 2 - c\n",
    "junit": '<testsuite tests="2">\n<testcase name="a"/>\n<testcase name="b"/>\n</testsuite>\n',
    "inspec": '{"controls": [\n{"id": "a", "status": "passed"},\n{"id": "b", "status": "passed"}]}\n',
    "json": '[{"id": "a", "ok": true},\n{"id": "b", "ok": true}]\n',
}


@pytest.mark.parametrize("kind", FORMATS)
def test_killed_scanners_pass_only_with_complete_output(kind: str) -> None:
    of_json = {"outcome": "ok", "name": "id", "words": {"passed": ["true"]}} if kind == "json" else {}
    [check] = parse_checks("checks", [{"name": "it", "line": "scan", "results": {"format": kind, **of_json}}])

    def has_passed(output: str, rc: int) -> bool:
        result = response(part(f"rc {rc} in 30 by 0", output), given=check)
        return result.evaluation.outcome == "passed" and all(one.outcome == "passed" for one in result.evaluation.rules)

    complete = COMPLETE[kind]
    assert has_passed(complete, 0)
    assert not any(has_passed(complete[:end], 139) for end in range(len(complete.rstrip())))


@pytest.mark.parametrize(
    ("status", "outcome", "message"),
    [
        ("rc 124 in 30 by 0", "failed", "The exit code is 124."),
        ("rc 0 in 30 by 124", "passed", ""),
        ("in 30 by 124", "unknown", "The server took longer than 30 s."),
        # The reader of the output was killed as well.
        ("rc 0 in 30 by 137", "unknown", "The output is incomplete."),
        ("in 0", "unknown", "Out of time"),
        ("not applicable in 30 by 0", "not_applicable", ""),
        ("in 30 by 2", "unknown", "The answer is missing or incomplete."),
    ],
)
def test_status_lines_of_checks(status: str, outcome: str, message: str) -> None:
    [check] = parse_checks("checks", [{"name": "mount", "line": "ls /mnt", "absent": "x"}])
    result = response(part(status, "", "mount"), given=check)
    assert (result.evaluation.outcome, result.reached) == (outcome, True)
    assert message in result.evaluation.message


def test_complete_answers_of_a_failed_command_count() -> None:
    checks = parse_checks("checks", [{"name": name, "line": "x"} for name in "ab"])
    row = current_row(status="failed", success=False, exit_code=-1)
    output = replace(part("rc 0 in 30 by 0", "x", "a"), complete=False, note="The output cannot be read.")
    job = Job(Server(SERVER, "web-01"), command=Command.from_row(row), outcome=Outcome.FAILED, output=output)
    done = parse_responses(job, checks, True)
    assert [done[name].evaluation.outcome for name in "ab"] == ["passed", "unknown"]
    assert done["b"].evaluation.message.startswith("The command ended early: a signal ended it")


def test_an_output_with_gaps_has_no_result() -> None:
    result = response(Output(f"{ROWS}\n", complete=False), packed=False)
    assert (result.evaluation.outcome, result.evaluation.rules) == ("unknown", ())


@pytest.mark.parametrize(
    ("fields", "refused", "reason"),
    [
        ({"error_phase": "agent_disconnected"}, "", "The command got no result: agent_disconnected."),
        ({}, "the queue is full", "Never ran: the queue is full."),
    ],
)
def test_a_command_that_may_not_have_run_has_no_answer(fields: dict[str, str], refused: str, reason: str) -> None:
    row = current_row(status="failed", success=False, **fields)
    [check] = parse_checks("checks", [CHECK])
    output = Output("", refused=refused)
    job = Job(Server(SERVER, "web-01"), command=Command.from_row(row), outcome=Outcome.FAILED, output=output)
    done = parse_responses(job, [check], True)["it"]
    assert (done.evaluation.outcome, done.reached) == ("unknown", False)
    assert done.evaluation.message == f"{reason} Id {job.id}."
