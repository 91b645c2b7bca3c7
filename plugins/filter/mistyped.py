# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: mistyped
short_description: Tell names of variables that are nearly those of a playbook or role
version_added: 0.1.0
description:
  - The playbooks and roles of this collection look with it for variables that are misspelt. A name that is like none
    of theirs is left alone.
author:
  - herdops.alpacon contributors (@herdops)
positional: known
options:
  _input:
    description: Names of variables.
    type: list
    elements: str
    required: true
  known:
    description: Names of the variables that there are.
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
- name: Refuse variables that are misspelt
  ansible.builtin.assert:
    that: query('ansible.builtin.varnames', '^backup_') | herdops.alpacon.mistyped(['backup_folder']) == []
"""

RETURN = r"""
_value:
  description: A sentence for each name that is nearly one of those that are known.
  type: list
  elements: str
  sample: ["There is no variable backup_foldr. Did you mean backup_folder?"]
"""

from collections.abc import Callable, Iterable

from ansible_collections.herdops.alpacon.plugins.module_utils._arguments import CONNECTION
from ansible_collections.herdops.alpacon.plugins.module_utils._errors import clean_line
from ansible_collections.herdops.alpacon.plugins.module_utils._server_queries import FIELDS

#: Variables that every task of the collection reads.
_SETTINGS = frozenset(f"alpacon_{name}" for name in (*CONNECTION, "tokens"))
#: Variables that the inventory sets, and results.
_FOUND = frozenset(f"alpacon_{name}" for name in (*FIELDS, "result", "server_id", "workspace", "workspaces"))
#: From so many characters on, a name with two slips is still told.
_LONG = 7


def mistyped(names: Iterable[str], known: Iterable[str]) -> list[str]:
    """A sentence for each name that is not known, but for one slip of the keyboard or, in a long name, two."""
    known = frozenset(known)
    told = []
    for name in sorted({str(name) for name in names} - known - _SETTINGS - _FOUND):
        close = sorted((_slips(name, other), other) for other in known | _SETTINGS if _may_mean(name, other))
        if close:
            told.append(f"There is no variable {clean_line(name)}. Did you mean {close[0][1]}?")
    return told


def _may_mean(name: str, known: str) -> bool:
    prefix, _underscore, own = known.partition("_")
    slips = 2 if len(own) >= _LONG else 1
    return name.startswith(f"{prefix}_") and abs(len(name) - len(known)) <= slips and _slips(name, known) <= slips


def _slips(one: str, other: str) -> int:
    """How many characters are left out, added, exchanged or swapped with the next one."""
    before: list[int] = []
    last = list(range(len(other) + 1))
    for row, character in enumerate(one, 1):
        current = [row]
        for column, wanted in enumerate(other, 1):
            least = min(last[column] + 1, current[-1] + 1, last[column - 1] + (character != wanted))
            if row > 1 and column > 1 and character == other[column - 2] and one[row - 2] == wanted:
                least = min(least, before[column - 2] + 1)
            current.append(least)
        before, last = last, current
    return last[-1]


class FilterModule:
    """The filter."""

    def filters(self) -> dict[str, Callable[..., list[str]]]:
        """It, by its name."""
        return {"mistyped": mistyped}
