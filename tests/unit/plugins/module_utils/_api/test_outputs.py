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
    """A client of a workspace that gives a chunk, so many milliseconds after the end of its command."""

    def __init__(self, milliseconds: int = 10_000, content: str = "text") -> None:
        self.clock = self
        self._now = ENDED + timedelta(milliseconds=milliseconds)
        self._content = content

    def now(self) -> datetime:
        return self._now

    def rows(self, _path: str, _query: Any) -> Iterator[Any]:
        return iter([{"seq": 0, "content": self._content}])


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
    client: Any = Chunks(content=content)
    output = read_output(client, ended(result=f"... [9 bytes truncated] ...{result}"), lambda _seconds: None)
    assert (output.text, output.complete) == (content, complete)
