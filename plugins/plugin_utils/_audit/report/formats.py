# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Render a report as JSON, JUnit XML, Markdown and CSV, and as a summary for the output of a play."""

from __future__ import annotations

import csv
import functools
import io
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any
from unicodedata import category
from xml.etree import ElementTree

from ..results import (
    FAIL,
    FAILED,
    NOT_APPLICABLE,
    SEVERITIES,
    UNKNOWN,
    WAIVED,
    compute_passed_share,
    describe_coverage,
    list_failing,
)
from .remediation import SHOWN_REMEDIATIONS, format_remediation, get_host_checks, get_remedy, list_remediations
from .text import (
    clean_text,
    describe_cost,
    describe_outcomes,
    describe_result,
    describe_unreached,
    describe_verdict,
    describe_waiver,
    fold_text,
    format_time,
    group_unreached,
    join_first,
    parse_time,
    pluralize,
    to_line,
)
from .trend import CHANGES, COUNTS


def render_json(report: Mapping[str, Any]) -> Iterator[str]:
    """Render audit.json in pieces: the report itself, a line for each record."""
    comma = "{\n"
    for key, value in report.items():
        yield f"{comma}{json.dumps(key)}: "
        comma = ",\n"
        # With all but ASCII escaped, half a surrogate pair in an output breaks no reader.
        if isinstance(value, list) and value:
            yield from (f"{',' if place else '['}\n{json.dumps(row)}" for place, row in enumerate(value))
            yield "\n]"
        else:
            yield json.dumps(value)
    yield "\n}\n"


#: What a case that did not pass is called.
_TAGS = {FAILED: "failure", UNKNOWN: "error"}
_SKIPPED = (NOT_APPLICABLE, WAIVED)

_Row = Mapping[str, Any]


def render_junit(report: Mapping[str, Any]) -> Iterator[str]:
    """Render audit.xml in pieces."""
    by_host: dict[str, list[_Row]] = {server["host"]: [] for server in report["servers"]}
    for result in report["results"]:
        by_host[result["host"]].append(result)
    sets = {check["name"]: check["set"] for check in report["checks"]}
    unasked = sum(bool(describe_unreached(server)) for server in report["servers"])
    suites = ElementTree.Element(
        "testsuites", {"name": to_line(report["title"]), **_junit_counts(report["results"], unasked)}
    )
    start, end = parse_time(report["started_at"]), parse_time(report["finished_at"])
    if start and end:
        suites.set("time", f"{(end - start).total_seconds():.3f}")
    # The opening tag of an element that has no end yet.
    yield f'<?xml version="1.0" encoding="UTF-8"?>\n{_to_xml(suites).removesuffix(" />")}>\n'
    for server in report["servers"]:
        results = by_host[server["host"]]
        if results or describe_unreached(server):
            suite = _junit_suite(report, server, results, sets)
            ElementTree.indent(suite)
            yield f"{_to_xml(suite)}\n"
    yield "</testsuites>\n"


def _to_xml(element: ElementTree.Element) -> str:
    return ElementTree.tostring(element, encoding="unicode")


def _junit_suite(report: _Row, server: _Row, results: Sequence[_Row], sets: _Row) -> ElementTree.Element:
    reason = describe_unreached(server)
    suite = ElementTree.Element(
        "testsuite", {"name": clean_text(server["host"]), **_junit_counts(results, int(bool(reason)))}
    )
    suite.set("timestamp", clean_text(report["started_at"]).removesuffix("Z"))
    properties = ElementTree.SubElement(suite, "properties")
    # Readers of JUnit know properties of a suite only, so that each suite says what holds for all of them.
    for name, of in (("workspace", server), ("verdict", report), ("coverage", report), ("min_coverage", report)):
        ElementTree.SubElement(properties, "property", name=name, value=clean_text(of[name]))
    if reason:
        case = ElementTree.SubElement(suite, "testcase", name="server", classname=clean_text(server["host"]))
        ElementTree.SubElement(case, "error", type="unanswered", message=reason).text = reason
    for result in results:
        _add_junit_case(suite, result, sets[result["check"]])
    return suite


def _junit_counts(results: Iterable[_Row], unasked: int) -> dict[str, str]:
    outcomes = [result["outcome"] for result in results]
    return {
        "tests": str(len(outcomes) + unasked),
        "failures": str(outcomes.count(FAILED)),
        "errors": str(outcomes.count(UNKNOWN) + unasked),
        "skipped": str(sum(outcome in _SKIPPED for outcome in outcomes)),
    }


def _add_junit_case(suite: ElementTree.Element, result: _Row, set_name: str | None) -> None:
    classname = ".".join(clean_text(part) for part in (set_name, result["host"]) if part)
    case = ElementTree.SubElement(suite, "testcase", name=clean_text(result["check"]), classname=classname)
    tag = _TAGS.get(result["outcome"])
    if tag:
        message = to_line(result["message"])
        # GitLab shows the text alone.
        problem = ElementTree.SubElement(case, tag, type=result["severity"], message=message)
        problem.text = "\n\n".join(filter(None, (message, clean_text(result["output"]).strip("\n"))))
    elif result["outcome"] in _SKIPPED:
        words = describe_result(result)
        ElementTree.SubElement(case, "skipped", message=words).text = words


#: Rows of a table; CI systems refuse summaries that are too large.
_ROWS = 200

_SPECIAL = re.compile(r"([\\`*_{}\[\]~$])")
_ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "|": "&#124;"})
#: Where a mention or a reference would begin, which a blank of no width ends; entities are resolved before.
_MENTION = re.compile(r"(?<=@)(?=\w)|(?<=#)(?=\d)")
_LINKS = re.compile(r":(?=//)|(?<=www)\.", re.IGNORECASE)


def render_markdown(report: Mapping[str, Any]) -> Iterator[str]:
    """Render audit.md block by block."""
    for block in _markdown_blocks(report):
        yield f"{block}\n\n"


def escape_markdown(value: Any, limit: int = 200) -> str:
    """Return text on one line that Markdown takes for nothing but text."""
    text = _SPECIAL.sub(r"\\\1", _MENTION.sub("\u200b", to_line(value, limit)).translate(_ENTITIES))
    return _LINKS.sub(lambda match: f"&#{ord(match[0])};", text)


def _markdown_blocks(report: Mapping[str, Any]) -> Iterator[str]:
    summary = report["summary"]
    yield f"# {escape_markdown(report['title'])}"
    started, finished = (escape_markdown(format_time(report[key])) for key in ("started_at", "finished_at"))
    yield f"Workspace {escape_markdown(report['workspace'])}, {started} to {finished}"
    verdict = [f"**Verdict: {describe_verdict(report)}.** {escape_markdown(describe_coverage(report), 2000)}"]
    if report["verdict"] == FAIL:
        verdict.append(f"{pluralize(len(list_failing(report)), 'finding')} of severity {report['fail_on']} or worse.")
    yield "\n".join([*verdict, *([escape_markdown(report["refusal"], 400)] if report["refusal"] else [])])
    size = f"{pluralize(summary['servers'], 'server')}, {pluralize(summary['checks'], 'check')}"
    score = f"**{compute_passed_share(summary):g}% passed**, score {summary['score']:g}%"
    yield f"{score}: {size}; {describe_outcomes(summary)}."
    found = list_remediations(report)
    if found:
        yield "## Fix these first"
        most = [escape_markdown(format_remediation(fix, 400), 1000) for fix in found[:SHOWN_REMEDIATIONS]]
        more = len(found) - SHOWN_REMEDIATIONS
        most += [f"and {pluralize(more, 'check')} more"] if more > 0 else []
        yield "\n".join(f"{number}. {words}" for number, words in enumerate(most, 1))
    reasons = group_unreached(report)
    if reasons:
        yield "## Servers without new answers"
        yield "\n".join(
            f"- {escape_markdown(words)}: {escape_markdown(join_first(hosts, _ROWS), 5000)}"
            for words, hosts in reasons[:_ROWS]
        )
    if report.get("trend"):
        yield from _markdown_trend(report["trend"])
    for title, outcome in (("Failed", FAILED), ("Unknown", UNKNOWN), ("Waived", WAIVED)):
        rows = [result for result in report["results"] if result["outcome"] == outcome]
        if rows or outcome == FAILED:
            yield from _markdown_table(title, rows)
    yield f"{describe_cost(summary)}, with {pluralize(summary['requests'], 'request')}."


def _markdown_trend(trend: Mapping[str, Any]) -> Iterator[str]:
    yield f"## Since {escape_markdown(format_time(trend['since']))}"
    rows = [f"Then: {escape_markdown(trend['verdict'])}, with {trend['coverage']:g}% of the questions answered"]
    for key, title in (("coverage", "Share answered"), ("passed_share", "Share passed"), ("score", "Score")):
        rows.append(f"{title}: {trend['change'][key]:+} points")
    rows += [f"{title}: {len(trend[key])}" for key, title in CHANGES.items() if trend[key]]
    rows += [f"{title}: {trend[key]}" for key, title in COUNTS.items() if trend[key]]
    yield "\n".join(f"- {words}" for words in rows)


def _markdown_table(title: str, results: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    yield f"## {title}"
    rows = ["| severity | check | host | what was found |", "| --- | --- | --- | --- |"]
    for result in sorted(results, key=lambda result: -SEVERITIES.index(result["severity"]))[:_ROWS]:
        cells = (result["severity"], result["check"], result["host"], describe_result(result))
        rows.append(f"| {' | '.join(escape_markdown(cell) for cell in cells)} |")
    yield "\n".join(rows) if results else "Nothing."
    if len(results) > _ROWS:
        yield f"{len(results) - _ROWS} more are in the other files of this report."


COLUMNS = (
    *("host", "server", "workspace", "os", "ip", "owner", "groups"),
    *("check", "set", "title", "severity", "outcome", "message", "value", "remedy", "references", "waiver"),
    *("command", "ended_at", "reused"),
)

_OF_RESULT = ("check", "severity", "outcome", "message", "value", "command", "ended_at")

#: Where a spreadsheet may take what follows for a formula: in some countries, a semicolon is what separates cells.
_FORMULA = re.compile(r'(?:^|(?<=;))(?=[ "]*[=+\-@\uff0b\uff0d\uff1d\uff20])')
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?")


def render_csv(report: Mapping[str, Any]) -> Iterator[str]:
    """Render audit.csv row by row."""
    yield _csv_row(COLUMNS)
    servers = {
        server["host"]: {**server, "server": server["name"], "groups": ", ".join(server["groups"])}
        for server in report["servers"]
    }
    own = get_host_checks(report)
    checks = {check["name"]: check for check in report["checks"]}
    for server in servers.values():
        if not server["reached"]:
            cells = {"outcome": "not_reached", "message": to_line(server["reason"])}
            yield _csv_row({**server, **cells}.get(name, "") for name in COLUMNS)
    for result in report["results"]:
        check = checks[result["check"]]
        cells = {
            **servers[result["host"]],
            **{name: check[name] for name in ("set", "title")},
            "remedy": get_remedy(own, result["host"], check),
            **{name: result[name] for name in _OF_RESULT},
            "references": "; ".join(check["references"]),
            "waiver": describe_waiver(result["waiver"]),
            "reused": "yes" if result["reused"] else "no",
        }
        yield _csv_row(cells[name] for name in COLUMNS)


def _csv_row(cells: Iterable[Any]) -> str:
    text = io.StringIO()
    csv.writer(text).writerow([escape_cell(cell) for cell in cells])
    return text.getvalue()


def escape_cell(cell: Any) -> str:
    """Return the text of a cell: one visible line that no spreadsheet takes for a formula."""
    return "" if cell is None else _escape_cell(str(cell))


# Most cells are those of the row before.
@functools.lru_cache(maxsize=4096)
def _escape_cell(cell: str) -> str:
    shown = "".join(character for character in clean_text(cell) if category(character) != "Cf")
    text = " ".join(shown.split())
    return text if _NUMBER.fullmatch(text) else _FORMULA.sub("'", text)


#: So many of each kind are shown: tens of lines in all, however many servers there are.
_REASONS = 5
_NAMED = 5


def render_summary(report: Mapping[str, Any], files: Sequence[str], to_submit: int = 0) -> Iterator[str]:
    """Summarise the audit in a few lines, for the output of a play.

    Args:
        to_submit: how many commands check mode left out.
    """
    summary = report["summary"]
    asked = f"{pluralize(summary['servers'], 'server')}, {pluralize(summary['checks'], 'check')}"
    yield f"{report['title']}: {asked}; {describe_cost(summary)}"
    if to_submit:
        yield f"{pluralize(to_submit, 'command')} would be submitted"
    if report["verdict"]:
        yield f"Verdict: {describe_verdict(report)}. {to_line(describe_coverage(report), 2000)}"
    to_fix = list_remediations(report)
    if to_fix:
        yield "Fix these first:"
    yield from (f"  {format_remediation(fix)}" for fix in to_fix[:SHOWN_REMEDIATIONS])
    if len(to_fix) > SHOWN_REMEDIATIONS:
        yield f"  and {pluralize(len(to_fix) - SHOWN_REMEDIATIONS, 'check')} more"
    yield from _summarize_unanswered(report)
    yield describe_outcomes(summary)
    pages = [name for name in files if name.endswith(".html")] or list(files)
    yield from (f"Report: {name}" for name in pages[:1])


def _summarize_unanswered(report: Mapping[str, Any]) -> Iterator[str]:
    """Name the servers without answers of today by reason, and say why questions to others are open."""
    reasons = group_unreached(report)
    yield from (f"{words}: {join_first(hosts, _NAMED)}" for words, hosts in reasons[:_REASONS])
    if len(reasons) > _REASONS:
        yield f"{pluralize(sum(len(names) for _words, names in reasons[_REASONS:]), 'server')} more without results"
    unknown = Counter(
        to_line(result["message"], 160).removesuffix(".")
        for result in report["results"]
        if result["outcome"] == UNKNOWN
    )
    for message, count in unknown.most_common(_REASONS):
        yield f"Unknown, {pluralize(count, 'time')}: {message}"
    if len(unknown) > _REASONS:
        yield f"Unknown for {pluralize(len(unknown) - _REASONS, 'other reason')}"


def describe_findings(findings: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a line for each finding, and one for all that a host leaves open for the same reason."""
    alike: dict[tuple[str, str, str, str], list[str]] = {}
    for finding in findings:
        check = "" if finding["outcome"] == UNKNOWN else finding["check"]
        message = " ".join(filter(None, fold_text(finding["message"], 200))).removesuffix(".")
        alike.setdefault((finding["host"], finding["severity"], message, check), []).append(finding["check"])
    return [
        f"{host}: {names[0] if len(names) == 1 else pluralize(len(names), 'check')} ({severity}): {message}"
        for (host, severity, message, _check), names in alike.items()
    ]
