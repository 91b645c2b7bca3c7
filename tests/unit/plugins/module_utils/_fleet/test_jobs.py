# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Jobs and their outcomes."""

from __future__ import annotations

import time
from typing import Any

import pytest

from ansible_collections.herdops.alpacon.plugins.module_utils._api.client import Client, Deadlines
from ansible_collections.herdops.alpacon.plugins.module_utils._api.records import Command, Server
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.jobs import (
    OK_OUTCOMES,
    Job,
    Limits,
    Outcome,
    get_digest,
    get_outcome,
    merge_servers,
)
from ansible_collections.herdops.alpacon.plugins.module_utils._options.connection import parse_settings
from ansible_collections.herdops.alpacon.plugins.module_utils._payload.packing import NOT_AFTER
from ansible_collections.herdops.alpacon.tests.unit.support import CONNECTION, OTHER_SERVER, SERVER, current_row


@pytest.mark.parametrize(
    ("status", "outcome", "ran"),
    [
        ("success", Outcome.SUCCESS, True),
        ("queued", None, False),
        # It may have run since the last poll.
        ("queued", Outcome.TIMED_OUT, None),
        ("cancelled", Outcome.TIMED_OUT, False),
        (None, Outcome.REFUSED, False),
        (None, Outcome.UNKNOWN, None),
    ],
)
def test_ran_is_none_if_the_command_may_have_run(status: str | None, outcome: Outcome | None, ran: bool | None) -> None:
    command = Command.from_row(current_row(status=status)) if status else None
    assert Job(Server(SERVER), command=command, outcome=outcome).ran is ran


@pytest.mark.parametrize(
    ("known", "read", "together"),
    [
        (Server(SERVER), Server(SERVER, "web-01"), Server(SERVER, "web-01")),
        (Server(None, "web-01"), Server(SERVER, "WEB-01"), Server(SERVER, "web-01")),
        (Server(SERVER, "web-01"), Server(OTHER_SERVER, "web-02"), Server(SERVER, "web-01")),
        (Server(SERVER, None, True, False), Server(SERVER, "web-01"), Server(SERVER, "web-01", True, False)),
    ],
)
def test_merge_adds_missing_fields_of_a_server(known: Server, read: Server, together: Server) -> None:
    assert merge_servers(known, read) == together


def test_a_note_is_added_once() -> None:
    job = Job(Server(SERVER))
    for note in ("It waits.", "It was found.", "It waits."):
        job.add_note(note)
    assert job.note == "It waits. It was found."


def test_reads_end_with_the_first_timeout_and_wait_an_hour_longer_for_the_quota() -> None:
    now = time.monotonic()
    limits, jobs = Limits(wait_timeout=100), [Job(Server(SERVER), awaited_since=now + seconds) for seconds in (0, 60)]
    with Client(parse_settings(CONNECTION)) as client:
        assert limits.limit_reads(client, jobs).deadlines == Deadlines(now + 160 + 3600, reads=now + 100)
        assert limits.limit_reads(client, [Job(Server(SERVER))]).deadlines == client.deadlines
        jobs[0].awaited_since -= 200
        assert now <= limits.limit_reads(client, jobs).deadlines.reads <= time.monotonic()


@pytest.mark.parametrize(("offline", "is_ok"), [("wait", False), ("fail", False), ("skip", True)])
def test_offline_is_ok_only_with_offline_skip(offline: str, is_ok: bool) -> None:
    assert (Outcome.OFFLINE in Limits(offline=offline).ok_outcomes) is is_ok
    assert Limits(offline=offline).ok_outcomes >= OK_OUTCOMES


@pytest.mark.parametrize(
    ("fields", "outcome"),
    [
        ({"exit_code": 0}, "failed"),
        ({"exit_code": 2, "error_phase": "remote_command_exceeded_timeout"}, "failed"),
        ({"exit_code": None}, "failed"),
        ({"exit_code": 2}, "success"),
        ({"exit_code": 3}, "failed"),
    ],
)
def test_outcome_of_a_failed_command_depends_on_its_exit_code(fields: dict[str, Any], outcome: str) -> None:
    command = Command.from_row(current_row(status="failed", success=False, **fields))
    assert get_outcome(command, {0, 2}) == outcome


@pytest.mark.parametrize(("codes", "outcome"), [({0}, "success"), ({1, 2}, "failed")])
def test_success_with_an_unknown_status_has_exit_code_0(codes: set[int], outcome: str) -> None:
    command = Command.from_row(current_row(status="well done", success=True, handled_at="2026-11-24T10:30:45Z"))
    assert get_outcome(command, codes) == outcome


def test_submits_that_differ_in_their_not_after_only_are_equal() -> None:
    plain: dict[str, Any] = {"server": SERVER, "line": "x", "env": {"A": "1"}}
    first, second = ({**plain, "env": {"A": "1", NOT_AFTER: end}} for end in ("1", "2"))
    assert get_digest(first) == get_digest(second) == get_digest(plain)
    assert get_digest({**first, "env": {**first["env"], "A": "2"}}) != get_digest(first)
