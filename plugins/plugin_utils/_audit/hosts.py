# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The hosts of an audit, and the servers that they stand for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import SENTENCES
from ansible_collections.herdops.alpacon.plugins.module_utils._api.records import (
    Server,
    is_uuid,
    is_windows,
    normalize_uuid,
    parse_owner,
    to_text,
)
from ansible_collections.herdops.alpacon.plugins.module_utils._api.settings import Settings

from .checks import Check
from .responses import Reply

_NOT_COMMISSIONED = "The server is not commissioned: its agent has not finished its registration."
_WINDOWS = "Audits ask in a POSIX shell, and the server runs Windows. Leave it out, as in hosts: all:!platform_windows."
_NO_SERVER = "The workspace has no such server, or the token may not see it."


#: What a workspace says of a server.
_ABOUT = ("os", "agent", "ip", "owner")
#: No text that a workspace tells about a server is longer, in characters.
_LONGEST_TEXT = 200


@dataclass(frozen=True)
class Host:
    """A host of the inventory.

    Attributes:
        server: UUID or name of its server.
        groups: the inventory groups that it is in.
        checks: those that it is asked with.
        settings: how its workspace is reached.
    """

    name: str
    server: str
    groups: frozenset[str]
    checks: Sequence[Check] = field(hash=False)
    settings: Settings


@dataclass
class AuditedHost:
    """A host, the server that it stands for, and what came back.

    Attributes:
        obstacle: why nothing can be submitted to the server; empty if it can.
        about: what the workspace says of the server: C(os), C(agent), C(ip) and C(owner), each a text or None.
        replies: by the names of checks.
    """

    host: Host
    server: Server
    checks: list[Check]
    obstacle: str = ""
    about: dict[str, str | None] = field(default_factory=lambda: dict.fromkeys(_ABOUT))
    replies: dict[str, Reply] = field(default_factory=dict)

    @property
    def reached(self) -> bool:
        """Return True if the server answered, or had nothing to answer."""
        return not self.checks or any(reply.reached for reply in self.replies.values())

    @property
    def reason(self) -> str:
        """Say why the server was not reached, or why only earlier answers count; else empty."""
        if self.reached:
            is_reused = bool(self.replies) and all(reply.reused for reply in self.replies.values())
            return self.obstacle if is_reused else ""
        return self.obstacle or next((reply.judged.message for reply in self.replies.values()), "")


def about_of(server: Server) -> dict[str, str | None]:
    """Return the texts about a server, see :class:`AuditedHost`."""
    row, owner = server.fields, parse_owner(server.fields)
    name, version = _text(row.get("os_name")), _text(row.get("os_version"))
    return {
        "os": " ".join(filter(None, (name, version))) or None,
        "agent": _text(server.version),
        "ip": _text(row.get("remote_ip")),
        "owner": _text(owner["name"]) if owner else None,
    }


def _text(value: Any) -> str | None:
    text = to_text(value)
    return text[:_LONGEST_TEXT] if text else None


def audited_host(host: Host, servers: Sequence[Server] | None) -> AuditedHost:
    """Return a host with its server.

    Args:
        servers: those that it may mean; None where nobody can know.
    """
    checks = list(host.checks)
    if servers is None and is_uuid(host.server):
        return AuditedHost(host, Server(host.server), checks)
    if not servers:
        return AuditedHost(host, Server(None), checks, _NO_SERVER)
    if len(servers) > 1:
        ids = ", ".join(str(server.id) for server in servers)
        remedy = "Give the host the variable alpacon_server_id."
        return AuditedHost(host, Server(None), checks, f"{len(servers)} servers have this name: {ids}. {remedy}")
    [found] = servers
    server, obstacle = found.without_row(), ""
    if is_windows(found.fields):
        obstacle = _WINDOWS
    elif server.commissioned is False:
        obstacle = _NOT_COMMISSIONED
    elif server.is_connected is False:
        obstacle = SENTENCES["server_not_connected"]
    return AuditedHost(host, server, checks, obstacle, about_of(found))


def server_of(name: str, server_id: Any) -> str:
    """Return the UUID of a host's server from its variable, else the host's name."""
    return normalize_uuid(server_id) if is_uuid(server_id) else str(server_id or name)
