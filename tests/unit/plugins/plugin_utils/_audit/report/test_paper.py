# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The tables of the printed report."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.report.paper import (
    Rule,
    describe_criteria,
    group_requirements,
    list_benchmarks,
    list_rules,
    list_versions,
    parse_reference,
)


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("CCE-80215-3", []),
        ("CIS Debian Linux 12 5.1.20", [("CIS Debian Linux 12", "5.1.20")]),
        ("NIST SP 800-53 AC-6", [("NIST SP 800-53", "AC-6")]),
        (
            "https://www.cisecurity.org/benchmark/debian_linux/ 1.1, 1.2",
            [("CIS Benchmark", "1.1"), ("CIS Benchmark", "1.2")],
        ),
        (
            "http://nvlpubs.nist.gov/nistpubs/SpecialPublications/NIST.SP.800-53r4.pdf CM-6(a)",
            [("NIST SP 800-53", "CM-6(a)")],
        ),
        ("https://www.example.com/rules A1", [("example.com", "A1")]),
        ("https://www.example.com/only-a-link", []),
        ("see the manual", []),
        ("Tailoring own.xml, SHA-256 00ff", []),
        ("", []),
    ],
)
def test_parses_references(reference: str, expected: list[tuple[str, str]]) -> None:
    assert list(parse_reference(reference)) == expected


def test_groups_results_by_requirement() -> None:
    counts = [Counter(passed=2), Counter(passed=1, failed=1), Counter(passed=1, failed=1), Counter(unknown=2)]
    counts += [Counter(not_applicable=2), Counter()]
    names = ["CIS Linux 1.10", "CIS Linux 1.2", "CIS Linux 1.2", "NIST SP 800-53 AC-6"]
    names += ["NIST SP 800-53 AC-7", "NIST SP 800-53 AC-8"]
    rules = [
        Rule(number, "rule", "Rule", "low", count, "", [name])
        for number, (count, name) in enumerate(zip(counts, names, strict=True), 1)
    ]
    found = {
        catalogue: [(row.name, row.state, row.numbers, row.counts["passed"]) for row in rows]
        for catalogue, rows in group_requirements(rules).items()
    }
    assert found["CIS Linux"] == [("1.2", "failed", "2\N{EN DASH}3", 2), ("1.10", "passed", "", 2)]
    states = {name: (state, numbers) for name, state, numbers, _passed in found["NIST SP 800-53"]}
    assert states == {"AC-6": ("unknown", "4"), "AC-7": ("not_applicable", ""), "AC-8": ("not_asked", "")}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, "findings of severity high or worse; less than 95% of the questions answered"),
        ({"fail_on": "critical", "min_coverage": 0.0}, "findings of severity critical"),
        ({"fail_on": None, "min_coverage": 99.5}, "less than 99.5% of the questions answered"),
        ({"fail_on": None, "min_coverage": 0.0}, "nothing"),
        (
            {"fail_after": {"critical": 0.0, "high": 1209600.0}, "min_coverage": 0.0},
            "findings of severity high or worse (high after 14 d)",
        ),
    ],
)
def test_says_what_fails_the_audit(given: dict[str, Any], expected: str) -> None:
    assert describe_criteria({"fail_on": "high", "fail_after": {}, "min_coverage": 95.0, **given}) == expected


def test_names_the_servers_of_each_rule() -> None:
    answers = [{"outcome": "failed", "servers": [1]}, {"outcome": "failed", "servers": [0]}]
    base: dict[str, Any] = {"of": "cis", "title": "Rule", "severity": "low", "references": []}
    checks: list[dict[str, Any]] = [
        {**base, "name": "cis", "of": None, "counts": Counter(), "answers": []},
        {**base, "name": "cis/some", "counts": Counter(failed=2, passed=1), "answers": answers},
        {**base, "name": "cis/all", "counts": Counter(failed=2), "answers": answers},
    ]
    rows = [(rule.number, rule.name, rule.where) for rule in list_rules(checks, ["a", "b", "c"])]
    assert rows == [(1, "some", "a, b"), (2, "all", "all 2 servers")]


def test_rules_of_several_benchmarks_have_the_names_of_these() -> None:
    base: dict[str, Any] = {"title": "Rule", "severity": "low", "references": [], "counts": Counter(), "answers": []}
    checks = [{**base, "name": f"{of}/sudo", "of": of} for of in ("cis", "stig")]
    assert [rule.name for rule in list_rules(checks, [])] == ["cis/sudo", "stig/sudo"]
    assert [rule.name for rule in list_rules(checks[:1], [])] == ["sudo"]


def test_counts_the_servers_of_each_version() -> None:
    check = {"name": "cis", "references": ["Tailoring a.xml, SHA-256 12", "https://example.com 1"]}
    base: dict[str, Any] = {"host": "a", "agent": "1.5.2", "versions": {"cis": ["OpenSCAP 1.4.2", "Guide 1"]}}
    other = {"differs": {"cis": {"references": []}}, "versions": {"cis": ["OpenSCAP 1.3.9"], "own": ["InSpec 5"]}}
    silent = {"host": "d", "agent": None}
    servers = [base, {**base, "host": "b"}, {**base, "host": "c", "agent": "1.2.0", **other}, silent]
    assert list_versions({"checks": [check], "servers": servers}) == [
        ("Agent", "1.5.2", 2),
        ("Agent", "1.2.0", 1),
        ("cis", "OpenSCAP 1.4.2; Guide 1; Tailoring a.xml, SHA-256 12", 2),
        ("cis", "OpenSCAP 1.3.9", 1),
        ("own", "InSpec 5", 1),
    ]
    many = [{**base, "host": str(number), "agent": str(number)} for number in range(50)]
    assert ("Agent", "30 others", 30) in list_versions({"checks": [], "servers": many})


def test_the_benchmarks_have_the_tailoring_files_of_all_servers() -> None:
    rows: list[dict[str, Any]] = [
        {"name": "cis", "of": None, "title": "CIS", "references": ["Tailoring a.xml, SHA-256 00"]},
        {"name": "cis/a", "of": "cis", "title": "A", "references": ["CIS 1.1"]},
    ]
    servers: list[dict[str, Any]] = [
        {"differs": {}},
        {"differs": {"cis": {"references": ["Tailoring b.xml, SHA-256 11"]}}},
    ]
    tailorings = "Tailoring a.xml, SHA-256 00, Tailoring b.xml, SHA-256 11"
    assert list_benchmarks(rows, servers) == [f"cis: CIS, 1 rule, {tailorings}"]
