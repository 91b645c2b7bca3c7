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
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import ClassVar

from faults.draw import DIALECTS, SERVERS, Bounds, draw
from faults.story import Record, Story
from faults.verdict import COUNTS, STRAINED, Verdict, judge
from workspace.client import Workspace


@dataclass
class Plan:
    """What is to be done.

    Attributes:
        commands: after so many no further round is begun.
        rounds: the numbers of the only rounds to run, or empty.
        bounds: what may be drawn.
        lanes: how many workspaces of each dialect work at once.
    """

    seed: str
    commands: int = 5000
    rounds: Sequence[int] = ()
    bounds: Bounds = field(default_factory=Bounds)
    lanes: int = 2


@dataclass
class Campaign:
    plan: Plan
    say: Callable[[str], None] = print
    complaints: list[str] = field(default_factory=list)
    name: ClassVar[str] = "commands"
    #: Of all dialects, those in which it takes place.
    dialects: ClassVar[Sequence[str]] = DIALECTS

    def __post_init__(self) -> None:
        self.totals = {dialect: Counter[str]() for dialect in self.dialects}
        self._lock = threading.Lock()
        step = len(DIALECTS)
        rounds = self.plan.rounds
        self._numbers: list[Iterator[int]] = [
            iter([number for number in rounds if number % step == position])
            if rounds
            else itertools.count(position, step)
            for position in range(step)
        ]

    def run(self) -> bool:
        with tempfile.TemporaryDirectory(prefix="faults-") as folder:
            lanes = [
                threading.Thread(target=self._lane, args=(position, Path(folder) / f"{position}-{lane}"))
                for position, dialect in enumerate(DIALECTS)
                if dialect in self.dialects
                for lane in range(self.plan.lanes)
            ]
            for lane in lanes:
                lane.start()
            for lane in lanes:
                lane.join()
        return not self.complaints

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
            if sum(totals["commands"] for totals in self.totals.values()) >= self.plan.commands:
                return None
            return next(self._numbers[position], None)

    def _judged(self, workspace: Workspace, number: int, ledger: Path) -> tuple[Record, Verdict]:
        record = Story(workspace, draw(self.plan.seed, number, self.plan.bounds), ledger).tell()
        return record, judge(record)

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
        self.say(line)
        if verdict.disagreements:
            self._complain(explain(self.name, record, verdict))

    def _complain(self, text: str) -> None:
        self.complaints.append(text)
        self.say(text)

    def table(self) -> str:
        rows: list[tuple[str, ...]] = [("dialect", *COUNTS)]
        rows += [(dialect, *(str(totals[name]) for name in COUNTS)) for dialect, totals in self.totals.items()]
        return "unseen: outputs whose last chunks were lost, which nothing in the API tells\n" + "\n".join(
            "  ".join(f"{cell:<10}" if place == 0 else f"{cell:>9}" for place, cell in enumerate(row)) for row in rows
        )


def explain(campaign: str, record: Record, verdict: Verdict, shown: int = 10) -> str:
    drawn = record.drawn
    facts = {key: value for key, value in asdict(drawn).items() if key not in ("seed", "number", "detail")}
    said = verdict.disagreements
    more = [f"and {len(said) - shown} more"] if len(said) > shown else []
    return "\n".join(
        [
            f"DISAGREEMENT: seed {drawn.seed}, round {drawn.number}"
            f" (again: python tests/faults --only {campaign} --seed {drawn.seed} --round {drawn.number})",
            *(f"  {key}: {json.dumps(value, ensure_ascii=False)}" for key, value in facts.items()),
            *(f"  refused as a whole: {task.refusal}" for task in record.tasks if task.refusal),
            *(f"  warning: {warning}" for task in record.tasks for warning in task.warnings),
            *(f"  - {text}" for text in [*said[:shown], *more]),
        ]
    )
