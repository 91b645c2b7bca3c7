# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test that make runs failed tests again, and that CI does not accept those that pass only then."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ansible_collections.herdops.alpacon.tests.unit.support import ROOT

TESTS = """
from pathlib import Path

def test_steady():
    pass

def test_flaky():
    marker = Path("marker")
    was_there = marker.exists()
    marker.touch()
    assert was_there
"""


@pytest.mark.parametrize(("ci", "code", "counts"), [("", 0, "2 0 0"), ("true", 2, "1 1 0")])
def test_a_test_that_passes_only_when_run_again(tmp_path: Path, ci: str, code: int, counts: str) -> None:
    folder = tmp_path / "tests"
    folder.mkdir()
    shutil.copy(ROOT / "tests/conftest.py", folder)
    (folder / "pytest.ini").touch()
    (folder / "test_flaky.py").write_text(TESTS, encoding="utf-8")
    # make takes no path with a blank.
    (tmp_path / "checkout").symlink_to(ROOT)
    (tmp_path / "venv").symlink_to(sys.prefix)
    (folder / "Makefile").write_text("include ../checkout/Makefile\n\nflaky:\n\t@$(call pytest,,.)\n", encoding="utf-8")
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "PYTEST"))}
    environ |= {"CI": ci, "SUITE_COUNTS": str(folder / "counts")}
    command = ["make", "flaky", "PYTHON=../venv/bin/python"]
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    assert [line for line in done.stdout.splitlines() if line.startswith("PASSED ONLY")] == [
        "PASSED ONLY WHEN RUN AGAIN test_flaky.py::test_flaky"
    ]
    assert (folder / "counts").read_text(encoding="utf-8").strip() == counts
