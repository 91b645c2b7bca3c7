# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""The hosts of an audit, and the servers that they stand for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.herdops.alpacon.plugins.module_utils._api.commands import Match
from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import SENTENCES
from ansible_collections.herdops.alpacon.plugins.module_utils._api.records import Server, canonical_uuid, is_uuid
from ansible_collections.herdops.alpacon.plugins.module_utils._api.settings import Settings

from .checks import Check

_NOT_COMMISSIONED = "The server is not commissioned: its agent has not finished its registration."
_NO_SERVER = "The workspace has no such server, or the token may not see it."


@dataclass(frozen=True)
class Host:
    """A host of the inventory.

    Attributes:
        server: UUID or name of its server.
        groups: the inventory groups that it is in.
        settings: its workspace, if that is not the one in the options of the audit.
    """

    name: str
    server: str
    groups: frozenset[str] = frozenset()
    settings: Settings | None = None


@dataclass
class AuditedHost:
    """A host, the server that it stands for, and why nothing can be submitted to that (empty if it can)."""

    host: Host
    server: Server
    checks: list[Check]
    obstacle: str = ""

    def command(self, check: Check) -> Match | None:
        """The command that answers the check, which it may share with others; None where no server is known."""
        if self.server.id is None:
            return None
        return Match(self.server.id, check.line, check.shell, check.username, check.groupname)


def audited_host(host: Host, checks: list[Check], servers: Sequence[Server] | None) -> AuditedHost:
    """A host with its server.

    Args:
        servers: those that it may mean; None where nobody can know.
    """
    if servers is None and is_uuid(host.server):
        return AuditedHost(host, Server(host.server), checks)
    if not servers:
        return AuditedHost(host, Server(None), checks, _NO_SERVER)
    if len(servers) > 1:
        ids = ", ".join(str(server.id) for server in servers)
        remedy = "Give the host the variable alpacon_server_id."
        return AuditedHost(host, Server(None), checks, f"{len(servers)} servers have this name: {ids}. {remedy}")
    [server] = servers
    obstacle = ""
    if server.commissioned is False:
        obstacle = _NOT_COMMISSIONED
    elif server.is_connected is False:
        obstacle = SENTENCES["server_not_connected"]
    return AuditedHost(host, server, checks, obstacle)


def server_of(name: str, server_id: Any) -> str:
    """How the server of a host is known: by the UUID of its variable, else by the host's name."""
    return canonical_uuid(server_id) if is_uuid(server_id) else str(server_id or name)
