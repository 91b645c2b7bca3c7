# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A workspace whose clock is an hour ahead or behind: ages and times mean what they mean by its clock."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from system.auditing import HELLO, audit, hosts
from system.conftest import Connect
from system.registering import manage_token
from system.support import Clock, body_for, info, lookup_options, run
from workspace.client import Workspace

from ansible_collections.herdops.alpacon.plugins.module_utils._api.commands import submit
from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import LostAnswer, UsageError
from ansible_collections.herdops.alpacon.plugins.module_utils._api.lost_submits import LostSubmit, find_submitted
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.command_lookup import run_lookup
from ansible_collections.herdops.alpacon.tests.unit.support import LIST, Row

HOUR = 3600
LINE = "echo hello"
TIMES = ("added_at", "scheduled_at", "delivered_at", "acked_at", "handled_at")


@pytest.fixture(params=[HOUR, -HOUR], ids=["ahead", "behind"])
def skewed(request: pytest.FixtureRequest, current: Workspace) -> Workspace:
    """A workspace whose clock is an hour ahead, and one whose clock is an hour behind."""
    current.settings(clock_skew=request.param)
    return current


def add(workspace: Workspace, age: float, **fields: Any) -> str:
    """Add a command that succeeded so many seconds ago."""
    times = dict.fromkeys(TIMES, -age)
    row = {"server": "web-01", "line": LINE, "status": "success", "result": "hello", **times, **fields}
    [command] = workspace.add_commands([row])
    return command


def first(workspace: Workspace) -> str:
    """The UUID of a server, which is taken as it is: the first answer is that of the question itself."""
    return workspace.server_ids()["web-01"]


def skew(workspace: Workspace) -> timedelta:
    """By how much the workspace's clock is ahead."""
    return timedelta(seconds=workspace.state()["switches"]["clock_skew"])


def by_its_clock(workspace: Workspace, seconds: float) -> str:
    """The time in so many seconds by the workspace's clock."""
    return (datetime.now(UTC) + skew(workspace) + timedelta(seconds=seconds)).isoformat()


def test_the_stand_in_states_one_time_everywhere(skewed: Workspace, connect: Connect) -> None:
    client, due = connect(skewed), by_its_clock(skewed, 600)
    client.get(LIST)  # no answer, no clock
    command = submit(client, body_for(skewed, scheduled_at=due))
    assert command.scheduled_at == datetime.fromisoformat(due)
    assert command.added_at is not None
    assert abs((command.added_at - client.clock.now()).total_seconds()) < 5
    [row] = client.get(LIST, {"is_scheduled": "true"})["results"]
    assert row["status"] == "scheduled"


@pytest.mark.parametrize(("age", "reused"), [(1500, True), (2100, False)])
def test_a_command_is_reused_by_its_age(skewed: Workspace, age: float, reused: bool) -> None:
    older = add(skewed, age)
    task: Row = {"servers": [first(skewed)], "line": LINE, "reuse_within": "30m"}
    assert (run(skewed, check_mode=True, **task)["id"] == older) is reused


@pytest.mark.parametrize(("age", "reused"), [(1500, True), (2100, False)])
def test_an_answer_of_an_audit_is_reused_by_its_age(skewed: Workspace, age: float, reused: bool) -> None:
    asked = audit(skewed, HELLO, of=hosts("web-01"), reuse_within="30m").the_result["command"]
    skewed.change_command(asked, **dict.fromkeys(TIMES, -age))
    done = audit(skewed, HELLO, of=hosts("web-01"), reuse_within="30m")
    assert done.the_result["reused"] is reused


def test_a_submit_whose_answer_is_lost_is_found_again(skewed: Workspace, connect: Connect, clock: Clock) -> None:
    body, client = body_for(skewed, line=LINE), connect(skewed, sleep=clock.sleep)
    client.get(LIST)
    older = add(skewed, 60)
    skewed.fault("lose_after", method="POST", path=LIST, times=1)
    sent_at = time.time()
    with pytest.raises(LostAnswer):
        submit(client, body)
    [seen] = find_submitted(client, [LostSubmit(body, sent_at)], frozenset())
    [made] = {row["id"] for row in skewed.commands(line=LINE)} - {older}
    assert (seen.command and seen.command.id, [command.id for command in seen.candidates]) == (made, [made])


def test_a_listing_goes_back_by_age(skewed: Workspace) -> None:
    young, old = add(skewed, 1500), add(skewed, 2100)
    for given, expected in (({"since": "30m"}, young), ({"until": "30m"}, old)):
        assert [command["id"] for command in info(skewed, **given).commands] == [expected]


def test_an_age_and_a_time_are_compared_by_its_clock(skewed: Workspace) -> None:
    young = add(skewed, 1500)
    since, until = by_its_clock(skewed, -1600), by_its_clock(skewed, -1400)
    assert [command["id"] for command in info(skewed, since="30m", until=until).commands] == [young]
    assert [command["id"] for command in info(skewed, since=since, until="20m").commands] == [young]
    with pytest.raises(UsageError, match="since: it is later than until"):
        info(skewed, since="20m", until=until)


def test_what_is_scheduled_is_told_by_its_clock(skewed: Workspace) -> None:
    waits = add(skewed, 60, scheduled_at=1800, status="scheduled")
    ran = add(skewed, 60)
    for scheduled, expected in ((True, waits), (False, ran)):
        assert [command["id"] for command in info(skewed, is_scheduled=scheduled).commands] == [expected]


@pytest.mark.parametrize(("age", "found"), [(1500, True), (2100, False)])
def test_the_lookup_goes_back_by_age(skewed: Workspace, age: float, found: bool) -> None:
    add(skewed, age)
    options = lookup_options(skewed, within="30m")
    [output] = run_lookup([first(skewed)], options, pytest.fail)
    assert output == ("hello" if found else None)


def test_a_schedule_is_in_the_past_by_its_clock(skewed: Workspace) -> None:
    task: Row = {"state": "scheduled", "servers": [first(skewed)], "line": LINE}
    assert run(skewed, **task, scheduled_at=by_its_clock(skewed, 1800)).changed
    with pytest.raises(UsageError, match="is in the past"):
        run(skewed, **task, scheduled_at=by_its_clock(skewed, -1800))


def test_a_registration_token_expires_by_its_clock(skewed: Workspace) -> None:
    made = manage_token(skewed, expires_in="30m")
    expires = datetime.fromisoformat(made["expires_at"])
    assert abs((expires - datetime.fromisoformat(by_its_clock(skewed, 1800))).total_seconds()) < 5
    assert not manage_token(skewed, expires_in="30m").changed
    for token in skewed.registration_tokens():
        assert registers(skewed, token["key"])


@pytest.mark.parametrize("state", ["present", "rotated"])
def test_a_date_of_a_registration_token_is_in_the_past_by_its_clock(skewed: Workspace, state: str) -> None:
    made = manage_token(skewed, state=state, expires_at=by_its_clock(skewed, 1800))
    assert registers(skewed, made["key"])
    with pytest.raises(UsageError, match=r"expires_at: .* is in the past"):
        manage_token(skewed, name="other", state=state, expires_at=by_its_clock(skewed, -1800))
    assert len(skewed.registration_tokens()) == 1


def test_a_registration_token_that_has_expired_by_its_clock_is_replaced(skewed: Workspace) -> None:
    expired = skewed.add_registration_token(expires_at=-1800)["id"]
    assert manage_token(skewed)["deleted"] == [expired]


def registers(workspace: Workspace, key: str) -> bool:
    """Whether a server can register with that key."""
    body = {"name": "web", "platform": "debian"}
    return bool(workspace.api("POST", "servers/servers/register/", token=key, json=body).status_code == 201)


def test_what_ran_at_a_time_gone_by_is_found_on_several(skewed: Workspace) -> None:
    gone_by = datetime.now(UTC) - timedelta(minutes=30)
    for name in ("web-01", "web-02"):
        add(skewed, 1800, server=name, added_at=-7200, scheduled_at=gone_by.isoformat())
    servers = [skewed.server_ids()[name] for name in ("web-01", "web-02")]
    again = run(
        skewed, state="scheduled", servers=servers, line=LINE, scheduled_at=(gone_by + skew(skewed)).isoformat()
    )
    assert (again.changed, again["summary"]) == (False, {"success": 2})


def test_chunks_of_a_command_that_has_just_ended_are_waited_for(skewed: Workspace) -> None:
    late = {"seq": 0, "content": "a", "delay": 1.0}
    command = add(skewed, 0, result="", chunks=[late, "b\n"])
    done = run(skewed, state="finished", ids=[command])
    assert (done["stdout"], done["output_complete"]) == ("ab", True)
