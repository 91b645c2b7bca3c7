# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The fault campaign: thousands of commands under random faults, compared with the workspace's record."""

from __future__ import annotations

import itertools
import json
import tempfile
import threading
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from faults.rounds import DIALECTS, SERVERS, Bounds, draw_round
from faults.runner import Record, RoundRunner
from faults.verdict import COUNTS, OVERLOADED, RoundChecker, Verdict
from workspace.client import Workspace

#: Workspaces per dialect that run at once.
_WORKERS = 2


class Campaign:
    name = "commands"
    dialects: Sequence[str] = DIALECTS
    bounds = Bounds()

    def __init__(self, seed: str, rounds: Sequence[int] = (), most: int = 5000, bounds: Bounds | None = None) -> None:
        """Prepare these rounds, or without any, rounds until `most` commands."""
        self.seed, self._most, self.bounds = seed, most, bounds or self.bounds
        self.failures: list[str] = []
        self.totals = {dialect: Counter[str]() for dialect in self.dialects}
        self._lock = threading.Lock()
        # The number of a round modulo three is its dialect.
        self._numbers: dict[str, Iterator[int]] = {
            dialect: iter([number for number in rounds if DIALECTS[number % len(DIALECTS)] == dialect])
            if rounds
            else itertools.count(DIALECTS.index(dialect), len(DIALECTS))
            for dialect in self.dialects
        }

    def run(self) -> None:
        with tempfile.TemporaryDirectory(prefix="faults-") as folder:
            workers = [
                threading.Thread(target=self._run_rounds, args=(dialect, Path(folder) / f"{dialect}-{worker}"))
                for dialect in self.dialects
                for worker in range(_WORKERS)
            ]
            for worker in workers:
                worker.start()
            for worker in workers:
                worker.join()

    def _run_rounds(self, dialect: str, run_log: Path) -> None:
        number = self._next_round(dialect)
        if number is None:
            return
        try:
            with Workspace(dialect, servers=SERVERS, tick=0.2) as workspace:  # type: ignore[arg-type]
                while number is not None:
                    self._run_round(workspace, number, run_log)
                    number = self._next_round(dialect)
        except Exception:
            self._report_failure(f"the worker of {dialect} failed:\n{traceback.format_exc()}")

    def _next_round(self, dialect: str) -> int | None:
        with self._lock:
            if sum(totals["commands"] for totals in self.totals.values()) >= self._most:
                return None
            return next(self._numbers[dialect], None)

    def _run_and_check(self, workspace: Workspace, number: int, run_log: Path) -> tuple[Record, Verdict]:
        record = RoundRunner(workspace, draw_round(self.seed, number, self.bounds), run_log).run()
        return record, RoundChecker(record).check()

    def _run_round(self, workspace: Workspace, number: int, run_log: Path) -> None:
        started = time.monotonic()
        record, verdict = self._run_and_check(workspace, number, run_log)
        drawn = record.drawn
        with self._lock:
            self.totals[drawn.dialect].update(verdict.counts)
        line = (
            f"round {drawn.number}: {drawn.dialect}, {drawn.scenario}, {len(drawn.servers)} servers,"
            f" {verdict.commands} commands, {verdict.unknown} unknown, {time.monotonic() - started:.1f} s"
            f"{', overloaded' if record.slowest_response > OVERLOADED else ''}"
        )
        print(line, flush=True)
        if verdict.disagreements:
            self._report_failure(explain(self.name, record, verdict))

    def _report_failure(self, text: str) -> None:
        self.failures.append(text)
        print(text, flush=True)

    def table(self) -> str:
        rows: list[tuple[str, ...]] = [("dialect", *COUNTS)]
        rows += [(dialect, *(str(totals[name]) for name in COUNTS)) for dialect, totals in self.totals.items()]
        return "unseen: outputs whose last chunks were lost, which the API does not reveal\n" + "\n".join(
            "  ".join(f"{cell:<10}" if place == 0 else f"{cell:>9}" for place, cell in enumerate(row)) for row in rows
        )


def explain(campaign: str, record: Record, verdict: Verdict) -> str:
    drawn = record.drawn
    facts = {key: value for key, value in asdict(drawn).items() if key not in ("seed", "number", "detail")}
    return "\n".join(
        [
            f"DISAGREEMENT: seed {drawn.seed}, round {drawn.number}"
            f" (again: python tests/faults --only {campaign} --seed {drawn.seed} --round {drawn.number})",
            *(f"  {key}: {json.dumps(value, ensure_ascii=False)}" for key, value in facts.items()),
            *(f"  refused as a whole: {task.refusal}" for task in record.tasks if task.refusal),
            *(f"  warning: {warning}" for task in record.tasks for warning in task.warnings),
            *(f"  - {text}" for text in verdict.disagreements),
        ]
    )
