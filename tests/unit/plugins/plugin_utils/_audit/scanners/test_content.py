# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Checks made of content for scanners."""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import UsageError
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.scanners import parse
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.scanners.content import (
    Wanted,
    inspec_check,
    xccdf_check,
)
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.scanners.options import read_results

FILES = Path(__file__).parent / "files"
STREAM = str(FILES / "little-ds.xml")
PROFILE = {
    "name": "Linux Baseline",
    "title": "Our baseline",
    "controls": [
        {"id": "os-01", "title": "Accounts are safe", "desc": "They are many", "impact": 0.7, "tags": {"fix": "Mend"}},
        {"id": "os-02", "impact": 0.1},
    ],
}


def test_a_profile_becomes_one_check() -> None:
    check = xccdf_check(STREAM, "strict", Wanted(username="root", timeout=60))
    rules = check["results"].pop("rules")
    about: dict[str, Any] = {
        "name": "strict",
        "title": "A little benchmark: Strict",
        "username": "root",
    }
    about |= {"timeout": 60, "kind": "results", "results": {"format": "xccdf"}}
    assert {key: value for key, value in check.items() if key != "line"} == about
    assert [rule["name"] for rule in rules] == ["motd", "passwd", "by_hand", "elsewhere", "told"]
    assert rules[0] == {
        "name": "motd",
        "title": "No message of the day is shown",
        "rationale": "Messages tell strangers & robots what runs here.",
        "severity": "high",
        "remedy": "rm -f /etc/motd",
        "references": ["CCE-00001-1", "NIST SP 800-53 CM-6(a), AC-8", "https://example.org/guide 1.2"],
    }
    assert "severity" not in rules[1]


def test_its_results_are_those_of_the_scanner_and_say_what_the_content_says() -> None:
    read = read_results("results", xccdf_check(STREAM, "strict", Wanted())["results"])
    printed = (FILES / "openscap-progress-full.txt").read_text().replace("by_hand|", "other|")
    results = {result.name: result for result in parse(read, printed)}
    assert (results["motd"].outcome, results["motd"].remedy) == ("failed", "rm -f /etc/motd")
    assert (results["by_hand"].outcome, results["by_hand"].message) == ("unknown", "The scanner did not say.")


@pytest.mark.parametrize(("same", "told"), [(True, "evaluated"), (False, "has other content than on the controller")])
def test_other_content_on_a_server_is_not_evaluated(tmp_path: Path, same: bool, told: str) -> None:
    """The line runs in a shell, with a scanner that says so."""
    on_server = tmp_path / "it's here.xml"
    on_server.write_text(Path(STREAM).read_text() + ("" if same else " "))
    scanner = tmp_path / "oscap"
    scanner.write_text('#!/bin/sh\necho evaluated "$@"\n')
    scanner.chmod(0o755)
    line = xccdf_check(STREAM, "strict", Wanted(path=str(on_server)))["line"]
    run = subprocess.run(
        ["/bin/sh", "-c", line], env={"PATH": f"{tmp_path}:/usr/bin:/bin"}, capture_output=True, text=True, check=False
    )
    assert told in run.stdout
    assert hashlib.sha256(Path(STREAM).read_bytes()).hexdigest() in line
    if same:
        profile = "xccdf_org.example_profile_strict"
        assert run.stdout == f"evaluated xccdf eval --progress --profile {profile} {on_server}\n"


def test_the_benchmark_is_named_where_there_are_several(tmp_path: Path) -> None:
    other = '<Benchmark id="other"><Profile id="strict"/><Rule id="a" selected="true"/></Benchmark>'
    path = tmp_path / "ds.xml"
    path.write_text(
        Path(STREAM).read_text().replace("</ds:data-stream-collection>", f"{other}</ds:data-stream-collection>")
    )
    assert "--benchmark-id xccdf_org.example_benchmark_little" in xccdf_check(str(path), "base", Wanted())["line"]


@pytest.mark.parametrize(
    ("content", "profile", "told"),
    [
        (None, "strict", "cannot be read: No such file or directory"),
        ("<html/>", "strict", "has no benchmark"),
        ("\udcff", "strict", "it is not UTF-8"),
        (Path(STREAM).read_text(), "strickt", "has no profile strickt. Did you mean strict?"),
        ('<Benchmark id="x"><Profile id="p"/></Benchmark>', "p", "selects no rule"),
        ("<!DOCTYPE x><Benchmark/>", "p", "has a DTD"),
    ],
)
def test_what_cannot_be_a_check_is_refused(tmp_path: Path, content: str | None, profile: str, told: str) -> None:
    path = tmp_path / "ds.xml"
    if content is not None:
        path.write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(UsageError) as error:
        xccdf_check(str(path), profile, Wanted())
    assert told in str(error.value)


def test_a_profile_of_inspec_becomes_one_check(tmp_path: Path) -> None:
    path = tmp_path / "profile.json"
    path.write_text(json.dumps(PROFILE))
    check = inspec_check(str(path), "cinc-auditor", Wanted(path="/opt/our profile", severity="low"))
    assert check.pop("results") == {
        "format": "inspec",
        "rules": [
            {"name": "os-01", "title": "Accounts are safe", "rationale": "They are many", "severity": "high"}
            | {"remedy": "Mend"},
            {"name": "os-02", "severity": "low"},
        ],
    }
    line = "cinc-auditor exec '/opt/our profile' --reporter json-min --no-color"
    about = {"name": "linux-baseline", "title": "Our baseline", "severity": "low", "kind": "results", "line": line}
    assert check == about


@pytest.mark.parametrize(("reporter", "outcome"), [("json-min", "unknown"), ("json", "not_applicable")])
def test_a_reporter_of_inspec_tells_impacts(tmp_path: Path, reporter: str, outcome: str) -> None:
    path = tmp_path / "profile.json"
    path.write_text(json.dumps({"name": "stig", "controls": [{"id": "SV-1", "impact": 0.5}]}))
    check = inspec_check(str(path), "inspec", Wanted(), reporter)
    assert check["line"].endswith(f" --reporter {reporter} --no-color")
    # The server decides that it does not apply, as in a container.
    test = {"status": "skipped", "code_desc": "No-op", "skip_message": "Not applicable within a container"}
    printed: dict[str, Any] = {
        "json-min": {"controls": [{"id": "SV-1", **test}]},
        "json": {"profiles": [{"controls": [{"id": "SV-1", "impact": 0.0, "results": [test]}]}]},
    }
    [result] = parse(check["results"], json.dumps(printed[reporter]))
    assert (result.name, result.outcome) == ("SV-1", outcome)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("", "is not JSON"),
        ("[]", "is not a profile of InSpec"),
        ("{}", "no list of controls"),
        ('{"controls": []}', "has no control"),
    ],
)
def test_what_is_no_profile_of_inspec_is_refused(tmp_path: Path, content: str, told: str) -> None:
    (tmp_path / "profile.json").write_text(content)
    with pytest.raises(UsageError, match=told):
        inspec_check(str(tmp_path / "profile.json"), "inspec", Wanted())
