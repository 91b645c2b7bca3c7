# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Results of InSpec in the shapes that its reporters json and json-min have."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.scanners import NamedResult, parse
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.scanners.inspec import described
from ansible_collections.herdops.alpacon.tests.unit.support import Row

UNMET = "RSpec::Expectations::ExpectationNotMetError"
PASSED = {"status": "passed", "code_desc": "File /etc/passwd is expected to exist"}
FAILED = {
    "status": "failed",
    "code_desc": "File /etc/passwd mode is expected to cmp == 0600",
    "message": "\nexpected: 0600\n     got: 0644\n",
    "exception": UNMET,
}
SKIPPED = {"status": "skipped", "code_desc": "No-op", "skip_message": "Can't find file: /etc/ssh/sshd_config"}
ONLY_IF = {"status": "skipped", "code_desc": "No-op", "skip_message": "Skipped control due to only_if condition."}
BROKEN = {"status": "failed", "code_desc": "Ports", "message": "undefined method", "exception": "NoMethodError"}
CONTROL: Row = {
    "id": "passwd-01",
    "title": "Accounts are safe",
    "desc": "Only root writes passwd",
    "descriptions": [{"label": "default", "data": "Only root"}, {"label": "fix", "data": "chmod 600 /etc/passwd"}],
    "impact": 0.7,
    "refs": [{"ref": "Handbook", "url": "https://example.org"}, {"ref": []}],
    "tags": {"nist": ["AC-6", "CM-6"], "cci": ["CCI-000366"], "severity": "medium"},
}


def of(report: Any) -> list[NamedResult]:
    """The results in a report, behind a warning of Ruby."""
    return parse({"format": "inspec"}, f"warning: already initialized constant\n{json.dumps(report)}\n")


def full(*results: Row, **control: Any) -> list[NamedResult]:
    """The results in a report of the reporter json with one control."""
    profile = {"name": "linux", "sha256": "0", "controls": [{**CONTROL, **control, "results": list(results)}]}
    return of({"platform": {"name": "debian"}, "profiles": [profile], "statistics": {}, "version": "5.22.3"})


def test_all_about_a_control() -> None:
    [control] = full(PASSED, FAILED)
    about = ("passwd-01", "failed", "Accounts are safe", "Only root writes passwd", "high", "chmod 600 /etc/passwd")
    references = ("NIST SP 800-53 AC-6, CM-6", "CCI-000366", "Handbook https://example.org")
    why = "File /etc/passwd mode is expected to cmp == 0600: \nexpected: 0600\n     got: 0644"
    assert control == NamedResult(*about, references, why)


@pytest.mark.parametrize(
    ("tests", "outcome"),
    [
        ([PASSED, FAILED, SKIPPED], "failed"),
        ([PASSED, SKIPPED], "unknown"),
        ([ONLY_IF], "not_applicable"),
        ([BROKEN, PASSED, ONLY_IF], "unknown"),
        ([{"status": "odd"}], "unknown"),
        ([], "unknown"),
    ],
)
def test_tests_of_a_control_make_one_outcome(tests: list[Row], outcome: str) -> None:
    assert [result.outcome for result in full(*tests)] == [outcome]


def test_no_impact_means_not_applicable() -> None:
    assert [full(*tests, impact=0.0)[0].outcome for tests in ([FAILED], [PASSED], [])] == ["not_applicable"] * 3


def test_json_min_groups_tests_by_control() -> None:
    rows = [{"id": "a", "profile_id": "p", **PASSED}, {"id": "a", **FAILED}, {"id": "b", **PASSED}]
    results = of({"controls": rows, "statistics": {"duration": 0.1}, "version": "5.22.3"})
    assert [(result.name, result.outcome) for result in results] == [("a", "failed"), ("b", "passed")]


def test_a_profile_that_wraps_another_repeats_no_control() -> None:
    wrapper = {"name": "ours", "controls": [{"id": "passwd-01", "title": "", "impact": 0.7, "results": []}]}
    wrapped = {"name": "theirs", "controls": [{**CONTROL, "results": [FAILED]}]}
    [result] = of({"profiles": [wrapper, wrapped]})
    assert (result.name, result.title, result.outcome) == ("passwd-01", "Accounts are safe", "failed")


def test_impacts() -> None:
    impacts = {0: "info", 0.1: "low", 0.4: "medium", 0.69: "medium", 0.7: "high", 1.0: "critical", "high": None}
    assert {impact: described({"impact": impact}).severity for impact in impacts} == impacts
