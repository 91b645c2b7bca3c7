# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Find and delete records in the workspace that a registration left behind."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any

from .._api.client import Client
from .._api.errors import AlpaconError, ApiError, LostResponse, UnreadableRow
from .._api.records import Server, normalize_uuid, parse_time
from .._api.servers import SERVERS_PATH, parse_servers
from .registration_task import MACHINE, MARKER, RegistrationOptions, RegistrationTask

#: Pauses before each look for a record that was just made or changed, in seconds.
LOOKS = (0.0, 1.0, 4.0)


@dataclass(frozen=True)
class RegistrationAttempt:
    """Describe a registration that was sent.

    Attributes:
        tag, value: identify its record.
        sent_at: seconds since the epoch.
    """

    tag: str
    value: str
    sent_at: float

    @classmethod
    def begin(cls, options: RegistrationOptions) -> RegistrationAttempt:
        """Describe a registration that is about to be sent."""
        if options.machine:
            return cls(MACHINE, options.machine, time.time())
        return cls(MARKER, str(uuid.uuid4()), time.time())

    def made(self, record: Server) -> bool:
        """Return True if the record's tags say that this, or an earlier attempt for the same machine, made it."""
        return record.tags.get(self.tag) == self.value


def delete(user: Client, server_id: str) -> bool:
    """Delete a record that is not connected; return True if it was there."""
    return user.delete(f"{SERVERS_PATH}{normalize_uuid(server_id)}/?auto=false")


def named_records(user: Client, name: str) -> list[Server]:
    """List the records that registrations of that name made."""
    pattern = re.compile(re.escape(name) + r"-[0-9a-f]{6}")
    found = parse_servers(user.rows(SERVERS_PATH, {"search": name}))
    return [record for record in found if pattern.fullmatch(record.name or "")]


def unused_records(user: Client, name: str) -> list[Server]:
    """List the records that registrations of that name made, and whose agent has never connected."""
    found = named_records(user, name)
    return [record for record in found if record.is_connected is False and record.commissioned is False]


def reference(record: Server) -> dict[str, Any]:
    """Name a record in a result."""
    return {"id": record.id, "name": record.name}


def added_at(user: Client, record: Server) -> float:
    """Return when a record was made, in seconds since the epoch; 0 if that is not known."""
    # Lists of older servers do not say it.
    row = record.fields if "added_at" in record.fields else user.get(f"{SERVERS_PATH}{normalize_uuid(record.id)}/")
    added = parse_time(row.get("added_at")) if isinstance(row, Mapping) else None
    return added.timestamp() if added else 0.0


def delete_orphan(task: RegistrationTask, user: Client, record: Server) -> list[dict[str, Any]]:
    """Delete a record of this machine; return it, with a warning, if that fails."""
    try:
        delete(user, str(record.id))
    except AlpaconError as error:
        task.run.warn(f"The record {record.name} ({record.id}) is left behind and could not be deleted. {error}")
        return [reference(record)]
    return []


#: The part of a result that is about other records, if there are none or none were looked for.
NO_OTHERS: dict[str, Any] = {"orphans": [], "duplicates": [], "replaced": None}
#: Longest time that the agent of another machine of the same name may take to come up, in seconds.
_COMES_UP = 3600.0


@dataclass
class _Others:
    """Other records of the name.

    Attributes:
        in_use: connected, or not known to be offline.
        duplicates: offline, and connected before.
        left: never connected, and registered by this machine or this task.
        orphans: never connected, and perhaps registered by this machine.
    """

    in_use: list[Server] = field(default_factory=list)
    duplicates: list[Server] = field(default_factory=list)
    left: list[Server] = field(default_factory=list)
    orphans: list[Server] = field(default_factory=list)


def other_records(
    task: RegistrationTask, own_id: str | None, lost: Sequence[RegistrationAttempt] = ()
) -> dict[str, Any]:
    """Clean up other records of the name, and describe those that are left.

    Args:
        own_id: the new record; None in check mode, which changes nothing.
        lost: attempts of this task that may have made records.
    """
    user = task.clients.user
    if user is None:
        return NO_OTHERS
    others, kept, replaced, own_is_seen = _Others(), [], None, False
    try:
        for record in named_records(user, task.options.name):
            if record.id == own_id:
                own_is_seen = True
            else:
                _sort_in(task, user, record, lost, others)
        old = _old_record(task, others)
        earlier = [*others.left, old] if old else others.left
        if task.options.replace and not _take_over_groups(task, user, own_id, earlier):
            kept = [reference(record) for record in others.left]
        else:
            if own_id:
                kept = [orphan for record in others.left for orphan in delete_orphan(task, user, record)]
            if old and (not own_id or _delete_old(task, user, old)):
                others.duplicates.remove(old)
                replaced = {**reference(old), "groups": sorted(_groups_of(old.fields))}
    except AlpaconError as error:
        task.run.warn(f"Whether records named {task.options.name}-xxxxxx are left behind is not known. {error}")
    if lost and not own_is_seen:
        # Who does not see the new record did not see a lost one either.
        task.run.warn(
            f"token: it does not see the new record, so one named {task.options.name}-xxxxxx may be left behind."
        )
        kept.append({"id": None, "name": f"{task.options.name}-xxxxxx"})
    return {
        "orphans": [*map(reference, others.orphans), *kept],
        "duplicates": list(map(reference, others.duplicates)),
        "replaced": replaced,
    }


def _sort_in(
    task: RegistrationTask, user: Client, record: Server, lost: Sequence[RegistrationAttempt], others: _Others
) -> None:
    # All attempts for a machine have the same tag.
    own = [RegistrationAttempt.begin(task.options)] if task.options.machine else lost
    if record.is_connected is not False or record.commissioned is None:
        others.in_use.append(record)
    elif record.commissioned:
        others.duplicates.append(record)
    elif any(attempt.made(record) for attempt in own):
        others.left.append(record)
    elif _is_orphan(user, task.options, record):
        others.orphans.append(record)


def _is_orphan(user: Client, options: RegistrationOptions, record: Server) -> bool:
    """Return True if the record may be of this machine: of no other, whose agent is just starting."""
    if options.machine and MACHINE in record.tags:
        return False
    return added_at(user, record) <= user.clock.timestamp_at(time.time()) - _COMES_UP


def _old_record(task: RegistrationTask, others: _Others) -> Server | None:
    """Return the record to replace; None, with a warning, if it is not certain which one was this host."""
    if not task.options.replace or not others.duplicates:
        return None
    name, found = task.options.name, others.duplicates
    if len(found) > 1:
        why = f"{len(found)} offline records have the name {name}"
    elif others.in_use:
        why = f"another host has the name {name}: {others.in_use[0].name} is in use"
    else:
        return found[0]
    task.run.warn(f"replace: nothing is replaced, since {why}. Delete the old record of this host: {_names(found)}.")
    return None


def _take_over_groups(task: RegistrationTask, user: Client, own_id: str | None, earlier: Sequence[Server]) -> bool:
    """Add the groups of earlier records to those of the new one.

    Returns:
        False, with a warning, if it is not certain that the new record has them.
    """
    try:
        wanted = {group for record in earlier for group in _groups_of(record.fields)}
        if own_id and wanted:
            _add_groups(user, own_id, wanted)
    except AlpaconError as error:
        task.run.warn(f"replace: {_names(earlier)} stays, since the new record may not have all of its groups. {error}")
        return False
    return True


def _add_groups(user: Client, server_id: str, wanted: Set[str]) -> None:
    present = _read_groups(user, server_id)
    if wanted <= present:
        return
    path = f"{SERVERS_PATH}{normalize_uuid(server_id)}/"
    try:
        present = _groups_of(user.write("PATCH", path, {"groups": sorted(wanted | present)}).body)
    except (LostResponse, UnreadableRow):
        present = _read_groups(user, server_id, wanted)
    if not wanted <= present:
        raise AlpaconError(f"PATCH {path}: the record does not have all of the groups afterwards.")


def _read_groups(user: Client, server_id: str, wanted: Set[str] = frozenset()) -> set[str]:
    """Read the groups of a record; again, if it or the wanted groups are not there yet."""
    for pause in LOOKS:
        time.sleep(pause)
        try:
            present = _groups_of(user.get(f"{SERVERS_PATH}{normalize_uuid(server_id)}/"))
        except ApiError as error:
            if error.status != 404 or pause == LOOKS[-1]:
                raise
        else:
            if wanted <= present:
                break
    return present


def _groups_of(row: Any) -> set[str]:
    """Return the ids of the IAM groups that a row of a server names."""
    groups = row.get("groups") if isinstance(row, Mapping) else None
    if not isinstance(groups, list):
        raise UnreadableRow("The workspace does not state the groups of the record.")
    return {normalize_uuid(group.get("id") if isinstance(group, Mapping) else group) for group in groups}


def _delete_old(task: RegistrationTask, user: Client, old: Server) -> bool:
    """Delete the old record; return False, with a warning, if it may still be there."""
    try:
        delete(user, str(old.id))
    except AlpaconError as error:
        task.run.warn(
            f"replace: the new record has the groups of {old.name} ({old.id}), but that could not be deleted. {error}"
            " Delete it in the workspace."
        )
        return False
    return True


def _names(records: Sequence[Server]) -> str:
    return ", ".join(f"{record.name} ({record.id})" for record in records)
