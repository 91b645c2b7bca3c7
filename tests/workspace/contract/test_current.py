# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Test the `current` dialect: rows, error codes, holds, and real agents."""

from __future__ import annotations

import json
import typing as t
import uuid

import pytest
import requests
from workspace.client import Workspace

COMMANDS = "events/commands/"
WRONG_KEYS = "correct Current in tests/workspace/dialects.py, or the keys here"
CREATE_KEYS = {
    *("id", "shell", "line", "data", "username", "groupname", "added_at", "scheduled_at", "server"),
    *("requested_by", "run_after"),
}
TIMES = {"delivered_at", "acked_at", "handled_at"}
ROW_KEYS = {
    *("id", "shell", "line", "success", "exit_code", "error_phase", "result", "status", "cancellable"),
    *("response_delay", "elapsed_time", "added_at", "scheduled_at", *TIMES),
    *("server", "username", "groupname", "requested_by"),
}
SERVER_KEYS = {
    *("id", "name", "description", "platform", "remote_ip", "status", "is_root", "is_connected", "commissioned"),
    *("starred", "cpu_physical_cores", "cpu_logical_cores", "cpu_type", "physical_memory", "os_name", "os_version"),
    *("load", "boot_time", "uptime", "version", "osquery_version", "last_connectivity", "started_at", "added_at"),
    *("updated_at", "groups", "owner", "offline_alert_enabled"),
}


def create(workspace: Workspace, line: str = "true", token: str | None = None, **fields: t.Any) -> requests.Response:
    server = workspace.server_ids()[fields.pop("server", "web-01")]
    return workspace.api("POST", COMMANDS, token=token, json={"server": server, "line": line, **fields})


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


def test_create_answers_with_a_list_of_one(current: Workspace) -> None:
    response = create(current)
    assert response.status_code == 201
    (row,) = response.json()
    assert set(row) == CREATE_KEYS, WRONG_KEYS
    assert row["server"] == {
        "id": current.server_ids()["web-01"],
        "name": "web-01",
        "os": "Debian 13",
        "is_connected": True,
    }
    assert set(row["requested_by"]) == {"id", "name", "email"}
    assert uuid.UUID(row["requested_by"]["id"])


def test_rows_have_the_keys_that_clients_read(current: Workspace) -> None:
    [key] = current.add_commands([{"status": "success"}])
    [row] = current.api("GET", COMMANDS).json()["results"]
    assert set(row) == ROW_KEYS, WRONG_KEYS
    assert set(detail(current, key)) == {*ROW_KEYS, "data", "run_after", "purpose", "sudo_grant_status"}, WRONG_KEYS
    [server] = current.api("GET", "servers/servers/?name=web-02").json()["results"]
    assert set(server) == SERVER_KEYS, WRONG_KEYS


def test_service_token_has_no_requester(current: Workspace) -> None:
    (row,) = create(current, token=current.tokens()["service"]).json()
    assert row["requested_by"] is None
    assert current.api("GET", f"{COMMANDS}?requested_by_isnull=true").json()["count"] == 1


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


def test_cancel_marks_the_row(current: Workspace) -> None:
    key = current.submit("web-01", "true", scheduled_at="2031-01-01T00:00:00Z")
    response = current.api("DELETE", f"{COMMANDS}{key}/")
    assert (response.status_code, response.json()["status"]) == (200, "cancelled")
    assert detail(current, key)["status"] == "cancelled"


def test_offline_server_queues_until_it_returns(current: Workspace) -> None:
    current.disconnect("web-02")
    key = current.submit("web-02", "echo back")
    assert detail(current, key)["status"] == "queued"
    current.connect("web-02")
    assert current.wait_for_command(key)["run_count"] == 1


@pytest.mark.parametrize(("fault", "phase"), [("never_ack", "agent_disconnected"), ("vanish", "agent_timeout")])
def test_what_is_given_up_has_failed_without_an_exit_code(current: Workspace, fault: str, phase: str) -> None:
    current.settings(gives_up_after=0.3)
    current.fault(fault)
    key = current.submit("web-01", "true")
    assert current.wait_for_command(key)["run_count"] == 0
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


def test_a_line_really_runs(current: Workspace) -> None:
    row = run(current, "echo '안녕 ✓ café'; echo err >&2; echo $SECRET; exit 7", env={"SECRET": "s3cret"})
    assert row["result"] == "안녕 ✓ café\nerr\ns3cret\n"
    assert (row["exit_code"], row["status"]) == (7, "failed")
    assert chunks(current, row["id"]) == [(0, row["result"])]
    assert current.commands(id=row["id"])[0]["env_keys"] == ["SECRET"]
    assert "s3cret" not in json.dumps({key: value for key, value in row.items() if key != "result"})


def test_chunk_bounds_and_holes(current: Workspace) -> None:
    pieces = [{"seq": seq, "content": str(seq)} for seq in (0, 1, 3, 4)]
    (key,) = current.add_commands([{"status": "success", "chunks": pieces}])
    assert [seq for seq, _content in chunks(current, key)] == [0, 1, 3, 4]
    assert [seq for seq, _content in chunks(current, key, seq__gte=1, seq__lte=3)] == [1, 3]
    assert [seq for seq, _content in chunks(current, key, ordering="-seq")] == [4, 3, 1, 0]
    assert current.api("GET", f"{COMMANDS}{key}/chunks/?seq__gte=").status_code == 400


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


def test_a_command_states_the_client_that_its_request_declared(current: Workspace) -> None:
    body = {"server": current.server_ids()["web-01"], "line": "true"}
    for headers in ({}, {"X-Alpacon-Declared-Agent-Name": "nightly patches"}):
        current.api("POST", COMMANDS, json=body, headers=headers)
    assert [row["declared_agent"] for row in current.commands()] == ["", "nightly patches"]


def test_log_knows_all_but_the_token(current: Workspace) -> None:
    create(current, "echo logged", token=current.tokens()["bob"])
    (entry,) = current.log()
    assert (entry["method"], entry["path"], entry["status"]) == ("POST", "/api/events/commands/", 201)
    assert json.loads(entry["body"])["line"] == "echo logged"
    assert entry["token"] == "bob"
    assert "authorization" not in entry["headers"]
    assert current.commands()[0]["created_by_request"] == entry["number"]


@pytest.mark.parametrize(
    ("kind", "error", "count"),
    [
        ("lose_before", requests.ConnectionError, 0),
        ("lose_after", requests.ConnectionError, 1),
        ("truncate", requests.RequestException, 1),
        ("reset", requests.RequestException, 1),
        ("timeout_after", requests.ReadTimeout, 1),
    ],
)
def test_a_lost_answer(current: Workspace, kind: str, error: type[Exception], count: int) -> None:
    current.fault(kind, method="POST", path="events/commands/", times=1)
    body = {"server": current.server_ids()["web-01"], "line": "true"}
    with pytest.raises(error):
        current.api("POST", COMMANDS, json=body, timeout=0.5).json()
    assert len(current.commands()) == count
    assert create(current).status_code == 201


def test_lagging_reads_show_what_was(current: Workspace) -> None:
    pending = current.submit("web-01", "true", scheduled_at="2031-01-01T00:00:00Z")
    current.settings(read_lag=30)
    new = current.submit("web-01", "echo new")
    assert current.wait_for_command(new)["status"] == "success"
    current.api("DELETE", f"{COMMANDS}{pending}/")
    listed = current.api("GET", COMMANDS).json()
    assert [(row["id"], row["status"]) for row in listed["results"]] == [(pending, "scheduled")]
    assert current.api("GET", f"{COMMANDS}{new}/").status_code == 404
    current.settings(read_lag=0)
    assert detail(current, new)["result"] == "new\n"


def test_newer_filters_of_servers(current: Workspace) -> None:
    current.add_servers("db-01", connected=False, tags={"env": "prod", "cloud:zone": "a:b"})

    def names(query: str) -> list[str]:
        return [row["name"] for row in current.api("GET", f"servers/servers/?{query}").json()["results"]]

    assert names("is_connected=false") == ["db-01"]
    assert names("tag=env:prod") == names("tag=cloud:zone:a:b") == ["db-01"]
    assert names("tag=env:test") == names("tag=env") == []
    assert names("search=01")
    assert names("search=wards") == []
