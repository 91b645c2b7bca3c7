# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test the report of an audit, and the result of the task."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from types import SimpleNamespace
from typing import Any
from unittest.mock import ANY

import jsonschema

from ansible_collections.herdops.alpacon.plugins.module_utils._api.records import Server
from ansible_collections.herdops.alpacon.plugins.module_utils._api.settings import Settings
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.audit import (
    AuditResult,
    build_report,
    build_result,
)
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.checks import Check, parse_checks
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.collection import AuditedHost, WorkspaceCollector
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.hosts import Host
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.options import SPEC, AuditOptions
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.payloads import CheckAnswer
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.report.formats import render_csv
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.report.html_page import PageData, render_html
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.report.text import (
    get_differences,
    get_remedy,
    list_remediations,
)
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.responses import Response, evaluate
from ansible_collections.herdops.alpacon.tests.browser import reports
from ansible_collections.herdops.alpacon.tests.unit.support import ROOT, Row

SCHEMA = json.loads((ROOT / "docs/audit-report.schema.json").read_text(encoding="utf-8"))
SETTINGS = Settings("https://my-workspace.example", "secret")
LOAD: Row = {"name": "load", "line": "echo 50", "number": "<= load_max", "parameters": {"load_max": 10}}


def report_of(outputs: Mapping[str, str] | None = None, **checks_of: Sequence[Check]) -> Row:
    """Return the report of hosts with these checks, each of which answered 50.

    Args:
        outputs: other answers, by the names of hosts.
    """
    hosts = [Host(name, name, frozenset(), checks, SETTINGS) for name, checks in checks_of.items()]
    audited = [AuditedHost(host, Server(f"id of {host.name}")) for host in hosts]
    for one in audited:
        answer = CheckAnswer(0, (outputs or {}).get(one.host.name, "50"))
        one.responses = {
            check.name: Response(evaluate(check, answer), 0, answer.output, complete=True) for check in one.host.checks
        }
    client = SimpleNamespace(settings=SETTINGS, requests=0)
    audit: Any = SimpleNamespace(hosts=audited, client=client, refusal="", submitted=0)
    given = {name: spec.get("default") for name, spec in SPEC.items()}
    options = AuditOptions.from_options(given, list(checks_of.values()))
    audits: list[WorkspaceCollector] = [audit]
    report = build_report(options, hosts, audits, datetime.now(timezone.utc))
    jsonschema.validate(report, SCHEMA)
    return report


def test_the_report_has_the_differences_of_a_host() -> None:
    weak = {**LOAD, "parameters": {"load_max": 1000}, "severity": "low", "remedy": "Call the web team."}
    alike = {"name": "alike", "line": "echo 50"}
    report = report_of(db=parse_checks("checks", [LOAD, alike], ""), web=parse_checks("checks", [weak, alike], ""))
    assert [check["parameters"] for check in report["checks"]] == [{"load_max": 10}, {}]
    own = {**{key: weak[key] for key in ("severity", "remedy", "parameters")}, "expected": ANY}
    assert [server["differs"] for server in report["servers"]] == [{}, {"load": own}]
    assert [row["outcome"] for row in report["results"]] == ["failed", "passed", "passed", "passed"]


def test_a_remedy_that_a_server_prints_is_for_this_server() -> None:
    """Pass the rule on the first server, and fail it on the others with these remedies."""
    remedies = {"a": "Not needed.", "b": "Run b.", "c": "Run b.", "d": "Run d.", "e": ""}
    words = {"passed": ["yes"], "failed": ["no"]}
    results = {"format": "json", "name": "id", "outcome": "ok", "remedy": "fix", "words": words}
    checks = parse_checks("checks", [{"name": "scan", "line": "scan", "results": results}], "")
    outputs = {
        host: json.dumps([{"id": "rule", "ok": "yes" if host == "a" else "no", "fix": remedy}])
        for host, remedy in remedies.items()
    }
    report = report_of(outputs, **dict.fromkeys(remedies, checks))
    differences = get_differences(report)
    [rule] = [check for check in report["checks"] if check["name"] == "scan/rule"]
    failed = [host for host in remedies if host != "a"]
    assert {host: get_remedy(differences, host, rule) for host in failed} == {host: remedies[host] for host in failed}
    [remediation] = list_remediations(report)
    assert remediation.remedy == "Run b. On other servers: Run d."
    assert "Here the check has: remedy Run d.." in "".join(render_html(report))


def test_hosts_that_did_not_answer_are_left() -> None:
    checks = parse_checks("checks", [LOAD], "")
    report = report_of({"odd": "no number"}, good=checks, odd=checks, away=checks)
    report["servers"][-1]["reached"] = False
    assert [row["outcome"] for row in report["results"]] == ["failed", "unknown", "failed"]
    assert build_result(AuditResult(report))["hosts_left"] == ["odd", "away"], "a finding is an answer"


def report_of_different_hosts() -> reports.Report:
    """Return a report of two servers. On the second, a check is worse, has another remedy, and fails."""
    report = reports.summed(reports.report(servers=2, checks=1, offline=0))
    [check], [first, second], [row, _other] = report["checks"], report["servers"], report["results"]
    own = {"severity": "critical", "remedy": "Call the web team.", "line": "echo 50", "parameters": {"load_max": 40}}
    common = {"severity": "low", "remedy": "Call the dba.", "line": "echo 5", "parameters": {"load_max": 10}}
    rows = {
        "checks": [{**check, **common}],
        "servers": [
            {**first, "host": "db-01", "differs": {}},
            {**second, "host": "web-01", "differs": {check["name"]: own}},
        ],
        "results": [
            {**row, "host": "db-01", "outcome": "passed", "severity": "low"},
            {**row, "host": "web-01", "outcome": "failed", "severity": "critical", "message": "It is 50."},
        ],
    }
    return reports.summed({**report, **rows})


DIFFERENT = report_of_different_hosts()


def test_reports_have_the_remedy_of_the_host() -> None:
    rows = list(csv.DictReader(io.StringIO("".join(render_csv(DIFFERENT)), newline="")))
    assert {row["host"]: row["remedy"] for row in rows} == {"db-01": "Call the dba.", "web-01": "Call the web team."}
    [remediation] = list_remediations(DIFFERENT)
    assert remediation.remedy == "Call the web team."
    failed = [{**row, "outcome": "failed"} for row in DIFFERENT["results"]]
    [remediation] = list_remediations({**DIFFERENT, "results": failed})
    assert remediation.remedy == "Call the dba. On other servers: Call the web team."


def test_the_page_has_the_differences_of_a_host() -> None:
    page = "".join(render_html(DIFFERENT))
    own = "severity critical; remedy Call the web team.; line echo 50; load_max 40"
    assert f"Here the check has: {own}." in page
    assert "Call the dba." in page.partition('<h2 id="findings-title">')[2]


def test_a_check_has_the_severity_of_its_worst_result() -> None:
    [parent], [passed, failed] = DIFFERENT["checks"], DIFFERENT["results"]
    part = {**parent, "name": "scan/rule", "of": parent["name"]}
    # A result that is unknown has the severity of having no answer.
    rows = [{**passed, "check": "scan/rule", "severity": "high"}, {**failed, "check": "scan/rule", "severity": "low"}]
    unknown = [{**row, "outcome": "unknown", "severity": "high"} for row in DIFFERENT["results"]]
    for checks, results, severity in (
        ([parent], DIFFERENT["results"], "critical"),
        ([parent, part], rows, "low"),
        ([parent], unknown, "low"),
    ):
        content = PageData({**DIFFERENT, "checks": checks, "results": results})
        assert content.checks[-1]["severity"] == severity


def test_messages_name_fifty_findings() -> None:
    finding = {"check": "c", "outcome": "failed", "severity": "high", "message": "M.", "rc": 1}
    more = {"value": None, "command": None}
    results = [{"host": f"h{number}", **finding, **more, "message": f"M{number}."} for number in range(120)]
    counts = dict.fromkeys(("servers", "failed", "commands", "questions"), 120)
    summary: Row = dict.fromkeys(("passed", "unknown", "reused", "not_applicable", "waived"), 0) | counts
    summary |= {"checks": 1, "failed_by_severity": {"high": 120, "low": 0}, "requests": 130}
    report: Row = {"title": "T", "results": results, "servers": [], "summary": summary, "fail_on": "high"}
    report |= {"schema": 2, "checks": [{"name": "c", "remedy": "R"}]}
    report |= {"verdict": "fail", "coverage": 100.0, "min_coverage": 95.0, "refusal": None}
    message = str(build_result(AuditResult(report))["msg"])
    assert message.startswith("120 findings of severity high or worse: h0: c (high): M0; h1: c (high): M1; ")
    assert message.endswith("h49: c (high): M49; and 70 more.")


def test_a_server_has_the_versions_that_its_scanners_print() -> None:
    scanner = {"name": "cis", "line": "inspec exec cis", "results": {"format": "inspec"}}
    printed = json.dumps({"controls": [{"id": "a", "status": "passed"}], "version": "5.22.3"})
    report = report_of({"web": printed}, web=parse_checks("checks", [scanner, LOAD], ""), db=[])
    assert [server["versions"] for server in report["servers"]] == [{"cis": ["InSpec 5.22.3"]}, {}]
