# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test submit, get and cancel over the API."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from system.conftest import Connect
from system.support import FakeClock, Response, ScriptedServer

from ansible_collections.herdops.alpacon.plugins.module_utils._api.commands import (
    CANCELLED,
    GONE,
    SENT,
    cancel,
    get_command,
    submit,
)
from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import ApiError, LostResponse, NotCancellable
from ansible_collections.herdops.alpacon.tests.unit.support import (
    COMMAND,
    FAR,
    NO_COMMAND,
    OTHER_SERVER,
    SERVER,
    Row,
    current_row,
)

Serve = Callable[..., ScriptedServer]

# Submit


@pytest.mark.parametrize("answer", [current_row(), [current_row()], {"id": COMMAND.upper(), "line": "uptime"}])
def test_every_shape_of_a_submit_response_is_parsed(serve: Serve, connect: Connect, answer: Any) -> None:
    command = submit(connect(serve([Response(answer, 201)])), {"server": SERVER, "line": "uptime"})
    assert (command.id, command.surplus) == (COMMAND, ())


@pytest.mark.parametrize("answer", [None, [], {"detail": "?"}, [None], {"id": "../x"}])
def test_a_response_without_a_command_is_lost(serve: Serve, connect: Connect, answer: Any) -> None:
    server = serve([Response(answer, 201)])
    with pytest.raises(LostResponse, match="without a command"):
        submit(connect(server), {})
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "row",
    [
        current_row(server={"id": OTHER_SERVER, "name": "web-02"}),
        current_row(line="rm -rf /tmp/x"),
    ],
)
def test_a_response_with_another_command_is_lost(serve: Serve, connect: Connect, row: Row) -> None:
    with pytest.raises(LostResponse, match=f"a command other than the submitted one: {COMMAND} for web-0") as caught:
        submit(connect(serve([Response([row], 201)])), {"server": SERVER, "line": "uptime"})
    assert caught.value.others == (COMMAND,)


def test_surplus_commands_of_a_response_are_named(serve: Serve, connect: Connect) -> None:
    other = current_row(id=NO_COMMAND, server={"id": OTHER_SERVER, "name": "web-02"})
    answer = Response([other, {"id": 7}, current_row()], 201)
    command = submit(connect(serve([answer])), {"server": SERVER, "line": " uptime "})
    assert (command.id, command.surplus) == (COMMAND, (NO_COMMAND,))


# Cancel

TOO_LATE = Response({"code": "event_command_already_sent"}, 409)
MISSING = Response({"detail": "Not found."}, 404)
FORBIDDEN = Response({"code": "forbidden"}, 403)
LOST = Response(status=502)


def seen(status: str, **fields: Any) -> Response:
    return Response(current_row(status=status, **fields))


@pytest.mark.parametrize(
    ("answer", "record", "outcome"),
    [
        (Response(status=204), None, CANCELLED),
        (seen("cancelled"), None, CANCELLED),
        # A 404 counts if the record is missing, or ended without having run.
        (MISSING, MISSING, GONE),
        (MISSING, seen("cancelled"), GONE),
        (MISSING, seen("running", delivered_at=FAR), SENT),
        # Refused: the command was delivered, unless its record states otherwise.
        (TOO_LATE, seen("running"), SENT),
        (TOO_LATE, FORBIDDEN, SENT),
        (TOO_LATE, seen("denied"), GONE),
        (TOO_LATE, seen("queued", cancellable=None), SENT),
        # Lost, or without the status cancelled: its record decides.
        (LOST, seen("cancelled"), CANCELLED),
        (LOST, MISSING, CANCELLED),
        (LOST, seen("running", delivered_at=FAR), SENT),
        (LOST, seen("denied"), GONE),
        (seen("running", delivered_at=FAR), seen("running", delivered_at=FAR), SENT),
    ],
)
def test_results_of_a_cancel(
    serve: Serve, connect: Connect, answer: Response, record: Response | None, outcome: str
) -> None:
    server = serve([answer, record or LOST])
    assert cancel(connect(server), COMMAND) == outcome
    assert [request.method for request in server.requests] == ["DELETE", *(["GET"] if record else [])]


@pytest.mark.parametrize(("again", "outcome"), [(Response(status=204), CANCELLED), (TOO_LATE, SENT), (MISSING, GONE)])
def test_a_command_that_waits_is_cancelled_again_after_a_404(
    serve: Serve, connect: Connect, again: Response, outcome: str
) -> None:
    server = serve([MISSING, seen("queued"), again, MISSING])
    assert cancel(connect(server), COMMAND) == outcome
    methods = [request.method for request in server.requests]
    assert methods == ["DELETE", "GET", "DELETE", *(["GET"] if outcome != CANCELLED else [])]


def test_a_command_that_waits_is_not_gone(serve: Serve, connect: Connect, clock: FakeClock) -> None:
    server = serve([MISSING, seen("queued"), MISSING, seen("queued")])
    with pytest.raises(LostResponse, match="the command still waits"):
        cancel(connect(server, sleep=clock.sleep), COMMAND)


@pytest.mark.parametrize(
    ("answer", "record", "error", "words", "waited"),
    [
        (FORBIDDEN, None, ApiError, "The token is not allowed to do this", 0),
        (TOO_LATE, seen("queued"), NotCancellable, "while it is queued. It may still run", 0),
        (Response({}, 200), FORBIDDEN, LostResponse, "the command could not be read", 0),
        (seen("scheduled"), seen("scheduled"), LostResponse, "no answer states .* the command still waits", 15),
        (MISSING, FORBIDDEN, LostResponse, "the command could not be read", 0),
    ],
)
def test_a_cancel_that_stays_pending_is_an_error(
    serve: Serve,
    connect: Connect,
    clock: FakeClock,
    answer: Response,
    record: Response | None,
    error: Any,
    words: str,
    waited: int,
) -> None:
    server = serve([answer, record or LOST])
    with pytest.raises(error, match=words):
        cancel(connect(server, sleep=clock.sleep), COMMAND)
    assert sum(clock.slept) == waited


# Get


def test_the_detail_of_another_command_is_an_error(serve: Serve, connect: Connect) -> None:
    with pytest.raises(LostResponse, match=f"the answer is another command, {NO_COMMAND}"):
        get_command(connect(serve([Response(current_row(id=NO_COMMAND))])), COMMAND)
    with pytest.raises(LostResponse, match="the answer is not that command"):
        get_command(connect(serve([Response({"id": 5})])), COMMAND)
