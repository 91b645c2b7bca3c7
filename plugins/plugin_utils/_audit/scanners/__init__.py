# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""Results of other scanners, one file for each format: what a server's output holds becomes results like ours."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import UsageError, did_you_mean

from ..verdict import FAILED, NOT_APPLICABLE, PASSED, SEVERITIES, UNKNOWN
from . import inspec, json_path, junit, tap, xccdf
from .results import (
    MISSING,
    MOST_CHARACTERS,
    MOST_OF_NAME,
    MOST_RESULTS,
    NamedResult,
    ScannerError,
    missing,
    short,
    shown,
)

#: Keys of the format json that are paths.
_PATHS = ("list", "name", "outcome", "severity", "references", *json_path.TEXTS)
#: Meanings of a scanner's words.
_MEANINGS = (PASSED, FAILED, UNKNOWN, NOT_APPLICABLE)
#: Keys of a rule that are texts, and all of them.
_RULE_TEXTS = ("name", "title", "rationale", "remedy")
_RULE = (*_RULE_TEXTS, "severity", "references")
_Reader = Callable[[str, Mapping[str, Any]], list[NamedResult]]


@dataclass(frozen=True)
class Format:
    """A format of results.

    Attributes:
        read: reads an output, or raises :class:`ScannerError`. The second argument is the check's key C(results).
        tells_end: whether an output shows that it ends too soon, so that what came is all even if a signal ended it.
        read_beginning: reads complete lines of an output whose end is missing. None if only a whole output can be read.
    """

    read: _Reader
    tells_end: bool
    read_beginning: _Reader | None = None


#: The formats by their names in checks.
FORMATS = {
    "xccdf": Format(xccdf.read, tells_end=False, read_beginning=xccdf.read_beginning),
    "tap": Format(tap.read, tells_end=False, read_beginning=tap.read),
    "junit": Format(junit.read, tells_end=True),
    "inspec": Format(inspec.read, tells_end=True),
    "json": Format(json_path.read, tells_end=False, read_beginning=json_path.read_beginning),
}

__all__ = ["FORMATS", "Format", "NamedResult", "ScannerError", "by_name", "parse", "read_results", "silent"]


def parse(results: Mapping[str, Any], output: str, cut: str = "") -> list[NamedResult]:
    """Return the results in a scanner's output.

    Args:
        cut: why the end of the output is missing, as a sentence; one more result then says so.

    Raises:
        ScannerError: no result could be read, and why.
    """
    if len(output) > MOST_CHARACTERS:
        raise ScannerError(f"The output has more than {MOST_CHARACTERS:,} characters.")
    try:
        found = _beginning(results, output, cut) if cut else FORMATS[results["format"]].read(output, results)
    except RecursionError:
        raise ScannerError("The output is nested too deeply.") from None
    if not found:
        raise ScannerError("The output has no result.")
    if len(found) > MOST_RESULTS:
        raise ScannerError(f"The output has {len(found):,} results, which is more than {MOST_RESULTS:,}.")
    return _chosen(results, found, cut or "The scanner did not say.")


def silent(results: Mapping[str, Any], why: str) -> list[NamedResult]:
    """Return an unknown result for each known rule of a scanner that said nothing."""
    return _chosen(results, [], why)


def _chosen(results: Mapping[str, Any], found: list[NamedResult], silence: str) -> list[NamedResult]:
    """Return results as a report has them: those of known rules among them, without those to skip."""
    skip, severities = results.get("skip", ()), results.get("severities", {})
    kept = shown(_with_rules(found, results.get("rules") or (), silence))
    return [replace(one, severity=severities.get(one.name, one.severity)) for one in kept if one.name not in skip]


def _beginning(results: Mapping[str, Any], output: str, cut: str) -> list[NamedResult]:
    """Return the results in an output whose end is missing, and one that says so."""
    read = FORMATS[results["format"]].read_beginning
    try:
        # The last line may be torn.
        found = read(output[: output.rfind("\n") + 1], results) if read else []
    except ScannerError:
        found = []
    told = [result.message for result in found if result.name == MISSING]
    whole = [result for result in found if result.name != MISSING]
    if not whole:
        raise ScannerError(cut)
    return [*whole, missing(" ".join([cut, *told]))]


def by_name(rules: Iterable[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Return rules by their names, as results have them."""
    return {short(rule["name"], MOST_OF_NAME): rule for rule in rules}


def _with_rules(found: list[NamedResult], rules: Any, silence: str) -> list[NamedResult]:
    """Return results with what is known about their rules, and an unknown result for each rule without one."""
    known = by_name(rules)
    told = [replace(result, name=short(result.name, MOST_OF_NAME)) for result in found]
    names = {result.name for result in told}
    untold = [NamedResult(name, UNKNOWN, message=silence) for name in known if name not in names]
    about = {name: {key: rule[key] for key in _RULE[1:] if rule.get(key)} for name, rule in known.items()}
    return [replace(result, **about.get(result.name, {})) for result in [*told, *untold]]


def read_results(option: str, given: Any) -> dict[str, Any]:
    """Return the key C(results) of a check as :func:`parse` takes it.

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
