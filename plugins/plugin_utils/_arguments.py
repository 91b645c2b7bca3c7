# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Check the arguments of a task as they are written, where null, empty and absent still differ."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ..module_utils._api.errors import UsageError, did_you_mean
from ..module_utils._options.values import parse_boolean

_TYPES = {type(None): "null", bool: "true or false", list: "a list", tuple: "a list", dict: "a dictionary"}


def check_arguments(
    module: str,
    spec: Mapping[str, Mapping[str, Any]],
    given: Mapping[str, Any],
    selections: Mapping[str, str],
) -> None:
    """Refuse unknown options, options given under two names, empty selections, and lists in place of text.

    Args:
        selections: Options that select something, each with the remedy for an empty one.
    """
    names = {alias: name for name, option in spec.items() for alias in (name, *option.get("aliases", ()))}
    check_option_names(module, given, names, f"ansible-doc {module} lists those that there are.")
    written: dict[str, str] = {}
    for alias in given:
        name = names[alias]
        if name in written:
            first, second = sorted((alias, written[name]), key=lambda one: one != name)
            raise UsageError(name, f"it is given twice, as {first} and as {second}", "Give one of them.")
        written[name] = alias
    for name, remedy in selections.items():
        if name in written:
            check_selection(name, given[written[name]], remedy, spec[name].get("type") == "list")
    if "filters" in spec:
        check_filters(given)
    for name, alias in written.items():
        # Ansible would convert these to Python code, such as ['echo', 'hi'].
        if spec[name].get("type", "str") == "str" and isinstance(given[alias], (bool, Mapping, list, tuple)):
            raise UsageError(
                name,
                f"it is {_describe_type(given[alias])}",
                "Give one text: in quotes if it is a word such as true or yes, and data with the filter to_json.",
            )


def check_option_names(owner: str, given: Iterable[Any], names: Iterable[str], otherwise: str) -> None:
    """Refuse unknown names of options.

    Args:
        otherwise: Remedy if no known name is similar.
    """
    for name in given:
        if name not in names:
            raise UsageError(str(name), f"{owner} has no such option", did_you_mean(name, names, otherwise))


def check_booleans(given: Mapping[str, Any], definitions: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse words that are neither true nor false, which Ansible reads as false."""
    for name, value in given.items():
        if definitions.get(name, {}).get("type") in ("bool", "boolean") and value is not None:
            parse_boolean(name, value)


def check_filters(given: Mapping[str, Any]) -> None:
    """Refuse empty filters of servers, which would select all servers."""
    if "filters" not in given:
        return
    filters = given["filters"]
    if not filters or (isinstance(filters, str) and not filters.strip()):
        what = "null" if filters is None else "empty"
        raise UsageError("filters", f"it is {what}", "Give a filter, or leave it out to mean all servers.")
    for name, value in filters.items() if isinstance(filters, Mapping) else ():
        if value is None:
            raise UsageError("filters", f"{name} is null", "Give what it must be, or leave it out.")


def check_selection(option: str, value: Any, remedy: str, several: bool = True) -> None:
    """Refuse a selection that is empty or null, or has an element that is, or one that is neither text nor number.

    Args:
        several: Read a text as a list with commas.
    """
    if value is None or (isinstance(value, str) and not value.strip()):
        raise UsageError(option, "it is null" if value is None else "it is empty", remedy)
    items = value.split(",") if isinstance(value, str) and several else value
    if isinstance(value, (bool, Mapping)):
        raise UsageError(option, f"it is {_describe_type(value)}", remedy)
    if not isinstance(items, (list, tuple)):
        return
    if not items:
        raise UsageError(option, "it is an empty list", remedy)
    for item in items:
        if item is None or (isinstance(item, str) and not item.strip()):
            raise UsageError(option, f"one of its elements is {'null' if item is None else 'empty'}", remedy)
        if isinstance(item, (bool, Mapping, list, tuple)):
            raise UsageError(option, f"one of its elements is {_describe_type(item)}", remedy)


def drop_predicted_ids(given: dict[str, Any], *names: str) -> bool:
    """Remove null IDs from options; in check mode, those are IDs of predicted commands.

    Returns:
        True if an option had no other ID. It is removed as well.
    """
    gone = False
    for name in names:
        ids = given.get(name, [])
        listed = ids if isinstance(ids, (list, tuple)) else [ids]
        # Before ansible-core 2.19, templates convert null to an empty text.
        known = [one for one in listed if one not in (None, "")]
        if known and len(known) < len(listed):
            given[name] = known
        elif listed and not known:
            del given[name]
            gone = True
    return gone


def _describe_type(value: Any) -> str:
    return next((words for kind, words in _TYPES.items() if isinstance(value, kind)), "of no use")


def validate_dictionary(option: str, spec: dict[str, Any], given: Any, **rules: Any) -> dict[str, Any]:
    """Validate a dictionary by Ansible's argument spec.

    Args:
        rules: Rules of the spec, such as C(required_if).

    Raises:
        UsageError: It is no dictionary, or Ansible refuses it.
    """
    if not isinstance(given, Mapping):
        raise UsageError(option, "it is not a dictionary", f"Give one, with some of {', '.join(spec)}.")
    for key in given:
        if key not in spec:
            remedy = did_you_mean(str(key), spec, f"It may have: {', '.join(spec)}.")
            raise UsageError(f"{option}: {key}", "there is no such key", remedy)
    result = ArgumentSpecValidator(spec, **rules).validate(dict(given))
    if result.error_messages:
        raise UsageError(option, result.error_messages[0])
    options: dict[str, Any] = result.validated_parameters
    return options
