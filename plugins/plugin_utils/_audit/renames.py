# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Find checks and hosts of an earlier report that have another name now."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

_Row = Mapping[str, Any]


def find_renamed(before: Mapping[str, _Row], now: Mapping[str, _Row]) -> dict[str, str]:
    """Return the new names of checks, by their old names. Checks that are alike to several others are left out."""
    old_rows = [{**row, "is_of_kept": str(row.get("of")) in now} for row in before.values()]
    new_rows = [{**row, "is_of_kept": str(row.get("of")) in before} for row in now.values()]
    renamed: dict[str, str] = {}
    for identify in (_get_line, _get_short_name, _get_title):
        taken = set(renamed.values())
        # Checks that keep their name count, too: of three with one line, nobody knows which became which.
        old_names = _index_unique([row for row in old_rows if row["name"] not in renamed], identify)
        new_names = _index_unique([row for row in new_rows if row["name"] not in taken], identify)
        found = {old: new_names[key] for key, old in old_names.items() if key in new_names}
        renamed.update({old: new for old, new in found.items() if old not in now and new not in before})
    return renamed


def find_renamed_hosts(before: Mapping[str, _Row], now: Mapping[str, _Row]) -> dict[str, str]:
    """Return the new names of hosts with the same server, by their old names. Both reports have the server once."""
    old_names, new_names = (
        _index_unique([{**row, "name": name} for name, row in servers.items()], _get_server)
        for servers in (before, now)
    )
    return {
        old: new_names[key]
        for key, old in old_names.items()
        if key in new_names and old not in now and new_names[key] not in before
    }


def _get_server(row: _Row) -> Hashable:
    return (str(row.get("workspace")), str(row["id"])) if row.get("id") else None


def _get_line(row: _Row) -> Hashable:
    return str(row["line"]) if row.get("line") else None


def _get_short_name(row: _Row) -> Hashable:
    """Return the name of a rule without its check, which has a new name if the version of its benchmark is in it."""
    parent = row.get("of")
    return str(row["name"]).removeprefix(f"{parent}/") if parent and not row["is_of_kept"] else None


def _get_title(row: _Row) -> Hashable:
    """Return the check and title of a rule. Titles of own checks are often alike."""
    parent = row.get("of")
    return (str(parent), str(row["title"])) if parent and row.get("title") else None


def _index_unique(rows: Sequence[_Row], identify: Callable[[_Row], Hashable]) -> dict[Hashable, str]:
    names: dict[Hashable, list[str]] = {}
    for row in rows:
        key = identify(row)
        if key is not None:
            names.setdefault(key, []).append(row["name"])
    return {key: found[0] for key, found in names.items() if len(found) == 1}
