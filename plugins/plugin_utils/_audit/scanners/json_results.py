# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Results in JSON: of InSpec and its relatives, and of any scanner whose paths and words a check names."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import islice
from typing import Any

from ..results import FAILED, MAX_RESULTS, NOT_APPLICABLE, PASSED, UNKNOWN, RuleResult, ScannerError, parse_severity

#: So many lines are tried as the beginning of the JSON.
_TRIED = 5
#: A line that begins as another document does. A line of a log may begin with a word in brackets.
_ANOTHER = re.compile(r"^[ \t]*(\{|\[\s*[{\"])", re.MULTILINE)


def read_json_results(output: str, options: Mapping[str, Any]) -> list[RuleResult]:
    """Return the results at the path C(list)."""
    path = options.get("list") or ""
    rows = list(islice(_find_rows(read_json(output), path), MAX_RESULTS + 1))
    if not rows:
        raise ScannerError(f"The JSON has nothing at {path or 'its root'}.")
    return [_parse_row(key, row, number, options) for number, (key, row) in enumerate(rows, start=1)]


def read_json(text: str) -> Any:
    """Return the JSON object or list in an output."""
    reason = "it has none"
    for start in islice(re.finditer(r"^[ \t]*[\[{]", text, re.MULTILINE), _TRIED):
        try:
            value, end = json.JSONDecoder().raw_decode(text, start.end() - 1)
        except ValueError as error:
            reason = str(error)
            continue
        if text[end:].partition("\n")[0].strip():
            continue
        if _ANOTHER.search(text, end):
            raise ScannerError("The output has more than one JSON document. Let the check print one.")
        return value
    raise ScannerError(f"The output is not JSON: {reason}.")


def get_objects(value: Any, what: str) -> list[dict[str, Any]]:
    """Return a list of objects."""
    if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
        raise ScannerError(f"The JSON has no list of {what}, each an object.")
    return value


def json_text(value: Any) -> str:
    """Return a value as a text: nothing for null, and JSON for a list or an object."""
    if value is None or isinstance(value, str):
        return value or ""
    return json.dumps(value, ensure_ascii=False)


def _find_rows(document: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Yield the results at a path, and the key of each if they are the values of an object."""
    for found in _find_values(document, path):
        if isinstance(found, dict):
            yield from ((str(key), row) for key, row in found.items())
        elif isinstance(found, list):
            yield from (("", row) for row in found)


def _find_values(value: Any, path: str) -> Iterator[Any]:
    """Yield the values at a path of keys with dots between them; a list on the way stands for each of its entries."""
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
        wholes = _find_values(row, path) if path else ()
        return [json_text(one) for whole in wholes for one in (whole if isinstance(whole, list) else [whole])]

    def text(option: str) -> str:
        return "\n".join(filter(None, texts(option)))

    name = text("name") or key
    if not name:
        raise ScannerError(f"Result {number} has no name at {options.get('name') or 'its key'}.")
    word = text("outcome")
    outcome = options["words"].get(word.strip().casefold(), UNKNOWN)
    said = f"The scanner says {repr(word) if word else 'nothing at ' + options['outcome']}."
    return RuleResult(
        name,
        outcome,
        text("title"),
        text("rationale"),
        parse_severity(text("severity")),
        text("remedy"),
        tuple(texts("references")),
        text("message") or (said if outcome == UNKNOWN else ""),
    )


#: The least impact of each severity.
_IMPACTS = ((0.9, "critical"), (0.7, "high"), (0.4, "medium"), (0.01, "low"), (0.0, "info"))
#: Tags that name sections of publications, and the names of these.
_TAGS = {"nist": "NIST SP 800-53", "cci": "", "cis": "CIS", "cis_controls": "CIS Controls", "stig_id": ""}
#: RSpec's exception for an expectation that is not met; any other means that the test itself did not work.
_EXPECTATION = "ExpectationNotMetError"


def read_inspec(output: str, _options: Mapping[str, Any]) -> list[RuleResult]:
    """Return the tests of an output, each under the name of its control."""
    report = read_json(output)
    if not isinstance(report, dict):
        raise ScannerError("The JSON is not a report of InSpec.")
    if "profiles" not in report:
        rows = get_objects(report.get("controls"), "controls")
        return [_parse_test(RuleResult(json_text(row.get("id")), UNKNOWN), row) for row in rows]
    profiles = get_objects(report["profiles"], "profiles")
    controls = [one for profile in profiles for one in get_objects(profile.get("controls") or [], "controls")]
    if not controls:
        said = [json_text(one.get("skip_message") or one.get("status_message")) for one in profiles]
        raise ScannerError(" ".join(["The report has no control.", *filter(None, said)]))
    results = [
        _parse_test(describe_control(control), test)
        for control in controls
        for test in get_objects(control.get("results") or [], "results")
    ]
    # A profile that wraps another repeats its controls, without results.
    tested = {result.name for result in results}
    untested = [one for one in map(describe_control, controls) if one.name not in tested]
    return [*results, *(replace(one, message="None of its tests was run.") for one in untested)]


def _parse_test(control: RuleResult, test: Mapping[str, Any]) -> RuleResult:
    outcome = NOT_APPLICABLE if control.outcome == NOT_APPLICABLE else _parse_outcome(test)
    said = json_text(test.get("skip_message")) or json_text(test.get("message")) or json_text(test.get("status"))
    message = f"{json_text(test.get('code_desc'))}: {said}".removeprefix(": ")
    return replace(control, outcome=outcome, message="" if outcome == PASSED else message)


def _parse_outcome(test: Mapping[str, Any]) -> str:
    status = test.get("status")
    if status == "passed":
        return PASSED
    if status == "failed":
        raised = json_text(test.get("exception"))
        return UNKNOWN if raised and not raised.endswith(_EXPECTATION) else FAILED
    # A test that is skipped for another reason than a condition of the profile could not be run.
    is_condition = re.search("only_if|only_applicable_if", json_text(test.get("skip_message")))
    return NOT_APPLICABLE if status == "skipped" and is_condition else UNKNOWN


def describe_control(control: Mapping[str, Any]) -> RuleResult:
    """Return what a report, or the output of ``inspec json``, says about a control."""
    given, impact = control.get("tags"), control.get("impact")
    tags: dict[str, Any] = given if isinstance(given, dict) else {}
    worth = impact if isinstance(impact, (int, float)) and not isinstance(impact, bool) else None
    # An object in what inspec json writes, a list in reports.
    listed = control.get("descriptions") or {}
    if not isinstance(listed, dict):
        listed = {json_text(one.get("label")): one.get("data") for one in get_objects(listed, "descriptions")}
    texts = {label: json_text(text) for label, text in listed.items()}
    return RuleResult(
        json_text(control.get("id")),
        # Profiles of MITRE and DISA say by the impact 0 that a control does not apply.
        NOT_APPLICABLE if worth == 0 else UNKNOWN,
        json_text(control.get("title")),
        texts.get("rationale") or json_text(control.get("desc")) or texts.get("default", ""),
        next((severity for least, severity in _IMPACTS if worth is not None and worth >= least), None),
        texts.get("fix") or json_text(tags.get("fix")),
        tuple(_list_inspec_references(control.get("refs"), tags)),
    )


def _list_inspec_references(refs: Any, tags: Mapping[str, Any]) -> Iterator[str]:
    for tag, publication in _TAGS.items():
        value = tags.get(tag)
        sections = ", ".join(filter(None, map(json_text, value if isinstance(value, list) else [value])))
        if sections:
            yield f"{publication} {sections}".strip()
    for ref in refs if isinstance(refs, list) else []:
        parts = [ref.get(key) for key in ("ref", "url", "uri")] if isinstance(ref, dict) else [ref]
        yield " ".join(part for part in parts if isinstance(part, str))
