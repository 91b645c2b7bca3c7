# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""Results of InSpec and its relatives, from the reporters ``json`` and ``json-min``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..verdict import FAILED, NOT_APPLICABLE, PASSED, UNKNOWN
from .json_path import entries, read_json, text_of
from .results import NamedResult, ScannerError

#: The least impact of each severity.
_IMPACTS = ((0.9, "critical"), (0.7, "high"), (0.4, "medium"), (0.01, "low"), (0.0, "info"))
#: Tags that name sections of publications, and the names of these.
_TAGS = {"nist": "NIST SP 800-53", "cci": "", "cis": "CIS", "cis_controls": "CIS Controls", "stig_id": ""}
#: RSpec's exception for an expectation that is not met; any other means that the test itself did not work.
_EXPECTATION = "ExpectationNotMetError"


def read(output: str, _options: Mapping[str, Any]) -> list[NamedResult]:
    """Return the controls of an output, each once."""
    report = read_json(output)
    if not isinstance(report, dict):
        raise ScannerError("The JSON is not a report of InSpec.")
    if "profiles" in report:
        results = _of_profiles(entries(report["profiles"], "profiles"))
    else:
        results = _of_tests(entries(report.get("controls"), "controls"))
    if not results:
        profiles = [one for one in report.get("profiles") or [] if isinstance(one, dict)]
        said = [text_of(one.get("skip_message") or one.get("status_message")) for one in profiles]
        raise ScannerError(" ".join(["The report has no control.", *filter(None, said)]))
    return results


def controls_of(profile: Mapping[str, Any]) -> list[NamedResult]:
    """Return the controls of a profile, as ``inspec json`` writes it."""
    return [_described(control, "") for control in entries(profile.get("controls"), "controls")]


def _of_profiles(profiles: Sequence[Mapping[str, Any]]) -> list[NamedResult]:
    """Return the controls of all profiles. A profile that wraps another repeats its controls, without results."""
    described: dict[str, Mapping[str, Any]] = {}
    tests: dict[str, list[Mapping[str, Any]]] = {}
    for profile in profiles:
        for control in entries(profile.get("controls") or [], "controls"):
            name = text_of(control.get("id"))
            described[name] = {**control, **{key: value for key, value in described.get(name, {}).items() if value}}
            tests.setdefault(name, []).extend(entries(control.get("results") or [], f"results of {name}"))
    return [
        _judged(_described(control, name), control.get("impact"), tests[name]) for name, control in described.items()
    ]


def _of_tests(rows: Iterable[Mapping[str, Any]]) -> list[NamedResult]:
    tests: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        tests.setdefault(text_of(row.get("id")), []).append(row)
    return [_judged(NamedResult(name, UNKNOWN), None, rows) for name, rows in tests.items()]


def _judged(control: NamedResult, impact: Any, tests: Sequence[Mapping[str, Any]]) -> NamedResult:
    outcomes = [_outcome(test) for test in tests]
    outcome = next((one for one in (FAILED, UNKNOWN, PASSED, NOT_APPLICABLE) if one in outcomes), UNKNOWN)
    if impact == 0 and not isinstance(impact, bool) and outcome != PASSED:
        outcome = NOT_APPLICABLE
    said = [_said(test) for test, one in zip(tests, outcomes, strict=True) if one == outcome and one != PASSED]
    message = "\n".join(dict.fromkeys(said)) if tests else "None of its tests was run."
    return replace(control, outcome=outcome, message=message)


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


def _said(test: Mapping[str, Any]) -> str:
    said = text_of(test.get("skip_message")) or text_of(test.get("message")) or text_of(test.get("status"))
    return f"{text_of(test.get('code_desc'))}: {said}".removeprefix(": ")


def _described(control: Mapping[str, Any], name: str) -> NamedResult:
    given = control.get("tags")
    tags: dict[str, Any] = given if isinstance(given, dict) else {}
    # An object in what inspec json writes, a list in reports.
    listed = control.get("descriptions") or {}
    if not isinstance(listed, dict):
        listed = {text_of(one.get("label")): one.get("data") for one in entries(listed, "descriptions")}
    texts = {label: text_of(text) for label, text in listed.items()}
    return NamedResult(
        name or text_of(control.get("id")),
        UNKNOWN,
        text_of(control.get("title")),
        texts.get("rationale") or text_of(control.get("desc")) or texts.get("default", ""),
        severity_of_impact(control.get("impact")),
        texts.get("fix") or text_of(tags.get("fix")),
        tuple(_references(control.get("refs"), tags)),
    )


def severity_of_impact(impact: Any) -> str | None:
    """Return the severity of an impact from 0 to 1; None for anything else."""
    if isinstance(impact, bool) or not isinstance(impact, (int, float)):
        return None
    return next((severity for least, severity in _IMPACTS if impact >= least), None)


def _references(refs: Any, tags: Mapping[str, Any]) -> Iterator[str]:
    for tag, publication in _TAGS.items():
        value = tags.get(tag)
        sections = [text_of(one) for one in value] if isinstance(value, list) else [text_of(value)]
        if any(sections):
            yield f"{publication} {', '.join(filter(None, sections))}".strip()
    for ref in refs if isinstance(refs, list) else []:
        parts = [ref.get(key) for key in ("ref", "url", "uri")] if isinstance(ref, dict) else [ref]
        yield " ".join(part for part in parts if isinstance(part, str))
