# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Audits: what is asked of whom, what recent commands answer, what becomes of servers that do not answer."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from ansible.parsing.plugin_docs import read_docstring

from ansible_collections.herdops.alpacon.plugins.module_utils._options.connection import CONNECTION
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.audit import Audited
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.check_options import CHECK, NUMBER, read_checks
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.hosts import server_of
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.options import SPEC as AUDIT_SPEC
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.report import FORMATS
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.result import result_of
from ansible_collections.herdops.alpacon.tests.unit.support import ROOT, Row

# What the task returns


def test_messages_name_so_many_findings_and_no_more() -> None:
    results = [
        {"host": f"h{number}", "check": "c", "outcome": "failed", "severity": "high", "message": "M.", "rc": 1}
        | {"value": None, "command": None}
        for number in range(120)
    ]
    summary: Row = {"servers": 120, "checks": 1, "passed": 0, "failed": 120, "unknown": 0, "reused": 0, "commands": 120}
    summary |= {"failed_by_severity": {"high": 120, "low": 0}, "requests": 130}
    report: Row = {"title": "T", "results": results, "servers": [], "summary": summary, "fail_on": "high"}
    report |= {"verdict": "fail", "coverage": 100.0, "min_coverage": 95.0, "refusal": None}
    result = result_of(Audited(report, changed=True), ["/tmp/a/audit.json", "/tmp/a/audit.html"])
    assert result["msg"].startswith("120 findings of severity high or worse: h0: c (high): M; h1: c (high): M; ")
    assert result["msg"].endswith("h49: c (high): M; and 70 more.")
    assert result["overview"] == [
        "T: 120 servers, 1 check; 120 commands run, 0 answers reused",
        "Verdict: fail. 120 of 120 questions answered (100%).",
        "passed                  0",
        "unknown                 0",
        "failed, high          120",
        "Worst findings:",
        *(f"  h{number}: c (high): M" for number in range(10)),
        "  and 110 more",
        "Report: /tmp/a/audit.html",
    ]


# Bad input


@pytest.mark.parametrize(
    ("server_id", "server"),
    [
        (None, "web-01"),
        ("", "web-01"),
        ("other", "other"),
        ("7A50EA6C21384D3F9633E50694C847C4", "7a50ea6c-2138-4d3f-9633-e50694c847c4"),
    ],
)
def test_the_server_of_a_host(server_id: Any, server: str) -> None:
    assert server_of("web-01", server_id) == server


# Documentation and tables


def _documented() -> Row:
    file = ROOT / "plugins/modules/alpacon_audit.py"
    documented: Row = read_docstring(str(file))["doc"]["options"]
    return documented


def _facts(table: Row) -> dict[str, tuple[Any, ...]]:
    keys = ("type", "elements", "required", "choices", "default")
    return {name: tuple(option.get(key) for key in keys) for name, option in table.items()}


def test_the_documentation_has_the_options_that_there_are() -> None:
    documented = _documented()
    checks = documented["checks"]["suboptions"]
    assert _facts(documented) == _facts({name: option for name, option in AUDIT_SPEC.items() if name not in CONNECTION})
    assert _facts(checks) == _facts(CHECK)
    assert _facts(checks["number"]["suboptions"]) == _facts(NUMBER)


def test_formats_are_those_that_there_are() -> None:
    assert AUDIT_SPEC["formats"]["choices"] == list(FORMATS)


def test_the_role_documents_its_defaults() -> None:
    role = ROOT / "roles/audit"
    defaults = yaml.safe_load((role / "defaults/main.yml").read_text())
    specs = yaml.safe_load((role / "meta/argument_specs.yml").read_text())["argument_specs"]["main"]["options"]
    assert {name: option["default"] for name, option in specs.items()} == defaults
    head = (ROOT / "playbooks/audit.yml").read_text().split("- name:")[0]
    assert "ansible-doc -t role herdops.alpacon.audit describes them" in head


def _check_sets() -> Row:
    sets: Row = yaml.safe_load((ROOT / "roles/audit/vars/main.yml").read_text())["audit_library"]
    return sets


@pytest.mark.parametrize("name", ["security", "capacity", "agent"])
def test_the_check_sets_are_sound(name: str) -> None:
    checks = _check_sets()[name]
    plain = [
        {**check, "absent": [], "number": {**check.get("number", {}), "at_least": 0, "at_most": 1}}
        if "{{" in str(check.get("absent", "")) + str(check.get("number", ""))
        else check
        for check in checks
    ]
    read = read_checks("checks", plain)
    assert all(check.set == name and check.description and check.remedy for check in read)
    assert all(not check.line.startswith(" ") and "\n" not in check.line for check in read)


def test_the_check_sets_take_few_commands() -> None:
    lines = {check["line"] for checks in _check_sets().values() for check in checks}
    assert len(lines) == 9
