# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run checks of OpenSCAP in a shell, with a fake oscap or the installed one, and parse what they print."""

from __future__ import annotations

import hashlib
import random
import shlex
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import UsageError
from ansible_collections.herdops.alpacon.plugins.module_utils._options.values import LINE_LENGTH
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.checks import parse_checks
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.payloads import build_line
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.scanners import parse_output
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.scanners.evidence import FUNCTIONS
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.scanners.openscap import parse_benchmarks
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.scanners.results import RuleResult, ScannerError

ARF = Path(__file__).parent / "files/little-arf.xml"
STREAM = str(Path(__file__).parent / "files/little-ds.xml")
TAILORING = """<Tailoring xmlns="http://checklists.nist.gov/xccdf/1.2" id="xccdf_org.example_tailoring_ours">
<version time="2026-01-01T00:00:00">1</version>
<Profile id="xccdf_org.example_profile_ours" extends="xccdf_org.example_profile_strict"><title>Ours</title>
<select idref="xccdf_org.example_rule_by_hand" selected="false"/>
<refine-rule idref="xccdf_org.example_rule_passwd" severity="low"/></Profile></Tailoring>"""
#: Result of XCCDF -> outcome in an audit.
MEANING = {"pass": "passed", "fail": "failed", "notapplicable": "not_applicable", "informational": "not_applicable"}
#: A rule in oscap's results file.
ROW = '<rule-result idref="xccdf_x_rule_{}" role="full" severity="{}">\n <result>{}</result>\n</rule-result>\n'
ROWS = ROW.format("a", "high", "fail") + ROW.format("b", "low", "notselected")
#: A fake oscap that prints one rule, writes two, and logs its arguments.
PRINTS = f"""for last; do :; done; echo "xccdf_x_rule_a|Rule a|fail"; printf '%s\\n' "$@" >"$0.log"
while [ "$1" ]; do [ "$1" != --results-arf ] || printf '%s' '{ROWS}' >"$2"; shift; done; """
Evaluate = Callable[..., "list[RuleResult]"]


@pytest.fixture
def evaluate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Evaluate:
    """Run the check of a benchmark, with this code in place of oscap."""
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    (tmp_path / "bin").mkdir()

    def run(
        oscap: str = "", uid: int = 0, cut: str = "", before: str = "", functions: str = "", **benchmark: Any
    ) -> list[RuleResult]:
        [check] = parse_benchmarks([{"file": STREAM, "profile": "strict", **benchmark}])
        for name, code in {"oscap": oscap, "id": f"echo {uid}"}.items():
            if code:
                (tmp_path / "bin" / name).write_text(f"#!/bin/sh\n{code}\n")
                (tmp_path / "bin" / name).chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}/bin", prepend=":")
        argv = [*before.split(), "/bin/sh", "-c", f"{functions}\n{check['functions']}\n{check['line']}"]
        printed = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False).stdout
        assert not list((tmp_path / "tmp").iterdir())
        return parse_output(check["results"], printed, cut)

    return run


def test_a_benchmark_fits_into_the_line_of_a_workspace_without_env() -> None:
    file = "ssg-rhel9-ds-of-our-company-1.2.xml"
    [benchmark] = parse_benchmarks([{"file": file, "profile": "anssi_bp28_minimal", "tailoring": f"/root/{file}"}])
    assert (benchmark.pop("functions"), benchmark.pop("files")) == ("", ())
    [check] = parse_checks("benchmarks", [benchmark])
    assert len(build_line(check)) <= LINE_LENGTH


def test_arguments_of_oscap_are_quoted(evaluate: Evaluate, tmp_path: Path) -> None:
    odd = tmp_path / 'it\'s $(touch trapped); `touch trapped` "a".xml'
    odd.write_text("")
    [result] = evaluate(f"{PRINTS} exit 2", file=str(odd), tailoring=str(odd))
    assert (result.name, result.outcome, result.severity, result.title) == ("a", "failed", "high", "Rule a")
    said = (tmp_path / "bin/oscap.log").read_text().splitlines()
    assert said[-5:] == ["--profile", "strict", "--tailoring-file", str(odd), str(odd)]
    assert not list(tmp_path.rglob("trapped"))


def test_a_tailoring_file_is_sent_along_and_removed(evaluate: Evaluate, tmp_path: Path) -> None:
    own = tmp_path / "it's mine.xml"
    own.write_bytes(b"\0'$(id)\n" * 9 + b"<a:Tailoring/>")
    copy = f"""case "$*" in *--tailoring-file*) for one; do [ "$before" != --tailoring-file ] ||
{{ cat "$one"; stat -c %a "$one" >&2; }} >{tmp_path}/sent 2>{tmp_path}/mode; before=$one; done ;; esac; """
    assert [one.name for one in evaluate(f"{copy}{PRINTS} exit 2", tailoring_file=str(own))] == ["a"]
    assert (tmp_path / "sent").read_bytes() == own.read_bytes()
    assert (tmp_path / "mode").read_text() == "600\n"
    [check] = parse_benchmarks([{"file": STREAM, "profile": "strict", "tailoring_file": str(own)}])
    assert check["references"] == [f"Tailoring {own}, SHA-256 {hashlib.sha256(own.read_bytes()).hexdigest()}"]


@pytest.mark.parametrize(
    ("content", "more", "message"),
    [
        (
            b"<Tailoring/>" + random.Random(1).randbytes(50_000),
            {},
            "at most 60,000 can be sent. Copy it to the servers",
        ),
        (b"0" * 5_000_000, {}, "more than 4,194,304 bytes"),
        (b"", {}, "is not a tailoring file"),
        (b"<Benchmark><Profile/></Benchmark>", {}, "is not a tailoring file"),
        (b"", {"tailoring": "/a.xml"}, "tailoring is given too"),
        (None, {}, "cannot be read"),
    ],
)
def test_tailoring_files_that_cannot_be_sent(tmp_path: Path, content: Any, more: Any, message: str) -> None:
    own = tmp_path / "own.xml"
    if content is not None:
        own.write_bytes(content)
    with pytest.raises(UsageError, match=message):
        parse_benchmarks([{"file": STREAM, "profile": "strict", "tailoring_file": str(own), **more}])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"oscap": "exit 0", "file": "ssg-none-ds.xml"}, r"/usr/share/xml/scap/ssg/content/ssg-none-ds\.xml is not on"),
        ({"oscap": "exit 0", "tailoring": "/no/where.xml"}, "/no/where.xml is not on this server. Copy the file"),
        ({"oscap": "exit 0", "uid": 1000}, "only as root. Set audit_username to root"),
        ({"oscap": 'echo " Id: xccdf_x_profile_one"; exit 1'}, r"has no profile strict. It has: one.$"),
        ({"oscap": 'echo " Id: xccdf_x_profile_strict"; exit 1'}, "oscap ended with exit code 1"),
        ({"oscap": "echo no room >&2; kill -9 $$"}, r"oscap ended with exit code 137\. no room"),
        ({"oscap": PRINTS.replace("fail", "notapplicable")}, "No rule applies to this server"),
    ],
)
def test_the_error_names_what_is_missing(evaluate: Evaluate, arguments: Any, message: str) -> None:
    with pytest.raises(ScannerError, match=message):
        evaluate(**arguments)


@pytest.mark.parametrize(
    ("system", "packages"),
    [
        ("ID=ubuntu\nID_LIKE=debian", "openscap-scanner and ssg-debderived"),
        ('ID="rocky"\nID_LIKE="rhel centos fedora"', "openscap-scanner and scap-security-guide"),
        ('ID="sles"\nID_LIKE="suse"', "openscap-utils and scap-security-guide"),
    ],
)
def test_the_packages_to_install_fit_the_system(tmp_path: Path, system: str, packages: str) -> None:
    (tmp_path / "os-release").write_text(system)
    [check] = parse_benchmarks([{"file": STREAM, "profile": "strict"}])
    code = check["line"].replace("/etc/os-release", f"{tmp_path}/os-release").replace("oscap >", "no-oscap >")
    printed = subprocess.run(["/bin/sh", "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed == f"missing-results: oscap is not installed. Install {packages}.\n"


def test_failed_rules_have_their_evidence(evaluate: Evaluate) -> None:
    code = f"""printf '%s\\n' "xccdf_org.example_rule_fine|Fine|pass" "xccdf_org.example_rule_passwords|Old|fail"
while [ "$1" ]; do [ "$1" != --results-arf ] || cat {shlex.quote(str(ARF))} >"$2"; shift; done; exit 2"""
    for functions in ("", FUNCTIONS):
        results = {one.name: one for one in evaluate(code, functions=functions)}
        fine, passwords = results["fine"], results["passwords"]
        assert (fine.outcome, fine.rationale, fine.output) == ("passed", "", "")
        assert (passwords.outcome, passwords.severity) == ("failed", "medium")
        assert passwords.rationale == ("Guessing takes time." if functions else "")
        assert ("found: username old" in passwords.output) is bool(functions)
        assert len(fine.references) == (2 if functions else 0)


def test_equal_results_of_many_servers_are_one_object() -> None:
    """Results of 400 rules on 2,000 servers would need more than half a GB otherwise."""
    lines = "\n".join(f"xccdf_org.example_rule_{number}|Rule {number}|pass" for number in range(400))
    found = [parse_output({"format": "xccdf"}, f"{lines}\nxccdf_org.example_rule_x|{host}|fail") for host in range(5)]
    assert len({id(result) for results in found for result in results}) == 405


def test_an_interrupted_run_keeps_its_results(evaluate: Evaluate) -> None:
    assert [one.name for one in evaluate(f"{PRINTS} kill -9 $$")] == ["a", "missing-results"]
    late = evaluate(f"{PRINTS} sleep 30", before="timeout 1", cut="Late.")
    assert [one.name for one in late] == ["a", "missing-results"]


def test_benchmarks_become_checks() -> None:
    benchmarks = [{"file": "ssg-rhel9-ds.xml", "profile": name} for name in ("cis", "xccdf_org.x_profile_stig")]
    checks = parse_benchmarks([*benchmarks, {"file": "/srv/own.xml", "profile": "cis"}])
    named = [(check["name"], check["timeout"]) for check in checks]
    assert named == [("cis", 1800), ("stig", 1800), ("cis-own.xml", 1800)]
    assert parse_benchmarks(None) == parse_benchmarks([]) == []


@pytest.mark.parametrize(
    ("benchmarks", "message"),
    [
        ("cis", "benchmarks: it is not a list"),
        (["cis"], "entry 1: it is not a dictionary. Give one, with some of file, profile, tailoring, tailoring_file,"),
        ([{"file": "a.xml"}], "entry 1: profile: it is missing"),
        (
            [{"file": "a.xml", "profile": "cis", "tayloring": "b"}],
            "entry 1: tayloring: there is no such key. Did you mean tailoring?",
        ),
        ([{"file": "content/a.xml", "profile": "cis"}], "content/a.xml is a relative path"),
        ([{"file": "a.xml", "profile": "$(id)"}], "'$(id)' is not the id of a profile"),
        ([{"file": "a.xml", "profile": "cis"}] * 3, "cis-a.xml is listed twice"),
    ],
)
def test_bad_benchmarks_are_refused(benchmarks: Any, message: str) -> None:
    with pytest.raises(UsageError) as error:
        parse_benchmarks(benchmarks)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("output", "outcomes"),
    [
        ("a:error\nb:unknown\nc:notchecked\n", {"a": "unknown", "b": "unknown", "c": "unknown"}),
        ("a:notapplicable\nb:informational\nc:pass", dict.fromkeys("ab", "not_applicable") | {"c": "passed"}),
        ("a:notselected\nb:fixed\n", {"b": "passed"}),
        ("a:pass\na:notchecked\na:fail\na:notapplicable\nb:pass\nb:fail\n", {"a": "failed", "b": "failed"}),
        ("a|A|pass\na|severity=high|fail\nb|severity=low|pass\n", {"a": "failed", "b": "passed"}),
        ("xccdf_x_rule_a:pass\nxccdf_y_rule_a:fail", {"a": "failed"}),
        ("WARNING: no x.xml\nW: oscap: rule:passed\nxccdf_x_rule_a:pass\r\nDownloading: x ... ok\n", {"a": "passed"}),
    ],
)
def test_words_of_xccdf(output: str, outcomes: dict[str, str]) -> None:
    assert {result.name: result.outcome for result in parse_output({"format": "xccdf"}, output)} == outcomes


def test_evidence_has_what_oscap_wrote_without_hashes(evaluate: Evaluate, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    hashes = ("$6$salt$" + 43 * "a/", "$y$j9T$salt$" + 43 * "b", "grub.pbkdf2.sha512.10000." + 30 * "AF.", "old13chars")
    said = f"<unix-sys:password>{hashes[3]}</unix-sys:password> {' '.join(hashes[:3])}: $1$2 $HOME$PATH"
    write = f"""while [ "$1" ]; do
case $1 in --report | --results-arf) printf '%s\n' {shlex.quote(said)} '{ROWS}' >"$2" ;; esac
shift; done; echo 'xccdf_x_rule_a|Rule a|fail'; exit 2"""
    code = f"audit_files={kept}; export audit_files"
    assert [one.name for one in evaluate(write, functions=code, evidence=True)] == ["a"]
    for name in ("arf.xml", "report.html"):
        content = (kept / name).read_text()
        assert not any(one in content for one in hashes)
        assert (content.count("(hidden)"), content.count("$1$2 $HOME$PATH"), content.count(ROWS)) == (4, 1, 1)
    # What cannot be rid of hashes is not sent.
    for name in ("arf.xml", "report.html"):
        (kept / name).unlink()
    evaluate(write, functions=f"{code}; sed() {{ cat; return 1; }}", evidence=True)
    assert not [path for path in kept.iterdir() if not path.name.startswith(".")]
    # Without the folder, the workspace does not support it.
    assert [one.name for one in evaluate(write, evidence=True)] == ["a"]


@pytest.mark.skipif(not shutil.which("oscap"), reason="OpenSCAP is not installed")
def test_evidence_of_the_installed_oscap(evaluate: Evaluate, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    evaluate(profile="strict", evidence=True, functions=f"audit_files={kept}; export audit_files\n{FUNCTIONS}")
    assert ElementTree.parse(kept / "arf.xml").getroot().tag.endswith("asset-report-collection")
    assert (kept / "report.html").read_text().lower().startswith("<!doctype html")


@pytest.mark.skipif(not shutil.which("oscap"), reason="OpenSCAP is not installed")
@pytest.mark.parametrize("profile", ["base", "strict", "ours"])
def test_each_rule_has_the_result_that_oscap_itself_writes(evaluate: Evaluate, tmp_path: Path, profile: str) -> None:
    (tmp_path / "tailoring.xml").write_text(TAILORING)
    tailoring = {"tailoring_file": f"{tmp_path}/tailoring.xml"} if profile == "ours" else {}
    options = [part for path in tailoring.values() for part in ("--tailoring-file", path)]
    argv = ["oscap", "xccdf", "eval", *options, "--profile", profile, "--results", f"{tmp_path}/r.xml", STREAM]
    subprocess.run(argv, capture_output=True, check=False)
    names = "{http://checklists.nist.gov/xccdf/1.2}"
    rows = ElementTree.parse(tmp_path / "r.xml").iter(f"{names}rule-result")
    words = {row.get("idref"): (row.findtext(f"{names}result", ""), row.get("severity")) for row in rows}
    selected = {f"{rule}".split("_rule_")[1]: word for rule, word in words.items() if word[0] != "notselected"}
    expected = {rule: (MEANING.get(word, "unknown"), severity) for rule, (word, severity) in selected.items()}
    results = evaluate(profile=profile, functions=FUNCTIONS, **tailoring)
    assert {result.name: (result.outcome, result.severity or "unknown") for result in results} == expected
    assert all(result.title for result in results)
    failed = {result.name: result.output for result in results if result.outcome == "failed"}
    assert all(output.startswith("Not met: motd\n  found: filepath /etc/motd, ") for output in failed.values())
    assert ("by_hand" in expected, expected["passwd"][1]) == ((False, "low") if tailoring else (True, "unknown"))
