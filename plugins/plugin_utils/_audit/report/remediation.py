# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The checks to fix first."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

from ..results import FAILED, NOT_APPLICABLE, SEVERITIES, WEIGHTS
from .text import fold_text, pluralize, to_line

#: So many checks are named as what to mend first.
SHOWN_REMEDIATIONS = 10


def list_remediations(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the checks that failed, the most important first.

    Each has its name as ``check``, the worst ``severity``, the most frequent ``message``, the words ``where`` for its
    hosts, and the ``remedy``.
    """
    asked = Counter(result["check"] for result in report["results"] if result["outcome"] != NOT_APPLICABLE)
    failed: dict[str, list[Mapping[str, Any]]] = {}
    for result in report["results"]:
        if result["outcome"] == FAILED:
            failed.setdefault(result["check"], []).append(result)
    checks = {check["name"]: check for check in report["checks"]}
    own = get_host_checks(report)
    found = []
    for name, rows in failed.items():
        messages = Counter(row["message"] for row in rows)
        where = f"on {len(rows):,} of {pluralize(asked[name], 'server')}"
        if len(rows) == 1:
            where = f"on {to_line(rows[0]['host'], 80)}"
        elif len(messages) > 1:
            where = f"{where}, with {len(messages):,} different answers"
        remedies = dict.fromkeys(get_remedy(own, row["host"], checks[name]) for row in rows)
        fix = {
            "check": name,
            "severity": max((row["severity"] for row in rows), key=SEVERITIES.index),
            "message": " ".join(filter(None, fold_text(messages.most_common(1)[0][0], 120))).removesuffix("."),
            "where": where,
            "remedy": to_line(" On other servers: ".join(filter(None, remedies)), 400),
        }
        found.append((rank(fix["severity"], len(rows)), fix))
    return [fix for _rank, fix in sorted(found, key=lambda pair: pair[0])]


def rank(severity: str, hosts: int) -> tuple[float, int, int]:
    """Sort key: ten times as many servers count about four times as much."""
    return (-WEIGHTS[severity] * (1 + math.log2(hosts)), -SEVERITIES.index(severity), -hosts)


def format_remediation(fix: Mapping[str, Any], limit: int = 160) -> str:
    """Say what to fix, where and how, on one line."""
    remedy = f": {to_line(fix['remedy'], limit)}" if fix["remedy"] else ""
    return f"{fix['severity']}: {fix['message']}, {fix['where']} ({to_line(fix['check'], 80)}){remedy}"


def get_host_checks(report: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return what hosts have different of checks, by the names of both."""
    return {server["host"]: server["differs"] for server in report["servers"] if server.get("differs")}


def get_remedy(own: Mapping[str, Mapping[str, Any]], host: str, check: Mapping[str, Any]) -> str:
    """Return the remedy of a check on a host."""
    return str(own.get(host, {}).get(check["name"], check).get("remedy", check["remedy"]))
