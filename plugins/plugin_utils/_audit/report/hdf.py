# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.
"""The report as HDF, the format of MITRE SAF and Heimdall: what InSpec writes, a control for each check."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..outcomes import FAILED, NOT_APPLICABLE, PASSED, UNKNOWN
from .differences import of_all_hosts
from .json_file import Rows, streamed
from .text import line, output, parsed, plain
from .words import found_words, unasked_words

#: How bad InSpec takes a control to be, of 1.
_IMPACTS = {"critical": 0.9, "high": 0.7, "medium": 0.5, "low": 0.3, "info": 0.1}

#: Where one result of a control is an error, Heimdall takes the whole control for one, so that what failed elsewhere is
#: not seen: what is unknown is skipped, which is "not reviewed" where nothing else is stated.
_STATUSES = {PASSED: "passed", FAILED: "failed"}
#: Beside what passed, Heimdall overlooks what is skipped, and takes the control for passed.
_PASSED_STATUSES = {PASSED: "passed", UNKNOWN: "error"}
_SKIPPED = {UNKNOWN: "Unknown: ", NOT_APPLICABLE: "Not applicable: "}

_NIST = re.compile(r"NIST SP 800-53\w*\s+(?:rev\w*\.?\s*\d+\s+)?([A-Z]{2}-\d+(?:\s?\(\d+\))?)")

#: Where a check names no control of NIST: Heimdall files it under CM-6, configuration settings, as its converters do.
_NO_NIST = "CM-6"


def render(report: Mapping[str, Any]) -> Iterator[str]:
    """The text of audit.hdf.json, in pieces."""
    report = of_all_hosts(report)
    by_check: dict[str, list[Mapping[str, Any]]] = {check["name"]: [] for check in report["checks"]}
    for result in report["results"]:
        by_check[result["check"]].append(result)
    start, end = parsed(report["started_at"]), parsed(report["finished_at"])
    profile: dict[str, Any] = {
        "name": "herdops.alpacon.audit",
        "title": line(report["title"]),
        "version": plain(report["collection"]),
        "sha256": (report["content_digest"] or "").removeprefix("sha256:"),
        "supports": [],
        "attributes": [],
        "groups": [],
        "status": "loaded",
        "controls": Rows(_controls(report, by_check)),
    }
    document = {
        "platform": {
            "name": "herdops.alpacon",
            "release": plain(report["collection"]),
            "target_id": line(report["workspace"]),
        },
        "version": plain(report["collection"]),
        "statistics": {"duration": (end - start).total_seconds() if start and end else None},
        "profiles": [profile],
    }
    yield from streamed(document)


def _controls(
    report: Mapping[str, Any], by_check: Mapping[str, Sequence[Mapping[str, Any]]]
) -> Iterator[dict[str, Any]]:
    started = plain(report["started_at"])
    for check in report["checks"]:
        nist = [control for text in check["references"] for control in _NIST.findall(text)]
        yield {
            **_control(check["name"], check["title"], check["severity"]),
            "desc": plain(check["rationale"] or check["title"]),
            "descriptions": [
                {"label": label, "data": plain(check[name])}
                for label, name in (("check", "line"), ("fix", "remedy"), ("rationale", "rationale"))
                if check[name]
            ],
            "refs": [{"ref": line(reference)} for reference in check["references"]],
            "tags": {"nist": nist or [_NO_NIST], "severity": check["severity"], "set": line(check["set"] or "")},
            "code": plain(check["line"]),
            "results": list(_results(by_check[check["name"]], started)),
        }
    unasked = [(server["host"], words) for server in report["servers"] if (words := unasked_words(server))]
    if unasked:
        results = [_answer("skipped", host, words, started) for host, words in unasked]
        yield {**_control("server-reached", "The server could be asked", "medium"), "results": results}


def _control(name: str, title: str, severity: str) -> dict[str, Any]:
    return {
        "id": plain(name),
        "title": line(title),
        "desc": line(title),
        "impact": _IMPACTS[severity],
        "refs": [],
        "tags": {"nist": [_NO_NIST], "severity": severity},
        "source_location": {},
        "waiver_data": {},
        "results": [],
    }


def _results(results: Sequence[Mapping[str, Any]], started: str) -> Iterator[dict[str, Any]]:
    outcomes = {result["outcome"] for result in results}
    statuses = _PASSED_STATUSES if PASSED in outcomes and FAILED not in outcomes else _STATUSES
    for result in results:
        yield _result(result, statuses.get(result["outcome"], "skipped"), started)


def _result(result: Mapping[str, Any], status: str, started: str) -> dict[str, Any]:
    words = f"{_SKIPPED.get(result['outcome'], '')}{found_words(result, 600)}"
    answer = _answer(status, result["host"], words, plain(result["ended_at"] or started))
    text, _is_cut = output(result["output"]) if status == "failed" else ("", False)
    if text:
        answer["message"] += f"\n{text}"
    return answer


def _answer(status: str, host: str, words: str, at: str) -> dict[str, Any]:
    key = "skip_message" if status == "skipped" else "message"
    return {
        "status": status,
        "code_desc": f"{line(host)}: {words}",
        "start_time": at,
        "resource_id": line(host),
        key: words,
    }
