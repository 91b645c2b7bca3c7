# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Check the options of a registration task, hold its state, and verify the credentials of an agent."""

from __future__ import annotations

import hashlib
import ipaddress
import re
import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from .._api.client import Client, Deadlines
from .._api.errors import AlpaconError, ApiError, UsageError
from .._api.records import Server
from .._api.servers import SERVERS_PATH
from .._api.settings import Settings
from .._fleet.run import Run
from .._options import values

#: Name of the tag that has another value for each task.
MARKER = "ansible:registration"
#: Name of the tag that has another value for each machine.
MACHINE = "ansible:machine"
REFUSED = (401, 403, 404)
#: State of a task that only checks a registration token.
TOKEN_CHECKED = "token_checked"


@dataclass(frozen=True)
class RegistrationOptions:
    """Checked options of a task.

    Attributes:
        id, key: stored credentials of the agent; empty if there are none.
        machine: digest of the option; empty if it is not given.
        registration_token, name, platform: empty if they are not needed.
        version: version of the agent to wait for; empty for any.
        pinned: True to warn if the workspace may upgrade the agent to another version.
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
        machine = (options.get("machine") or "").strip()
        digest = hashlib.sha256(f"alpacon {machine}".encode(errors="replace")).hexdigest()[:32]
        checked = cls(
            state=options["state"],
            id=values.parse_uuid("id", options["id"]) if options.get("id") else "",
            key=values.check_credential("key", options.get("key") or ""),
            registration_token=values.check_credential("registration_token", options.get("registration_token") or ""),
            name=to_server_name("name", options["name"]) if options.get("name") else "",
            platform=options.get("platform") or "",
            tags=_check_tags(options.get("tags") or {}),
            machine=digest if machine else "",
            replace_stale=bool(options.get("replace_stale")),
            replace=bool(options.get("replace")),
            clean_up=options.get("clean_up") is not False,
            version=str(options.get("version") or "").strip(),
            pinned=bool(options.get("pinned")),
            timeout=values.parse_duration("wait_timeout", options["wait_timeout"]),
        )
        checked._check_credentials(has_token=bool(options.get("token")))
        return checked

    def _check_credentials(self, has_token: bool) -> None:
        if self.key and not self.id:
            raise UsageError("id", "it is missing", "Give the id that goes with the key.")
        if self.id and not self.key and not (self.state == "unregistered" and has_token):
            raise UsageError("key", "it is missing", "Give the key that goes with the id.")
        if self.state != "registered":
            is_needed = self.state != TOKEN_CHECKED and not (
                self.state == "unregistered" and self.name and self.machine
            )
            if is_needed and not self.id:
                raise UsageError("id", "it is missing", "Give id and key of the agent.")
            return
        if self.replace and not (has_token and self.clean_up):
            raise UsageError(
                "replace",
                "it needs an API token, which changes and deletes records",
                "Give one in token and leave clean_up at true, or leave replace out.",
            )
        if not self.id or self.replace_stale:
            for name in ("registration_token", "name", "platform"):
                if not getattr(self, name):
                    raise UsageError(name, "it is missing", "It is required to register a server.")


def to_server_name(option: str, text: str) -> str:
    """Convert a name as the agent does: only letters, digits, underscores and hyphens, and only up to the first dot."""
    stripped = text.strip()
    with suppress(ValueError):
        ipaddress.ip_address(stripped)
        raise UsageError(option, f"{stripped} is an address", "Give a name, such as the short name of the host.")
    name = re.sub(r"[^A-Za-z0-9_]+", "-", stripped.split(".", 1)[0]).strip("-")[:64].rstrip("-")
    if not name:
        raise UsageError(option, f"'{text}' has no character for a name", "Give letters, digits, underscores, hyphens.")
    return name


def _check_tags(tags: Mapping[str, Any]) -> dict[str, str]:
    for name, value in tags.items():
        if not isinstance(value, str):
            raise UsageError("tags", f"the value of {name} is not a string", "Put it in quotes.")
        if not str(name).strip() or name in (MARKER, MACHINE):
            raise UsageError("tags", f"'{name}' cannot be the name of a tag", "Choose another one.")
    return dict(tags)


class RegistrationError(AlpaconError):
    def __init__(self, text: str, **details: Any) -> None:
        self.details = details
        super().__init__(text)


@dataclass
class RegistrationTask:
    """A task about one registration.

    Attributes:
        deadline: monotonic seconds.
        tag, tag_value: the tag of the records that this task, or any task for its machine, has made.
        sent_at: time of the last registration, in seconds since the epoch.
        lost_responses: number of writes without a response.
        facts: keys of the result.
        before, after: name of the record, for a diff; empty if there is none.
    """

    settings: Settings
    options: RegistrationOptions
    run: Run
    sent_at: float = 0.0
    lost_responses: int = 0
    changed: bool = False
    facts: dict[str, Any] = field(default_factory=dict)
    before: str = ""
    after: str = ""

    def __post_init__(self) -> None:
        self.deadline = time.monotonic() + self.options.timeout
        machine = self.options.machine
        self.tag, self.tag_value = (MACHINE, machine) if machine else (MARKER, str(uuid.uuid4()))
        self._clients: dict[str, Client] = {}

    @property
    def agent_client(self) -> Client:
        return self._get_client(f'id="{self.options.id}", key="{self.options.key}"')

    @property
    def registration_client(self) -> Client:
        return self._get_client(f'token="{self.options.registration_token}"')

    @property
    def user_client(self) -> Client | None:
        """Return the client with the API token; None without a token, or if the task must not clean up with it."""
        usable = self.settings.token and self.options.clean_up
        return self._get_client(f'token="{self.settings.token}"') if usable else None

    def _get_client(self, authorization: str) -> Client:
        if authorization not in self._clients:
            self._clients[authorization] = Client(
                self.settings,
                sleep=time.sleep,
                deadlines=Deadlines(self.deadline),
                report=self.run.context.report,
                authorization=authorization,
                before_write=self.run.check_not_over,
                log=self.run.context.report_request,
            )
        return self._clients[authorization]

    def __enter__(self) -> RegistrationTask:
        return self

    def __exit__(self, *exc_info: object) -> None:
        for client in self._clients.values():
            client.__exit__(*exc_info)

    def has_made(self, record: Server) -> bool:
        return record.tags.get(self.tag) == self.tag_value

    def fail(self, error: AlpaconError) -> None:
        self.facts = {"failed": True, "msg": str(error), **error.details}
        # A record that may be left behind is the change.
        self.changed = bool(self.lost_responses and self.facts.get("orphans"))

    def result(self) -> dict[str, Any]:
        requests = sum(client.requests for client in self._clients.values())
        result = {"changed": self.changed, **self.facts, "requests": requests}
        if self.run.diff_mode and self.changed and not self.facts.get("failed"):
            names = {"before": self.before, "after": self.after}
            result["diff"] = {key: f"{name}\n" if name else "" for key, name in names.items()}
        return result


@dataclass(frozen=True)
class StoredCredentials:
    """The state of an agent's credentials.

    Attributes:
        credentials: V(valid), V(stale) or V(unreachable).
        why: the reason, if they are not valid.
        server: the record of the agent, if they are valid.
    """

    credentials: str
    why: str = ""
    server: Server = field(default=Server(None))

    @property
    def facts(self) -> dict[str, Any]:
        """Return keys for the result of the task; None if the workspace does not state the value."""
        return {
            "credentials": self.credentials,
            "name": self.server.name,
            "commissioned": self.server.commissioned,
            "is_connected": self.server.is_connected,
            "version": self.server.version,
        }

    @property
    def connected(self) -> bool:
        """Return True if the agent is commissioned and connected; some workspaces state only the first."""
        return self.server.commissioned is True and self.server.fields.get("is_connected", True) is True


def verify_credentials(task: RegistrationTask) -> StoredCredentials:
    try:
        row = task.agent_client.get(f"{SERVERS_PATH}-/")
    except ApiError as error:
        # An error that is not the API's own may come from a proxy.
        stale = error.status in REFUSED and error.stated
        return StoredCredentials("stale" if stale else "unreachable", describe_refusal(error))
    except AlpaconError as error:
        return StoredCredentials("unreachable", str(error))
    problem = "not from an Alpacon workspace"
    if isinstance(row, Mapping) and isinstance(row.get("commissioned"), bool):
        server = Server.from_row(row)
        if server.id == task.options.id:
            return StoredCredentials("valid", server=server)
        problem = f"not about the server {task.options.id}"
    return StoredCredentials("unreachable", f"GET {SERVERS_PATH}-/: the response is {problem}. Check url.")


def describe_refusal(error: ApiError) -> str:
    """Describe an error without advice about API tokens, since none was sent."""
    code = f" {error.code}" if error.code else ""
    return f"{error.method} {error.path}: HTTP {error.status}{code} {error.text}".strip()
