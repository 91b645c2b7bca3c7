# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Find, delete and replace records of servers that earlier registrations made."""

from __future__ import annotations

import re
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence, Set
from typing import Any

from .._api.client import Client
from .._api.errors import AlpaconError, ApiError, LostResponse, UnreadableRow
from .._api.records import Server, normalize_uuid, parse_servers, parse_time
from .._api.servers import SERVERS_PATH
from .registration_task import MACHINE, RegistrationError, RegistrationTask

#: Keys of the result if there are no other records, or nothing searched for them.
NO_OTHER_RECORDS: dict[str, Any] = {"orphans": [], "duplicates": [], "replaced": None}
#: Pauses before each read of a record that was just made or changed, in seconds.
_PAUSES = (0.0, 1.0, 4.0)
#: Age in seconds from which a record counts as orphaned if its agent has never connected.
_ORPHAN_AGE = 3600.0


def delete_record(user: Client, server_id: str) -> bool:
    """Delete a record, unless its agent is connected; return True if the record existed."""
    return user.delete(f"{SERVERS_PATH}{normalize_uuid(server_id)}/?auto=false")


def delete_unused_records(task: RegistrationTask) -> None:
    user, orphans = task.user_client, []
    msg = "Without an API token, the task cannot search for records of the machine."
    if user is not None:
        msg = "There is no record of the machine left."
        found = [record for record in _list_records(user, task.options.name, unused=True) if task.has_made(record)]
        if not task.run.check_mode:
            orphans = [_to_reference(record) for record in found if not _delete_or_warn(task, user, record)]
        count = len(found) - len(orphans)
        task.changed = count > 0
        if found:
            verb = "would be" if task.run.check_mode else "were"
            msg = f"{count} of {len(found)} records of the machine {verb} deleted."
    task.facts = {"id": None, "name": None, "orphans": orphans, "msg": msg}


def _list_records(user: Client, name: str, unused: bool = False) -> list[Server]:
    """List the records of registrations with that name.

    Args:
        unused: list only records whose agent has never connected.
    """
    # The workspace adds six digits to the name.
    pattern = re.compile(re.escape(name) + r"-[0-9a-f]{6}")
    found = parse_servers(user.rows(SERVERS_PATH, {"search": name}))
    records = [record for record in found if pattern.fullmatch(record.name or "")]
    return [one for one in records if not unused or (one.is_connected is False and one.commissioned is False)]


def _to_reference(record: Server) -> dict[str, Any]:
    return {"id": record.id, "name": record.name}


def _join_labels(records: Sequence[Server]) -> str:
    return ", ".join(f"{record.name} ({record.id})" for record in records)


def _read_added_at(user: Client, record: Server) -> float:
    """Return the time at which a record was made, in seconds since the epoch; 0 if it is unknown."""
    # Lists of older workspaces do not have the field.
    row = record.fields if "added_at" in record.fields else user.get(f"{SERVERS_PATH}{normalize_uuid(record.id)}/")
    added = parse_time(row.get("added_at")) if isinstance(row, Mapping) else None
    return added.timestamp() if added else 0.0


def _delete_or_warn(task: RegistrationTask, user: Client, record: Server, warning: str = "") -> bool:
    """Delete a record; warn and return False if it may still exist."""
    try:
        delete_record(user, str(record.id))
    except AlpaconError as error:
        warning = warning or f"The record {_join_labels([record])} is left behind and could not be deleted."
        task.run.warn(f"{warning} {error} Delete it in the workspace.")
        return False
    return True


# After a lost response


def delete_lost_record(task: RegistrationTask, lost: LostResponse) -> None:
    """Delete the record of a registration whose response was lost, if there is one.

    Raises:
        RegistrationError: a record may be left behind.
    """
    name, user = task.options.name, task.user_client
    orphans: list[dict[str, Any]] = [{"id": None, "name": f"{name}-xxxxxx"}]
    if user is None:
        raise RegistrationError(
            f"{lost} A record named {name}-xxxxxx may be left behind in the workspace: delete the one that never"
            " connects, and run the task again. With an API token in token, the task deletes the record itself.",
            orphans=orphans,
        )
    for pause in _PAUSES:
        time.sleep(pause)
        try:
            found = _select_lost(task, user, _list_records(user, name, unused=True))
        except AlpaconError as error:
            raise RegistrationError(
                f"{lost} A record named {name}-xxxxxx may be left behind, since the search for it failed. {error}"
                " Delete the one that never connects, and run the task again.",
                orphans=orphans,
            ) from None
        if found:
            _delete_lost(task, user, found, lost)
            return


def _select_lost(task: RegistrationTask, user: Client, records: Sequence[Server]) -> list[Server]:
    """Select the records that the registration may have made: by tag or, if the workspace lists no tags, by age."""
    if any("tags" in record.fields for record in records):
        return [record for record in records if task.has_made(record)]
    # Some workspaces round times down to whole seconds.
    since = user.clock.timestamp_at(task.sent_at) - 1.0
    return [record for record in records if _read_added_at(user, record) >= since]


def _delete_lost(task: RegistrationTask, user: Client, found: Sequence[Server], lost: LostResponse) -> None:
    orphans = list(map(_to_reference, found))
    # A record without a tag is certain only if it is the only one since the registration, by the workspace's clock.
    certain = len(found) == 1 and user.clock.is_known
    if not certain and not all(map(task.has_made, found)):
        raise RegistrationError(
            f"{lost} The request may have made one of these records: {_join_labels(found)}. Delete the one that never"
            " connects, and run the task again.",
            orphans=orphans,
        )
    try:
        for record in found:
            delete_record(user, str(record.id))
    except AlpaconError as error:
        raise RegistrationError(
            f"{lost} The request made the record {_join_labels(found)}, which could not be deleted. {error} Delete it,"
            " and run the task again.",
            orphans=orphans,
        ) from None


# After a registration


def clean_up_records(task: RegistrationTask, new_id: str | None) -> dict[str, Any]:
    """Delete or replace other records with the name of the task.

    Returns:
        The keys of :data:`NO_OTHER_RECORDS`.
    """
    user, name = task.user_client, f"{task.options.name}-xxxxxx"
    if user is None:
        return NO_OTHER_RECORDS
    records: dict[str, list[Server]] = defaultdict(list)
    remaining, replaced = [], None
    try:
        for record in _list_records(user, task.options.name):
            records["new" if record.id == new_id else _classify(task, user, record)].append(record)
        own, old = records["own"], _find_old_record(task, records)
        if task.options.replace and not _copy_groups(task, user, [*own, *old], new_id):
            remaining = own
        else:
            remaining = [record for record in own if new_id and not _delete_or_warn(task, user, record)]
            for record in old:
                label = _join_labels(old)
                warning = f"replace: the new record has the groups of {label}, but that one could not be deleted."
                if not new_id or _delete_or_warn(task, user, record, warning):
                    records["offline"].remove(record)
                    replaced = {**_to_reference(record), "groups": sorted(_get_groups(record.fields))}
    except AlpaconError as error:
        task.run.warn(f"Records named {name} may be left behind, since the search for them failed. {error}")
    orphans = [_to_reference(record) for record in [*records["orphaned"], *remaining]]
    if task.lost_responses and not records["new"]:
        # A token that is not allowed to list the new record could not list the lost one either.
        task.run.warn(
            f"token: it is not allowed to list the new record, so one named {name} may be left behind. Search for it."
        )
        orphans.append({"id": None, "name": name})
    return {"orphans": orphans, "duplicates": list(map(_to_reference, records["offline"])), "replaced": replaced}


def _classify(task: RegistrationTask, user: Client, record: Server) -> str:
    """Classify a record with the name of the task.

    Returns:
        C(in use): its agent is connected, or may be.
        C(offline): its agent was connected before.
        C(own): this task or machine made it, and its agent has never connected.
        C(orphaned): its agent has never connected in an hour.
        C(other): another machine may have just made it.
    """
    if record.is_connected is not False or record.commissioned is None:
        return "in use"
    if record.commissioned:
        return "offline"
    if task.has_made(record):
        return "own"
    of_other_machine = task.options.machine and MACHINE in record.tags
    if of_other_machine or _read_added_at(user, record) > user.clock.timestamp_at(time.time()) - _ORPHAN_AGE:
        return "other"
    return "orphaned"


def _find_old_record(task: RegistrationTask, records: Mapping[str, Sequence[Server]]) -> list[Server]:
    name, found, in_use = task.options.name, records["offline"], records["in use"]
    if not task.options.replace or not found:
        return []
    if len(found) > 1:
        why = f"{len(found)} offline records have the name {name}"
    elif in_use:
        why = f"another host has the name {name}: {in_use[0].name} is in use"
    else:
        return [found[0]]
    labels = _join_labels(found)
    task.run.warn(f"replace: nothing is replaced, since {why}. Delete the old record of this host: {labels}.")
    return []


def _copy_groups(task: RegistrationTask, user: Client, earlier: Sequence[Server], new_id: str | None) -> bool:
    """Add the groups of earlier records to the new record; warn and return False if that may have failed."""
    try:
        wanted = {group for record in earlier for group in _get_groups(record.fields)}
        if new_id and wanted:
            _add_groups(user, new_id, wanted)
    except AlpaconError as error:
        labels = _join_labels(earlier)
        task.run.warn(f"replace: {labels} is not deleted, since the new record may lack its groups. {error}")
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
        raise AlpaconError(f"PATCH {path}: afterwards, the record does not have all of the groups.")


def _read_groups(user: Client, server_id: str, wanted: Set[str] = frozenset()) -> set[str]:
    """Read the ids of a record's groups; repeat while the record or the wanted groups are missing."""
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
    groups = row.get("groups") if isinstance(row, Mapping) else None
    if not isinstance(groups, list):
        raise UnreadableRow("The workspace does not state the groups of the record.")
    return {normalize_uuid(group.get("id") if isinstance(group, Mapping) else group) for group in groups}
