# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Commands that are read one after the other: when nobody is asked any more."""

from __future__ import annotations

from contextlib import suppress
from functools import partial

import pytest

from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import AlpaconError, ApiError
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.command_query import CircuitBreaker


def asked(answers: list[int]) -> int:
    """How many of these are asked for; 200 is an answer, 0 none at all, and others are errors."""
    reads: list[int] = []

    def read(status: int) -> int:
        reads.append(status)
        if status != 200:
            raise ApiError("GET", "/", status) if status else AlpaconError("no connection")
        return status

    each = CircuitBreaker()
    for status in answers:
        with suppress(AlpaconError):
            each.read(partial(read, status))
    return len(reads)


@pytest.mark.parametrize("hopeless", [0, 401, 408, 429, 500, 503])
def test_after_two_in_a_row_without_an_answer_of_their_own_nobody_is_asked(hopeless: int) -> None:
    assert asked([hopeless, hopeless, 200, 200]) == 2
    assert asked([hopeless, 200, hopeless, hopeless, 200]) == 4


@pytest.mark.parametrize("refusal", [400, 403, 404, 499])
def test_a_refusal_is_an_answer(refusal: int) -> None:
    assert asked([refusal, refusal, refusal, 200]) == 4
    assert asked([500, refusal, 500, 200]) == 4
