# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Parse results in JSON: those of InSpec, and those of any scanner by the paths and words that a check lists."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import islice
from typing import Any

from .results import (
    FAILED,
    MAX_RESULTS,
    NOT_APPLICABLE,
    PASSED,
    UNKNOWN,
    RuleResult,
    RuleResults,
    ScannerError,
    parse_severity,
)

#: The most lines that are tried as the start of the JSON.
_MAX_STARTS = 5
#: The start of another document. A word in brackets is not one, since lines of logs begin like that.
_DOCUMENT = re.compile(r"^[ \t]*(\{|\[\s*[{\"])", re.MULTILINE)
#: The least impact of InSpec for each severity.
_IMPACTS = ((0.9, "critical"), (0.7, "high"), (0.4, "medium"), (0.01, "low"), (0.0, "info"))
#: Tag of InSpec that lists sections of a publication -> its name.
_TAGS = {"nist": "NIST SP 800-53", "cci": "", "cis": "CIS", "cis_controls": "CIS Controls", "stig_id": ""}


def parse_json(text: str) -> Any:
    reason = "it has no object or list"
    for start in islice(re.finditer(r"^[ \t]*[\[{]", text, re.MULTILINE), _MAX_STARTS):
        try:
            value, end = json.JSONDecoder().raw_decode(text, start.end() - 1)
        except ValueError as error:
            reason = str(error)
            continue
        if text[end:].partition("\n")[0].strip():
            continue
        if _DOCUMENT.search(text, end):
            raise ScannerError("The output has more than one JSON document. Let the check print one.")
        return value
    raise ScannerError(f"The output is not JSON: {reason}.")


def get_objects(value: Any, name: str) -> list[dict[str, Any]]:
    """Return a value, and raise ScannerError if it is not a list of objects."""
    if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
        raise ScannerError(f"The JSON has no list of {name}, each an object.")
    return value


def format_value(value: Any) -> str:
    """Return a value as text: empty for null, and JSON for a number, a list or an object."""
    if value is None or isinstance(value, str):
        return value or ""
    return json.dumps(value, ensure_ascii=False)


def parse_json_results(output: str, options: Mapping[str, Any]) -> RuleResults:
    """Return the results at the path C(list). In an object there, each key is the name of a result."""
    path = options.get("list") or ""
    rows: list[tuple[str, Any]] = []
    document = parse_json(output)
    for found in _find_values(document, path):
        if isinstance(found, dict):
            rows += found.items()
        elif isinstance(found, list):
            rows += (("", row) for row in found)
        if len(rows) > MAX_RESULTS:
            break
    if not rows:
        raise ScannerError(f"The JSON has nothing at {path or 'its root'}.")
    results = [_parse_row(key, row, number, options) for number, (key, row) in enumerate(rows[: MAX_RESULTS + 1], 1)]
    paths = options.get("versions") or {}
    versions = ((name, format_value(one)) for name, path in paths.items() for one in _find_values(document, path))
    return RuleResults.with_versions(results, (f"{name} {version}" for name, version in versions if version))


def _find_values(value: Any, path: str) -> Iterator[Any]:
    """Yield the values at a path of keys with dots between them. In a list on the path, search each entry."""
    if not path:
        yield value
    elif isinstance(value, list):
        for entry in value:
            yield from _find_values(entry, path)
    elif isinstance(value, dict):
        key, _dot, rest = path.partition(".")
        if value.get(key) is not None:
            yield from _find_values(value[key], rest)


def _parse_row(key: str, row: Any, number: int, options: Mapping[str, Any]) -> RuleResult:
    def texts(option: str) -> list[str]:
        path = options.get(option)
        values = _find_values(row, path) if path else ()
        return [format_value(one) for value in values for one in (value if isinstance(value, list) else [value])]

    def text(option: str) -> str:
        return "\n".join(filter(None, texts(option)))

    name = text("name") or key
    if not name:
        raise ScannerError(f"Result {number} has no name at {options.get('name') or 'its key'}.")
    word = text("outcome")
    outcome = options["words"].get(word.strip().casefold(), UNKNOWN)
    default = f"The outcome {word!r} is not in words." if word else f"It has no outcome at {options['outcome']}."
    return RuleResult(
        name,
        outcome,
        title=text("title"),
        rationale=text("rationale"),
        severity=parse_severity(text("severity")),
        remedy=text("remedy"),
        references=tuple(texts("references")),
        message=text("message") or (default if outcome == UNKNOWN else ""),
    )


def parse_inspec(output: str, _options: Mapping[str, Any]) -> RuleResults:
    """Return a result, with the name of the control, for each test that the reporter C(json) or C(json-min) wrote."""
    report = parse_json(output)
    if not isinstance(report, dict):
        raise ScannerError("The JSON is not a report of InSpec.")
    version = format_value(report.get("version"))
    versions = [f"InSpec {version}"] if version else []
    if "profiles" not in report:
        tests = get_objects(report.get("controls"), "controls")
        results = [_parse_test(RuleResult(format_value(test.get("id")), UNKNOWN), test) for test in tests]
        return RuleResults.with_versions(results, versions)
    profiles = get_objects(report["profiles"], "profiles")
    controls = [one for profile in profiles for one in get_objects(profile.get("controls") or [], "controls")]
    if not controls:
        messages = [format_value(one.get("skip_message") or one.get("status_message")) for one in profiles]
        raise ScannerError(" ".join(["The report has no control.", *filter(None, messages)]))
    results = [
        _parse_test(parse_control(control), test)
        for control in controls
        for test in get_objects(control.get("results") or [], "results")
    ]
    # A profile that wraps another one repeats its controls without results.
    tested = {result.name for result in results}
    untested = [one for one in map(parse_control, controls) if one.name not in tested]
    results += (replace(one, message="None of its tests was run.") for one in untested)
    named = (profile for profile in profiles if profile.get("version"))
    versions += (f"{format_value(one.get('title') or one.get('name'))} {format_value(one['version'])}" for one in named)
    return RuleResults.with_versions(results, versions)


def _parse_test(control: RuleResult, test: Mapping[str, Any]) -> RuleResult:
    status, skipped, raised = (format_value(test.get(key)) for key in ("status", "skip_message", "exception"))
    outcome = UNKNOWN
    if control.outcome == NOT_APPLICABLE:
        outcome = NOT_APPLICABLE
    elif status == "passed":
        outcome = PASSED
    elif status == "failed":
        # Any other exception is an error of the test itself.
        outcome = FAILED if not raised or raised.endswith("ExpectationNotMetError") else UNKNOWN
    elif status == "skipped" and re.search("only_if|only_applicable_if", skipped):
        outcome = NOT_APPLICABLE
    message = f"{format_value(test.get('code_desc'))}: {skipped or format_value(test.get('message')) or status}"
    return replace(control, outcome=outcome, message="" if outcome == PASSED else message.removeprefix(": "))


def parse_control(control: Mapping[str, Any]) -> RuleResult:
    tags, impact = control.get("tags"), control.get("impact")
    tags = tags if isinstance(tags, dict) else {}
    impact = impact if isinstance(impact, (int, float)) and not isinstance(impact, bool) else None
    # An object in the output of inspec json, a list in reports.
    descriptions = control.get("descriptions") or {}
    if not isinstance(descriptions, dict):
        rows = get_objects(descriptions, "descriptions")
        descriptions = {format_value(row.get("label")): row.get("data") for row in rows}
    texts = {label: format_value(text) for label, text in descriptions.items()}
    return RuleResult(
        format_value(control.get("id")),
        # In profiles of MITRE and DISA, a control with the impact 0 does not apply.
        NOT_APPLICABLE if impact == 0 else UNKNOWN,
        title=format_value(control.get("title")),
        rationale=texts.get("rationale") or format_value(control.get("desc")) or texts.get("default", ""),
        severity=next((name for least, name in _IMPACTS if impact is not None and impact >= least), None),
        remedy=texts.get("fix") or format_value(tags.get("fix")),
        references=tuple(_list_references(control.get("refs"), tags)),
    )


def _list_references(refs: Any, tags: Mapping[str, Any]) -> Iterator[str]:
    for tag, publication in _TAGS.items():
        value = tags.get(tag)
        sections = ", ".join(filter(None, map(format_value, value if isinstance(value, list) else [value])))
        if sections:
            yield f"{publication} {sections}".strip()
    for ref in refs if isinstance(refs, list) else []:
        parts = [ref.get(key) for key in ("ref", "url", "uri")] if isinstance(ref, dict) else [ref]
        yield " ".join(part for part in parts if isinstance(part, str))
