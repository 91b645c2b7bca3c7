# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""The checks of an audit: what each asks, of whom, and what an answer must be like. Nothing here knows the network."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import UsageError, did_you_mean
from ansible_collections.herdops.alpacon.plugins.module_utils._api.records import SHELLS
from ansible_collections.herdops.alpacon.plugins.module_utils._options import values as _values

SEVERITIES = ("info", "low", "medium", "high", "critical")
PICKS = ("first", "last", "min", "max", "sum", "count")

PASSED, FAILED, UNKNOWN = "passed", "failed", "unknown"

#: So much of an output is looked at, in characters: patterns must come to an end whatever a server sends.
LOOKED_AT = 1024 * 1024
#: So much of a line of output is shown in a message, in characters.
_SHOWN = 200
_LONGEST_NUMBER = 40

NUMBER: dict[str, dict[str, Any]] = {
    "extract": {"type": "str", "default": r"-?\d+(?:\.\d+)?"},
    "pick": {"type": "str", "default": "first", "choices": list(PICKS)},
    "at_most": {"type": "float"},
    "at_least": {"type": "float"},
    "equals": {"type": "float"},
}

CHECK: dict[str, dict[str, Any]] = {
    "name": {"type": "str", "required": True},
    "line": {"type": "str", "required": True},
    "description": {"type": "str", "default": ""},
    "remedy": {"type": "str", "default": ""},
    "set": {"type": "str"},
    "severity": {"type": "str", "default": "medium", "choices": list(SEVERITIES)},
    "shell": {"type": "str", "default": "system", "choices": list(SHELLS)},
    "username": {"type": "str"},
    "groupname": {"type": "str"},
    "rc": {"type": "list", "elements": "int", "default": [0]},
    "contains": {"type": "list", "elements": "str", "default": []},
    "matches": {"type": "list", "elements": "str", "default": []},
    "absent": {"type": "list", "elements": "str", "default": []},
    "unanswered": {"type": "list", "elements": "str", "default": []},
    "number": {"type": "dict", "options": NUMBER},
    "fact": {"type": "str"},
    "when": {"type": "list", "elements": "str", "default": []},
}

#: A single text in place of such a list must not be split at its commas.
_TEXTS = ("contains", "matches", "absent", "unanswered")


@dataclass(frozen=True)
class Answer:
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
class Judgement:
    """What an answer means to a check.

    Attributes:
        outcome: :data:`PASSED`, :data:`FAILED`, or :data:`UNKNOWN` where the answer does not tell.
        message: why, for a person.
        value: the number that was found in the output, if the check looks for one.
    """

    outcome: str
    message: str = ""
    value: float | int | None = None


@dataclass(frozen=True)
class Number:
    """A number in the output, and between what it must be."""

    extract: re.Pattern[str]
    pick: str
    at_most: float | None
    at_least: float | None
    equals: float | None

    def find(self, output: str) -> float | int | None:
        """The number, or None where there is none."""
        found = [match.group(match.re.groups) for match in self.extract.finditer(output)]
        if self.pick == "count":
            return len(found)
        numbers = [_number(text) for text in found if text is not None and _is_number(text)]
        return _PICKERS[self.pick](numbers) if numbers else None

    def problem(self, value: float) -> str:
        """What is wrong with a number, or an empty string."""
        if self.equals is not None and value != self.equals:
            return f"{_shown(value)} is not {_shown(self.equals)}."
        if self.at_most is not None and value > self.at_most:
            return f"{_shown(value)} is more than {_shown(self.at_most)}."
        if self.at_least is not None and value < self.at_least:
            return f"{_shown(value)} is less than {_shown(self.at_least)}."
        return ""

    @property
    def expected(self) -> list[str]:
        """What it must be, in words."""
        bounds = (("at most", self.at_most), ("at least", self.at_least), ("equal to", self.equals))
        what = "count of matches" if self.pick == "count" else f"{self.pick} number"
        return [f"{what} is {words} {_shown(bound)}" for words, bound in bounds if bound is not None]


_PICKERS: dict[str, Callable[[list[Any]], Any]] = {
    "first": lambda numbers: numbers[0],
    "last": lambda numbers: numbers[-1],
    "min": min,
    "max": max,
    "sum": sum,
}


def _is_number(text: str) -> bool:
    # One with more digits is none that anybody compares, and Python reads no more than some thousand.
    return len(text) <= _LONGEST_NUMBER and re.fullmatch(r"\s*[-+]?(?:\d+\.?\d*|\.\d+)\s*", text, re.ASCII) is not None


def _number(text: str) -> float | int:
    return float(text) if "." in text else int(text)


def _shown(number: float) -> str:
    return str(int(number)) if number == int(number) else str(number)


@dataclass(frozen=True)
class Check:
    """A question to servers, and what counts as a good answer. See M(herdops.alpacon.alpacon_audit)."""

    name: str
    line: str
    description: str
    remedy: str
    set: str | None
    severity: str
    shell: str
    username: str | None
    groupname: str | None
    rc: tuple[int, ...]
    contains: tuple[str, ...]
    matches: tuple[re.Pattern[str], ...]
    absent: tuple[re.Pattern[str], ...]
    unanswered: tuple[re.Pattern[str], ...]
    number: Number | None
    fact: str | None
    when: tuple[str, ...]

    def applies_to(self, groups: Collection[str]) -> bool:
        """Whether a host in these groups is asked."""
        needed = [name for name in self.when if not name.startswith("!")]
        excluded = [name[1:] for name in self.when if name.startswith("!")]
        return (not needed or any(name in groups for name in needed)) and not any(name in groups for name in excluded)

    @property
    def expected(self) -> list[str]:
        """What a good answer is like, in words."""
        return [
            f"exit code {' or '.join(str(code) for code in self.rc)}",
            *(f"output contains {text}" for text in self.contains),
            *(f"output matches {pattern.pattern}" for pattern in self.matches),
            *(f"output does not match {pattern.pattern}" for pattern in self.absent),
            *(self.number.expected if self.number else ()),
        ]

    def judge(self, answer: Answer) -> Judgement:
        """Compare an answer with what is expected."""
        output = answer.output[:LOOKED_AT]
        complete = answer.complete and len(output) == len(answer.output)
        value = self.number.find(output) if self.number else None
        said = next(filter(None, (_line_of(pattern, output) for pattern in self.unanswered)), None)
        if said is not None:
            return Judgement(UNKNOWN, f"The server says: {said}")
        problems = [*self._rc_problems(answer, output), *self._forbidden(output)]
        if not problems:
            unsure = self._unsure(answer, complete, value)
            if unsure:
                return Judgement(UNKNOWN, unsure)
            problems = [*self._missing(output), *self._number_problems(value)]
        if problems:
            return Judgement(FAILED, " ".join(problems), value)
        return Judgement(PASSED, f"The number is {_shown(value)}." if value is not None else "As expected.", value)

    def fact_of(self, answer: Answer, judgement: Judgement, limit: int) -> Any:
        """What comes out under the name of the fact: the number, else the output up to so many characters."""
        return judgement.value if self.number else answer.output.strip()[:limit]

    def _rc_problems(self, answer: Answer, output: str) -> list[str]:
        if answer.rc in self.rc or (not answer.rc_stated and answer.rc != 0 and set(self.rc) - {0}):
            return []
        stated = f"Exit code {answer.rc}" if answer.rc_stated or answer.rc == 0 else "An exit code other than 0"
        words = output.strip().splitlines()[-1:]
        said = f" The output ends with: {words[0][:_SHOWN]}" if words else ""
        return [f"{stated}, where {' or '.join(str(code) for code in self.rc)} is expected.{said}"]

    def _forbidden(self, output: str) -> list[str]:
        lines = [(pattern, _line_of(pattern, output)) for pattern in self.absent]
        return [f"The output matches {pattern.pattern}: {line}" for pattern, line in lines if line is not None]

    def _missing(self, output: str) -> list[str]:
        return [
            *(f"The output does not contain {text}." for text in self.contains if text not in output),
            *(f"The output does not match {p.pattern}." for p in self.matches if not p.search(output)),
        ]

    def _number_problems(self, value: float | None) -> list[str]:
        problem = self.number.problem(value) if self.number and value is not None else ""
        return [problem] if problem else []

    def _unsure(self, answer: Answer, complete: bool, value: float | None) -> str:
        """Why an answer in which nothing is wrong is no good answer either, or an empty string."""
        if answer.rc != 0 and not answer.rc_stated:
            return "The workspace does not tell exit codes other than 0, so that nobody can say which one it was."
        if not complete and (self.contains or self.matches or self.absent or self.number):
            return "Not all of the output is there, so that nobody can say what else it has."
        if self.number and value is None:
            return f"There is no number in the output (looked for {self.number.extract.pattern})."
        return ""


def _line_of(pattern: re.Pattern[str], text: str) -> str | None:
    """The line that a pattern matches first, cut to what fits into a message; None where it matches nowhere."""
    match = pattern.search(text)
    if match is None:
        return None
    start = text.rfind("\n", 0, match.start()) + 1
    end = text.find("\n", match.start())
    return text[start : end if end >= 0 else len(text)].strip()[:_SHOWN]


def is_at_least(severity: str, bound: str) -> bool:
    """Whether a severity is as bad as another, or worse."""
    return SEVERITIES.index(severity) >= SEVERITIES.index(bound)


# Reading checks


def read(option: str, given: Sequence[Mapping[str, Any]]) -> list[Check]:
    """Read checks as a task gives them.

    Raises:
        UsageError: which check, which of its keys, what is wrong, what would be right.
    """
    if not given:
        raise UsageError(option, "there is no check", "Give at least one, with name and line.")
    checks = [_Reader(option, number, check).check() for number, check in enumerate(given, start=1)]
    seen: dict[str, int] = {}
    for number, check in enumerate(checks, start=1):
        if check.name in seen:
            raise UsageError(
                option, f"checks {seen[check.name]} and {number} are both named {check.name}", "Rename one of them."
            )
        seen[check.name] = number
    return checks


def choose(checks: Sequence[Check], skip: Sequence[str], severities: Mapping[str, Any]) -> list[Check]:
    """Leave out the checks named in O(skip), and give those in O(severities) another severity."""
    names = [check.name for check in checks]
    for option, given in (("skip", skip), ("severities", severities)):
        for name in given:
            if name not in names:
                remedy = did_you_mean(name, names, f"There are: {', '.join(names)}.")
                raise UsageError(option, f"there is no check {name}", remedy)
    for name, severity in severities.items():
        if severity not in SEVERITIES:
            raise UsageError(
                "severities", f"{name}: '{severity}' is no severity", f"Give one of {', '.join(SEVERITIES)}."
            )
    chosen = [replace(c, severity=severities.get(c.name, c.severity)) for c in checks if c.name not in skip]
    if not chosen:
        raise UsageError("skip", "no check is left", "Leave at least one.")
    return chosen


class _Reader:
    """Reads one check.

    Args:
        number: which one it is, counted from 1.
    """

    def __init__(self, option: str, number: int, given: Mapping[str, Any]) -> None:
        self._given = given
        name = given.get("name")
        self._option = (
            f"{option}, check {number} ({name})" if isinstance(name, str) and name else f"{option}, check {number}"
        )

    def check(self) -> Check:
        """The check that is given."""
        self._refuse_unknown(self._given, CHECK)
        if isinstance(self._given.get("number"), Mapping):
            self._refuse_unknown(self._given["number"], NUMBER, "number.")
        values = self._validated()
        return Check(
            name=self._not_blank("name", values["name"]),
            line=_values.line(self._of("line"), values["line"]),
            description=values["description"],
            remedy=values["remedy"],
            set=values["set"] or None,
            severity=values["severity"],
            shell=values["shell"],
            username=values["username"] or None,
            groupname=values["groupname"] or None,
            rc=self._codes(values["rc"]),
            contains=tuple(self._not_blank("contains", text) for text in values["contains"]),
            matches=self._patterns("matches", values["matches"]),
            absent=self._patterns("absent", values["absent"]),
            unanswered=self._patterns("unanswered", values["unanswered"]),
            number=self._number(values),
            fact=self._fact(values["fact"]),
            when=tuple(self._group(group) for group in values["when"]),
        )

    def _of(self, key: str) -> str:
        return f"{self._option}: {key}"

    def _refuse_unknown(self, given: Mapping[str, Any], known: Iterable[str], prefix: str = "") -> None:
        for key in given:
            if key in known:
                continue
            remedy = did_you_mean(key, known, f"It may have: {', '.join(known)}.", prefix)
            raise UsageError(self._of(f"{prefix}{key}"), "a check has no such key", remedy)

    def _validated(self) -> dict[str, Any]:
        given = {
            key: [value] if key in _TEXTS and isinstance(value, str) else value for key, value in self._given.items()
        }
        validated = ArgumentSpecValidator(CHECK).validate(given)
        if validated.error_messages:
            raise UsageError(self._option, validated.error_messages[0])
        values: dict[str, Any] = validated.validated_parameters
        return {key: spec.get("default") if values.get(key) is None else values[key] for key, spec in CHECK.items()}

    def _not_blank(self, key: str, text: str) -> str:
        if not text.strip():
            raise UsageError(
                self._of(key), "it is empty", "Give a text, or leave it out." if key != "name" else "Give one."
            )
        return text

    def _group(self, text: str) -> str:
        sign = "!" if text.strip().startswith("!") else ""
        return sign + self._not_blank("when", text.strip()[len(sign) :]).strip()

    def _codes(self, codes: Sequence[int]) -> tuple[int, ...]:
        if not codes:
            raise UsageError(self._of("rc"), "no exit code would be right", "Name at least one, or leave rc out for 0.")
        return tuple(codes)

    def _patterns(self, key: str, texts: Sequence[str]) -> tuple[re.Pattern[str], ...]:
        return tuple(self._pattern(key, text) for text in texts)

    def _pattern(self, key: str, text: str) -> re.Pattern[str]:
        try:
            return re.compile(self._not_blank(key, text), re.MULTILINE)
        except re.error as error:
            raise UsageError(
                self._of(key),
                f"'{text}' is no regular expression: {error}",
                "Write a backslash before what is meant literally.",
            ) from error

    def _number(self, values: Mapping[str, Any]) -> Number | None:
        given = values["number"]
        if given is None:
            return None
        bounds = {name: given.get(name) for name in ("at_most", "at_least", "equals")}
        if not values["fact"] and not any(bound is not None for bound in bounds.values()):
            raise UsageError(
                self._of("number"),
                "it is compared with nothing",
                "Give at_most, at_least or equals, or a fact to keep it as.",
            )
        extract = self._pattern("number.extract", given["extract"])
        if extract.groups > 1:
            raise UsageError(
                self._of("number.extract"),
                f"it has {extract.groups} groups",
                "Leave one pair of parentheses, around the number, and write the others as (?:...).",
            )
        return Number(extract, given["pick"], **bounds)

    def _fact(self, name: str | None) -> str | None:
        if name and not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            raise UsageError(
                self._of("fact"), f"'{name}' is no name of a variable", "Use letters, digits and underscores."
            )
        return name or None
