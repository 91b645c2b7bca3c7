# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Define outcomes, severities and results of scanners, and compute the verdict, coverage and score of an audit."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ....module_utils._api.errors import AlpaconError, clean, clean_line

PASSED, FAILED, UNKNOWN, NOT_APPLICABLE, WAIVED = OUTCOMES = ("passed", "failed", "unknown", "not_applicable", "waived")
FINDINGS = (FAILED, UNKNOWN)
#: From the least to the worst.
SEVERITIES = ("info", "low", "medium", "high", "critical")
WEIGHTS = {"info": 0, "low": 1, "medium": 3, "high": 6, "critical": 10}
PASS, FAIL, INCONCLUSIVE = VERDICTS = ("pass", "fail", "inconclusive")

#: The most characters and results of an output.
MAX_OUTPUT_CHARACTERS, MAX_RESULTS = 32 * 1024 * 1024, 5000
#: The most characters of the texts of a result, and the most references; the most versions of a scanner.
MAX_NAME, MAX_TITLE, MAX_TEXT, MAX_REFERENCES, MAX_VERSIONS = 200, 300, 2000, 30, 10
#: Characters of results that are shared, so that large outputs do not stay in memory.
_MAX_SHARED = 10_000
MISSING = "missing-results"
#: A rule with several results has the first of these outcomes that one of them has.
_WORST_FIRST = (FAILED, UNKNOWN, PASSED, NOT_APPLICABLE)
_SEVERITIES = {name: name for name in SEVERITIES} | {
    **dict.fromkeys(("information", "informational", "notice", "none"), "info"),
    **dict.fromkeys(("minor", "negligible"), "low"),
    **dict.fromkeys(("moderate", "warning"), "medium"),
    **dict.fromkeys(("important", "major", "error"), "high"),
}


def decide_verdict(report: Mapping[str, Any]) -> str:
    if list_failing(report):
        return FAIL
    return PASS if is_covered(report) and not report["refusal"] else INCONCLUSIVE


def is_failing(result: Mapping[str, Any], fail_on: str | None) -> bool:
    """Return True if a result fails the audit: failed, severe enough, and not too young."""
    if result["outcome"] != FAILED or fail_on is None or result.get("fails_from"):
        return False
    return SEVERITIES.index(result["severity"]) >= SEVERITIES.index(fail_on)


def is_attested(result: Mapping[str, Any]) -> bool:
    """Return True if the outcome is that of an attestation. Earlier reports have no attestations."""
    attestation = result.get("attestation")
    return attestation is not None and not attestation["expired"]


def list_failing(report: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [result for result in report["results"] if is_failing(result, report["fail_on"])]


def is_covered(report: Mapping[str, Any]) -> bool:
    """Return True if an answer exists and the coverage reaches its minimum."""
    return count_answered(report["summary"]) > 0 and bool(report["coverage"] >= report["min_coverage"])


def count_answered(summary: Mapping[str, Any]) -> int:
    return sum(summary[outcome] for outcome in OUTCOMES if outcome != UNKNOWN)


def compute_coverage(summary: Mapping[str, Any]) -> float:
    return to_percent(count_answered(summary), summary["questions"])


def compute_passed_share(summary: Mapping[str, Any]) -> float:
    return to_percent(summary[PASSED], summary[PASSED] + summary[FAILED] + summary[WAIVED])


def compute_score(results: Iterable[tuple[str, str, int]]) -> float:
    """Return the percentage that passed of the results that passed or failed, weighted by severity.

    Args:
        results: outcomes, severities, and their numbers.
    """
    weight, count = {PASSED: 0, FAILED: 0}, {PASSED: 0, FAILED: 0}
    for outcome, severity, number in results:
        if outcome in count:
            weight[outcome] += WEIGHTS[severity] * number
            count[outcome] += number
    # Results that all have the severity info have no weight, and count the same.
    counted = weight if any(weight.values()) else count
    return to_percent(counted[PASSED], sum(counted.values()))


def to_percent(part: int, whole: int) -> float:
    """Return a percentage, rounded down to one decimal; 0 if the whole is 0."""
    return part * 1000 // whole / 10 if whole else 0.0


class ScannerError(AlpaconError):
    """Report that the output of a scanner cannot be parsed."""


@dataclass(frozen=True, slots=True)
class RuleResult:
    """The result of one rule of a scanner on one server, where its name is unique.

    Attributes:
        output: the evidence of the scanner.
        manual: the scanner has no automatic check for the rule.
    """

    name: str
    outcome: str
    title: str = ""
    rationale: str = ""
    severity: str | None = None
    remedy: str = ""
    references: tuple[str, ...] = ()
    message: str = ""
    output: str = ""
    manual: bool = False

    @classmethod
    def missing(cls, message: str) -> RuleResult:
        return cls(MISSING, UNKNOWN, "The scanner finished", message=message)


class RuleResults(list[RuleResult]):
    """The results of a scanner on a server.

    Attributes:
        versions: what the scanner printed of its own version and of its content.
    """

    versions: tuple[str, ...] = ()

    @classmethod
    def with_versions(cls, results: Iterable[RuleResult], versions: Iterable[str]) -> RuleResults:
        made = cls(results)
        cleaned = (shorten(text, MAX_TITLE) for text in versions)
        made.versions = tuple(dict.fromkeys(filter(None, cleaned)))[:MAX_VERSIONS]
        return made


def parse_severity(word: str) -> str | None:
    """Return the severity that a scanner's word means; None for other words, such as ``unknown``."""
    return _SEVERITIES.get(word.strip().casefold())


def merge_results(results: Iterable[RuleResult]) -> list[RuleResult]:
    """Merge results with the same name into one with the worst outcome and the texts of those with this outcome."""
    by_name: dict[str, list[RuleResult]] = {}
    for result in results:
        by_name.setdefault(shorten(result.name) or "unnamed", []).append(result)
    merged = []
    for name, same in by_name.items():
        outcome = min((result.outcome for result in same), key=_WORST_FIRST.index)
        worst = [result for result in same if result.outcome == outcome]
        messages = dict.fromkeys(result.message for result in worst if result.message)
        severity = max((result.severity for result in worst if result.severity), key=SEVERITIES.index, default=None)
        # A result with a measured part is measured.
        manual = all(result.manual for result in same)
        message = "\n".join(messages)
        merged.append(replace(worst[0], name=name, severity=severity, message=message, manual=manual))
    return merged


def clean_result(result: RuleResult) -> RuleResult:
    """Return the result with clean and short texts. Equal results of many servers are one object."""
    texts = (result.title, result.rationale, result.remedy, result.message, result.output, *result.references)
    return _clean_shared(result) if sum(map(len, texts)) < _MAX_SHARED else _clean(result)


@functools.lru_cache(maxsize=8192)
def _clean_shared(result: RuleResult) -> RuleResult:
    return _clean(result)


def _clean(result: RuleResult) -> RuleResult:
    title = shorten(result.title, MAX_TITLE)
    default = {UNKNOWN: "The scanner gives no reason.", FAILED: f"The rule is not met{': ' if title else '.'}{title}"}
    return replace(
        result,
        title=title,
        rationale=_shorten_text(result.rationale),
        remedy=_shorten_text(result.remedy),
        references=tuple(shorten(text, MAX_TITLE) for text in result.references[:MAX_REFERENCES] if text),
        output=_shorten_text(result.output),
        message=_shorten_text(result.message) or default.get(result.outcome, ""),
    )


def shorten(text: str, limit: int = MAX_NAME) -> str:
    words = " ".join(text[: 4 * limit].split())
    return clean_line(words if len(words) <= limit else f"{words[: limit - 1]}…")


def _shorten_text(text: str) -> str:
    stripped = text.strip()
    return clean(stripped if len(stripped) <= MAX_TEXT else f"{stripped[: MAX_TEXT - 1]}…")
