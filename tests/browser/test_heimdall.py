# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What Heimdall makes of a report, by the library that it reads HDF with."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

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
    (path,) = write_report(report, tmp_path, ["hdf"])
    folder = collection_tree.BUILD / "browser"
    said = subprocess.run(["node", "-e", READ, str(path)], cwd=folder, check=True, stdout=subprocess.PIPE, text=True)
    controls = {name: rest for name, *rest in json.loads(said.stdout)}
    failed = {row["check"] for row in report["results"] if row["outcome"] == "failed"}
    assert {name for name, (status, *_rest) in controls.items() if status == "Failed"} == failed
    assert controls["server-reached"][0] == "Not Reviewed"
    assert controls["sshd-root-login"] == ["Failed", "high", ["AC-6"]]
    assert {status for status, *_rest in controls.values()} == {"Failed", "Passed", "Not Reviewed"}
