# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""What a task about the registration of one server means; options in, result out.

Every registration makes a new record in the workspace. So it is sent only where the workspace itself says that the
stored credentials are worth nothing, and a record whose credentials were lost on the way is looked for and deleted.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, Callable

from .._api.client import Client
from .._api.errors import NO_REGISTRATION, AlpaconError, ApiError, LostAnswer, UnknownAddress, UsageError
from .._api.records import Server, answered_key, canonical_uuid, parse_time, plain_text, row_id
from .._api.servers import PATH, identified
from .._api.settings import Settings
from .._fleet.run import Run
from .._options import values
from .._options.connection import CONNECTION, settings_of

NAME_LENGTH = 64
#: A tag that only this very request carries, by which its record is known again.
MARKER = "ansible:registration"
#: A tag that all records of a machine carry, by which later tasks know those that never came up.
MACHINE = "ansible:machine"

#: How often a registration is sent at the most.
_ATTEMPTS = 3
#: Pauses before the looks for a record whose making was not answered, in seconds.
_LOOKS = (0.0, 1.0, 4.0)
#: Pauses between two questions whether the agent is connected, in seconds.
_FIRST_PAUSE, _GROWTH, _LONGEST_PAUSE = 0.5, 1.4, 10.0
#: For how long the agent of another machine of the same name may take to come up, in seconds.
_COMES_UP = 3600.0
#: Where workspaces that have a policy for the versions of agents state it.
_PREFERENCES = "/api/workspaces/preferences/-/"
#: HTTP statuses by which the workspace says that credentials are worth nothing.
_REFUSED = (401, 403, 404)
#: The state of a task that only asks.
_ASKED = "asked"
_CHECKS = (
    "On the host, read the agent's log (journalctl -u alpamon). The agent's websockets trust the system's CA"
    " certificates only and use no proxy, and a clone of the host that has the same id sends it away."
)


SPEC: dict[str, dict[str, Any]] = {
    **CONNECTION,
    "state": {
        "type": "str",
        "default": "registered",
        "choices": ["registered", "connected", "unregistered"],
    },
    "id": {"type": "str"},
    "key": {"type": "str", "no_log": True},
    "registration_token": {"type": "str", "no_log": True},
    "name": {"type": "str"},
    "platform": {"type": "str", "choices": ["debian", "rhel", "darwin", "windows"]},
    "tags": {"type": "dict"},
    "machine": {"type": "str"},
    "replace_stale": {"type": "bool", "default": False},
    "clean_up": {"type": "bool", "default": True},
    "version": {"type": "str"},
    "pinned": {"type": "bool", "default": False},
    "wait_timeout": {"type": "str", "default": "2m"},
}


INFO_SPEC: dict[str, dict[str, Any]] = {
    **CONNECTION,
    "id": {"type": "str", "required": True},
    "key": {"type": "str", "required": True, "no_log": True},
    "wait_timeout": {"type": "str", "default": "2m"},
}


class RegistrationError(AlpaconError):
    """A task about a registration that failed, with what is known by then."""

    def __init__(self, text: str, **facts: Any) -> None:
        self.facts = facts
        super().__init__(text)

    def as_result(self) -> dict[str, Any]:
        return self.facts


@dataclass(frozen=True)
class RegistrationOrder:
    """What the options ask for.

    Attributes:
        id, key: stored credentials of the agent; empty where there are none.
        machine: what stands for the machine in a tag; empty where it is not told from others.
        registration_token, name, platform: empty where they are not needed.
        version: which version of the agent is to be connected; empty where any may.
        pinned: whether that version is to stay, although nothing holds its package.
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
    clean_up: bool
    version: str
    pinned: bool
    timeout: float

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> RegistrationOrder:
        """Check the options of a task; :class:`UsageError` says which one is wrong."""
        order = cls(
            state=options["state"],
            id=values.uuid("id", options["id"]) if options.get("id") else "",
            key=values.credential("key", options.get("key") or ""),
            registration_token=values.credential("registration_token", options.get("registration_token") or ""),
            name=agent_name("name", options["name"]) if options.get("name") else "",
            platform=options.get("platform") or "",
            tags=_tags(options.get("tags")),
            machine=_digest(options.get("machine") or ""),
            replace_stale=bool(options.get("replace_stale")),
            clean_up=options.get("clean_up") is not False,
            version=str(options.get("version") or "").strip(),
            pinned=bool(options.get("pinned")),
            timeout=values.duration("wait_timeout", options["wait_timeout"]),
        )
        order._check_credentials(bool(options.get("token")))
        if order.may_register:
            for name in ("registration_token", "name", "platform"):
                if not getattr(order, name):
                    raise UsageError(name, "it is missing", "Registering a server takes it.")
        return order

    def _check_credentials(self, has_token: bool) -> None:
        if self.key and not self.id:
            raise UsageError("id", "it is missing", "Give the id that goes with the key.")
        if self.id and not self.key and not (self.state == "unregistered" and has_token):
            raise UsageError("key", "it is missing", "Give the key that goes with the id.")
        if self.state != "registered" and not self.id and not self.means_machine:
            raise UsageError("id", "it is missing", "Give id and key of the agent; the task is about them.")

    @property
    def means_machine(self) -> bool:
        """Whether this task is about what registrations of the machine may have left behind."""
        return self.state == "unregistered" and not self.id and bool(self.name and self.machine)

    @property
    def may_register(self) -> bool:
        """Whether this task may come to register."""
        return self.state == "registered" and (not self.id or self.replace_stale)


def agent_name(option: str, text: str) -> str:
    """A name as the agent would register it: short, and of letters, digits, underscores and hyphens."""
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
    """What stands for a machine without saying which one it is; empty for an empty text."""
    text = machine.strip()
    return hashlib.sha256(f"alpacon {text}".encode(errors="replace")).hexdigest()[:32] if text else ""


def run_registration(options: Mapping[str, Any], run: Run) -> dict[str, Any]:
    """Carry out a task of M(herdops.alpacon.alpacon_registration).

    Raises:
        UsageError: a bad option, before any request.
    """
    settings = settings_of(options, run.warn, needs_token=False)
    order = RegistrationOrder.from_options(options)
    with ExitStack() as stack:
        clients = Clients(settings, order, stack, run)
        task = RegistrationTask(clients, order, run)
        try:
            result = _STATES[order.state](task)
        except AlpaconError as error:
            facts = error.as_result()
            # Of a task that failed, what may be left behind is the change.
            changed = task.written and bool(facts.get("orphans"))
            result = {"failed": True, "changed": changed, "msg": str(error), **facts}
        result["requests"] = clients.requests
    if run.diff_mode and result["changed"] and not result.get("failed"):
        known = f"{result['name'] or order.id}\n"
        gone = order.state == "unregistered"
        result["diff"] = {"before": known if gone else "", "after": "" if gone else known}
    return result


def run_registration_info(options: Mapping[str, Any], run: Run) -> dict[str, Any]:
    """Carry out a task of M(herdops.alpacon.alpacon_registration_info).

    Returns:
        What the workspace says of an agent's credentials; it fails for none of it.

    Raises:
        UsageError: a bad option, before any request.
    """
    settings = settings_of(options, run.warn, needs_token=False)
    order = RegistrationOrder.from_options({**options, "state": _ASKED})
    with ExitStack() as stack:
        clients = Clients(settings, order, stack, run)
        stored = _ask(RegistrationTask(clients, order, run))
        requests = clients.requests
    said = {"valid": "The stored credentials are valid.", "stale": "The workspace refuses the stored credentials."}
    msg = said.get(stored.credentials, "The workspace did not say whether the stored credentials are valid.")
    return {
        "changed": False,
        "id": order.id,
        **stored.facts,
        "msg": f"{msg} {stored.why}".strip(),
        "requests": requests,
    }


class Clients:
    """The clients of a task, one for each credential that it has."""

    def __init__(self, settings: Settings, order: RegistrationOrder, stack: ExitStack, run: Run) -> None:
        self._settings, self._order, self._stack, self._run = settings, order, stack, run
        self._deadline = time.monotonic() + order.timeout
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
    def deadline(self) -> float:
        """When the patience of the task ends, in monotonic seconds."""
        return self._deadline

    @property
    def requests(self) -> int:
        """How many HTTP requests were sent so far."""
        return sum(client.requests for client in self._clients.values())

    def _client(self, authorization: str) -> Client:
        if authorization not in self._clients:
            client = Client(self._settings, pool=1, sleep=time.sleep, tell=self._run.tell, authorization=authorization)
            client.deadline = self._deadline
            self._clients[authorization] = self._stack.enter_context(client)
        return self._clients[authorization]


@dataclass
class RegistrationTask:
    """A task at work."""

    clients: Clients
    order: RegistrationOrder
    run: Run
    #: Whether a write was sent that may have changed something.
    written: bool = False


@dataclass(frozen=True)
class StoredCredentials:
    """What the workspace says of an agent's credentials: V(valid), V(stale) or V(unreachable), with the reason."""

    credentials: str
    why: str = ""
    server: Server = field(default=Server(None), repr=False)

    @property
    def facts(self) -> dict[str, Any]:
        """The part of a result that tells of it; null is what the workspace did not say."""
        return {
            "credentials": self.credentials,
            "name": self.server.name,
            "commissioned": self.server.commissioned,
            "is_connected": self.server.is_connected,
            "version": self.server.version,
        }

    @property
    def connected(self) -> bool:
        """Whether the agent is commissioned and connected; some workspaces do not say anything of the latter."""
        return self.server.commissioned is True and self.server.fields.get("is_connected", True) is True

    def runs(self, wanted: str) -> bool:
        """Whether the agent may be of that version; some workspaces state none, and some builds have no number."""
        stated = _version(self.server.version or "")
        return not wanted or not stated[:1].isdigit() or stated == _version(wanted)


def _version(text: str) -> str:
    """A version as the agent states it: packages write 2.6.0-rc1 as 2.6.0~rc1, and tags as v2.6.0-rc1."""
    return text.strip().removeprefix("v").replace("~", "-")


def _ask(task: RegistrationTask) -> StoredCredentials:
    """Ask the workspace with the agent's own credentials."""
    try:
        row = task.clients.agent.get(f"{PATH}-/")
    except ApiError as error:
        # A proxy's refusal says nothing of the credentials.
        stale = error.status in _REFUSED and error.stated
        return StoredCredentials("stale" if stale else "unreachable", _seen(error))
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


def _seen(error: ApiError) -> str:
    """An error without advice about tokens, which is not what was sent."""
    code = f" {error.code}" if error.code else ""
    return f"{error.method} {error.path}: HTTP {error.status}{code} {error.text}".strip()


# state: registered


def _registered(task: RegistrationTask) -> dict[str, Any]:
    order = task.order
    if not order.id:
        return _register(task)
    stored = _ask(task)
    facts = {"id": order.id, **stored.facts}
    if stored.credentials == "valid":
        return {"changed": False, **facts, "key": None, "orphans": [], "msg": "The stored credentials are valid."}
    if stored.credentials == "unreachable":
        raise RegistrationError(
            f"Whether the stored credentials are valid could not be found out, so nothing was registered. {stored.why}",
            **facts,
        )
    if not order.replace_stale:
        raise RegistrationError(
            f"The workspace refuses the stored credentials. {stored.why} Its record may have been deleted, or the host"
            " restored from an old copy. Set replace_stale to register the host again.",
            **facts,
        )
    return _register(task)


def _register(task: RegistrationTask) -> dict[str, Any]:
    order = task.order
    facts: dict[str, Any] = {"name": order.name, "credentials": "valid", "commissioned": False, "is_connected": False}
    facts.update(changed=True, id=None, key=None, version=None, orphans=[])
    if task.run.check_mode:
        return {**facts, "msg": f"Would be registered as {order.name}."}
    answer, lost = _post_safely(task)
    facts.update(id=row_id(answer), key=answered_key(answer), name=plain_text(answer.get("name")) or order.name)
    # Whoever loses the result, or the host, has read its id.
    task.run.tell(f"alpacon: registered {facts['name']}, {facts['id']}")
    facts["orphans"] = _orphans(task, facts["id"], lost)
    return {**facts, "msg": f"Registered as {facts['name']}."}


@dataclass(frozen=True)
class RegistrationAttempt:
    """A registration that was sent: the tag by which its record is known again, and when."""

    tag: str
    value: str
    sent_at: float

    @classmethod
    def begin(cls, order: RegistrationOrder) -> RegistrationAttempt:
        """One that is about to be sent."""
        if order.machine:
            return cls(MACHINE, order.machine, time.time())
        return cls(MARKER, str(uuid.uuid4()), time.time())

    def made(self, record: Server) -> bool:
        """Whether it, or an earlier one for the same machine, made a record, as far as the record's tags tell."""
        return record.tags.get(self.tag) == self.value


def _post_safely(task: RegistrationTask) -> tuple[Mapping[str, Any], list[RegistrationAttempt]]:
    """Register; where an answer was lost, only after the record that it may be about is gone."""
    lost: list[RegistrationAttempt] = []
    while True:
        attempt = RegistrationAttempt.begin(task.order)
        try:
            return _post(task, attempt), lost
        except UnknownAddress:
            raise RegistrationError(NO_REGISTRATION, orphans=[]) from None
        except LostAnswer as error:
            lost.append(attempt)
            task.written = True
            _withdraw(task, attempt, error)
            if len(lost) == _ATTEMPTS:
                raise RegistrationError(
                    f"{error} So it was {_ATTEMPTS} times in a row. Nothing of it is left behind; run the task again.",
                    orphans=[],
                ) from None
        except ApiError as error:
            hint = "registration_token: the workspace refuses it. " if error.status in _REFUSED else ""
            raise RegistrationError(f"{hint}{_seen(error)}", **error.as_result()) from None


def _post(task: RegistrationTask, attempt: RegistrationAttempt) -> Mapping[str, Any]:
    order = task.order
    body: dict[str, Any] = {"name": order.name, "platform": order.platform}
    # Without an API token, only a later task may look for the tag.
    tags = {**order.tags, attempt.tag: attempt.value} if order.machine or task.clients.user else order.tags
    if tags:
        body["tags"] = dict(tags)
    answer = task.clients.registering.write("POST", f"{PATH}register/", body).body
    if not isinstance(answer, Mapping) or not row_id(answer) or not answered_key(answer):
        raise LostAnswer(f"POST {PATH}register/: the answer has no id and key in it.")
    task.written = True
    return answer


def _withdraw(task: RegistrationTask, attempt: RegistrationAttempt, lost: LostAnswer) -> None:
    """Delete the record that a lost registration made, if it made one."""
    name, user = task.order.name, task.clients.user
    if user is None:
        raise RegistrationError(
            f"{lost} A record named {name}-xxxxxx may be left behind in the workspace: delete the one that never"
            " connects, and run the task again. With an API token in token, the task does so by itself.",
            orphans=[{"id": None, "name": f"{name}-xxxxxx"}],
        )
    for pause in _LOOKS:
        time.sleep(pause)
        try:
            found = _made_by(user, attempt, list(_records(user, name)))
        except AlpaconError as error:
            raise RegistrationError(
                f"{lost} Whether it made a record named {name}-xxxxxx could not be seen. {error} Look for one that"
                " never connects, delete it, and run the task again.",
                orphans=[{"id": None, "name": f"{name}-xxxxxx"}],
            ) from None
        if found:
            _delete_own(user, found, attempt, lost)
            return


def _delete_own(user: Client, found: Sequence[Server], attempt: RegistrationAttempt, lost: LostAnswer) -> None:
    orphans = [{"id": record.id, "name": record.name} for record in found]
    names = ", ".join(f"{record.name} ({record.id})" for record in found)
    if len(found) > 1 and not all(attempt.made(record) for record in found):
        # Workspaces that list no tags leave it open which one it is, and the others may be in use.
        raise RegistrationError(
            f"{lost} It may have made one of these records: {names}. Delete the one that never connects, and run the"
            " task again.",
            orphans=orphans,
        )
    try:
        for record in found:
            _delete(user, str(record.id))
    except AlpaconError as error:
        raise RegistrationError(
            f"{lost} It made the record {names}, which could not be deleted. {error} Delete it, and run the task"
            " again.",
            orphans=orphans,
        ) from None


def _delete(user: Client, server_id: str) -> bool:
    """Delete a record that is not connected; whether it was there."""
    return user.delete(f"{PATH}{canonical_uuid(server_id)}/?auto=false")


def _records(user: Client, name: str) -> Iterator[Server]:
    """The records that registrations of that name made, and whose agent was not there yet."""
    pattern = re.compile(re.escape(name) + r"-[0-9a-f]{6}")
    for record in identified(user.rows(PATH, {"search": name})):
        if pattern.fullmatch(record.name or "") and record.commissioned is False and record.is_connected is False:
            yield record


def _made_by(user: Client, attempt: RegistrationAttempt, records: Sequence[Server]) -> list[Server]:
    """Which of these records that attempt made: those with its tag, or where no tags are shown those since then."""
    if any("tags" in record.fields for record in records):
        return [record for record in records if attempt.made(record)]
    since = user.server_time(attempt.sent_at)
    return [record for record in records if _added_at(user, record) >= since]


def _added_at(user: Client, record: Server) -> float:
    """When a record was made, in seconds since the epoch; 0 where that is not known."""
    # Lists of older servers do not say it.
    row = record.fields if "added_at" in record.fields else user.get(f"{PATH}{canonical_uuid(record.id)}/")
    added = parse_time(row.get("added_at")) if isinstance(row, Mapping) else None
    return added.timestamp() if added else 0.0


def _orphans(task: RegistrationTask, own_id: str, lost: Sequence[RegistrationAttempt]) -> list[dict[str, Any]]:
    """Other records of that name that never came up, after those of this machine and of this task are gone."""
    user = task.clients.user
    if user is None:
        return []
    orphans: list[dict[str, Any]] = []
    # All attempts for a machine have the same tag.
    own = [RegistrationAttempt.begin(task.order)] if task.order.machine else lost
    unseen = bool(lost)
    try:
        for record in list(_records(user, task.order.name)):
            if record.id == own_id:
                unseen = False
            elif any(attempt.made(record) for attempt in own):
                # Left by a run that was lost before it had written the key, or come late.
                orphans += _delete_orphan(task, user, record)
            elif _is_left(user, task.order, record):
                orphans.append({"id": record.id, "name": record.name})
    except AlpaconError as error:
        task.run.warn(f"Whether records named {task.order.name}-xxxxxx are left behind is not known. {error}")
    if unseen:
        # Who does not see the new record did not see a lost one either.
        task.run.warn(
            f"token: it does not see the new record, so one named {task.order.name}-xxxxxx may be left behind."
        )
        orphans.append({"id": None, "name": f"{task.order.name}-xxxxxx"})
    return orphans


def _delete_orphan(task: RegistrationTask, user: Client, record: Server) -> list[dict[str, Any]]:
    """Delete a record of this machine; give it back where that fails."""
    try:
        _delete(user, str(record.id))
    except AlpaconError as error:
        task.run.warn(f"The record {record.name} ({record.id}) is left behind and could not be deleted. {error}")
        return [{"id": record.id, "name": record.name}]
    return []


def _is_left(user: Client, order: RegistrationOrder, record: Server) -> bool:
    """Whether a record that never came up may be of this machine: it is of no other, whose agent is just starting."""
    if order.machine and MACHINE in record.tags:
        return False
    return _added_at(user, record) <= user.server_time(time.time()) - _COMES_UP


# state: connected


def _connected(task: RegistrationTask) -> dict[str, Any]:
    order, pause = task.order, _FIRST_PAUSE
    while True:
        stored = _ask(task)
        facts = {"id": order.id, **stored.facts}
        if stored.connected and stored.runs(order.version):
            if order.pinned:
                _tell_of_upgrades(task)
            return {"changed": False, **facts, "msg": f"{facts['name'] or order.id} is connected."}
        if stored.credentials == "stale":
            raise RegistrationError(
                f"The workspace refuses the stored credentials, so the agent cannot connect. {stored.why}", **facts
            )
        if time.monotonic() + pause > task.clients.deadline:
            raise RegistrationError(
                f"Not connected within {order.timeout:g} s. {_last_seen(stored, order.version)} {_CHECKS}", **facts
            )
        time.sleep(pause)
        pause = min(pause * _GROWTH, _LONGEST_PAUSE)


def _tell_of_upgrades(task: RegistrationTask) -> None:
    """Say once in a run if the workspace upgrades agents by itself."""
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
            f" {task.order.version or 'their version'} will not stay. Hold the package (alpamon_hold), or change the"
            " policy."
        )


def _last_seen(stored: StoredCredentials, wanted: str) -> str:
    if stored.why:
        return f"Last seen: {stored.why}"
    if stored.connected:
        return f"An agent of version {stored.facts['version']} is connected, not {wanted}."
    if not stored.server.commissioned:
        return "The workspace knows the server, but its agent has not sent its first report."
    return "The agent has reported, but holds no websocket."


# state: unregistered


def _unregistered(task: RegistrationTask) -> dict[str, Any]:
    order = task.order
    if order.means_machine:
        return _end_left_behind(task)
    facts: dict[str, Any] = {"id": order.id, "name": None, "orphans": []}
    gone = {**facts, "changed": False, "msg": "There is no such record, or its credentials are worth nothing already."}
    try:
        by_agent = bool(order.key) and _end_by_agent(task)
        if by_agent or _end_by_user(task):
            said = "Would be unregistered." if task.run.check_mode else "Unregistered."
            return {**facts, "changed": True, "msg": said}
    except AlpaconError as error:
        raise RegistrationError(
            f"Not known to be unregistered: the record {order.id} may be left behind. {error}",
            **{**facts, "orphans": [{"id": order.id, "name": None}]},
        ) from None
    return gone


def _end_left_behind(task: RegistrationTask) -> dict[str, Any]:
    """Delete the records of the machine that never came up."""
    facts: dict[str, Any] = {"id": None, "name": None, "orphans": []}
    user = task.clients.user
    if user is None:
        return {**facts, "changed": False, "msg": "Without an API token, records of the machine cannot be looked for."}
    attempt = RegistrationAttempt.begin(task.order)
    found = [record for record in _records(user, task.order.name) if attempt.made(record)]
    if not task.run.check_mode:
        facts["orphans"] = [orphan for record in found for orphan in _delete_orphan(task, user, record)]
    count = len(found) - len(facts["orphans"])
    said = f"{count} of {len(found)} records of the machine {'would be' if task.run.check_mode else 'were'} deleted."
    return {**facts, "changed": count > 0, "msg": said if found else "There is no record of the machine left."}


def _end_by_agent(task: RegistrationTask) -> bool:
    """End the registration with the agent's own credentials; false where they are worth nothing."""
    if task.run.check_mode:
        stored = _ask(task)
        if stored.credentials == "unreachable":
            raise RegistrationError(stored.why)
        return stored.credentials == "valid"
    path = f"{PATH}{task.order.id}/unregister/"
    lost = False
    try:
        try:
            task.clients.agent.write("DELETE", path)
        except UnknownAddress:
            if task.clients.user is None:
                raise RegistrationError(
                    "This workspace knows no end of a registration by its agent. Give an API token in token, or delete"
                    " the record there."
                ) from None
            return False
        except LostAnswer:
            lost = task.written = True
            task.clients.agent.write("DELETE", path)
    except ApiError as error:
        if error.status not in _REFUSED or not error.stated:
            raise RegistrationError(_seen(error)) from None
        return lost
    return True


def _end_by_user(task: RegistrationTask) -> bool:
    """Delete the record with the API token, if there is one and the record still is."""
    user = task.clients.user
    if user is None:
        return False
    if not task.run.check_mode:
        return _delete(user, task.order.id)
    try:
        user.get(f"{PATH}{task.order.id}/")
    except ApiError as error:
        if error.status != 404:
            raise
        return False
    return True


_STATES: dict[str, Callable[[RegistrationTask], dict[str, Any]]] = {
    "registered": _registered,
    "connected": _connected,
    "unregistered": _unregistered,
}
