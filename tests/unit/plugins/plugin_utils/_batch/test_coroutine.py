# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Let functions wait in threads."""

from __future__ import annotations

import pytest

from ansible_collections.herdops.alpacon.plugins.plugin_utils._batch.coroutine import (
    Aborted,
    Coroutine,
    wait_for,
)


def test_a_function_waits_for_an_answer_and_returns_a_value() -> None:
    coroutine = Coroutine(lambda: [wait_for("first"), wait_for("second")])
    coroutine.resume()
    assert (coroutine.request, coroutine.has_ended) == ("first", False)
    coroutine.resume(1)
    assert coroutine.request == "second"
    coroutine.resume(2)
    assert (coroutine.request, coroutine.value, coroutine.has_ended) == (None, [1, 2], True)
    assert Coroutine.get_current() is None


def test_an_error_reaches_the_caller() -> None:
    coroutine = Coroutine(lambda: 1 // wait_for("divisor"))
    coroutine.resume()
    with pytest.raises(ZeroDivisionError):
        coroutine.resume(0)
    assert coroutine.has_ended


@pytest.mark.parametrize("begins", [True, False])
def test_an_aborted_function_ends_and_waits_for_nothing_more(begins: bool) -> None:
    seen: list[str] = []

    def function() -> None:
        try:
            wait_for("answer")
        except Aborted:
            seen.append("aborted")
            wait_for("a step of its end")
        finally:
            seen.append("ended")

    coroutine = Coroutine(function)
    if begins:
        coroutine.resume()
    coroutine.abort()
    coroutine.abort()
    assert (coroutine.request, coroutine.has_ended) == (None, True)
    assert seen == (["aborted", "ended"] if begins else [])


def test_only_a_coroutine_can_wait() -> None:
    with pytest.raises(RuntimeError):
        wait_for("answer")
