# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Outcomes of checks by the answers of servers."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.checks import parse_checks
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.payloads import CheckAnswer
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.responses import (
    MAX_EVALUATED,
    Evaluation,
)
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.responses import evaluate as evaluate_answer
from ansible_collections.herdops.alpacon.tests.unit.support import Row


def evaluate(given: Row, output: str = "", rc: int = 0, **answer: Any) -> Evaluation:
    """Return the outcome of an answer to a check with these keys."""
    [check] = parse_checks("checks", [{"name": "it", "line": "true", **given}])
    return evaluate_answer(check, CheckAnswer(rc, output, **answer))


# What answers mean


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
def test_judging(given: Row, output: str, rc: int, outcome: str) -> None:
    assert evaluate(given, output, rc).outcome == outcome


@pytest.mark.parametrize("text", ["\u0663", "9" * 5000, "9" * 400 + ".0", "nan"])
def test_text_that_is_no_number(text: str) -> None:
    assert evaluate({"number": ">= 0"}, text).outcome == "unknown"


@pytest.mark.parametrize(
    ("given", "output", "rc", "message"),
    [
        ({}, "a\nno such file\n", 1, "The exit code is 1. The output ends with: no such file"),
        ({"matches": "^x$"}, "", 0, "The output is not as expected. It is empty."),
        ({"matches": "^x$"}, "a\nb", 0, "The output is not as expected. It begins with: a"),
        ({"absent": "port 2"}, "a\n  port 22 is open\nc", 0, "The server says: port 22 is open"),
        ({"number": "<= 90"}, "97", 0, "It is 97, and must be at most 90."),
        ({"number": ">= 2.5"}, "1.5", 0, "It is 1.5, and must be at least 2.5."),
    ],
)
def test_messages(given: Row, output: str, rc: int, message: str) -> None:
    assert evaluate(given, output, rc).message == message


# Answers that are not whole


def test_an_exit_code_that_the_workspace_did_not_tell() -> None:
    untold = evaluate({}, rc=1, rc_stated=False)
    assert (untold.outcome, untold.message) == ("failed", "The exit code is not 0.")
    assert evaluate({}, rc=0, rc_stated=False).outcome == "passed"


@pytest.mark.parametrize("given", [{"matches": "a"}, {"absent": "b"}, {"number": "<= 9"}])
def test_output_with_a_hole_proves_nothing(given: Row) -> None:
    assert evaluate(given, "a 1").outcome == "passed"
    assert evaluate(given, "a 1", complete=False).outcome == "unknown"
    # It may show enough.
    assert evaluate({"absent": "1"}, "a 1", complete=False).outcome == "failed"


def test_no_more_than_the_beginning_of_an_output_is_looked_at() -> None:
    assert evaluate({"matches": "end"}, " " * MAX_EVALUATED + "end").outcome == "unknown"
    assert evaluate({"matches": "end"}, " " * (MAX_EVALUATED - 3) + "end").outcome == "passed"


# Problems


@pytest.mark.parametrize(
    ("output", "outcome", "message"),
    [
        ("done\n", "passed", "No problem was found."),
        ("", "unknown", "The check did not come to its end."),
        ("done\nmore", "unknown", "The check did not come to its end. The output ends with: more"),
        ("problem: a\nproblem: b.\nproblem: a\n", "failed", "a. b."),
        ("unknown: only root may look\nproblem: a\n", "failed", "a."),
        ("not applicable: no sshd\nunknown: b\ndone", "unknown", "b."),
        ("not applicable: no sshd\ndone", "not_applicable", "no sshd."),
        ("fact: ports=22\ndone", "passed", "No problem was found."),
    ],
)
def test_problems(output: str, outcome: str, message: str) -> None:
    evaluation = evaluate({"kind": "problems"}, output, rc=3)
    assert (evaluation.outcome, evaluation.message) == (outcome, message)


def test_many_problems_are_counted() -> None:
    output = "".join(f"problem: {number} is {'x' * 300}\n" for number in range(100)) + "done\n"
    evaluation = evaluate({"kind": "problems"}, output)
    assert evaluation.message.endswith("And 80 more.")
    assert len(evaluation.message) < 5000


def test_one_long_problem_is_shown_whole_or_cut_with_an_ellipsis() -> None:
    updates = ", ".join(f"package-{number}" for number in range(90))
    assert evaluate({"kind": "problems"}, f"problem: {updates}\ndone\n").message == f"{updates}."
    assert evaluate({"kind": "problems"}, f"problem: {updates * 9}\ndone\n").message.endswith("\u2026")


def test_problems_of_an_answer_that_is_not_whole() -> None:
    assert evaluate({"kind": "problems"}, "done", complete=False).outcome == "unknown"
    assert evaluate({"kind": "problems"}, "problem: a", complete=False).outcome == "failed"
    for given in ({"kind": "problems"}, {"matches": "x"}):
        assert evaluate(given, "problem: none", rc=1, applies=False).outcome == "not_applicable"


@pytest.mark.parametrize("given", [{"kind": "problems"}, {"absent": "k"}])
def test_an_answer_that_took_too_long(given: Row) -> None:
    late = evaluate(given, "looked\n", rc=124, out_of_time=9)
    assert (late.outcome, late.message) == (
        "unknown",
        "The server took longer than 9 s, which is what was left of wait_timeout.",
    )
    assert evaluate({"kind": "problems"}, "problem: a", rc=124, out_of_time=9).outcome == "failed"


@pytest.mark.parametrize(
    ("given", "output", "evidence"),
    [
        ({"kind": "problems"}, "fine\nproblem: a\n", "problem: a"),
        ({"absent": "b+"}, "aa\nxbb\n", "xbb"),
        ({"number": "<= 90"}, "Use%\n97%", "97%"),
    ],
)
def test_where_the_reason_stands(given: Row, output: str, evidence: str) -> None:
    assert output[evaluate(given, output).evidence :].startswith(evidence)
    assert evaluate({"matches": "z"}, "aa\n").evidence is None
