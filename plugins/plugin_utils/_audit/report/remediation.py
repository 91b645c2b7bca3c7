# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The checks to fix first, and the remedies that hosts have."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..results import FAILED, NOT_APPLICABLE, SEVERITIES, WEIGHTS
from .text import fold_text, pluralize, to_line


@dataclass(frozen=True)
class Remediation:
    """A check that failed, and its remedy.

    Attributes:
        severity: the worst one.
        message: the most frequent one.
        where: the hosts, in words.
    """

    check: str
    severity: str
    message: str
    where: str
    remedy: str
    hosts: int


def describe_remediations(report: Mapping[str, Any], limit: int) -> list[str]:
    """Return ten remediations, each on one line with so many characters of the remedy, and count the others."""
    found = list_remediations(report)
    lines = []
    for one in found[:10]:
        remedy = f": {to_line(one.remedy, limit)}" if one.remedy else ""
        lines.append(f"{one.severity}: {one.message}, {one.where} ({to_line(one.check, 80)}){remedy}")
    return [*lines, f"and {pluralize(len(found) - 10, 'check')} more"] if len(found) > 10 else lines


def list_remediations(report: Mapping[str, Any]) -> list[Remediation]:
    """Return a remediation for each check that failed, the most important first."""
    asked = Counter(result["check"] for result in report["results"] if result["outcome"] != NOT_APPLICABLE)
    failed: dict[str, list[Mapping[str, Any]]] = {}
    for result in report["results"]:
        if result["outcome"] == FAILED:
            failed.setdefault(result["check"], []).append(result)
    checks = {check["name"]: check for check in report["checks"]}
    differences = get_differences(report)
    remediations = []
    for name, rows in failed.items():
        messages = Counter(row["message"] for row in rows)
        where = f"on {len(rows):,} of {pluralize(asked[name], 'server')}"
        if len(rows) == 1:
            where = f"on {to_line(rows[0]['host'], 80)}"
        elif len(messages) > 1:
            where = f"{where}, with {len(messages):,} different answers"
        remedies = dict.fromkeys(get_remedy(differences, row["host"], checks[name]) for row in rows)
        remediations.append(
            Remediation(
                name,
                max((row["severity"] for row in rows), key=SEVERITIES.index),
                fold_text(messages.most_common(1)[0][0], 120).removesuffix("."),
                where,
                to_line(" On other servers: ".join(filter(None, remedies)), 400),
                len(rows),
            )
        )
    return sorted(remediations, key=lambda one: rank(one.severity, one.hosts))


def rank(severity: str, hosts: int) -> tuple[float, int, int]:
    """Sort key: ten times as many servers count about four times as much."""
    return (-WEIGHTS[severity] * (1 + math.log2(hosts)), -SEVERITIES.index(severity), -hosts)


def get_differences(report: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return the keys of checks that differ on hosts with variables of their own, by host and check."""
    return {server["host"]: server["differs"] for server in report["servers"] if server.get("differs")}


def get_remedy(differences: Mapping[str, Mapping[str, Any]], host: str, check: Mapping[str, Any]) -> str:
    """Return the remedy of a check on a host."""
    return str(differences.get(host, {}).get(check["name"], check).get("remedy", check["remedy"]))
