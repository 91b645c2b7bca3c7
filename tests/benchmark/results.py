# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rows of scenarios, and the file that keeps them: docs/benchmarks.json."""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import os
import platform
import re
import statistics
import typing as t
from pathlib import Path

import collection_tree
from benchmark.running import Run
from benchmark.scenarios import SCENARIOS, Scenario, Variant

Row = dict[str, t.Any]
#: Rows by scenario and variant.
Rows = dict[tuple[str, str], Row]
FILE = collection_tree.ROOT / "docs/benchmarks.json"
FIGURES = (
    *("requests", "writes", "wall_s", "cpu_s", "peak_mb", "page_mb", "history_mb"),
    *("line_lag_s", "gap_s", "approvals", "uploads"),
)
#: Headings of the columns, and digits behind the point.
COLUMNS = {
    "requests": ("Requests", 0),
    "writes": ("Submits", 0),
    "approvals": ("Approvals", 0),
    "uploads": ("Uploads", 0),
    "requests_per_command": ("Requests per command", 3),
    "wall_s": ("Time s", 1),
    "wall_ratio": ("Time ratio", 2),
    "cpu_s": ("CPU s", 1),
    "cpu_ms": ("CPU ms per command", 1),
    "cpu_ratio": ("CPU ratio", 2),
    "peak_mb": ("Memory MB", 0),
    "lag_s": ("Lag s", 2),
    "lag_share": ("Lag %", 1),
    "lag_share_max": ("Largest lag %", 1),
    "page_mb": ("Page MB", 1),
    "history_mb": ("History MB", 1),
    "line_lag_s": ("Lag of a line s", 1),
    "gap_s": ("Longest gap s", 1),
}


def rows_of(scenario: Scenario, runs: dict[str, list[Run]]) -> Rows:
    return {(scenario.name, variant.name): _row(scenario, variant, runs) for variant in scenario.variants}


def _row(scenario: Scenario, variant: Variant, runs: dict[str, list[Run]]) -> Row:
    own, commands = runs[variant.name], scenario.commands(variant)
    empty_s = statistics.median(run.cpu_s for run in runs[scenario.variants[0].name]) if variant.net else 0.0

    cpu_s = [run.cpu_s - empty_s for run in own]
    figures = {name: [getattr(run, name) for run in own if getattr(run, name) is not None] for name in FIGURES}
    row: Row = {name: statistics.median(values) for name, values in figures.items() if values}
    if commands:
        row["requests_per_command"] = row["requests"] / commands
        row["cpu_ms"] = statistics.median(cpu_s) * 1000 / commands
    names = [each.name for each in scenario.variants]
    if scenario.rival and names.index(variant.name) > names.index(scenario.rival):
        pairs = list(zip(own, cpu_s, runs[scenario.rival], strict=True))
        row["wall_ratio"] = statistics.median(run.wall_s / rival.wall_s for run, _cpu_s, rival in pairs)
        row["cpu_ratio"] = statistics.median(cpu / rival.cpu_s for _run, cpu, rival in pairs)
    if scenario.seconds:
        shares = [lag / seconds * 100 for run in own for lag, seconds in zip(run.lags, scenario.seconds, strict=True)]
        lag_s = statistics.median(statistics.mean(run.lags) for run in own)
        row |= {"lag_s": lag_s, "lag_share": statistics.mean(shares), "lag_share_max": max(shares)}
    kept = {key: round(value, 4) for key, value in row.items()}
    return {"date": datetime.date.today().isoformat(), "runs": len(own), "commands": commands, **kept}


def save(measured: Rows) -> Rows:
    """Replace these rows in the file, and return all rows. Each has the key C(machine), where it was measured."""
    kept: Row = json.loads(FILE.read_text(encoding="utf-8")) if FILE.exists() else {"machines": [], "rows": []}
    rows = {(row.pop("scenario"), row.pop("variant")): row for row in kept["rows"]}
    for row in rows.values():
        row["machine"] = kept["machines"][row["machine"]]
    rows |= {name: {**row, "machine": machine()} for name, row in measured.items()}
    # In the order of the scenarios, without rows that no scenario has any more.
    names = [(scenario.name, variant.name) for scenario in SCENARIOS.values() for variant in scenario.variants]
    rows = {name: rows[name] for name in names if name in rows}
    found = machines(rows)
    listed = [
        {"scenario": name[0], "variant": name[1], **row, "machine": found.index(row["machine"])}
        for name, row in rows.items()
    ]
    FILE.write_text(json.dumps({"machines": found, "rows": listed}, indent=1) + "\n", encoding="utf-8")
    return rows


def machines(rows: Rows) -> list[dict[str, str]]:
    """Return the machines of the rows, each once."""
    found: list[dict[str, str]] = []
    for row in rows.values():
        if row["machine"] not in found:
            found.append(row["machine"])
    return found


def machine() -> dict[str, str]:
    cpus = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    memory = re.search(r"MemTotal: *(\d+)", Path("/proc/meminfo").read_text(encoding="utf-8"))
    return {
        "CPU": cpus[1] if cpus else platform.machine(),
        "Cores": str(os.cpu_count()),
        "Memory": f"{int(memory[1]) / 2**20:.0f} GiB" if memory else "unknown",
        "Kernel": platform.release(),
        "Python": platform.python_version(),
        "ansible-core": importlib.metadata.version("ansible-core"),
    }
