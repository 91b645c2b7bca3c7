# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""Variables of many hosts in one task, of which only what is a template is worked out."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from jinja2 import Environment, TemplateError, meta, nodes

from ansible_collections.herdops.alpacon.plugins.plugin_utils._vaults import decrypted

_TEMPLATES = ("{{", "{%", "{#")
_PLAIN = (str, int, float, type(None))
#: Only read with: what a template refers to.
_SYNTAX = Environment(autoescape=True)
#: Filters that say the same of the same.
_FILTERS = re.compile(
    r"(?:ansible\.builtin\.)?(?:bool|combine|d|default|dict2items|difference|first|flatten|float|from_json|from_yaml|int"
    r"|intersect|items2dict|join|last|length|list|lower|replace|sort|split|string|ternary|trim|union|unique|upper)"
)
#: Lookups that say the same of the same, whichever host asks, and the names that they are called by.
_LOOKUPS = frozenset(("herdops.alpacon.xccdf_checks", "herdops.alpacon.inspec_checks"))
_LOOK_UP = frozenset(("lookup", "query", "q"))
#: What is more than an expression or a condition.
_LARGER: tuple[type[nodes.Node], ...] = (
    nodes.CallBlock,
    nodes.Include,
    nodes.Import,
    nodes.FromImport,
    nodes.Extends,
    nodes.Macro,
)


class HostVariables(Mapping[str, Any]):
    """The variables that a host has by itself, those of the play left out.

    Args:
        hostvars: Ansible's variable of that name.
    """

    def __init__(self, host: str, hostvars: Any) -> None:
        self._host = host
        #: Values that count before the variables.
        self._above: Mapping[str, Any] = {}
        self._hostvars = hostvars
        #: The variables as they are written.
        self.written: Mapping[str, Any] = hostvars.raw_get(host)
        self._worked_out: Mapping[str, Any] | None = None

    def __getitem__(self, name: str) -> Any:
        if name in self._above:
            return self._above[name]
        value = self.written[name]
        if is_plain(value):
            return value
        if self._worked_out is None:
            self._worked_out = self._hostvars[self._host]
        return decrypted(self._worked_out[name])

    def __iter__(self) -> Iterator[str]:
        return iter({**self.written, **self._above})

    def __len__(self) -> int:
        return len({**self.written, **self._above})

    def __contains__(self, name: object) -> bool:
        return name in self._above or name in self.written

    def below(self, above: Mapping[str, Any]) -> HostVariables:
        """The variables of the host, before which these values count."""
        below = copy.copy(self)
        below._above = above
        return below


def is_plain(value: Any) -> bool:
    """Whether a value is what it is written as: no template, and nothing that is encrypted."""
    if isinstance(value, str):
        return "{" not in value or not any(begin in value for begin in _TEMPLATES)
    if isinstance(value, Mapping):
        return all(map(is_plain, value)) and all(map(is_plain, value.values()))
    if isinstance(value, (list, tuple)):
        return all(map(is_plain, value))
    return isinstance(value, _PLAIN)


class CommonVariables(Mapping[str, Any]):
    """The variables that hosts have in common, as they are written.

    Args:
        of_play: those that count before the variables of hosts.
        of_hosts: those of each host.
    """

    def __init__(self, of_play: Mapping[str, Any], of_hosts: Sequence[Mapping[str, Any]]) -> None:
        self._of_play = of_play
        self._of_hosts = of_hosts

    def __getitem__(self, name: str) -> Any:
        if name in self._of_play:
            return self._of_play[name]
        first = self._of_hosts[0][name]
        if all(name in own and is_equal(own[name], first) for own in self._of_hosts):
            return first
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return (name for name in {**self._of_play, **self._of_hosts[0]} if name in self)

    def __len__(self) -> int:
        return sum(1 for _name in self)


def is_equal(one: Any, other: Any) -> bool:
    """Whether two values are the same, of the same type."""
    return one is other or (type(one) is type(other) and bool(one == other))


def is_same_for_all(value: Any, common: Mapping[str, Any], within: frozenset[str] = frozenset()) -> bool:
    """Whether a template says the same for every host: all that it refers to is the same for them.

    Args:
        common: variables that hosts have in common, as they are written.
        within: names of the variables that lead to this value.
    """
    if isinstance(value, str):
        names = _names_in(value)
        return names is not None and all(
            name not in within and name in common and is_same_for_all(common[name], common, within | {name})
            for name in names
        )
    if isinstance(value, dict):
        return all(is_same_for_all(one, common, within) for pair in value.items() for one in pair)
    if isinstance(value, list):
        return all(is_same_for_all(one, common, within) for one in value)
    return isinstance(value, _PLAIN)


def _names_in(text: str) -> set[str] | None:
    """What a template refers to; None where that may differ from host to host, or from one time to the next."""
    if is_plain(text):
        return set()
    try:
        tree = _SYNTAX.parse(text)
    except TemplateError:
        return None
    others = [one for one in tree.find_all(nodes.Filter) if not _FILTERS.fullmatch(one.name)]
    if others or any(tree.find_all(_LARGER)) or not all(map(_is_lookup, tree.find_all(nodes.Call))):
        return None
    return meta.find_undeclared_variables(tree) - (_LOOK_UP if tree.find(nodes.Call) else set())


def _is_lookup(call: nodes.Call) -> bool:
    """Whether a call is a lookup that says the same for every host."""
    called, first = call.node, next(iter(call.args), None)
    is_one = isinstance(called, nodes.Name) and called.name in _LOOK_UP
    return is_one and isinstance(first, nodes.Const) and first.value in _LOOKUPS
