# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The requests of a run, and the pauses with which they last until the end of the hour."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from ansible_collections.herdops.alpacon.plugins.module_utils._api.quota import Quota


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return a list with the monotonic time, to change."""
    times = [90_000.0]
    monkeypatch.setattr(time, "monotonic", lambda: times[0])
    return times


def count(quota: Quota, requests: int) -> None:
    for _request in range(requests):
        quota.count_request()


@pytest.mark.parametrize(("requests", "is_half_used"), [(50, False), (51, True), (99, True), (100, False)])
def test_half_of_the_quota(now: list[float], tmp_path: Path, requests: int, is_half_used: bool) -> None:
    # A run that made more requests than the limit, and was not refused, has a higher limit.
    for folder in (None, tmp_path):
        quota = Quota(100, folder)
        count(quota, requests)
        assert (quota.get_pause(1) is not None) is is_half_used
        assert quota.get_pause(1, is_exceeded=True) is not None


def test_workers_share_the_quota(now: list[float], tmp_path: Path) -> None:
    one, two = Quota(100, tmp_path), Quota(100, tmp_path)
    count(one, 30)
    count(two, 30)
    assert one.get_pause(1) is not None
    assert two.get_pause(1) is not None


def test_requests_of_more_than_an_hour_ago_do_not_count(now: list[float], tmp_path: Path) -> None:
    quota = Quota(100, tmp_path)
    count(quota, 60)
    now[0] += 3599
    assert quota.get_pause(1) is not None
    now[0] += 302
    assert quota.get_pause(1) is None


def test_the_pause_spreads_the_rest_over_the_hour(now: list[float], tmp_path: Path) -> None:
    quota = Quota(100, tmp_path)
    count(quota, 60)
    now[0] += 600
    assert quota.get_pause(requests=1) == 3000 / 40
    assert quota.get_pause(requests=2) == 3000 / 20
    count(quota, 100)
    assert quota.get_pause(requests=1, is_exceeded=True) == 3000


def test_the_pause_is_limited_until_nine_tenths_are_used_or_a_request_is_refused(now: list[float]) -> None:
    quota = Quota(100)
    count(quota, 50)
    assert quota.get_pause(1, longest=9.0) is None
    count(quota, 39)
    assert quota.get_pause(1, longest=9.0) == 9.0
    assert quota.get_pause(1, is_exceeded=True, longest=9.0) == 3600 / 11
    count(quota, 1)
    assert quota.get_pause(1, longest=9.0) == 3600 / 10
