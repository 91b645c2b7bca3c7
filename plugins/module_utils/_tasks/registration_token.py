# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run a task of M(herdops.alpacon.alpacon_registration_token)."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from typing import Any, Callable

from .._api.client import Client
from .._api.errors import NO_REGISTRATION, AlpaconError, LostResponse, UnknownEndpoint, UsageError
from .._api.records import normalize_uuid, parse_key, parse_row_id, parse_time, to_iso, to_text
from .._fleet.run import Run, get_process_key, has_process_ended
from .._options import values
from .._options.connection import CONNECTION, parse_settings
from .iam_groups import resolve_groups

PATH = "/api/servers/registration-tokens/"
NAME_LENGTH = 64
#: Pauses before each search for a token after a lost response, in seconds.
_PAUSES = (0.0, 2.0)

SPEC: dict[str, dict[str, Any]] = {
    **CONNECTION,
    "state": {"type": "str", "default": "present", "choices": ["present", "absent", "rotated", "temporary"]},
    "name": {"type": "str", "required": True},
    "groups": {"type": "list", "elements": "str"},
    "expires_at": {"type": "str"},
    "expires_in": {"type": "str"},
    "description": {"type": "str"},
}
RULES: dict[str, Any] = {"mutually_exclusive": [("expires_at", "expires_in")]}


@dataclass(frozen=True)
class RegistrationToken:
    """A registration token as the API lists it.

    Attributes:
        groups: UUIDs.
        expires_at: None if the token never expires.
        description: None if the row has none.
        key: only in the response to a create request.
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
        """Read a row of the list, or the response to a create request.

        Raises:
            UnreadableRow: the id is not a UUID.
        """
        listed = row.get("allowed_groups")
        ids = [
            group.get("id") if isinstance(group, Mapping) else group
            for group in (listed if isinstance(listed, list) else ())
        ]
        return cls(
            id=normalize_uuid(row.get("id")),
            name=to_text(row.get("name")) or "",
            groups=frozenset(to_text(group) or "" for group in ids),
            expires_at=parse_time(row.get("expires_at")),
            enabled=row.get("enabled") is not False,
            description=to_text(row.get("description")),
            key=parse_key(row),
        )

    def describe(self) -> str:
        expiry = f"expires {to_iso(self.expires_at)}" if self.expires_at else "never expires"
        disabled = "" if self.enabled else ", disabled"
        return f"{self.name}: groups {', '.join(sorted(self.groups)) or 'none'}, {expiry}{disabled}"


@dataclass(frozen=True)
class TokenOptions:
    """Checked options of a task; an option that is not given is None.

    Attributes:
        expires_at: the task compares it with existing tokens.
    """

    name: str
    groups: tuple[str, ...] | None
    expires_at: datetime | None
    lifetime: timedelta | None
    description: str | None

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> TokenOptions:
        name = options["name"].strip()
        if not name or len(name) > NAME_LENGTH:
            raise UsageError("name", f"it has {len(name)} characters", f"Give 1 to {NAME_LENGTH}.")
        groups, date, lifetime = options.get("groups"), options.get("expires_at"), options.get("expires_in")
        # If an empty value counted as none, a token would never expire.
        for option, texts in (("expires_at", [date]), ("expires_in", [lifetime]), ("groups", groups or [])):
            if any(text is not None and not str(text).strip() for text in texts):
                raise UsageError(option, "it is empty", "Give a value, or leave it out.")
        expires_at = None if date is None else values.parse_timestamp("expires_at", date)
        # The clock of the controller may be wrong; _replace_tokens compares with that of the workspace.
        _check_future(expires_at, datetime.now(timezone.utc) - timedelta(days=1))
        seconds = None if lifetime is None else values.parse_duration("expires_in", lifetime)
        if seconds == 0:
            raise UsageError("expires_in", "it is zero", "Give a duration such as 2h or 30d.")
        return cls(
            name,
            None if groups is None else tuple(dict.fromkeys(groups)),
            expires_at,
            None if seconds is None else timedelta(seconds=seconds),
            options.get("description"),
        )


def _check_future(date: datetime | None, now: datetime) -> None:
    if date and date <= now:
        raise UsageError("expires_at", f"{to_iso(date)} is in the past", "Give a time in the future.")


def run_registration_token(options: Mapping[str, Any], run: Run) -> dict[str, Any]:
    """Run a task of M(herdops.alpacon.alpacon_registration_token).

    Raises:
        AlpaconError: nothing was written, or the message names the token that may be left behind.
    """
    settings = parse_settings(options, run.warn)
    checked = TokenOptions.from_options(options)
    context = run.context
    with Client(settings, report=context.report, before_write=run.check_not_over, log=context.report_request) as client:
        task = TokenTask(client, checked, run)
        _STATES[options["state"]](task)
        return task.result()


@dataclass
class TokenTask:
    """A task about the registration tokens of one name.

    Attributes:
        is_temporary: True if the name has the key of this run, so that no other run creates a token with that name.
        token: the existing or new token; None if there is none.
        deleted: deleted tokens; in check mode, the tokens to delete.
    """

    client: Client
    options: TokenOptions
    run: Run
    is_temporary: bool = False
    token: RegistrationToken | None = None
    created: bool = False
    deleted: list[RegistrationToken] = field(default_factory=list)
    failed: bool = False
    msg: str = ""

    def list_tokens(self, prefix: str = "") -> list[RegistrationToken]:
        try:
            rows = list(self.client.rows(PATH, {"search": self.options.name}))
        except UnknownEndpoint:
            raise AlpaconError(NO_REGISTRATION) from None
        tokens = [RegistrationToken.from_row(row) for row in rows if parse_row_id(row)]
        # Some workspaces ignore the search.
        if prefix:
            return [token for token in tokens if token.name.startswith(prefix)]
        return [token for token in tokens if token.name == self.options.name]

    def resolve_groups(self) -> frozenset[str] | None:
        """Return the UUIDs of the groups; None if the option is not given."""
        groups = self.options.groups
        if groups is None:
            return None
        return resolve_groups(self.client, groups)

    def result(self) -> dict[str, Any]:
        token = self.token
        result = {
            "changed": self.created or bool(self.deleted),
            "name": token.name if token else self.options.name,
            "id": (token and token.id) or None,
            "key": token and token.key,
            "groups": sorted(token.groups) if token else [],
            "expires_at": to_iso(token.expires_at) if token else None,
            "deleted": [old.id for old in self.deleted],
            "msg": self.msg,
            "requests": self.client.requests,
        }
        if self.failed:
            result["failed"] = True
        if self.run.diff_mode and result["changed"]:
            result["diff"] = {
                "before": "".join(f"{old.describe()}\n" for old in self.deleted),
                "after": f"{token.describe()}\n" if token and self.created else "",
            }
        return result


def present(task: TokenTask) -> None:
    groups = task.resolve_groups()
    existing = task.list_tokens()
    now = task.client.clock.now()
    usable = [token for token in existing if token.enabled and (token.expires_at is None or token.expires_at > now)]
    differences = [_find_difference(task.options, token, groups) for token in usable]
    if "" in differences:
        task.token = usable[differences.index("")]
        task.msg = "The token exists. Its key was only shown when it was created. state=rotated creates a new token."
    elif usable:
        raise UsageError(
            differences[0],
            f"the registration token {usable[0].name} ({usable[0].id}) has another value, which the API cannot change",
            "Use state=rotated to replace the token, or another name.",
        )
    else:
        _replace_tokens(task, groups, existing)


def _find_difference(options: TokenOptions, token: RegistrationToken, groups: frozenset[str] | None) -> str:
    """Return the first option for which the token has another value; empty if there is none."""
    if groups is not None and token.groups != groups:
        return "groups"
    return "expires_at" if options.expires_at and token.expires_at != options.expires_at else ""


def rotated(task: TokenTask) -> None:
    _replace_tokens(task, task.resolve_groups(), task.list_tokens())


def temporary(task: TokenTask) -> None:
    """Create a token with the key of this run of Ansible in its name, and delete the tokens of runs that ended."""
    if task.run.context.process is None:
        raise UsageError("state", "temporary works only on the controller", "Do not delegate the task.")
    prefix = f"{task.options.name}-"
    name = prefix + get_process_key(task.run.context.process)
    if len(name) > NAME_LENGTH:
        longest = NAME_LENGTH - len(name) + len(task.options.name)
        raise UsageError("name", "with the suffix of the run, it is too long", f"Give 1 to {longest} characters.")
    old = [token for token in task.list_tokens(prefix) if has_process_ended(token.name[len(prefix) :])]
    task.options, task.is_temporary = replace(task.options, name=name), True
    _replace_tokens(task, task.resolve_groups(), old)


def absent(task: TokenTask) -> None:
    problems = []
    for token in task.list_tokens():
        try:
            if not task.run.check_mode:
                _delete_token(task.client, token)
            task.deleted.append(token)
        except AlpaconError as error:
            problems.append(f"{token.id} could not be deleted: {error}")
    done = "Would be deleted." if task.run.check_mode else "Deleted."
    task.failed = bool(problems)
    task.msg = " ".join(problems) or (done if task.deleted else "There is no token with that name.")


def _replace_tokens(task: TokenTask, groups: frozenset[str] | None, old: Sequence[RegistrationToken]) -> None:
    """Create a token before deleting the old ones, so that a valid one exists at any time."""
    now, expires_at = task.client.clock.now(), task.options.expires_at
    _check_future(expires_at, now)
    if task.options.lifetime is not None:
        expires_at = now.replace(microsecond=0) + task.options.lifetime
    task.created = True
    if task.run.check_mode:
        task.token = RegistrationToken("", task.options.name, groups or frozenset(), expires_at)
        task.deleted, task.msg = list(old), "Would be created."
        return
    task.token = _create_token(task, groups or frozenset(), expires_at, {token.id for token in old})
    task.msg = "Created. Its key is only shown now."
    for token in old:
        try:
            _delete_token(task.client, token)
            task.deleted.append(token)
        except AlpaconError as error:
            task.run.warn(f"The older registration token {token.name} ({token.id}) could not be deleted. {error}")


def _delete_token(client: Client, token: RegistrationToken) -> None:
    client.delete(f"{PATH}{normalize_uuid(token.id)}/")


def _create_token(
    task: TokenTask, groups: frozenset[str], expires_at: datetime | None, existing_ids: set[str]
) -> RegistrationToken:
    """Create a token. After a lost response, the key is lost too: delete that token and create another one, once.

    Args:
        existing_ids: those of the tokens that exist already.
    """
    body: dict[str, Any] = {"name": task.options.name, "allowed_groups": sorted(groups)}
    if expires_at:
        body["expires_at"] = to_iso(expires_at)
    # The random part tells the token from one that another run creates at the same time.
    description = task.options.description
    body["description"] = f"Made by Ansible ({secrets.token_hex(4)})" if description is None else description
    try:
        return _post_token(task.client, body)
    except LostResponse as error:
        for token in _find_lost_token(task, body, existing_ids, error):
            _delete_token(task.client, token)
            existing_ids.add(token.id)
    try:
        return _post_token(task.client, body)
    except LostResponse as error:
        lost = _find_lost_token(task, body, existing_ids, error)
        raise LostResponse(f"{error} {_describe_orphans(task, lost)}") from None


def _post_token(client: Client, body: Mapping[str, Any]) -> RegistrationToken:
    row = client.write("POST", PATH, body).body
    token = RegistrationToken.from_row(row) if parse_row_id(row) else None
    if token is None or not token.key:
        raise LostResponse(f"POST {PATH}: the response has no id or no key.")
    return token


def _find_lost_token(
    task: TokenTask, body: Mapping[str, Any], existing_ids: set[str], lost: LostResponse
) -> list[RegistrationToken]:
    """Return the token that a request without a response created, in a list; empty if it created none.

    Raises:
        LostResponse: the token cannot be told from one of another run.
    """
    for pause in _PAUSES:
        time.sleep(pause)
        try:
            new = [token for token in task.list_tokens() if token.id not in existing_ids]
        except AlpaconError as error:
            hint = f"{_describe_orphans(task, [])} The tokens could not be listed: {error}"
            raise LostResponse(f"{lost} {hint}") from None
        # Not every workspace lists descriptions.
        new = [token for token in new if token.groups == frozenset(body["allowed_groups"])]
        candidates = [token for token in new if token.description in (None, body["description"])]
        marked = [token for token in candidates if task.options.description is None and token.description]
        own = candidates if task.is_temporary else marked
        if len(candidates) > 1 or len(own) < len(candidates):
            # Another run may have created one of them and use its key.
            raise LostResponse(f"{lost} {_describe_orphans(task, candidates)}")
        if own:
            return own
    return []


def _describe_orphans(task: TokenTask, tokens: Sequence[RegistrationToken]) -> str:
    if not tokens:
        return f"A registration token {task.options.name} may have been created. Delete it, and run the task again."
    ids = ", ".join(token.id for token in tokens)
    return (
        f"The registration token {task.options.name} ({ids}) is left behind, and its key is lost."
        " Delete it, unless another run has just created it, and run the task again."
    )


_STATES: dict[str, Callable[[TokenTask], None]] = {
    "present": present,
    "rotated": rotated,
    "temporary": temporary,
    "absent": absent,
}
