# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the workers of a run share, with real processes, since workers are processes."""

from __future__ import annotations

import hashlib
import os
import stat
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.herdops.alpacon.plugins.module_utils._api.client import OutageState, RateLimitPause
from ansible_collections.herdops.alpacon.plugins.module_utils._api.settings import Settings
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet import journal as _journal
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.journal import Journal
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.run import HostLocks, Run
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.sharing import (
    NOT_LISTED,
    Shared,
    SharedOutage,
    SharedPause,
)
from ansible_collections.herdops.alpacon.tests.unit.shared_state import (
    LINE,
    SERVERS,
    URL,
    find_server_ids,
    read_journal_ids,
    submit,
    uuid,
)
from ansible_collections.herdops.alpacon.tests.unit.support import COMMAND, SERVER, TOKEN


def files(folder: Path) -> list[Path]:
    """All files below a folder."""
    return [path for path in folder.rglob("*") if path.is_file()]


def mode(path: Path) -> int:
    """The permissions of a file or folder."""
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def shared(tmp_path: Path) -> Shared:
    """What the workers of a run share, still empty."""
    return Shared(tmp_path, URL, TOKEN)


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
    assert warning.endswith("cannot be written: an interrupted run leaves no ids behind. no space left")


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


# What the run has submitted


# Whether anything is shared at all


def test_a_run_that_has_no_folder_to_write_to_shares_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    settings = Settings(URL, TOKEN)
    assert Run().shared(settings) is None
    assert Run(folder=tmp_path / "file").shared(settings) is None
    assert Run(folder=tmp_path).shared(settings) is not None


# HostLocks


def host_locks(folder: Path, host: str, task: str = "task") -> HostLocks:
    """Return the locks of one host of a task."""
    return HostLocks(folder, task, host)


@pytest.mark.parametrize(
    ("task", "server", "digest"), [("other", "a", "x"), ("task", "b", "x"), ("task", "a", "y")], ids=str
)
def test_another_task_server_or_command_is_free(tmp_path: Path, task: str, server: str, digest: str) -> None:
    assert host_locks(tmp_path, "first").acquire([("a", "x")]) is None
    assert host_locks(tmp_path, "second", task).acquire([(server, digest)]) is None
    assert host_locks(tmp_path, "second").acquire([("a", "x")]) == ("a", "first")


def test_a_host_keeps_what_it_has_claimed(tmp_path: Path) -> None:
    assert host_locks(tmp_path, "first").acquire([("a", "x")]) is None
    assert host_locks(tmp_path, "first").acquire([("a", "x"), ("b", "x")]) is None
    assert host_locks(tmp_path, "second").acquire([("b", "x")]) == ("b", "first")


# Pauses


@pytest.fixture(params=["of a process", "of a run"])
def pause(request: pytest.FixtureRequest, tmp_path: Path) -> RateLimitPause:
    """A pause of either kind that nobody has asked for yet."""
    return RateLimitPause() if request.param == "of a process" else SharedPause(tmp_path / "paused_until")


def test_the_longest_pause_counts(pause: RateLimitPause) -> None:
    assert pause.until() == 0
    for until in (5.0, 9.0, 7.0):
        pause.hold(until)
    assert pause.until() == 9.0


def test_a_pause_that_cannot_be_shared_holds_for_the_process(tmp_path: Path) -> None:
    pause = SharedPause(tmp_path / "gone/paused_until")
    pause.hold(9.0)
    assert pause.until() == 9.0


# Outages


def test_workers_share_an_outage_and_one_of_them_probes(tmp_path: Path) -> None:
    one, other = SharedOutage(tmp_path), SharedOutage(tmp_path)
    one.accept()
    one.record_failure(100.0, 0.5)
    assert (other.accepted, other.read_state()) == (True, OutageState(100.0, 100.5, 0.5))
    assert [outage.acquire_probe(100.6) for outage in (other, one)] == [True, False]
    assert [outage.is_first_notice() for outage in (one, other)] == [True, False]
    other.clear()
    assert one.read_state() is None


def test_an_outage_that_cannot_be_shared_holds_for_the_process(tmp_path: Path) -> None:
    outage = SharedOutage(tmp_path / "gone")
    outage.record_failure(100.0, 0.5)
    assert [outage.acquire_probe(now) for now in (100.4, 100.6, 100.7)] == [False, True, False]
    outage.clear()
    assert outage.read_state() is None


# Locks


def test_one_worker_holds_a_lock(shared: Shared) -> None:
    with shared.try_lock("poll") as mine, shared.try_lock("poll") as twice, shared.try_lock("servers") as other:
        assert (mine, twice, other) == (True, False, True)
    with shared.try_lock("poll") as again:
        assert again


# Rows


def test_a_row_is_taken_once(shared: Shared) -> None:
    shared.add_awaited("a")
    assert shared.pop_row("a") is None
    shared.write_row("a", {"id": "a", "result": "grüße \U0001f411\n"})
    assert shared.awaited_ids() == set()
    assert shared.pop_row("a") == {"id": "a", "result": "grüße \U0001f411\n"}
    assert shared.pop_row("a") is None
    # That the list does not have it is an answer too.
    shared.write_row("a", NOT_LISTED)
    assert shared.pop_row("a") == NOT_LISTED


def test_what_nobody_awaits_any_more_leaves_nothing(shared: Shared) -> None:
    shared.add_awaited("a")
    shared.add_awaited("b")
    shared.write_row("b", {"id": "b"})
    for command_id in ("a", "b", "never-expected"):
        shared.remove_awaited(command_id)
    assert shared.awaited_ids() == set()
    assert shared.pop_row("b") is None
    assert files(shared._folder) == []


# Servers


# Who shares


def filled(folder: Path, url: str = URL, token: str = TOKEN) -> Shared:
    """A shared folder in which everything is used."""
    shared = Shared(folder, url, token)
    shared.pause.hold(9.0)
    shared.write_poll(7.0, 0.15)
    find_server_ids(shared, lambda: SERVERS)
    with shared.try_lock("poll"):
        shared.add_awaited("a")
        shared.add_awaited("b")
        shared.write_row("b", {"id": "b", "line": "uptime"})
    return shared


@pytest.mark.parametrize(
    ("url", "token"), [(URL, "alpat-another"), ("https://other.example", TOKEN), (f"{URL}/a", TOKEN)]
)
def test_workspaces_and_tokens_never_mix(tmp_path: Path, url: str, token: str) -> None:
    filled(tmp_path)
    other = Shared(tmp_path, url, token)
    assert (other.pause.until(), other.polled_at(), other.awaited_ids(), other.pop_row("b")) == (0, 0, set(), None)
    assert find_server_ids(other, list) == {}
    with Shared(tmp_path, URL, TOKEN).try_lock("poll"), other.try_lock("poll") as mine:
        assert mine
    assert len(list(tmp_path.iterdir())) == 2


def test_the_token_is_in_no_name_and_no_file(tmp_path: Path) -> None:
    filled(tmp_path)
    submit(Journal(tmp_path / "alpacon/run.ids", pytest.fail), COMMAND)
    found = list(tmp_path.rglob("*"))
    assert len(files(tmp_path)) >= 7
    for path in found:
        assert TOKEN not in str(path)
        assert not path.is_file() or TOKEN.encode() not in path.read_bytes()


def test_only_the_user_may_look_into_the_folders(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        filled(tmp_path)
        host_locks(tmp_path, "first").acquire([("a", "x")])
    finally:
        os.umask(before)
    folders = [path for path in tmp_path.rglob("*") if path.is_dir()]
    assert {path: mode(path) for path in folders} == dict.fromkeys(folders, 0o700)
