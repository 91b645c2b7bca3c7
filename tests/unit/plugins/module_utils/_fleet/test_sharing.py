# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pauses, outages, rows and names that the workers of a run share."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.herdops.alpacon.plugins.module_utils._api.client import RateLimitPause
from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import AlpaconError
from ansible_collections.herdops.alpacon.plugins.module_utils._api.lists import Page
from ansible_collections.herdops.alpacon.plugins.module_utils._api.outage import OutageState
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet import sharing
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.journal import Journal
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.run import HostLocks
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.sharing import (
    NOT_LISTED,
    SharedOutage,
    SharedPause,
    SharedServers,
    SharedState,
)
from ansible_collections.herdops.alpacon.tests.unit.shared_state import URL, submit
from ansible_collections.herdops.alpacon.tests.unit.support import COMMAND, SERVER, TOKEN


def files(folder: Path) -> list[Path]:
    """Return all files below a folder."""
    return [path for path in folder.rglob("*") if path.is_file()]


def mode(path: Path) -> int:
    """Return the permissions of a file or folder."""
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def shared(tmp_path: Path) -> SharedState:
    """Return an empty shared state."""
    return SharedState(tmp_path, URL, TOKEN)


# Servers


@pytest.mark.parametrize(("workers", "total", "found"), [(2, 200, ["web-01"]), (2, 201, [])])
def test_one_worker_reads_the_servers_of_all_unless_the_list_is_longer(
    shared: SharedState, workers: int, total: int, found: list[str]
) -> None:
    reads = []

    def read_pages(path: str, *_arguments: object, **_options: object) -> Iterator[Page]:
        reads.append(path)
        yield Page([{"id": SERVER, "name": "web-01", "version": "2.5.0", "notes": "x"}], total)

    def find(reference: str, valid: float) -> list[str | None]:
        servers, began = SharedServers(shared).find(reference, client, workers, lambda pages: pages * valid)
        assert not found or before <= began <= time.monotonic()
        return [server.name for server in servers]

    client: Any = SimpleNamespace(pages=read_pages)
    before = time.monotonic()
    assert [find(reference, 60.0) for reference in (SERVER, "web-01")] == [found, found]
    # One read is for the length of the list.
    assert len(reads) == 1 + len(found)
    # Only what workers need is written.
    assert not any("notes" in path.read_text() for path in files(shared.folder))
    find(SERVER, 0.0)
    assert len(reads) == 1 + 2 * len(found)


# Pauses


@pytest.fixture(params=["of a process", "of a run"])
def pause(request: pytest.FixtureRequest, tmp_path: Path) -> RateLimitPause:
    """Return a pause that has not begun."""
    return RateLimitPause() if request.param == "of a process" else SharedPause(tmp_path / "paused_until")


def test_the_latest_end_of_a_pause_counts(pause: RateLimitPause) -> None:
    assert pause.get_end() == 0
    for until in (5.0, 9.0, 7.0):
        pause.extend(until)
    assert pause.get_end() == 9.0


def test_a_pause_that_cannot_be_written_is_of_this_process(tmp_path: Path) -> None:
    pause = SharedPause(tmp_path / "gone/paused_until")
    pause.extend(9.0)
    assert pause.get_end() == 9.0


# Outages


def test_workers_share_an_outage_and_one_of_them_probes(tmp_path: Path) -> None:
    one, other = SharedOutage(tmp_path), SharedOutage(tmp_path)
    one.accept()
    one.record_failure(100.0, 0.5, AlpaconError("away"))
    assert (other.accepted, other.read_state()) == (True, OutageState(100.0, 100.5, 0.5))
    assert [outage.acquire_probe(100.6) for outage in (other, one)] == [True, False]
    assert [outage.is_first_notice() for outage in (one, other)] == [True, False]
    other.clear()
    assert one.read_state() is None


def test_an_outage_that_cannot_be_written_is_of_this_process(tmp_path: Path) -> None:
    outage = SharedOutage(tmp_path / "gone")
    outage.record_failure(100.0, 0.5, AlpaconError("away"))
    assert [outage.acquire_probe(now) for now in (100.4, 100.6, 100.7)] == [False, True, False]
    outage.clear()
    assert outage.read_state() is None


@pytest.mark.parametrize("content", [b"", b"100.0 x 0.5", b"100.0 100.5", b"\xff", None])
def test_an_unreadable_outage_is_over(tmp_path: Path, content: bytes | None) -> None:
    outage, file = SharedOutage(tmp_path), tmp_path / "outage"
    if content is None:
        file.mkdir()
    else:
        file.write_bytes(content)
    assert outage.read_state() is None


# Locks


def test_only_one_worker_gets_a_lock(shared: SharedState) -> None:
    with shared.try_lock("poll") as mine, shared.try_lock("poll") as twice, shared.try_lock("servers") as other:
        assert (mine, twice, other) == (True, False, True)
    with shared.try_lock("poll") as again:
        assert again


# Rows


def test_a_row_is_removed_when_it_is_read(shared: SharedState) -> None:
    shared.add_awaited("a")
    assert shared.pop_row("a") is None
    shared.write_row("a", {"id": "a", "result": "grüße \U0001f411\n"})
    assert shared.awaited_ids() == set()
    assert shared.pop_row("a") == {"id": "a", "result": "grüße \U0001f411\n"}
    assert shared.pop_row("a") is None
    # A marker for a missing row is read like a row.
    shared.write_row("a", NOT_LISTED)
    assert shared.pop_row("a") == NOT_LISTED


def test_commands_that_are_no_longer_awaited_leave_no_files(shared: SharedState) -> None:
    shared.add_awaited("a")
    shared.add_awaited("b")
    shared.write_row("b", {"id": "b"})
    for command_id in ("a", "b", "never-expected"):
        shared.remove_awaited(command_id)
    assert shared.awaited_ids() == set()
    assert shared.pop_row("b") is None
    assert files(shared.folder) == []


# Privacy


def filled(folder: Path, url: str = URL, token: str = TOKEN) -> SharedState:
    """Return a shared state with a value of each kind."""
    shared = SharedState(folder, url, token)
    shared.pause.extend(9.0)
    shared.write_poll(7.0, 0.15)
    shared.find_once("servers", lambda: {"web-01": [SERVER]})
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
    other = SharedState(tmp_path, url, token)
    assert (other.pause.get_end(), other.read_poll(), other.awaited_ids()) == (0, (0, 0), set())
    assert (other.pop_row("b"), other.find_once("servers", dict)) == (None, {})
    with SharedState(tmp_path, URL, TOKEN).try_lock("poll"), other.try_lock("poll") as mine:
        assert mine
    assert len(list(tmp_path.iterdir())) == 2


def test_the_token_is_in_no_path_and_no_file(tmp_path: Path) -> None:
    filled(tmp_path)
    submit(Journal(tmp_path / "alpacon/run.ids", pytest.fail), COMMAND)
    found = list(tmp_path.rglob("*"))
    assert len(files(tmp_path)) >= 6
    for path in found:
        assert TOKEN not in str(path)
        assert not path.is_file() or TOKEN.encode() not in path.read_bytes()


def test_only_the_user_can_open_the_folders(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        filled(tmp_path)
        HostLocks(tmp_path, "task", "first").acquire([("a", "x")])
    finally:
        os.umask(before)
    folders = [path for path in tmp_path.rglob("*") if path.is_dir()]
    assert {path: mode(path) for path in folders} == dict.fromkeys(folders, 0o700)


def test_a_found_value_is_valid_for_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(sharing, "time", SimpleNamespace(monotonic=lambda: clock.now))
    reads: list[float] = []

    def find() -> dict[str, list[str]]:
        reads.append(clock.now)
        return {"web-01": [SERVER]}

    for clock.now in (1000.0, 1059.9, 1060.0, 1100.0, 2125.0):
        assert SharedState(tmp_path, URL, TOKEN).find_once("servers", find, 60.0) == {"web-01": [SERVER]}
    assert reads == [1000.0, 1060.0, 2125.0]


def test_find_once_waits_a_minute_for_another_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(now=1000.0)

    def sleep(seconds: float) -> None:
        clock.now += seconds

    monkeypatch.setattr(sharing, "time", SimpleNamespace(monotonic=lambda: clock.now, sleep=sleep))
    reader, waiter = (SharedState(tmp_path, URL, TOKEN) for _worker in range(2))
    with reader.try_lock("servers"):
        assert waiter.find_once("servers", lambda: pytest.fail("another worker finds it")) is None
    assert clock.now == pytest.approx(1060, abs=0.1)


def test_only_one_worker_calls_find(tmp_path: Path) -> None:
    workers = [SharedState(tmp_path, URL, TOKEN) for _worker in range(3)]
    found: list[bool] = []

    def find() -> bool:
        time.sleep(0.1)
        found.append(True)
        return True

    with ThreadPoolExecutor() as threads:
        assert list(threads.map(lambda worker: worker.find_once("supports_env", find), workers)) == [True] * 3
    assert found == [True]


def test_a_value_that_is_found_slowly_is_new_for_all_who_waited_for_it(tmp_path: Path) -> None:
    workers = [SharedState(tmp_path, URL, TOKEN) for _worker in range(3)]
    found: list[bool] = []

    def find() -> bool:
        time.sleep(0.3)
        found.append(True)
        return True

    with ThreadPoolExecutor() as threads:
        assert list(threads.map(lambda worker: worker.find_once("states", find, 0.2), workers)) == [True] * 3
    assert found == [True]


def test_is_awaited_for_needs_an_awaited_command_and_enough_time(tmp_path: Path) -> None:
    worker = SharedState(tmp_path, URL, TOKEN)
    worker.add_awaited(COMMAND)
    assert [worker.is_awaited_for(command_id, 0.0) for command_id in (COMMAND, SERVER)] == [True, False]
    assert not worker.is_awaited_for(COMMAND, 60.0)
