# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test when attestations count, and that they replace nothing but results without an automatic check."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.attestations import (
    apply_attestations,
    describe_invalid,
    read_attestations,
)
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.result_selection import find_unknown_rules
from ansible_collections.herdops.alpacon.tests.unit.support import Row

TODAY = date(2026, 12, 1)
GIVEN = {"outcome": "passed", "checked_by": "Kim", "checked_on": "2026-11-02", "until": "2027-01-31", "proof": "a.pdf"}


def attest(*given: Row, today: date = TODAY, **result: Any) -> Row:
    """Return a result after attestations of its rule with these keys."""
    row = {"host": "web-01", "check": "scap/a", "outcome": "unknown", "message": "No check.", "manual": True}
    row |= {"attestation": None, **result}
    rows = [{"check": "scap/*", "groups": ["web"], **GIVEN, **one} for one in given]
    apply_attestations(read_attestations(rows, today), row, frozenset(["all", "web"]))
    return row


@pytest.mark.parametrize("outcome", ["passed", "failed", "not_applicable"])
def test_a_result_without_a_check_gets_the_outcome(outcome: str) -> None:
    row = attest({"outcome": outcome, "note": "I saw it."})
    assert (row["outcome"], row["message"]) == (outcome, "I saw it.")
    assert row["attestation"] == {**GIVEN, "outcome": outcome, "expired": False, "note": "I saw it."}


@pytest.mark.parametrize(
    ("given", "result"),
    [
        *(({}, {"outcome": outcome}) for outcome in ("passed", "failed", "not_applicable", "waived")),
        ({}, {"manual": False}),
        ({"check": "scap/b"}, {}),
        ({"groups": ["db"]}, {}),
        ({"checked_on": "2026-12-03"}, {}),
    ],
)
def test_other_results_stay_as_they_are(given: Row, result: Row) -> None:
    row = attest(given, **result)
    assert (row["outcome"], row["message"]) == (result.get("outcome", "unknown"), "No check.")
    assert row["attestation"] is None


def test_an_attestation_holds_through_its_last_day() -> None:
    assert attest({}, today=date(2027, 1, 31))["outcome"] == "passed"
    row = attest({}, today=date(2027, 2, 1))
    assert (row["outcome"], row["attestation"]["expired"]) == ("unknown", True)
    assert row["message"].startswith("No check. ")
    assert "2027-01-31 (expired)" in row["message"]


@pytest.mark.parametrize(
    ("given", "outcome"),
    [
        ([{}, {"outcome": "failed", "checked_on": "2026-11-01"}], "passed"),
        ([{}, {"outcome": "failed"}], "failed"),
        # Somebody found a failure since then.
        ([{}, {"outcome": "failed", "checked_on": "2026-11-20", "until": "2026-11-30"}], "unknown"),
        ([{}, {"outcome": "failed", "until": "2026-11-30"}], "unknown"),
        ([{}, {"until": "2026-11-30"}], "passed"),
        ([{"until": "2026-11-03"}, {"outcome": "failed", "checked_on": "2026-12-03"}], "unknown"),
    ],
)
def test_the_newest_attestation_counts(given: list[Row], outcome: str) -> None:
    assert attest(*given)["outcome"] == outcome
    assert attest(*reversed(given))["outcome"] == outcome


def test_attestations_that_do_not_count_are_named() -> None:
    rows = [
        {"check": check, "groups": ["all"], **GIVEN, **given}
        for check, given in (("a", {}), ("b", {"until": "2026-11-30"}), ("c", {"checked_on": "2026-12-24"}))
    ]
    warnings = describe_invalid(read_attestations(rows, TODAY))
    assert [warning.split()[3] for warning in warnings] == ["b", "c"]
    assert ("2026-11-30" in warnings[0], "2026-12-24" in warnings[1]) == (True, True)


def test_rules_that_no_server_reported_are_named() -> None:
    """Name no rules of scanners that reported nothing: their servers may be off."""
    checks = ("scap/contact", "scap/contacts", "scap/*", "scap/x*", "other/contact", "disk")
    rows = [{"check": check, "groups": ["all"], **GIVEN} for check in checks]
    warnings = find_unknown_rules("An attestation", read_attestations(rows, TODAY), ["scap/contacts", "scap/a"])
    assert [warning.split()[5].rstrip(",") for warning in warnings] == ["scap/contact", "scap/x*"]
    assert "Did you mean scap/contacts?" in warnings[0]
