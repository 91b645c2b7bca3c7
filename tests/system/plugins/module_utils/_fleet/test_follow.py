# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Print the output of running commands."""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from ansible_cores import CORES
from system.plays import Play, play, run_playbook, task
from system.support import FakeClock, command_options, encode_script, request_paths
from workspace.client import Workspace

from ansible_collections.herdops.alpacon.plugins.module_utils._api.client import Client
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet import follow, threads
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.fleet import Fleet
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.follow import Follower
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.jobs import Job
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.poller import Poller
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.run import HostLocks, Run, RunContext
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks import command_task as _command_task
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.command import run_command
from ansible_collections.herdops.alpacon.tests.unit.support import Row

UNSUPPORTED = "alpacon: this workspace does not show the output of running commands"


class Followed:
    """A command on web-01 that the test plays on a clock."""

    def __init__(self, workspace: Workspace, clock: FakeClock) -> None:
        self.workspace, self.clock = workspace, clock
        self.printed: list[str] = []
        self.report: Callable[[str], None] = self.printed.append
        workspace.fault("vanish", server="web-01")

    def change(self, **fields: Any) -> None:
        [row] = self.workspace.commands()
        self.workspace.change_command(row["id"], **fields)

    def at(self, seconds: float, *chunks: Row | str) -> None:
        self.clock.at(seconds, lambda: self.change(chunks=list(chunks)))

    def end(self, seconds: float, result: str, **fields: Any) -> None:
        self.clock.at(seconds, lambda: self.change(**{"status": "success", "result": result, **fields}))

    def run(self, **given: Any) -> Row:
        options = command_options(self.workspace, **{"servers": ["web-01"], "line": "x", "progress": "output", **given})
        return run_command(options, Run(RunContext(report=self.report), warn=pytest.fail))


@pytest.fixture
def followed(current: Workspace, clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> Followed:
    monkeypatch.setattr(_command_task, "Fleet", partial(Fleet, sleep=clock.sleep))
    return Followed(current, clock)


def chunk(seq: int, content: str) -> Row:
    return {"seq": seq, "content": content}


@pytest.mark.promise
def test_a_line_a_second_is_printed_soon_and_once_in_few_requests(followed: Followed) -> None:
    written: list[str] = []
    late: list[int] = []

    def write(line: str) -> None:
        written.append(line)
        followed.change(chunks=[f"{line}\n"])

    def report(text: str) -> None:
        followed.printed.append(text)
        late.append(len(written) - len(followed.printed))

    followed.report = report
    for number in range(60):
        followed.clock.at(number + 0.5, partial(write, f"line {number}"))
    followed.end(60.2, "".join(f"line {number}\n" for number in range(60)))
    done = followed.run()
    assert followed.printed == [f"web-01 | line {number}" for number in range(60)]
    # A line a second: two newer lines are two seconds.
    assert max(late) <= 3
    assert done["requests"] <= 35
    assert done["stdout_lines"] == written


def test_a_slow_poll_does_not_delay_the_output(followed: Followed, monkeypatch: pytest.MonkeyPatch) -> None:
    poll, is_printed = Poller.poll, threading.Event()
    in_time: list[bool] = []

    def poll_slowly(*arguments: Any, **options: Any) -> None:
        poll(*arguments, **options)
        if followed.printed and not in_time:
            followed.change(chunks=["during a poll\n"])
            in_time.append(is_printed.wait(20))

    def report(text: str) -> None:
        followed.printed.append(text)
        if "during" in text:
            is_printed.set()

    monkeypatch.setattr(Poller, "poll", poll_slowly)
    monkeypatch.setattr(follow, "READ_EVERY", 0.5)
    followed.report = report
    followed.at(1, "begin\n")
    followed.end(40, "begin\nduring a poll\n")
    followed.run()
    assert followed.printed == ["web-01 | begin", "web-01 | during a poll"]
    assert in_time == [True]


def test_slow_reads_of_output_do_not_delay_a_poll(followed: Followed, monkeypatch: pytest.MonkeyPatch) -> None:
    is_reading, polled, in_time = threading.Event(), threading.Event(), []
    poll = Poller.poll

    def note_poll(*arguments: Any, **options: Any) -> None:
        poll(*arguments, **options)
        if is_reading.is_set():
            polled.set()

    def read(_follower: Follower, _job: Job, _client: Client) -> None:
        is_reading.set()
        in_time.append(polled.wait(10))
        followed.change(status="success", result="x")

    monkeypatch.setattr(threads, "THREADS", 2)
    monkeypatch.setattr(Poller, "poll", note_poll)
    monkeypatch.setattr(Follower, "read", read)
    assert followed.run()["outcome"] == "success"
    assert in_time == [True]


def test_failing_polls_keep_wait_timeout(followed: Followed) -> None:
    followed.workspace.fault("status", method="GET", path="events/commands/", status=502)
    done = followed.run(wait_timeout="8s")
    assert done["outcome"] == "timed_out"
    assert followed.clock.passed < 14


def test_each_line_is_printed_once_although_chunks_come_late_twice_and_out_of_order(followed: Followed) -> None:
    followed.workspace.fault("status", path="/chunks/", times=1, after=1)
    followed.workspace.fault("lose_after", path="/chunks/", times=1, after=1)
    followed.at(1, chunk(1, "b\nc"))
    followed.at(4, chunk(0, "a\n"))
    followed.at(6, chunk(0, "a\n"), chunk(1, "b\nc"), chunk(3, "d\n"))
    followed.at(21, chunk(2, "c\n"), chunk(0, "late\n"))
    followed.end(40, "a\nb\ncc\nd\nlast")
    assert followed.run()["stdout_lines"] == ["a", "b", "cc", "d", "last"]
    assert followed.printed == [f"web-01 | {line}" for line in ("a", "b", "cc", "d", "last")]


def test_after_a_chunk_that_never_arrives_the_next_whole_line_follows(followed: Followed) -> None:
    followed.at(1, chunk(0, "a\nb"), chunk(2, "c\nd\n"))
    followed.at(60, chunk(1, "too late\n"), chunk(3, "e\nf"))
    followed.end(90, "a\nbtoo late\nc\nd\ne\nf")
    followed.run()
    assert followed.printed == [f"web-01 | {line}" for line in ("a", "(output is missing here)", "d", "e", "f")]


def test_secrets_and_controls_do_not_reach_the_terminal(followed: Followed) -> None:
    followed.at(1, "a s3c", "ret-value\n\x1b[2Jb s3cret-")
    followed.at(10, "value\nc {{ 7 * 6 }}\n")
    followed.end(15, "a s3cret-value\n\x1b[2Jb s3cret-value\nc {{ 7 * 6 }}\n")
    followed.run(env={"KEY": "s3cret-value"})
    shown = ("a ********", r"\x1b[2Jb ********", "c {{ 7 * 6 }}")
    assert followed.printed == [f"web-01 | {line}" for line in shown]


def test_only_the_last_of_many_lines_are_printed(followed: Followed) -> None:
    lines = [f"line {number}" for number in range(1000)]
    followed.end(1, "\n".join(lines))
    followed.run()
    assert followed.printed[0] == "web-01 | (800 lines are left out here)"
    assert followed.printed[1:] == [f"web-01 | {line}" for line in lines[-200:]]


def test_a_command_that_waits_is_read_less_often(followed: Followed) -> None:
    followed.workspace.clear_faults()
    followed.workspace.disconnect("web-01")
    followed.run(wait_timeout="10m")
    reads = [path for path in request_paths(followed.workspace) if "/chunks/" in path]
    assert 1 <= len(reads) <= 10


@pytest.mark.parametrize("reason", ["no_log", "many servers", "many hosts", "workspace"])
def test_counts_are_printed_instead(followed: Followed, old: Workspace, reason: str, tmp_path: Path) -> None:
    run = Run(RunContext(report=followed.report), no_log=reason == "no_log")
    servers = ["web-01"]
    if reason == "many servers":
        servers = [f"many-{number}" for number in range(21)]
        followed.workspace.add_servers(*servers, connected=True)
    if reason == "many hosts":
        locks = HostLocks(tmp_path, "task", "web-01")
        run = Run(RunContext(report=followed.report), hosts=21, host_locks=locks)
    if reason == "workspace":
        followed.workspace = old
        old.fault("vanish", server="web-01")
    options = command_options(followed.workspace, servers=servers, line="x", progress="output", wait_timeout="20s")
    run_command(options, run)
    assert [text for text in followed.printed if re.match(r"alpacon: \d+ running", text)]
    assert followed.printed.count(UNSUPPORTED) == (reason == "workspace")
    reads = [path for path in request_paths(followed.workspace) if "/chunks/" in path]
    assert len(reads) == (reason == "workspace")


SCRIPT = b"echo first; sleep 3; echo second >&2; printf 'caf\\303\\251 \\377 [alpacon x]'; exit 3\n"


@pytest.mark.parametrize("output", [pytest.param("both", marks=pytest.mark.slow), "chunks"])
def test_a_script_prints_both_streams_and_has_the_same_result(current: Workspace, output: str) -> None:
    current.settings(output=output)
    printed: list[str] = []
    given = {"servers": ["web-01"], "script": "job.sh", "_script_content": encode_script(SCRIPT), "success_codes": [3]}
    keys = ("stdout", "stderr", "rc", "outcome", "output_complete", "msg", "changed")
    results = []
    for progress in ("false", "output"):
        options = command_options(current, **given, progress=progress)
        done = run_command(options, Run(RunContext(report=printed.append), warn=pytest.fail))
        results.append({key: done[key] for key in keys})
    assert results[0] == results[1]
    assert printed[0] == "web-01 | first"
    assert sorted(printed[1:]) == ["web-01 | café \ufffd [alpacon x]", "web-01 | second"]


@pytest.mark.slow
@pytest.mark.parametrize("waiting", [{"wait_timeout": "0.5s"}, {"wait": False}])
def test_a_command_that_an_earlier_task_submitted_is_followed(current: Workspace, waiting: Row) -> None:
    given = {"script": "job.sh", "_script_content": encode_script(SCRIPT), "success_codes": [3]}
    printed: list[str] = []
    options = command_options(current, servers=["web-01"], progress="output", **waiting, **given)
    begun = run_command(options, Run(warn=pytest.fail))
    assert begun["outcome"] in ("timed_out", "pending")
    options = command_options(current, ids=[begun["id"]], state="finished", progress="output", success_codes=[3])
    assert run_command(options, Run(RunContext(report=printed.append), warn=pytest.fail))["rc"] == 3
    assert sorted(printed) == ["web-01 | café \ufffd [alpacon x]", "web-01 | first", "web-01 | second"]


def followed_lines(run: Play) -> list[str]:
    return [line for line in run.log.splitlines() if re.match(r"web-0\d \| ", line)]


@pytest.mark.parametrize("core", CORES)
def test_each_host_of_a_task_is_followed(current: Workspace, tmp_path: Path, core: str) -> None:
    line = "echo on $HOSTNAME; sleep 3"
    tasks = [
        task("follow", {"line": line, "progress": "output"}),
        *(task(f"progress {value}", {"line": "echo no", "progress": value}) for value in (True, False, "true")),
        task("no_log", {"line": "echo hidden", "progress": "output"}, no_log=True),
        task("word", {"line": "echo no", "progress": "often"}),
    ]
    done = run_playbook(current, tmp_path, play(*tasks), ["web-01", "web-02"], core=core)
    assert sorted(followed_lines(done)) == ["web-01 | on web-01", "web-02 | on web-02"]
    failed = {name for name, results in done.tasks.items() if any(result.get("failed") for result in results)}
    assert failed == {"word"}


def test_the_playbook_follows(current: Workspace, tmp_path: Path) -> None:
    given = (
        "-e",
        "alpacon_servers=web-01,web-02",
        "-e",
        "alpacon_line='echo on $HOSTNAME'",
        "-e",
        "alpacon_follow=yes",
    )
    done = run_playbook(current, tmp_path, "herdops.alpacon.run", None, *given)
    assert done.code == 0, done.log
    assert sorted(followed_lines(done)) == ["web-01 | on web-01", "web-02 | on web-02"]


@pytest.mark.slow
@pytest.mark.timeout(200)
def test_a_quiet_command_is_read_when_the_workspace_pushes_its_output(current: Workspace, tmp_path: Path) -> None:
    line = "echo first; sleep 16; echo second; sleep 8; echo third"
    done = run_playbook(current, tmp_path, play(task("follow", {"line": line, "progress": "output"})), ["web-01"])
    assert followed_lines(done) == ["web-01 | first", "web-01 | second", "web-01 | third"]
    reads = [path for path in request_paths(current) if "/chunks/" in path]
    assert len(reads) <= 6, reads


@pytest.mark.slow
def test_a_task_that_is_delegated_reads_no_output_that_it_cannot_print(current: Workspace, tmp_path: Path) -> None:
    there = task("there", {"servers": "web-01", "line": "echo a; sleep 3", "progress": "output"}, delegate_to="there")
    plays = [{**play(there)[0], "vars": {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}}]
    done = run_playbook(current, tmp_path, plays, ["web-01", "there"], "--limit", "web-01")
    assert done.tasks["there"][0]["rc"] == 0, done.log
    assert not [path for path in request_paths(current) if "/chunks/" in path]
