# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""Variables of many hosts in one task, of which only what is a template is worked out."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any

_TEMPLATES = ("{{", "{%", "{#")
_PLAIN = (str, int, float, type(None))


class HostVariables(Mapping[str, Any]):
    """The variables that a host has by itself, those of the play left out.

    Args:
        hostvars: Ansible's variable of that name.
        above: values that count before them.
    """

    def __init__(self, host: str, hostvars: Any, above: Mapping[str, Any] | None = None) -> None:
        self._host = host
        self._above = above or {}
        self._hostvars = hostvars
        #: As they are written.
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
        return self._worked_out[name]

    def __iter__(self) -> Iterator[str]:
        return iter({**self.written, **self._above})

    def __len__(self) -> int:
        return len({**self.written, **self._above})

    def __contains__(self, name: object) -> bool:
        return name in self._above or name in self.written

    def below(self, above: Mapping[str, Any]) -> HostVariables:
        """The same variables, before which these values count."""
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
