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
    answered,
    failing,
    passed_share,
)
from .remediation import SHOWN_FIXES, fix_words, fixes, own_checks, remedy_of
from .text import (
    cost_words,
    counted,
    counts_words,
    first,
    folded,
    found_words,
    line,
    moment,
    parsed,
    plain,
    unasked,
    unasked_words,
    verdict_words,
    waiver_words,
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
    unasked = sum(bool(unasked_words(server)) for server in report["servers"])
    suites = ElementTree.Element("testsuites", {"name": line(report["title"]), **_counts(report["results"], unasked)})
    start, end = parsed(report["started_at"]), parsed(report["finished_at"])
    if start and end:
        suites.set("time", f"{(end - start).total_seconds():.3f}")
    # The opening tag of an element that has no end yet.
    yield f'<?xml version="1.0" encoding="UTF-8"?>\n{_text(suites).removesuffix(" />")}>\n'
    for server in report["servers"]:
        results = by_host[server["host"]]
        if results or unasked_words(server):
            suite = _suite(report, server, results, sets)
            ElementTree.indent(suite)
            yield f"{_text(suite)}\n"
    yield "</testsuites>\n"


def _text(element: ElementTree.Element) -> str:
    return ElementTree.tostring(element, encoding="unicode")


def _suite(report: _Row, server: _Row, results: Sequence[_Row], sets: _Row) -> ElementTree.Element:
    reason = unasked_words(server)
    suite = ElementTree.Element("testsuite", {"name": plain(server["host"]), **_counts(results, int(bool(reason)))})
    suite.set("timestamp", plain(report["started_at"]).removesuffix("Z"))
    properties = ElementTree.SubElement(suite, "properties")
    # Readers of JUnit know properties of a suite only, so that each suite says what holds for all of them.
    for name, of in (("workspace", server), ("verdict", report), ("coverage", report), ("min_coverage", report)):
        ElementTree.SubElement(properties, "property", name=name, value=plain(of[name]))
    if reason:
        case = ElementTree.SubElement(suite, "testcase", name="server", classname=plain(server["host"]))
        ElementTree.SubElement(case, "error", type="unanswered", message=reason).text = reason
    for result in results:
        _add_case(suite, result, sets[result["check"]])
    return suite


def _counts(results: Iterable[_Row], unasked: int) -> dict[str, str]:
    outcomes = [result["outcome"] for result in results]
    return {
        "tests": str(len(outcomes) + unasked),
        "failures": str(outcomes.count(FAILED)),
        "errors": str(outcomes.count(UNKNOWN) + unasked),
        "skipped": str(sum(outcome in _SKIPPED for outcome in outcomes)),
    }


def _add_case(suite: ElementTree.Element, result: _Row, set_name: str | None) -> None:
    classname = ".".join(plain(part) for part in (set_name, result["host"]) if part)
    case = ElementTree.SubElement(suite, "testcase", name=plain(result["check"]), classname=classname)
    tag = _TAGS.get(result["outcome"])
    if tag:
        message = line(result["message"])
        # GitLab shows the text alone.
        problem = ElementTree.SubElement(case, tag, type=result["severity"], message=message)
        problem.text = "\n\n".join(filter(None, (message, plain(result["output"]).strip("\n"))))
    elif result["outcome"] in _SKIPPED:
        words = found_words(result)
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
    for block in _blocks(report):
        yield f"{block}\n\n"


def escape(value: Any, limit: int = 200) -> str:
    """Return text on one line that Markdown takes for nothing but text."""
    text = _SPECIAL.sub(r"\\\1", _MENTION.sub("\u200b", line(value, limit)).translate(_ENTITIES))
    return _LINKS.sub(lambda match: f"&#{ord(match[0])};", text)


def _blocks(report: Mapping[str, Any]) -> Iterator[str]:
    summary = report["summary"]
    yield f"# {escape(report['title'])}"
    started, finished = (escape(moment(report[key])) for key in ("started_at", "finished_at"))
    yield f"Workspace {escape(report['workspace'])}, {started} to {finished}"
    verdict = [f"**Verdict: {verdict_words(report)}.** {escape(answered(report), 2000)}"]
    if report["verdict"] == FAIL:
        verdict.append(f"{counted(len(failing(report)), 'finding')} of severity {report['fail_on']} or worse.")
    yield "\n".join([*verdict, *([escape(report["refusal"], 400)] if report["refusal"] else [])])
    size = f"{counted(summary['servers'], 'server')}, {counted(summary['checks'], 'check')}"
    yield f"**{passed_share(summary):g}% passed**, score {summary['score']:g}%: {size}; {counts_words(summary)}."
    found = fixes(report)
    if found:
        yield "## Fix these first"
        most = [escape(fix_words(fix, 400), 1000) for fix in found[:SHOWN_FIXES]]
        more = len(found) - SHOWN_FIXES
        most += [f"and {counted(more, 'check')} more"] if more > 0 else []
        yield "\n".join(f"{number}. {words}" for number, words in enumerate(most, 1))
    reasons = unasked(report)
    if reasons:
        yield "## Servers without new answers"
        yield "\n".join(f"- {escape(words)}: {escape(first(hosts, _ROWS), 5000)}" for words, hosts in reasons[:_ROWS])
    if report.get("trend"):
        yield from _trend(report["trend"])
    for title, outcome in (("Failed", FAILED), ("Unknown", UNKNOWN), ("Waived", WAIVED)):
        rows = [result for result in report["results"] if result["outcome"] == outcome]
        if rows or outcome == FAILED:
            yield from _table(title, rows)
    yield f"{cost_words(summary)}, with {counted(summary['requests'], 'request')}."


def _trend(trend: Mapping[str, Any]) -> Iterator[str]:
    yield f"## Since {escape(moment(trend['since']))}"
    rows = [f"Then: {escape(trend['verdict'])}, with {trend['coverage']:g}% of the questions answered"]
    for key, title in (("coverage", "Share answered"), ("passed_share", "Share passed"), ("score", "Score")):
        rows.append(f"{title}: {trend['change'][key]:+} points")
    rows += [f"{title}: {len(trend[key])}" for key, title in CHANGES.items() if trend[key]]
    rows += [f"{title}: {trend[key]}" for key, title in COUNTS.items() if trend[key]]
    yield "\n".join(f"- {words}" for words in rows)


def _table(title: str, results: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    yield f"## {title}"
    rows = ["| severity | check | host | what was found |", "| --- | --- | --- | --- |"]
    for result in sorted(results, key=lambda result: -SEVERITIES.index(result["severity"]))[:_ROWS]:
        cells = (result["severity"], result["check"], result["host"], found_words(result))
        rows.append(f"| {' | '.join(escape(cell) for cell in cells)} |")
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
    yield _row(COLUMNS)
    servers = {
        server["host"]: {**server, "server": server["name"], "groups": ", ".join(server["groups"])}
        for server in report["servers"]
    }
    own = own_checks(report)
    checks = {check["name"]: check for check in report["checks"]}
    for server in servers.values():
        if not server["reached"]:
            cells = {"outcome": "not_reached", "message": line(server["reason"])}
            yield _row({**server, **cells}.get(name, "") for name in COLUMNS)
    for result in report["results"]:
        check = checks[result["check"]]
        cells = {
            **servers[result["host"]],
            **{name: check[name] for name in ("set", "title")},
            "remedy": remedy_of(own, result["host"], check),
            **{name: result[name] for name in _OF_RESULT},
            "references": "; ".join(check["references"]),
            "waiver": waiver_words(result["waiver"]),
            "reused": "yes" if result["reused"] else "no",
        }
        yield _row(cells[name] for name in COLUMNS)


def _row(cells: Iterable[Any]) -> str:
    text = io.StringIO()
    csv.writer(text).writerow([safe(cell) for cell in cells])
    return text.getvalue()


def safe(cell: Any) -> str:
    """Return the text of a cell: one visible line that no spreadsheet takes for a formula."""
    return "" if cell is None else _safe(str(cell))


# Most cells are those of the row before.
@functools.lru_cache(maxsize=4096)
def _safe(cell: str) -> str:
    shown = "".join(character for character in plain(cell) if category(character) != "Cf")
    text = " ".join(shown.split())
    return text if _NUMBER.fullmatch(text) else _FORMULA.sub("'", text)


#: So many of each kind are shown: tens of lines in all, however many servers there are.
_REASONS = 5
_NAMED = 5


def overview(report: Mapping[str, Any], files: Sequence[str], to_submit: int = 0) -> Iterator[str]:
    """Summarise the audit in a few lines, for the output of a play.

    Args:
        to_submit: how many commands check mode left out.
    """
    summary = report["summary"]
    asked = f"{counted(summary['servers'], 'server')}, {counted(summary['checks'], 'check')}"
    yield f"{report['title']}: {asked}; {cost_words(summary)}"
    if to_submit:
        yield f"{counted(to_submit, 'command')} would be submitted"
    if report["verdict"]:
        yield f"Verdict: {verdict_words(report)}. {line(answered(report), 2000)}"
    to_fix = fixes(report)
    if to_fix:
        yield "Fix these first:"
    yield from (f"  {fix_words(fix)}" for fix in to_fix[:SHOWN_FIXES])
    if len(to_fix) > SHOWN_FIXES:
        yield f"  and {counted(len(to_fix) - SHOWN_FIXES, 'check')} more"
    yield from _without_answer(report)
    yield counts_words(summary)
    pages = [name for name in files if name.endswith(".html")] or list(files)
    yield from (f"Report: {name}" for name in pages[:1])


def _without_answer(report: Mapping[str, Any]) -> Iterator[str]:
    """Name the servers without answers of today by reason, and say why questions to others are open."""
    reasons = unasked(report)
    yield from (f"{words}: {first(hosts, _NAMED)}" for words, hosts in reasons[:_REASONS])
    if len(reasons) > _REASONS:
        yield f"{counted(sum(len(names) for _words, names in reasons[_REASONS:]), 'server')} more without results"
    unknown = Counter(
        line(result["message"], 160).removesuffix(".") for result in report["results"] if result["outcome"] == UNKNOWN
    )
    for message, count in unknown.most_common(_REASONS):
        yield f"Unknown, {counted(count, 'time')}: {message}"
    if len(unknown) > _REASONS:
        yield f"Unknown for {counted(len(unknown) - _REASONS, 'other reason')}"


def in_words(findings: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a line for each finding, and one for all that a host leaves open for the same reason."""
    alike: dict[tuple[str, str, str, str], list[str]] = {}
    for finding in findings:
        check = "" if finding["outcome"] == UNKNOWN else finding["check"]
        message = " ".join(filter(None, folded(finding["message"], 200))).removesuffix(".")
        alike.setdefault((finding["host"], finding["severity"], message, check), []).append(finding["check"])
    return [
        f"{host}: {names[0] if len(names) == 1 else counted(len(names), 'check')} ({severity}): {message}"
        for (host, severity, message, _check), names in alike.items()
    ]
