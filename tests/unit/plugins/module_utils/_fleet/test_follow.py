# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import base64
import random
import time
from collections import Counter
from types import SimpleNamespace
from typing import Any, cast

import pytest

from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import ApiError, LostResponse
from ansible_collections.herdops.alpacon.plugins.module_utils._api.outputs import Output
from ansible_collections.herdops.alpacon.plugins.module_utils._api.quota import Quota
from ansible_collections.herdops.alpacon.plugins.module_utils._api.records import Command, Server
from ansible_collections.herdops.alpacon.plugins.module_utils._api.settings import Settings
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
        lines += output.end("a\nb\ncafé c\nd\ne")
        assert [line.replace("\ufffd\ufffd", "é") for line in lines] == ["a", "b", "café c", "d", "e"]


@pytest.mark.parametrize(
    ("printed", "whole", "last"),
    [
        ("caf\ufffd\ufffd s3cret-t", "café s3cret-token x", "café ******** x"),
        ("a\nb token-of-two\n", "a\nb token-of-two\nlines c", "b ******** c"),
        ("a\nb two-lines\nxy c", "a\nb two-lines\nxy c d", "b ******** c d"),
    ],
)
def test_a_secret_that_the_result_completes_is_hidden(printed: str, whole: str, last: str) -> None:
    output = LiveOutput({*SECRETS, "two-lines\nxy"}, None)
    output.add(printed)
    assert output.end(whole) == [last]


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

SECRET = "s3cret-token"


class Workspace:
    """Answers reads of chunks: with rows, or with an error."""

    def __init__(self) -> None:
        self.settings = Settings("https://ws.example", "token")
        self.answers: list[Any] = []
        self.quota = Quota(self.settings.requests_per_hour)
        self.is_refused = False
        self.params: list[dict[str, Any]] = []

    def until(self, **_deadlines: float) -> Workspace:
        return self

    def pages(self, _path: str, params: dict[str, Any], **_options: Any) -> Any:
        self.params.append(params)
        self.quota.count_request()
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        yield SimpleNamespace(rows=answer)

    def get_quota_pause(self, commands: int, longest: float) -> float | None:
        return self.quota.get_pause(commands, self.is_refused, longest)


class Following:
    def __init__(self) -> None:
        self.workspace, self.printed = Workspace(), list[str]()
        keys = Counter[str]()

        def is_first(key: str) -> bool:
            keys[key] += 1
            return keys[key] == 1

        context = RunContext(report=self.printed.append, is_first=is_first)
        self.client = cast("Any", self.workspace)
        self.follower = Follower(self.client, {SECRET}, Run(context))
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
        stream = self.follower._streams[job.submitted.id]
        job.awaited_since -= 100
        stream.read_at -= 105 if stream.read_at else 0
        assert self.follower.take_due([job]) == [job]
        assert self.follower.take_due([job]) == [], "one read at a time"
        self.workspace.answers = [answer]
        self.follower.read(job, self.client)


@pytest.fixture
def following() -> Following:
    return Following()


@pytest.mark.parametrize(("commands", "seconds"), [(1, 1200), (3, 600), (20, 200)])
def test_reads_of_loud_commands_are_soon_for_minutes_and_last_for_an_hour(
    following: Following, monkeypatch: pytest.MonkeyPatch, commands: int, seconds: float
) -> None:
    began = now = 90_000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    jobs = [following.begin() for _number in range(commands)]
    read_at, pauses, total = dict.fromkeys(map(id, jobs), began), [], 0
    while (now := following.follower.get_next_read(jobs)) < began + 3600:
        for job in following.follower.take_due(jobs):
            following.workspace.answers = [[]]
            following.follower.read(job, following.client)
            pauses += [now - read_at[id(job)]] if now < began + seconds else []
            read_at[id(job)] = now
            total += 1
    assert 2.5 <= min(pauses) <= max(pauses) < 10
    assert total <= 1000
    assert [text for text in following.printed if "requests_per_hour" in text][:1] == following.printed[:1]
    assert len(following.printed) == (1 if commands == 1 else 2)


def test_the_first_chunk_is_output_until_a_read_finds_nothing(following: Following) -> None:
    job = following.begin()
    found = []
    for rows in ([], [{"seq": 0, "content": "one\n"}], []):
        following.read(job, rows)
        found.append(following.follower.has_output(job))
    assert found == [False, True, False]


def test_a_refused_read_is_not_repeated_soon(following: Following) -> None:
    jobs = [following.begin() for _number in range(4)]
    following.workspace.is_refused = True
    following.read(jobs[0], [])
    assert following.get_pause(jobs[0]) > 10


def test_commands_that_have_ended_do_not_delay_the_reads_of_others(following: Following) -> None:
    jobs = [following.begin() for _number in range(4)]
    following.workspace.is_refused = True
    following.read(jobs[0], [])
    before = following.get_pause(jobs[0])
    for job in jobs[1:]:
        following.follower.finish(job, Output(""))
    following.read(jobs[0], [])
    assert following.get_pause(jobs[0]) < before / 3


def test_output_is_read_on_if_a_command_is_accepted_meanwhile(following: Following) -> None:
    job = following.begin()

    class Counted(follow._Stream):
        @property
        def has_ended(self) -> bool:
            if len(following.jobs) < 3:
                following.begin()
            return False

        @has_ended.setter
        def has_ended(self, value: bool) -> None:
            pass

    following.follower._streams[job.submitted.id] = Counted()
    following.read(job, [])
    assert following.get_pause(job) == 2.5


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
    following.follower.finish(job, Output("a\nb"))
    following.read(job, [{"seq": 0, "content": "a\n"}])
    assert following.printed == ["web-01 | a", "web-01 | b"]


HALF = {"seq": 2, "content": f"b\nc {SECRET[:8]}"}
GAP = "(output is missing here)"


@pytest.mark.parametrize(
    ("rows", "output", "rest", "printed"),
    [
        pytest.param([HALF], Output(""), [], [GAP, "c"], id="the last chunk after a gap"),
        pytest.param(
            [HALF], Output(""), [{"seq": 4, "content": "x\nd\n"}], [GAP, GAP, "d"], id="another chunk after a gap"
        ),
        pytest.param(
            [{**HALF, "seq": 1}], Output(f"a\nb\nc {SECRET[:8]}", False), [], ["b", "c"], id="the last chunk of a line"
        ),
        pytest.param(
            [{**HALF, "seq": 1}],
            Output(f"a\nb\nc {SECRET[:8]}x\nd\n", False),
            [{"seq": 3, "content": "x\nd\n"}],
            ["b", GAP, "d"],
            id="a chunk before the last",
        ),
        pytest.param([{**HALF, "seq": 1}], Output("a"), [], ["b", "c"], id="lines that the result lacks"),
    ],
)
def test_half_a_secret_is_not_printed_if_the_next_chunk_is_missing(
    following: Following,
    monkeypatch: pytest.MonkeyPatch,
    rows: list[Any],
    output: Output,
    rest: list[Any],
    printed: list[str],
) -> None:
    monkeypatch.setattr(follow, "PACING", Pacing(patience=0.0))
    job = following.begin()
    following.read(job, [{"seq": 0, "content": "a\n"}])
    following.read(job, rows)
    monkeypatch.undo()
    job.command = Command.from_row(current_row(id=job.id, status="success"))
    following.workspace.answers = [rest]
    following.follower.finish(job, output)
    assert [line.rstrip() for line in following.printed] == [f"web-01 | {line}" for line in ("a", *printed)]
