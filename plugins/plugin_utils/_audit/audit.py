# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run an audit, and build its report and the result of the task."""

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
from .report import SCHEMA
from .report.formats import describe_findings, render_summary
from .report.text import describe_coverage, describe_reused_servers, group_unreached, join_first, pluralize
from .responses import get_rule_results, missing_response
from .scanners import make_unknown_results
from .scanners.results import (
    FAILED,
    FINDINGS,
    INCONCLUSIVE,
    OUTCOMES,
    PASS,
    SEVERITIES,
    UNKNOWN,
    RuleResult,
    compute_coverage,
    compute_score,
    decide_verdict,
    is_covered,
    is_failing,
)
from .waivers import apply_waivers

_Row = dict[str, Any]

#: The most findings that a message names.
_MAX_NAMED = 50
#: Groups of every host.
_IMPLICIT_GROUPS = frozenset(("all", "ungrouped"))
_COPIED_FROM_CHECK = ("set", "rationale", "remedy", "severity", "kind", "line", "applies_if", "username", "expected")


@dataclass(frozen=True)
class AuditResult:
    """The report of an audit, and what it did.

    Attributes:
        report: see ``docs/audit-report.schema.json``.
        to_submit: the number of commands that check mode did not submit.
        submitted_to: the IDs of the servers that commands were submitted to.
    """

    report: _Row
    to_submit: int = 0
    submitted_to: frozenset[str] = frozenset()


def run_audit(options: AuditOptions, hosts: Sequence[Host], run: Run) -> AuditResult:
    """Audit the hosts, one workspace after the other.

    Raises:
        AlpaconError: no workspace could be asked, and no command was submitted.
    """
    started = datetime.now(timezone.utc)
    by_workspace: dict[Settings, list[Host]] = {}
    for host in hosts:
        by_workspace.setdefault(host.settings, []).append(host)
    audits = [collect_responses(options, members, settings, run) for settings, members in by_workspace.items()]
    errors = [audit.error for audit in audits if audit.error]
    if len(errors) == len(audits) and not any(audit.submitted for audit in audits):
        raise errors[0]
    report = build_report(options, hosts, audits, started)
    if run.check_mode:
        # The checks that did not run could change both.
        report.update(verdict=None, coverage=None)
    submitted_to = frozenset(server for audit in audits for server in audit.submitted_to)
    return AuditResult(report, sum(audit.to_submit for audit in audits), submitted_to)


def build_report(
    options: AuditOptions, hosts: Sequence[Host], audits: Sequence[WorkspaceCollector], started: datetime
) -> _Row:
    """Build the report of all workspaces, see ``docs/audit-report.schema.json``."""
    by_name = {audited.host.name: (audit, audited) for audit in audits for audited in audit.hosts}
    servers: list[_Row] = []
    results: list[_Row] = []
    checks = _CheckRows()
    for host in hosts:
        audit, audited = by_name[host.name]
        differs = {}
        for check in host.checks:
            named, rows = _evaluate_check(audited, check)
            for row in rows:
                apply_waivers(options.waivers, row, host.groups)
            if difference := checks.add(check, named, len(rows)):
                differs[check.name] = difference
            results += rows
        servers.append({**_build_server(audited, audit.client.settings.url), "differs": differs})
    urls = list(dict.fromkeys(audit.client.settings.url for audit in audits))
    summary = _summarize(audits, servers, results, checks)
    report = {
        "schema": SCHEMA,
        "title": f"Audit of {', '.join(urlsplit(url).netloc for url in urls)}",
        "workspace": ", ".join(urls),
        "started_at": to_iso(started),
        "finished_at": to_iso(datetime.now(timezone.utc)),
        "collection": VERSION,
        "ansible_core": ansible_core,
        "run_by": {"user": _get_user(), "controller": socket.gethostname()},
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
        "waivers": [waiver.to_row() for waiver in options.waivers],
    }
    return {**report, "verdict": decide_verdict(report)}


def _get_user() -> str | None:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # in some containers, the user has no name
        return None


class _CheckRows:
    """The checks of a report, and the rules of other tools."""

    def __init__(self) -> None:
        self.rows: dict[str, _Row] = {}
        self.questions = 0
        #: By the ID of a check: its known rules, and the keys in which it differs from the row of its name.
        self._known: dict[int, tuple[int, _Row]] = {}

    def add(self, check: Check, named: Sequence[RuleResult], results: int) -> _Row:
        """Add a check of a host with its number of results. Return the keys in which it differs from its row."""
        if id(check) not in self._known:
            own = {
                "name": check.name,
                "of": None,
                "title": check.title or check.name,
                "references": list(check.references),
                "parameters": dict(check.parameters),
                **{key: getattr(check, key) for key in _COPIED_FROM_CHECK},
            }
            row = self.rows.setdefault(check.name, own)
            difference = {key: value for key, value in own.items() if value != row[key]}
            self._known[id(check)] = (len(make_unknown_results(check.results, "")) if check.results else 0, difference)
        rules, difference = self._known[id(check)]
        self.questions += results or rules or 1
        for result in named:
            name = f"{check.name}/{result.name}"
            if name not in self.rows:
                self.rows[name] = _build_rule(self.rows[check.name], name, result)
        return difference


def _build_rule(check: _Row, name: str, result: RuleResult) -> _Row:
    """Return the rule of another tool as a check, described as by the first server that has it."""
    return {
        **check,
        "name": name,
        "of": check["name"],
        "title": result.title or result.name,
        "rationale": result.rationale,
        "remedy": result.remedy or check["remedy"],
        "references": list(result.references),
        "severity": result.severity or check["severity"],
        "line": "",
        "applies_if": None,
        "expected": [],
        "parameters": {},
    }


def _summarize(
    audits: Sequence[WorkspaceCollector], servers: list[_Row], results: list[_Row], checks: _CheckRows
) -> _Row:
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


def _evaluate_check(audited: AuditedHost, check: Check) -> tuple[Sequence[RuleResult], list[_Row]]:
    """Return the rules of another tool and the rows of results; none if the host was not reached, or in check mode."""
    response = audited.responses.get(check.name)
    if response is None and audited.obstacle:
        response = missing_response(audited.obstacle)
    if response is None or not audited.reached:
        return (), []
    evaluation, command = response.evaluation, response.command
    row = {
        "host": audited.host.name,
        "check": check.name,
        "outcome": evaluation.outcome,
        "severity": check.severity,
        "message": evaluation.message,
        "rc": response.rc,
        "value": evaluation.value,
        "output": response.output,
        "output_truncated": response.truncated,
        "output_complete": response.complete,
        "command": command.id if command else None,
        "ended_at": to_iso(command.end) if command else None,
        "reused": response.reused,
        "waiver": None,
    }
    named = get_rule_results(check, response)
    if not named:
        return (), [row]
    # The rows are all that the report has of the tool's output.
    row.update(output="", output_truncated=True)
    rules = [
        {
            **row,
            "check": f"{check.name}/{result.name}",
            "outcome": result.outcome,
            "severity": result.severity or check.severity,
            "message": result.message,
        }
        for result in named
    ]
    return named, rules


def _build_server(audited: AuditedHost, workspace: str) -> _Row:
    ends = [one.command.end for one in audited.responses.values() if one.command and one.command.end]
    age = int((datetime.now(timezone.utc) - min(ends)).total_seconds()) if ends else None
    return {
        "host": audited.host.name,
        "workspace": workspace,
        "id": audited.server.id,
        "name": audited.server.name,
        "groups": sorted(audited.host.groups - _IMPLICIT_GROUPS),
        **audited.about,
        "reached": audited.reached,
        "reason": audited.reason,
        "connected": audited.server.is_connected,
        "age_seconds": age if audited.reached and audited.reason else None,
    }


def build_result(audited: AuditResult, files: Sequence[str] = (), no_log: bool = False) -> _Row:
    """Return the result of the task, failed unless the verdict is pass; check mode has no verdict.

    Args:
        no_log: leave the answers of servers out of C(msg).
    """
    report, summary = audited.report, audited.report["summary"]
    # Without the outputs: registered results should be small.
    keys = ("host", "check", "outcome", "severity", "message", "rc", "value", "command")
    findings = [
        {**{key: result[key] for key in keys}, "fails": is_failing(result, report["fail_on"])}
        for result in report["results"]
        if result["outcome"] in FINDINGS
    ]
    findings.sort(key=lambda finding: (finding["outcome"] == UNKNOWN, -SEVERITIES.index(finding["severity"])))
    failing = sum(finding["fails"] for finding in findings)
    servers = {server["id"]: server["name"] for server in report["servers"] if server["id"] in audited.submitted_to}
    return {
        "changed": summary["commands"] + audited.to_submit > 0,
        "failed": bool(failing or report["refusal"]) or report["verdict"] == INCONCLUSIVE,
        "msg": _describe_result(audited, [{**one, "message": ""} for one in findings] if no_log else findings),
        "verdict": report["verdict"],
        "coverage": report["coverage"],
        "summary": summary,
        "findings": findings,
        "failing": failing,
        "servers": [{"id": server_id, "name": name} for server_id, name in servers.items()],
        "files": list(files),
        "overview": list(render_summary(report, files, audited.to_submit)),
        "requests": summary["requests"],
    }


def _describe_result(audited: AuditResult, findings: Sequence[Mapping[str, Any]]) -> str:
    report, summary = audited.report, audited.report["summary"]
    failing = [finding for finding in findings if finding["fails"]]
    sentences = [report["refusal"]] if report["refusal"] else []
    if failing:
        worst = f"{pluralize(len(failing), 'finding')} of severity {report['fail_on']} or worse"
        sentences.append(f"{worst}: {_name_findings(failing)}")
        if report["verdict"] and not is_covered(report):
            sentences.append(describe_coverage(report))
    else:
        if report["verdict"] == INCONCLUSIVE:
            sentences.append(describe_coverage(report))
            sentences[0] = f"Inconclusive: {sentences[0]}"
        sentences.append(f"{summary['passed']} passed, {summary['failed']} failed, {summary['unknown']} unknown")
    if report["verdict"] == PASS:
        sentences.append(describe_reused_servers(report))
    if report["verdict"] == INCONCLUSIVE:
        for reason, hosts in group_unreached(report)[:_MAX_NAMED]:
            sentences.append(f"{pluralize(len(hosts), 'server')}: {reason}: {join_first(hosts, _MAX_NAMED)}")
        if unknown := [finding for finding in findings if finding["outcome"] == UNKNOWN]:
            sentences.append(f"Without an answer: {_name_findings(unknown)}")
    if audited.to_submit:
        sentences.append(f"{pluralize(audited.to_submit, 'command')} would be submitted")
    return " ".join(f"{sentence.removesuffix('.')}." for sentence in sentences if sentence)


def _name_findings(findings: Sequence[Mapping[str, Any]]) -> str:
    named = [words.removesuffix(": ") for words in describe_findings(findings)]
    more = [f"and {len(named) - _MAX_NAMED} more"] if len(named) > _MAX_NAMED else []
    return "; ".join([*named[:_MAX_NAMED], *more])
