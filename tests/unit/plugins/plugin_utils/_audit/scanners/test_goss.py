# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Results of goss in the shapes that its outputs json and rspecish have."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.scanners import NamedResult, ScannerError, parse
from ansible_collections.herdops.alpacon.tests.unit.support import Row

ROW: Row = {
    "duration": 48248740,
    "err": None,
    "meta": None,
    "property": "mode",
    "resource-id": "/etc/shadow",
    "resource-type": "File",
    "result": 0,
    "skipped": False,
    "successful": True,
    "summary-line": "File: /etc/shadow: mode: matches expectation: [0640]",
    "title": "",
}
FAILED = {
    "result": 1,
    "successful": False,
    "summary-line": "File: /etc/shadow: mode:\nExpected\n    <string>: 0644\nto equal\n    <string>: 0640",
}
TEXT = """FS.FF

Failures/Skipped:

Title: Passwords are safe
Meta:
    severity: high
File: /etc/shadow: mode:
Expected
    <string>: 0644
to equal
    <string>: 0640
File: /etc/shadow: owner: skipped

Package: telnet: installed: doesn't match, expect: [false] found: [true]
Port: tcp:22: listening: Error: permission denied

Total Duration: 0.005s
Count: 5, Failed: 3, Skipped: 1
"""


def of(*rows: Row, **summary: Any) -> list[NamedResult]:
    """The results in a report as JSON."""
    report = {"results": [{**ROW, **row} for row in rows], "summary": {"test-count": len(rows), **summary}}
    return parse({"format": "goss"}, json.dumps(report, indent=4))


@pytest.mark.parametrize(
    ("row", "outcome"),
    [
        ({}, "passed"),
        (FAILED, "failed"),
        ({"result": 2, "skipped": True}, "not_applicable"),
        ({"result": 2, "successful": True}, "not_applicable"),
        ({"err": {}, "successful": True}, "passed"),
        ({"err": "permission denied", "successful": False}, "unknown"),
        ({"successful": None}, "unknown"),
        ({"successful": "true"}, "unknown"),
    ],
)
def test_outcomes(row: Row, outcome: str) -> None:
    assert [(result.name, result.outcome) for result in of(row)] == [("File: /etc/shadow: mode", outcome)]


def test_texts() -> None:
    meta = {"severity": "major", "desc": "They are secret", "fix": "chmod 640 /etc/shadow"}
    [result] = of({**FAILED, "title": "Passwords are safe", "meta": meta})
    assert result == NamedResult(
        "File: /etc/shadow: mode",
        "failed",
        "Passwords are safe",
        "They are secret",
        "high",
        "chmod 640 /etc/shadow",
        (),
        str(FAILED["summary-line"]),
    )


def test_tests_that_are_counted_and_not_there_are_told() -> None:
    assert [result.outcome for result in of({}, **{"test-count": 3})] == ["passed", "unknown"]


@pytest.mark.parametrize("colours", [False, True])
def test_text(colours: bool) -> None:
    text = TEXT.replace("\nFile", "\n\x1b[31mFile").replace("0640\n", "0640\x1b[0m\n") if colours else TEXT
    results = parse({"format": "goss"}, text)
    assert [(result.name, result.outcome) for result in results] == [
        ("File: /etc/shadow: mode", "failed"),
        ("File: /etc/shadow: owner", "not_applicable"),
        ("Package: telnet: installed", "failed"),
        ("Port: tcp:22: listening", "unknown"),
        ("other tests", "passed"),
    ]
    assert results[0].title == "Passwords are safe"
    assert results[0].message.endswith("to equal\n    <string>: 0640")
    assert results[2].title == ""
    assert results[4].message == "1 tests passed, which this format does not name."


def test_text_that_names_fewer_than_it_counts_is_told() -> None:
    results = parse({"format": "goss"}, TEXT.replace("Failed: 3", "Failed: 4"))
    assert [result.outcome for result in results if result.name == "missing-results"] == ["unknown"]


@pytest.mark.parametrize("output", ["", "goss: not found", "{}", '{"results": {}}', '{"results": [1]}', "[]", "....\n"])
def test_no_report_is_refused(output: str) -> None:
    with pytest.raises(ScannerError):
        parse({"format": "goss"}, output)
