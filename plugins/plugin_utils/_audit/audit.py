# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""An audit: ask as little as possible, of all servers at once, and judge what they answer."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import AlpaconError
from ansible_collections.herdops.alpacon.plugins.module_utils._api.settings import Settings
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.run import Run

from .asking import WorkspaceAudit, ask
from .hosts import Host
from .options import AuditOptions
from .report_builder import build_report


@dataclass(frozen=True)
class Audited:
    """What came of an audit.

    Attributes:
        report: as ``docs/audit-report.schema.json`` describes it.
        changed: whether commands were submitted, or would be in check mode.
        to_submit: how many commands check mode left out.
        commanded: ids of the servers that commands were submitted to.
    """

    report: dict[str, Any]
    changed: bool
    to_submit: int = 0
    commanded: frozenset[str] = frozenset()


def run_audit(
    options: AuditOptions, hosts: Sequence[Host], run: Run, others: Mapping[str, Collection[str]] | None = None
) -> Audited:
    """Carry out a task of M(herdops.alpacon.alpacon_audit), but for the files.

    Args:
        others: hosts of the inventory that are not audited, and their groups.

    Raises:
        AlpaconError: nothing was submitted.
    """
    started = datetime.now(timezone.utc)
    asked: list[tuple[WorkspaceAudit, AlpaconError | None]] = []
    for settings, members in _by_workspace(hosts).items():
        asked.append(ask(options, members, settings, run, sum(audit.client.requests for audit, _error in asked)))
    audits = [audit for audit, _error in asked]
    failures = [error for _audit, error in asked if error]
    submitted = sum(audit.submitted for audit in audits)
    if len(failures) == len(asked) and not submitted:
        raise failures[0]
    left_out = sum(audit.left_out for audit in audits)
    report = build_report(options, hosts, audits, started)
    groups = {host.name: host.groups for host in hosts}
    for waiver in options.waivers:
        # What it is about elsewhere may fail there: the audit may be of a part of the hosts, as with --limit.
        if (
            not waiver.matched
            and not waiver.is_open
            and waiver.means_any(groups)
            and not waiver.means_any(others or {})
        ):
            run.warn(f"waivers: none of {waiver.check} fails on the hosts that it is about, until {waiver.until}.")
    if run.check_mode:
        # What was left out could change both.
        report.update(verdict=None, coverage=None)
    commanded = frozenset(server for audit in audits for server in audit.commanded)
    return Audited(report, submitted + left_out > 0, left_out, commanded)


def _by_workspace(hosts: Sequence[Host]) -> dict[Settings, list[Host]]:
    """The hosts of each workspace, by the settings that it is reached with."""
    members: dict[Settings, list[Host]] = {}
    for host in hosts:
        members.setdefault(host.settings, []).append(host)
    return members
