# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Describe the hosts of an audit, and read their variables."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible.errors import AnsibleError

from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import UsageError
from ansible_collections.herdops.alpacon.plugins.module_utils._api.records import is_uuid, normalize_uuid
from ansible_collections.herdops.alpacon.plugins.module_utils._api.settings import Settings
from ansible_collections.herdops.alpacon.plugins.plugin_utils._settings import decrypt

from .check_selection import HOST_OPTIONS, VARIABLE_PREFIX
from .checks import Check

#: Each host may set waivers; the audit has those of all hosts.
WAIVERS_VARIABLE = f"{VARIABLE_PREFIX}waivers"
#: Variables with one value for all hosts, by the options of the module.
PLAY_VARIABLES = {
    "compare_to": "audit_compare_to",
    "dest": "audit_report_dir",
    "fail_on": "audit_fail_on",
    "formats": "audit_formats",
    "max_concurrency": "audit_max_concurrency",
    "min_coverage": "audit_min_coverage",
    "reuse_within": "audit_reuse_within",
    "wait_timeout": "audit_wait_timeout",
}
#: These may contain the time, and are compared before they are templated.
_COMPARED_UNTEMPLATED = ("audit_compare_to", "audit_report_dir")
_VARIABLES = {**PLAY_VARIABLES, **{name: f"{VARIABLE_PREFIX}{name}" for name in (*HOST_OPTIONS, "waivers")}}


@dataclass(frozen=True)
class Host:
    """A host of the inventory.

    Attributes:
        server: the UUID or name of its server.
        settings: the connection settings of its workspace.
    """

    name: str
    server: str
    groups: frozenset[str]
    checks: Sequence[Check] = field(hash=False)
    settings: Settings


def get_server_reference(name: str, server_id: Any) -> str:
    """Return the UUID in the variable of a host, or else the host's name."""
    return normalize_uuid(server_id) if is_uuid(server_id) else str(server_id or name)


class HostVariables(Mapping[str, Any]):
    """The variables that a task has for one host, each templated when it is read.

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
    """Return True if a value has no template, and nothing in it is encrypted."""
    if isinstance(value, str):
        return "{{" not in value and "{%" not in value and "{#" not in value
    if isinstance(value, Mapping):
        return all(map(_is_plain, value)) and all(map(_is_plain, value.values()))
    if isinstance(value, (list, tuple)):
        return all(map(_is_plain, value))
    return isinstance(value, (int, float, type(None)))


def refuse_differing_values(first: HostVariables, other: HostVariables) -> None:
    """Refuse two hosts with different values of a variable that has one value for all hosts."""
    for variable in PLAY_VARIABLES.values():
        one, two = (
            (host.untemplated if variable in _COMPARED_UNTEMPLATED else host).get(variable) for host in (first, other)
        )
        if one != two:
            problem = f"it is one for the play, and differs: {first.host} has {one!s:.40}, {other.host} has {two!s:.40}"
            raise UsageError(variable, problem, "Set it in the play, for the group all only, or with -e.")


def to_role_error(error: UsageError) -> UsageError:
    """Return an error that names the variable of the role in place of the option of the module."""
    # Such as: checks, check 2 (disk).
    name, rest = re.findall(r"^(\w*)(.*)$", error.option, re.DOTALL)[0]
    return UsageError(_VARIABLES[name] + rest, error.problem, error.remedy) if name in _VARIABLES else error
