# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""What the answers of servers mean to checks."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from .checks import Check
from .numbers import shown
from .outcomes import FAILED, PASSED, UNKNOWN

#: So much of an output is looked at, in characters: patterns must come to an end whatever a server sends.
LOOKED_AT = 1024 * 1024
#: So much of a line of output is shown in a message, in characters.
_SHOWN = 200


@dataclass(frozen=True)
class CheckAnswer:
    """What a server answered.

    Attributes:
        rc: exit code.
        rc_stated: whether the workspace told it; otherwise it is only known whether it was 0.
        output: what the command wrote.
        complete: whether nothing of the output is missing.
    """

    rc: int
    output: str
    rc_stated: bool = True
    complete: bool = True


@dataclass(frozen=True)
class CheckOutcome:
    """What an answer means to a check.

    Attributes:
        outcome: :data:`PASSED`, :data:`FAILED`, or :data:`UNKNOWN` where the answer does not tell.
        message: why, for a person.
        value: the number that was found in the output, if the check looks for one.
    """

    outcome: str
    message: str = ""
    value: float | int | None = None


def judge(check: Check, answer: CheckAnswer) -> CheckOutcome:
    """Compare an answer with what is expected."""
    output = answer.output[:LOOKED_AT]
    complete = answer.complete and len(output) == len(answer.output)
    value = check.number.find(output) if check.number else None
    said = next(filter(None, (_line_of(pattern, output) for pattern in check.unanswered)), None)
    if said is not None:
        return CheckOutcome(UNKNOWN, f"The server says: {said}")
    problems = [*_rc_problems(check, answer, output), *_forbidden(check, output)]
    if not problems:
        unsure = _unsure(check, answer, complete, value)
        if unsure:
            return CheckOutcome(UNKNOWN, unsure)
        problems = [*_missing(check, output), *_number_problems(check, value)]
    if problems:
        return CheckOutcome(FAILED, " ".join(problems), value)
    return CheckOutcome(PASSED, f"The number is {shown(value)}." if value is not None else "As expected.", value)


def fact_of(check: Check, answer: CheckAnswer, judged: CheckOutcome, limit: int) -> Any:
    """What comes out under the name of the fact: the number, else the output up to so many characters."""
    return judged.value if check.number else answer.output.strip()[:limit]


def _rc_problems(check: Check, answer: CheckAnswer, output: str) -> list[str]:
    if answer.rc in check.rc or (not answer.rc_stated and answer.rc != 0 and set(check.rc) - {0}):
        return []
    stated = f"Exit code {answer.rc}" if answer.rc_stated or answer.rc == 0 else "An exit code other than 0"
    words = output.strip().splitlines()[-1:]
    said = f" The output ends with: {words[0][:_SHOWN]}" if words else ""
    return [f"{stated}, where {' or '.join(str(code) for code in check.rc)} is expected.{said}"]


def _forbidden(check: Check, output: str) -> list[str]:
    lines = [(pattern, _line_of(pattern, output)) for pattern in check.absent]
    return [f"The output matches {pattern.pattern}: {line}" for pattern, line in lines if line is not None]


def _missing(check: Check, output: str) -> list[str]:
    return [
        *(f"The output does not contain {text}." for text in check.contains if text not in output),
        *(f"The output does not match {p.pattern}." for p in check.matches if not p.search(output)),
    ]


def _number_problems(check: Check, value: float | None) -> list[str]:
    problem = check.number.problem(value) if check.number and value is not None else ""
    return [problem] if problem else []


def _unsure(check: Check, answer: CheckAnswer, complete: bool, value: float | None) -> str:
    """Why an answer in which nothing is wrong is no good answer either, or an empty string."""
    if answer.rc != 0 and not answer.rc_stated:
        return "The workspace does not tell exit codes other than 0, so that nobody can say which one it was."
    if not complete and (check.contains or check.matches or check.absent or check.number):
        return "Not all of the output is there, so that nobody can say what else it has."
    if check.number and value is None:
        return f"There is no number in the output (looked for {check.number.extract.pattern})."
    return ""


def _line_of(pattern: re.Pattern[str], text: str) -> str | None:
    """The line that a pattern matches first, cut to what fits into a message; None where it matches nowhere."""
    match = pattern.search(text)
    if match is None:
        return None
    start = text.rfind("\n", 0, match.start()) + 1
    end = text.find("\n", match.start())
    return text[start : end if end >= 0 else len(text)].strip()[:_SHOWN]
