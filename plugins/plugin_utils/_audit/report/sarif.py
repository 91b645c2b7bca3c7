# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.
"""The findings as SARIF 2.1.0, for tools that collect findings of scanners."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

from ..outcomes import FAILED, UNKNOWN, WAIVED
from .differences import of_all_hosts
from .json_file import Rows, streamed
from .text import line, output, plain
from .words import unasked_words, waiver_words

_LEVELS = {"critical": "error", "high": "error", "medium": "warning", "low": "note", "info": "note"}

#: How bad code hosts take a finding to be, of 10.
_SCORES = {"critical": "9.5", "high": "8.0", "medium": "5.5", "low": "2.0", "info": "0.0"}
#: Code hosts refuse rules with more tags.
_MOST_TAGS = 20


def render(report: Mapping[str, Any]) -> Iterator[str]:
    """The text of audit.sarif, in pieces."""
    report = of_all_hosts(report)
    numbers = {check["name"]: number for number, check in enumerate(report["checks"])}
    was_failed = _failed_before(report)
    rows = Rows(
        _result(result, numbers[result["check"]], was_failed)
        for result in report["results"]
        if result["outcome"] in (FAILED, UNKNOWN, WAIVED)
    )
    unasked = [(server["host"], words) for server in report["servers"] if (words := unasked_words(server))]
    invocation = {
        "executionSuccessful": not report["refusal"],
        "startTimeUtc": plain(report["started_at"]),
        "endTimeUtc": plain(report["finished_at"]),
        "toolExecutionNotifications": [
            {"level": "error", "message": {"text": f"{line(host)}: {words}"}, "locations": [_location(host)]}
            for host, words in unasked
        ],
    }
    kept = ("verdict", "coverage", "min_coverage", "fail_on", "content_digest", "results_digest")
    run = {
        "tool": {
            "driver": {
                "name": "herdops.alpacon",
                "semanticVersion": plain(report["collection"]),
                "rules": [_rule(check) for check in report["checks"]],
            }
        },
        "automationDetails": {"description": {"text": line(report["title"])}},
        "invocations": [invocation],
        "properties": {name: report[name] for name in kept},
        "results": rows,
    }
    document = {"$schema": "https://json.schemastore.org/sarif-2.1.0.json", "version": "2.1.0", "runs": [run]}
    yield from streamed(document)


def _failed_before(report: Mapping[str, Any]) -> set[tuple[str, str]] | None:
    """What failed in the report before as well; nothing where there was none."""
    trend = report.get("trend")
    return {(row["host"], row["check"]) for row in trend["still_failing"]} if trend else None


def _rule(check: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": plain(check["name"]),
        "shortDescription": {"text": line(check["title"])},
        "fullDescription": {"text": plain(check["rationale"] or check["title"])},
        "help": {"text": plain(check["remedy"] or check["title"])},
        "defaultConfiguration": {"level": _LEVELS[check["severity"]]},
        "properties": {
            "security-severity": _SCORES[check["severity"]],
            "severity": check["severity"],
            "tags": list(dict.fromkeys(map(line, (check["set"] or "others", *check["references"]))))[:_MOST_TAGS],
        },
    }


def _result(result: Mapping[str, Any], number: int, was_failed: set[tuple[str, str]] | None) -> dict[str, Any]:
    text, _is_cut = output(result["output"])
    is_open = result["outcome"] == UNKNOWN
    pair = (result["host"], result["check"])
    row: dict[str, Any] = {
        "ruleId": plain(result["check"]),
        "ruleIndex": number,
        "kind": "open" if is_open else "fail",
        "level": "none" if is_open else _LEVELS[result["severity"]],
        "message": {"text": line(result["message"], 600) or "It did not pass"},
        "locations": [_location(result["host"])],
        "partialFingerprints": {"hostAndCheck/v1": hashlib.sha256(repr(pair).encode("utf-8", "replace")).hexdigest()},
        "properties": {"host": line(result["host"]), "severity": result["severity"], "evidence": text},
    }
    if result["outcome"] == WAIVED:
        words = waiver_words(result["waiver"])
        row["suppressions"] = [{"kind": "external", "status": "accepted", "justification": words}]
    # The trend tells of nothing else whether it was so before.
    if was_failed is not None and result["outcome"] == FAILED:
        row["baselineState"] = "unchanged" if pair in was_failed else "new"
    return row


def _location(host: str) -> dict[str, Any]:
    return {
        # Readers of code want a file: the name of the host stands for it.
        "physicalLocation": {"artifactLocation": {"uri": quote(plain(host), safe="")}},
        "logicalLocations": [{"name": line(host), "kind": "resource"}],
    }
