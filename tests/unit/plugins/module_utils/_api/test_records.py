# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test records from rows of every dialect."""

from __future__ import annotations

import json
import pickle
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import UnreadableRow
from ansible_collections.herdops.alpacon.plugins.module_utils._api.records import (
    Command,
    Server,
    is_same_time,
    is_uuid,
    normalize_uuid,
    parse_commands,
    parse_time,
    to_iso,
)
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.jobs import get_outcome
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.command_results import describe
from ansible_collections.herdops.alpacon.tests.unit.support import (
    COMMAND,
    PUBLISHED_ROW,
    SERVER,
    current_row,
    old_row,
    recorded,
)


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=timezone.utc)  # type: ignore[misc, arg-type]


# Times and UUIDs


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (" 2024-01-15 10:30:44\n", utc(2024, 1, 15, 10, 30, 44)),
        ("2024-01-15T10:30:44.123456789Z", utc(2024, 1, 15, 10, 30, 44, 123456)),
        ("0100-01-01T00:00:00Z", utc(100, 1, 1)),
        ("9000-12-31T00:00:00Z", utc(9000, 12, 31)),
        ("2024-01-15T08:30:44.25-0200", utc(2024, 1, 15, 10, 30, 44, 250000)),
        *((nothing, None) for nothing in [None, "  ", "10:30", 1705314644, "2024-13-01T00:00:00Z"]),
        ("0099-12-31T00:00:00Z", None),
        ("9001-01-01T00:00:00Z", None),
    ],
)
def test_times_with_and_without_zone_and_fraction(text: Any, expected: datetime | None) -> None:
    assert parse_time(text) == expected


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        (utc(2024, 1, 15, 10, 30, 44), "2024-01-15T10:30:44Z"),
        (datetime(2024, 1, 15, 19, 30, 44, 5, timezone(timedelta(hours=9))), "2024-01-15T10:30:44.000005Z"),
        (None, None),
    ],
)
def test_times_are_written_in_utc(time: datetime | None, expected: str | None) -> None:
    assert to_iso(time) == expected


@pytest.mark.parametrize("text", [SERVER.upper(), SERVER.replace("-", ""), f" {SERVER}\n"])
def test_every_spelling_of_a_uuid(text: str) -> None:
    assert is_uuid(text)
    assert normalize_uuid(text) == SERVER


@pytest.mark.parametrize(
    "value", ["", SERVER[:-1], SERVER[:-1] + "g", f"../{SERVER}", f"{SERVER}/", 7, None, [SERVER], "\ud800"]
)
def test_only_uuids_are_normalized(value: Any) -> None:
    assert not is_uuid(value)
    with pytest.raises(UnreadableRow, match="not a UUID"):
        normalize_uuid(value)


# Invalid rows

ODD: list[Any] = [
    *(None, True, 0, 5, -1, 10**400, float("nan"), float("inf"), 1e300),
    *("", "\ud800", "\x1b[31m\0", "x" * 5000),
    *("9999-12-31T23:59:59-23:59", "9999-12-31T23:59:59.999999Z", "0001-01-01T00:00:00+23:59"),
    *([], [5], [[None]], [{"id": {}}], {}, {"id": []}),
    *({"text": [], "message": 5, "cancellable": "yes"}, {"name": {"name": 5}, "id": [5]}),
]


@pytest.mark.parametrize("base", [current_row(status="failed", success=False), old_row("Failed", success=False)])
def test_an_invalid_value_is_ignored(base: dict[str, Any]) -> None:
    for name in {*base, "run_after", "cancellable", "error_phase", "exit_code"} - {"id"}:
        for value in ODD:
            command = Command.from_row({**base, name: value})
            assert command.id == COMMAND
            described = describe(command, None)
            json.dumps(described, allow_nan=False)
            pickle.dumps(command)
            str(described).encode()
            assert is_uuid(command.server.id) or command.server.id is None
            assert isinstance(command.pending, bool)
            assert isinstance(command.parent_failed, bool)
            assert command.latest_schedule is None or command.latest_schedule + timedelta(days=1)


@pytest.mark.parametrize("value", ODD)
def test_a_row_without_a_uuid_is_unreadable(value: Any) -> None:
    with pytest.raises(UnreadableRow):
        Command.from_row(current_row(id=value))
    with pytest.raises(UnreadableRow):
        Command.from_row(value)
    assert Server.from_row({"id": value, "name": value, "groups": value, "is_connected": value}).id is None


def test_unreadable_rows_are_skipped() -> None:
    other = "0b7d9a4e-6f0c-4a5e-9a63-2f1f4f1d2c11"
    rows: list[Any] = [None, current_row(), {}, {"id": 5}, [], current_row(id=other.upper())]
    assert [command.id for command in parse_commands(rows)] == [COMMAND, other]


# Status: word, finished, ran, pending. None stands for "unknown".

WORDS = [
    ("scheduled", "scheduled", False, False, True),
    ("queued", "queued", False, False, True),
    ("verifying", "verifying", False, False, True),
    ("awaiting_approval", "awaiting_approval", False, False, True),
    ("delivered", "delivered", False, None, False),
    ("running", "running", False, None, False),
    ("acked", "running", False, None, False),
    ("success", "success", True, True, False),
    ("completed", "success", True, True, False),
    ("failed", "failed", True, True, False),
    ("denied", "denied", True, False, False),
    ("rejected", "rejected", True, False, False),
    ("expired", "expired", True, False, False),
    ("stuck", "stuck", False, None, False),
    ("error", "error", True, None, False),
    ("cancelled", "cancelled", True, False, False),
    ("canceled", "cancelled", True, False, False),
]


ACKED = "2026-11-24T10:30:45Z"


def facts(command: Command) -> tuple[str, bool, bool | None, bool]:
    return command.status, command.finished, command.ran, command.pending


@pytest.mark.parametrize(("word", "status", "finished", "ran", "pending"), WORDS)
def test_every_word_of_the_lifecycle(word: str, status: str, finished: bool, ran: bool | None, pending: bool) -> None:
    for spelt in (word, word.upper(), word.replace("_", " ").capitalize()):
        # The agent acknowledges a command before it runs it.
        command = Command.from_row(current_row(status=spelt, acked_at=ACKED if ran else None))
        assert facts(command) == (status, finished, ran, pending)


OBJECTS: list[tuple[str, dict[str, Any], str, bool, Any, bool]] = [
    ("Queued", {"cancellable": True}, "queued", False, False, True),
    ("Acked", {}, "running", False, None, False),
    ("Failed", {"success": False}, "failed", True, True, False),
    ("Awaiting approval", {"cancellable": True}, "awaiting_approval", False, False, True),
    # Other fields count more than a translated text.
    ("성공", {"success": False}, "failed", True, True, False),
    ("성공", {"acked_at": ACKED, "delivered_at": ACKED}, "running", False, None, False),
    ("성공", {"delivered_at": ACKED}, "delivered", False, None, False),
    ("예약됨", {"cancellable": False}, "예약됨", False, None, False),
]


@pytest.mark.parametrize(("text", "fields", "status", "finished", "ran", "pending"), OBJECTS)
def test_every_text_of_the_status_object(
    text: str, fields: dict[str, Any], status: str, finished: bool, ran: bool | None, pending: bool
) -> None:
    assert facts(Command.from_row(old_row(text, **fields))) == (status, finished, ran, pending)


@pytest.mark.parametrize("fields", [{}, {"acked_at": ACKED}, {"success": False, "exit_code": 3}])
def test_an_unknown_status_is_kept_and_not_finished(fields: dict[str, Any]) -> None:
    command = Command.from_row(current_row(status="awaiting_moon", **fields))
    assert facts(command) == ("awaiting_moon", False, None, False)


HANDLED: dict[str, Any] = {"handled_at": "2026-11-24T10:30:46Z"}


@pytest.mark.parametrize(
    ("fields", "ran", "rc", "outcome"),
    [
        ({"success": False, "exit_code": 0, **HANDLED}, True, 0, "failed"),
        ({"exit_code": 0, **HANDLED}, True, 0, "success"),
        ({"success": True, **HANDLED}, None, None, "success"),
        ({"success": False, "error_phase": "agent_disconnected", **HANDLED}, None, None, "failed"),
    ],
)
def test_an_unknown_status_of_a_finished_command(
    fields: dict[str, Any], ran: bool | None, rc: int | None, outcome: str
) -> None:
    command = Command.from_row(current_row(status="terminated", cancellable=True, **fields))
    assert facts(command) == ("terminated", True, ran, False)
    assert (command.rc, get_outcome(command)) == (rc, outcome)


# Rows


def test_the_example_of_the_published_page() -> None:
    command = Command.from_row(PUBLISHED_ROW)
    assert (command.id, command.server) == (COMMAND, Server("7e3984de-49ab-4cc6-bcdf-21fbd35858b8"))
    assert (command.line, command.shell, command.status) == ("df -h", "system", "success")
    assert (command.username, command.groupname, command.requested_by_name) == ("ubuntu", "alpacon", "admin")
    assert (command.success, command.rc, command.exit_code, command.cancellable) == (True, 0, None, False)
    assert command.added_at == command.scheduled_at == utc(2024, 1, 15, 10, 30, 44)
    assert command.handled_at == command.end == utc(2024, 1, 15, 10, 30, 45)
    assert command.start == utc(2024, 1, 15, 10, 30, 44, 977000)
    assert not command.may_have_chunks


@pytest.mark.parametrize(
    ("recording", "status", "rc", "result"),
    [
        ("049-retrieve-failed-ls", "failed", 1, "ls: cannot access '/nonexistent': No such file or directory"),
        ("050-retrieve-failed-nullresult", "failed", 1, None),
        ("055-retrieve-acked", "running", None, None),
    ],
)
def test_details_of_2024_that_were_recorded(recording: str, status: str, rc: int | None, result: str | None) -> None:
    command = Command.from_row(recorded(recording))
    assert (command.status, command.rc, command.result) == (status, rc, result)
    assert command.states_times
    assert command.scheduled_at is not None
    assert command.username is None, "details of 2024 leave it out"


def test_times_of_a_list_row_of_2024_come_from_its_message() -> None:
    row = recorded("029-search-line")["results"][0]
    command = Command.from_row(row)
    assert command.end == utc(2026, 11, 24, 5, 39, 43, 504482)
    assert command.start == utc(2026, 11, 24, 5, 39, 43, 484482)
    assert (command.scheduled_at, command.acked_at, command.states_times) == (None, None, False)


def test_create_answers_of_both_shapes() -> None:
    old = Command.from_row(recorded("068-create-minimal"))
    assert (old.status, old.finished, old.server.id) == ("queued", False, SERVER)
    later = Command.from_row(recorded("078-create-scheduled-future"))
    assert (later.status, later.pending) == ("scheduled", True)
    for due, status in (("2026-11-24T10:30:45Z", "queued"), ("2026-11-24T10:30:45.000001Z", "scheduled")):
        assert Command.from_row(current_row(status=None, scheduled_at=due)).status == status


# Derived fields

CASCADE = "Cancelled due to prior commmand failure."
AT: dict[str, Any] = {"success": False, "message": "Failed at 2026-11-27 03:18:09+00:00."}
SECOND_LATER = "2026-11-24T10:30:45Z"
DROPPED, RAN = {"parent_failed": True, "ran": False, "rc": None}, {"parent_failed": False, "ran": True}


def requested(identifier: str | None, name: str | None) -> dict[str, Any]:
    return {"requested_by": identifier, "requested_by_name": name, "states_requester": True}


def failed(**fields: Any) -> dict[str, Any]:
    return current_row(status="failed", success=False, **fields)


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (current_row(server={"id": SERVER, "name": "web-01", "os": "Debian"}), {"server": Server(SERVER, "web-01")}),
        (current_row(requested_by={"id": 1, "username": "bob", "email": "b@example.com"}), requested("1", "bob")),
        (current_row(requested_by=7), requested("7", None)),
        (current_row(requested_by=None, requested_by_name="None"), requested(None, None)),
        ({"id": COMMAND}, {"states_requester": False}),
        (current_row(run_after=[{"id": COMMAND, "line": "true"}]), {"run_after": (COMMAND,)}),
        (current_row(elapsed_time=1e9, response_delay=-5), {"elapsed": 1e9, "response_delay": -5.0}),
        (current_row(elapsed_time=1e9 + 0.5, response_delay=True), {"elapsed": None, "response_delay": None}),
        # A command that is due within a second was not scheduled for later.
        (current_row(scheduled_at=SECOND_LATER), {"was_scheduled": False}),
        (current_row(scheduled_at="2026-11-24T10:30:45.000001Z"), {"was_scheduled": True}),
        (current_row(scheduled_at=None), {"was_scheduled": True}),
        # A delivered command, or one that cannot be cancelled, is not pending.
        (current_row(status="hibernating", cancellable=True), {"pending": True}),
        (current_row(status="hibernating", cancellable=False), {"pending": False}),
        # Stuck is final if the workspace states an error phase.
        (current_row(status="stuck", error_phase="agent_disconnected"), {"finished": True}),
        (current_row(status="stuck"), {"finished": False}),
        # The exit code, or 0 and 1 for success and failure.
        (failed(exit_code=3), {"rc": 3, "hides_rc": False}),
        (failed(acked_at=ACKED, exit_code=2**63), {"rc": 1}),
        (failed(acked_at=ACKED), {"rc": 1, "ran": True, "hides_rc": True}),
        (failed(), {"rc": None, "ran": None, "hides_rc": True}),
        (current_row(status="success"), {"rc": 0, "hides_rc": False}),
        # An agent acknowledges a command before it runs it, and may vanish afterwards.
        (failed(exit_code=1, error_phase="agent_disconnected"), {"ran": True}),
        (failed(acked_at=ACKED, error_phase="agent_timeout"), {"ran": None}),
        # The agent refuses a verified file with an exit code of its own.
        (failed(acked_at=ACKED, exit_code=1, error_phase="file_hash_mismatch"), {"ran": False, "rc": None}),
        (failed(acked_at=ACKED, error_phase="file_future"), {"ran": False, "rc": None}),
        (current_row(status="terminated", success=False, error_phase="file_open_failed", **HANDLED), {"ran": False}),
        (current_row(status="success", exit_code=0, error_phase="file_open_failed"), {"ran": True, "rc": 0}),
        # A command is dropped with the one before it.
        (old_row("Failed", **AT, result=CASCADE), {**DROPPED, "latest_schedule": None, "start": None}),
        (old_row("Failed", **AT, result="boom"), {**RAN, "latest_schedule": utc(2026, 11, 27, 3, 18, 9)}),
        (failed(result=CASCADE), DROPPED),
        (failed(run_after=[COMMAND]), DROPPED),
        (failed(result=CASCADE, delivered_at=ACKED), {"parent_failed": False}),
        (old_row("Failed", success=False, run_after=[COMMAND]), RAN),
        # A missing end stays missing.
        (old_row("Sent", message="Sent at 2026-11-24 10:00:00."), {"handled_at": None}),
        ({**PUBLISHED_ROW, "status": {"text": "Success"}, "elapsed_time": None}, {"end": None, "start": None}),
        # So does a start without a duration, and one of a command that did not run.
        (current_row(status="success", **HANDLED), {"start": None}),
        (failed(result=CASCADE, elapsed_time=1.0), {"start": None}),
    ],
)
def test_derived_fields(row: dict[str, Any], expected: dict[str, Any]) -> None:
    command = Command.from_row(row)
    assert {name: getattr(command, name) for name in expected} == expected


def test_a_cut_result() -> None:
    command = Command.from_row(current_row(result="head\n... [1048000 bytes truncated] ...\ntail\n"))
    assert command.truncated
    assert command.split_result() == ("head", 1048000, "tail\n")
    assert Command.from_row(current_row(result=f"{command.result}{command.result}")).split_result()[0] == "head"
    assert not Command.from_row(current_row(result="head ... tail")).truncated
    assert not Command.from_row(current_row()).truncated


# Servers


def test_fields_of_a_server_without_its_row() -> None:
    times = {"started_at": "2026-01-02T03:04:05Z", "last_connectivity": "2026-01-02T03:05:00Z"}
    server = Server.from_row({"id": SERVER, "name": "web-01", "is_connected": False, "os_version": "13", **times})
    kept = server.without_row()
    assert (kept, kept.fields) == (server, {})
    assert "os_version" not in repr(server), "an error that shows it says no more than a user needs"
    assert (to_iso(kept.started_at), to_iso(kept.last_connectivity)) == tuple(times.values())


@pytest.mark.parametrize(
    ("stated", "wanted", "is_same"),
    [
        ("2026-11-27T13:33:32Z", "2026-11-27T13:33:32.4Z", True),
        ("2026-11-27T13:33:32.4Z", "2026-11-27T13:33:32Z", False),
        ("2026-11-27T13:33:32.4Z", "2026-11-27T13:33:32.5Z", False),
        ("2026-11-27T13:33:32Z", "", False),
    ],
)
def test_times_without_a_fraction_are_the_same(stated: str, wanted: str, is_same: bool) -> None:
    assert is_same_time(parse_time(stated), parse_time(wanted)) is is_same
