# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Follow the findings of audits from the first failure until they are mended, and the figures of each audit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from functools import lru_cache
from statistics import median
from typing import Any

from ...module_utils._api.records import parse_time
from .renames import find_renamed_hosts
from .scanners.results import FAILED, MISSING, PASSED, SEVERITIES, UNKNOWN, WAIVED, is_failing

_Row = dict[str, Any]
_Key = tuple[str, str]

#: Days until mended findings and runs are dropped, and open findings that no audit asks about.
_KEPT_DAYS, _UNASKED_DAYS = 400, 90
_MAX_MENDED = 200_000
_TIME = "%Y-%m-%dT%H:%M:%SZ"
#: Audits in a row that are equal in these share an entry.
EQUAL_KEYS = ("verdict", "score", "coverage", "questions", "open")


@dataclass
class TrackedFinding:
    """A failed question. All times are in UTC, have the same length, and compare like the times that they are.

    Attributes:
        last_seen: the time of the last failed answer.
        last_asked: the end of the last audit that asked, with or without an answer.
        mended: the time of the first answer that is not a failure; None while the finding is open.
    """

    host: str
    check: str
    severity: str
    first_seen: str
    last_seen: str
    last_asked: str
    mended: str | None = None
    waived: bool = False


@dataclass
class History:
    """The open and mended findings, and the figures of each audit.

    Attributes:
        asked: the findings that the newest report asked about.
        servers: workspace and ID of the server, by the name of the host.
    """

    open: dict[_Key, TrackedFinding] = field(default_factory=dict)
    mended: list[TrackedFinding] = field(default_factory=list)
    runs: list[_Row] = field(default_factory=list)
    asked: set[_Key] = field(default_factory=set)
    servers: dict[str, _Row] = field(default_factory=dict)

    def update(self, report: Mapping[str, Any]) -> list[TrackedFinding]:
        """Add the answers of a report, and return the findings that they mend.

        An unknown result changes nothing, and neither does a question that was not asked. A question that does not
        apply any more is no longer open, and not mended. Of two audits at once, the newer answer counts.
        """
        now = to_seconds(report["finished_at"])
        self._rename_hosts({server["host"]: server for server in report["servers"]})
        self._mark_asked(report, now)
        last_mended: dict[_Key, str] = {}
        for finding in self.mended:
            key = (finding.host, finding.check)
            last_mended[key] = max(finding.mended or "", last_mended.get(key, ""))
        checks = {check["name"] for check in report["checks"]}
        # A rule of a benchmark keeps its age if the audit asks about it under the name of another profile now.
        renamed = {_get_rule(key): one.first_seen for key, one in self.open.items() if one.check not in checks}
        newly_mended = []
        for result in report["results"]:
            key, outcome = (result["host"], result["check"]), result["outcome"]
            if outcome == UNKNOWN:
                continue
            time = min(to_seconds(result["ended_at"]) or now, now)
            known = self.open.get(key)
            if outcome not in (FAILED, WAIVED):
                if known and time >= known.last_seen:
                    newly_mended += [replace(known, mended=time)] if outcome == PASSED else []
                    del self.open[key]
            elif known is None:
                if time >= last_mended.get(key, ""):
                    first = time if key in last_mended else min(time, renamed.get(_get_rule(key), time))
                    about = (result["severity"], first, time, now)
                    self.open[key] = TrackedFinding(*key, *about, waived=outcome == WAIVED)
                    self.asked.add(key)
            elif time >= known.last_seen:
                known.last_seen, known.severity, known.waived = time, result["severity"], outcome == WAIVED
        self.mended += newly_mended
        return newly_mended

    def _rename_hosts(self, servers: Mapping[str, Mapping[str, Any]]) -> None:
        """Give the findings of a host that is gone to the host that has its server now."""
        renamed = find_renamed_hosts(self.servers, servers)
        known = {host: {key: row[key] for key in ("workspace", "id")} for host, row in servers.items() if row.get("id")}
        self.servers = {host: row for host, row in self.servers.items() if host not in renamed} | known
        if renamed:
            for finding in (*self.open.values(), *self.mended):
                finding.host = renamed.get(finding.host, finding.host)
            self.open = {(finding.host, finding.check): finding for finding in self.open.values()}

    def _mark_asked(self, report: Mapping[str, Any], now: str) -> None:
        """Note the time at findings of the checks and hosts of a report, also if the server was not reached."""
        reached = {server["host"]: server["reached"] for server in report["servers"]}
        checks = {check["name"] for check in report["checks"]}
        # A scanner that stopped early has no result of a rule that it was asked about.
        asked = {(result["host"], _get_scanner(result["check"])) for result in report["results"]}
        stopped = {
            (result["host"], _get_scanner(result["check"]))
            for result in report["results"]
            if result["outcome"] == UNKNOWN and result["check"].partition("/")[2] in ("", MISSING)
        }
        self.asked = set()
        for key, finding in self.open.items():
            scanner = (finding.host, _get_scanner(finding.check))
            is_asked = scanner in stopped or (finding.check in checks and scanner in asked)
            if finding.host in reached and (is_asked or not reached[finding.host]):
                finding.last_asked = max(finding.last_asked, now)
                self.asked.add(key)

    def add_run(self, report: Mapping[str, Any]) -> None:
        """Add the figures of an audit. Audits in a row with the same figures share an entry."""
        time = to_seconds(report["finished_at"])
        run = {
            "time": time,
            "until": time,
            "runs": 1,
            "verdict": report["verdict"],
            "score": report["summary"]["score"],
            "coverage": report["coverage"],
            "questions": report["summary"]["questions"],
            "open": _count_open(finding for key, finding in self.open.items() if key in self.asked),
        }
        last = self.runs[-1] if self.runs else None
        if last and all(last[key] == run[key] for key in EQUAL_KEYS):
            last.update(until=max(time, last["until"]), runs=last["runs"] + 1)
        else:
            self.runs.append(run)
            self.runs.sort(key=lambda one: str(one["time"]))

    def correct_times(self, report: Mapping[str, Any]) -> None:
        """Move times of findings and runs to now if they are from an audit whose clock was more than a day ahead."""
        ends = [to_seconds(end) for end in {result["ended_at"] for result in report["results"]} if end]
        if not ends:
            # Only the workspace shows that the clock of this audit is not the wrong one.
            return
        now = max(to_seconds(report["finished_at"]), *ends)
        latest = _subtract_days(now, -1)
        for finding in (*self.open.values(), *self.mended):
            if max(finding.last_asked, finding.last_seen, finding.mended or "") > latest:
                finding.first_seen, finding.last_seen = min(finding.first_seen, now), min(finding.last_seen, now)
                finding.last_asked = min(finding.last_asked, now)
                finding.mended = finding.mended and min(finding.mended, now)
        for run in self.runs:
            if run["until"] > latest:
                run.update(time=min(run["time"], now), until=min(run["until"], now))

    def compact(self, now: str) -> None:
        """Drop what is old: mended findings, runs, and open findings that no audit asks about any more."""
        kept, asked = (_subtract_days(now, days) for days in (_KEPT_DAYS, _UNASKED_DAYS))
        self.open = {key: finding for key, finding in self.open.items() if finding.last_asked >= asked}
        hosts = {finding.host for finding in self.open.values()}
        self.servers = {host: server for host, server in self.servers.items() if host in hosts}
        mended = [finding for finding in self.mended if (finding.mended or "") >= kept]
        self.mended = sorted(mended, key=lambda finding: finding.mended or "")[-_MAX_MENDED:]
        self.runs = [run for run in self.runs if run["until"] >= kept]

    def describe(self, mended: Iterable[TrackedFinding], previous: str | None) -> _Row:
        """Return the part ``history`` of a report.

        Args:
            mended: the findings that the report mends.
            previous: the end of the audit before.
        """
        rows = [
            {
                "host": one.host,
                "check": one.check,
                "severity": one.severity,
                "failing_since": one.first_seen,
                "mended": one.mended,
            }
            for one in mended
        ]
        rows.sort(key=lambda row: (-SEVERITIES.index(str(row["severity"])), str(row["check"]), str(row["host"])))
        return {
            "since": self.runs[0]["time"] if self.runs else None,
            "previous": previous,
            "open": _count_open(self.open.values()),
            "mended": rows,
            "time_to_mend": dict(self._measure_mending()),
            "runs": self.runs,
        }

    def _measure_mending(self) -> Iterator[tuple[str, _Row]]:
        """Return the median and the worst time to mend of all findings, and of each severity that has some."""
        for name in ("all", *reversed(SEVERITIES)):
            chosen = [one for one in self.mended if name in ("all", one.severity)]
            if chosen:
                times = [count_seconds_between(one.first_seen, str(one.mended)) for one in chosen]
                yield name, {"count": len(times), "median_seconds": int(median(times)), "worst_seconds": max(times)}


def _count_open(findings: Iterable[TrackedFinding]) -> dict[str, int]:
    """Count the findings that are not waived, the worst severity first."""
    counts = Counter(finding.severity for finding in findings if not finding.waived)
    return {severity: counts[severity] for severity in reversed(SEVERITIES)}


@lru_cache(maxsize=4096)
def _get_scanner(check: str) -> str:
    """Return the check that a rule is of; the whole name of a check that has no rules."""
    return check.partition("/")[0]


def _get_rule(key: _Key) -> _Key:
    """Return the host and the rule of a finding; the whole name of a check that has no rules."""
    host, check = key
    return host, check.partition("/")[2] or check


def set_failing_since(report: Mapping[str, Any], history: History) -> None:
    """Set ``failing_since`` in the results whose finding is open: failed, waived and unknown ones."""
    for result in report["results"]:
        finding = history.open.get((result["host"], result["check"]))
        if finding and result["outcome"] in (FAILED, WAIVED, UNKNOWN):
            result["failing_since"] = finding.first_seen


def set_grace(report: Mapping[str, Any]) -> None:
    """Set ``fails_from`` in the failed results that are too young to fail the audit."""
    now = to_seconds(report["finished_at"])
    for result in report["results"]:
        seconds = report["fail_after"].get(result["severity"])
        if not seconds or "failing_since" not in result or not is_failing(result, report["fail_on"]):
            continue
        due = (_parse(result["failing_since"]) + timedelta(seconds=seconds)).strftime(_TIME)
        if due > now:
            result["fails_from"] = due


def remove_history(report: dict[str, Any]) -> None:
    """Remove what :func:`set_failing_since` and :func:`set_grace` set, and the history itself."""
    report.pop("history", None)
    for result in report["results"]:
        for key in ("failing_since", "fails_from"):
            result.pop(key, None)


@lru_cache(maxsize=4096)
def to_seconds(value: str | None) -> str:
    """Return a time without its fraction of a second, in UTC; empty if there is none."""
    time = parse_time(value)
    return time.astimezone(timezone.utc).strftime(_TIME) if time else ""


def is_time(value: Any) -> bool:
    # Later years have no room for the age at which a finding fails the audit.
    return isinstance(value, str) and "1000" < value < "3000" and to_seconds(value) == value


def count_seconds_between(start: str, end: str) -> int:
    return int((_parse(end) - _parse(start)).total_seconds())


def _subtract_days(time: str, days: int) -> str:
    return (_parse(time) - timedelta(days=days)).strftime(_TIME)


@lru_cache(maxsize=4096)
def _parse(value: str) -> datetime:
    return datetime.strptime(value, _TIME)
