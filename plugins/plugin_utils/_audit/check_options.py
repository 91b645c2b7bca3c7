# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""Checks as a task gives them, read and checked one by one, so that an error can say which one is wrong."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import UsageError, did_you_mean
from ansible_collections.herdops.alpacon.plugins.module_utils._api.records import SHELLS
from ansible_collections.herdops.alpacon.plugins.module_utils._options import values

from .checks import KINDS, OUTPUT, PROBLEMS, RESULTS, Check
from .judging import PLACEHOLDER
from .numbers import BOUNDS, PICKS, Number
from .outcomes import SEVERITIES
from .questions import CARRYING_SHELL
from .scanners.options import read_results

NUMBER: dict[str, dict[str, Any]] = {
    "extract": {"type": "str", "default": r"-?\d+(?:\.\d+)?"},
    "pick": {"type": "str", "default": "first", "choices": list(PICKS)},
    "at_most": {"type": "raw"},
    "at_least": {"type": "raw"},
    "equals": {"type": "raw"},
    "unit": {"type": "str", "default": ""},
}

CHECK: dict[str, dict[str, Any]] = {
    "name": {"type": "str", "required": True},
    "line": {"type": "str", "required": True},
    "title": {"type": "str", "default": "", "aliases": ["description"]},
    "rationale": {"type": "str", "default": ""},
    "remedy": {"type": "str", "default": ""},
    "references": {"type": "list", "elements": "str", "default": []},
    "set": {"type": "str"},
    "severity": {"type": "str", "default": "medium", "choices": list(SEVERITIES)},
    "shell": {"type": "str", "default": CARRYING_SHELL, "choices": list(SHELLS)},
    "username": {"type": "str"},
    "groupname": {"type": "str"},
    "applies_if": {"type": "str"},
    "parameters": {"type": "dict", "default": {}},
    "timeout": {"type": "int", "default": 30},
    "kind": {"type": "str", "choices": list(KINDS)},
    "rc": {"type": "list", "elements": "int", "default": [0]},
    "contains": {"type": "list", "elements": "str", "default": []},
    "matches": {"type": "list", "elements": "str", "default": []},
    "absent": {"type": "list", "elements": "str", "default": []},
    "unanswered": {"type": "list", "elements": "str", "default": []},
    "number": {"type": "dict", "options": NUMBER},
    "message": {"type": "str"},
    "fact": {"type": "list", "elements": "str", "default": []},
    "results": {"type": "dict"},
    "when": {"type": "list", "elements": "str", "default": []},
}

#: A single text in place of such a list must not be split at its commas.
_TEXTS = ("contains", "matches", "absent", "unanswered", "references")
#: What says how an output is compared, and so goes with that kind alone.
_COMPARED = ("rc", "contains", "matches", "absent", "unanswered", "number", "message")
#: What only a shell of the server understands.
_OF_SHELLS = ("applies_if", "parameters", "timeout")
#: The most that a check may take, in seconds, and the most that its code may, in characters: it is one argument.
_LONGEST, _LARGEST_CODE = 3600, 100_000
#: So many checks are named in an error.
_NAMED = 100
_PLACEHOLDERS = ("value", "unit", "line", "rc", *BOUNDS)
_SHELL_NAME = re.compile(r"[a-z][a-z0-9_]*")


def read_checks(option: str, given: Sequence[Mapping[str, Any]], functions: str = "") -> list[Check]:
    """Read checks as a task gives them.

    Args:
        functions: code that goes before the code of each.

    Raises:
        UsageError: which check, which of its keys, what is wrong, what would be right.
    """
    if not given:
        raise UsageError(option, "there is no check", "Give at least one, with name and line.")
    checks = [_CheckReader(option, number, check, functions).check() for number, check in enumerate(given, start=1)]
    seen: dict[str, int] = {}
    for number, check in enumerate(checks, start=1):
        if check.name in seen:
            raise UsageError(
                option, f"checks {seen[check.name]} and {number} are both named {check.name}", "Rename one of them."
            )
        seen[check.name] = number
    return checks


def read_parameter(option: str, default: Any, value: Any) -> Any:
    """The value of a parameter, of the kind that its default has.

    Raises:
        UsageError: it is of another kind.
    """
    if isinstance(default, list):
        listed = value.split(",") if isinstance(value, str) else value if isinstance(value, (list, tuple)) else [value]
        words = [str(word).strip() for word in listed]
        return [values.without_nul(option, word) for word in words if word]
    if isinstance(default, bool):
        return values.truth(option, value, remedy="Give one of them.")
    if isinstance(default, (int, float)):
        number = values.finite_number(value)
        if number is None:
            raise UsageError(option, f"'{value}' is not a number", f"Give one, such as {default}.")
        return number
    if isinstance(value, (Mapping, list, tuple)):
        raise UsageError(option, "it is not a text", f"Give one, such as '{default}'.")
    return values.without_nul(option, str(value))


def choose_checks(
    checks: Sequence[Check], skip: Sequence[str], severities: Mapping[str, Any], others: Iterable[str] = ()
) -> list[Check]:
    """Leave out the checks named in O(skip), and give those in O(severities) another severity.

    Names of a check and, behind a slash, of one of its results are for that result.

    Args:
        others: names of checks that there are elsewhere, which may be named as well.
    """
    names = list(dict.fromkeys([*(check.name for check in checks), *others]))
    of_results = tuple(f"{check.name}/" for check in checks if check.kind == RESULTS)
    for option, given in (("skip", skip), ("severities", severities)):
        for name in given:
            if name not in names and not name.startswith(of_results):
                shown = [*names[:_NAMED], *([f"and {len(names) - _NAMED} more"] if len(names) > _NAMED else [])]
                remedy = did_you_mean(name, names, f"There are: {', '.join(shown)}.")
                raise UsageError(option, f"there is no check {name}", remedy)
    for name, severity in severities.items():
        if severity not in SEVERITIES:
            raise UsageError(
                "severities", f"{name}: '{severity}' is not a severity", f"Give one of {', '.join(SEVERITIES)}."
            )
    chosen = [_changed(check, skip, severities) for check in checks if check.name not in skip]
    if not chosen:
        raise UsageError("skip", "no check is left", "Leave at least one.")
    return chosen


def _changed(check: Check, skip: Sequence[str], severities: Mapping[str, Any]) -> Check:
    changed = replace(check, severity=severities[check.name]) if check.name in severities else check
    if changed.results is None:
        return changed
    begin = f"{check.name}/"
    own = {
        "skip": {name[len(begin) :] for name in skip if name.startswith(begin)},
        "severities": {name[len(begin) :]: severity for name, severity in severities.items() if name.startswith(begin)},
    }
    return replace(changed, results={**changed.results, **own}) if any(own.values()) else changed


class _CheckReader:
    """Reads one check.

    Args:
        number: which one it is, counted from 1.
    """

    def __init__(self, option: str, number: int, given: Mapping[str, Any], functions: str) -> None:
        self._given = given
        self._functions = functions
        name = given.get("name")
        self._option = (
            f"{option}, check {number} ({name})" if isinstance(name, str) and name else f"{option}, check {number}"
        )

    def check(self) -> Check:
        """The check that is given."""
        self._refuse_unknown(self._given, (*CHECK, "description"))
        if isinstance(self._given.get("number"), Mapping):
            self._refuse_unknown(self._given["number"], NUMBER, "number.")
        options = self._validated()
        kind = options["kind"] or (RESULTS if options["results"] else OUTPUT)
        self._refuse_what_does_not_go(kind, options)
        parameters = self._parameters(options["parameters"])
        return Check(
            name=self._not_blank("name", options["name"]),
            line=self._code(options),
            title=options["title"],
            rationale=options["rationale"],
            remedy=options["remedy"],
            references=tuple(self._not_blank("references", text) for text in options["references"]),
            set=options["set"] or None,
            severity=options["severity"],
            shell=options["shell"],
            username=options["username"] or None,
            groupname=options["groupname"] or None,
            applies_if=options["applies_if"] or None,
            functions=self._functions if options["shell"] == CARRYING_SHELL else "",
            timeout=self._timeout(options["timeout"]),
            kind=kind,
            rc=self._codes(options["rc"]),
            contains=tuple(self._not_blank("contains", text) for text in options["contains"]),
            matches=self._patterns("matches", options["matches"]),
            absent=self._patterns("absent", options["absent"]),
            unanswered=self._patterns("unanswered", options["unanswered"]),
            number=self._number(options, parameters),
            message=self._message(options["message"], parameters),
            facts=self._facts(options["fact"], kind),
            when=tuple(self._group(group) for group in options["when"]),
            parameters=parameters,
            results=read_results(self._of("results"), options["results"]) if options["results"] else None,
        )

    def _refuse_what_does_not_go(self, kind: str, options: Mapping[str, Any]) -> None:
        given = [key for key in CHECK if self._given.get(key) not in (None, "", [], {})]
        for key in given:
            if key in _COMPARED and kind != OUTPUT:
                raise UsageError(self._of(key), f"it does not go with kind {kind}", "Leave it out.")
            if key in _OF_SHELLS and options["shell"] != CARRYING_SHELL:
                why = f"no shell of the server runs what is for the shell {options['shell']}"
                raise UsageError(self._of(key), why, "Leave it out.")
        if (kind == RESULTS) != bool(options["results"]):
            remedy = "Give results with kind results, and say in it which format the output has."
            raise UsageError(self._of("results"), "kind and results do not go together", remedy)
        if kind != OUTPUT and options["shell"] != CARRYING_SHELL:
            raise UsageError(self._of("kind"), f"it does not go with the shell {options['shell']}", "Leave it out.")

    def _code(self, options: Mapping[str, Any]) -> str:
        line: str = options["line"]
        if options["shell"] != CARRYING_SHELL:
            return values.line(self._of("line"), line)
        size = len(line) + len(options["applies_if"] or "") + len(self._functions)
        if size > _LARGEST_CODE:
            raise UsageError(
                self._of("line"), f"its code has {size:,} characters, and {_LARGEST_CODE:,} fit", "Make it shorter."
            )
        return values.code(self._of("line"), line)

    def _timeout(self, seconds: int) -> int:
        if not 1 <= seconds <= _LONGEST:
            raise UsageError(self._of("timeout"), f"it is {seconds}", f"Give seconds from 1 to {_LONGEST}.")
        return seconds

    def _parameters(self, given: Mapping[Any, Any]) -> dict[str, Any]:
        for name, value in given.items():
            key = self._of(f"parameters.{name}")
            if not _SHELL_NAME.fullmatch(str(name)) or str(name).startswith("alpacon_"):
                raise UsageError(key, "it is not a name for a parameter", "Use small letters, digits and underscores.")
            if value is None or isinstance(value, Mapping):
                raise UsageError(key, "it has no default", "Give a text, a number, true or false, or a list of these.")
        return {
            str(name): read_parameter(self._of(f"parameters.{name}"), value, value) for name, value in given.items()
        }

    def _message(self, text: str | None, parameters: Mapping[str, Any]) -> str | None:
        known = (*_PLACEHOLDERS, *parameters)
        for name in re.findall(PLACEHOLDER, text or ""):
            if name not in known:
                remedy = did_you_mean(name, known, f"There are: {', '.join(known)}.")
                raise UsageError(self._of("message"), f"nothing is known by the name {{{name}}}", remedy)
        return text or None

    def _of(self, key: str) -> str:
        return f"{self._option}: {key}"

    def _refuse_unknown(self, given: Mapping[str, Any], known: Iterable[str], prefix: str = "") -> None:
        for key in given:
            if key in known:
                continue
            remedy = did_you_mean(key, known, f"It may have: {', '.join(known)}.", prefix)
            raise UsageError(self._of(f"{prefix}{key}"), "a check has no such key", remedy)

    def _refuse_other_types(self) -> None:
        """Refuse what validation would make a text or a number of, or break at."""
        for key, spec in CHECK.items():
            given, kind = self._given.get(key), spec.get("elements", spec["type"])
            listed = given if isinstance(given, (list, tuple)) else [given]
            if kind in ("str", "int") and any(isinstance(one, bool) for one in listed):
                problem = "it is true or false, as which YAML reads yes, no, on and off as well"
                raise UsageError(self._of(key), problem, "Put the word in quotes.")
            if kind == "int" and any(isinstance(one, float) and math.isinf(one) for one in listed):
                raise UsageError(self._of(key), "it is infinite", "Give a whole number.")
        if not isinstance(self._given.get("number"), (type(None), str, Mapping)):
            raise UsageError(self._of("number"), "it is not a dictionary", "Give one, such as {at_most: 5}.")

    def _validated(self) -> dict[str, Any]:
        self._refuse_other_types()
        given = {
            key: [value] if key in _TEXTS and isinstance(value, str) else value for key, value in self._given.items()
        }
        validated = ArgumentSpecValidator(CHECK).validate(given)
        if validated.error_messages:
            raise UsageError(self._option, validated.error_messages[0])
        options: dict[str, Any] = validated.validated_parameters
        return {key: spec.get("default") if options.get(key) is None else options[key] for key, spec in CHECK.items()}

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
                f"'{text}' is not a regular expression: {error}",
                "Write a backslash before what is meant literally.",
            ) from error

    def _number(self, options: Mapping[str, Any], parameters: Mapping[str, Any]) -> Number | None:
        given = options["number"]
        if given is None:
            return None
        bounds = {name: self._bound(name, given.get(name), parameters) for name in BOUNDS}
        if not options["fact"] and not any(bound is not None for bound in bounds.values()):
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
        return Number(extract, given["pick"], **bounds, unit=given["unit"] or "")

    def _bound(self, key: str, given: Any, parameters: Mapping[str, Any]) -> float | str | None:
        """A bound as a number, or as the name of the parameter that holds it."""
        if given is None:
            return None
        number = values.finite_number(given)
        if number is not None:
            return number
        if isinstance(given, str) and given in parameters:
            if values.finite_number(parameters[given]) is None:
                raise UsageError(self._of(f"number.{key}"), f"the parameter {given} is not a number", "Give it one.")
            return given
        remedy = "Give a number, or the name of one of the check's parameters."
        raise UsageError(self._of(f"number.{key}"), f"'{given}' is not a number", remedy)

    def _facts(self, names: Sequence[str], kind: str) -> tuple[str, ...]:
        for name in names:
            if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
                raise UsageError(
                    self._of("fact"), f"'{name}' is not a name for a variable", "Use letters, digits and underscores."
                )
        if len(names) > 1 and kind != PROBLEMS:
            raise UsageError(self._of("fact"), f"there are {len(names)}", f"Name one; several go with kind {PROBLEMS}.")
        return tuple(names)
