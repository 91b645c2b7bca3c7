# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test variables that must be equal for all hosts, waivers of hosts, and the names of variables in errors."""

from __future__ import annotations

from datetime import date

import pytest

from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import UsageError
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.hosts import (
    HostVariables,
    refuse_differing_values,
    to_role_error,
)
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.result_selection import join_entries
from ansible_collections.herdops.alpacon.tests.unit.support import Row

WAIVER: Row = {"check": "sshd-*", "groups": ["db"], "reason": "It is known.", "until": "2027-12-31"}


def host(name: str, value: object) -> HostVariables:
    """Return the variables of a host with this value of audit_fail_on."""
    return HostVariables(name, {"inventory_hostname": name, "audit_fail_on": value}, None)


def test_differing_play_variables_are_refused() -> None:
    refuse_differing_values(host("web-01", "low"), host("web-02", "low"))
    with pytest.raises(UsageError, match=r"^audit_fail_on: .* differs: web-01 has low, web-02 has high. Set it in "):
        refuse_differing_values(host("web-01", "low"), host("web-02", "high"))


def test_waivers_are_joined_without_duplicates() -> None:
    other = {**WAIVER, "check": "nginx", "until": date(2027, 1, 1)}
    joined: Row = {}
    for given in ([], [WAIVER, other], [other, WAIVER], None):
        join_entries("waivers", joined, given)
    assert list(joined.values()) == [WAIVER, other]


@pytest.mark.parametrize("given", ["sshd-*", [WAIVER, "sshd-*"]])
def test_waivers_must_be_a_list_of_dictionaries(given: object) -> None:
    with pytest.raises(UsageError, match=r"^waivers: it is not a list of dictionaries"):
        join_entries("waivers", {}, given)


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
    assert str(to_role_error(UsageError(option, "it is dest", "Give dest."))) == f"{named}: it is dest. Give dest."
