# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Processes that use the shared state of a run at the same time. They import this file, so that no thread is forked."""

from __future__ import annotations

import multiprocessing
import random
import time
from collections.abc import Callable
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Barrier, Event
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.herdops.alpacon.plugins.module_utils._fleet import journal as _journal
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.journal import Journal
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.run import HostLocks
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.sharing import SharedState
from ansible_collections.herdops.alpacon.tests.unit.shared_state import URL, read_journal_ids, submit, uuid
from ansible_collections.herdops.alpacon.tests.unit.support import TOKEN

Key = tuple[str, str]

CONTEXT = multiprocessing.get_context("forkserver")
#: Seconds after which a process counts as hanging.
PATIENCE = 60.0


def at_once(count: int, work: Callable[..., Any], *arguments: Any) -> list[Any]:
    """Call a function of this file in several processes at once, with their numbers. Return its results."""
    CONTEXT.set_forkserver_preload([__name__])
    start = CONTEXT.Barrier(count)
    results = CONTEXT.SimpleQueue()
    processes = [
        CONTEXT.Process(target=_run, args=(start, results, work, number, arguments), daemon=True)
        for number in range(count)
    ]
    for one in processes:
        one.start()
    for one in processes:
        one.join(PATIENCE)
    assert [one.exitcode for one in processes] == [0] * count
    return [result for _number, result in sorted(results.get() for _process in processes)]


def _run(
    start: Barrier, results: SimpleQueue[Any], work: Callable[..., Any], number: int, arguments: tuple[Any, ...]
) -> None:
    start.wait(PATIENCE)
    results.put((number, work(number, *arguments)))


def write_journal(number: int, file: Path) -> bool:
    """Add and remove lines. Return whether the journal always had the lines of this process."""
    journal = Journal(file, pytest.fail)
    lock = _journal.lock_file

    def lock_later(descriptor: int, kind: int, seconds: float = PATIENCE) -> None:
        # Other processes get time to remove the file after it was opened.
        time.sleep(random.random() / 500)
        lock(descriptor, kind, seconds)

    _journal.lock_file = lock_later
    kept, missed = set(), set()
    for step in range(30):
        position = submit(journal, uuid(number, step))
        missed |= {uuid(number, step)} - set(read_journal_ids(journal))
        # In the first steps, processes remove all lines now and then, and with them the file.
        if step < 15 or step % 5:
            journal.remove([position])
        else:
            kept.add(uuid(number, step))
    return not missed and kept <= set(read_journal_ids(journal))


def acquire_locks(number: int, folder: Path, task: str, wanted: list[list[Key]]) -> Key | None:
    """Return the lock that another process has, or None if this one got all that it wants."""
    return HostLocks(folder, task, f"host-{number}").acquire(wanted[number])


def exchange_row(number: int, folder: Path, row: dict[str, Any], enough: Event) -> int:
    """Write a row again and again in the first process, and remove it in the others. Return the number of reads."""
    shared = SharedState(folder, URL, TOKEN)
    reads = 0
    while not enough.is_set():
        if number == 0:
            shared.write_row(row["id"], row)
            continue
        found = shared.pop_row(row["id"])
        assert found in (None, row)
        reads += found is not None
        if reads == 20:
            enough.set()
    return reads
