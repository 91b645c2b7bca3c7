# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test guides against the code that they describe."""

from __future__ import annotations

import ast
import importlib
import json
import re
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.parsing.plugin_docs import read_docstring

from ansible_collections.herdops.alpacon.plugins.action import alpamon_info
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.report import FILES
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.scanners import (
    FORMATS,
    parse_output,
    parse_results_options,
)
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.scanners.openscap import parse_benchmarks
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.scanners.results import RuleResult
from ansible_collections.herdops.alpacon.tests.browser import reports
from ansible_collections.herdops.alpacon.tests.unit.support import ROOT, read_code_blocks

_GUIDES = ROOT / "docs/docsite/rst"
_MODULES = "ansible_collections.herdops.alpacon.plugins.modules"


def _rows(guide: str, after: str) -> list[list[str]]:
    text = (_GUIDES / f"{guide}.rst").read_text(encoding="utf-8")
    table = text[text.index(f"\n{after}\n---") :].split(".. list-table::", 1)[1]
    body = re.match(r"(?:\n|   .*\n)+", table)
    assert body
    return [re.split(r"\n     - ?", row, maxsplit=1) for row in body[0].split("\n   * - ")[2:]]


def _yaml(guide: str) -> list[Any]:
    return [yaml.safe_load(block) for block in read_code_blocks(guide, "yaml")]


def _literals(text: str) -> list[str]:
    return re.findall(r"``(\w+)``", text)


@pytest.mark.parametrize("module", ["command", "shell"])
def test_every_option_of_command_and_shell_has_its_counterpart(module: str) -> None:
    documented = yaml.safe_load(importlib.import_module(f"ansible.modules.{module}").DOCUMENTATION)
    listed = [name for row in _rows("from_ssh", "Convert the options") for name in _literals(row[0])]
    missing = set(documented["options"]) - set(listed)
    assert not missing, "list them in docs/docsite/rst/from_ssh.rst, Convert the options"
    assert len(listed) == len(set(listed)), "docs/docsite/rst/from_ssh.rst lists an option twice"


def test_the_variables_of_the_rollout_are_listed() -> None:
    listed = [name for row in _rows("agent_rollout", "Install the agent") for name in _literals(row[0])]
    names = sorted(f"alpamon_{name}" for name in alpamon_info._PLAYBOOK_VARIABLES)
    assert sorted(listed) == names, "correct the table in docs/docsite/rst/agent_rollout.rst, Install the agent"


def test_every_variable_of_the_guide_on_rollouts_exists() -> None:
    guide = (_GUIDES / "agent_rollout.rst").read_text(encoding="utf-8")
    used = {*re.findall(r"``(alpamon_\w+)", guide), *re.findall(r"(?:-e |^ +)(alpamon_\w+)[=:]", guide, re.MULTILINE)}
    unknown = used - {"alpamon_rollout", *alpamon_info._VARIABLES}
    assert not unknown, "docs/docsite/rst/agent_rollout.rst names variables that do not exist"


def test_the_plays_that_install_a_scanner_and_run_it_are_those_that_were_tried_on_hosts() -> None:
    listed = [entry for block in _yaml("hardening") if isinstance(block, list) for entry in block]
    scenario = ROOT / "extensions/molecule/scanners"
    if not scenario.exists():
        pytest.skip("this is the collection as it is installed")
    tried = [
        play
        for name in ("converge", "verify")
        for play in yaml.safe_load((scenario / f"{name}.yml").read_text(encoding="utf-8"))
        if play["name"] in {play["name"] for play in listed}
    ]
    differ = "docs/docsite/rst/hardening.rst and extensions/molecule/scanners differ"
    assert [play["name"] for play in listed] == [play["name"] for play in tried], differ
    for ours, theirs in zip(listed, tried, strict=True):
        assert ours.get("tasks") == theirs.get("tasks"), differ
        roles, tried_roles = ours.get("roles", []), theirs.get("roles", [])
        assert [role["role"] for role in roles] == [role["role"] for role in tried_roles], differ
        for one, other in zip(roles, tried_roles, strict=True):
            assert one["vars"].items() <= other["vars"].items(), differ


def test_the_benchmarks_of_the_guide_are_taken() -> None:
    listed = [block["audit_benchmarks"] for block in _yaml("hardening") if "audit_benchmarks" in block]
    tailoring = b"<Tailoring/>"
    names = [check["name"] for one in listed for check in parse_benchmarks(one, lambda _option, _path: tailoring)]
    assert names == ["cis_server_l1", "cis_ours"], "correct audit_benchmarks in docs/docsite/rst/hardening.rst"


def _checks_of_scanners() -> list[Any]:
    given = [block.get("audit_checks") for block in _yaml("audit_scanners") if isinstance(block, dict)]
    return [check for listed in given if isinstance(listed, list) for check in listed]


def _run_scanner(name: str, folder: Path, program: str, script: str) -> list[RuleResult]:
    """Run the check of the guide with this program in place of the scanner, and return its results."""
    [check] = [check for check in _checks_of_scanners() if check["name"] == name]
    (folder / program).write_text(f"#!/bin/sh\n{script}\n")
    (folder / program).chmod(0o755)
    environ = {"PATH": f"{folder}:/usr/bin:/bin"}
    printed = subprocess.run(["/bin/sh", "-c", check["line"]], env=environ, check=True, capture_output=True, text=True)
    return parse_output(parse_results_options("results", check["results"]), printed.stdout)


def test_the_check_of_the_guide_reads_tap(tmp_path: Path) -> None:
    [result] = _run_scanner("acceptance", tmp_path, "bats", r"printf '1..1\nnot ok 1 no telnet\n'")
    assert (result.name, result.outcome, result.severity) == ("no telnet", "failed", "critical")


def test_the_check_of_the_guide_reads_kube_bench(tmp_path: Path) -> None:
    rows = [{"test_number": f"1.{number}", "status": word} for number, word in enumerate(("PASS", "FAIL", "WARN"))]
    document = json.dumps({"Controls": [{"tests": [{"results": rows}]}]})
    results = _run_scanner("kube-bench", tmp_path, "kube-bench", f"echo '{document}'")
    assert {one.name: one.outcome for one in results} == {"1.0": "passed", "1.1": "failed", "1.2": "unknown"}


def test_the_formats_of_scanners_are_listed() -> None:
    guide = (_GUIDES / "audit_scanners.rst").read_text(encoding="utf-8")
    listed = sorted(re.findall(r"^``(\w+)``  +\S", guide, re.MULTILINE))
    assert listed == sorted(FORMATS), "correct the table of formats in docs/docsite/rst/audit_scanners.rst"


def test_the_file_for_sarif_has_what_did_not_pass() -> None:
    program = (ROOT / "docs/sarif.jq").read_text(encoding="utf-8")
    report = reports.report()
    [run] = pytest.importorskip("jq").compile(program).input_value(report).first()["runs"]
    summary = report["summary"]
    kinds = Counter((result["kind"], bool(result["suppressions"])) for result in run["results"])
    assert kinds == {
        ("fail", False): summary["failed"],
        ("fail", True): summary["waived"],
        ("open", False): summary["unknown"],
    }
    [approved] = {one["justification"] for result in run["results"] for one in result["suppressions"]}
    assert approved.endswith(", approved by Kim Minji, since 2026-11-02, ticket OPS-1204")
    assert {result["ruleId"] for result in run["results"]} <= {rule["id"] for rule in run["tool"]["driver"]["rules"]}


def test_the_file_for_sarif_has_the_proof_of_attested_failures() -> None:
    program = (ROOT / "docs/sarif.jq").read_text(encoding="utf-8")
    report = reports.attested()
    [run] = pytest.importorskip("jq").compile(program).input_value(report).first()["runs"]
    proof = f"until {reports.ATTESTED['until']}, proof: {reports.ATTESTED['proof']})"
    assert sum(proof in result["message"]["text"] for result in run["results"]) == 1


def test_the_files_of_a_report_are_listed() -> None:
    guide = (_GUIDES / "audit_report.rst").read_text(encoding="utf-8")
    files = {name: file for name, (file, _render) in FILES.items()}
    listed = {name: file for file, name in re.findall(r"^``(audit\.\S+)`` +``(\w+)`` ", guide, re.MULTILINE)}
    assert listed == files, "correct the table of files in docs/docsite/rst/audit_report.rst"
    module = "plugins/modules/alpacon_audit.py"
    documented = read_docstring(str(ROOT / module))["doc"]["options"]["formats"]
    named = re.findall(r"C\((\S+)\)", documented["description"][0])
    assert named == list(files.values()), f"correct the description of formats in {module}"


def test_the_credential_type_sets_url_and_token() -> None:
    [inputs] = [block for block in _yaml("awx") if "fields" in block]
    [injectors] = [block for block in _yaml("awx") if "env" in block]
    names = [field["id"] for field in inputs["fields"]]
    assert inputs["required"] == names == ["url", "token"], "correct the credential type in docs/docsite/rst/awx.rst"
    environ = {f"ALPACON_{name.upper()}": f"{{{{ {name} }}}}" for name in names}
    assert injectors["env"] == environ, "correct the credential type in docs/docsite/rst/awx.rst"


def test_the_execution_environment_has_the_oldest_supported_core() -> None:
    [image] = [block for block in _yaml("awx") if "images" in block]
    runtime = yaml.safe_load((ROOT / "meta/runtime.yml").read_text(encoding="utf-8"))
    package = image["dependencies"]["ansible_core"]["package_pip"]
    assert runtime["requires_ansible"].startswith(package.removeprefix("ansible-core")), (
        "docs/docsite/rst/awx.rst and meta/runtime.yml have other releases of ansible-core"
    )


def _source_texts() -> list[str]:
    """Return each text of the code, with a NUL character for each variable in it."""
    texts = []
    for file in sorted((ROOT / "plugins").rglob("*.py")):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.JoinedStr):
                texts.append(
                    "".join(str(part.value) if isinstance(part, ast.Constant) else "\0" for part in node.values)
                )
            elif isinstance(node, ast.Constant):
                texts.append(str(node.value))
    texts += [
        file.read_text(encoding="utf-8") for part in ("roles", "playbooks") for file in (ROOT / part).rglob("*.yml")
    ]
    return [" ".join(text.split()) for text in texts]


def test_the_messages_of_the_guide_are_those_of_the_collection() -> None:
    guide = (_GUIDES / "troubleshooting.rst").read_text(encoding="utf-8")
    terms = re.findall(r"(?m)^(``.+``)\n    \S", guide)
    # The code adds the name of the option.
    messages = [re.sub("^(url|token): ", "", text) for term in terms for text in re.findall(r"``(.+?)``", term)]
    texts = _source_texts()
    patterns = {message: re.escape(message).replace(re.escape("..."), ".*") for message in messages}
    assert len(terms) >= 30
    unknown = [message for message, pattern in patterns.items() if not any(re.search(pattern, text) for text in texts)]
    assert not unknown, "docs/docsite/rst/troubleshooting.rst has messages that no code, role or playbook has"


def test_the_reasons_of_the_guide_are_those_that_end_batches() -> None:
    guide = (_GUIDES / "tasks_in_batches.rst").read_text(encoding="utf-8")
    rows = re.findall(r"(?m)^   \* - (``.+)\n     - \S", guide)
    listed = {reason.replace("NAME", "\0") for row in rows for reason in re.findall(r"``(.+?)``", row)}
    assert len(listed) >= 10
    unknown = listed - set(_source_texts())
    assert not unknown, "docs/docsite/rst/tasks_in_batches.rst has reasons that no code has"


def test_an_example_that_reads_shows_what_it_read() -> None:
    silent = []
    for guide in sorted(path.stem for path in _GUIDES.glob("*.rst")):
        for block in read_code_blocks(guide, "yaml"):
            names = re.findall(r"- name: ((?:Show|List|Find|Read|Name) .*)\n +herdops\.", block)
            registered = re.findall(r"register: (\w+)", block)
            unused = [name for name in registered if len(re.findall(rf"\b{name}\b", block)) == 1]
            if unused or (names and not re.search(r"ansible\.builtin\.(debug|copy)|assert", block)):
                silent.append((guide, unused or names))
    assert not silent, "show these results in the examples of the guides, with ansible.builtin.debug"


def test_a_guide_has_at_most_200_lines_and_the_readme_fewer_than_150() -> None:
    lines = {path.stem: len(path.read_text(encoding="utf-8").splitlines()) for path in _GUIDES.glob("*.rst")}
    assert not {name: count for name, count in lines.items() if count > 200}, "shorten these guides in docs/docsite/rst"
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) < 150, "shorten README.md"


def test_every_guide_is_in_the_contents() -> None:
    contents = yaml.safe_load((ROOT / "docs/docsite/extra-docs.yml").read_text(encoding="utf-8"))
    listed = [guide for section in contents["sections"] for guide in section["toctree"]]
    guides = sorted(guide.stem for guide in _GUIDES.glob("*.rst"))
    assert sorted(listed) == guides, "correct docs/docsite/extra-docs.yml"
