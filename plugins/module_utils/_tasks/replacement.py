# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""Replace the offline record of a host that was installed anew: take over its IAM groups, then delete it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence, Set
from typing import Any

from .._api.client import Client
from .._api.errors import AlpaconError, ApiError, LostAnswer, UnreadableRow
from .._api.records import Server, canonical_uuid
from .._api.servers import PATH
from .left_records import LOOKS, delete
from .registration_task import RegistrationTask


def only_old_record(task: RegistrationTask, duplicates: Sequence[Server], connected: Sequence[Server]) -> Server | None:
    """Return the record to replace; None, with a warning, if it is not certain which one was this host."""
    if not duplicates:
        return None
    names = ", ".join(f"{record.name} ({record.id})" for record in duplicates)
    if len(duplicates) > 1:
        why = f"{len(duplicates)} offline records have the name {task.order.name}"
    elif connected:
        why = f"another host of the name {task.order.name} is connected: {connected[0].name}"
    elif duplicates[0].commissioned is None:
        why = "the workspace does not say whether its agent has ever connected"
    else:
        return duplicates[0]
    task.run.warn(f"replace: nothing is replaced, since {why}. Delete the old record of this host: {names}.")
    return None


def take_over_groups(task: RegistrationTask, user: Client, new_id: str | None, earlier: Sequence[Server]) -> bool:
    """Add the groups of earlier records to those of the new one, if there is one yet.

    Returns:
        False, with a warning, if it is not certain that the new record has them.
    """
    try:
        wanted = {group for record in earlier for group in groups_of(record.fields)}
        if new_id and wanted:
            _add_groups(user, new_id, wanted)
    except AlpaconError as error:
        names = ", ".join(f"{record.name} ({record.id})" for record in earlier)
        task.run.warn(f"replace: {names} stays, since the new record may not have all of its groups. {error}")
        return False
    return True


def _add_groups(user: Client, server_id: str, wanted: Set[str]) -> None:
    present = _read_groups(user, server_id)
    if wanted <= present:
        return
    path = f"{PATH}{canonical_uuid(server_id)}/"
    try:
        present = groups_of(user.write("PATCH", path, {"groups": sorted(wanted | present)}).body)
    except (LostAnswer, UnreadableRow):
        present = _read_groups(user, server_id, wanted)
    if not wanted <= present:
        raise AlpaconError(f"PATCH {path}: the record does not have all of the groups afterwards.")


def delete_replaced(task: RegistrationTask, user: Client, old: Server) -> bool:
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


def groups_of(row: Any) -> set[str]:
    """Return the ids of the IAM groups that a row of a server names."""
    groups = row.get("groups") if isinstance(row, Mapping) else None
    if not isinstance(groups, list):
        raise UnreadableRow("The workspace does not state the groups of the record.")
    return {canonical_uuid(group.get("id") if isinstance(group, Mapping) else group) for group in groups}


def _read_groups(user: Client, server_id: str, wanted: Set[str] = frozenset()) -> set[str]:
    """Read the groups of a record; again, if it or the wanted groups are not there yet."""
    for pause in LOOKS:
        time.sleep(pause)
        try:
            present = groups_of(user.get(f"{PATH}{canonical_uuid(server_id)}/"))
        except ApiError as error:
            if error.status != 404 or pause == LOOKS[-1]:
                raise
        else:
            if wanted <= present:
                break
    return present
