# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""Results in JUnit's XML."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from xml.etree.ElementTree import Element

from ..verdict import FAILED, NOT_APPLICABLE, PASSED, UNKNOWN
from .results import NamedResult, ScannerError, missing
from .xml_tree import children, read_xml, words

#: Elements in a test by their meaning; the first one found counts.
_OUTCOMES = {"failure": FAILED, "error": UNKNOWN, "skipped": NOT_APPLICABLE}
#: Values of the attribute status of a test without such an element.
_STATUSES = {
    **dict.fromkeys(("notrun", "disabled", "skipped"), NOT_APPLICABLE),
    **dict.fromkeys(("fail", "failed", "failure"), FAILED),
    "error": UNKNOWN,
}


def read(output: str, _options: Mapping[str, Any]) -> list[NamedResult]:
    """Return the tests of an output, and a result for tests that it counts and does not have."""
    root = read_xml(output, ("system-out", "system-err", "properties"))
    if root.tag not in ("testsuites", "testsuite"):
        raise ScannerError(f"The XML is not JUnit: its root is {root.tag}.")
    return [result for suite in root.iter("testsuite") for result in _of_suite(suite)]


def _of_suite(suite: Element) -> Iterator[NamedResult]:
    tests = list(children(suite, "testcase"))
    yield from map(_of_test, tests)
    counted = suite.get("tests", "")
    inner = len(list(suite.iter("testcase")))
    if counted.isdecimal() and len(counted) < 10 and int(counted) > inner:
        yield missing(f"{suite.get('name') or 'A suite'} counts {counted} tests, and has {inner}.")
    for kind, outcome in (("failure", FAILED), ("error", UNKNOWN)):
        for problem in children(suite, kind):
            yield NamedResult(suite.get("name") or "suite", outcome, message=_said(problem))


def _of_test(test: Element) -> NamedResult:
    name, group = test.get("name") or "unnamed", test.get("classname") or ""
    named = f"{group}.{name}" if group and not name.startswith(group) else name
    for kind, outcome in _OUTCOMES.items():
        found = next(children(test, kind), None)
        if found is not None:
            return NamedResult(named, outcome, message=_said(found))
    status = test.get("status") or ""
    outcome = _STATUSES.get(status.casefold(), PASSED)
    return NamedResult(named, outcome, message="" if outcome == PASSED else f"Its status is {status}.")


def _said(element: Element) -> str:
    """Return the message and the text of a failure, each once."""
    message, text = (element.get("message") or "").strip(), words(element)
    return text if text.startswith(message) else f"{message}\n{text}".strip()
