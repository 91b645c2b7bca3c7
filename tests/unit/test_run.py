# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the workers of a run share, with real processes, since workers are processes."""

from __future__ import annotations

import multiprocessing
import os
import signal
import stat
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.herdops.alpacon.plugins.module_utils import _run
from ansible_collections.herdops.alpacon.plugins.module_utils._run import Ids, Pause, Shared, SharedPause

# The processes are forked from one that has threads, as those of Ansible are; what they do needs none of them.
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")

URL = "https://workspace.example"
TOKEN = "alpat-0123456789abcdef"
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


def numbered(*parts: int) -> str:
    """An id that says who made it."""
    return "-".join(f"{part:04d}" for part in parts)


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


# Ids


@pytest.fixture
def ids(tmp_path: Path) -> Ids:
    """A file of ids that does not exist yet, in a folder that does not either."""
    return Ids(tmp_path / "alpacon/run.ids")


def test_ids_are_added_read_and_struck_out(ids: Ids) -> None:
    assert ids.read() == set()
    for command_id in ("a", "b", "c"):
        ids.add(command_id)
    assert ids.read() == {"a", "b", "c"}
    assert ids.file.read_text() == "a\nb\nc\n"
    ids.remove(["a", "c", "never seen"])
    assert ids.file.read_text() == "b\n"


def test_the_file_is_gone_when_no_id_is_left(ids: Ids) -> None:
    ids.add("a")
    ids.remove(["a"])
    assert list(ids.file.parent.iterdir()) == []
    ids.remove(["a"])
    assert ids.read() == set()


def test_every_id_that_processes_add_at_once_is_there_once(ids: Ids) -> None:
    def work(number: int) -> None:
        for step in range(25):
            ids.add(numbered(number, step))

    at_once(8, work)
    assert sorted(ids.file.read_text().splitlines()) == sorted(
        numbered(number, step) for number in range(8) for step in range(25)
    )


def test_ids_that_are_added_while_others_are_struck_out_stay(ids: Ids) -> None:
    def work(number: int) -> bool:
        mine = [numbered(number, step) for step in range(30)]
        for command_id in mine:
            ids.add(command_id)
            if command_id.endswith(("0", "5")):
                ids.remove([command_id])
        return set(mine) - ids.read() == {one for one in mine if one.endswith(("0", "5"))}

    assert all(at_once(8, work))
    assert len(ids.file.read_text().splitlines()) == 8 * 24


def test_the_last_of_several_processes_takes_the_file_away(ids: Ids) -> None:
    def work(number: int) -> None:
        for step in range(20):
            ids.add(numbered(number, step))
            ids.remove([numbered(number, step)])

    at_once(8, work)
    assert list(ids.file.parent.iterdir()) == []


def test_threads_of_a_process_write_together_as_well(ids: Ids) -> None:
    def work(number: int) -> None:
        for step in range(20):
            ids.add(numbered(number, step))
            if step % 2:
                ids.remove([numbered(number, step)])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ids.file.read_text().splitlines()) == 8 * 10


def test_a_process_that_dies_while_it_writes_holds_nobody_up(ids: Ids) -> None:
    ids.add("a")

    def work(stay: Callable[[], None]) -> None:
        with _run._locked(ids.file.parent):
            stay()

    with elsewhere(work) as pid:
        kill(pid)
        ids.add("b")
    assert ids.read() == {"a", "b"}


@pytest.mark.parametrize("place", ["file/run.ids", "folder", "full"])
def test_a_file_that_cannot_be_written_stops_nothing(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("in the way")
    (tmp_path / "folder").mkdir()
    (tmp_path / "full").symlink_to("/dev/full")
    ids = Ids(tmp_path / place)
    ids.add("a")
    if place != "full":  # which never ends when it is read
        assert ids.read() == set()
        ids.remove(["a"])
    assert (tmp_path / "file").read_text() == "in the way"


def test_only_the_user_may_read_the_folder_of_ids(ids: Ids) -> None:
    ids.add("a")
    assert mode(ids.file.parent) == 0o700


# Pauses


@pytest.fixture(params=["of a process", "of a run"])
def pause(request: pytest.FixtureRequest, tmp_path: Path) -> Pause:
    """A pause of either kind that nobody has asked for yet."""
    return Pause() if request.param == "of a process" else SharedPause(tmp_path / "paused_until")


def test_nobody_waits_until_somebody_must(pause: Pause) -> None:
    assert pause.until() == 0


def test_the_longest_pause_counts(pause: Pause) -> None:
    for until in (5.0, 9.0, 7.0):
        pause.hold(until)
    assert pause.until() == 9.0


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


def test_threads_of_a_process_may_pause_at_once(tmp_path: Path) -> None:
    pause = SharedPause(tmp_path / "paused_until")
    failures: list[Exception] = []

    def work(number: int) -> None:
        try:
            for step in range(50):
                pause.hold(10.0 * step + number)
        except OSError as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert SharedPause(tmp_path / "paused_until").until() == 497.0


@pytest.mark.parametrize("place", ["file/paused_until", "gone/paused_until", "folder"])
def test_a_pause_that_cannot_be_shared_holds_for_the_process(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("in the way")
    (tmp_path / "folder").mkdir()
    pause = SharedPause(tmp_path / place)
    pause.hold(9.0)
    assert pause.until() == 9.0


# Locks


def test_one_worker_holds_a_lock(shared: Shared) -> None:
    with shared.lock("poll") as mine, shared.lock("poll") as twice, shared.lock("servers") as other:
        assert (mine, twice, other) == (True, False, True)
    with shared.lock("poll") as again:
        assert again


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


def test_a_row_is_taken_once(shared: Shared) -> None:
    shared.expect("a")
    assert shared.take("a") is None
    shared.offer("a", {"id": "a", "result": "grüße \U0001f411\n"})
    assert shared.expected() == set()
    assert shared.take("a") == {"id": "a", "result": "grüße \U0001f411\n"}
    assert shared.take("a") is None


def test_that_a_command_is_not_in_the_list_is_an_answer_too(shared: Shared) -> None:
    shared.expect("a")
    shared.offer("a", {})
    assert shared.take("a") == {}


def test_workers_get_what_another_one_finds(shared: Shared) -> None:
    def work(number: int) -> Any:
        own = Shared(shared._folder.parent, URL, TOKEN)
        own.expect(numbered(number))
        everybody.wait(PATIENCE)
        if number == 0:
            for command_id in own.expected():
                own.offer(command_id, {"id": command_id})
        everybody.wait(PATIENCE)
        return own.take(numbered(number))

    everybody = FORK.Barrier(6)
    assert at_once(6, work) == [{"id": numbered(number)} for number in range(6)]
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


def test_what_nobody_awaits_any_more_leaves_nothing(shared: Shared) -> None:
    shared.expect("a")
    shared.expect("b")
    shared.offer("b", {"id": "b"})
    for command_id in ("a", "b", "never-expected"):
        shared.forget(command_id)
    assert shared.expected() == set()
    assert shared.take("b") is None
    assert files(shared._folder) == []


def test_the_latest_poll_is_known_to_all(shared: Shared) -> None:
    assert shared.polled_at() == 0
    began = time.monotonic()
    shared.note_poll(began)
    assert at_once(2, lambda _number: shared.polled_at()) == [began] * 2


# Servers

SERVERS = [("7a50ea6c", "web-01"), ("a7282bea", "web-02")]


class Workspace:
    """Stands for the requests that read the list of servers: counts them over all processes."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "reads"

    def read(self) -> Iterator[tuple[str, str]]:
        """The list, after a while."""
        with self.file.open("a") as file:
            file.write("read\n")
        time.sleep(0.1)
        yield from SERVERS

    @property
    def reads(self) -> int:
        """How often it was read."""
        return len(self.file.read_text().splitlines())


@pytest.fixture
def names(tmp_path: Path) -> Workspace:
    """Where names are read."""
    return Workspace(tmp_path)


def test_names_are_read_once_for_many_workers(shared: Shared, names: Workspace) -> None:
    assert at_once(12, lambda _number: shared.servers(names.read)) == [SERVERS] * 12
    assert shared.servers(names.read) == SERVERS
    assert names.reads == 1


def test_names_that_another_worker_reads_meanwhile_are_not_read_again(
    shared: Shared, names: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def late(name: str) -> Any:
        Shared(shared._folder.parent, URL, TOKEN).servers(names.read)
        return Shared.lock(shared, name)

    monkeypatch.setattr(shared, "lock", late)
    assert shared.servers(names.read) == SERVERS
    assert names.reads == 1


def test_names_that_are_too_old_are_read_again(
    shared: Shared, names: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared.servers(names.read)
    monkeypatch.setattr(_run, "_NAMES_LAST", 0.0)
    shared.servers(names.read)
    assert names.reads == 2


def test_who_is_killed_while_reading_names_holds_nobody_up(shared: Shared, names: Workspace) -> None:
    def work(stay: Callable[[], None]) -> None:
        def read() -> Iterator[tuple[str, str]]:
            yield SERVERS[0]
            stay()

        shared.servers(read)

    with elsewhere(work) as pid:
        kill(pid)
        assert at_once(3, lambda _number: shared.servers(names.read)) == [SERVERS] * 3
    assert names.reads == 1


def test_who_cannot_read_names_leaves_it_to_the_next(shared: Shared, names: Workspace) -> None:
    def read() -> Iterator[tuple[str, str]]:
        yield SERVERS[0]
        raise ConnectionError

    with pytest.raises(ConnectionError):
        shared.servers(read)
    assert shared.servers(names.read) == SERVERS


def test_who_waits_for_names_too_long_reads_them_itself(
    shared: Shared, names: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_run, "_NAMES_PATIENCE", 0.1)

    def work(stay: Callable[[], None]) -> None:
        with shared.lock("servers"):
            stay()

    with elsewhere(work):
        assert shared.servers(names.read) == SERVERS


# Who shares


def filled(folder: Path, url: str = URL, token: str = TOKEN) -> Shared:
    """A shared folder in which everything is used."""
    shared = Shared(folder, url, token)
    shared.pause.hold(9.0)
    shared.note_poll(7.0)
    shared.servers(lambda: SERVERS)
    with shared.lock("poll"):
        shared.expect("a")
        shared.expect("b")
        shared.offer("b", {"id": "b", "line": "uptime"})
    return shared


@pytest.mark.parametrize(
    ("url", "token"), [(URL, "alpat-another"), ("https://other.example", TOKEN), (f"{URL}/a", TOKEN)]
)
def test_workspaces_and_tokens_never_mix(tmp_path: Path, url: str, token: str) -> None:
    filled(tmp_path)
    other = Shared(tmp_path, url, token)
    assert (other.pause.until(), other.polled_at(), other.expected(), other.take("b")) == (0, 0, set(), None)
    assert other.servers(list) == []
    with Shared(tmp_path, URL, TOKEN).lock("poll"), other.lock("poll") as mine:
        assert mine
    assert len(list(tmp_path.iterdir())) == 2


def test_the_token_is_in_no_name_and_no_file(tmp_path: Path) -> None:
    filled(tmp_path)
    Ids(tmp_path / "alpacon/run.ids").add("a")
    found = list(tmp_path.rglob("*"))
    assert len(files(tmp_path)) >= 7
    for path in found:
        assert TOKEN not in str(path)
        assert not path.is_file() or TOKEN.encode() not in path.read_bytes()


def test_only_the_user_may_look_into_the_folders(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        filled(tmp_path)
    finally:
        os.umask(before)
    folders = [path for path in tmp_path.rglob("*") if path.is_dir()]
    assert {path: mode(path) for path in folders} == dict.fromkeys(folders, 0o700)
