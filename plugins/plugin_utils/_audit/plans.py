# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""Which checks each host is asked with, by its own variables."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import UsageError, did_you_mean

from .check_options import choose_checks, read_checks, read_parameter
from .checks import Check

#: What begins the names of variables that say how a host is audited.
PREFIX = "audit_"
#: Options that a host may have a variable of its own for.
OF_HOSTS = ("checks", "check_sets", "skip", "severities", "username")


class Plans:
    """The checks of hosts; those of hosts with equal variables are the same objects.

    Args:
        library: the check sets that there are.
        given: what the task says, which counts for all hosts: those of :data:`OF_HOSTS` that are not None.
    """

    def __init__(self, library: Mapping[str, Sequence[Check]], given: Mapping[str, Any]) -> None:
        self._library = library
        self._given = {name: given[name] for name in OF_HOSTS if given.get(name) is not None}
        self._plans: dict[str, list[Check]] = {}
        #: Names of all parameters that were seen.
        self.parameters = {name for checks in library.values() for check in checks for name in check.parameters}

    def of(self, host: str, variables: Mapping[str, Any]) -> list[Check]:
        """The checks of a host.

        Args:
            variables: those of the host whose names begin with :data:`PREFIX`, in plain types.

        Raises:
            UsageError: what is wrong with them, and for which host.
        """
        own = {name[len(PREFIX) :]: value for name, value in variables.items()}
        key = json.dumps(own, sort_keys=True, default=repr)
        if key not in self._plans:
            try:
                _refuse_null(own)
                self._plans[key] = self._plan({**own, **self._given})
            except UsageError as error:
                text = str(error).removeprefix(f"{error.option}: ")
                raise UsageError(error.option, f"{text} Host: {host}.") from None
        return self._plans[key]

    def _plan(self, values: Mapping[str, Any]) -> list[Check]:
        username = values.get("username") or None
        shipped = [
            check if check.username or not username else replace(check, username=str(username))
            for name in self._sets(values)
            for check in self._library[name]
        ]
        own = self._own(values.get("checks"))
        if not shipped and not own:
            remedy = "Name check sets, leave audit_check_sets out to run all of them, or give checks in audit_checks."
            raise UsageError("checks", "there is no check", remedy if self._library else "Give at least one.")
        checks = _unique([*shipped, *own])
        others = [check.name for checks in self._library.values() for check in checks]
        skip, severities = words("skip", values.get("skip")), _mapping("severities", values.get("severities"))
        chosen = choose_checks(checks, skip, severities, others)
        self.parameters |= {name for check in own for name in check.parameters}
        return [self._with_parameters(check, values) for check in chosen]

    def _sets(self, values: Mapping[str, Any]) -> list[str]:
        names = words("check_sets", values.get("check_sets"))
        if values.get("check_sets") is None:
            return list(self._library)
        for name in names:
            if name not in self._library:
                remedy = did_you_mean(name, self._library, f"There are: {', '.join(self._library) or 'none'}.")
                raise UsageError("check_sets", f"there is no check set {name}", remedy)
        return list(dict.fromkeys(names))

    @staticmethod
    def _own(given: Any) -> list[Check]:
        if given in (None, []):
            return []
        if not isinstance(given, (list, tuple)) or not all(isinstance(check, Mapping) for check in given):
            raise UsageError(
                "checks", "it is not a list of dictionaries", "Give a list, each element with name and line."
            )
        return read_checks("checks", given)

    @staticmethod
    def _with_parameters(check: Check, values: Mapping[str, Any]) -> Check:
        own = {
            name: read_parameter(f"{PREFIX}{name}", default, values[name])
            for name, default in check.parameters.items()
            if name in values
        }
        return check.with_parameters(own)


def _refuse_null(own: Mapping[str, Any]) -> None:
    """An empty selection never means everything."""
    for name, value in own.items():
        if value is None:
            remedy = "Give a value, or leave the variable out."
            raise UsageError(name if name in OF_HOSTS else f"{PREFIX}{name}", "it is null", remedy)


def words(option: str, value: Any) -> list[str]:
    """A list of words, which may come from the command line as one text with commas."""
    if value is None:
        return []
    listed = value.split(",") if isinstance(value, str) else value
    if not isinstance(listed, (list, tuple)) or any(isinstance(word, (list, tuple, Mapping)) for word in listed):
        raise UsageError(option, "it is not a list of words", "Give a list.")
    return [word for word in (str(one).strip() for one in listed) if word]


def _mapping(option: str, value: Any) -> Mapping[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise UsageError(option, "it is not a dictionary", "Give names of checks, each with a severity.")
    return value


def _unique(checks: Iterable[Check]) -> list[Check]:
    """These checks, refused where two have the same name."""
    named: dict[str, Check] = {}
    for check in checks:
        if check.name in named:
            raise UsageError("checks", f"two checks are named {check.name}", "Rename yours.")
        named[check.name] = check
    return list(named.values())
