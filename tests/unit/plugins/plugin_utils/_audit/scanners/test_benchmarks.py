# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test checks that are made from benchmark files on the controller."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import UsageError
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.scanners import parse_output, parse_results_options
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.scanners.benchmarks import make_check

FILES = Path(__file__).parent / "files"
STREAM = str(FILES / "little-ds.xml")
STRICT = {"profile": "strict"}
CONTROL = {"id": "os-01", "title": "Accounts", "desc": "They are many", "impact": 0.7, "descriptions": {"fix": "Mend"}}
PROFILE = {"name": "Linux Baseline", "title": "Our baseline", "controls": [CONTROL]}


def test_a_profile_becomes_one_check() -> None:
    check = make_check(STREAM, {**STRICT, "username": "root", "timeout": 60})
    rules = check["results"].pop("rules")
    about: dict[str, Any] = {"name": "strict", "title": "A little benchmark: Strict", "username": "root"}
    about |= {"timeout": 60, "results": {"format": "xccdf"}}
    assert {key: value for key, value in check.items() if key != "line"} == about
    assert [rule["name"] for rule in rules] == ["motd", "passwd", "by_hand", "elsewhere", "told"]
    assert rules[0] == {
        "name": "motd",
        "title": "No message of the day is shown",
        "rationale": "Messages tell strangers & robots what runs here.",
        "severity": "high",
        "remedy": "Remove /etc/motd:\n$ rm /etc/motd",
        "references": [
            "CCE-00001-1",
            "http://nvlpubs.nist.gov/nistpubs/SpecialPublications/NIST.SP.800-53r4.pdf CM-6(a), AC-8",
            "https://example.org/guide 1.2",
        ],
    }
    assert "severity" not in rules[1]


@pytest.mark.parametrize(("profile", "owner", "severity"), [("strict", "daemon", "high"), ("base", "root", "low")])
def test_a_profile_changes_values_and_severities(profile: str, owner: str, severity: str) -> None:
    motd, passwd, *_others = make_check(STREAM, {"profile": profile})["results"]["rules"]
    assert (motd["severity"], passwd["rationale"]) == (severity, f"They belong to {owner}.")


def test_results_have_the_texts_of_the_benchmark() -> None:
    read = parse_results_options("results", make_check(STREAM, STRICT)["results"])
    printed = (FILES / "openscap-progress-full.txt").read_text().replace("by_hand|", "other|")
    results = {result.name: result for result in parse_output(read, printed)}
    motd, by_hand = results["motd"], results["by_hand"]
    assert (motd.outcome, motd.severity, motd.remedy.splitlines()[1:]) == ("failed", "high", ["$ rm /etc/motd"])
    assert (by_hand.outcome, by_hand.message) == ("unknown", "The output has no result of this rule.")


@pytest.mark.parametrize(("same", "message"), [(True, "evaluated"), (False, "differs from the file on the controller")])
def test_other_content_on_a_server_is_not_evaluated(tmp_path: Path, same: bool, message: str) -> None:
    """Run the line in a shell, with a scanner that says so."""
    on_server = tmp_path / "it's here.xml"
    on_server.write_text(Path(STREAM).read_text() + ("" if same else " "))
    for name, code in {"oscap": 'echo evaluated "$@"', "id": "echo 0"}.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{code}\n")
        (tmp_path / name).chmod(0o755)
    line = make_check(STREAM, {**STRICT, "path": str(on_server)})["line"]
    path = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    run = subprocess.run(["/bin/sh", "-c", line], env=path, capture_output=True, text=True, check=False)
    assert message in run.stdout
    if same:
        assert run.stdout.endswith(f" --profile xccdf_org.example_profile_strict {on_server}\n")


def test_one_of_several_benchmarks_is_named(tmp_path: Path) -> None:
    other = '<Benchmark id="other"><Profile id="strict"/><Rule id="a" selected="true"/></Benchmark>'
    path = tmp_path / "ds.xml"
    path.write_text(Path(STREAM).read_text().replace("</ds:data", f"{other}</ds:data", 1))
    assert "--benchmark-id xccdf_org.example_benchmark_little" in make_check(str(path), {"profile": "base"})["line"]


@pytest.mark.parametrize(
    ("content", "profile", "message"),
    [
        ("<html/>", "strict", "has no benchmark"),
        (Path(STREAM).read_text(), None, "profile: it is missing. Available: base, strict."),
        ('<Benchmark id="x"><Profile id="p"/></Benchmark>', "p", "selects 0 rules"),
        ('<Benchmark id="&x;"></Benchmark>', "p", "undefined entity"),
        ("{", None, "is not JSON"),
        ("{}", None, "no list of controls"),
    ],
)
def test_unusable_content_is_refused(tmp_path: Path, content: str, profile: str | None, message: str) -> None:
    path = tmp_path / "content"
    path.write_text(content)
    with pytest.raises(UsageError) as error:
        make_check(str(path), {"profile": profile})
    assert message in str(error.value)


def test_a_profile_of_inspec_becomes_one_check(tmp_path: Path) -> None:
    path = tmp_path / "profile.json"
    path.write_text(json.dumps(PROFILE))
    options = {"command": "cinc-auditor", "path": "/opt/our profile", "reporter": "json"}
    check = make_check(str(path), options)
    rule = {"name": "os-01", "title": "Accounts", "rationale": "They are many", "severity": "high", "remedy": "Mend"}
    assert check.pop("results") == {"format": "inspec", "rules": [rule]}
    line = "cinc-auditor exec '/opt/our profile' --reporter json --no-color"
    about = {"name": "linux-baseline", "title": "Our baseline", "line": line}
    assert check == about
