# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is known of the workspace's clock by the Date of its answers, and by when own submits were added."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from ansible_collections.herdops.alpacon.plugins.module_utils._api.records import is_same_time, parse_time
from ansible_collections.herdops.alpacon.plugins.module_utils._api.response import WorkspaceClock

#: Local time at which requests are sent, in whole seconds since the epoch; each is answered after half a second.
SENT = 1_800_000_000.0
ARRIVED = SENT + 0.5


def moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, timezone.utc)


@pytest.fixture
def clock() -> WorkspaceClock:
    return WorkspaceClock()


@pytest.mark.parametrize("ahead", [0.0, 7200.0, -7200.0])
def test_a_row_of_ones_own_was_added_before_its_answer_came(clock: WorkspaceClock, ahead: float) -> None:
    clock.observe_row(moment(SENT + 0.25 + ahead), SENT, ARRIVED)
    assert clock.timestamp_at(SENT) == pytest.approx(SENT + ahead - 0.25), "the earliest that it can have shown"
    assert clock.is_known


def test_a_row_counts_more_than_a_date_which_may_be_a_proxys(clock: WorkspaceClock) -> None:
    clock.observe_date(SENT + 10, SENT, ARRIVED)
    assert clock.timestamp_at(SENT) == pytest.approx(SENT + 9.5)
    clock.observe_row(moment(SENT + 0.25), SENT, ARRIVED)
    clock.observe_date(SENT + 20, SENT + 10, ARRIVED + 10)
    assert clock.timestamp_at(SENT) == pytest.approx(SENT - 0.25)
    assert clock.is_known


def test_whole_seconds_may_be_up_to_a_second_late(clock: WorkspaceClock) -> None:
    # Added 0.9 s after a full second, and then 0.1 s after one: with a fraction, these two would not fit.
    clock.observe_row(moment(SENT - 2), SENT - 1.2, SENT - 1.1)
    clock.observe_row(moment(SENT + 1), SENT + 1.05, SENT + 1.1)
    assert clock.is_known
    assert clock.timestamp_at(SENT) == pytest.approx(SENT - 0.1)


@pytest.mark.parametrize("fraction", [0.0, 0.25])
def test_rows_that_contradict_each_other_tell_nothing(clock: WorkspaceClock, fraction: float) -> None:
    clock.observe_row(moment(SENT + fraction), SENT, ARRIVED)
    clock.observe_row(moment(SENT + 3 + fraction), SENT, ARRIVED)
    assert not clock.is_known


@pytest.mark.parametrize(("apart", "fit"), [(2.0, True), (2.25, False)])
def test_dates_are_cut_to_seconds_and_may_disagree_by_another_one(
    clock: WorkspaceClock, apart: float, fit: bool
) -> None:
    clock.observe_date(SENT, SENT, SENT)
    clock.observe_date(SENT + apart, SENT, SENT)
    assert clock.is_known is fit


@pytest.mark.parametrize("towards", [1, -1])
@pytest.mark.parametrize(("hours", "is_one"), [(-1, True), (1, False)])
def test_a_clock_may_be_a_century_off(clock: WorkspaceClock, towards: int, hours: int, is_one: bool) -> None:
    shown = SENT + towards * (100 * 366 * 24 + hours) * 3600
    clock.observe_date(shown, SENT, SENT)
    assert (clock.is_known, clock.timestamp_at(SENT) == SENT) == (is_one, not is_one)


@pytest.mark.parametrize(
    ("stated", "wanted", "is_same"),
    [
        ("2026-11-27T13:33:32Z", "2026-11-27T13:33:32.4Z", True),
        ("2026-11-27T13:33:32.4Z", "2026-11-27T13:33:32Z", False),
        ("2026-11-27T13:33:32.4Z", "2026-11-27T13:33:32.5Z", False),
        ("2026-11-27T13:33:32Z", "", False),
    ],
)
def test_a_row_may_state_the_time_that_is_wanted_without_its_fraction(stated: str, wanted: str, is_same: bool) -> None:
    assert is_same_time(parse_time(stated), parse_time(wanted)) is is_same


@pytest.mark.parametrize(("late", "is_known"), [(-600.0, True), (2.0, True), (2.5, False), (600.0, False)])
def test_what_has_passed_and_is_later_than_the_date_contradicts_it(
    clock: WorkspaceClock, late: float, is_known: bool
) -> None:
    clock.observe_date(SENT, SENT, SENT)
    clock.observe_past(moment(SENT + late), SENT)
    assert clock.is_known is is_known


def test_what_has_passed_alone_tells_no_time(clock: WorkspaceClock) -> None:
    assert (clock.timestamp_at(SENT), clock.is_known) == (SENT, False)
    clock.observe_past(moment(SENT - 600), SENT)
    assert (clock.timestamp_at(SENT), clock.is_known) == (SENT, False)
