# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import base64
import random
import time
from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import ApiError, LostResponse
from ansible_collections.herdops.alpacon.plugins.module_utils._api.records import Command, Server
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet import follow
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.follow import Follower, LineBuffer, LiveOutput
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.jobs import Job
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.pacing import Pacing
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.run import Run, RunContext
from ansible_collections.herdops.alpacon.plugins.module_utils._options.secrets import StreamMask, mask_secrets
from ansible_collections.herdops.alpacon.tests.unit.support import current_row

SECRETS = {"s3cret-token", "token-of-two\nlines", "lines", "aaaa", "abcdef", "efgh"}
TEXT = "x s3cret-token y s3cret-tok token-of-two\nlines token-of-two\n other\nabcdefgh abcd aaaaaaaaaaaaaaaaaaaaa s3c"


@pytest.mark.parametrize("size", range(1, 30))
def test_a_secret_is_hidden_wherever_parts_divide_it(size: int) -> None:
    mask = StreamMask(SECRETS)
    parts = [mask.add(TEXT[start : start + size]) for start in range(0, len(TEXT), size)]
    shown = "".join([*parts, mask.add("", is_end=True)])
    hidden = str(mask_secrets(TEXT, SECRETS))
    assert shown == hidden
    assert all(hidden.startswith("".join(parts[: number + 1])) for number in range(len(parts)))


def test_text_that_is_no_start_of_a_secret_is_not_held_back() -> None:
    assert StreamMask(SECRETS).add("line\n") == "line\n"
    assert StreamMask(SECRETS).add("line s3cr") == "line "


def test_a_long_row_of_secrets_is_hidden_in_little_memory() -> None:
    mask = StreamMask({"abab"})
    shown = "".join(mask.add("ab" * 50) for _part in range(100))
    assert set(shown) == {"*"}
    assert len(mask._held) <= 16
    assert mask.add("", is_end=True) == "********"


def test_each_character_of_secrets_in_a_row_is_hidden() -> None:
    mask = StreamMask({"aabb", "baabbb", "babaabba"})
    text = "babaabbabaabbbaabbbaabbbaabbbabaabbabaabbbbba"
    shown = "".join([*map(mask.add, text), mask.add("", is_end=True)])
    assert shown.strip("*") == "bba"


def test_only_whole_lines_are_returned_until_the_end() -> None:
    buffer = LineBuffer(set())
    assert buffer.add("one\ntw") == ["one"]
    assert buffer.add("o\n\nthree") == ["two", ""]
    assert buffer.add("", is_end=True) == ["three"]


def test_a_progress_bar_is_one_line() -> None:
    buffer = LineBuffer(set())
    assert [line for percent in range(100) for line in buffer.add(f"\r{percent} %")] == []
    assert buffer.add("\r100 %\r\nCRLF\r") == ["100 %"]
    assert buffer.add("\nnext\n") == ["CRLF", "next"]


def test_a_line_without_end_is_cut() -> None:
    buffer = LineBuffer(set())
    assert [line for _part in range(1000) for line in buffer.add("x" * 1000)] == []
    assert len(buffer._line) <= 2 * 4096 + 1
    assert buffer.add("\nnext\n") == [f"{'x' * 4096} ...", "next"]


def test_the_lines_of_the_result_are_those_that_were_not_printed() -> None:
    # The agent cut a character between the second and the third part.
    for parts in (
        ["a\n"],
        ["a\n", "b\ncaf\ufffd"],
        ["a\n", "b\ncaf\ufffd", "\ufffd c"],
        ["a\nb\ncaf\ufffd\ufffd c\n", "d"],
    ):
        output = LiveOutput(set(), None)
        lines = [line for part in parts for line in output.add(part)]
        assert [line.replace("\ufffd\ufffd", "é") for line in [*lines, *output.end("a\nb\ncafé c\nd\ne")]] in (
            ["a", "b", "café c", "d", "e"],
            ["a", "b", "caf\ufffd c", "d", "e"],
        )


def test_blanks_that_the_workspace_stripped_off_the_result_do_no_harm() -> None:
    for parts in (["\n\n  a\nb\nc"], ["\n", "\n  a\nb\nc"], ["", "\n\n ", " a\nb\n", "c"]):
        output = LiveOutput(set(), None)
        assert [line for part in parts for line in output.add(part)] == ["", "", "  a", "b"]
        assert output.end("a\nb\nc\nd\ne") == ["c", "d", "e"]


def test_messages_that_only_the_chunks_have_are_printed_once() -> None:
    output = LiveOutput(set(), None)
    assert output.add("alpamon: there is no user\n") == ["alpamon: there is no user"]
    assert output.end("there is no user") == []


def test_after_a_gap_the_next_whole_line_follows() -> None:
    output = LiveOutput({"s3cret"}, None)
    assert output.add("one\ntwo s3cr") == ["one"]
    output.skip()
    assert output.add("et three\nfour\n") == ["four"]


@pytest.mark.parametrize("size", [1, 7, 100, 10_000])
def test_both_streams_of_a_live_payload_are_decoded(size: int) -> None:
    digest, numbers, text = "a" * 64, {"out": 0, "err": 0}, ""
    printed = {"out": "café\nsecond s3cret line\n" * 50, "err": "error\nlast"}
    rest = {stream: content.encode() for stream, content in printed.items()}
    source = random.Random(size)
    while any(rest.values()):
        stream = source.choice(["out", "err"])
        length = source.randrange(1, 20)
        piece, rest[stream] = base64.b64encode(rest[stream][:length]).decode(), rest[stream][length:]
        numbers[stream] += 1
        text += f"{piece}[{stream} {numbers[stream]} {len(piece)}]\n" if piece else ""
    text = f"sh: warning\n[alpacon {digest}]\n{text}[stderr]\n[rc 0]\n[end]\n"
    output = LiveOutput({"s3cret"}, digest)
    half = len(text) // 2
    lines = [line for start in range(0, half, size) for line in output.add(text[start : min(start + size, half)])]
    lines += output.end(text)
    assert sorted(lines) == sorted([*["café", "second ******** line"] * 50, "error", "last"])


def test_a_payload_that_is_not_live_prints_nothing() -> None:
    output = LiveOutput(set(), "a" * 64)
    assert output.add(f"[alpacon {'a' * 64}]\n{'QUJD' * 19}\n1\n[stderr]\n[rc 0]\n[end]\n") == []
    assert len(output._raw) < 8192


# Reads


class Workspace:
    """Answers reads of chunks: with rows, or with an error."""

    def __init__(self) -> None:
        self.answers: list[Any] = []
        self.pause: float | None = None
        self.params: list[dict[str, Any]] = []

    def pages(self, _path: str, params: dict[str, Any], **_options: Any) -> Any:
        self.params.append(params)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        yield SimpleNamespace(rows=answer)

    def get_quota_pause(self, commands: int) -> float | None:
        return self.pause and self.pause * commands


class Following:
    def __init__(self) -> None:
        self.workspace, self.printed = Workspace(), list[str]()
        self.follower = Follower(self.workspace, set(), Run(RunContext(report=self.printed.append)))  # type: ignore[arg-type]
        self.jobs: list[Job] = []

    def begin(self, **row: Any) -> Job:
        identity = f"00000000-0000-4000-8000-{len(self.jobs):012}"
        command = Command.from_row(current_row(id=identity, **{"status": "running", **row}))
        job = Job(Server(identity, "web-01"), command=command, awaited_since=time.monotonic())
        self.jobs.append(job)
        self.follower.begin(job)
        return job

    def get_pause(self, job: Job) -> float:
        return round(self.follower.get_next_read([job]) - time.monotonic(), 1)

    def read(self, job: Job, answer: Any) -> None:
        """Read when it is due."""
        stream = self.follower._streams[job.known.id]
        job.awaited_since -= 100
        stream.read_at -= 105 if stream.read_at else 0
        assert self.follower.take_due([job]) == [job]
        assert self.follower.take_due([job]) == [], "one read at a time"
        self.workspace.answers = [answer]
        self.follower.read(job)


@pytest.fixture
def following() -> Following:
    return Following()


def test_reads_are_rarer_when_the_quota_runs_low(following: Following) -> None:
    jobs = [following.begin() for _number in range(4)]
    assert following.get_pause(jobs[0]) == 2.5
    following.workspace.pause = 3.0
    following.read(jobs[0], [])
    assert following.get_pause(jobs[0]) == 12.0


def test_a_queued_command_is_read_at_growing_intervals(following: Following) -> None:
    job = following.begin(status="queued")
    assert following.get_pause(job) == 2.5
    following.read(job, [])
    assert following.get_pause(job) == 100.0
    following.read(job, [{"seq": 0, "content": "begun\n"}])
    assert following.get_pause(job) == 2.5


@pytest.mark.parametrize(
    "error", [LostResponse("lost"), ApiError("GET", "/", 404, "not_found"), ApiError("GET", "/", 500)]
)
def test_a_failed_read_is_repeated(following: Following, error: Exception) -> None:
    job = following.begin(status="queued")
    following.read(job, error)
    following.read(job, [{"seq": 0, "content": "a\n"}])
    following.read(job, [{"seq": 1, "content": "b\n"}])
    assert following.printed == ["web-01 | a", "web-01 | b"]
    assert [params.get("seq__gte") for params in following.workspace.params] == [None, None, 1]


@pytest.mark.parametrize("status", [403, 404])
def test_a_workspace_that_does_not_show_chunks_is_read_once(following: Following, status: int) -> None:
    jobs = [following.begin(), following.begin()]
    following.read(jobs[0], ApiError("GET", "/", status))
    assert following.follower.is_unsupported
    assert following.follower.take_due(jobs) == []
    assert following.printed == ["alpacon: this workspace does not show the output of running commands"]


@pytest.mark.parametrize("seq", [None, "1", True, -1, 0.0, float("nan")])
def test_chunks_with_other_numbers_are_ignored(following: Following, seq: Any) -> None:
    job = following.begin()
    following.read(job, [{"seq": seq, "content": "bad\n"}, {"content": "bad\n"}, {"seq": 0, "content": None}])
    following.read(job, [{"seq": 0, "content": "again\n"}, {"seq": 1, "content": "\x1b]0;title\x07good\n"}])
    assert following.printed == [r"web-01 | \x1b]0;title\x07good"]


def test_old_chunks_are_not_printed_again(following: Following, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follow, "PACING", Pacing(patience=0.0))
    job, chunks = following.begin(), [{"seq": seq, "content": f"{seq}\n"} for seq in range(5)]
    # The workspace ignores seq__gte.
    for rows in (chunks[:2], chunks[:2], chunks[4:], chunks[4:], chunks):
        following.read(job, rows)
    shown = ("0", "1", "(output is missing here)")
    assert following.printed == [f"web-01 | {line}" for line in shown]
    following.read(job, [{"seq": 5, "content": "5\n"}])
    assert following.printed[3:] == ["web-01 | 5"]


def test_a_read_that_returns_after_the_end_prints_nothing(following: Following) -> None:
    job = following.begin()
    job.command = Command.from_row(current_row(id=job.id, status="success"))
    following.follower.finish(job, "a\nb")
    following.read(job, [{"seq": 0, "content": "a\n"}])
    assert following.printed == ["web-01 | a", "web-01 | b"]
