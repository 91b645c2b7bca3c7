# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Find IAM groups by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .._api.client import Client
from .._api.errors import UsageError, did_you_mean
from .._api.records import is_uuid, normalize_uuid, to_text

GROUPS_PATH = "/api/iam/groups/"


def resolve_groups(client: Client, groups: Sequence[str]) -> frozenset[str]:
    """Return the UUIDs of groups that the option C(groups) names.

    Raises:
        UsageError: a name has no group, or several.
    """
    ids_by_name: dict[str, list[str]] = {}
    if not all(map(is_uuid, groups)):
        for row in client.rows(GROUPS_PATH):
            ids_by_name.setdefault(to_text(row.get("name")) or "", []).append(to_text(row.get("id")) or "")
    return frozenset(normalize_uuid(ref) if is_uuid(ref) else _find_group(ref, ids_by_name) for ref in groups)


def _find_group(name: str, ids_by_name: Mapping[str, Sequence[str]]) -> str:
    found = ids_by_name.get(name, [])
    if len(found) == 1:
        return found[0]
    if found:
        raise UsageError("groups", f"{len(found)} groups are named {name}", "Give the UUID of one of them.")
    remedy = f"{did_you_mean(name, ids_by_name, 'Check the name.')} Or the API token has no access to that group."
    raise UsageError("groups", f"no group is named {name}", remedy)
