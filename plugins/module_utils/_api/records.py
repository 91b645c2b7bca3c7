# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Server and Command records, read from any dialect of the API and from list, detail and create rows.

Whatever a row holds, reading it ends in a record or in :class:`UnreadableRow`: a field that has another type than it
should counts as not stated.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from typing import Any

from .errors import UnreadableRow

#: Shells that the API knows.
SHELLS = ("system", "internal", "osquery")
_CANONICAL_UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")
_UUID = re.compile(r"[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}", re.I)

#: The lifecycle: every status that the API is known to give, in the words that users of this collection see.
PENDING = frozenset(("scheduled", "queued", "verifying", "awaiting_purpose", "awaiting_approval"))
IN_PROGRESS = frozenset(("delivered", "running", "stuck"))
NEVER_RAN = frozenset(("denied", "rejected", "expired", "cancelled"))
RAN = frozenset(("success", "failed"))
FINISHED = RAN | NEVER_RAN | {"error"}
STATUSES = PENDING | IN_PROGRESS | FINISHED

#: Where a command has gone wrong that has run all the same; it may not have run where it went wrong elsewhere.
_RAN_TOO_LONG = "remote_command_exceeded_timeout"

#: Other words of the API for the same things.
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
#: In any JSON that ansible-core reads, as from caches, such keys make trusted templates and vaults of what they are in.
CORE_KEY_PREFIX = "__ansible_"
_TRUNCATED = re.compile(r"\n?\.\.\. \[([0-9]{1,18}) bytes truncated\] \.\.\.\n?")

#: Years and durations (in seconds) that can be added up without leaving what a datetime holds.
_FIRST_YEAR, _LAST_YEAR = 100, 9000
_LONGEST = 1e9


def is_uuid(text: Any) -> bool:
    """Whether a text is a UUID, in any case, with or without dashes."""
    return isinstance(text, str) and bool(_UUID.fullmatch(text.strip()))


def normalize_uuid(text: Any) -> str:
    """A UUID as the API writes it: lower case, with dashes.

    Nothing else of the API becomes a part of a path, so anything else is an :class:`UnreadableRow`.
    """
    if isinstance(text, str) and _CANONICAL_UUID.fullmatch(text):
        return text
    if not is_uuid(text):
        shown = ascii(text[:80]) if isinstance(text, str) else type(text).__name__
        raise UnreadableRow(f"An id is not a UUID but {shown}.")
    digits = text.strip().replace("-", "").lower()
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def parse_time(text: Any) -> datetime | None:
    """Read a time of the API (ISO 8601; without a zone it is UTC) as UTC, or None where there is none."""
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
    """The latest time that a stated one can be: some workspaces cut times to whole seconds."""
    return stated if stated.microsecond else stated + timedelta(seconds=1)


def is_same_time(stated: datetime | None, wanted: datetime | None) -> bool:
    """Whether a row states the time that is wanted, be it cut to whole seconds."""
    if stated is None or wanted is None or stated.microsecond:
        return stated == wanted
    return stated == wanted.replace(microsecond=0)


def to_iso(time: datetime | None) -> str | None:
    """A time as results give it: ISO 8601 in UTC, with a trailing Z."""
    return time.astimezone(timezone.utc).isoformat().replace("+00:00", "Z") if time else None


def parse_row_id(row: Any) -> str | None:
    """The canonical id of a row, or None where it has none that is a UUID."""
    return _uuid(row.get("id")) if isinstance(row, Mapping) else None


def parse_added_at(row: Mapping[str, Any]) -> datetime | None:
    """When the command of a row was added, or None where it does not say."""
    return parse_time(row.get("added_at"))


def is_valid_key(text: str) -> bool:
    """Whether a header and a file can carry a text as a token or key."""
    return all("!" <= char <= "~" and char not in '"\\' for char in text)


def parse_key(row: Mapping[str, Any]) -> str | None:
    """The key that an answer hands out, or None where it is none that a request or a file could carry."""
    key = row.get("key")
    key = key.strip() if isinstance(key, str) else ""
    return key if key and is_valid_key(key) else None


def _uuid(value: Any) -> str | None:
    try:
        return normalize_uuid(value)
    except UnreadableRow:
        return None


def _reference(row: Mapping[str, Any], key: str) -> tuple[str | None, str | None]:
    """Id and name of another record: an object, or a bare id with ``<key>_name`` beside it."""
    value = row.get(key)
    if isinstance(value, Mapping):
        names = (to_text(value.get(name)) for name in ("name", "username", "email"))
        return to_text(value.get("id")), next(filter(None, names), None)
    # A name beside an id that is null is nobody's: some servers put the word "None" there.
    return to_text(value), None if value is None else to_text(row.get(f"{key}_name"))


def to_text(value: Any) -> str | None:
    if isinstance(value, str):
        return _writable(value) or None
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else None


def _writable(text: str) -> str:
    # Half of a surrogate pair, which JSON can spell, cannot be written anywhere.
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def to_plain_data(value: Any) -> Any:
    """Data of no fixed shape, such as tags, without what ansible-core would take for more than data."""
    if isinstance(value, str):
        return _writable(value)
    if isinstance(value, list):
        return [to_plain_data(item) for item in value]
    if isinstance(value, Mapping):
        kept = ((key, item) for key, item in value.items() if not key.startswith(CORE_KEY_PREFIX))
        return {_writable(key): to_plain_data(item) for key, item in kept}
    return value


def _common_text(value: Any) -> str | None:
    """A text that many rows have alike, and that is held once for all of them."""
    text = to_text(value)
    return sys.intern(str(text)) if text else None


def _number(value: Any) -> float | None:
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return None
    return float(value) if abs(value) <= _LONGEST else None


def _code(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63 else None


def _flag(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def _items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _id_of(item: Any) -> str | None:
    return to_text(item.get("id") if isinstance(item, Mapping) else item)


#: One for all, since there may be many servers.
_NO_ROW: Mapping[str, Any] = {}


@dataclass(frozen=True)
class Server:
    """A machine of a workspace.

    Attributes:
        id: canonical UUID, or None where only the name is known.
        name: None where only the id is known.
        is_connected, commissioned: None where the row does not say.
        started_at: when its agent was started.
        last_connectivity: when its agent was connected last.
        version: of its agent.
        fields: the row as it came, for what has no attribute of its own; empty where nobody needs it any more.
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
        """Read a row of the servers list, a detail, or the summary inside another record."""
        return cls(
            id=parse_row_id(row),
            name=to_text(row.get("name")),
            is_connected=_flag(row.get("is_connected")),
            commissioned=_flag(row.get("commissioned")),
            started_at=parse_time(row.get("started_at")),
            last_connectivity=parse_time(row.get("last_connectivity")),
            version=_common_text(row.get("version")),
            fields=row,
        )

    @property
    def tags(self) -> Mapping[str, Any]:
        """Its tags, if its row has them."""
        tags = self.fields.get("tags")
        return tags if isinstance(tags, Mapping) else {}

    def without_row(self) -> Server:
        """This server without its row, which takes some kilobytes."""
        return replace(self, fields=_NO_ROW)

    def __str__(self) -> str:
        return self.name or self.id or "?"


def parse_owner(row: Mapping[str, Any]) -> dict[str, Any] | None:
    """Whose the server of a row is: id, name and e-mail address, as the row states them."""
    owner = row.get("owner")
    if isinstance(owner, Mapping):
        return {"id": owner.get("id"), "name": owner.get("name") or owner.get("username"), "email": owner.get("email")}
    # A name beside an id that is null is nobody's: some servers put the word "None" there.
    return None if owner is None else {"id": owner, "name": row.get("owner_name"), "email": None}


def is_windows(row: Mapping[str, Any]) -> bool:
    """Whether the server of a row runs Windows, as far as the row says."""
    return str(row.get("platform")).lower() == "windows"


@dataclass(frozen=True)
class Command:
    """A record of the commands API.

    Times are datetimes with a zone, or None where the row does not state them: list rows of some servers
    leave most of them out. ``status`` is one word of the lifecycle above; a word that is not known is kept as it came,
    and says nothing. Ids of commands and servers are canonical UUIDs.
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
    #: Ids of other commands that the answer to its submit named too.
    surplus: tuple[str, ...] = ()
    #: Whether the output may exist as chunks beside ``result``: only servers that give the status as a word have them.
    may_have_chunks: bool = False
    #: Whether the row states when the command was handed over and handled; otherwise they are derived.
    states_times: bool = False
    #: Whether the row names the requester at all, be it as null.
    states_requester: bool = False

    @classmethod
    def from_row(cls, row: Any) -> Command:
        """Read a list, detail or create row of any dialect; :class:`UnreadableRow` where it has no id."""
        if not isinstance(row, Mapping):
            raise UnreadableRow(f"A row is not an object but {type(row).__name__}.")
        command_id = normalize_uuid(row.get("id"))
        server_id, server_name = _reference(row, "server")
        requester_id, requester_name = _reference(row, "requested_by")
        stated = row.get("status")
        message = stated.get("message") if isinstance(stated, Mapping) else None
        success = _flag(row.get("success"))
        handled_at = parse_time(row.get("handled_at"))
        return cls(
            id=command_id,
            server=Server(_uuid(server_id), server_name),
            line=_common_text(row.get("line")) or "",
            shell=to_text(row.get("shell")) or "system",
            status=_status(row),
            cancellable=_flag((stated if isinstance(stated, Mapping) else row).get("cancellable")),
            success=success,
            exit_code=_code(row.get("exit_code")),
            error_phase=to_text(row.get("error_phase")),
            result=to_text(row["result"]) or "" if isinstance(row.get("result"), str) else None,
            username=_common_text(row.get("username")),
            groupname=_common_text(row.get("groupname")),
            requested_by=_common_text(requester_id),
            requested_by_name=_common_text(requester_name),
            added_at=parse_added_at(row),
            scheduled_at=parse_time(row.get("scheduled_at")),
            delivered_at=parse_time(row.get("delivered_at")),
            acked_at=parse_time(row.get("acked_at")),
            handled_at=handled_at or (_time_in(message) if success is not None else None),
            response_delay=_number(row.get("response_delay")),
            elapsed=_number(row.get("elapsed_time")),
            run_after=tuple(filter(None, map(_id_of, _items(row.get("run_after"))))),
            may_have_chunks=isinstance(stated, str),
            states_times="handled_at" in row,
            states_requester="requested_by" in row,
        )

    @property
    def finished(self) -> bool:
        """Whether nothing more will happen to it, as far as the server says."""
        if self.status == "stuck":
            return self.error_phase is not None
        return self.status in FINISHED or self.is_handled

    @property
    def is_handled(self) -> bool:
        """Whether it is said to have succeeded or failed, be it with a word that is not known."""
        if self.status in STATUSES:
            return self.status in RAN
        return self.handled_at is not None or (self.success is not None and not self.states_times)

    @property
    def succeeded(self) -> bool:
        """Whether it is said to have succeeded."""
        return self.is_handled and (self.status == "success" or (self.status != "failed" and self.success is True))

    @property
    def pending(self) -> bool:
        """Whether it still waits to be delivered, so that it can be withdrawn."""
        if self.delivered_at or (self.finished and self.status != "error"):
            return False
        # The API shows an error also for what is approved and not delivered yet.
        return self.status in PENDING or self.cancellable is True

    @property
    def parent_failed(self) -> bool:
        """Whether it was dropped because a command that it should run after failed."""
        if self.status != "failed" or self.delivered_at or self.acked_at or self.exit_code is not None:
            return False
        return bool(_CASCADE.match(self.result or "")) or (self.states_times and bool(self.run_after))

    @property
    def ran(self) -> bool | None:
        """Whether the line was run: True, False, or None where nobody can know."""
        if self.parent_failed or self.status in PENDING or self.status in NEVER_RAN:
            return False
        if self.status == "success" or (self.is_handled and self.exit_code is not None):
            return True
        # An agent acknowledges before it runs. Which it does not acknowledge, it has rejected, or nobody knows.
        acknowledged = self.acked_at is not None or not self.states_times
        is_known = self.status == "failed" and acknowledged and self.error_phase in (None, _RAN_TOO_LONG)
        return True if is_known else None

    @property
    def rc(self) -> int | None:
        """Exit code: as stated, else what success or failure of a command that ran amounts to."""
        if self.exit_code is not None:
            return self.exit_code
        if self.status in RAN and self.ran:
            return 0 if self.status == "success" else 1
        return None

    @property
    def hides_rc(self) -> bool:
        """Whether the server knows an exit code that this row leaves out, so that only the detail tells it."""
        return self.is_handled and self.status != "success" and self.exit_code is None and self.may_have_chunks

    @property
    def end(self) -> datetime | None:
        """When it was handled; on rows without times, when it must have been by what they do state."""
        if self.handled_at or not self.finished or self.elapsed is None or not self.scheduled_at:
            return self.handled_at
        return self.scheduled_at + timedelta(seconds=(self.response_delay or 0.0) + self.elapsed)

    @property
    def start(self) -> datetime | None:
        """When the server began; on rows without times, its end less what it took."""
        if self.acked_at or self.end is None or self.elapsed is None or not self.ran:
            return self.acked_at
        return self.end - timedelta(seconds=self.elapsed)

    @property
    def was_scheduled(self) -> bool:
        """Whether it was meant for later, and does not just wait for a server that is offline."""
        if not self.added_at or not self.scheduled_at:
            return True
        return self.scheduled_at > self.added_at + timedelta(seconds=1)

    @property
    def latest_schedule(self) -> datetime | None:
        """A time that ``scheduled_at`` is certainly not after, or None where the row allows no such bound."""
        # What goes down with its parent is handled before it is due.
        return self.scheduled_at or self.delivered_at or (None if self.parent_failed else self.handled_at)

    @property
    def truncated(self) -> bool:
        """Whether ``result`` is a copy that the agent cut in the middle."""
        return bool(self.result and _TRUNCATED.search(self.result))

    def split_result(self) -> tuple[str, int, str]:
        """Return the head of a cut ``result``, how many bytes the agent left out, and the tail."""
        head, left_out, tail = _TRUNCATED.split(self.result or "", maxsplit=1)
        return head, int(left_out), tail

    def without_result(self) -> Command:
        """This record without the output that it carries."""
        return replace(self, result=None)

    def with_status(self, status: str) -> Command:
        """This record with another status."""
        return replace(self, status=status)


def parse_status(text: str) -> str:
    """A status as users of this collection see it, out of any word that the API has for it."""
    word = _BETWEEN_WORDS.sub("_", text.strip().lower())
    return _SYNONYMS.get(word, word)


def _status(row: Mapping[str, Any]) -> str:
    stated = row.get("status")
    if stated is None:
        return _status_of_new(row)
    text = to_text(stated.get("text") if isinstance(stated, Mapping) else stated) or ""
    word = parse_status(text)
    if word in STATUSES:
        return word
    return _status_from_facts(row) or word or "unknown"


def _status_of_new(row: Mapping[str, Any]) -> str:
    """The status of a row that gives none, as the answers to a submit do."""
    added, scheduled = parse_time(row.get("added_at")), parse_time(row.get("scheduled_at"))
    later = added and scheduled and scheduled > added + timedelta(seconds=1)
    return _status_from_facts(row) or ("scheduled" if later else "queued")


def _status_from_facts(row: Mapping[str, Any]) -> str | None:
    """What the rest of a row says where its word is translated or missing."""
    if isinstance(row.get("status"), str):
        return None  # a word of a newer server: kept verbatim, never guessed
    if isinstance(row.get("success"), bool):
        return "success" if row["success"] else "failed"
    if row.get("acked_at"):
        return "running"
    if row.get("delivered_at"):
        return "delivered"
    return None


def _time_in(message: Any) -> datetime | None:
    found = _TIME_IN_TEXT.search(to_text(message) or "")
    return parse_time(found.group()) if found else None


def parse_commands(rows: Iterable[Any]) -> Iterator[Command]:
    """The commands of rows; one that cannot be read costs only itself."""
    for row in rows:
        try:
            command = Command.from_row(row)
        except UnreadableRow:
            continue
        yield command
