# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test the parsers of all formats but XCCDF, with hostile output and with output whose end is missing."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import UsageError
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.scanners import (
    FORMATS,
    parse_output,
    parse_results_options,
)
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.scanners.results import (
    RuleResult,
    RuleResults,
    ScannerError,
)
from ansible_collections.herdops.alpacon.tests.unit.support import Row

CUT = "Its end is missing."
JSON_OPTIONS = {"outcome": "ok", "name": "id", "words": {"true": "passed"}}
LAUGHS = '<!DOCTYPE x [<!ENTITY a "lol"><!ENTITY b "&a;&a;&a;&a;">]><testsuite><testcase name="&b;"/></testsuite>'
HOSTILE = {
    "line": "x" * 1_000_000,
    "colons": ":pass" * 600_000,
    "hashes": "not ok 1 " + "# " * 1_000_000,
    "breaks": "\n" * 300_000,
    "angles": "<" * 1_000_000,
    "brackets": "[" * 1_000_000,
    "deep": "<testsuite>" * 5000 + "</testsuite>" * 5000,
    "wide": "<testsuite>" + "<a/>" * 500_001 + "</testsuite>",
    "laughs": LAUGHS,
    "outside": '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><testsuite><testcase name="x">&a;</testcase>',
    "encoding": '<?xml version="1.0" encoding="utf-16"?><testsuite/>',
    "surrogates": "<testsuite name='\udcff'></testsuite>",
    "digits": '{"results": ' + "9" * 100_000 + "}",
    "rules": "".join(f"r{number}:pass\n" for number in range(10_000)),
}


@pytest.mark.parametrize(
    ("kind", "name"),
    [(kind, name) for kind in FORMATS for name in HOSTILE if kind == "junit" or HOSTILE[name][0] != "<"],
)
def test_hostile_output_costs_little(kind: str, name: str) -> None:
    before, kept = time.process_time(), 0
    try:
        results = parse_output({"format": kind, **JSON_OPTIONS}, HOSTILE[name])
        kept = max(len(result.message) + len(result.name) for result in results)
    except ScannerError as error:
        kept = len(str(error))
    assert kept < 5000
    assert time.process_time() - before < 5


@pytest.mark.parametrize(
    ("kind", "output", "reason"),
    [
        ("junit", LAUGHS, "has a DTD"),
        ("junit", "<html/>", "no XML element testsuites or testsuite"),
        ("junit", HOSTILE["deep"], "deeper than 100 or has more than 500,000 elements"),
        ("tap", " " * (32 * 1024 * 1024 + 1), "more than 33,554,432 characters"),
        ("xccdf", HOSTILE["rules"], "10,000 results, which is more than 5,000"),
        ("xccdf", "sh: 1: oscap: not found\n", "It ends with: sh: 1: oscap: not found"),
        ("xccdf", "missing-results: oscap is not installed.\n", "^oscap is not installed.$"),
        ("tap", "ok - same\n" * 5001, "more than 5,000 tests"),
        ("tap", "Bail out! no bats\n", "The run bailed out: no bats."),
        ("json", '[{"id": "a", "ok": true},\n{"id": "b", "ok": true},\n', "JSON"),
        ("json", '{"id": "a", "ok": true}\nlog\n{"id": "b", "ok": false}\n', "more than one JSON document"),
        ("inspec", "[]", "is not a report of InSpec"),
        ("json", "[]", "nothing at its root"),
        ("json", '[{"ok": true}]', "Result 1 has no name at id"),
        ("junit", "<testsuite></testsuite>\nlog\n<testsuite></testsuite>", "is not one whole element testsuite: "),
        ("inspec", '{"profiles": [{"skip_message": "Not for this platform"}]}', "Not for this platform"),
    ],
)
def test_output_without_results_is_refused(kind: str, output: str, reason: str) -> None:
    with pytest.raises(ScannerError, match=reason):
        parse_output({"format": kind, **JSON_OPTIONS}, output)


def test_texts_are_bounded_and_escaped() -> None:
    [result] = parse_output({"format": "tap"}, f"1..1\nnot ok 1 - a\x1b[2J{'b' * 500}\n# {'c' * 3000}\u202e\n# d\n")
    assert (result.name[:9], result.name[-1], len(result.message)) == ("a\\x1b[2Jb", "…", 2000)
    assert len(result.name) < 220


def test_rules_of_the_check_complete_the_results() -> None:
    about: dict[str, Any] = {"title": "A", "rationale": "why", "severity": "high", "remedy": "fix"}
    rules = [{"name": "a", **about, "references": ["R 1"]}, {"name": "b", "severity": None}]
    known, other, silent = parse_output({"format": "xccdf", "rules": rules}, "a:fail\nc:pass\n")
    assert known == RuleResult("a", "failed", **about, references=("R 1",), message="The rule is not met: A")
    assert other == RuleResult("c", "passed")
    assert silent == RuleResult("b", "unknown", message="The output has no result of this rule.")


@pytest.mark.parametrize(
    ("kind", "whole"),
    [
        ("xccdf", "a:pass\r\nb:fail\nc:pass\nc:fail\nd:notchecked\ne:notapplicable\nf:pass\n"),
        ("tap", "1..5\nok 1 - a\nnot ok 2 - b\nok 3 - c # SKIP no\nnot ok 4 - d # TODO\nok 5 - e\n"),
        ("junit", '<testsuite tests="2">\n<testcase name="a"/>\n<testcase name="b"/></testsuite>'),
    ],
)
def test_cut_output_adds_no_pass(kind: str, whole: str) -> None:
    options = {"format": kind, **JSON_OPTIONS, "rules": [{"name": "never"}]}
    passed = {result.name for result in parse_output(options, whole) if result.outcome == "passed"}
    assert passed
    for end in range(len(whole)):
        try:
            results = parse_output(options, whole[:end], CUT)
        except ScannerError:
            continue
        assert {result.name for result in results if result.outcome == "passed"} <= passed, whole[:end]
        assert [result.name for result in results[-2:]] == ["missing-results", "never"], whole[:end]
        assert all(result.message.startswith(CUT) for result in results[-2:])


def test_several_results_of_a_rule_count_once() -> None:
    output = "".join(f"{rule}|Rule {rule}|pass\n{rule}|severity=low|pass\n" for rule in range(5000))
    assert len(parse_output({"format": "xccdf"}, output)) == 5000


Found = list[tuple[str, str]]
MISSING = ("missing-results", "unknown")


def found(kind: str, output: str) -> Found:
    """Return names and outcomes."""
    return [(result.name, result.outcome) for result in parse_output({"format": kind}, output)]


BATS = """TAP version 13
1..3
ok 1 hostname is set
not ok 2 passwd is safe # really
  ---
  message: |
    (in test file /tmp/t/host.bats, line 2)
      `[ "$(stat -c %a /etc/passwd)" = 600 ]' failed
  ...
not ok 3 no telnet # SKIP not installed
"""


def test_bats() -> None:
    _passed, failed, skipped = parse_output({"format": "tap"}, BATS)
    why = '(in test file /tmp/t/host.bats, line 2)\n`[ "$(stat -c %a /etc/passwd)" = 600 ]\' failed'
    assert (failed.name, failed.outcome, failed.message) == ("passwd is safe # really", "failed", why)
    assert (skipped.name, skipped.outcome, skipped.message) == ("no telnet", "not_applicable", "SKIP not installed")


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("ok 1 - a\n1..1\n", [("a", "passed")]),
        ("ok\nnot ok\n1..2\n", [("test 1", "passed"), ("test 2", "failed")]),
        ("1..1\nok 1 a \\# b \\\\ c\n", [("a # b \\ c", "passed")]),
        ("1..2\nok 1 - done # TODO was late\nnot ok 2 - x # TODO\n", [("done", "passed"), ("x", "not_applicable")]),
        ("1..0 # SKIP no systemd\n", [("all tests", "not_applicable")]),
        ("ok 1 - a\n", [("a", "passed"), MISSING]),
        ("1..3\nok 1 - a\nBail out! disk is full\nok 2 - b\n", [("a", "passed"), MISSING]),
        # What a test of tests found is in the line of the outer one.
        ("1..1\n    1..2\n    ok 1 - in\n    not ok 2 - in too\nnot ok 1 - out\n", [("out", "failed")]),
        ("1..1\nok 1 - a\n1..2\nok 1 - b\nnot ok 2 - a\n", [("a", "failed"), ("b", "passed")]),
    ],
)
def test_tap(output: str, expected: Found) -> None:
    assert found("tap", output) == expected


PYTEST = """<?xml version="1.0" encoding="utf-8"?><testsuites name="pytest tests"><testsuite name="pytest" tests="4">\
<testcase classname="t" name="it"/><testcase classname="t" name="bad"><failure \
message="AssertionError: one&#10;assert 1">E   AssertionError: one

t_test.py:3</failure></testcase><testcase classname="t" name="skip"><skipped message="not here">t_test.py:4</skipped>\
</testcase><testcase classname="t" name="error"><error message="failed">t_test.py:7: OSError</error></testcase>\
</testsuite></testsuites>"""


@pytest.mark.parametrize("after", ["", "\u00e9 $ & # {}\n<b>\n", "<!DOCTYPE a>"])
def test_pytest_to_the_standard_output(after: str) -> None:
    results = parse_output({"format": "junit"}, f"collected 4 items\n\nt_test.py .Fs [100%]{PYTEST}{after}")
    outcomes = {"t.it": "passed", "t.bad": "failed", "t.skip": "not_applicable", "t.error": "unknown"}
    assert {result.name: result.outcome for result in results} == outcomes
    assert results[1].message.startswith("AssertionError: one\nassert 1\nE   AssertionError")
    assert results[3].message == "failed\nt_test.py:7: OSError"


@pytest.mark.parametrize(
    ("suite", "expected"),
    [
        ('<testcase name="a" status="run"/>', [("a", "passed")]),
        ('<testcase name="a" status="notrun"/>', [("a", "not_applicable")]),
        ('<testcase name="a" status="failed"/>', [("a", "failed")]),
        ('<testcase name="a" status="odd"/>', [("a", "unknown")]),
        ('<testcase name="a"/><error message="x"/>', [("a", "passed"), ("suite", "unknown")]),
        ('<testcase name="a"/><failure message="x"/>', [("a", "passed"), ("suite", "failed")]),
        ('<testsuite tests="2"><testcase name="a"/></testsuite>', [("a", "passed"), MISSING]),
    ],
)
def test_junit(suite: str, expected: Found) -> None:
    assert found("junit", f"<testsuite>{suite}</testsuite>") == expected


UNMET = "RSpec::Expectations::ExpectationNotMetError"
PASSED = {"status": "passed", "code_desc": "File exists"}
FAILED = {"status": "failed", "code_desc": "File mode", "message": "\nexpected: 0600\n", "exception": UNMET}
SKIPPED = {"status": "skipped", "skip_message": "Can't find file: /etc/ssh/sshd_config"}
ONLY_IF = {"status": "skipped", "skip_message": "Skipped control due to only_if condition."}
BROKEN = {"status": "failed", "message": "undefined method", "exception": "NoMethodError"}
CONTROL: Row = {
    "id": "passwd-01",
    "title": "Accounts are safe",
    "desc": "Only root writes passwd",
    "descriptions": [{"label": "default", "data": "Only root"}, {"label": "fix", "data": "chmod 600 /etc/passwd"}],
    "impact": 0.7,
    "refs": [{"ref": "Handbook", "url": "https://example.org"}, {"ref": []}],
    "tags": {"nist": ["AC-6", "CM-6"], "cci": ["CCI-000366"], "severity": "medium"},
}


def inspec(*results: Row, **control: Any) -> list[RuleResult]:
    """Return the results in a report of the reporter json with a control, in a profile and in one that wraps it."""
    wrapper = {"name": "ours", "controls": [{"id": "passwd-01", "title": "", "results": []}]}
    profile = {"name": "linux", "controls": [{**CONTROL, **control, "results": list(results)}]}
    report = json.dumps({"platform": {"name": "debian"}, "profiles": [wrapper, profile]})
    return parse_output({"format": "inspec"}, f"warning: already initialized constant\n{report}\n")


def test_texts_of_a_control() -> None:
    impacts = {0: "info", 0.1: "low", 0.4: "medium", 0.69: "medium", 1.0: "critical", "high": None}
    assert {impact: inspec(PASSED, impact=impact)[0].severity for impact in impacts} == impacts
    [control] = inspec(PASSED, FAILED)
    about = ("passwd-01", "failed", "Accounts are safe", "Only root writes passwd", "high", "chmod 600 /etc/passwd")
    references = ("NIST SP 800-53 AC-6, CM-6", "CCI-000366", "Handbook https://example.org")
    assert control == RuleResult(*about, references, "File mode: \nexpected: 0600")


@pytest.mark.parametrize(
    ("tests", "outcome", "without_impact"),
    [
        ([PASSED], "passed", "not_applicable"),
        ([PASSED, FAILED, SKIPPED], "failed", "not_applicable"),
        ([PASSED, SKIPPED], "unknown", "not_applicable"),
        ([ONLY_IF], "not_applicable", "not_applicable"),
        ([BROKEN, PASSED, ONLY_IF], "unknown", "not_applicable"),
        ([{"status": "odd"}], "unknown", "not_applicable"),
        ([], "unknown", "unknown"),
    ],
)
def test_the_worst_test_decides_the_outcome_of_a_control(tests: list[Row], outcome: str, without_impact: str) -> None:
    assert [inspec(*tests, impact=impact)[0].outcome for impact in (0.7, 0.0)] == [outcome, without_impact]


def test_json_min_groups_tests_by_control() -> None:
    rows = [{"id": "a", "profile_id": "p", **PASSED}, {"id": "a", **FAILED}, {"id": "b", **PASSED}]
    assert found("inspec", json.dumps({"controls": rows})) == [("a", "failed"), ("b", "passed")]


#: As kube-bench writes it.
KUBE: Row = {"test_number": "1.1.1", "test_desc": "The file is safe", "status": "FAIL", "remediation": "chmod 600"}
KUBE |= {"reason": "0644", "severity": "IMPORTANT", "links": ["https://example.org/1", "CIS 1.1.1"]}
FIRST: list[Row] = [KUBE, {"test_number": "1.1.2", "status": "pass"}]
SECOND = [{"test_number": "1.2.1", "status": "WARN"}, {"test_number": "1.2.2"}]
NESTED = {"Controls": [{"tests": [{"results": FIRST}, {"results": SECOND}]}]}
PATHS = {"list": "Controls.tests.results", "name": "test_number", "outcome": "status"}
PATHS |= {"title": "test_desc", "remedy": "remediation", "message": "reason", "references": "links"}


def of_json(document: Any, **options: Any) -> RuleResults:
    """Return the results in a document."""
    words = {"passed": ["PASS", True, 0], "failed": ["FAIL", False], "not_applicable": ["INFO"]}
    return parse_output(
        parse_results_options("results", {"format": "json", "words": words, **options}), json.dumps(document)
    )


def test_a_path_leads_through_the_entries_of_lists() -> None:
    first, *others = of_json(NESTED, **PATHS, severity="severity")
    links = ("https://example.org/1", "CIS 1.1.1")
    assert first == RuleResult("1.1.1", "failed", "The file is safe", "", "high", "chmod 600", links, "0644")
    assert [(result.name, result.outcome, result.message) for result in others] == [
        ("1.1.2", "passed", ""),
        ("1.2.1", "unknown", "The outcome 'WARN' is not in words."),
        ("1.2.2", "unknown", "It has no outcome at status."),
    ]


def test_the_keys_of_an_object_may_be_names() -> None:
    results = of_json({"checks": {"a": {"ok": True}, "b": {"ok": "Fail"}, "c": {"ok": 0}}}, list="checks", outcome="ok")
    assert [(one.name, one.outcome) for one in results] == [("a", "passed"), ("b", "failed"), ("c", "passed")]


@pytest.mark.parametrize("end", ["", "\n\x1b[2J" + "x" * 900])
def test_scanners_say_which_versions_they_have(end: str) -> None:
    profile = {"title": "Baseline", "version": f"2.9.0{end}", "controls": [{"id": "a", "results": [PASSED]}]}
    reports: list[Row] = [{"controls": [PASSED], "version": "5.22"}, {"profiles": [profile], "version": "5.22"}]
    minimal, whole = (parse_output({"format": "inspec"}, json.dumps(one)).versions for one in reports)
    paths = {"CIS Kubernetes": "Controls.version", "Kubernetes": "Controls.detected_version", "Nothing": "gone"}
    document = {"Controls": [{**NESTED["Controls"][0], "version": "1.8", "detected_version": 1.3}] * 2}
    other = of_json(document, **PATHS, versions=paths).versions
    assert minimal == ("InSpec 5.22",)
    assert whole[0] == "InSpec 5.22"
    assert whole[1].startswith("Baseline 2.9.0")
    assert len(whole[1]) <= 300
    assert whole[1].isprintable()
    assert other == ("CIS Kubernetes 1.8", "Kubernetes 1.3")


def test_paths_of_versions_are_texts() -> None:
    with pytest.raises(UsageError, match="versions: a value is not a path"):
        of_json(NESTED, **PATHS, versions={"kube-bench": 1})


JSON: Row = {"format": "json", "outcome": "ok", "words": {"passed": ["yes"]}}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "results: format: it is missing"),
        ({"format": "xcdf"}, "format: 'xcdf' is not one of its values. Did you mean xccdf?"),
        ({"format": "tap", "name": "id"}, "name: there is no such key. It may have: format, rules."),
        ({"format": "json"}, "results: outcome: it is missing. Give outcome and words"),
        ({**JSON, "words": {"passed": ["A"], "failed": ["a"]}}, "results.words: 'a' means both passed and failed"),
        ({"format": "tap", "rules": [{"title": "A"}]}, "rules: name: it is missing"),
        ({"format": "tap", "rules": [{"name": "a", "severity": "bad"}]}, "severity: 'bad' is not one of its values"),
    ],
)
def test_bad_options_are_refused(options: Any, message: str) -> None:
    with pytest.raises(UsageError) as error:
        parse_results_options("results", options)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("printed", "manual"),
    [("a:notchecked", True), ("a:error", False), ("a:notchecked\na:notchecked", True), ("a:notchecked\na:pass", False)],
)
def test_a_rule_is_manual_if_nothing_of_it_was_measured(printed: str, manual: bool) -> None:
    [result] = parse_output({"format": "xccdf"}, printed)
    assert (result.outcome, result.manual) == ("unknown", manual)
