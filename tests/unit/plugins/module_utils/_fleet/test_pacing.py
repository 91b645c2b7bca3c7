# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pauses between polls."""

from __future__ import annotations

import pytest

from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.pacing import (
    BATCH_PACING,
    MODULE_PACING,
    PACING,
    Pacing,
)

#: Seconds that a poll takes.
REQUEST = 0.02


def polls(pacing: Pacing, seconds: float, expected: float | None = None) -> tuple[int, float]:
    """Return the number of polls of one command that takes this many seconds, and the lag of the last in seconds."""
    now, number = pacing.get_first_poll(expected), 1
    while now < seconds:
        now += REQUEST + pacing.get_pause(now + REQUEST, expected=expected)
        number += 1
    return number, now - seconds


@pytest.mark.parametrize("pacing", [PACING, MODULE_PACING])
@pytest.mark.parametrize(("seconds", "most"), [(0.2, 1), (2.2, 2), (20.2, 4), (60.2, 6), (600.2, 12)])
def test_a_single_command_costs_few_polls(pacing: Pacing, seconds: float, most: int) -> None:
    number, lag = polls(pacing, seconds)
    assert number <= most
    assert lag <= max(0.5, min(0.11 * seconds, 3 if seconds < 100 else 60))


@pytest.mark.parametrize("pacing", [PACING, MODULE_PACING])
def test_the_lag_of_a_single_command_is_bounded(pacing: Pacing) -> None:
    lags = [polls(pacing, seconds)[1] for seconds in range(1, 61)]
    assert sum(lags) / len(lags) < 9
    assert all(polls(pacing, seconds)[1] <= min(7.5 + 0.43 * seconds, 181) for seconds in range(1, 1000, 7))


@pytest.mark.parametrize(("expected", "polled"), [(0.3, 1), (0.6, 1), (1.4, 2), (4, 2), (15.8, 3), (60, 6)])
def test_a_poll_comes_when_the_command_is_expected_to_end(expected: float, polled: int) -> None:
    number, lag = polls(MODULE_PACING, expected - 0.01, expected)
    assert number == polled
    assert lag == pytest.approx(0, abs=0.02)


def test_a_command_that_takes_longer_than_expected_is_polled_soon() -> None:
    assert polls(MODULE_PACING, 0.45, 0.4)[1] < 0.2
    assert polls(MODULE_PACING, 16, 15.8)[1] < 4


@pytest.mark.parametrize(("seconds", "most"), [(3, 5), (6, 6), (60, 10), (600, 17)])
def test_a_batch_that_takes_twice_as_long_as_expected_is_polled_soon(seconds: float, most: int) -> None:
    number, lag = polls(BATCH_PACING, seconds, seconds / 2)
    assert number <= most
    assert lag <= 2 + 0.43 * seconds


@pytest.mark.parametrize(
    ("commands", "age", "pause"),
    [
        (1, 10, 11.2),
        (2, 10, 5.6),
        (5, 10, 2.24),
        (100, 0.1, 0.3),
        (100, 1, 1),
        (100, 10, 1),
        (100, 100, 8),
        (500, 1000, 10),
    ],
)
def test_the_more_commands_the_shorter_the_pause(commands: int, age: float, pause: float) -> None:
    assert PACING.get_pause(age, commands) == pytest.approx(pause)


@pytest.mark.parametrize(("pages", "pause"), [(1, 1), (10, 3.46), (32, 9.3), (101, 30)])
def test_pauses_grow_with_the_length_of_the_list(pages: int, pause: float) -> None:
    assert PACING.get_pause(10, 100 * pages, pages) == pytest.approx(pause, abs=0.01)
