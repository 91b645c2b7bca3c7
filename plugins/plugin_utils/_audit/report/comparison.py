# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Compare a report with an earlier one: each result of either is in one class of changes, with the reason."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..renames import find_renamed, find_renamed_hosts
from ..scanners.results import (
    FAILED,
    MISSING,
    NOT_APPLICABLE,
    OUTCOMES,
    PASSED,
    SEVERITIES,
    UNKNOWN,
    WAIVED,
    compute_passed_share,
    is_attested,
)
from . import text

_Row = Mapping[str, Any]
_Pair = tuple[str, str]

#: The counts of a summary that are compared.
COUNTS = ("servers", "checks", "questions", *OUTCOMES, "not_reached")
#: The outcome of a result that a report does not have.
ABSENT = ""
UNCHANGED = "unchanged"
#: Classes with a row for each result. Those of the others have a row for each check and reason, since they may be many.
_BY_RESULT = ("newly_failed", "newly_fixed", "still_failing", "no_longer_failed")
_ABSENT_NOW = {
    "unreached": "The server was not reached",
    "silent": "The scanner did not report it",
    "server": "The server is no longer audited: it was removed from the inventory, or is not in the play.",
    "check": "The check was removed or is skipped.",
    "rule": "The scanner no longer reports this rule, or it is skipped.",
    "host": "The check is no longer run on this server.",
    "whole": "The scanner reports its rules now.",
}
_ABSENT_BEFORE = {
    "unreached": "The server was not reached before",
    "silent": "The scanner did not report it before",
    "server": "The server is new.",
    "check": "The check is new.",
    "rule": "The scanner did not report this rule before.",
    "host": "The check was not run on this server before.",
    "whole": "The scanner reported its rules before.",
}


class _Side:
    """One of the two reports, by host and check."""

    def __init__(self, report: _Row, absent: Mapping[str, str]) -> None:
        #: By host and by check; pairs of both as keys would need three times the memory.
        self._results: dict[str, dict[str, _Row]] = {}
        for row in report["results"]:
            if row["outcome"] not in OUTCOMES:
                raise ValueError(f"outcome {row['outcome']!r}")
            self._results.setdefault(row["host"], {})[row["check"]] = row
        self.servers = {server["host"]: server for server in report["servers"]}
        self.checks = {check["name"]: check for check in report["checks"]}
        parents = {name: str(check.get("of") or "") for name, check in self.checks.items()}
        #: Hosts, and scanners that reported rules there.
        self._scanned = {(host, parents.get(check, "")) for (host, check), _row in self.list_results()}
        self._absent = absent

    def list_results(self) -> Iterator[tuple[_Pair, _Row]]:
        return (((host, check), row) for host, rows in self._results.items() for check, row in rows.items())

    def get_result(self, host: str, check: str) -> _Row | None:
        return self._results.get(host, {}).get(check)

    def explain_absence(self, host: str, check: str, other: _Row) -> tuple[str, str]:
        """Return the outcome and the reason of a missing result. The outcome is unknown if it was asked in vain.

        Args:
            other: the check in the other report.
        """
        # Earlier files may be damaged.
        parent = str(self.checks.get(check, other).get("of") or "")
        server = self.servers.get(host)
        if server is None:
            return ABSENT, self._absent["server"]
        if (parent or check) not in self.checks:
            return ABSENT, self._absent["check"]
        if not server.get("reached", True):
            reason = text.to_line(server.get("reason") or "no reason is known").removesuffix(".")
            return UNKNOWN, f"{self._absent['unreached']}: {reason}."
        if parent:
            for name in (parent, f"{parent}/{MISSING}"):
                row = self.get_result(host, name)
                if row and row["outcome"] == UNKNOWN:
                    return UNKNOWN, f"{self._absent['silent']}: {text.to_line(row.get('message', ''))}"
        if (host, check) in self._scanned or (check == f"{parent}/{MISSING}" and (host, parent) in self._scanned):
            return ABSENT, self._absent["whole"]
        if parent and (host, parent) in self._scanned:
            return ABSENT, self._absent["rule"]
        return ABSENT, self._absent["host"]


def compare_reports(report: _Row, previous: _Row) -> dict[str, Any]:
    now, before = _Side(report, _ABSENT_NOW), _Side(previous, _ABSENT_BEFORE)
    changes = _Changes()
    checks, hosts = find_renamed(before.checks, now.checks), find_renamed_hosts(before.servers, now.servers)
    old_checks, old_hosts = ({new: old for old, new in names.items()} for names in (checks, hosts))
    for (host, check), row in now.list_results():
        pair = (old_hosts.get(host, host), old_checks.get(check, check))
        old = before.get_result(*pair)
        if old is None:
            outcome, why = before.explain_absence(*pair, now.checks[check])
        else:
            outcome, why = old["outcome"], _describe_names(pair, (host, check), "was")
        changes.add(row, outcome, row["outcome"], _explain(row, old, why))
    for (host, check), row in before.list_results():
        pair = (hosts.get(host, host), checks.get(check, check))
        if now.get_result(host, check):
            continue
        outcome, why = ABSENT, _describe_names(pair, (host, check), "is now")
        if not now.get_result(*pair):
            outcome, why = now.explain_absence(*pair, before.checks[check])
        changes.add(row, row["outcome"], outcome, why)
    return {
        "since": previous["finished_at"],
        "verdict": previous["verdict"],
        "fail_on": previous["fail_on"],
        "coverage": previous["coverage"],
        "change": _compare_figures(report, previous),
        **changes.list_rows(),
        "new_servers": len(now.servers.keys() - before.servers.keys() - old_hosts.keys()),
        "gone_servers": len(before.servers.keys() - now.servers.keys() - hosts.keys()),
        "new_checks": len(now.checks.keys() - before.checks.keys() - old_checks.keys()),
        "gone_checks": len(before.checks.keys() - now.checks.keys() - checks.keys()),
    }


def _describe_names(other: _Pair, own: _Pair, verb: str) -> str:
    """Return the other names of a result's host and check; empty if both are the same."""
    host = f"The host {verb} named {text.to_line(other[0])}." if other[0] != own[0] else ""
    check = f"It {verb} named {text.to_line(other[1])}." if other[1] != own[1] else ""
    return " ".join(filter(None, (host, check)))


def classify(before: str, now: str, is_explained: bool) -> str:
    """Return the class of a change of outcomes.

    Args:
        is_explained: something else about the result changed.
    """
    if now == FAILED:
        return "still_failing" if before == FAILED else "newly_failed"
    if now == ABSENT:
        return "no_longer_asked"
    if now == PASSED and before in (FAILED, WAIVED):
        return "newly_fixed"
    if before == FAILED:
        return "no_longer_failed"
    if before == ABSENT:
        return "newly_asked"
    if now == before:
        return "changed" if is_explained else UNCHANGED
    return "newly_unknown" if now == UNKNOWN else "changed"


class _Changes:
    """The changes by class."""

    def __init__(self) -> None:
        self._unchanged = 0
        self._pairs: dict[str, list[dict[str, str]]] = {name: [] for name in _BY_RESULT}
        self._groups: dict[str, dict[tuple[str, ...], list[str]]] = {
            name: {} for name in text.TREND_LISTS if name not in _BY_RESULT
        }

    def add(self, row: _Row, before: str, now: str, reason: str) -> None:
        kind = classify(before, now, bool(reason))
        host, check, severity = row["host"], row["check"], row["severity"]
        if kind == UNCHANGED:
            self._unchanged += 1
        elif kind in self._pairs:
            pair = {"host": host, "check": check, "severity": severity, "before": before, "now": now, "reason": reason}
            self._pairs[kind].append(pair)
        else:
            self._groups[kind].setdefault((check, severity, before, now, reason), []).append(host)

    def list_rows(self) -> dict[str, Any]:
        """Return the rows of each class, those that failed and the worst first, and the number without a change."""
        rows: dict[str, Any] = {name: sorted(pairs, key=_rank) for name, pairs in self._pairs.items()}
        for name, groups in self._groups.items():
            keys = ("check", "severity", "before", "now", "reason")
            rows[name] = sorted(
                ({**dict(zip(keys, key, strict=True)), "hosts": hosts} for key, hosts in groups.items()), key=_rank
            )
        return {name: rows[name] for name in text.TREND_LISTS} | {UNCHANGED: self._unchanged}


def _rank(row: _Row) -> tuple[bool, int, str, str]:
    return (row["before"] != FAILED, -SEVERITIES.index(row["severity"]), row["check"], row.get("host", ""))


def _explain(row: _Row, old: _Row | None, why: str) -> str:
    """Return why a result differs from the earlier one; empty if it does not.

    Args:
        why: the reason why there is no earlier result, or why it has another name.
    """
    reasons = [why]
    if old is not None:
        if row["outcome"] != old["outcome"] or is_attested(row) != _was_attested(old):
            reasons.append(_explain_outcome(row, old))
        if row["severity"] != old["severity"]:
            reasons.append(f"Its severity was {old['severity']}.")
    else:
        reasons.append(f"{text.describe_attestation(row['attestation'])}." if is_attested(row) else "")
        reasons.append(f"{text.describe_waiver(row['waiver'])}." if row["outcome"] == WAIVED else "")
    return " ".join(filter(None, reasons))


def _was_attested(old: _Row) -> bool:
    # The earlier file may be damaged.
    return isinstance(old.get("attestation"), Mapping) and old["outcome"] != UNKNOWN


def _explain_outcome(row: _Row, old: _Row) -> str:
    outcome, waiver, attestation = row["outcome"], row.get("waiver"), row.get("attestation")
    message = text.to_line(row.get("message", ""))
    # An attested failure that is waived, or no longer is, was attested both times.
    is_same_failure = _was_attested(old) and {outcome, old["outcome"]} == {FAILED, WAIVED}
    reasons = [f"{text.describe_attestation(attestation)}."] if is_attested(row) and not is_same_failure else []
    if outcome == WAIVED:
        reasons.append(f"{text.describe_waiver(waiver)}.")
    elif outcome == FAILED and old["outcome"] == WAIVED:
        expired = f"expired on {text.to_line(waiver['until'], 40)}" if waiver and waiver["expired"] else ""
        reasons.append(f"Its waiver {expired or 'was removed, or no longer covers it'}.")
    if reasons:
        return " ".join(reasons)
    if outcome == UNKNOWN and row.get("manual") and _was_attested(old):
        if attestation:
            return f"Its attestation expired on {text.to_line(attestation['until'], 40)}."
        return "Its attestation was removed, or no longer covers it."
    if outcome in (UNKNOWN, NOT_APPLICABLE):
        return message
    if _was_attested(old):
        return f"It was attested before: {text.to_line(old['outcome']).replace('_', ' ')}."
    return {
        PASSED: "It passed before.",
        FAILED: "It failed before.",
        WAIVED: "It was waived before.",
        NOT_APPLICABLE: "It did not apply before.",
        UNKNOWN: f"It was unknown before: {text.to_line(old.get('message', ''))}",
    }[old["outcome"]]


def _compare_figures(report: _Row, previous: _Row) -> dict[str, Any]:
    now, before = report["summary"], previous["summary"]
    failed, failed_before = now["failed_by_severity"], before["failed_by_severity"]
    return {
        **{name: now[name] - before[name] for name in COUNTS},
        "passed_share": round(compute_passed_share(now) - compute_passed_share(before), 1),
        "coverage": round(report["coverage"] - previous["coverage"], 1),
        "score": round(now["score"] - before["score"], 1),
        "failed_by_severity": {severity: failed[severity] - failed_before[severity] for severity in SEVERITIES},
    }
