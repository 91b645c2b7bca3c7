# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Looks at commands that are asked for one by one, some of which cannot be read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from ansible_collections.herdops.alpacon.plugins.module_utils._api.client import Client
from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import ApiError
from ansible_collections.herdops.alpacon.plugins.module_utils._api.records import Command, Server
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.jobs import Job
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.looking import Looking
from ansible_collections.herdops.alpacon.plugins.module_utils._options.connection import settings_of
from ansible_collections.herdops.alpacon.tests.unit.support import COMMAND, CONNECTION, NO_COMMAND, SERVER, current_row


class Unreadable(Client):
    """Shows each command as running, but for those that cannot be read."""

    def __init__(self, *unreadable: str) -> None:
        super().__init__(settings_of(CONNECTION))
        self._unreadable = unreadable

    def get(self, path: str, params: Mapping[str, Any] | None = None) -> Any:
        command_id = path.rstrip("/").rpartition("/")[2]
        if command_id in self._unreadable:
            raise ApiError("GET", path, 503)
        return current_row(id=command_id, status="running")


def jobs() -> list[Job]:
    """Two jobs whose commands are no longer looked for in the list."""
    rows = [current_row(id=command_id) for command_id in (COMMAND, NO_COMMAND)]
    return [Job(Server(SERVER, "web-01"), command=Command.from_row(row), listed=False) for row in rows]


def test_a_look_fails_where_nothing_could_be_seen() -> None:
    with Unreadable(COMMAND, NO_COMMAND) as client, pytest.raises(ApiError, match="503"):
        Looking(client, None, 1800).look(jobs(), map)


def test_what_cannot_be_seen_hides_no_other() -> None:
    seen, unseen = looked_at = jobs()
    with Unreadable(NO_COMMAND) as client:
        Looking(client, None, 1800).look(looked_at, map)
    assert (seen.known.status, seen.error) == ("running", None)
    assert (unseen.known.status, str(unseen.error).count("503")) == ("queued", 1)
