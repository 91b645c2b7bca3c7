# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Check sets in files, and which checks each host is asked with by its own variables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleError
from ansible.parsing.dataloader import DataLoader

from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import UsageError, did_you_mean

from .checks import RESULTS, Check, check_syntax, parse_checks, parse_parameter
from .results import SEVERITIES
from .scanners.openscap import read_benchmarks

#: What begins the names of variables that say how a host is audited.
VARIABLE_PREFIX = "audit_"
#: Options that a host may have a variable of its own for.
HOST_OPTIONS = ("checks", "check_sets", "benchmarks", "skip", "severities", "username")

_KEYS = ("functions", "checks")


class CheckSelector:
    """The checks of hosts; those of hosts with equal variables are the same objects.

    Args:
        library: the check sets that there are.
        given: what the task says, which counts for all hosts: those of :data:`HOST_OPTIONS` that are not None.
    """

    def __init__(self, library: Mapping[str, Sequence[Check]], given: Mapping[str, Any]) -> None:
        self._library = library
        self._given = {name: given[name] for name in HOST_OPTIONS if given.get(name) is not None}
        self._selected: dict[str, list[Check]] = {}
        #: Names of all parameters that were seen.
        self.parameters = {name for checks in library.values() for check in checks for name in check.parameters}

    def select(self, host: str, variables: Mapping[str, Any]) -> list[Check]:
        """Return the checks of a host.

        Args:
            variables: those of the host whose names begin with :data:`VARIABLE_PREFIX`, in plain types.

        Raises:
            UsageError: what is wrong with them, and for which host.
        """
        own = {name[len(VARIABLE_PREFIX) :]: value for name, value in variables.items()}
        key = repr(sorted(own.items()))
        if key not in self._selected:
            try:
                _refuse_null(own)
                self._selected[key] = self._select({**own, **self._given})
            except UsageError as error:
                raise UsageError(error.option, error.problem, f"{error.remedy} Host: {host}.".strip()) from None
        return self._selected[key]

    def _select(self, values: Mapping[str, Any]) -> list[Check]:
        username = values.get("username") or None
        shipped = [
            check if check.username or not username else replace(check, username=str(username))
            for name in self._parse_set_names(values)
            for check in self._library[name]
        ]
        own = self._parse_own(values.get("checks"))
        evaluated = read_benchmarks(values.get("benchmarks"))
        if evaluated:
            # Last, so that a run that is cut short has the answers of quick checks.
            own += parse_checks(
                "benchmarks", [{**check, "username": username} for check in evaluated], of_set="benchmarks"
            )
        if not shipped and not own:
            remedy = "Name check sets, leave audit_check_sets out to run all, or give audit_checks or audit_benchmarks."
            raise UsageError("checks", "there is no check", remedy if self._library else "Give at least one.")
        checks = _refuse_duplicates([*shipped, *own])
        others = [check.name for checks in self._library.values() for check in checks]
        skip = parse_words("skip", values.get("skip"))
        severities = _parse_severities("severities", values.get("severities"))
        chosen = filter_checks(checks, skip, severities, others)
        self.parameters |= {name for check in own for name in check.parameters}
        return [self._with_parameters(check, values) for check in chosen]

    def _parse_set_names(self, values: Mapping[str, Any]) -> list[str]:
        names = parse_words("check_sets", values.get("check_sets"))
        if values.get("check_sets") is None:
            return list(self._library)
        for name in names:
            if name not in self._library:
                remedy = did_you_mean(name, self._library, f"There are: {', '.join(self._library) or 'none'}.")
                raise UsageError("check_sets", f"there is no check set {name}", remedy)
        return list(dict.fromkeys(names))

    @staticmethod
    def _parse_own(given: Any) -> list[Check]:
        if given in (None, []):
            return []
        if not isinstance(given, (list, tuple)) or not all(isinstance(check, Mapping) for check in given):
            raise UsageError(
                "checks", "it is not a list of dictionaries", "Give a list, each element with name and line."
            )
        return parse_checks("checks", given)

    @staticmethod
    def _with_parameters(check: Check, values: Mapping[str, Any]) -> Check:
        own = {
            name: parse_parameter(f"{VARIABLE_PREFIX}{name}", default, values[name])
            for name, default in check.parameters.items()
            if name in values
        }
        return check.with_parameters(own)


def _refuse_null(own: Mapping[str, Any]) -> None:
    """Refuse null: an empty selection never means everything."""
    for name, value in own.items():
        if value is None:
            remedy = "Give a value, or leave the variable out."
            raise UsageError(name if name in HOST_OPTIONS else f"{VARIABLE_PREFIX}{name}", "it is null", remedy)


def parse_words(option: str, value: Any) -> list[str]:
    """Return a list of words, also of one text with commas."""
    if value is None:
        return []
    listed = value.split(",") if isinstance(value, str) else value
    if not isinstance(listed, (list, tuple)) or any(isinstance(word, (list, tuple, Mapping)) for word in listed):
        raise UsageError(option, "it is not a list of words", "Give a list.")
    return [word for word in (str(one).strip() for one in listed) if word]


def _parse_severities(option: str, value: Any) -> Mapping[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise UsageError(option, "it is not a dictionary", "Give names of checks, each with a severity.")
    return {str(name): severity for name, severity in value.items()}


def filter_checks(
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
                remedy = did_you_mean(name, names, f"There are: {', '.join(names)}.")
                raise UsageError(option, f"there is no check {name}", remedy)
    for name, severity in severities.items():
        if severity not in SEVERITIES:
            remedy = f"Give one of {', '.join(SEVERITIES)}."
            raise UsageError("severities", f"{name}: '{severity}' is not a severity", remedy)
    chosen = [_with_severity(check, skip, severities) for check in checks if check.name not in skip]
    if not chosen:
        raise UsageError("skip", "no check is left", "Leave at least one.")
    return chosen


def _with_severity(check: Check, skip: Sequence[str], severities: Mapping[str, Any]) -> Check:
    changed = replace(check, severity=severities[check.name]) if check.name in severities else check
    if changed.results is None:
        return changed
    begin = f"{check.name}/"
    own = {
        "skip": {name[len(begin) :] for name in skip if name.startswith(begin)},
        "severities": {name[len(begin) :]: severity for name, severity in severities.items() if name.startswith(begin)},
    }
    return replace(changed, results={**changed.results, **own}) if any(own.values()) else changed


def _refuse_duplicates(checks: Iterable[Check]) -> list[Check]:
    """Refuse two checks with the same name."""
    named: dict[str, Check] = {}
    for check in checks:
        if check.name in named:
            raise UsageError("checks", f"two checks are named {check.name}", "Rename yours.")
        named[check.name] = check
    return list(named.values())


def load_check_sets(folder: Path) -> dict[str, list[Check]]:
    """Read the check sets in a folder: a file C(NAME.yml) each, with C(checks) and perhaps C(functions).

    Raises:
        UsageError: which file, and what is wrong with it.
    """
    files = sorted([*folder.glob("*.yml"), *folder.glob("*.yaml")])
    if not files:
        raise UsageError("library", f"there is no file NAME.yml in {folder}", "Name a folder of check sets.")
    sets: dict[str, Path] = {}
    for file in files:
        other = sets.setdefault(file.stem, file)
        if other != file:
            problem = f"{other.name} and {file.name} are one check set"
            raise UsageError("library", problem, "Rename one of them, or move its checks into the other.")
    return {name: _load_check_set(file) for name, file in sets.items()}


def _load_check_set(file: Path) -> list[Check]:
    option = f"library, {file.name}"
    try:
        # It warns of a key that is there twice.
        content = DataLoader().load_from_file(str(file))
    except AnsibleError as error:
        raise UsageError(option, f"it cannot be read: {error}") from None
    if not isinstance(content, dict) or not set(content) <= set(_KEYS):
        raise UsageError(option, "it is not a check set", f"Give a dictionary with {' and '.join(_KEYS)}.")
    checks = content.get("checks")
    if not isinstance(checks, list) or not all(isinstance(check, dict) for check in checks):
        raise UsageError(option, "checks is not a list of checks", "Give a list of dictionaries.")
    functions = content.get("functions") or ""
    if not isinstance(functions, str):
        raise UsageError(option, "functions is not a text", "Give code for the shell.")
    check_syntax(f"{option}: functions", functions)
    return parse_checks(option, checks, functions, file.stem)
