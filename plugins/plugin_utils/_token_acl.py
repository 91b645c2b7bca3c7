# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Turn the commands that a run recorded into entries of access lists (ACL), and compare them with other entries."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from ansible import context
from ansible.errors import AnsibleFilterError

from ..module_utils._api.errors import PAYLOAD_PATTERN, clean_line, join_first
from ._run import get_needs

_Entry = dict[str, str]
_Acl = dict[str, list[_Entry]]
#: Keys of an entry, by list. An empty username is the user of the token; an empty groupname is any group.
_KEYS = {
    "command_acl": ("command", "username", "groupname"),
    "file_acl": ("path", "action", "username", "groupname"),
    "server_acl": ("server", "name"),
    "not_covered": ("task", "reason"),
}
#: Lists that are left out if they are empty.
_OPTIONAL = ("file_acl", "not_covered")
_MAX_NAMES = 20
#: The ID of the row of a run in which a task that may need entries did not fail.
TASK_RAN = "task ran"


def make_acl(rows: Iterable[Mapping[str, Any]]) -> _Acl:
    """Return the entries that the recorded commands need, without duplicates and sorted, and the tasks not covered."""
    rows = list(rows)
    texts = {
        name: sorted({tuple(str(row[key] or "") for key in keys) for row in rows if keys[0] in row})
        for name, keys in _KEYS.items()
        if name != "server_acl"
    }
    named = sorted((row for row in rows if "server" in row), key=lambda row: row["name"] or "")
    servers = {str(row["server"]): str(row["name"] or "") for row in named}
    by_name = sorted((name, server) for server, name in servers.items())
    acl = {name: [dict(zip(_KEYS[name], row, strict=True)) for row in found] for name, found in texts.items()}
    acl["server_acl"] = [{"server": server, "name": name} for name, server in by_name]
    return {name: acl[name] for name in _KEYS}


def write_acl(rows: Iterable[Mapping[str, Any]], failed: Sequence[str]) -> list[str]:
    """Write YAML that an administrator can paste.

    Args:
        failed: hosts that failed, whose later tasks did not run.
    """
    rows = list(rows)
    lines = ["# Entries that the access lists (ACL) of a token need. In a command, * stands for any text."]
    lines.append("# The scopes that the token needs are not listed.")
    workspaces = sorted({row["workspace"] for row in rows if "workspace" in row})
    if len(workspaces) > 1:
        urls = ", ".join(map(clean_line, workspaces))
        lines.append(f"# These are for several workspaces: {urls}. Use --limit to separate them.")
    if failed:
        lines.append(f"# Incomplete, because hosts failed: {join_first(list(map(clean_line, failed)), _MAX_NAMES)}")
    for name, entries in make_acl(rows).items():
        if name in _OPTIONAL and not entries:
            continue
        if name == "not_covered":
            lines.append("# No entries of an access list. These tasks need more than is listed above.")
        lines.append(f"{name}:{'' if entries else ' []'}")
        for entry in entries:
            command = entry.get("command", entry.get("path", ""))
            if command == PAYLOAD_PATTERN:
                lines.append("  # This allows everything that the account may do.")
            elif "*" in command:
                what, others = ("path", "paths") if name == "file_acl" else ("line", "lines")
                lines.append(f"  # The {what} has a *, which is a wildcard here and allows other {others} as well.")
            # Without allow_unicode, YAML escapes control characters.
            text = yaml.safe_dump([entry], sort_keys=False, width=2**20)
            lines += [f"  {line}" for line in text.splitlines()]
    return lines


def require_tasks(hosts: str) -> str:
    """Return these hosts of a play, which may be none and so cannot fail by a task.

    Raises:
        AnsibleFilterError: this run has no task that may need entries, or all of them failed.
    """
    is_run = not any(context.CLIARGS.get(name) for name in ("listhosts", "listtags", "listtasks", "syntax"))
    if is_run and TASK_RAN not in get_needs().read_rows():
        raise AnsibleFilterError(
            "No task of the playbook ran without an error, so the needs of the token are not known. Check the token,"
            " the inventory (-i, --limit), the tags, and the conditions of the tasks."
        )
    return hosts


def compare_acl(path: str) -> dict[str, list[str]]:
    """Compare the needs of this run with a file of allowed entries.

    Returns:
        ``missing``: descriptions of needs that the file does not cover.
        ``unused``: descriptions of entries that cover no need.

    Raises:
        AnsibleFilterError: the file is not what :func:`write_acl` writes, or this run recorded no needs.
    """
    recorded = get_needs()
    if not recorded.file.exists():
        raise AnsibleFilterError("The needs of this run are not known. Run herdops.alpacon.token_acl with --check.")
    needed, allowed = make_acl(recorded.read_rows().values()), _read_acl(path)
    result: dict[str, list[str]] = {"missing": [], "unused": []}
    for name in _KEYS:
        needs, entries = needed[name], allowed[name]
        # Thousands of servers are compared by sets.
        missing, unused = _subtract(needs, entries), _subtract(entries, needs)
        if name in ("command_acl", "file_acl"):
            missing = [need for need in missing if not any(_covers(entry, need) for entry in entries)]
            unused = [entry for entry in unused if not any(_covers(entry, need) for need in needs)]
        result["missing"] += map(_describe, missing)
        result["unused"] += map(_describe, unused)
    return result


def _subtract(entries: Iterable[_Entry], others: Iterable[_Entry]) -> list[_Entry]:
    found = set(map(_identify, others))
    return [entry for entry in entries if _identify(entry) not in found]


def _identify(entry: _Entry) -> tuple[str, ...]:
    return (entry["server"].lower(),) if "server" in entry else tuple(entry.values())


def _read_acl(path: str) -> _Acl:
    try:
        content = yaml.safe_load(Path(path).expanduser().read_text(encoding="utf-8"))
    except (OSError, UnicodeError, yaml.YAMLError) as error:
        raise AnsibleFilterError(f"alpacon_allowed: {path} cannot be read: {error}") from None
    acl: _Acl = {}
    for name, keys in _KEYS.items():
        default: list[_Entry] | None = [] if name in _OPTIONAL else None
        entries = content.get(name, default) if isinstance(content, dict) else None
        if not isinstance(entries, list) or not all(isinstance(entry, dict) and keys[0] in entry for entry in entries):
            why = f"it has no list {name} whose entries have a {keys[0]}"
            raise AnsibleFilterError(
                f"alpacon_allowed: {path}: {why}. Give the YAML that herdops.alpacon.token_acl printed."
            )
        acl[name] = [{key: str(entry.get(key) or "") for key in keys} for entry in entries]
    return acl


def _covers(entry: _Entry, need: _Entry) -> bool:
    key = "path" if "path" in need else "command"
    pattern = ".*".join(map(re.escape, entry[key].split("*")))
    return (
        re.fullmatch(pattern, need[key], re.DOTALL) is not None
        and entry.get("action") in ("*", need.get("action"))
        and entry["username"] in ("*", need["username"])
        and entry["groupname"] in ("*", "", need["groupname"])
    )


def _describe(entry: _Entry) -> str:
    if "task" in entry:
        return clean_line(f"task {entry['task']}, since {entry['reason']}")
    if "server" in entry:
        return clean_line(f"server {entry['name']} ({entry['server']})")
    group = f" in group {entry['groupname']}" if entry["groupname"] else ""
    what = f"{entry['action']} of {entry['path']}" if "path" in entry else f"command {entry['command']}"
    return clean_line(f"{what} as {entry['username'] or 'the user of the token'}{group}")
