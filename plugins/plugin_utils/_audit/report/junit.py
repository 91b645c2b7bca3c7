# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""The report as JUnit XML: a suite for each server, a case for each check."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from xml.etree import ElementTree

from ..outcomes import FAILED, UNKNOWN
from .text import line, output, parsed, plain

#: What a case that did not pass is called.
_TAGS = {FAILED: "failure", UNKNOWN: "error"}
_OF_THE_AUDIT = ("verdict", "coverage", "min_coverage")


def render(report: Mapping[str, Any]) -> str:
    """The text of audit.xml."""
    by_host: dict[str, list[Mapping[str, Any]]] = {}
    for result in report["results"]:
        by_host.setdefault(result["host"], []).append(result)
    workspaces = {server["host"]: server["workspace"] for server in report["servers"]}
    sets = {check["name"]: check.get("set") for check in report["checks"]}
    suites = ElementTree.Element("testsuites", {"name": line(report["title"]), **_counts(report["results"])})
    start, end = parsed(report["started_at"]), parsed(report["finished_at"])
    if start and end:
        suites.set("time", f"{(end - start).total_seconds():.3f}")
    for host, results in by_host.items():
        suite = ElementTree.SubElement(suites, "testsuite", {"name": plain(host), **_counts(results)})
        suite.set("timestamp", plain(report["started_at"]).removesuffix("Z"))
        properties = ElementTree.SubElement(suite, "properties")
        # Readers of JUnit know properties of a suite only, so that each suite says what holds for all of them.
        said = {"workspace": workspaces[host], **{name: report[name] for name in _OF_THE_AUDIT}}
        for name, value in said.items():
            ElementTree.SubElement(properties, "property", name=name, value=plain(value))
        for result in results:
            _add_case(suite, result, sets.get(result["check"]))
    ElementTree.indent(suites)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ElementTree.tostring(suites, encoding="unicode")}\n'


def _counts(results: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    outcomes = [result["outcome"] for result in results]
    return {
        "tests": str(len(outcomes)),
        "failures": str(outcomes.count(FAILED)),
        "errors": str(outcomes.count(UNKNOWN)),
        "skipped": "0",
    }


def _add_case(suite: ElementTree.Element, result: Mapping[str, Any], set_name: str | None) -> None:
    classname = ".".join(plain(part) for part in (set_name, result["host"]) if part)
    case = ElementTree.SubElement(suite, "testcase", name=plain(result["check"]), classname=classname)
    tag = _TAGS.get(result["outcome"])
    if tag:
        problem = ElementTree.SubElement(case, tag, type=result["severity"], message=line(result["message"]))
        problem.text, _cut = output(result["output"])
