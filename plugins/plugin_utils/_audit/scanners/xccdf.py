# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Parse rules of XCCDF benchmarks."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from xml.etree.ElementTree import Element

from .junit_tap import get_text
from .results import MAX_TEXT, UNKNOWN, RuleResult, parse_severity

#: Systems of fixes that a person can run or read without another tool.
_FIX_SYSTEMS = ("urn:xccdf:fix:script:sh", None)


def shorten_id(identifier: str) -> str:
    return re.sub(r"^xccdf_[^_]+_(?:rule|profile|benchmark)_", "", identifier)


def parse_rule(rule: Element, values: Mapping[str, str], refined: Element) -> RuleResult:
    for placeholder in rule.iter("sub"):
        placeholder.text = values.get(placeholder.get("idref", ""), "")
    name, description = shorten_id(rule.get("id", "")), get_child_text(rule, "description")
    scripts = (fix for fix in rule.findall("fix") if fix.get("system") in _FIX_SYSTEMS)
    # Scripts are for machines: those of the SCAP Security Guide have pages of conditions.
    remedies = [*map(get_text, rule.findall("fixtext")), description, *map(get_text, scripts)]
    references = join_references(rule.findall("reference"))
    return RuleResult(
        name,
        UNKNOWN,
        title=get_child_text(rule, "title") or name,
        rationale=get_child_text(rule, "rationale") or description,
        severity=parse_severity(refined.get("severity") or rule.get("severity") or ""),
        remedy=next((text for text in remedies if text and len(text) < MAX_TEXT), description),
        references=(*map(get_text, rule.findall("ident")), *references),
    )


def join_references(references: Iterable[Element]) -> list[str]:
    """Return a text for each URL: the URL, and the names of sections there."""
    sections: dict[str, list[str]] = {}
    for reference in references:
        sections.setdefault(reference.get("href", ""), []).append(get_text(reference))
    return [f"{url} {', '.join(filter(None, dict.fromkeys(names)))}".strip() for url, names in sections.items()]


def get_child_text(element: Element, name: str) -> str:
    return get_text(element.find(name))
