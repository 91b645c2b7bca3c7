# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Results of InSpec and its relatives, from the reporters ``json`` and ``json-min``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from ..results import FAILED, NOT_APPLICABLE, PASSED, UNKNOWN, NamedResult, ScannerError
from .json_path import entries, read_json, text_of

#: The least impact of each severity.
_IMPACTS = ((0.9, "critical"), (0.7, "high"), (0.4, "medium"), (0.01, "low"), (0.0, "info"))
#: Tags that name sections of publications, and the names of these.
_TAGS = {"nist": "NIST SP 800-53", "cci": "", "cis": "CIS", "cis_controls": "CIS Controls", "stig_id": ""}
#: RSpec's exception for an expectation that is not met; any other means that the test itself did not work.
_EXPECTATION = "ExpectationNotMetError"


def read(output: str, _options: Mapping[str, Any]) -> list[NamedResult]:
    """Return the tests of an output, each under the name of its control."""
    report = read_json(output)
    if not isinstance(report, dict):
        raise ScannerError("The JSON is not a report of InSpec.")
    if "profiles" not in report:
        rows = entries(report.get("controls"), "controls")
        return [_judged(NamedResult(text_of(row.get("id")), UNKNOWN), row) for row in rows]
    profiles = entries(report["profiles"], "profiles")
    controls = [one for profile in profiles for one in entries(profile.get("controls") or [], "controls")]
    if not controls:
        said = [text_of(one.get("skip_message") or one.get("status_message")) for one in profiles]
        raise ScannerError(" ".join(["The report has no control.", *filter(None, said)]))
    results = [
        _judged(described(control), test)
        for control in controls
        for test in entries(control.get("results") or [], "results")
    ]
    # A profile that wraps another repeats its controls, without results.
    tested = {result.name for result in results}
    untested = [one for one in map(described, controls) if one.name not in tested]
    return [*results, *(replace(one, message="None of its tests was run.") for one in untested)]


def _judged(control: NamedResult, test: Mapping[str, Any]) -> NamedResult:
    outcome = NOT_APPLICABLE if control.outcome == NOT_APPLICABLE else _outcome(test)
    said = text_of(test.get("skip_message")) or text_of(test.get("message")) or text_of(test.get("status"))
    message = f"{text_of(test.get('code_desc'))}: {said}".removeprefix(": ")
    return replace(control, outcome=outcome, message="" if outcome == PASSED else message)


def _outcome(test: Mapping[str, Any]) -> str:
    status = test.get("status")
    if status == "passed":
        return PASSED
    if status == "failed":
        raised = text_of(test.get("exception"))
        return UNKNOWN if raised and not raised.endswith(_EXPECTATION) else FAILED
    # A test that is skipped for another reason than a condition of the profile could not be run.
    is_condition = re.search("only_if|only_applicable_if", text_of(test.get("skip_message")))
    return NOT_APPLICABLE if status == "skipped" and is_condition else UNKNOWN


def described(control: Mapping[str, Any]) -> NamedResult:
    """Return what a report, or the output of ``inspec json``, says about a control."""
    given, impact = control.get("tags"), control.get("impact")
    tags: dict[str, Any] = given if isinstance(given, dict) else {}
    worth = impact if isinstance(impact, (int, float)) and not isinstance(impact, bool) else None
    # An object in what inspec json writes, a list in reports.
    listed = control.get("descriptions") or {}
    if not isinstance(listed, dict):
        listed = {text_of(one.get("label")): one.get("data") for one in entries(listed, "descriptions")}
    texts = {label: text_of(text) for label, text in listed.items()}
    return NamedResult(
        text_of(control.get("id")),
        # Profiles of MITRE and DISA say by the impact 0 that a control does not apply.
        NOT_APPLICABLE if worth == 0 else UNKNOWN,
        text_of(control.get("title")),
        texts.get("rationale") or text_of(control.get("desc")) or texts.get("default", ""),
        next((severity for least, severity in _IMPACTS if worth is not None and worth >= least), None),
        texts.get("fix") or text_of(tags.get("fix")),
        tuple(_references(control.get("refs"), tags)),
    )


def _references(refs: Any, tags: Mapping[str, Any]) -> Iterator[str]:
    for tag, publication in _TAGS.items():
        value = tags.get(tag)
        sections = ", ".join(filter(None, map(text_of, value if isinstance(value, list) else [value])))
        if sections:
            yield f"{publication} {sections}".strip()
    for ref in refs if isinstance(refs, list) else []:
        parts = [ref.get(key) for key in ("ref", "url", "uri")] if isinstance(ref, dict) else [ref]
        yield " ".join(part for part in parts if isinstance(part, str))
