# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The key C(results) of a check, and the format json, which has paths in it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import UsageError
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.scanners import (
    NamedResult,
    ScannerError,
    parse,
    read_results,
)
from ansible_collections.herdops.alpacon.tests.unit.support import Row

WORDS = {"passed": ["PASS", True], "failed": ["FAIL", False], "not_applicable": ["INFO"]}
#: As kube-bench writes it.
FAILED = {"test_number": "1.1.1", "test_desc": "The file is safe", "status": "FAIL", "remediation": "chmod 600"}
FAILED |= {"reason": "0644", "severity": "IMPORTANT"}
FIRST: list[Row] = [
    {**FAILED, "links": ["https://example.org/1", "CIS 1.1.1"]},
    {"test_number": "1.1.2", "status": "pass"},
]
SECOND = [{"test_number": "1.2.1", "status": "WARN"}, {"test_number": "1.2.2"}]
NESTED = {"Controls": [{"tests": [{"results": FIRST}, {"results": SECOND}]}]}
PATHS = {"list": "Controls.tests.results", "name": "test_number", "outcome": "status"}


def of(document: Any, **options: Any) -> list[NamedResult]:
    """The results in a document."""
    read = read_results("results", {"format": "json", "words": WORDS, **options})
    return parse(read, json.dumps(document))


def test_all_about_a_result() -> None:
    texts = {"title": "test_desc", "remedy": "remediation", "message": "reason"}
    result, *_others = of(NESTED, **PATHS, **texts, severity="severity", references="links")
    links = ("https://example.org/1", "CIS 1.1.1")
    assert result == NamedResult("1.1.1", "failed", "The file is safe", "", "high", "chmod 600", links, "0644")


def test_lists_on_the_way_stand_for_their_entries() -> None:
    assert [(result.name, result.outcome, result.message) for result in of(NESTED, **PATHS)][1:] == [
        ("1.1.2", "passed", ""),
        ("1.2.1", "unknown", "The scanner says 'WARN'."),
        ("1.2.2", "unknown", "The scanner says nothing at status."),
    ]


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ({"results": []}, "nothing at results"),
        ({"results": [{"ok": True}]}, "Result 1 has no name at id"),
        ({"results": [{"id": str(number)} for number in range(5002)]}, "5,001 results, which is more than 5,000"),
    ],
)
def test_what_has_no_results_is_refused(document: Any, reason: str) -> None:
    with pytest.raises(ScannerError, match=reason):
        of(document, list="results", name="id", outcome="ok")


@pytest.mark.parametrize(
    ("document", "options"),
    [
        ([{"id": "a", "ok": "pass"}, {"id": "b", "ok": False}], {"name": "id"}),
        ({"checks": {"a": {"ok": True}, "b": {"ok": "FAIL"}}}, {"list": "checks"}),
    ],
)
def test_shapes(document: Any, options: Row) -> None:
    found = [(one.name, one.outcome) for one in of(document, outcome="ok", **options)]
    assert found == [("a", "passed"), ("b", "failed")]


JSON: dict[str, Any] = {"format": "json", "outcome": "ok", "words": {"passed": ["yes"]}}


def test_words_of_yaml_are_those_of_json() -> None:
    read = read_results("results", {**JSON, "words": {"passed": [True, 0, "Yes"], "failed": False}})
    assert read["words"] == {"true": "passed", "0": "passed", "yes": "passed", "false": "failed"}


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, "results: missing required arguments: format"),
        ({"format": "xcdf"}, "value of format must be one of: xccdf, tap, junit, inspec, json, got: xcdf"),
        ({"format": "tap", "name": "id"}, "there is no such key: name. Supported parameters include: format, rules."),
        ({"format": "json"}, "missing required arguments: outcome, words"),
        ({**JSON, "words": {"good": ["yes"]}}, "there is no such key: words.good."),
        ({**JSON, "words": {"passed": ["A"], "failed": ["a"]}}, "results.words: 'a' means both passed and failed"),
        ({"format": "tap", "rules": [{"title": "A"}]}, "missing required arguments: name found in rules"),
        ({"format": "tap", "rules": [{"name": "a", "severity": "bad"}]}, "value of severity must be one of: info, low"),
        ({"format": "tap", "rules": [{"name": "a", "why": "b"}]}, "there is no such key: rules.why."),
    ],
)
def test_bad_options_are_refused(given: Any, told: str) -> None:
    with pytest.raises(UsageError) as error:
        read_results("results", given)
    assert told in str(error.value)
