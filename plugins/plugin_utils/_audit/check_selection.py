# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Load check sets, and select the checks of each host by its variables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleError
from ansible.parsing.dataloader import DataLoader

from ...module_utils._api.errors import UsageError, did_you_mean
from ...module_utils._options.values import check_account, split_list
from .checks import RESULTS, Check, check_syntax, parse_checks, parse_parameter
from .scanners.openscap import parse_benchmarks
from .scanners.results import SEVERITIES
from .scanners.tailoring import ReadFile, read_local_file

VARIABLE_PREFIX = "audit_"
#: Options that each host may set by a variable of its own.
HOST_OPTIONS = ("checks", "check_sets", "benchmarks", "skip", "severities", "username")


class CheckSelector:
    """Selects the checks of hosts. Hosts with equal variables share one list.

    Args:
        options: the options of the task. The variables of a host replace the ones that are None.
        read_file: reads the tailoring files of benchmarks.
    """

    def __init__(
        self,
        check_sets: Mapping[str, Sequence[Check]],
        options: Mapping[str, Any],
        read_file: ReadFile = read_local_file,
    ) -> None:
        self._read_file = read_file
        self._check_sets = check_sets
        self._options = {name: options[name] for name in HOST_OPTIONS if options.get(name) is not None}
        self._selected: dict[str, list[Check]] = {}
        self.parameters = {name for checks in check_sets.values() for check in checks for name in check.parameters}

    def select(self, host: str, variables: Mapping[str, Any]) -> list[Check]:
        """Return the checks of a host.

        Raises:
            UsageError: names the variable and the host.
        """
        values = {name[len(VARIABLE_PREFIX) :]: value for name, value in variables.items()}
        key = repr(sorted(values.items()))
        if key not in self._selected:
            try:
                for name, value in values.items():
                    # An empty selection never means everything.
                    if value is None:
                        option = name if name in HOST_OPTIONS else f"{VARIABLE_PREFIX}{name}"
                        raise UsageError(option, "it is null", "Give a value, or remove the variable.")
                self._selected[key] = self._select({**values, **self._options})
            except UsageError as error:
                raise UsageError(error.option, error.problem, f"{error.remedy} Host: {host}.".strip()) from None
        return self._selected[key]

    def _select(self, values: Mapping[str, Any]) -> list[Check]:
        username = check_account("username", values.get("username"))
        checks = [
            check if check.username or not username else replace(check, username=username)
            for name in self._parse_set_names(values.get("check_sets"))
            for check in self._check_sets[name]
        ]
        own_checks = _parse_own_checks(values, username, self._read_file)
        checks += own_checks
        if not checks:
            remedy = "Name check sets, leave audit_check_sets out to run all, or give audit_checks or audit_benchmarks."
            raise UsageError("checks", "there is no check", remedy if self._check_sets else "Give at least one.")
        for name, count in Counter(check.name for check in checks).items():
            if count > 1:
                raise UsageError("checks", f"two checks are named {name}", "Rename yours.")
        self.parameters |= {name for check in own_checks for name in check.parameters}
        severities = {} if values.get("severities") is None else values["severities"]
        if not isinstance(severities, Mapping):
            raise UsageError("severities", "it is not a dictionary", "Give names of checks, each with a severity.")
        severities = {str(name): severity for name, severity in severities.items()}
        other_names = [check.name for checks in self._check_sets.values() for check in checks]
        return [
            check.with_parameters(
                {
                    name: parse_parameter(f"{VARIABLE_PREFIX}{name}", default, values[name])
                    for name, default in check.parameters.items()
                    if name in values
                }
            )
            for check in filter_checks(checks, _parse_words("skip", values.get("skip")), severities, other_names)
        ]

    def _parse_set_names(self, value: Any) -> list[str]:
        if value is None:
            return list(self._check_sets)
        names = _parse_words("check_sets", value)
        for name in names:
            if name not in self._check_sets:
                names_of_sets = ", ".join(self._check_sets) or "none"
                remedy = did_you_mean(name, self._check_sets, f"Available: {names_of_sets}.")
                raise UsageError("check_sets", f"there is no check set {name}", remedy)
        return list(dict.fromkeys(names))


def _parse_own_checks(values: Mapping[str, Any], username: str | None, read_file: ReadFile) -> list[Check]:
    own = [] if values.get("checks") is None else values["checks"]
    if not isinstance(own, (list, tuple)) or not all(isinstance(check, Mapping) for check in own):
        raise UsageError("checks", "it is not a list of dictionaries", "Give a list, each element with name and line.")
    checks = parse_checks("checks", own) if own else []
    # Benchmarks are slow. As the last checks, they cost no other check its time.
    benchmarks = [{**check, "username": username} for check in parse_benchmarks(values.get("benchmarks"), read_file)]
    own_keys = [{key: check.pop(key) for key in ("functions", "files")} for check in benchmarks]
    if benchmarks:
        parsed = parse_checks("benchmarks", benchmarks, check_set="benchmarks")
        checks += [replace(check, **keys) for check, keys in zip(parsed, own_keys, strict=True)]
    return checks


def _parse_words(option: str, value: Any) -> list[str]:
    if value is None:
        return []
    is_list = isinstance(value, (list, tuple)) and not any(isinstance(one, (list, tuple, Mapping)) for one in value)
    if not is_list and not isinstance(value, str):
        raise UsageError(option, "it is not a list of words", "Give a list.")
    return [word for word in (str(one).strip() for one in split_list(value)) if word]


def filter_checks(
    checks: Sequence[Check], skip: Sequence[str], severities: Mapping[str, Any], other_names: Iterable[str] = ()
) -> list[Check]:
    """Return the checks that are not in O(skip), with the severities in O(severities).

    Both options may also name results of another tool, as CHECK/NAME.

    Args:
        other_names: names of checks of other sets, which both options may have for other hosts.
    """
    names = list(dict.fromkeys([*(check.name for check in checks), *other_names]))
    result_prefixes = tuple(f"{check.name}/" for check in checks if check.kind == RESULTS)
    for option, used_names in (("skip", skip), ("severities", severities)):
        for name in used_names:
            if name not in names and not name.startswith(result_prefixes):
                remedy = did_you_mean(name, names, f"Available: {', '.join(names)}.")
                raise UsageError(option, f"there is no check {name}", remedy)
    for name, severity in severities.items():
        if severity not in SEVERITIES:
            remedy = f"Give one of {', '.join(SEVERITIES)}."
            raise UsageError("severities", f"{name}: '{severity}' is not a severity", remedy)
    filtered = []
    for check in checks:
        if check.name in skip:
            continue
        changes: dict[str, Any] = {"severity": severities[check.name]} if check.name in severities else {}
        if check.results is not None:
            prefix = f"{check.name}/"
            changes["results"] = {
                **check.results,
                "skip": {name[len(prefix) :] for name in skip if name.startswith(prefix)},
                "severities": {name[len(prefix) :]: severities[name] for name in severities if name.startswith(prefix)},
            }
        filtered.append(replace(check, **changes) if changes else check)
    if not filtered:
        raise UsageError("skip", "no check is left", "Leave at least one.")
    return filtered


def load_check_sets(folder: Path) -> dict[str, list[Check]]:
    """Load the check sets in a folder, each a file C(NAME.yml) with C(checks) and optional C(functions).

    Raises:
        UsageError: names the file.
    """
    paths: dict[str, Path] = {}
    for path in sorted([*folder.glob("*.yml"), *folder.glob("*.yaml")]):
        other = paths.setdefault(path.stem, path)
        if other != path:
            problem = f"{other.name} and {path.name} are files of the same check set"
            raise UsageError("library", problem, "Rename one of them, or move its checks into the other.")
    if not paths:
        raise UsageError(
            "library", f"there is no file NAME.yml in {folder}", "Give the path of a folder of check sets."
        )
    return {name: _load_check_set(path) for name, path in paths.items()}


def _load_check_set(path: Path) -> list[Check]:
    option = f"library, {path.name}"
    try:
        # Ansible's loader warns of a duplicate key.
        content = DataLoader().load_from_file(str(path))
    except AnsibleError as error:
        raise UsageError(option, f"it cannot be read: {error}") from None
    if not isinstance(content, dict) or not content.keys() <= {"functions", "checks"}:
        raise UsageError(option, "it is not a check set", "Give a dictionary with functions and checks.")
    checks = content.get("checks")
    if not isinstance(checks, list) or not all(isinstance(check, dict) for check in checks):
        raise UsageError(option, "checks is not a list of checks", "Give a list of dictionaries.")
    functions = content.get("functions") or ""
    if not isinstance(functions, str):
        raise UsageError(option, "functions is not a text", "Give code for the shell.")
    check_syntax(f"{option}: functions", functions)
    return parse_checks(option, checks, functions, path.stem)
