# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Check the arguments of a task before Ansible converts them, while null, empty and absent still differ."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from typing import Any

from ansible.playbook.task import Task

from ..module_utils._api.errors import UsageError, did_you_mean
from ..module_utils._options.values import parse_boolean

_TYPES = {type(None): "null", bool: "true or false", list: "a list", tuple: "a list", Mapping: "a dictionary"}


#: Options and keywords that users take for each other.
_SYNONYMS = (
    ("servers", "server", "hosts", "host"),
    ("username", "user", "become_user", "remote_user"),
    ("env", "environment"),
)


def check_arguments(
    module: str,
    spec: Mapping[str, Mapping[str, Any]],
    arguments: Mapping[str, Any],
    selections: Mapping[str, str],
) -> None:
    """Refuse unknown options, an option beside its alias, empty selections, and lists in place of text.

    Args:
        selections: Options that select something, each with the remedy for an empty value.
    """
    names = {alias: name for name, option in spec.items() for alias in (name, *option.get("aliases", ()))}
    check_option_names(module, arguments, names, f"ansible-doc {module} lists all options.", Task.fattributes)
    aliases: dict[str, str] = {}
    for alias in arguments:
        name = names[alias]
        if name in aliases:
            first, second = sorted((alias, aliases[name]), key=lambda spelling: spelling != name)
            raise UsageError(name, f"it is given twice, as {first} and as {second}", "Give one of them.")
        aliases[name] = alias
    for name, remedy in selections.items():
        if name in aliases:
            check_selection(name, arguments[aliases[name]], remedy, spec[name].get("type") == "list")
    if "filters" in spec:
        check_filters(arguments)
    for name, alias in aliases.items():
        if isinstance(arguments[alias], bool) and str(arguments[alias]).lower() in spec[name].get("choices", ()):
            continue
        # Ansible would convert these to Python code, such as ['echo', 'hi'].
        if spec[name].get("type", "str") == "str" and isinstance(arguments[alias], (bool, Mapping, list, tuple)):
            raise UsageError(
                name,
                f"it is {_find_fault(arguments[alias])}",
                "Give one text: in quotes if it is a word such as true or yes, and data with the filter to_json.",
            )


def check_option_names(
    owner: str, given: Iterable[Any], names: Iterable[str], default_remedy: str, keywords: Container[str] = ()
) -> None:
    """Refuse unknown names of options.

    Args:
        default_remedy: Used if no name is similar.
        keywords: names that belong to the task.
    """
    for name in given:
        if name in names:
            continue
        remedy = did_you_mean(name, names, default_remedy)
        similar = next((option for words in _SYNONYMS if name in words for option in names if option in words), "")
        if similar:
            remedy = f"Did you mean {similar}?"
        elif name in keywords:
            remedy = f"{name} is a keyword of tasks: indent it as much as the name of the module."
        raise UsageError(str(name), f"{owner} has no such option", remedy)


def check_booleans(options: Mapping[str, Any], definitions: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse words that are neither true nor false, which Ansible reads as false."""
    for name, value in options.items():
        if definitions.get(name, {}).get("type") in ("bool", "boolean") and value is not None:
            parse_boolean(name, value)


def check_filters(options: Mapping[str, Any]) -> None:
    """Refuse empty filters of servers, which would select all servers."""
    if "filters" not in options:
        return
    filters = options["filters"]
    if not filters or (isinstance(filters, str) and not filters.strip()):
        fault = "null" if filters is None else "empty"
        raise UsageError("filters", f"it is {fault}", "Give a filter, or leave it out to mean all servers.")
    for name, value in filters.items() if isinstance(filters, Mapping) else ():
        if value is None:
            raise UsageError("filters", f"{name} is null", "Give a value, or leave it out.")


def check_selection(option: str, value: Any, remedy: str, is_list: bool = True) -> None:
    """Refuse values and elements that are null, empty, or neither text nor number.

    Args:
        is_list: Split a text at its commas.
    """
    items = value.split(",") if isinstance(value, str) and value.strip() and is_list else value
    fault = ""
    if not isinstance(items, (list, tuple)):
        fault = _find_fault(value)
    elif not items:
        fault = "an empty list"
    if fault:
        raise UsageError(option, f"it is {fault}", remedy)
    for item in items if isinstance(items, (list, tuple)) else ():
        fault = _find_fault(item)
        if fault:
            raise UsageError(option, f"one of its elements is {fault}", remedy)


def _find_fault(value: Any) -> str:
    """Describe a value that is null, empty, or neither text nor number; return an empty text for others."""
    if isinstance(value, str):
        return "" if value.strip() else "empty"
    return next((words for kind, words in _TYPES.items() if isinstance(value, kind)), "")


def drop_predicted_ids(arguments: dict[str, Any], *names: str) -> bool:
    """Remove null IDs from options. In check mode, those are IDs of predicted commands.

    Returns:
        True if an option had only null IDs. The option is removed as well.
    """
    is_removed = False
    for name in names:
        value = arguments.get(name, [])
        listed = value if isinstance(value, (list, tuple)) else [value]
        # Before ansible-core 2.19, templates convert null to an empty text.
        ids = [item for item in listed if item not in (None, "")]
        if ids and len(ids) < len(listed):
            arguments[name] = ids
        elif listed and not ids:
            del arguments[name]
            is_removed = True
    return is_removed
