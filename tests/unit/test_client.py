# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The client over a real socket: settings, headers, connections, paging, pauses and redirects."""

from __future__ import annotations

import itertools
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from unit.conftest import Connect
from unit.support import (
    COMMAND,
    HANG_UP,
    LIST,
    TOKEN,
    Clock,
    Reply,
    Request,
    ScriptedServer,
    page,
    pauses,
    recorded,
    rows,
)
from workspace.client import Workspace

from ansible_collections.herdops.alpacon.plugins.module_utils._client import ATTEMPTS, PAGE_SIZE, Client, Settings
from ansible_collections.herdops.alpacon.plugins.module_utils._errors import (
    AlpaconError,
    ApiError,
    ConnectionFailed,
    LostAnswer,
    UsageError,
)

Serve = Callable[..., ScriptedServer]


def closed_port() -> int:
    """A port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


# Settings


def settings(**given: Any) -> Settings:
    return Settings.from_options({"url": "https://one.example", "token": TOKEN, **given})


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("https://one.us1.alpacon.io", "https://one.us1.alpacon.io"),
        (" https://one.us1.alpacon.io/ ", "https://one.us1.alpacon.io"),
        ("https://one.us1.alpacon.io/api/", "https://one.us1.alpacon.io"),
        ("https://example.com/alpacon/api", "https://example.com/alpacon"),
        ("http://localhost:8100", "http://localhost:8100"),
        ("http://[::1]:8100/", "http://[::1]:8100"),
    ],
)
def test_base_urls(url: str, base: str) -> None:
    assert settings(url=url).url == base


@pytest.mark.parametrize(
    ("given", "option", "words"),
    [
        ({"url": None}, "url", "ALPACON_URL"),
        ({"url": ""}, "url", "module_defaults under group/herdops.alpacon.alpacon"),
        ({"url": "  "}, "url", "ALPACON_URL"),
        ({"url": "one.us1.alpacon.io"}, "url", "is not an http or https URL"),
        ({"url": "ftp://one.example"}, "url", "is not an http or https URL"),
        ({"url": "https://"}, "url", "is not an http or https URL"),
        ({"url": "https://one.example:port"}, "url", "is not an http or https URL"),
        ({"url": "https://[::1"}, "url", "is not an http or https URL"),
        ({"url": "https://bob:pw@one.example"}, "url", "Give the credential in token instead"),
        ({"url": "https://one.example/?a=b"}, "url", "has a query or fragment"),
        ({"token": None}, "token", "ALPACON_TOKEN"),
        ({"token": ""}, "token", "alpacon_token"),
        ({"token": " \n"}, "token", "ALPACON_TOKEN"),
        ({"token": 'token="abc"'}, "token", "without quotes"),
        ({"token": "a b"}, "token", "without quotes"),
        ({"token": "a\nb"}, "token", "without quotes"),
        ({"token": "schlüssel"}, "token", "without quotes"),
        ({"request_timeout": -1}, "request_timeout", "is not a time"),
        ({"request_timeout": 0}, "request_timeout", "is not a time"),
        ({"ca_path": "/no/such/ca.pem"}, "ca_path", "does not exist"),
    ],
)
def test_settings_that_are_refused(given: dict[str, Any], option: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        settings(**given)
    assert caught.value.option == option
    assert words in str(caught.value)


def test_settings_that_are_left_out() -> None:
    assert settings(validate_certs=None, ca_path="", request_timeout=None) == settings()
    assert settings().validate_certs is True
    assert settings(validate_certs=False).validate_certs is False


@pytest.mark.parametrize(
    ("url", "warned"),
    [
        ("https://one.example", False),
        ("http://127.0.0.1:8100", False),
        ("http://127.9.9.9", False),
        ("http://localhost", False),
        ("http://[::1]:8100", False),
        ("http://one.example", True),
        ("http://192.168.0.1", True),
        ("http://localhost.example.com", True),
        ("http://127.example.com", True),
    ],
)
def test_a_token_that_travels_in_the_clear_is_warned_about(url: str, warned: bool) -> None:
    warnings = settings(url=url).warnings
    assert bool(warnings) is warned
    assert all("Use https" in warning and TOKEN not in warning for warning in warnings)


def test_the_token_is_in_no_repr() -> None:
    with Client(settings()) as client:
        assert TOKEN not in repr(settings()) + str(settings()) + repr(client) + repr(vars(client))


def test_a_missing_library_is_named() -> None:
    module_utils = "ansible_collections.herdops.alpacon.plugins.module_utils"
    program = f"""if True:
        import sys
        sys.modules["requests"] = None
        from {module_utils} import _client, _errors
        try:
            _client.Client(_client.Settings("https://one.example", "alpat-1"))
        except _errors.MissingLibrary as error:
            print(error)
    """
    root = os.environ["ANSIBLE_COLLECTIONS_PATH"]
    done = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True)
    assert "Failed to import the required Python library (requests)" in done.stdout


# Requests


def test_what_a_request_looks_like(workspace: Workspace, connect: Connect) -> None:
    client = connect(workspace)
    client.get(LIST, {"page_size": 1})
    client.write("DELETE", f"{LIST}{workspace.submit('web-01', 'true', scheduled_at='2999-01-01T00:00:00Z')}/")
    for entry in (workspace.log()[0], workspace.log()[-1]):
        assert entry["authorization"] == {"present": True, "scheme": "token", "quoted": True, "well_formed": True}
        assert entry["token"] == "admin"
        assert entry["headers"]["user-agent"] == "herdops.alpacon/0.1.0"
        assert entry["headers"]["accept"] == "application/json"
        assert "cookie" not in entry["headers"]


def test_a_body_is_json(serve: Serve, connect: Connect) -> None:
    server = serve([Reply({"id": 1}, 201)])
    answer = connect(server).write("POST", LIST, {"line": "echo 안녕"})
    assert (answer.status, answer.body) == (201, {"id": 1})
    [request] = server.requests
    assert (request.method, request.path, request.body) == ("POST", LIST, {"line": "echo 안녕"})
    assert request.headers["Content-Type"] == "application/json"
    assert request.headers["Authorization"] == f'token="{TOKEN}"'


def test_one_connection_serves_many_requests(serve: Serve, connect: Connect) -> None:
    server = serve([Reply([])])
    client = connect(server)
    for _number in range(10):
        client.get(LIST)
        client.write("POST", LIST, {})
    assert (len(server.requests), server.connections) == (20, 1)


def test_threads_share_the_pool_and_the_counter(serve: Serve, connect: Connect) -> None:
    server = serve([Reply([])])
    client = connect(server)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _number: client.get(LIST), range(80)))
    assert client.requests == len(server.requests) == 80
    assert server.connections <= 8


def test_every_request_is_counted_the_repeated_ones_too(serve: Serve, connect: Connect, clock: Clock) -> None:
    server = serve([Reply(status=502), Reply("<html>", 200), Reply([])])
    client = connect(server, sleep=clock.sleep)
    assert client.get(LIST) == []
    assert client.requests == len(server.requests) == 3


def test_cookies_are_not_kept(serve: Serve, connect: Connect) -> None:
    server = serve([Reply([], headers={"Set-Cookie": "sessionid=abc; Path=/"})])
    client = connect(server)
    client.get(LIST)
    client.get(LIST)
    assert "Cookie" not in server.requests[1].headers


def test_an_answer_without_a_body(serve: Serve, connect: Connect) -> None:
    answer = connect(serve([Reply(status=204)])).write("DELETE", LIST)
    assert (answer.status, answer.body) == (204, None)


def test_a_path_below_a_base_url(serve: Serve, connect: Connect) -> None:
    server = serve([Reply([])])
    connect(f"{server.url}/alpacon/api/").get(LIST)
    assert server.requests[0].path == f"/alpacon{LIST}"


# Paging


def every(client: Client) -> list[Any]:
    return list(client.rows(LIST, {"ordering": "-added_at"}))


def test_all_pages_of_a_workspace(workspace: Workspace, connect: Connect) -> None:
    ids = workspace.add_many_commands(250, line="echo {n}", status="success")
    workspace.reset_counters()
    client = connect(workspace)
    assert [row["id"] for row in every(client)] == ids
    assert client.requests == workspace.requests_made() == 3
    assert all("page_size=100" in entry["path"] for entry in workspace.log()[-3:])


@pytest.mark.parametrize("size", [0, 1, 99, 100, 101, 200])
def test_pages_of_every_size(current: Workspace, connect: Connect, size: int) -> None:
    ids = current.add_many_commands(size, line="true", status="success") if size else []
    client = connect(current)
    assert [row["id"] for row in every(client)] == ids
    assert client.requests == max(1, -(-size // PAGE_SIZE))


FORMS: dict[str, Callable[[str, int], Any]] = {
    "number": lambda url, number: number,
    "number as text": lambda url, number: str(number),
    "URL": lambda url, number: f"{url}{LIST}?page={number}&page_size=100",
    "URL of another host": lambda url, number: f"http://internal:9000{LIST}?page={number}",
    "relative URL": lambda url, number: f"?page={number}",
    "cursor": lambda url, number: f"c{number}==",
    "URL with cursor": lambda url, number: f"{url}{LIST}?cursor=c{number}%3D%3D",
}


@pytest.mark.parametrize("end", [None, 0, "", "0", "absent"])
@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_paging(serve: Serve, connect: Connect, form: str, end: Any) -> None:
    numbers = itertools.count(1)

    def answer(request: Request) -> Reply:
        number = next(numbers)
        body = page(rows(number * 2, number * 2 + 2), FORMS[form](server.url, number + 1) if number < 3 else end)
        if body["next"] == "absent":
            del body["next"]
        return Reply(body)

    server = serve(answer)
    assert every(connect(server)) == rows(2, 8)
    name, texts = ("cursor", ["c2==", "c3=="]) if "cursor" in form else ("page", ["2", "3"])
    always = {"ordering": "-added_at", "page_size": "100"}
    assert server.queries == [always, *({**always, name: text} for text in texts)]


def test_a_bare_list_is_the_only_page(serve: Serve, connect: Connect) -> None:
    server = serve([Reply(rows(0, 3))])
    client = connect(server)
    assert every(client) == rows(0, 3)
    [only] = client.pages(LIST)
    assert only.count == 3


def test_a_page_size_of_its_own_is_not_taken(serve: Serve, connect: Connect) -> None:
    server = serve([Reply(page([]))])
    list(connect(server).pages(LIST, {"page_size": 7}))
    assert server.queries == [{"page_size": "100"}]


def test_a_list_that_grows_shows_no_row_twice(serve: Serve, connect: Connect) -> None:
    server = serve([Reply(page(rows(0, 100), 2)), Reply(page(rows(97, 197), 3)), Reply(page(rows(196, 200)))])
    assert every(connect(server)) == rows(0, 200)


def test_a_real_list_that_grows_shows_no_row_twice(workspace: Workspace, connect: Connect) -> None:
    ids = workspace.add_many_commands(150, line="true", status="success", added_at=-10)
    seen: list[str] = []
    for row in connect(workspace).rows(LIST, {"ordering": "-added_at"}):
        if len(seen) == 50:
            workspace.add_many_commands(5, line="true", status="success", added_at=0)
        seen.append(row["id"])
    assert seen == ids


def test_rows_without_an_id_are_all_different(serve: Serve, connect: Connect) -> None:
    chunk = {"seq": 0, "content": "x"}
    server = serve([Reply(page([chunk, chunk], 2)), Reply(page([chunk]))])
    assert every(connect(server)) == [chunk] * 3


def test_a_list_that_shrinks_ends(serve: Serve, connect: Connect) -> None:
    server = serve([Reply(page(rows(0, 100), 2)), Reply({"detail": "Invalid page."}, 404)])
    assert every(connect(server)) == rows(0, 100)


def test_a_real_list_that_shrinks_ends(workspace: Workspace, connect: Connect) -> None:
    ids = workspace.add_many_commands(101, line="true", status="success")
    client = connect(workspace)
    walk = client.rows(LIST, {"ordering": "-added_at"})
    first = next(walk)["id"]
    workspace.delete_command(ids[50])
    workspace.delete_command(ids[51])
    assert [first, *(row["id"] for row in walk)] == ids[:100]
    assert client.requests == 2


def test_a_list_that_is_not_there_is_an_error(serve: Serve, connect: Connect) -> None:
    with pytest.raises(ApiError) as caught:
        every(connect(serve([Reply({"detail": "Not found."}, 404)])))
    assert caught.value.status == 404


@pytest.mark.parametrize("following", [1, "1", "?page=1", "not a page", "?page=x"])
def test_paging_that_leads_nowhere_ends(serve: Serve, connect: Connect, following: Any) -> None:
    server = serve([Reply(page(rows(0, 2), following)), Reply(page([]))])
    assert every(connect(server)) == rows(0, 2)
    assert len(server.requests) <= 2


def test_a_cursor_that_stays_the_same_ends(serve: Serve, connect: Connect) -> None:
    server = serve([Reply(page(rows(0, 2), "c1")), Reply(page(rows(2, 4), "c1")), Reply(page(rows(4, 6), "c1"))])
    assert every(connect(server)) == rows(0, 4)


@pytest.mark.parametrize("body", [{"status": "Good"}, {"results": None}, "words", 7, None])
def test_what_is_no_list_is_an_error(serve: Serve, connect: Connect, clock: Clock, body: Any) -> None:
    answer = Reply(body) if not isinstance(body, str) else Reply(f'"{body}"')
    with pytest.raises(LostAnswer, match="not a list"):
        every(connect(serve([answer]), sleep=clock.sleep))


def test_a_page_that_was_recorded(serve: Serve, connect: Connect) -> None:
    body = recorded("001-list-default")
    server = serve([Reply(body), Reply(page([]))])
    assert every(connect(server)) == body["results"]
    assert server.queries[1]["page"] == str(body["next"])


# Pauses and repetition of reads

PASSING: dict[str, Reply] = {
    "408": Reply(status=408),
    "500": Reply("<html>", 500),
    "502": Reply("<html>", 502),
    "503": Reply(status=503),
    "504": Reply({"detail": "No."}, 504),
    "reset": HANG_UP,
    "HTML instead of JSON": Reply("<html>Please sign in</html>"),
    "half of a body": Reply('{"count": 1, "resu'),
    "a body shorter than it says": Reply("[]", headers={"Content-Length": "90", "Connection": "close"}),
}


@pytest.mark.parametrize("kind", PASSING)
def test_reads_are_repeated_with_widening_pauses(serve: Serve, connect: Connect, clock: Clock, kind: str) -> None:
    server = serve([*[PASSING[kind]] * 3, Reply([1])])
    assert connect(server, sleep=clock.sleep).get(LIST) == [1]
    first, second, third = pauses(clock.slept)
    assert 0.4 <= first <= 0.6
    assert 0.8 <= second <= 1.2
    assert 1.6 <= third <= 2.4


@pytest.mark.parametrize("kind", PASSING)
def test_reads_are_given_up_after_a_while(serve: Serve, connect: Connect, clock: Clock, kind: str) -> None:
    server = serve([PASSING[kind]])
    with pytest.raises((ApiError, LostAnswer)):
        connect(server, sleep=clock.sleep).get(LIST)
    assert len(server.requests) == ATTEMPTS
    assert len(pauses(clock.slept)) == ATTEMPTS - 1


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 409, 410, 422])
def test_reads_that_are_refused_are_not_repeated(serve: Serve, connect: Connect, clock: Clock, status: int) -> None:
    server = serve([Reply({"code": "X"}, status)])
    with pytest.raises(ApiError) as caught:
        connect(server, sleep=clock.sleep).get(LIST)
    assert caught.value.status == status
    assert (len(server.requests), clock.slept) == (1, [])


def test_a_503_that_means_offline_is_not_repeated(serve: Serve, connect: Connect, clock: Clock) -> None:
    server = serve([Reply({"code": "SERVER_NOT_CONNECTED"}, 503)])
    with pytest.raises(ApiError, match="its agent is not connected"):
        connect(server, sleep=clock.sleep).get(LIST)
    assert (len(server.requests), clock.slept) == (1, [])


def test_a_refused_connection_is_tried_again(connect: Connect, clock: Clock) -> None:
    client = connect(f"http://127.0.0.1:{closed_port()}", sleep=clock.sleep)
    with pytest.raises(ConnectionFailed, match=r"no connection to http://127\.0\.0\.1"):
        client.get(LIST)
    assert client.requests == ATTEMPTS


@pytest.mark.parametrize(("call", "status"), [("GET", 429), ("GET", 503), ("POST", 429)])
def test_retry_after_is_obeyed(serve: Serve, connect: Connect, clock: Clock, status: int, call: str) -> None:
    server = serve([Reply(status=status, headers={"Retry-After": "37"}), Reply([1])])
    client = connect(server, sleep=clock.sleep)
    body = client.get(LIST) if call == "GET" else client.write(call, LIST, {}).body
    assert body == [1]
    assert pauses(clock.slept) == pytest.approx([37], abs=0.1)


@pytest.mark.parametrize("header", ["0", "soon", "Tue, 24 Nov 2026 10:30:44 GMT", None])
def test_a_retry_after_that_names_no_pause(serve: Serve, connect: Connect, clock: Clock, header: str | None) -> None:
    headers = {} if header is None else {"Retry-After": header}
    server = serve([Reply(status=503, headers=headers), Reply([1])])
    assert connect(server, sleep=clock.sleep).get(LIST) == [1]
    assert sum(clock.slept) <= 1


def test_a_used_up_budget_is_awaited_however_often(serve: Serve, connect: Connect, clock: Clock) -> None:
    server = serve([*[Reply(status=429, headers={"Retry-After": "20"})] * 10, Reply([1])])
    assert connect(server, sleep=clock.sleep).get(LIST) == [1]
    assert pauses(clock.slept) == pytest.approx([20] * 10, abs=0.1)


def test_a_used_up_budget_is_not_awaited_for_ever(serve: Serve, connect: Connect, clock: Clock) -> None:
    server = serve([Reply({"code": "API_RATE_LIMITED"}, 429, {"Retry-After": "3600"})])
    with pytest.raises(ApiError, match="request budget"):
        connect(server, sleep=clock.sleep).get(LIST)
    assert clock.slept == []


def test_a_deadline_bounds_the_wait_for_the_budget(serve: Serve, connect: Connect, clock: Clock) -> None:
    server = serve([Reply(status=429, headers={"Retry-After": "400"}), Reply([1])])
    client = connect(server, sleep=clock.sleep)
    client.deadline = clock.monotonic() + 1000
    assert client.get(LIST) == [1]
    client.deadline = clock.monotonic() + 100
    impatient = serve([Reply(status=429, headers={"Retry-After": "400"})])
    other = connect(impatient, sleep=clock.sleep)
    other.deadline = clock.monotonic() + 100
    with pytest.raises(ApiError):
        other.get(LIST)
    assert pauses(clock.slept) == pytest.approx([400], abs=0.1)


def test_a_used_up_budget_holds_every_thread(serve: Serve, connect: Connect, clock: Clock) -> None:
    first = threading.Event()

    def answer(request: Request) -> Reply:
        if not first.is_set():
            first.set()
            return Reply(status=429, headers={"Retry-After": "50"})
        return Reply([1])

    server = serve(answer)
    held: list[float] = []

    def sleep(seconds: float) -> None:
        held.append(seconds)
        if len(held) == 1:
            # While the thread that met the 429 waits, another one wants to send.
            assert client.get(LIST) == [1]
        clock.sleep(seconds)

    client = connect(server, sleep=sleep)
    client.get(LIST)
    assert held[:2] == pytest.approx([50, 50], abs=0.5)


def test_a_pause_that_grows_while_it_is_waited_for_is_waited_for_whole(
    serve: Serve, connect: Connect, clock: Clock
) -> None:
    client = connect(serve([Reply([1])]), sleep=clock.sleep)
    began = clock.passed
    client._pause.hold(clock.monotonic() + 20)
    clock.at(began + 10, lambda: client._pause.hold(clock.monotonic() + 30))
    assert client.get(LIST) == [1]
    assert pauses(clock.slept) == pytest.approx([20, 30], abs=0.5)


def test_a_real_throttle(workspace: Workspace, connect: Connect, clock: Clock) -> None:
    workspace.settings(throttle="2/min")
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        clock.sleep(seconds)
        workspace.settings(throttle=None)

    client = connect(workspace, sleep=sleep)
    for _number in range(3):
        client.get(LIST)
    [pause] = pauses(slept)
    assert 50 <= pause <= 60.1


# Writes that certainly were not accepted


def test_a_write_that_was_not_accepted_is_sent_again(serve: Serve, connect: Connect, clock: Clock) -> None:
    throttled = Reply({"code": "api_rate_limited"}, 429, {"Retry-After": "3"})
    server = serve([throttled, throttled, Reply({"id": 1}, 201)])
    assert connect(server, sleep=clock.sleep).write("POST", LIST, {"a": 1}).body == {"id": 1}
    assert [request.body for request in server.requests] == [{"a": 1}] * 3


@pytest.mark.parametrize("spelling", ["SERVER_NOT_CONNECTED", "server_not_connected"])
def test_a_write_to_an_offline_server_is_not_sent_again(
    serve: Serve, connect: Connect, clock: Clock, spelling: str
) -> None:
    server = serve([Reply({"code": spelling}, 503)])
    with pytest.raises(ApiError) as caught:
        connect(server, sleep=clock.sleep).write("POST", LIST, {})
    assert caught.value.code == "server_not_connected"
    assert (len(server.requests), clock.slept) == (1, [])


def test_a_write_is_sent_once_a_connection_is_made(serve: Serve, connect: Connect, clock: Clock) -> None:
    port = closed_port()
    url = f"http://127.0.0.1:{port}"
    client = connect(url, sleep=clock.sleep)
    with pytest.raises(ConnectionFailed):
        client.write("POST", LIST, {})
    assert client.requests == ATTEMPTS


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409])
def test_a_refused_write_is_not_sent_again(serve: Serve, connect: Connect, clock: Clock, status: int) -> None:
    server = serve([Reply({"code": "X"}, status)])
    with pytest.raises(ApiError):
        connect(server, sleep=clock.sleep).write("POST", LIST, {})
    assert (len(server.requests), clock.slept) == (1, [])


@pytest.mark.parametrize(
    "reply",
    [
        Reply(status=500),
        Reply(status=502),
        Reply({"code": "x"}, 504),
        Reply("<html>Service Unavailable</html>", 503),
        Reply("<html>Service Unavailable</html>", 503, {"Retry-After": "3"}),
        Reply({"detail": "Down for maintenance."}, 503),
        Reply({"detail": "The server is not connected."}, 503),
        Reply({"code": "auth_verification_unavailable"}, 503, {"Retry-After": "3"}),
        Reply({"code": "server_not_connected"}, 500),
        Reply({"code": "server_not_connected"}, 504),
        Reply(status=503),
        Reply(status=599),
        Reply(status=304),
        Reply(status=408),
        HANG_UP,
        Reply("<html>", 201),
        Reply("<html>", 200),
        Reply('[{"id": ', 201),
        Reply("[]", 201, headers={"Content-Length": "90", "Connection": "close"}),
    ],
)
@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_a_write_whose_answer_is_lost_is_not_sent_again(
    serve: Serve, connect: Connect, clock: Clock, reply: Reply, method: str
) -> None:
    server = serve([reply])
    with pytest.raises(LostAnswer):
        connect(server, sleep=clock.sleep).write(method, LIST, {})
    assert (len(server.requests), clock.slept) == (1, [])


# Redirects


def test_a_read_follows_a_redirect_within_the_origin(serve: Serve, connect: Connect) -> None:
    def answer(request: Request) -> Reply:
        if request.path == "/api/moved/":
            return Reply([request.query])
        return Reply(status=301, headers={"Location": "/api/moved/?page_size=100&x=1"})

    server = serve(answer)
    client = connect(server)
    assert client.get(LIST, {"page_size": 100}) == [{"page_size": "100", "x": "1"}]
    assert server.requests[1].headers["Authorization"] == f'token="{TOKEN}"'
    assert client.requests == 2


def test_a_missing_slash_is_mended_by_the_workspace(workspace: Workspace, connect: Connect) -> None:
    assert connect(workspace).get(LIST.rstrip("/"), {"page_size": 1})["count"] == 0


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_the_token_does_not_leave_its_origin(serve: Serve, connect: Connect, clock: Clock, status: int) -> None:
    other = serve([Reply([])])
    server = serve([Reply(status=status, headers={"Location": f"{other.url}{LIST}"})])
    with pytest.raises(ApiError, match="which the token is not for") as caught:
        connect(server, sleep=clock.sleep).get(LIST)
    assert other.url in str(caught.value)
    assert (len(server.requests), other.requests) == (1, [])


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("where", ["here", "elsewhere"])
def test_a_write_follows_no_redirect(serve: Serve, connect: Connect, clock: Clock, status: int, where: str) -> None:
    other = serve([Reply({"id": 1}, 201)])
    location = "/api/moved/" if where == "here" else f"{other.url}{LIST}"
    server = serve([Reply(status=status, headers={"Location": location}), Reply({"id": 1}, 201)])
    with pytest.raises(LostAnswer, match=r"does not follow.* Check url"):
        connect(server, sleep=clock.sleep).write("POST", LIST, {})
    assert (len(server.requests), other.requests) == (1, [])


RECORD = f"{LIST}{COMMAND}/"
GONE = Reply({"detail": "Not found."}, 404)


@pytest.mark.parametrize(
    ("replies", "was_there", "methods"),
    [
        ([Reply(status=204)], True, ["DELETE"]),
        ([GONE], False, ["DELETE"]),
        ([Reply(status=502), Reply(status=204)], True, ["DELETE", "DELETE"]),
        ([Reply(status=502), GONE], True, ["DELETE", "DELETE"]),
        ([HANG_UP, Reply({"code": "x"}, 503), GONE], True, ["DELETE", "DELETE", "GET"]),
    ],
)
def test_a_deletion_whose_answer_is_lost_is_looked_after(
    serve: Serve, connect: Connect, replies: list[Reply], was_there: bool, methods: list[str]
) -> None:
    server = serve(replies)
    assert connect(server).delete(f"{RECORD}?auto=false") is was_there
    assert [request.method for request in server.requests] == methods


@pytest.mark.parametrize("seen", [Reply({"id": COMMAND}), Reply({"code": "forbidden"}, 403), Reply("<html>", 404)])
def test_a_deletion_that_nobody_answers_is_lost_while_the_record_may_be_there(
    serve: Serve, connect: Connect, clock: Clock, seen: Reply
) -> None:
    server = serve([Reply(status=502), Reply(status=302, headers={"Location": "/login/"}), seen])
    with pytest.raises(LostAnswer, match="DELETE"):
        connect(server, sleep=clock.sleep).delete(RECORD)


def test_redirects_in_a_circle_end(serve: Serve, connect: Connect, clock: Clock) -> None:
    server = serve([Reply(status=302, headers={"Location": LIST})])
    with pytest.raises(ApiError, match="redirects"):
        connect(server, sleep=clock.sleep).get(LIST)
    assert len(server.requests) <= 10


# The environment


def test_a_netrc_does_not_replace_the_token(
    serve: Serve, connect: Connect, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login bob password pw\n", encoding="utf-8")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    server = serve([Reply([])])
    connect(server).get(LIST)
    assert server.requests[0].headers["Authorization"] == f'token="{TOKEN}"'


@pytest.fixture
def proxy(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> ScriptedServer:
    """A proxy that the environment names, and that answers in the place of everybody."""
    server = serve([Reply(["by proxy"])])
    monkeypatch.setenv("http_proxy", server.url)
    return server


def test_a_proxy_of_the_environment_is_used(proxy: ScriptedServer, connect: Connect) -> None:
    assert connect("http://workspace.invalid").get(LIST) == ["by proxy"]
    assert proxy.requests[0].headers["Host"] == "workspace.invalid"


@pytest.mark.parametrize("names", ["127.0.0.1", "workspace.invalid,127.0.0.1", "*", "127.0.0.0/8"])
def test_no_proxy_is_honoured(
    proxy: ScriptedServer, serve: Serve, connect: Connect, monkeypatch: pytest.MonkeyPatch, names: str
) -> None:
    monkeypatch.setenv("no_proxy", names)
    server = serve([Reply(["direct"])])
    assert connect(server).get(LIST) == ["direct"]
    assert proxy.requests == []


def test_a_write_whose_answer_is_lost_behind_a_proxy_is_not_sent_again(
    serve: Serve, connect: Connect, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = serve([HANG_UP])
    monkeypatch.setenv("http_proxy", proxy.url)
    with pytest.raises(LostAnswer):
        connect("http://workspace.invalid", sleep=clock.sleep).write("POST", LIST, {"line": "reboot"})
    assert len(proxy.requests) == 1


def test_a_proxy_that_is_not_there(connect: Connect, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{closed_port()}")
    client = connect("http://workspace.invalid", sleep=clock.sleep)
    with pytest.raises(ConnectionFailed):
        client.write("POST", LIST, {})
    assert client.requests == ATTEMPTS


def test_a_proxy_that_makes_no_tunnel(connect: Connect, clock: Clock, serve: Serve, monkeypatch: Any) -> None:
    monkeypatch.setenv("https_proxy", serve([Reply([])]).url)
    client = connect("https://workspace.invalid", sleep=clock.sleep)
    with pytest.raises(ConnectionFailed, match="Tunnel connection failed"):
        client.write("POST", LIST, {})
    assert client.requests == ATTEMPTS


# Secrets


@pytest.mark.parametrize(
    "reply",
    [
        Reply({"code": "unauthorized"}, 401),
        Reply(status=500),
        Reply("<html>", 200),
        HANG_UP,
        Reply(status=302, headers={"Location": "http://other.example/"}),
        Reply(status=429, headers={"Retry-After": "9999"}),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_the_token_is_in_no_error(serve: Serve, connect: Connect, clock: Clock, reply: Reply, method: str) -> None:
    client = connect(serve([reply]), sleep=clock.sleep)
    with pytest.raises(AlpaconError) as caught:
        client.get(LIST) if method == "GET" else client.write(method, LIST, {})
    seen: list[BaseException | None] = [caught.value, caught.value.__cause__, caught.value.__context__]
    assert TOKEN not in "".join(f"{error!r} {error} {vars(error) if error else ''}" for error in seen)


def test_the_clock_of_the_workspace_is_taken_from_its_answers(serve: Serve, connect: Connect) -> None:
    server = serve([Reply([], headers={"Date": "Tue, 24 Nov 2026 10:30:44 GMT"})])
    client = connect(server)
    assert client.server_time(1000.0) == 1000.0
    client.get(LIST)
    shown = datetime.fromtimestamp(client.server_time(time.time()), UTC)
    assert abs(shown - datetime(2026, 11, 24, 10, 30, 44, tzinfo=UTC)) < timedelta(seconds=5)
