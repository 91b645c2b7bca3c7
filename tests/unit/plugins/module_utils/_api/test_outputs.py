# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test outputs from rows and chunks, their limit, and the messages of the agent."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from ansible_collections.herdops.alpacon.plugins.module_utils._api import outputs
from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import ApiError, LostResponse, UnknownEndpoint
from ansible_collections.herdops.alpacon.plugins.module_utils._api.outputs import (
    Output,
    blames_account,
    explain_never_began,
    fetch_output,
    limit_output,
)
from ansible_collections.herdops.alpacon.plugins.module_utils._api.records import Command
from ansible_collections.herdops.alpacon.tests.unit.support import Row, current_row, old_row

ENDED = datetime(2026, 11, 24, 10, 30, 44, tzinfo=timezone.utc)


class Chunks:
    """Return chunks like a client, this many milliseconds after the end of the command."""

    def __init__(self, milliseconds: int, *chunks: Any) -> None:
        self.clock = self
        self.queries: list[Mapping[str, Any]] = []
        self._now = ENDED + timedelta(milliseconds=milliseconds)
        self.rows_now = [
            chunk if isinstance(chunk, dict) else {"seq": seq, "content": chunk} for seq, chunk in enumerate(chunks)
        ]

    def now(self) -> datetime:
        return self._now

    def rows(self, _path: str, query: Mapping[str, Any]) -> Iterator[Any]:
        self.queries.append(query)
        for row in self.rows_now:
            if isinstance(row["content"], Exception):
                raise row["content"]
            if row["seq"] not in range(query.get("seq__gte", 0)):
                yield row


def ended(**fields: Any) -> Command:
    return Command.from_row(current_row(**{"status": "success", "handled_at": ENDED.isoformat(), **fields}))


def fetch(*chunks: Any, age: int = 3_600_000, **fields: Any) -> Output:
    """Fetch the output of a command that ended an hour ago, without waiting."""
    client: Any = Chunks(age, *chunks)
    output = fetch_output(client, ended(**fields), lambda _seconds: pytest.fail("nothing is waited for"))
    assert len(client.queries) == 1
    return output


def is_whole(text: str) -> bool:
    return text == "text"


MARKER = "\n... [9 bytes truncated] ...\n"
LIMIT = "Command timed out after 30m0s"
TIMED_OUT: Row = {"status": "failed", "exit_code": 124, "result": LIMIT}


@pytest.mark.parametrize(
    ("age", "fields", "is_framed", "slept"),
    [
        (200, {}, False, [0.4]),
        (600, {}, False, []),
        (200, {}, True, [0.1]),
        (300, {}, True, []),
        (-5000, {}, True, [0.3]),
        (5000, {"handled_at": None}, False, [0.6]),
        (200, {"status": "failed", "exit_code": -1}, True, [0.4]),
        (200, TIMED_OUT, True, [0.4]),
        (200, {**TIMED_OUT, "exit_code": 123, "result": None}, True, [0.1]),
    ],
)
def test_the_last_chunk_of_a_line_is_awaited_twice_as_long(
    age: int, fields: Row, is_framed: bool, slept: list[float]
) -> None:
    pauses: list[float] = []
    client: Any = Chunks(age, "text")
    output = fetch_output(client, ended(**fields), pauses.append, is_whole if is_framed else None)
    assert output == Output(f"text{fields.get('result') or ''}")
    assert pauses == pytest.approx(slept)


# Rows


@pytest.mark.parametrize(
    ("row", "output"),
    [
        (current_row(status="success", result="a\0b\x1b[31m {{ 7 * 7 }}\n"), Output("a\0b\x1b[31m {{ 7 * 7 }}\n")),
        (current_row(status="failed", exit_code=1, result=LIMIT), Output(LIMIT)),
        (old_row("Success", success=True, result=""), Output("")),
        *((current_row(status=status), Output("")) for status in ("cancelled", "denied", "rejected", "expired")),
    ],
)
def test_output_in_the_row_needs_no_request(row: Row, output: Output) -> None:
    client: Any = None
    assert fetch_output(client, Command.from_row(row)) == output


@pytest.mark.parametrize(
    "row",
    [
        current_row(status="success", handled_at=ENDED.isoformat(), result=MARKER),
        old_row("Success", success=True, result=MARKER),
    ],
)
def test_a_cut_result_without_chunks(row: Row) -> None:
    client: Any = Chunks(3_600_000)
    output = fetch_output(client, Command.from_row(row))
    assert output == Output(MARKER, False, "Output is incomplete: the agent cut it in the middle.")


@pytest.mark.parametrize("error", [ApiError("GET", "/", 404, "api_not_found"), UnknownEndpoint("No such address.")])
def test_a_workspace_without_chunks(error: Exception) -> None:
    assert fetch(error, result="") == Output("")


# Chunks


def test_repeated_and_unordered_chunks() -> None:
    assert fetch(*({"seq": "abc".index(char), "content": char} for char in "cacba")) == Output("abc")
    assert fetch() == Output("")
    assert fetch("a\ud800b", "\U0001f600") == Output("a?b\U0001f600")


@pytest.mark.parametrize(
    ("seqs", "note"),
    [
        ([0, 2], "1 chunk of 3 never arrived (1)"),
        ([0, 1, 3, 7, 9], "5 chunks of 10 never arrived (2, 4-6, 8)"),
        (range(0, 44, 2), f"21 chunks of 43 never arrived ({', '.join(map(str, range(1, 41, 2)))}, ...)"),
    ],
)
def test_a_gap_is_reported(seqs: list[int], note: str) -> None:
    output = fetch(*({"seq": seq, "content": f"<{seq}>"} for seq in seqs))
    assert output == Output("".join(f"<{seq}>" for seq in seqs), False, f"Output is incomplete: {note}.")


def test_a_large_gap_is_counted() -> None:
    last = 2**31 - 1
    tracemalloc.start()
    output = fetch({"seq": 0, "content": "a"}, {"seq": 2, "content": {}}, {"seq": last, "content": "z"})
    assert tracemalloc.get_traced_memory()[1] < 2**22
    tracemalloc.stop()
    assert (output.text, output.complete) == ("az", False)
    assert f"{last - 2} chunks of {last + 1} never arrived (1, 3-{last - 1})" in output.note


@pytest.mark.parametrize("seq", [2**31, -1, True, "0"])
def test_a_chunk_without_a_number_is_reported(seq: Any) -> None:
    note = "Output is incomplete: 1 chunk arrived without a number."
    assert fetch("a", {"seq": seq, "content": "z"}) == Output("a", False, note)


def test_a_late_chunk_is_awaited() -> None:
    client: Any = Chunks(0, "a", {"seq": 2, "content": "c"})
    pauses: list[float] = []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 5:
            client.rows_now.append({"seq": 1, "content": "b"})

    assert fetch_output(client, ended(), sleep) == Output("abc")
    assert pauses == [0.6, 0.3, 0.6, 1.2, 2.4]
    assert [query.get("seq__gte") for query in client.queries] == [None, 1, 1, 1, 1]


def test_a_gap_is_reported_though_the_chunks_are_gone() -> None:
    client: Any = Chunks(0, "a", {"seq": 2, "content": "c"})

    def sleep(_seconds: float) -> None:
        if client.queries:
            client.rows_now = [{"seq": 0, "content": ApiError("GET", "/", 404, "api_not_found")}]

    note = "Output is incomplete: 1 chunk of 3 never arrived (1)."
    assert fetch_output(client, ended(), sleep) == Output("ac", False, note)


def test_chunks_beyond_the_limit_are_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outputs, "MAX_RESPONSE_BYTES", 2**20)
    assert len(fetch("x" * 2**19, "x" * 2**19).text) == 2**20
    with pytest.raises(LostResponse, match=r"^its chunks have more than 1 MiB\.$"):
        fetch("x" * 2**19, "x" * 2**19, "x")


# Chunks beside a result that the agent cut

TEXT = "".join(f"line {number}\n" for number in range(2000))
SAID = 'exec: "x": executable file not found in $PATH'


def pieces(text: str) -> list[str]:
    return [text[start : start + 4096] for start in range(0, len(text), 4096)]


def cut(text: str) -> str:
    return text[:1000] + f"\n... [{len(text) - 2000} bytes truncated] ...\n" + text[-1000:]


@pytest.mark.parametrize(
    ("chunks", "fields", "output"),
    [
        (pieces(TEXT), {"result": cut(TEXT)}, Output(TEXT)),
        (pieces(TEXT), {**TIMED_OUT, "result": cut(TEXT) + LIMIT}, Output(TEXT + LIMIT)),
        # Messages of the agent have a prefix in chunks only.
        (
            [*pieces(TEXT), f"alpamon: {SAID}\n"],
            {"status": "failed", "exit_code": 1, "result": cut(TEXT + SAID)},
            Output(f"{TEXT}alpamon: {SAID}\n"),
        ),
    ],
)
def test_chunks_complete_a_cut_result(chunks: list[str], fields: Row, output: Output) -> None:
    assert fetch(*chunks, **fields) == output


@pytest.mark.parametrize("said", ["", LIMIT])
def test_missing_last_chunks_are_detected_by_the_copy(said: str) -> None:
    output = fetch(*pieces(TEXT)[:-1], **{**TIMED_OUT, "result": cut(TEXT) + said})
    came = output.text[: len(output.text) - len(said)]
    assert TEXT.startswith(came)
    assert not output.complete
    assert f"its last chunks never arrived, so {len(came)} of {len(TEXT)} bytes" in output.note


@pytest.mark.parametrize(
    ("content", "result", "complete"),
    [
        ("y" + "x" * 1000, "z" + "x" * 1000, True),
        ("y" + "x" * 999, "z" + "x" * 999, False),
    ],
)
def test_the_last_thousand_characters_are_compared(content: str, result: str, complete: bool) -> None:
    output = fetch(content, result=f"... [9 bytes truncated] ...{result}")
    assert (output.text, output.complete) == (content, complete)


CUT = "\N{REPLACEMENT CHARACTER}"


@pytest.mark.parametrize(
    ("chunks", "result", "text", "damaged"),
    [
        # Characters of each length, in the head.
        ([f"é{CUT}", f"{CUT}é--", "ééé"], f"éééé-{MARKER}éé", "ééé--ééé", 0),
        (["a", f"a{CUT}", CUT, f"{CUT}{CUT}b--ccc"], f"aa🙂b{MARKER}ccc", "aa🙂b--ccc", 0),
        # In the tail, as far as it agrees.
        ([f"aa--b{CUT}", f"{CUT}c{CUT}", f"{CUT}{CUT}d"], f"aa{MARKER}béc가d", "aa--béc가d", 0),
        ([f"aa--b{CUT}", f"{CUT}c{CUT}", f"{CUT}{CUT}d"], f"aa{MARKER}béx가d", f"aa--b{CUT}{CUT}c가d", 1),
        # The result itself is cut inside a character.
        ([f"a{CUT}", f"{CUT}b"], f"a{CUT}{MARKER}{CUT}b", f"a{CUT}{CUT}b", 1),
        # The copy lacks the middle of the output.
        (["aaa", f"a{CUT}", f"{CUT}b", f"b{CUT}{CUT}", f"{CUT}bbb"], f"aa{MARKER}bb", None, 2),
        ([f"a{CUT}", f"{CUT}b"], "", None, 1),
        # Replacement characters that the command wrote are not damage.
        ([f"a{CUT}{CUT}b", "c"], "", None, 0),
        ([f"a{CUT}", "b"], "", None, 0),
        ([f"a{CUT}", f"{CUT}b--c"], f"a{CUT}{CUT}b{MARKER}c", None, 0),
        # The copy of another output repairs nothing.
        ([f"a{CUT}", f"{CUT}b"], f"xéb{MARKER}y", None, 1),
    ],
)
def test_characters_cut_between_chunks_come_from_the_result(
    chunks: list[str], result: str, text: str | None, damaged: int
) -> None:
    output = fetch(*chunks, result=result)
    assert output.text == ("".join(chunks) if text is None else text)
    assert output.complete == (damaged == 0 and not result.endswith("y"))
    assert (f"damaged in {damaged} place" in output.note) == (damaged > 0)


@pytest.mark.parametrize(
    ("chunks", "text"),
    [
        (["head", "middle", "a tai"], "headmiddlea tail"),
        # A byte that is no UTF-8.
        (["head", f"m{CUT}ddle", "a t"], f"headm{CUT}ddlea tail"),
        (["head", "middle", "b "], None),
    ],
)
def test_end_that_never_arrived_comes_from_the_result(chunks: list[str], text: str | None) -> None:
    pauses: list[float] = []
    client: Any = Chunks(10_000, *chunks)
    result = "head\n... [6 bytes truncated] ...\na tail"
    output = fetch_output(client, ended(result=result), pauses.append, lambda text: text.endswith("tail"))
    assert output.complete is (text is not None)
    assert output.text == (text or "".join(chunks))
    assert bool(pauses) is not output.complete, "nothing is waited for"


def test_nothing_is_appended_to_an_output_that_may_be_whole() -> None:
    # The command wrote the replacement character, so it has three bytes.
    chunks = ["head", f"m{CUT}ddle", "xxxxxx"]
    assert fetch(*chunks, result="head\n... [8 bytes truncated] ...\nxxxxxx") == Output("".join(chunks))


# Limits and messages of the agent

RAN = Command.from_row(current_row(status="success", success=True, exit_code=0))
FAILED = Command.from_row(current_row(status="failed", success=False, exit_code=1))
NO_USER = "there is no corresponding deploy username in this server"
CASCADE = "cancelled due to prior command failure"


@pytest.mark.parametrize(
    ("text", "stderr", "limit", "kept", "left_out"),
    [
        ("0123456789\r\n", "abc", 9, ("123456789", "abc"), "1 character"),
        ("안녕하세요", "", 2, ("세요", ""), "3 characters"),
        ("0123456789", "0123456789", 4, ("6789", "6789"), "12 characters"),
    ],
)
def test_each_stream_is_cut_to_its_end(
    text: str, stderr: str, limit: int, kept: tuple[str, str], left_out: str
) -> None:
    output = limit_output(RAN, Output(text, stderr=stderr), limit)
    assert (output.text, output.stderr, output.complete) == (*kept, False)
    assert output.note == f"output_limit cut {left_out} off the start of its output."


@pytest.mark.parametrize(("text", "limit"), [("0123\n", 4), ("\n", 0), ("", 0), ("0123456789", None)])
def test_an_output_within_the_limit_stays_as_it_is(text: str, limit: int | None) -> None:
    assert limit_output(RAN, Output(text), limit) == Output(text)


def test_the_output_of_a_command_that_never_ran_is_not_cut() -> None:
    dropped = Command.from_row(
        current_row(status="failed", success=False, result=CASCADE, delivered_at=None, acked_at=None, handled_at=None)
    )
    assert dropped.ran is False
    assert limit_output(dropped, Output(CASCADE), 3).text == CASCADE
    assert limit_output(FAILED, Output(f"alpamon: {NO_USER}", refused="no account"), 3).text == f"alpamon: {NO_USER}"
    assert limit_output(FAILED, Output(f"{NO_USER}, it says"), 3).text == "ays"


@pytest.mark.parametrize(
    ("fields", "never_began"),
    [
        ({"exit_code": None}, True),
        ({"exit_code": 2}, False),
        ({"error_phase": "executing"}, False),
        ({"status": "success", "success": True}, False),
    ],
)
def test_messages_of_the_agent_in_the_output_of_a_line_are_ignored(fields: Row, never_began: bool) -> None:
    command = Command.from_row(current_row(**{"status": "failed", "success": False, "exit_code": 1, **fields}))
    assert bool(explain_never_began(command, NO_USER)) is never_began


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("there is no corresponding ann lee username in this server", "the server has no user ann lee"),
        ("there is no corresponding domain users groupname in this server", "the server has no group domain users."),
        (
            "groupname domain users is not in user ann lee's group list",
            "the user ann lee is not a member of the group domain users.",
        ),
    ],
)
def test_an_account_that_is_refused_is_named(said: str, why: str) -> None:
    row = current_row(status="failed", success=False, exit_code=1, username="ann lee", groupname="domain users")
    found = explain_never_began(Command.from_row(row), f"alpamon: {said}\n")
    assert found.startswith(why)
    assert ("over the connection with alpacon_groupname" in found) == ("group" in said)


@pytest.mark.parametrize(
    ("said", "refused", "blamed"),
    [
        (NO_USER, True, True),
        ("fork/exec /bin/sh: no such file or directory", True, True),
        ("fork/exec /bin/sh: argument list too long", True, False),
        (NO_USER, False, False),
    ],
)
def test_only_an_account_that_is_refused_is_blamed(said: str, refused: bool, blamed: bool) -> None:
    assert blames_account(Output(f"alpamon: {said}\n", refused="it says so" if refused else "")) is blamed
