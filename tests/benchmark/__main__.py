# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Measure the cost of commands, and write docs/benchmarks.md."""

from __future__ import annotations

import argparse
import fnmatch
import importlib
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

if not __package__:
    tests = Path(__file__).resolve().parent.parent
    sys.path[:1] = [str(tests), str(tests / "tools")]

from benchmark import on_hosts, page, results
from benchmark.running import Run, ScenarioFailed, Session
from benchmark.scenarios import SCENARIOS, Scenario
from benchmark.targets import MISSED, TARGETS
from hosts import requirements
from workspace.client import WorkspaceError


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmark", description=__doc__)
    parser.add_argument("--only", action="append", metavar="NAME", help=f"may have *; one of {', '.join(SCENARIOS)}")
    parser.add_argument("--check", action="store_true", help="fail if a goal is missed")
    arguments = parser.parse_args()
    for pattern in arguments.only or []:
        if not fnmatch.filter(SCENARIOS, pattern):
            parser.error(f"no scenario has the name {pattern}")
    return arguments


def main() -> int:
    arguments = parse_arguments()
    names = [name for pattern in arguments.only or [] for name in fnmatch.filter(SCENARIOS, pattern)]
    chosen = [one for one in SCENARIOS.values() if (one.name in names if names else not one.asked)]
    started = time.monotonic()
    measured, failures = measure(chosen)
    missed = 0
    for target in TARGETS:
        if (target.scenario, target.variant) in measured:
            cells = target.cells(measured)
            missed += cells[-1] == MISSED
            print(" | ".join(cells))
    print(f"\n{time.monotonic() - started:.0f} s in all; {page.DOCS / 'benchmarks.md'} has the figures.")
    return 1 if failures or (arguments.check and missed) else 0


def measure(chosen: list[Scenario]) -> tuple[results.Rows, int]:
    """Write the rows of these scenarios to the page; return them, and how many scenarios failed."""
    measured: results.Rows = {}
    failures = 0
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder, ExitStack() as stack:
        hosts = max((one.servers for one in chosen if one.place == "on_hosts"), default=0)
        session = Session(Path(folder), stack, hosts)
        missing = requirements.find_missing(on_hosts.PROGRAMS) if hosts else []
        for scenario in chosen:
            if scenario.place == "on_hosts" and missing:
                print(f"{scenario.name}: skipped, because no host can be started here: {'; '.join(missing)}")
                continue
            started = time.monotonic()
            try:
                found = results.rows_of(scenario, _run(scenario, session))
            except (ScenarioFailed, WorkspaceError, OSError, subprocess.SubprocessError) as error:
                failures += 1
                print(f"{scenario.name}: FAILED: {error}", flush=True)
                continue
            measured |= found
            # After each scenario, so that an interrupted run loses none.
            page.write(results.save(found))
            print(f"{scenario.name}: {time.monotonic() - started:.0f} s", flush=True)
            for (_name, variant), row in found.items():
                figures = ", ".join(f"{key} {value:g}" for key, value in row.items() if key != "date")
                print(f"  {variant}: {figures}", flush=True)
    return measured, failures


def _run(scenario: Scenario, session: Session) -> dict[str, list[Run]]:
    runs: dict[str, list[Run]] = {variant.name: [] for variant in scenario.variants}
    with importlib.import_module(f"benchmark.{scenario.place}").prepare(scenario, session) as programs:
        for _number in range(scenario.runs):
            for name, run in programs.items():
                runs[name].append(run())
    return runs


if __name__ == "__main__":
    sys.exit(main())
