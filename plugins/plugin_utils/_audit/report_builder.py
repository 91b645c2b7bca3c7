# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The builder of the report of an audit, see ``docs/audit-report.schema.json``."""

from __future__ import annotations

import getpass
import socket
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Any
from urllib.parse import urlsplit

from ansible.release import __version__ as ansible_core

from ansible_collections.herdops.alpacon.plugins.module_utils._api.records import to_iso
from ansible_collections.herdops.alpacon.plugins.module_utils._api.settings import VERSION

from .checks import Check
from .collection import WorkspaceAudit
from .hosts import AuditedHost, Host
from .options import AuditOptions
from .report.trend import SCHEMA
from .responses import Reply, named_of, unanswered
from .results import FAILED, OUTCOMES, SEVERITIES, coverage_of, score_of, verdict_of
from .scanners import NamedResult, silent
from .waivers import waive

_Row = dict[str, Any]

#: Groups that say nothing about a host.
_EVERYBODY = frozenset(("all", "ungrouped"))
#: What the report has of a check as it is.
_OF_CHECK = ("set", "rationale", "remedy", "severity", "kind", "line", "applies_if", "username", "expected")


def build_report(
    options: AuditOptions, hosts: Sequence[Host], audits: Sequence[WorkspaceAudit], started: datetime
) -> _Row:
    """Build the whole report of an audit that has been made in each workspace."""
    asked = {audited.host.name: (audit, audited) for audit in audits for audited in audit.hosts}
    servers: list[_Row] = []
    results: list[_Row] = []
    checks = _Checks()
    for host in hosts:
        audit, audited = asked[host.name]
        differs = {}
        for check in audited.checks:
            reply = _reply(audited, check)
            named = named_of(check, reply) if reply else ()
            rows = _results(audited, check, reply, named) if reply else []
            for row in rows:
                waive(options.waivers, row, host.groups)
            if unlike := checks.add(check, named, len(rows)):
                differs[check.name] = unlike
            results += rows
        servers.append({**_server(audited, audit.client.settings.url), "differs": differs})
    urls = list(dict.fromkeys(audit.client.settings.url for audit in audits))
    summary = _summary(audits, servers, results, checks)
    report = {
        "schema": SCHEMA,
        "title": options.title or f"Audit of {', '.join(urlsplit(url).netloc for url in urls)}",
        "workspace": ", ".join(urls),
        "started_at": to_iso(started),
        "finished_at": to_iso(datetime.now(timezone.utc)),
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
        "checks": list(checks.rows.values()),
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
        self.rows: dict[str, _Row] = {}
        self.questions = 0
        #: How many results each check is known to have, and what it has unlike the one of that name in the report.
        self._known: dict[int, tuple[int, _Row]] = {}

    def add(self, check: Check, named: Sequence[NamedResult], results: int) -> _Row:
        """Add a check that a host has, and how many results it gave; return what differs from the report's row."""
        if id(check) not in self._known:
            own = _check(check)
            row = self.rows.setdefault(check.name, own)
            unlike = {key: value for key, value in own.items() if value != row[key]}
            self._known[id(check)] = (len(silent(check.results, "")) if check.results else 0, unlike)
        expected, unlike = self._known[id(check)]
        self.questions += results or expected or 1
        for one in named:
            name = f"{check.name}/{one.name}"
            if name not in self.rows:
                self.rows[name] = _named_check(self.rows[check.name], name, one)
        return unlike


def _summary(audits: Sequence[WorkspaceAudit], servers: list[_Row], results: list[_Row], checks: _Checks) -> _Row:
    outcomes = Counter((result["outcome"], result["severity"]) for result in results)
    by_outcome = Counter(result["outcome"] for result in results)
    return {
        "servers": len(servers),
        "checks": len(checks.rows),
        "questions": checks.questions,
        **{outcome: by_outcome[outcome] for outcome in OUTCOMES},
        "not_reached": sum(1 for server in servers if not server["reached"]),
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


def _results(audited: AuditedHost, check: Check, reply: Reply, named: Sequence[NamedResult]) -> list[_Row]:
    """Return the results of one check on one host: a row for each named result, or one."""
    if not named:
        return [_row(audited, check.name, check.severity, reply, reply.judged.outcome, reply.judged.message)]
    # What another tool wrote stands in the report as its results.
    return [
        _row(audited, f"{check.name}/{one.name}", one.severity or check.severity, reply, one.outcome, one.message)
        | {"output": "", "output_truncated": True}
        for one in named
    ]


def _row(audited: AuditedHost, name: str, severity: str, reply: Reply, outcome: str, message: str) -> _Row:
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
        "ended_at": to_iso(reply.command.end) if reply.command else None,
        "reused": reply.reused,
        "waiver": None,
    }


def _server(audited: AuditedHost, workspace: str) -> _Row:
    return {
        "host": audited.host.name,
        "workspace": workspace,
        "id": audited.server.id,
        "name": audited.server.name,
        "groups": sorted(audited.host.groups - _EVERYBODY),
        **audited.about,
        "reached": audited.reached,
        "reason": audited.reason,
        "connected": audited.server.is_connected,
        "age_seconds": _age(audited) if audited.reached and audited.reason else None,
    }


def _age(audited: AuditedHost) -> int | None:
    """Return the age of the oldest answer of a host, in seconds."""
    ends = [reply.command.end for reply in audited.replies.values() if reply.command and reply.command.end]
    return int((datetime.now(timezone.utc) - min(ends)).total_seconds()) if ends else None


def _check(check: Check) -> _Row:
    return {
        "name": check.name,
        "of": None,
        "title": check.title or check.name,
        "references": list(check.references),
        "parameters": dict(check.parameters),
        **{key: getattr(check, key) for key in _OF_CHECK},
    }


def _named_check(check: _Row, name: str, named: NamedResult) -> _Row:
    """Return a named result as a check, part of the one whose output it is in, with the words of the first server."""
    return {
        **check,
        "name": name,
        "of": check["name"],
        "title": named.title or named.name,
        "rationale": named.rationale,
        # Of its rule; a server names none.
        "remedy": named.remedy or check["remedy"],
        "references": list(named.references),
        "severity": named.severity or check["severity"],
        "line": "",
        "applies_if": None,
        "expected": [],
        "parameters": {},
    }
