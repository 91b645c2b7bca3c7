# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test the answers of the playbook check_workspace: of each dialect, and of what can be wrong with a workspace."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from system.certificates import authority
from system.plays import wait_until
from system.support import AGENTS, Request, Response, ScriptedServer, in_every_dialect, socket_servers
from workspace.client import Workspace

from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.run import Run
from ansible_collections.herdops.alpacon.plugins.plugin_utils._workspace_check.answers import (
    COST,
    NOT_ASKED,
    OK,
    PROBLEM,
    QUESTIONS,
    SERVER_QUESTIONS,
    WARNING,
)
from ansible_collections.herdops.alpacon.plugins.plugin_utils._workspace_check.check import MAX_REQUESTS, WorkspaceCheck
from ansible_collections.herdops.alpacon.tests.unit.support import TOKEN, Row

Serve = Callable[..., ScriptedServer]
MODULE = b'print(\'{"ping": "pong"}\')'
#: Questions of routes that only workspaces of today have; the stand-in lacks those for approvals.
LATER = {"metrics", "transfers", "approvals", "preferences"}


class Checked:
    """The answers, the printed lines and the file of a check."""

    def __init__(self, url: str, folder: Path, server: str = "", token: str = TOKEN, **more: Any) -> None:
        self.lines: list[str] = []
        check = WorkspaceCheck(lambda line, _level: self.lines.append(line), Run(**more.pop("run", {})), server)
        with_names = more.pop("with_names", False)
        check.ask({"url": url, "token": token, **more}, "", lambda: MODULE)
        check.write(str(folder / "check.json"), with_names)
        self.result = check.make_result()
        self.text = (folder / "check.json").read_text(encoding="utf-8")
        self.rows: dict[str, Row] = {row["question"]: row for row in json.loads(self.text)["answers"]}

    def questions(self, level: str) -> set[str]:
        return {question for question, row in self.rows.items() if row["level"] == level}

    @property
    def problems(self) -> list[str]:
        return sorted(self.questions(PROBLEM))


def check(workspace: Workspace, folder: Path, server: str = "", token: str = "", **more: Any) -> Checked:
    return Checked(workspace.url, folder, server, token or workspace.token, **more)


@in_every_dialect
def test_every_question_has_an_answer_within_the_limit_of_requests(workspace: Workspace, tmp_path: Path) -> None:
    dialect = workspace.state()["dialect"]

    def check_in_time() -> Checked | None:
        """Return the answers; None if a late agent cost so many polls that requests for questions were lacking."""
        workspace.reset_counters()
        found = check(workspace, tmp_path, "web-01")
        return found if COST in found.questions(OK) else None

    done = wait_until(check_in_time)
    assert list(done.rows) == [*QUESTIONS, *SERVER_QUESTIONS, COST]
    assert done.problems == []
    assert "failed" not in done.result
    used = done.rows[COST]["facts"]["requests"]
    # The websocket is not counted by the stand-in.
    assert workspace.requests_made() <= used <= workspace.requests_made() + 1
    assert used <= MAX_REQUESTS
    assert done.rows["dialect"]["facts"]["dialect"] == dialect
    is_current = dialect == "current"
    later = LATER if dialect == "2024" else {*LATER, "facts"} if dialect == "published" else {"approvals"}
    limits = {"dialect", "exit code", "output", *({"line limit"} if dialect == "2024" else ())}
    assert done.questions(WARNING) - {"sudo"} == later | (set() if is_current else limits)
    unasked = {"env", "script", "sudo", "module"}
    without_date = {"clock", "events", "push"} if dialect == "2024" else set()
    # Its route of transfers has no list to read.
    assert done.questions(NOT_ASKED) == {"actions"} | ({"transfers"} if is_current else unasked) | without_date
    assert all(row.get("remedy") for row in done.rows.values() if row["level"] == WARNING)


def test_the_file_has_no_names_unless_they_are_wanted(current: Workspace, tmp_path: Path) -> None:
    current.fault("status", status=403, body='{"code": "forbidden", "detail": "Not for admin"}', path="/api/proc/")
    names = {current.url, "127.0.0.1", "admin", *AGENTS, *current.server_ids().values()}
    done = check(current, tmp_path, "web-01")
    assert not [name for name in names if name in done.text]
    assert done.questions(OK) >= {"module", "push", "servers"}
    with_names = check(current, tmp_path, with_names=True)
    assert {current.url, "admin"} <= {name for name in names if name in with_names.text}
    assert current.token not in done.text + with_names.text + "".join(done.lines + with_names.lines)
    fields = json.loads(with_names.text)["fields"]
    assert {"id", "status", "exit_code"} <= set(fields["command"])
    assert "is_connected" in fields["server"]


def test_without_a_server_nothing_is_written(current: Workspace, tmp_path: Path) -> None:
    done = check(current, tmp_path)
    assert current.counters()["writes"] == 0
    assert "failed" not in done.result
    assert done.questions(NOT_ASKED) == {"actions", "events", "transfers", *SERVER_QUESTIONS}
    in_check_mode = check(current, tmp_path, "web-01", run={"check_mode": True})
    assert current.counters()["writes"] == 0
    assert in_check_mode.questions(NOT_ASKED) >= set(SERVER_QUESTIONS)


@in_every_dialect
def test_a_wrong_token(workspace: Workspace, tmp_path: Path) -> None:
    done = check(workspace, tmp_path, "web-01", "alpat-wrong")
    assert done.problems == ["token"]
    assert done.rows["url"]["level"] == OK
    assert workspace.requests_made() == 1
    assert done.result["failed"]


@pytest.mark.parametrize(
    ("options", "problems"),
    [
        ({"url": "", "token": ""}, ["token", "url"]),
        ({"url": "", "token": TOKEN}, ["url"]),
        ({"url": "ftp://workspace", "token": TOKEN}, ["url"]),
        ({"url": "https://workspace.invalid", "token": TOKEN}, ["url"]),
        ({"url": "http://127.0.0.1:1", "token": TOKEN}, ["url"]),
        ({"url": "https://127.0.0.1:1", "token": TOKEN, "ca_path": "/nonexistent"}, ["tls"]),
    ],
)
def test_settings_that_lead_nowhere(tmp_path: Path, options: Row, problems: list[str]) -> None:
    done = Checked(folder=tmp_path, **options)
    assert done.problems == problems
    assert done.result["failed"]
    assert done.result["requests"] == 0
    assert all(word in " ".join(done.lines) for word in ("problem", "not asked"))


@pytest.mark.parametrize(
    "options",
    [
        {"url": "ftp://acme.example"},
        {"url": "acme.example"},
        {"url": "https://acme.example/?x"},
        {"url": "https://workspace.invalid", "ca_path": "/home/acme/ca.pem"},
    ],
)
def test_settings_are_not_in_the_file(tmp_path: Path, options: Row) -> None:
    done = Checked(folder=tmp_path, **options)
    assert "acme" in "".join(done.lines)
    assert "acme" not in done.text


def test_keys_that_are_names_are_not_in_the_file(serve: Serve, tmp_path: Path) -> None:
    server = {"id": "a0000000-0000-4000-8000-000000000001", "name": "web-01"}

    def answer(request: Request) -> Response:
        is_keyed = "metrics" in request.path
        return Response({"load": 1, **dict.fromkeys(server.values(), 1)} if is_keyed else {"results": [server]})

    done = Checked(serve(answer).url, tmp_path)
    assert json.loads(done.text)["fields"]["metrics"] == ["<server>", "load"]


def test_a_missing_token_leaves_the_way_to_the_workspace_to_check(current: Workspace, tmp_path: Path) -> None:
    done = Checked(current.url, tmp_path, token="")
    assert done.problems == ["token"]
    assert done.questions(OK) >= {"url", "proxy", "tls"}
    assert current.requests_made() == 0


@pytest.mark.parametrize(
    ("days", "address", "remedy"),
    [(-1, "127.0.0.1", "Renew the certificate"), (1, "10.0.0.1", "name that the certificate is for")],
)
def test_a_certificate_that_is_not_trusted(
    serve: Serve, tmp_path: Path, days: float, address: str, remedy: str
) -> None:
    ours = authority(tmp_path, "ours", address, days)
    done = Checked(serve([Response([])], tls=ours.server).url, tmp_path, ca_path=str(ours.file))
    assert done.problems == ["tls"]
    assert remedy in done.rows["tls"]["remedy"]


def test_a_certificate_of_a_private_ca(serve: Serve, tmp_path: Path) -> None:
    ours = authority(tmp_path, "ours", days=90.5)
    url = serve([Response({"results": [], "count": 0})], tls=ours.server).url
    assert "ALPACON_CA_PATH" in Checked(url, tmp_path).rows["tls"]["remedy"]
    done = Checked(url, tmp_path, ca_path=str(ours.file))
    assert done.rows["tls"]["level"] == OK
    assert done.rows["tls"]["facts"]["days_left"] == 90
    unverified = Checked(url, tmp_path, validate_certs=False)
    assert unverified.rows["tls"]["level"] == WARNING


def test_a_certificate_that_expires_soon(serve: Serve, tmp_path: Path) -> None:
    ours = authority(tmp_path, "ours", days=5)
    done = Checked(serve([Response([])], tls=ours.server).url, tmp_path, ca_path=str(ours.file))
    assert done.rows["tls"]["level"] == WARNING


def test_proxies(serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:1")
    done = Checked("https://workspace.invalid", tmp_path)
    assert done.problems == ["proxy"]
    assert "no_proxy" in done.rows["proxy"]["remedy"]
    with socket_servers(read=65536) as start:
        address = start(lambda connection: connection.sendall(b"HTTP/1.1 407 no\r\n\r\n"))
        monkeypatch.setenv("https_proxy", f"http://{address}")
        assert "password" in Checked("https://workspace.invalid", tmp_path).rows["proxy"]["remedy"]
    monkeypatch.setenv("http_proxy", serve([Response({"results": [], "count": 0})]).url)
    done = Checked("http://workspace.invalid", tmp_path)
    assert done.rows["proxy"]["level"] == OK
    assert done.rows["proxy"]["facts"] == {"used": True}
    assert "127.0.0.1" not in done.text
    assert "workspace.invalid" not in done.text


@pytest.mark.parametrize(
    ("response", "words"),
    [
        (Response("<h1>Welcome</h1>"), "Something other"),
        (Response({"status": "healthy"}), "Something other"),
        (Response("<h1>Nothing</h1>", 404), "Something other"),
        (Response("", 301, {"Location": "https://other.example/api/"}), "redirects to <another>"),
        (Response("<h1>Bad gateway</h1>", 502), "failed"),
    ],
)
def test_another_server_than_a_workspace(serve: Serve, tmp_path: Path, response: Response, words: str) -> None:
    done = Checked(serve([response]).url, tmp_path)
    assert done.problems == ["url"]
    assert words in done.rows["url"]["finding"]
    assert done.result["requests"] == 1


def test_the_clock_the_quota_and_the_expiry_that_a_workspace_states(serve: Serve, tmp_path: Path) -> None:
    def answer(request: Request) -> Response:
        if request.path.endswith("/whoami/"):
            auth = {"scopes": ["command:read", "<script>"], "expires_at": "2020-01-01T00:00:00Z"}
            application = {"name": "deploy \x1b[31m{{ 7 * 7 }}", "username": "ci-bot"}
            return Response({"principal_type": "application", "auth": auth, "application": application})
        headers = {"X-RateLimit-Limit": "5000", "Date": "Wed, 01 Jan 2020 00:00:00 GMT"}
        return Response({"results": [], "count": 0}, 200, headers)

    done = Checked(serve(answer).url, tmp_path)
    assert done.rows["clock"]["level"] == WARNING
    assert "timedatectl" in done.rows["clock"]["remedy"]
    assert done.rows["quota"]["facts"] == {"x-ratelimit-limit": "5000"}
    token = done.rows["token"]
    assert token["level"] == WARNING
    assert token["facts"]["kind"] == "service"
    assert token["facts"]["scopes"] == ["command:read"]
    assert token["facts"]["days_left"] < 0
    assert "deploy" not in done.text
    assert "\x1b" not in "".join(done.lines)


def test_a_token_whose_owner_and_quota_are_not_stated_in_numbers(serve: Serve, tmp_path: Path) -> None:
    def answer(request: Request) -> Response:
        if request.path.endswith("/whoami/"):
            return Response({"code": "forbidden"}, 403)
        return Response({"results": [], "count": 0}, 200, {"RateLimit-Policy": "acme"})

    done = Checked(serve(answer).url, tmp_path, token="alpst-0123456789")
    assert done.rows["token"]["finding"] == "A service token."
    assert "acme" not in done.text
    assert done.rows["quota"]["facts"] == {"requests_per_hour": 1000}


def test_a_used_up_quota_ends_the_check(current: Workspace, tmp_path: Path) -> None:
    current.settings(throttle="3/min")
    done = check(current, tmp_path, "web-01")
    assert done.problems == ["quota"]
    assert current.counters()["writes"] == 0
    assert done.result["requests"] == 4


@pytest.mark.parametrize(("reference", "words"), [("web-9", "No server"), ("web-02", "not connected")])
def test_a_server_that_runs_no_command(current: Workspace, tmp_path: Path, reference: str, words: str) -> None:
    current.disconnect("web-02")
    done = check(current, tmp_path, reference)
    assert done.problems == ["server"]
    assert words in " ".join(done.lines)
    assert current.counters()["writes"] == 0
    assert reference not in done.text


def test_an_access_list_without_these_commands(current: Workspace, tmp_path: Path) -> None:
    done = check(current, tmp_path, "web-01", current.tokens()["noacl"])
    assert done.problems == ["line"]
    assert done.questions(WARNING) >= {"output", "script"}
    current.settings(acl={"noacl": ["/bin/sh -c $RUN *"]})
    done = check(current, tmp_path, "web-01", current.tokens()["noacl"])
    assert done.problems == []
    assert done.rows["line"]["level"] == WARNING
    assert done.rows["module"]["level"] == OK


@pytest.mark.slow
def test_held_commands_are_cancelled(current: Workspace, tmp_path: Path) -> None:
    current.settings(holds=[{"line": ".*", "servers": ["web-01"], "status": "awaiting_approval"}])
    done = check(current, tmp_path, "web-01")
    assert done.problems == ["line"]
    assert {row["status"] for row in current.commands()} == {"cancelled"}


@pytest.mark.slow
def test_a_held_command_that_cannot_be_cancelled_is_named(current: Workspace, tmp_path: Path) -> None:
    current.settings(holds=[{"line": ".*", "servers": ["web-01"], "status": "awaiting_approval"}])
    current.fault("status", method="DELETE", status=409, body='{"code": "event_command_already_sent"}')
    done = check(current, tmp_path, "web-01")
    assert "Deny it" in done.rows["line"]["remedy"]
    assert done.rows[COST]["facts"]["requests"] <= MAX_REQUESTS


@pytest.mark.slow
def test_a_token_without_events(current: Workspace, tmp_path: Path) -> None:
    current.settings(event_scopes=False)
    done = check(current, tmp_path, "web-01")
    assert done.rows["events"]["level"] == WARNING
    assert done.rows["push"]["level"] == NOT_ASKED
    assert done.problems == []


@pytest.mark.slow
def test_events_that_do_not_come(current: Workspace, tmp_path: Path) -> None:
    current.settings(websocket_url="wss://other.example/ws/{word}/")
    done = check(current, tmp_path, "web-01")
    assert (done.rows["events"]["level"], done.rows["push"]["level"]) == (OK, WARNING)


@pytest.mark.slow
def test_a_shell_that_the_server_does_not_have(current: Workspace, tmp_path: Path) -> None:
    current.change_server("web-01", allow_sh=False)
    done = check(current, tmp_path, "web-01")
    assert done.problems == []
    assert done.rows["exit code"]["level"] == WARNING
    assert done.rows["module"]["level"] == OK


@pytest.mark.slow
def test_no_answer_costs_more_than_the_limit(
    current: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ansible_collections.herdops.alpacon.plugins.plugin_utils._workspace_check.on_server.WAIT", 4.0)
    current.fault("never_ack", server="web-01", line=".*")
    done = check(current, tmp_path, "web-01")
    assert done.problems == ["line"]
    assert current.requests_made() <= MAX_REQUESTS


def test_a_workspace_that_breaks_down_is_left_alone(serve: Serve, tmp_path: Path) -> None:
    responses = [Response({"results": [], "count": 0}), Response("", 500), Response("", 500), Response("", 500)]
    done = Checked(serve(responses).url, tmp_path)
    assert done.result["requests"] == 3
    assert done.questions(OK) >= {"url", "commands"}


@pytest.mark.parametrize(
    "body",
    [
        None,
        [],
        "text",
        [[[1]], None, "x"],
        {"results": [None, "x", 5, {}]},
        {"results": [{"id": 5, "name": {"a": [1]}, "status": [], "owner": [1], "version": {}}], "count": -1},
        {"results": [{"id": "\u0000", "name": "\x1b]0;x\x07", "owner": {"id": {}}}], "count": True},
        {"auth": [1], "user": "x", "application": 7, "principal_type": "application", "expires_at": 10**30},
        {"auth": {"scopes": [[1], None, {}], "expires_at": "9999-99-99"}, "user": {"username": {}, "name": 5}},
    ],
)
def test_odd_bodies_are_answers_too(serve: Serve, tmp_path: Path, body: Any) -> None:
    done = Checked(serve([Response(body)]).url, tmp_path, "web-01")
    assert list(done.rows) == [*QUESTIONS, *SERVER_QUESTIONS, COST]
    assert "\x1b" not in "".join(done.lines) + done.text


def test_a_uuid_of_any_form_names_its_server(current: Workspace, tmp_path: Path) -> None:
    current.disconnect("web-02")
    server_id = current.server_ids()["web-02"]
    for reference in (server_id.upper(), server_id.replace("-", "")):
        done = check(current, tmp_path, reference)
        assert "not connected" in done.rows["server"]["finding"]
        assert reference not in done.text


def test_a_quota_that_ends_with_the_search_for_the_server(serve: Serve, tmp_path: Path) -> None:
    def answer(request: Request) -> Response:
        if "name" in request.query:
            return Response({"code": "api_rate_limited"}, 429)
        return Response({"results": [], "count": 500})

    assert Checked(serve(answer).url, tmp_path, "web-01").problems == ["server"]


def test_a_server_beyond_the_first_page_is_found(serve: Serve, tmp_path: Path) -> None:
    def answer(request: Request) -> Response:
        names = [request.query["name"]] if "name" in request.query else ["db-01"]
        rows = [
            {"id": f"00000000-0000-4000-8000-{len(name):012d}", "name": name, "is_connected": False} for name in names
        ]
        return Response({"results": rows, "count": 1 if "name" in request.query else 500})

    done = Checked(serve(answer).url, tmp_path, "web-9000")
    assert done.rows["server"]["finding"] == "<server> is not connected."
