# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Results of other scanners, one file for each format: what a server's output holds becomes results like ours."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import UsageError
from ansible_collections.herdops.alpacon.plugins.plugin_utils._arguments import validate_dictionary

from ..results import (
    FAILED,
    MAX_OUTPUT_CHARACTERS,
    MAX_RESULTS,
    MISSING,
    NOT_APPLICABLE,
    PASSED,
    SEVERITIES,
    UNKNOWN,
    RuleResult,
    ScannerError,
    clean_result,
    merge_results,
    missing_result,
    shorten,
)
from .json_results import read_inspec, read_json_results
from .junit_tap import read_junit, read_tap
from .openscap import read_xccdf

#: The readers of formats by their names in checks. Each reads an output, and takes the check's key C(results).
FORMATS: dict[str, Callable[[str, Mapping[str, Any]], list[RuleResult]]] = {
    "xccdf": read_xccdf,
    "tap": read_tap,
    "junit": read_junit,
    "inspec": read_inspec,
    "json": read_json_results,
}
#: Formats that are read line by line. An output in another one shows that it ends too soon.
LINE_FORMATS = ("xccdf", "tap")
_TEXTS = ("title", "rationale", "remedy")
#: The options of a rule, of all formats, and of the format json: paths, and the meanings of words.
_RULE: dict[str, dict[str, Any]] = {
    "name": {"type": "str", "required": True},
    **{key: {"type": "str"} for key in _TEXTS},
    "severity": {"type": "str", "choices": list(SEVERITIES)},
    "references": {"type": "list", "elements": "str"},
}
_OPTIONS: dict[str, dict[str, Any]] = {
    "format": {"type": "str", "required": True, "choices": list(FORMATS)},
    "rules": {"type": "list", "elements": "dict", "default": [], "options": _RULE},
}
_MEANINGS = {
    key: {"type": "list", "elements": "str", "default": []} for key in (PASSED, FAILED, UNKNOWN, NOT_APPLICABLE)
}
_JSON: dict[str, dict[str, Any]] = {
    **{key: {"type": "str"} for key in ("list", "name", "severity", "references", "message", *_TEXTS)},
    "outcome": {"type": "str", "required": True},
    "words": {"type": "dict", "required": True, "options": _MEANINGS},
}

__all__ = [
    "FORMATS",
    "LINE_FORMATS",
    "RuleResult",
    "ScannerError",
    "index_rules",
    "parse_output",
    "read_results_options",
    "unknown_results",
]


def parse_output(results: Mapping[str, Any], output: str, cut: str = "") -> list[RuleResult]:
    """Return the results in a scanner's output.

    Args:
        cut: why the end of the output is missing, as a sentence; one more result then says so.

    Raises:
        ScannerError: no result could be read, and why.
    """
    if len(output) > MAX_OUTPUT_CHARACTERS:
        raise ScannerError(f"The output has more than {MAX_OUTPUT_CHARACTERS:,} characters.")
    try:
        found = _parse_beginning(results, output, cut) if cut else FORMATS[results["format"]](output, results)
    except RecursionError:
        raise ScannerError("The output is nested too deeply.") from None
    found = merge_results(found)
    if not found:
        raise ScannerError("The output has no result.")
    if len(found) > MAX_RESULTS:
        raise ScannerError(f"The output has {len(found):,} results, which is more than {MAX_RESULTS:,}.")
    return _add_rules(results, found, cut or "The scanner did not say.")


def unknown_results(results: Mapping[str, Any], why: str) -> list[RuleResult]:
    """Return an unknown result for each known rule of a scanner that said nothing."""
    return _add_rules(results, [], why)


def index_rules(rules: Iterable[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Return rules by their names, as results have them."""
    return {shorten(rule["name"]): rule for rule in rules}


def _parse_beginning(results: Mapping[str, Any], output: str, cut: str) -> list[RuleResult]:
    """Return the results in an output whose end is missing, and one that says so."""
    kind, found = results["format"], list[RuleResult]()
    if kind in LINE_FORMATS:
        with contextlib.suppress(ScannerError):
            # The last line may be torn.
            found = FORMATS[kind](output[: output.rfind("\n") + 1], results)
    told = [one.message for one in found if one.name == MISSING]
    whole = [one for one in found if one.name != MISSING]
    # Of the last rule, a worse result may follow.
    whole = [one for one in whole if one.name != whole[-1].name or one.outcome == FAILED]
    if not whole:
        raise ScannerError(cut)
    return [*whole, missing_result(" ".join([cut, *told]))]


def _add_rules(results: Mapping[str, Any], found: Sequence[RuleResult], silence: str) -> list[RuleResult]:
    """Return results with what is known about their rules, and an unknown result for each rule without one."""
    rules = index_rules(results.get("rules") or ())
    names = {result.name for result in found}
    untold = [RuleResult(name, UNKNOWN, message=silence) for name in rules if name not in names]
    about = {name: {key: rule[key] for key in rule if rule[key] and key != "name"} for name, rule in rules.items()}
    for name, severity in results.get("severities", {}).items():
        about.setdefault(name, {})["severity"] = severity
    skip = results.get("skip", ())
    told = [*map(_move_remedy, found), *untold]
    return [clean_result(replace(one, **about.get(one.name, {}))) for one in told if one.name not in skip]


def _move_remedy(result: RuleResult) -> RuleResult:
    """Return a result whose message has the remedy that a server prints: it may not advise other servers."""
    if not result.remedy:
        return result
    message = f"{result.message.rstrip()}\nThe scanner on this server names a remedy: {result.remedy}".strip()
    return replace(result, message=message, remedy="")


def read_results_options(option: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the key C(results) of a check as :func:`parse_output` takes it.

    Args:
        option: its name in an error, such as ``checks, check 2 (scap): results``.

    Raises:
        UsageError: which key is wrong, and why.
    """
    is_json = given.get("format") == "json"
    options = validate_dictionary(option, _OPTIONS | _JSON if is_json else _OPTIONS, given)
    if is_json:
        words: dict[str, str] = {}
        for meaning, word in ((meaning, word) for meaning, listed in options["words"].items() for word in listed):
            other = words.setdefault(word.casefold(), meaning)
            if other != meaning:
                raise UsageError(f"{option}.words", f"'{word}' means both {other} and {meaning}", "Choose one of them.")
        options["words"] = words
    return options
