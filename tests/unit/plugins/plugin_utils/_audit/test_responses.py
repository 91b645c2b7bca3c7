# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What came back for a scanner that took too long, was ended, or printed more than came."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ansible_collections.herdops.alpacon.plugins.module_utils._api.outputs import Output
from ansible_collections.herdops.alpacon.plugins.module_utils._api.records import Command, Server
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.jobs import Job, Outcome
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.checks import Check, parse_checks
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.responses import Response, parse_responses
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.scanners import FORMATS
from ansible_collections.herdops.alpacon.tests.unit.support import NO_COMMAND, SERVER, current_row

ROWS = "a:pass\nb:fail\nc:pass\nd:pa"
CHECK = {"name": "it", "line": "oscap", "results": {"format": "xccdf"}}


def response(output: Output, rc: int = 0, packed: bool = True, given: Check | None = None) -> Response:
    """What came back for a check, which is that of a scanner unless another one is given."""
    check = given or parse_checks("checks", [CHECK])[0]
    command = Command(
        id=NO_COMMAND, server=Server(SERVER), line="", shell="system", status="success", success=True, exit_code=rc
    )
    job = Job(command.server, command=command, outcome=Outcome.SUCCESS, output=output)
    return parse_responses(job, [check], packed)[check.name]


def part(said: str, output: str = ROWS, name: str = "it") -> Output:
    """The output of a body with one answer."""
    last = f"{name}\n{output}\n{name} {said}"
    return Output(f"[part {len(last)}]\n{last}\n")


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("rc 2 in 30 by 137", "Not all of the output is there"),
        ("in 30 by 124", "The server took longer than 30 s."),
        ("in 17 by 137", "The server took longer than 17 s, which is what was left of wait_timeout."),
        ("rc 137 in 30 by 0", "The scanner was ended by signal 9."),
    ],
)
def test_rows_that_came_whole_are_results(said: str, why: str) -> None:
    known = response(part(said))
    assert [(one.name, one.outcome) for one in known.evaluation.named] == [
        ("a", "passed"),
        ("b", "failed"),
        ("missing-results", "unknown"),
    ]
    assert known.evaluation.named[-1].message.startswith(why)
    assert not known.is_reusable


#: What scanners write that come to their ends, a few tests that all pass.
WHOLE = {
    "xccdf": "xccdf_org.x_rule_a:pass\nxccdf_org.x_rule_b:pass\n",
    "tap": "1..1\nok 1 - a\n1..2\nok 1 - b\nok 2 - c\n",
    "junit": '<testsuite tests="2">\n<testcase name="a"/>\n<testcase name="b"/>\n</testsuite>\n',
    "inspec": '{"controls": [\n{"id": "a", "status": "passed"},\n{"id": "b", "status": "passed"}]}\n',
    "json": '[{"id": "a", "ok": true},\n{"id": "b", "ok": true}]\n',
}


@pytest.mark.parametrize("kind", FORMATS)
def test_what_a_signal_ended_passes_only_where_it_is_seen_to_be_whole(kind: str) -> None:
    of_json = {"outcome": "ok", "name": "id", "words": {"passed": ["true"]}} if kind == "json" else {}
    [check] = parse_checks("checks", [{"name": "it", "line": "scan", "results": {"format": kind, **of_json}}])

    def has_passed(output: str, rc: int) -> bool:
        known = response(part(f"rc {rc} in 30 by 0", output), given=check)
        return known.evaluation.outcome == "passed" and all(one.outcome == "passed" for one in known.evaluation.named)

    whole = WHOLE[kind]
    assert has_passed(whole, 0)
    assert not any(has_passed(whole[:end], 139) for end in range(len(whole.rstrip())))


@pytest.mark.parametrize(
    ("said", "outcome", "message"),
    [
        ("rc 124 in 30 by 0", "failed", "The exit code is 124."),
        ("rc 0 in 30 by 124", "passed", ""),
        ("in 30 by 124", "unknown", "The server took longer than 30 s."),
        # What reads the output was ended as well.
        ("rc 0 in 30 by 137", "unknown", "Not all of the output is there"),
        ("in 0", "unknown", "Out of time"),
        ("not applicable in 30 by 0", "not_applicable", ""),
        ("in 30 by 2", "unknown", "Its answer did not come"),
    ],
)
def test_what_the_time_of_a_check_means(said: str, outcome: str, message: str) -> None:
    [check] = parse_checks("checks", [{"name": "mount", "line": "ls /mnt", "absent": "x"}])
    known = response(part(said, "", "mount"), given=check)
    assert (known.evaluation.outcome, known.reached) == (outcome, True)
    assert message in known.evaluation.message


def test_answers_count_however_their_command_ended() -> None:
    checks = parse_checks("checks", [{"name": name, "line": "x"} for name in "ab"])
    row = current_row(status="failed", success=False, exit_code=-1)
    output = replace(part("rc 0 in 30 by 0", "x", "a"), complete=False, note="What it wrote is not known.")
    job = Job(Server(SERVER, "web-01"), command=Command.from_row(row), outcome=Outcome.FAILED, output=output)
    done = parse_responses(job, checks, True)
    assert [done[name].evaluation.outcome for name in "ab"] == ["passed", "unknown"]
    assert done["b"].evaluation.message.startswith("It ended early: a signal ended it")


def test_an_output_with_gaps_has_no_result() -> None:
    known = response(Output(f"{ROWS}\n", complete=False), packed=False)
    assert (known.evaluation.outcome, known.evaluation.named) == ("unknown", ())


@pytest.mark.parametrize(
    ("fields", "refused", "reason"),
    [
        ({"error_phase": "agent_disconnected"}, "", "The command got no result: agent_disconnected."),
        ({}, "the queue is full", "Never ran: the queue is full."),
    ],
)
def test_what_may_not_have_run_is_no_answer(fields: dict[str, str], refused: str, reason: str) -> None:
    row = current_row(status="failed", success=False, **fields)
    [check] = parse_checks("checks", [CHECK])
    output = Output("", refused=refused)
    job = Job(Server(SERVER, "web-01"), command=Command.from_row(row), outcome=Outcome.FAILED, output=output)
    done = parse_responses(job, [check], True)["it"]
    assert (done.evaluation.outcome, done.reached) == ("unknown", False)
    assert done.evaluation.message == f"{reason} Id {job.id}."
