# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""Tell from rows of a workspace whether it passes C(env) on to servers: no answer of the API says so."""

from __future__ import annotations

from collections.abc import Iterable

from .client import Client
from .commands import newest_commands
from .errors import HIDDEN, ApiError
from .records import STATUSES, Command, Server
from .servers import PATH, identified


def supports_env(client: Client) -> bool | None:
    """Ask for rows that tell: of the newest commands or, if there is none, of servers; None if no row tells."""
    told = told_by_commands(newest_commands(client))
    if told is not None:
        return told
    try:
        page = next(client.pages(PATH, {"ordering": "name"}), None)
    except ApiError as error:
        if error.refuses_token or error.status not in HIDDEN:
            raise
        return None
    return told_by_servers(identified(page.rows)) if page else None


def told_by_commands(commands: Iterable[Command]) -> bool | None:
    """Tell by the status, which workspaces without C(env) state as an object."""
    return next((command.may_have_chunks for command in commands if command.status in STATUSES), None)


def told_by_servers(servers: Iterable[Server]) -> bool | None:
    """Tell by the owner, which workspaces without C(env) state as an id."""
    owners = (server.fields.get("owner") for server in servers)
    return next((not isinstance(owner, str) for owner in owners if owner), None)
