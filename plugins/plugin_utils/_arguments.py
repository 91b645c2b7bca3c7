# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a task was given, before Ansible reads it: there, absent and empty still differ."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import UsageError, did_you_mean
from ansible_collections.herdops.alpacon.plugins.module_utils._options.values import parse_boolean

_WHAT = {type(None): "null", bool: "true or false", list: "a list", tuple: "a list", dict: "a dictionary"}
_ONE_TEXT = "Give one text: in quotes if it is a word such as true or yes, and data with the filter to_json."


def check_arguments(
    module: str,
    spec: Mapping[str, Mapping[str, Any]],
    given: Mapping[str, Any],
    selections: Mapping[str, str],
) -> None:
    """Check names and selections of a task's options, as they are written.

    Args:
        selections: options that select something, and what to do where they select nothing.

    Raises:
        UsageError: an option is unknown, is given under two names, selects nothing, or is no text where it must be.
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
    for name, alias in written.items():
        if spec[name].get("type", "str") == "str":
            _check_text(name, given[alias])


def _check_text(option: str, value: Any) -> None:
    # Ansible would write it as Python does, such as ['echo', 'hi'].
    if isinstance(value, (bool, Mapping, list, tuple)):
        raise UsageError(option, f"it is {_what(value)}", _ONE_TEXT)


def check_option_names(whose: str, given: Iterable[Any], names: Iterable[str], otherwise: str) -> None:
    """Check the names of options.

    Args:
        whose: options they are.
        names: those that there are.
        otherwise: what to do about a name that is like none of them.

    Raises:
        UsageError: there is no such option.
    """
    for name in given:
        if name not in names:
            remedy = did_you_mean(name, names, otherwise)
            raise UsageError(str(name), f"{whose} has no such option", remedy)


def check_booleans(given: Mapping[str, Any], definitions: Mapping[str, Mapping[str, Any]]) -> None:
    """Check the options that are true or false: Ansible takes for false whatever is no word for true.

    Raises:
        UsageError: one is neither.
    """
    for name, value in given.items():
        if definitions.get(name, {}).get("type") in ("bool", "boolean") and value is not None:
            parse_boolean(name, value)


def check_filters(given: Mapping[str, Any]) -> None:
    """Check that filters of servers, if they are given, select something: empty ones would be no filter at all.

    Raises:
        UsageError: they are null or empty, or one of them is null.
    """
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
    """Check that a selection selects something: an empty one never means everything, nor anything else.

    Args:
        several: whether a text may be a list with commas.

    Raises:
        UsageError: it is empty or null, or has an element that is, or one that is neither text nor number.
    """
    if value is None or (isinstance(value, str) and not value.strip()):
        raise UsageError(option, "it is null" if value is None else "it is empty", remedy)
    items = value.split(",") if isinstance(value, str) and several else value
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


def drop_predicted_ids(given: dict[str, Any], *names: str) -> bool:
    """Take null ids out of options; whether none is left in one of them, and it is gone.

    In check mode, those are ids of commands that would have been submitted.
    """
    gone = False
    for name in names:
        ids = given.get(name, [])
        listed = ids if isinstance(ids, (list, tuple)) else [ids]
        # Before ansible-core 2.19, templates make empty texts of null.
        known = [one for one in listed if one not in (None, "")]
        if known and len(known) < len(listed):
            given[name] = known
        elif listed and not known:
            del given[name]
            gone = True
    return gone


def _what(value: Any) -> str:
    return next((word for kind, word in _WHAT.items() if isinstance(value, kind)), "of no use")


def validate_dictionary(option: str, spec: dict[str, Any], given: Any, **rules: Any) -> dict[str, Any]:
    """Return a dictionary as Ansible's argument spec reads it.

    Args:
        rules: rules of the spec, such as C(required_if).

    Raises:
        UsageError: it is no dictionary, or what Ansible says is wrong with it.
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
