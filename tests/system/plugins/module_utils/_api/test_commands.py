# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Commands over the API: submit, get and cancel."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from system.conftest import Connect
from system.support import Clock, Reply, ScriptedServer, body_for, in_every_dialect, methods
from workspace.client import Workspace

from ansible_collections.herdops.alpacon.plugins.module_utils._api.commands import (
    CANCELLED,
    GONE,
    SENT,
    cancel,
    get_command,
    submit,
)
from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import (
    ApiError,
    LostAnswer,
    NotCancellable,
)
from ansible_collections.herdops.alpacon.tests.unit.support import (
    COMMAND,
    FAR,
    LIST,
    NO_COMMAND,
    OTHER_SERVER,
    SERVER,
    Row,
    current_row,
)

Serve = Callable[..., ScriptedServer]


# Submit


@in_every_dialect
def test_a_submit_gives_the_command(workspace: Workspace, connect: Connect) -> None:
    command = submit(connect(workspace), body_for(workspace))
    [made] = workspace.commands()
    assert (command.id, command.line) == (made["id"], "echo hello")
    assert command.server.id == workspace.server_ids()["web-01"]
    assert methods(workspace) == {"POST": 1}


def test_everything_that_may_be_asked_for_arrives(current: Workspace, connect: Connect) -> None:
    parent = current.submit("web-02", "true", scheduled_at=FAR)
    body = body_for(current, username="root", groupname="root", scheduled_at=FAR, run_after=[parent])
    body |= {"env": {"PGPASSWORD": "x"}, "purpose": "tests", "work_session": SERVER}
    command = submit(connect(current), body)
    [made] = current.commands(id=command.id)
    assert (made["env_keys"], made["purpose"], made["work_session"]) == (["PGPASSWORD"], "tests", SERVER)
    assert command.run_after == (parent,)
    assert command.status == "scheduled"
    assert (command.username, command.groupname) == ("root", "root")


@pytest.mark.parametrize("answer", [current_row(), [current_row()]])
def test_answers_of_both_shapes(serve: Serve, connect: Connect, answer: Any) -> None:
    assert submit(connect(serve([Reply(answer, 201)])), {}).id == COMMAND


@pytest.mark.parametrize("answer", [None, [], {}, {"detail": "?"}, [None], "[7]", {"id": None}])
def test_an_answer_without_a_command_is_a_lost_one(serve: Serve, connect: Connect, answer: Any) -> None:
    server = serve([Reply(answer, 201)])
    with pytest.raises(LostAnswer, match="without a command in it"):
        submit(connect(server), {})
    assert len(server.requests) == 1


OTHER_COMMAND = "8d3f4f7e-95d9-4a5b-8b1e-0d5a6c1f7e22"


@pytest.mark.parametrize(
    "answer", [[{"id": 5}], {"id": 5, "line": "uptime"}, {"id": "../x"}, {"id": [COMMAND]}, {"id": True}, {"id": {}}]
)
def test_an_answer_whose_id_is_no_uuid_is_a_lost_one(serve: Serve, connect: Connect, answer: Any) -> None:
    with pytest.raises(LostAnswer, match="without a command in it"):
        submit(connect(serve([Reply(answer, 201)])), {})


@pytest.mark.parametrize(
    "row",
    [
        current_row(server={"id": OTHER_SERVER, "name": "web-02"}),
        current_row(line="rm -rf /tmp/x"),
        {"id": COMMAND, "server": {"name": "web-01"}},
    ],
)
def test_an_answer_with_another_command_is_a_lost_one(serve: Serve, connect: Connect, row: Row) -> None:
    with pytest.raises(LostAnswer, match=f"another command in it than was submitted: {COMMAND} for web-0"):
        submit(connect(serve([Reply([row], 201)])), {"server": SERVER, "line": "uptime"})


def test_more_commands_than_asked_for_are_named(serve: Serve, connect: Connect) -> None:
    other = current_row(id=OTHER_COMMAND, server={"id": OTHER_SERVER, "name": "web-02"})
    answer = Reply([other, {"id": 7}, current_row()], 201)
    command = submit(connect(serve([answer])), {"server": SERVER, "line": " uptime "})
    assert (command.id, command.surplus) == (COMMAND, (OTHER_COMMAND,))


@pytest.mark.parametrize(
    "row", [{"id": COMMAND, "server": SERVER}, {"id": COMMAND.upper(), "line": "uptime", "server": 5}]
)
def test_an_answer_that_says_little_is_believed(serve: Serve, connect: Connect, row: Row) -> None:
    command = submit(connect(serve([Reply(row, 201)])), {"server": SERVER, "line": "uptime"})
    assert (command.id, command.surplus) == (COMMAND, ())


REFUSALS: list[tuple[str, Row, dict[str, str]]] = [
    (
        "a line that the access list does not allow",
        {"line": "reboot"},
        {
            "current": "api_token_acl_not_allowed",
            "published": "api_token_acl_not_allowed",
            "2024": "api_token_acl_not_allowed",
        },
    ),
    (
        "a user that is not registered",
        {"username": "nobody-at-all"},
        dict.fromkeys(("current", "published", "2024"), "The command names username nobody-at-all."),
    ),
    (
        "a server that is not there",
        {"server": NO_COMMAND},
        {"current": "invalid_command", "published": "invalid_command", "2024": "object does not exist"},
    ),
    (
        "a line that is too long",
        {"line": "x" * 3000},
        {"current": "invalid_command", "published": "invalid_command", "2024": "no more than 512"},
    ),
]


@in_every_dialect
@pytest.mark.parametrize(("case", "fields", "words"), REFUSALS)
def test_a_submit_that_is_refused_says_why(
    workspace: Workspace, connect: Connect, case: str, fields: Row, words: dict[str, str]
) -> None:
    workspace.settings(acl={"admin": ["echo *", "x*"]})
    with pytest.raises(ApiError) as caught:
        submit(connect(workspace), body_for(workspace, **fields))
    assert words[workspace.dialect] in str(caught.value), case
    assert workspace.commands() == []
    assert methods(workspace) == {"POST": 1}


# Cancel


@in_every_dialect
@pytest.mark.parametrize("mode", ["mark", "delete"])
def test_a_command_that_waits_is_cancelled_once(workspace: Workspace, connect: Connect, mode: str) -> None:
    workspace.settings(cancel_mode=mode)
    client = connect(workspace)
    command_id = workspace.submit("web-01", "echo hello", scheduled_at=FAR)
    assert cancel(client, command_id) == CANCELLED
    if mode == "delete":
        assert cancel(client, command_id) == GONE
        assert workspace.commands() == []
    else:
        assert get_command(client, command_id).status == "cancelled"


@in_every_dialect
@pytest.mark.parametrize("status", ["delivered", "running", "success", "failed"])
def test_a_command_that_was_delivered_cannot_be_cancelled(workspace: Workspace, connect: Connect, status: str) -> None:
    workspace.add_servers("bare-01", connected=True)
    [command_id] = workspace.add_commands([{"server": "bare-01", "status": status}])
    assert cancel(connect(workspace), command_id) == SENT
    assert workspace.commands()[0]["status"] == status


def test_a_refusal_without_a_code_says_by_its_status_that_it_was_delivered(serve: Serve, connect: Connect) -> None:
    server = serve([Reply({}, 409), Reply(current_row(status="running"))])
    assert cancel(connect(server), COMMAND) == SENT


def test_what_cannot_be_looked_at_after_a_refusal_is_called_sent(serve: Serve, connect: Connect) -> None:
    server = serve([Reply({"code": "event_command_already_sent"}, 409), Reply({"code": "forbidden"}, 403)])
    assert cancel(connect(server), COMMAND) == SENT


def test_a_cancel_of_which_nothing_can_be_seen_is_a_lost_one(serve: Serve, connect: Connect) -> None:
    server = serve([Reply({}, 200), Reply({"code": "forbidden"}, 403)])
    with pytest.raises(LostAnswer, match="whether the command still waits could not be seen"):
        cancel(connect(server), COMMAND)


@pytest.mark.parametrize("status", ["denied", "rejected", "expired", "cancelled"])
def test_what_is_over_at_that_moment_is_not_called_sent(serve: Serve, connect: Connect, status: str) -> None:
    server = serve([Reply({"code": "event_command_already_sent"}, 409), Reply(current_row(status=status))])
    assert cancel(connect(server), COMMAND) == GONE
    assert [request.method for request in server.requests] == ["DELETE", "GET"]


@in_every_dialect
def test_a_command_that_is_not_there_is_gone(workspace: Workspace, connect: Connect) -> None:
    assert cancel(connect(workspace), NO_COMMAND) == GONE


@pytest.mark.parametrize(
    ("code", "words"), [("forbidden", "The token may not do this"), ("api_token_scope_missing", "lacks a scope")]
)
def test_a_cancel_that_is_refused_is_an_error(serve: Serve, connect: Connect, code: str, words: str) -> None:
    with pytest.raises(ApiError, match=words):
        cancel(connect(serve([Reply({"code": code}, 403)])), COMMAND)


@pytest.mark.parametrize(
    ("status", "cancellable", "is_held"),
    [
        ("awaiting_approval", True, True),
        ("queued", False, True),
        ("queued", None, False),
        ("queued", True, False),
        ("running", False, False),
    ],
)
def test_what_is_held_may_still_run_though_it_cannot_be_cancelled(
    serve: Serve, connect: Connect, status: str, cancellable: bool | None, is_held: bool
) -> None:
    refused = Reply({"code": "event_command_already_sent"}, 409)
    client = connect(serve([refused, Reply(current_row(status=status, cancellable=cancellable))]))
    if is_held:
        with pytest.raises(NotCancellable, match=f"cancelled while it is {status}. It may still run"):
            cancel(client, COMMAND)
    else:
        assert cancel(client, COMMAND) == SENT


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (current_row(status="cancelled"), CANCELLED),
        (current_row(status="running", delivered_at=FAR), SENT),
        (current_row(status="success"), SENT),
        (current_row(status="denied"), GONE),
        (None, CANCELLED),
    ],
)
def test_a_cancel_whose_answer_was_lost_is_known_by_the_command(
    serve: Serve, connect: Connect, row: Row | None, expected: str
) -> None:
    seen = Reply({"detail": "Not found."}, 404) if row is None else Reply(row)
    server = serve([Reply(status=502), seen])
    assert cancel(connect(server), COMMAND) == expected
    assert [request.method for request in server.requests] == ["DELETE", "GET"]


@pytest.mark.parametrize(("code", "status"), [(200, "running"), (200, "delivered"), (207, "running")])
def test_an_answer_that_says_something_else_is_no_cancelling(
    serve: Serve, connect: Connect, code: int, status: str
) -> None:
    row = current_row(status=status, delivered_at=FAR)
    server = serve([Reply(row, code), Reply(row)])
    assert cancel(connect(server), COMMAND) == SENT
    assert [request.method for request in server.requests] == ["DELETE", "GET"]


@pytest.mark.parametrize("status", ["scheduled", "awaiting_approval"])
def test_an_answer_of_a_command_that_still_waits_is_no_cancelling(
    serve: Serve, connect: Connect, clock: Clock, status: str
) -> None:
    server = serve([Reply(current_row(status=status)), Reply(current_row(status=status))])
    with pytest.raises(LostAnswer, match="no answer said that it was cancelled and the command still waits"):
        cancel(connect(server, sleep=clock.sleep), COMMAND)
    assert clock.passed >= 15


@pytest.mark.parametrize("answer", [Reply(current_row(status="cancelled")), Reply(status=204)])
def test_an_answer_that_says_so_is_believed(serve: Serve, connect: Connect, answer: Reply) -> None:
    server = serve([answer])
    assert cancel(connect(server), COMMAND) == CANCELLED
    assert [request.method for request in server.requests] == ["DELETE"]


# Get


def test_the_detail_of_another_command_is_no_answer(serve: Serve, connect: Connect) -> None:
    client = connect(serve([Reply(current_row(id=NO_COMMAND))]))
    with pytest.raises(LostAnswer, match=f"the answer is another command, {NO_COMMAND}"):
        get_command(client, COMMAND)


@in_every_dialect
def test_a_command_that_is_not_there(workspace: Workspace, connect: Connect) -> None:
    with pytest.raises(ApiError, match=re.escape(f"GET {LIST}{NO_COMMAND}/: HTTP 404")):
        get_command(connect(workspace), NO_COMMAND)
