# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The checks of an audit: what each asks, what an answer must be like, and how a task gives them."""

from __future__ import annotations

import math
import operator
import re
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import UsageError
from ansible_collections.herdops.alpacon.plugins.module_utils._options import values
from ansible_collections.herdops.alpacon.plugins.plugin_utils._arguments import validate_dictionary

from .results import SEVERITIES
from .scanners import read_results_options

#: How the answer of a check is read: an output that is compared, lines that tell problems, results of another tool.
OUTPUT, PROBLEMS, RESULTS = KINDS = ("output", "problems", "results")

#: How a number is compared, each with words for it.
OPERATORS: dict[str, tuple[Callable[[float, float], bool], str]] = {
    "<=": (operator.le, "at most"),
    ">=": (operator.ge, "at least"),
    "==": (operator.eq, "exactly"),
}
_NUMBER = re.compile(r"(?:(?<!\w)-)?\d+(?:\.\d+)?", re.ASCII)
#: A number with more digits is refused: nobody compares one, and Python converts some thousand at most.
_LONGEST_NUMBER = 40


@dataclass(frozen=True)
class Number:
    """A limit for the first number in the output.

    Attributes:
        operator: one of :data:`OPERATORS`.
        bound: a number, or the name of the parameter that holds it.
    """

    operator: str
    bound: float | str

    @staticmethod
    def find(output: str) -> tuple[float | int, int] | None:
        """Return the first number and its position, or None if there is none."""
        found = _NUMBER.search(output)
        if found is None or len(found[0]) > _LONGEST_NUMBER:
            return None
        return (float(found[0]) if "." in found[0] else int(found[0])), found.start()


@dataclass(frozen=True)
class Check:
    """A question to servers, and what counts as a good answer. See M(herdops.alpacon.alpacon_audit).

    Attributes:
        parameters: their values, by the names that they have in the shell.
        results: how the output of another tool is read.
        functions: code that goes before the line and before O(applies_if).
        set: the check set of the library that it is from.
    """

    name: str
    line: str
    title: str
    rationale: str
    remedy: str
    references: tuple[str, ...]
    severity: str
    username: str | None
    applies_if: str | None
    # Not part of the hash: mappings have none.
    parameters: Mapping[str, Any] = field(hash=False)
    timeout: int
    kind: str
    matches: tuple[re.Pattern[str], ...]
    absent: tuple[re.Pattern[str], ...]
    number: Number | None
    results: Mapping[str, Any] | None = field(hash=False)
    functions: str = ""
    set: str | None = None

    def with_parameters(self, values: Mapping[str, Any]) -> Check:
        """Return this check with these values of its parameters."""
        own = {name: values[name] for name in self.parameters if name in values}
        return replace(self, parameters={**self.parameters, **own}) if own else self

    def is_within(self, value: float) -> bool:
        """Return True if the number in the output is as it must be."""
        if self.number is None:
            return True
        compare, _words = OPERATORS[self.number.operator]
        return compare(value, self._bound)

    @property
    def limit(self) -> str:
        """Return the limit of the number in words."""
        return f"{OPERATORS[self.number.operator][1]} {format_number(self._bound)}" if self.number else ""

    @property
    def _bound(self) -> float:
        bound: Any = self.number.bound if self.number else 0.0
        value: float = self.parameters[bound] if isinstance(bound, str) else bound
        return value

    @property
    def expected(self) -> list[str]:
        """Return the conditions of a good answer in words."""
        if self.kind == PROBLEMS:
            return ["no problem is found"]
        if self.kind == RESULTS:
            return ["every result is good"]
        return [
            "exit code 0",
            *(f"output matches {pattern.pattern}" for pattern in self.matches),
            *(f"output does not match {pattern.pattern}" for pattern in self.absent),
            *([f"first number is {self.limit}"] if self.number else ()),
        ]


def format_number(number: float) -> str:
    """Format a number without a zero fraction."""
    return str(int(number)) if number == int(number) else str(number)


CHECK: dict[str, dict[str, Any]] = {
    "name": {"type": "str", "required": True},
    "line": {"type": "str", "required": True},
    "title": {"type": "str", "default": ""},
    "rationale": {"type": "str", "default": ""},
    "remedy": {"type": "str", "default": ""},
    "references": {"type": "list", "elements": "str", "default": []},
    # As bad as what fails an audit by default.
    "severity": {"type": "str", "default": "high", "choices": list(SEVERITIES)},
    "username": {"type": "str"},
    "applies_if": {"type": "str"},
    "parameters": {"type": "dict", "default": {}},
    "timeout": {"type": "int", "default": 30},
    "kind": {"type": "str", "choices": list(KINDS)},
    "matches": {"type": "list", "elements": "str", "default": []},
    "absent": {"type": "list", "elements": "str", "default": []},
    "number": {"type": "str"},
    "results": {"type": "dict"},
}

#: A single text in place of such a list must not be split at its commas.
_TEXTS = ("matches", "absent", "references")
#: What says how an output is compared, and so goes with that kind alone.
_COMPARED = ("matches", "absent", "number")
#: The most that a check may take, in seconds, and the most that its code may, in characters: it is one argument.
_LONGEST, _LARGEST_CODE = 3600, 100_000
_SHELL_NAME = re.compile(r"[a-z][a-z0-9_]*")


# Reading


def parse_checks(
    option: str, given: Sequence[Mapping[str, Any]], functions: str = "", of_set: str | None = None
) -> list[Check]:
    """Read checks as a task gives them.

    Args:
        functions: code that goes before the code of each.
        of_set: the name of their check set.

    Raises:
        UsageError: which check, which of its keys, what is wrong, what would be right.
    """
    if not given:
        raise UsageError(option, "there is no check", "Give at least one, with name and line.")
    checks: dict[str, Check] = {}
    for number, one in enumerate(given, start=1):
        check = _CheckParser(option, number, one, functions, of_set).check()
        if check.name in checks:
            first = list(checks).index(check.name) + 1
            problem = f"checks {first} and {number} are both named {check.name}"
            raise UsageError(option, problem, "Rename one of them.")
        checks[check.name] = check
    return list(checks.values())


def check_syntax(option: str, code: str) -> None:
    """Let sh -n of this machine parse code.

    Raises:
        UsageError: the shell finds a syntax error.
    """
    said = _syntax_error(code)
    if said:
        raise UsageError(option, f"the shell cannot read it: {said}", "Write code for a POSIX shell.")


@cache
def _syntax_error(code: str) -> str:
    try:
        done = subprocess.run(["/bin/sh", "-n"], input=code.encode(), capture_output=True, check=False, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    lines = done.stderr.decode(errors="replace").splitlines()
    return re.sub(r"^\S*sh: ", "", lines[0]) if done.returncode and lines else ""


def parse_parameter(option: str, default: Any, value: Any) -> Any:
    """Convert the value of a parameter to the type of its default.

    Raises:
        UsageError: it is of another kind.
    """
    if isinstance(default, list):
        listed = value.split(",") if isinstance(value, str) else value if isinstance(value, (list, tuple)) else [value]
        words = [str(word).strip() for word in listed]
        return [values.check_no_nul(option, word) for word in words if word]
    if isinstance(default, bool):
        return values.parse_boolean(option, value, remedy="Give one of them.")
    if isinstance(default, (int, float)):
        number = values.parse_number(value)
        if number is None:
            raise UsageError(option, f"'{value}' is not a number", f"Give one, such as {default}.")
        return number
    if isinstance(value, (Mapping, list, tuple)):
        raise UsageError(option, "it is not a text", "Give a text.")
    return values.check_no_nul(option, str(value))


class _CheckParser:
    """Reads one check.

    Args:
        number: which one it is, counted from 1.
    """

    def __init__(self, option: str, number: int, given: Mapping[str, Any], functions: str, of_set: str | None) -> None:
        self._given, self._functions, self._set = given, functions, of_set
        name = given.get("name")
        self._option = f"{option}, check {number}{f' ({name})' if isinstance(name, str) and name else ''}"

    def check(self) -> Check:
        """Read the check."""
        options = self._validated()
        kind = options["kind"] or (RESULTS if options["results"] else OUTPUT)
        for key in _COMPARED:
            if kind != OUTPUT and self._given.get(key) not in (None, "", [], {}):
                raise UsageError(self._of(key), f"it does not go with kind {kind}", "Leave it out.")
        if (kind == RESULTS) != bool(options["results"]):
            remedy = "Give results with kind results, and say in it which format the output has."
            raise UsageError(self._of("results"), "kind and results do not go together", remedy)
        if not 1 <= options["timeout"] <= _LONGEST:
            remedy = f"Give seconds from 1 to {_LONGEST}."
            raise UsageError(self._of("timeout"), f"it is {options['timeout']}", remedy)
        parameters = self._parameters(options["parameters"])
        return Check(
            name=self._not_blank("name", options["name"]),
            line=self._code(options),
            title=options["title"],
            rationale=options["rationale"],
            remedy=options["remedy"],
            references=tuple(self._not_blank("references", text) for text in options["references"]),
            severity=options["severity"],
            username=options["username"] or None,
            applies_if=(options["applies_if"] or "").strip() or None,
            parameters=parameters,
            timeout=options["timeout"],
            kind=kind,
            matches=self._patterns("matches", options["matches"]),
            absent=self._patterns("absent", options["absent"]),
            number=self._number(options["number"], parameters),
            results=read_results_options(self._of("results"), options["results"]) if options["results"] else None,
            functions=self._functions,
            set=self._set,
        )

    def _code(self, options: Mapping[str, Any]) -> str:
        line: str = options["line"]
        size = len(line) + len(options["applies_if"] or "") + len(self._functions)
        if size > _LARGEST_CODE:
            problem = f"its code has {size:,} characters, and {_LARGEST_CODE:,} fit"
            raise UsageError(self._of("line"), problem, "Make it shorter.")
        for key, code in (("line", line), ("applies_if", options["applies_if"] or "")):
            check_syntax(self._of(key), code)
        return values.check_code(self._of("line"), line)

    def _parameters(self, given: Mapping[Any, Any]) -> dict[str, Any]:
        for name, value in given.items():
            key = self._of(f"parameters.{name}")
            if not _SHELL_NAME.fullmatch(str(name)) or str(name).startswith("alpacon_"):
                raise UsageError(key, "it is not a name for a parameter", "Use small letters, digits and underscores.")
            if value is None or isinstance(value, Mapping):
                raise UsageError(key, "it has no default", "Give a text, a number, true or false, or a list of these.")
        return {
            str(name): parse_parameter(self._of(f"parameters.{name}"), value, value) for name, value in given.items()
        }

    def _of(self, key: str) -> str:
        return f"{self._option}: {key}"

    def _refuse_other_types(self) -> None:
        """Refuse values that validation would convert silently."""
        for key, spec in CHECK.items():
            given, kind = self._given.get(key), spec.get("elements", spec["type"])
            listed = given if isinstance(given, (list, tuple)) else [given]
            if kind in ("str", "int") and any(isinstance(one, bool) for one in listed):
                problem = "it is true or false, as which YAML reads yes, no, on and off as well"
                raise UsageError(self._of(key), problem, "Put the word in quotes.")
            if kind == "int" and any(isinstance(one, float) and math.isinf(one) for one in listed):
                raise UsageError(self._of(key), "it is infinite", "Give a whole number.")

    def _validated(self) -> dict[str, Any]:
        self._refuse_other_types()
        given = {
            key: [value] if key in _TEXTS and isinstance(value, str) else value for key, value in self._given.items()
        }
        options = validate_dictionary(self._option, CHECK, given)
        return {key: spec.get("default") if options.get(key) is None else options[key] for key, spec in CHECK.items()}

    def _not_blank(self, key: str, text: str) -> str:
        if not text.strip():
            raise UsageError(self._of(key), "it is empty", "Give a text.")
        return text

    def _patterns(self, key: str, texts: Sequence[str]) -> tuple[re.Pattern[str], ...]:
        try:
            return tuple(re.compile(self._not_blank(key, text), re.MULTILINE) for text in texts)
        except re.error as error:
            problem = f"'{error.pattern!s}' is not a regular expression: {error}"
            remedy = "Write a backslash before what is meant literally."
            raise UsageError(self._of(key), problem, remedy) from error

    def _number(self, text: str | None, parameters: Mapping[str, Any]) -> Number | None:
        if not text:
            return None
        compared = re.fullmatch(rf"\s*({'|'.join(OPERATORS)})\s*(\S+)\s*", text)
        bound = values.parse_number(compared[2]) if compared else None
        if compared and bound is None and type(parameters.get(compared[2])) in (int, float):
            return Number(compared[1], compared[2])
        if compared is None or bound is None:
            example = "Give <=, >= or == and a number or a parameter that is one, such as '<= 90'."
            raise UsageError(self._of("number"), f"'{text}' is not a limit", example)
        return Number(compared[1], bound)
