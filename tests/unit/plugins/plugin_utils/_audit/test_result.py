# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the task of an audit returns."""

from __future__ import annotations

from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.audit import Audited
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.result import result_of
from ansible_collections.herdops.alpacon.tests.unit.support import Row


def test_messages_name_so_many_findings_and_no_more() -> None:
    results = [
        {"host": f"h{number}", "check": "c", "outcome": "failed", "severity": "high", "message": "M.", "rc": 1}
        | {"value": None, "command": None}
        for number in range(120)
    ]
    summary: Row = {"servers": 120, "checks": 1, "passed": 0, "failed": 120, "unknown": 0, "reused": 0, "commands": 120}
    summary |= {"not_applicable": 0, "waived": 0, "questions": 120}
    summary |= {"failed_by_severity": {"high": 120, "low": 0}, "requests": 130}
    report: Row = {"title": "T", "results": results, "servers": [], "summary": summary, "fail_on": "high"}
    report |= {"schema": 2, "unknown_severity": "medium", "checks": [{"name": "c", "remedy": "R"}]}
    report |= {"verdict": "fail", "coverage": 100.0, "min_coverage": 95.0, "refusal": None}
    result = result_of(Audited(report, changed=True), ["/tmp/a/audit.json", "/tmp/a/audit.html"])
    assert result["msg"].startswith("120 findings of severity high or worse: h0: c (high): M; h1: c (high): M; ")
    assert result["msg"].endswith("h49: c (high): M; and 70 more.")
    assert result["overview"] == [
        "T: 120 servers, 1 check; 120 commands run, 0 answers reused",
        "Verdict: fail. 120 of 120 questions answered (100%).",
        "Fix these first:",
        "  high: M, on 120 of 120 servers (c): R",
        "120 failed (120 high)",
        "Report: /tmp/a/audit.html",
    ]
