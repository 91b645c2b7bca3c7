# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Output in chunks: how long it is waited for, and how it is known that all of it came."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from ansible_collections.herdops.alpacon.plugins.module_utils._api.outputs import Output, read_output
from ansible_collections.herdops.alpacon.plugins.module_utils._api.records import Command
from ansible_collections.herdops.alpacon.tests.unit.support import Row, current_row

ENDED = datetime(2026, 11, 24, 10, 30, 44, tzinfo=timezone.utc)


class Chunks:
    """A client of a workspace that gives chunks, so many milliseconds after the end of its command."""

    def __init__(self, milliseconds: int = 10_000, *contents: str) -> None:
        self.clock = self
        self._now = ENDED + timedelta(milliseconds=milliseconds)
        self._contents = contents or ("text",)

    def now(self) -> datetime:
        return self._now

    def rows(self, _path: str, _query: Any) -> Iterator[Any]:
        return iter([{"seq": seq, "content": content} for seq, content in enumerate(self._contents)])


def ended(**fields: Any) -> Command:
    return Command.from_row(current_row(**{"status": "success", "handled_at": ENDED.isoformat(), **fields}))


def is_whole(text: str) -> bool:
    return text == "text"


TOO_LONG: Row = {"status": "failed", "exit_code": 124, "result": "Command timed out after 30m0s"}


@pytest.mark.parametrize(
    ("age", "fields", "is_framed", "slept"),
    [
        (200, {}, False, [0.4]),
        (600, {}, False, []),
        (200, {}, True, [0.1]),
        (300, {}, True, []),
        (-5000, {}, False, [0.6]),
        (-5000, {}, True, [0.3]),
        (5000, {"handled_at": None}, False, [0.6]),
        (200, {"status": "failed", "exit_code": -1}, True, [0.4]),
        (200, {"status": "failed", "exit_code": 0}, True, [0.1]),
        (200, TOO_LONG, True, [0.4]),
        (200, {**TOO_LONG, "exit_code": 123, "result": None}, True, [0.1]),
    ],
)
def test_a_line_has_twice_as_long_as_a_frame_for_its_last_chunk(
    age: int, fields: Row, is_framed: bool, slept: list[float]
) -> None:
    pauses: list[float] = []
    client: Any = Chunks(age)
    output = read_output(client, ended(**fields), pauses.append, is_whole if is_framed else None)
    assert output == Output(f"text{fields.get('result') or ''}")
    assert pauses == pytest.approx(slept)


@pytest.mark.parametrize(
    ("content", "result", "complete"),
    [
        ("y" + "x" * 1000, "z" + "x" * 1000, True),
        ("y" + "x" * 999, "z" + "x" * 999, False),
        ("x" + " " * 3000 + "x" * 999, "x" * 1000, True),
    ],
)
def test_the_last_thousand_characters_tell_whether_all_chunks_came(content: str, result: str, complete: bool) -> None:
    client: Any = Chunks(10_000, content)
    output = read_output(client, ended(result=f"... [9 bytes truncated] ...{result}"), lambda _seconds: None)
    assert (output.text, output.complete) == (content, complete)


CUT = "\N{REPLACEMENT CHARACTER}"
MARKER = "\n... [9 bytes truncated] ...\n"


@pytest.mark.parametrize(
    ("chunks", "result", "text", "damaged"),
    [
        # A character of each length, in the head and in the tail.
        ([f"é{CUT}", f"{CUT}é--", "ééé"], f"éééé-{MARKER}éé", "ééé--ééé", 0),
        (["a", f"a{CUT}", CUT, f"{CUT}{CUT}b--ccc"], f"aa🙂b{MARKER}ccc", "aa🙂b--ccc", 0),
        (["aaa-", f"-b{CUT}{CUT}", f"{CUT}c"], f"aaa{MARKER}b€c", "aaa--b€c", 0),
        ([f"a{CUT}{CUT}", f"{CUT}b{CUT}", f"{CUT}c"], f"a€{MARKER}éc", "a€béc", 0),
        # The result itself is cut inside a character.
        ([f"a{CUT}", f"{CUT}b"], f"a{CUT}{MARKER}{CUT}b", f"a{CUT}{CUT}b", 1),
        # In the middle nobody knows.
        (["aaa", f"a{CUT}", f"{CUT}b", f"b{CUT}{CUT}", f"{CUT}bbb"], f"aa{MARKER}bb", None, 2),
        ([f"a{CUT}", f"{CUT}b"], "", None, 1),
        # What the command wrote is no damage.
        ([f"a{CUT}{CUT}b", "c"], "", None, 0),
        ([f"a{CUT}", "b"], "", None, 0),
        (["a", f"{CUT}b"], "", None, 0),
        ([f"a{CUT}", f"{CUT}b--c"], f"a{CUT}{CUT}b{MARKER}c", None, 0),
        # A copy of something else mends nothing.
        ([f"a{CUT}", f"{CUT}b"], f"xéb{MARKER}y", None, 1),
    ],
)
def test_characters_cut_between_chunks_come_from_the_result(
    chunks: list[str], result: str, text: str | None, damaged: int
) -> None:
    client: Any = Chunks(100_000, *chunks)
    output = read_output(client, ended(result=result))
    assert output.text == ("".join(chunks) if text is None else text)
    assert output.complete == (damaged == 0 and not result.endswith("y"))
    assert (f"damaged in {damaged} place" in output.note) == (damaged > 0)


@pytest.mark.parametrize(
    ("chunks", "complete"),
    [
        (["head", "middle"], True),
        (["head", "middle", "a "], True),
        (["head", "middle", "a tai"], True),
        (["head", "middl"], False),
        (["head", "middle", "b "], False),
    ],
)
def test_end_that_never_arrived_comes_from_the_result(chunks: list[str], complete: bool) -> None:
    pauses: list[float] = []
    client: Any = Chunks(10_000, *chunks)
    result = "head\n... [6 bytes truncated] ...\na tail"
    output = read_output(client, ended(result=result), pauses.append, lambda text: text.endswith("tail"))
    assert output.complete is complete
    assert output.text == ("headmiddlea tail" if complete else "".join(chunks))
    assert bool(pauses) is not complete, "nothing is waited for"
