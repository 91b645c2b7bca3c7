# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""What is in the report of an audit, see ``docs/audit-report.schema.json``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any
from urllib.parse import urlsplit

from ansible_collections.herdops.alpacon.plugins.module_utils._api.records import iso
from ansible_collections.herdops.alpacon.plugins.module_utils._api.version import VERSION

from ..asking import WorkspaceAudit
from ..checks import Check
from ..hosts import AuditedHost
from ..judging import CheckOutcome, judge
from ..options import AuditOptions
from ..outcomes import FAILED, OUTCOMES, SEVERITIES, UNKNOWN
from ..replies import Reply
from ..verdict import coverage_of, verdict_of

#: Groups that say nothing about a host.
_EVERYBODY = frozenset(("all", "ungrouped"))


def content_of(options: AuditOptions, audits: Sequence[WorkspaceAudit], started: datetime) -> dict[str, Any]:
    """The whole report of an audit that has been made in each workspace."""
    asked = {audited.host.name: (audit, audited) for audit in audits for audited in audit.hosts}
    servers, results = [], []
    for host in options.hosts:
        audit, audited = asked[host.name]
        facts: dict[str, Any] = {}
        results += [result for check in audited.checks if (result := _result(audit, audited, check, facts))]
        servers.append(_server(audited, facts, audit.client.settings.url))
    urls = list(dict.fromkeys(audit.client.settings.url for audit in audits))
    summary = _summary(options, audits, results)
    report = {
        "schema": 1,
        "title": options.title or f"Audit of {', '.join(urlsplit(url).netloc for url in urls)}",
        "workspace": ", ".join(urls),
        "started_at": iso(started),
        "finished_at": iso(datetime.now(timezone.utc)),
        "collection": VERSION,
        "reuse_within": options.reuse_within,
        "fail_on": options.fail_on,
        "verdict": None,
        "coverage": coverage_of(summary),
        "min_coverage": options.min_coverage,
        "refusal": " ".join(audit.refusal for audit in audits if audit.refusal) or None,
        "summary": summary,
        "servers": servers,
        "checks": [_check(check) for check in options.checks],
        "results": results,
    }
    return {**report, "verdict": verdict_of(report)}


def _summary(
    options: AuditOptions, audits: Sequence[WorkspaceAudit], results: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    outcomes = Counter(result["outcome"] for result in results)
    severities = Counter(result["severity"] for result in results if result["outcome"] == FAILED)
    return {
        "servers": len(options.hosts),
        "checks": len(options.checks),
        "questions": len(results),
        **{outcome: outcomes[outcome] for outcome in OUTCOMES},
        "failed_by_severity": {severity: severities[severity] for severity in reversed(SEVERITIES)},
        "reused": sum(reply.reused for audit in audits for reply in audit.replies.values()),
        "commands": sum(audit.submitted for audit in audits),
        "requests": sum(audit.client.requests for audit in audits),
    }


def _result(audit: WorkspaceAudit, audited: AuditedHost, check: Check, facts: dict[str, Any]) -> dict[str, Any] | None:
    """What came of one check on one host, or None where check mode leaves that open; adds to the facts of the host."""
    command = audited.command(check)
    reply = audit.replies.get(command) if command else None
    if reply is None:
        if not audited.obstacle:
            return None
        reply = Reply(reason=audited.obstacle)
    limit = audit.options.output_limit
    judged = judge(check, reply.answer, limit) if reply.answer else CheckOutcome(UNKNOWN, reply.reason)
    facts.update(judged.facts)
    severity = audit.options.unknown_severity if judged.outcome == UNKNOWN else check.severity
    return {
        "host": audited.host.name,
        "check": check.name,
        "outcome": judged.outcome,
        "severity": severity,
        "message": judged.message,
        **_evidence(reply, judged, audit.options.output_limit),
    }


def _evidence(reply: Reply, judged: CheckOutcome, limit: int) -> dict[str, Any]:
    output = reply.answer.output.rstrip("\r\n") if reply.answer else ""
    return {
        "rc": reply.answer.rc if reply.answer else None,
        "value": judged.value,
        "output": output[:limit],
        "output_truncated": len(output) > limit,
        "output_complete": reply.answer.complete if reply.answer else False,
        "command": reply.command.id if reply.command else None,
        "ended_at": iso(reply.command.end) if reply.command else None,
        "reused": reply.reused,
    }


def _server(audited: AuditedHost, facts: Mapping[str, Any], workspace: str) -> dict[str, Any]:
    return {
        "host": audited.host.name,
        "workspace": workspace,
        "id": audited.server.id,
        "name": audited.server.name,
        "groups": sorted(audited.host.groups - _EVERYBODY),
        "facts": dict(facts),
    }


def _check(check: Check) -> dict[str, Any]:
    return {
        "name": check.name,
        "set": check.set,
        "description": check.title,
        "remedy": check.remedy,
        "line": check.line,
        "username": check.username,
        "severity": check.severity,
        "expected": check.expected,
        "when": list(check.when),
    }
