# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Variables of the role: what hosts say of those that are one for the play, and how sentences name them."""

from __future__ import annotations

from datetime import date

import pytest

from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import UsageError
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.outcomes import Outcome
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.of_play import (
    join_waivers,
    of_role,
    refuse_different,
)
from ansible_collections.herdops.alpacon.tests.unit.support import Row

TODAY = date(2027, 1, 1)
WAIVER: Row = {"check": "sshd-*", "groups": ["db"], "reason": "It is known.", "until": "2027-12-31"}


def test_the_first_two_hosts_that_differ_are_named() -> None:
    name = "audit_fail_on"
    refuse_different({})
    refuse_different({"web-01": {name: 1}, "web-02": {name: 1}})
    with pytest.raises(UsageError, match=f"^{name}: .* differs: web-01 has 1.*, db-01 has 2.*. Set it in the play, "):
        refuse_different({"web-01": {name: 1}, "web-02": {name: 1}, "db-01": {name: 2}, "db-02": {}})


@pytest.mark.parametrize(
    ("name", "one", "other"),
    [
        ("audit_wait_timeout", "10m", 600),
        ("audit_min_coverage", "95", 95),
        ("audit_formats", "html, json", ["html", "json"]),
        ("audit_budget", None, ""),
    ],
)
def test_two_spellings_of_one_value_are_no_difference(name: str, one: object, other: object) -> None:
    refuse_different({"web-01": {name: one}, "web-02": {name: other}})


def test_waivers_are_joined_each_once() -> None:
    other = {**WAIVER, "check": "nginx"}
    assert join_waivers([("web-01", []), ("web-02", [WAIVER, other]), ("db-01", [other, WAIVER])], TODAY) == [
        WAIVER,
        other,
    ]


@pytest.mark.parametrize("given", [None, [WAIVER, "sshd-*"]])
def test_waivers_of_a_host_that_are_none(given: object) -> None:
    with pytest.raises(UsageError, match=r"^audit_waivers: it is not a list of dictionaries.* Host: db-01.$"):
        join_waivers([("web-01", [WAIVER]), ("db-01", given)], TODAY)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("dest: nothing can be written to /dest: No.", "audit_report_dir: nothing can be written to /dest: No."),
        ("waivers, waiver 1: check: it is empty.", "audit_waivers, waiver 1: check: it is empty."),
        ("audit_skip: no check is left.", "audit_skip: no check is left."),
        ("wait_timeout is 28800, and min_coverage is 2.", "wait_timeout is 28800, and min_coverage is 2."),
        ("Used up for longer than wait_timeout allows.", "Used up for longer than audit_wait_timeout allows."),
        (Outcome.TIMED_OUT.sentence, Outcome.TIMED_OUT.sentence.replace("wait_timeout", "audit_wait_timeout")),
    ],
)
def test_sentences_name_the_variables_of_the_role(text: str, named: str) -> None:
    assert of_role(text) == named
    assert of_role("budget: 2 servers", about_option=False) == "budget: 2 servers"
