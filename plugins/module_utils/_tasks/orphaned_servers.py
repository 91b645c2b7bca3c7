# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""Find and delete records in the workspace that a registration left behind."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .._api.client import Client
from .._api.errors import AlpaconError
from .._api.records import Server, canonical_uuid, parse_time
from .._api.servers import PATH, identified
from .registration_order import MACHINE, MARKER, RegistrationOrder
from .registration_task import RegistrationTask

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
    def begin(cls, order: RegistrationOrder) -> RegistrationAttempt:
        """Describe a registration that is about to be sent."""
        if order.machine:
            return cls(MACHINE, order.machine, time.time())
        return cls(MARKER, str(uuid.uuid4()), time.time())

    def made(self, record: Server) -> bool:
        """Return True if the record's tags say that this, or an earlier attempt for the same machine, made it."""
        return record.tags.get(self.tag) == self.value


def delete(user: Client, server_id: str) -> bool:
    """Delete a record that is not connected; return True if it was there."""
    return user.delete(f"{PATH}{canonical_uuid(server_id)}/?auto=false")


def named_records(user: Client, name: str) -> list[Server]:
    """List the records that registrations of that name made."""
    pattern = re.compile(re.escape(name) + r"-[0-9a-f]{6}")
    found = identified(user.rows(PATH, {"search": name}))
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
    row = record.fields if "added_at" in record.fields else user.get(f"{PATH}{canonical_uuid(record.id)}/")
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
