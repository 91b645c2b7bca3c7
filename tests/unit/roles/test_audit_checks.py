# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test the form and the shell code of the checks in the role audit."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from ansible_collections.herdops.alpacon.plugins.module_utils._options.values import LINE_LENGTH
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.check_selection import load_check_sets
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.payloads import build_line
from ansible_collections.herdops.alpacon.tests.unit.support import ROOT, Row

_FILES = sorted((ROOT / "roles/audit/files/checks").glob("*.yml"))
_KEYS = {"name", "title", "rationale", "severity", "remedy", "references", "kind", "looks_at", "line"}
_SHELLCHECK = shutil.which("shellcheck") or shutil.which("shellcheck", path=str(ROOT / ".venv/bin"))


def _read(path: Path) -> Row:
    content: Row = yaml.safe_load(path.read_text(encoding="utf-8"))
    return content


_CHECKS: list[Row] = [
    {"functions": content.get("functions", ""), "file": path.stem, **check}
    for path in _FILES
    for content in [_read(path)]
    for check in content["checks"]
]


@pytest.mark.parametrize("check", _CHECKS, ids=lambda check: str(check["name"]))
def test_each_check_has_its_texts(check: Row) -> None:
    optional = {"applies_if", "parameters", "timeout", "functions", "file"}
    file = f"roles/audit/files/checks/{check['file']}.yml"
    assert set(check) >= _KEYS, file
    assert set(check) <= _KEYS | optional, file
    assert check["kind"] == "problems", file
    assert check["references"], file
    assert "{{" not in str(check), file
    for name in check.get("parameters", {}):
        assert re.search(rf"\b{name}\b", check["functions"] + check["line"]), f"{file}: no line reads {name}"
    assert check["line"].rstrip().endswith('echo "done"'), file


def test_each_check_fits_into_a_line() -> None:
    checks = [check for check_set in load_check_sets(_FILES[0].parent).values() for check in check_set]
    assert len(checks) <= 40
    long = {check.name: size for check in checks if (size := len(build_line(check))) > LINE_LENGTH}
    assert not long, f"shorten them in roles/audit/files/checks to {LINE_LENGTH} characters"


@pytest.mark.skipif(_SHELLCHECK is None, reason="shellcheck is not there")
def test_shellcheck_finds_nothing(tmp_path: Path) -> None:
    for check in _CHECKS:
        assigned = "".join(f"{name}=\n" for name in check.get("parameters", {}))
        # Functions of a set, and what they need, are not for each of its checks. A list is a word for each entry.
        head = f"# shellcheck disable=SC2034,SC2046,SC2086,SC2154,SC2317,SC2329\n{assigned}"
        for key in ("line", "looks_at"):
            code = f"{head}{check['functions']}{check[key]}"
            (tmp_path / f"{check['name']}.{key}.sh").write_text(code, encoding="utf-8")
    files = sorted(tmp_path.glob("*.sh"))
    done = subprocess.run(
        [str(_SHELLCHECK), "--shell=sh", "--format=gcc", *map(str, files)], capture_output=True, text=True, check=False
    )
    assert not done.returncode, done.stdout


def test_the_page_about_checks_describes_each() -> None:
    page = pytest.importorskip("describe_checks").page()
    described = re.findall(r"^``(\S+)``\n\^+$", page, re.MULTILINE)
    names = sorted(check["name"] for check in _CHECKS)
    assert sorted(described) == names, "correct tests/tools/describe_checks.py"


def test_every_check_has_five_states_that_pass_and_fail() -> None:
    rows = pytest.importorskip("checks.check_files").state_rows()
    files = {check["name"]: f"tests/checks/states/{check['file']}.yml" for check in _CHECKS}
    assert set(rows) <= set(files), "tests/checks/states has states of a check that roles/audit/files/checks lacks"
    count = {name: len(rows.get(name, ())) for name in files}
    assert not {files[name]: name for name in files if count[name] < 5}, "add states of the check: it needs five"
    outcomes = {name: {row["outcome"] for row in states} for name, states in rows.items()}
    lacking = {files[name]: name for name in outcomes if not {"passed", "failed"} <= outcomes[name]}
    assert not lacking, "add a state that passes the check, and one that fails it"
