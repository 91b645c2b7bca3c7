# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Results in JUnit's XML and in the Test Anything Protocol, versions 12 to 14."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from ..results import (
    FAILED,
    MAX_RESULTS,
    MAX_TEXT,
    NOT_APPLICABLE,
    PASSED,
    UNKNOWN,
    RuleResult,
    ScannerError,
    missing_result,
)

#: Elements in a test by their meaning; the first one found counts.
_OUTCOMES = {"failure": FAILED, "error": UNKNOWN, "skipped": NOT_APPLICABLE}
#: Values of the attribute status, which GoogleTest writes, of a test without such an element.
_STATUSES = {
    **dict.fromkeys(("", "run", "pass", "passed", "success"), PASSED),
    **dict.fromkeys(("notrun", "disabled", "skipped"), NOT_APPLICABLE),
    **dict.fromkeys(("fail", "failed", "failure"), FAILED),
}
#: No tree is deeper, or has more elements.
MOST_DEPTH, MOST_ELEMENTS = 100, 500_000
#: Elements of XHTML that begin on a line of their own.
_BLOCKS = frozenset(("p", "pre", "li", "ul", "ol", "div", "table", "tr", "br"))


def read_junit(output: str, _options: Mapping[str, Any]) -> list[RuleResult]:
    """Return the tests of an output, and a result for tests that it counts and does not have."""
    root = read_xml(output, "testsuites", "testsuite")
    return [result for suite in root.iter("testsuite") for result in _parse_suite(suite)]


def _parse_suite(suite: Element) -> Iterator[RuleResult]:
    yield from map(_parse_case, find_children(suite, "testcase"))
    counted = suite.get("tests", "")
    inner = len(list(suite.iter("testcase")))
    if counted.isdecimal() and len(counted) < 10 and int(counted) > inner:
        yield missing_result(f"{suite.get('name') or 'A suite'} counts {counted} tests, and has {inner}.")
    for kind in ("failure", "error"):
        for problem in find_children(suite, kind):
            yield RuleResult(suite.get("name") or "suite", _OUTCOMES[kind], message=_get_problem(problem))


def _parse_case(test: Element) -> RuleResult:
    name, group = test.get("name") or "unnamed", test.get("classname") or ""
    named = f"{group}.{name}" if group and not name.startswith(group) else name
    for kind, outcome in _OUTCOMES.items():
        found = next(find_children(test, kind), None)
        if found is not None:
            return RuleResult(named, outcome, message=_get_problem(found))
    status = test.get("status") or ""
    outcome = _STATUSES.get(status.casefold(), UNKNOWN)
    return RuleResult(named, outcome, message="" if outcome == PASSED else f"Its status is {status}.")


def _get_problem(element: Element) -> str:
    """Return the message and the text of a failure, each once."""
    message, text = (element.get("message") or "").strip(), get_text(element)
    return text if text.startswith(message) else f"{message}\n{text}".strip()


def read_xml(text: str, *names: str) -> Element:
    """Return the first element of one of these names. What stands before and after it is not read.

    Raises:
        ScannerError: there is none, there are several, it has a DTD, or it is too deep or too large.
    """
    start = re.search(rf"<((?:[\w.-]+:)?(?:{'|'.join(names)}))[\s/>]", text)
    if not start:
        raise ScannerError(f"The output has no XML element {' or '.join(names)}.")
    # A DTD ends before the element, so that no entity is expanded or fetched.
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
        if depth > MOST_DEPTH or elements > MOST_ELEMENTS:
            raise ScannerError(f"The XML is deeper than {MOST_DEPTH} or has more than {MOST_ELEMENTS:,} elements.")
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


def find_children(element: Element, name: str) -> Iterator[Element]:
    """Yield the elements of this name directly below another."""
    return (child for child in element if child.tag == name)


def get_text(element: Element | None) -> str:
    """Return the text of an element, on lines as a browser breaks them."""
    if element is None:
        return ""
    lines = "".join(_split_blocks(element)).splitlines()
    return "\n".join(line.rstrip() for line in lines if line.strip()).strip()


def _split_blocks(element: Element) -> Iterator[str]:
    is_block = element.tag in _BLOCKS
    yield f"\n{'- ' if element.tag == 'li' else ''}" if is_block else ""
    yield element.text or ""
    for child in element:
        yield from _split_blocks(child)
        yield child.tail or ""
    yield "\n" if is_block else ""


_PLAN = re.compile(r"1\.\.(\d{1,9})(?:\s*#\s*(.*))?\s*$")
_POINT = re.compile(r"(not )?ok\b\s*(\d{1,9})?(?:\s*- )?(.*)$")
_DIRECTIVE = re.compile(r"(?<!\\)#\s*(skip|todo)\S*\s*(.*)$", re.IGNORECASE)
_BAIL_OUT = re.compile(r"bail out!\s*(.*)$", re.IGNORECASE)
#: Lines around the YAML that explains a test.
_YAML, _YAML_ENDS = "  ---", "  ..."


def read_tap(output: str, _options: Mapping[str, Any]) -> list[RuleResult]:
    """Return the tests of an output, and a result for planned tests that did not come."""
    results: list[RuleResult] = []
    # Tests of one file may follow those of another, each with a plan.
    plans: list[int] = []
    tests, in_yaml, gap = 0, False, ""
    for line in output.splitlines():
        if bail_out := _BAIL_OUT.match(line):
            gap = f"The run was given up: {bail_out[1] or 'it does not say why'}."
            break
        if plan := _PLAN.match(line):
            plans.append(int(plan[1]))
            skipped = RuleResult("all tests", NOT_APPLICABLE, message=plan[2] or "There are no tests.")
            results += [] if plans[-1] else [skipped]
        elif point := _POINT.match(line):
            tests, in_yaml = tests + 1, False
            results.append(_parse_point(point, tests))
        elif line.rstrip() in (_YAML, _YAML_ENDS):
            in_yaml = line.rstrip() == _YAML
        elif results and (line.startswith("#") or (in_yaml and not line.endswith("|"))):
            results[-1] = _add_explanation(results[-1], line.removeprefix("#").strip())
    if not results and not plans:
        raise ScannerError(gap or "The output has neither a plan nor a test of TAP.")
    if not gap and not plans:
        gap = "There is no plan, so tests may be missing."
    elif not gap and tests != sum(plans):
        gap = f"{sum(plans)} tests were planned, and {tests} came."
    return [*results, missing_result(gap)] if gap else results


def _add_explanation(test: RuleResult, line: str) -> RuleResult:
    is_full = len(test.message) > MAX_TEXT
    return test if is_full else replace(test, message=f"{test.message}\n{line}".strip())


def _parse_point(point: re.Match[str], number: int) -> RuleResult:
    if number > MAX_RESULTS:
        raise ScannerError(f"The output has more than {MAX_RESULTS:,} tests.")
    directive = _DIRECTIVE.search(point[3])
    described = point[3][: directive.start()] if directive else point[3]
    name = re.sub(r"\\(.)", r"\1", described.strip()) or f"test {point[2] or number}"
    # A test that is to be done and does not hold yet counts as little as a skipped one.
    if directive and (point[1] or directive[1].casefold() == "skip"):
        return RuleResult(name, NOT_APPLICABLE, message=f"{directive[1].upper()} {directive[2]}".strip())
    return RuleResult(name, FAILED if point[1] else PASSED)
