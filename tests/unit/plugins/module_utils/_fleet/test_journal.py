# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The journal of a run, locks, and files that workers replace."""

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
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.journal import Journal, read_journal
from ansible_collections.herdops.alpacon.tests.unit.shared_state import (
    LINE,
    read_journal_ids,
    submit,
    uuid,
)
from ansible_collections.herdops.alpacon.tests.unit.support import COMMAND, SERVER


def mode(path: Path) -> int:
    """Return the permissions of a file or folder."""
    return stat.S_IMODE(path.stat().st_mode)


# The journal


DIGEST = hashlib.sha256(LINE.encode()).hexdigest()


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    """Return a journal without its file and folder."""
    return Journal(tmp_path / "home/alpacon/run.ids", pytest.fail)


def test_a_line_is_written_before_the_submit_and_blanked_at_the_end(journal: Journal) -> None:
    position = journal.add_submit(SERVER, LINE)
    assert position is not None
    [line] = journal.file.read_text().splitlines()
    server, moment, digest = line.split()
    assert (server, digest) == (SERVER, f"sha256:{DIGEST}")
    assert datetime.strptime(moment, "%Y-%m-%dT%H:%M:%S.%f%z") <= datetime.now(timezone.utc)
    assert read_journal_ids(journal) == []
    journal.add_id(position, COMMAND)
    [line] = journal.file.read_text().splitlines()
    assert line == f"{COMMAND} {server} {moment} {digest}"
    assert read_journal_ids(journal) == [COMMAND]
    journal.remove([position])
    assert list(journal.file.parent.iterdir()) == []


def test_ids_are_read_from_a_journal_and_other_submits_counted(journal: Journal) -> None:
    positions = [submit(journal, uuid(0, number)) for number in range(3)]
    journal.add_submit(SERVER, LINE)
    journal.remove(positions[:1])
    assert read_journal(journal.file) == ([uuid(0, 1), uuid(0, 2)], 1)


def test_a_worker_removes_only_its_own_lines(journal: Journal) -> None:
    other = Journal(journal.file, pytest.fail)
    position, other_position = submit(journal, uuid(0, 0)), submit(other, uuid(1, 0))
    journal.remove([position])
    assert read_journal_ids(journal) == [uuid(1, 0)]
    other.remove([other_position])
    assert not journal.file.exists()


def test_a_lock_that_is_never_released_delays_no_submit(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    def lock(_descriptor: int, kind: int) -> None:
        raise TimeoutError("a lock is held for too long")

    position = submit(journal, uuid(0, 0))
    monkeypatch.setattr(_journal, "lock_file", lock)
    submit(journal, uuid(0, 1))
    journal.remove([position])
    assert read_journal_ids(journal) == [uuid(0, 1)]


@pytest.mark.parametrize("path", ["file/run.ids", "full"])
def test_a_journal_that_cannot_be_written_warns_once_and_stops_nothing(tmp_path: Path, path: str) -> None:
    (tmp_path / "file").write_text("in the way")
    (tmp_path / "full").symlink_to("/dev/full")
    warnings: list[str] = []
    journal = Journal(tmp_path / path, warnings.append)
    assert [journal.add_submit(SERVER, LINE), journal.add_submit(SERVER, LINE)] == [None, None]
    [warning] = warnings
    assert str(tmp_path / path) in warning
    assert not journal.works
    assert (tmp_path / "file").read_text() == "in the way"


def test_a_journal_that_fails_later_warns_once_and_keeps_its_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_arguments: Any) -> int:
        raise OSError("no space left")

    warnings: list[str] = []
    journal = Journal(tmp_path / "run.ids", warnings.append)
    position = submit(journal, COMMAND)
    monkeypatch.setattr(os, "pwrite", fail)
    journal.add_id(position, SERVER)
    journal.remove([position])
    assert read_journal_ids(journal) == [COMMAND]
    [warning] = warnings
    assert warning.endswith("cannot be written. If this run is interrupted, its IDs are lost. no space left")


def test_a_line_that_a_full_disk_cuts_damages_no_other_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    warnings: list[str] = []
    journal, other = Journal(tmp_path / "run.ids", warnings.append), Journal(tmp_path / "run.ids", pytest.fail)
    write = os.write

    def write_part(descriptor: int, text: bytes) -> int:
        written = write(descriptor, text[:50])
        monkeypatch.setattr(os, "write", write)
        submit(other, COMMAND)  # before the first worker handles the short write
        return written

    submit(other, COMMAND)
    monkeypatch.setattr(os, "write", write_part)
    assert journal.add_submit(SERVER, LINE) is None
    assert read_journal_ids(other) == [COMMAND, COMMAND]
    assert "No space left on device" in warnings[0]


def test_only_the_user_can_read_the_journal(journal: Journal) -> None:
    before = os.umask(0o002)
    try:
        submit(journal, COMMAND)
    finally:
        os.umask(before)
    assert (mode(journal.file.parent), mode(journal.file)) == (0o700, 0o600)


def test_lock_waits_for_another_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    holder, waiter = (os.open(tmp_path, os.O_RDONLY) for _worker in range(2))
    fcntl.flock(holder, fcntl.LOCK_EX)
    pauses: list[float] = []

    def release(seconds: float) -> None:
        pauses.append(seconds)
        fcntl.flock(holder, fcntl.LOCK_UN)

    monkeypatch.setattr(_journal, "time", SimpleNamespace(monotonic=lambda: 1000.0, sleep=release))
    try:
        _journal.lock_file(waiter, fcntl.LOCK_EX)
        [pause] = pauses
        assert 0 < pause < 0.1
    finally:
        os.close(holder)
        os.close(waiter)


def test_lock_times_out_after_five_seconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = itertools.count(1000.0)
    pauses: list[float] = []
    monkeypatch.setattr(_journal, "time", SimpleNamespace(monotonic=lambda: next(seconds), sleep=pauses.append))
    with _journal.lock_folder(tmp_path):
        with pytest.raises(TimeoutError), _journal.lock_folder(tmp_path):
            pass
        assert len(pauses) == 4


@pytest.mark.parametrize("text", [None, "", "soon"])
def test_text_that_is_no_number_counts_as_zero(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "number").write_text(text)
    assert _journal.read_number(tmp_path / "number") == 0.0
