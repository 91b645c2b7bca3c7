# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Outcomes of commands that fail, time out or are cancelled, and reads of their servers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.herdops.alpacon.plugins.module_utils._api.client import Client
from ansible_collections.herdops.alpacon.plugins.module_utils._api.commands import CANCELLED, GONE, SENT
from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import AlpaconError, ApiError, LostResponse
from ansible_collections.herdops.alpacon.plugins.module_utils._api.records import Command, Server
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet import completion
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.completion import (
    ServerStates,
    was_restarted,
)
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.jobs import Job, Limits, Outcome
from ansible_collections.herdops.alpacon.plugins.module_utils._options.connection import parse_settings
from ansible_collections.herdops.alpacon.tests.unit.support import CONNECTION, FAR, SERVER, Row, current_row


@pytest.mark.parametrize(
    ("body", "fields", "limits", "seconds", "outcome"),
    [
        ({}, {}, Limits(), 34.9, None),
        ({}, {}, Limits(), 35.0, "error"),
        ({}, {"delivered_at": FAR}, Limits(), 0.0, "error"),
        ({"line": "uptime"}, {}, Limits(), 0.0, "error"),
        ({"line": "uptime"}, {}, Limits(wait_for_approval=True), 90.0, None),
        ({}, {"handled_at": FAR}, Limits(wait_for_approval=True), 0.0, "error"),
    ],
)
def test_status_error_between_approval_and_delivery_is_no_outcome(
    monkeypatch: pytest.MonkeyPatch, body: Row, fields: Row, limits: Limits, seconds: float, outcome: str | None
) -> None:
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(completion, "time", SimpleNamespace(monotonic=lambda: clock.now))
    job = Job(Server(SERVER), body, Command.from_row(current_row(status="error", **fields)), awaited_since=1000.0)
    for clock.now in (1000.0, 1000.0 + seconds):
        completion.finish_by_status(job, limits)
    assert job.outcome == outcome


@pytest.mark.parametrize(
    ("status", "outcome", "cancels"),
    [
        ("queued", "timed_out", True),
        ("scheduled", "timed_out", True),
        ("running", "timed_out", False),
        ("stuck", "stuck", False),
        ("error", "error", False),
    ],
)
def test_timeout_cancels_only_pending_commands_with_cancel_on_timeout(status: str, outcome: str, cancels: bool) -> None:
    for enabled in (True, False):
        job = Job(Server(SERVER), command=Command.from_row(current_row(status=status)))
        assert completion.time_out(job, Limits(cancel_on_timeout=enabled)) is (cancels and enabled)
        assert job.outcome == outcome
        assert f"Last status: {status}." in job.msg


@pytest.mark.parametrize("missing", [0.0, 1000.0])
@pytest.mark.parametrize("adopted", [True, False])
def test_timeout_does_not_cancel_a_command_that_another_task_submitted(adopted: bool, missing: float) -> None:
    command = Command.from_row(current_row())
    job = Job(Server(SERVER), {"line": "uptime"}, command, adopted=adopted, missing_since=missing)
    assert completion.time_out(job, Limits(cancel_on_timeout=True)) is not adopted


@pytest.mark.parametrize(
    ("body", "missing", "done", "outcome", "changed"),
    [
        ({}, 0.0, CANCELLED, "timed_out", True),
        # A submit sets changed as soon as the workspace accepts it.
        ({"line": "uptime"}, 0.0, CANCELLED, "timed_out", False),
        ({}, 0.0, GONE, "timed_out", False),
        ({}, 1000.0, CANCELLED, "timed_out", True),
        ({}, 1000.0, GONE, "unknown", False),
        ({}, 0.0, SENT, "unknown", False),
    ],
)
def test_cancel_after_timeout_changes_only_commands_of_others(
    monkeypatch: pytest.MonkeyPatch, body: Row, missing: float, done: str, outcome: str, changed: bool
) -> None:
    monkeypatch.setattr(completion, "cancel", lambda _client, _command_id: done)
    command = Command.from_row(current_row())
    job = Job(Server(SERVER), body, command, Outcome.UNKNOWN, missing_since=missing)
    with Client(parse_settings(CONNECTION)) as client:
        completion.cancel_expired(client, job)
    assert (job.outcome, job.changed) == (outcome, changed)
    assert (job.submitted.status == "cancelled") is (outcome == "timed_out")


@pytest.mark.parametrize("missing", [0.0, 1000.0])
@pytest.mark.parametrize(
    "done",
    [CANCELLED, GONE, SENT, LostResponse("no answer states that it was cancelled"), ApiError("DELETE", "/", 403)],
)
def test_messages_about_a_cancel_do_not_contradict_each_other(
    monkeypatch: pytest.MonkeyPatch, done: str | AlpaconError, missing: float
) -> None:
    def cancel(_client: Client, _command_id: str) -> str:
        if isinstance(done, AlpaconError):
            raise done
        return done

    monkeypatch.setattr(completion, "cancel", cancel)
    job = Job(Server(SERVER), {"line": "uptime"}, Command.from_row(current_row()), missing_since=missing)
    assert completion.time_out(job, Limits(cancel_on_timeout=True))
    with Client(parse_settings(CONNECTION)) as client:
        completion.cancel_expired(client, job)
    assert ("It could not be cancelled: it was delivered already." in job.msg) is (done == SENT)
    denied, *others = sorted(job.msg.split("could not be cancelled"), key=len)
    assert not others or "cancelled" not in f"{denied}{others}", job.msg


@pytest.mark.parametrize(
    ("done", "missing", "outcome", "ran"),
    [
        (CANCELLED, 0.0, "late", False),
        (CANCELLED, 1000.0, "late", False),
        (GONE, 0.0, "late", False),
        # It may be shown later, so the poll decides.
        (GONE, 1000.0, None, False),
        (SENT, 0.0, None, False),
        (LostResponse("no answer states that it was cancelled"), 0.0, "timed_out", None),
        (ApiError("DELETE", "/", 403), 0.0, "timed_out", None),
    ],
)
def test_only_a_certain_cancel_makes_a_command_late(
    monkeypatch: pytest.MonkeyPatch, done: str | AlpaconError, missing: float, outcome: str | None, ran: bool | None
) -> None:
    def cancel(_client: Client, _command_id: str) -> str:
        if isinstance(done, AlpaconError):
            raise done
        return done

    monkeypatch.setattr(completion, "cancel", cancel)
    job = Job(Server(SERVER), {"line": "uptime"}, Command.from_row(current_row()), missing_since=missing)
    assert job.may_be_late
    with Client(parse_settings(CONNECTION)) as client:
        completion.cancel_late(client, job)
    assert (job.outcome, job.ran, job.may_be_late) == (outcome, ran, outcome == "timed_out")


class OneServer(Client):
    """Return the same server for every request, without a workspace."""

    def get(self, path: str, params: Mapping[str, Any] | None = None, patient: bool = True) -> Any:
        return {"id": SERVER, "name": "web-01", "is_connected": True}


@pytest.fixture
def client() -> Iterator[Client]:
    with OneServer(parse_settings(CONNECTION)) as client:
        yield client


@pytest.mark.parametrize(
    ("status", "seconds"),
    [("queued", [1, 61, 181, 421, 721, 1021]), ("running", [15, 315, 615, 915]), ("held", [])],
)
def test_pauses_between_reads_of_a_server_double_up_to_five_minutes(
    client: Client, status: str, seconds: list[int]
) -> None:
    server_states = ServerStates(Limits(), queued=1)
    job = Job(Server(SERVER, "web-01"), command=Command.from_row(current_row(status=status)))
    assert [now for now in range(1200) if server_states.refresh_due([job], client, now)] == seconds


def test_server_is_read_once_more_at_the_timeout(client: Client) -> None:
    server_states = ServerStates(Limits(wait_timeout=20), queued=60)
    commands = [Command.from_row(current_row(status=status)) for status in ("queued", "held")]
    jobs = [Job(Server(SERVER), command=command, awaited_since=10) for command in commands]
    read = [(now, server_states.refresh_due(jobs, client, now)) for now in (29, 30, 31)]
    assert read == [(29, []), (30, jobs[:1]), (31, [])]


def test_failed_read_of_a_server_changes_nothing(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: Any) -> None:
        raise ApiError("GET", "/api/servers/servers/", 503)

    monkeypatch.setattr(client, "get", fail)
    job = Job(Server(SERVER, is_connected=False), command=Command.from_row(current_row()))
    assert ServerStates(Limits(), queued=1).refresh_due([job], client, 1) == [job]
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
def test_only_an_agent_that_started_later_may_have_lost_a_command(
    status: str, added_at: str | None, started_at: str | None, expected: bool, taken: str
) -> None:
    command = Command.from_row(current_row(status=status, added_at=added_at, **{taken: added_at}))
    server = Server.from_row({"id": SERVER, "started_at": started_at})
    job = Job(server, command=command)
    assert was_restarted(job) is expected
    assert was_restarted(job, command.added_at) is expected


@pytest.mark.parametrize(
    ("acked_at", "started_at", "expected"),
    [
        ("2026-11-24T10:30:44Z", "2026-11-24T10:31:24Z", False),
        ("2026-11-24T10:30:44Z", "2026-11-24T10:31:25Z", True),
        (None, "2026-11-24T10:30:44Z", True),
        (None, "2026-11-24T10:30:43Z", False),
    ],
)
def test_only_a_command_acknowledged_long_before_the_start_may_be_lost(
    client: Client, monkeypatch: pytest.MonkeyPatch, acked_at: str | None, started_at: str, expected: bool
) -> None:
    monkeypatch.setattr(completion, "poll_job", lambda _client, _job: None)
    monkeypatch.setattr(completion, "fetch_newest_chunk", lambda _client, _command: None)
    row = current_row(status="running", delivered_at="2026-11-24T10:30:43Z", acked_at=acked_at)
    job = Job(Server.from_row({"id": SERVER, "started_at": started_at}), command=Command.from_row(row))
    server_states = ServerStates(Limits(), queued=1)
    assert [server_states.is_lost_by_restart(job, client, now) for now in (0, 34.9, 35)] == [False, False, expected]
