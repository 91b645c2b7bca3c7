# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test the search for lost submits: requester, age and time of a command."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from datetime import datetime, timezone
from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.herdops.alpacon.plugins.module_utils._api import lost_submits
from ansible_collections.herdops.alpacon.plugins.module_utils._api.commands import Match, get_command_path
from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import ApiError, UnknownEndpoint
from ansible_collections.herdops.alpacon.plugins.module_utils._api.lost_submits import (
    MYSELF,
    WHOAMI,
    FoundSubmit,
    LostSubmit,
    OwnCommands,
    Requester,
    fetch_requester,
    find_submitted,
)
from ansible_collections.herdops.alpacon.plugins.module_utils._api.records import Command, Server
from ansible_collections.herdops.alpacon.tests.unit.support import (
    COMMAND,
    NO_COMMAND,
    OTHER_SERVER,
    SERVER,
    Row,
    current_row,
)

NOBODY = Requester()
SERVICE = Requester(username="deploy")
#: A user, whose id is any UUID.
BOB = Requester(SERVER, ("bob", "bob@example.com"))


def command(**fields: Any) -> Command:
    """Return a command whose row names its requester, perhaps as null."""
    return Command(COMMAND, Server(SERVER), "uptime", "system", "queued", **{"states_requester": True, **fields})


@pytest.mark.parametrize(
    ("requester", "fields", "is_its_own"),
    [
        (BOB, {"requested_by": SERVER}, True),
        (BOB, {"requested_by": OTHER_SERVER}, False),
        (BOB, {"requested_by": "7", "requested_by_name": "bob"}, True),
        (BOB, {"requested_by": None, "states_requester": False}, True),
        (NOBODY, {"requested_by": SERVER}, False),
        (SERVICE, {"username": "deploy"}, True),
        (SERVICE, {"username": "root"}, False),
        (SERVICE, {"username": "deploy", "requested_by": SERVER}, False),
    ],
)
def test_requesters_that_can_have_made_a_command(
    requester: Requester, fields: dict[str, Any], is_its_own: bool
) -> None:
    assert requester.can_have_made(command(**fields), {"username": ""}) is is_its_own


@pytest.mark.parametrize(
    ("requester", "fields", "match", "is_surely_its_own"),
    [
        (SERVICE, {"username": "deploy"}, Match(SERVER), True),
        (SERVICE, {"username": "deploy", "states_requester": False}, Match(SERVER), False),
        (SERVICE, {"username": "deploy", "requested_by": SERVER}, Match(SERVER), False),
        (SERVICE, {"username": "root"}, Match(SERVER), False),
        (SERVICE, {"username": "root"}, Match(SERVER, username="root"), True),
        (BOB, {"requested_by": SERVER, "username": None}, Match(SERVER), True),
    ],
)
def test_own_commands(requester: Requester, fields: dict[str, Any], match: Match, is_surely_its_own: bool) -> None:
    client: Any = None
    own = OwnCommands(client)
    own.requester = requester
    assert own.include(command(**fields), match) is is_surely_its_own


@pytest.mark.parametrize(("application", "username"), [({"username": "deploy"}, "deploy"), (None, None)])
def test_a_service_token_runs_commands_by_a_name_of_its_own(application: Any, username: str | None) -> None:
    client: Any = SimpleNamespace(get={WHOAMI: {"principal_type": "application", "application": application}}.get)
    assert fetch_requester(client) == Requester(username=username)


@pytest.mark.parametrize(
    ("user", "names", "username"),
    [
        ({"username": "bob", "email": "bob@example.com"}, ("bob", "bob@example.com"), "bob"),
        ({"username": 7}, (), None),
    ],
)
def test_a_user_has_several_names_and_one_username(
    user: dict[str, Any], names: tuple[str, ...], username: str | None
) -> None:
    answers = {MYSELF: {"id": SERVER, **user}}
    client: Any = SimpleNamespace(get=lambda path, _params: answers.get(path, {}))
    assert fetch_requester(client) == Requester(SERVER, names, username)


SENT = datetime(2026, 11, 24, 12, tzinfo=timezone.utc).timestamp()


@pytest.mark.parametrize(
    ("age", "counts_as"),
    [
        (-3.25, ["candidates"]),
        (-3.0, ["candidates", "command"]),
        (1.0, ["candidates", "command"]),
        (1.25, ["others"]),
        (60.0, ["others"]),
        (60.25, []),
    ],
)
def test_candidates_depend_on_their_age(
    monkeypatch: pytest.MonkeyPatch, age: float | None, counts_as: list[str]
) -> None:
    added_at = None if age is None else datetime.fromtimestamp(SENT - age, timezone.utc).isoformat()
    found = search(monkeypatch, row(added_at=added_at))
    assert [name for name in ("candidates", "command", "others") if getattr(found, name)] == counts_as


@pytest.mark.parametrize(
    ("due", "is_it"), [("2026-11-24T12:00:01Z", True), ("2026-11-24T12:00:01.25Z", False), ("garbage", True)]
)
def test_a_command_due_a_second_later_is_scheduled(monkeypatch: pytest.MonkeyPatch, due: str, is_it: bool) -> None:
    assert bool(search(monkeypatch, row(added_at="2026-11-24T12:00:00Z", scheduled_at=due)).command) is is_it
    assert search(monkeypatch, row(added_at=None, scheduled_at=due)).command


def search(
    monkeypatch: pytest.MonkeyPatch, *rows: Row, known: Iterable[str] = (), whose: Any = Requester, **fields: Any
) -> FoundSubmit:
    """Search for a submit among these commands alone."""
    clock = SimpleNamespace(
        is_known=True,
        timestamp_at=lambda local: local,
        datetime_at=lambda local: datetime.fromtimestamp(local, timezone.utc),
    )
    details = {get_command_path(row["id"]): row for row in rows}
    client: Any = SimpleNamespace(clock=clock, rows=lambda _path, _query, patient: iter(rows), get=details.get)
    monkeypatch.setattr(lost_submits, "time", SimpleNamespace(time=lambda: SENT))
    body = {"server": SERVER, "line": "uptime", "shell": "system", **fields}
    return find_submitted(client, [LostSubmit(body, SENT)], frozenset(known), whose)[0]


def row(**fields: Any) -> Row:
    """Return the row of a command of a service token."""
    added = datetime.fromtimestamp(SENT, timezone.utc).isoformat()
    return current_row(**{"added_at": added, "scheduled_at": None, "requested_by": None, **fields})


def test_two_candidates_are_uncertain_unless_one_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = row(), row(id=NO_COMMAND)
    found = search(monkeypatch, *rows)
    assert (found.command, [command.id for command in found.candidates]) == (None, [COMMAND, NO_COMMAND])
    left = search(monkeypatch, *rows, known=[NO_COMMAND])
    assert left.command
    assert left.command.id == COMMAND
    assert search(monkeypatch, *rows, known=[NO_COMMAND, COMMAND]) == FoundSubmit(None, [], [])


@pytest.mark.parametrize(
    ("fields", "is_it"),
    [
        ({"line": " uptime\n"}, True),
        ({"line": "reboot"}, False),
        ({"username": "bob"}, False),
        ({"run_after": [OTHER_SERVER]}, True),
        ({"run_after": [SERVER]}, False),
        ({"scheduled_at": "2026-11-24T12:00:00Z"}, False),
    ],
)
def test_only_an_equal_command_is_adopted(monkeypatch: pytest.MonkeyPatch, fields: dict[str, Any], is_it: bool) -> None:
    seen = row(run_after=[OTHER_SERVER] if "run_after" in fields else [], scheduled_at="2026-11-24T12:00:01Z")
    assert bool(search(monkeypatch, seen, **fields).command) is is_it


def test_nothing_is_adopted_for_an_unknown_requester(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> Any:
        raise ApiError("GET", WHOAMI, 403, "forbidden", stated=True)

    found = search(monkeypatch, row(), whose=refuse)
    assert (found.command, len(found.candidates)) == (None, 1)


@pytest.mark.parametrize(("count", "requests"), [(200, 1), (201, 3)])
def test_the_list_of_all_servers_is_read_if_that_is_cheaper(count: int, requests: int) -> None:
    queries: list[Row] = []

    def rows(_path: str, query: Row, patient: bool) -> Iterator[Row]:
        queries.append(query)
        return iter([current_row()] * count)

    client: Any = SimpleNamespace(clock=SimpleNamespace(is_known=False), rows=rows)
    lost = [
        LostSubmit({"server": server, "line": "true", "shell": "system"}, SENT) for server in (SERVER, OTHER_SERVER)
    ]
    find_submitted(client, lost, frozenset(), Requester)
    assert len(queries) == requests


@pytest.mark.parametrize(
    ("error", "is_anybodys"),
    [
        (ApiError("GET", "/", 404), True),
        (UnknownEndpoint("No such address."), True),
        (ApiError("GET", "/", 403), False),
    ],
)
def test_a_workspace_without_whoami_has_no_requester(error: Exception, is_anybodys: bool) -> None:
    def get(_path: str, _params: None) -> None:
        raise error

    client: Any = SimpleNamespace(get=get)
    assert OwnCommands(client).include(command(), Match(SERVER)) is is_anybodys
    with contextlib.nullcontext() if is_anybodys else pytest.raises(ApiError):
        assert fetch_requester(client) == NOBODY
