# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Trying a mutation: break a copy of the collection and run its tests."""

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
from mutants.coverage_map import TESTS, is_system
from mutants.mutations import Mutation

#: Seconds after which a run of tests is stopped; a single test has a shorter limit.
LIMIT = 1200
FAILED = re.compile(r"^(?:FAILED|ERROR) .*$", re.MULTILINE)


class Verdict(StrEnum):
    NOTICED = "noticed"
    SURVIVED = "survived"
    #: The test also fails without the mutation, or the tests took too long.
    UNCLEAR = "unclear"


@dataclass(frozen=True)
class Trial:
    """The verdict on a mutation, and the line in which pytest names the failure."""

    mutation: Mutation
    verdict: Verdict
    failure: str = ""


class Copy:
    def __init__(self, folder: Path) -> None:
        self.place = collection_tree.copy(folder)
        cores = collection_tree.BUILD / "cores"
        cores.mkdir(parents=True, exist_ok=True)
        (self.place / "build").mkdir()
        (self.place / "build/cores").symlink_to(cores, target_is_directory=True)

    def prepare(self) -> None:
        """Compile all tests while no file is broken."""
        subprocess.run(_pytest(self.place, ["--collect-only", *TESTS]), capture_output=True, check=True)

    def try_mutation(self, mutation: Mutation, tests: list[str]) -> Trial:
        if not tests:
            return Trial(mutation, Verdict.SURVIVED, "no test runs it")
        file = self.place / mutation.file
        whole = file.with_suffix(".whole")
        shutil.copy2(file, whole)
        try:
            file.write_text(mutation.code)
            output = self._run(tests)
        finally:
            whole.replace(file)
        return Trial(mutation, Verdict.SURVIVED) if output is None else self._noticed(mutation, tests, output)

    def _run(self, tests: list[str]) -> str | None:
        """Return the output of failed tests; None if all passed."""
        outcome, output = run_tests(shlex.join(_pytest(self.place, ["--exitfirst", *tests])), LIMIT)
        return None if outcome is TestOutcome.SURVIVED else str(output)

    def _noticed(self, mutation: Mutation, tests: list[str], output: str) -> Trial:
        if output == "timeout":
            return Trial(mutation, Verdict.UNCLEAR, f"The tests take longer than {LIMIT} s.")
        failure = (FAILED.findall(output) or output.strip().splitlines() or ["The tests do not start."])[-1]
        # Tests with real clocks and processes may fail by themselves. --last-failed takes files, not IDs.
        files = sorted({test.partition("::")[0] for test in tests})
        flaky = is_system(failure.partition(" ")[2]) and self._run(["--last-failed", *files])
        return Trial(mutation, Verdict.UNCLEAR if flaky else Verdict.NOTICED, failure)


def _pytest(place: Path, arguments: list[str]) -> list[str]:
    return ["env", "-C", str(place), sys.executable, "-m", "pytest", "--quiet", *arguments]
