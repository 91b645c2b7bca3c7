# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""What a task was given, before Ansible reads it: there, absent and empty still differ."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.herdops.alpacon.plugins.module_utils._errors import UsageError, did_you_mean

_WHAT = {type(None): "null", bool: "true or false", list: "a list", tuple: "a list", dict: "a dictionary"}


def check_given(
    module: str,
    spec: Mapping[str, Mapping[str, Any]],
    given: Mapping[str, Any],
    selections: Mapping[str, str],
    foreign: Mapping[str, str],
) -> None:
    """Check names and selections of a task's options, as they are written.

    Args:
        selections: options that select something, and what to do where they select nothing.
        foreign: options that other modules have, and what to do instead.

    Raises:
        UsageError: an option is unknown, is given under two names, or selects nothing.
    """
    names = {alias: name for name, option in spec.items() for alias in (name, *option.get("aliases", ()))}
    for name in given:
        if name not in names:
            remedy = foreign.get(name) or did_you_mean(name, names, f"ansible-doc {module} lists those that there are.")
            raise UsageError(name, f"{module} has no such option", remedy)
    written: dict[str, str] = {}
    for alias in given:
        name = names[alias]
        if name in written:
            first, second = sorted((alias, written[name]), key=lambda one: one != name)
            raise UsageError(name, f"it is given twice, as {first} and as {second}", "Give one of them.")
        written[name] = alias
    for name, remedy in selections.items():
        if name in written:
            check_selection(name, given[written[name]], remedy)


def check_selection(option: str, value: Any, remedy: str) -> None:
    """Check that a selection selects something: an empty one never means everything, nor anything else.

    Raises:
        UsageError: it is empty or null, or has an element that is, or one that is neither text nor number.
    """
    if value is None or (isinstance(value, str) and not value.strip()):
        raise UsageError(option, "it is null" if value is None else "it is empty", remedy)
    items = value.split(",") if isinstance(value, str) else value
    if isinstance(value, (bool, Mapping)):
        raise UsageError(option, f"it is {_what(value)}", remedy)
    if not isinstance(items, (list, tuple)):
        return
    if not items:
        raise UsageError(option, "it is an empty list", remedy)
    for item in items:
        if item is None or (isinstance(item, str) and not item.strip()):
            raise UsageError(option, f"one of its elements is {'null' if item is None else 'empty'}", remedy)
        if isinstance(item, (bool, Mapping, list, tuple)):
            raise UsageError(option, f"one of its elements is {_what(item)}", remedy)


def _what(value: Any) -> str:
    return next((word for kind, word in _WHAT.items() if isinstance(value, kind)), "of no use")
