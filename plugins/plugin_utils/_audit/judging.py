# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""What the answers of servers mean to checks."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .checks import PROBLEMS, RESULTS, Check
from .numbers import shown as shown_number
from .outcomes import FAILED, NOT_APPLICABLE, PASSED, UNKNOWN
from .questions import CheckAnswer
from .scanners import FORMATS

#: So much of an output is looked at, in characters: patterns must come to an end whatever a server sends.
LOOKED_AT = 1024 * 1024
#: A word in braces in a message, which stands for what is known by this name.
PLACEHOLDER = r"\{([a-z_][a-z0-9_]*)\}"
#: So much of a line of output is shown in a message, and so many problems are, in characters and in number.
_SHOWN, _SHOWN_PROBLEMS = 200, 20
#: So many facts are taken from an answer.
_MOST_FACTS = 50
#: What begins a line that means something, of the kind that tells problems; and the line that ends it.
_PROBLEM, _UNKNOWN, _NOT_APPLICABLE, _FACT = "problem:", "unknown:", "not applicable:", "fact:"
_DONE = "done"
#: What a shell adds to the number of the signal that ended a program, and how many signals there are.
_BY_SIGNAL, _SIGNALS = 128, 32


@dataclass(frozen=True)
class CheckOutcome:
    """What an answer means to a check.

    Attributes:
        outcome: one of :data:`.outcomes.OUTCOMES`, :data:`UNKNOWN` where the answer does not tell.
        message: why, for a person.
        value: the number that was found in the output, if the check looks for one.
        facts: what the answer tells besides.
        evidence: where in the output the reason stands, as its first character; None where it has no place.
    """

    outcome: str
    message: str = ""
    value: float | int | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    evidence: int | None = None


def judge(check: Check, answer: CheckAnswer, fact_limit: int = 2000) -> CheckOutcome:
    """Compare an answer with what is expected.

    Args:
        fact_limit: so many characters of an output become a fact.
    """
    if not answer.applies:
        if answer.out_of_time:
            return CheckOutcome(UNKNOWN, _too_long(check))
        return CheckOutcome(NOT_APPLICABLE, "It does not apply to this server.")
    output = answer.output[:LOOKED_AT]
    complete = answer.complete and len(output) == len(answer.output)
    if check.kind == PROBLEMS:
        return _judge_problems(check, answer, output, complete, fact_limit)
    if answer.out_of_time and answer.rc not in check.rc:
        return CheckOutcome(UNKNOWN, _too_long(check))
    if check.kind == RESULTS:
        return _judge_results(check, answer)
    return _judge_output(check, answer, output, complete, fact_limit)


def _judge_results(check: Check, answer: CheckAnswer) -> CheckOutcome:
    """Whether the output of another tool is whole."""
    if not answer.complete:
        return CheckOutcome(UNKNOWN, _INCOMPLETE)
    signal = answer.rc - _BY_SIGNAL
    if 0 < signal < _SIGNALS and check.results and not FORMATS[check.results["format"]].tells_end:
        return CheckOutcome(UNKNOWN, f"The scanner was ended by signal {signal}.")
    return CheckOutcome(PASSED)


def fill(text: str, known: Mapping[str, str]) -> str:
    """A message with what is known in place of the words in braces."""
    return re.sub(PLACEHOLDER, lambda found: known.get(found[1], found[0]), text)


def _too_long(check: Check) -> str:
    return f"The server took longer than {check.timeout} s."


# Lines that tell problems


def _judge_problems(check: Check, answer: CheckAnswer, output: str, complete: bool, limit: int) -> CheckOutcome:
    lines = output.splitlines()
    facts = _facts(check, lines, limit)
    problems, evidence = _told(lines, _PROBLEM), _place(output, _PROBLEM)
    if problems:
        return CheckOutcome(FAILED, _sentences(problems), facts=facts, evidence=evidence)
    unknown = _told(lines, _UNKNOWN)
    if answer.out_of_time and _DONE not in lines:
        return CheckOutcome(UNKNOWN, _sentences([_too_long(check), *unknown]), facts=facts)
    if unknown:
        return CheckOutcome(UNKNOWN, _sentences(unknown), facts=facts, evidence=_place(output, _UNKNOWN))
    excuses = _told(lines, _NOT_APPLICABLE)
    if excuses:
        return CheckOutcome(NOT_APPLICABLE, _sentences(excuses), facts=facts, evidence=_place(output, _NOT_APPLICABLE))
    if not complete:
        return CheckOutcome(UNKNOWN, _INCOMPLETE, facts=facts)
    if not lines or lines[-1] != _DONE:
        return CheckOutcome(UNKNOWN, f"The check did not come to its end.{_ending(output)}", facts=facts)
    return CheckOutcome(PASSED, "No problem was found.", facts=facts)


def _told(lines: Sequence[str], begin: str) -> list[str]:
    """What lines with this beginning tell, each once, cut to what fits into a message."""
    told = _behind(lines, begin)
    return list(dict.fromkeys(text[:_SHOWN] or "The check does not say what it is." for text in told))


def _place(output: str, begin: str) -> int | None:
    found = re.search(f"^{re.escape(begin)}", output, re.MULTILINE)
    return found.start() if found else None


def _sentences(texts: Sequence[str]) -> str:
    shown = [text if text.endswith((".", "!", "?")) else f"{text}." for text in texts[:_SHOWN_PROBLEMS]]
    more = len(texts) - len(shown)
    return " ".join([*shown, *([f"And {more} more."] if more else [])])


def _facts(check: Check, lines: Sequence[str], limit: int) -> dict[str, Any]:
    """The facts that lines tell, of those that the check has: others may come from what the server has written."""
    facts: dict[str, Any] = {}
    for text in _behind(lines, _FACT):
        name, given, value = text.partition("=")
        if given and name.strip() in check.facts and len(facts) < _MOST_FACTS:
            facts[name.strip()] = _fact_value(value.strip()[:limit])
    return facts


def _behind(lines: Sequence[str], begin: str) -> list[str]:
    return [line[len(begin) :].strip() for line in lines if line.startswith(begin)]


def _fact_value(text: str) -> Any:
    if re.fullmatch(r"-?[0-9]{1,15}", text):
        return int(text)
    return float(text) if re.fullmatch(r"-?[0-9]{1,15}\.[0-9]{1,15}", text) else text


# Outputs that are compared


def _judge_output(check: Check, answer: CheckAnswer, output: str, complete: bool, limit: int) -> CheckOutcome:
    value = check.number.find(output) if check.number else None
    said = next(filter(None, (_line_of(pattern, output) for pattern in check.unanswered)), None)
    if said is not None:
        return CheckOutcome(UNKNOWN, f"The server says: {said.text}", evidence=said.start)
    problems = [*_rc_problems(check, answer, output), *_forbidden(check, output)]
    if not problems:
        unsure = _unsure(check, answer, complete, value)
        if unsure:
            return CheckOutcome(UNKNOWN, unsure)
        problems = [*_missing(check, output), *_number_problems(check, value, output)]
    facts = {name: value if check.number else output.strip()[:limit] for name in check.facts}
    evidence = next((one.start for one in problems if one.start is not None), None)
    if problems:
        message = _own_message(check, answer, output, value) or " ".join(one.text for one in problems)
        return CheckOutcome(FAILED, message, value, facts, evidence)
    good = f"It is {check.number.shown(value)}." if check.number and value is not None else "As expected."
    return CheckOutcome(PASSED, good, value, facts)


@dataclass(frozen=True)
class _Said:
    """Words about an output, and where in it what they are about begins."""

    text: str
    start: int | None = None


def _own_message(check: Check, answer: CheckAnswer, output: str, value: float | int | None) -> str:
    """The message of the check itself with what is known, or an empty string where it has none."""
    if not check.message:
        return ""
    found = [line for pattern in check.absent if (line := _line_of(pattern, output))]
    last = output.strip().splitlines()[-1:] or [""]
    known = {
        **{name: _as_text(parameter)[:_SHOWN] for name, parameter in check.parameters.items()},
        **{name: shown_number(bound) for name, bound in check.bounds.items()},
        "value": "" if value is None else shown_number(value),
        "unit": check.number.unit if check.number else "",
        "line": found[0].text if found else last[0][:_SHOWN],
        "rc": str(answer.rc),
    }
    return fill(check.message, known)


def _as_text(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _rc_problems(check: Check, answer: CheckAnswer, output: str) -> list[_Said]:
    if answer.rc in check.rc or (not answer.rc_stated and answer.rc != 0 and set(check.rc) - {0}):
        return []
    stated = f"Exit code {answer.rc}" if answer.rc_stated or answer.rc == 0 else "An exit code other than 0"
    expected = " or ".join(str(code) for code in check.rc)
    return [_Said(f"{stated}, where {expected} is expected.{_ending(output)}", len(output.rstrip()) or None)]


def _ending(output: str) -> str:
    words = output.strip().splitlines()[-1:]
    return f" The output ends with: {words[0][:_SHOWN]}" if words else ""


def _forbidden(check: Check, output: str) -> list[_Said]:
    lines = [_line_of(pattern, output) for pattern in check.absent]
    return [_Said(f"The server says: {line.text}", line.start) for line in lines if line is not None]


def _missing(check: Check, output: str) -> list[_Said]:
    begins = output.strip().splitlines()[:1]
    said = f"It begins with: {begins[0][:_SHOWN]}" if begins else "It is empty."
    unmatched = any(not pattern.search(output) for pattern in check.matches)
    return [
        *(_Said(f"The output does not contain {text}.") for text in check.contains if text not in output),
        *([_Said(f"The output is not as expected. {said}")] if unmatched else []),
    ]


def _number_problems(check: Check, value: float | None, output: str) -> list[_Said]:
    if not check.number or value is None:
        return []
    problem = check.number.problem(value, check.bounds)
    return [_Said(problem, check.number.place(value, output))] if problem else []


_INCOMPLETE = "Not all of the output is there, so that nobody can say what else it has."


def _unsure(check: Check, answer: CheckAnswer, complete: bool, value: float | None) -> str:
    """Why an answer in which nothing is wrong is no good answer either, or an empty string."""
    if answer.rc != 0 and not answer.rc_stated:
        return "The workspace does not tell exit codes other than 0, so that nobody can say which one it was."
    if not complete and (check.contains or check.matches or check.absent or check.number):
        return _INCOMPLETE
    if check.number and value is None:
        return "There is no number in the output where one is looked for."
    return ""


def _line_of(pattern: re.Pattern[str], text: str) -> _Said | None:
    """The line that a pattern matches first, cut to what fits into a message; None where it matches nowhere."""
    match = pattern.search(text)
    if match is None:
        return None
    start = text.rfind("\n", 0, match.start()) + 1
    end = text.find("\n", match.start())
    return _Said(text[start : end if end >= 0 else len(text)].strip()[:_SHOWN], start)
