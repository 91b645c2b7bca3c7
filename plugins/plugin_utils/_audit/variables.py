# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""Variables of hosts that say how an audit is made."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

from ansible.errors import AnsibleError

from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import UsageError
from ansible_collections.herdops.alpacon.plugins.module_utils._options.values import duration, elements
from ansible_collections.herdops.alpacon.plugins.plugin_utils._vaults import decrypted

from .plans import OF_HOSTS, PREFIX
from .waivers import read_waivers

#: The variable whose values of all hosts are joined.
WAIVERS = f"{PREFIX}waivers"
#: Variables that have one value for the whole audit, by the options of the module.
OF_PLAY = {
    **{
        name: f"{PREFIX}{name}"
        for name in (
            "compare_to",
            "fail_on",
            "formats",
            "max_concurrency",
            "min_coverage",
            "reuse_within",
            "title",
            "unknown_severity",
            "wait_timeout",
        )
    },
    "dest": f"{PREFIX}report_dir",
}
#: Templates of these may name the time, so they are compared as they are written.
_AS_WRITTEN = ("compare_to", "dest", "title")
_DURATIONS = ("reuse_within", "wait_timeout")
_VARIABLES = {**OF_PLAY, **{name: f"{PREFIX}{name}" for name in (*OF_HOSTS, "waivers")}}

_TEMPLATES = ("{{", "{%", "{#")
_PLAIN = (str, int, float, type(None))
_WORD = re.compile(r"[A-Za-z_]\w*")
#: Parts of templates that may read variables that the template does not name.
_INDIRECT = re.compile(
    r"\b(hostvars|vars|varnames|include|import|extends)\b|\|\s*\w+\.\w+\."
    r"|\b(lookup|query|q)\b(?!\(\s*['\"]herdops\.alpacon\.benchmark_checks['\"])"
)
#: Variables that all hosts have alike.
_ALIKE = frozenset(("groups", "play_hosts", "ansible_play_batch", "ansible_play_hosts", "ansible_play_hosts_all"))


class HostVariables(Mapping[str, Any]):
    """The variables that a task has for one host, each templated when it is read.

    Args:
        written: as Ansible would hand them to the task, with their templates.
        templar: Ansible's templar, with any variables.
        known: results of templates, by the templates and the variables that they name; shared by hosts.
    """

    def __init__(self, host: str, written: Mapping[str, Any], templar: Any, known: dict[str, Any]) -> None:
        self.written = written
        self._known = known
        self._host = host
        self._templar = templar

    def __getitem__(self, name: str) -> Any:
        value = self.written[name]
        # Facts are many, and only their names are read.
        if name == "ansible_facts" or is_plain(value):
            return value
        named: dict[str, Any] = {name: value}
        key = repr(sorted(named.items())) if self._names_all(value, named) else None
        if key in self._known:
            return self._known[key]
        templar = self._templar.copy_with_new_env(available_variables=self.written)
        try:
            result = decrypted(templar.template(value))
        except AnsibleError as error:
            raise UsageError(name, str(error), f"Host: {self._host}.") from None
        if key is not None:
            self._known[key] = result
        return result

    def _names_all(self, value: Any, named: dict[str, Any]) -> bool:
        """Collect the variables that a value names. Return False if it may depend on others."""
        if isinstance(value, str):
            if is_plain(value):
                return True
            names = set(_WORD.findall(value)) & self.written.keys() - named.keys() - _ALIKE
            named.update((name, self.written[name]) for name in names)
            return not _INDIRECT.search(value) and all(self._names_all(named[name], named) for name in names)
        if isinstance(value, Mapping):
            return all(self._names_all(one, named) for pair in value.items() for one in pair)
        if isinstance(value, (list, tuple)):
            return all(self._names_all(one, named) for one in value)
        return isinstance(value, _PLAIN)

    def __iter__(self) -> Iterator[str]:
        return iter(self.written)

    def __len__(self) -> int:
        return len(self.written)


def is_plain(value: Any) -> bool:
    """Return True if a value is used as it is written: it has no template, and nothing in it is encrypted."""
    if isinstance(value, str):
        return "{" not in value or not any(begin in value for begin in _TEMPLATES)
    if isinstance(value, Mapping):
        return all(map(is_plain, value)) and all(map(is_plain, value.values()))
    if isinstance(value, (list, tuple)):
        return all(map(is_plain, value))
    return isinstance(value, _PLAIN)


def in_role(error: UsageError) -> UsageError:
    """Return an error that names the variable of the role in place of the option of the module."""
    # The place in an option may follow it, as in: checks, check 2 (disk).
    name, rest = re.findall(r"^(\w*)(.*)$", error.option, re.DOTALL)[0]
    return UsageError(_VARIABLES[name] + rest, error.problem, error.remedy) if name in _VARIABLES else error


class Comparison:
    """Compares what hosts say where an audit has one value."""

    def __init__(self) -> None:
        self._first: tuple[str, dict[str, str]] | None = None

    def add(self, host: str, variables: HostVariables) -> None:
        """Compare the variables of a host with those of the first one.

        Raises:
            UsageError: which variable differs, and between which hosts.
        """
        values = {
            name: _meaning(name, (variables.written if name in _AS_WRITTEN else variables).get(variable))
            for name, variable in OF_PLAY.items()
        }
        first, known = self._first = self._first or (host, values)
        for name, value in values.items():
            if value != known[name]:
                problem = f"it is one for the play, and differs: {first} has {known[name]:.40}, {host} has {value:.40}"
                raise UsageError(OF_PLAY[name], problem, "Set it in the play, for the group all only, or with -e.")


def _meaning(name: str, value: Any) -> str:
    """A value in a form that is the same for all its spellings, such as V(10m) and V(600)."""
    texts = ["" if item is None else str(item).strip() for item in elements(value)]
    if name in _DURATIONS:
        with contextlib.suppress(UsageError):
            return f"{duration(name, value):g} s"
    return ", ".join(texts) or "nothing"


class JoinedWaivers:
    """The waivers of all hosts, each once."""

    def __init__(self, today: date) -> None:
        self._today = today
        self._joined: dict[str, Mapping[str, Any]] = {}

    @property
    def all(self) -> list[Mapping[str, Any]]:
        """The waivers."""
        return list(self._joined.values())

    def add(self, host: str, given: Any) -> None:
        """Add the waivers of a host.

        Raises:
            UsageError: which of them is wrong.
        """
        listed = [] if given is None else given
        try:
            if not isinstance(listed, (list, tuple)) or not all(isinstance(one, Mapping) for one in listed):
                raise UsageError("waivers", "it is not a list of dictionaries", "Give a list, each element with check.")
            keys = {json.dumps(one, sort_keys=True, default=str): one for one in listed}
            if not keys.keys() <= self._joined.keys():
                read_waivers(listed, self._today)
        except UsageError as error:
            raise UsageError(error.option, error.problem, f"{error.remedy} Host: {host}.".strip()) from None
        self._joined |= keys
