# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""XCCDF: the results that OpenSCAP prints rule by rule, and what a benchmark says about the rules of a profile."""

from __future__ import annotations

import re
from collections import ChainMap
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from xml.etree.ElementTree import Element

from ..verdict import FAILED, NOT_APPLICABLE, PASSED, UNKNOWN
from .openscap import short_id
from .results import MISSING, MOST_OF_TEXT, NamedResult, ScannerError, merged, missing, severity_of
from .xml_tree import children, outermost, words

#: Elements of a data stream that describe no rule: most of it.
LEFT_OUT = ("oval_definitions", "ocil", "cpe-list")
#: The outcome of each result in XCCDF, and a message.
_RESULTS = {
    "pass": (PASSED, ""),
    "fixed": (PASSED, "The scanner has fixed it."),
    "fail": (FAILED, ""),
    "error": (UNKNOWN, "The scanner could not evaluate it: error."),
    "unknown": (UNKNOWN, "The scanner could not tell: unknown."),
    "notchecked": (UNKNOWN, "The scanner has no check for it. Check it yourself."),
    "notapplicable": (NOT_APPLICABLE, "It does not apply to this server."),
    "informational": (NOT_APPLICABLE, "It is for information only."),
}
#: A line of C(oscap xccdf eval --progress), or of C(--progress-full).
_LINE = re.compile(rf"([^\s|]+)(?::|\|(.*)\|)({'|'.join(_RESULTS)})\s*$")
#: Stands in place of a title in lines that our check adds.
_SEVERITY = "severity="
#: No line that tells the result of a rule is longer.
_LONGEST_LINE = 4000
#: The language of fixes that a person can run, or read, without another tool.
_SHELL = "urn:xccdf:fix:script:sh"
#: Publications by a part of the addresses in references to them.
_PUBLICATIONS = {
    "800-53": "NIST SP 800-53",
    "800-171": "NIST SP 800-171",
    "CSWP": "NIST CSF",
    "cisecurity.org/benchmark": "CIS",
    "cisecurity.org/controls": "CIS Controls",
    "/stigs/cci": "CCI",
    "/stigs/": "DISA STIG",
    "gouv.fr": "ANSSI BP-028",
    "pcisecuritystandards": "PCI DSS",
    "/54534": "ISO 27001",
    "bsi.bund.de": "BSI IT-Grundschutz",
}


def read(output: str, _options: Mapping[str, Any]) -> list[NamedResult]:
    """Return the result of each rule."""
    found = list(_of_lines(output))
    rules = [one for one in found if one.name != MISSING]
    if not rules:
        last = output.strip().rpartition("\n")[2].strip()[:300]
        end = f"It ends with: {last}" if last else "It is empty."
        raise ScannerError(found[0].message if found else f"The output has no result of a rule. {end}")
    if all(rule.outcome == NOT_APPLICABLE for rule in rules):
        raise ScannerError("No rule applies to this server. The content may be for another operating system.")
    return with_short_names(merged(found))


def read_beginning(output: str, _options: Mapping[str, Any]) -> list[NamedResult]:
    """Return the results of rules, and of the last one only a bad one: a worse result of it may follow."""
    found = list(_of_lines(output))
    last = found[-1].name if found and found[-1].outcome != FAILED else None
    return with_short_names(merged(one for one in found if one.name != last or one.outcome == FAILED))


def _of_lines(output: str) -> Iterator[NamedResult]:
    for line in output.replace("\r", "\n").split("\n"):
        if len(line) > _LONGEST_LINE:
            continue
        if line.startswith(f"{MISSING}: "):
            yield missing(line.removeprefix(f"{MISSING}: ").strip())
        elif told := _LINE.match(line):
            outcome, message = _RESULTS[told[3]]
            title = told[2] or ""
            if title.startswith(_SEVERITY):
                severity = severity_of(title.removeprefix(_SEVERITY))
                yield NamedResult(told[1], outcome, severity=severity, message=message)
            else:
                yield NamedResult(told[1], outcome, title, message=message)


def with_short_names(results: Sequence[NamedResult]) -> list[NamedResult]:
    """Return results under the short ids of their rules, unless two of these are alike."""
    shorts = [short_id(result.name) for result in results]
    if len(set(shorts)) < len(results):
        return list(results)
    return [replace(result, name=name) for result, name in zip(results, shorts, strict=True)]


@dataclass(frozen=True)
class Benchmark:
    """A benchmark, with its profiles by their ids."""

    id: str
    title: str
    element: Element
    profiles: dict[str, Element] = field(default_factory=dict)

    def profile(self, name: str) -> Element | None:
        """Return the profile of an id, whole or short."""
        known = [profile for key, profile in self.profiles.items() if name in (key, short_id(key))]
        return known[0] if len(known) == 1 else self.profiles.get(name)

    def rules(self, profile: Element) -> list[NamedResult]:
        """Return what the benchmark says about the rules that a profile selects, without outcomes."""
        chain = list(self._chain(profile))
        chosen = {key: _is_true(one.get("selected", "")) for key, one in _by_idref(chain, "select")}
        severities = {key: one.get("severity", "") for key, one in _by_idref(chain, "refine-rule")}
        items = list(_items(self.element, chosen, selected=True))
        on = {item.get("id", "") for item, selected in items if selected}
        rules = [item for item, selected in items if selected and item.tag == "Rule" and _is_possible(item, on)]
        return [_described(rule, self._values(chain), severities) for rule in rules]

    def _chain(self, profile: Element | None) -> Iterator[Element]:
        """Yield a profile after all that it extends."""
        chain: list[Element] = []
        while profile is not None and profile not in chain:
            chain.append(profile)
            profile = self.profiles.get(profile.get("extends", "").lstrip("~^"))
        yield from reversed(chain)

    def _values(self, chain: Sequence[Element]) -> Mapping[str, str]:
        selectors = {key: one.get("selector", "") for key, one in _by_idref(chain, "refine-value")}
        values = {}
        for value in outermost(self.element, "Value"):
            key = value.get("id", "")
            known = {one.get("selector", ""): words(one) for one in children(value, "value")}
            values[key] = known.get(selectors.get(key, ""), known.get("", ""))
        return ChainMap({key: words(one) for key, one in _by_idref(chain, "set-value")}, values)


def benchmarks(root: Element) -> list[Benchmark]:
    """Return the benchmarks in a data stream."""
    return [
        Benchmark(
            element.get("id", ""),
            text_in(element, "title"),
            element,
            {profile.get("id", ""): profile for profile in children(element, "Profile")},
        )
        for element in outermost(root, "Benchmark")
    ]


def text_in(element: Element, name: str) -> str:
    """Return the text of the first element of a name in a benchmark, a profile or a rule."""
    return words(next(children(element, name), None))


def _by_idref(chain: Sequence[Element], name: str) -> Iterator[tuple[str, Element]]:
    """Yield the elements of a name in profiles, by what they refer to; the last one counts."""
    return ((one.get("idref", ""), one) for profile in chain for one in children(profile, name))


def _is_true(text: str) -> bool:
    return text.strip() in ("true", "1")


def _items(element: Element, chosen: Mapping[str, bool], *, selected: bool) -> Iterator[tuple[Element, bool]]:
    """Yield groups and rules, and whether each is selected; nothing in a group that is not selected is."""
    for child in element:
        if child.tag not in ("Group", "Rule"):
            continue
        by_cluster = chosen.get(child.get("cluster-id", ""), _is_true(child.get("selected", "true")))
        is_selected = selected and chosen.get(child.get("id", ""), by_cluster)
        yield child, is_selected
        yield from _items(child, chosen, selected=is_selected)


def _is_possible(rule: Element, on: Collection[str]) -> bool:
    """Return whether all that a rule requires is selected, and nothing that conflicts with it."""
    required = [one.get("idref", "").split() for one in children(rule, "requires")]
    conflicts = [one.get("idref", "") for one in children(rule, "conflicts")]
    return all(any(name in on for name in names) for names in required) and not any(name in on for name in conflicts)


def _described(rule: Element, values: Mapping[str, str], severities: Mapping[str, str]) -> NamedResult:
    for reference in rule.iter("sub"):
        reference.text = values.get(reference.get("idref", ""), "")
    identifier = rule.get("id", "")
    title, rationale, description = (text_in(rule, name) for name in ("title", "rationale", "description"))
    return NamedResult(
        identifier,
        UNKNOWN,
        title or short_id(identifier),
        rationale or description,
        severity_of(severities.get(identifier) or rule.get("severity", "")),
        _fix(rule) or description,
        tuple(_references(rule)),
    )


def _fix(rule: Element) -> str:
    """Return the text of a fix, or a script for the shell, if a person can read it."""
    texts = [words(fix) for fix in children(rule, "fixtext")]
    scripts = [words(fix) for fix in children(rule, "fix") if fix.get("system") in (_SHELL, None)]
    return next((text for text in [*texts, *scripts] if text and len(text) < MOST_OF_TEXT), "")


def _references(rule: Element) -> Iterator[str]:
    yield from map(words, children(rule, "ident"))
    grouped: dict[str, list[str]] = {}
    for reference in children(rule, "reference"):
        address = reference.get("href", "")
        publication = next((name for part, name in _PUBLICATIONS.items() if part in address), address)
        grouped.setdefault(publication, []).append(words(reference))
    for publication, sections in grouped.items():
        yield f"{publication} {', '.join(filter(None, dict.fromkeys(sections)))}".strip()
