# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Results of checks: outcomes, severities, results of other scanners, shares and the verdict on an audit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import AlpaconError, clean, clean_line

PASSED, FAILED, UNKNOWN, NOT_APPLICABLE, WAIVED = OUTCOMES = ("passed", "failed", "unknown", "not_applicable", "waived")

#: Outcomes that somebody has to do something about.
FINDINGS = (FAILED, UNKNOWN)
#: Outcomes that answer the question.
ANSWERS = (PASSED, FAILED, NOT_APPLICABLE, WAIVED)

#: From the least to the worst.
SEVERITIES = ("info", "low", "medium", "high", "critical")

#: What a check of each severity counts in a score.
WEIGHTS = {"info": 0, "low": 1, "medium": 3, "high": 6, "critical": 10}

PASS, FAIL, INCONCLUSIVE = "pass", "fail", "inconclusive"
VERDICTS = (PASS, FAIL, INCONCLUSIVE)
#: So many servers are named in a sentence.
_NAMED = 10
#: So many characters of an output are read, and so many results of one server are kept.
MAX_OUTPUT_CHARACTERS, MAX_RESULTS = 32 * 1024 * 1024, 5000
#: So many characters of each text are kept, and so many references.
MAX_NAME, MAX_TITLE, MAX_TEXT, MAX_REFERENCES = 200, 300, 2000, 30
#: The name of the result that says that others are missing.
MISSING = "missing-results"

#: Of several outcomes of one rule, the first of these is the outcome of the rule.
_WORST_FIRST = (FAILED, UNKNOWN, PASSED, NOT_APPLICABLE)
#: Words of scanners for severities that have another name here.
_SEVERITIES = {name: name for name in SEVERITIES} | {
    **dict.fromkeys(("information", "informational", "notice", "none"), "info"),
    **dict.fromkeys(("minor", "negligible"), "low"),
    **dict.fromkeys(("moderate", "warning"), "medium"),
    **dict.fromkeys(("important", "major", "error"), "high"),
}


def is_at_least(severity: str, bound: str) -> bool:
    """Return True if a severity is as bad as another, or worse."""
    return SEVERITIES.index(severity) >= SEVERITIES.index(bound)


def decide_verdict(report: Mapping[str, Any]) -> str:
    """Return one of :data:`VERDICTS` for a report that has everything but its verdict."""
    if list_failing(report):
        return FAIL
    return PASS if is_covered(report) and not report["refusal"] else INCONCLUSIVE


def is_failing(result: Mapping[str, Any], fail_on: str | None) -> bool:
    """Return True if a result failed and is as bad as what fails the audit."""
    return result["outcome"] == FAILED and fail_on is not None and is_at_least(result["severity"], fail_on)


def list_failing(report: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the results that fail the audit."""
    return [result for result in report["results"] if is_failing(result, report["fail_on"])]


def compute_coverage(summary: Mapping[str, Any]) -> float:
    """Return the share of all questions that were answered, in percent."""
    return percent(*_count_answered(summary))


def compute_passed_share(summary: Mapping[str, Any]) -> float:
    """Return the share that passed of what passed, failed or is waived, in percent."""
    return percent(summary[PASSED], summary[PASSED] + summary[FAILED] + summary[WAIVED])


def compute_score(results: Iterable[tuple[str, str, int]]) -> float:
    """Return the share that passed of what passed or failed, weighted by severity, in percent.

    Args:
        results: outcome, severity, and how often that came.
    """
    weight = {PASSED: 0, FAILED: 0}
    count = {PASSED: 0, FAILED: 0}
    for outcome, severity, number in results:
        if outcome in count:
            weight[outcome] += WEIGHTS[severity] * number
            count[outcome] += number
    # Where nothing weighs anything, each counts as much as the others.
    counted = weight if any(weight.values()) else count
    return percent(counted[PASSED], counted[PASSED] + counted[FAILED])


def percent(part: int, whole: int) -> float:
    """Return a share in percent, rounded down to one decimal; 0 of nothing."""
    return part * 1000 // whole / 10 if whole else 0.0


def is_covered(report: Mapping[str, Any]) -> bool:
    """Return True if as much was answered as must be, which is never nothing."""
    return _count_answered(report["summary"])[0] > 0 and bool(report["coverage"] >= report["min_coverage"])


def describe_reused_servers(report: Mapping[str, Any]) -> str:
    """Name the servers that cannot be asked now and of which all answers are reused; empty if there are none."""
    names = [f"{server['host']}{format_age(server)}" for server in report["servers"] if is_reused_only(server)]
    if not names:
        return ""
    more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    count = f"{len(names):,} server{'' if len(names) == 1 else 's'}"
    return f"{count} cannot be asked now, and only earlier answers count: {', '.join(names[:_NAMED])}{more}."


def is_reused_only(server: Mapping[str, Any]) -> bool:
    """Return True if a server cannot be asked now, and only answers from before this audit count."""
    return bool(server["reached"] and server["reason"])


def format_age(server: Mapping[str, Any]) -> str:
    """Return the age of the oldest answer of a server that cannot be asked now, in brackets, or nothing."""
    age = server["age_seconds"]
    return "" if age is None else f" ({format_duration(age)} old)"


def format_duration(seconds: float) -> str:
    """Return a length of time in its two largest units."""
    whole = round(seconds)
    units = [(whole // 86400, "d"), (whole // 3600 % 24, "h"), (whole // 60 % 60, "min"), (whole % 60, "s")]
    return " ".join([f"{count} {unit}" for count, unit in units if count][:2]) or "0 s"


def describe_coverage(report: Mapping[str, Any]) -> str:
    """Say how much was answered, how much must be where that is more, and whose answers are only from before."""
    return " ".join(filter(None, (_describe_answered(report), describe_reused_servers(report))))


def _describe_answered(report: Mapping[str, Any]) -> str:
    number, asked = _count_answered(report["summary"])
    if not asked:
        return "No check applied to any server."
    if not number and not report["min_coverage"]:
        return f"None of {asked:,} question{'' if asked == 1 else 's'} was answered."
    words = f"{number:,} of {asked:,} question{'' if asked == 1 else 's'} answered ({report['coverage']:g}%)"
    return f"{words}." if is_covered(report) else f"Only {words}; the minimum is {report['min_coverage']:g}%."


def _count_answered(summary: Mapping[str, Any]) -> tuple[int, int]:
    """Return how many questions were answered, and how many there were."""
    return sum(summary[outcome] for outcome in ANSWERS), summary["questions"]


class ScannerError(AlpaconError):
    """The output of a scanner has no results that can be read; str() says why."""


@dataclass(frozen=True)
class RuleResult:
    """The result of one rule of a scanner on one server.

    Attributes:
        name: of the rule, unique among the results of the server.
        outcome: :data:`PASSED`, :data:`FAILED`, :data:`UNKNOWN` or :data:`NOT_APPLICABLE`.
        severity: one of :data:`SEVERITIES`, or None where the scanner does not say.
        message: what was found, for a person.
    """

    name: str
    outcome: str
    title: str = ""
    rationale: str = ""
    severity: str | None = None
    remedy: str = ""
    references: tuple[str, ...] = ()
    message: str = ""


def parse_severity(word: str) -> str | None:
    """Return the severity for a word of a scanner; None for another word, such as ``unknown``."""
    return _SEVERITIES.get(word.strip().casefold())


def missing_result(message: str) -> RuleResult:
    """Return the result that says that others are missing."""
    return RuleResult(MISSING, UNKNOWN, "The scanner came to its end", message=message)


def merge_results(results: Iterable[RuleResult]) -> list[RuleResult]:
    """Return one result for each name: the worst outcome, and the texts of those with this outcome."""
    kept: dict[str, list[RuleResult]] = {}
    for result in results:
        kept.setdefault(shorten(result.name) or "unnamed", []).append(result)
    return [_merge(name, same) for name, same in kept.items()]


def _merge(name: str, same: Sequence[RuleResult]) -> RuleResult:
    outcome = min((result.outcome for result in same), key=_WORST_FIRST.index)
    telling = [result for result in same if result.outcome == outcome]
    messages = dict.fromkeys(result.message for result in telling if result.message)
    severity = max((result.severity for result in telling if result.severity), key=SEVERITIES.index, default=None)
    return replace(telling[0], name=name, severity=severity, message="\n".join(messages))


def clean_result(result: RuleResult) -> RuleResult:
    """Return a result as it is kept: with bounded texts, and without terminal escapes."""
    title = shorten(result.title, MAX_TITLE)
    silence = {UNKNOWN: "The scanner does not say why.", FAILED: f"The rule is not met{': ' if title else '.'}{title}"}
    return replace(
        result,
        title=title,
        rationale=_clean_text(result.rationale),
        remedy=_clean_text(result.remedy),
        references=tuple(shorten(text, MAX_TITLE) for text in result.references[:MAX_REFERENCES] if text),
        message=_clean_text(result.message) or silence.get(result.outcome, ""),
    )


def shorten(text: str, most: int = MAX_NAME) -> str:
    """Return a text in one line of at most so many characters."""
    words = " ".join(text[: 4 * most].split())
    return clean_line(words if len(words) <= most else f"{words[: most - 1]}…")


def _clean_text(text: str) -> str:
    stripped = text.strip()
    return clean(stripped if len(stripped) <= MAX_TEXT else f"{stripped[: MAX_TEXT - 1]}…")
