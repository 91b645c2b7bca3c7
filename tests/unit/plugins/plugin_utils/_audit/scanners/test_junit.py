# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Results in JUnit's XML, from what pytest 9 and bats 1.11.1 wrote."""

from __future__ import annotations

import pytest

from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.scanners import NamedResult, ScannerError, parse

PYTEST = """<?xml version="1.0" encoding="utf-8"?><testsuites name="pytest tests"><testsuite name="pytest" errors="1" \
failures="1" skipped="1" tests="4" time="0.116" timestamp="2026-11-26T13:28:00.216808+00:00" hostname="web-1">\
<testcase classname="t_test" name="test_it" time="0.005" /><testcase classname="t_test" name="test_bad" time="0.001">\
<failure message="AssertionError: one is not two&#10;assert 1 == 2">E   AssertionError: one is not two

t_test.py:3: AssertionError</failure></testcase><testcase classname="t_test" name="test_skip" time="0.000">\
<skipped type="pytest.skip" message="not here">t_test.py:4: not here</skipped></testcase>\
<testcase classname="t_test" name="test_error" time="0.000"><error message="failed on setup with &quot;OSError: no \
such thing&quot;">t_test.py:7: OSError</error></testcase></testsuite></testsuites>"""


def of(output: str) -> list[NamedResult]:
    """The results."""
    return parse({"format": "junit"}, output)


def test_pytest() -> None:
    results = of(PYTEST)
    assert [(result.name, result.outcome) for result in results] == [
        ("t_test.test_it", "passed"),
        ("t_test.test_bad", "failed"),
        ("t_test.test_skip", "not_applicable"),
        ("t_test.test_error", "unknown"),
    ]
    assert results[1].message.startswith("AssertionError: one is not two\nassert 1 == 2\nE   AssertionError")
    assert results[3].message == 'failed on setup with "OSError: no such thing"\nt_test.py:7: OSError'


@pytest.mark.parametrize("after", ["", "\u00e9 $ & # {}\n<b>\n", "<!DOCTYPE a>"])
def test_pytest_to_the_standard_output(after: str) -> None:
    assert of(f"collected 4 items\n\nt_test.py .Fs [100%]{PYTEST}{after}") == of(PYTEST)


@pytest.mark.parametrize("between", ["", "\n=== 1 passed ===\nt.py . [100%]"])
def test_another_document_is_not_lost(between: str) -> None:
    with pytest.raises(ScannerError, match="is not one whole element testsuites"):
        of(f"{PYTEST}{between}{PYTEST}")


@pytest.mark.parametrize(
    ("status", "outcome"),
    [("run", "passed"), ("skipped", "not_applicable"), ("failed", "failed"), ("odd", "unknown")],
)
def test_a_test_may_only_have_a_status(status: str, outcome: str) -> None:
    [result] = of(f'<testsuite><testcase name="DISABLED_b" status="{status}" result="suppressed"/></testsuite>')
    assert (result.outcome, result.message) == (outcome, "" if outcome == "passed" else f"Its status is {status}.")


@pytest.mark.parametrize(
    ("suite", "name", "outcome"),
    [
        ('<testsuite name="s" tests="2"><testcase name="a"/></testsuite>', "missing-results", "unknown"),
        ('<testsuite name="s"><testcase name="a"/><error message="x"/></testsuite>', "s", "unknown"),
        ('<testsuite name="s"><testcase name="a"/><failure message="x"/></testsuite>', "s", "failed"),
    ],
)
def test_what_is_wrong_with_a_whole_suite_is_a_result(suite: str, name: str, outcome: str) -> None:
    assert [(result.name, result.outcome) for result in of(suite)] == [("a", "passed"), (name, outcome)]
