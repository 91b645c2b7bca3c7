# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An audit: collect what the servers answer, build the report and the result of the task."""

from __future__ import annotations

import getpass
import socket
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any
from urllib.parse import urlsplit

from ansible.release import __version__ as ansible_core

from ansible_collections.herdops.alpacon.plugins.module_utils._api.records import to_iso
from ansible_collections.herdops.alpacon.plugins.module_utils._api.settings import VERSION, Settings
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.run import Run

from .checks import Check
from .collection import AuditedHost, WorkspaceCollector, collect_responses
from .hosts import Host
from .options import AuditOptions
from .report.formats import describe_findings, render_summary
from .report.text import describe_coverage, describe_reused_servers, group_unreached, join_first, pluralize
from .report.trend import SCHEMA
from .responses import Response, get_rule_results, missing_response
from .results import (
    FAILED,
    FINDINGS,
    INCONCLUSIVE,
    OUTCOMES,
    PASS,
    SEVERITIES,
    UNKNOWN,
    compute_coverage,
    compute_score,
    decide_verdict,
    is_covered,
    is_failing,
)
from .scanners import RuleResult, unknown_results
from .waivers import apply_waivers

_Row = dict[str, Any]

#: So many findings are named in a message.
_NAMED = 50
#: Groups that say nothing about a host.
_EVERYBODY = frozenset(("all", "ungrouped"))
#: What the report has of a check as it is.
_OF_CHECK = ("set", "rationale", "remedy", "severity", "kind", "line", "applies_if", "username", "expected")


@dataclass(frozen=True)
class AuditResult:
    """The result of an audit.

    Attributes:
        report: as ``docs/audit-report.schema.json`` describes it.
        changed: whether commands were submitted, or would be in check mode.
        to_submit: how many commands check mode left out.
        submitted_to: ids of the servers that commands were submitted to.
    """

    report: dict[str, Any]
    changed: bool
    to_submit: int = 0
    submitted_to: frozenset[str] = frozenset()


def run_audit(options: AuditOptions, hosts: Sequence[Host], run: Run) -> AuditResult:
    """Carry out a task of M(herdops.alpacon.alpacon_audit), but for the files.

    Raises:
        AlpaconError: nothing was submitted.
    """
    started = datetime.now(timezone.utc)
    asked = [collect_responses(options, members, settings, run) for settings, members in _by_workspace(hosts).items()]
    audits = [audit for audit, _error in asked]
    failures = [error for _audit, error in asked if error]
    submitted = sum(audit.submitted for audit in audits)
    if len(failures) == len(asked) and not submitted:
        raise failures[0]
    left_out = sum(audit.left_out for audit in audits)
    report = build_report(options, hosts, audits, started)
    if run.check_mode:
        # What was left out could change both.
        report.update(verdict=None, coverage=None)
    submitted_to = frozenset(server for audit in audits for server in audit.submitted_to)
    return AuditResult(report, submitted + left_out > 0, left_out, submitted_to)


def _by_workspace(hosts: Sequence[Host]) -> dict[Settings, list[Host]]:
    """Group hosts by the settings of their workspace."""
    members: dict[Settings, list[Host]] = {}
    for host in hosts:
        members.setdefault(host.settings, []).append(host)
    return members


# The report


def build_report(
    options: AuditOptions, hosts: Sequence[Host], audits: Sequence[WorkspaceCollector], started: datetime
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
            response = _get_response(audited, check)
            named = get_rule_results(check, response) if response else ()
            rows = _results(audited, check, response, named) if response else []
            for row in rows:
                apply_waivers(options.waivers, row, host.groups)
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
        "coverage": compute_coverage(summary),
        "min_coverage": options.min_coverage,
        "refusal": " ".join(audit.refusal for audit in audits if audit.refusal) or None,
        "summary": summary,
        "servers": servers,
        "checks": list(checks.rows.values()),
        "results": results,
        "waivers": [waiver.row for waiver in options.waivers],
    }
    return {**report, "verdict": decide_verdict(report)}


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

    def add(self, check: Check, named: Sequence[RuleResult], results: int) -> _Row:
        """Add a check that a host has, and how many results it gave; return what differs from the report's row."""
        if id(check) not in self._known:
            own = _check(check)
            row = self.rows.setdefault(check.name, own)
            unlike = {key: value for key, value in own.items() if value != row[key]}
            self._known[id(check)] = (len(unknown_results(check.results, "")) if check.results else 0, unlike)
        expected, unlike = self._known[id(check)]
        self.questions += results or expected or 1
        for one in named:
            name = f"{check.name}/{one.name}"
            if name not in self.rows:
                self.rows[name] = _named_check(self.rows[check.name], name, one)
        return unlike


def _summary(audits: Sequence[WorkspaceCollector], servers: list[_Row], results: list[_Row], checks: _Checks) -> _Row:
    outcomes = Counter((result["outcome"], result["severity"]) for result in results)
    by_outcome = Counter(result["outcome"] for result in results)
    return {
        "servers": len(servers),
        "checks": len(checks.rows),
        "questions": checks.questions,
        **{outcome: by_outcome[outcome] for outcome in OUTCOMES},
        "not_reached": sum(1 for server in servers if not server["reached"]),
        "failed_by_severity": {severity: outcomes[FAILED, severity] for severity in reversed(SEVERITIES)},
        "score": compute_score((*pair, number) for pair, number in outcomes.items()),
        "reused": sum(1 for result in results if result["reused"]),
        "commands": sum(audit.submitted for audit in audits),
        "requests": sum(audit.client.requests for audit in audits),
    }


def _get_response(audited: AuditedHost, check: Check) -> Response | None:
    """Return the response to a check, None where the server was not reached, or check mode leaves it open."""
    if not audited.reached:
        return None
    return audited.responses.get(check.name) or (missing_response(audited.obstacle) if audited.obstacle else None)


def _results(audited: AuditedHost, check: Check, response: Response, named: Sequence[RuleResult]) -> list[_Row]:
    """Return the results of one check on one host: a row for each named result, or one."""
    if not named:
        return [
            _row(
                audited, check.name, check.severity, response, response.evaluation.outcome, response.evaluation.message
            )
        ]
    # What another tool wrote stands in the report as its results.
    return [
        _row(audited, f"{check.name}/{one.name}", one.severity or check.severity, response, one.outcome, one.message)
        | {"output": "", "output_truncated": True}
        for one in named
    ]


def _row(audited: AuditedHost, name: str, severity: str, response: Response, outcome: str, message: str) -> _Row:
    return {
        "host": audited.host.name,
        "check": name,
        "outcome": outcome,
        "severity": severity,
        "message": message,
        "rc": response.rc,
        "value": response.evaluation.value,
        "output": response.output,
        "output_truncated": response.truncated,
        "output_complete": response.complete,
        "command": response.command.id if response.command else None,
        "ended_at": to_iso(response.command.end) if response.command else None,
        "reused": response.reused,
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
    ends = [
        response.command.end for response in audited.responses.values() if response.command and response.command.end
    ]
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


def _named_check(check: _Row, name: str, named: RuleResult) -> _Row:
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


# The result of the task


def build_result(audited: AuditResult, files: Sequence[str] = (), no_log: bool = False) -> dict[str, Any]:
    """Return the result of the task, failed unless the verdict is pass; check mode has no verdict.

    Args:
        no_log: whether its message may not show what servers answered.
    """
    report = audited.report
    findings = [_finding(result, report["fail_on"]) for result in report["results"] if result["outcome"] in FINDINGS]
    findings.sort(key=lambda finding: (finding["outcome"] == UNKNOWN, -SEVERITIES.index(finding["severity"])))
    failing = sum(finding["fails"] for finding in findings)
    return {
        "changed": audited.changed,
        "failed": bool(failing or report["refusal"]) or report["verdict"] == INCONCLUSIVE,
        "msg": _message(audited, [{**one, "message": ""} for one in findings] if no_log else findings),
        "verdict": report["verdict"],
        "coverage": report["coverage"],
        "summary": report["summary"],
        "findings": findings,
        "failing": failing,
        "servers": _commanded(audited),
        "files": list(files),
        "overview": list(render_summary(report, files, audited.to_submit)),
        "requests": report["summary"]["requests"],
    }


def _commanded(audited: AuditResult) -> list[dict[str, Any]]:
    """Return the servers that commands of this audit were submitted to."""
    servers = {server["id"]: server["name"] for server in audited.report["servers"]}
    return [{"id": one, "name": name} for one, name in servers.items() if one in audited.submitted_to]


def _finding(result: Mapping[str, Any], fail_on: str | None) -> dict[str, Any]:
    """Return a result without its output, since registered results should be small."""
    kept = {key: result[key] for key in ("host", "check", "outcome", "severity", "message", "rc", "value", "command")}
    return {**kept, "fails": is_failing(result, fail_on)}


def _message(audited: AuditResult, findings: Sequence[Mapping[str, Any]]) -> str:
    report, summary = audited.report, audited.report["summary"]
    failing = [finding for finding in findings if finding["fails"]]
    words = [report["refusal"].removesuffix(".")] if report["refusal"] else []
    if failing:
        worst = f"{pluralize(len(failing), 'finding')} of severity {report['fail_on']} or worse"
        words.append(f"{worst}: {_named(failing)}")
        if report["verdict"] and not is_covered(report):
            words.append(describe_coverage(report).removesuffix("."))
    elif report["verdict"] == INCONCLUSIVE:
        words = [f"Inconclusive: {'. '.join([*words, describe_coverage(report).removesuffix('.')])}"]
    if not failing:
        words.append(f"{summary['passed']} passed, {summary['failed']} failed, {summary['unknown']} unknown")
    if report["verdict"] == PASS and (old := describe_reused_servers(report)):
        words.append(old.removesuffix("."))
    if report["verdict"] == INCONCLUSIVE:
        words += _left_open(report, findings)
    if audited.to_submit:
        words.append(f"{pluralize(audited.to_submit, 'command')} would be submitted")
    return ". ".join(words) + "."


def _left_open(report: Mapping[str, Any], findings: Sequence[Mapping[str, Any]]) -> list[str]:
    """Name the servers that were not reached, and the questions without an answer."""
    unknown = [one for one in findings if one["outcome"] == UNKNOWN]
    words = [
        f"{pluralize(len(hosts), 'server')}: {why}: {join_first(hosts, _NAMED)}"
        for why, hosts in group_unreached(report)[:_NAMED]
    ]
    return [*words, *([f"Without an answer: {_named(unknown)}"] if unknown else [])]


def _named(findings: Sequence[Mapping[str, Any]]) -> str:
    named = [words.removesuffix(": ") for words in describe_findings(findings)]
    more = [f"and {len(named) - _NAMED} more"] if len(named) > _NAMED else []
    return "; ".join([*named[:_NAMED], *more])
