# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""The builder of the report of an audit, see ``docs/audit-report.schema.json``."""

from __future__ import annotations

import getpass
import socket
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any
from urllib.parse import urlsplit

from ansible.release import __version__ as ansible_core

from ansible_collections.herdops.alpacon.plugins.module_utils._api.records import iso
from ansible_collections.herdops.alpacon.plugins.module_utils._api.version import VERSION

from .asking import WorkspaceAudit
from .checks import Check
from .hosts import AuditedHost, Host
from .options import AuditOptions
from .replies import Reply, named_of, unanswered
from .report.past import SCHEMA
from .scanners import NamedResult, by_name, silent
from .verdict import FAILED, OUTCOMES, SEVERITIES, UNKNOWN, coverage_of, score_of, verdict_of
from .waivers import note_open, waive

#: Groups that say nothing about a host.
_EVERYBODY = frozenset(("all", "ungrouped"))
#: What servers say about a rule itself, and what they say who say nothing.
_WORDS = ("title", "rationale", "references", "severity", "remedy")
_SILENT = NamedResult("", UNKNOWN)


def build_report(
    options: AuditOptions, hosts: Sequence[Host], audits: Sequence[WorkspaceAudit], started: datetime
) -> dict[str, Any]:
    """Build the whole report of an audit that has been made in each workspace."""
    asked = {audited.host.name: (audit, audited) for audit in audits for audited in audit.hosts}
    servers, results, checks = [], [], _Checks()
    for host in hosts:
        audit, audited = asked[host.name]
        for check in audited.checks:
            reply = _reply(audited, check)
            named = named_of(check, reply) if reply else ()
            rows = _results(audited, check, reply, named) if reply else []
            for row in rows:
                waive(options.waivers, row, host.groups)
            note_open(options.waivers, check.name, rows, host.name, host.groups)
            checks.add(check, named, rows)
            results += rows
        own = checks.differences(audited.checks)
        servers.append({**_server(audited, audit.client.settings.url), "differs": own})
    checks.tell_remedies()
    urls = list(dict.fromkeys(audit.client.settings.url for audit in audits))
    summary = _summary(audits, servers, results, checks)
    report = {
        "schema": SCHEMA,
        "title": options.title or f"Audit of {', '.join(urlsplit(url).netloc for url in urls)}",
        "workspace": ", ".join(urls),
        "started_at": iso(started),
        "finished_at": iso(datetime.now(timezone.utc)),
        "collection": VERSION,
        "ansible_core": ansible_core,
        "run_by": {"user": _user(), "controller": socket.gethostname()},
        "reuse_within": options.reuse_within,
        "fail_on": options.fail_on,
        "verdict": None,
        "coverage": coverage_of(summary),
        "min_coverage": options.min_coverage,
        "refusal": " ".join(audit.refusal for audit in audits if audit.refusal) or None,
        "summary": summary,
        "servers": servers,
        "checks": checks.rows,
        "results": results,
        "waivers": [waiver.row for waiver in options.waivers],
    }
    return {**report, "verdict": verdict_of(report)}


def _user() -> str | None:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # the user has no name, as in some containers
        return None


class _Checks:
    """The checks of a report: those that were asked, and the named results of other tools."""

    def __init__(self) -> None:
        self._rows: dict[str, dict[str, Any]] = {}
        #: What each check has unlike the one of that name that is in the report.
        self._unlike: dict[int, dict[str, Any]] = {}
        #: How many results each check is known to have, and its rules.
        self._expected: dict[int, int] = {}
        self._rules: dict[int, Mapping[str, Mapping[str, Any]]] = {}
        #: What is said about a named result by all servers, and by those on which it failed.
        self._said: dict[str, NamedResult] = {}
        self._said_of_failed: dict[str, NamedResult] = {}
        #: Failed results, and the remedies that their servers named.
        self._remedies: list[tuple[dict[str, Any], str]] = []
        #: How many questions there are.
        self.questions = 0

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Return the rows of the report."""
        return list(self._rows.values())

    def add(self, check: Check, named: Sequence[NamedResult], rows: Sequence[dict[str, Any]]) -> None:
        """Add a check that a host has, and the results that it gave."""
        if id(check) not in self._expected:
            self._expected[id(check)] = len(silent(check.results, "")) if check.results else 0
            self._rules[id(check)] = by_name(check.results["rules"]) if check.results else {}
            own = _check(check)
            row = self._rows.setdefault(check.name, own)
            self._unlike[id(check)] = {key: value for key, value in own.items() if value != row[key]}
        self.questions += len(rows) or self._expected[id(check)] or 1
        for one, row in zip(named, rows, strict=False):
            self._add_named(check, one, row)

    def differences(self, checks: Sequence[Check]) -> dict[str, dict[str, Any]]:
        """Return the keys of these checks that differ from those of the same names in the report."""
        return {check.name: self._unlike[id(check)] for check in checks if self._unlike[id(check)]}

    def _add_named(self, check: Check, named: NamedResult, row: dict[str, Any]) -> None:
        name = row["check"]
        known = self._rules[id(check)].get(named.name, {})
        words = [key for key in _WORDS if not known.get(key)]
        changed = _agree(self._said, name, named, words)
        if named.outcome == FAILED:
            changed |= _agree(self._said_of_failed, name, named, words)
            if named.remedy:
                self._remedies.append((row, named.remedy))
        if changed:
            said = self._said[name]
            self._rows[name] = _named_check(self._rows[check.name], name, said, self._said_of_failed.get(name, said))

    def tell_remedies(self) -> None:
        """Put the remedies that only some servers name into the messages of these."""
        for row, remedy in self._remedies:
            if remedy != self._rows[row["check"]]["remedy"]:
                row["message"] = f"{row['message']}\nThe scanner on this server names a remedy: {remedy}"


def _agree(said: dict[str, NamedResult], name: str, named: NamedResult, words: Sequence[str]) -> bool:
    """Keep what another server says alike, so that none speaks for the others. Returns whether anything has changed.

    Args:
        words: what is from servers, and not from the rules of a check.
    """
    if name not in said:
        said[name] = named
        return True
    unlike = {key: getattr(_SILENT, key) for key in words if getattr(said[name], key) != getattr(named, key)}
    said[name] = replace(said[name], **unlike)
    return bool(unlike)


def name_of(check: Check, named: NamedResult) -> str:
    """Return the name of a result of another tool."""
    return f"{check.name}/{named.name}"


def _summary(
    audits: Sequence[WorkspaceAudit],
    servers: Sequence[Mapping[str, Any]],
    results: Sequence[Mapping[str, Any]],
    checks: _Checks,
) -> dict[str, Any]:
    outcomes = Counter((result["outcome"], result["severity"]) for result in results)
    by_outcome: Counter[str] = Counter()
    for (outcome, _severity), number in outcomes.items():
        by_outcome[outcome] += number
    return {
        "servers": len(servers),
        "checks": len(checks.rows),
        "questions": checks.questions,
        **{outcome: by_outcome[outcome] for outcome in OUTCOMES},
        "not_reached": sum(1 for server in servers if server["asked"] and not server["reached"]),
        "not_asked": sum(1 for server in servers if not server["asked"]),
        "failed_by_severity": {severity: outcomes[FAILED, severity] for severity in reversed(SEVERITIES)},
        "score": score_of((*pair, number) for pair, number in outcomes.items()),
        "reused": sum(1 for result in results if result["reused"]),
        "commands": sum(audit.submitted for audit in audits),
        "requests": sum(audit.client.requests for audit in audits),
    }


def _reply(audited: AuditedHost, check: Check) -> Reply | None:
    """Return the reply to a check, None where the server was not reached, or check mode leaves it open."""
    if not audited.reached:
        return None
    return audited.replies.get(check.name) or (unanswered(audited.obstacle) if audited.obstacle else None)


def _results(audited: AuditedHost, check: Check, reply: Reply, named: Sequence[NamedResult]) -> list[dict[str, Any]]:
    """Return the results of one check on one host: a row for each named result, or one."""
    if not named:
        return [_row(audited, check.name, check.severity, reply, reply.judged.outcome, reply.judged.message)]
    # What another tool wrote stands in the report as its results.
    without = replace(reply, output="", truncated=True)
    return [
        _row(audited, name_of(check, one), one.severity or check.severity, without, one.outcome, one.message)
        for one in named
    ]


def _row(audited: AuditedHost, name: str, severity: str, reply: Reply, outcome: str, message: str) -> dict[str, Any]:
    return {
        "host": audited.host.name,
        "check": name,
        "outcome": outcome,
        "severity": severity,
        "message": message,
        "rc": reply.rc,
        "value": reply.judged.value,
        "output": reply.output,
        "output_truncated": reply.truncated,
        "output_complete": reply.complete,
        "command": reply.command.id if reply.command else None,
        "ended_at": iso(reply.command.end) if reply.command else None,
        "reused": reply.reused,
        "waiver": None,
    }


def _server(audited: AuditedHost, workspace: str) -> dict[str, Any]:
    return {
        "host": audited.host.name,
        "workspace": workspace,
        "id": audited.server.id,
        "name": audited.server.name,
        "groups": sorted(audited.host.groups - _EVERYBODY),
        **audited.about,
        "reached": audited.reached,
        "reason": audited.reason,
        "asked": audited.asked,
        "connected": audited.server.is_connected,
        "age_seconds": _age(audited) if audited.reached and audited.reason else None,
    }


def _age(audited: AuditedHost) -> int | None:
    """Return the age of the oldest answer of a host, in seconds."""
    ends = [reply.command.end for reply in audited.replies.values() if reply.command and reply.command.end]
    return int((datetime.now(timezone.utc) - min(ends)).total_seconds()) if ends else None


def _check(check: Check) -> dict[str, Any]:
    return {
        "name": check.name,
        "of": None,
        "set": check.set,
        "title": check.title or check.name,
        "rationale": check.rationale,
        "remedy": check.remedy,
        "references": list(check.references),
        "severity": check.severity,
        "kind": check.kind,
        "line": check.line,
        "applies_if": check.applies_if,
        "username": check.username,
        "expected": check.expected,
        "parameters": dict(check.parameters),
    }


def _named_check(check: Mapping[str, Any], name: str, named: NamedResult, failed: NamedResult) -> dict[str, Any]:
    """Return a named result as a check, part of the one whose output it is in.

    Args:
        check: that one, as the report has it.
        named: what all servers say about it.
        failed: what those say on which it failed: only they name a severity and a remedy, in some formats.
    """
    return {
        **check,
        "name": name,
        "of": check["name"],
        "title": named.title or named.name,
        "rationale": named.rationale,
        "remedy": failed.remedy or check["remedy"],
        "references": list(named.references),
        "severity": failed.severity or check["severity"],
        "line": "",
        "applies_if": None,
        "expected": [],
        "parameters": {},
    }
