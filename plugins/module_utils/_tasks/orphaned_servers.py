# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Find and delete records in the workspace that a registration left behind."""

from __future__ import annotations

import re
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence, Set
from typing import Any

from .._api.client import Client
from .._api.errors import AlpaconError, ApiError, LostResponse, UnreadableRow
from .._api.records import Server, normalize_uuid, parse_time
from .._api.servers import SERVERS_PATH, parse_servers
from .registration_task import MACHINE, RegistrationError, RegistrationTask

#: The part of a result that is about other records, if there are none or none were searched for.
NO_OTHERS: dict[str, Any] = {"orphans": [], "duplicates": [], "replaced": None}
#: Pauses before each search for a record that was just made or changed, in seconds.
_PAUSES = (0.0, 1.0, 4.0)
#: Longest time that the agent of another machine of the same name may take to start, in seconds.
_STARTS = 3600.0


def delete_record(user: Client, server_id: str) -> bool:
    """Delete a record that is not connected; return True if it was there."""
    return user.delete(f"{SERVERS_PATH}{normalize_uuid(server_id)}/?auto=false")


def delete_left_behind(task: RegistrationTask) -> None:
    """Delete the records of the machine whose agents have never connected."""
    orphans: list[dict[str, Any]] = []
    msg = "Without an API token, records of the machine cannot be searched for."
    if task.user is not None:
        msg = "There is no record of the machine left."
        found = [record for record in _list_named(task.user, task.options.name, unused=True) if task.made(record)]
        if not task.run.check_mode:
            orphans = [_reference(record) for record in found if not _delete_or_warn(task, task.user, record)]
        count = len(found) - len(orphans)
        task.changed = count > 0
        if found:
            verb = "would be" if task.run.check_mode else "were"
            msg = f"{count} of {len(found)} records of the machine {verb} deleted."
    task.facts = {"id": None, "name": None, "orphans": orphans, "msg": msg}


def _list_named(user: Client, name: str, unused: bool = False) -> list[Server]:
    """List the records that registrations of that name made; or only those whose agent has never connected."""
    pattern = re.compile(re.escape(name) + r"-[0-9a-f]{6}")
    found = parse_servers(user.rows(SERVERS_PATH, {"search": name}))
    named = [record for record in found if pattern.fullmatch(record.name or "")]
    return [one for one in named if not unused or (one.is_connected is False and one.commissioned is False)]


def _reference(record: Server) -> dict[str, Any]:
    return {"id": record.id, "name": record.name}


def _label(records: Sequence[Server]) -> str:
    return ", ".join(f"{record.name} ({record.id})" for record in records)


def _read_added_at(user: Client, record: Server) -> float:
    """Return when a record was made, in seconds since the epoch; 0 if that is not known."""
    # Lists of older servers do not say it.
    row = record.fields if "added_at" in record.fields else user.get(f"{SERVERS_PATH}{normalize_uuid(record.id)}/")
    added = parse_time(row.get("added_at")) if isinstance(row, Mapping) else None
    return added.timestamp() if added else 0.0


def _delete_or_warn(task: RegistrationTask, user: Client, record: Server, warning: str = "") -> bool:
    """Delete a record; return False, with a warning, if it may still be there."""
    try:
        delete_record(user, str(record.id))
    except AlpaconError as error:
        warning = warning or f"The record {_label([record])} is left behind and could not be deleted."
        task.run.warn(f"{warning} {error} Delete it in the workspace.")
        return False
    return True


# After a lost answer


def delete_lost_record(task: RegistrationTask, lost: LostResponse) -> None:
    """Delete the record that a lost registration made, if it made one.

    Raises:
        RegistrationError: a record may be left behind.
    """
    name, user = task.options.name, task.user
    orphans: list[dict[str, Any]] = [{"id": None, "name": f"{name}-xxxxxx"}]
    if user is None:
        raise RegistrationError(
            f"{lost} A record named {name}-xxxxxx may be left behind in the workspace: delete the one that never"
            " connects, and run the task again. With an API token in token, the task does so by itself.",
            orphans=orphans,
        )
    for pause in _PAUSES:
        time.sleep(pause)
        try:
            found = _select_made(task, user, _list_named(user, name, unused=True))
        except AlpaconError as error:
            raise RegistrationError(
                f"{lost} It may have made a record named {name}-xxxxxx, which could not be searched for. {error} Delete"
                " the one that never connects, and run the task again.",
                orphans=orphans,
            ) from None
        if found:
            _delete_made(task, user, found, lost)
            return


def _select_made(task: RegistrationTask, user: Client, records: Sequence[Server]) -> list[Server]:
    """Select the records of the lost registration: by its tag, or by their age if the workspace shows no tags."""
    if any("tags" in record.fields for record in records):
        return [record for record in records if task.made(record)]
    # Some workspaces cut times to whole seconds.
    since = user.clock.timestamp_at(task.sent_at) - 1.0
    return [record for record in records if _read_added_at(user, record) >= since]


def _delete_made(task: RegistrationTask, user: Client, found: Sequence[Server], lost: LostResponse) -> None:
    orphans = list(map(_reference, found))
    certain = len(found) == 1 and user.clock.is_known
    if not certain and not all(map(task.made, found)):
        # Without tags, it is open which one is the lost one; without the time of the workspace, which ones are new.
        raise RegistrationError(
            f"{lost} It may have made one of these records: {_label(found)}. Delete the one that never connects, and"
            " run the task again.",
            orphans=orphans,
        )
    try:
        for record in found:
            delete_record(user, str(record.id))
    except AlpaconError as error:
        raise RegistrationError(
            f"{lost} It made the record {_label(found)}, which could not be deleted. {error} Delete it, and run the"
            " task again.",
            orphans=orphans,
        ) from None


# After a registration


def clean_up_records(task: RegistrationTask, new_id: str | None) -> dict[str, Any]:
    """Delete or replace other records of the name, and describe those that are left.

    Args:
        new_id: the new record; None in check mode, which changes nothing.
    """
    user = task.user
    if user is None:
        return NO_OTHERS
    records: dict[str, list[Server]] = defaultdict(list)
    kept, replaced = [], None
    try:
        for record in _list_named(user, task.options.name):
            records["new" if record.id == new_id else _classify(task, user, record)].append(record)
        old = _find_old_record(task, records)
        if task.options.replace and not _add_groups_of(task, user, new_id, [*records["left"], *old]):
            kept = list(map(_reference, records["left"]))
        else:
            if new_id:
                kept = [_reference(record) for record in records["left"] if not _delete_or_warn(task, user, record)]
            for record in old:
                warning = f"replace: the new record has the groups of {_label(old)}, but that could not be deleted."
                if not new_id or _delete_or_warn(task, user, record, warning):
                    records["offline"].remove(record)
                    replaced = {**_reference(record), "groups": sorted(_get_groups(record.fields))}
    except AlpaconError as error:
        task.run.warn(f"Records named {task.options.name}-xxxxxx may be left behind: that is not known. {error}")
    if task.lost and not records["new"]:
        # A token that does not see the new record did not see a lost one either.
        task.run.warn(
            f"token: it does not see the new record, so one named {task.options.name}-xxxxxx may be left behind."
        )
        kept.append({"id": None, "name": f"{task.options.name}-xxxxxx"})
    return {
        "orphans": [*map(_reference, records["orphaned"]), *kept],
        "duplicates": list(map(_reference, records["offline"])),
        "replaced": replaced,
    }


def _classify(task: RegistrationTask, user: Client, record: Server) -> str:
    """Return what another record of the name is.

    Returns:
        C(in use) unless it is known to be offline; C(offline) if it was connected before; C(left) if this machine or
        task registered it; C(orphaned) if this machine may have; C(other) if it may be another one's that is new.
    """
    if record.is_connected is not False or record.commissioned is None:
        return "in use"
    if record.commissioned:
        return "offline"
    if task.made(record):
        return "left"
    of_other_machine = task.options.machine and MACHINE in record.tags
    if of_other_machine or _read_added_at(user, record) > user.clock.timestamp_at(time.time()) - _STARTS:
        return "other"
    return "orphaned"


def _find_old_record(task: RegistrationTask, records: Mapping[str, Sequence[Server]]) -> list[Server]:
    """Return the one record to replace; none, with a warning, if it is not certain which one was this host."""
    name, found, in_use = task.options.name, records["offline"], records["in use"]
    if not task.options.replace or not found:
        return []
    if len(found) > 1:
        why = f"{len(found)} offline records have the name {name}"
    elif in_use:
        why = f"another host has the name {name}: {in_use[0].name} is in use"
    else:
        return [found[0]]
    task.run.warn(f"replace: nothing is replaced, since {why}. Delete the old record of this host: {_label(found)}.")
    return []


def _add_groups_of(task: RegistrationTask, user: Client, new_id: str | None, earlier: Sequence[Server]) -> bool:
    """Add the groups of earlier records to the new one; return False, with a warning, if that may have failed."""
    try:
        wanted = {group for record in earlier for group in _get_groups(record.fields)}
        if new_id and wanted:
            _add_groups(user, new_id, wanted)
    except AlpaconError as error:
        task.run.warn(f"replace: {_label(earlier)} stays, since the new record may not have all of its groups. {error}")
        return False
    return True


def _add_groups(user: Client, server_id: str, wanted: Set[str]) -> None:
    present = _read_groups(user, server_id)
    if wanted <= present:
        return
    path = f"{SERVERS_PATH}{normalize_uuid(server_id)}/"
    try:
        present = _get_groups(user.write("PATCH", path, {"groups": sorted(wanted | present)}).body)
    except (LostResponse, UnreadableRow):
        present = _read_groups(user, server_id, wanted)
    if not wanted <= present:
        raise AlpaconError(f"PATCH {path}: the record does not have all of the groups afterwards.")


def _read_groups(user: Client, server_id: str, wanted: Set[str] = frozenset()) -> set[str]:
    """Read the groups of a record; again, if it or the wanted groups are not there yet."""
    for pause in _PAUSES:
        time.sleep(pause)
        try:
            present = _get_groups(user.get(f"{SERVERS_PATH}{normalize_uuid(server_id)}/"))
        except ApiError as error:
            if error.status != 404 or pause == _PAUSES[-1]:
                raise
        else:
            if wanted <= present:
                break
    return present


def _get_groups(row: Any) -> set[str]:
    """Return the ids of the IAM groups that a row of a server names."""
    groups = row.get("groups") if isinstance(row, Mapping) else None
    if not isinstance(groups, list):
        raise UnreadableRow("The workspace does not state the groups of the record.")
    return {normalize_uuid(group.get("id") if isinstance(group, Mapping) else group) for group in groups}
