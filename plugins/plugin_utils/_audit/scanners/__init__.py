# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Parse the output of a scanner into results of rules, as the key C(results) of its check describes it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ....module_utils._api.errors import UsageError
from ....module_utils._options.values import validate_dictionary
from .evidence import FUNCTIONS
from .json_results import parse_inspec, parse_json_results
from .junit_tap import parse_junit, parse_tap
from .openscap import parse_xccdf
from .results import (
    FAILED,
    MAX_OUTPUT_CHARACTERS,
    MAX_RESULTS,
    MISSING,
    NOT_APPLICABLE,
    PASSED,
    SEVERITIES,
    UNKNOWN,
    RuleResult,
    RuleResults,
    ScannerError,
    clean_result,
    merge_results,
    shorten,
)

#: Format -> function that parses an output. Its second argument is the key C(results) of the check.
FORMATS: dict[str, Callable[[str, Mapping[str, Any]], list[RuleResult]]] = {
    "xccdf": parse_xccdf,
    "tap": parse_tap,
    "junit": parse_junit,
    "inspec": parse_inspec,
    "json": parse_json_results,
}
#: Format -> shell functions for the line of the check.
FORMAT_FUNCTIONS = {"xccdf": FUNCTIONS}
#: Formats with a result on each line, whose beginning can be parsed. Parsers of the others notice a missing end.
LINE_FORMATS = ("xccdf", "tap")
_TEXTS: dict[str, dict[str, Any]] = {key: {"type": "str"} for key in ("title", "rationale", "remedy")}
_RULE: dict[str, dict[str, Any]] = {
    **_TEXTS,
    "name": {"type": "str", "required": True},
    "severity": {"type": "str", "choices": list(SEVERITIES)},
    "references": {"type": "list", "elements": "str"},
}
_OPTIONS: dict[str, dict[str, Any]] = {
    "format": {"type": "str", "required": True, "choices": list(FORMATS)},
    "rules": {"type": "list", "elements": "dict", "default": [], "options": _RULE},
}
_WORDS = {"type": "list", "elements": "str", "default": []}
#: Further keys for the format json: paths, and the words for outcomes.
_JSON_OPTIONS: dict[str, dict[str, Any]] = {
    **_TEXTS,
    **{key: {"type": "str"} for key in ("list", "name", "severity", "references", "message")},
    "outcome": {"type": "str", "required": True},
    "versions": {"type": "dict"},
    "words": {
        "type": "dict",
        "required": True,
        "options": dict.fromkeys((PASSED, FAILED, UNKNOWN, NOT_APPLICABLE), _WORDS),
    },
}


def parse_results_options(option: str, value: Mapping[str, Any]) -> dict[str, Any]:
    if value.get("format") != "json":
        return validate_dictionary(option, _OPTIONS, value)
    options = validate_dictionary(option, _OPTIONS | _JSON_OPTIONS, value)
    if not all(isinstance(path, str) for path in (options["versions"] or {}).values()):
        raise UsageError(f"{option}.versions", "a value is not a path", "Give names, each with the path of a version.")
    outcomes: dict[str, str] = {}
    for outcome, words in options["words"].items():
        for word in words:
            other = outcomes.setdefault(word.casefold(), outcome)
            if other != outcome:
                raise UsageError(f"{option}.words", f"'{word}' means both {other} and {outcome}", "Choose one of them.")
    return {**options, "words": outcomes}


def parse_output(options: Mapping[str, Any], output: str, cut_reason: str = "") -> RuleResults:
    """Return the results in the output of a scanner, and the versions that it printed.

    Args:
        cut_reason: a sentence on why the end of the output is missing, for the message of a further result.
    """
    if len(output) > MAX_OUTPUT_CHARACTERS:
        raise ScannerError(f"The output has more than {MAX_OUTPUT_CHARACTERS:,} characters.")
    parse = FORMATS[options["format"]]
    try:
        found = _parse_beginning(options, output, cut_reason) if cut_reason else parse(output, options)
    except RecursionError:
        raise ScannerError("The output is nested too deeply.") from None
    versions = found.versions if isinstance(found, RuleResults) else ()
    found = merge_results(found)
    if not found:
        raise ScannerError("The output has no result.")
    if len(found) > MAX_RESULTS:
        raise ScannerError(f"The output has {len(found):,} results, which is more than {MAX_RESULTS:,}.")
    complete = _complete_results(options, found, cut_reason or "The output has no result of this rule.")
    return RuleResults.with_versions(complete, versions)


def make_unknown_results(options: Mapping[str, Any], message: str) -> list[RuleResult]:
    return _complete_results(options, [], message)


def _parse_beginning(options: Mapping[str, Any], output: str, cut_reason: str) -> list[RuleResult]:
    """Return the results in an output whose end is missing, and one with the reason ``cut_reason``."""
    found: list[RuleResult] = []
    if options["format"] in LINE_FORMATS:
        with contextlib.suppress(ScannerError):
            # The last line may be incomplete.
            found = FORMATS[options["format"]](output[: output.rfind("\n") + 1], options)
    messages = [one.message for one in found if one.name == MISSING]
    rules = [one for one in found if one.name != MISSING]
    # A worse result of the last rule may be in the missing part.
    rules = [one for one in rules if one.name != rules[-1].name or one.outcome == FAILED]
    if not rules:
        raise ScannerError(cut_reason)
    return [*rules, RuleResult.missing(" ".join([cut_reason, *messages]))]


def _complete_results(options: Mapping[str, Any], found: Sequence[RuleResult], message: str) -> list[RuleResult]:
    """Add the texts of the check's rules to their results, and an unknown result for each rule without one.

    Args:
        message: of the unknown results.
    """
    rules = {shorten(rule["name"]): rule for rule in options.get("rules") or ()}
    texts = {name: {key: rule[key] for key in rule if rule[key] and key != "name"} for name, rule in rules.items()}
    for text in texts.values():
        text.update({key: tuple(text[key]) for key in ("references",) if key in text})
    for name, severity in options.get("severities", {}).items():
        texts.setdefault(name, {})["severity"] = severity
    names = {result.name for result in found}
    complete = [*found, *(RuleResult(name, UNKNOWN, message=message) for name in rules if name not in names)]
    skip = options.get("skip", ())
    return [clean_result(replace(one, **texts.get(one.name, {}))) for one in complete if one.name not in skip]
