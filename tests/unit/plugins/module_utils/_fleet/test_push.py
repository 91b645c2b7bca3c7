# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The start of the listener, the pauses of polls beside it, and the events that it reads."""

from __future__ import annotations

import fcntl
import io
import json
import math
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.herdops.alpacon.plugins.module_utils._api.client import Client
from ansible_collections.herdops.alpacon.plugins.module_utils._api.records import Command, Server
from ansible_collections.herdops.alpacon.plugins.module_utils._api.settings import Settings
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet import listener
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.jobs import Job, Limits
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.listener import (
    LimitedSocket,
    Listener,
    NoEvents,
    get_socket_url,
)
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.pacing import PACING
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.poll_timer import PollTimer
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.poller import Poller
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.push import MAX_SERVERS, Push, PushFiles, give_up
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.run import Run, RunContext
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.sharing import SharedState
from ansible_collections.herdops.alpacon.tests.unit.support import TOKEN, current_row

SETTINGS = Settings("https://ws.example", TOKEN)


def make_job(number: int = 1) -> Job:
    server = f"00000000-0000-4000-8000-{number:012}"
    return Job(Server(server), command=Command.from_row(current_row(id=server)), awaited_since=time.monotonic())


class Runs:
    """Records the programs that are started, and the messages."""

    def __init__(self) -> None:
        self.arguments: list[Any] = []
        self.environs: list[dict[str, str]] = []
        self.inputs: list[bytes] = []
        self.messages: list[str] = []

    def start(self, arguments: list[str], **options: Any) -> SimpleNamespace:
        self.arguments.append(arguments)
        self.environs.append(options["env"])
        return SimpleNamespace(stdin=SimpleNamespace(write=self.inputs.append, close=lambda: None))


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> Runs:
    found = Runs()
    monkeypatch.setattr("subprocess.Popen", found.start)
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: True)
    monkeypatch.setenv("ALPACON_TOKEN", TOKEN)
    return found


@pytest.fixture
def files(tmp_path: Path) -> PushFiles:
    made = PushFiles(tmp_path / "push")
    made.create()
    return made


@pytest.fixture
def tested(tmp_path: Path, runs: Runs) -> Push:
    first = iter([True])
    context = RunContext(process=1, report_details=runs.messages.append, is_first=lambda _key: next(first, False))
    return Push(tmp_path, SETTINGS, context)


@pytest.fixture
def _running(files: PushFiles) -> Iterator[None]:
    """Hold the lock of a listener that has started long ago."""
    with files.lock.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


# Start


@pytest.mark.parametrize(("servers", "polls"), [(1, 2), (3, 4), (MAX_SERVERS, MAX_SERVERS + 1)])
def test_the_listener_starts_once_after_as_many_useless_polls_as_it_costs(
    tested: Push, runs: Runs, servers: int, polls: int
) -> None:
    jobs = [make_job(number) for number in range(servers)]
    for _poll in range(polls - 1):
        tested.add_useless(jobs, 1)
    assert runs.arguments == []
    for _poll in range(2):
        tested.add_useless(jobs, 1)
    assert len(runs.arguments) == 1
    assert TOKEN not in str(runs.arguments) + str(runs.environs)
    assert json.loads(runs.inputs[0])["settings"]["token"] == TOKEN


def test_no_listener_starts_if_a_run_awaits_many_servers(tested: Push, runs: Runs) -> None:
    for number in range(MAX_SERVERS + 1):
        tested.add_useless([make_job(number)], 0 if number < MAX_SERVERS else 50)
    assert runs.arguments == []


def test_no_listener_starts_without_the_library(tested: Push, runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    for _poll in range(4):
        tested.add_useless([make_job()], 1)
    assert runs.arguments == []
    assert runs.messages == [
        "alpacon: commands are polled, because the Python library websocket-client is not installed."
    ]


# Pauses


def poll(push: Push) -> None:
    push.begin_poll()
    push.end_poll()


@pytest.mark.usefixtures("_running")
def test_polls_are_rare_while_the_listener_awaits_the_command(tested: Push, files: PushFiles) -> None:
    job = make_job()
    assert 1 < tested.get_pause(job, 0.5) <= 2, "it has just started"
    (files.listening / str(job.server.id)).touch()
    assert tested.get_pause(job, 0.5) == 0.5, "the command may have ended before the subscription"
    time.sleep(0.05)
    poll(tested)
    assert tested.get_pause(job, 0.5) == 30
    assert not tested.wait([job], 0.05, time.sleep)
    files.get_ended(job.submitted.id).touch()
    assert tested.wait([job], 90, time.sleep)
    assert tested.get_pause(job, 8) <= 0.5, "reads may lag behind"


@pytest.mark.usefixtures("_running")
def test_a_command_is_polled_at_once_if_the_listener_has_died(tested: Push, files: PushFiles) -> None:
    job = make_job()
    (files.listening / str(job.server.id)).touch()
    time.sleep(0.05)
    poll(tested)
    assert tested.get_pause(job, 0.5) == 30
    files.lock.unlink()
    files.lock.touch()
    assert tested.wait([job], 90, time.sleep)
    assert tested.get_pause(job, 0.5) == 0.5


@pytest.mark.usefixtures("_running")
def test_polls_of_several_commands_rely_only_on_servers_that_are_subscribed_to(tested: Push, files: PushFiles) -> None:
    jobs = [make_job(2), make_job(1)]
    (files.listening / str(jobs[1].server.id)).touch()
    time.sleep(0.05)
    poll(tested)
    assert [tested.get_pause(job, 5) for job in jobs] == [5, 30]
    assert not tested.wait(jobs, 0.05, time.sleep), "nothing has changed since the poll"
    (files.listening / str(jobs[1].server.id)).unlink()
    assert tested.wait(jobs, 90, time.sleep), "the websocket is lost"
    assert not tested.wait(jobs, 0.05, time.sleep)


@pytest.mark.usefixtures("_running")
def test_a_websocket_that_was_lost_between_two_checks_causes_a_poll(tested: Push, files: PushFiles) -> None:
    job = make_job()
    listening = files.listening / str(job.server.id)
    listening.touch()
    time.sleep(0.05)
    poll(tested)
    assert tested.get_pause(job, 0.5) == 30
    listening.unlink()
    listening.touch()
    assert tested.wait([job], 60, time.sleep)


@pytest.mark.usefixtures("_running")
def test_a_websocket_that_was_opened_again_after_the_poll_causes_one_poll(tested: Push, files: PushFiles) -> None:
    job = make_job()
    poll(tested)
    (files.listening / str(job.server.id)).touch()
    assert tested.wait([job], 60, time.sleep)
    poll(tested)
    assert tested.get_pause(job, 0.5) == 30
    assert not tested.wait([job], 0.05, time.sleep)


class Single(Client):
    """Every command is running, and is read by its ID."""

    def get(self, path: str, params: Mapping[str, Any] | None = None, patient: bool = True) -> Any:
        self._sent.add()
        return current_row(id=path.rstrip("/").rpartition("/")[2], status="running")


@pytest.mark.usefixtures("_running")
def test_the_listener_is_relied_on_only_after_a_poll_by_this_worker(
    tested: Push, files: PushFiles, tmp_path: Path
) -> None:
    job = make_job()
    shared = SharedState(tmp_path, SETTINGS.url, TOKEN)
    poller = Poller(shared, Limits(), PACING)

    def poll_as_worker(client: Client) -> float:
        """Poll, and return the pause until the next poll."""
        timer.begin([job], client, False)
        poller.poll([job], client, map)
        timer.end([job], False)
        timer.set_next([job], False, 0, False, False)
        return timer.get_next(False) - timer.ended

    with Single(SETTINGS) as client:
        timer = PollTimer(client, Limits(), PACING, poller, tested, Run(), time.sleep)
        shared.add_awaited(job.submitted.id)
        (files.listening / str(job.server.id)).touch()
        # Another worker has polled, but possibly before the subscription.
        shared.write_poll(time.monotonic(), 60)
        assert poll_as_worker(client.until()) <= PACING.longest
        assert client.requests == 0
        shared.write_poll(0.0, 0.0)
        job.listed = False
        assert poll_as_worker(client.until()) == 30
        assert client.requests == 1
        job.listed = True
        shared.write_poll(time.monotonic(), 60)
        assert poll_as_worker(client.until()) == 30, "events are not missed since its own poll"
        assert client.requests == 1


@pytest.mark.usefixtures("_running")
@pytest.mark.parametrize(("pushed", "given_up"), [((), True), ((0, 1, 2), False), ((1,), False)])
def test_a_listener_that_misses_two_commands_in_a_row_is_given_up(
    tested: Push, files: PushFiles, pushed: tuple[int, ...], given_up: bool
) -> None:
    (files.listening / str(make_job().server.id)).touch()
    time.sleep(0.05)
    poll(tested)
    for number in range(2 if given_up else 3):
        job = make_job()
        assert tested.get_pause(job, 0.5) == 30
        if number in pushed:
            files.get_ended(job.submitted.id).touch()
            tested.wait([job], 60, time.sleep)
            files.get_ended(job.submitted.id).unlink()
        tested.begin_poll()
        job.command = Command.from_row(current_row(id=job.id, status="success", exit_code=0))
        tested.end_poll()
    assert tested.get_pause(make_job(), 0.5) == (0.5 if given_up else 30)
    assert files.given_up.exists() == given_up


@pytest.mark.usefixtures("_running")
def test_the_clock_may_be_set_back(tested: Push, files: PushFiles) -> None:
    os.utime(files.lock, (time.time() + 3600,) * 2)
    assert tested.get_pause(make_job(), 0.5) == 2


@pytest.mark.usefixtures("_running")
def test_a_command_is_quiet_until_the_listener_hears_of_a_chunk(tested: Push, files: PushFiles) -> None:
    job = make_job()
    assert not tested.is_quiet(job, 1, time.monotonic()), "there is no subscription"
    (files.following / job.submitted.id).touch()
    assert not tested.is_quiet(job, 1, time.monotonic() - 5), "the last read was before the subscription"
    time.sleep(0.05)
    began = time.monotonic()
    assert tested.is_quiet(job, 1, began)
    (files.printed / job.submitted.id).write_text("1")
    assert tested.is_quiet(job, 1, began)
    (files.printed / job.submitted.id).write_text("2")
    assert not tested.is_quiet(job, 1, began)


# Events


@pytest.mark.parametrize(
    ("url", "stated", "expected"),
    [
        ("https://ws.example", "wss://ws.example/ws/a-_b/", "wss://ws.example/ws/a-_b/"),
        ("https://ws.example", "wss://WS.example:443/ws/?t=1", "wss://ws.example/ws/?t=1"),
        ("https://ws.example", "wss://other.example\\@ws.example/", "wss://ws.example/"),
        ("http://127.0.0.1:81/x", "ws://127.0.0.1:81/ws/", "ws://127.0.0.1:81/ws/"),
    ],
)
def test_the_websocket_is_that_of_the_workspace(url: str, stated: str, expected: str) -> None:
    assert get_socket_url(url, {"websocket_url": stated}) == expected


@pytest.mark.parametrize(
    "stated",
    [
        *("ws://ws.example/ws/", "https://ws.example/ws/", "wss://ws.example:444/ws/", "wss://other.example/ws/"),
        *("wss://ws.example@other.example/", "wss://ws.example", "/ws/", ""),
        *("wss://ws.example/a b", "wss://ws.example/a\r\nX: y", "wss://ws.example/\u00e4", None, {}),
    ],
)
def test_another_websocket_is_refused(stated: Any) -> None:
    with pytest.raises(NoEvents):
        get_socket_url("https://ws.example", {"websocket_url": stated})


def test_only_digests_of_ended_commands_become_files(tmp_path: Path, files: PushFiles) -> None:
    shared = SharedState(tmp_path, SETTINGS.url, TOKEN)
    made = PushFiles(shared.folder / "push")
    made.create()
    tested = Listener(SETTINGS, shared)
    for number in range(2001):
        event = {"event_type": "command_fin", "payload": {"id": f"../../{number}"}}
        tested._handle(json.dumps(event).encode())
    tested._handle(b'{"event_type": "sudo"}')
    names = {path.name for path in made.ended.iterdir()}
    assert len(names) == 2000, "the first is forgotten"
    assert {len(name) for name in names} == {64}


def make_listener(folder: Path) -> tuple[Listener, PushFiles]:
    shared = SharedState(folder, SETTINGS.url, TOKEN)
    made = PushFiles(shared.folder / "push")
    made.create()
    return Listener(SETTINGS, shared), made


@pytest.mark.parametrize(
    "frame",
    [
        *(b'{"type": "keepalive"}', b"keepalive", b"", b"\xff", b"[1]", b"7", b"null", b"[" * 100_000, b"1" * 5000),
        *(b'{"event_type": "command_fin"}', b'{"event_type": "command_fin", "payload": null}'),
        b'{"event_type": ["command_fin"], "payload": {"id": "one"}}',
        b'{"event_type": "command_output", "payload": {"command_id": "one", "seq": "1"}}',
        b'{"event_type": "command_output", "payload": {"command_id": [], "seq": 1}}',
    ],
)
def test_frames_that_are_not_understood_are_dropped(tmp_path: Path, frame: bytes) -> None:
    tested, made = make_listener(tmp_path)
    (made.followed / "one").touch()
    tested._followed["one"] = 0
    tested._handle(frame)
    assert [*made.ended.iterdir(), *made.printed.iterdir()] == []


@pytest.mark.parametrize(("lives", "expected"), [("..", 2), ("e.e..", 5), ("eeeeee..", 8), (".l..", 4), ("kk", 2)])
def test_the_count_of_attempts_starts_again_after_a_useful_websocket(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lives: str, expected: int
) -> None:
    """Play lives of websockets: with an event, a keepalive or nothing, or long."""
    tested, made = make_listener(tmp_path)
    left, clock = list(lives), SimpleNamespace(now=1000.0)
    monkeypatch.setattr(listener, "time", SimpleNamespace(monotonic=lambda: clock.now, sleep=lambda _seconds: None))

    def listen() -> None:
        life = left.pop(0)
        clock.now += 301 if life == "l" else 1
        if life in "ek":
            tested._handle(b'{"event_type": "command_fin", "payload": {"id": "one"}}' if life == "e" else b"{}")
        raise ConnectionResetError

    monkeypatch.setattr(tested, "_listen", listen)
    tested.listen()
    assert len(lives) - len(left) == expected
    assert made.given_up.exists()


def test_websockets_that_end_after_each_event_do_not_use_up_the_quota(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tested, made = make_listener(tmp_path)
    began = now = 90_000.0

    def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds

    monkeypatch.setattr(time, "monotonic", lambda: now)
    monkeypatch.setattr(time, "sleep", sleep)
    for server in ("one", "two"):
        (made.wanted / server).touch()

    def listen() -> None:
        if now >= began + 3600:
            raise NoEvents("the hour is over")
        for _request in range(3):
            tested._client._quota.count_request()
        tested._has_heard = True
        raise ConnectionResetError

    monkeypatch.setattr(tested, "_listen", listen)
    tested.listen()
    assert sum(tested._client._quota._read_slots().values()) < SETTINGS.requests_per_hour


def test_a_server_is_subscribed_to_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shared = SharedState(tmp_path, SETTINGS.url, TOKEN)
    made = PushFiles(shared.folder / "push")
    made.create()
    tested, posted, subscribed = Listener(SETTINGS, shared), [], set[str]()
    monkeypatch.setattr(tested, "_post", lambda name, _body: posted.append(name))
    (made.wanted / "one").touch()
    for _check in range(2):
        tested._subscribe("channel", subscribed)
        # Ansible removes the folder when the run ends.
        (made.listening / "one").unlink(missing_ok=True)
    assert posted == ["subscriptions"]
    assert list(made.listening.iterdir()) == []


def test_the_newest_chunk_of_followed_commands_is_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shared = SharedState(tmp_path, SETTINGS.url, TOKEN)
    made = PushFiles(shared.folder / "push")
    made.create()
    tested = Listener(SETTINGS, shared)

    def post(_name: str, body: dict[str, Any]) -> None:
        if body["target_id"] == "refused":
            raise NoEvents("refused")

    monkeypatch.setattr(tested, "_post", post)
    for command in ("one", "refused"):
        (made.followed / command).touch()
    tested._subscribe("channel", set())
    assert [path.name for path in made.following.iterdir()] == ["one"]
    for command, seq in (("one", 0), ("one", 2), ("one", 1), ("../other", 5)):
        event = {"event_type": "command_output", "payload": {"command_id": command, "seq": seq, "content": "x"}}
        tested._handle(json.dumps(event).encode())
    assert [(path.name, path.read_text()) for path in made.printed.iterdir()] == [("one", "3")]


def test_a_message_has_a_size_limit() -> None:
    websocket = pytest.importorskip("websocket").WebSocket()
    source = io.BytesIO(b"\x81\x02hi\x81\x7f" + (2**62).to_bytes(8, "big") + b"x" * 2**21)
    websocket.sock = LimitedSocket(SimpleNamespace(recv=source.read, gettimeout=lambda: 0), math.inf)
    websocket.sock.begin_message()
    assert websocket.recv() == "hi"
    websocket.sock.begin_message()
    with pytest.raises(OSError, match="too large"):
        websocket.recv()
    assert source.tell() < 2**20 + 2**16 + 20


def test_the_reason_is_written_once(files: PushFiles, tested: Push, runs: Runs) -> None:
    give_up(files, "it is lost")
    for _poll in range(2):
        tested.add_useless([make_job()], 9)
    assert runs.messages == ["alpacon: commands are polled, because it is lost."]
    assert runs.arguments == []
