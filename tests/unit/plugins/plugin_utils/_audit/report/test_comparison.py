# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test that each result of two reports is in one class of changes, with its reason."""

from __future__ import annotations

import copy
import random
from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest

from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.renames import find_renamed
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.report.comparison import compare_reports
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.report.text import TREND_LISTS, describe_changes
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.scanners.results import OUTCOMES, SEVERITIES
from ansible_collections.herdops.alpacon.tests.browser import reports
from ansible_collections.herdops.alpacon.tests.unit.support import Row

#: Keys that earlier versions did not write.
ADDED_KEYS = ("manual", "attestation")
#: Servers whose hosts have several names.
IDS = {"first-name": "1", "second-name": "1"}


def result(host: str, check: str, outcome: str, **given: Any) -> Row:
    known = reports.report(servers=1, checks=1, offline=0, everywhere=True)["results"][0]
    return {**known, "host": host, "check": check, "outcome": outcome, "severity": "high", "message": "", **given}


def make_report(
    results: list[Row], unreached: tuple[str, ...] = (), lines: Mapping[str, str] | None = None
) -> reports.Report:
    """Return a report of these results.

    Args:
        lines: the shell code of checks, by name.
    """
    lines = lines or {}
    base = reports.report(servers=1, checks=1, offline=0)
    [server], [check] = base["servers"], base["checks"]
    hosts = dict.fromkeys([*(row["host"] for row in results), *unreached])
    reach = {host: {"reached": host not in unreached, "reason": "It is off" * (host in unreached)} for host in hosts}
    names = dict.fromkeys([*(row["check"] for row in results), *lines])
    of = {name: name.rpartition("/")[0] or None for name in names}
    names |= dict.fromkeys(filter(None, of.values()))
    return reports.summed(
        {
            **base,
            "servers": [{**server, "host": host, "id": IDS.get(host, host), **reach[host]} for host in hosts],
            "checks": [
                {**check, "name": name, "of": of.get(name), "title": name, "line": lines.get(name, "")}
                for name in names
            ],
            "results": results,
        }
    )


def list_pairs(trend: Row) -> dict[str, list[tuple[str, str]]]:
    """Return the hosts and checks in each class of a trend."""
    return {
        key: [(host, row["check"]) for row in trend[key] for host in row.get("hosts") or [row["host"]]]
        for key in TREND_LISTS
    }


WAIVER = {**reports.WAIVED, "until": "2026-11-20"}
OVER = {**WAIVER, "expired": True}
FOUND = {"attestation": {**reports.ATTESTED, "outcome": "failed"}, "manual": True}
GONE_ATTESTATION = {**reports.ATTESTED, "until": "2026-11-20", "expired": True}
#: Host, check, result before and now, class, and a part of the reason.
CHANGES: tuple[tuple[str, str, Row | None, Row | None, str, str], ...] = (
    ("web", "same", {"outcome": "passed"}, {"outcome": "passed"}, "", ""),
    ("web", "broken", {"outcome": "passed"}, {"outcome": "failed"}, "newly_failed", "It passed before."),
    ("web", "mended", {"outcome": "failed"}, {"outcome": "passed"}, "newly_fixed", "It failed before."),
    ("web", "still", {"outcome": "failed"}, {"outcome": "failed"}, "still_failing", ""),
    (
        *("web", "worse", {"outcome": "failed", "severity": "low"}, {"outcome": "failed"}),
        *("still_failing", "Its severity was low."),
    ),
    ("web", "milder", {"outcome": "passed"}, {"outcome": "passed", "severity": "low"}, "changed", "severity was high"),
    (
        *("web", "over", {"outcome": "waived", "waiver": WAIVER}, {"outcome": "failed", "waiver": OVER}),
        *("newly_failed", "Its waiver expired on 2026-11-20."),
    ),
    ("web", "no-waiver", {"outcome": "waived", "waiver": WAIVER}, {"outcome": "failed"}, "newly_failed", "removed"),
    (
        *("web", "accepted", {"outcome": "failed"}, {"outcome": "waived", "waiver": reports.WAIVED}),
        *("no_longer_failed", "waived until 2027-01-31, approved by Kim Minji"),
    ),
    ("web", "cured", {"outcome": "waived", "waiver": WAIVER}, {"outcome": "passed"}, "newly_fixed", "waived before"),
    (
        *("web", "scap/contacts", {"outcome": "unknown"}, {"outcome": "passed", "attestation": reports.ATTESTED}),
        *("changed", "Attested as passed by Lee Jun"),
    ),
    (
        *("web", "scap/plan", {"outcome": "passed", "attestation": reports.ATTESTED}),
        *({"outcome": "unknown", "manual": True, "attestation": GONE_ATTESTATION}, "newly_unknown"),
        "Its attestation expired on 2026-11-20.",
    ),
    (
        *("web", "scap/keys", {"outcome": "passed", "attestation": reports.ATTESTED}),
        *({"outcome": "unknown", "manual": True}, "newly_unknown", "Its attestation was removed"),
    ),
    (
        *("web", "slow", {"outcome": "passed"}, {"outcome": "unknown", "message": "It took too long."}),
        *("newly_unknown", "It took too long."),
    ),
    (
        *("web", "silent", {"outcome": "failed"}, {"outcome": "unknown", "message": "It took too long."}),
        *("no_longer_failed", "It took too long."),
    ),
    (
        *("web", "unneeded", {"outcome": "failed"}, {"outcome": "not_applicable", "message": "No swap."}),
        *("no_longer_failed", "No swap."),
    ),
    (
        *("web", "answered", {"outcome": "unknown", "message": "It hung."}, {"outcome": "failed"}),
        *("newly_failed", "unknown before: It hung."),
    ),
    ("web", "removed", {"outcome": "failed"}, None, "no_longer_asked", "The check was removed or is skipped."),
    ("web", "scap/dropped", {"outcome": "failed"}, None, "no_longer_asked", "no longer reports this rule"),
    ("web", "scap/added", None, {"outcome": "failed"}, "newly_failed", "did not report this rule before"),
    ("web", "added", None, {"outcome": "passed"}, "newly_asked", "The check is new."),
    ("db", "same", {"outcome": "failed"}, None, "no_longer_asked", "no longer run on this server"),
    ("db", "broken", {"outcome": "passed"}, {"outcome": "passed"}, "", ""),
    ("old", "same", {"outcome": "failed"}, None, "no_longer_asked", "The server is no longer audited"),
    ("old", "mended", {"outcome": "passed"}, None, "no_longer_asked", "The server is no longer audited"),
    ("new", "same", None, {"outcome": "failed"}, "newly_failed", "The server is new."),
    ("new", "mended", None, {"outcome": "passed"}, "newly_asked", "The server is new."),
    ("off", "same", {"outcome": "failed"}, None, "no_longer_failed", "The server was not reached: It is off."),
    ("off", "mended", {"outcome": "passed"}, None, "newly_unknown", "The server was not reached: It is off."),
    ("off", "slow", {"outcome": "unknown"}, None, "changed", "The server was not reached: It is off."),
    ("off", "removed", {"outcome": "failed"}, None, "no_longer_asked", "The check was removed or is skipped."),
    ("back", "added", None, {"outcome": "passed"}, "newly_asked", "The check is new."),
    ("back", "same", None, {"outcome": "failed"}, "newly_failed", "The server was not reached before: It is off."),
    ("back", "mended", None, {"outcome": "passed"}, "changed", "The server was not reached before: It is off."),
    ("bad", "scap/plan", {"outcome": "failed"}, None, "no_longer_failed", "did not report it: No oscap."),
    ("bad", "scap", None, {"outcome": "unknown", "message": "No oscap."}, "newly_asked", "reported its rules before"),
    ("good", "scap", {"outcome": "unknown", "message": "No oscap."}, None, "no_longer_asked", "reports its rules now"),
    ("good", "scap/plan", None, {"outcome": "passed"}, "changed", "did not report it before: No oscap."),
    ("good", "scap/missing-results", {"outcome": "unknown"}, None, "no_longer_asked", "reports its rules now"),
    # One of two servers has the benchmark, or the rule, no longer.
    ("none", "scap/plan", {"outcome": "passed"}, None, "no_longer_asked", "no longer run on this server"),
    ("none", "scap/alone", {"outcome": "passed"}, None, "no_longer_asked", "no longer run on this server"),
    ("none", "same", {"outcome": "passed"}, {"outcome": "passed"}, "", ""),
    ("less", "scap/plan", {"outcome": "passed"}, None, "no_longer_asked", "no longer reports this rule, or it is"),
    ("less", "scap/keys", {"outcome": "passed"}, {"outcome": "passed"}, "", ""),
    # A rule that has an automatic check now, or had one.
    (
        *("web", "scap/measured", {"outcome": "passed", "attestation": reports.ATTESTED}, {"outcome": "passed"}),
        *("changed", "It was attested before: passed."),
    ),
    (
        *("web", "scap/hung", {"outcome": "passed", "attestation": reports.ATTESTED}),
        *({"outcome": "unknown", "message": "It hung.", "manual": False}, "newly_unknown", "It hung."),
    ),
    (
        *("web", "scap/unmeasured", {"outcome": "passed"}),
        *(
            {"outcome": "unknown", "message": "No check. Expired.", "manual": True, "attestation": GONE_ATTESTATION},
            "newly_unknown",
        ),
        "No check. Expired.",
    ),
    # Failures that a person found, with and without a waiver.
    (
        *("web", "scap/accepted", {"outcome": "failed", **FOUND}),
        *({"outcome": "waived", "waiver": reports.WAIVED, **FOUND}, "no_longer_failed", "waived until 2027-01-31"),
    ),
    (
        *("web", "scap/over", {"outcome": "waived", "waiver": WAIVER, **FOUND}),
        *({"outcome": "failed", "waiver": OVER, **FOUND}, "newly_failed", "Its waiver expired on 2026-11-20."),
    ),
    (
        *("web", "scap/found", {"outcome": "unknown", "manual": True}),
        *({"outcome": "waived", "waiver": reports.WAIVED, **FOUND}, "changed", "waived until 2027-01-31"),
    ),
    (
        *("web", "scap/first", None, {"outcome": "waived", "waiver": reports.WAIVED, **FOUND}),
        *("newly_asked", "waived until 2027-01-31"),
    ),
    # Renamed checks, of one line.
    ("web", "old-name", {"outcome": "failed"}, None, "no_longer_asked", "It is now named new-name."),
    ("web", "new-name", None, {"outcome": "failed"}, "still_failing", "It was named old-name."),
    ("db", "old-name", {"outcome": "passed"}, None, "no_longer_asked", "It is now named new-name."),
    ("db", "new-name", None, {"outcome": "passed"}, "changed", "It was named old-name."),
    # Renamed hosts, of one server.
    ("first-name", "same", {"outcome": "failed"}, None, "no_longer_asked", "The host is now named second-name."),
    ("second-name", "same", None, {"outcome": "failed"}, "still_failing", "The host was named first-name."),
    # A benchmark whose name has its version.
    ("web", "cis-1/sudo", {"outcome": "passed"}, None, "no_longer_asked", "It is now named cis-2/sudo."),
    ("web", "cis-2/sudo", None, {"outcome": "failed"}, "newly_failed", "It was named cis-1/sudo. It passed before."),
)


def make_both() -> tuple[reports.Report, reports.Report]:
    before, now = (
        [result(row[0], row[1], **row[place]) for row in CHANGES if row[place] is not None]  # type: ignore[arg-type]
        for place in (2, 3)
    )
    earlier = make_report(before, ("back",), {"old-name": "true"})
    return earlier, make_report(now, ("off",), {"new-name": "true"})


@pytest.mark.parametrize("is_old", [False, True], ids=["same-version", "earlier-version"])
def test_each_change_has_one_class_and_its_reason(is_old: bool) -> None:
    before, now = make_both()
    trend = compare_reports(now, before)
    if is_old:
        for row in before["results"]:
            for key in ADDED_KEYS:
                row.pop(key)
        before.pop("attestations")
        before["summary"].pop("attested")
        trend = compare_reports(now, before)
    classes = {pair: key for key, pairs in list_pairs(trend).items() for pair in pairs}
    reasons = {
        (host, row["check"]): row["reason"]
        for key in TREND_LISTS
        for row in trend[key]
        for host in row.get("hosts") or [row["host"]]
    }
    by_version = {("web", "scap/plan"), ("web", "scap/keys")} if is_old else set()
    for host, check, _before, _now, kind, reason in CHANGES:
        if is_old and check == "scap/measured":
            continue
        assert classes.get((host, check), "") == kind, (host, check)
        if (host, check) not in by_version:
            assert reason in reasons.get((host, check), ""), (host, check)
            assert bool(reason) == bool(reasons.get((host, check), "")), (host, check)
    assert (trend["new_servers"], trend["gone_servers"]) == (1, 1)
    assert trend["unchanged"] == sum(not row[4] for row in CHANGES) + is_old


def test_the_summary_counts_reasons() -> None:
    before, now = make_both()
    lines = describe_changes(compare_reports(now, before))
    [gone] = [line for line in lines if line.startswith("Not asked any more")]
    assert gone.startswith(f"Not asked any more: {sum(row[4] == 'no_longer_asked' for row in CHANGES)} (")
    assert "3: The check is no longer run on this server." in gone
    assert len(lines) == len(TREND_LISTS)


def change(report: reports.Report, chance: random.Random) -> reports.Report:
    """Return a report after random changes of servers, checks, names, results, waivers and attestations."""
    changed = copy.deepcopy(report)
    hosts = [server["host"] for server in changed["servers"]]
    checks = [check["name"] for check in changed["checks"]]
    renamed = {name: f"{name}-2" for name in checks if chance.random() < 0.2}
    left = {name for name in [*hosts, *checks] if chance.random() < 0.15}
    off = {host for host in hosts if chance.random() < 0.15}
    for server in changed["servers"]:
        server.update({"reached": False, "reason": "It is off."} if server["host"] in off else {})
    for row in [*changed["checks"], *changed["results"]]:
        key = "name" if "name" in row else "check"
        row[key] = renamed.get(row[key], row[key])
    left |= {renamed.get(name, name) for name in left}
    for row in changed["results"]:
        if chance.random() < 0.4:
            outcome = chance.choice(OUTCOMES)
            waiver = reports.WAIVED if outcome == "waived" else chance.choice([None, reports.EXPIRED])
            attestation = chance.choice([None, reports.ATTESTED]) if outcome != "unknown" else GONE_ATTESTATION
            row.update(outcome=outcome, waiver=waiver, attestation=attestation)
            row["severity"] = chance.choice(SEVERITIES)
    changed["servers"] = [one for one in changed["servers"] if one["host"] not in left]
    changed["checks"] = [one for one in changed["checks"] if one["name"] not in left]
    gone = left | off
    changed["results"] = [
        one for one in changed["results"] if not gone & {one["host"], one["check"]} and chance.random() < 0.9
    ]
    return reports.summed(changed)


@pytest.mark.parametrize("seed", range(40))
def test_each_result_of_either_report_is_in_one_class(seed: int) -> None:
    chance = random.Random(seed)
    base = reports.report(servers=8, checks=9, failing=0.4, everywhere=True)
    before, now = change(base, chance), change(base, chance)
    trend = compare_reports(now, before)
    listed = Counter(pair for pairs in list_pairs(trend).values() for pair in pairs)
    either = {(row["host"], row["check"]) for one in (before, now) for row in one["results"]}
    assert set(listed) <= either
    assert set(listed.values()) <= {1}
    assert len(listed) + trend["unchanged"] == len(either)
    same = {(row["host"], row["check"], row["outcome"]) for row in before["results"]}
    for row in now["results"]:
        pair = (row["host"], row["check"])
        assert pair in listed or (*pair, row["outcome"]) in same
    others = [row for key in TREND_LISTS if key != "still_failing" for row in trend[key]]
    assert [row for row in others if not row["reason"]] == []


def test_names_of_checks_that_are_alike_are_not_guessed() -> None:
    def checks(**lines: str) -> dict[str, Row]:
        return {name: {"name": name, "line": line, "of": None, "title": "Same"} for name, line in lines.items()}

    assert find_renamed(checks(a="true", b="id"), checks(c="true", b="id")) == {"a": "c"}
    assert find_renamed(checks(a="true"), checks(c="true", d="true")) == {}
    assert find_renamed(checks(a="true", b="true"), checks(c="true")) == {}
    assert find_renamed(checks(a="true"), checks(c="id")) == {}
    assert find_renamed(checks(a="true", b="true"), checks(c="true", b="true")) == {}


def test_rules_are_not_renamed_between_benchmarks_that_both_stay() -> None:
    rows = {name: {"name": name, "of": name.partition("/")[0]} for name in ("one/a", "one/b", "two/b", "two/c")}
    parents: dict[str, Row] = {name: {"name": name, "of": None} for name in ("one", "two")}
    before = {**parents, "one/a": rows["one/a"], "one/b": rows["one/b"]}
    now = {**parents, "one/a": rows["one/a"], "two/b": rows["two/b"]}
    assert find_renamed(before, now) == {}
