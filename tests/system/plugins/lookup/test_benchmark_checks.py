# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test benchmarks in plays: files on the controller, and files on the servers."""

from __future__ import annotations

import hashlib
import json
import lzma
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from system.plays import run_playbook
from system.support import AGENTS
from workspace.client import Workspace

from ansible_collections.herdops.alpacon.tests.unit.support import ROOT, Row

STREAM = ROOT / "tests/unit/plugins/plugin_utils/_audit/scanners/files/little-ds.xml"
#: A text of a benchmark that must not be evaluated as a template.
TRAP = "{{ lookup('ansible.builtin.pipe', 'touch trapped') }}"
LOOKUP = "herdops.alpacon.benchmark_checks"
#: An audit of these checks only, which no result fails.
LENIENT: Row = {"audit_check_sets": [], "audit_fail_on": "never", "audit_min_coverage": 0}
MISTAKES = {
    f"'{LOOKUP}', 'little-ds.xml', profile='strickt'": "has no profile strickt. Did you mean strict?",
    f"'{LOOKUP}', 'little-ds.xml', profil='strict'": "has no such option. Did you mean profile?",
    f"'{LOOKUP}', 'absent.xml', profile='strict'": "absent.xml cannot be read: No such file or directory",
    f"'{LOOKUP}', 'little-ds.xml'": "profile: it is missing",
}


def test_content_becomes_checks(current: Workspace, tmp_path: Path) -> None:
    files = tmp_path / "files"
    files.mkdir()
    (files / "little-ds.xml").write_text(
        STREAM.read_text().replace("It needs another one", TRAP).replace("Lock it", TRAP)
    )
    (files / "profile.json").write_text(json.dumps({"name": "p", "controls": [{"id": "a", "title": TRAP}]}))
    lookups = {
        "one": f"'{LOOKUP}', 'little-ds.xml', profile='strict', path='/ds.xml'",
        "two": f"'{LOOKUP}', 'little-ds.xml', '{files}/little-ds.xml', profile='base', name='base'",
        "three": f"'{LOOKUP}', 'profile.json', path='/opt/p', timeout='60', reporter='json'",
    }
    tasks: list[Row] = [
        {"name": name, "ansible.builtin.debug": {"msg": f"{{{{ query({arguments}) }}}}"}}
        for name, arguments in lookups.items()
    ]
    tasks += [
        {"name": message, "ansible.builtin.debug": {"msg": f"{{{{ query({arguments}) }}}}"}, "ignore_errors": True}
        for arguments, message in MISTAKES.items()
    ]
    play = run_playbook(current, tmp_path, [{"hosts": "all", "gather_facts": False, "tasks": tasks}], ["web-01"])
    assert play.code == 0, play.log
    [strict], bases, [profile] = (play.tasks[name][0]["msg"] for name in lookups)
    assert (strict["name"], strict["timeout"]) == ("strict", 1800)
    assert strict["results"]["rules"][2]["remedy"] == f"{TRAP}."
    assert [len(base["results"]["rules"]) for base in bases] == [3, 3]
    assert (profile["timeout"], profile["results"]["rules"]) == (60, [{"name": "a", "title": TRAP}])
    assert profile["line"] == "inspec exec /opt/p --reporter json --no-color"
    assert not list(tmp_path.rglob("trapped"))
    for message in MISTAKES.values():
        assert message in str(play.tasks[message][0]["msg"])


def test_an_audit_needs_one_command_per_server(current: Workspace, tmp_path: Path) -> None:
    controls = [{"id": "a", "title": TRAP, "impact": 0.9, "descriptions": {"fix": TRAP}}, {"id": "b"}, {"id": "c"}]
    (tmp_path / "profile.json").write_text(json.dumps({"name": "p", "controls": controls}))
    printed = {"controls": [{"id": "a", "status": "failed", "code_desc": TRAP}, {"id": "b", "status": "passed"}]}
    scanner = tmp_path / "scanner"
    scanner.write_text(f"#!/bin/sh\ncat <<'END'\n{json.dumps(printed)}\nEND\nexit 100\n")
    scanner.chmod(0o755)
    query = f"query('{LOOKUP}', '{tmp_path}/profile.json', path='/opt/p', command='{scanner}')"
    variables = {
        "audit_checks": f"{{{{ {query} }}}}",
        **LENIENT,
        "audit_report_dir": str(tmp_path / "report"),
        "audit_waivers": [{"check": "p/*", "hosts": ["web-02"], "reason": "a test", "until": "2999-01-01"}],
    }
    role = {"role": "herdops.alpacon.audit", "run_once": True, "vars": variables}
    before = len(current.commands())
    plays: list[Row] = [{"hosts": "all", "gather_facts": False, "roles": [role]}]
    play = run_playbook(current, tmp_path, plays, AGENTS)
    assert play.code == 0, play.log
    report = json.loads((tmp_path / "report/audit.json").read_text())
    found = {(row["host"], row["check"]): row["outcome"] for row in report["results"]}
    outcomes = {"p/a": "failed", "p/b": "passed", "p/c": "unknown"}
    expected = {(host, name): outcome for host in AGENTS for name, outcome in outcomes.items()}
    # A waiver by the name of a rule is like any other.
    assert found == {**expected, ("web-02", "p/a"): "waived"}
    [rule] = [check for check in report["checks"] if check["name"] == "p/a"]
    assert (rule["of"], rule["title"], rule["severity"], rule["remedy"]) == ("p", TRAP, "critical", TRAP)
    assert len(current.commands()) - before == 3
    assert not list(tmp_path.rglob("trapped"))


def test_benchmarks_on_servers_need_no_further_command(current: Workspace, tmp_path: Path) -> None:
    """Give one host a benchmark that cannot run: either oscap or the file is missing."""
    hosts: Row = {host: {} for host in AGENTS}
    (tmp_path / "own.xml").write_text("<Tailoring/>")
    benchmark = {"file": "ssg-none-ds.xml", "profile": "cis", "tailoring_file": "own.xml"}
    hosts["web-02"] = {"audit_benchmarks": [benchmark]}
    variables = {
        "audit_checks": [{"name": "one", "line": "true"}],
        **LENIENT,
        "audit_report_dir": str(tmp_path / "report"),
    }
    role = {"role": "herdops.alpacon.audit", "run_once": True, "vars": variables}
    before = len(current.commands())
    plays: list[Row] = [{"hosts": "all", "gather_facts": False, "roles": [role]}]
    play = run_playbook(current, tmp_path, plays, {"all": {"hosts": hosts}})
    assert play.code == 0, play.log
    report = json.loads((tmp_path / "report/audit.json").read_text())
    found = {(row["host"], row["check"]): row for row in report["results"]}
    assert set(found) == {*((host, "one") for host in AGENTS), ("web-02", "cis")}
    assert found["web-02", "cis"]["outcome"] == "unknown"
    [references] = [check["references"] for check in report["checks"] if check["name"] == "cis"]
    digest = hashlib.sha256(b"<Tailoring/>").hexdigest()
    assert references == [f"Tailoring own.xml, SHA-256 {digest}"]
    assert re.search("(oscap is not installed|is not on this server|only as root)", found["web-02", "cis"]["message"])
    assert len(current.commands()) - before == 3
    refused = run_playbook(
        current, tmp_path, [{**plays[0], "vars": {"audit_benchmarks": [{"file": "a/b", "profile": "cis"}]}}], AGENTS
    )
    assert refused.code
    assert "audit_benchmarks, entry 1: file: a/b is a relative path" in refused.log
    assert len(current.commands()) - before == 3


@pytest.mark.skipif(not shutil.which("oscap"), reason="OpenSCAP is not installed")
def test_evidence_of_benchmarks_is_kept_beside_the_report(current: Workspace, tmp_path: Path) -> None:
    variables = {
        "audit_benchmarks": [{"file": str(STREAM), "profile": "strict", "evidence": True}],
        **LENIENT,
        "audit_report_dir": str(tmp_path / "report"),
    }
    role = {"role": "herdops.alpacon.audit", "run_once": True, "vars": variables}
    before = len(current.commands())
    play = run_playbook(current, tmp_path, [{"hosts": "all", "gather_facts": False, "roles": [role]}], AGENTS[:2])
    assert play.code == 0, play.log
    assert len(current.commands()) - before == 2
    report = json.loads((tmp_path / "report/audit.json").read_text())
    files = {file["path"]: file for server in report["servers"] for file in server["files"]}
    assert set(files) == {
        f"evidence/{host}.strict.{name}.xz" for host in AGENTS[:2] for name in ("arf.xml", "report.html")
    }
    for path, file in files.items():
        content = (tmp_path / "report" / path).read_bytes()
        assert (file["bytes"], file["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
        assert b"by_hand" in lzma.decompress(content)
    subprocess.run(["sha256sum", "--check", "SHA256SUMS"], cwd=tmp_path / "report/evidence", check=True)
    assert report["evidence"]["sha256"] in (tmp_path / "report/audit.html").read_text()
    assert "4 files of scanners" in play.log
