# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Break a copy of the collection, and see whether its tests notice."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import collection_tree
from cosmic_ray.testing import TestOutcome, run_tests
from mutants.draw import Mutation

#: Seconds after which a run of tests is taken for endless.
LIMIT = 1200
UNIT = Path("tests/unit/plugins/module_utils")
SYSTEM = Path("tests/system/plugins/module_utils")
FAILED = re.compile(r"^(?:FAILED|ERROR) .*$", re.MULTILINE)


class Verdict(StrEnum):
    """What came of a mutation."""

    NOTICED = "noticed"
    SURVIVED = "survived"
    #: What failed fails without the mutation too.
    UNCLEAR = "unclear"


@dataclass(frozen=True)
class Trial:
    """A mutation, what came of it, and the line in which pytest says what failed."""

    mutation: Mutation
    verdict: Verdict
    failure: str = ""


class Copy:
    """A copy of the collection with its tests, which are run there: the checkout is never touched."""

    def __init__(self, folder: Path) -> None:
        self._place = collection_tree.copy(folder)
        cores = collection_tree.BUILD / "cores"
        cores.mkdir(parents=True, exist_ok=True)
        (self._place / "build").mkdir()
        (self._place / "build/cores").symlink_to(cores, target_is_directory=True)

    def prepare(self) -> None:
        """Run the unit tests of the core and have all tests compiled; a test that fails already ends everything."""
        for arguments in ([str(UNIT)], ["--collect-only", "-q", str(SYSTEM)]):
            done = subprocess.run(_pytest(self._place, arguments), capture_output=True, text=True, check=False)
            if done.returncode:
                sys.exit(f"The tests fail without a mutation:\n{done.stdout}{done.stderr}")

    def judge(self, mutation: Mutation) -> Trial:
        """Run the tests that concern the file of a mutation, nearest first, until one fails."""
        for floors in (UNIT, SYSTEM):
            tests = self._nearest_first(floors, mutation.file)
            output = self._run_broken(mutation, tests)
            if output is not None:
                return self._noticed(mutation, tests, output)
        return Trial(mutation, Verdict.SURVIVED)

    def _nearest_first(self, floors: Path, file: Path) -> list[Path]:
        """All tests below a folder: the mirrored file, its neighbours, the other floors in their order."""
        mirrored = floors / file.relative_to("plugins/module_utils").with_name(f"test_{file.name}")
        tests = [path.relative_to(self._place) for path in sorted((self._place / floors).rglob("test_*.py"))]
        return sorted(tests, key=lambda path: (path != mirrored, path.parent != mirrored.parent))

    def _run_broken(self, mutation: Mutation, tests: list[Path]) -> str | None:
        file = self._place / mutation.file
        whole = file.with_suffix(".whole")
        shutil.copy2(file, whole)
        try:
            file.write_text(mutation.code)
            return self._run(tests)
        finally:
            whole.replace(file)

    def _run(self, tests: list[Path], *options: str) -> str | None:
        """The output of tests of which one failed."""
        command = _pytest(self._place, ["--exitfirst", *options, *map(str, tests)])
        outcome, output = run_tests(shlex.join(command), LIMIT)
        return None if outcome is TestOutcome.SURVIVED else str(output)

    def _noticed(self, mutation: Mutation, tests: list[Path], output: str) -> Trial:
        said = FAILED.findall(output) or output.strip().splitlines() or ["The tests do not start."]
        failure = said[-1]
        # System tests play with real clocks and processes.
        flaky = tests[0].is_relative_to(SYSTEM) and "::" in failure and self._run(tests, "--last-failed")
        return Trial(mutation, Verdict.UNCLEAR if flaky else Verdict.NOTICED, failure)


def _pytest(place: Path, arguments: list[str]) -> list[str]:
    return ["env", "-C", str(place), sys.executable, "-m", "pytest", "--quiet", *arguments]
