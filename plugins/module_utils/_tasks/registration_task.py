# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""Hold the state of a task about one registration, and ask the workspace about credentials."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from .._api.client import Client
from .._api.errors import AlpaconError, ApiError
from .._api.records import Server
from .._api.servers import PATH
from .._api.settings import Settings
from .._fleet.run import Run
from .registration_order import RegistrationOrder

#: HTTP statuses of a workspace that refuses credentials.
REFUSED = (401, 403, 404)


class RegistrationError(AlpaconError):
    """Report that a task failed, with the facts for its result."""

    def __init__(self, text: str, **facts: Any) -> None:
        self.facts = facts
        super().__init__(text)

    def as_result(self) -> dict[str, Any]:
        return self.facts


class Clients:
    """Open one client for each credential of a task."""

    def __init__(self, settings: Settings, order: RegistrationOrder, stack: ExitStack, run: Run) -> None:
        self._settings, self._order, self._stack, self._run = settings, order, stack, run
        #: When the task gives up waiting, in monotonic seconds.
        self.deadline = time.monotonic() + order.timeout
        self._clients: dict[str, Client] = {}

    @property
    def agent(self) -> Client:
        """Speaks with the agent's own credentials."""
        return self._client(f'id="{self._order.id}", key="{self._order.key}"')

    @property
    def registering(self) -> Client:
        """Speaks with the registration token."""
        return self._client(f'token="{self._order.registration_token}"')

    @property
    def user(self) -> Client | None:
        """Speaks with the API token, if there is one that may be used."""
        usable = self._settings.token and self._order.clean_up
        return self._client(f'token="{self._settings.token}"') if usable else None

    @property
    def requests(self) -> int:
        """Count the HTTP requests that were sent so far."""
        return sum(client.requests for client in self._clients.values())

    def _client(self, authorization: str) -> Client:
        if authorization not in self._clients:
            client = Client(
                self._settings,
                sleep=time.sleep,
                tell=self._run.tell,
                authorization=authorization,
                before_write=self._run.check,
            )
            client.deadline = self.deadline
            self._clients[authorization] = self._stack.enter_context(client)
        return self._clients[authorization]


@dataclass
class RegistrationTask:
    """Hold the clients, options and run of a task."""

    clients: Clients
    order: RegistrationOrder
    run: Run
    #: Whether a write was sent that may have changed something.
    written: bool = False


@dataclass(frozen=True)
class StoredCredentials:
    """Describe an agent's credentials: V(valid), V(stale) or V(unreachable), with the reason."""

    credentials: str
    why: str = ""
    server: Server = field(default=Server(None))

    @property
    def facts(self) -> dict[str, Any]:
        """Return the keys of a result; None for what the workspace did not say."""
        return {
            "credentials": self.credentials,
            "name": self.server.name,
            "commissioned": self.server.commissioned,
            "is_connected": self.server.is_connected,
            "version": self.server.version,
        }

    @property
    def connected(self) -> bool:
        """Return True if the agent is commissioned, and connected if the workspace says anything of that."""
        return self.server.commissioned is True and self.server.fields.get("is_connected", True) is True

    def runs(self, wanted: str) -> bool:
        """Return True if the agent may have that version: not all workspaces and builds state one."""
        stated = _version(self.server.version or "")
        return not wanted or not stated[:1].isdigit() or stated == _version(wanted)


def _version(text: str) -> str:
    """Spell a version as the agent does: packages write 2.6.0-rc1 as 2.6.0~rc1, and tags as v2.6.0-rc1."""
    return text.strip().removeprefix("v").replace("~", "-")


def ask(task: RegistrationTask) -> StoredCredentials:
    """Ask the workspace with the agent's own credentials."""
    try:
        row = task.clients.agent.get(f"{PATH}-/")
    except ApiError as error:
        # A proxy's refusal says nothing of the credentials.
        stale = error.status in REFUSED and error.stated
        return StoredCredentials("stale" if stale else "unreachable", without_advice(error))
    except AlpaconError as error:
        return StoredCredentials("unreachable", str(error))
    if not isinstance(row, Mapping) or not isinstance(row.get("commissioned"), bool):
        return StoredCredentials("unreachable", f"GET {PATH}-/: this is no answer of an Alpacon workspace. Check url.")
    server = Server.from_row(row)
    if server.id != task.order.id:
        return StoredCredentials(
            "unreachable", f"GET {PATH}-/: the answer is not the server {task.order.id}. Check url."
        )
    return StoredCredentials("valid", server=server)


def without_advice(error: ApiError) -> str:
    """Describe an error without advice about API tokens, since none was sent."""
    code = f" {error.code}" if error.code else ""
    return f"{error.method} {error.path}: HTTP {error.status}{code} {error.text}".strip()
