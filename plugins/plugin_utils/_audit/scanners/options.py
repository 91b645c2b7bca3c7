# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""The key C(results) of a check."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import UsageError, did_you_mean

from ..verdict import FAILED, NOT_APPLICABLE, PASSED, SEVERITIES, UNKNOWN
from . import FORMATS
from .json_path import TEXTS
from .results import MOST_OF_NAME, short

#: Keys of the format json that are paths.
_PATHS = ("list", "name", "outcome", "severity", "references", *TEXTS)
#: Meanings of a scanner's words.
_MEANINGS = (PASSED, FAILED, UNKNOWN, NOT_APPLICABLE)
#: Keys of a rule that are texts, and all of them.
_RULE_TEXTS = ("name", "title", "rationale", "remedy")
_RULE = (*_RULE_TEXTS, "severity", "references")


def read_results(option: str, given: Any) -> dict[str, Any]:
    """Return the key as :func:`scanners.parse` takes it.

    Args:
        option: its name in an error, such as ``checks, check 2 (scap): results``.

    Raises:
        UsageError: which key is wrong, and why.
    """
    options = _mapping(option, given, ("format", "rules", "words", *_PATHS))
    kind = options.get("format")
    if not isinstance(kind, str) or kind not in FORMATS:
        remedy = did_you_mean(kind, FORMATS, f"Give one of {', '.join(FORMATS)}.")
        raise UsageError(f"{option}.format", f"'{kind}' is not a format" if kind else "it is missing", remedy)
    of_json = [key for key in options if key in (*_PATHS, "words")]
    if kind != "json" and of_json:
        raise UsageError(f"{option}.{of_json[0]}", f"the format {kind} has no such key", "Leave it out.")
    read = {"format": kind, "rules": _rules(f"{option}.rules", options.get("rules") or [])}
    return {**read, **_json(option, options)} if kind == "json" else read


def _json(option: str, options: Mapping[str, Any]) -> dict[str, Any]:
    for key in ("outcome", "words"):
        if not options.get(key):
            raise UsageError(f"{option}.{key}", "it is missing", "The format json needs outcome and words.")
    given = _mapping(f"{option}.words", options["words"], _MEANINGS)
    words = {meaning: _texts(f"{option}.words.{meaning}", listed) for meaning, listed in given.items()}
    meanings: dict[str, str] = {}
    for meaning, word in ((meaning, word) for meaning, listed in words.items() for word in listed):
        other = meanings.setdefault(word.casefold(), meaning)
        if other != meaning:
            raise UsageError(f"{option}.words", f"'{word}' means both {other} and {meaning}", "Choose one of them.")
    return {**{key: _text(f"{option}.{key}", options.get(key)) for key in _PATHS}, "words": words}


def _rules(option: str, given: Any) -> list[dict[str, Any]]:
    if not isinstance(given, Sequence) or isinstance(given, str):
        raise UsageError(option, "it is not a list", "Give a list of dictionaries, each with a name.")
    rules = [_rule(f"{option}, rule {number}", rule) for number, rule in enumerate(given, start=1)]
    if len({short(rule["name"], MOST_OF_NAME) for rule in rules}) < len(rules):
        raise UsageError(option, "two rules have the same name", "Leave one of them out.")
    return rules


def _rule(option: str, given: Any) -> dict[str, Any]:
    rule = _mapping(option, given, _RULE)
    texts = {key: _text(f"{option}.{key}", rule.get(key)) for key in _RULE_TEXTS}
    if not texts["name"]:
        raise UsageError(f"{option}.name", "it is missing", "Give the scanner's name for it.")
    severity = rule.get("severity")
    if severity is not None and severity not in SEVERITIES:
        remedy = f"Give one of {', '.join(SEVERITIES)}."
        raise UsageError(f"{option}.severity", f"'{severity}' is not a severity", remedy)
    references = tuple(_texts(f"{option}.references", rule.get("references") or []))
    return {**texts, "severity": severity, "references": references}


def _mapping(option: str, given: Any, known: Collection[str]) -> Mapping[str, Any]:
    if not isinstance(given, Mapping):
        raise UsageError(option, "it is not a dictionary", f"Give one, with some of {', '.join(known)}.")
    for key in given:
        if key not in known:
            remedy = did_you_mean(key, known, f"It may have: {', '.join(known)}.")
            raise UsageError(f"{option}.{key}", "there is no such key", remedy)
    return given


def _text(option: str, given: Any) -> str:
    if given is not None and (not isinstance(given, (str, int, float)) or isinstance(given, bool)):
        raise UsageError(option, "it is not a text", "Give a text.")
    return "" if given is None else str(given)


def _texts(option: str, given: Any) -> list[str]:
    """Return a list of texts. JSON's true, false and null are given as YAML reads them."""
    listed = given if isinstance(given, Sequence) and not isinstance(given, str) else [given]
    if any(isinstance(one, (Mapping, list)) for one in listed):
        raise UsageError(option, "it is not a list of texts", "Give a list of texts.")
    return [json.dumps(one) if one is None or isinstance(one, bool) else str(one) for one in listed]
