# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""When servers are asked for whose commands stay where they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from ansible_collections.herdops.alpacon.plugins.module_utils._api.client import Client
from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import ApiError
from ansible_collections.herdops.alpacon.plugins.module_utils._api.records import Command, Server
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.completion import (
    ServerStates,
    may_be_restarted,
    was_restarted,
)
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.jobs import Job
from ansible_collections.herdops.alpacon.plugins.module_utils._options.connection import parse_settings
from ansible_collections.herdops.alpacon.tests.unit.support import CONNECTION, SERVER, current_row


class OneServer(Client):
    """Answers every question with the same server, without a workspace."""

    def get(self, path: str, params: Mapping[str, Any] | None = None, patient: bool = True) -> Any:
        return {"id": SERVER, "name": "web-01", "is_connected": True}


@pytest.fixture
def client() -> Iterator[Client]:
    with OneServer(parse_settings(CONNECTION)) as client:
        yield client


@pytest.mark.parametrize(
    ("status", "seconds"),
    [("queued", [1, 61, 181, 421, 721, 1021]), ("running", [15, 75, 195, 435, 735, 1035]), ("held", [])],
)
def test_the_pauses_between_two_questions_double_up_to_five_minutes(
    client: Client, status: str, seconds: list[int]
) -> None:
    server_states = ServerStates(client, queued=1)
    job = Job(Server(SERVER, "web-01"), command=Command.from_row(current_row(status=status)))
    assert [now for now in range(1200) if server_states.refresh_due([job], now, wait_timeout=1800)] == seconds


def test_the_server_is_asked_for_once_more_when_the_wait_ends(client: Client) -> None:
    server_states = ServerStates(client, queued=60)
    jobs = [Job(Server(SERVER), command=Command.from_row(current_row(status=word))) for word in ("queued", "held")]
    asked = [(now, server_states.refresh_due(jobs, now, wait_timeout=20)) for now in (19, 20, 21)]
    assert asked == [(19, []), (20, jobs[:1]), (21, [])]


def test_what_cannot_be_asked_for_stays_as_it_is_known(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: Any) -> None:
        raise ApiError("GET", "/api/servers/servers/", 503)

    monkeypatch.setattr(client, "get", fail)
    job = Job(Server(SERVER, is_connected=False), command=Command.from_row(current_row()))
    assert ServerStates(client, queued=1).refresh_due([job], 1, wait_timeout=1800) == [job]
    assert job.server == Server(SERVER, is_connected=False)


ADDED, BEFORE, AFTER = "2026-11-24T10:30:44Z", "2026-11-24T10:30:43Z", "2026-11-24T10:30:45Z"


@pytest.mark.parametrize(
    ("status", "added_at", "started_at", "expected"),
    [
        ("running", ADDED, AFTER, True),
        ("running", ADDED, BEFORE, False),
        ("running", ADDED, ADDED, False),
        ("running", None, AFTER, False),
        ("running", ADDED, None, False),
        ("queued", ADDED, AFTER, False),
    ],
)
@pytest.mark.parametrize("taken", ["acked_at", "delivered_at"])
def test_only_an_agent_that_was_started_later_may_have_lost_a_command(
    status: str, added_at: str | None, started_at: str | None, expected: bool, taken: str
) -> None:
    command = Command.from_row(current_row(status=status, added_at=added_at, **{taken: added_at}))
    server = Server.from_row({"id": SERVER, "started_at": started_at})
    assert may_be_restarted(command, server) is expected
    assert was_restarted(command, server) is expected
