# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The report as JUnit XML: a suite for each server, a case for each check."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any
from xml.etree import ElementTree

from ..results import FAILED, NOT_APPLICABLE, UNKNOWN, WAIVED
from .text import found_words, line, parsed, plain, unasked_words

#: What a case that did not pass is called.
_TAGS = {FAILED: "failure", UNKNOWN: "error"}
_SKIPPED = (NOT_APPLICABLE, WAIVED)

_Row = Mapping[str, Any]


def render(report: Mapping[str, Any]) -> Iterator[str]:
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
