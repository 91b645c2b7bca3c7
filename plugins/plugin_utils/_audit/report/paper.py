# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Collect the tables of the printed report: results by rule, and by the requirements that the rules refer to."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ....module_utils._api.errors import join_first
from ..scanners.results import FAILED, FINDINGS, NOT_APPLICABLE, PASSED, SEVERITIES, UNKNOWN, WAIVED
from ..scanners.tailoring import REFERENCE
from . import text

_Row = Mapping[str, Any]

#: Findings up to which the printed report has their outputs.
MAX_PRINTED_FINDINGS = 60
#: Part of a URL -> name of the catalogue. The SCAP Security Guide refers to catalogues by URLs.
_CATALOGUES = (
    ("cisecurity.org/controls", "CIS Controls"),
    ("cisecurity.org", "CIS Benchmark"),
    ("800-53", "NIST SP 800-53"),
    ("800-171", "NIST SP 800-171"),
    ("cswp", "NIST Cybersecurity Framework"),
    ("cyberframework", "NIST Cybersecurity Framework"),
    ("pci-dss-v4", "PCI DSS 4.0"),
    ("pci_dss_v3", "PCI DSS 3.2.1"),
    ("pcisecuritystandards.org", "PCI DSS"),
    ("stigs/cci", "DISA CCI"),
    ("stigs/downloads", "DISA SRG"),
    ("cyber.mil", "DISA STIG"),
    ("iso.org", "ISO/IEC 27001"),
    ("isaca.org", "COBIT 5"),
    ("isa-62443-2-1", "ISA/IEC 62443-2-1"),
    ("isa-62443-3-3", "ISA/IEC 62443-3-3"),
    ("gpo.gov", "HIPAA"),
    ("anssi", "ANSSI BP-028"),
    ("gouv.fr", "ANSSI BP-028"),
    ("bsi.bund.de", "BSI IT-Grundschutz"),
)
#: Hosts of a rule, and in the scope.
_MAX_HOSTS, _MAX_NAMED = 60, 200
#: Versions of one program.
_MAX_VERSIONS = 20


@dataclass(frozen=True)
class Rule:
    """A row of the results by rule: a check, or a rule of a benchmark.

    Attributes:
        number: the reference to this row in other tables.
        where: the servers on which it failed or is unknown.
    """

    number: int
    name: str
    title: str
    severity: str
    counts: Mapping[str, int]
    where: str
    references: Sequence[str]


@dataclass
class Requirement:
    """A requirement of a catalogue, with the rules that refer to it, and their results on all servers."""

    name: str
    rules: list[Rule] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    @property
    def state(self) -> str:
        """Return the worst outcome of the results, or "not_asked" if there is none."""
        ranked = (FAILED, UNKNOWN, WAIVED, PASSED, NOT_APPLICABLE)
        return next((name for name in ranked if self.counts[name]), "not_asked")

    @property
    def numbers(self) -> str:
        """Return the numbers of the rules that failed or are unknown anywhere, such as "3, 7\N{EN DASH}9"."""
        ranges: list[list[int]] = []
        for number in sorted(rule.number for rule in self.rules if any(rule.counts[name] for name in FINDINGS)):
            if ranges and number == ranges[-1][-1] + 1:
                ranges[-1].append(number)
            else:
                ranges.append([number])
        return ", ".join("\N{EN DASH}".join(dict.fromkeys(map(str, (one[0], one[-1])))) for one in ranges)


def collect_tables(report: _Row, checks: Sequence[_Row], hosts: Sequence[str]) -> dict[str, Any]:
    """Return the scope, the tables, and whether the findings and their outputs are few enough to be printed, too."""
    rules = list_rules(checks, hosts)
    return {
        "rules": rules,
        "requirements": group_requirements(rules),
        "unreached": [f"{words}: {join_first(names, _MAX_NAMED)}" for words, names in text.group_unreached(report)],
        "benchmarks": list_benchmarks(checks, report["servers"]),
        "sets": list_sets(checks),
        "versions": list_versions(report),
        "criteria": describe_criteria(report),
        "has_findings": sum(len(check["findings"]) for check in checks) <= MAX_PRINTED_FINDINGS,
    }


def describe_criteria(report: _Row) -> str:
    """Return what fails the audit, with the ages of findings from which they do."""
    ages = [f"{severity} after {text.format_duration(age)}" for severity, age in report["fail_after"].items() if age]
    worst = report["fail_on"]
    findings = f"findings of severity {worst}{'' if worst == SEVERITIES[-1] else ' or worse'}" if worst else ""
    findings += f" ({', '.join(ages)})" if ages else ""
    least = report["min_coverage"]
    answers = f"less than {least:g}% of the questions answered" if least else ""
    return "; ".join(filter(None, (findings, answers))) or "nothing"


def list_rules(checks: Sequence[_Row], hosts: Sequence[str]) -> list[Rule]:
    """Return the rules in the order of these checks, without scanners whose rules are checks of their own."""
    parents = {check["of"] for check in checks}
    # Several benchmarks may have the same rule.
    has_several = len(parents - {None}) > 1
    shown = [check for check in checks if check["counts"] or check["name"] not in parents]
    return [
        Rule(
            number,
            text.to_line(check["name"] if has_several else check["name"].removeprefix(f"{check['of']}/")),
            text.to_line(check["title"]),
            check["severity"],
            check["counts"],
            _describe_servers(check, hosts),
            check["references"],
        )
        for number, check in enumerate(shown, 1)
    ]


def _describe_servers(check: _Row, hosts: Sequence[str]) -> str:
    asked = sum(check["counts"].values()) - check["counts"][NOT_APPLICABLE]
    words = []
    for outcome in FINDINGS:
        found = sorted(server for one in check["answers"] if one["outcome"] == outcome for server in one["servers"])
        if found:
            names = join_first([hosts[server] for server in found], _MAX_HOSTS)
            names = f"all {asked:,} servers" if len(found) == asked > 1 else names
            words.append(names if outcome == FAILED else f"unknown: {names}")
    return "; ".join(words)


def group_requirements(rules: Iterable[Rule]) -> dict[str, list[Requirement]]:
    """Return the requirements that rules refer to, by catalogue."""
    catalogues: dict[str, dict[str, Requirement]] = {}
    for rule in rules:
        for catalogue, name in dict.fromkeys(pair for one in rule.references for pair in parse_reference(one)):
            requirement = catalogues.setdefault(catalogue, {}).setdefault(name, Requirement(name))
            requirement.rules.append(rule)
            requirement.counts.update(rule.counts)
    return {
        catalogue: sorted(found.values(), key=lambda one: _split_numbers(one.name))
        for catalogue, found in sorted(catalogues.items())
    }


def parse_reference(reference: str) -> Iterator[tuple[str, str]]:
    """Yield the catalogue and the name of each requirement in a reference of a rule.

    A reference is a URL with names, as in XCCDF, or a catalogue with one name, such as "CIS Debian Linux 12 5.1.20".
    Identifiers without a catalogue, such as those of CCE, and tailoring files are not requirements.
    """
    first, _separator, rest = text.to_line(reference).partition(" ")
    if re.match(r"https?://", first):
        host = re.sub(r"^https?://(?:www\.)?([^/]*).*", r"\1", first)
        catalogue = next((name for part, name in _CATALOGUES if part in first.casefold()), host)
        yield from ((catalogue, name.strip()) for name in rest.split(",") if name.strip())
        return
    catalogue, _separator, name = text.to_line(reference).rpartition(" ")
    if not reference.startswith(REFERENCE) and catalogue and any(character.isdigit() for character in name):
        yield catalogue, name


def _split_numbers(name: str) -> list[tuple[int, int, str]]:
    """Sort key: 5.2 comes before 5.10."""
    parts = re.findall(r"[0-9]{1,9}|[^0-9]+", name)
    return [(0, int(part), "") if part[0] in "0123456789" else (1, 0, part) for part in parts]


def list_benchmarks(checks: Sequence[_Row], servers: Sequence[_Row]) -> list[str]:
    """Return the benchmarks and other scanners with rules: name, title, number of rules, and tailoring files."""
    rows = {check["name"]: check for check in checks}
    names = Counter(check["of"] for check in checks if check["of"])
    return [
        ", ".join(
            [
                f"{text.to_line(name)}: {text.to_line(rows.get(name, {}).get('title', ''))}",
                text.pluralize(number, "rule"),
                *(text.to_line(one) for one in _list_tailorings(name, rows, servers)),
            ]
        )
        for name, number in names.items()
    ]


def list_versions(report: _Row) -> list[tuple[str, str, int]]:
    """Return what ran on the servers and its version, each with the number of servers, the most frequent first."""
    checks, differences = {check["name"]: check for check in report["checks"]}, text.get_differences(report)
    counts: dict[str, Counter[str]] = {}
    for server in report["servers"]:
        if server["agent"]:
            counts.setdefault("Agent", Counter())[text.to_line(server["agent"], 80)] += 1
        for name, stated in (server.get("versions") or {}).items():
            check = {**checks.get(name, {}), **differences.get(server["host"], {}).get(name, {})}
            tailoring = (one for one in check.get("references", ()) if one.startswith(REFERENCE))
            words = "; ".join(text.to_line(one) for one in (*stated, *tailoring))
            counts.setdefault(text.to_line(name, 100), Counter())[words] += 1
    rows = []
    for name, versions in counts.items():
        rows += [(name, words, number) for words, number in versions.most_common(_MAX_VERSIONS)]
        if others := list(versions.most_common())[_MAX_VERSIONS:]:
            rows.append((name, f"{len(others):,} others", sum(number for _words, number in others)))
    return rows


def _list_tailorings(name: str, checks: Mapping[str, _Row], servers: Sequence[_Row]) -> list[str]:
    """Return the tailoring files of a benchmark, with their digests. Servers may have different ones."""
    rows = [checks.get(name, {}), *(server.get("differs", {}).get(name, {}) for server in servers)]
    found = dict.fromkeys(one for row in rows for one in row.get("references", ()) if one.startswith(REFERENCE))
    return list(found)


def list_sets(checks: Sequence[_Row]) -> list[str]:
    """Return the sets of the checks that are not rules of a scanner, each with its number of checks."""
    parents = {check["of"] for check in checks}
    own = (check for check in checks if not check["of"] and check["name"] not in parents)
    sets = Counter(text.to_line(check["set"] or "others") for check in own)
    return [f"{name} ({number:,})" for name, number in sorted(sets.items())]
