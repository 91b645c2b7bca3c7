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

from ...module_utils._api.errors import join_first
from ...module_utils._api.records import to_iso
from ...module_utils._api.settings import VERSION, Settings
from ...module_utils._fleet.run import Run
from .attestations import apply_attestations
from .checks import Check
from .collection import AuditedHost, WorkspaceCollector, collect_responses
from .hosts import Host
from .options import AuditOptions
from .report import SCHEMA
from .report.formats import describe_findings, render_summary
from .report.text import describe_coverage, describe_grace, describe_reused_servers, group_unreached, pluralize
from .responses import missing_response
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
    is_attested,
    is_covered,
    is_failing,
)
from .waivers import apply_waivers

_Row = dict[str, Any]

_MAX_NAMED = 50
_COPIED_FROM_CHECK = ("set", "rationale", "remedy", "severity", "kind", "line", "applies_if", "username", "expected")


@dataclass(frozen=True)
class AuditResult:
    """The report of an audit, and the commands that it submitted.

    Attributes:
        report: see ``docs/audit-report.schema.json``.
        to_submit: the number of commands that would be submitted without check mode.
        submitted_to: the IDs of the servers that commands were submitted to.
    """

    report: _Row
    to_submit: int = 0
    submitted_to: frozenset[str] = frozenset()


def run_audit(options: AuditOptions, hosts: Sequence[Host], run: Run) -> AuditResult:
    """Audit the hosts, one workspace after the other.

    Raises:
        AlpaconError: every workspace failed, and no command was submitted.
    """
    started = datetime.now(timezone.utc)
    by_workspace: dict[Settings, list[Host]] = {}
    for host in hosts:
        by_workspace.setdefault(host.settings, []).append(host)
    collectors = [collect_responses(options, members, settings, run) for settings, members in by_workspace.items()]
    errors = [collector.error for collector in collectors if collector.error]
    if len(errors) == len(collectors) and not any(collector.submitted for collector in collectors):
        raise errors[0]
    report = build_report(options, hosts, collectors, started)
    if run.check_mode:
        # The checks that did not run could change both.
        report.update(verdict=None, coverage=None)
    submitted_to = frozenset(server for collector in collectors for server in collector.submitted_to)
    return AuditResult(report, sum(collector.to_submit for collector in collectors), submitted_to)


def build_report(
    options: AuditOptions, hosts: Sequence[Host], collectors: Sequence[WorkspaceCollector], started: datetime
) -> _Row:
    audited_hosts = {audited.host.name: audited for collector in collectors for audited in collector.hosts}
    servers: list[_Row] = []
    results: list[_Row] = []
    checks = _CheckRows()
    for host in hosts:
        audited = audited_hosts[host.name]
        differs: _Row = {}
        for check in host.checks:
            rules, rows = _build_results(audited, check)
            for row in rows:
                apply_attestations(options.attestations, row, host.groups)
                apply_waivers(options.waivers, row, host.groups)
            differs.update(checks.add(check, rules, len(rows)))
            results += rows
        servers.append({**_build_server(audited), "differs": differs})
    urls = list(dict.fromkeys(collector.client.settings.url for collector in collectors))
    summary = _summarize(collectors, servers, results, checks)
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
        "fail_after": options.fail_after,
        "verdict": None,
        "coverage": compute_coverage(summary),
        "min_coverage": options.min_coverage,
        "refusal": " ".join(collector.refusal for collector in collectors if collector.refusal) or None,
        "summary": summary,
        "servers": servers,
        "checks": list(checks.rows.values()),
        "results": results,
        "waivers": [waiver.to_row() for waiver in options.waivers],
        "attestations": [attestation.to_row() for attestation in options.attestations],
    }
    return {**report, "verdict": decide_verdict(report)}


def _get_user() -> str | None:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # in some containers, the user has no name
        return None


class _CheckRows:
    """The rows of a report's checks and rules, by name. Of different checks with one name, the first has the row."""

    def __init__(self) -> None:
        self.rows: dict[str, _Row] = {}
        self.questions = 0
        #: The number of the rules added of each check, and the values that differ from the row; by id().
        self._added: dict[int, tuple[int, _Row]] = {}
        #: The names of the rules that have failed.
        self._failed: set[str] = set()

    def add(self, check: Check, rules: Sequence[RuleResult], results: int) -> _Row:
        """Add a check of a host and its rules. Return the values that differ from the rows of their names, by name.

        Args:
            rules: the results of another tool.
            results: the number of results of the check.
        """
        if id(check) not in self._added:
            own = {
                "name": check.name,
                "of": None,
                "title": check.title or check.name,
                "references": list(check.references),
                "parameters": dict(check.parameters),
                **{key: getattr(check, key) for key in _COPIED_FROM_CHECK},
            }
            first = self.rows.setdefault(check.name, own)
            difference = {key: value for key, value in own.items() if value != first[key]}
            self._added[id(check)] = (len(make_unknown_results(check.results, "")) if check.results else 0, difference)
        known_rules, difference = self._added[id(check)]
        self.questions += results or known_rules or 1
        differences = {check.name: difference} if difference else {}
        for rule in rules:
            name = f"{check.name}/{rule.name}"
            if name not in self.rows:
                self.rows[name] = self._make_row(check, rule)
            elif rule.references and not self.rows[name]["references"]:
                self.rows[name]["references"] = list(rule.references)
            if rule.outcome != FAILED:
                continue
            row, remedy = self.rows[name], rule.remedy or check.remedy
            if name not in self._failed:
                # OpenSCAP gives the texts of failed rules only.
                self._failed.add(name)
                row.update(rationale=rule.rationale or row["rationale"], remedy=remedy)
            elif remedy != row["remedy"]:
                # A remedy that one server prints must not advise other servers.
                differences[name] = {"remedy": remedy}
        return differences

    def _make_row(self, check: Check, rule: RuleResult) -> _Row:
        row = self.rows[check.name]
        return {
            **row,
            "name": f"{check.name}/{rule.name}",
            "of": check.name,
            "title": rule.title or rule.name,
            "rationale": rule.rationale,
            "remedy": rule.remedy or row["remedy"],
            "references": list(rule.references),
            "severity": rule.severity or row["severity"],
            "line": "",
            "applies_if": None,
            "expected": [],
            "parameters": {},
        }


def _summarize(
    collectors: Sequence[WorkspaceCollector], servers: list[_Row], results: list[_Row], checks: _CheckRows
) -> _Row:
    outcomes = Counter((result["outcome"], result["severity"]) for result in results)
    by_outcome = Counter(result["outcome"] for result in results)
    return {
        "servers": len(servers),
        "checks": len(checks.rows),
        "questions": checks.questions,
        **{outcome: by_outcome[outcome] for outcome in OUTCOMES},
        "attested": sum(1 for result in results if is_attested(result)),
        "not_reached": sum(1 for server in servers if not server["reached"]),
        "failed_by_severity": {severity: outcomes[FAILED, severity] for severity in reversed(SEVERITIES)},
        "score": compute_score((*pair, number) for pair, number in outcomes.items()),
        "reused": sum(1 for result in results if result["reused"]),
        "commands": sum(collector.submitted for collector in collectors),
        "requests": sum(collector.client.requests for collector in collectors),
    }


def _build_results(audited: AuditedHost, check: Check) -> tuple[Sequence[RuleResult], list[_Row]]:
    """Return a scanner's results, and a row for each of them or else one row for the check.

    Both are empty if the server was not reached, or if check mode did not run the check.
    """
    response = audited.responses.get(check.name)
    if response is None and audited.skip_reason:
        response = missing_response(audited.skip_reason)
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
        "looked_at": response.looked_at,
        "command": command.id if command else None,
        "ended_at": to_iso(command.end) if command else None,
        "reused": response.reused,
        "manual": False,
        "waiver": None,
        "attestation": None,
    }
    rules = evaluation.rules
    if check.results and not rules and evaluation.outcome == UNKNOWN:
        rules = make_unknown_results(check.results, evaluation.message)
    if not rules:
        return (), [row]
    # The results of the rules replace the output.
    row.update(output_truncated=True)
    return rules, [
        {
            **row,
            "check": f"{check.name}/{rule.name}",
            "outcome": rule.outcome,
            "severity": rule.severity or check.severity,
            "message": rule.message,
            "output": rule.output,
            "looked_at": "",
            "manual": rule.manual,
        }
        for rule in rules
    ]


def _build_server(audited: AuditedHost) -> _Row:
    commands = [response.command for response in audited.responses.values() if response.command]
    ends = [command.end for command in commands if command.end]
    age = int((datetime.now(timezone.utc) - min(ends)).total_seconds()) if ends else None
    return {
        "host": audited.host.name,
        "workspace": audited.host.settings.url,
        "id": audited.server.id,
        "name": audited.server.name,
        "groups": sorted(audited.host.groups - {"all", "ungrouped"}),
        **audited.about,
        "reached": audited.reached,
        "reason": audited.reason,
        "connected": audited.server.is_connected,
        "files": [file.to_row(check) for check, one in audited.responses.items() for file in one.files],
        "age_seconds": age if audited.reached and audited.reason else None,
        "versions": {
            name: list(response.evaluation.versions)
            for name, response in audited.responses.items()
            if response.evaluation.versions
        },
    }


def build_result(audit: AuditResult, files: Sequence[str] = (), no_log: bool = False) -> _Row:
    """Return the result of the task. Unless in check mode, it failed if the verdict is not pass.

    Args:
        no_log: omit the messages of findings from C(msg).
    """
    report, summary = audit.report, audit.report["summary"]
    # Registered results stay small without outputs.
    keys = ("host", "check", "outcome", "severity", "message", "rc", "value", "command")
    findings = [
        {
            **{key: result[key] for key in keys},
            "failing_since": result.get("failing_since"),
            "fails": is_failing(result, report["fail_on"]),
        }
        for result in report["results"]
        if result["outcome"] in FINDINGS
    ]
    findings.sort(key=lambda finding: (finding["outcome"] == UNKNOWN, -SEVERITIES.index(finding["severity"])))
    failing = sum(finding["fails"] for finding in findings)
    servers = {server["id"]: server["name"] for server in report["servers"] if server["id"] in audit.submitted_to}
    return {
        "changed": summary["commands"] + audit.to_submit > 0,
        "failed": bool(failing or report["refusal"]) or report["verdict"] == INCONCLUSIVE,
        "msg": _describe_result(audit, [{**one, "message": ""} for one in findings] if no_log else findings),
        "verdict": report["verdict"],
        "coverage": report["coverage"],
        "summary": summary,
        "findings": findings,
        "failing": failing,
        "hosts_left": _list_unanswered(report),
        "servers": [{"id": server_id, "name": name} for server_id, name in servers.items()],
        "files": list(files),
        "overview": list(render_summary(report, files, audit.to_submit)),
        "requests": summary["requests"],
    }


def _list_unanswered(report: Mapping[str, Any]) -> list[str]:
    unknown = {result["host"] for result in report["results"] if result["outcome"] == UNKNOWN}
    return [one["host"] for one in report["servers"] if not one["reached"] or one["host"] in unknown]


def _describe_result(audit: AuditResult, findings: Sequence[Mapping[str, Any]]) -> str:
    report, summary = audit.report, audit.report["summary"]
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
    sentences.append(describe_grace(report))
    if report["verdict"] == PASS:
        sentences.append(describe_reused_servers(report))
    if report["verdict"] == INCONCLUSIVE:
        for reason, hosts in group_unreached(report)[:_MAX_NAMED]:
            sentences.append(f"{pluralize(len(hosts), 'server')}: {reason}: {join_first(hosts, _MAX_NAMED)}")
        if unknown := [finding for finding in findings if finding["outcome"] == UNKNOWN]:
            sentences.append(f"Without an answer: {_name_findings(unknown)}")
    if audit.to_submit:
        sentences.append(f"{pluralize(audit.to_submit, 'command')} would be submitted")
    return " ".join(f"{sentence.removesuffix('.')}." for sentence in sentences if sentence)


def _name_findings(findings: Sequence[Mapping[str, Any]]) -> str:
    descriptions = [text.removesuffix(": ") for text in describe_findings(findings)]
    return join_first(descriptions, _MAX_NAMED, "; ")
