# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The result of the task of an audit."""

from __future__ import annotations

from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.audit import AuditResult, build_result
from ansible_collections.herdops.alpacon.tests.unit.support import Row


def test_messages_name_so_many_findings_and_no_more() -> None:
    finding = {"check": "c", "outcome": "failed", "severity": "high", "message": "M.", "rc": 1}
    results = [{"host": f"h{number}", **finding, "value": None, "command": None} for number in range(120)]
    counts = dict.fromkeys(("servers", "failed", "commands", "questions"), 120)
    summary: Row = dict.fromkeys(("passed", "unknown", "reused", "not_applicable", "waived"), 0) | counts
    summary |= {"checks": 1, "failed_by_severity": {"high": 120, "low": 0}, "requests": 130}
    report: Row = {"title": "T", "results": results, "servers": [], "summary": summary, "fail_on": "high"}
    report |= {"schema": 2, "checks": [{"name": "c", "remedy": "R"}]}
    report |= {"verdict": "fail", "coverage": 100.0, "min_coverage": 95.0, "refusal": None}
    message = str(build_result(AuditResult(report))["msg"])
    assert message.startswith("120 findings of severity high or worse: h0: c (high): M; h1: c (high): M; ")
    assert message.endswith("h49: c (high): M; and 70 more.")
