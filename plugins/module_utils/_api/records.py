# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Parse server and command rows of any dialect of the API: of lists, details and creates.

Any row becomes a record or raises :class:`UnreadableRow`: a field of a wrong type counts as not stated.
"""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from typing import Any

from .errors import UnreadableRow

SHELLS = ("system", "internal", "osquery", "file")
_CANONICAL_UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")
_UUID = re.compile(r"[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}", re.I)

#: Every known status, in the words that users of this collection see.
PENDING = frozenset(("scheduled", "queued", "verifying", "awaiting_purpose", "awaiting_approval"))
IN_PROGRESS = frozenset(("delivered", "running", "stuck"))
NEVER_RAN = frozenset(("denied", "rejected", "expired", "cancelled"))
RAN = frozenset(("success", "failed"))
FINISHED = RAN | NEVER_RAN | {"error"}
STATUSES = PENDING | IN_PROGRESS | FINISHED

#: The error phase of a command that certainly ran, and the beginning of those of files that the agent refused to run.
_RAN_TOO_LONG, _FILE_REFUSED = "remote_command_exceeded_timeout", "file_"

_SYNONYMS = {
    "sent": "delivered",
    "acked": "running",
    "completed": "success",
    "canceled": "cancelled",
    "succeeded": "success",
}

_BETWEEN_WORDS = re.compile(r"[\s-]+")
_CASCADE = re.compile(r"^cancelled due to prior comm+and failure", re.I)
_TIME_IN_TEXT = re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d)?")
#: ansible-core decodes JSON with such keys, for example of a cache, to trusted templates and vaults.
CORE_KEY_PREFIX = "__ansible_"
#: Maximum levels of data of no fixed shape, and its entries and characters.
_MAX_DEPTH, _MAX_SIZE = 20, 100_000
_TRUNCATED = re.compile(r"\n?\.\.\. \[([0-9]{1,18}) bytes truncated\] \.\.\.\n?")

#: Years and durations (in seconds) that can be added without an overflow of datetime.
_FIRST_YEAR, _LAST_YEAR = 100, 9000
_LONGEST = 1e9


def is_uuid(text: Any) -> bool:
    return isinstance(text, str) and bool(_UUID.fullmatch(text.strip()))


def normalize_uuid(text: Any) -> str:
    """Return a UUID as the API writes it: lower case, with dashes.

    It becomes a part of paths, so anything else is an :class:`UnreadableRow`.
    """
    if isinstance(text, str) and _CANONICAL_UUID.fullmatch(text):
        return text
    if not is_uuid(text):
        shown = ascii(text[:80]) if isinstance(text, str) else type(text).__name__
        raise UnreadableRow(f"An id is {shown}, not a UUID.")
    digits = text.strip().replace("-", "").lower()
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def parse_time(text: Any) -> datetime | None:
    """Parse a time of the API (ISO 8601; without a zone it is UTC) as UTC, or return None."""
    if not isinstance(text, str) or not text.strip():
        return None
    try:
        time: datetime | None = datetime.fromisoformat(text.strip())
    except (ValueError, OverflowError):
        time = _parse_old(text.strip())
    if time is None or not _FIRST_YEAR <= time.year <= _LAST_YEAR:
        return None
    if time.tzinfo is timezone.utc:
        return time
    return time.astimezone(timezone.utc) if time.tzinfo else time.replace(tzinfo=timezone.utc)


def _parse_old(text: str) -> datetime | None:
    # Python before 3.11 reads no Z, zones with a colon only, and three or six digits of a second only.
    text = re.sub(r"[zZ]$", "+00:00", text)
    text = re.sub(r"([+-]\d\d)(\d\d)$", r"\1:\2", text)
    text = re.sub(r"\.(\d+)", lambda match: "." + (match.group(1) + "000000")[:6], text)
    try:
        return datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        return None


def last_moment(stated: datetime) -> datetime:
    """Return the latest time that a stated one may stand for: some workspaces cut times to whole seconds."""
    return stated if stated.microsecond else stated + timedelta(seconds=1)


def is_same_time(stated: datetime | None, wanted: datetime | None) -> bool:
    """Return True if a row states the wanted time, perhaps cut to whole seconds."""
    if stated is None or wanted is None or stated.microsecond:
        return stated == wanted
    return stated == wanted.replace(microsecond=0)


def to_iso(time: datetime | None) -> str | None:
    return time.astimezone(timezone.utc).isoformat().replace("+00:00", "Z") if time else None


def parse_row_id(row: Any) -> str | None:
    """Return the normalized ID of a row, or None if it is not a UUID."""
    return _parse_uuid(row.get("id")) if isinstance(row, Mapping) else None


def is_valid_key(text: str) -> bool:
    """Return True if a text can be a token or key: printable ASCII without quotes and backslashes."""
    return all("!" <= char <= "~" and char not in '"\\' for char in text)


def parse_key(row: Mapping[str, Any]) -> str | None:
    """Return the key of a response, or None if it is missing or invalid."""
    key = row.get("key")
    key = key.strip() if isinstance(key, str) else ""
    return key if key and is_valid_key(key) else None


def _parse_uuid(value: Any) -> str | None:
    try:
        return normalize_uuid(value)
    except UnreadableRow:
        return None


def _parse_reference(row: Mapping[str, Any], key: str) -> tuple[str | None, str | None]:
    """Return ID and name of another record: an object, or a bare ID with ``<key>_name`` beside it."""
    value = row.get(key)
    if isinstance(value, Mapping):
        names = (to_text(value.get(name)) for name in ("name", "username", "email"))
        return to_text(value.get("id")), next(filter(None, names), None)
    # Beside an ID that is null, some servers put the name "None".
    return to_text(value), None if value is None else to_text(row.get(f"{key}_name"))


def to_text(value: Any) -> str | None:
    if isinstance(value, str):
        return _replace_surrogates(value) or None
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else None


def _replace_surrogates(text: str) -> str:
    # Half of a surrogate pair, which JSON can spell, cannot be written anywhere.
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def is_small(value: Any) -> bool:
    """Return True if data of no fixed shape can be shown: Ansible fails at 300 levels."""
    level, size = [value], 0
    for _depth in range(_MAX_DEPTH):
        size += sum(len(item) for item in level if isinstance(item, (str, list, Mapping)))
        if size > _MAX_SIZE:
            return False
        inner: list[Any] = []
        for item in level:
            if isinstance(item, Mapping):
                inner += [*item, *item.values()]
            elif isinstance(item, list):
                inner += item
        level = inner
    return not level


def to_plain_data(value: Any) -> Any:
    """Return data of no fixed shape, such as tags, without keys that mean more to ansible-core."""
    if isinstance(value, str):
        return _replace_surrogates(value)
    if isinstance(value, list):
        return [to_plain_data(item) for item in value]
    if isinstance(value, Mapping):
        kept = ((key, item) for key, item in value.items() if not key.startswith(CORE_KEY_PREFIX))
        return {_replace_surrogates(key): to_plain_data(item) for key, item in kept}
    return value


def _to_interned_text(value: Any) -> str | None:
    text = to_text(value)
    return sys.intern(str(text)) if text else None


def _to_float(value: Any) -> float | None:
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return None
    return float(value) if abs(value) <= _LONGEST else None


def _to_int(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63 else None


def _to_bool(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


#: All servers without a row share one object.
_NO_ROW: Mapping[str, Any] = {}


@dataclass(frozen=True)
class Server:
    """Describe a machine of a workspace; None means that the row does not state the field.

    Attributes:
        fields: the whole row; empty if it was dropped to save memory.
    """

    id: str | None
    name: str | None = None
    is_connected: bool | None = None
    commissioned: bool | None = None
    started_at: datetime | None = None
    last_connectivity: datetime | None = None
    version: str | None = None
    fields: Mapping[str, Any] = field(default_factory=lambda: _NO_ROW, repr=False, compare=False)

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Server:
        return cls(
            id=parse_row_id(row),
            name=to_text(row.get("name")),
            is_connected=_to_bool(row.get("is_connected")),
            commissioned=_to_bool(row.get("commissioned")),
            started_at=parse_time(row.get("started_at")),
            last_connectivity=parse_time(row.get("last_connectivity")),
            version=_to_interned_text(row.get("version")),
            fields=row,
        )

    @property
    def tags(self) -> Mapping[str, Any]:
        tags = self.fields.get("tags")
        return tags if isinstance(tags, Mapping) else {}

    def without_row(self) -> Server:
        """Drop the row, which takes some kilobytes."""
        return replace(self, fields=_NO_ROW)

    def __str__(self) -> str:
        return self.name or self.id or "?"


def parse_server(row: Mapping[str, Any]) -> Server:
    """Return ID and name of the server that a row of another kind names."""
    server_id, name = _parse_reference(row, "server")
    return Server(_parse_uuid(server_id), name)


def parse_owner(row: Mapping[str, Any]) -> dict[str, Any] | None:
    owner = row.get("owner")
    if isinstance(owner, Mapping):
        return {"id": owner.get("id"), "name": owner.get("name") or owner.get("username"), "email": owner.get("email")}
    # Beside an ID that is null, some servers put the name "None".
    return None if owner is None else {"id": owner, "name": row.get("owner_name"), "email": None}


def is_windows(row: Mapping[str, Any]) -> bool:
    return str(row.get("platform")).lower() == "windows"


@dataclass(frozen=True)
class Command:
    """Describe a record of the commands API.

    Times have a zone, and are None if the row does not state them, like most rows of lists. An unknown ``status`` is
    kept verbatim. IDs of commands and servers are normalized UUIDs.

    Attributes:
        may_have_chunks: whether output may exist as chunks beside ``result``, as on servers with a status word.
        states_times: whether the row has the fields of delivery and handling; else they are derived.
        states_requester: whether the row names the requester at all, perhaps as null.
        sudo_grant_status: what was decided about its sudo; None if nobody was asked, and in rows of lists.
    """

    id: str
    server: Server
    line: str
    shell: str
    status: str
    cancellable: bool | None = None
    success: bool | None = None
    exit_code: int | None = None
    error_phase: str | None = None
    result: str | None = None
    username: str | None = None
    groupname: str | None = None
    requested_by: str | None = None
    requested_by_name: str | None = None
    added_at: datetime | None = None
    scheduled_at: datetime | None = None
    delivered_at: datetime | None = None
    acked_at: datetime | None = None
    handled_at: datetime | None = None
    response_delay: float | None = None
    elapsed: float | None = None
    run_after: tuple[str, ...] = ()
    surplus: tuple[str, ...] = ()
    may_have_chunks: bool = False
    states_times: bool = False
    states_requester: bool = False
    sudo_grant_status: str | None = None

    @classmethod
    def from_row(cls, row: Any) -> Command:
        """Parse a list, detail or create row of any dialect; :class:`UnreadableRow` if it has no ID."""
        if not isinstance(row, Mapping):
            raise UnreadableRow(f"A row is of type {type(row).__name__}, not an object.")
        command_id = normalize_uuid(row.get("id"))
        requester_id, requester_name = _parse_reference(row, "requested_by")
        stated = row.get("status")
        message = stated.get("message") if isinstance(stated, Mapping) else None
        message_time = _TIME_IN_TEXT.search(to_text(message) or "")
        success = _to_bool(row.get("success"))
        handled_at = parse_time(row.get("handled_at"))
        if not handled_at and success is not None and message_time:
            handled_at = parse_time(message_time.group())
        run_after = row.get("run_after")
        parents = run_after if isinstance(run_after, list) else []
        parent_ids = (to_text(item.get("id") if isinstance(item, Mapping) else item) for item in parents)
        return cls(
            id=command_id,
            server=parse_server(row),
            line=_to_interned_text(row.get("line")) or "",
            shell=to_text(row.get("shell")) or "system",
            status=_parse_row_status(row),
            cancellable=_to_bool((stated if isinstance(stated, Mapping) else row).get("cancellable")),
            success=success,
            exit_code=_to_int(row.get("exit_code")),
            error_phase=to_text(row.get("error_phase")),
            result=to_text(row["result"]) or "" if isinstance(row.get("result"), str) else None,
            username=_to_interned_text(row.get("username")),
            groupname=_to_interned_text(row.get("groupname")),
            requested_by=_to_interned_text(requester_id),
            requested_by_name=_to_interned_text(requester_name),
            added_at=parse_time(row.get("added_at")),
            scheduled_at=parse_time(row.get("scheduled_at")),
            delivered_at=parse_time(row.get("delivered_at")),
            acked_at=parse_time(row.get("acked_at")),
            handled_at=handled_at,
            response_delay=_to_float(row.get("response_delay")),
            elapsed=_to_float(row.get("elapsed_time")),
            run_after=tuple(filter(None, parent_ids)),
            may_have_chunks=isinstance(stated, str),
            states_times="handled_at" in row,
            states_requester="requested_by" in row,
            sudo_grant_status=to_text(row.get("sudo_grant_status")),
        )

    @property
    def finished(self) -> bool:
        if self.status == "stuck":
            return self.error_phase is not None
        return self.status in FINISHED or self.is_handled

    @property
    def is_handled(self) -> bool:
        """Return True if the workspace states success or failure, perhaps with an unknown status."""
        if self.status in STATUSES:
            return self.status in RAN
        return self.handled_at is not None or (self.success is not None and not self.states_times)

    @property
    def succeeded(self) -> bool:
        return self.is_handled and (self.status == "success" or (self.status != "failed" and self.success is True))

    @property
    def pending(self) -> bool:
        """Return True if the command waits for its delivery and can be cancelled."""
        if self.delivered_at or (self.finished and self.status != "error"):
            return False
        # The API also gives the status error to a command that is approved and not delivered yet.
        return self.status in PENDING or self.cancellable is True

    @property
    def parent_failed(self) -> bool:
        """Return True if the command was dropped because one in its ``run_after`` failed."""
        if self.status != "failed" or self.delivered_at or self.acked_at or self.exit_code is not None:
            return False
        return bool(_CASCADE.match(self.result or "")) or (self.states_times and bool(self.run_after))

    @property
    def file_refused(self) -> bool:
        """Return True if the agent refused to run a verified file; the exit code is then the agent's."""
        return self.finished and not self.succeeded and (self.error_phase or "").startswith(_FILE_REFUSED)

    @property
    def ran(self) -> bool | None:
        """Return True if the line was run, False if it certainly was not, else None."""
        if self.parent_failed or self.file_refused or self.status in PENDING or self.status in NEVER_RAN:
            return False
        if self.status == "success" or (self.is_handled and self.exit_code is not None):
            return True
        # An agent acknowledges a command before it runs it; without that it may have rejected the command.
        acknowledged = self.acked_at is not None or not self.states_times
        is_known = self.status == "failed" and acknowledged and self.error_phase in (None, _RAN_TOO_LONG)
        return True if is_known else None

    @property
    def rc(self) -> int | None:
        """Return the stated exit code, else 0 or 1 by success or failure of a command that ran."""
        if self.file_refused:
            return None
        if self.exit_code is not None:
            return self.exit_code
        if self.status in RAN and self.ran:
            return 0 if self.status == "success" else 1
        return None

    @property
    def hides_rc(self) -> bool:
        """Return True if only the detail has the exit code."""
        return self.is_handled and self.status != "success" and self.exit_code is None and self.may_have_chunks

    @property
    def end(self) -> datetime | None:
        """Return when the command was handled; compute it for rows without times."""
        if self.handled_at or not self.finished or self.elapsed is None or not self.scheduled_at:
            return self.handled_at
        return self.scheduled_at + timedelta(seconds=(self.response_delay or 0.0) + self.elapsed)

    @property
    def start(self) -> datetime | None:
        """Return when the command began; compute it from end and duration for rows without times."""
        if self.acked_at or self.end is None or self.elapsed is None or not self.ran:
            return self.acked_at
        return self.end - timedelta(seconds=self.elapsed)

    @property
    def was_scheduled(self) -> bool:
        """Return True if the command was scheduled for later; False if it only waits for an offline server."""
        if not self.added_at or not self.scheduled_at:
            return True
        return self.scheduled_at > self.added_at + timedelta(seconds=1)

    @property
    def latest_schedule(self) -> datetime | None:
        """Return an upper bound of ``scheduled_at``, or None if the row allows none."""
        # A command whose parent failed is handled before it is due.
        return self.scheduled_at or self.delivered_at or (None if self.parent_failed else self.handled_at)

    @property
    def truncated(self) -> bool:
        """Return True if ``result`` is a copy that the agent cut in the middle."""
        return bool(self.result and _TRUNCATED.search(self.result))

    def split_result(self) -> tuple[str, int, str]:
        """Return the head of a cut ``result``, how many bytes the agent left out, and the tail."""
        head, left_out, tail = _TRUNCATED.split(self.result or "", maxsplit=1)
        return head, int(left_out), tail

    def without_result(self) -> Command:
        return replace(self, result=None)

    def with_status(self, status: str) -> Command:
        return replace(self, status=status)


def parse_status(text: str) -> str:
    word = _BETWEEN_WORDS.sub("_", text.strip().lower())
    return _SYNONYMS.get(word, word)


def _parse_row_status(row: Mapping[str, Any]) -> str:
    stated = row.get("status")
    if stated is None:
        # The response to a submit states none.
        added, scheduled = parse_time(row.get("added_at")), parse_time(row.get("scheduled_at"))
        later = added and scheduled and scheduled > added + timedelta(seconds=1)
        return _derive_status(row) or ("scheduled" if later else "queued")
    text = to_text(stated.get("text") if isinstance(stated, Mapping) else stated) or ""
    word = parse_status(text)
    if word in STATUSES:
        return word
    return _derive_status(row) or word or "unknown"


def _derive_status(row: Mapping[str, Any]) -> str | None:
    """Derive the status from other fields if its text is translated or missing."""
    if isinstance(row.get("status"), str):
        return None  # keep the status of a newer workspace verbatim
    if isinstance(row.get("success"), bool):
        return "success" if row["success"] else "failed"
    if row.get("acked_at"):
        return "running"
    if row.get("delivered_at"):
        return "delivered"
    return None


def parse_commands(rows: Iterable[Any]) -> Iterator[Command]:
    """Yield the commands of rows, without unreadable ones."""
    for row in rows:
        with contextlib.suppress(UnreadableRow):
            yield Command.from_row(row)


def parse_servers(rows: Iterable[Any]) -> Iterator[Server]:
    """Yield the servers of rows, without those whose ID is no UUID: the API could not be asked for them."""
    return (Server.from_row(row) for row in rows if parse_row_id(row))
