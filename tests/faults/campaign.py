# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The fault campaign: thousands of commands under random faults, each compared with the workspace's own record."""

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

from faults.draw import DIALECTS, SERVERS, Bounds, draw
from faults.story import Record, Story
from faults.verdict import COUNTS, STRAINED, Court, Verdict
from workspace.client import Workspace

#: How many workspaces of each dialect work at once.
_LANES = 2


class Campaign:
    name = "commands"
    #: Of all dialects, those in which it takes place.
    dialects: Sequence[str] = DIALECTS
    bounds = Bounds()

    def __init__(self, seed: str, rounds: Sequence[int] = (), most: int = 5000, bounds: Bounds | None = None) -> None:
        """`rounds` are the only ones to run, if there are any; after `most` commands no further one is begun."""
        self.seed, self._most, self.bounds = seed, most, bounds or self.bounds
        self.complaints: list[str] = []
        self.totals = {dialect: Counter[str]() for dialect in self.dialects}
        self._lock = threading.Lock()
        step = len(DIALECTS)
        self._numbers: list[Iterator[int]] = [
            iter([number for number in rounds if number % step == position])
            if rounds
            else itertools.count(position, step)
            for position in range(step)
        ]

    def run(self) -> None:
        with tempfile.TemporaryDirectory(prefix="faults-") as folder:
            lanes = [
                threading.Thread(target=self._lane, args=(position, Path(folder) / f"{position}-{lane}"))
                for position, dialect in enumerate(DIALECTS)
                if dialect in self.dialects
                for lane in range(_LANES)
            ]
            for lane in lanes:
                lane.start()
            for lane in lanes:
                lane.join()

    def _lane(self, position: int, ledger: Path) -> None:
        number = self._take(position)
        if number is None:
            return
        try:
            with Workspace(DIALECTS[position], servers=SERVERS, tick=0.2) as workspace:  # type: ignore[arg-type]
                while number is not None:
                    self._round(workspace, number, ledger)
                    number = self._take(position)
        except Exception:
            self._complain(f"the lane of {DIALECTS[position]} broke off:\n{traceback.format_exc()}")

    def _take(self, position: int) -> int | None:
        """The number of the next round in a dialect: those of one dialect are alike modulo three."""
        with self._lock:
            if sum(totals["commands"] for totals in self.totals.values()) >= self._most:
                return None
            return next(self._numbers[position], None)

    def _judged(self, workspace: Workspace, number: int, ledger: Path) -> tuple[Record, Verdict]:
        record = Story(workspace, draw(self.seed, number, self.bounds), ledger).tell()
        return record, Court(record).judge()

    def _round(self, workspace: Workspace, number: int, ledger: Path) -> None:
        started = time.monotonic()
        record, verdict = self._judged(workspace, number, ledger)
        drawn = record.drawn
        with self._lock:
            self.totals[drawn.dialect].update(verdict.counts)
        line = (
            f"round {drawn.number}: {drawn.dialect}, {drawn.story}, {len(drawn.servers)} servers,"
            f" {verdict.commands} commands, {verdict.unknown} unknown, {time.monotonic() - started:.1f} s"
            f"{', strained' if record.strain > STRAINED else ''}"
        )
        print(line, flush=True)
        if verdict.disagreements:
            self._complain(explain(self.name, record, verdict))

    def _complain(self, text: str) -> None:
        self.complaints.append(text)
        print(text, flush=True)

    def table(self) -> str:
        rows: list[tuple[str, ...]] = [("dialect", *COUNTS)]
        rows += [(dialect, *(str(totals[name]) for name in COUNTS)) for dialect, totals in self.totals.items()]
        return "unseen: outputs whose last chunks were lost, which nothing in the API tells\n" + "\n".join(
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
