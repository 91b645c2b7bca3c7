# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Measure the cost of commands, print a table and write build/bench.json."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

if not __package__:
    tests = Path(__file__).resolve().parent.parent
    sys.path[:1] = [str(tests), str(tests / "tools")]

import collection_tree
from benchmark.scenarios import SCENARIOS, Figures, Runner, Scenario, ScenarioFailed
from benchmark.targets import TARGETS
from workspace.client import WorkspaceError

NAMES = [scenario.name for scenario in SCENARIOS]
COLUMNS = ["commands", "requests", "CPU ms", "wall s", "peak MB", "lag s", "CPU s"]
OUTPUT = collection_tree.BUILD / "bench.json"
FOOT = """
requests, CPU ms: per command, but requests of the whole run where there are no commands.
CPU: user and system time of the client's whole process tree.
CPU ms of fleet_* and lag_* are net: an empty play with the same inventory is taken off; of hosts_* a play in which
each host does nothing; all else is raw.
CPU s: of the whole run, raw. Peak: the largest process. Several runs: the median.
"""


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmark", description=__doc__)
    parser.add_argument("--only", action="append", choices=NAMES, metavar="NAME", help=f"one of {', '.join(NAMES)}")
    parser.add_argument("--check", action="store_true", help="fail if a target is missed")
    return parser.parse_args()


def main() -> int:
    arguments = parse_arguments()
    chosen = [one for one in SCENARIOS if (one.name in arguments.only if arguments.only else not one.asked)]
    started = time.monotonic()
    print(aligned("scenario", COLUMNS), flush=True)
    rows, failures = measure(chosen)
    OUTPUT.parent.mkdir(parents=True, exist_ok=True)
    OUTPUT.write_text(json.dumps([row.as_row() for row in rows.values()], indent=2) + "\n", encoding="utf-8")
    print(FOOT)
    names = {scenario.name for scenario in chosen}
    for target in TARGETS:
        if names.intersection(target.needs):
            print(target.describe(rows))
    print(f"\n{time.monotonic() - started:.0f} s in all; {OUTPUT} holds the numbers.")
    missed = any(target.met(rows) is False for target in TARGETS)
    return 1 if failures or (arguments.check and missed) else 0


def measure(chosen: list[Scenario]) -> tuple[dict[str, Figures], int]:
    rows: dict[str, Figures] = {}
    failures = 0
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        for scenario in chosen:
            try:
                if scenario.on_hosts:
                    from benchmark import on_hosts

                    measured = on_hosts.run(scenario, Path(folder))
                elif scenario.scripted:
                    from benchmark import rollout

                    measured = rollout.run(scenario, Path(folder))
                else:
                    measured = [Runner(scenario, Path(folder)).run()]
            except (ScenarioFailed, WorkspaceError) as error:
                failures += 1
                print(f"{scenario.name:<22} FAILED: {error}", flush=True)
            else:
                for row in measured:
                    rows[row.scenario] = row
                    print(as_line(row), flush=True)
    return rows, failures


def as_line(row: Figures) -> str:
    per_command = [f"{row.requests_per_command:.3f}", f"{row.cpu_ms_per_command:.2f}"] if row.commands else ["-", "-"]
    if row.requests is not None:
        per_command[0] = f"{row.requests:.0f}"
    lag = "-" if row.lag_s is None else f"{row.lag_s:.3f}"
    cells = [str(row.commands), *per_command, f"{row.wall_s:.1f}", f"{row.peak_mb:.0f}", lag, f"{row.cpu_s:.2f}"]
    return aligned(row.scenario, cells)


def aligned(name: str, cells: list[str]) -> str:
    return f"{name:<22}" + "".join(f"{cell:>10}" for cell in cells)


if __name__ == "__main__":
    sys.exit(main())
