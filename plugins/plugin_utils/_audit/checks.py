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

from ...module_utils._api.errors import UsageError
from ...module_utils._options import values
from .scanners import parse_results_options
from .scanners.results import SEVERITIES

#: Kinds of answers: an output to compare, a list of problems, or the results of another tool.
OUTPUT, PROBLEMS, RESULTS = ("output", "problems", "results")

OPERATORS: dict[str, tuple[Callable[[float, float], bool], str]] = {
    "<=": (operator.le, "at most"),
    ">=": (operator.ge, "at least"),
    "==": (operator.eq, "exactly"),
}


@dataclass(frozen=True)
class Check:
    """A check. M(herdops.alpacon.alpacon_audit) describes the keys.

    Attributes:
        number: one of :data:`OPERATORS`, and the bound or the name of the parameter that is the bound.
        functions: shell code that runs before the line and before O(applies_if).
        files: names of the files that the line writes into C($audit_files), see :mod:`.scanner_files`.
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
    files: tuple[str, ...] = ()
    looks_at: str = ""
    set: str | None = None

    def with_parameters(self, values: Mapping[str, Any]) -> Check:
        """Return the check with these values of its parameters. Other names are ignored."""
        own = {name: values[name] for name in self.parameters if name in values}
        return replace(self, parameters={**self.parameters, **own}) if own else self

    def is_within_limit(self, value: float) -> bool:
        return self.number is None or OPERATORS[self.number[0]][0](value, self._bound)

    @property
    def limit(self) -> str:
        return f"{OPERATORS[self.number[0]][1]} {format_number(self._bound)}" if self.number else ""

    @property
    def _bound(self) -> float:
        bound: Any = self.number[1] if self.number else 0.0
        value: float = self.parameters[bound] if isinstance(bound, str) else bound
        return value

    @property
    def expected(self) -> list[str]:
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
    return str(int(number)) if number == int(number) else str(number)


CHECK_SPEC: dict[str, dict[str, Any]] = {
    "name": {"type": "str", "required": True},
    "line": {"type": "str", "required": True},
    "title": {"type": "str", "default": ""},
    "rationale": {"type": "str", "default": ""},
    "remedy": {"type": "str", "default": ""},
    "references": {"type": "list", "elements": "str", "default": []},
    # As the default of fail_on.
    "severity": {"type": "str", "default": "high", "choices": list(SEVERITIES)},
    "username": {"type": "str"},
    "applies_if": {"type": "str"},
    "looks_at": {"type": "str", "default": ""},
    "parameters": {"type": "dict", "default": {}},
    "timeout": {"type": "int", "default": 30},
    "kind": {"type": "str", "choices": [OUTPUT, PROBLEMS]},
    "matches": {"type": "list", "elements": "str", "default": []},
    "absent": {"type": "list", "elements": "str", "default": []},
    "number": {"type": "str"},
    "results": {"type": "dict"},
}

#: Lists in which a single text is one element, even if it has commas.
_TEXT_LISTS = ("matches", "absent", "references")
_MAX_TIMEOUT = 3600
#: The code of a check is one argument of a program. In characters.
_MAX_CODE = 100_000


def parse_checks(
    option: str, rows: Sequence[Mapping[str, Any]], functions: str = "", check_set: str | None = None
) -> list[Check]:
    """Parse the checks of a task or a check set.

    Args:
        functions: shell code that runs before the code of each check.

    Raises:
        UsageError: names the check and the key.
    """
    if not rows:
        raise UsageError(option, "there is no check", "Give at least one, with name and line.")
    checks: dict[str, Check] = {}
    for number, row in enumerate(rows, start=1):
        name = row.get("name")
        label = f"check {number} ({name})" if isinstance(name, str) and name else f"check {number}"
        check = _parse_check(f"{option}, {label}", row, functions, check_set)
        if check.name in checks:
            first = list(checks).index(check.name) + 1
            problem = f"checks {first} and {number} are both named {check.name}"
            raise UsageError(option, problem, "Rename one of them.")
        checks[check.name] = check
    return list(checks.values())


@cache
def check_syntax(option: str, code: str) -> None:
    done = subprocess.run(["/bin/sh", "-n"], input=code.encode(), capture_output=True, check=False)
    lines = done.stderr.decode(errors="replace").splitlines()
    if done.returncode and lines:
        problem = f"the shell cannot parse it: {re.sub(r'^[^ ]*sh: ', '', lines[0])}"
        raise UsageError(option, problem, "Write code for a POSIX shell.")


def parse_parameter(option: str, default: Any, value: Any) -> Any:
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


def _parse_check(option: str, row: Mapping[str, Any], functions: str, check_set: str | None) -> Check:
    options = _validate_check(option, row)
    kind = options["kind"] or OUTPUT if options["results"] is None else RESULTS
    for key in ("matches", "absent", "number"):
        if kind != OUTPUT and options[key]:
            raise UsageError(f"{option}: {key}", f"it cannot be used with kind {kind}", "Leave it out.")
    if not 1 <= options["timeout"] <= _MAX_TIMEOUT:
        problem = f"it is {options['timeout']}"
        raise UsageError(f"{option}: timeout", problem, f"Give seconds from 1 to {_MAX_TIMEOUT}.")
    size = sum(len(options[key] or "") for key in ("line", "applies_if", "looks_at")) + len(functions)
    if size > _MAX_CODE:
        problem = f"the code has {size:,} characters, and at most {_MAX_CODE:,} are allowed"
        raise UsageError(f"{option}: line", problem, "Shorten it.")
    check_syntax(f"{option}: line", options["line"])
    check_syntax(f"{option}: applies_if", options["applies_if"] or "")
    check_syntax(f"{option}: looks_at", options["looks_at"])
    values.check_code(f"{option}: line", options["line"])
    parameters = _parse_defaults(option, options["parameters"])
    return Check(
        **{key: options[key] for key in ("line", "title", "rationale", "remedy", "severity", "timeout", "looks_at")},
        name=_check_not_blank(f"{option}: name", options["name"]),
        references=tuple(_check_not_blank(f"{option}: references", text) for text in options["references"]),
        username=_parse_username(f"{option}: username", options["username"]),
        applies_if=(options["applies_if"] or "").strip() or None,
        parameters=parameters,
        kind=kind,
        matches=_compile_patterns(f"{option}: matches", options["matches"]),
        absent=_compile_patterns(f"{option}: absent", options["absent"]),
        number=_parse_limit(f"{option}: number", options["number"], parameters) if options["number"] else None,
        results=None if kind != RESULTS else parse_results_options(f"{option}: results", options["results"]),
        functions=functions,
        set=check_set,
    )


def _validate_check(option: str, row: Mapping[str, Any]) -> dict[str, Any]:
    # Ansible's validation would convert true and false silently, and split a text at its commas.
    for key, spec in CHECK_SPEC.items():
        value = row.get(key)
        elements = value if isinstance(value, (list, tuple)) else [value]
        if spec.get("elements", spec["type"]) in ("str", "int") and any(isinstance(one, bool) for one in elements):
            problem = "it is true or false; in YAML, so are the words yes, no, on and off"
            raise UsageError(f"{option}: {key}", problem, "Put the word in quotes.")
        if spec["type"] == "str" and isinstance(value, (list, tuple, Mapping)):
            raise UsageError(f"{option}: {key}", "it is not a text", "Give one text.")
    options = {
        key: [value] if key in _TEXT_LISTS and isinstance(value, str) else value
        for key, value in row.items()
        if value is not None
    }
    return values.validate_dictionary(option, CHECK_SPEC, options, mutually_exclusive=[("results", "kind")])


def _parse_defaults(option: str, defaults: Mapping[Any, Any]) -> dict[str, Any]:
    parameters = {}
    for name, default in defaults.items():
        if not re.fullmatch(r"(?!alpacon_)[a-z][a-z0-9_]*", str(name)):
            remedy = "Use small letters, digits and underscores."
            raise UsageError(f"{option}: parameters.{name}", "the name is not valid", remedy)
        if default is None or isinstance(default, Mapping):
            remedy = "Give a text, a number, true or false, or a list of these."
            raise UsageError(f"{option}: parameters.{name}", "it has no default", remedy)
        parameters[str(name)] = parse_parameter(f"{option}: parameters.{name}", default, default)
    return parameters


def _check_not_blank(option: str, text: str) -> str:
    if not text.strip():
        raise UsageError(option, "it is empty", "Give a text.")
    return text


def _parse_username(option: str, text: str | None) -> str | None:
    return None if text is None else values.check_account(option, _check_not_blank(option, text))


def _compile_patterns(option: str, texts: Sequence[str]) -> tuple[re.Pattern[str], ...]:
    try:
        return tuple(re.compile(_check_not_blank(option, text), re.MULTILINE) for text in texts)
    except re.error as error:
        problem = f"'{error.pattern!s}' is not a regular expression: {error}"
        raise UsageError(option, problem, "Escape special characters with a backslash.") from error


def _parse_limit(option: str, text: str, parameters: Mapping[str, Any]) -> tuple[str, float | str]:
    found = re.fullmatch(rf"\s*({'|'.join(OPERATORS)})\s*(\S+)\s*", text)
    if found:
        bound = values.parse_number(found[2])
        if bound is not None:
            return found[1], bound
        if type(parameters.get(found[2])) in (int, float):
            return found[1], found[2]
    remedy = "Give <=, >= or == and a number or the name of a numeric parameter, such as '<= 90'."
    raise UsageError(option, f"'{text}' is not a limit", remedy)
