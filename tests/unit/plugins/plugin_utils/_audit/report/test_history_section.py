# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test the history in the formats of a report."""

from __future__ import annotations

from pathlib import Path

from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.history_file import record_audit
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.report import write_report
from ansible_collections.herdops.alpacon.tests.browser import reports


def test_the_page_and_the_summary_show_the_history(tmp_path: Path) -> None:
    warnings: list[str] = []
    for day in ("01", "12", "24"):
        report = {**reports.report(), "fail_after": {"high": 86400 * 365}, "finished_at": f"2026-11-{day}T12:00:00Z"}
        report["results"] = [{**row, "ended_at": None} for row in report["results"]]
        if day == "24":
            report["results"] = [
                {**row, "outcome": "passed"} for row in report["results"] if row["outcome"] == "failed"
            ]
            report["results"][0]["outcome"] = "failed"
        record_audit(report, tmp_path, warnings.append)
    assert not warnings
    page, markdown = (path.read_text() for path in write_report(report, tmp_path / "report", ["html", "markdown"]))
    assert page.count("<polyline") >= 2
    for text in ("failing since 2026-11-01 12:00 UTC (23 d)", "Time to mend"):
        assert text in page
        assert text in markdown.replace("\\", "")
