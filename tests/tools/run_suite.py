# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run steps of the suite, each a target of the Makefile, and end with a table of how they went.

Every argument is a lane: steps joined by commas that run one after another, beside the other lanes.
"""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import threading
import time

import collection_tree

PRINTING = threading.Lock()


@dataclasses.dataclass(frozen=True)
class Result:
    """How a step went."""

    step: str
    seconds: float
    passed: bool

    def __str__(self) -> str:
        return f"{self.step:<20} {self.seconds:>8.1f} s  {'passed' if self.passed else 'FAILED'}"


def main(lanes: list[str]) -> int:
    """Run all lanes to their end and return 1 if a step failed."""
    results: list[Result] = []
    threads = [threading.Thread(target=run_lane, args=(lane.split(","), results)) for lane in lanes]
    started = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(f"\n{'step':<20} {'took':>10}  result")
    for result in results:
        print(result)
    failed = sum(not result.passed for result in results)
    print(f"{'all':<20} {time.monotonic() - started:>8.1f} s\n\n{len(results) - failed} passed, {failed} failed")
    return 1 if failed else 0


def run_lane(steps: list[str], results: list[Result]) -> None:
    """Run the steps of a lane and print the output of each when it has ended."""
    for step in steps:
        say(f"{step} started")
        started = time.monotonic()
        output, passed = run(step)
        result = Result(step, time.monotonic() - started, passed)
        results.append(result)
        say(f"======== {step}\n{output.rstrip()}\n======== {result}\n")


def run(step: str) -> tuple[str, bool]:
    """Make one target, and return what it printed and whether it passed."""
    # A make in a make would otherwise wait for the jobs of the outer one.
    environ = {key: value for key, value in os.environ.items() if key not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    done = subprocess.run(
        ["make", "--no-print-directory", step],
        cwd=collection_tree.ROOT,
        env=environ,
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    return done.stdout, done.returncode == 0


def say(text: str) -> None:
    """Print without mixing with another lane."""
    with PRINTING:
        print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
