# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How long is waited for output of which nothing tells that it is all there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from ansible_collections.herdops.alpacon.plugins.module_utils._api.outputs import Output, read_output
from ansible_collections.herdops.alpacon.plugins.module_utils._api.records import Command
from ansible_collections.herdops.alpacon.tests.unit.support import current_row

ENDED = datetime(2026, 11, 24, 10, 30, 44, tzinfo=timezone.utc)


class Chunks:
    """A client of a workspace that gives a chunk, so many milliseconds after the end of its command."""

    def __init__(self, milliseconds: int) -> None:
        self.clock = self
        self._now = ENDED + timedelta(milliseconds=milliseconds)

    def now(self) -> datetime:
        return self._now

    def rows(self, _path: str, _query: Any) -> Iterator[Any]:
        return iter([{"seq": 0, "content": "text"}])


@pytest.mark.parametrize(
    ("age", "is_whole", "slept"),
    [
        (200, None, [0.4]),
        (600, None, []),
        (200, lambda _text: True, [0.1]),
        (300, lambda _text: True, []),
        (-5000, None, [0.6]),
        (-5000, lambda _text: True, [0.3]),
    ],
)
def test_a_line_has_twice_as_long_as_a_frame_for_its_last_chunk(
    age: int, is_whole: Callable[[str], bool] | None, slept: list[float]
) -> None:
    command = Command.from_row(current_row(status="success", handled_at=ENDED.isoformat()))
    pauses: list[float] = []
    client: Any = Chunks(age)
    assert read_output(client, command, pauses.append, is_whole) == Output("text")
    assert pauses == pytest.approx(slept)
