# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Build the result of M(herdops.alpacon.alpacon_server_action): a dict for each server, counts, a message, a diff."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .._api.errors import clean_line
from .._api.records import to_iso
from .._fleet.jobs import OK_OUTCOMES
from .._fleet.server_actions import Target
from .command_results import describe_servers


def describe_targets(targets: Sequence[Target], own_server: str) -> dict[str, Any]:
    """Build the result of a task; the keys of a single server are at the top level as well."""
    servers = [_describe(target, own_server) for target in targets]
    return describe_servers([target.job for target in targets], servers, OK_OUTCOMES, "actions")


def _describe(target: Target, own_server: str) -> dict[str, Any]:
    job, name = target.job, target.before.name or own_server
    versions = [clean_line(version) if version else None for version in (target.before.version, target.server.version)]
    return {
        "id": target.before.id,
        "name": clean_line(name) if name else None,
        # Ansible cannot write the enum as JSON.
        "outcome": job.outcome.value if job.outcome else None,
        "msg": " ".join(text for text in (job.msg or (job.outcome.sentence if job.outcome else ""), job.note) if text),
        "version_before": versions[0],
        "version": versions[1],
        "started_at": to_iso(target.server.started_at),
        "command_id": job.id,
        "changed": job.changed,
    }


def describe_upgrades(targets: Sequence[Target], after: str) -> dict[str, Any]:
    """Return the diff of the versions of servers that have, or would have, another one.

    Args:
        after: the version that these servers would have in check mode; otherwise empty.
    """
    changed = [target for target in targets if target.job.changed and (after or target.is_upgraded)]
    pairs = [(target.before.version, after or target.server.version, target.before) for target in changed]
    return {
        "diff": {
            "before": "".join(f"{clean_line(server)}: {clean_line(old)}\n" for old, _new, server in pairs),
            "after": "".join(f"{clean_line(server)}: {clean_line(new)}\n" for _old, new, server in pairs),
        }
    }
