# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test the parser of checks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import UsageError
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.checks import (
    Check,
    parse_checks,
    parse_parameter,
)
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.options import SPEC
from ansible_collections.herdops.alpacon.tests.unit.support import Row


def check(**given: Any) -> Check:
    """Return a check with these keys."""
    [parsed] = parse_checks("checks", [{"name": "it", "line": "true", **given}])
    return parsed


def test_expected_conditions_in_words() -> None:
    parsed = check(matches="b", absent="c", number="<= 9")
    words = ["exit code 0", "output matches b", "output does not match c", "first number is at most 9"]
    assert parsed.expected == words


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"name": None}, "checks, check 1: name: it is missing"),
        ({"line": ["a"]}, "checks, check 1 (it): line: it is not a text. Give one text."),
        ({"username": ""}, "checks, check 1 (it): username: it is empty."),
        ({"results": {}}, "checks, check 1 (it): results: format: it is missing."),
        ({"line": " "}, "checks, check 1 (it): line: the command line is empty. Give the line to run."),
        ({"lines": "x"}, "checks, check 1 (it): lines: there is no such key. Did you mean line?"),
        (
            {"matches": "(a"},
            "matches: '(a' is not a regular expression: missing ), unterminated subpattern at position 0",
        ),
        ({"line": "if true; then"}, "checks, check 1 (it): line: the shell cannot parse it: "),
        ({"applies_if": "fi"}, "checks, check 1 (it): applies_if: the shell cannot parse it: "),
        ({"matches": [""]}, "matches: it is empty. Give a text."),
        ({"number": "<= x"}, "number: '<= x' is not a limit. Give <=, >= or == and a number or the name of"),
        ({"number": "90"}, "number: '90' is not a limit."),
        ({"number": "< 90"}, "number: '< 90' is not a limit."),
        ({"number": "<= inf"}, "number: '<= inf' is not a limit."),
        ({"timeout": float("inf")}, "checks, check 1 (it): timeout: it is infinite. Give a finite number."),
        ({"timeout": 0}, "timeout: it is 0. Give seconds from 1 to 3600."),
        ({"parameters": {"a": None}}, "parameters.a: it has no default. Give a text, a number, true or false, or"),
        ({"number": "<= a", "parameters": {"a": "x"}}, "number: '<= a' is not a limit."),
        ({"number": "<= a", "parameters": {"a": "90"}}, "number: '<= a' is not a limit."),
        ({"kind": "problems", "absent": "x"}, "absent: it cannot be used with kind problems. Leave it out."),
        ({"kind": "results"}, "kind: 'results' is not one of its values. Give one of output, problems"),
        (
            {"kind": "output", "results": {"format": "tap"}},
            "checks, check 1 (it): kind: it cannot be used with results",
        ),
        ({"timeout": True}, "timeout: it is true or false"),
        ({"username": "root "}, "username: 'root ' begins or ends with a blank"),
        ({"parameters": {"Bad": 1}}, "parameters.Bad: the name is not valid."),
        (
            {"results": {"format": "tab"}},
            "checks, check 1 (it): results: format: 'tab' is not one of its values. Did you mean tap?",
        ),
    ],
)
def test_invalid_checks_are_refused(given: Row, message: str) -> None:
    whole = {"name": "it", "line": "true", **given}
    with pytest.raises(UsageError) as raised:
        parse_checks("checks", [{key: value for key, value in whole.items() if value is not None}])
    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("second", "message"),
    [
        ({"name": "two", "line": "x" * 200_000}, r"checks, check 2 \(two\): line: the code has 200,000 characters"),
        ({"name": "one", "line": "x"}, "checks 1 and 2 are both named one"),
    ],
)
def test_errors_name_the_wrong_check(second: Row, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_checks("checks", [{"name": "one", "line": "true"}, second])
    with pytest.raises(UsageError, match="checks: there is no check"):
        parse_checks("checks", [])


def test_the_default_severity_fails_an_audit() -> None:
    assert check().severity == SPEC["fail_on"]["default"]


def test_code_is_parsed_and_not_run(tmp_path: Path) -> None:
    check(line=f"touch {tmp_path}/run; $(touch {tmp_path}/run)")
    assert not (tmp_path / "run").exists()


def test_values_of_parameters() -> None:
    parsed = check(parameters={"most": 4, "names": ["a"]}, number="<=most")
    assert [parsed.is_within_limit(value) for value in (4, 4.5)] == [True, False]
    other = parsed.with_parameters({"most": 9.5, "others": "x"})
    assert (other.limit, other.parameters) == ("at most 9.5", {"most": 9.5, "names": ["a"]})
    assert parsed.with_parameters({"others": 1}) is parsed


@pytest.mark.parametrize(
    ("default", "given", "value"),
    [
        (1, "90", 90),
        ([], "a, b,", ["a", "b"]),
        (["x"], [22, "y"], ["22", "y"]),
        (True, "no", False),
    ],
)
def test_parameters_get_the_type_of_their_default(default: Any, given: Any, value: Any) -> None:
    assert parse_parameter("audit_x", default, given) == value


@pytest.mark.parametrize(
    ("default", "given", "message"),
    [
        (1, "many", "audit_x: 'many' is not a number. Give one, such as 1."),
        (1, 10**400, "audit_x: '1000"),
        (True, "maybe", "audit_x: 'maybe' is not a boolean. Give true or false."),
        ("x", ["a"], "audit_x: it is not a text. Give a text."),
        ("x", "a\0b", "audit_x: it has a NUL character. Remove that character."),
    ],
)
def test_values_of_another_type_are_refused(default: Any, given: Any, message: str) -> None:
    with pytest.raises(UsageError) as raised:
        parse_parameter("audit_x", default, given)
    assert message in str(raised.value)
