# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What Heimdall makes of a report, by the library that it reads HDF with."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import collection_tree
from browser import reports

from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.report import write_report

READ = """
const { convertFile, contextualizeEvaluation } = require("inspecjs");
const text = require("fs").readFileSync(process.argv[1], "utf8");
const controls = contextualizeEvaluation(convertFile(text)["1_0_ExecJson"]).contains[0].contains;
console.log(JSON.stringify(controls.map(({ hdf }) => [hdf.wraps.id, hdf.status, hdf.severity, hdf.rawNistTags])));
"""


def test_heimdall_sees_each_check_as_a_control(tmp_path: Path) -> None:
    report = reports.report(left_out=2)
    controls = controls_of(report, tmp_path)
    passed, failed, unknown = (
        {row["check"] for row in report["results"] if row["outcome"] == outcome}
        for outcome in ("passed", "failed", "unknown")
    )
    assert {name for name, (status, *_rest) in controls.items() if status == "Failed"} == failed
    assert {name for name, (status, *_rest) in controls.items() if status == "Passed"} == passed - failed - unknown
    assert controls["server-reached"][0] == "Not Reviewed"
    assert controls["sshd-root-login"] == ["Failed", "high", ["AC-6"]]
    assert {status for status, *_rest in controls.values()} == {"Failed", "Profile Error", "Not Reviewed"}


def test_heimdall_lets_pass_what_is_known_everywhere(tmp_path: Path) -> None:
    report = reports.report(left_out=2)
    rows = [{**row, "outcome": "passed"} if row["outcome"] == "unknown" else row for row in report["results"]]
    controls = controls_of({**report, "results": rows}, tmp_path)
    assert {status for status, *_rest in controls.values()} == {"Failed", "Passed", "Not Reviewed"}


def controls_of(report: reports.Report, folder: Path) -> dict[str, list[Any]]:
    """The status, the severity and the controls of NIST of each control, by its name."""
    (path,) = write_report(report, folder, ["hdf"])
    said = subprocess.run(
        ["node", "-e", READ, str(path)],
        cwd=collection_tree.BUILD / "browser",
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return {name: rest for name, *rest in json.loads(said.stdout)}
