# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.
"""The report as OSCAL assessment results: a finding for each check, and what was observed on which servers."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..outcomes import FAILED, NOT_APPLICABLE, PASSED, UNKNOWN, WAIVED
from .differences import of_all_hosts
from .json_file import Rows, streamed
from .text import line, parsed
from .words import unasked_words, waiver_words

_VERSION = "1.2.1"
_NAMESPACE = "https://github.com/herdops/ansible-alpacon"

#: What must not be in a token of OSCAL.
_NO_TOKEN = re.compile(r"[^\w.-]")

_REASONS = {FAILED: "fail", UNKNOWN: "other", WAIVED: "other", NOT_APPLICABLE: "other", PASSED: "pass"}


@dataclass
class _Observation:
    """What a check found, and on which servers it was the same."""

    id: str
    check: str
    outcome: str
    message: str
    waiver: str
    collected: str
    servers: list[str] = field(default_factory=list)


def render(report: Mapping[str, Any]) -> Iterator[str]:
    """The text of audit.oscal.json, in pieces."""
    report = of_all_hosts(report)
    name = _Names(report)
    observations = _observations(report, name)
    unasked = [(server["host"], words) for server in report["servers"] if (words := unasked_words(server))]
    items = Rows(_item(server, name) for server in report["servers"])
    result: dict[str, Any] = {
        "uuid": name.of("result"),
        "title": _line(report["title"]),
        "description": _line(f"Verdict: {report['verdict']}, {report['coverage']}% of the questions answered"),
        "start": _moment(report["started_at"]),
        "end": _moment(report["finished_at"]),
        "props": _props(
            {
                key.replace("_", "-"): report[key]
                for key in ("verdict", "coverage", "min_coverage", "content_digest", "results_digest")
            }
        ),
        "reviewed-controls": {"control-selections": [{"include-all": {}}]},
    }
    if report["servers"]:
        result["local-definitions"] = {"inventory-items": items}
    if observations:
        result["observations"] = Rows(_observation(one, name) for one in observations)
        result["findings"] = Rows(_findings(report, observations, name))
    if unasked:
        result["remarks"] = "Without results: " + "; ".join(f"{_line(host)} ({words})" for host, words in unasked)
    checks = name.of("checks")
    document = {
        "uuid": name.of("document"),
        "metadata": {
            "title": _line(report["title"]),
            "last-modified": _moment(report["finished_at"]),
            "version": _line(report["collection"]),
            "oscal-version": _VERSION,
        },
        "import-ap": {"href": f"#{checks}", "remarks": "The checks of the audit; there is no assessment plan."},
        "results": [result],
        "back-matter": {
            "resources": [
                {"uuid": checks, "title": "Checks", "description": _line(report["content_digest"] or "Checks")}
            ]
        },
    }
    yield from streamed({"assessment-results": document})


class _Names:
    """Ids that are the same whenever the same report is written."""

    def __init__(self, report: Mapping[str, Any]) -> None:
        seed = "\n".join(str(report[key]) for key in ("workspace", "started_at", "results_digest"))
        self._space = uuid.uuid5(uuid.NAMESPACE_URL, _printable(f"{_NAMESPACE}\n{seed}"))
        self._servers = {server["host"]: self._server(server) for server in report["servers"]}

    def of(self, *parts: str) -> str:
        """The id of a part of the report."""
        return str(uuid.uuid5(self._space, _printable("\n".join(parts))))

    def server(self, host: str) -> str:
        """The id of a server, which is the same in each report."""
        return self._servers[host]

    @staticmethod
    def _server(server: Mapping[str, Any]) -> str:
        return str(uuid.uuid5(uuid.NAMESPACE_URL, _printable(f"{server['workspace']}\n{server['host']}")))


def _printable(text: str) -> str:
    # Half a surrogate pair has no bytes.
    return text.encode("utf-8", "replace").decode()


def _observations(report: Mapping[str, Any], name: _Names) -> list[_Observation]:
    found: dict[tuple[str, ...], _Observation] = {}
    for result in report["results"]:
        waiver = waiver_words(result["waiver"])
        key = (result["check"], result["outcome"], result["message"], waiver)
        if key not in found:
            found[key] = _Observation(
                name.of("observation", *key), *key, collected=_moment(result["ended_at"], report["finished_at"])
            )
        found[key].servers.append(result["host"])
    return list(found.values())


def _item(server: Mapping[str, Any], name: _Names) -> dict[str, Any]:
    said = {
        "host": server["host"],
        "server": server["name"],
        "workspace": server["workspace"],
        "server-id": server["id"],
        "os": server["os"],
        "agent": server["agent"],
        "ip": server["ip"],
        "owner": server["owner"],
    }
    item = {"uuid": name.server(server["host"]), "description": _line(server["host"])}
    return {**item, "props": _props(said)}


def _observation(one: _Observation, name: _Names) -> dict[str, Any]:
    row: dict[str, Any] = {
        "uuid": one.id,
        "title": _line(one.check),
        "description": _line(one.message),
        "props": _props({"check": one.check, "outcome": one.outcome}),
        "methods": ["TEST"],
        "subjects": [{"subject-uuid": name.server(host), "type": "inventory-item"} for host in one.servers],
        "collected": one.collected,
    }
    if one.waiver:
        row["remarks"] = one.waiver
    return row


def _findings(report: Mapping[str, Any], observations: list[_Observation], name: _Names) -> Iterator[dict[str, Any]]:
    of_check: dict[str, list[_Observation]] = {}
    for one in observations:
        of_check.setdefault(one.check, []).append(one)
    for check in report["checks"]:
        found = of_check.get(check["name"])
        if not found:
            continue
        outcome = min((one.outcome for one in found), key=list(_REASONS).index)
        is_satisfied = outcome in (PASSED, NOT_APPLICABLE)
        yield {
            "uuid": name.of("finding", check["name"]),
            "title": _line(check["title"]),
            "description": _line(check["rationale"] or check["title"]),
            "props": _props({"check": check["name"], "severity": check["severity"], "set": check["set"]}),
            "target": {
                "type": "objective-id",
                "target-id": f"check-{_NO_TOKEN.sub('_', line(check['name']))}",
                "status": {"state": "satisfied" if is_satisfied else "not-satisfied", "reason": _REASONS[outcome]},
            },
            "related-observations": [{"observation-uuid": one.id} for one in found],
            **({"remarks": _line(check["remedy"])} if check["remedy"] else {}),
        }


def _props(said: Mapping[str, Any]) -> list[dict[str, str]]:
    return [
        {"name": name, "ns": _NAMESPACE, "value": _line(value)}
        for name, value in said.items()
        if value not in (None, "")
    ]


def _line(value: Any) -> str:
    """Text of OSCAL, which is never empty."""
    return line(value, 600).strip() or "-"


def _moment(value: str | None, otherwise: str | None = None) -> str:
    """A time of OSCAL, which has a zone."""
    at = parsed(value) or parsed(otherwise)
    return f"{at:%Y-%m-%dT%H:%M:%SZ}" if at else "1970-01-01T00:00:00Z"
