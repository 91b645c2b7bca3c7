# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""Checks as a task gives them, read and checked one by one, so that an error can say which one is wrong."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import UsageError, did_you_mean
from ansible_collections.herdops.alpacon.plugins.module_utils._api.records import SHELLS
from ansible_collections.herdops.alpacon.plugins.module_utils._options import values

from .checks import Check
from .numbers import PICKS, Number
from .outcomes import SEVERITIES

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


def read_checks(option: str, given: Sequence[Mapping[str, Any]]) -> list[Check]:
    """Read checks as a task gives them.

    Raises:
        UsageError: which check, which of its keys, what is wrong, what would be right.
    """
    if not given:
        raise UsageError(option, "there is no check", "Give at least one, with name and line.")
    checks = [_CheckReader(option, number, check).check() for number, check in enumerate(given, start=1)]
    seen: dict[str, int] = {}
    for number, check in enumerate(checks, start=1):
        if check.name in seen:
            raise UsageError(
                option, f"checks {seen[check.name]} and {number} are both named {check.name}", "Rename one of them."
            )
        seen[check.name] = number
    return checks


def choose_checks(checks: Sequence[Check], skip: Sequence[str], severities: Mapping[str, Any]) -> list[Check]:
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


class _CheckReader:
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
        options = self._validated()
        return Check(
            name=self._not_blank("name", options["name"]),
            line=values.line(self._of("line"), options["line"]),
            description=options["description"],
            remedy=options["remedy"],
            set=options["set"] or None,
            severity=options["severity"],
            shell=options["shell"],
            username=options["username"] or None,
            groupname=options["groupname"] or None,
            rc=self._codes(options["rc"]),
            contains=tuple(self._not_blank("contains", text) for text in options["contains"]),
            matches=self._patterns("matches", options["matches"]),
            absent=self._patterns("absent", options["absent"]),
            unanswered=self._patterns("unanswered", options["unanswered"]),
            number=self._number(options),
            fact=self._fact(options["fact"]),
            when=tuple(self._group(group) for group in options["when"]),
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
                f"'{text}' is no regular expression: {error}",
                "Write a backslash before what is meant literally.",
            ) from error

    def _number(self, options: Mapping[str, Any]) -> Number | None:
        given = options["number"]
        if given is None:
            return None
        bounds = {name: given.get(name) for name in ("at_most", "at_least", "equals")}
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
        return Number(extract, given["pick"], **bounds)

    def _fact(self, name: str | None) -> str | None:
        if name and not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            raise UsageError(
                self._of("fact"), f"'{name}' is no name of a variable", "Use letters, digits and underscores."
            )
        return name or None
