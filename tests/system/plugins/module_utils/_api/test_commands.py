# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The commands API: submit, find again, cancel, output and walks."""

from __future__ import annotations

import re
import time
import tracemalloc
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from system.conftest import Connect
from system.support import Reply, Request, ScriptedServer, body_for, in_every_dialect, methods
from workspace.client import Workspace

from ansible_collections.herdops.alpacon.plugins.module_utils._api.client import Client
from ansible_collections.herdops.alpacon.plugins.module_utils._api.commands import (
    CANCELLED,
    GONE,
    NEWEST_FIRST,
    SENT,
    cancel,
    get_command,
    list_commands,
    submit,
)
from ansible_collections.herdops.alpacon.plugins.module_utils._api.commands_of_servers import (
    LATEST_SCHEDULE_FIRST,
    commands_of,
)
from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import ApiError, LostAnswer
from ansible_collections.herdops.alpacon.plugins.module_utils._api.lost_submits import find_submitted
from ansible_collections.herdops.alpacon.plugins.module_utils._api.outputs import Output, read_output
from ansible_collections.herdops.alpacon.plugins.module_utils._api.records import Command, parse_time
from ansible_collections.herdops.alpacon.tests.unit.support import (
    COMMAND,
    FAR,
    LIST,
    NO_COMMAND,
    OTHER_SERVER,
    SERVER,
    Row,
    current_row,
    page,
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
        {"current": "invalid_command", "published": "invalid_command", "2024": "not registered"},
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


# Find again


class Hours:
    """Notes pauses instead of making anybody wait."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    def __call__(self, seconds: float) -> None:
        self.slept.append(seconds)


def find(client: Client, body: Row, known: frozenset[str] = frozenset(), sent_at: float | None = None) -> Any:
    sleep = Hours()
    found, candidates = find_submitted(client, body, time.time() if sent_at is None else sent_at, known, sleep)
    return found and found.id, [command.id for command in candidates], sleep.slept


@pytest.fixture
def warm(workspace: Workspace, connect: Connect) -> Client:
    """A client that knows the clock of the workspace."""
    client = connect(workspace)
    client.get(LIST, {"page_size": 1})
    return client


@in_every_dialect
def test_the_command_of_a_lost_answer_is_found(workspace: Workspace, warm: Client) -> None:
    sent_at = time.time()
    made = workspace.submit("web-01", "echo hello")
    workspace.submit("web-01", "echo other")
    workspace.submit("web-02", "echo hello")
    assert find(warm, body_for(workspace), sent_at=sent_at) == (made, [made], [])


@in_every_dialect
@pytest.mark.parametrize("line", ["  echo hello\n", "echo hello", "\techo hello  "])
def test_it_is_found_though_the_workspace_trims_lines(workspace: Workspace, warm: Client, line: str) -> None:
    sent_at = time.time()
    made = workspace.submit("web-01", line)
    assert find(warm, body_for(workspace, line=line), sent_at=sent_at)[0] == made


@in_every_dialect
def test_an_older_command_that_is_the_same_is_not_taken_for_it(workspace: Workspace, warm: Client) -> None:
    [older] = workspace.add_commands([{"server": "web-01", "line": "echo hello", "username": "admin", "added_at": -5}])
    found, candidates, slept = find(warm, body_for(workspace))
    assert (found, candidates) == (None, [])
    assert slept == [0.5, 1.0, 2.0, 4.0], "it is looked for a while"
    sent_at = time.time()
    made = workspace.submit("web-01", "echo hello")
    assert find(warm, body_for(workspace), sent_at=sent_at)[0] == made != older


@in_every_dialect
def test_of_two_that_may_be_it_none_is_taken(workspace: Workspace, warm: Client) -> None:
    sent_at = time.time()
    made = {workspace.submit("web-01", "echo hello") for _number in range(2)}
    found, candidates, _slept = find(warm, body_for(workspace), sent_at=sent_at)
    assert (found, set(candidates)) == (None, made)


@in_every_dialect
def test_commands_that_are_known_are_not_it(workspace: Workspace, warm: Client) -> None:
    sent_at = time.time()
    known, made = (workspace.submit("web-01", "echo hello") for _number in range(2))
    assert find(warm, body_for(workspace), frozenset((known,)), sent_at)[:2] == (made, [made])
    assert find(warm, body_for(workspace), frozenset((known, made)), sent_at)[:2] == (None, [])


def test_a_command_that_comes_to_light_late_is_found(current: Workspace, connect: Connect) -> None:
    client = connect(current)
    client.get(LIST, {"page_size": 1})
    sent_at = time.time()
    made: list[str] = []

    def sleep(_seconds: float) -> None:
        if not made:
            made.append(current.submit("web-01", "echo hello"))

    found, _candidates = find_submitted(client, body_for(current), sent_at, frozenset(), sleep)
    assert found is not None
    assert [found.id] == made


def test_a_look_that_fails_is_not_the_last(serve: Serve, connect: Connect) -> None:
    row, failure = current_row(), Reply({"detail": "No."}, 400)
    server = serve([failure, failure, Reply(page([row])), Reply({}), Reply({"id": row["requested_by"]["id"]})])
    body = {"server": SERVER, "line": "uptime", "shell": "system"}
    assert find(connect(server), body, sent_at=0.0) == (COMMAND, [COMMAND], [0.5, 1.0])


@in_every_dialect
def test_another_user_or_shell_is_another_command(workspace: Workspace, warm: Client) -> None:
    sent_at = time.time()
    workspace.submit("web-01", "echo hello", username="root")
    workspace.submit("web-01", "echo hello", shell="osquery")
    assert find(warm, body_for(workspace, username="admin"), sent_at=sent_at)[:2] == (None, [])


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


@pytest.mark.parametrize("status", ["denied", "rejected", "expired", "cancelled"])
def test_what_is_over_at_that_moment_is_not_called_sent(serve: Serve, connect: Connect, status: str) -> None:
    server = serve([Reply({"code": "event_command_already_sent"}, 409), Reply(current_row(status=status))])
    assert cancel(connect(server), COMMAND) == GONE
    assert [request.method for request in server.requests] == ["DELETE", "GET"]


@in_every_dialect
def test_a_command_that_is_not_there_is_gone(workspace: Workspace, connect: Connect) -> None:
    assert cancel(connect(workspace), NO_COMMAND) == GONE


def test_a_cancel_that_is_refused_is_an_error(serve: Serve, connect: Connect) -> None:
    with pytest.raises(ApiError, match="The token may not do this"):
        cancel(connect(serve([Reply({"code": "forbidden"}, 403)])), COMMAND)


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (current_row(status="cancelled"), CANCELLED),
        (current_row(status="running", delivered_at=FAR), SENT),
        (current_row(status="success"), SENT),
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


# Output

UNICODE = "".join(chr(0xAC00 + number % 11172) for number in range(9000)) + "é🙂\n" * 340


def listed(client: Client, command_id: str) -> Command:
    return next(command for command in list_commands(client) if command.id == command_id)


@pytest.fixture
def ended(workspace: Workspace, connect: Connect) -> Callable[..., tuple[Client, Command]]:
    """Makes a command that ended an hour ago, and gives a client that has seen it in the list."""

    def make(**fields: Any) -> tuple[Client, Command]:
        [command_id] = workspace.add_commands([{"status": "success", "added_at": -3600, **fields}])
        client = connect(workspace)
        return client, listed(client, command_id)

    return make


Ended = Callable[..., tuple[Client, Command]]


def read(client: Client, command: Command) -> tuple[Output, int]:
    """Its output, and how many requests that took."""
    before = client.requests
    return read_output(client, command, Hours()), client.requests - before


@in_every_dialect
@pytest.mark.parametrize("text", ["hello\n", UNICODE, "x" * 10_000, "a\0b\x1b[31m", "{{ 7 * 7 }}"])
def test_output_that_its_row_carries_costs_no_request(ended: Ended, text: str) -> None:
    output, requests = read(*ended(result=text))
    assert (output.text, output.complete, output.note, requests) == (text, True, "", 0)


@in_every_dialect
def test_empty_output(workspace: Workspace, ended: Ended) -> None:
    output, requests = read(*ended(result=""))
    assert (output.text, output.complete) == ("", True)
    assert requests == (1 if workspace.dialect == "current" else 0)


@pytest.fixture
def chunked(current: Workspace, connect: Connect) -> Ended:
    """The same for a command of a workspace that keeps outputs in chunks."""

    def make(chunks: list[Any], **fields: Any) -> tuple[Client, Command]:
        row = {"status": "success", "added_at": -3600, "result": "", "chunks": chunks, **fields}
        [command_id] = current.add_commands([row])
        client = connect(current)
        return client, listed(client, command_id)

    return make


def pieces(text: str, size: int) -> list[str]:
    return [text[start : start + size] for start in range(0, len(text), size)]


@pytest.mark.parametrize(("size", "requests"), [(4096, 1), (100, 2), (40, 3)])
def test_output_that_exists_only_as_chunks(chunked: Ended, size: int, requests: int) -> None:
    output, made = read(*chunked(pieces(UNICODE, size)))
    assert (output.text, output.complete, output.note) == (UNICODE, True, "")
    assert made == requests


def test_chunks_that_come_twice_and_out_of_order(chunked: Ended) -> None:
    chunks = [{"seq": seq, "content": content} for seq, content in [(2, "c"), (0, "a"), (2, "c"), (1, "b"), (0, "a")]]
    output, made = read(*chunked(chunks))
    assert (output.text, output.complete, made) == ("abc", True, 1)


@pytest.mark.parametrize(
    ("seqs", "note"),
    [
        ([0, 2], "1 chunk of 3 never arrived (1)"),
        ([2], "2 chunks of 3 never arrived (0-1)"),
        ([0, 1, 3, 7, 9], "5 chunks of 10 never arrived (2, 4-6, 8)"),
    ],
)
def test_a_hole_is_reported(chunked: Ended, seqs: list[int], note: str) -> None:
    output, made = read(*chunked([{"seq": seq, "content": f"<{seq}>"} for seq in seqs]))
    assert output.text == "".join(f"<{seq}>" for seq in seqs)
    assert (output.complete, output.note) == (False, f"Output is incomplete: {note}.")
    assert made == 1, "what is missing an hour after the end never comes"


@pytest.mark.parametrize("seq", [50_000_000, 2**31 - 1])
def test_a_hole_of_any_size_is_counted(serve: Serve, connect: Connect, seq: int) -> None:
    nonsense: list[Any] = [True, -1, -(10**9), None, "0", 0.5, [1], {}]
    odd: list[Row] = [{"seq": number, "content": "x"} for number in nonsense]
    rows = [*odd, {"seq": 0, "content": "a"}, {"seq": 2, "content": {}}, {"seq": seq, "content": "z"}]
    command = Command.from_row(current_row(status="success", handled_at="2026-01-01T00:00:00Z"))
    tracemalloc.start()
    output = read_output(connect(serve([Reply(page(rows))])), command)
    assert tracemalloc.get_traced_memory()[1] < 2**22
    tracemalloc.stop()
    assert (output.text, output.complete) == ("az", False)
    assert f"{seq - 2} chunks of {seq + 1} never arrived (1, 3-{seq - 1})" in output.note


@pytest.mark.parametrize("seq", [2**31, int("9" * 4300), -1, None], ids=lambda seq: f"{seq!s:.20}")
@pytest.mark.parametrize("others", [1, 0])
def test_a_chunk_whose_place_nobody_knows_is_told_of(serve: Serve, connect: Connect, seq: Any, others: int) -> None:
    rows = [*[{"seq": 0, "content": "a"}] * others, {"seq": seq, "content": "z"}]
    command = Command.from_row(current_row(status="success", handled_at="2026-01-01T00:00:00Z"))
    output = read_output(connect(serve([Reply(page(rows))])), command)
    assert (output.text, output.complete) == ("a" * others, False)
    assert output.note == "Output is incomplete: 1 chunk came without a number that says where to put it."


def test_half_a_character_of_a_chunk_costs_only_itself(serve: Serve, connect: Connect) -> None:
    rows = [{"seq": 0, "content": "a\ud800b"}, {"seq": 1, "content": "\U0001f600"}]
    command = Command.from_row(current_row(status="success", handled_at="2026-01-01T00:00:00Z"))
    output = read_output(connect(serve([Reply(page(rows))])), command)
    assert (output.text, output.complete) == ("a?b\U0001f600", True)


def test_a_thousand_holes_are_not_all_shown(serve: Serve, connect: Connect) -> None:
    rows = [{"seq": number, "content": "x"} for number in range(0, 2000, 2)]
    command = Command.from_row(current_row(status="success", handled_at="2026-01-01T00:00:00Z"))
    output = read_output(connect(serve([Reply(page(rows))])), command)
    assert "999 chunks of 1999 never arrived (1, 3, 5," in output.note
    assert len(output.note) < 250


def test_a_chunk_that_comes_late_is_waited_for(current: Workspace, connect: Connect) -> None:
    row = {"status": "success", "result": "", "chunks": ["a", {"seq": 2, "content": "c"}]}
    [command_id] = current.add_commands([row])
    client = connect(current)
    command = listed(client, command_id)
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 4:
            current.change_command(command_id, chunks=[{"seq": 1, "content": "b"}])

    output = read_output(client, command, sleep)
    assert (output.text, output.complete) == ("abc", True)
    assert slept == sorted(slept)
    assert any("seq__gte=1" in entry["path"] for entry in current.log())


def test_a_chunk_that_never_comes_is_not_waited_for_for_ever(current: Workspace, connect: Connect) -> None:
    row = {"status": "success", "result": "", "chunks": [{"seq": 1, "content": "b"}]}
    [command_id] = current.add_commands([row])
    client = connect(current)
    sleep = Hours()
    output = read_output(client, listed(client, command_id), sleep)
    assert (output.text, output.complete) == ("b", False)
    assert sum(sleep.slept) < 30


@pytest.mark.parametrize(("age", "settles"), [(0.1, True), (10.0, False)])
def test_the_last_chunk_may_come_after_the_end(
    current: Workspace, connect: Connect, monkeypatch: pytest.MonkeyPatch, age: float, settles: bool
) -> None:
    [command_id] = current.add_commands([{"status": "success", "result": ""}])
    client = connect(current)
    command = listed(client, command_id)
    assert command.handled_at is not None
    now = command.handled_at + timedelta(seconds=age)
    monkeypatch.setattr(client, "now", lambda: now)
    late: list[float] = []

    def sleep(seconds: float) -> None:
        late.append(round(seconds, 3))
        current.change_command(command_id, chunks=["late"])

    assert read_output(client, command, sleep).text == ("late" if settles else "")
    assert late == ([0.2] if settles else [])


MIB = 1024 * 1024


def cut(text: str) -> str:
    return text[:1000] + f"\n... [{len(text) - 2000} bytes truncated] ...\n" + text[-1000:]


def test_a_result_that_was_cut_is_whole_in_its_chunks(chunked: Ended) -> None:
    text = "".join(f"line {number}\n" for number in range(20_000))
    output, made = read(*chunked(pieces(text, 4096), result=cut(text)))
    assert (output.text, output.complete, made) == (text, True, 1)


@in_every_dialect
def test_a_result_that_was_cut_and_has_no_chunks(ended: Ended, workspace: Workspace) -> None:
    text = cut("x" * 2 * MIB)
    output, made = read(*ended(result=text))
    assert (output.text, output.complete) == (text, False)
    assert "the agent cut it in the middle" in output.note
    assert made == (1 if workspace.dialect == "current" else 0)


def test_chunks_that_stop_early_are_told_by_the_copy_of_the_agent(chunked: Ended) -> None:
    text = "".join(f"line {number}\n" for number in range(2000))
    output, _made = read(*chunked(pieces(text, 4096)[:-1], result=cut(text)))
    assert (output.complete, output.note) == (False, "Output is incomplete: its last chunks never arrived.")
    assert text.startswith(output.text)


@pytest.mark.parametrize("status", ["cancelled", "denied", "rejected", "expired"])
def test_what_never_ran_is_not_asked_for_its_output(current: Workspace, connect: Connect, status: str) -> None:
    [command_id] = current.add_commands([{"status": status, "added_at": -3600}])
    client = connect(current)
    output, made = read(client, listed(client, command_id))
    assert (output.text, made) == ("", 0)


def test_a_server_that_knows_no_chunks(serve: Serve, connect: Connect) -> None:
    server = serve([Reply({"code": "api_not_found"}, 404)])
    row = current_row(status="success", success=True, result="", handled_at="2026-01-01T00:00:00Z")
    output, made = read(connect(server), Command.from_row(row))
    assert (output.text, output.complete, made) == ("", True, 1)


def test_real_output_of_more_than_a_mebibyte(current: Workspace, connect: Connect) -> None:
    command_id = current.submit("web-01", "seq 1 160000")
    current.wait_for_command(command_id)
    client = connect(current)
    output = read_output(client, listed(client, command_id))
    assert output.complete, output.note
    assert output.text == "".join(f"{number}\n" for number in range(1, 160_001))


# Walks


def walked(client: Client, workspace: Workspace, names: list[str], **more: Any) -> list[Command]:
    ids = workspace.server_ids()
    ordering = more.pop("ordering", NEWEST_FIRST)
    return list(commands_of(client, [ids[name] for name in names], ordering, **more))


@in_every_dialect
def test_one_server_is_asked_for_by_itself(workspace: Workspace, connect: Connect) -> None:
    made = workspace.add_many_commands(60, line="true", status="success", servers=["web-01", "web-02", "web-03"])
    client = connect(workspace)
    commands = walked(client, workspace, ["web-02"], ends=lambda _command: False)
    assert [command.id for command in commands] == made[1::3]
    assert client.requests == 1


@in_every_dialect
def test_several_servers_are_read_from_the_whole_list(workspace: Workspace, connect: Connect) -> None:
    made = workspace.add_many_commands(150, line="true", status="success", servers=["web-01", "web-02", "web-03"])
    client = connect(workspace)
    commands = walked(client, workspace, ["web-01", "web-02", "web-03"], ends=lambda _command: False)
    assert [command.id for command in commands] == made
    assert client.requests == 2


@in_every_dialect
def test_a_long_list_is_left_for_those_of_the_servers(workspace: Workspace, connect: Connect) -> None:
    made = workspace.add_many_commands(900, line="true", status="success", servers=["web-01", "web-02", "web-03"])
    last = parse_time(workspace.commands(id=made[269])[0]["added_at"])
    assert last is not None
    client = connect(workspace)
    commands = walked(client, workspace, ["web-01", "web-02"], ends=lambda command: command.added_at < last)
    assert {command.id for command in commands} == {made[number] for number in range(270) if number % 3 < 2}
    assert client.requests == 2 + 2, "two pages of all, then one of each"


@in_every_dialect
def test_a_walk_ends_where_it_is_told(workspace: Workspace, connect: Connect) -> None:
    made = workspace.add_many_commands(500, line="true", status="success", servers=["web-01"])
    client = connect(workspace)
    commands = walked(client, workspace, ["web-01"], ends=lambda command: command.id == made[30])
    assert [command.id for command in commands] == made[:30]
    assert client.requests == 1


@in_every_dialect
def test_what_waits_is_found_behind_a_hundred_that_ran(workspace: Workspace, connect: Connect) -> None:
    workspace.add_many_commands(400, line="true", status="success", server="web-01", added_at=-100_000)
    soon = workspace.submit("web-01", "true", scheduled_at="2998-01-01T00:00:00Z")
    late = workspace.submit("web-01", "true", scheduled_at=FAR)
    client = connect(workspace)
    commands = walked(client, workspace, ["web-01"], ordering=LATEST_SCHEDULE_FIRST)
    assert [command.id for command in commands if command.pending] == [late, soon]
    assert client.requests <= 2, "the rest is older than a day"


def test_rows_of_other_servers_are_dropped_where_a_filter_is_ignored(serve: Serve, connect: Connect) -> None:
    def answer(request: Request) -> Reply:
        return Reply(page([current_row(), current_row(id=NO_COMMAND, server={"id": OTHER_SERVER})]))

    commands = commands_of(connect(serve(answer)), [SERVER], NEWEST_FIRST, lambda _command: False)
    assert [command.id for command in commands] == [COMMAND]


def test_the_detail_of_another_command_is_no_answer(serve: Serve, connect: Connect) -> None:
    client = connect(serve([Reply(current_row(id=NO_COMMAND))]))
    with pytest.raises(LostAnswer, match=f"the answer is another command, {NO_COMMAND}"):
        get_command(client, COMMAND)


@in_every_dialect
def test_a_command_that_is_not_there(workspace: Workspace, connect: Connect) -> None:
    with pytest.raises(ApiError, match=re.escape(f"GET {LIST}{NO_COMMAND}/: HTTP 404")):
        get_command(connect(workspace), NO_COMMAND)
