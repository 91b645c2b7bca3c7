# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test the client over real sockets: retries, outages, writes, redirects, odd responses, proxies and secrets."""

from __future__ import annotations

import base64
import contextlib
import gzip
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from system.conftest import Connect
from system.support import HANG_UP, FakeClock, Request, Response, ScriptedServer, nonzero_sleeps, socket_servers

from ansible_collections.herdops.alpacon.plugins.module_utils._api import session as _session
from ansible_collections.herdops.alpacon.plugins.module_utils._api.client import ATTEMPTS, Client
from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import (
    AlpaconError,
    ApiError,
    ConnectionFailed,
    LostResponse,
    UnknownEndpoint,
    UsageError,
    WorkspaceDown,
)
from ansible_collections.herdops.alpacon.plugins.module_utils._api.settings import VERSION, Settings, get_agent_name
from ansible_collections.herdops.alpacon.tests.unit.support import COMMAND, LIST, TOKEN, page, rows

Serve = Callable[..., ScriptedServer]
Scripted = Callable[..., tuple[Client, ScriptedServer]]


@pytest.fixture
def scripted(serve: Serve, connect: Connect, clock: FakeClock) -> Scripted:
    """Start servers that answer by a script, each with a client on the fake clock."""

    def start(*replies: Response, **settings: Any) -> tuple[Client, ScriptedServer]:
        server = serve(list(replies))
        return connect(server, sleep=clock.sleep, **settings), server

    return start


def call(client: Client, method: str) -> Any:
    return client.get(LIST) if method == "GET" else client.write(method, LIST, {}).body


def test_a_missing_library_is_named() -> None:
    module_utils = "ansible_collections.herdops.alpacon.plugins.module_utils"
    program = f"""if True:
        import sys
        sys.modules["urllib3"] = None
        from {module_utils}._api import client, errors, settings
        try:
            client.Client(settings.Settings("https://one.example", "alpat-1"))
        except errors.MissingLibrary as error:
            print(error)
    """
    root = os.environ["ANSIBLE_COLLECTIONS_PATH"]
    done = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True)
    assert "The Python library requests is missing where this runs." in done.stdout
    assert done.stdout.endswith(" -m pip install requests\n")


# Requests


def test_send_requests_with_token_and_json_and_without_cookies_or_passwords_of_a_netrc(
    scripted: Scripted, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login bob password pw\n", encoding="utf-8")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    client, server = scripted(Response([], 201, {"Set-Cookie": "sessionid=abc; Path=/"}))
    client.get(LIST)
    answer = client.write("POST", LIST, {"line": "echo 안녕"})
    assert (answer.status, answer.body) == (201, [])
    _read, written = server.requests
    assert (written.method, written.path, written.body) == ("POST", LIST, {"line": "echo 안녕"})
    for request in server.requests:
        assert request.headers["Authorization"] == f'token="{TOKEN}"'
        assert request.headers["User-Agent"] == f"herdops.alpacon/{VERSION}"
        assert request.headers["X-Alpacon-Declared-Agent-Name"] == get_agent_name(os.environ)
        assert request.headers["Accept"] == "application/json"
        assert "Cookie" not in request.headers
    assert written.headers["Content-Type"] == "application/json"
    assert server.connections == 1


# Retries of reads

TEMPORARY: dict[str, Response] = {
    "408": Response(status=408),
    "503": Response("<html>", 503),
    "504": Response({"detail": "No."}, 504),
    "reset": HANG_UP,
    "HTML instead of JSON": Response("<html>Please sign in</html>"),
    "a body shorter than it says": Response("[]", headers={"Content-Length": "90", "Connection": "close"}),
}


@pytest.mark.parametrize("kind", TEMPORARY)
def test_a_read_fails_after_five_attempts(scripted: Scripted, clock: FakeClock, kind: str) -> None:
    client, server = scripted(TEMPORARY[kind])
    with pytest.raises((ApiError, LostResponse)):
        client.get(LIST)
    assert len(server.requests) == client.requests == 5
    assert nonzero_sleeps(clock.slept) == [pytest.approx(pause, rel=0.21) for pause in (0.5, 1, 2, 4)]


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (401, {"code": "unauthorized"}),
        (403, {"detail": "You do not have permission to perform this action."}),
        (503, {"code": "SERVER_NOT_CONNECTED"}),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_refusals_are_neither_repeated_nor_outages(
    scripted: Scripted, clock: FakeClock, status: int, body: Any, method: str
) -> None:
    client, server = scripted(Response([1]), Response(body, status))
    assert client.get(LIST) == [1]
    with pytest.raises(ApiError) as caught:
        call(client, method)
    assert caught.value.status == status
    assert (len(server.requests), clock.slept) == (2, [])


@pytest.mark.parametrize("patient", [True, False])
def test_pages_are_retried_only_with_patience(scripted: Scripted, patient: bool) -> None:
    client, server = scripted(Response(page(rows(0, 1), 2)), Response("<html>"), Response(page(rows(1, 2))))
    with contextlib.nullcontext() if patient else pytest.raises(LostResponse):
        assert list(client.rows(LIST, {"ordering": "-added_at"}, patient)) == rows(0, 2)
    assert [query.get("page") for query in server.queries] == [None, "2", *(["2"] if patient else [])]


@pytest.mark.parametrize("proxied", [False, True])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_refused_connection_is_retried(
    connect: Connect, clock: FakeClock, monkeypatch: pytest.MonkeyPatch, method: str, proxied: bool
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    if proxied:
        monkeypatch.setenv("http_proxy", url)
        url = "http://workspace.invalid"
    client = connect(url, sleep=clock.sleep)
    client = client.until(submits=clock.monotonic())  # only the rate limit is awaited until then
    with pytest.raises(ConnectionFailed, match=rf"no connection to {re.escape(url)}[^<]*: Failed to "):
        call(client, method)
    assert client.requests == ATTEMPTS


@pytest.mark.parametrize(("method", "status"), [("GET", 429), ("GET", 503), ("POST", 429)])
def test_retry_after_is_obeyed(scripted: Scripted, clock: FakeClock, status: int, method: str) -> None:
    client, server = scripted(Response({"code": "api_rate_limited"}, status, {"Retry-After": "37"}), Response([1]))
    assert call(client, method) == [1]
    assert nonzero_sleeps(clock.slept) == pytest.approx([37], abs=0.1)
    assert server.requests[0].body == server.requests[1].body


@pytest.mark.parametrize(("method", "jitter", "shortest"), [("GET", min, 0.4), ("POST", max, 0.6)])
def test_pauses_double_up_to_half_a_minute(
    scripted: Scripted, clock: FakeClock, monkeypatch: pytest.MonkeyPatch, method: str, jitter: Any, shortest: float
) -> None:
    monkeypatch.setattr("random.uniform", lambda *ends: jitter(ends))
    client, _server = scripted(*[Response({"code": "api_rate_limited"}, 429)] * 8, Response([1]))
    assert call(client, method) == [1]
    expected = [shortest * factor for factor in (1, 2, 4, 8, 16, 32, 64, 64)]
    assert nonzero_sleeps(clock.slept) == pytest.approx(expected, abs=0.1)


@pytest.mark.parametrize(("pause", "reports"), [("2.9", 0), ("3", 1), ("1500", 1)])
def test_a_rate_limit_is_reported_once_unless_the_wait_is_short(
    serve: Serve, clock: FakeClock, pause: str, reports: int
) -> None:
    throttled = Response(status=429, headers={"Retry-After": pause})
    said: list[str] = []
    with Client(
        Settings(serve([throttled, Response([1])]).url, TOKEN), sleep=clock.sleep, report=said.append
    ) as client:
        for _call in range(2):
            with contextlib.suppress(ApiError):  # 1500 s are longer than the wait without a deadline
                client.get(LIST)
    line = rf"alpacon: the quota of the token is used up until \d\d:\d\d:\d\d, for {pause} s"
    assert [bool(re.fullmatch(line, text)) for text in said] == [True] * reports


@pytest.mark.parametrize(
    ("deadline", "asked", "is_awaited"),
    [(None, 299.0, True), (None, 300.0, False), (1000, 400.0, True), (100, 400.0, False)],
)
def test_a_used_up_quota_is_awaited_for_five_minutes_or_up_to_the_deadline(
    scripted: Scripted, clock: FakeClock, deadline: float | None, asked: float, is_awaited: bool
) -> None:
    client, server = scripted(Response(status=429, headers={"Retry-After": str(asked)}), Response([1]))
    if deadline:
        client = client.until(quota=clock.monotonic() + deadline)
    with contextlib.nullcontext() if is_awaited else pytest.raises(ApiError, match="quota"):
        assert client.get(LIST) == [1]
    assert nonzero_sleeps(clock.slept) == pytest.approx([asked] if is_awaited else [], abs=0.1)
    assert len(server.requests) == 1 + is_awaited


# Outages of a workspace that has accepted the token

NO_DATABASE = Response({"detail": "Authentication credentials were not provided."}, 403)
OUTAGES = {"no database": NO_DATABASE, "401": Response("<html>", 401), "502": Response("<html>", 502)}


@pytest.mark.parametrize("kind", OUTAGES)
def test_an_outage_is_reported_and_waited_for(serve: Serve, clock: FakeClock, kind: str) -> None:
    server = serve([Response([1]), *[OUTAGES[kind]] * 6, Response([2])])
    said: list[str] = []
    errors: list[AlpaconError] = []
    with Client(Settings(server.url, TOKEN), sleep=clock.sleep, report=said.append) as client:
        limited = client.until(errors.append)
        assert limited.get(LIST) == [1]
        assert limited.get(LIST) == [2]
    assert 25 < clock.passed < 36, "probes at 0.5, 1.5, 3.5, 7.5, 15.5 and 30.5 s"
    [line], [error] = said, errors
    assert line.startswith("alpacon: the workspace is down, and all requests wait until it answers again. ")
    assert all(f"HTTP {OUTAGES[kind].status}" in text for text in (line, str(error)))


def test_an_error_without_an_outage_ends_a_read(serve: Serve, connect: Connect, clock: FakeClock) -> None:
    server = serve(lambda request: Response([1]) if request.query == {"page_size": "1"} else Response("<html>", 500))
    client = connect(server, sleep=clock.sleep)
    client.get(LIST, {"page_size": 1})
    with pytest.raises(ApiError):
        client.get(LIST)
    assert sum(request.query == {} for request in server.requests) == ATTEMPTS
    assert sum(clock.slept) < 20


def test_an_outage_ends_after_two_minutes(scripted: Scripted, clock: FakeClock) -> None:
    client, server = scripted(Response([1]), NO_DATABASE)
    client.get(LIST)
    with pytest.raises(ApiError) as caught:
        client.get(LIST)
    assert caught.value.is_unauthenticated
    assert 120 <= clock.passed < 125
    assert len(server.requests) <= 20
    for _attempt in range(2):
        with pytest.raises(WorkspaceDown, match="The workspace has been down for 12"):
            client.write("POST", LIST, {})
    assert all(request.method == "GET" for request in server.requests)


@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_a_write_that_was_not_authenticated_is_sent_again_after_the_outage(scripted: Scripted, method: str) -> None:
    client, server = scripted(Response([1]), NO_DATABASE, NO_DATABASE, Response([2]), Response({"id": 1}, 201))
    client.get(LIST)
    assert client.write(method, LIST, {}).body == {"id": 1}
    assert [request.method for request in server.requests] == ["GET", method, "GET", "GET", method]


@pytest.mark.parametrize(("submits", "passed"), [(8, 8), (-1, 120)])
def test_a_submit_waits_for_the_end_of_an_outage_up_to_its_deadline_unless_it_begins_later(
    scripted: Scripted, clock: FakeClock, submits: float, passed: float
) -> None:
    client, _server = scripted(Response([1]), NO_DATABASE)
    client.get(LIST)
    with pytest.raises(WorkspaceDown):
        client.until(submits=clock.monotonic() + submits).write("POST", LIST, {})
    assert passed <= clock.passed < passed + 5


def test_a_client_with_other_deadlines_counts_its_requests_for_both(scripted: Scripted) -> None:
    client, _server = scripted(Response([1]))
    client.get(LIST)
    other = client.until()
    other.get(LIST)
    assert (client.requests, other.requests) == (2, 1)


def test_a_write_that_is_never_authenticated_is_sent_a_few_times(scripted: Scripted) -> None:
    client, server = scripted(Response([1]), *[NO_DATABASE, Response([2])] * 9)
    client.get(LIST)
    with pytest.raises(ApiError) as caught:
        client.write("POST", LIST, {})
    assert caught.value.stated
    assert sum(request.method == "POST" for request in server.requests) == ATTEMPTS


@pytest.mark.parametrize("refusal", [Response({"detail": "Invalid token."}, 401), Response("<html>", 403)])
def test_another_refusal_in_an_outage_may_hide_that_a_write_was_carried_out(
    scripted: Scripted, refusal: Response
) -> None:
    client, server = scripted(Response([1]), refusal, Response([2]))
    client.get(LIST)
    with pytest.raises(LostResponse, match="does not say whether the request was carried out"):
        client.write("POST", LIST, {})
    assert client.get(LIST) == [2]
    assert sum(request.method == "POST" for request in server.requests) == 1


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_wrong_token_is_refused_at_once(scripted: Scripted, clock: FakeClock, method: str) -> None:
    client, server = scripted(NO_DATABASE)
    with pytest.raises(ApiError, match=r"the token\..* or the workspace has lost its database"):
        call(client, method)
    assert (len(server.requests), clock.slept) == (1, [])


# Reads with a deadline


@pytest.mark.parametrize("kind", [*OUTAGES, "HTML"])
@pytest.mark.parametrize("has_begun", [True, False])
def test_a_read_is_sent_once_more_after_its_deadline(
    scripted: Scripted, clock: FakeClock, kind: str, has_begun: bool
) -> None:
    client, server = scripted(Response([1]), OUTAGES.get(kind, Response("<html>")))
    client.get(LIST)
    if has_begun:
        with pytest.raises((ApiError, LostResponse)):
            client.until(reads=clock.monotonic() + 8).get(LIST)
        assert clock.passed < 14
    before, slept = len(server.requests), len(clock.slept)
    with pytest.raises((ApiError, LostResponse)):
        client.until(reads=clock.monotonic()).get(LIST)
    assert len(server.requests) - before == 1
    assert len(clock.slept) == slept


def test_a_read_waits_for_the_rate_limit_beyond_its_deadline(scripted: Scripted, clock: FakeClock) -> None:
    client, _server = scripted(Response(status=429, headers={"Retry-After": "60"}), Response([1]))
    assert client.until(reads=clock.monotonic() + 1).get(LIST) == [1]


def test_a_read_that_trickles_ends_one_request_timeout_after_its_deadline(raw: Any, connect: Connect) -> None:
    drops = 0

    def answer(connection: socket.socket) -> None:
        nonlocal drops
        connection.sendall(OK + b"Content-Length: 9999\r\n\r\n")
        while True:
            connection.sendall(b" ")
            drops += 1
            time.sleep(0.02)

    client = connect(raw(answer), request_timeout=0.5)
    with pytest.raises(LostResponse, match="the end of wait_timeout"):
        client.until(reads=time.monotonic() + 0.1).get(LIST)
    assert drops <= 60
    with pytest.raises(LostResponse, match="not sent"):
        client.until(reads=time.monotonic() - 1).get(LIST)
    assert client.requests == 1


# Writes with lost responses


@pytest.mark.parametrize(
    "reply",
    [
        Response("<html>Service Unavailable</html>", 503, {"Retry-After": "3"}),
        Response("<h1>Slow down</h1>", 429, {"Retry-After": "3"}),
        Response(status=101),
        HANG_UP,
        Response("<html>", 201),
        Response("[]", 201, headers={"Content-Length": "90", "Connection": "close"}),
    ],
)
def test_a_write_with_a_lost_response_is_not_repeated(scripted: Scripted, clock: FakeClock, reply: Response) -> None:
    client, server = scripted(reply)
    with pytest.raises(LostResponse):
        client.write("POST", LIST, {})
    assert (len(server.requests), clock.slept) == (1, [])


RECORD = f"{LIST}{COMMAND}/"
GONE = Response({"detail": "Not found."}, 404)


@pytest.mark.parametrize(
    ("replies", "was_there", "methods"),
    [
        ([GONE], False, ["DELETE"]),
        ([Response(status=502), Response(status=204)], True, ["DELETE", "DELETE"]),
        ([Response(status=502), GONE], True, ["DELETE", "DELETE"]),
        ([HANG_UP, Response({"code": "x"}, 503), GONE], True, ["DELETE", "DELETE", "GET"]),
    ],
)
def test_a_delete_with_a_lost_response_is_verified(
    scripted: Scripted, replies: list[Response], was_there: bool, methods: list[str]
) -> None:
    client, server = scripted(*replies)
    assert client.delete(f"{RECORD}?auto=false") is was_there
    assert [request.method for request in server.requests] == methods
    assert {request.path for request in server.requests} == {RECORD}


@pytest.mark.parametrize(
    "seen", [Response({"id": COMMAND}), Response({"code": "forbidden"}, 403), Response("<html>", 404)]
)
def test_a_delete_without_responses_is_lost_unless_the_record_is_gone(scripted: Scripted, seen: Response) -> None:
    client, _server = scripted(Response(status=502), Response(status=302, headers={"Location": "/login/"}), seen)
    with pytest.raises(LostResponse, match="DELETE"):
        client.delete(RECORD)


# Redirects


def test_a_read_follows_a_redirect_within_the_origin(scripted: Scripted) -> None:
    client, server = scripted(
        Response(status=301, headers={"Location": "/api/moved/?page_size=100&x=1"}), Response([1])
    )
    assert client.get(LIST, {"page_size": 100}) == [1]
    moved = server.requests[1]
    assert (moved.path, moved.query) == ("/api/moved/", {"page_size": "100", "x": "1"})
    assert moved.headers["Authorization"] == f'token="{TOKEN}"'
    assert client.requests == 2


@pytest.mark.parametrize(("status", "where"), [(300, ""), (307, "/api/moved/"), (399, "http://127.0.0.1:1/")])
def test_a_write_follows_no_redirect(scripted: Scripted, clock: FakeClock, status: int, where: str) -> None:
    client, server = scripted(Response(status=status, headers={"Location": where}), Response({"id": 1}, 201))
    with pytest.raises(LostResponse, match=rf"a redirect to {where or 'nowhere'}.* Check url"):
        client.write("POST", LIST, {})
    assert (len(server.requests), clock.slept) == (1, [])


@pytest.mark.parametrize(
    ("location", "words"),
    [
        ("http://[::1", "an invalid address"),
        ("file:///etc/passwd", "to which the token does not belong"),
        ("\x1b[31mred", "HTTP 403"),
        (None, "Redirected to nowhere"),
    ],
)
def test_a_redirect_to_nonsense(scripted: Scripted, location: str | None, words: str) -> None:
    redirect = Response(status=302, headers={} if location is None else {"Location": location})
    for method, error, said in (("GET", ApiError, words), ("POST", LostResponse, "Check url")):
        client, _server = scripted(redirect, Response({}, 403))
        with pytest.raises(error, match=said) as caught:
            call(client, method)
        assert "\x1b" not in str(caught.value)


#: URLs in which two libraries see different addresses, with the ports of the other and the own origin.
@pytest.mark.parametrize(
    "location",
    [
        "http://127.0.0.1:{other}/",
        "http://127.0.0.1:{other}\\@127.0.0.1:{own}/",
        "http://127.0.0.1:{other}#@127.0.0.1:{own}/",
        "http://127.0.0.1:{own}@127.0.0.1:{other}/",
    ],
)
def test_the_token_does_not_leave_its_origin(serve: Serve, connect: Connect, location: str) -> None:
    other = serve([Response([])])

    def answer(request: Request) -> Response:
        ports = {"other": urlsplit(other.url).port, "own": urlsplit(server.url).port}
        return Response(status=302, headers={"Location": location.format(**ports)})

    server = serve(answer)
    with pytest.raises(ApiError, match=f"Redirected to {other.url}, to which the token does not belong"):
        connect(server).get(LIST)
    assert (len(server.requests), other.requests) == (1, [])


def test_redirects_in_a_circle_end(scripted: Scripted) -> None:
    client, server = scripted(Response(status=302, headers={"Location": LIST}))
    with pytest.raises(ApiError, match="More than 5 redirects"):
        client.get(LIST)
    assert len(server.requests) == 1 + 5


# Answers that are large, slow or odd


@pytest.fixture
def raw() -> Iterator[Callable[[Callable[[socket.socket], None]], str]]:
    """Start servers that call a function for each connection after its request."""
    with socket_servers(read=65536) as start:
        yield lambda answer: f"http://{start(answer)}"


OK = b"HTTP/1.1 200 OK\r\n"


def sending(content: bytes) -> Callable[[socket.socket], None]:
    return lambda connection: connection.sendall(content)


TRICKLES = {
    "of a body": (OK + b"\r\n", b" "),
    "of chunks": (OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
    "of a header": (OK + b"X-Long: ", b"x"),
    "of hints": (b"", b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n"),
}


@pytest.mark.parametrize("kind", TRICKLES)
def test_a_slow_response_times_out(raw: Any, connect: Connect, kind: str) -> None:
    head, drop = TRICKLES[kind]

    def answer(connection: socket.socket) -> None:
        connection.sendall(head)
        while True:
            connection.sendall(drop)
            time.sleep(0.02)

    client = connect(raw(answer), request_timeout=0.1)
    with pytest.raises(LostResponse, match="request_timeout"):
        client.write("POST", LIST, {})
    assert client.requests == 1


def test_interim_responses_are_skipped(scripted: Scripted) -> None:
    client, server = scripted(Response([1], interim=(100, 102, 103, 103, 199)))
    assert [client.get(LIST), client.write("POST", LIST, {}).body] == [[1], [1]]
    assert server.connections == 1


def test_a_chunk_without_end_is_cut_off(raw: Any, connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    """Send a chunk of size -1, which makes Python read to the end."""
    monkeypatch.setattr(_session, "MAX_RESPONSE_BYTES", 2**20)
    monkeypatch.setattr(_session, "_FRAMING", 2**20)
    pieces = 0

    def answer(connection: socket.socket) -> None:
        nonlocal pieces
        connection.sendall(OK + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n")
        for pieces in range(1000):  # noqa: B007
            connection.sendall(b" " * 2**16)

    with pytest.raises(LostResponse, match="larger than 1 MiB"):
        connect(raw(answer)).write("POST", LIST, {})
    assert pieces < 800


UNREADABLE = {
    "half of what was packed": (b"Content-Encoding: gzip\r\n", gzip.compress(b"[1]" * 99)[:-9]),
    "packed in another way": (b"Content-Encoding: br\r\n", b"[1]"),
    "nested too deep": (b"", b"[" * 100_000 + b"]" * 100_000),
    "a number without end": (b"", b"9" * 10_000),
    "of a chunk that is none": (b"Transfer-Encoding: chunked\r\n", b"zz\r\n[1]\r\n"),
    "with a thousand headers": (b"X-Header: y\r\n" * 1000, b"[1]"),
}


@pytest.mark.parametrize("kind", UNREADABLE)
def test_an_unreadable_response_is_lost(raw: Any, connect: Connect, kind: str) -> None:
    headers, body = UNREADABLE[kind]
    client = connect(raw(sending(OK + headers + b"\r\n" + body)))
    with pytest.raises(LostResponse):
        client.write("POST", LIST, {})
    assert client.requests == 1


def test_an_unknown_endpoint(scripted: Scripted, clock: FakeClock) -> None:
    not_found = "<h1>Not Found</h1><p>The requested resource was not found on this server.</p>"
    client, server = scripted(Response(not_found, 404))
    with pytest.raises(UnknownEndpoint, match="does not know the address") as caught:
        client.get(LIST)
    assert "not the response of an Alpacon workspace" not in str(caught.value)
    assert (len(server.requests), clock.slept) == (1, [])


def test_the_clock_follows_the_date_of_responses(scripted: Scripted) -> None:
    client, _server = scripted(Response([], headers={"Date": "Tue, 24 Nov 2026 10:30:44 GMT"}))
    assert client.clock.timestamp_at(1000.0) == 1000.0
    client.get(LIST)
    shown = datetime.fromtimestamp(client.clock.timestamp_at(time.time()), UTC)
    assert abs(shown - datetime(2026, 11, 24, 10, 30, 44, tzinfo=UTC)) < timedelta(seconds=5)


# The environment


def test_the_proxy_of_the_environment_is_used_except_for_no_proxy(
    serve: Serve, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, proxy = serve([Response(["direct"])]), serve([Response(["by proxy"])])
    monkeypatch.setenv("http_proxy", proxy.url)
    assert connect("http://workspace.invalid").get(LIST) == ["by proxy"]
    assert proxy.requests[0].headers["Host"] == "workspace.invalid"
    # A proxy would look for this machine on its own.
    for host in ("127.0.0.1", "LocalHost"):
        assert connect(server.url.replace("127.0.0.1", host)).get(LIST) == ["direct"]
    monkeypatch.setattr(Settings, "is_loopback", False)
    assert connect(server).get(LIST) == ["by proxy"]
    monkeypatch.setenv("no_proxy", "workspace.invalid,127.0.0.1")
    assert connect(server).get(LIST) == ["direct"]


def test_an_unknown_response_names_proxy_and_path(
    serve: Serve, connect: Connect, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = serve([Response("<h1>Denied</h1>", 403), Response("<h1>Welcome</h1>")])
    monkeypatch.setenv("http_proxy", proxy.url.replace("//", "//bob:s3cret@"))
    client = connect("http://workspace.invalid/console", sleep=clock.sleep)
    ways = "url has the path /console, which few workspaces have: try it without."
    ways = f"{ways} The request went through the proxy {proxy.url.removeprefix('http://')}."
    for kind in (ApiError, LostResponse):
        with pytest.raises(kind) as caught:
            client.get(LIST)
        assert str(caught.value).endswith(ways)


@pytest.mark.parametrize(
    ("variable", "address"),
    [
        ("https_proxy", "http://bob:s3cret@"),
        ("all_proxy", "http://bob:s3cret@proxy.example:port"),
        ("ALL_PROXY", "http://bob:s3cret@proxy..example"),
        ("HTTPS_PROXY", "http:///"),
        ("https_proxy", "http://[::1"),
        ("https_proxy", "ftp://bob:s3cret@proxy.example"),
    ],
)
def test_an_invalid_proxy_is_refused(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, variable: str, address: str
) -> None:
    monkeypatch.setenv(variable, address)
    with pytest.raises(UsageError) as caught:
        connect("https://workspace.invalid")
    assert caught.value.option == variable
    assert "s3cret" not in str(caught.value)
    for sound in ("proxy.example:3128", "http://bob:pw@proxy.example", "https://[::1]:3128"):
        monkeypatch.setenv(variable, sound)
        connect("https://workspace.invalid")


def test_a_socks_proxy_names_the_missing_library(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "urllib3.contrib.socks", None)
    monkeypatch.setenv("all_proxy", "socks5h://proxy.example:1080")
    with pytest.raises(UsageError, match=r"all_proxy: .*PySocks.* -m pip install pysocks"):
        connect("https://workspace.invalid")


@pytest.mark.parametrize("answer", [b"", b"SSH-2.0-x\r\n", b"HTTP/1.1 407 No\r\n\r\n"])
def test_an_invalid_response_to_connect_means_not_sent(
    raw: Any, connect: Connect, clock: FakeClock, monkeypatch: pytest.MonkeyPatch, answer: bytes
) -> None:
    monkeypatch.setenv("https_proxy", raw(sending(answer)))
    client = connect("https://workspace.invalid", sleep=clock.sleep)
    with pytest.raises(ConnectionFailed, match=r"https://workspace.invalid:443 through the proxy 127\.0\.0\.1:"):
        client.write("POST", LIST, {})
    assert client.requests == ATTEMPTS


# Secrets

PARTS = {TOKEN[start : start + 8] for start in range(len(TOKEN) - 7)}


@pytest.mark.parametrize(
    ("method", "reply"),
    [
        ("GET", HANG_UP),
        ("GET", Response(status=302, headers={"Location": f"http://{TOKEN}.example/?{TOKEN}"})),
        ("POST", Response(status=302, headers={"Location": f"http://{TOKEN}.example/?{TOKEN}"})),
        # Some gateways repeat the header that they refuse.
        ("POST", Response({"message": f'Authorization=token="{TOKEN}"'}, 403)),
        ("GET", Response({"detail": {"message": [f"{TOKEN} is unknown."]}}, 401)),
        ("GET", Response({"code": f"no_{TOKEN}", TOKEN: TOKEN}, 503)),
        ("GET", Response("<html>", 200, headers={"Content-Type": f"text/{TOKEN}"})),
    ],
)
def test_the_token_is_in_no_error(scripted: Scripted, reply: Response, method: str) -> None:
    client, _server = scripted(reply)
    with pytest.raises(AlpaconError) as caught:
        call(client, method)
    assert_without(PARTS, caught.value)


def assert_without(secrets: Iterable[str], error: BaseException | None) -> None:
    """Check that neither an error nor its causes show a secret."""
    while error:
        shown = f"{error!r} {error} {vars(error)}"
        assert not any(secret in shown for secret in secrets), shown
        error = error.__cause__ or error.__context__


@pytest.mark.parametrize(("before", "shape"), [(200, "html"), (4000, "json"), (10_000, "html")])
@pytest.mark.parametrize("within", [9, 22])
def test_no_part_of_the_token_is_left_where_a_text_is_cut(
    scripted: Scripted, before: int, shape: str, within: int
) -> None:
    said = f"{'x' * (before - within)}{TOKEN} is unknown"
    client, _server = scripted(Response({"detail": said} if shape == "json" else said, 403))
    with pytest.raises(ApiError) as caught:
        client.get(LIST)
    assert_without(PARTS, caught.value)


def test_an_invalid_status_line_is_shown_without_the_token(raw: Any, connect: Connect) -> None:
    url = raw(sending(f"token={TOKEN}?\r\n".encode()))
    with pytest.raises(LostResponse, match=r"the connection broke before an answer was read.*\*") as caught:
        connect(url).write("POST", LIST, {})
    assert_without(PARTS, caught.value)


#: A password as it is, in an address and in a header.
PASSWORD, QUOTED = "s3cret/+ pw", "s3cret%2F%2B%20pw"
BASIC = base64.b64encode(f"bob:{PASSWORD}".encode()).decode()
REPEATED = f"Proxy-Authorization: Basic {BASIC} is not {PASSWORD} or {QUOTED}"


def test_a_proxy_that_refuses_a_tunnel_may_repeat_its_password(
    raw: Any, connect: Connect, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = raw(sending(f"HTTP/1.1 407 no {REPEATED}\r\n\r\n".encode()))
    monkeypatch.setenv("https_proxy", proxy.replace("//", f"//bob:{QUOTED}@"))
    with pytest.raises(ConnectionFailed, match="Tunnel connection failed: 407") as caught:
        connect("https://workspace.invalid", sleep=clock.sleep).get(LIST)
    assert "********" in str(caught.value)
    assert_without((BASIC, PASSWORD, QUOTED), caught.value)


@pytest.mark.parametrize(
    "reply",
    [
        Response({"detail": REPEATED}, 407),
        Response(status=302, headers={"Location": f"http://other.example/{BASIC}/{QUOTED}"}),
        Response("<html>", headers={"Content-Type": REPEATED}),
    ],
)
def test_a_proxy_in_the_place_of_a_workspace_may_repeat_its_password(
    serve: Serve, connect: Connect, monkeypatch: pytest.MonkeyPatch, reply: Response
) -> None:
    monkeypatch.setenv("http_proxy", serve([reply]).url.replace("//", f"//bob:{QUOTED}@"))
    with pytest.raises(AlpaconError) as caught:
        connect("http://workspace.invalid").write("POST", LIST, {})
    assert "********" in str(caught.value)
    assert_without((BASIC, PASSWORD, QUOTED), caught.value)
