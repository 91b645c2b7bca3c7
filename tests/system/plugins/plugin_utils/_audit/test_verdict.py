# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The verdict on an audit: what was not answered never passes, and every form of the report says so."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from ansible_cores import CORES
from system.auditing import HELLO, Done, audit, hosts
from system.playing import Play, play_out, run_plays
from system.support import AGENTS, throttled
from workspace.client import Workspace

from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.report.files import FILES
from ansible_collections.herdops.alpacon.tests.unit.support import Row

PLAYBOOK = "herdops.alpacon.audit"
OFFLINE = ("off-01", "off-02", "off-03")


def questions(answered: int, unanswered: int = 0, **given: Any) -> list[Row]:
    """So many checks that share a command, of which some are not answered."""
    asked = [{"name": f"n{number}", "line": "echo one", **given} for number in range(answered)]
    return asked + [{"name": f"u{number}", "line": "echo one", "unanswered": "^one"} for number in range(unanswered)]


def said(done: Done) -> tuple[str, float, bool]:
    """Verdict, coverage and whether the task fails; the report says the same as the task."""
    result, report = done.result, done.report
    assert (report["verdict"], report["coverage"]) == (result["verdict"], result["coverage"])
    return result["verdict"], result["coverage"], result["failed"]


# Verdicts


def test_servers_that_are_all_offline_pass_nothing(workspace: Workspace) -> None:
    workspace.add_servers(*OFFLINE, connected=False)
    done = audit(workspace, *questions(19), of=hosts(*OFFLINE))
    assert said(done) == ("inconclusive", 0.0, True)
    assert done.result["failing"] == 0
    assert done.result["msg"].startswith(
        "Inconclusive: Only 0 of 57 questions answered (0%), and min_coverage asks for 95%."
        " 0 passed, 0 failed, 0 unknown. 3 servers not reached: off-01, off-02, off-03: The server is offline"
    )
    assert "Verdict: inconclusive. Only 0 of 57 questions answered (0%)" in done.result["overview"][1]


def test_a_budget_that_is_used_up_passes_nothing(current: Workspace) -> None:
    current.fault("status", method="POST", after=1, **throttled(3600))
    done = audit(current, HELLO, of=hosts(*AGENTS), max_concurrency="1", wait_timeout="3s")
    assert said(done) == ("inconclusive", 33.3, True)
    assert len(current.commands()) == 1


@pytest.mark.parametrize(
    ("answered", "unanswered", "min_coverage", "expected"),
    [
        (24, 1, 95, ("pass", 96.0, False)),
        (19, 1, 95, ("pass", 95.0, False)),
        (18, 1, 95, ("inconclusive", 94.7, True)),
        (18, 1, 94.7, ("pass", 94.7, False)),
        (99, 1, 100, ("inconclusive", 99.0, True)),
        (3, 0, 100, ("pass", 100.0, False)),
        (0, 3, 0, ("inconclusive", 0.0, True)),
        (0, 3, 0.1, ("inconclusive", 0.0, True)),
    ],
)
def test_so_much_must_be_answered(
    current: Workspace, answered: int, unanswered: int, min_coverage: float, expected: tuple[str, float, bool]
) -> None:
    assert said(audit(current, *questions(answered, unanswered), min_coverage=min_coverage)) == expected


def test_what_is_not_all_is_never_rounded_up(current: Workspace) -> None:
    done = audit(current, *questions(1999, 1), min_coverage=100)
    assert said(done) == ("inconclusive", 99.9, True)


def test_a_finding_fails_the_audit_however_little_was_answered(current: Workspace) -> None:
    bad = {"name": "bad", "line": "echo one", "absent": "one", "severity": "high"}
    done = audit(current, bad, *questions(1, 2))
    assert said(done) == ("fail", 50.0, True)
    assert done.result["msg"] == (
        "1 finding of severity high or worse: web-01: bad (high): The server says: one."
        " Only 2 of 4 questions answered (50%), and min_coverage asks for 95%."
    )
    assert said(audit(current, bad, *questions(40))) == ("fail", 100.0, True)


def test_findings_of_no_severity_fail_but_coverage_still_counts(current: Workspace) -> None:
    bad = {"name": "bad", "line": "echo one", "absent": "one", "severity": "critical"}
    assert said(audit(current, bad, *questions(1, 2), fail_on="never")) == ("inconclusive", 50.0, True)
    assert said(audit(current, bad, fail_on="never")) == ("pass", 100.0, False)
    assert said(audit(current, bad, *questions(0, 2), fail_on="never", min_coverage=0)) == ("pass", 33.3, False)


def test_unknowns_as_bad_as_findings_fail_as_findings(current: Workspace) -> None:
    done = audit(current, *questions(0, 2), unknown_severity="high")
    assert said(done) == ("fail", 0.0, True)


def test_servers_without_results_fail_where_unknowns_do(current: Workspace) -> None:
    current.add_servers("off-01", "off-02", connected=False)
    given: Row = {"of": hosts("web-01", "off-01", "off-02"), "min_coverage": 0}
    done = audit(current, HELLO, unknown_severity="critical", **given)
    assert said(done) == ("fail", 33.3, True)
    assert (done.result["failing"], done.summary["unknown"]) == (2, 0)
    assert done.result["msg"].startswith(
        "2 findings of severity high or worse: 2 servers not reached: off-01, off-02: The server is offline"
    )
    for name in ("markdown", "html"):
        assert "2 findings of severity high or worse" in "".join(FILES[name][1](done.report))
    assert said(audit(current, HELLO, unknown_severity="medium", **given)) == ("pass", 33.3, False)
    assert said(audit(current, HELLO, unknown_severity="critical", fail_on="never", **given))[0] == "pass"
    bad = {"name": "bad", "line": "false", "severity": "high"}
    both = audit(current, bad, unknown_severity="high", **given).result
    assert both["failing"] == 3
    assert "3 findings of severity high or worse: web-01: bad (high): Exit code 1" in both["msg"]
    assert "; 2 servers not reached: off-01, off-02: " in both["msg"]
    checked = audit(current, HELLO, unknown_severity="critical", check_mode=True, reuse_within="0", **given).result
    assert (checked["verdict"], checked["failing"], checked["failed"]) == (None, 0, False)


def test_an_audit_that_asks_nobody_anything_passes_nothing(current: Workspace) -> None:
    done = audit(current, {**HELLO, "when": ["db"]})
    assert said(done) == ("inconclusive", 0.0, True)
    assert "Inconclusive: No check applied to any server." in done.result["msg"]
    assert said(audit(current, {**HELLO, "when": ["db"]}, min_coverage=0)) == ("inconclusive", 0.0, True)


def test_a_pass_names_servers_that_are_offline_now(current: Workspace) -> None:
    fleet: Row = {"of": hosts(*AGENTS[:2]), "reuse_within": "1h"}
    audit(current, HELLO, **fleet)
    current.disconnect("web-02")
    done = audit(current, HELLO, **fleet)
    assert (said(done), done.summary["reused"]) == (("pass", 100.0, False), 2)
    words = "1 server cannot be asked now, and only earlier answers count: web-02."
    assert done.result["overview"][1] == f"Verdict: pass. 2 of 2 questions answered (100%). {words}"
    assert done.result["msg"] == f"2 passed, 0 failed, 0 unknown. {words}"
    assert [server["reason"][:21] for server in done.report["servers"]] == ["", "The server is offline"]


def test_a_workspace_that_refuses_half_way_passes_nothing(current: Workspace) -> None:
    current.fault("status", method="POST", status=401, after=1, body='{"code": "auth_authentication_failed"}')
    done = audit(current, HELLO, of=hosts(*AGENTS), max_concurrency="1", min_coverage=0)
    assert said(done) == ("inconclusive", 33.3, True)


# The playbook


def own(checks: list[Row], folder: Path, **more: Any) -> tuple[str, ...]:
    """Arguments of the playbook for these checks and no others."""
    variables = {"audit_check_sets": [], "audit_checks": checks, "audit_report_dir": str(folder / "report"), **more}
    return ("-e", json.dumps(variables))


def last_message(play: Play) -> str:
    """What the last task that failed says, on one line."""
    return " ".join(play.said[play.said.rindex("TASK [") :].split())


@pytest.mark.parametrize("core", CORES)
def test_the_playbook_fails_where_too_little_was_answered(current: Workspace, tmp_path: Path, core: str) -> None:
    current.add_servers(*OFFLINE, connected=False)
    arguments = own(questions(3), tmp_path)
    done = play_out(current, tmp_path, PLAYBOOK, OFFLINE, *arguments, core=core)
    assert done.code == 2, done.said
    assert "Fail where too little was answered" in last_message(done)
    assert "Inconclusive: Only 0 of 9 questions answered (0%), and audit_min_coverage asks for 95%." in last_message(
        done
    )
    assert "Verdict: inconclusive." in done.said

    report = tmp_path / "report"
    written = json.loads((report / "audit.json").read_text(encoding="utf-8"))
    assert (written["verdict"], written["coverage"], written["min_coverage"]) == ("inconclusive", 0.0, 95.0)
    for name in ("audit.md", "audit.html"):
        text = re.sub(r"<style>.*?</style>", "", (report / name).read_text(encoding="utf-8"), flags=re.DOTALL)
        assert "Verdict: inconclusive." in text
        assert "Only 0 of 9 questions answered (0%), and min_coverage asks for 95%." in text
        assert "audit passes" not in text.replace("nobody can say that it passes", "")
    for suite in ElementTree.parse(report / "audit.xml").getroot().iter("testsuite"):
        stated = {one.get("name"): one.get("value") for one in suite.iter("property")}
        assert (stated["verdict"], stated["coverage"], stated["min_coverage"]) == ("inconclusive", "0.0", "95.0")


def test_the_exit_code_of_the_playbook(current: Workspace, tmp_path: Path) -> None:
    current.add_servers("off-01", connected=False)
    bad = [{"name": "bad", "line": "echo one", "absent": "one", "severity": "high"}]
    cases: dict[str, tuple[int, str, tuple[str, ...], str, Row]] = {
        "pass": (0, "Verdict: pass. 24 of 25 questions answered (96%).", ("web-01",), "", {}),
        "text": (0, "Verdict: pass.", ("web-01", "off-01"), "", {"audit_min_coverage": "40"}),
        "off": (
            2,
            "None of 25 questions was answered.",
            ("off-01",),
            "Fail where too little",
            {"audit_min_coverage": 0},
        ),
        "never": (2, "Inconclusive: ", ("off-01",), "Fail where too little", {"audit_fail_on": "never"}),
        "fail": (2, "audit_min_coverage asks for 95%", ("web-01", "off-01"), "Fail where findings", {}),
        "check": (0, "would be submitted", ("web-01", "off-01"), "", {"audit_reuse_within": "0"}),
        "share": (
            2,
            "min_coverage: 200 is not a percentage",
            ("web-01",),
            "Fail where no",
            {"audit_min_coverage": 200},
        ),
    }
    for name, (code, text, names, task, variables) in cases.items():
        checks = questions(24, 1) if name != "fail" else bad
        mode = ("--check", "-v") if name == "check" else ()
        arguments = (*own(checks, tmp_path / name, **variables), *mode)
        done = play_out(current, tmp_path / name, PLAYBOOK, names, *arguments)
        assert done.code == code, f"{name}: {done.said}"
        assert text in " ".join(done.said.split()), f"{name}: {done.said}"
        assert task in last_message(done), f"{name}: {done.said}"


def test_facts_and_findings_are_there_before_the_play_fails(current: Workspace, tmp_path: Path) -> None:
    current.add_servers("off-01", connected=False)
    checks = [{"name": "it", "line": "echo 7", "fact": "seven"}]
    variables = {"audit_check_sets": [], "audit_checks": checks, "audit_report_dir": ""}
    role = {
        "block": [{"ansible.builtin.import_role": {"name": PLAYBOOK}}],
        "rescue": [
            {
                "name": "Look",
                "ansible.builtin.debug": {
                    "msg": "{{ audit_facts.seven | default('none') }} {{ audit_result.verdict }}"
                },
            }
        ],
    }
    plays = [{"hosts": "all", "gather_facts": False, "vars": variables, "tasks": [role]}]
    done = run_plays(current, tmp_path, ("web-01", "off-01"), plays)
    assert done.code == 0, done.said
    assert sorted(result["msg"] for result in done.tasks["Look"]) == ["7 inconclusive", "none inconclusive"]


# What selects nothing


@pytest.mark.parametrize("core", CORES)
def test_a_role_that_would_ask_nothing_is_refused(current: Workspace, tmp_path: Path, core: str) -> None:
    cases: dict[str, tuple[Row, str]] = {
        "no sets": ({"audit_check_sets": []}, "checks: there is no check. Name check sets,"),
        "null sets": ({"audit_check_sets": None}, "value of audit_check_sets must be one of"),
        "null checks": ({"audit_checks": None}, "checks: it is null"),
        "null formats": ({"audit_formats": None}, "argument 'audit_formats' is of type"),
        "no formats": ({"audit_formats": []}, "formats: it is an empty list"),
        "null skip": ({"audit_skip": None}, "skip: it is null"),
        "null ports": ({"audit_listening_ports": None}, "audit_listening_ports: it is null"),
        "all skipped": (
            {"audit_check_sets": [], "audit_checks": [HELLO], "audit_skip": ["hello"]},
            "skip: no check is left.",
        ),
        "empty sets": ({"audit_check_sets": ""}, "value of audit_check_sets must be one"),
    }
    if core != "development":
        cases = {name: case for name, case in cases.items() if name in ("no sets", "null sets")}
    for name, (variables, text) in cases.items():
        folder = tmp_path / name.replace(" ", "-")
        done = play_out(current, folder, PLAYBOOK, ["web-01"], "-e", json.dumps(variables), core=core)
        assert done.code == 2, f"{name}: {done.said}"
        assert text in " ".join(done.said.split()), f"{name}: {done.said}"
    assert current.commands() == []


def test_a_module_that_would_ask_nothing_is_refused(current: Workspace, tmp_path: Path) -> None:
    cases: dict[str, Row] = {
        "checks: there is no check.": {"checks": []},
        "checks: there is no check. Give at least one. Host: web-01.": {"checks": None},
        "formats: it is an empty list": {"checks": [HELLO], "formats": []},
        "formats: it is null": {"checks": [HELLO], "formats": None},
        "skip: no check is left.": {"checks": [HELLO], "skip": ["hello"]},
    }
    tasks = [
        {"name": text, "herdops.alpacon.alpacon_audit": options, "ignore_errors": True, "run_once": True}
        for text, options in cases.items()
    ]
    done = run_plays(current, tmp_path, ["web-01"], [{"hosts": "all", "gather_facts": False, "tasks": tasks}])
    returned = {text: result["msg"] for text, [result] in done.tasks.items()}
    assert set(returned) == set(cases), done.said
    assert all(msg.startswith(text) for text, msg in returned.items()), returned
    assert current.commands() == []


def test_an_option_that_is_null_counts_as_left_out(current: Workspace, tmp_path: Path) -> None:
    bad = {"name": "bad", "line": "echo one", "absent": "one", "severity": "high"}
    nulls = dict.fromkeys(
        ("fail_on", "min_coverage", "skip", "severities", "unknown_severity", "output_limit", "title")
    )
    task = {"name": "It", "herdops.alpacon.alpacon_audit": {"checks": [bad], **nulls}, "run_once": True}
    done = run_plays(current, tmp_path, ["web-01"], [{"hosts": "all", "gather_facts": False, "tasks": [task]}])
    [result] = done.tasks["It"]
    assert (result["failed"], result.get("verdict")) == (True, "fail"), result
