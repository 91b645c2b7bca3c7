# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test what make prints about the steps of a suite, and that CI does not accept tests that pass only when run again."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ansible_collections.herdops.alpacon.tests.unit.support import ROOT

FLAKY = """
from pathlib import Path

def test_steady():
    pass

def test_flaky():
    marker = Path("marker")
    was_there = marker.exists()
    marker.touch()
    assert was_there
"""
BROKEN = """
import pytest

@pytest.mark.parametrize("text", ["a b"])
def test_broken(text):
    assert text == "c"
"""
STEPS = """include ../checkout/Makefile

fine:
    @seq 1000
lacking:
    @cd ../checkout/tests/tools; $(PYTHON) -c 'import collection_tree; collection_tree.skip("no Java")'
failing:
    @echo reason; false
flaky:
    @$(call pytest,,test_flaky.py)
broken:
    @$(call pytest,,test_broken.py)
"""


class Suite:
    def __init__(self, folder: Path) -> None:
        self.folder = folder / "tests"
        self.folder.mkdir()
        shutil.copy(ROOT / "tests/conftest.py", self.folder)
        (self.folder / "pytest.ini").touch()
        (self.folder / "test_flaky.py").write_text(FLAKY, encoding="utf-8")
        (self.folder / "test_broken.py").write_text(BROKEN, encoding="utf-8")
        # make takes no path with a blank.
        (folder / "checkout").symlink_to(ROOT)
        (folder / "venv").symlink_to(sys.prefix)
        (self.folder / "Makefile").write_text(STEPS.replace("    ", "\t"), encoding="utf-8")

    def run(self, *steps: str, ci: str = "") -> tuple[int, list[str]]:
        """Return the exit code and the printed lines."""
        unset = ("MAKE", "MFLAGS", "PYTEST", "SUITE")
        environ = {name: value for name, value in os.environ.items() if not name.startswith(unset)}
        python = self.folder.parent / "venv/bin/python"
        command = ["make", "steps", f"STEPS={' '.join(steps)}", "JOBS=2", f"PYTHON={python}"]
        environ["CI"] = ci
        done = subprocess.run(command, cwd=self.folder, env=environ, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout.splitlines()


@pytest.fixture
def suite(tmp_path: Path) -> Suite:
    return Suite(tmp_path)


def test_steps_that_pass_print_little(suite: Suite) -> None:
    code, lines = suite.run("fine", "lacking")
    assert code == 0, lines
    assert len(lines) <= 12
    assert lines[-1] == "1 passed, 0 failed, 1 skipped"
    assert any("skipped: no Java" in line for line in lines)
    assert "\n1000\n" in (suite.folder / "build/suite/fine.log").read_text(encoding="utf-8")


def test_the_end_names_the_commands_that_run_what_failed(suite: Suite) -> None:
    code, lines = suite.run("fine", "failing", "broken")
    assert code == 2
    end = lines.index("1 passed, 2 failed, 0 skipped")
    failed = [line for line in lines[end:] if line.startswith("FAILED")]
    assert failed == ["FAILED .venv/bin/pytest 'test_broken.py::test_broken[a b]'", "FAILED make failing"]
    assert len(lines) - end < 10
    # Their outputs are shown, and that of the step that passed is not.
    assert "reason" in lines[:end]
    assert any("assert 'a b' == 'c'" in line for line in lines[:end])
    assert "1000" not in lines


@pytest.mark.parametrize(("ci", "code", "counts"), [("", 0, "2 passed, 0"), ("true", 2, "1 passed, 1")])
def test_a_test_that_passes_only_when_run_again(suite: Suite, ci: str, code: int, counts: str) -> None:
    returned, lines = suite.run("flaky", ci=ci)
    assert returned == code, lines
    end = lines.index(f"{counts} failed, 0 skipped")
    assert lines[end + 1] == "PASSED ONLY WHEN RUN AGAIN test_flaky.py::test_flaky"
    assert ("FAILED make flaky" in lines[end:]) == (ci == "true")
