# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Parse and validate the checks of an audit."""

from __future__ import annotations

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

from .scanners import parse_results_options
from .scanners.results import SEVERITIES

#: The answer is an output to compare, a list of problems, or the results of another tool.
OUTPUT, PROBLEMS, RESULTS = ("output", "problems", "results")

OPERATORS: dict[str, tuple[Callable[[float, float], bool], str]] = {
    "<=": (operator.le, "at most"),
    ">=": (operator.ge, "at least"),
    "==": (operator.eq, "exactly"),
}


@dataclass(frozen=True)
class Check:
    """A check. See M(herdops.alpacon.alpacon_audit) for its keys.

    Attributes:
        number: one of :data:`OPERATORS`, and a number or the name of the parameter that holds it.
        functions: code that runs before the line and before O(applies_if).
        set: the name of its check set.
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
    # Mappings have no hash.
    parameters: Mapping[str, Any] = field(hash=False)
    timeout: int
    kind: str
    matches: tuple[re.Pattern[str], ...]
    absent: tuple[re.Pattern[str], ...]
    number: tuple[str, float | str] | None
    results: Mapping[str, Any] | None = field(hash=False)
    functions: str = ""
    set: str | None = None

    def with_parameters(self, values: Mapping[str, Any]) -> Check:
        """Return this check with these values of its parameters; others are ignored."""
        own = {name: values[name] for name in self.parameters if name in values}
        return replace(self, parameters={**self.parameters, **own}) if own else self

    def is_within_limit(self, value: float) -> bool:
        return self.number is None or OPERATORS[self.number[0]][0](value, self._bound)

    @property
    def limit(self) -> str:
        """Return the limit of the number in words."""
        return f"{OPERATORS[self.number[0]][1]} {format_number(self._bound)}" if self.number else ""

    @property
    def _bound(self) -> float:
        bound: Any = self.number[1] if self.number else 0.0
        value: float = self.parameters[bound] if isinstance(bound, str) else bound
        return value

    @property
    def expected(self) -> list[str]:
        """Return the conditions for passing in words."""
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


CHECK_SPEC: dict[str, dict[str, Any]] = {
    "name": {"type": "str", "required": True},
    "line": {"type": "str", "required": True},
    "title": {"type": "str", "default": ""},
    "rationale": {"type": "str", "default": ""},
    "remedy": {"type": "str", "default": ""},
    "references": {"type": "list", "elements": "str", "default": []},
    # The default of fail_on.
    "severity": {"type": "str", "default": "high", "choices": list(SEVERITIES)},
    "username": {"type": "str"},
    "applies_if": {"type": "str"},
    "parameters": {"type": "dict", "default": {}},
    "timeout": {"type": "int", "default": 30},
    "kind": {"type": "str", "choices": [OUTPUT, PROBLEMS]},
    "matches": {"type": "list", "elements": "str", "default": []},
    "absent": {"type": "list", "elements": "str", "default": []},
    "number": {"type": "str"},
    "results": {"type": "dict"},
}

#: Lists whose single text is not split at its commas.
_TEXT_LISTS = ("matches", "absent", "references")
_MAX_TIMEOUT = 3600
#: The code of a check is one argument of a program, in characters.
_MAX_CODE = 100_000


def parse_checks(
    option: str, given: Sequence[Mapping[str, Any]], functions: str = "", check_set: str | None = None
) -> list[Check]:
    """Parse the checks of a task or a check set.

    Args:
        functions: code that runs before the code of each check.

    Raises:
        UsageError: names the check and the key.
    """
    if not given:
        raise UsageError(option, "there is no check", "Give at least one, with name and line.")
    checks: dict[str, Check] = {}
    for number, keys in enumerate(given, start=1):
        check = _CheckParser(option, number, keys).parse(functions, check_set)
        if check.name in checks:
            first = list(checks).index(check.name) + 1
            problem = f"checks {first} and {number} are both named {check.name}"
            raise UsageError(option, problem, "Rename one of them.")
        checks[check.name] = check
    return list(checks.values())


def check_syntax(option: str, code: str) -> None:
    """Refuse code that C(sh -n) cannot parse."""
    error = _find_syntax_error(code)
    if error:
        raise UsageError(option, f"the shell cannot read it: {error}", "Write code for a POSIX shell.")


@cache
def _find_syntax_error(code: str) -> str:
    try:
        done = subprocess.run(["/bin/sh", "-n"], input=code.encode(), capture_output=True, check=False, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    lines = done.stderr.decode(errors="replace").splitlines()
    return re.sub(r"^\S*sh: ", "", lines[0]) if done.returncode and lines else ""


def parse_parameter(option: str, default: Any, value: Any) -> Any:
    """Convert the value of a parameter to the type of its default."""
    if isinstance(default, list):
        words = [str(word).strip() for word in values.split_list(value)]
        return [values.check_no_nul(option, word) for word in words if word]
    if isinstance(default, bool):
        return values.parse_boolean(option, value)
    if isinstance(default, (int, float)):
        number = values.parse_number(value)
        if number is None:
            raise UsageError(option, f"'{value}' is not a number", f"Give one, such as {default}.")
        return number
    if isinstance(value, (Mapping, list, tuple)):
        raise UsageError(option, "it is not a text", "Give a text.")
    return values.check_no_nul(option, str(value))


class _CheckParser:
    """Parses one check.

    Args:
        number: its position in the option, from 1.
    """

    def __init__(self, option: str, number: int, given: Mapping[str, Any]) -> None:
        self._given = given
        name = given.get("name")
        self._option = f"{option}, check {number}{f' ({name})' if isinstance(name, str) and name else ''}"

    def parse(self, functions: str, check_set: str | None) -> Check:
        options = self._validate()
        kind = RESULTS if options["results"] else options["kind"] or OUTPUT
        for key in ("matches", "absent", "number"):
            if kind != OUTPUT and options[key]:
                raise UsageError(self._of(key), f"it does not go with kind {kind}", "Leave it out.")
        if not 1 <= options["timeout"] <= _MAX_TIMEOUT:
            remedy = f"Give seconds from 1 to {_MAX_TIMEOUT}."
            raise UsageError(self._of("timeout"), f"it is {options['timeout']}", remedy)
        self._check_code(options["line"], options["applies_if"] or "", functions)
        parameters = self._parse_parameters(options["parameters"])
        return Check(
            **{key: options[key] for key in ("line", "title", "rationale", "remedy", "severity", "timeout")},
            name=self._check_not_blank("name", options["name"]),
            references=tuple(self._check_not_blank("references", text) for text in options["references"]),
            username=options["username"] or None,
            applies_if=(options["applies_if"] or "").strip() or None,
            parameters=parameters,
            kind=kind,
            matches=self._compile("matches", options["matches"]),
            absent=self._compile("absent", options["absent"]),
            number=self._parse_number(options["number"], parameters) if options["number"] else None,
            results=parse_results_options(self._of("results"), options["results"]) if options["results"] else None,
            functions=functions,
            set=check_set,
        )

    def _of(self, key: str) -> str:
        return f"{self._option}: {key}"

    def _validate(self) -> dict[str, Any]:
        # Ansible's validation would convert these silently, or split a text.
        for key, spec in CHECK_SPEC.items():
            given, kind = self._given.get(key), spec.get("elements", spec["type"])
            listed = given if isinstance(given, (list, tuple)) else [given]
            if kind in ("str", "int") and any(isinstance(one, bool) for one in listed):
                problem = "it is true or false, as which YAML reads yes, no, on and off as well"
                raise UsageError(self._of(key), problem, "Put the word in quotes.")
        given = {
            key: [value] if key in _TEXT_LISTS and isinstance(value, str) else value
            for key, value in self._given.items()
            if value is not None
        }
        return validate_dictionary(self._option, CHECK_SPEC, given, mutually_exclusive=[("results", "kind")])

    def _check_code(self, line: str, applies_if: str, functions: str) -> None:
        size = len(line) + len(applies_if) + len(functions)
        if size > _MAX_CODE:
            problem = f"its code has {size:,} characters, and {_MAX_CODE:,} fit"
            raise UsageError(self._of("line"), problem, "Make it shorter.")
        check_syntax(self._of("line"), line)
        check_syntax(self._of("applies_if"), applies_if)
        values.check_code(self._of("line"), line)

    def _parse_parameters(self, given: Mapping[Any, Any]) -> dict[str, Any]:
        parameters = {}
        for name, value in given.items():
            option = self._of(f"parameters.{name}")
            if not re.fullmatch(r"(?!alpacon_)[a-z][a-z0-9_]*", str(name)):
                remedy = "Use small letters, digits and underscores."
                raise UsageError(option, "it is not a name for a parameter", remedy)
            if value is None or isinstance(value, Mapping):
                remedy = "Give a text, a number, true or false, or a list of these."
                raise UsageError(option, "it has no default", remedy)
            parameters[str(name)] = parse_parameter(option, value, value)
        return parameters

    def _check_not_blank(self, key: str, text: str) -> str:
        if not text.strip():
            raise UsageError(self._of(key), "it is empty", "Give a text.")
        return text

    def _compile(self, key: str, texts: Sequence[str]) -> tuple[re.Pattern[str], ...]:
        try:
            return tuple(re.compile(self._check_not_blank(key, text), re.MULTILINE) for text in texts)
        except re.error as error:
            problem = f"'{error.pattern!s}' is not a regular expression: {error}"
            remedy = "Write a backslash before what is meant literally."
            raise UsageError(self._of(key), problem, remedy) from error

    def _parse_number(self, text: str, parameters: Mapping[str, Any]) -> tuple[str, float | str]:
        found = re.fullmatch(rf"\s*({'|'.join(OPERATORS)})\s*(\S+)\s*", text)
        if found:
            bound = values.parse_number(found[2])
            if bound is not None:
                return found[1], bound
            if type(parameters.get(found[2])) in (int, float):
                return found[1], found[2]
        example = "Give <=, >= or == and a number or a parameter that is one, such as '<= 90'."
        raise UsageError(self._of("number"), f"'{text}' is not a limit", example)
