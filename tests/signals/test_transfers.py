# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test interrupted and killed transfers and verified scripts: half a file is never used, and the next run succeeds."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import ansible_cores
import pytest
from system.plays import Row, RunningPlay, read_journal_ids, start_task, wait_until
from workspace.client import Workspace

HOST = "web-01"
#: More than the buffers of a connection hold.
SIZE = 32 * 2**20
SIGNALS = [(signal.SIGKILL, "group"), (signal.SIGKILL, "parent"), (signal.SIGINT, "group")]
#: Seconds by which the workspace delays the response to a request.
HELD = 8.0


class HalfStorage:
    """An object storage that reads the beginning of one request, and the rest when it is told to."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(60)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.received = b""
        self._connection: socket.socket | None = None

    def read_beginning(self) -> None:
        self._connection, _address = self._listener.accept()
        self._connection.settimeout(60)
        while len(self.received) < 2**16:
            self.received += self._connection.recv(2**16)

    def read_rest(self) -> None:
        assert self._connection is not None
        try:
            while piece := self._connection.recv(2**20):
                self.received += piece
        except ConnectionError:
            pass
        self._connection.close()

    def close(self) -> None:
        self._listener.close()


@pytest.fixture
def storage() -> Iterator[HalfStorage]:
    half = HalfStorage()
    yield half
    half.close()


@pytest.fixture(scope="module")
def running() -> Iterator[Workspace]:
    with Workspace("current", servers=[HOST], tick=0.1) as started:
        yield started


@pytest.fixture
def workspace(running: Workspace) -> Workspace:
    running.reset()
    running.wait_connected(HOST)
    running.change_server(HOST, version="2.8.3")
    return running


@pytest.fixture(scope="module", autouse=True)
def _default_signals() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)


class User:
    """Somebody who runs the same playbook again."""

    def __init__(self, workspace: Workspace, folder: Path, options: Row, module: str) -> None:
        self._workspace = workspace
        self._folder = folder
        self._options = options
        self._module = module

    def start(self) -> RunningPlay:
        programs = ansible_cores.prepare("development")
        return start_task(self._workspace, self._folder, [HOST], self._options, module=self._module, programs=programs)

    def kill(self, play: RunningPlay, sign: signal.Signals, target: str) -> None:
        os.kill(play.pid if target == "parent" else -play.pid, sign)
        play.process.wait(60)
        assert play.code != 0

    def run_again(self) -> RunningPlay:
        (self._folder / "results").unlink(missing_ok=True)
        play = self.start()
        try:
            play.process.wait(60)
        finally:
            play.stop()
        assert play.code == 0, play.log
        assert self._workspace.token not in play.log
        return play

    def has_processes(self) -> bool:
        mark = f"{self._folder}/".encode()
        for process in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                if mark in process.read_bytes():
                    return True
            except OSError:
                continue
        return False


def copies(workspace: Workspace, folder: Path) -> User:
    (folder / "source").write_bytes(b"new\n" * (SIZE // 4))
    options = {"src": str(folder / "source"), "dest": str(folder / "dest")}
    return User(workspace, folder / "user", options, "alpacon_file")


def verifies(workspace: Workspace, folder: Path, script: str) -> User:
    workspace.settings(file_roots=True)
    (folder / "check.sh").write_text(f"#!/bin/sh\n{script}\n")
    options = {"script": str(folder / "check.sh"), "verified": True, "username": "root", "progress": False}
    return User(workspace, folder / "user", options, "alpacon_command")


def scripts(workspace: Workspace) -> list[Row]:
    return [row for row in workspace.commands() if row["shell"] == "file"]


def starts(workspace: Workspace) -> list[int]:
    return [row["starts"] for row in workspace.transfers()]


def check_named(play: RunningPlay, rows: list[Row]) -> None:
    """Check that the results or the journal of a run name its commands, and no other one."""
    own = {row["id"] for row in rows}
    journalled = {command_id for file in play.journals for command_id in read_journal_ids(file)}
    assert journalled <= own, play.log
    assert all(command_id in f"{play.results}{journalled}" for command_id in own), play.log


def end_in_put(workspace: Workspace, storage: HalfStorage, user: User, sign: signal.Signals, target: str) -> None:
    """End a run whose storage has read the beginning of a file."""
    workspace.settings(storage_url=storage.url)
    play = user.start()
    reader = threading.Thread(target=storage.read_rest)
    try:
        storage.read_beginning()
        os.kill(play.pid if target == "parent" else -play.pid, sign)
        reader.start()
        play.process.wait(60)
        wait_until(lambda: not user.has_processes())
    finally:
        play.stop()
    reader.join()
    workspace.settings(storage_url=None)
    assert b"PUT /bucket/" in storage.received
    assert workspace.token.encode() not in storage.received
    assert starts(workspace) == [0], "the agent was told to fetch half a file"
    check_named(play, [])


@pytest.mark.parametrize(("sign", "target"), SIGNALS)
def test_a_file_is_whole_or_as_before(
    workspace: Workspace, storage: HalfStorage, tmp_path: Path, sign: signal.Signals, target: str
) -> None:
    (tmp_path / "dest").write_text("old")
    user = copies(workspace, tmp_path)
    end_in_put(workspace, storage, user, sign, target)
    assert (tmp_path / "dest").read_text() == "old"
    again = user.run_again()
    assert again.results[HOST]["changed"]
    assert (tmp_path / "dest").read_bytes() == (tmp_path / "source").read_bytes()
    assert starts(workspace) == [0, 1]


@pytest.mark.parametrize("held", [("PUT", "/bucket/"), ("GET", "/status/$")], ids=["upload", "submit"])
@pytest.mark.parametrize(("sign", "target"), SIGNALS)
def test_a_script_that_was_not_submitted_runs_once(
    workspace: Workspace, tmp_path: Path, sign: signal.Signals, target: str, held: tuple[str, str]
) -> None:
    user = verifies(workspace, tmp_path, f"echo x >> {tmp_path}/ran")
    workspace.fault("slow", method=held[0], path=held[1], delay=HELD)
    play = user.start()
    try:
        wait_until(lambda: workspace.storage()["log"] and (held[0] == "PUT" or starts(workspace) == [1]))
        user.kill(play, sign, target)
        wait_until(lambda: not user.has_processes())
    finally:
        play.stop()
    workspace.clear_faults()
    first = scripts(workspace)
    if sign == signal.SIGKILL:
        assert (starts(workspace), first) == ([0 if held[0] == "PUT" else 1], [])
    check_named(play, first)
    user.run_again()
    # After an interrupt, ansible-core may finish the task.
    assert [row["run_count"] for row in scripts(workspace)] == [1] * (len(first) + 1)
    assert (tmp_path / "ran").read_text() == "x\n" * (len(first) + 1)
    assert not any("authorization" in row["headers"] for row in workspace.storage()["log"])


@pytest.mark.parametrize(("sign", "target"), SIGNALS)
def test_a_script_that_runs_when_its_run_ends_is_named(
    workspace: Workspace, tmp_path: Path, sign: signal.Signals, target: str
) -> None:
    go = tmp_path / "go"
    user = verifies(workspace, tmp_path, f"echo x >> {tmp_path}/ran\nwhile ! [ -e {go} ]; do sleep 0.1; done")
    play = user.start()
    try:
        wait_until((tmp_path / "ran").exists)
        user.kill(play, sign, target)
        go.touch()
        wait_until(lambda: not user.has_processes())
    finally:
        play.stop()
    [row] = scripts(workspace)
    check_named(play, [row])
    assert (tmp_path / "ran").read_text() == "x\n"
    user.run_again()
    # The user asked for it twice.
    assert [row["run_count"] for row in scripts(workspace)] == [1, 1]
    assert (starts(workspace), (tmp_path / "ran").read_text()) == ([1], "x\nx\n")
