# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read the variables of the hosts of an audit, and compare the ones that must be equal."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible.errors import AnsibleError

from ...module_utils._api.errors import UsageError
from ...module_utils._api.settings import Settings
from .._settings import decrypt
from .check_selection import HOST_OPTIONS, VARIABLE_PREFIX
from .checks import Check

#: Options with lists that are joined of all hosts.
JOINED_OPTIONS = ("waivers", "attestations")
_PLAY_OPTIONS = (
    *("compare_to", "fail_after", "fail_on", "formats", "max_concurrency", "min_coverage", "reuse_within"),
    "wait_timeout",
)
#: Variables that must be equal for all hosts, by the options of the module.
PLAY_VARIABLES = {**{name: f"{VARIABLE_PREFIX}{name}" for name in _PLAY_OPTIONS}, "dest": "audit_report_dir"}
#: Templates of these may contain the current time, so the templates are compared.
_COMPARED_UNTEMPLATED = ("audit_compare_to", "audit_report_dir")


@dataclass(frozen=True)
class Host:
    """A host of the inventory.

    Attributes:
        server: the UUID or name of the server.
        settings: the connection settings of the workspace.
    """

    name: str
    server: str
    groups: frozenset[str]
    checks: Sequence[Check] = field(hash=False)
    settings: Settings


class HostVariables(Mapping[str, Any]):
    """The variables of a task for one host. Reading a variable templates the value.

    Args:
        untemplated: the variables as Ansible's variable manager returns them.
    """

    def __init__(self, host: str, untemplated: Mapping[str, Any], templar: Any) -> None:
        self.untemplated = untemplated
        self.host = host
        self._templar = templar

    def __getitem__(self, name: str) -> Any:
        value = self.untemplated[name]
        # Only the names of facts are used.
        if name == "ansible_facts" or _is_plain(value):
            return value
        templar = self._templar.copy_with_new_env(available_variables=self.untemplated)
        try:
            return decrypt(templar.template(value))
        except AnsibleError as error:
            raise UsageError(name, str(error), f"Host: {self.host}.") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self.untemplated)

    def __len__(self) -> int:
        return len(self.untemplated)


def _is_plain(value: Any) -> bool:
    if isinstance(value, str):
        return "{{" not in value and "{%" not in value and "{#" not in value
    if isinstance(value, Mapping):
        return all(map(_is_plain, value)) and all(map(_is_plain, value.values()))
    if isinstance(value, (list, tuple)):
        return all(map(_is_plain, value))
    return isinstance(value, (int, float, type(None)))


def refuse_differing_values(first: HostVariables, other: HostVariables) -> None:
    for variable in PLAY_VARIABLES.values():
        one, two = (
            (host.untemplated if variable in _COMPARED_UNTEMPLATED else host).get(variable) for host in (first, other)
        )
        if one != two:
            values = f"{first.host} has {one!s:.40}, {other.host} has {two!s:.40}"
            remedy = "Set it in the play, only for the group all, or with -e."
            raise UsageError(variable, f"it must be equal for all hosts, and differs: {values}", remedy)


def to_role_error(error: UsageError) -> UsageError:
    """Return an error that names the variable of the role in place of the option of the module."""
    variables = {**PLAY_VARIABLES, **{name: f"{VARIABLE_PREFIX}{name}" for name in (*HOST_OPTIONS, *JOINED_OPTIONS)}}
    # Such as: checks, check 2 (disk).
    name, rest = re.findall(r"^(\w*)(.*)$", error.option, re.DOTALL)[0]
    return UsageError(variables[name] + rest, error.problem, error.remedy) if name in variables else error
