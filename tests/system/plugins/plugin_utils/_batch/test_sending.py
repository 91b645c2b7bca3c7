# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Send entries to a server of the workspace, and lose agents, programs and outputs meanwhile."""

from __future__ import annotations

import random
import shlex
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from workspace.client import Workspace

from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import AlpaconError
from ansible_collections.herdops.alpacon.plugins.module_utils._payload.packing import PayloadTooLarge
from ansible_collections.herdops.alpacon.plugins.plugin_utils._batch.program import Entry
from ansible_collections.herdops.alpacon.plugins.plugin_utils._batch.sending import BatchResult, send_entries
from ansible_collections.herdops.alpacon.plugins.plugin_utils._connection.command_batch import File
from ansible_collections.herdops.alpacon.plugins.plugin_utils._connection.connection import (
    HostConnection,
    HostStepFailed,
)
from ansible_collections.herdops.alpacon.plugins.plugin_utils._connection.runner import (
    CommandResult,
    RequestTooLarge,
    ServerRunner,
)
from ansible_collections.herdops.alpacon.tests.unit.plugins.plugin_utils._batch.modules import make_module

pytestmark = pytest.mark.slow

MakeRunner = Callable[..., ServerRunner]
Connect = Callable[..., HostConnection]
PYTHON = shlex.quote(sys.executable)


@pytest.fixture
def connect(current: Workspace, make_runner: MakeRunner) -> Connect:
    """Connect to web-01, as each task does."""

    def make(cache_owner: str | None = None, **more: Any) -> HostConnection:
        return HostConnection(make_runner(current, **more), "alpacon_tasks", cache_owner)

    return make


def send(host: HostConnection, entries: Sequence[Entry]) -> BatchResult:
    return send_entries(host, PYTHON, entries, "geerlingguy.ntp")


def plain(command: str, task: int, folder: Path | None = None) -> Entry:
    """Return an entry that also records its run in a folder."""
    record = f"echo {task} >> {folder}/runs; " if folder else ""
    return Entry(record + command, b"", (), task, True)


def read_runs(folder: Path) -> list[int]:
    return [int(line) for line in (folder / "runs").read_text(encoding="utf-8").split()]


def get_outputs(result: BatchResult) -> list[bytes]:
    return [record.stdout for record in result.records.values()]


@pytest.mark.promise
def test_a_batch_is_one_submit(current: Workspace, connect: Connect, tmp_path: Path) -> None:
    file = File.compress(f"{tmp_path}/file", b"content")
    entries = [Entry(f"cat {tmp_path}/file", b"", [file], 0, True), plain("echo broken >&2; exit 2", 1), plain("id", 2)]
    result = send(connect(), entries)
    assert [(record.rc, record.stdout, record.stderr) for record in result.records.values()] == [
        (0, b"content", b""),
        (2, b"", b"broken\n"),
    ]
    assert (result.problem, result.may_have_run) == ("", ())
    [command] = current.commands()
    assert " tasks:geerlingguy.ntp sha256:" in command["line"]


def test_deferred_steps_run_before_the_batch(current: Workspace, connect: Connect, tmp_path: Path) -> None:
    host = connect()
    quoted = f'"` echo {tmp_path}/a `"'
    made = f'( umask 77 && mkdir -p "` echo {tmp_path} `"&& mkdir {quoted} && echo a={quoted} )'
    host.run_command(f"/bin/sh -c '{made}'")
    host.put(b"content", f"{tmp_path}/a/file")
    assert get_outputs(send(host, [plain(f"cat {tmp_path}/a/file", 0)])) == [b"content"]
    host.run_command(f"/bin/sh -c '{made}'")
    with pytest.raises(HostStepFailed, match=r"could not be prepared: .* exist"):
        send(host, [plain(f"touch {tmp_path}/ran", 0)])
    assert not (tmp_path / "ran").exists()
    assert len(current.commands()) == 2


def test_a_second_batch_sends_no_cached_parts(
    current: Workspace, connect: Connect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    run_in_parts = ServerRunner.run_in_parts

    def record_size(
        runner: ServerRunner, label: str, body: str, stdin: bytes, files: Sequence[bytes], expected: float
    ) -> CommandResult:
        sizes.append(len(stdin))
        return run_in_parts(runner, label, body, stdin, files, expected)

    monkeypatch.setattr(ServerRunner, "run_in_parts", record_size)

    def send_modules(words: str) -> BatchResult:
        module = make_module(words)
        command = f"echo {words} >> {tmp_path}/words; HOME={tmp_path} {PYTHON}"
        entries = [Entry(command, module, (), 0, True), plain("echo end", 1)]
        host = connect("me")
        return send_entries(host, f"HOME={tmp_path} {PYTHON}", entries, "x")

    for words in ("first", "second"):
        assert get_outputs(send_modules(words)) == [f'{{"words": "{words}"}}\n'.encode(), b"end\n"]
    assert sizes[1] < sizes[0] / 2
    shutil.rmtree(tmp_path / ".cache")
    assert len(send_modules("third").records) == 2
    assert len(current.commands()) == 4, "the third batch was sent again"
    assert len(send_modules("fourth").records) == 2
    assert len(current.commands()) == 5
    assert (tmp_path / "words").read_text(encoding="utf-8").split() == ["first", "second", "third", "fourth"]


def test_a_missing_interpreter_is_an_error(current: Workspace, connect: Connect, tmp_path: Path) -> None:
    with pytest.raises(HostStepFailed, match=r"could not run the program with the tasks: .*not found"):
        send_entries(connect(), "/proc/nonexistent/python3", [plain("true", 0)], "x")
    assert len(current.commands()) == 1


def test_too_many_entries_for_one_submit_are_an_error(current: Workspace, connect: Connect) -> None:
    current.settings(body_max=128 * 1024)
    content = random.Random(1).randbytes(1_200_000)
    entries = [Entry("true", content, (), 0, True)]
    with pytest.raises(PayloadTooLarge):
        send(connect(), entries)
    with pytest.raises(RequestTooLarge):
        send(connect(), [Entry("true", content[:200_000], (), 0, True)])
    assert current.commands() == []


@pytest.mark.parametrize(("kill", "may_have_run"), [("kill -9 $PPID; sleep 1", (1,)), ("kill -9 0", (1, 2))])
@pytest.mark.parametrize("output", ["result", "chunks"])
def test_a_task_that_ends_the_command_is_named(
    current: Workspace, connect: Connect, tmp_path: Path, kill: str, may_have_run: tuple[int, ...], output: str
) -> None:
    if output == "chunks":
        current.settings(output="chunks")
    entries = [plain("echo zero", 0, tmp_path), plain(kill, 1, tmp_path), plain("true", 2, tmp_path)]
    result = send(connect(), entries)
    assert get_outputs(result) == [b"zero\n"]
    assert result.may_have_run[0] == 1
    assert result.may_have_run == may_have_run
    assert result.problem
    assert read_runs(tmp_path) == [0, 1]
    assert [row["run_count"] for row in current.commands()] == [1]


@pytest.mark.promise
@pytest.mark.parametrize("fault", [{"kind": "kill", "away": 0.5}, {"kind": "restart", "results": True}])
def test_records_before_the_end_of_the_agent_count(
    current: Workspace, connect: Connect, tmp_path: Path, fault: dict[str, Any]
) -> None:
    current.fault(fault.pop("kind"), line="tasks:", seconds=1.5, **fault)
    entries = [plain("echo zero", 0, tmp_path), plain("sleep 6", 1, tmp_path), plain("true", 2, tmp_path)]
    result = send(connect(wait_timeout=5), entries)
    assert get_outputs(result) == [b"zero\n"]
    assert result.may_have_run == (1, 2)
    assert result.problem
    assert read_runs(tmp_path) == [0, 1]
    assert [row["run_count"] for row in current.commands()] == [1]


def test_records_before_the_timeout_count(current: Workspace, connect: Connect, tmp_path: Path) -> None:
    result = send(connect(wait_timeout=2), [plain("echo zero", 0, tmp_path), plain("sleep 20", 1, tmp_path)])
    assert get_outputs(result) == [b"zero\n"]
    assert result.may_have_run[0] == 1
    assert "Not finished within alpacon_wait_timeout." in result.problem


def test_a_batch_whose_submit_got_no_response_runs_once(current: Workspace, connect: Connect, tmp_path: Path) -> None:
    current.fault("lose_after", method="POST", path="^/api/events/commands/$", times=1)
    result = send(connect(), [plain("echo zero", 0, tmp_path)])
    assert get_outputs(result) == [b"zero\n"]
    assert read_runs(tmp_path) == [0]


@pytest.mark.promise
def test_a_batch_without_any_result_may_have_run(current: Workspace, connect: Connect) -> None:
    current.fault("vanish", line="tasks:")
    with pytest.raises(AlpaconError, match="may have run"):
        send(connect(wait_timeout=1), [plain("true", 0)])
    assert len(current.commands()) == 1


def test_records_in_an_output_with_gaps_count(current: Workspace, connect: Connect, tmp_path: Path) -> None:
    current.settings(output="chunks")
    # Chunk 0 has the beginning of the frame.
    current.fault("drop_chunk", line="tasks:", seq=2)
    result = send(connect(), [plain("sleep 0.3", task, tmp_path) for task in range(4)])
    missing = tuple(number for number in range(4) if number not in result.records)
    assert len(missing) <= 2
    assert result.may_have_run == missing
    assert ("has run" in result.problem) == bool(missing)
    assert read_runs(tmp_path) == [0, 1, 2, 3]


def test_too_large_output_ends_the_batch_and_is_named(current: Workspace, connect: Connect, tmp_path: Path) -> None:
    entries = [plain("echo zero", 0, tmp_path), plain("head -c 900000 /dev/urandom", 1, tmp_path), plain("id", 2)]
    result = send(connect(), entries)
    assert get_outputs(result) == [b"zero\n"]
    assert result.may_have_run == (1,)
    assert result.problem == "Its output of 900,000 bytes is too large for a batch of tasks."
