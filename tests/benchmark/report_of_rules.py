# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Do what an audit does after its last answer, for a made-up benchmark of 400 rules: report_of_rules.py SERVERS

The report is compared with an earlier one and added to the history of a year, which report_of_rules.py SERVERS earlier
writes.
"""

from __future__ import annotations

import random
import sys
from datetime import date, timedelta
from pathlib import Path

if not __package__:
    root = Path(__file__).resolve().parents[2]
    sys.path[:1] = [str(root / "build/collections"), str(root / "tests")]

from browser import reports

from ansible_collections.herdops.alpacon.plugins.module_utils._options.secrets import mask_records
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.history import History, TrackedFinding
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.history_file import (
    FILE,
    record_audit,
    write_history,
)
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.report import read_previous, write_report
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.report.comparison import compare_reports

EARLIER, YEAR, MENDED = Path("earlier"), Path("year"), 200_000
DAYS = [f"{date(2025, 11, 17) + timedelta(days=day)}T03:00:00Z" for day in range(365)]


def main(servers: int, step: str = "") -> None:
    if step:
        write_earlier(servers)
        return
    previous = read_previous(EARLIER / "audit.json", print)
    assert previous
    report = reports.hardening(rules=400, servers=servers)
    report["trend"] = compare_reports(report, previous)
    del previous
    mask_records(report, {"a secret of the audit"})
    record_audit(report, YEAR, print)
    write_report(report, Path("report"))


def write_earlier(servers: int) -> None:
    """Write the report of a week before and the history of a year: each finding began and ended on a random day."""
    chance = random.Random(7)
    report = reports.earlier(reports.hardening(rules=400, servers=servers))
    write_report(report, EARLIER, ["json"])
    history = History()
    for result in report["results"]:
        first, last = sorted(chance.sample(DAYS, 2))
        finding = TrackedFinding(result["host"], result["check"], result["severity"], first, last, DAYS[-1])
        if result["outcome"] == "failed":
            finding.last_seen = DAYS[-1]
            history.open[finding.host, finding.check] = finding
        elif result["outcome"] == "passed" and len(history.mended) < MENDED:
            finding.mended = last
            history.mended.append(finding)
    for day in DAYS:
        history.add_run({**report, "finished_at": day, "coverage": chance.randrange(100)})
    YEAR.mkdir()
    write_history(YEAR / FILE, history)


if __name__ == "__main__":
    main(int(sys.argv[1]), *sys.argv[2:])
