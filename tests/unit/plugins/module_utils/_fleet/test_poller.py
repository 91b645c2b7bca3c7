# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Polls of commands that the list does not contain, and of commands that cannot be read."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.herdops.alpacon.plugins.module_utils._api.client import Client
from ansible_collections.herdops.alpacon.plugins.module_utils._api.commands import COMMANDS_PATH
from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import ApiError
from ansible_collections.herdops.alpacon.plugins.module_utils._api.records import Command, Server
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet import poller as _poller
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.jobs import Job, Limits
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.pacing import PACING
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.poller import Poller
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.sharing import SharedState
from ansible_collections.herdops.alpacon.plugins.module_utils._options.connection import parse_settings
from ansible_collections.herdops.alpacon.tests.unit.support import (
    COMMAND,
    CONNECTION,
    FAR,
    NO_COMMAND,
    SERVER,
    current_row,
)

AFTER_FAR = "2999-06-01T00:00:00Z"


class Listing(Client):
    """A list of other commands only; every command that is read by its ID is running."""

    def __init__(self, others: int) -> None:
        super().__init__(parse_settings(CONNECTION))
        self._others = others
        self.read_ids: list[str] = []

    def get(self, path: str, params: Mapping[str, Any] | None = None, patient: bool = True) -> Any:
        if path == COMMANDS_PATH:
            page = int((params or {}).get("page", 1))
            numbers = range(100 * (page - 1), min(100 * page, self._others))
            rows = [current_row(id=str(uuid.UUID(int=number + 1)), added_at=FAR) for number in numbers]
            following = page + 1 if 100 * page < self._others else None
            return {"count": self._others, "current": page, "next": following, "results": rows}
        command_id = path.rstrip("/").rpartition("/")[2]
        self.read_ids.append(command_id)
        return current_row(id=command_id, status="running")


class Unreadable(Client):
    """Every command is running, except some that cannot be read."""

    def __init__(self, *unreadable: str) -> None:
        super().__init__(parse_settings(CONNECTION))
        self._unreadable = unreadable

    def get(self, path: str, params: Mapping[str, Any] | None = None, patient: bool = True) -> Any:
        command_id = path.rstrip("/").rpartition("/")[2]
        if command_id in self._unreadable:
            raise ApiError("GET", path, 503)
        return current_row(id=command_id, status="running")


def jobs(listed: bool = False, **fields: Any) -> list[Job]:
    """Return two jobs."""
    rows = [current_row(id=command_id, **fields) for command_id in (COMMAND, NO_COMMAND)]
    return [Job(Server(SERVER, "web-01"), command=Command.from_row(row), listed=listed) for row in rows]


def test_commands_far_down_the_list_are_read_by_id_from_then_on() -> None:
    polled = jobs(listed=True)
    with (client := Listing(others=1000)):
        poller = Poller(None, Limits(), PACING)
        for times in (1, 2):
            poller.poll(polled, client, map)
            assert client.read_ids == [COMMAND, NO_COMMAND] * times


def test_the_list_is_read_only_until_its_rows_are_older() -> None:
    newest = jobs(listed=True, added_at=AFTER_FAR)
    with (client := Listing(others=1000)):
        Poller(None, Limits(), PACING).poll(newest, client, map)
        assert client.read_ids == [], "the list lags: its first page should contain both"


def test_commands_missing_in_the_list_are_read_by_id_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    polled = jobs(listed=True)
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(_poller, "time", SimpleNamespace(monotonic=lambda: clock.now))
    with (client := Listing(others=1)):
        poller = Poller(None, Limits(), PACING)
        for clock.now, reads in ((1000.0, 0), (1004.9, 0), (1005.0, 2)):
            poller.poll(polled, client, map)
            assert len(client.read_ids) == reads


def test_a_poll_that_reads_nothing_fails() -> None:
    with Unreadable(COMMAND, NO_COMMAND) as client, pytest.raises(ApiError, match=f"{COMMAND}.*503"):
        Poller(None, Limits(), PACING).poll(jobs(), client, map)


def test_a_refusal_of_one_command_does_not_stand_for_all() -> None:
    refusals = {COMMAND: ApiError("GET", "/", 403, "forbidden", stated=True), NO_COMMAND: ApiError("GET", "/", 502)}
    with Unreadable() as client, pytest.MonkeyPatch.context() as patch:
        patch.setattr(client, "get", lambda path, *_rest: fail(refusals[path.rstrip("/").rpartition("/")[2]]))
        with pytest.raises(ApiError, match="502"):
            Poller(None, Limits(), PACING).poll(jobs(), client, map)


def fail(error: Exception) -> None:
    raise error


def test_a_command_that_cannot_be_read_affects_no_other() -> None:
    readable, unreadable = polled = jobs()
    with Unreadable(NO_COMMAND) as client:
        Poller(None, Limits(), PACING).poll(polled, client, map)
    assert (readable.submitted.status, readable.error) == ("running", None)
    assert (unreadable.submitted.status, str(unreadable.error).count("503")) == ("queued", 1)


@pytest.mark.parametrize(("ended", "expected"), [("10", 10.35), ("00", None)])
def test_a_command_is_expected_to_take_as_long_as_the_last_of_its_kind(
    tmp_path: Path, ended: str, expected: float | None
) -> None:
    minute = "2026-11-26T20:14"
    times = {"added_at": f"{minute}:{'00' if expected else '01'}Z", "handled_at": f"{minute}:{ended}Z"}
    shared = SharedState(tmp_path, CONNECTION["url"], CONNECTION["token"])
    first, second = (
        Job(
            Server(SERVER),
            {"line": f"x\udcff sha256:{digit * 64}"},
            Command.from_row(current_row(status="success", **times)),
        )
        for digit in "12"
    )
    tested = Poller(shared, Limits(), PACING)
    tested.end([first])
    tested.add(second)
    assert second.expected == (expected and pytest.approx(expected))
