# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Explain why the argument spec of a task refuses its arguments, with the names that the user typed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

from ansible.module_utils.common.parameters import DEFAULT_TYPE_VALIDATORS

from .._api.errors import UsageError, clean_line, did_you_mean

#: Type -> problem and remedy.
_TYPES = {
    "bool": ("neither true nor false", "Give true or false."),
    "int": ("not a whole number", "Give one without a unit, such as 10."),
    "float": ("not a number", "Give one without a unit, such as 10."),
    "dict": ("not a dictionary", "Give names with their values, as NAME: value."),
    "list": ("not a list", "Give a list."),
}
_SHOWN = 60

Spec = Mapping[str, Mapping[str, Any]]
Rules = Mapping[str, Any]


def explain_refusal(
    spec: Spec,
    rules: Rules,
    arguments: Mapping[str, Any],
    names: Mapping[str, str] | None = None,
    remedies: Mapping[str, str] | None = None,
) -> UsageError | None:
    """Return the first problem that Ansible's validation finds, or None for a problem that has no explanation here.

    Args:
        names: The name that the user typed for an option, such as the variable of a playbook.
        remedies: For an option that excludes others, the remedy; C({other}) is the other one.
    """
    spellings = {name: (name, *option.get("aliases", ())) for name, option in spec.items()}
    typed = {name: next((one for one in own if one in arguments), name) for name, own in spellings.items()}
    given = {name: arguments[own] for name, own in typed.items() if own in arguments}
    labels = {**typed, **(names or {})}
    problems = chain(
        _find_exclusive(rules, given, labels, remedies or {}),
        _find_values(spec, given, labels),
        _find_missing(spec, rules, given, labels),
    )
    return next(problems, None)


def _find_exclusive(
    rules: Rules, given: Mapping[str, Any], labels: Mapping[str, str], remedies: Mapping[str, str]
) -> Iterator[UsageError]:
    for group in rules.get("mutually_exclusive", ()):
        used = [name for name in group if name in given]
        if len(used) > 1:
            first, second = used[:2]
            remedy = remedies.get(first, "Leave one of them out.").format_map({**labels, "other": labels[second]})
            yield UsageError(labels[second], f"it cannot be used with {labels[first]}", remedy)


def _find_values(spec: Spec, given: Mapping[str, Any], labels: Mapping[str, str]) -> Iterator[UsageError]:
    for name, value in given.items():
        option, label = spec[name], labels[name]
        kind = option.get("type", "str")
        if value is None and not option.get("required") and option.get("default") is None and "choices" not in option:
            continue
        if not _is_of_type(kind, value):
            yield _refuse_type(label, kind, value)
        elif kind == "dict" and "options" in option:
            yield from _find_suboptions(option["options"], label, DEFAULT_TYPE_VALIDATORS[kind](value))
        elif kind == "list":
            yield from _find_elements(option, label, DEFAULT_TYPE_VALIDATORS[kind](value))
        elif "choices" in option and value not in option["choices"]:
            yield _refuse_choice(label, option["choices"], value)


def _find_suboptions(spec: Spec, label: str, value: Mapping[str, Any]) -> Iterator[UsageError]:
    labels = {name: f"{label}: {name}" for name in spec}
    for key in value:
        if key not in spec:
            remedy = did_you_mean(key, spec, f"It may have: {', '.join(spec)}.")
            yield UsageError(f"{label}: {clean_line(key)}", "there is no such key", remedy)
    given = {key: value[key] for key in value if key in spec}
    yield from _find_values(spec, given, labels)
    yield from _find_missing(spec, {}, given, labels)


def _find_elements(option: Mapping[str, Any], label: str, elements: Sequence[Any]) -> Iterator[UsageError]:
    kind = option.get("elements", "str")
    for element in elements:
        if not _is_of_type(kind, element):
            yield _refuse_type(label, kind, element)
        elif kind == "dict" and "options" in option:
            yield from _find_suboptions(option["options"], label, DEFAULT_TYPE_VALIDATORS[kind](element))
        elif "choices" in option and element not in option["choices"]:
            yield _refuse_choice(label, option["choices"], element)


def _find_missing(
    spec: Spec, rules: Rules, given: Mapping[str, Any], labels: Mapping[str, str]
) -> Iterator[UsageError]:
    missing = [name for name, option in spec.items() if option.get("required") and name not in given]
    if missing:
        choices = spec[missing[0]].get("choices")
        remedy = f"one of {', '.join(choices)}" if choices else " and ".join(labels[name] for name in missing)
        yield UsageError(labels[missing[0]], "it is missing", f"Give {remedy}.")
    for name, value, needed, *is_any in rules.get("required_if", ()):
        missing = [each for each in needed if each not in given]
        enough = len(missing) < len(needed) if is_any and is_any[0] else not missing
        if given.get(name, spec[name].get("default")) == value and not enough:
            problem = f"it is missing, and {labels[name]} is {value}"
            yield UsageError(labels[missing[0]], problem, f"Give {_join(missing, labels)}.")
    for group in rules.get("required_one_of", ()):
        if not any(name in given for name in group):
            yield UsageError(labels[group[0]], "it is missing", f"Give {_join(group, labels)}.")
    for name, needed in rules.get("required_by", {}).items():
        missing = [each for each in ([needed] if isinstance(needed, str) else needed) if each not in given]
        if name in given and missing:
            others = " and ".join(labels[each] for each in missing)
            yield UsageError(labels[name], f"it can only be used with {others}", f"Give {others}, or leave it out.")


def _join(names: Sequence[str], labels: Mapping[str, str]) -> str:
    *others, last = (labels[name] for name in names)
    return f"{', '.join(others)} or {last}" if others else last


def _is_of_type(kind: Any, value: Any) -> bool:
    if value is None and kind != "str":
        return False
    try:
        DEFAULT_TYPE_VALIDATORS[kind](value)
    except (TypeError, ValueError, KeyError):
        return False
    return True


def _refuse_type(label: str, kind: str, value: Any) -> UsageError:
    problem, remedy = _TYPES.get(kind, (f"not of the type {kind}", f"Give a value of the type {kind}."))
    # The text of a dictionary, such as env, may contain a secret.
    shown = "this text" if kind == "dict" and isinstance(value, str) else _show(value)
    return UsageError(label, f"{shown} is {problem}", remedy)


def _refuse_choice(label: str, choices: Sequence[Any], value: Any) -> UsageError:
    otherwise = f"Give one of {', '.join(map(str, choices))}."
    close = did_you_mean(value, map(str, choices), "") if str(value).strip() else ""
    return UsageError(label, f"{_show(value)} is not one of its values", f"{close} {otherwise}".strip())


def _show(value: Any) -> str:
    """Quote a value; one of several parts may contain a secret, and is not shown."""
    if value is None:
        return "null"
    if isinstance(value, Mapping):
        return "a dictionary"
    if isinstance(value, (list, tuple)):
        return "a list"
    return f"'{clean_line(value):.{_SHOWN}}'"
