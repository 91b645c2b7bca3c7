# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import UsageError
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.result_selection import find_unknown_names
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.waivers import (
    apply_waivers,
    describe_expired,
    read_waivers,
)


@pytest.mark.parametrize(("today", "expired"), [(date(2027, 1, 31), False), (date(2027, 2, 1), True)])
def test_a_waiver_is_valid_on_its_last_day(today: date, expired: bool) -> None:
    [waiver] = read_waivers([{"check": "a", "hosts": ["web"], "reason": "It moves.", "until": "2027-01-31"}], today)
    assert waiver.expired is expired


@pytest.mark.parametrize(
    "until", [date(2027, 1, 31), "2027-01-31", "2027-01-31T10:00:00Z", "2027-01-31 10:00:00+09:00"]
)
def test_a_day_may_have_a_time(until: Any) -> None:
    [waiver] = read_waivers([{"check": "a", "hosts": ["web"], "reason": "It moves.", "until": until}], date(2027, 1, 1))
    assert waiver.until == date(2027, 1, 31)


@pytest.mark.parametrize("until", ["2027-01-310", "2027-01-31 or later", "20270131", "2027-W05-1", 20270131])
def test_a_text_that_only_begins_as_a_day_is_refused(until: Any) -> None:
    with pytest.raises(UsageError, match="is not a date"):
        read_waivers([{"check": "a", "hosts": ["web"], "reason": "It moves.", "until": until}], date(2027, 1, 1))


def test_the_approval_is_kept_and_shown() -> None:
    given = {"check": "a", "hosts": ["web"], "reason": "It moves.", "until": "2027-01-31"}
    approval = {"approved_by": "Kim", "since": date(2026, 11, 2), "ticket": "OPS-7"}
    rows = [{**given, **approval}, {**given, "ticket": "OPS-8"}, given]
    waivers = read_waivers(rows, date(2026, 11, 1))
    shown: list[dict[str, Any]] = [{**approval, "since": "2026-11-02"}, {"ticket": "OPS-8"}, {}]
    for waiver, row in zip(waivers, shown, strict=True):
        expected = {**dict.fromkeys(approval), **row}
        assert waiver.to_row().items() >= expected.items()
    assert [text.partition(": ")[2] for text in describe_expired(read_waivers(rows, date(2028, 1, 1)))] == [
        "It moves (approved by Kim, since 2026-11-02, ticket OPS-7). Extend it or remove it.",
        "It moves (ticket OPS-8). Extend it or remove it.",
        "It moves. Extend it or remove it.",
    ]


@pytest.mark.parametrize("message", ["The exit code is 1.", "The output ends with: no", "Why?"])
def test_an_expired_waiver_is_a_sentence_of_its_own(message: str) -> None:
    given = {"check": "a", "hosts": ["web"], "reason": "It moves.", "until": "2027-01-31"}
    row = {"outcome": "failed", "check": "a", "host": "web", "message": message}
    apply_waivers(read_waivers([given], date(2028, 1, 1)), row, frozenset())
    first = message if message.endswith((".", "?")) else f"{message}."
    assert row["message"] == f"{first} Its waiver expired on 2027-01-31: It moves."


def test_names_that_do_not_exist_are_reported() -> None:
    given = {"check": "a", "reason": "It moves.", "until": "2027-01-31"}
    rows = [
        {**given, "hosts": ["web-1", "web-0*", "web-[01]", "db*"], "groups": ["all", "wbe"]},
        {**given, "hosts": ["web-01", "web-1"], "check": "b*/rule"},
        {**given, "hosts": ["web-01"], "check": "disk-spcae/rule"},
    ]
    waivers = read_waivers(rows, date(2027, 1, 1))
    existing = (["a", "bb", "disk-space"], ["web-01", "web-[01]"], ["all", "web"])
    assert find_unknown_names("A waiver", waivers, *existing) == [
        "A waiver names the host web-1, which does not exist. Did you mean web-01?",
        "A waiver names the host db*, which does not exist. Correct it or remove it.",
        "A waiver names the group wbe, which does not exist. Did you mean web?",
        "A waiver names the check disk-spcae, which does not exist. Did you mean disk-space?",
    ]


def test_expired_waivers_are_reported() -> None:
    rows = [
        {"check": f"c{number}", "groups": ["all"], "reason": "It moves.", "until": f"2027-01-{number:02d}"}
        for number in range(1, 29)
    ]
    described = describe_expired(read_waivers(rows, date(2027, 1, 3)))
    assert [text.split()[3] for text in described] == ["c1", "c2"]
    assert described[0].startswith("The waiver of c1 expired on 2027-01-01: It moves. ")
    assert len(describe_expired(read_waivers(rows, date(2028, 1, 1)))) == 10
