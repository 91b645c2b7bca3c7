# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the workers of a run share, with real processes, since workers are processes."""

from __future__ import annotations

import multiprocessing
import random
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.herdops.alpacon.plugins.module_utils._fleet import journal as _journal
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.journal import Journal
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.run import HostLocks
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.sharing import Shared
from ansible_collections.herdops.alpacon.tests.unit.shared_state import (
    URL,
    read_journal_ids,
    submit,
    uuid,
)
from ansible_collections.herdops.alpacon.tests.unit.support import TOKEN

FORK = multiprocessing.get_context("fork")
#: Nothing here takes so long unless it hangs, in seconds.
PATIENCE = 30.0


def at_once(count: int, work: Callable[[int], Any]) -> list[Any]:
    """What a piece of work returns in each of so many processes that begin it together."""
    start = FORK.Barrier(count)
    answers = FORK.SimpleQueue()

    def process(number: int) -> None:
        start.wait(PATIENCE)
        answers.put((number, work(number)))

    processes = [FORK.Process(target=process, args=(number,), daemon=True) for number in range(count)]
    for one in processes:
        one.start()
    for one in processes:
        one.join(PATIENCE)
    assert [one.exitcode for one in processes] == [0] * count
    return [answer for _number, answer in sorted(answers.get() for _process in processes)]


@pytest.fixture
def shared(tmp_path: Path) -> Shared:
    """What the workers of a run share, still empty."""
    return Shared(tmp_path, URL, TOKEN)


# The journal


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    """A journal that does not exist yet, in a folder that does not either."""
    return Journal(tmp_path / "alpacon/run.ids", pytest.fail)


def test_commands_that_are_journalled_while_others_are_struck_out_stay(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = _journal.lock_file

    def lock_later(descriptor: int, kind: int) -> None:
        time.sleep(random.random() / 500)
        lock(descriptor, kind)

    def work(number: int) -> bool:
        kept, missed = set(), set()
        for step in range(30):
            place = submit(journal, uuid(number, step))
            missed |= {uuid(number, step)} - set(read_journal_ids(journal))
            # At first, nobody has anything under way now and then, and the journal is gone.
            if step < 15 or step % 5:
                journal.remove([place])
            else:
                kept.add(uuid(number, step))
        return not missed and kept <= set(read_journal_ids(journal))

    # Others have time to take away what was just opened.
    monkeypatch.setattr(_journal, "lock_file", lock_later)
    assert all(at_once(8, work))
    assert len(read_journal_ids(journal)) == 8 * 3


# What the run has submitted


# HostLocks


def host_locks(folder: Path, host: str, task: str = "task") -> HostLocks:
    """Return the locks of one host of a task."""
    return HostLocks(folder, task, host)


def _wish(folder: Path, task: str, wishes: list[list[tuple[str, str]]], number: int) -> tuple[str, str] | None:
    return host_locks(folder, f"host-{number}", task).acquire(wishes[number])


def test_of_hosts_whose_wishes_overlap_each_server_goes_to_one(tmp_path: Path) -> None:
    wishes = [[("a", "x"), ("b", "x")], [("b", "x"), ("c", "x")], [("c", "x"), ("a", "x")]]
    for round_ in range(5):
        task = f"task {round_}"
        answers = at_once(3, partial(_wish, tmp_path, task, wishes))
        winners = [number for number in range(3) if answers[number] is None]
        assert len(winners) == 1


# Pauses


# Rows


def test_who_offers_and_who_takes_never_meet_half_a_row(shared: Shared) -> None:
    row = {"id": "a", "result": "x" * 200_000}
    enough = FORK.Event()

    def work(number: int) -> int:
        taken = 0
        while not enough.is_set():
            if number == 0:
                shared.write_row("a", row)
                continue
            found = shared.pop_row("a")
            assert found in (None, row)
            taken += found is not None
            if taken == 20:
                enough.set()
        return taken

    assert max(at_once(3, work)) == 20


# Servers
