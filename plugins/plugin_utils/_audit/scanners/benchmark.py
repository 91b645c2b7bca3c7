# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""Benchmarks in XCCDF: what their rules are about, and which of them a profile selects."""

from __future__ import annotations

import re
from collections import ChainMap
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from xml.etree.ElementTree import Element

from .results import MOST_OF_TEXT, NamedResult, severity_of
from .xml_tree import children, outermost, words

#: What a data stream has besides benchmarks: most of it, and none of it needed here.
LEFT_OUT = ("oval_definitions", "oval_results", "ocil", "cpe-list", "oval_system_characteristics")
#: The language of fixes that a person can run, or read, without another tool.
_SHELL = "urn:xccdf:fix:script:sh"
#: Publications that rules refer to: what their addresses have in common, and what they are called.
_PUBLICATIONS = (
    (re.compile(r"SP\.800-53|/800-53"), "NIST SP 800-53"),
    (re.compile(r"SP\.800-171"), "NIST SP 800-171"),
    (re.compile(r"CSWP"), "NIST CSF"),
    (re.compile(r"cisecurity\.org/benchmark"), "CIS"),
    (re.compile(r"cisecurity\.org/controls"), "CIS Controls"),
    (re.compile(r"/stigs/cci"), "CCI"),
    (re.compile(r"/stigs/"), "DISA STIG"),
    (re.compile(r"(?:ssi|cyber)\.gouv\.fr"), "ANSSI BP-028"),
    (re.compile(r"PCI.DSS", re.IGNORECASE), "PCI DSS"),
    (re.compile(r"iso\.org/.*54534"), "ISO 27001"),
    (re.compile(r"isa-62443-2-1"), "ISA 62443-2-1"),
    (re.compile(r"62443-3-3"), "ISA 62443-3-3"),
    (re.compile(r"isaca\.org/.*cobit"), "COBIT 5"),
    (re.compile(r"fbi\.gov/.*cjis"), "CJIS"),
    (re.compile(r"CFR-2007-title45"), "HIPAA"),
    (re.compile(r"nerc\.com"), "NERC CIP"),
    (re.compile(r"niap-ccevs"), "NIAP OSPP"),
    (re.compile(r"bsi\.bund\.de"), "BSI IT-Grundschutz"),
    (re.compile(r"cyber\.gov\.au.*/ism"), "ACSC ISM"),
)


@dataclass(frozen=True)
class Profile:
    """A profile of a benchmark.

    Attributes:
        chosen: ids of rules, groups and clusters, and whether each is selected, the last word last.
        values: what is set or chosen for each value, by id.
        severities: those that the profile gives to rules.
    """

    id: str
    title: str
    extends: str
    chosen: Mapping[str, bool]
    values: Mapping[str, str]
    selectors: Mapping[str, str]
    severities: Mapping[str, str]


@dataclass(frozen=True)
class Benchmark:
    """A benchmark, its rules in their order."""

    id: str
    title: str
    element: Element
    profiles: dict[str, Profile] = field(default_factory=dict)

    def profile(self, name: str) -> Profile | None:
        """The profile of an id, which may be given without what all ids of the benchmark begin with."""
        known = [profile for key, profile in self.profiles.items() if name in (key, short_id(key))]
        return known[0] if len(known) == 1 else self.profiles.get(name)

    def rules(self, profile: Profile | None = None, values: dict[str, str] | None = None) -> list[NamedResult]:
        """What the benchmark says about its rules, or about those that a profile selects.

        Args:
            values: those that a run had, by id, if they are known.

        Returns:
            Results without an outcome, under the ids of the rules.
        """
        chain = list(self._chain(profile))
        chosen = {key: value for one in chain for key, value in one.chosen.items()}
        severities = {key: value for one in chain for key, value in one.severities.items()}
        known = ChainMap(values or {}, self._values(chain))
        items = list(_items(self.element, chosen, selected=True))
        on = {item.get("id", "") for item, selected in items if selected}
        rules = [item for item, selected in items if item.tag == "Rule" and (selected or profile is None)]
        return [_described(rule, known, severities) for rule in rules if profile is None or _is_possible(rule, on)]

    def _chain(self, profile: Profile | None) -> Iterator[Profile]:
        """A profile after all that it extends."""
        chain: list[Profile] = []
        while profile and profile not in chain:
            chain.append(profile)
            profile = self.profiles.get(profile.extends)
        yield from reversed(chain)

    def _values(self, chain: list[Profile]) -> dict[str, str]:
        selectors = {key: value for profile in chain for key, value in profile.selectors.items()}
        values = {}
        for value in outermost(self.element, "Value"):
            key = value.get("id", "")
            known = {one.get("selector", ""): words(one) for one in children(value, "value")}
            values[key] = known.get(selectors.get(key, ""), known.get("", ""))
        return values | {key: value for profile in chain for key, value in profile.values.items()}


def benchmarks(root: Element) -> list[Benchmark]:
    """The benchmarks in a data stream, in a report, or in a file that is one."""
    return [_benchmark(element) for element in outermost(root, "Benchmark")]


def short_id(identifier: str) -> str:
    """The id of a rule, a profile or a result, without the kind and the name space that XCCDF puts before it."""
    return re.sub(r"^xccdf_[^_]+_(?:rule|profile|benchmark|testresult)_", "", identifier)


def _benchmark(element: Element) -> Benchmark:
    title = words(next(children(element, "title"), None))
    profiles = {profile.id: profile for profile in map(_profile, children(element, "Profile"))}
    return Benchmark(element.get("id", ""), title, element, profiles)


def _profile(element: Element) -> Profile:
    return Profile(
        element.get("id", ""),
        words(next(children(element, "title"), None)),
        element.get("extends", "").lstrip("~^"),
        {one.get("idref", ""): _is_true(one.get("selected", "")) for one in children(element, "select")},
        {one.get("idref", ""): words(one) for one in children(element, "set-value")},
        {one.get("idref", ""): one.get("selector", "") for one in children(element, "refine-value")},
        {one.get("idref", ""): one.get("severity", "") for one in children(element, "refine-rule")},
    )


def _is_true(text: str) -> bool:
    return text.strip() in ("true", "1")


def _items(element: Element, chosen: Mapping[str, bool], *, selected: bool) -> Iterator[tuple[Element, bool]]:
    """Groups and rules below an element, and whether each is selected; what is in a group that is not, is not."""
    for child in element:
        if child.tag not in ("Group", "Rule"):
            continue
        by_cluster = chosen.get(child.get("cluster-id", ""), _is_true(child.get("selected", "true")))
        is_selected = selected and chosen.get(child.get("id", ""), by_cluster)
        yield child, is_selected
        yield from _items(child, chosen, selected=is_selected)


def _is_possible(rule: Element, on: Collection[str]) -> bool:
    """Whether what a rule requires is selected, and nothing that conflicts with it; scanners leave others out."""
    required = [one.get("idref", "").split() for one in children(rule, "requires")]
    conflicts = [one.get("idref", "") for one in children(rule, "conflicts")]
    return all(any(name in on for name in names) for names in required) and not any(name in on for name in conflicts)


def _described(rule: Element, values: Mapping[str, str], severities: Mapping[str, str]) -> NamedResult:
    for reference in rule.iter("sub"):
        reference.text = values.get(reference.get("idref", ""), "")
    identifier = rule.get("id", "")
    title, rationale, description = (
        words(next(children(rule, name), None)) for name in ("title", "rationale", "description")
    )
    return NamedResult(
        identifier,
        "",
        title or short_id(identifier),
        rationale or description,
        severity_of(severities.get(identifier) or rule.get("severity", "")),
        _fix(rule, description),
        tuple(_references(rule)),
    )


def _fix(rule: Element, description: str) -> str:
    """The text of a fix, else a script for the shell that a person can read, else the description."""
    texts = [words(fix) for fix in children(rule, "fixtext")]
    scripts = [words(fix) for fix in children(rule, "fix") if fix.get("system") in (_SHELL, None)]
    return next((text for text in [*texts, *scripts] if text and len(text) < MOST_OF_TEXT), description)


def _references(rule: Element) -> Iterator[str]:
    for ident in children(rule, "ident"):
        yield words(ident)
    grouped: dict[str, list[str]] = {}
    for reference in children(rule, "reference"):
        grouped.setdefault(_publication(reference.get("href", "")), []).append(words(reference))
    for publication, sections in grouped.items():
        yield f"{publication} {', '.join(filter(None, dict.fromkeys(sections)))}".strip()


def _publication(address: str) -> str:
    return next((name for pattern, name in _PUBLICATIONS if pattern.search(address)), address)
