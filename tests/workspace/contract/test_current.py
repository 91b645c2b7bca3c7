# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The `current` dialect: shapes, codes, holds, and agents that run lines for real."""

from __future__ import annotations

import json
import time
import typing as t
import uuid
from concurrent.futures import ThreadPoolExecutor
from email.utils import parsedate_to_datetime

import pytest
import requests
from workspace.client import Workspace

COMMANDS = "events/commands/"
CREATE_KEYS = {
    *("id", "shell", "line", "data", "username", "groupname", "added_at", "scheduled_at", "server"),
    *("requested_by", "run_after"),
}
TIMES = {"delivered_at", "acked_at", "handled_at"}


def create(workspace: Workspace, line: str = "true", token: str | None = None, **fields: t.Any) -> requests.Response:
    server = workspace.server_ids()[fields.pop("server", "web-01")]
    return workspace.api("POST", COMMANDS, token=token, json={"server": server, "line": line, **fields})


def header(workspace: Workspace) -> dict[str, str]:
    return {"Authorization": f'token="{workspace.token}"'}


def detail(workspace: Workspace, key: str) -> dict[str, t.Any]:
    return t.cast("dict[str, t.Any]", workspace.api("GET", f"{COMMANDS}{key}/").json())


def chunks(workspace: Workspace, key: str, **query: t.Any) -> list[tuple[int, str]]:
    query = {"ordering": "seq", "page_size": 100, **query}
    rows = workspace.api("GET", f"{COMMANDS}{key}/chunks/", params=query).json()["results"]
    return [(row["seq"], row["content"]) for row in rows]


def run(workspace: Workspace, line: str, **fields: t.Any) -> dict[str, t.Any]:
    key = workspace.submit("web-01", line, **fields)
    workspace.wait_for_command(key)
    return detail(workspace, key)


# shapes


def test_create_answers_with_a_list_of_one(current: Workspace) -> None:
    response = create(current)
    assert response.status_code == 201
    (row,) = response.json()
    assert set(row) == CREATE_KEYS
    assert row["server"] == {
        "id": current.server_ids()["web-01"],
        "name": "web-01",
        "os": "Debian 13",
        "is_connected": True,
    }
    assert set(row["requested_by"]) == {"id", "name", "email"}
    assert uuid.UUID(row["requested_by"]["id"])


def test_service_token_has_no_requester(current: Workspace) -> None:
    (row,) = create(current, token=current.tokens()["service"]).json()
    assert row["requested_by"] is None
    assert current.api("GET", f"{COMMANDS}?requested_by_isnull=true").json()["count"] == 1


def test_lean_rows(current: Workspace) -> None:
    current.settings(lean_rows=True)
    row = run(current, "true")
    (listed,) = current.api("GET", COMMANDS).json()["results"]
    assert not {"exit_code", "error_phase", *TIMES} & set(listed)
    assert {"exit_code", "error_phase", *TIMES} <= set(row)


def test_pages_are_numbers(current: Workspace) -> None:
    current.add_many_commands(45, status="success")
    first = current.api("GET", COMMANDS, params={"page_size": 20}).json()
    middle = current.api("GET", COMMANDS, params={"page_size": 20, "page": 2}).json()
    last = current.api("GET", COMMANDS, params={"page_size": 20, "page": "last"}).json()
    shape = ("count", "current", "next", "previous", "last")
    assert [first[name] for name in shape] == [45, 1, 2, None, 3]
    assert [middle[name] for name in shape] == [45, 2, 3, 1, 3]
    assert [last[name] for name in shape] == [45, 3, None, 2, 3]
    assert len(last["results"]) == 5


def test_every_status_can_be_staged(current: Workspace) -> None:
    current.add_servers("off-01", connected=False)
    waiting = ("scheduled", "queued", "verifying", "awaiting_purpose", "awaiting_approval")
    over = ("delivered", "running", "success", "completed", "failed", "denied", "stuck", "error", "cancelled")
    rows = [{"status": status, "server": "off-01"} for status in (*waiting, *over)]
    rows[0]["scheduled_at"] = 3600  # type: ignore[assignment]
    found = [detail(current, key) for key in current.add_commands(rows)]
    assert [row["status"] for row in found] == [*waiting, *over]
    assert [row["status"] for row in found if row["cancellable"]] == list(waiting)


def test_servers(current: Workspace) -> None:
    body = current.api("GET", "servers/servers/?name=web-02").json()
    (server,) = body["results"]
    assert (body["count"], server["name"], server["is_connected"]) == (1, "web-02", True)
    assert set(server["owner"]) == {"id", "name", "email"}
    # There is no such filter, so it is ignored.
    assert current.api("GET", f"servers/servers/?id={server['id']}").json()["count"] == 2


def test_users_see_servers_of_their_groups(current: Workspace) -> None:
    carol = current.tokens()["carol"]
    names = [row["name"] for row in current.api("GET", "servers/servers/", token=carol).json()["results"]]
    assert names == ["web-02"]
    assert create(current, server="web-01", token=carol).status_code == 400
    current.add_commands([{"server": "web-01", "line": "a"}, {"server": "web-02", "line": "b"}])
    rows = current.api("GET", COMMANDS, token=carol).json()["results"]
    assert [row["line"] for row in rows] == ["b"]


# codes


@pytest.mark.parametrize(
    ("fields", "body"),
    [
        ({"line": "   "}, {"code": "invalid_command", "source": "line"}),
        ({"line": "#" * 2049}, {"code": "invalid_command", "source": "line"}),
        ({"shell": "bash"}, {"code": "invalid_command", "source": "shell"}),
        ({"scheduled_at": "tomorrow"}, {"code": "invalid_command", "source": "scheduled_at"}),
        ({"purpose": ""}, {"code": "invalid_command", "source": "purpose"}),
        ({"username": "stranger"}, {"code": "invalid_command", "source": "username"}),
        ({"line": "PGPASSWORD=hunter2 psql"}, {"code": "command_inline_credential", "source": "line"}),
    ],
)
def test_refused_with_a_code(current: Workspace, fields: dict[str, str], body: dict[str, str]) -> None:
    response = create(current, **fields)
    assert (response.status_code, response.json()) == (400, body)


@pytest.mark.parametrize(("header", "code"), [("", "auth_token_missing"), ('token="x"', "auth_authentication_failed")])
def test_unauthenticated(current: Workspace, header: str, code: str) -> None:
    response = current.api("GET", COMMANDS, headers={"Authorization": header})
    assert (response.status_code, response.json()) == (401, {"code": code})


def test_other_codes(current: Workspace) -> None:
    current.add_servers("off-01", connected=False)
    unknown = current.api("GET", f"{COMMANDS}{uuid.uuid4()}/")
    assert (unknown.status_code, unknown.json()) == (404, {"code": "command_not_found"})
    forbidden = create(current, token=current.tokens()["noacl"])
    assert (forbidden.status_code, forbidden.json()) == (403, {"code": "api_token_acl_not_allowed"})
    current.settings(offline_mode="refuse")
    offline = create(current, server="off-01")
    assert (offline.status_code, offline.json()) == (503, {"code": "server_not_connected", "source": "server"})


def test_throttle(current: Workspace) -> None:
    current.settings(throttle="3/min")
    statuses = [current.api("GET", COMMANDS).status_code for _turn in range(3)]
    refused = current.api("GET", COMMANDS)
    assert statuses == [200, 200, 200]
    assert (refused.status_code, refused.json()) == (429, {"code": "api_rate_limited"})
    assert 0 < int(refused.headers["Retry-After"]) <= 60
    assert current.api("GET", COMMANDS, token=current.tokens()["bob"]).status_code == 200


def test_a_proxy_in_front_refuses_large_bodies(current: Workspace) -> None:
    current.settings(body_max=1000)
    body = {"server": current.server_ids()["web-01"], "shell": "system", "line": "true", "purpose": "x" * 500}
    assert current.api("POST", COMMANDS, json=body).status_code == 201
    refused = current.api("POST", COMMANDS, json={**body, "purpose": "x" * 1000})
    assert (refused.status_code, refused.headers["Content-Type"]) == (413, "text/html")
    assert "413 Request Entity Too Large" in refused.text
    assert len(current.commands()) == 1


# cancelling, queueing, holding


def test_cancel_marks_the_row(current: Workspace) -> None:
    key = current.submit("web-01", "true", scheduled_at="2031-01-01T00:00:00Z")
    response = current.api("DELETE", f"{COMMANDS}{key}/")
    assert (response.status_code, response.json()["status"]) == (200, "cancelled")
    assert detail(current, key)["status"] == "cancelled"


def test_cancel_deletes_the_row(current: Workspace) -> None:
    current.settings(cancel_mode="delete")
    key = current.submit("web-01", "true", scheduled_at="2031-01-01T00:00:00Z")
    assert current.api("DELETE", f"{COMMANDS}{key}/").status_code == 204
    assert current.api("DELETE", f"{COMMANDS}{key}/").status_code == 404


def test_what_is_held_may_not_be_let_go(current: Workspace) -> None:
    current.settings(cancel_held=False, holds=[{"status": "verifying", "seconds": 0.3}])
    key = current.submit("web-01", "true")
    assert detail(current, key)["cancellable"] is False
    response = current.api("DELETE", f"{COMMANDS}{key}/")
    assert (response.status_code, response.json()) == (409, {"code": "event_command_already_sent"})
    assert current.wait_for_command(key)["run_count"] == 1


def test_offline_server_queues_until_it_returns(current: Workspace) -> None:
    current.disconnect("web-02")
    key = current.submit("web-02", "echo back")
    assert detail(current, key)["status"] == "queued"
    current.connect("web-02")
    assert current.wait_for_command(key)["run_count"] == 1


def test_scheduled_command_is_delivered_by_the_tick(current: Workspace) -> None:
    (key,) = current.add_commands([{"server": "web-01", "line": "echo soon", "scheduled_at": 0.5}])
    assert detail(current, key)["status"] == "scheduled"
    truth = current.wait_for_command(key)
    assert (truth["delivered_count"], truth["run_count"], truth["fin_count"]) == (1, 1, 1)


def test_hold_and_release(current: Workspace) -> None:
    current.settings(holds=[{"line": "^reboot", "status": "awaiting_approval"}])
    key = current.submit("web-01", "reboot --no")
    current.tick()
    assert detail(current, key)["status"] == "awaiting_approval"
    current.change_command(key, status="", line="echo approved")
    assert current.wait_for_command(key)["status"] == "success"


def test_hold_that_ends_badly(current: Workspace) -> None:
    current.settings(holds=[{"status": "verifying", "seconds": 0.3, "then": "denied"}])
    key = current.submit("web-01", "true")
    assert detail(current, key)["status"] == "verifying"
    assert current.wait_for_command(key, "denied")["delivered_count"] == 0


def test_an_approved_command_reads_error_until_it_is_queued(current: Workspace) -> None:
    current.settings(holds=[{"status": "awaiting_approval", "seconds": 0.3}], approval_error=0.4)
    key = current.submit("web-01", "true")
    assert detail(current, key)["status"] == "awaiting_approval"
    row = current.wait_for_command(key, "error")
    assert (row["delivered_at"], row["handled_at"]) == (None, None)
    assert current.wait_for_command(key)["status"] == "success"


@pytest.mark.parametrize(("fault", "phase"), [("never_ack", "agent_disconnected"), ("vanish", "agent_timeout")])
def test_what_is_given_up_has_failed_without_an_exit_code(current: Workspace, fault: str, phase: str) -> None:
    current.settings(gives_up_after=0.3)
    current.fault(fault)
    key = current.submit("web-01", "true")
    current.wait_for_command(key)
    row = detail(current, key)
    assert (row["status"], row["success"], row["exit_code"], row["error_phase"]) == ("failed", False, None, phase)
    assert (bool(row["acked_at"]), bool(row["handled_at"])) == (fault == "vanish", True)


def test_what_the_agent_rejects_was_neither_acknowledged_nor_run(current: Workspace) -> None:
    current.fault("reject", reason="unsigned_command")
    key = current.submit("web-01", "true")
    assert current.wait_for_command(key)["run_count"] == 0
    row = detail(current, key)
    assert (row["status"], row["success"], row["exit_code"], row["acked_at"]) == ("failed", False, None, None)
    assert "unsigned_command" in row["result"]


def test_words_that_no_client_knows_yet(current: Workspace) -> None:
    current.settings(words={"success": "accomplished"})
    key = current.submit("web-01", "true")
    current.wait_for_command(key)
    row = detail(current, key)
    assert (row["status"], row["success"], bool(row["handled_at"])) == ("accomplished", True, True)


def test_run_after_waits(current: Workspace) -> None:
    first = current.submit("web-01", "sleep 0.2; touch first")
    second = current.submit("web-01", "ls first", run_after=[first])
    assert detail(current, second)["status"] == "queued"
    assert current.wait_for_command(second)["status"] == "success"


def test_run_after_cascades(current: Workspace) -> None:
    first = current.submit("web-01", "sleep 0.3; exit 1")
    second = current.submit("web-01", "true", run_after=[first])
    third = current.submit("web-01", "true", run_after=[second])
    current.wait_for_command(third)
    for key in (second, third):
        row = detail(current, key)
        assert (row["status"], row["success"], row["exit_code"]) == ("failed", False, None)
        assert row["result"] == "Cancelled due to prior commmand failure."
        assert (row["delivered_at"], bool(row["handled_at"])) == (None, True)


# agents


def test_a_line_really_runs(current: Workspace) -> None:
    row = run(current, "echo '안녕 ✓ café'; echo err >&2; echo $SECRET; exit 7", env={"SECRET": "s3cret"})
    assert row["result"] == "안녕 ✓ café\nerr\ns3cret\n"
    assert (row["exit_code"], row["status"]) == (7, "failed")
    assert chunks(current, row["id"]) == [(0, row["result"])]
    assert current.commands(id=row["id"])[0]["env_keys"] == ["SECRET"]
    assert "s3cret" not in json.dumps({key: value for key, value in row.items() if key != "result"})


def test_slow_output_is_flushed_while_the_line_runs(current: Workspace) -> None:
    key = current.submit("web-01", "echo early; sleep 0.6; echo late")
    current._until(lambda: chunks(current, key), "no chunk came", 5)
    assert chunks(current, key) == [(0, "early\n")]
    assert detail(current, key)["status"] == "running"
    current.wait_for_command(key)
    assert chunks(current, key) == [(0, "early\n"), (1, "late\n")]


@pytest.mark.parametrize(("output", "result", "has_chunks"), [("chunks", "", True), ("result", "hi\n", False)])
def test_output_switch(current: Workspace, output: str, result: str, has_chunks: bool) -> None:
    current.settings(output=output)
    row = run(current, "echo hi")
    assert row["result"] == result
    assert bool(chunks(current, row["id"])) is has_chunks


def test_chunk_bounds_and_holes(current: Workspace) -> None:
    pieces = [{"seq": seq, "content": str(seq)} for seq in (0, 1, 3, 4)]
    (key,) = current.add_commands([{"status": "success", "chunks": pieces}])
    assert [seq for seq, _content in chunks(current, key)] == [0, 1, 3, 4]
    assert [seq for seq, _content in chunks(current, key, seq__gte=1, seq__lte=3)] == [1, 3]
    assert [seq for seq, _content in chunks(current, key, ordering="-seq")] == [4, 3, 1, 0]
    assert current.api("GET", f"{COMMANDS}{key}/chunks/?seq__gte=").status_code == 400


def test_chunk_that_a_test_adds_late(current: Workspace) -> None:
    (key,) = current.add_commands([{"status": "success", "chunks": ["a"]}])
    current.change_command(key, chunks=[{"seq": 1, "content": "b", "delay": 0.4}])
    assert chunks(current, key) == [(0, "a")]
    current._until(lambda: chunks(current, key) == [(0, "a"), (1, "b")], "the late chunk did not come", 5)


# faults of agents


def test_agent_that_vanishes(current: Workspace) -> None:
    current.fault("vanish", server="web-01")
    current.settings(stuck_after=0.3)
    key = current.submit("web-01", "true")
    current.wait_for_command(key, "stuck")
    assert detail(current, key)["error_phase"] == "agent_timeout"


def test_late_fin_turns_stuck_into_success(current: Workspace) -> None:
    current.fault("late_fin", seconds=0.6)
    current.settings(stuck_after=0.3)
    key = current.submit("web-01", "true")
    current.wait_for_command(key, "stuck")
    assert current.wait_for_command(key)["status"] == "success"


THREE_CHUNKS = "echo a; sleep 0.2; echo b; sleep 0.2; echo c"


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ({"kind": "drop_chunk", "seq": 1}, [0, 2]),
        ({"kind": "duplicate_chunk", "seq": 1}, [0, 1, 1, 2]),
        ({"kind": "late_chunk", "seq": 0, "seconds": 60}, [1, 2]),
        ({"kind": "reverse_chunks"}, [0, 1, 2]),
    ],
)
def test_faulty_chunks(current: Workspace, fault: dict[str, t.Any], expected: list[int]) -> None:
    current.fault(**fault)
    row = run(current, THREE_CHUNKS)
    assert [seq for seq, _content in chunks(current, row["id"])] == expected


def test_agent_that_disconnects_and_returns(current: Workspace) -> None:
    current.fault("disconnect", times=1, seconds=0.5)
    key = current.submit("web-01", "true")
    current._until(lambda: not current.state()["servers"][0]["is_connected"], "the agent stayed", 5)
    current.wait_connected("web-01")
    assert current.commands(id=key)[0]["run_count"] == 0


# faults of the network; a POST that was lost before was never seen, one that was lost after is there


@pytest.mark.parametrize("kind", ["lose_before", "lose_after"])
def test_lost_connection(current: Workspace, kind: str) -> None:
    current.fault(kind, method="POST", path="events/commands/", times=1)
    with pytest.raises(requests.ConnectionError):
        create(current)
    assert len(current.commands()) == (kind == "lose_after")
    assert create(current).status_code == 201


@pytest.mark.parametrize("length", ["correct", "wrong"])
def test_truncated_answer(current: Workspace, length: str) -> None:
    current.fault("truncate", method="POST", times=1, length=length)
    if length == "correct":
        with pytest.raises(requests.exceptions.JSONDecodeError):
            create(current).json()
    else:
        with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
            create(current)
    assert len(current.commands()) == 1


def test_reset_in_the_body(current: Workspace) -> None:
    current.fault("reset", method="GET", times=1)
    with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
        current.api("GET", COMMANDS)


@pytest.mark.parametrize(("kind", "count"), [("status", 0), ("status_after", 1)])
def test_stated_status(current: Workspace, kind: str, count: int) -> None:
    current.fault(kind, method="POST", times=1, status=503, headers={"Retry-After": 7}, body="<h1>busy</h1>")
    response = create(current)
    assert (response.status_code, response.text) == (503, "<h1>busy</h1>")
    assert (response.headers["Retry-After"], response.headers["Content-Type"]) == ("7", "text/html")
    assert len(current.commands()) == count


def test_html_from_a_proxy(current: Workspace) -> None:
    current.fault("html", method="POST", times=1)
    response = create(current)
    assert (response.status_code, response.headers["Content-Type"]) == (200, "text/html")
    assert len(current.commands()) == 1


def test_slow_answer_blocks_nobody_else(current: Workspace) -> None:
    current.fault("slow", path="slow=1", delay=0.5, dribble=True)
    with ThreadPoolExecutor(1) as pool:
        started = time.monotonic()
        slow = pool.submit(requests.get, f"{current.url}/api/{COMMANDS}?slow=1", headers=header(current), timeout=5)
        assert current.api("GET", COMMANDS, timeout=0.5).status_code == 200
        assert slow.result().json()["count"] == 0
    assert time.monotonic() - started >= 0.5


def test_timeout_after_the_commit(current: Workspace) -> None:
    current.fault("timeout_after", method="POST", times=1)
    server = current.server_ids()["web-01"]
    with pytest.raises(requests.ReadTimeout):
        current.api("POST", COMMANDS, json={"server": server, "line": "true"}, timeout=0.5)
    assert len(current.commands()) == 1


def test_after_times_and_probability(current: Workspace) -> None:
    current.fault("status", method="GET", status=502, after=2, times=1)
    assert [current.api("GET", COMMANDS).status_code for _turn in range(4)] == [200, 200, 502, 200]
    current.clear_faults()
    current.fault("status", status=502, probability=0.5, seed=1)
    first = [current.api("GET", COMMANDS).status_code for _turn in range(20)]
    current.clear_faults()
    current.fault("status", status=502, probability=0.5, seed=1)
    assert [current.api("GET", COMMANDS).status_code for _turn in range(20)] == first
    assert {200, 502} == set(first)


# counters and log


def test_counters(current: Workspace) -> None:
    key = create(current).json()[0]["id"]
    detail(current, key)
    current.fault("lose_before", method="DELETE", times=1)
    with pytest.raises(requests.ConnectionError):
        current.api("DELETE", f"{COMMANDS}{key}/")
    current.wait_for_command(key)
    counters = current.counters()
    assert (counters["requests"], counters["writes"]) == (3, 2)
    assert counters["routes"] == {
        "POST /api/events/commands/": {"total": 1, "201": 1},
        "GET /api/events/commands/{id}/": {"total": 1, "200": 1},
        "DELETE /api/events/commands/{id}/": {"total": 1, "lost": 1},
    }
    assert counters["tokens"] == {"admin": 3}
    assert counters["agents"] >= 2
    current.reset_counters()
    assert current.requests_made() == 0


def test_log_knows_all_but_the_token(current: Workspace) -> None:
    create(current, "echo logged", token=current.tokens()["bob"])
    (entry,) = current.log()
    assert (entry["method"], entry["path"], entry["status"]) == ("POST", "/api/events/commands/", 201)
    assert json.loads(entry["body"])["line"] == "echo logged"
    assert entry["token"] == "bob"
    assert entry["authorization"] == {"present": True, "scheme": "token", "quoted": True, "well_formed": True}
    assert "authorization" not in entry["headers"]
    assert current.commands()[0]["created_by_request"] == entry["number"]


# reads that lag behind writes


def test_lagging_reads_show_what_was(current: Workspace) -> None:
    old = run(current, "true")["id"]
    pending = current.submit("web-01", "true", scheduled_at="2031-01-01T00:00:00Z")
    current.settings(read_lag=30)
    new = current.submit("web-01", "echo new", run_after=[old])
    assert current.wait_for_command(new)["status"] == "success"
    current.api("DELETE", f"{COMMANDS}{pending}/")
    current.disconnect("web-02")
    # What is written acts at once; what is read is as it was.
    assert {row["id"]: row["status"] for row in current.commands()} == {
        old: "success",
        pending: "cancelled",
        new: "success",
    }
    listed = current.api("GET", COMMANDS).json()
    assert {row["id"]: row["status"] for row in listed["results"]} == {old: "success", pending: "scheduled"}
    assert listed["count"] == 2
    assert current.api("GET", f"{COMMANDS}{new}/").status_code == 404
    assert current.api("GET", f"{COMMANDS}{new}/chunks/").status_code == 404
    assert detail(current, pending)["status"] == "scheduled"
    assert [row["is_connected"] for row in current.api("GET", "servers/servers/").json()["results"]] == [True, True]
    current.settings(read_lag=0)
    assert detail(current, new)["result"] == "new\n"


# what only today's server knows


def test_newer_filters_of_servers(current: Workspace) -> None:
    current.add_servers("db-01", connected=False, tags={"env": "prod", "cloud:zone": "a:b"})

    def names(query: str) -> list[str]:
        return [row["name"] for row in current.api("GET", f"servers/servers/?{query}").json()["results"]]

    assert names("is_connected=false") == ["db-01"]
    assert names("tag=env:prod") == names("tag=cloud:zone:a:b") == ["db-01"]
    assert names("tag=env:test") == names("tag=env") == []
    assert names("search=01")
    assert names("search=wards") == []


# the clock


def date_of(workspace: Workspace) -> float:
    """The Date of an answer, in seconds since the epoch."""
    return parsedate_to_datetime(workspace.api("GET", COMMANDS).headers["Date"]).timestamp()


def test_date_is_the_workspaces_or_that_of_a_proxy_or_missing(current: Workspace) -> None:
    assert abs(date_of(current) - time.time()) < 5
    current.settings(clock_skew=3600)
    assert abs(date_of(current) - time.time() - 3600) < 5
    current.settings(date_skew=-3600)
    assert abs(date_of(current) - time.time()) < 5
    current.settings(date_header=False)
    assert "Date" not in current.api("GET", COMMANDS).headers


def test_times_may_be_cut_to_whole_seconds(current: Workspace) -> None:
    moment = "2031-01-01T00:00:00.250000Z"
    key = create(current, scheduled_at=moment).json()[0]["id"]
    assert detail(current, key)["scheduled_at"] == moment
    current.settings(whole_seconds=True)
    row = detail(current, key)
    assert row["scheduled_at"] == "2031-01-01T00:00:00Z"
    assert all("." not in row[name] for name in ("added_at", "scheduled_at"))
