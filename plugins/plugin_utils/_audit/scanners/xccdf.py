# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""Results of a scanner for XCCDF, such as OpenSCAP: what it prints rule by rule, or its XML."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any
from xml.etree.ElementTree import Element

from ..verdict import FAILED, NOT_APPLICABLE, PASSED, UNKNOWN
from .benchmark import LEFT_OUT, benchmarks, short_id
from .results import NamedResult, ScannerError, merged, severity_of
from .xml_tree import children, read_xml, words

#: What XCCDF calls the result of a rule: what it means, and what to say about it.
_RESULTS = {
    "pass": (PASSED, ""),
    "fixed": (PASSED, "The scanner has fixed it."),
    "fail": (FAILED, ""),
    "error": (UNKNOWN, "The scanner could not evaluate it: error."),
    "unknown": (UNKNOWN, "The scanner could not tell: unknown."),
    "notchecked": (UNKNOWN, "The scanner has no check for it; look at it yourself."),
    "notapplicable": (NOT_APPLICABLE, "It does not apply to this server."),
    "informational": (NOT_APPLICABLE, "It is for information only."),
}
_NOT_SELECTED = "notselected"
_WORD = "|".join((*_RESULTS, _NOT_SELECTED))
#: A rule in the output of ``oscap xccdf eval --progress``, of ``--progress-full``, and without both.
_PROGRESS = re.compile(rf"(\S+):({_WORD})\s*$")
_PROGRESS_FULL = re.compile(rf"([^\s|]+)\|(.*)\|({_WORD})$")
_BLOCK = re.compile(r"(Title|Rule|Ident|Result)\s+(\S.*)$")
#: No line that tells the result of a rule is longer.
_LONGEST_LINE = 4000


def read(output: str, _options: Mapping[str, Any]) -> list[NamedResult]:
    """The results of rules, each rule once.

    Raises:
        ScannerError: there are none.
    """
    found = _of_xml(output) if _is_xml(output) else list(_of_lines(output))
    if not found:
        raise ScannerError(f"The output has no result of a rule.{_end_of(output)}")
    return with_short_names(merged(found))


def read_beginning(output: str, _options: Mapping[str, Any]) -> list[NamedResult]:
    """The results of rules that are printed line by line; of the last one only a bad one, since worse may follow."""
    found = [] if _is_xml(output) else list(_of_lines(output))
    last = found[-1].name if found and found[-1].outcome != FAILED else None
    return with_short_names(merged(one for one in found if one.name != last or one.outcome == FAILED))


def _is_xml(output: str) -> bool:
    return bool(re.match(r"\s*<", output)) or "<TestResult" in output or ":TestResult" in output


def _of_lines(output: str) -> Iterator[NamedResult]:
    block: dict[str, str] = {}
    # oscap writes a carriage return between a word and what it tells, and a terminal may make a line break of it.
    text = output.replace("\r", "\n").replace("\n\t", "\t")
    for line in map(str.rstrip, text.split("\n")):
        if len(line) > _LONGEST_LINE:
            continue
        progress, full = _PROGRESS.match(line), _PROGRESS_FULL.match(line)
        if full:
            yield from _result(full[1], full[3], full[2])
        elif progress:
            yield from _result(progress[1], progress[2])
        elif told := _BLOCK.match(line):
            if told[1] == "Title":
                block = {}
            block[told[1]] = told[2]
            if told[1] == "Result" and "Rule" in block:
                yield from _result(block["Rule"], told[2], block.get("Title", ""), ident=block.get("Ident", ""))
                block = {}


def _result(rule: str, word: str, title: str = "", message: str = "", ident: str = "") -> Iterator[NamedResult]:
    if word == _NOT_SELECTED:
        return
    outcome, meaning = _RESULTS.get(word, (UNKNOWN, f"The scanner says '{word}', which XCCDF does not know."))
    said = "\n".join(filter(None, (meaning, message)))
    yield NamedResult(rule, outcome, title, message=said, references=(ident,) if ident else ())


def _of_xml(output: str) -> list[NamedResult]:
    root = read_xml(output, LEFT_OUT)
    tests = list(root.iter("TestResult"))
    rows = [row for test in tests for row in children(test, "rule-result")]
    values = {value.get("idref", ""): words(value) for test in tests for value in children(test, "set-value")}
    # Once for all tests: a server decides how many of these there are.
    described = {rule.name: rule for one in benchmarks(root) for rule in one.rules(values=values)}
    return list(_of_rows(rows, described))


def _of_rows(rows: Iterable[Element], described: Mapping[str, NamedResult]) -> Iterator[NamedResult]:
    for row in rows:
        rule, word = row.get("idref", ""), words(next(children(row, "result"), None))
        messages = "\n".join(filter(None, map(words, children(row, "message"))))
        known = described.get(rule)
        for result in _result(rule, word, message=messages):
            severity = severity_of(row.get("severity", ""))
            if known:
                yield replace(
                    known, outcome=result.outcome, message=result.message, severity=severity or known.severity
                )
            else:
                yield replace(result, severity=severity)


def with_short_names(results: Sequence[NamedResult]) -> list[NamedResult]:
    """Results under the short ids of their rules, unless two of these are alike."""
    shorts = [short_id(result.name) for result in results]
    if len(set(shorts)) < len(results):
        return list(results)
    return [replace(result, name=name) for result, name in zip(results, shorts, strict=True)]


def _end_of(output: str) -> str:
    lines = output.strip().splitlines()
    return f" It ends with: {lines[-1].strip()[:300]}" if lines else " It is empty."
