# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The audit in plays: one task for all hosts wherever there can be, and facts of its own for each of them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_cores import CORES
from system.playing import Play, play_out
from system.support import AGENTS
from workspace.client import Workspace

from ansible_collections.herdops.alpacon.tests.unit.support import Row

ROOT = Path(__file__).resolve().parents[3]
ROLE = "herdops.alpacon.audit"
NAMED = {"name": "named", "line": "echo $HOSTNAME", "fact": "name"}
PLAIN = {"name": "plain", "line": "echo 1"}


def role(*checks: Row, **keywords: Any) -> Row:
    """The role in a play, as the guide has it."""
    variables = {"audit_check_sets": [], "audit_report_dir": "", "audit_checks": list(checks)}
    return {"role": ROLE, "run_once": True, "vars": variables, **keywords}


def audited(*checks: Row, **keywords: Any) -> Row:
    """A play that audits all hosts and then shows what each of them found."""
    show = "{{ inventory_hostname }} {{ audit_facts }} {{ audit_result.summary.servers }}"
    return {
        "hosts": "all",
        "gather_facts": False,
        "roles": [role(*checks)],
        "tasks": [{"name": "Show", "ansible.builtin.debug": {"msg": show}}],
        **keywords,
    }


def shown(done: Play) -> list[str]:
    """What the hosts found."""
    return sorted(result["msg"] for result in done.tasks["Show"])


def found(*names: str, servers: int = len(AGENTS)) -> list[str]:
    """What :func:`shown` gives where each host finds its own name."""
    return [f"{name} {{'name': '{name}'}} {servers}" for name in names]


@pytest.mark.parametrize("core", CORES)
def test_each_host_has_facts_of_its_own(current: Workspace, tmp_path: Path, core: str) -> None:
    mine = {"name": "Set a fact", "ansible.builtin.set_fact": {"mine": "{{ inventory_hostname }}"}}
    look = {"name": "Look", "ansible.builtin.debug": {"msg": "{{ inventory_hostname }} {{ mine }}"}}
    elsewhere = "{{ hostvars['web-02'].audit_facts.name }} {{ hostvars['web-02'].audit_result.verdict }}"
    plays = [
        audited(NAMED, post_tasks=[mine, look]),
        {"hosts": "localhost", "tasks": [{"name": "Elsewhere", "ansible.builtin.debug": {"msg": elsewhere}}]},
    ]
    done = play_out(current, tmp_path, plays, AGENTS, core=core)
    assert done.code == 0, done.said
    assert shown(done) == found(*AGENTS)
    assert sorted(result["msg"] for result in done.tasks["Look"]) == [f"{name} {name}" for name in AGENTS]
    assert [result["msg"] for result in done.tasks["Elsewhere"]] == ["web-02 pass"]


@pytest.mark.parametrize("core", CORES)
def test_no_fact_becomes_a_template(current: Workspace, tmp_path: Path, core: str) -> None:
    braces = {"name": "braces", "line": r"printf '\173\173 6 * 7 \175\175'", "fact": "sum"}
    keep = {"name": "Keep", "ansible.builtin.set_fact": {"kept": "{{ audit_facts.sum }}"}}
    look = {"name": "Look", "ansible.builtin.debug": {"msg": "{{ kept | length }} {{ hostvars['web-02'].kept }}"}}
    done = play_out(current, tmp_path, [audited(braces, tasks=[keep, look])], AGENTS, core=core)
    assert done.code == 0, done.said
    assert [result["msg"] for result in done.tasks["Look"]] == ["11 {{ 6 * 7 }}"] * len(AGENTS)


def test_facts_of_an_earlier_audit_do_not_stay(current: Workspace, tmp_path: Path) -> None:
    only_one = {**NAMED, "when": ["first"]}
    group = {"ansible.builtin.add_host": {"name": "web-01", "groups": "first"}, "changed_when": False}
    plays = [
        audited(NAMED, pre_tasks=[group]),
        audited(only_one),
        audited(PLAIN, tasks=[]),
        {"hosts": "all", "gather_facts": False, "tasks": audited()["tasks"]},
    ]
    done = play_out(current, tmp_path, plays, AGENTS)
    assert done.code == 0, done.said
    said = [result["msg"] for result in done.tasks["Show"]]
    assert sorted(said[:3]) == found(*AGENTS)
    assert sorted(said[3:6]) == [*found("web-01"), "web-02 {} 3", "web-03 {} 3"]
    assert sorted(said[6:]) == [f"{name} {{}} 3" for name in AGENTS]


def test_there_are_facts_where_no_check_finds_any(current: Workspace, tmp_path: Path) -> None:
    done = play_out(current, tmp_path, [audited(PLAIN)], AGENTS)
    assert done.code == 0, done.said
    assert shown(done) == [f"{name} {{}} 3" for name in AGENTS]


@pytest.mark.parametrize("core", CORES)
def test_no_task_runs_for_each_host(current: Workspace, tmp_path: Path, core: str) -> None:
    """At a thousand hosts, each task that does takes longer than the audit."""
    guide = (ROOT / "docs/docsite/rst/audit.rst").read_text(encoding="utf-8")
    example = re.search(r"\n    - name: Audit the web servers\n(?:    .*\n|\n)+", guide)
    assert example
    [play] = yaml.safe_load(example[0])
    [entry] = play["roles"]
    plays = [{**play, "hosts": "all", "roles": [{**role(NAMED), "run_once": entry["run_once"]}]}]
    for name, played, arguments in (
        ("guide", plays, ()),
        ("playbook", ROLE, ("-e", yaml.safe_dump({**role(NAMED)["vars"]}, default_flow_style=True, width=10_000))),
    ):
        done = play_out(current, tmp_path / name, played, AGENTS, *arguments, core=core)
        assert done.code == 0, done.said
        assert {task: len(results) for task, results in done.tasks.items()} == dict.fromkeys(done.tasks, 1)
        assert any(task.startswith("Validating arguments") for task in done.tasks)


@pytest.mark.parametrize("lost", ["failed", "unreachable", "ended"])
def test_the_first_host_may_be_lost_before(current: Workspace, tmp_path: Path, lost: str) -> None:
    ssh = tmp_path / "ssh"
    ssh.write_text("#!/bin/sh\nexit 255\n")
    ssh.chmod(0o700)
    tasks: dict[str, Row] = {
        "failed": {"ansible.builtin.fail": {}},
        "unreachable": {
            "ansible.builtin.raw": "true",
            "vars": {"ansible_connection": "ssh", "ansible_ssh_executable": str(ssh)},
        },
        "ended": {"ansible.builtin.meta": "end_host"},
    }
    play = audited(NAMED, pre_tasks=[{**tasks[lost], "when": "inventory_hostname == 'web-01'"}])
    done = play_out(current, tmp_path, [play], AGENTS)
    assert done.code == {"failed": 2, "unreachable": 4, "ended": 0}[lost], done.said
    assert shown(done) == found("web-02", "web-03")
    assert sorted(command["server"] for command in current.commands()) == sorted(AGENTS)


def test_some_of_the_hosts(current: Workspace, tmp_path: Path) -> None:
    done = play_out(current, tmp_path / "limit", [audited(NAMED)], AGENTS, "--limit", "web-02,web-03")
    assert (done.code, shown(done)) == (0, found("web-02", "web-03", servers=2)), done.said
    done = play_out(current, tmp_path / "hosts", [audited(NAMED, hosts="all:!web-01")], AGENTS)
    assert (done.code, shown(done)) == (0, found("web-02", "web-03", servers=2)), done.said


def test_batches_are_refused(current: Workspace, tmp_path: Path) -> None:
    done = play_out(current, tmp_path, [audited(NAMED, serial=1)], AGENTS)
    assert done.code == 2, done.said
    assert "Take serial out of the play" in " ".join(done.said.split())
    assert current.commands() == []


def test_check_mode_predicts(current: Workspace, tmp_path: Path) -> None:
    done = play_out(current, tmp_path, [audited(NAMED)], AGENTS, "--check")
    assert done.code == 0, done.said
    assert shown(done) == [f"{name} {{}} 3" for name in AGENTS]
    assert [result["changed"] for result in done.tasks["Audit the hosts"]] == [True]
    assert current.commands() == []
