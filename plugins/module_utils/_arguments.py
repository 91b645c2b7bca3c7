# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""The one table of options, which feeds argument specs, plugins and the checks of the documentation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.module_utils.common.parameters import env_fallback

SHELLS = ("system", "internal", "osquery")
ORDERINGS = ("added_at", "scheduled_at", "delivered_at", "acked_at", "handled_at")
#: A shorter value of O(env) is no secret, and hiding it would hide half of every output.
_SHORTEST_SECRET = 4

CONNECTION: dict[str, dict[str, Any]] = {
    "url": {"type": "str", "fallback": (env_fallback, ["ALPACON_URL"])},
    "token": {"type": "str", "no_log": True, "fallback": (env_fallback, ["ALPACON_TOKEN"])},
    "validate_certs": {"type": "bool", "default": True, "fallback": (env_fallback, ["ALPACON_VALIDATE_CERTS"])},
    "ca_path": {"type": "path", "fallback": (env_fallback, ["ALPACON_CA_PATH"])},
    "request_timeout": {"type": "int", "default": 30, "fallback": (env_fallback, ["ALPACON_REQUEST_TIMEOUT"])},
}

WAIT: dict[str, dict[str, Any]] = {
    "wait": {"type": "bool", "default": True},
    "wait_timeout": {"type": "str", "default": "30m"},
    "wait_for_approval": {"type": "bool", "default": False},
    "cancel_on_timeout": {"type": "bool", "default": False},
}

COMMAND: dict[str, dict[str, Any]] = {
    "servers": {"type": "list", "elements": "str", "aliases": ["server"]},
    "line": {"type": "str", "aliases": ["cmd"]},
    "state": {"type": "str", "default": "executed", "choices": ["executed", "scheduled", "finished", "cancelled"]},
    "ids": {"type": "list", "elements": "str", "aliases": ["id"]},
    "shell": {"type": "str", "default": "system", "choices": list(SHELLS)},
    "username": {"type": "str"},
    "groupname": {"type": "str"},
    "env": {"type": "dict", "no_log": True},
    "run_after": {"type": "list", "elements": "str"},
    "work_session": {"type": "str"},
    "purpose": {"type": "str"},
    "scheduled_at": {"type": "str"},
    "reschedule": {"type": "bool", "default": False},
    "reuse_within": {"type": "str"},
    "fail_if_sent": {"type": "bool", "default": True},
    "max_concurrency": {"type": "str"},
    "max_errors": {"type": "str"},
    "progress": {"type": "bool"},
    "success_codes": {"type": "list", "elements": "int", "default": [0]},
}

INFO: dict[str, dict[str, Any]] = {
    "ids": {"type": "list", "elements": "str", "aliases": ["id"]},
    "server": {"type": "str"},
    "shell": {"type": "str"},
    "requested_by": {"type": "str"},
    "requested_by_isnull": {"type": "bool"},
    "is_scheduled": {"type": "bool"},
    "search": {"type": "str"},
    "ordering": {
        "type": "str",
        "default": "-added_at",
        "choices": [sign + name for name in ORDERINGS for sign in ("-", "")],
    },
    "limit": {"type": "int", "default": 100},
    "status": {"type": "list", "elements": "str"},
    "success": {"type": "bool"},
    "line": {"type": "str", "aliases": ["cmd"]},
    "since": {"type": "str"},
    "until": {"type": "str"},
    "with_output": {"type": "bool", "default": True},
}


def command_spec() -> dict[str, dict[str, Any]]:
    """The argument spec of M(herdops.alpacon.alpacon_command)."""
    return {**CONNECTION, **COMMAND, **WAIT}


def info_spec() -> dict[str, dict[str, Any]]:
    """The argument spec of M(herdops.alpacon.alpacon_command_info)."""
    return {**CONNECTION, **INFO}


def secrets(options: Mapping[str, Any]) -> set[str]:
    """The values of these options that no result and no log may show."""
    values = [options.get("token"), *(options.get("env") or {}).values()]
    return {str(value) for value in values if value is not None and len(str(value)) >= _SHORTEST_SECRET}


def hide(value: Any, hidden: set[str]) -> Any:
    """A result with asterisks wherever one of these texts stands in it."""
    if isinstance(value, str):
        for text in sorted(hidden, key=len, reverse=True):
            value = value.replace(text, "********")
        return value
    if isinstance(value, Mapping):
        return {key: hide(item, hidden) for key, item in value.items()}
    return [hide(item, hidden) for item in value] if isinstance(value, list) else value
