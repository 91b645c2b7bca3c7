# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import UsageError
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.checks import parse_checks
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.options import SPEC, AuditOptions
from ansible_collections.herdops.alpacon.tests.unit.support import Row


def waiver(**given: Any) -> Row:
    return {"waivers": [{"check": "a", "groups": ["all"], "reason": "old", "until": "2999-12-31", **given}]}


def attestation(**given: Any) -> Row:
    about = {"outcome": "passed", "checked_by": "Kim", "checked_on": "2026-11-02", "until": "2999-12-31"}
    return {"attestations": [{"check": "a", "groups": ["all"], "proof": "a.pdf", **about, **given}]}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (waiver(until="soon"), "waivers, waiver 1: until: 'soon' is not a date."),
        (waiver(groups=[]), "waivers, waiver 1: it has neither hosts nor groups."),
        (waiver(reason=" "), "waivers, waiver 1: reason: it is empty."),
        (waiver(approved_by=" "), "waivers, waiver 1: approved_by: it is empty. Give a text, or leave it out."),
        (waiver(ticket=""), "waivers, waiver 1: ticket: it is empty."),
        (waiver(since="May"), "waivers, waiver 1: since: 'May' is not a date. Give the day of the approval"),
        (waiver(since="2999-12-30"), "waivers, waiver 1: since: 2999-12-30 is in the future."),
        (waiver(until="2020-01-01", since="2020-01-02"), "waivers, waiver 1: since: 2020-01-02 is after until"),
        (attestation(groups=[]), "attestations, attestation 1: it has neither hosts nor groups."),
        (attestation(proof=" "), "attestations, attestation 1: proof: it is empty. Give a text."),
        (attestation(outcome="waived"), "attestations, attestation 1: outcome: "),
        (attestation(checked_by=None), "attestations, attestation 1: checked_by: "),
        (attestation(checked_on="May"), "attestations, attestation 1: checked_on: 'May' is not a date."),
        (attestation(until="2026-11-01"), "attestations, attestation 1: checked_on: 2026-11-02 is after until"),
        (attestation(prof=1), "attestations, attestation 1: prof: there is no such key. Did you mean proof?"),
        (waiver(unitl=1), "waivers, waiver 1: unitl: there is no such key. Did you mean until?"),
        ({"reuse_within": "soon"}, "reuse_within: 'soon' is not a duration."),
        ({"max_concurrency": "0"}, "max_concurrency: 0 is too small."),
        ({"min_coverage": 101}, "min_coverage: 101 is not a percentage. Give a number from 0, for no minimum"),
        ({"fail_after": {"high": "soon"}, "dest": "d"}, "fail_after: 'soon' is not a duration."),
        (
            {"fail_after": {"hihg": "1d"}, "dest": "d"},
            "fail_after: hihg is not a severity. Give one of high, critical.",
        ),
        ({"fail_after": {"low": "1d"}, "dest": "d"}, "fail_after: findings of severity low do not fail the audit"),
        ({"fail_after": {"high": "1d"}, "fail_on": "never", "dest": "d"}, "fail_after: findings of severity high do"),
        ({"fail_after": {"high": "1d"}}, "fail_after: without dest, there is no history of the findings. Set dest."),
        ({"checks": []}, "hosts: there is no host to audit."),
        (
            {"checks": [{"name": "t", "line": "x", "results": {"format": "tap"}}, {"name": "t/b", "line": "x"}]},
            "checks: t/b",
        ),
    ],
)
def test_bad_input_is_refused(given: Row, message: str) -> None:
    options = (
        ArgumentSpecValidator(SPEC).validate({"checks": [{"name": "a", "line": "x"}], **given}).validated_parameters
    )
    with pytest.raises(UsageError) as raised:
        AuditOptions.from_options(options, [parse_checks("checks", options["checks"])] if options["checks"] else [])
    assert str(raised.value).startswith(message)
