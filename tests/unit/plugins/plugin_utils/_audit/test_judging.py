# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the answers of servers mean to checks."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.check_options import read_checks
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.judging import (
    LOOKED_AT,
    CheckOutcome,
)
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.judging import judge as judge_answer
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.questions import CheckAnswer
from ansible_collections.herdops.alpacon.tests.unit.support import Row

DF = "Filesystem Use% Mounted\n/dev/vda 83% /\n/dev/vdb 97% /srv\ntmpfs 1% /tmp\n"
LIMITED: Row = {"number": {"at_most": "most", "unit": "%"}, "parameters": {"most": 90, "names": ["a", "b"]}}


def judge(given: Row, output: str = "", rc: int = 0, fact_limit: int = 100, **answer: Any) -> CheckOutcome:
    """What an answer means to a check with these keys."""
    [check] = read_checks("checks", [{"name": "it", "line": "true", **given}])
    return judge_answer(check, CheckAnswer(rc, output, **answer), fact_limit)


# What answers mean


@pytest.mark.parametrize(
    ("given", "output", "rc", "outcome"),
    [
        ({}, "", 0, "passed"),
        ({}, "", 1, "failed"),
        ({"rc": [0, 3]}, "", 3, "passed"),
        ({"contains": "a, b"}, "x a, b x", 0, "passed"),
        ({"contains": ["a", "b"]}, "a", 0, "failed"),
        ({"matches": ["^b$", "^d$"]}, "a\nb\nc", 0, "failed"),
        ({"absent": ["x", "^b"]}, "a\nb is here\nc", 0, "failed"),
        ({"unanswered": "^cannot tell"}, "cannot tell", 9, "unknown"),
        ({"unanswered": "^cannot tell"}, "well", 9, "failed"),
        ({"number": {"at_most": 82.5}}, "83", 0, "failed"),
        ({"number": {"at_least": 83.5}}, "83", 0, "failed"),
        ({"number": {"equals": -1.5}}, "it is -1.5", 0, "passed"),
        ({"number": {"equals": 0}}, "it is 0.5", 0, "failed"),
        ({"number": {"at_most": 90}}, "nothing", 0, "unknown"),
        ({"number": {"at_most": 90}}, "83", 1, "failed"),
    ],
)
def test_judging(given: Row, output: str, rc: int, outcome: str) -> None:
    assert judge(given, output, rc).outcome == outcome


@pytest.mark.parametrize(
    ("pick", "value"), [("first", 83), ("last", 1), ("min", 1), ("max", 97), ("sum", 181), ("count", 3)]
)
def test_picking_a_number(pick: str, value: int) -> None:
    number = {"extract": r"(\d+)% /", "pick": pick, "equals": value}
    assert judge({"number": number}, DF) == CheckOutcome("passed", f"It is {value}.", value)


@pytest.mark.parametrize("text", ["٣", "1e3000", "9" * 5000, "9" * 400 + ".0", "nan"])
def test_what_is_no_number(text: str) -> None:
    assert judge({"number": {"extract": "(.+)", "at_least": 0}}, text).outcome == "unknown"


@pytest.mark.parametrize(
    ("given", "output", "rc", "message"),
    [
        (
            {"rc": [0, 2]},
            "a\nno such file\n",
            1,
            "Exit code 1, where 0 or 2 is expected. The output ends with: no such file",
        ),
        ({"contains": ["a", "b"]}, "", 0, "The output does not contain a. The output does not contain b."),
        ({"matches": "^x$"}, "", 0, "The output is not as expected. It is empty."),
        ({"matches": "^x$"}, "a\nb", 0, "The output is not as expected. It begins with: a"),
        ({"absent": "port 2"}, "a\n  port 22 is open\nc", 0, "The server says: port 22 is open"),
        ({"number": {"at_most": 90, "unit": "%"}}, "97", 0, "It is 97%, and must be at most 90%."),
        ({"number": {"at_least": 2.5, "unit": "GB"}}, "1", 0, "It is 1 GB, and must be at least 2.5 GB."),
        ({"unanswered": "^cannot"}, "a\ncannot look", 0, "The server says: cannot look"),
    ],
)
def test_messages(given: Row, output: str, rc: int, message: str) -> None:
    assert judge(given, output, rc).message == message


# Answers that are not whole


def test_an_exit_code_that_the_workspace_did_not_tell() -> None:
    untold: dict[str, Any] = {"rc": 1, "rc_stated": False}
    assert judge({}, **untold).outcome == "failed"
    assert "other than 0" in judge({}, **untold).message
    assert judge({"rc": [0, 3]}, **untold).outcome == "unknown"
    assert judge({"rc": [0, 3], "absent": "x"}, output="x", **untold).outcome == "failed"
    assert judge({}, rc=0, rc_stated=False).outcome == "passed"


@pytest.mark.parametrize("given", [{"contains": "a"}, {"matches": "a"}, {"absent": "b"}, {"number": {"at_most": 9}}])
def test_output_with_a_hole_proves_nothing(given: Row) -> None:
    assert judge(given, "a 1").outcome == "passed"
    assert judge(given, "a 1", complete=False).outcome == "unknown"
    # It may show enough.
    assert judge({"absent": "1"}, "a 1", complete=False).outcome == "failed"


def test_no_more_than_the_beginning_of_an_output_is_looked_at() -> None:
    assert judge({"contains": "end"}, " " * LOOKED_AT + "end").outcome == "unknown"
    assert judge({"contains": "end"}, " " * (LOOKED_AT - 3) + "end").outcome == "passed"


# Messages of the check itself


@pytest.mark.parametrize(
    ("message", "given", "output", "said"),
    [
        ("{line} listens", {"absent": "port"}, "a\nport 22\nport 23", "port 22 listens"),
        ("{value}{unit} of {at_most}{unit} {names}", LIMITED, "97", "97% of 90% a, b"),
        ("rc {rc}, last {line}", {"rc": 9}, "x\ny\n", "rc 0, last y"),
    ],
)
def test_messages_of_checks(message: str, given: Row, output: str, said: str) -> None:
    judged = judge({"message": message, **given}, output)
    assert (judged.outcome, judged.message) == ("failed", said)


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
    ],
)
def test_problems(output: str, outcome: str, message: str) -> None:
    judged = judge({"kind": "problems"}, output, rc=3)
    assert (judged.outcome, judged.message) == (outcome, message)


def test_many_problems_are_counted() -> None:
    output = "".join(f"problem: {number} is {'x' * 300}\n" for number in range(100)) + "done\n"
    judged = judge({"kind": "problems"}, output)
    assert judged.message.endswith("And 80 more.")
    assert len(judged.message) < 5000


def test_problems_of_an_answer_that_is_not_whole() -> None:
    assert judge({"kind": "problems"}, "done", complete=False).outcome == "unknown"
    assert judge({"kind": "problems"}, "problem: a", complete=False).outcome == "failed"
    for given in ({"kind": "problems"}, {"contains": "x"}):
        assert judge(given, "problem: none", rc=1, applies=False).outcome == "not_applicable"


@pytest.mark.parametrize("given", [{"kind": "problems"}, {"absent": "k"}])
def test_an_answer_that_took_too_long(given: Row) -> None:
    late = judge({"timeout": 9, **given}, "looked\n", rc=124, out_of_time=True)
    assert (late.outcome, late.message) == ("unknown", "The server took longer than 9 s.")
    assert judge({"kind": "problems"}, "problem: a", rc=124, out_of_time=True).outcome == "failed"


@pytest.mark.parametrize(
    ("given", "output", "evidence"),
    [
        ({"kind": "problems"}, "fine\nproblem: a\n", "problem: a"),
        ({"absent": "b+"}, "aa\nxbb\n", "xbb"),
        ({"number": {"extract": r"(\d+)%", "pick": "max", "at_most": 90}}, DF, "97%"),
    ],
)
def test_where_the_reason_stands(given: Row, output: str, evidence: str) -> None:
    assert output[judge(given, output).evidence :].startswith(evidence)
    assert judge({"contains": "z"}, "aa\n").evidence is None


# Facts


@pytest.mark.parametrize(
    ("given", "limit", "facts"),
    [({"number": {}}, 100, {"n": 12}), ({}, 100, {"n": "12 apples"}), ({}, 2, {"n": "12"})],
)
def test_facts(given: Row, limit: int, facts: Row) -> None:
    assert judge({"fact": "n", **given}, " 12 apples \n", fact_limit=limit).facts == facts


def test_facts_of_problems() -> None:
    output = "fact: ports=22\nfact: load = 0.25 \nfact: name=a=b\nfact: other=1\nfact: nothing\nproblem: x\n"
    judged = judge({"kind": "problems", "fact": ["ports", "load", "name", "nothing"]}, output)
    assert judged.facts == {"ports": 22, "load": 0.25, "name": "a=b"}
