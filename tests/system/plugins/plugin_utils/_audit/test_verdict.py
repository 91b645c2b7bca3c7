# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test the verdict of audits: checks without an answer never pass, and every report says so."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from system.audits import HELLO, AuditRun, audit, hosts
from system.plays import play, run_playbook, task
from system.support import AGENTS
from workspace.client import Workspace

from ansible_collections.herdops.alpacon.tests.unit.support import Row

PLAYBOOK = "herdops.alpacon.audit"
OFFLINE = ("off-01", "off-02", "off-03")
BAD = {"name": "bad", "line": "echo one", "absent": "one", "severity": "high"}


def questions(answered: int, unanswered: int = 0, **given: Any) -> list[Row]:
    """Return this many checks that share a command, some of them without an answer."""
    asked = [{"name": f"n{number}", "line": "echo one", **given} for number in range(answered)]
    silent = {"line": "echo unknown: one", "kind": "problems"}
    return asked + [{"name": f"u{number}", **silent} for number in range(unanswered)]


def said(done: AuditRun) -> tuple[str, float, bool]:
    """Return the verdict, the coverage and whether the task fails; the report says the same as the task."""
    result, report = done.result, done.report
    assert (report["verdict"], report["coverage"]) == (result["verdict"], result["coverage"])
    return result["verdict"], result["coverage"], result["failed"]


# Verdicts


def test_servers_that_are_all_offline_pass_nothing(workspace: Workspace) -> None:
    workspace.add_servers(*OFFLINE, connected=False)
    done = audit(workspace, *questions(19), of=hosts(*OFFLINE))
    assert said(done) == ("inconclusive", 0.0, True)
    assert done.result["failing"] == 0
    told = "Only 0 of 57 questions answered (0%)"
    assert done.result["msg"].startswith(f"Inconclusive: {told}; the minimum is 95%.")
    assert f"Verdict: inconclusive. {told}" in done.result["overview"][1]


@pytest.mark.parametrize(
    ("answered", "unanswered", "min_coverage", "expected"),
    [
        (19, 1, 95, ("pass", 95.0, False)),
        (18, 1, 95, ("inconclusive", 94.7, True)),
        (18, 1, 94.7, ("pass", 94.7, False)),
        (0, 3, 0, ("inconclusive", 0.0, True)),
    ],
)
def test_so_much_must_be_answered(
    current: Workspace, answered: int, unanswered: int, min_coverage: float, expected: tuple[str, float, bool]
) -> None:
    assert said(audit(current, *questions(answered, unanswered), min_coverage=min_coverage)) == expected


def test_a_finding_fails_the_audit_however_little_was_answered(current: Workspace) -> None:
    done = audit(current, BAD, *questions(1, 2))
    assert said(done) == ("fail", 50.0, True)
    told = "1 finding of severity high or worse: web-01: bad (high): The output has: one. Only 2 of 4 questions"
    assert done.result["msg"].startswith(told)


def test_findings_of_no_severity_fail_but_coverage_still_counts(current: Workspace) -> None:
    assert said(audit(current, BAD, *questions(1, 2), fail_on="never")) == ("inconclusive", 50.0, True)
    assert said(audit(current, BAD, *questions(0, 2), fail_on="never", min_coverage=0)) == ("pass", 33.3, False)


def test_a_pass_names_servers_that_are_offline_now(current: Workspace) -> None:
    fleet: Row = {"of": hosts(*AGENTS[:2]), "reuse_within": "1h"}
    audit(current, HELLO, **fleet)
    current.disconnect("web-02")
    done = audit(current, HELLO, **fleet)
    assert (said(done), done.summary["reused"]) == (("pass", 100.0, False), 2)
    assert [(server["connected"], server["age_seconds"] is None) for server in done.report["servers"]] == [
        (True, True),
        (False, False),
    ]
    old = done.report["servers"][1]["age_seconds"]
    words = f"1 server cannot be asked now, and only earlier answers count: web-02 ({old} s old)."
    assert done.result["overview"][1] == f"Verdict: pass. 2 of 2 questions answered (100%). {words}"
    assert done.result["msg"] == f"2 passed, 0 failed, 0 unknown. {words}"
    assert [server["reason"][:21] for server in done.report["servers"]] == ["", "The server is offline"]


# The playbook


def test_the_playbook_fails_where_too_little_was_answered(current: Workspace, tmp_path: Path) -> None:
    current.add_servers(*OFFLINE, connected=False)
    report = tmp_path / "report"
    variables = {"audit_check_sets": [], "audit_checks": questions(3), "audit_report_dir": str(report)}
    done = run_playbook(current, tmp_path, PLAYBOOK, OFFLINE, "-e", json.dumps(variables))
    assert done.code == 2, done.log
    last = " ".join(done.log[done.log.rindex("TASK [") :].split())
    assert "Fail unless the audit passed" in last
    assert "Inconclusive: Only 0 of 9 questions answered (0%); the minimum is 95%." in last
    written = json.loads((report / "audit.json").read_text(encoding="utf-8"))
    assert (written["verdict"], written["coverage"], written["min_coverage"]) == ("inconclusive", 0.0, 95.0)
    assert (tmp_path / "audit.retry").read_text(encoding="utf-8").splitlines() == list(OFFLINE)
    for name in ("audit.md", "audit.html"):
        text = re.sub(r"<style>.*?</style>", "", (report / name).read_text(encoding="utf-8"), flags=re.DOTALL)
        assert "Verdict: inconclusive." in text
        assert "audit passes" not in text


def test_findings_are_there_before_the_play_fails(current: Workspace, tmp_path: Path) -> None:
    current.add_servers("off-01", connected=False)
    variables = {"audit_check_sets": [], "audit_checks": questions(1), "audit_report_dir": ""}
    look = {"name": "Look", "ansible.builtin.debug": {"msg": "{{ audit_result.verdict }}"}}
    role = {"block": [{"ansible.builtin.import_role": {"name": PLAYBOOK}}], "rescue": [look]}
    plays = [{"hosts": "all", "gather_facts": False, "vars": variables, "tasks": [role]}]
    done = run_playbook(current, tmp_path, plays, ("web-01", "off-01"), "--forks=20")
    assert done.code == 0, done.log
    assert [result["msg"] for result in done.tasks["Look"]] == ["inconclusive"] * 2


# Empty selections


def test_a_role_without_checks_is_refused(current: Workspace, tmp_path: Path) -> None:
    cases: dict[str, tuple[Row, str]] = {
        "none": ({"audit_check_sets": []}, "checks: there is no check. Name check sets,"),
        "null": ({"audit_check_sets": None}, "value of audit_check_sets must be one of"),
        "ports": ({"audit_listening_ports": None}, "audit_listening_ports: it is null"),
    }
    cases["hosts"] = ({}, "There are no hosts to audit")
    for name, (variables, text) in cases.items():
        names = [] if name == "hosts" else ["web-01"]
        done = run_playbook(current, tmp_path / name, PLAYBOOK, names, "-e", json.dumps(variables))
        assert done.code == 2, f"{name}: {done.log}"
        assert text in " ".join(done.log.split()), f"{name}: {done.log}"
    assert current.commands() == []


def test_an_empty_selection_is_refused_and_null_counts_as_left_out(current: Workspace, tmp_path: Path) -> None:
    cases: dict[str, Row] = {
        "checks: there is no check. Give at least one. Host: web-01.": {"checks": None},
        "formats: it is an empty list": {"checks": [HELLO], "formats": []},
        "formats: it is null": {"checks": [HELLO], "formats": None},
    }
    nulls = dict.fromkeys(("fail_on", "min_coverage", "skip"))
    cases["null"] = {"checks": [BAD], **nulls}
    tasks = [task(text, options, "herdops.alpacon.alpacon_audit", run_once=True) for text, options in cases.items()]
    done = run_playbook(current, tmp_path, play(*tasks), ["web-01"])
    returned = {text: result for text, [result] in done.tasks.items()}
    assert set(returned) == set(cases), done.log
    assert returned.pop("null")["verdict"] == "fail"
    assert all(result["msg"].startswith(text) for text, result in returned.items()), returned
    assert len(current.commands()) == 1
