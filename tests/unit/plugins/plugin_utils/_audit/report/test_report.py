# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test the files of a report, hostile texts in them, and the trend since an earlier report."""

from __future__ import annotations

import base64
import copy
import csv
import hashlib
import html
import io
import json
import os
import re
import stat
import subprocess
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import jsonschema
import pytest

from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.report import (
    FILES,
    FORMATS,
    ReportError,
    read_previous,
    write_report,
)
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.report.comparison import compare_reports
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.report.formats import (
    describe_findings,
    escape_cell,
    escape_markdown,
    render_csv,
    render_junit,
    render_markdown,
    render_summary,
)
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.report.html_page import PageData, render_html
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.report.text import (
    clean_text,
    cut_sentences,
    describe_evidence,
    describe_result,
    fold_text,
    format_duration,
    format_time,
    group_unreached,
    list_remediations,
    rank_remediation,
    to_line,
)
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.scanners.results import OUTCOMES, to_percent
from ansible_collections.herdops.alpacon.tests.browser import reports
from ansible_collections.herdops.alpacon.tests.unit.support import ROOT, read_code_blocks

SCHEMA = json.loads((ROOT / "docs/audit-report.schema.json").read_text(encoding="utf-8"))

CASES = {
    "example": reports.report(),
    "clean": reports.clean(),
    "hostile": reports.hostile(),
    "attested": reports.attested(),
    "empty": reports.summed({**reports.report(servers=1, checks=1), "servers": [], "checks": [], "results": []}),
}


def rendered(render: Callable[[reports.Report], Iterable[str]], report: reports.Report) -> str:
    """Return a report as a format renders it."""
    return "".join(render(report))


@pytest.fixture(params=CASES)
def report(request: pytest.FixtureRequest) -> reports.Report:
    """Return each of the reports."""
    return copy.deepcopy(CASES[request.param])


def test_writes_the_chosen_formats(tmp_path: Path) -> None:
    folder = tmp_path / "deep/report"
    paths = write_report(CASES["example"], folder)
    assert paths == [folder / name for name in ("audit.json", "audit.xml", "audit.md", "audit.html")]
    assert sorted(folder.iterdir()) == sorted(paths)
    assert {stat.S_IMODE(path.stat().st_mode) for path in paths} == {0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    tmp_path.chmod(0o755)
    assert write_report(CASES["example"], tmp_path, ["html"]) == [tmp_path / "audit.html"]
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755


def test_a_failed_write_keeps_the_earlier_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (path,) = write_report(CASES["clean"], tmp_path, ["json"])
    before = path.read_bytes()

    def refuse(*_paths: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(OSError, match="No space"):
        write_report(CASES["example"], tmp_path, ["json"])
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_the_json_is_the_report_and_fits_the_schema(report: reports.Report, tmp_path: Path) -> None:
    (path,) = write_report(report, tmp_path, ["json"])
    written = json.loads(path.read_text(encoding="utf-8"))
    assert written == report
    jsonschema.validate(written, SCHEMA)


@pytest.mark.parametrize("indent", [None, 0, 2, "as written"])
def test_an_earlier_report_is_read_in_any_layout(report: reports.Report, indent: Any, tmp_path: Path) -> None:
    (path,) = write_report(report, tmp_path, ["json"])
    if indent != "as written":
        path.write_text(json.dumps(report, indent=indent), encoding="utf-8")
    previous = read_previous(path, print)
    assert previous
    content = path.read_bytes()
    path.write_bytes(b"\xef\xbb\xbf" + content.replace(b"\n", b"\r\n"))
    assert read_previous(path, print) == previous
    later = {**copy.deepcopy(report), "results": report["results"][::2]}
    assert compare_reports(later, previous) == compare_reports(later, report)
    assert {**previous, "results": []} == {**report, "results": []}


def test_of_an_earlier_report_only_what_is_compared_is_kept(tmp_path: Path) -> None:
    (path,) = write_report(CASES["example"], tmp_path, ["json"])
    previous = read_previous(path, print)
    assert previous
    kept = {row["outcome"]: len(row) for row in previous["results"]}
    assert kept == {**dict.fromkeys(OUTCOMES, 5), "unknown": 6}


def test_an_earlier_report_without_its_end_is_refused(tmp_path: Path) -> None:
    (path,) = write_report(CASES["example"], tmp_path, ["json"])
    lines = path.read_text(encoding="utf-8").splitlines()
    for end in (-1, -2, len(lines) // 2):
        path.write_text("\n".join(lines[:end]), encoding="utf-8")
        with pytest.raises(ReportError, match="is not JSON"):
            read_previous(path, print)


def test_warns_if_there_is_no_earlier_report(tmp_path: Path) -> None:
    warnings: list[str] = []
    assert read_previous(tmp_path / "gone.json", warnings.append) is None
    assert warnings == [f"There is no earlier report {tmp_path / 'gone.json'}, so the report shows no trend."]
    with pytest.raises(ReportError, match="it cannot be read: Is a directory"):
        read_previous(tmp_path, print)
    damaged = (b"{", b"\xff", b"[" * 200_000)
    for content, problem in (*((one, "is not JSON") for one in damaged), (b"[]", "is not a JSON object")):
        (tmp_path / "audit.json").write_bytes(content)
        with pytest.raises(ReportError, match=problem):
            read_previous(tmp_path / "audit.json", print)


@pytest.mark.parametrize(
    "change",
    [
        *({"schema": 1}, {"finished_at": None}, {"summary": None}, {"checks": [1]}, {"servers": {"host": "a"}}),
        {"summary": {**CASES["clean"]["summary"], "servers": "1"}},
        {"summary": {**CASES["clean"]["summary"], "score": float("inf")}},
        {"coverage": float("nan")},
        {"coverage": 10**400},
        {"summary": {**CASES["clean"]["summary"], "failed": 0.5}},
        {"verdict": []},
        {"verdict": None},
        {"fail_on": ["high"]},
        {"checks": [*CASES["clean"]["checks"], {**CASES["clean"]["checks"][0], "name": 5}]},
        {"results": [{**CASES["clean"]["results"][0], "severity": []}]},
        {"servers": [{"host": []}]},
        {"results": [{"host": "a", "check": "b", "outcome": "failed", "severity": "bad"}]},
    ],
)
def test_refuses_a_file_that_cannot_be_compared(change: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "audit.json").write_text(json.dumps({**CASES["clean"], **change}), encoding="utf-8")
    with pytest.raises(ReportError, match=r"audit.json is not a report of an audit: .*\. Give the audit.json"):
        read_previous(tmp_path / "audit.json", print)


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("plain\ttext\n", "plain\ttext\n"),
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x1b]8;;https://evil.example\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1b(Btext\x1b=", "text"),
        ("nul\x00 bell\x07 del\x7f", "nul\\x00 bell\\x07 del\\x7f"),
        ("\x85\ud800\ufffe", "\\x85\\ud800\\ufffe"),
        ("\u202etxt.exe", "\\u202etxt.exe"),
        ("50%\r100%\r\ndone", "50%\n100%\ndone"),
        ("caf\u00e9 \uc11c\ubc84 \U0001f468\u200d\U0001f469", "caf\u00e9 \uc11c\ubc84 \U0001f468\u200d\U0001f469"),
    ],
)
def test_text_is_cleaned(text: Any, cleaned: str) -> None:
    assert clean_text(text) == cleaned


def test_text_is_cut() -> None:
    assert to_line("a\n\n b ") == "a b"
    assert to_line("x" * 400, 10) == "x" * 9 + "\u2026"
    assert len(to_line("\x00" * 10_000)) == 300


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("short, and so, it, is, whole", "short, and so, it, is, whole"),
        ("2 updates: p0, p1, p2, p3, p4, p5, p6, p7, p8, p9", "2 updates: p0, p1, p2, p3, p4, p5, p6 and 3 more"),
        ("It is bad here. " * 5 + "And 40 more.", "It is bad here. It is bad here and 43 more"),
        ("7 in: p0, p1, p2, p3, p4, p5, p6, p7, p8, p9, p\u2026", "7 in: p0, p1, p2, p3, p4, p5, p6, p7 and more"),
        ("words " * 20, "words words words words words words \u2026"),
        ("x" * 50, f"{'x' * 40} \u2026"),
    ],
)
def test_a_long_message_is_folded(text: str, shown: str) -> None:
    assert fold_text(text, 40) == shown


def test_long_findings_are_folded_in_the_message_of_the_task() -> None:
    packages = ", ".join(f"package-{number}" for number in range(90))
    finding = {"host": "web-01", "check": "updates", "severity": "high", "outcome": "failed", "message": f"{packages}."}
    [words] = describe_findings([finding])
    assert len(words) < 250
    assert re.search(r"package-\d+ and \d+ more$", words)


def test_hosts_with_the_same_finding_share_a_line() -> None:
    finding = {"check": "updates", "severity": "high", "outcome": "failed", "message": "Updates."}
    names = [f"web-{number:02}" for number in range(12)]
    other = {**finding, "host": "web-01", "message": "No updates."}
    assert describe_findings([*({**finding, "host": name} for name in names), other]) == [
        f"{', '.join(names[:5])} and 7 more: updates (high): Updates",
        "web-01: updates (high): No updates",
    ]


def test_figures_in_words() -> None:
    times = (0, 103, 3600, 90_061, 59.6)
    assert [format_duration(seconds) for seconds in times] == ["0 s", "1 min 43 s", "1 h", "1 d 1 h", "1 min"]
    # A share is never rounded up to all.
    assert [to_percent(*pair) for pair in ((9999, 10_000), (1, 1), (0, 0), (2, 3))] == [99.9, 100.0, 0.0, 66.6]
    assert format_time("2026-11-24T09:12:04.123456+02:00") == "2026-11-24 07:12 UTC"
    assert format_time("soon") == "soon"


def test_junit_has_a_suite_for_each_server_and_a_case_for_each_result(report: reports.Report) -> None:
    suites = ElementTree.fromstring(rendered(render_junit, report))
    summary = report["summary"]
    unasked = summary["not_reached"]
    failed, errors, cases = summary["failed"], summary["unknown"] + unasked, len(report["results"]) + unasked
    assert [suites.get(name) for name in ("tests", "failures", "errors")] == [str(cases), str(failed), str(errors)]
    counts = {".//testcase": cases, ".//failure": failed, ".//error": errors, "testsuite": len(report["servers"])}
    counts[".//skipped"] = summary["waived"] + summary["not_applicable"]
    assert {path: len(suites.findall(path)) for path in counts} == counts
    # GitLab shows no attributes where there is a text.
    problems = [problem for tag in ("failure", "error", "skipped") for problem in suites.iter(tag)]
    assert all((problem.text or "").startswith(problem.attrib["message"]) for problem in problems)


def test_junit_has_messages_outputs_and_properties() -> None:
    example = CASES["example"]
    suites = ElementTree.fromstring(rendered(render_junit, example))
    failed = next(result for result in example["results"] if result["outcome"] == "failed" and result["output"])
    cases = {(case.get("name"), case.attrib["classname"].rpartition(".")[2]): case for case in suites.iter("testcase")}
    failure = cases[failed["check"], failed["host"]].find("failure")
    assert failure is not None
    assert failure.attrib == {"type": failed["severity"], "message": failed["message"]}
    assert failure.text == f"{failed['message']}\n\n" + failed["output"].strip("\n")
    assert suites.get("time") == "103.000"
    for suite in suites.iter("testsuite"):
        values = [one.get("value") for one in suite.iter("property")]
        assert values == [example["workspace"], "fail", "94.9", "95.0"]
    errors = [error.get("message") for error in suites.iter("error")]
    assert errors.count(f"Not reached: {reports.OFFLINE}") == example["summary"]["not_reached"]


def test_a_waiver_is_described_once() -> None:
    waiver = {"reason": "old", "until": "2026-11-26", "expired": True}
    message = "It is 18. Its waiver expired on 2026-11-26: old"
    failed = next(row for row in CASES["example"]["results"] if row["outcome"] == "failed")
    assert describe_result({**failed, "message": message, "waiver": waiver}) == message
    holds = {**failed, "message": "It is 18.", "waiver": {**waiver, "expired": False}}
    assert describe_result(holds) == "It is 18. old: waived until 2026-11-26"
    assert describe_result({**holds, "message": ""}) == "old: waived until 2026-11-26"
    sentence = {**holds, "waiver": {**waiver, "reason": "It is old.", "expired": False}}
    assert describe_result(sentence) == "It is 18. It is old: waived until 2026-11-26"
    assert describe_result({**holds, "waiver": None}) == "It is 18."


def test_a_server_without_evidence_is_named_once() -> None:
    files = [{"name": name, "problem": "The server did not send it."} for name in ("arf.xml", "report.html")]
    servers = [{"host": host, "files": files} for host in ("web-01", "web-02")]
    assert describe_evidence({"servers": servers}) == (
        "0 files of scanners; 4 missing (The server did not send it): web-01, web-02"
    )


@pytest.mark.parametrize("report", [reports.report(), reports.hostile()], ids=["example", "hostile"])
def test_the_output_of_a_play_is_tens_of_lines(report: reports.Report) -> None:
    lines = list(render_summary(report, ["a/audit.json", "a/audit.html"]))
    assert len(lines) < 40
    assert max(map(len, lines)) < 1500
    assert lines[1].startswith("Verdict: fail. ")
    assert lines[2] == "Fix these first:"
    assert lines[-1] == "Report: a/audit.html"
    assert not any("\x1b" in one or "\n" in one for one in lines[1:])
    if report["summary"]["servers"] == 48:
        fix = "The account deploy has an empty password, on 5 of 46 servers"
        assert lines[3] == f"  critical: {fix} (accounts-empty-passwords): passwd -l NAME"
        assert "Not reached: Its agent is not connected: cache-03, batch-04" in lines
        assert "Unknown, 5 times: It took longer than 30 s" in lines
        assert lines[-2].startswith("49 failed (8 critical, 19 high, 11 medium, 4 low, 7 info), 451 passed, 5 unknown")


def test_the_most_important_remediation_comes_first() -> None:
    found = [one.severity for one in list_remediations(CASES["example"])]
    assert (found[:2], found[-1]) == (["critical", "critical"], "info")
    assert rank_remediation("high", 10, None) < rank_remediation("high", 1, None)
    assert rank_remediation("low", 300, "high") < rank_remediation("medium", 1, "high")


@pytest.mark.parametrize("fail_on", ["high", "critical", None])
def test_one_server_that_fails_the_audit_comes_before_many_that_do_not(fail_on: str | None) -> None:
    """Fail twelve checks of severity medium on all of 300 servers, and a critical one on one server."""
    one = reports.report(servers=1, checks=1, failing=1, offline=0)
    [check], [result] = one["checks"], [{**row, "outcome": "failed"} for row in one["results"]]
    hosts = {f"common-{number}": range(300) for number in range(12)} | {"worst": range(1)}
    rows = [
        {**result, "check": name, "host": f"web-{host}", "severity": "critical" if name == "worst" else "medium"}
        for name in hosts
        for host in hosts[name]
    ]
    checks = [{**check, "name": name} for name in hosts]
    report = reports.summed({**one, "fail_on": fail_on, "checks": checks, "results": rows})
    assert list_remediations(report)[0].check == "worst"
    assert "(worst)" in list(render_summary(report, []))[3]


REMEDY = """Change the setting in /etc/ssh/sshd_config, and reload sshd. Then look at the log of sshd, which says if an
account cannot log in any more, and add a key for it.

If the result is "no connection is in Match", add a connection."""


def test_a_remediation_has_whole_sentences_for_failed_results() -> None:
    example = CASES["example"]
    checks = [{**check, "remedy": REMEDY} for check in example["checks"]]
    report = {**example, "checks": checks}
    lines = list(render_summary(report, []))
    assert lines[3].endswith(": Change the setting in /etc/ssh/sshd_config, and reload sshd.")
    in_markdown = words(rendered(render_markdown, report)).partition("## Failed")[0].replace("\\", "")
    assert "and add a key for it." in in_markdown
    assert "no connection" not in in_markdown
    page = rendered(render_html, report)
    assert "no connection" not in page.partition('id="counts-title"')[0]
    # The check itself has all of it.
    assert "no connection is in Match" in page


@pytest.mark.parametrize(
    ("text", "cut"),
    [
        ("Short. And whole", "Short. And whole"),
        (
            "Set a.b to 1.2 in x.conf. Then restart. Then look whether it runs.",
            "Set a.b to 1.2 in x.conf. Then restart.",
        ),
        ("One sentence that is longer than the limit of 40. Two.", "One sentence that is longer than the limit of 40."),
    ],
)
def test_a_remedy_is_cut_between_sentences(text: str, cut: str) -> None:
    assert cut_sentences(text, 40) == cut


def test_markdown_has_a_limit() -> None:
    large = reports.report(servers=300, checks=12)
    text = rendered(render_markdown, large)
    assert f"{large['summary']['failed'] - 200} more are in the other files" in text
    assert len(text) < 100_000


def test_hostile_texts_are_escaped_in_markdown() -> None:
    hostile = CASES["hostile"]
    trend = {**compare_reports(hostile, hostile), "since": reports.HOSTILE[0], "verdict": reports.HOSTILE[0]}
    text = rendered(render_markdown, {**hostile, "trend": trend})
    assert "cannot be asked now" in text
    assert not re.search(r"<|(?<!\\)[`\[\]{}]|://|www\.", text)


@pytest.mark.parametrize("text", ["@octocat", "see #12", "octo/repo@a1b2c3d", "a@b.example"])
def test_markdown_mentions_nobody(text: str) -> None:
    # As code hosts read it: with its entities resolved.
    assert not re.search(r"@\w|#\d", html.unescape(escape_markdown(text)))


def test_hostile_texts_are_escaped_in_html() -> None:
    text = rendered(render_html, CASES["hostile"])
    page = re.sub(r"<(style|script)\b(.*?)>.*?</\1>", r"<\1\2>", text, flags=re.DOTALL)
    names = re.findall(r"<([a-zA-Z]\w*)", page)
    assert names.count("script") == 2
    assert not {"img", "textarea", "iframe", "br", "link", "base"} & set(names)
    assert not re.search(r"<[^>]*\s(on\w+|style)\b", re.sub(r'="[^"]*"', "", page))
    assert {link[:1] for link in re.findall(r'\b(?:href|src)="([^"]*)"', page)} == {"#"}
    assert html.escape(reports.HOSTILE[0]) in page
    assert "{{ 7 * 7 }}{% raw %}{# x" in page


def test_script_data_cannot_close_its_element() -> None:
    hostile = CASES["hostile"]
    text = rendered(render_html, hostile)
    data = text.split('<script type="application/json" id="data">')[1].split("</script>")[0]
    assert not set("<>&\u2028\u2029") & set(data)
    parsed = json.loads(data)
    assert parsed["checks"][0]["name"] == reports.HOSTILE[0]
    assert sum(answer >= 0 for column in parsed["columns"] for answer in column) == len(hostile["results"])


def test_the_policy_allows_only_the_script_and_style_of_the_page(report: reports.Report) -> None:
    text = rendered(render_html, report)
    (policy,) = re.findall(r'<meta http-equiv="Content-Security-Policy" content="([^"]+)">', text)
    policy = html.unescape(policy)
    assert "default-src 'none'" in policy
    for name in ("style", "script"):
        (content,) = re.findall(rf"<{name}>(.*?)</{name}>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{name}-src 'sha256-{digest}'" in policy


def test_the_page_shows_each_finding_once_and_the_waivers() -> None:
    example = CASES["example"]
    found = [row for row in example["results"] if row["outcome"] in ("failed", "unknown", "waived")]
    different = {(row["check"], row["severity"], row["message"], row["output"]) for row in found}
    text = rendered(render_html, example)
    assert text.count('<details class="finding"') == len(different) < len(found)
    page = words(text)
    assert "Expired: the waiver of failed-units ended on 2026-10-31. 1 result failed again." in page
    assert "Without effect: the waiver of no-such-check for web-99 matches no result." in page
    waived = "Moves to its own host in January: waived until 2027-01-31"
    assert f"{waived}, approved by Kim Minji, since 2026-11-02, ticket OPS-1204" in page
    assert "Kept for later. Approved by Kim Minji, since 2026-11-02, ticket OPS-1204." in page
    assert "The vendor needs it. Ticket OPS-871." in page


@pytest.mark.parametrize("name", ["junit", "markdown", "csv", "html", "json"])
def test_every_format_has_the_approval_of_a_waiver(name: str) -> None:
    _file, render = FILES[name]
    text = rendered(render, CASES["example"])
    assert all(word in text for word in ("Kim Minji", "2026-11-02", "OPS-1204"))


@pytest.mark.parametrize("name", ["junit", "markdown", "csv", "html", "json"])
def test_every_format_marks_attested_results(name: str) -> None:
    _file, render = FILES[name]
    text = html.unescape(rendered(render, CASES["attested"])).replace("\\", "")
    fields = ("Lee Jun", "2026-11-05", "2027-11-04", "wiki.example.com/audits/2026/contacts", "All three people")
    assert [field for field in fields if field not in text] == []
    assert text.count("ttested as passed by Lee Jun") >= 1 or name == "json"
    assert text.count("ttested as failed by Lee Jun") >= 1 or name == "json"


def test_the_page_lists_attestations_that_do_not_count() -> None:
    page = words(rendered(render_html, CASES["attested"]))
    assert all(f"{state}: {what}" in page for state, what in (("Not valid yet", "later"), ("Expired", "")))
    assert "Without effect: the attestation of no-such-rule" in page
    assert "2 of these attested" in "\n".join(render_summary(CASES["attested"], []))


def test_the_worst_group_comes_first() -> None:
    groups = PageData(CASES["example"]).rank_groups()
    assert [group["score"] for group in groups] == sorted(group["score"] or 0 for group in groups)
    assert (groups[0]["name"], {group["name"]: group["members"] for group in groups}["db"]) == ("staging", 8)


def words(text: str) -> str:
    """Return the text of a page or a Markdown file on one line."""
    return " ".join(re.sub(r"<(style|script)\b.*?</\1>|<[^>]*>|\*\*", " ", text, flags=re.DOTALL).split())


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"fail_on": "high"}, "Verdict: fail. 27 findings of severity high or worse"),
        (
            {"fail_on": "high", "min_coverage": 99.0},
            "Only 509 of 536 questions answered (94.9%); the minimum is",
        ),
        ({"fail_on": None, "min_coverage": 90.0}, "Verdict: not judged."),
        (
            {"fail_on": None, "min_coverage": 90.0, "refusal": "The workspace <x> is gone."},
            "The workspace &lt;x&gt; is gone.",
        ),
    ],
)
def test_html_markdown_and_summary_have_the_verdict(settings: dict[str, Any], sentence: str) -> None:
    assert "Nothing failed. 67 of 67 questions answered (100%)." in rendered(render_html, CASES["clean"])
    judged = reports.summed({**CASES["example"], **settings})
    page, summary = (
        words(rendered(render_html, judged)),
        words(rendered(render_markdown, judged)).replace("\\", ""),
    )
    assert sentence in page
    word = "not judged" if judged["verdict"] == "pass" else judged["verdict"]
    assert all(f"Verdict: {word}." in text for text in (page, summary, list(render_summary(judged, []))[1]))
    assert sentence.removeprefix("Verdict: fail. ") in summary
    assert ("this audit passes" in page) == (judged["verdict"] == "pass" and settings["fail_on"] is not None)


def test_html_markdown_and_summary_have_the_age_of_earlier_answers() -> None:
    clean = CASES["clean"]
    old = {"connected": False, "age_seconds": 10_800, "reason": "It is offline."}
    report = {**clean, "servers": [{**clean["servers"][0], **old}, *clean["servers"][1:]]}
    host = f"{report['servers'][0]['host']} (3 h old)"
    sentence = f"1 server cannot be asked now, and only earlier answers count: {host}."
    page = rendered(render_html, report)
    assert all(
        sentence in text for text in (page, rendered(render_markdown, report), list(render_summary(report, []))[1])
    )
    assert "<b>1 server</b> cannot be asked now, and only earlier answers count: It is offline." in page


def test_unreached_servers_are_grouped_by_the_first_sentence_of_the_reason() -> None:
    no_agent, of_clean = "Its agent is not connected", CASES["clean"]["servers"]
    reasons = ("It is gone.", f"{no_agent}. Last seen on Monday.", f"{no_agent}. Last seen today.")
    servers = [{**one, "reached": False, "reason": why} for one, why in zip(of_clean, reasons, strict=False)]
    first, *others = [server["host"] for server in servers]
    expected = [(f"Not reached: {no_agent}", others), ("Not reached: It is gone", [first])]
    assert group_unreached({"servers": servers}) == expected


def test_huge_outputs_are_cut() -> None:
    huge = reports.with_outputs(reports.report(servers=100, checks=36, failing=0.5), 2000)
    text = rendered(render_html, huge)
    assert len(text.encode()) < 10_000_000
    assert "Only a part of the output is shown." in text


def test_each_remediation_names_its_check() -> None:
    page = words(rendered(render_html, CASES["example"]))
    first = page[page.index("Fix these first") :]
    assert "disk-space" in first[: first.index("Servers 48")]


def test_the_command_of_the_guide_counts_failed_results(tmp_path: Path) -> None:
    """Count no waived result, whose attestation has an outcome of its own."""
    found = reports.attested()
    [row] = [row for row in found["results"] if row["outcome"] == "failed"]
    accepted = {**row, "outcome": "waived", "waiver": reports.WAIVED}
    write_report({**found, "results": [*found["results"], accepted]}, tmp_path, ["json"])
    [block] = [block for block in read_code_blocks("audit_report", "console") if "sed -n" in block]
    command, _newline, count = block.removeprefix("$ ").strip().partition("\n")
    done = subprocess.run(command, shell=True, cwd=tmp_path, stdout=subprocess.PIPE, check=True)
    assert done.stdout.decode().strip() == count.strip() == "1"


def test_no_part_is_claimed_to_be_shown_of_no_output() -> None:
    rules = reports.attested()
    for row in rules["results"]:
        row.update(output="", output_truncated=True)
    page = rendered(render_html, rules)
    assert "There is no output." in page
    assert "Only a part of the output is shown." not in page


#: Host, check, outcome before and now, severity, and where the trend has it.
CHANGED = (
    ("a", "two", "passed", "failed", "critical", "newly_failed"),
    ("new", "one", "", "failed", "low", "newly_failed"),
    ("a", "one", "failed", "passed", "high", "newly_fixed"),
    ("b", "one", "failed", "failed", "high", "still_failing"),
    ("gone", "old", "failed", "", "high", "no_longer_asked"),
    ("b", "other", "failed", "not_applicable", "high", "no_longer_failed"),
    ("b", "waived", "failed", "waived", "high", "no_longer_failed"),
    ("b", "two", "failed", "unknown", "low", "no_longer_failed"),
)


def made_of(when: int) -> reports.Report:
    results = [
        {"host": row[0], "check": row[1], "outcome": row[when], "severity": row[4], "reused": 0, "command": ""}
        for row in CHANGED
        if row[when]
    ]
    parts: reports.Report = {"summary": {}, "results": results}
    parts["servers"] = [{"host": name} for name in {row["host"] for row in results}]
    parts["checks"] = [{"name": name} for name in {row["check"] for row in results}]
    return reports.summed({**CASES["clean"], **parts})


def test_the_trend_lists_changes() -> None:
    trend = compare_reports(made_of(3), made_of(2))
    for key in {row[5] for row in CHANGED}:
        pairs = [row[:2] for row in CHANGED if row[5] == key]
        assert [(host, row["check"]) for row in trend[key] for host in row.get("hosts") or [row["host"]]] == pairs
    counts = {"new_servers": 1, "gone_servers": 1, "new_checks": 0, "gone_checks": 1}
    assert counts.items() <= trend.items()
    assert {"servers": 0, "checks": -1, "failed": -3, "unknown": 1}.items() <= trend["change"].items()
    assert trend["change"]["failed_by_severity"]["high"] == -4


def test_the_files_have_the_trend(tmp_path: Path) -> None:
    (before,) = write_report(reports.earlier(CASES["example"]), tmp_path / "before", ["json"])
    previous = read_previous(before, print)
    assert previous
    report = {**CASES["example"], "trend": compare_reports(CASES["example"], previous)}
    paths = write_report(report, tmp_path, FORMATS)
    written = json.loads(paths[0].read_text(encoding="utf-8"))
    jsonschema.validate(written, SCHEMA)
    trend = written["trend"]
    assert f"- Newly failed: {len(trend['newly_failed'])}" in paths[2].read_text(encoding="utf-8")
    page = words(paths[3].read_text(encoding="utf-8"))
    assert f" {len(trend['newly_failed'])} newly failed" in page
    assert f"with {trend['coverage']}% of the questions answered. Now: fail, with 94.9%" in page


def test_an_earlier_audit_that_nothing_could_fail_was_not_judged() -> None:
    clean = {**CASES["clean"], "fail_on": None}
    report = {**clean, "trend": compare_reports(clean, clean)}
    assert "Verdict then: not judged, with" in words(rendered(render_html, report))
    assert "Then: not judged, with" in words(rendered(render_markdown, report))


@pytest.mark.parametrize("kind", ["json", "junit", "csv"])
def test_memory_does_not_grow_with_outputs(tmp_path: Path, kind: str) -> None:
    def most_memory(characters: int) -> int:
        report = reports.with_outputs(reports.report(servers=200, checks=10, failing=0.5, everywhere=True), characters)
        tracemalloc.start()
        try:
            write_report(report, tmp_path, [kind])
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    # All outputs together have 3 MB more.
    assert most_memory(2_000) < most_memory(500) + 500_000


def test_csv_has_a_row_for_each_result_and_each_server_without(report: reports.Report) -> None:
    rows = list(csv.DictReader(io.StringIO(rendered(render_csv, report), newline="")))
    counts = Counter(row["outcome"] for row in rows)
    assert counts == Counter({name: report["summary"][name] for name in (*OUTCOMES, "not_reached")})
    assert not [cell for row in rows for cell in row.values() if cell[:1] in "=+@\t\r" and cell]


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ("=HYPERLINK(1)", "'=HYPERLINK(1)"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\uff1d1", "'\uff1d1"),
        ("-2.5", "-2.5"),
        ("-3", "-3"),
        ("a\x1b[31m", "a"),
        ("x;=cmd|' /C calc'!A0", "x;'=cmd|' /C calc'!A0"),
        ("ok\t=1+1\u2028=2", "ok =1+1\\u2028=2"),
        ("\u200b=1+1", "'=1+1"),
        ("AC-6; CM-7", "AC-6; CM-7"),
    ],
)
def test_no_cell_is_a_formula(cell: str, text: str) -> None:
    assert escape_cell(cell) == text
