# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""The one table of options, which feeds argument specs, plugins and the checks of the documentation."""

from __future__ import annotations

from typing import Any

from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.checks import SEVERITIES, SHELLS

#: Formats of the report of an audit.
REPORT_FORMATS = ("json", "junit", "markdown", "html")
ORDERINGS = ("added_at", "scheduled_at", "delivered_at", "acked_at", "handled_at")
#: Variables and the environment are looked into on the controller, which knows whose token is in them.
CONNECTION: dict[str, dict[str, Any]] = {
    "url": {"type": "str"},
    "token": {"type": "str", "no_log": True},
    "validate_certs": {"type": "bool", "default": True},
    "ca_path": {"type": "path"},
    "request_timeout": {"type": "int", "default": 30},
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
    "env": {"type": "dict"},
    "run_after": {"type": "list", "elements": "str"},
    "work_session": {"type": "str"},
    "purpose": {"type": "str"},
    "scheduled_at": {"type": "str"},
    "reschedule": {"type": "bool", "default": False},
    "reuse_within": {"type": "str"},
    "fail_if_sent": {"type": "bool", "default": True},
    "offline": {"type": "str", "default": "wait", "choices": ["wait", "fail", "skip"]},
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

REGISTRATION_TOKEN: dict[str, dict[str, Any]] = {
    "state": {"type": "str", "default": "present", "choices": ["present", "absent", "rotated"]},
    "name": {"type": "str", "required": True},
    "groups": {"type": "list", "elements": "str"},
    "expires_at": {"type": "str"},
    "expires_in": {"type": "str"},
    "description": {"type": "str"},
}

REGISTRATION: dict[str, dict[str, Any]] = {
    "state": {
        "type": "str",
        "default": "registered",
        "choices": ["registered", "connected", "unregistered"],
    },
    "id": {"type": "str"},
    "key": {"type": "str", "no_log": True},
    "registration_token": {"type": "str", "no_log": True},
    "name": {"type": "str"},
    "platform": {"type": "str", "choices": ["debian", "rhel"]},
    "tags": {"type": "dict"},
    "replace_stale": {"type": "bool", "default": False},
    "clean_up": {"type": "bool", "default": True},
    "wait_timeout": {"type": "str", "default": "2m"},
}

REGISTRATION_INFO: dict[str, dict[str, Any]] = {
    "id": {"type": "str", "required": True},
    "key": {"type": "str", "required": True, "no_log": True},
    "wait_timeout": {"type": "str", "default": "2m"},
}

SERVER_FILTERS: dict[str, dict[str, Any]] = {
    "connected": {"type": "bool"},
    "commissioned": {"type": "bool"},
    "name": {"type": "list", "elements": "str"},
    "os": {"type": "list", "elements": "str"},
    "platform": {"type": "list", "elements": "str"},
    "groups": {"type": "list", "elements": "str"},
    "tags": {"type": "dict"},
}

SERVER_INFO: dict[str, dict[str, Any]] = {
    "servers": {"type": "list", "elements": "str", "aliases": ["server"]},
    "filters": {"type": "dict", "options": SERVER_FILTERS},
    "limit": {"type": "int", "default": 0},
}

AUDIT: dict[str, dict[str, Any]] = {
    # Each check is read by _checks, which can say which one is wrong.
    "checks": {"type": "list", "elements": "dict", "required": True},
    "skip": {"type": "list", "elements": "str", "default": []},
    "severities": {"type": "dict", "default": {}},
    "hosts": {"type": "list", "elements": "str"},
    "reuse_within": {"type": "str"},
    "wait_timeout": {"type": "str", "default": "5m"},
    "max_concurrency": {"type": "str"},
    "progress": {"type": "bool"},
    "unknown_severity": {"type": "str", "default": "medium", "choices": list(SEVERITIES)},
    "fail_on": {"type": "str", "default": "high", "choices": [*SEVERITIES, "never"]},
    "min_coverage": {"type": "float", "default": 95},
    "dest": {"type": "path"},
    "formats": {
        "type": "list",
        "elements": "str",
        "default": list(REPORT_FORMATS),
        "choices": list(REPORT_FORMATS),
    },
    "compare_to": {"type": "path"},
    "title": {"type": "str"},
    "output_limit": {"type": "int", "default": 2000},
}


def command_spec() -> dict[str, dict[str, Any]]:
    """The argument spec of M(herdops.alpacon.alpacon_command)."""
    return {**CONNECTION, **COMMAND, **WAIT}


def info_spec() -> dict[str, dict[str, Any]]:
    """The argument spec of M(herdops.alpacon.alpacon_command_info)."""
    return {**CONNECTION, **INFO}


def server_info_spec() -> dict[str, dict[str, Any]]:
    """The argument spec of M(herdops.alpacon.alpacon_server_info)."""
    return {**CONNECTION, **SERVER_INFO}


def audit_spec() -> dict[str, dict[str, Any]]:
    """The argument spec of M(herdops.alpacon.alpacon_audit)."""
    return {**CONNECTION, **AUDIT}


def registration_token_spec() -> dict[str, dict[str, Any]]:
    """The argument spec of M(herdops.alpacon.alpacon_registration_token)."""
    return {**CONNECTION, **REGISTRATION_TOKEN}


def registration_spec() -> dict[str, dict[str, Any]]:
    """The argument spec of M(herdops.alpacon.alpacon_registration)."""
    return {**CONNECTION, **REGISTRATION}


def registration_info_spec() -> dict[str, dict[str, Any]]:
    """The argument spec of M(herdops.alpacon.alpacon_registration_info)."""
    return {**CONNECTION, **REGISTRATION_INFO}
