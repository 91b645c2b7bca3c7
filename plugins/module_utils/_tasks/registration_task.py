# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Hold the state of a task about one registration, and ask the workspace about credentials."""

from __future__ import annotations

import hashlib
import ipaddress
import re
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from .._api.client import Client
from .._api.errors import AlpaconError, ApiError, UsageError
from .._api.records import Server
from .._api.servers import SERVERS_PATH
from .._api.settings import Settings
from .._fleet.run import Run
from .._options import values

NAME_LENGTH = 64
#: A tag that only this very request carries, by which its record is known again.
MARKER = "ansible:registration"
#: A tag that all records of a machine carry, by which later tasks know those that never came up.
MACHINE = "ansible:machine"


@dataclass(frozen=True)
class RegistrationOptions:
    """Hold the checked options.

    Attributes:
        id, key: stored credentials of the agent; empty if there are none.
        machine: digest that identifies the machine in a tag; empty if it is not told from others.
        registration_token, name, platform: empty if they are not needed.
        version: version of the agent to wait for; empty for any.
        pinned: True if that version is to stay, although nothing holds its package.
        timeout: seconds.
    """

    state: str
    id: str
    key: str = field(repr=False)
    registration_token: str = field(repr=False)
    name: str
    platform: str
    tags: Mapping[str, str]
    machine: str
    replace_stale: bool
    replace: bool
    clean_up: bool
    version: str
    pinned: bool
    timeout: float

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> RegistrationOptions:
        """Check the options of a task; :class:`UsageError` says which one is wrong."""
        checked = cls(
            state=options["state"],
            id=values.parse_uuid("id", options["id"]) if options.get("id") else "",
            key=values.check_credential("key", options.get("key") or ""),
            registration_token=values.check_credential("registration_token", options.get("registration_token") or ""),
            name=agent_name("name", options["name"]) if options.get("name") else "",
            platform=options.get("platform") or "",
            tags=_tags(options.get("tags")),
            machine=_digest(options.get("machine") or ""),
            replace_stale=bool(options.get("replace_stale")),
            replace=bool(options.get("replace")),
            clean_up=options.get("clean_up") is not False,
            version=str(options.get("version") or "").strip(),
            pinned=bool(options.get("pinned")),
            timeout=values.parse_duration("wait_timeout", options["wait_timeout"]),
        )
        has_token = bool(options.get("token"))
        checked._check_credentials(has_token)
        if checked.state == "registered" and checked.replace and not (has_token and checked.clean_up):
            raise UsageError(
                "replace",
                "it takes an API token, which changes and deletes records",
                "Give one in token and leave clean_up at true, or leave replace out.",
            )
        if checked.may_register:
            for name in ("registration_token", "name", "platform"):
                if not getattr(checked, name):
                    raise UsageError(name, "it is missing", "Registering a server takes it.")
        return checked

    def _check_credentials(self, has_token: bool) -> None:
        if self.key and not self.id:
            raise UsageError("id", "it is missing", "Give the id that goes with the key.")
        if self.id and not self.key and not (self.state == "unregistered" and has_token):
            raise UsageError("key", "it is missing", "Give the key that goes with the id.")
        if self.state != "registered" and not self.id and not self.means_machine:
            raise UsageError("id", "it is missing", "Give id and key of the agent; the task is about them.")

    @property
    def means_machine(self) -> bool:
        """Return True if the task is about records that registrations of the machine may have left behind."""
        return self.state == "unregistered" and not self.id and bool(self.name and self.machine)

    @property
    def may_register(self) -> bool:
        """Return True if the task may register the server."""
        return self.state == "registered" and (not self.id or self.replace_stale)


def agent_name(option: str, text: str) -> str:
    """Shorten a name as the agent does: letters, digits, underscores and hyphens, up to the first dot."""
    stripped = text.strip()
    if _is_address(stripped):
        raise UsageError(option, f"{stripped} is an address", "Give a name, such as the short name of the host.")
    name = re.sub(r"[^A-Za-z0-9_]+", "-", stripped.split(".", 1)[0]).strip("-")[:NAME_LENGTH].rstrip("-")
    if not name:
        raise UsageError(
            option, f"nothing is left of '{text}' as a name", "Give letters, digits, underscores, hyphens."
        )
    return name


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _tags(given: Mapping[str, Any] | None) -> dict[str, str]:
    for name, value in (given or {}).items():
        if not isinstance(value, str):
            raise UsageError("tags", f"the value of {name} is not a string", "Put it in quotes.")
        if not str(name).strip() or name in (MARKER, MACHINE):
            raise UsageError("tags", f"'{name}' is no name for a tag", "Choose another one.")
    return dict(given or {})


def _digest(machine: str) -> str:
    """Return a digest that identifies a machine without naming it; empty for an empty text."""
    text = machine.strip()
    return hashlib.sha256(f"alpacon {text}".encode(errors="replace")).hexdigest()[:32] if text else ""


#: HTTP statuses of a workspace that refuses credentials.
REFUSED = (401, 403, 404)


class RegistrationError(AlpaconError):
    """Report that a task failed, with the facts for its result."""

    def __init__(self, text: str, **details: Any) -> None:
        self.details = details
        super().__init__(text)


class Clients:
    """Open one client for each credential of a task."""

    def __init__(self, settings: Settings, options: RegistrationOptions, stack: ExitStack, run: Run) -> None:
        self._settings, self._options, self._stack, self._run = settings, options, stack, run
        #: When the task gives up waiting, in monotonic seconds.
        self.deadline = time.monotonic() + options.timeout
        self._clients: dict[str, Client] = {}

    @property
    def agent(self) -> Client:
        """Speaks with the agent's own credentials."""
        return self._client(f'id="{self._options.id}", key="{self._options.key}"')

    @property
    def registering(self) -> Client:
        """Speaks with the registration token."""
        return self._client(f'token="{self._options.registration_token}"')

    @property
    def user(self) -> Client | None:
        """Speaks with the API token, if there is one that may be used."""
        usable = self._settings.token and self._options.clean_up
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
                report=self._run.report,
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
    options: RegistrationOptions
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
        row = task.clients.agent.get(f"{SERVERS_PATH}-/")
    except ApiError as error:
        # A proxy's refusal says nothing of the credentials.
        stale = error.status in REFUSED and error.stated
        return StoredCredentials("stale" if stale else "unreachable", without_advice(error))
    except AlpaconError as error:
        return StoredCredentials("unreachable", str(error))
    if not isinstance(row, Mapping) or not isinstance(row.get("commissioned"), bool):
        return StoredCredentials(
            "unreachable", f"GET {SERVERS_PATH}-/: this is no answer of an Alpacon workspace. Check url."
        )
    server = Server.from_row(row)
    if server.id != task.options.id:
        return StoredCredentials(
            "unreachable", f"GET {SERVERS_PATH}-/: the answer is not the server {task.options.id}. Check url."
        )
    return StoredCredentials("valid", server=server)


def without_advice(error: ApiError) -> str:
    """Describe an error without advice about API tokens, since none was sent."""
    code = f" {error.code}" if error.code else ""
    return f"{error.method} {error.path}: HTTP {error.status}{code} {error.text}".strip()


#: Pauses between two polls, in seconds.
_FIRST_PAUSE, _GROWTH, _LONGEST_PAUSE = 0.5, 1.4, 10.0
#: Agents reconnect within a minute after the workspace was away, in seconds.
_RECONNECTS = 75.0
#: Preferences with the policy for versions of agents, in workspaces that have one.
_PREFERENCES = "/api/workspaces/preferences/-/"
_CHECKS = (
    "On the host, read the agent's log (journalctl -u alpamon). The agent's websockets trust the system's CA"
    " certificates only and use no proxy, and a clone of the host that has the same id sends it away."
)


def connected(task: RegistrationTask) -> dict[str, Any]:
    """Wait until the agent is connected.

    Raises:
        RegistrationError: it is not connected in time; ``connected`` in its facts is False, or None if not known.
    """
    options, pause = task.options, _FIRST_PAUSE
    unanswered_at: float | None = None
    while True:
        stored = ask(task)
        now = time.monotonic()
        facts = {"id": options.id, **stored.facts}
        if stored.connected and stored.runs(options.version):
            if options.pinned:
                _tell_of_upgrades(task)
            return {"changed": False, **facts, "connected": True, "msg": f"{facts['name'] or options.id} is connected."}
        if stored.credentials != "valid":
            unanswered_at = now
        if now + pause > task.clients.deadline:
            # Agents need time to come back to a workspace that was away.
            known = unanswered_at is None or now - unanswered_at > _RECONNECTS
            said = _not_connected(stored, options) if known else _not_known(stored)
            raise RegistrationError(said, **facts, connected=False if known else None)
        time.sleep(pause)
        pause = min(pause * _GROWTH, _LONGEST_PAUSE)


def _tell_of_upgrades(task: RegistrationTask) -> None:
    """Warn once in a run if the workspace upgrades agents by itself."""
    user = task.clients.user
    if user is None or not task.run.first("agent-upgrades"):
        return
    try:
        row = user.get(_PREFERENCES)
    except AlpaconError:
        return  # older workspaces have no such page, and not every token may read it
    policy = row.get("agent_rollout_policy") if isinstance(row, Mapping) else None
    if (policy.get("mode") if isinstance(policy, Mapping) else policy) == "latest":
        task.run.alert(
            "The workspace upgrades agents to the latest version by itself (agent_rollout_policy), so"
            f" {task.options.version or 'their version'} will not stay. Hold the package (alpamon_hold), or change the"
            " policy."
        )


def _not_connected(stored: StoredCredentials, options: RegistrationOptions) -> str:
    if stored.connected:
        state = f"An agent of version {stored.facts['version']} is connected, not {options.version}."
    elif not stored.server.commissioned:
        state = "The workspace knows the server, but its agent has not sent its first report."
    else:
        state = "The agent has reported, but holds no websocket."
    return f"Not connected within {options.timeout:g} s. {state} {_CHECKS}"


def _not_known(stored: StoredCredentials) -> str:
    said = {
        "valid": "The agent is not connected yet, and takes a minute after the workspace was away.",
        "stale": "The workspace refuses the stored credentials, so it does not say whether the agent is connected.",
    }.get(stored.credentials, "The workspace could not be asked whether the agent is connected.")
    why = f" {stored.why.rstrip('.')}." if stored.why else ""
    return f"{said}{why} Check that the workspace answers, then run the task again."
