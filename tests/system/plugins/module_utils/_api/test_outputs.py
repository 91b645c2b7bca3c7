# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The output of commands, from rows and from chunks."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from system.conftest import Connect
from system.support import NotedPauses, Reply, ScriptedServer, in_every_dialect
from workspace.client import Workspace

from ansible_collections.herdops.alpacon.plugins.module_utils._api import outputs
from ansible_collections.herdops.alpacon.plugins.module_utils._api.client import Client
from ansible_collections.herdops.alpacon.plugins.module_utils._api.commands import (
    list_commands,
)
from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import LostAnswer
from ansible_collections.herdops.alpacon.plugins.module_utils._api.outputs import Output, read_output
from ansible_collections.herdops.alpacon.plugins.module_utils._api.records import Command
from ansible_collections.herdops.alpacon.tests.unit.support import (
    Row,
    current_row,
    page,
)

Serve = Callable[..., ScriptedServer]


UNICODE = "".join(chr(0xAC00 + number % 11172) for number in range(9000)) + "é🙂\n" * 340


def listed(client: Client, command_id: str) -> Command:
    return next(command for command in list_commands(client) if command.id == command_id)


@pytest.fixture
def ended(workspace: Workspace, connect: Connect) -> Callable[..., tuple[Client, Command]]:
    """Makes a command that ended an hour ago, and gives a client that has seen it in the list."""

    def make(**fields: Any) -> tuple[Client, Command]:
        [command_id] = workspace.add_commands([{"status": "success", "added_at": -3600, **fields}])
        client = connect(workspace)
        return client, listed(client, command_id)

    return make


Ended = Callable[..., tuple[Client, Command]]


def read(client: Client, command: Command) -> tuple[Output, int]:
    """Its output, and how many requests that took."""
    before = client.requests
    return read_output(client, command, NotedPauses()), client.requests - before


@in_every_dialect
@pytest.mark.parametrize("text", ["hello\n", UNICODE, "x" * 10_000, "a\0b\x1b[31m", "{{ 7 * 7 }}"])
def test_output_that_its_row_carries_costs_no_request(ended: Ended, text: str) -> None:
    output, requests = read(*ended(result=text))
    assert (output.text, output.complete, output.note, requests) == (text, True, "", 0)


@in_every_dialect
def test_empty_output(workspace: Workspace, ended: Ended) -> None:
    output, requests = read(*ended(result=""))
    assert (output.text, output.complete) == ("", True)
    assert requests == (1 if workspace.dialect == "current" else 0)


@pytest.fixture
def chunked(current: Workspace, connect: Connect) -> Ended:
    """The same for a command of a workspace that keeps outputs in chunks."""

    def make(chunks: list[Any], **fields: Any) -> tuple[Client, Command]:
        row = {"status": "success", "added_at": -3600, "result": "", "chunks": chunks, **fields}
        [command_id] = current.add_commands([row])
        client = connect(current)
        return client, listed(client, command_id)

    return make


def pieces(text: str, size: int) -> list[str]:
    return [text[start : start + size] for start in range(0, len(text), size)]


@pytest.mark.parametrize(("size", "requests"), [(4096, 1), (100, 2), (40, 3)])
def test_output_that_exists_only_as_chunks(chunked: Ended, size: int, requests: int) -> None:
    output, made = read(*chunked(pieces(UNICODE, size)))
    assert (output.text, output.complete, output.note) == (UNICODE, True, "")
    assert made == requests


def test_chunks_that_come_twice_and_out_of_order(chunked: Ended) -> None:
    chunks = [{"seq": seq, "content": content} for seq, content in [(2, "c"), (0, "a"), (2, "c"), (1, "b"), (0, "a")]]
    output, made = read(*chunked(chunks))
    assert (output.text, output.complete, made) == ("abc", True, 1)


@pytest.mark.parametrize(
    ("seqs", "note"),
    [
        ([0, 2], "1 chunk of 3 never arrived (1)"),
        ([2], "2 chunks of 3 never arrived (0-1)"),
        ([0, 1, 3, 7, 9], "5 chunks of 10 never arrived (2, 4-6, 8)"),
    ],
)
def test_a_hole_is_reported(chunked: Ended, seqs: list[int], note: str) -> None:
    output, made = read(*chunked([{"seq": seq, "content": f"<{seq}>"} for seq in seqs]))
    assert output.text == "".join(f"<{seq}>" for seq in seqs)
    assert (output.complete, output.note) == (False, f"Output is incomplete: {note}.")
    assert made == 1, "what is missing an hour after the end never comes"


@pytest.mark.parametrize("seq", [50_000_000, 2**31 - 1])
def test_a_hole_of_any_size_is_counted(serve: Serve, connect: Connect, seq: int) -> None:
    nonsense: list[Any] = [True, -1, -(10**9), None, "0", 0.5, [1], {}]
    odd: list[Row] = [{"seq": number, "content": "x"} for number in nonsense]
    rows = [*odd, {"seq": 0, "content": "a"}, {"seq": 2, "content": {}}, {"seq": seq, "content": "z"}]
    command = Command.from_row(current_row(status="success", handled_at="2026-01-01T00:00:00Z"))
    tracemalloc.start()
    output = read_output(connect(serve([Reply(page(rows))])), command)
    assert tracemalloc.get_traced_memory()[1] < 2**22
    tracemalloc.stop()
    assert (output.text, output.complete) == ("az", False)
    assert f"{seq - 2} chunks of {seq + 1} never arrived (1, 3-{seq - 1})" in output.note


@pytest.mark.parametrize("seq", [2**31, int("9" * 4300), -1, None], ids=lambda seq: f"{seq!s:.20}")
@pytest.mark.parametrize("others", [1, 0])
def test_a_chunk_whose_place_nobody_knows_is_told_of(serve: Serve, connect: Connect, seq: Any, others: int) -> None:
    rows = [*[{"seq": 0, "content": "a"}] * others, {"seq": seq, "content": "z"}]
    command = Command.from_row(current_row(status="success", handled_at="2026-01-01T00:00:00Z"))
    output = read_output(connect(serve([Reply(page(rows))])), command)
    assert (output.text, output.complete) == ("a" * others, False)
    assert output.note == "Output is incomplete: 1 chunk came without a number that says where to put it."


def test_half_a_character_of_a_chunk_costs_only_itself(serve: Serve, connect: Connect) -> None:
    rows = [{"seq": 0, "content": "a\ud800b"}, {"seq": 1, "content": "\U0001f600"}]
    command = Command.from_row(current_row(status="success", handled_at="2026-01-01T00:00:00Z"))
    output = read_output(connect(serve([Reply(page(rows))])), command)
    assert (output.text, output.complete) == ("a?b\U0001f600", True)


@pytest.mark.parametrize(
    ("count", "lost", "end"),
    [(42, "20 chunks of 41", "35, 37, 39)."), (2000, "999 chunks of 1999", "35, 37, 39, ...).")],
)
def test_twenty_holes_are_shown_at_the_most(serve: Serve, connect: Connect, count: int, lost: str, end: str) -> None:
    rows = [{"seq": number, "content": "x"} for number in range(0, count, 2)]
    command = Command.from_row(current_row(status="success", handled_at="2026-01-01T00:00:00Z"))
    output = read_output(connect(serve([Reply(page(rows))])), command)
    assert f"{lost} never arrived (1, 3, 5," in output.note
    assert output.note.endswith(end)


def test_a_chunk_that_comes_late_is_waited_for(current: Workspace, connect: Connect) -> None:
    row = {"status": "success", "result": "", "chunks": ["a", {"seq": 2, "content": "c"}]}
    [command_id] = current.add_commands([row])
    client = connect(current)
    command = listed(client, command_id)
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 5:
            current.change_command(command_id, chunks=[{"seq": 1, "content": "b"}])

    output = read_output(client, command, sleep)
    assert (output.text, output.complete) == ("abc", True)
    settling, *pauses = slept
    assert 0 < settling <= 0.3
    assert pauses == sorted(pauses)
    assert any("seq__gte=1" in entry["path"] for entry in current.log())


def test_a_chunk_that_never_comes_is_not_waited_for_for_ever(current: Workspace, connect: Connect) -> None:
    row = {"status": "success", "result": "", "chunks": [{"seq": 1, "content": "b"}]}
    [command_id] = current.add_commands([row])
    client = connect(current)
    sleep = NotedPauses()
    output = read_output(client, listed(client, command_id), sleep)
    assert (output.text, output.complete) == ("b", False)
    assert sleep.slept[1:] == [0.3 * 2**number for number in range(5)], "the agent repeats a lost one as widely spaced"


@pytest.mark.parametrize(("age", "settles"), [(0.1, True), (10.0, False)])
def test_the_last_chunk_may_come_after_the_end(
    current: Workspace, connect: Connect, monkeypatch: pytest.MonkeyPatch, age: float, settles: bool
) -> None:
    [command_id] = current.add_commands([{"status": "success", "result": ""}])
    client = connect(current)
    command = listed(client, command_id)
    assert command.handled_at is not None
    now = command.handled_at + timedelta(seconds=age)
    monkeypatch.setattr(client.clock, "now", lambda: now)
    late: list[float] = []

    def sleep(seconds: float) -> None:
        late.append(round(seconds, 3))
        current.change_command(command_id, chunks=["late"])

    assert read_output(client, command, sleep).text == ("late" if settles else "")
    assert late == ([0.2] if settles else [])


def test_a_finish_that_a_row_tells_only_by_how_long_it_took_may_be_old(chunked: Ended, current: Workspace) -> None:
    current.settings(lean_rows=True)
    client, command = chunked([])
    assert command.handled_at is None
    pauses = NotedPauses()
    assert read_output(client, command, pauses) == Output("")
    assert pauses.slept == []


MIB = 1024 * 1024


def cut(text: str) -> str:
    return text[:1000] + f"\n... [{len(text) - 2000} bytes truncated] ...\n" + text[-1000:]


def test_chunks_of_more_than_an_answer_may_have_are_read_no_further(
    chunked: Ended, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outputs, "LARGEST_ANSWER", 2**20)
    client, command = chunked(["x" * 9000] * 240)
    before = client.requests
    with pytest.raises(LostAnswer, match=r"^its chunks have more than 1 MiB\.$"):
        read_output(client, command, NotedPauses())
    assert client.requests - before == 2, "of three pages"


def test_a_result_that_was_cut_is_whole_in_its_chunks(chunked: Ended) -> None:
    text = "".join(f"line {number}\n" for number in range(20_000))
    output, made = read(*chunked(pieces(text, 4096), result=cut(text)))
    assert (output.text, output.complete, made) == (text, True, 1)


@in_every_dialect
def test_a_result_that_was_cut_and_has_no_chunks(ended: Ended, workspace: Workspace) -> None:
    text = cut("x" * 2 * MIB)
    output, made = read(*ended(result=text))
    assert (output.text, output.complete) == (text, False)
    assert "the agent cut it in the middle" in output.note
    assert made == (1 if workspace.dialect == "current" else 0)


def test_chunks_that_stop_early_are_told_by_the_copy_of_the_agent(chunked: Ended) -> None:
    text = "".join(f"line {number}\n" for number in range(2000))
    output, _made = read(*chunked(pieces(text, 4096)[:-1], result=cut(text)))
    assert not output.complete
    assert (
        f"its last chunks never arrived, so {len(output.text.removesuffix(LIMIT))} of {len(text)} bytes" in output.note
    )
    assert text.startswith(output.text)


LIMIT = "Command timed out after 30m0s"


def test_what_took_too_long_is_whole_in_its_chunks_but_for_the_word_of_it(chunked: Ended) -> None:
    text = "".join(f"line {number}\n" for number in range(20_000))
    fields: Row = {"status": "failed", "exit_code": 124, "result": cut(text) + LIMIT}
    output, made = read(*chunked(pieces(text, 4096), **fields))
    assert (output.text, output.complete, output.note, made) == (text + LIMIT, True, "", 1)


def test_chunks_of_what_took_too_long_may_stop_early(chunked: Ended) -> None:
    text = "".join(f"line {number}\n" for number in range(2000))
    output, _made = read(*chunked(pieces(text, 4096)[:-1], status="failed", exit_code=124, result=cut(text) + LIMIT))
    assert not output.complete
    assert (
        f"its last chunks never arrived, so {len(output.text.removesuffix(LIMIT))} of {len(text)} bytes" in output.note
    )


@pytest.mark.parametrize(("code", "text"), [(124, f"important\n{LIMIT}"), (1, LIMIT)])
def test_a_result_that_is_but_the_word_of_the_agent_is_no_output(chunked: Ended, code: int, text: str) -> None:
    output, made = read(*chunked(["important\n"], status="failed", exit_code=code, result=LIMIT))
    assert (output.text, output.complete, made) == (text, True, 1 if code == 124 else 0)


def test_what_the_agent_says_meanwhile_differs_in_its_chunks(chunked: Ended) -> None:
    text, said = (
        "".join(f"line {number}\n" for number in range(20_000)),
        'exec: "x": executable file not found in $PATH',
    )
    chunks = [*pieces(text, 4096), f"alpamon: {said}\n"]
    output, _made = read(*chunked(chunks, status="failed", exit_code=1, result=cut(text + said)))
    assert (output.text, output.complete, output.note) == (f"{text}alpamon: {said}\n", True, "")


@pytest.mark.parametrize("status", ["cancelled", "denied", "rejected", "expired"])
def test_what_never_ran_is_not_asked_for_its_output(current: Workspace, connect: Connect, status: str) -> None:
    [command_id] = current.add_commands([{"status": status, "added_at": -3600}])
    client = connect(current)
    output, made = read(client, listed(client, command_id))
    assert (output.text, made) == ("", 0)


def test_a_server_that_knows_no_chunks(serve: Serve, connect: Connect) -> None:
    server = serve([Reply({"code": "api_not_found"}, 404)])
    row = current_row(status="success", success=True, result="", handled_at="2026-01-01T00:00:00Z")
    output, made = read(connect(server), Command.from_row(row))
    assert (output.text, output.complete, made) == ("", True, 1)


def test_real_output_of_more_than_a_mebibyte(current: Workspace, connect: Connect) -> None:
    command_id = current.submit("web-01", "seq 1 160000")
    current.wait_for_command(command_id)
    client = connect(current)
    output = read_output(client, listed(client, command_id))
    assert output.complete, output.note
    assert output.text == "".join(f"{number}\n" for number in range(1, 160_001))


@pytest.mark.parametrize(("first", "complete"), [(200_001, True), (600_001, False)])
def test_character_that_the_agent_cuts_is_mended_or_reported(
    current: Workspace, connect: Connect, first: int, complete: bool
) -> None:
    write = "yes é | tr -d '\\n' | head -c"
    line = f"{write} {first}; sleep 0.5; {write} 1200002 | tail -c +{first + 1} | head -c {1_200_000 - first}"
    command_id = current.submit("web-01", line)
    current.wait_for_command(command_id)
    client = connect(current)
    output = read_output(client, listed(client, command_id))
    assert output.complete == complete
    assert (output.text == "é" * 600_000) == complete
    assert ("damaged in 1 place" in output.note) != complete
