# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test the role audit in plays: one task for all hosts, with variables of each host."""

from __future__ import annotations

import gzip
import json
import time
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from ansible_cores import CORES
from system.audits import SCHEMA
from system.plays import Play, run_playbook
from system.support import AGENTS
from workspace.client import Workspace

from ansible_collections.herdops.alpacon.tests.unit.support import Row, read_code_blocks

ROLE = "herdops.alpacon.audit"
NAMED = {"name": "named", "line": "echo $HOSTNAME"}
PLAIN = {"name": "plain", "line": "echo 1"}


def role(*checks: Row, **keywords: Any) -> Row:
    """Return the role in a play, as in the guide."""
    variables = {"audit_check_sets": [], "audit_report_dir": "", "audit_checks": list(checks)}
    return {"role": ROLE, "run_once": True, "vars": variables, **keywords}


def audit_play(*checks: Row, **keywords: Any) -> Row:
    """Return a play that audits all hosts and shows how many were audited."""
    show = "{{ inventory_hostname }} {{ audit_result.summary.servers }}"
    return {
        "hosts": "all",
        "gather_facts": False,
        "roles": [role(*checks)],
        "tasks": [{"name": "Show", "ansible.builtin.debug": {"msg": show}}],
        **keywords,
    }


def shown(done: Play) -> list[str]:
    return sorted(result["msg"] for result in done.tasks["Show"])


LIMITED = {
    "name": "limited",
    "line": 'echo "$names: 95%"',
    "parameters": {"used_max": 90, "names": ["default"]},
    "number": "<= used_max",
    "severity": "high",
}


def read_outcomes(folder: Path) -> dict[str, tuple[str, str, str]]:
    report = json.loads((folder / "report/audit.json").read_text(encoding="utf-8"))
    return {
        f"{row['host']} {row['check']}": (row["outcome"], row["severity"], row["output"]) for row in report["results"]
    }


@pytest.mark.parametrize("core", CORES)
def test_each_host_is_audited_by_its_own_variables(current: Workspace, tmp_path: Path, core: str) -> None:
    roomy = {"web-02": {"base": 2}, "web-03": {"audit_names": "third,more"}}
    weaker = {"audit_used_max": 99, "audit_skip": ["plain"], "audit_severities": {"limited": "low"}}
    everybody = {"audit_checks": [LIMITED, PLAIN], "audit_check_sets": [], "audit_used_max": "{{ 90 + base }}"}
    children = {"tight": {"hosts": {"web-01": {"base": 1}}}, "roomy": {"hosts": roomy, "vars": weaker}}
    expected = {
        "web-01 limited": ("failed", "high", "default: 95%"),
        "web-01 plain": ("passed", "high", "1"),
        "web-02 limited": ("passed", "low", "default: 95%"),
        "web-03 limited": ("passed", "low", "third more: 95%"),
    }
    for limit in ([], ["--limit", "web-02"]):
        folder = tmp_path / "-".join(["run", *limit])
        arguments = [*limit, "-e", f"audit_report_dir={folder / 'report'}"]
        inventory = {"all": {"vars": everybody, "children": children}}
        done = run_playbook(current, folder, ROLE, inventory, *arguments, core=core)
        kept = {key: value for key, value in expected.items() if not limit or key.startswith("web-02")}
        assert read_outcomes(folder) == kept, done.log
        assert done.code == (0 if limit else 2)


def test_variables_of_the_play_override_those_of_hosts(current: Workspace, tmp_path: Path) -> None:
    inventory = {"all": {"hosts": {"web-01": {"audit_used_max": 90}, "web-02": {"audit_used_max": 99}}}}
    own = "{{ 96 if inventory_hostname == 'web-01' else 94 }}"
    variables = {"audit_check_sets": [], "audit_checks": [LIMITED], "audit_used_max": own, "audit_fail_on": "never"}
    variables["audit_report_dir"] = str(tmp_path / "report")
    play = {"hosts": "all", "gather_facts": False, "roles": [{"role": ROLE, "run_once": True}], "vars": variables}
    done = run_playbook(current, tmp_path, [play], inventory)
    assert done.code == 0, done.log
    assert [outcome for outcome, _severity, _output in read_outcomes(tmp_path).values()] == ["passed", "failed"]


def test_wrong_variables_of_a_host_are_refused_before_any_command(current: Workspace, tmp_path: Path) -> None:
    cases: tuple[tuple[str, Row, Row], ...] = (
        ("audit_used_max: 'much' is not a number. Give one, such as 90. Host: web-02.", {}, {"audit_used_max": "much"}),
        ("there is no check set sshh. Did you mean ssh? Host: web-02.", {}, {"audit_check_sets": ["sshh"]}),
        ("There is no variable audit_usedmax. Did you mean audit_used_max?", {}, {"audit_usedmax": 1}),
        (
            "audit_fail_on: it must be equal for all hosts, and differs: web-01 has",
            {"audit_fail_on": "never"},
            {},
        ),
        ("audit_waivers: 'no_such' is undefined. Host: web-02.", {}, {"audit_waivers": "{{ no_such }}"}),
    )
    for number, (text, *given) in enumerate(cases):
        done = run_playbook(current, tmp_path / str(number), ROLE, of_hosts(*given, audit_checks=[LIMITED]))
        assert (done.code, text in " ".join(done.log.split())) == (2, True), done.log
    assert current.commands() == []


BAD = {"name": "bad", "line": "false", "severity": "high"}
APPROVED = {"check": "bad", "reason": "It is known.", "until": "2127-01-31"}


GROUPS = ("web", "db", "edge")


def of_hosts(*given: Row, **everybody: Any) -> Row:
    """Return an inventory with a group for each host."""
    common = {"audit_checks": [BAD], "audit_check_sets": [], "audit_report_dir": "", **everybody}
    groups = {name: {"hosts": {host: {}}, "vars": own} for name, host, own in zip(GROUPS, AGENTS, given, strict=False)}
    return {"all": {"vars": common, "children": groups}}


def test_play_variables_may_be_equal_or_overridden(current: Workspace, tmp_path: Path) -> None:
    same = of_hosts({"audit_fail_on": "{{ level }}", "level": "never"}, {"audit_fail_on": "never"})
    different = of_hosts({"audit_fail_on": "high"}, {"audit_fail_on": "low"}, audit_compare_to="{{ now() }}")
    for name, inventory, arguments in (("same", same, []), ("line", different, ["-e", "audit_fail_on=never"])):
        done = run_playbook(current, tmp_path / name, ROLE, inventory, *arguments)
        assert (done.code, done.tasks["Audit the hosts"][0]["summary"]["servers"]) == (0, 2), done.log


@pytest.mark.parametrize("core", CORES)
def test_waivers_of_all_hosts_are_joined(current: Workspace, tmp_path: Path, core: str) -> None:
    in_web, in_db = {**APPROVED, "groups": ["web"]}, {**APPROVED, "hosts": ["{{ inventory_hostname }}"]}
    shared = {**APPROVED, "check": "none", "groups": ["all"]}
    in_edge = {**APPROVED, "groups": ["edge"]}
    inventory = of_hosts(*({"audit_waivers": own} for own in ([in_web, shared], [shared, in_db], [in_edge])))
    for limit in ([], ["--limit", "web"]):
        done = run_playbook(current, tmp_path / "-".join(["run", *limit]), ROLE, inventory, *limit, core=core)
        assert done.code == 0, done.log
        [result] = done.tasks["Audit the hosts"]
        assert result["summary"]["waived"] == (1 if limit else 3)
        warned = [warning for warning in result.get("warnings", []) if "names the check none" in warning]
        assert len(warned) == 1


@pytest.mark.parametrize("core", CORES)
def test_an_audit_keeps_earlier_reports_and_warns_of_expired_waivers(
    current: Workspace, tmp_path: Path, core: str
) -> None:
    """Audit twice with different checks, and in check mode, which writes nothing."""
    expired = {**APPROVED, "groups": ["all"], "reason": "It was old.", "until": "2020-01-31"}
    for number, check in enumerate((NAMED, PLAIN)):
        if number:
            time.sleep(1)
        variables: Row = {"audit_check_sets": [], "audit_checks": [check], "audit_waivers": [expired]}
        for mode in (["--check"], []):
            done = run_playbook(current, tmp_path, ROLE, AGENTS, *mode, "-e", json.dumps(variables), core=core)
            assert done.code == 0, done.log
            assert len(list(tmp_path.glob("audit-report/*/audit.json"))) == number + (not mode)
        result = done.tasks["Audit the hosts"][-1]
        [warning] = [text for text in result.get("warnings", []) if "expired on 2020-01-31: It was old." in text]
        assert APPROVED["check"] in warning
    reports = [json.loads(path.read_text()) for path in sorted(tmp_path.glob("audit-report/*/audit.json"))]
    assert [[check["name"] for check in report["checks"]] for report in reports] == [["named"], ["plain"]]


def test_an_audit_says_what_changed_since_an_earlier_one(current: Workspace, tmp_path: Path) -> None:
    variables: Row = {"audit_report_dir": "report", "audit_compare_to": "report/audit.json", "audit_check_sets": []}
    for check in (NAMED, PLAIN):
        given = {**variables, "audit_checks": [check]}
        done = run_playbook(current, tmp_path, ROLE, AGENTS, "-e", json.dumps(given))
    trend = json.loads((tmp_path / "report/audit.json").read_text(encoding="utf-8"))["trend"]
    [gone] = trend["no_longer_asked"]
    assert (gone["check"], sorted(gone["hosts"])) == ("named", sorted(AGENTS)), done.log
    shown = done.tasks["Show the findings"][-1]["msg"]
    assert any(gone["reason"] in line for line in shown), shown


def test_no_task_runs_for_each_host(current: Workspace, tmp_path: Path) -> None:
    """Refuse tasks for each host: at a thousand hosts, one takes longer than the audit."""
    arguments = ("-e", yaml.safe_dump({**role(NAMED)["vars"]}, default_flow_style=True, width=10_000))
    done = run_playbook(current, tmp_path, ROLE, AGENTS, *arguments)
    assert done.code == 0, done.log
    assert {task: len(results) for task, results in done.tasks.items()} == dict.fromkeys(done.tasks, 1)
    assert any(task.startswith("Validating arguments") for task in done.tasks)


@pytest.mark.slow
def test_messages_name_the_variables_of_the_role(current: Workspace, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    folder = str(tmp_path / "file/report")
    approved = [{**APPROVED, "check": "none", "groups": ["all"]}]
    warned = {"audit_waivers": approved, "audit_compare_to": "nowhere"}
    unanswered = {"name": "unanswered", "line": "echo unknown: none", "kind": "problems", "severity": "medium"}
    cases: tuple[tuple[Row, tuple[str, ...]], ...] = (
        ({"audit_report_dir": folder}, (f"audit_report_dir: {folder} cannot be created: Not a directory.",)),
        ({"audit_skip": ["plian"]}, ("audit_skip: there is no check plian. Did you mean plain?",)),
        (warned, ("There is no earlier report nowhere",)),
        (
            {"audit_checks": [unanswered], "audit_waivers": approved},
            ("Inconclusive: Only 0 of 3 questions answered (0%); the minimum is 95%.", "A waiver names the check none"),
        ),
    )
    for number, (given, texts) in enumerate(cases):
        variables = {**role(PLAIN)["vars"], **given}
        done = run_playbook(current, tmp_path / str(number), ROLE, AGENTS, "-e", json.dumps(variables))
        results = [result for name in ("Audit the hosts", "Show the findings") for result in done.tasks.get(name, [])]
        messages = json.dumps([line for result in results for line in (result.get("warnings", []), result["msg"])])
        assert all(text in messages for text in texts), done.log


def test_an_audit_needs_no_first_host(current: Workspace, tmp_path: Path) -> None:
    fail = {"ansible.builtin.fail": {}, "when": "inventory_hostname == 'web-01'"}
    done = run_playbook(current, tmp_path, [audit_play(NAMED, pre_tasks=[fail])], AGENTS)
    assert done.code == 2, done.log
    assert shown(done) == ["web-02 3", "web-03 3"]
    assert sorted(command["server"] for command in current.commands()) == sorted(AGENTS)


def test_batches_are_refused(current: Workspace, tmp_path: Path) -> None:
    done = run_playbook(current, tmp_path, [audit_play(NAMED, serial=1)], AGENTS)
    assert done.code == 2, done.log
    assert "Remove serial from the play" in " ".join(done.log.split())
    assert current.commands() == []


def test_check_mode_predicts(current: Workspace, tmp_path: Path) -> None:
    done = run_playbook(current, tmp_path, [audit_play(NAMED)], AGENTS, "--check")
    assert done.code == 0, done.log
    assert shown(done) == [f"{name} 3" for name in AGENTS]
    assert [result["changed"] for result in done.tasks["Audit the hosts"]] == [True]
    assert current.commands() == []


@pytest.mark.slow
def test_the_example_of_attestations_counts(current: Workspace, tmp_path: Path) -> None:
    [variables] = [yaml.safe_load(block) for block in read_code_blocks("audit_attestations", "yaml")]
    for one in variables["audit_attestations"]:
        one.update(checked_on="2020-01-01", until="2999-12-31")
    line = "printf '%s:notchecked\\n' emergency_contacts restore_backup"
    check = {"name": "cis_level1_server", "line": line, "results": {"format": "xccdf"}}
    variables |= {"audit_checks": [check], "audit_check_sets": [], "audit_report_dir": str(tmp_path / "report")}
    hosts: Row = {"web-01": {}, "db-01": {"alpacon_server_id": current.server_ids()["web-02"]}}
    inventory = {"all": {"hosts": hosts, "vars": variables}}
    done = run_playbook(current, tmp_path, ROLE, inventory)
    report = json.loads((tmp_path / "report/audit.json").read_text(encoding="utf-8"))
    outcomes = {(row["host"], row["check"].partition("/")[2]): row["outcome"] for row in report["results"]}
    assert outcomes == {
        ("web-01", "emergency_contacts"): "passed",
        ("web-01", "restore_backup"): "unknown",
        ("db-01", "emergency_contacts"): "passed",
        ("db-01", "restore_backup"): "failed",
    }, done.log
    assert "WARNING" not in done.log


def forbid_other_keys(schema: Any) -> Any:
    """Return a schema whose objects have no keys but those that it describes."""
    if isinstance(schema, list):
        return [forbid_other_keys(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {key: forbid_other_keys(value) for key, value in schema.items()}
    return {"additionalProperties": False, **closed} if isinstance(schema.get("properties"), dict) else closed


def test_findings_are_followed_over_several_audits(current: Workspace, tmp_path: Path) -> None:
    variables = next(yaml.safe_load(block) for block in read_code_blocks("audit_history", "yaml"))
    flag = tmp_path / "flag"
    checks = [{"name": name, "line": f"test -e {flag}-{name}"} for name in ("mended", "open")]
    variables |= {"audit_checks": checks, "audit_check_sets": []}
    inventory = {"all": {"hosts": {"web-01": {}}, "vars": variables}}
    (tmp_path / "reports").mkdir()

    def run(day: str) -> tuple[Row, str]:
        folder = tmp_path / "reports" / day
        done = run_playbook(current, tmp_path, ROLE, inventory, "-e", f"audit_report_dir={folder}")
        return json.loads((folder / "audit.json").read_text(encoding="utf-8")), done.log

    first, log = run("2026-01-01")
    assert first["verdict"] == "pass"
    assert "Oldest finding" not in log
    assert all(row["fails_from"] > row["failing_since"] for row in first["results"])
    # Make the history older.
    path = tmp_path / "reports/audit-history.jsonl.gz"
    text = gzip.decompress(path.read_bytes()).decode()
    since = first["results"][0]["failing_since"]
    path.write_bytes(gzip.compress(text.replace(since, "2020-01-01T00:00:00Z").encode()))
    (tmp_path / "flag-mended").touch()
    variables["audit_compare_to"] = str(tmp_path / "reports/2026-01-01/audit.json")
    second, log = run("2026-01-02")
    assert second["verdict"] == "fail"
    [failed] = [row for row in second["results"] if row["outcome"] == "failed"]
    assert (failed["check"], failed["failing_since"]) == ("open", "2020-01-01T00:00:00Z")
    assert [row["check"] for row in second["history"]["mended"]] == ["mended"]
    assert "Oldest finding: open on web-01, failing since 2020-01-01 00:00 UTC" in log
    jsonschema.validate(second, forbid_other_keys(SCHEMA))
    # A damaged history is no reason to fail, and none to pass.
    path.write_bytes(b"damaged")
    third, log = run("2026-01-03")
    assert third["verdict"] == "fail"
    assert "is not a history of audits, or is damaged" in " ".join(log.split())


@pytest.mark.slow
def test_the_examples_of_the_guide_run(current: Workspace, tmp_path: Path) -> None:
    current.add_user("root")
    blocks = [yaml.safe_load(block) for block in read_code_blocks("audit", "yaml")]
    [plays] = [block for block in blocks if isinstance(block, list)]
    variables: Row = {"audit_check_sets": ["capacity", "services", "ssh"], "audit_fail_on": "never"}
    variables |= {"audit_min_coverage": 0, "audit_report_dir": str(tmp_path / "report")}
    for block in blocks:
        variables |= block if isinstance(block, dict) else {}
    for waiver in variables["audit_waivers"]:
        waiver["until"] = "2999-12-31"
    groups: Row = {"web": {"hosts": {"web-01": {}}}, "db": {"hosts": {"web-02": {}}}}
    inventory = {"all": {"children": groups, "vars": variables}}
    for name, given, checks in (
        ("play", plays, {"nginx-configuration", "file-handles", "disk-space"}),
        ("variables", ROLE, {"backup-is-fresh", "disk-space"}),
    ):
        done = run_playbook(current, tmp_path / name, given, inventory)
        report = json.loads((tmp_path / "report/audit.json").read_text(encoding="utf-8"))
        named = {check["name"]: check for check in report["checks"]}
        assert (done.code, "WARNING" in done.log) == (0, False), done.log
        assert checks <= named.keys()
        assert "swap" not in named
        assert named["disk-space"]["parameters"] == {"disk_used_max": 80}
        assert named["failed-units"]["severity"] == "high"
