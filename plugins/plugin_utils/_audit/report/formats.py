# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Render a report as JSON, JUnit XML, Markdown and CSV, and as the summary that the task prints, in this order."""

from __future__ import annotations

import csv
import functools
import io
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from unicodedata import category
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from ....module_utils._api.errors import join_first
from ..scanners.results import (
    FAIL,
    FAILED,
    NOT_APPLICABLE,
    SEVERITIES,
    UNKNOWN,
    WAIVED,
    compute_passed_share,
    is_attested,
    list_failing,
)
from . import text
from .history_section import describe_history

_Row = Mapping[str, Any]

#: Most hosts of a finding to name.
_MAX_HOSTS = 5


def render_json(report: _Row) -> Iterator[str]:
    """Render audit.json in pieces, with one line for each record."""
    comma = "{\n"
    for key, value in report.items():
        yield f"{comma}{json.dumps(key)}: "
        comma = ",\n"
        # Only ASCII, since outputs may have halves of surrogate pairs.
        if isinstance(value, list) and value:
            yield from (f"{',' if number else '['}\n{json.dumps(row)}" for number, row in enumerate(value))
            yield "\n]"
        else:
            yield json.dumps(value)
    yield "\n}\n"


def render_junit(report: _Row) -> Iterator[str]:
    """Render audit.xml in pieces, with a suite for each server and a case for each check."""
    by_host: dict[str, list[_Row]] = {server["host"]: [] for server in report["servers"]}
    for result in report["results"]:
        by_host[result["host"]].append(result)
    # Each name is cleaned once, since thousands of results have it.
    names = {
        check["name"]: (text.clean_text(check["name"]), text.clean_text(check["set"] or ""))
        for check in report["checks"]
    }
    unreached = sum(not server["reached"] for server in report["servers"])
    suites = Element("testsuites", _count_cases(report["results"], unreached), name=text.to_line(report["title"]))
    seconds = text.count_seconds(report)
    if seconds is not None:
        suites.set("time", f"{seconds:.3f}")
    yield '<?xml version="1.0" encoding="UTF-8"?>\n'
    yield f"{tostring(suites, encoding='unicode').removesuffix(' />')}>\n"
    for server in report["servers"]:
        results = by_host[server["host"]]
        if results or not server["reached"]:
            suite = _render_suite(report, server, results, names)
            indent(suite)
            yield f"{tostring(suite, encoding='unicode')}\n"
    yield "</testsuites>\n"


def _count_cases(results: Sequence[_Row], unreached: int) -> dict[str, str]:
    counts = Counter(result["outcome"] for result in results)
    return {
        "tests": str(len(results) + unreached),
        "failures": str(counts[FAILED]),
        "errors": str(counts[UNKNOWN] + unreached),
        "skipped": str(counts[NOT_APPLICABLE] + counts[WAIVED]),
    }


def _render_suite(report: _Row, server: _Row, results: Sequence[_Row], names: _Row) -> Element:
    host, reason = text.clean_text(server["host"]), text.describe_unreached(server)
    suite = Element("testsuite", _count_cases(results, int(not server["reached"])), name=host)
    suite.set("timestamp", text.clean_text(report["started_at"]).removesuffix("Z"))
    properties = SubElement(suite, "properties")
    # Readers of JUnit know properties of a suite only, not of all suites.
    for name, row in (("workspace", server), ("verdict", report), ("coverage", report), ("min_coverage", report)):
        SubElement(properties, "property", name=name, value=text.clean_text(row[name]))
    if reason:
        case = SubElement(suite, "testcase", name="server", classname=host)
        SubElement(case, "error", type="unanswered", message=reason).text = reason
    for result in results:
        outcome, (name, set_name) = result["outcome"], names[result["check"]]
        classname = f"{set_name}.{host}" if set_name else host
        case = SubElement(suite, "testcase", name=name, classname=classname)
        if outcome in (FAILED, UNKNOWN):
            message = text.describe_result(result)
            tag = "failure" if outcome == FAILED else "error"
            # GitLab shows the text alone.
            problem = SubElement(case, tag, type=result["severity"], message=message)
            problem.text = "\n\n".join(filter(None, (message, text.clean_text(result["output"]).strip("\n"))))
        elif outcome in (NOT_APPLICABLE, WAIVED):
            words = text.describe_result(result)
            SubElement(case, "skipped", message=words).text = words
        elif is_attested(result):
            SubElement(case, "system-out").text = text.describe_result(result)
    return suite


#: Rows of a table, since CI systems refuse large summaries.
_ROWS = 200
#: Changes of a list of the trend.
_CHANGES = 10
_SPECIAL = re.compile(r"([\\`*_{}\[\]~$])")
_ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "|": "&#124;"})
#: Where a zero-width space prevents a mention or a reference. An entity would not: code hosts resolve it first.
_MENTION = re.compile(r"(?<=@)(?=\w)|(?<=#)(?=\d)")
_LINKS = re.compile(r":(?=//)|(?<=www)\.", re.IGNORECASE)


def escape_markdown(value: Any, limit: int = 200) -> str:
    escaped = _SPECIAL.sub(r"\\\1", _MENTION.sub("\u200b", text.to_line(value, limit)).translate(_ENTITIES))
    return _LINKS.sub(lambda match: f"&#{ord(match[0])};", escaped)


def render_markdown(report: _Row) -> Iterator[str]:
    return (f"{block}\n\n" for block in _render_blocks(report))


def _render_blocks(report: _Row) -> Iterator[str]:
    summary = report["summary"]
    yield f"# {escape_markdown(report['title'])}"
    started, finished = (escape_markdown(text.format_time(report[key])) for key in ("started_at", "finished_at"))
    yield f"Workspace {escape_markdown(report['workspace'])}, {started} to {finished}"
    verdict = [f"**Verdict: {text.describe_verdict(report)}.** {escape_markdown(text.describe_coverage(report), 2000)}"]
    if report["verdict"] == FAIL:
        failing = text.pluralize(len(list_failing(report)), "finding")
        verdict.append(f"{failing} of severity {report['fail_on']} or worse.")
    if report["refusal"]:
        verdict.append(escape_markdown(report["refusal"], 400))
    yield "\n".join(verdict)
    size = f"{text.pluralize(summary['servers'], 'server')}, {text.pluralize(summary['checks'], 'check')}"
    score = f"**{compute_passed_share(summary):g}% passed**, score {summary['score']:g}%"
    yield f"{score}: {size}; {text.describe_outcomes(summary)}."
    remediations = text.describe_remediations(report, 400)
    if remediations:
        yield "## Fix these first"
        yield "\n".join(f"{number}. {escape_markdown(one, 1000)}" for number, one in enumerate(remediations, 1))
    yield from _render_history(report)
    unreached = [(reason, join_first(hosts, _ROWS)) for reason, hosts in text.group_unreached(report)[:_ROWS]]
    if unreached:
        yield "## Servers without new answers"
        yield "\n".join(f"- {escape_markdown(reason)}: {escape_markdown(hosts, 5000)}" for reason, hosts in unreached)
    trend = report.get("trend")
    if trend:
        yield f"## Since {escape_markdown(text.format_time(trend['since']))}"
        verdict_then = escape_markdown(text.describe_verdict(trend))
        rows = [f"Then: {verdict_then}, with {trend['coverage']:g}% of the questions answered"]
        for key, title in (("coverage", "Share answered"), ("passed_share", "Share passed"), ("score", "Score")):
            rows.append(f"{title}: {trend['change'][key]:+} points")
        rows += [f"{title}: {trend[key]}" for key, title in text.TREND_COUNTS.items() if trend[key]]
        yield "\n".join(f"- {words}" for words in [*rows, *_render_changes(trend)])
    found = {
        title: [result for result in report["results"] if result["outcome"] == outcome]
        for title, outcome in (("Failed", FAILED), ("Unknown", UNKNOWN), ("Waived", WAIVED))
    }
    # Failed and waived results show their attestations.
    shown = (FAILED, WAIVED)
    found["Attested"] = [one for one in report["results"] if is_attested(one) and one["outcome"] not in shown]
    for title, results in found.items():
        if results or title == "Failed":
            yield f"## {title}"
            yield _render_table(results) if results else "Nothing."
        if len(results) > _ROWS:
            yield f"{len(results) - _ROWS} more are in the other files of this report."
    yield from _render_end(report)


def _render_end(report: _Row) -> Iterator[str]:
    evidence = text.describe_evidence(report)
    if evidence:
        yield f"Evidence: {escape_markdown(evidence, 2000)}."
    requests = text.pluralize(report["summary"]["requests"], "request")
    yield f"{text.describe_cost(report['summary'])}, with {requests}."


def _render_changes(trend: _Row) -> Iterator[str]:
    for key, title in text.TREND_LISTS.items():
        rows = trend[key]
        if rows:
            # Without a reason, a result is in a table below only.
            shown = [row for row in rows if row["reason"]][:_CHANGES]
            lines = [f"  - {escape_markdown(text.describe_change(row), 600)}" for row in shown]
            more = text.count_changes(rows) - text.count_changes(shown)
            lines += [f"  - and {more:,} more"] if shown and more else []
            yield "\n".join([f"{title}: {text.count_changes(rows)}", *lines])


def _render_history(report: _Row) -> Iterator[str]:
    lines = [*filter(None, [text.describe_grace(report)]), *describe_history(report)]
    if lines:
        yield "## History"
        yield "\n".join(f"- {escape_markdown(line, 400)}" for line in lines)


def _render_table(results: Sequence[_Row]) -> str:
    rows = ["| severity | check | host | what was found |", "| --- | --- | --- | --- |"]
    for result in sorted(results, key=lambda result: -SEVERITIES.index(result["severity"]))[:_ROWS]:
        cells = (result["severity"], result["check"], result["host"], text.describe_result(result))
        rows.append(f"| {' | '.join(map(escape_markdown, cells))} |")
    return "\n".join(rows)


_COLUMNS = (
    *("host", "server", "workspace", "os", "ip", "owner", "groups"),
    *("check", "set", "title", "severity", "outcome", "failing_since", "message", "value", "remedy", "references"),
    *("waiver", "attestation", "command", "ended_at", "reused"),
)
#: The start of a formula. In some countries, a semicolon separates cells.
_FORMULA = re.compile(r'(?:^|(?<=;))(?=[ "]*[=+\-@\uff0b\uff0d\uff1d\uff20])')
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?")


def render_csv(report: _Row) -> Iterator[str]:
    """Render audit.csv row by row: first the servers without results, then the results."""
    yield _render_row({name: name for name in _COLUMNS})
    servers = {
        server["host"]: {**server, "server": server["name"], "groups": ", ".join(server["groups"])}
        for server in report["servers"]
    }
    differences = text.get_differences(report)
    checks = {check["name"]: check for check in report["checks"]}
    for server in servers.values():
        if not server["reached"]:
            yield _render_row({**server, "outcome": "not_reached", "message": text.to_line(server["reason"])})
    for result in report["results"]:
        check = checks[result["check"]]
        cells = {
            "set": check["set"],
            "title": check["title"],
            "remedy": text.get_remedy(differences, result["host"], check),
            "references": "; ".join(check["references"]),
            "waiver": text.describe_waiver(result["waiver"]),
            "attestation": text.describe_attestation(result.get("attestation")),
            "reused": "yes" if result["reused"] else "no",
        }
        yield _render_row({**servers[result["host"]], **result, **cells})


def _render_row(cells: _Row) -> str:
    buffer = io.StringIO()
    values = [cells.get(name) for name in _COLUMNS]
    csv.writer(buffer).writerow(["" if value is None else escape_cell(str(value)) for value in values])
    return buffer.getvalue()


# Most cells repeat those of the previous row.
@functools.lru_cache(maxsize=4096)
def escape_cell(value: str) -> str:
    """Return text on one line that no spreadsheet evaluates as a formula."""
    shown = "".join(character for character in text.clean_text(value) if category(character) != "Cf")
    line = " ".join(shown.split())
    return line if _NUMBER.fullmatch(line) else _FORMULA.sub("'", line)


def render_summary(report: _Row, files: Sequence[str], to_submit: int = 0) -> Iterator[str]:
    """Render the summary that the task prints, with tens of lines for any number of servers.

    Args:
        to_submit: the number of commands that check mode does not submit.
    """
    summary = report["summary"]
    size = f"{text.pluralize(summary['servers'], 'server')}, {text.pluralize(summary['checks'], 'check')}"
    yield f"{report['title']}: {size}; {text.describe_cost(summary)}"
    if to_submit:
        yield f"{text.pluralize(to_submit, 'command')} would be submitted"
    if report["verdict"]:
        yield f"Verdict: {text.describe_verdict(report)}. {text.to_line(text.describe_coverage(report), 2000)}"
    remediations = text.describe_remediations(report, 160)
    if remediations:
        yield "Fix these first:"
    yield from (f"  {words}" for words in remediations)
    unreached = text.group_unreached(report)
    yield from (f"{reason}: {join_first(hosts, 5)}" for reason, hosts in unreached[:5])
    if len(unreached) > 5:
        yield f"{text.pluralize(sum(len(hosts) for _reason, hosts in unreached[5:]), 'server')} more without results"
    messages = (text.to_line(row["message"], 160) for row in report["results"] if row["outcome"] == UNKNOWN)
    unknown = Counter(message.removesuffix(".") for message in messages)
    for message, count in unknown.most_common(5):
        yield f"Unknown, {text.pluralize(count, 'time')}: {message}"
    if len(unknown) > 5:
        yield f"Unknown for {text.pluralize(len(unknown) - 5, 'other reason')}"
    yield text.describe_outcomes(summary)
    trend = report.get("trend")
    if trend:
        yield f"Since {text.format_time(trend['since'])}:"
        yield from (f"  {words}" for words in text.describe_changes(trend) or ["Nothing changed"])
    yield from describe_history(report)
    evidence = text.describe_evidence(report)
    if evidence:
        yield f"Evidence: {evidence}"
    pages = [name for name in files if name.endswith(".html")] or list(files)
    yield from (f"Report: {name}" for name in pages[:1])


def describe_findings(findings: Sequence[_Row]) -> list[str]:
    """Return a line for each finding, but one line for the hosts and the unknown results with the same message."""
    alike: dict[tuple[str, str, str, str], list[str]] = {}
    for finding in findings:
        check = "" if finding["outcome"] == UNKNOWN else finding["check"]
        message = text.fold_text(finding["message"], 200).removesuffix(".")
        alike.setdefault((finding["host"], finding["severity"], message, check), []).append(finding["check"])
    hosts: dict[tuple[str, str, tuple[str, ...]], list[str]] = {}
    for (host, severity, message, _check), names in alike.items():
        hosts.setdefault((severity, message, tuple(names)), []).append(host)
    return [
        f"{join_first(with_it, _MAX_HOSTS)}: {names[0] if len(names) == 1 else text.pluralize(len(names), 'check')}"
        f" ({severity}): {message}"
        for (severity, message, names), with_it in hosts.items()
    ]
