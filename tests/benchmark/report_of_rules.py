# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write the report of a made-up benchmark of 400 rules in the formats by default: report_of_rules.py SERVERS"""

from __future__ import annotations

import sys
from pathlib import Path

if not __package__:
    root = Path(__file__).resolve().parents[2]
    sys.path[:1] = [str(root / "build/collections"), str(root / "tests")]

from browser import reports

from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.report import write_report


def main(servers: int) -> None:
    write_report(reports.hardening(rules=400, servers=servers), Path("report"))


if __name__ == "__main__":
    main(int(sys.argv[1]))
