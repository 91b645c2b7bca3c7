# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run a task of M(herdops.alpacon.alpacon_registration_token)."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from typing import Any, Callable

from .._api.client import Client
from .._api.errors import NO_REGISTRATION, AlpaconError, LostResponse, UnknownEndpoint, UsageError, did_you_mean
from .._api.records import is_uuid, normalize_uuid, parse_key, parse_row_id, parse_time, to_iso, to_text
from .._fleet.run import Run, get_process_key, has_process_ended
from .._options import values
from .._options.connection import CONNECTION, parse_settings
from .server_info import GROUPS_PATH

PATH = "/api/servers/registration-tokens/"
NAME_LENGTH = 64

#: By how much the clock of a controller may be off, so that only the workspace says what is past.
_CLOCK_DOUBT = timedelta(days=1)
#: Pauses before the looks for a token whose making was not answered, in seconds.
_LOOKS = (0.0, 2.0)
_SHOWN_ONCE = "The key was shown when the token was made, and never again; state=rotated makes a new one."


SPEC: dict[str, dict[str, Any]] = {
    **CONNECTION,
    "state": {"type": "str", "default": "present", "choices": ["present", "absent", "rotated", "temporary"]},
    "name": {"type": "str", "required": True},
    "groups": {"type": "list", "elements": "str"},
    "expires_at": {"type": "str"},
    "expires_in": {"type": "str"},
    "description": {"type": "str"},
}


@dataclass(frozen=True)
class RegistrationToken:
    """Describe a registration token as the API lists it.

    Attributes:
        groups: UUIDs of the groups that its servers come into.
        expires_at: None where it never does.
        description: None where the row does not say.
        key: only where it has just been made.
    """

    id: str
    name: str
    groups: frozenset[str] = frozenset()
    expires_at: datetime | None = None
    enabled: bool = True
    description: str | None = None
    key: str | None = field(default=None, repr=False)

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> RegistrationToken:
        """Read a row of the list, or the answer to a create; :class:`UnreadableRow` where its id is not a UUID."""
        groups = row.get("allowed_groups")
        return cls(
            id=normalize_uuid(row.get("id")),
            name=to_text(row.get("name")) or "",
            groups=frozenset(
                to_text(group.get("id") if isinstance(group, Mapping) else group) or ""
                for group in (groups if isinstance(groups, list) else ())
            ),
            expires_at=parse_time(row.get("expires_at")),
            enabled=row.get("enabled") is not False,
            description=to_text(row.get("description")),
            key=parse_key(row),
        )

    def usable(self, now: datetime) -> bool:
        """Return True if a server can still register with it."""
        return self.enabled and (self.expires_at is None or self.expires_at > now)

    def line(self) -> str:
        """Describe the token in one line, for a diff."""
        parts = [f"{self.name}: groups {', '.join(sorted(self.groups)) or 'none'}"]
        parts.append(f"expires {to_iso(self.expires_at)}" if self.expires_at else "never expires")
        return ", ".join(parts if self.enabled else [*parts, "disabled"])


@dataclass(frozen=True)
class TokenOptions:
    """Hold the checked options; None for what is not asked for."""

    name: str
    groups: tuple[str, ...] | None
    #: When a token is to expire: a date, which an existing one is compared with, or a time from now on.
    expires_at: datetime | None
    lifetime: timedelta | None
    description: str | None
    #: Whether no other run makes one of that name.
    own_name: bool = False

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> TokenOptions:
        """Check the options of a task."""
        name = options["name"].strip()
        if not name or len(name) > NAME_LENGTH:
            raise UsageError("name", f"it has {len(name)} characters", f"Give 1 to {NAME_LENGTH}.")
        groups = options.get("groups")
        date, period = options.get("expires_at"), options.get("expires_in")
        # Without a time, a token would be good for ever.
        for option, given in (("expires_at", [date]), ("expires_in", [period]), ("groups", groups or [])):
            if any(value is not None and not str(value).strip() for value in given):
                raise UsageError(option, "it is empty", "Give a value, or leave it out.")
        if date is not None and period is not None:
            raise UsageError("expires_in", "it does not go with expires_at", "Give one of both.")
        return cls(
            name,
            None if groups is None else tuple(dict.fromkeys(groups)),
            None if date is None else _date(date),
            None if period is None else _lifetime(period),
            options.get("description"),
        )

    def expiry(self, now: datetime) -> datetime | None:
        """Return when a token that is made now expires."""
        if self.lifetime is not None:
            return now.replace(microsecond=0) + self.lifetime
        _check_to_come(self.expires_at, now)
        return self.expires_at

    def differs(self, token: RegistrationToken, groups: frozenset[str] | None) -> str:
        """Return the first option that a token does not fulfil, or an empty text."""
        if groups is not None and token.groups != groups:
            return "groups"
        if self.expires_at and token.expires_at != self.expires_at:
            return "expires_at"
        return ""


def _date(text: str) -> datetime:
    date = values.parse_timestamp("expires_at", text)
    _check_to_come(date, datetime.now(timezone.utc) - _CLOCK_DOUBT)
    return date


def _check_to_come(date: datetime | None, now: datetime) -> None:
    if date and date <= now:
        raise UsageError("expires_at", f"{to_iso(date)} is in the past", "Give a time to come.")


def _lifetime(text: str) -> timedelta:
    seconds = values.parse_duration("expires_in", text)
    if not seconds:
        raise UsageError("expires_in", "it is no time at all", "Give a duration such as 2h or 30d.")
    return timedelta(seconds=seconds)


def run_registration_token(options: Mapping[str, Any], run: Run) -> dict[str, Any]:
    """Carry out a task of M(herdops.alpacon.alpacon_registration_token).

    Returns:
        The result of the task, with ``failed`` where tokens that were to go are left.

    Raises:
        AlpaconError: nothing was written, or the message names what may be left.
    """
    settings = parse_settings(options, run.warn)
    checked = TokenOptions.from_options(options)
    with Client(settings, report=run.report, before_write=run.check) as client:
        task = TokenTask(client, checked, run)
        changes = _STATES[options["state"]](task)
        result = changes.as_result(checked.name)
        result["requests"] = client.requests
    if run.diff_mode and changes.changed:
        result["diff"] = {"before": _lines(changes.gone), "after": _lines([changes.token] if changes.made else [])}
    return result


@dataclass(frozen=True)
class TokenTask:
    """Hold the client, options and run of a task."""

    client: Client
    options: TokenOptions
    run: Run

    def existing(self) -> list[RegistrationToken]:
        """List the tokens of that name."""
        return [token for token in self.similar() if token.name == self.options.name]

    def similar(self) -> list[RegistrationToken]:
        """List the tokens that the search for the name finds; some workspaces list all."""
        try:
            rows = list(self.client.rows(PATH, {"search": self.options.name}))
        except UnknownEndpoint:
            raise AlpaconError(NO_REGISTRATION) from None
        return [RegistrationToken.from_row(row) for row in rows if parse_row_id(row)]

    def group_ids(self) -> frozenset[str] | None:
        """Resolve the groups to UUIDs, with one read of the list if there are names."""
        if self.options.groups is None:
            return None
        known: dict[str, list[str]] = {}
        if not all(is_uuid(group) for group in self.options.groups):
            for row in self.client.rows(GROUPS_PATH):
                known.setdefault(to_text(row.get("name")) or "", []).append(to_text(row.get("id")) or "")
        return frozenset(normalize_uuid(ref) if is_uuid(ref) else _group_id(ref, known) for ref in self.options.groups)


def _group_id(name: str, known: Mapping[str, Sequence[str]]) -> str:
    found = known.get(name, [])
    if len(found) == 1:
        return found[0]
    if found:
        raise UsageError("groups", f"{len(found)} groups are named {name}", "Give the UUID of the one that is meant.")
    remedy = f"{did_you_mean(name, known, 'Check the name.')} The token may also not see that group."
    raise UsageError("groups", f"no group is named {name}", remedy)


@dataclass
class TokenChanges:
    """Collect the changes of a task."""

    token: RegistrationToken | None = None
    made: bool = False
    gone: list[RegistrationToken] = field(default_factory=list)
    msg: str = ""
    failed: bool = False

    @property
    def changed(self) -> bool:
        """Return True if a token was made or deleted."""
        return self.made or bool(self.gone)

    def as_result(self, name: str) -> dict[str, Any]:
        """Return the result of the task."""
        token = self.token
        result = {
            "changed": self.changed,
            "name": token.name if token else name,
            "id": (token and token.id) or None,
            "key": token and token.key,
            "groups": sorted(token.groups) if token else [],
            "expires_at": to_iso(token.expires_at) if token else None,
            "deleted": [old.id for old in self.gone],
            "msg": self.msg,
        }
        return {**result, "failed": True} if self.failed else result


def _lines(tokens: Iterable[RegistrationToken | None]) -> str:
    return "".join(f"{token.line()}\n" for token in tokens if token)


def _present(task: TokenTask) -> TokenChanges:
    groups = task.group_ids()
    existing = task.existing()
    now = task.client.clock.now()
    usable = [token for token in existing if token.usable(now)]
    differences = {token.id: task.options.differs(token, groups) for token in usable}
    kept = next((token for token in usable if not differences[token.id]), None)
    if kept:
        return TokenChanges(kept, msg=f"There is one already. {_SHOWN_ONCE}")
    if usable:
        token = usable[0]
        raise UsageError(
            differences[token.id],
            f"the registration token {token.name} ({token.id}) has another value, and the API changes none",
            "Use state=rotated to replace the token, or another name.",
        )
    return _replace(task, groups, existing)


def _rotated(task: TokenTask) -> TokenChanges:
    return _replace(task, task.group_ids(), task.existing())


def _temporary(task: TokenTask) -> TokenChanges:
    """Make a token with a mark of this run of Ansible in its name, and delete those of runs that have ended."""
    if task.run.process is None:
        raise UsageError("state", "temporary is for the run on the controller", "Do not delegate the task.")
    prefix = f"{task.options.name}-"
    own = replace(task, options=replace(task.options, name=prefix + get_process_key(task.run.process), own_name=True))
    if len(own.options.name) > NAME_LENGTH:
        longest = NAME_LENGTH - len(own.options.name) + len(task.options.name)
        raise UsageError(
            "name", "there is no room behind it for the name of the run", f"Give 1 to {longest} characters."
        )
    similar = [token for token in task.similar() if token.name.startswith(prefix)]
    return _replace(own, task.group_ids(), [token for token in similar if has_process_ended(token.name[len(prefix) :])])


def _absent(task: TokenTask) -> TokenChanges:
    return _clear(task, TokenChanges(), task.existing())


def _replace(task: TokenTask, groups: frozenset[str] | None, old: Sequence[RegistrationToken]) -> TokenChanges:
    """Make a token, and only then delete the others of its name, so that there is one all the time."""
    expires_at = task.options.expiry(task.client.clock.now())
    if task.run.check_mode:
        planned = RegistrationToken("", task.options.name, groups or frozenset(), expires_at)
        return TokenChanges(planned, made=True, gone=list(old), msg="Would be made.")
    token = _make(task, groups or frozenset(), expires_at, old)
    changes = TokenChanges(token, made=True, msg="Made. This is the only time that its key is shown.")
    for stale in old:
        try:
            _delete(task.client, stale)
        except AlpaconError as error:
            task.run.warn(f"The older registration token {stale.name} ({stale.id}) could not be deleted. {error}")
        else:
            changes.gone.append(stale)
    return changes


def _clear(task: TokenTask, changes: TokenChanges, tokens: Sequence[RegistrationToken]) -> TokenChanges:
    left = []
    for token in tokens:
        try:
            if not task.run.check_mode:
                _delete(task.client, token)
            changes.gone.append(token)
        except AlpaconError as error:
            left.append(f"{token.id} could not be deleted: {error}")
    changes.failed = bool(left)
    changes.msg = " ".join(left) or _said_of_clearing(task, changes)
    return changes


def _said_of_clearing(task: TokenTask, changes: TokenChanges) -> str:
    if not changes.gone:
        return "There is no such token."
    return "Would be deleted." if task.run.check_mode else "Deleted."


def _delete(client: Client, token: RegistrationToken) -> None:
    client.delete(f"{PATH}{normalize_uuid(token.id)}/")


def _make(
    task: TokenTask, groups: frozenset[str], expires_at: datetime | None, old: Sequence[RegistrationToken]
) -> RegistrationToken:
    """Make a token; if the answer is lost, delete that token, whose key nobody knows, and make another, once."""
    body: dict[str, Any] = {"name": task.options.name, "allowed_groups": sorted(groups)}
    if expires_at:
        body["expires_at"] = to_iso(expires_at)
    # It tells the own token from one that another run makes meanwhile. What is given stays as it is.
    given = task.options.description
    body["description"] = f"Made by Ansible ({secrets.token_hex(4)})" if given is None else given
    try:
        return _post(task.client, body)
    except LostResponse as error:
        known = {token.id for token in old}
        lost = _look_for_lost(task, body, known, error)
        for token in lost:
            _delete(task.client, token)
        known.update(token.id for token in lost)
    try:
        return _post(task.client, body)
    except LostResponse as error:
        lost = _look_for_lost(task, body, known, error)
        raise LostResponse(f"{error} {_left_behind(task, lost)}") from None


def _post(client: Client, body: Mapping[str, Any]) -> RegistrationToken:
    answer = client.write("POST", PATH, body).body
    token = RegistrationToken.from_row(answer) if parse_row_id(answer) else None
    if token is None or not token.key:
        raise LostResponse(f"POST {PATH}: the answer has no id and key in it.")
    return token


def _look_for_lost(
    task: TokenTask, body: Mapping[str, Any], known: set[str], lost: LostResponse
) -> list[RegistrationToken]:
    """Find the token that a lost POST made, if it made one."""
    for pause in _LOOKS:
        time.sleep(pause)
        try:
            fresh = [token for token in task.existing() if token.id not in known]
        except AlpaconError as error:
            raise LostResponse(f"{lost} Whether it made a token could not be seen: {error}") from None
        may_be = [token for token in fresh if _may_be(token, body)]
        marked = [token for token in may_be if task.options.description is None and token.description]
        own = may_be if task.options.own_name else marked
        if len(may_be) > 1 or len(own) < len(may_be):
            # One of them may be another run's, whose key is in use.
            raise LostResponse(f"{lost} {_left_behind(task, may_be)}")
        if own:
            return own
    return []


def _may_be(token: RegistrationToken, body: Mapping[str, Any]) -> bool:
    """Return True if a token can be the one of a request; not every workspace lists descriptions."""
    same_groups = token.groups == frozenset(body["allowed_groups"])
    return same_groups and token.description in (None, body["description"])


def _left_behind(task: TokenTask, tokens: Sequence[RegistrationToken]) -> str:
    if not tokens:
        return f"A registration token {task.options.name} may have been made; look for it, and run the task again."
    ids = ", ".join(token.id for token in tokens)
    return (
        f"Left behind, without a key that anybody knows: registration token {task.options.name} ({ids})."
        " Delete it, unless another run has just made it, and run the task again."
    )


_STATES: dict[str, Callable[[TokenTask], TokenChanges]] = {
    "present": _present,
    "rotated": _rotated,
    "temporary": _temporary,
    "absent": _absent,
}
