# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The report of an audit that was really made: it is what its schema says, and can be written in every format."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
from system.auditing import audit, hosts
from workspace.client import Workspace

from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.report import FORMATS, read_report, write_report
from ansible_collections.herdops.alpacon.tests.unit.support import ROOT

TAP = "printf '1..2\\nok 1 - first\\nnot ok 2 - second\\n'"


def test_the_report_of_an_audit_fits_its_schema(workspace: Workspace, tmp_path: Path) -> None:
    workspace.add_servers("off-01", connected=False)
    done = audit(
        workspace,
        {"name": "passes", "title": "It is fine", "line": "echo fine", "contains": "fine", "references": ["CIS 1"]},
        {"name": "fails", "line": "echo 'problem: 3 things wait'; echo done", "kind": "problems", "severity": "high"},
        {"name": "unknown", "line": "echo 'unknown: nobody knows'; echo done", "kind": "problems"},
        {"name": "elsewhere", "line": "echo done", "kind": "problems", "applies_if": "false"},
        {"name": "tool", "line": TAP, "kind": "results", "results": {"format": "tap"}},
        of=hosts("web-01", "off-01", groups={"web": ["web-01"]}),
        wait_timeout="20s",
    )
    paths = write_report(done.report, tmp_path, FORMATS)
    written = json.loads(paths[0].read_text(encoding="utf-8"))
    jsonschema.validate(written, json.loads((ROOT / "docs/audit-report.schema.json").read_text(encoding="utf-8")))
    assert read_report(paths[0]) == written
    assert len(paths) == len(FORMATS)
    assert all(path.stat().st_size for path in paths)
    summary = written["summary"]
    counts = ("passed", "failed", "unknown", "not_applicable", "not_reached")
    assert {name: summary[name] for name in counts} == {
        "passed": 2,
        "failed": 2,
        "unknown": 1,
        "not_applicable": 1,
        "not_reached": 1,
    }
    page = paths[FORMATS.index("html")].read_text(encoding="utf-8")
    assert "3 things wait" in page
    assert page.count("Checks without findings") == 1
