# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Locks between the hosts of a task, retries, and keys of processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from ansible_collections.herdops.alpacon.plugins.module_utils._api.client import Client
from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import AlpaconError, UsageError
from ansible_collections.herdops.alpacon.plugins.module_utils._api.records import Command, Server
from ansible_collections.herdops.alpacon.plugins.module_utils._api.settings import Settings
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet import run, submitting
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.fleet import Fleet
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.jobs import (
    Job,
    Limits,
    Outcome,
    SubmitRecord,
    get_digest,
)
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.run import (
    HostLocks,
    Run,
    RunContext,
    get_process_key,
    has_process_ended,
)
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.submitting import Submitter
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.command_options import CommandOptions
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.command_task import (
    lock_named_servers,
    lock_servers,
)
from ansible_collections.herdops.alpacon.tests.unit.shared_state import URL
from ansible_collections.herdops.alpacon.tests.unit.support import COMMAND, NO_COMMAND, SERVER, TOKEN, command_options


def test_a_run_without_a_writable_folder_shares_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    settings = Settings(URL, TOKEN)
    assert Run().open_shared_state(settings) is None
    assert Run(RunContext(folder=tmp_path / "file")).open_shared_state(settings) is None
    assert Run(RunContext(folder=tmp_path)).open_shared_state(settings) is not None


def test_all_tasks_of_a_run_share_the_quota(tmp_path: Path) -> None:
    made = Run(RunContext(folder=tmp_path))
    settings = Settings(URL, TOKEN, requests_per_hour=10)
    earlier, tested = made.open_client(settings), made.open_client(settings)
    for _request in range(6):
        earlier._quota.count_request()
    assert tested.get_quota_pause(1)


@pytest.mark.parametrize(
    ("task", "server", "digest"), [("other", "a", "x"), ("task", "b", "x"), ("task", "a", "y")], ids=str
)
def test_locks_of_other_tasks_servers_and_commands_are_free(
    tmp_path: Path, task: str, server: str, digest: str
) -> None:
    assert HostLocks(tmp_path, "task", "first").acquire([("a", "x")]) is None
    assert HostLocks(tmp_path, task, "second").acquire([(server, digest)]) is None
    assert HostLocks(tmp_path, "task", "second").acquire([("a", "x")]) == ("a", "first")


def test_a_host_keeps_its_locks(tmp_path: Path) -> None:
    assert HostLocks(tmp_path, "task", "first").acquire([("a", "x")]) is None
    assert HostLocks(tmp_path, "task", "first").acquire([("a", "x"), ("b", "x")]) is None
    assert HostLocks(tmp_path, "task", "second").acquire([("b", "x")]) == ("b", "first")


def test_a_server_is_locked_by_its_uuid_and_by_its_name(tmp_path: Path) -> None:
    first, second = (HostLocks(tmp_path, "task", host, remedy="Do so.") for host in ("first", "second"))
    # The option ca_path of a delegated task is a path on the other host.
    options = command_options(servers=[SERVER.upper()], line="reboot", ca_path="/on/that/host")
    lock_named_servers(first, {**options, "url": "https://workspace.example/api/"})
    server = Server(SERVER, "many-1")
    with pytest.raises(UsageError, match=r"^servers: many-1 gets this command for host first of the task\..* Do so\.$"):
        lock_servers(second, CommandOptions.from_options(options).make_body(Server(None)), options["url"], [server])


@pytest.mark.parametrize(
    ("status", "outcome", "expected"),
    [
        ("success", Outcome.SUCCESS, True),
        ("cancelled", Outcome.CANCELLED, True),
        # A payload that succeeded according to the workspace, but has no output.
        ("success", Outcome.UNKNOWN, False),
        ("running", Outcome.TIMED_OUT, False),
        # A declined command is never submitted again.
        ("denied", Outcome.DENIED, False),
    ],
)
def test_a_retry_repeats_only_commands_that_ended(
    monkeypatch: pytest.MonkeyPatch, status: str, outcome: Outcome, expected: bool
) -> None:
    body = {"server": SERVER, "line": "reboot", "shell": "system"}
    earlier_submits = {get_digest(body): SubmitRecord(0.0, COMMAND)}
    command = Command(COMMAND, Server(SERVER), "reboot", "system", status)
    monkeypatch.setattr(submitting, "find_command", lambda _client, _id: command)
    job = Job(Server(SERVER), body)
    with Client(Settings("https://workspace.example", TOKEN)) as client:
        submitter = Submitter(client, Run(earlier_submits=earlier_submits))
        submitter.submit(job)
        job.finish(outcome)
        submitter.finish([job])
    assert earlier_submits[get_digest(body)].may_repeat is expected


def test_other_commands_of_a_response_are_noted_without_a_cause() -> None:
    command = Command(COMMAND, Server(SERVER), "reboot", "system", "queued", surplus=(NO_COMMAND,))
    job = Job(Server(SERVER), {"server": SERVER, "line": "reboot"})
    with Client(Settings("https://workspace.example", TOKEN)) as client:
        Submitter(client, Run(), lambda _client, _body, _known: command).submit(job)
    # A proxy may have repeated the response to another submit.
    assert job.note == f"The response to its submit names other commands, which may run too: {NO_COMMAND}."


def test_a_retry_that_submits_nothing_does_not_allow_the_next_one_to_submit() -> None:
    body = {"server": SERVER, "line": "reboot"}
    earlier_submits = {get_digest(body): SubmitRecord(0.0, COMMAND)}
    job = Job(Server(SERVER, is_connected=False), body)
    with Client(Settings("https://workspace.example", TOKEN)) as client:
        Fleet(client, Limits(offline="fail"), run=Run(earlier_submits=earlier_submits)).run([job])
    assert job.outcome == Outcome.OFFLINE
    assert not earlier_submits[get_digest(body)].may_repeat


def test_a_retry_after_not_after_adopts_the_command_of_an_earlier_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    body = {"server": SERVER, "line": "reboot", "shell": "system"}
    command = Command(COMMAND, Server(SERVER), "reboot", "system", "success")
    monkeypatch.setattr(submitting, "find_command", lambda _client, _id: command)
    for earlier_submits, outcome in (({get_digest(body): SubmitRecord(0.0, COMMAND)}, None), ({}, Outcome.LATE)):
        job = Job(Server(SERVER), body)
        with Client(Settings("https://workspace.example", TOKEN)) as client:
            Submitter(client, Run(earlier_submits=earlier_submits), not_after=0.0).submit(job)
        assert (job.outcome, job.id) == (outcome, None if outcome else COMMAND)


def test_nothing_is_submitted_if_not_after_passes_while_it_is_prepared(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(submitting, "time", SimpleNamespace(monotonic=lambda: clock.now, time=lambda: clock.now))
    job = Job(Server(SERVER), {"server": SERVER, "line": "reboot"})
    with Client(Settings("https://workspace.example", TOKEN)) as client:
        Submitter(client, Run(), prepare=lambda _client, _job: setattr(clock, "now", 9.0), not_after=5.0).submit(job)
    assert (job.outcome, job.record, client.requests) == (Outcome.LATE, None, 0)


def test_locks_that_cannot_be_written_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(AlpaconError, match=f"cannot be locked in {tmp_path}/file: .*Not a directory"):
        HostLocks(tmp_path / "file", "task", "first").acquire([(SERVER, "digest")])


def test_a_host_that_misses_one_lock_releases_the_others(tmp_path: Path) -> None:
    first, second, third = (HostLocks(tmp_path, "task", host) for host in ("first", "second", "third"))
    assert first.acquire([("b", "digest")]) is None
    assert second.acquire([("a", "digest"), ("b", "digest")]) == ("b", "first")
    assert third.acquire([("a", "digest")]) is None


# Processes


@pytest.fixture(name="_system", params=["linux", "elsewhere"])
def make_system(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "elsewhere":
        monkeypatch.setattr(run, "_PROC", Path("/no-such-folder"))


@pytest.mark.usefixtures("_system")
def test_a_process_has_ended_after_its_exit() -> None:
    assert not has_process_ended(get_process_key(os.getpid()))
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        key = get_process_key(process.pid)
        assert not has_process_ended(key)
    assert has_process_ended(key)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="only Linux shows the states of processes")
def test_a_process_has_ended_although_its_parent_does_not_wait_for_it() -> None:
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as process:
        key = get_process_key(process.pid)
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert has_process_ended(key)


@pytest.mark.usefixtures("_system")
def test_a_reused_process_id_counts_as_ended() -> None:
    machine, pid, started = get_process_key(os.getpid()).split("-")
    # Without /proc, the start is unknown.
    before = max(int(started) - 1, 0)
    assert bool(before) == run._PROC.exists()
    assert has_process_ended(f"{machine}-{pid}-{before}") == bool(before)


@pytest.mark.usefixtures("_system")
def test_processes_of_other_machines_and_users_never_count_as_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    _machine, _pid, started = get_process_key(os.getpid()).split("-")
    assert not has_process_ended(f"00000000-4194305-{started}")
    own = get_process_key(4194305)
    assert has_process_ended(own)
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    assert not has_process_ended(own)


@pytest.mark.usefixtures("_system")
def test_a_process_that_may_not_be_signalled_is_running(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(pid: int, _signal: int) -> None:
        raise PermissionError(pid)

    monkeypatch.setattr(os, "kill", refuse)
    assert not has_process_ended(get_process_key(os.getpid()))


@pytest.mark.parametrize("text", ["", "web", "1a2b3c4d-12", "1a2b3c4d-12-34-56", "20261126T201400-12345"])
@pytest.mark.usefixtures("_system")
def test_other_texts_are_no_process_keys(text: str) -> None:
    assert not has_process_ended(text)
