# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An audit: ask as little as possible, of all servers at once, and judge what they answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from ansible_collections.herdops.alpacon.plugins.module_utils._api.settings import Settings
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.run import Run

from .collection import ask
from .hosts import Host
from .options import AuditOptions
from .report.formats import in_words, overview
from .report.text import counted, first, unasked
from .report_builder import build_report
from .results import (
    FINDINGS,
    INCONCLUSIVE,
    PASS,
    SEVERITIES,
    UNKNOWN,
    answered,
    fails,
    from_before,
    is_covered,
)

#: So many findings are named in a message.
_NAMED = 50


@dataclass(frozen=True)
class Audited:
    """The result of an audit.

    Attributes:
        report: as ``docs/audit-report.schema.json`` describes it.
        changed: whether commands were submitted, or would be in check mode.
        to_submit: how many commands check mode left out.
        commanded: ids of the servers that commands were submitted to.
    """

    report: dict[str, Any]
    changed: bool
    to_submit: int = 0
    commanded: frozenset[str] = frozenset()


def run_audit(options: AuditOptions, hosts: Sequence[Host], run: Run) -> Audited:
    """Carry out a task of M(herdops.alpacon.alpacon_audit), but for the files.

    Raises:
        AlpaconError: nothing was submitted.
    """
    started = datetime.now(timezone.utc)
    asked = [ask(options, members, settings, run) for settings, members in _by_workspace(hosts).items()]
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
    commanded = frozenset(server for audit in audits for server in audit.commanded)
    return Audited(report, submitted + left_out > 0, left_out, commanded)


def _by_workspace(hosts: Sequence[Host]) -> dict[Settings, list[Host]]:
    """Group hosts by the settings of their workspace."""
    members: dict[Settings, list[Host]] = {}
    for host in hosts:
        members.setdefault(host.settings, []).append(host)
    return members


# The result of the task


def result_of(audited: Audited, files: Sequence[str] = (), no_log: bool = False) -> dict[str, Any]:
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
        "overview": list(overview(report, files, audited.to_submit)),
        "requests": report["summary"]["requests"],
    }


def _commanded(audited: Audited) -> list[dict[str, Any]]:
    """Return the servers that commands of this audit were submitted to."""
    servers = {server["id"]: server["name"] for server in audited.report["servers"]}
    return [{"id": one, "name": name} for one, name in servers.items() if one in audited.commanded]


def _finding(result: Mapping[str, Any], fail_on: str | None) -> dict[str, Any]:
    """Return a result without its output, since registered results should be small."""
    kept = {key: result[key] for key in ("host", "check", "outcome", "severity", "message", "rc", "value", "command")}
    return {**kept, "fails": fails(result, fail_on)}


def _message(audited: Audited, findings: Sequence[Mapping[str, Any]]) -> str:
    report, summary = audited.report, audited.report["summary"]
    failing = [finding for finding in findings if finding["fails"]]
    words = [report["refusal"].removesuffix(".")] if report["refusal"] else []
    if failing:
        worst = f"{counted(len(failing), 'finding')} of severity {report['fail_on']} or worse"
        words.append(f"{worst}: {_named(failing)}")
        if report["verdict"] and not is_covered(report):
            words.append(answered(report).removesuffix("."))
    elif report["verdict"] == INCONCLUSIVE:
        words = [f"Inconclusive: {'. '.join([*words, answered(report).removesuffix('.')])}"]
    if not failing:
        words.append(f"{summary['passed']} passed, {summary['failed']} failed, {summary['unknown']} unknown")
    if report["verdict"] == PASS and (old := from_before(report)):
        words.append(old.removesuffix("."))
    if report["verdict"] == INCONCLUSIVE:
        words += _left_open(report, findings)
    if audited.to_submit:
        words.append(f"{counted(audited.to_submit, 'command')} would be submitted")
    return ". ".join(words) + "."


def _left_open(report: Mapping[str, Any], findings: Sequence[Mapping[str, Any]]) -> list[str]:
    """Name the servers that were not reached, and the questions without an answer."""
    unknown = [one for one in findings if one["outcome"] == UNKNOWN]
    words = [
        f"{counted(len(hosts), 'server')}: {why}: {first(hosts, _NAMED)}" for why, hosts in unasked(report)[:_NAMED]
    ]
    return [*words, *([f"Without an answer: {_named(unknown)}"] if unknown else [])]


def _named(findings: Sequence[Mapping[str, Any]]) -> str:
    named = [words.removesuffix(": ") for words in in_words(findings)]
    more = [f"and {len(named) - _NAMED} more"] if len(named) > _NAMED else []
    return "; ".join([*named[:_NAMED], *more])
