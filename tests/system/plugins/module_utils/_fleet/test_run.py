# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the workers of a run share, with real processes, since workers are processes."""

from __future__ import annotations

import fcntl
import multiprocessing
import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.herdops.alpacon.plugins.module_utils._fleet import files as _files
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet import journal as _journal
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet import sharing as _sharing
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.claims import Claims
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.journal import Journal, Submitted
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.sharing import Shared, SharedPause
from ansible_collections.herdops.alpacon.tests.unit.sharing import (
    KNOWN,
    LINE,
    SERVERS,
    URL,
    ServerList,
    ids,
    known,
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


@contextmanager
def elsewhere(work: Callable[[Callable[[], None]], Any]) -> Iterator[int]:
    """Another process that works until it has called what it is given, and then is busy for ever; gives its id."""
    reached = FORK.Event()

    def process() -> None:
        def stay() -> None:
            reached.set()
            time.sleep(2 * PATIENCE)

        work(stay)

    other = FORK.Process(target=process, daemon=True)
    other.start()
    try:
        assert reached.wait(PATIENCE)
        assert other.pid is not None
        yield other.pid
    finally:
        other.kill()
        other.join()


def kill(pid: int) -> None:
    """End a process as if the machine had run out of memory, and wait until it is gone."""
    os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + PATIENCE
    while Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def shared(tmp_path: Path) -> Shared:
    """What the workers of a run share, still empty."""
    return Shared(tmp_path, URL, TOKEN)


# The journal


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    """A journal that does not exist yet, in a folder that does not either."""
    return Journal(tmp_path / "alpacon/run.ids", pytest.fail)


def test_every_command_that_processes_journal_at_once_is_there_once(journal: Journal) -> None:
    def work(number: int) -> None:
        for step in range(25):
            submit(journal, uuid(number, step))

    at_once(8, work)
    assert sorted(ids(journal)) == sorted(uuid(number, step) for number in range(8) for step in range(25))


def test_the_last_of_several_processes_takes_the_journal_away(journal: Journal) -> None:
    def work(number: int) -> None:
        for step in range(50):
            journal.strike([submit(journal, uuid(number, step))])

    at_once(8, work)
    assert list(journal.file.parent.iterdir()) == []


def test_commands_that_are_journalled_while_others_are_struck_out_stay(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lock_later(descriptor: int, kind: int) -> None:
        time.sleep(random.random() / 500)
        _files.lock(descriptor, kind)

    def work(number: int) -> bool:
        kept, missed = set(), set()
        for step in range(60):
            place = submit(journal, uuid(number, step))
            missed |= {uuid(number, step)} - set(ids(journal))
            # At first, nobody has anything under way now and then, and the journal is gone.
            if step < 30 or step % 5:
                journal.strike([place])
            else:
                kept.add(uuid(number, step))
        return not missed and kept <= set(ids(journal))

    # Others have time to take away what was just opened.
    monkeypatch.setattr(_journal, "lock", lock_later)
    assert all(at_once(8, work))
    assert len(ids(journal)) == 8 * 6


def test_a_process_that_holds_the_lock_holds_nobody_up_for_long(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = submit(journal, uuid(0, 0))

    def work(stay: Callable[[], None]) -> None:
        with journal.file.open() as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            stay()

    monkeypatch.setattr(_files, "_LOCK_PATIENCE", 0.05)
    with elsewhere(work):
        submit(journal, uuid(0, 1))
        journal.strike([place])
        assert ids(journal) == [uuid(0, 1)]


# What the run has submitted


def test_workers_know_what_others_of_the_run_have_submitted(tmp_path: Path) -> None:
    def work(number: int) -> None:
        Submitted(tmp_path / "submitted").add({"id": uuid(number, 0), "line": LINE})

    assert Submitted(tmp_path / "submitted").read() == {}
    at_once(8, work)
    rows = Submitted(tmp_path / "submitted").read()
    assert rows == {uuid(number, 0): {"id": uuid(number, 0), "line": LINE} for number in range(8)}


# Claims


def claims(folder: Path, host: str, task: str = "task") -> Claims:
    """What a host of a task claims with."""
    return Claims(folder, task, host)


def test_of_several_hosts_one_gets_what_all_of_them_want(tmp_path: Path) -> None:
    wanted = [(uuid(0, server), "digest") for server in range(5)]
    answers = at_once(8, lambda number: claims(tmp_path, f"host-{number}").take(wanted))
    assert answers.count(None) == 1
    winner = f"host-{answers.index(None)}"
    # Who asks while another one gives up may see that one.
    assert {server for server, _host in filter(None, answers)} <= {server for server, _digest in wanted}
    assert claims(tmp_path, "late").take(wanted) == (wanted[0][0], winner)


def _wish(folder: Path, task: str, wishes: list[list[tuple[str, str]]], number: int) -> tuple[str, str] | None:
    return claims(folder, f"host-{number}", task).take(wishes[number])


def test_of_hosts_whose_wishes_overlap_each_server_goes_to_one(tmp_path: Path) -> None:
    wishes = [[("a", "x"), ("b", "x")], [("b", "x"), ("c", "x")], [("c", "x"), ("a", "x")]]
    for round_ in range(20):
        task = f"task {round_}"
        answers = at_once(3, partial(_wish, tmp_path, task, wishes))
        winners = [number for number in range(3) if answers[number] is None]
        assert len(winners) == 1


# Pauses


def test_a_pause_holds_for_every_process_of_the_run(tmp_path: Path) -> None:
    SharedPause(tmp_path / "paused_until").hold(9.0)
    assert at_once(3, lambda _number: SharedPause(tmp_path / "paused_until").until()) == [9.0] * 3


def test_of_pauses_that_begin_at_once_the_longest_counts(tmp_path: Path) -> None:
    def work(number: int) -> None:
        own = SharedPause(tmp_path / "paused_until")
        for step in range(40):
            own.hold(10.0 * step + number)

    at_once(8, work)
    assert SharedPause(tmp_path / "paused_until").until() == 397.0


# Locks


def test_nobody_waits_for_a_lock_that_another_process_holds(shared: Shared) -> None:
    def work(stay: Callable[[], None]) -> None:
        with shared.lock("poll"):
            stay()

    def look(_number: int) -> bool:
        with shared.lock("poll") as mine:
            return mine

    with elsewhere(work):
        assert at_once(4, look) == [False] * 4


def test_a_lock_is_free_once_its_holder_is_killed(shared: Shared) -> None:
    def work(stay: Callable[[], None]) -> None:
        with shared.lock("poll"):
            stay()

    with elsewhere(work) as pid:
        with shared.lock("poll") as mine:
            assert not mine
        kill(pid)
        with shared.lock("poll") as mine:
            assert mine


def test_at_any_moment_one_process_holds_the_lock(shared: Shared, tmp_path: Path) -> None:
    mark = tmp_path / "inside"

    def work(_number: int) -> int:
        held = 0
        for _turn in range(200):
            with shared.lock("poll") as mine:
                if mine:
                    mark.touch(exist_ok=False)
                    mark.unlink()
                    held += 1
        return held

    assert sum(at_once(6, work)) > 0


# Rows


def test_workers_get_what_another_one_finds(shared: Shared) -> None:
    def work(number: int) -> Any:
        own = Shared(shared._folder.parent, URL, TOKEN)
        own.expect(uuid(number, 0))
        everybody.wait(PATIENCE)
        if number == 0:
            for command_id in own.expected():
                own.offer(command_id, {"id": command_id})
        everybody.wait(PATIENCE)
        return own.take(uuid(number, 0))

    everybody = FORK.Barrier(6)
    assert at_once(6, work) == [{"id": uuid(number, 0)} for number in range(6)]
    assert shared.expected() == set()


def test_who_offers_and_who_takes_never_meet_half_a_row(shared: Shared) -> None:
    row = {"id": "a", "result": "x" * 200_000}
    enough = FORK.Event()

    def work(number: int) -> int:
        taken = 0
        while not enough.is_set():
            if number == 0:
                shared.offer("a", row)
                continue
            found = shared.take("a")
            assert found in (None, row)
            taken += found is not None
            if taken == 50:
                enough.set()
        return taken

    assert at_once(2, work) == [0, 50]


def test_takers_that_meet_do_not_stumble(shared: Shared) -> None:
    def work(number: int) -> None:
        for _turn in range(300):
            if number == 0:
                shared.offer("a", {"id": "a"})
            else:
                shared.take("a")

    at_once(4, work)


def test_the_latest_poll_is_known_to_all(shared: Shared) -> None:
    assert shared.polled_at() == 0
    began = time.monotonic()
    shared.note_poll(began, 0.15)
    assert at_once(2, lambda _number: shared.polled_at()) == [began] * 2


# Servers


@pytest.fixture
def names(tmp_path: Path) -> ServerList:
    """Where names are read."""
    return ServerList(tmp_path)


def test_names_are_read_once_for_many_workers(shared: Shared, names: ServerList) -> None:
    assert at_once(12, lambda _number: known(shared, names.read)) == [KNOWN] * 12
    assert known(shared, names.read) == KNOWN
    assert names.reads == 1


def test_who_is_killed_while_reading_names_holds_nobody_up(shared: Shared, names: ServerList) -> None:
    def work(stay: Callable[[], None]) -> None:
        def read() -> Iterator[tuple[str, str]]:
            yield SERVERS[0]
            stay()

        known(shared, read)

    with elsewhere(work) as pid:
        kill(pid)
        assert at_once(3, lambda _number: known(shared, names.read)) == [KNOWN] * 3
    assert names.reads == 1


def test_who_waits_for_names_too_long_is_told_none(
    shared: Shared, names: ServerList, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_sharing, "_PATIENCE", 0.1)

    def work(stay: Callable[[], None]) -> None:
        with shared.lock("servers"):
            stay()

    with elsewhere(work):
        assert known(shared, names.read) == {}
