# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What holds for every format: bounds, hostile output, and what is known about rules."""

from __future__ import annotations

import time

import pytest

from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.scanners import FORMATS, ScannerError, parse

JSON_OPTIONS = {"outcome": "ok", "name": "id", "words": {"true": "passed"}}
LAUGHS = '<!DOCTYPE x [<!ENTITY a "lol"><!ENTITY b "&a;&a;&a;&a;">]><testsuite><testcase name="&b;"/></testsuite>'
OUTSIDE = (
    '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><testsuite><testcase name="x">&a;</testcase></testsuite>'
)
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
    "outside": OUTSIDE,
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
        kept = max(
            len(result.message) + len(result.name) for result in parse({"format": kind, **JSON_OPTIONS}, HOSTILE[name])
        )
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
        ("junit", HOSTILE["wide"], "deeper than 100 or has more than 500,000 elements"),
        ("junit", OUTSIDE, "has a DTD"),
        ("tap", " " * (32 * 1024 * 1024 + 1), "more than 33,554,432 characters"),
        ("xccdf", HOSTILE["rules"], "10,000 results, which is more than 5,000"),
        ("xccdf", "", "It is empty."),
        ("xccdf", "sh: 1: oscap: not found\n", "It ends with: sh: 1: oscap: not found"),
        ("xccdf", "missing-results: oscap is not installed.\n", "^oscap is not installed.$"),
        ("tap", "Bail out! no bats\n", "The run was given up: no bats."),
        ("inspec", '{"controls": [{"id": "a", "status": "passed"},\n', "JSON"),
        ("json", '[{"id": "a", "ok": true},\n{"id": "b", "ok": true},\n', "JSON"),
        ("json", '{"id": "a", "ok": true}\nlog\n{"id": "b", "ok": false}\n', "more than one JSON document"),
        ("inspec", "[]", "is not a report of InSpec"),
        ("inspec", "{}", "no list of controls"),
        ("inspec", '{"profiles": [{"skip_message": "Not for this platform"}]}', "Not for this platform"),
    ],
)
def test_what_has_no_result_is_refused(kind: str, output: str, reason: str) -> None:
    with pytest.raises(ScannerError, match=reason):
        parse({"format": kind, **JSON_OPTIONS}, output)


def test_a_document_that_is_cut_has_no_result() -> None:
    with pytest.raises(ScannerError, match=CUT):
        parse({"format": "junit"}, '<testsuite tests="2"><testcase name="a"/>\n', CUT)


def test_texts_are_bounded_and_do_not_move_a_terminal() -> None:
    [result] = parse({"format": "tap"}, f"1..1\nnot ok 1 - a\x1b[2J{'b' * 500}\n# {'c' * 3000}\u202e\n# d\n")
    assert result.name.startswith("a\\x1b[2Jbbb")
    assert result.name.endswith("…")
    assert len(result.name) < 220
    assert len(result.message) == 2000


def test_rules_add_what_the_output_does_not_say() -> None:
    rules = [
        {"name": "a", "title": "A", "rationale": "why", "severity": "high", "remedy": "fix", "references": ["R 1"]},
        {"name": "b", "severity": None},
    ]
    known, other, silent = parse({"format": "xccdf", "rules": rules}, "a:fail\nc:pass\n")
    assert (known.title, known.rationale, known.severity, known.remedy) == ("A", "why", "high", "fix")
    assert known.references == ("R 1",)
    assert (other.name, other.title) == ("c", "")
    assert (silent.name, silent.outcome, silent.message) == ("b", "unknown", "The scanner did not say.")


CUT = "Its end is missing."


@pytest.mark.parametrize(
    ("kind", "whole"),
    [
        ("xccdf", "a:pass\r\nb:fail\nc:pass\nc:fail\nd:notchecked\ne:notapplicable\nf:pass\n"),
        ("tap", "1..5\nok 1 - a\nnot ok 2 - b\nok 3 - c # SKIP no\nnot ok 4 - d # TODO\nok 5 - e\n"),
    ],
)
def test_no_cut_makes_a_pass_of_anything_else(kind: str, whole: str) -> None:
    options = {"format": kind, **JSON_OPTIONS, "rules": [{"name": "never"}]}
    passed = {result.name for result in parse(options, whole) if result.outcome == "passed"}
    assert passed
    for end in range(len(whole)):
        try:
            results = parse(options, whole[:end], CUT)
        except ScannerError:
            continue
        assert {result.name for result in results if result.outcome == "passed"} <= passed, whole[:end]
        assert [result.name for result in results[-2:]] == ["missing-results", "never"], whole[:end]
        assert all(result.message.startswith(CUT) for result in results[-2:])


def test_results_of_one_rule_count_once() -> None:
    output = "".join(f"{rule}|Rule {rule}|pass\n{rule}|severity=low|pass\n" for rule in range(5000))
    assert len(parse({"format": "xccdf"}, output)) == 5000
