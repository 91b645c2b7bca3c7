# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Validate the options of M(herdops.alpacon.alpacon_audit)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from ...module_utils._api.errors import UsageError
from ...module_utils._fleet.jobs import Limits
from ...module_utils._options import values
from ...module_utils._options.connection import CONNECTION
from .attestations import Attestation, read_attestations
from .checks import Check
from .report import DEFAULT_FORMATS, FORMATS
from .scanner_files import EvidenceFolder
from .scanners.results import SEVERITIES
from .waivers import Waiver, read_waivers

SPEC: dict[str, dict[str, Any]] = {
    **CONNECTION,
    # Without suboptions, because parse_checks names the wrong check in its errors.
    "checks": {"type": "list", "elements": "dict"},
    "benchmarks": {"type": "list", "elements": "dict"},
    "library": {"type": "path"},
    "check_sets": {"type": "list", "elements": "str"},
    "skip": {"type": "list", "elements": "str"},
    "severities": {"type": "dict"},
    "username": {"type": "str"},
    "hosts": {"type": "list", "elements": "str"},
    "waivers": {"type": "list", "elements": "dict"},
    "attestations": {"type": "list", "elements": "dict"},
    "reuse_within": {"type": "str"},
    "wait_timeout": {"type": "str", "default": "5m"},
    "max_concurrency": {"type": "str"},
    "progress": {"type": "bool"},
    "fail_on": {"type": "str", "default": "high", "choices": [*SEVERITIES, "never"]},
    "fail_after": {"type": "dict"},
    "min_coverage": {"type": "float", "default": 95},
    "dest": {"type": "path"},
    "formats": {"type": "list", "elements": "str", "default": list(DEFAULT_FORMATS), "choices": list(FORMATS)},
    "compare_to": {"type": "path"},
}


@dataclass(frozen=True)
class AuditOptions:
    """The options of the task, validated.

    Attributes:
        evidence: where the files of scanners are kept; None without a report.
    """

    reuse_within: float | None
    limits: Limits
    progress: bool | None
    fail_on: str | None
    fail_after: dict[str, float]
    min_coverage: float
    waivers: list[Waiver]
    attestations: list[Attestation]
    evidence: EvidenceFolder | None = None

    @classmethod
    def from_options(cls, options: Mapping[str, Any], checks: Sequence[Sequence[Check]]) -> AuditOptions:
        """Validate the options of the task, or raise UsageError.

        Args:
            checks: the checks of each host.
        """
        if not checks:
            raise UsageError("hosts", "there is no host to audit", "Give the play hosts, or name some in hosts.")
        if not 0 <= options["min_coverage"] <= 100:
            problem = f"{options['min_coverage']:g} is not a percentage"
            raise UsageError("min_coverage", problem, "Give a number from 0, for no minimum, to 100.")
        reuse_within = options.get("reuse_within")
        today = datetime.now(timezone.utc).date()
        # Hosts with equal variables share one list.
        distinct = [check for shared in {id(one): one for one in checks}.values() for check in shared]
        for tool in {check.name for check in distinct if check.results}:
            if name := next((check.name for check in distinct if check.name.startswith(f"{tool}/")), None):
                raise UsageError("checks", f"{name} may also be the name of a result of {tool}", "Rename one of them.")
        if not options.get("dest") and any(check.files for check in distinct):
            raise UsageError("benchmarks", "evidence is kept beside the report, and there is none", "Set dest.")
        return cls(
            reuse_within=None if reuse_within in (None, "") else values.parse_duration("reuse_within", reuse_within),
            limits=Limits(
                wait_timeout=values.parse_timeout("wait_timeout", options["wait_timeout"]),
                wait_for_approval=True,
                cancel_on_timeout=True,
                max_concurrency=values.parse_share(
                    "max_concurrency", options.get("max_concurrency"), len(checks), least=1
                ),
            ),
            progress=options.get("progress"),
            fail_on=None if options["fail_on"] == "never" else options["fail_on"],
            fail_after=_parse_ages(options),
            min_coverage=options["min_coverage"],
            waivers=read_waivers(options["waivers"], today),
            attestations=read_attestations(options["attestations"], today),
        )


def _parse_ages(options: Mapping[str, Any]) -> dict[str, float]:
    """Return the seconds after which findings fail the audit, by severity; raise UsageError for others."""
    ages: Mapping[str, Any] = options.get("fail_after") or {}
    failing = [] if options["fail_on"] == "never" else SEVERITIES[SEVERITIES.index(options["fail_on"]) :]
    for severity in ages:
        if severity not in SEVERITIES:
            remedy = f"Give one of {', '.join(failing)}." if failing else "Leave it out."
            raise UsageError("fail_after", f"{severity!s:.40} is not a severity", remedy)
        if severity not in failing:
            problem = f"findings of severity {severity} do not fail the audit, since fail_on is {options['fail_on']}"
            raise UsageError("fail_after", problem, f"Remove {severity}, or lower fail_on.")
    if ages and not options.get("dest"):
        raise UsageError("fail_after", "without dest, there is no history of the findings", "Set dest.")
    return {severity: values.parse_duration("fail_after", ages[severity]) for severity in ages}
