# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Writes whose answer is lost, on a real workspace: one POST, one command, whatever happens to the answer."""

from __future__ import annotations

import pytest
from unit.conftest import Connect
from unit.support import FAR, LIST, Clock, Row, body_for, methods, paths
from workspace.client import Workspace

from ansible_collections.herdops.alpacon.plugins.module_utils import _commands
from ansible_collections.herdops.alpacon.plugins.module_utils._errors import ApiError, LostAnswer
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet import Fleet, Job, Limits
from ansible_collections.herdops.alpacon.plugins.module_utils._model import Server

#: Faults that let the workspace do its work, and then lose what it answers.
LOST: dict[str, Row] = {
    "the connection is closed": {"kind": "lose_after"},
    "the connection breaks in the body": {"kind": "reset"},
    "500": {"kind": "status_after", "status": 500},
    "502": {"kind": "status_after", "status": 502},
    "504": {"kind": "status_after", "status": 504},
    "504 with a body": {"kind": "status_after", "status": 504, "body": '{"detail": "Gateway timeout."}'},
    "503 of a proxy": {"kind": "status_after", "status": 503},
    "503 with a code": {"kind": "status_after", "status": 503, "body": '{"code": "AUTH_VERIFICATION_UNAVAILABLE"}'},
    "a redirect": {"kind": "status_after", "status": 302, "headers": {"Location": "/login/"}},
    "a page of a proxy": {"kind": "html"},
    "half of the body": {"kind": "truncate"},
    "half of the body, with a length that fits": {"kind": "truncate", "length": "correct"},
    "no answer at all": {"kind": "timeout_after"},
}

LINE = "echo once"


def patience(fault: str) -> int:
    """A short time-out where the test has to sit it out, else one that no busy machine meets."""
    return 2 if LOST[fault]["kind"] == "timeout_after" else 60


def later(workspace: Workspace, server: str = "web-01") -> Row:
    """What a submit sends that nothing delivers during a test."""
    return body_for(workspace, server, line=LINE, scheduled_at=FAR)


@pytest.mark.parametrize("fault", LOST)
def test_a_submit_whose_answer_is_lost_is_not_repeated(
    workspace: Workspace, connect: Connect, clock: Clock, fault: str
) -> None:
    body = later(workspace)
    workspace.fault(method="POST", path=LIST, times=1, **LOST[fault])
    with pytest.raises(LostAnswer):
        _commands.submit(connect(workspace, request_timeout=patience(fault), sleep=clock.sleep), body)
    assert methods(workspace)["POST"] == 1
    assert len(workspace.commands(line=LINE)) == 1
    assert clock.slept == []


@pytest.mark.parametrize("fault", LOST)
def test_a_submit_whose_answer_is_lost_is_found_again(
    workspace: Workspace, connect: Connect, clock: Clock, fault: str
) -> None:
    client = connect(workspace, request_timeout=patience(fault), sleep=clock.sleep)
    client.get(LIST)
    job = Job(Server(None), body=later(workspace))
    workspace.fault(method="POST", path=LIST, times=1, **LOST[fault])
    Fleet(client, Limits(wait=False), sleep=clock.sleep).run([job])
    [command] = workspace.commands(line=LINE)
    assert (job.outcome, job.id, job.changed) == ("pending", command["id"], True)
    assert "it was found in the workspace" in job.msg
    assert methods(workspace)["POST"] == 1


@pytest.mark.parametrize("kind", ["lose_before", "status"])
def test_a_submit_that_may_or_may_not_have_arrived_is_unknown(
    current: Workspace, connect: Connect, clock: Clock, kind: str
) -> None:
    client = connect(current, sleep=clock.sleep)
    job = Job(Server(None), body=later(current))
    current.fault(kind, method="POST", path=LIST, times=1, status=502)
    Fleet(client, Limits(wait=False), sleep=clock.sleep).run([job])
    assert (job.outcome, job.id, job.changed) == ("unknown", None, True)
    assert "No such command was seen" in job.msg
    assert methods(current)["POST"] == 1
    assert current.commands() == []


def test_a_submit_that_was_not_accepted_is_sent_until_it_is(
    workspace: Workspace, connect: Connect, clock: Clock
) -> None:
    workspace.fault("status", method="POST", path=LIST, times=2, status=429, headers={"Retry-After": "2"})
    command = _commands.submit(connect(workspace, sleep=clock.sleep), later(workspace))
    assert [row["id"] for row in workspace.commands(line=LINE)] == [command.id]
    assert methods(workspace)["POST"] == 3


def test_a_submit_to_an_offline_server_is_sent_once(workspace: Workspace, connect: Connect, clock: Clock) -> None:
    workspace.add_servers("off-01", connected=False)
    workspace.settings(offline_mode="refuse")
    with pytest.raises(ApiError) as caught:
        _commands.submit(connect(workspace, sleep=clock.sleep), later(workspace, "off-01"))
    assert caught.value.code == "server_not_connected"
    assert methods(workspace)["POST"] == 1
    assert clock.slept == []


@pytest.mark.parametrize("fault", LOST)
def test_a_cancel_whose_answer_is_lost_is_not_repeated_but_looked_after(
    workspace: Workspace, connect: Connect, clock: Clock, fault: str
) -> None:
    client = connect(workspace, request_timeout=patience(fault), sleep=clock.sleep)
    command = _commands.submit(client, later(workspace))
    workspace.fault(method="DELETE", path=LIST, times=1, **LOST[fault])
    assert _commands.cancel(client, command.id) == _commands.CANCELLED
    assert methods(workspace)["DELETE"] == 1


def test_a_cancel_that_did_not_arrive_says_so(current: Workspace, connect: Connect, clock: Clock) -> None:
    client = connect(current, sleep=clock.sleep)
    command = _commands.submit(client, later(current))
    current.fault("lose_before", method="DELETE", path=LIST, times=1)
    with pytest.raises(LostAnswer, match="the command still waits"):
        _commands.cancel(client, command.id)
    assert methods(current)["DELETE"] == 1


def test_an_equal_command_of_another_requester_is_not_taken(
    workspace: Workspace, connect: Connect, clock: Clock
) -> None:
    client = connect(workspace, sleep=clock.sleep)
    job = Job(Server(None), body=later(workspace))
    # Somebody else submits the same, in the same second, and the own submit never arrives.
    row = {"server": "web-01", "line": LINE, "scheduled_at": FAR, "requested_by": "carol", "added_at": 1}
    theirs = workspace.add_commands([row])
    workspace.fault("lose_before", method="POST", path=LIST, times=1)
    client.get(LIST)
    Fleet(client, Limits(wait=False), sleep=clock.sleep).run([job])
    assert (job.outcome, job.id) == ("unknown", None)
    assert [row["id"] for row in workspace.commands()] == theirs
    assert paths(workspace).count("/api/iam/users/-/") == 1
