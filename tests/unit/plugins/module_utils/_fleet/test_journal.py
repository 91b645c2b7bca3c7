# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The journal of a run, and files that workers change together."""

from __future__ import annotations

import fcntl
import hashlib
import itertools
import os
import stat
from datetime import datetime, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.herdops.alpacon.plugins.module_utils._fleet import journal as _journal
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.journal import Journal
from ansible_collections.herdops.alpacon.tests.unit.shared_state import (
    LINE,
    read_journal_ids,
    submit,
    uuid,
)
from ansible_collections.herdops.alpacon.tests.unit.support import COMMAND, SERVER


def mode(path: Path) -> int:
    """The permissions of a file or folder."""
    return stat.S_IMODE(path.stat().st_mode)


# The journal


DIGEST = hashlib.sha256(LINE.encode()).hexdigest()


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    """A journal that does not exist yet, in a folder that does not either."""
    return Journal(tmp_path / "home/alpacon/run.ids", pytest.fail)


def test_an_intent_is_there_before_the_id_and_the_end_strikes_both_out(journal: Journal) -> None:
    place = journal.add_submit(SERVER, LINE)
    assert place is not None
    [line] = journal.file.read_text().splitlines()
    server, moment, digest = line.split()
    assert (server, digest) == (SERVER, f"sha256:{DIGEST}")
    assert datetime.strptime(moment, "%Y-%m-%dT%H:%M:%S.%f%z") <= datetime.now(timezone.utc)
    assert read_journal_ids(journal) == []
    journal.add_id(place, COMMAND)
    [line] = journal.file.read_text().splitlines()
    assert line == f"{COMMAND} {server} {moment} {digest}"
    assert read_journal_ids(journal) == [COMMAND]
    journal.remove([place])
    assert list(journal.file.parent.iterdir()) == []


def test_who_is_done_leaves_the_lines_of_other_workers(journal: Journal) -> None:
    other = Journal(journal.file, pytest.fail)
    place, others_place = submit(journal, uuid(0, 0)), submit(other, uuid(1, 0))
    journal.remove([place])
    assert read_journal_ids(journal) == [uuid(1, 0)]
    other.remove([others_place])
    assert not journal.file.exists()


def test_a_lock_that_nobody_lets_go_of_holds_no_submit_up(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    def lock(_descriptor: int, kind: int) -> None:
        raise TimeoutError("a lock is held for too long")

    place = submit(journal, uuid(0, 0))
    monkeypatch.setattr(_journal, "lock_file", lock)
    submit(journal, uuid(0, 1))
    journal.remove([place])
    assert read_journal_ids(journal) == [uuid(0, 1)]


@pytest.mark.parametrize("place", ["file/run.ids", "full"])
def test_a_journal_that_cannot_be_written_is_told_once_and_stops_nothing(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("in the way")
    (tmp_path / "full").symlink_to("/dev/full")
    warnings: list[str] = []
    journal = Journal(tmp_path / place, warnings.append)
    assert [journal.add_submit(SERVER, LINE), journal.add_submit(SERVER, LINE)] == [None, None]
    [warning] = warnings
    assert str(tmp_path / place) in warning
    assert not journal.works
    assert (tmp_path / "file").read_text() == "in the way"


def test_a_journal_that_cannot_be_written_any_more_is_told_once_and_keeps_what_is_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_arguments: Any) -> int:
        raise OSError("no space left")

    warnings: list[str] = []
    journal = Journal(tmp_path / "run.ids", warnings.append)
    place = submit(journal, COMMAND)
    monkeypatch.setattr(os, "pwrite", fail)
    journal.add_id(place, SERVER)
    journal.remove([place])
    assert read_journal_ids(journal) == [COMMAND]
    [warning] = warnings
    assert warning.endswith("cannot be written. If this run is interrupted, its IDs are lost. no space left")


def test_what_a_full_disk_cuts_off_is_no_line_and_costs_no_other_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    warnings: list[str] = []
    journal, other = Journal(tmp_path / "run.ids", warnings.append), Journal(tmp_path / "run.ids", pytest.fail)
    write = os.write

    def write_part(descriptor: int, text: bytes) -> int:
        written = write(descriptor, text[:50])
        monkeypatch.setattr(os, "write", write)
        submit(other, COMMAND)  # before the first worker knows
        return written

    submit(other, COMMAND)
    monkeypatch.setattr(os, "write", write_part)
    assert journal.add_submit(SERVER, LINE) is None
    assert read_journal_ids(other) == [COMMAND, COMMAND]
    assert "No space left on device" in warnings[0]


def test_only_the_user_may_read_the_journal(journal: Journal) -> None:
    before = os.umask(0o002)
    try:
        submit(journal, COMMAND)
    finally:
        os.umask(before)
    assert (mode(journal.file.parent), mode(journal.file)) == (0o700, 0o600)


def test_a_lock_that_another_worker_holds_for_a_moment_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    holder, waiter = (os.open(tmp_path, os.O_RDONLY) for _worker in range(2))
    fcntl.flock(holder, fcntl.LOCK_EX)
    pauses: list[float] = []

    def let_go(seconds: float) -> None:
        pauses.append(seconds)
        fcntl.flock(holder, fcntl.LOCK_UN)

    monkeypatch.setattr(_journal, "time", SimpleNamespace(monotonic=lambda: 1000.0, sleep=let_go))
    try:
        _journal.lock_file(waiter, fcntl.LOCK_EX)
        [pause] = pauses
        assert 0 < pause < 0.1
    finally:
        os.close(holder)
        os.close(waiter)


def test_a_lock_that_nobody_lets_go_of_is_waited_for_five_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = itertools.count(1000.0)
    pauses: list[float] = []
    monkeypatch.setattr(_journal, "time", SimpleNamespace(monotonic=lambda: next(seconds), sleep=pauses.append))
    with _journal.lock_folder(tmp_path):
        with pytest.raises(TimeoutError), _journal.lock_folder(tmp_path):
            pass
        assert len(pauses) == 4


@pytest.mark.parametrize("text", [None, "", "soon"])
def test_what_is_no_number_counts_as_none_noted(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "number").write_text(text)
    assert _journal.read_number(tmp_path / "number") == 0.0
