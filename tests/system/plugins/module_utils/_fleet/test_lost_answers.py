# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Writes whose answer is lost, on a real workspace: one POST, one command, whatever happens to the answer."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path

import pytest
from system.conftest import Connect
from system.support import (
    HANG_UP,
    Clock,
    Reply,
    Request,
    ScriptedServer,
    body_for,
    in_every_dialect,
    methods,
    paths,
    run,
    throttled,
)
from workspace.client import Workspace

from ansible_collections.herdops.alpacon.plugins.module_utils._api.commands import CANCELLED, cancel, submit
from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import ApiError, LostAnswer
from ansible_collections.herdops.alpacon.plugins.module_utils._api.records import Server
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.fleet import Fleet
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.jobs import Job, Limits, digest_of
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.journal import Submitted
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.outcomes import Outcome
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.run import Attempt, Run
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
        submit(connect(workspace, request_timeout=patience(fault), sleep=clock.sleep), body)
    assert methods(workspace)["POST"] == 1
    assert len(workspace.commands(line=LINE)) == 1
    assert clock.slept == []


@in_every_dialect
@pytest.mark.parametrize("fault", LOST)
def test_a_submit_whose_answer_is_lost_is_found_again(
    workspace: Workspace, connect: Connect, clock: Clock, fault: str
) -> None:
    client = connect(workspace, request_timeout=patience(fault), sleep=clock.sleep)
    # No answer of 2024 has a Date, so an earlier submit tells the clock.
    submit(client, body_for(workspace, line="true"))
    before = methods(workspace)["POST"]
    job = Job(Server(None), body=later(workspace))
    workspace.fault(method="POST", path=LIST, times=1, **LOST[fault])
    Fleet(client, Limits(wait=False), sleep=clock.sleep).run([job])
    [command] = workspace.commands(line=LINE)
    assert (job.outcome, job.id, job.changed) == ("pending", command["id"], True)
    assert "it was found in the workspace" in job.note
    assert methods(workspace)["POST"] - before == 1


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 413, 429, 451])
def test_a_submit_that_a_gateway_answers_after_it_was_carried_out_is_found_again(
    current: Workspace, connect: Connect, clock: Clock, status: int
) -> None:
    job = Job(Server(None), body=later(current))
    body = '{"message": "Conflict"}' if status == 409 else None
    current.fault("status_after", method="POST", path=LIST, times=1, status=status, body=body)
    Fleet(connect(current, sleep=clock.sleep), Limits(wait=False), sleep=clock.sleep).run([job])
    [command] = current.commands(line=LINE)
    assert (job.outcome, job.id) == ("pending", command["id"])
    assert methods(current)["POST"] == 1


@pytest.mark.parametrize("shown", [True, False], ids=["an id that is known", "an id that never came"])
def test_what_an_earlier_attempt_has_submitted_is_taken_up(
    current: Workspace, connect: Connect, clock: Clock, shown: bool
) -> None:
    client = connect(current, sleep=clock.sleep)
    body = later(current)
    sent_at = clock.time()
    command = submit(client, body)
    attempts = {digest_of(body): Attempt(sent_at, command.id if shown else None)}
    job = Job(Server(None), body=body)
    Fleet(client, Limits(wait=False), sleep=clock.sleep, run=Run(attempts=attempts)).run([job])
    assert (job.outcome, job.id, job.changed) == ("pending", command.id, True)
    assert job.known.status == "scheduled"
    assert "it was not submitted again" in job.note
    assert ("it was found in the workspace" in job.note) is not shown
    assert methods(current)["POST"] == 1


def test_what_an_earlier_attempt_may_have_submitted_is_not_submitted_again(
    current: Workspace, connect: Connect, clock: Clock
) -> None:
    body = later(current)
    job = Job(Server(None), body=body)
    run = Run(attempts={digest_of(body): Attempt(clock.time())})
    Fleet(connect(current, sleep=clock.sleep), Limits(wait=False), sleep=clock.sleep, run=run).run([job])
    assert (job.outcome, job.id, job.changed) == ("unknown", None, True)
    assert job.msg.endswith("An earlier attempt of this task has sent it.")
    assert methods(current)["POST"] == 0


@pytest.mark.parametrize("word", ["denied", "awaiting_approval"])
def test_what_became_of_a_command_that_was_found_again_is_told_as_well(current: Workspace, word: str) -> None:
    current.settings(holds=[{"line": LINE, "status": word}])
    current.fault("lose_after", method="POST", path=LIST, times=1)
    done = run(current, servers=["web-01"], line=LINE)
    assert done["outcome"] == word
    assert done["msg"] == f"{Outcome(word).sentence} The answer to its submit was lost; it was found in the workspace."


@pytest.mark.parametrize(("kind", "wait_timeout", "looked"), [("lose_before", 300, 30), ("status", 3, 3)])
def test_a_submit_that_may_or_may_not_have_arrived_is_unknown(
    current: Workspace, connect: Connect, clock: Clock, kind: str, wait_timeout: float, looked: float
) -> None:
    client = connect(current, sleep=clock.sleep)
    job = Job(Server(None), body=later(current))
    current.fault(kind, method="POST", path=LIST, times=1, status=502)
    Fleet(client, Limits(wait=False, wait_timeout=wait_timeout), sleep=clock.sleep).run([job])
    assert (job.outcome, job.id, job.changed) == ("unknown", None, True)
    assert "No such command was seen" in job.msg
    assert "An earlier attempt" not in job.msg
    assert looked <= clock.passed < 2 * looked, "lists may lag"
    assert methods(current)["POST"] == 1
    assert current.commands() == []


def outage(workspace: Workspace, clock: Clock, seconds: float) -> list[Job]:
    """Lose the answers of six submits, and have a gateway answer 502 for a while."""
    workspace.add_servers(*(f"away-{number}" for number in range(6)))
    servers = [f"away-{number}" for number in range(6)]
    workspace.fault("lose_after", method="POST", path=LIST, times=6)
    workspace.fault("status", method="GET", status=502)

    clock.at(clock.passed + seconds, workspace.clear_faults)
    return [Job(Server(None, server), body=later(workspace, server)) for server in servers]


@pytest.mark.parametrize("accepted", [False, True])
def test_an_outage_of_a_minute_loses_no_ids_and_costs_few_requests(
    current: Workspace, connect: Connect, clock: Clock, accepted: bool
) -> None:
    client = connect(current, sleep=clock.sleep)
    if accepted:
        client.get(LIST)
    jobs = outage(current, clock, 60)
    before = client.requests
    # The workspace's clock does not move on with that of the test, so all that is older is known in place of it.
    Fleet(client, Limits(wait=False, wait_timeout=300), sleep=clock.sleep).run(jobs, others=[])
    assert {job.id for job in jobs} == {row["id"] for row in current.commands(line=LINE)}
    assert len({job.id for job in jobs}) == 6
    assert methods(current)["POST"] == 6
    assert client.requests - before - 6 <= 20


def test_a_gateway_that_is_away_after_it_passed_on_a_submit_costs_no_id(current: Workspace, connect: Connect) -> None:
    job = Job(Server(None), body=later(current))
    current.fault("away_after", method="POST", path=LIST, times=1, delay=2)
    Fleet(connect(current), Limits(wait=False)).run([job])
    assert [row["id"] for row in current.commands(line=LINE)] == [job.id]
    assert methods(current)["POST"] == 1


def test_an_outage_that_does_not_end_is_no_word_about_a_submit(
    current: Workspace, connect: Connect, clock: Clock
) -> None:
    client = connect(current, sleep=clock.sleep)
    jobs = outage(current, clock, 9999)
    Fleet(client, Limits(wait_timeout=300), sleep=clock.sleep).run(jobs)
    assert 300 <= clock.passed < 330
    for job in jobs:
        assert (job.outcome, job.id, job.changed) == ("unknown", None, True)
        assert "The workspace could not be asked for it." in job.msg
        assert "No such command was seen" not in job.msg
    assert client.requests - 6 <= 20


def test_a_submit_that_was_not_accepted_is_sent_until_it_is(
    workspace: Workspace, connect: Connect, clock: Clock
) -> None:
    workspace.fault("status", method="POST", path=LIST, times=2, **throttled(2))
    command = submit(connect(workspace, sleep=clock.sleep), later(workspace))
    assert [row["id"] for row in workspace.commands(line=LINE)] == [command.id]
    assert methods(workspace)["POST"] == 3


def test_a_submit_to_an_offline_server_is_sent_once(workspace: Workspace, connect: Connect, clock: Clock) -> None:
    workspace.add_servers("off-01", connected=False)
    workspace.settings(offline_mode="refuse")
    with pytest.raises(ApiError) as caught:
        submit(connect(workspace, sleep=clock.sleep), later(workspace, "off-01"))
    assert caught.value.code == "server_not_connected"
    assert methods(workspace)["POST"] == 1
    assert clock.slept == []


@in_every_dialect
@pytest.mark.parametrize("fault", LOST)
def test_a_cancel_whose_answer_is_lost_is_not_repeated_but_looked_after(
    workspace: Workspace, connect: Connect, clock: Clock, fault: str
) -> None:
    client = connect(workspace, request_timeout=patience(fault), sleep=clock.sleep)
    command = submit(client, later(workspace))
    workspace.fault(method="DELETE", path=LIST, times=1, **LOST[fault])
    assert cancel(client, command.id) == CANCELLED
    assert methods(workspace)["DELETE"] == 1


def test_a_cancel_that_is_carried_out_late_is_seen(current: Workspace, connect: Connect) -> None:
    client = connect(current)
    command = submit(client, later(current))
    current.fault("late", method="DELETE", path=LIST, times=1, delay=0.5)
    assert cancel(client, command.id) == CANCELLED
    assert methods(current)["DELETE"] == 1


def test_a_cancel_that_did_not_arrive_says_so(current: Workspace, connect: Connect, clock: Clock) -> None:
    client = connect(current, sleep=clock.sleep)
    command = submit(client, later(current))
    current.fault("lose_before", method="DELETE", path=LIST, times=1)
    with pytest.raises(LostAnswer, match="the command still waits"):
        cancel(client, command.id)
    assert methods(current)["DELETE"] == 1


@in_every_dialect
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


# Whose it is, and when it was


USER = "9e2e4c06-8052-4d6b-92b7-9204081e4126"
HOUR = 3600.0


class Loser:
    """A workspace that loses the answer to the submit, and lists what it is told to.

    Args:
        rows: what it lists; where ``added_at`` is a number, so many seconds after the submit by its clock.
        skew: by how much its clock is ahead, in seconds.
        date: the Date of its answers; its own time where None.
        user: whose token it is; None for a service token.
    """

    def __init__(
        self,
        rows: list[Row],
        skew: float = 0.0,
        date: str | None = None,
        user: str | None = None,
        answer: Reply = HANG_UP,
    ) -> None:
        self._rows, self._skew, self._date, self._user, self._submitted = rows, skew, date, user, answer
        self._sent_at = 0.0

    def __call__(self, request: Request) -> Reply:
        if request.method == "POST":
            self._sent_at = time.time()
            return self._submitted
        now = datetime.fromtimestamp(time.time() + self._skew, UTC)
        date = format_datetime(now, usegmt=True) if self._date is None else self._date
        return Reply(self._answer(request), headers={"Date": date})

    def _answer(self, request: Request) -> Row:
        rows = [self._row(row) for row in self._rows]
        if request.path == LIST:
            return page(rows)
        for row in rows:
            if request.path == f"{LIST}{row['id']}/":
                return row
        if request.path.endswith("/whoami/"):
            application = {"principal_type": "application", "application": {"username": "deploy"}}
            return {"principal_type": "user"} if self._user else application
        return {"id": self._user, "username": "bob"}

    def _row(self, row: Row) -> Row:
        added = datetime.fromtimestamp(self._sent_at + self._skew + row.get("added_at", 0.0), UTC).isoformat()
        return current_row(
            **{"requested_by": None, "username": "deploy", **row, "added_at": added, "scheduled_at": added}
        )


@pytest.fixture
def submit_lost(serve: Callable[..., ScriptedServer], connect: Connect, clock: Clock) -> Callable[..., Job]:
    """Submits a command whose answer a workspace loses, and gives what became of it."""

    def submit(workspace: Loser, run: Run | None = None) -> Job:
        body = {"server": SERVER, "shell": "system", "line": "uptime", "username": "", "groupname": ""}
        job = Job(Server(None), body={**body, "scheduled_at": None})
        client = connect(serve(workspace), sleep=clock.sleep)
        Fleet(client, Limits(wait=False), sleep=clock.sleep, run=run or Run()).run([job])
        return job

    return submit


@pytest.mark.parametrize("skew", [-HOUR, 0.0, HOUR])
def test_clocks_that_differ_are_no_matter(submit_lost: Callable[[Loser], Job], skew: float) -> None:
    older = {"id": NO_COMMAND, "added_at": -60.0}
    job = submit_lost(Loser([{"id": COMMAND}, older], skew))
    assert (job.outcome, job.id) == ("pending", COMMAND)


@pytest.mark.parametrize(
    "date", ["", "yesterday", "Thu, 01 Jan 2026 00:00:00 GMT"], ids=["none", "unreadable", "stale"]
)
def test_by_a_clock_that_cannot_be_trusted_nothing_is_taken(submit_lost: Callable[[Loser], Job], date: str) -> None:
    job = submit_lost(Loser([{"id": COMMAND}], date=date))
    assert (job.outcome, job.id, job.changed) == ("unknown", None, True)
    assert f"Any of these may be it: {COMMAND}." in job.msg


def test_of_several_that_may_be_it_all_are_named(submit_lost: Callable[[Loser], Job]) -> None:
    job = submit_lost(Loser([{"id": COMMAND}, {"id": NO_COMMAND}]))
    assert (job.outcome, job.id, job.changed) == ("unknown", None, True)
    assert f"Any of these may be it: {COMMAND}, {NO_COMMAND}." in job.msg


def test_of_many_that_may_be_it_the_ten_newest_are_named(submit_lost: Callable[[Loser], Job]) -> None:
    ids = [f"{number:08}{COMMAND[8:]}" for number in range(12)]
    job = submit_lost(Loser([{"id": command_id} for command_id in ids]))
    assert f"Any of these may be it: {', '.join(ids[:10])}." in job.msg


@pytest.mark.parametrize("user", [None, USER], ids=["service token", "token of a user"])
def test_a_service_token_takes_what_no_user_requested_and_a_user_what_is_theirs(
    submit_lost: Callable[[Loser], Job], user: str | None
) -> None:
    rows = [{"id": COMMAND, "requested_by": user}, {"id": NO_COMMAND, "requested_by": None if user else USER}]
    job = submit_lost(Loser(rows, user=user))
    assert (job.outcome, job.id) == ("pending", COMMAND)
    job = submit_lost(Loser(rows[1:], user=user))
    assert (job.outcome, job.id) == ("unknown", None)
    assert NO_COMMAND not in job.msg


def test_a_service_token_takes_nothing_that_ran_as_another_user(submit_lost: Callable[[Loser], Job]) -> None:
    job = submit_lost(Loser([{"id": COMMAND, "username": "deploy"}, {"id": NO_COMMAND, "username": "root"}]))
    assert (job.outcome, job.id) == ("pending", COMMAND)


def test_what_another_task_of_the_run_has_submitted_is_not_taken(
    submit_lost: Callable[..., Job], tmp_path: Path
) -> None:
    Submitted(tmp_path / "alpacon-submitted").add({"id": COMMAND})
    job = submit_lost(Loser([{"id": COMMAND}]), Run(folder=tmp_path))
    assert (job.outcome, job.id, job.changed) == ("unknown", None, True)
    assert COMMAND not in job.msg


def test_commands_that_nobody_asked_for_are_named_beside_the_one_that_was_found(
    submit_lost: Callable[[Loser], Job],
) -> None:
    stray = Reply([current_row(id=NO_COMMAND, server={"id": OTHER_SERVER, "name": "web-02"})], 201)
    job = submit_lost(Loser([{"id": COMMAND}], answer=stray))
    assert (job.outcome, job.id) == ("pending", COMMAND)
    assert f"not asked for: {NO_COMMAND}." in job.note
