# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Results of scanners, and how much of their texts is kept."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import AlpaconError, clean, clean_line

from ..verdict import FAILED, NOT_APPLICABLE, PASSED, SEVERITIES, UNKNOWN

#: So many characters of an output are read, and so many results of one server are kept.
MOST_CHARACTERS, MOST_RESULTS = 32 * 1024 * 1024, 5000
#: So many characters of each text are kept, and so many references.
MOST_OF_NAME, MOST_OF_TITLE, MOST_OF_TEXT, MOST_REFERENCES = 200, 300, 2000, 30
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


class ScannerError(AlpaconError):
    """The output of a scanner has no results that can be read; str() says why."""


@dataclass(frozen=True)
class NamedResult:
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


def severity_of(word: str) -> str | None:
    """Return the severity for a word of a scanner; None for another word, such as ``unknown``."""
    return _SEVERITIES.get(word.strip().casefold())


def missing(message: str) -> NamedResult:
    """Return the result that says that others are missing."""
    return NamedResult(MISSING, UNKNOWN, "The scanner came to its end", message=message)


def merged(results: Iterable[NamedResult]) -> list[NamedResult]:
    """Return one result for each name: the worst outcome, and the texts of those with this outcome."""
    kept: dict[str, list[NamedResult]] = {}
    for result in results:
        kept.setdefault(short(result.name) or "unnamed", []).append(result)
    return [_merge(name, same) for name, same in kept.items()]


def _merge(name: str, same: Sequence[NamedResult]) -> NamedResult:
    outcome = min((result.outcome for result in same), key=_WORST_FIRST.index)
    telling = [result for result in same if result.outcome == outcome]
    messages = dict.fromkeys(result.message for result in telling if result.message)
    severity = max((result.severity for result in telling if result.severity), key=SEVERITIES.index, default=None)
    return replace(telling[0], name=name, severity=severity, message="\n".join(messages))


def shown(result: NamedResult) -> NamedResult:
    """Return a result as it is kept: with bounded texts, and without terminal escapes."""
    title = short(result.title, MOST_OF_TITLE)
    silence = {UNKNOWN: "The scanner does not say why.", FAILED: f"The rule is not met{': ' if title else '.'}{title}"}
    return replace(
        result,
        title=title,
        rationale=_whole(result.rationale),
        remedy=_whole(result.remedy),
        references=tuple(short(text, MOST_OF_TITLE) for text in result.references[:MOST_REFERENCES] if text),
        message=_whole(result.message) or silence.get(result.outcome, ""),
    )


def short(text: str, most: int = MOST_OF_NAME) -> str:
    """Return a text in one line of at most so many characters."""
    words = " ".join(text[: 4 * most].split())
    return clean_line(words if len(words) <= most else f"{words[: most - 1]}…")


def _whole(text: str) -> str:
    stripped = text.strip()
    return clean(stripped if len(stripped) <= MOST_OF_TEXT else f"{stripped[: MOST_OF_TEXT - 1]}…")
