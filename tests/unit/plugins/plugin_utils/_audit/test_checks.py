# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The checks of an audit: how they are read, of whom they ask, and what answers mean to them."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import UsageError
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit import judging
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.check_options import choose_checks, read_checks
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.checks import Check
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.judging import LOOKED_AT, CheckAnswer, CheckOutcome
from ansible_collections.herdops.alpacon.tests.unit.support import Row

DF = "Filesystem Use% Mounted\n/dev/vda 83% /\n/dev/vdb 97% /srv\ntmpfs 1% /tmp\n"


def check(**given: Any) -> Check:
    """A check with these keys."""
    [read] = read_checks("checks", [{"name": "it", "line": "true", **given}])
    return read


def judge(given: Row, output: str = "", rc: int = 0, **answer: Any) -> CheckOutcome:
    """What an answer means to a check with these keys."""
    return judging.judge(check(**given), CheckAnswer(rc, output, **answer))


# What answers mean


@pytest.mark.parametrize(
    ("given", "output", "rc", "outcome"),
    [
        ({}, "", 0, "passed"),
        ({}, "", 1, "failed"),
        ({"rc": [0, 3]}, "", 3, "passed"),
        ({"rc": 1}, "", 0, "failed"),
        ({"contains": "a, b"}, "x a, b x", 0, "passed"),
        ({"contains": ["a", "b"]}, "a", 0, "failed"),
        ({"contains": "A"}, "a", 0, "failed"),
        ({"matches": "^b$"}, "a\nb\nc", 0, "passed"),
        ({"matches": ["^b$", "^d$"]}, "a\nb\nc", 0, "failed"),
        ({"absent": "^b"}, "a\nc", 0, "passed"),
        ({"absent": ["x", "^b"]}, "a\nb is here\nc", 0, "failed"),
        ({"unanswered": "^cannot tell"}, "cannot tell", 0, "unknown"),
        ({"unanswered": "^cannot tell"}, "cannot tell", 9, "unknown"),
        ({"unanswered": "^cannot tell"}, "well", 9, "failed"),
        ({"number": {"at_most": 90}}, "about 83 percent", 0, "passed"),
        ({"number": {"at_most": 83}}, "83", 0, "passed"),
        ({"number": {"at_most": 82.5}}, "83", 0, "failed"),
        ({"number": {"at_least": 83}}, "83", 0, "passed"),
        ({"number": {"at_least": 83.5}}, "83", 0, "failed"),
        ({"number": {"equals": -1.5}}, "it is -1.5", 0, "passed"),
        ({"number": {"equals": 0}}, "it is 0.5", 0, "failed"),
        ({"number": {"at_least": 1, "at_most": 2}}, "3", 0, "failed"),
        ({"number": {"at_most": 90}}, "nothing", 0, "unknown"),
        ({"number": {"at_most": 90}}, "83", 1, "failed"),
        ({"number": {"extract": "x", "pick": "count", "at_most": 0}}, "", 0, "passed"),
    ],
)
def test_judging(given: Row, output: str, rc: int, outcome: str) -> None:
    assert judge(given, output, rc).outcome == outcome


@pytest.mark.parametrize(
    ("pick", "value"), [("first", 83), ("last", 1), ("min", 1), ("max", 97), ("sum", 181), ("count", 3)]
)
def test_picking_a_number(pick: str, value: int) -> None:
    number = {"extract": r"(\d+)% /", "pick": pick, "equals": value}
    assert judge({"number": number}, DF) == CheckOutcome("passed", f"The number is {value}.", value)


def test_numbers_are_whole_where_they_are_written_so() -> None:
    values = [judge({"number": {"at_least": -9}}, text).value for text in ("7", "7.0", "7.25", "-7")]
    assert [(value, type(value)) for value in values] == [(7, int), (7.0, float), (7.25, float), (-7, int)]


@pytest.mark.parametrize("text", ["٣", "1e3000", "9" * 5000, "9" * 400 + ".0", "nan", "inf", "one"])
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
        ({"matches": "^x$"}, "", 0, "The output does not match ^x$."),
        ({"absent": "port 2"}, "a\n  port 22 is open\nc", 0, "The output matches port 2: port 22 is open"),
        ({"number": {"at_most": 90}}, "97", 0, "97 is more than 90."),
        ({"number": {"at_least": 2.5}}, "1", 0, "1 is less than 2.5."),
        ({"number": {"equals": 1}}, "2", 0, "2 is not 1."),
        ({"unanswered": "^cannot"}, "a\ncannot look", 0, "The server says: cannot look"),
    ],
)
def test_messages(given: Row, output: str, rc: int, message: str) -> None:
    assert judge(given, output, rc).message == message


def test_messages_stay_short_whatever_the_output_is() -> None:
    long = "x" * 100_000
    assert len(judge({"absent": "x"}, long).message) < 300
    assert len(judge({}, long, 1).message) < 300


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


def test_output_with_a_hole_may_show_enough() -> None:
    assert judge({"absent": "b"}, "b", complete=False).outcome == "failed"
    assert judge({}, "b", complete=False).outcome == "passed"


def test_no_more_than_the_beginning_of_an_output_is_looked_at() -> None:
    assert judge({"contains": "end"}, " " * LOOKED_AT + "end").outcome == "unknown"
    assert judge({"contains": "end"}, " " * (LOOKED_AT - 3) + "end").outcome == "passed"


# Facts, words, groups


def test_facts() -> None:
    answer = CheckAnswer(0, " 12 apples \n")
    for given, fact in (({"fact": "n", "number": {}}, 12), ({"fact": "n"}, "12 apples")):
        read = check(**given)
        assert judging.fact_of(read, answer, judging.judge(read, answer), 100) == fact
    read = check(fact="n")
    assert judging.fact_of(read, answer, judging.judge(read, answer), 2) == "12"


def test_what_is_expected_in_words() -> None:
    read = check(
        rc=[0, 1], contains="a", matches="b", absent="c", number={"pick": "max", "at_most": 9, "at_least": 0.5}
    )
    assert read.expected == [
        "exit code 0 or 1",
        "output contains a",
        "output matches b",
        "output does not match c",
        "max number is at most 9",
        "max number is at least 0.5",
    ]


@pytest.mark.parametrize(
    ("when", "groups", "applies"),
    [
        ([], [], True),
        (["web", "db"], ["db"], True),
        (["web"], ["db"], False),
        (["!test"], ["web"], True),
        (["!test"], ["test"], False),
        (["web", "!test"], ["web"], True),
        (["web", "!test"], ["web", "test"], False),
        ("web, db", ["db"], True),
    ],
)
def test_whom_a_check_asks(when: Any, groups: list[str], applies: bool) -> None:
    assert check(when=when).applies_to(groups) is applies


# Reading


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"name": None}, "checks, check 1: missing required arguments: name"),
        ({"line": None}, "checks, check 1 (it): missing required arguments: line"),
        ({"name": " "}, "checks, check 1 ( ): name: it is empty. Give one."),
        ({"line": " "}, "checks, check 1 (it): line: the command line is empty. Give the line that is to run."),
        ({"lines": "x"}, "checks, check 1 (it): lines: a check has no such key. Did you mean line?"),
        ({"qqq": "x"}, "checks, check 1 (it): qqq: a check has no such key. It may have: name, line, description,"),
        ({"severity": "bad"}, "value of severity must be one of: info, low, medium, high, critical, got: bad"),
        ({"rc": "none"}, "checks, check 1 (it): Elements value for option 'rc' is of type"),
        ({"rc": []}, "rc: no exit code would be right. Name at least one, or leave rc out for 0."),
        ({"contains": [""]}, "contains: it is empty. Give a text, or leave it out."),
        ({"matches": "(a"}, "matches: '(a' is no regular expression: missing ), unterminated subpattern at position 0"),
        ({"absent": ["ok", "*"]}, "absent: '*' is no regular expression: nothing to repeat at position 0"),
        ({"unanswered": "["}, "unanswered: '[' is no regular expression"),
        ({"number": {"at_mots": 1}}, "number.at_mots: a check has no such key. Did you mean number.at_most?"),
        ({"number": {"at_most": "x"}}, "checks, check 1 (it): argument 'at_most' is of type"),
        (
            {"number": {}},
            "number: it is compared with nothing. Give at_most, at_least or equals, or a fact to keep it as.",
        ),
        ({"number": {"extract": "(", "at_most": 1}}, "number.extract: '(' is no regular expression"),
        ({"number": {"extract": "(a)(b)", "at_most": 1}}, "number.extract: it has 2 groups. Leave one pair of"),
        ({"number": {"pick": "any", "at_most": 1}}, "value of pick must be one of: first, last, min, max, sum, count"),
        ({"fact": "disk-used"}, "fact: 'disk-used' is no name of a variable. Use letters, digits and underscores."),
        ({"when": ["!"]}, "when: it is empty."),
        ({"shell": "bash"}, "value of shell must be one of: system, internal, osquery, got: bash"),
    ],
)
def test_bad_checks(given: Row, message: str) -> None:
    whole = {"name": "it", "line": "true", **given}
    with pytest.raises(UsageError) as raised:
        read_checks("checks", [{key: value for key, value in whole.items() if value is not None}])
    assert message in str(raised.value)


def test_the_check_that_is_wrong_is_named() -> None:
    good = {"name": "one", "line": "true"}
    with pytest.raises(UsageError, match=r"checks, check 2 \(two\): line: the command line has 3000 characters"):
        read_checks("checks", [good, {"name": "two", "line": "x" * 3000}])
    with pytest.raises(UsageError, match="checks 1 and 3 are both named one"):
        read_checks("checks", [good, {"name": "two", "line": "x"}, good])
    with pytest.raises(UsageError, match="checks: there is no check"):
        read_checks("checks", [])


def test_a_line_is_kept_as_it_is() -> None:
    assert check(line="  echo  a\n").line == "  echo  a\n"


# Choosing


def test_leaving_out_and_other_severities() -> None:
    checks = [check(name="one"), check(name="two"), check(name="three")]
    chosen = choose_checks(checks, ["two"], {"three": "critical", "two": "low"})
    assert [(one.name, one.severity) for one in chosen] == [("one", "medium"), ("three", "critical")]


@pytest.mark.parametrize(
    ("skip", "severities", "message"),
    [
        (["tow"], {}, "skip: there is no check tow. Did you mean two?"),
        (["qqqqq"], {}, "skip: there is no check qqqqq. There are: one, two."),
        (["one", "two"], {}, "skip: no check is left. Leave at least one."),
        ([], {"on": "low"}, "severities: there is no check on. Did you mean one?"),
        ([], {"one": "bad"}, "severities: one: 'bad' is no severity. Give one of info, low, medium, high, critical."),
    ],
)
def test_bad_choices(skip: list[str], severities: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError) as raised:
        choose_checks([check(name="one"), check(name="two")], skip, severities)
    assert str(raised.value) == message
