# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Parse results in JUnit's XML and in the Test Anything Protocol, versions 12 to 14."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from .results import FAILED, MAX_RESULTS, MAX_TEXT, NOT_APPLICABLE, PASSED, UNKNOWN, RuleResult, ScannerError

#: Element in a test case -> outcome. The first one found counts.
_OUTCOMES = {"failure": FAILED, "error": UNKNOWN, "skipped": NOT_APPLICABLE}
#: Attribute status, as GoogleTest writes it, of a test case without such an element -> outcome.
_STATUSES = {
    **dict.fromkeys(("", "run", "pass", "passed", "success"), PASSED),
    **dict.fromkeys(("notrun", "disabled", "skipped"), NOT_APPLICABLE),
    **dict.fromkeys(("fail", "failed", "failure"), FAILED),
}
#: Elements of XHTML that begin a new line.
_BLOCKS = frozenset(("p", "pre", "li", "ul", "ol", "div", "table", "tr", "br"))
_MAX_DEPTH, _MAX_ELEMENTS = 100, 500_000

_PLAN = re.compile(r"1\.\.(\d{1,9})(?:\s*#\s*(.*))?\s*$")
_POINT = re.compile(r"(not )?ok\b\s*(\d{1,9})?(?:\s*- )?(.*)$")
_DIRECTIVE = re.compile(r"(?<!\\)#\s*(skip|todo)\S*\s*(.*)$", re.IGNORECASE)
_BAIL_OUT = re.compile(r"bail out!\s*(.*)$", re.IGNORECASE)


def parse_xml(text: str, *names: str) -> Element:
    """Return the first element with one of these names, without namespaces, and ignore the text around it.

    Raises:
        ScannerError: there is none, there are several, it has a DTD, or it is too deep or too large.
    """
    start = re.search(rf"<((?:[\w.-]+:)?(?:{'|'.join(names)}))[\s/>]", text)
    if not start:
        raise ScannerError(f"The output has no XML element {' or '.join(names)}.")
    # A DTD can only stand before the element. Without one, no entity is expanded or fetched.
    if "<!DOCTYPE" in text[: start.start()]:
        raise ScannerError("The XML has a DTD.")
    closing = f"</{start[1]}>"
    end = text.rfind(closing, start.end())
    document = text[start.start() : end + len(closing) if end >= 0 else None]
    # Without a namespace separator, prefixes need no declaration.
    parser, tree = expat.ParserCreate("utf-8"), TreeBuilder()
    parser.buffer_text = True
    depth = elements = 0

    def open_element(name: str, attributes: dict[str, str]) -> None:
        nonlocal depth, elements
        depth, elements = depth + 1, elements + 1
        if depth > _MAX_DEPTH or elements > _MAX_ELEMENTS:
            raise ScannerError(f"The XML is deeper than {_MAX_DEPTH} or has more than {_MAX_ELEMENTS:,} elements.")
        tree.start(name.rpartition(":")[2], attributes)

    def close_element(name: str) -> None:
        nonlocal depth
        depth -= 1
        tree.end(name.rpartition(":")[2])

    parser.StartElementHandler, parser.EndElementHandler = open_element, close_element
    parser.CharacterDataHandler = tree.data
    try:
        parser.Parse(document.encode("utf-8", "replace"), True)
    except expat.ExpatError as error:
        raise ScannerError(f"The XML is not one whole element {start[1]}: {error}.") from error
    return tree.close()


def get_text(element: Element | None) -> str:
    """Return the text of an element, with the line breaks that a browser shows."""
    if element is None:
        return ""
    lines = "".join(_iter_text(element)).splitlines()
    return "\n".join(line.rstrip() for line in lines if line.strip()).strip()


def _iter_text(element: Element) -> Iterator[str]:
    is_block = element.tag in _BLOCKS
    yield f"\n{'- ' if element.tag == 'li' else ''}" if is_block else ""
    yield element.text or ""
    for child in element:
        yield from _iter_text(child)
        yield child.tail or ""
    yield "\n" if is_block else ""


def parse_junit(output: str, _options: Mapping[str, Any]) -> list[RuleResult]:
    """Return the results of test cases, and one for each suite that counts more tests than it contains."""
    results: list[RuleResult] = []
    for suite in parse_xml(output, "testsuites", "testsuite").iter("testsuite"):
        name, counted = suite.get("name"), suite.get("tests", "")
        results += map(_parse_case, suite.findall("testcase"))
        cases = len(list(suite.iter("testcase")))
        if counted.isdecimal() and len(counted) < 10 and int(counted) > cases:
            results.append(RuleResult.missing(f"{name or 'A suite'} counts {counted} tests, and contains {cases}."))
        for kind in ("failure", "error"):
            for problem in suite.findall(kind):
                results.append(RuleResult(name or "suite", _OUTCOMES[kind], message=_describe_problem(problem)))
    return results


def _parse_case(case: Element) -> RuleResult:
    name, group = case.get("name") or "unnamed", case.get("classname") or ""
    name = f"{group}.{name}" if group and not name.startswith(group) else name
    for kind, outcome in _OUTCOMES.items():
        problem = case.find(kind)
        if problem is not None:
            return RuleResult(name, outcome, message=_describe_problem(problem))
    status = case.get("status") or ""
    outcome = _STATUSES.get(status.casefold(), UNKNOWN)
    return RuleResult(name, outcome, message="" if outcome == PASSED else f"Its status is {status}.")


def _describe_problem(element: Element) -> str:
    """Return the message and the text of an element, which often begins with the message."""
    message, text = (element.get("message") or "").strip(), get_text(element)
    return text if text.startswith(message) else f"{message}\n{text}".strip()


def parse_tap(output: str, _options: Mapping[str, Any]) -> list[RuleResult]:
    results: list[RuleResult] = []
    # An output may contain several files of tests, each with a plan.
    plans: list[int] = []
    tests, in_yaml, problem = 0, False, ""
    for line in output.splitlines():
        if bail_out := _BAIL_OUT.match(line):
            problem = f"The run bailed out: {bail_out[1] or 'no reason is given'}."
            break
        if plan := _PLAN.match(line):
            plans.append(int(plan[1]))
            skipped = RuleResult("all tests", NOT_APPLICABLE, message=plan[2] or "There are no tests.")
            results += [] if plans[-1] else [skipped]
        elif point := _POINT.match(line):
            tests, in_yaml = tests + 1, False
            results.append(_parse_point(point, tests))
        elif line.rstrip() in ("  ---", "  ..."):
            in_yaml = line.rstrip() == "  ---"
        elif results and (line.startswith("#") or (in_yaml and not line.endswith("|"))):
            results[-1] = _add_message(results[-1], line.removeprefix("#").strip())
    if not results and not plans:
        raise ScannerError(problem or "The output has neither a plan nor a test of TAP.")
    if not problem and not plans:
        problem = "There is no plan, so tests may be missing."
    elif not problem and tests != sum(plans):
        problem = f"{sum(plans)} tests were planned, and {tests} were run."
    return [*results, RuleResult.missing(problem)] if problem else results


def _add_message(test: RuleResult, line: str) -> RuleResult:
    return test if len(test.message) > MAX_TEXT else replace(test, message=f"{test.message}\n{line}".strip())


def _parse_point(point: re.Match[str], number: int) -> RuleResult:
    if number > MAX_RESULTS:
        raise ScannerError(f"The output has more than {MAX_RESULTS:,} tests.")
    directive = _DIRECTIVE.search(point[3])
    description = point[3][: directive.start()] if directive else point[3]
    name = re.sub(r"\\(.)", r"\1", description.strip()) or f"test {point[2] or number}"
    # A test with the directive TODO may fail.
    if directive and (point[1] or directive[1].casefold() == "skip"):
        return RuleResult(name, NOT_APPLICABLE, message=f"{directive[1].upper()} {directive[2]}".strip())
    return RuleResult(name, FAILED if point[1] else PASSED)
