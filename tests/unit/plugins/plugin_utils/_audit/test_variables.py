# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Variables that have one value for the whole audit, the waivers of all hosts, and names in errors."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import UsageError
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.variables import (
    Comparison,
    HostVariables,
    JoinedWaivers,
    in_role,
)
from ansible_collections.herdops.alpacon.tests.unit.support import Row

WAIVER: Row = {"check": "sshd-*", "groups": ["db"], "reason": "It is known.", "until": "2027-12-31"}


def compare(name: str, *values: Any) -> None:
    """Compare hosts that have these values of a variable."""
    comparison = Comparison()
    for number, value in enumerate(values):
        comparison.add(f"web-0{number}", HostVariables(f"web-0{number}", {name: value}, None, {}))


class Templar:
    """A templar that counts what it is asked."""

    asked = 0

    def copy_with_new_env(self, available_variables: Row) -> Templar:
        """Keep the variables."""
        return self

    def template(self, value: Any) -> Any:
        """Return a number that tells each call from the others."""
        Templar.asked += 1
        return Templar.asked


@pytest.mark.parametrize(
    ("value", "times"),
    [
        ("plain", 0),
        ("{{ most }}", 1),
        ([{"line": "{{ first }}"}], 1),
        ("{{ query('herdops.alpacon.benchmark_checks', most) }}", 1),
        ("{{ groups.web | length }}", 1),
        ("{{ own | default(1) }}", 2),
        ("{{ by_host }}", 2),
        ("{{ secret }}", 2),
        ("{{ hostvars['web-01'].x }}", 2),
        ("{{ lookup('vars', 'a' ~ 'b') }}", 2),
        ("{{ most | some.where.filter }}", 2),
    ],
)
def test_a_template_is_worked_out_once_for_hosts_whose_variables_it_names_are_alike(value: Any, times: int) -> None:
    common = {"most": 4, "first": "{{ second }}", "second": "{{ first }}", "secret": object(), "value": value}
    common |= {"by_host": "{{ inventory_hostname }}", "groups": {"web": []}}
    known: Row = {}
    Templar.asked = 0
    for number, host in enumerate(("web-01", "web-02")):
        written = {**common, "inventory_hostname": host, **({"own": 1} if number else {})}
        assert HostVariables(host, written, Templar(), known)["value"]
    assert Templar.asked == times


def test_the_first_two_hosts_that_differ_are_named() -> None:
    name = "audit_fail_on"
    with pytest.raises(UsageError, match=f"^{name}: .* differs: web-00 has 1.*, web-02 has 2.*. Set it in the play, "):
        compare(name, 1, 1, 2, None)


@pytest.mark.parametrize(
    ("name", "one", "other"),
    [
        ("audit_wait_timeout", "10m", 600),
        ("audit_min_coverage", "95", 95),
        ("audit_formats", "html, json", ["html", "json"]),
        ("audit_max_concurrency", None, ""),
        ("audit_title", "{{ now() }}", "{{ now() }}"),
    ],
)
def test_two_spellings_of_one_value_are_no_difference(name: str, one: object, other: object) -> None:
    compare(name, one, other)


def test_waivers_are_joined_each_once() -> None:
    other = {**WAIVER, "check": "nginx", "until": date(2027, 1, 1)}
    joined = JoinedWaivers(date(2027, 1, 1))
    for host, given in (("web-01", []), ("web-02", [WAIVER, other]), ("db-01", [other, WAIVER]), ("db-02", None)):
        joined.add(host, given)
    assert joined.all == [WAIVER, other]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("sshd-*", r"^waivers: it is not a list of dictionaries.* Host: db-01.$"),
        ([WAIVER, "sshd-*"], r"^waivers: it is not a list of dictionaries.* Host: db-01.$"),
        ([{**WAIVER, "until": "soon"}], r"^waivers, waiver 1: until: 'soon' is not a date. .* Host: db-01.$"),
    ],
)
def test_waivers_of_a_host_that_are_wrong(given: object, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        JoinedWaivers(date(2027, 1, 1)).add("db-01", given)


@pytest.mark.parametrize(
    ("option", "named"),
    [
        ("dest", "audit_report_dir"),
        ("waivers, waiver 1: check", "audit_waivers, waiver 1: check"),
        ("audit_skip", "audit_skip"),
        ("library, a.yml", "library, a.yml"),
    ],
)
def test_an_error_names_the_variable_of_the_role(option: str, named: str) -> None:
    assert str(in_role(UsageError(option, "it is dest", "Give dest."))) == f"{named}: it is dest. Give dest."
