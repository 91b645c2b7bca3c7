# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Break the core on a random sample and list what no test notices: python tests/mutants --seed 7"""

from __future__ import annotations

import argparse
import queue
import secrets
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

if not __package__:
    tests = Path(__file__).resolve().parent.parent
    sys.path[:1] = [str(tests), str(tests / "tools")]

import collection_tree
from mutants.coverage_map import measure
from mutants.mutations import CORE, Mutation, draw_mutations
from mutants.trial import Copy, Trial, Verdict

MIN_PERCENT = 90


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="mutants", description=__doc__)
    parser.add_argument("--seed", default="", help="what the sample is drawn from (default: a random one)")
    parser.add_argument("--sample", type=int, default=40, help="how many mutations (default: %(default)s)")
    parser.add_argument("--only", choices=CORE, action="append", help="this layer only; may be repeated")
    parser.add_argument("--workers", type=int, default=2, help="how many at a time (default: %(default)s)")
    return parser.parse_args()


def main() -> int:
    arguments = parse_arguments()
    seed = arguments.seed or str(secrets.randbelow(10**6))
    print(f"seed {seed}", flush=True)
    drawn = draw_mutations(collection_tree.ROOT, seed, arguments.sample, tuple(arguments.only or CORE))
    started = time.monotonic()
    trials = try_all(drawn, arguments.workers)
    print(f"\nseed {seed}, {time.monotonic() - started:.0f} s")
    return 0 if report(trials) else 1


def try_all(drawn: list[Mutation], workers: int) -> list[Trial]:
    copies = [Copy(collection_tree.BUILD / "mutants" / str(number)) for number in range(workers)]
    lines = measure(copies[0].place, workers)
    free: queue.SimpleQueue[Copy] = queue.SimpleQueue()
    for copy in copies:
        copy.prepare()
        free.put(copy)

    def try_mutation(mutation: Mutation) -> Trial:
        copy = free.get()
        trial = copy.try_mutation(mutation, lines.tests(mutation))
        free.put(copy)
        print(f"{trial.verdict.value:9} {mutation.title} {trial.failure}", flush=True)
        return trial

    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(try_mutation, drawn))


def report(trials: list[Trial]) -> bool:
    for trial in trials:
        if trial.verdict is not Verdict.NOTICED:
            print(f"\n{trial.verdict.value}: {trial.mutation.title}\n{trial.mutation.diff}")
    counts = Counter(trial.verdict for trial in trials)
    tried = counts[Verdict.NOTICED] + counts[Verdict.SURVIVED]
    percent = 100 * counts[Verdict.NOTICED] / tried if tried else 0
    print(f"\n{counts[Verdict.NOTICED]} of {tried} noticed: {percent:.0f} %, at least {MIN_PERCENT} wanted")
    return percent >= MIN_PERCENT


if __name__ == "__main__":
    sys.exit(main())
