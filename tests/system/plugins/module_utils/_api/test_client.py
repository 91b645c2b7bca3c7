# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The client over a real socket: headers, connections, paging, pauses and redirects."""

from __future__ import annotations

import base64
import contextlib
import gzip
import itertools
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
import tracemalloc
import warnings
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from system.conftest import Connect
from system.support import HANG_UP, Clock, Reply, Request, ScriptedServer, in_every_dialect, pauses, socket_servers
from workspace.client import Workspace

from ansible_collections.herdops.alpacon.plugins.module_utils._api import answers as _answers
from ansible_collections.herdops.alpacon.plugins.module_utils._api import client as _client
from ansible_collections.herdops.alpacon.plugins.module_utils._api import session as _session
from ansible_collections.herdops.alpacon.plugins.module_utils._api.answers import (
    LARGEST_ANSWER,
    MOST_VALUES,
)
from ansible_collections.herdops.alpacon.plugins.module_utils._api.client import ATTEMPTS, Client
from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import (
    AlpaconError,
    ApiError,
    ConnectionFailed,
    LostAnswer,
    UnknownAddress,
    UsageError,
    WorkspaceDown,
)
from ansible_collections.herdops.alpacon.plugins.module_utils._api.session import origin_of
from ansible_collections.herdops.alpacon.plugins.module_utils._api.settings import Settings
from ansible_collections.herdops.alpacon.plugins.module_utils._api.version import VERSION
from ansible_collections.herdops.alpacon.tests.unit.support import COMMAND, LIST, TOKEN, page, recorded, rows

Serve = Callable[..., ScriptedServer]


def closed_port() -> int:
    """A port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def test_a_missing_library_is_named() -> None:
    module_utils = "ansible_collections.herdops.alpacon.plugins.module_utils"
    program = f"""if True:
        import sys
        sys.modules["requests"] = None
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


def test_what_a_request_looks_like(workspace: Workspace, connect: Connect) -> None:
    client = connect(workspace)
    client.get(LIST, {"page_size": 1})
    client.write("DELETE", f"{LIST}{workspace.submit('web-01', 'true', scheduled_at='2999-01-01T00:00:00Z')}/")
    for entry in (workspace.log()[0], workspace.log()[-1]):
        assert entry["authorization"] == {"present": True, "scheme": "token", "quoted": True, "well_formed": True}
        assert entry["token"] == "admin"
        assert entry["headers"]["user-agent"] == f"herdops.alpacon/{VERSION}"
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


@pytest.mark.parametrize(("threads", "connections"), [(17, 17), (18, 18 + 1)])
def test_as_many_connections_are_kept_as_a_fleet_has_threads(
    serve: Serve, connect: Connect, threads: int, connections: int
) -> None:
    together = threading.Barrier(threads)

    def answer(request: Request) -> Reply:
        together.wait(timeout=20)
        return Reply([])

    server = serve(answer)
    client = connect(server)
    with ThreadPoolExecutor(threads) as pool:
        for _turn in range(2):
            list(pool.map(lambda _number: client.get(LIST), range(threads)))
    assert server.connections == connections


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


@in_every_dialect
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
    assert client.requests == max(1, -(-size // 100))


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


@in_every_dialect
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


def test_a_list_that_shrinks_is_read_anew_where_it_did(serve: Serve, connect: Connect) -> None:
    gone = Reply({"detail": "Invalid page."}, 404)
    server = serve([Reply(page(rows(0, 100), 2)), gone, Reply(page([*rows(0, 50), *rows(51, 101)]))])
    assert every(connect(server)) == rows(0, 101)


@in_every_dialect
def test_a_real_list_that_shrinks_ends(workspace: Workspace, connect: Connect) -> None:
    ids = workspace.add_many_commands(101, line="true", status="success")
    client = connect(workspace)
    walk = client.rows(LIST, {"ordering": "-added_at"})
    first = next(walk)["id"]
    workspace.delete_command(ids[50])
    workspace.delete_command(ids[51])
    assert [first, *(row["id"] for row in walk)] == ids
    assert client.requests == 3


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
def test_reads_are_given_up_after_five_attempts(serve: Serve, connect: Connect, clock: Clock, kind: str) -> None:
    server = serve([PASSING[kind]])
    with pytest.raises((ApiError, LostAnswer)):
        connect(server, sleep=clock.sleep).get(LIST)
    assert (len(server.requests), len(pauses(clock.slept))) == (5, 4)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 409, 410, 422])
def test_reads_that_are_refused_are_not_repeated(serve: Serve, connect: Connect, clock: Clock, status: int) -> None:
    server = serve([Reply({"code": "not_found"}, status)])
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
    server = serve([Reply({"code": "api_rate_limited"}, status, {"Retry-After": "37"}), Reply([1])])
    client = connect(server, sleep=clock.sleep)
    body = client.get(LIST) if call == "GET" else client.write(call, LIST, {}).body
    assert body == [1]
    assert pauses(clock.slept) == pytest.approx([37], abs=0.1)


NO_PAUSE = ["0", "-0", "-5", "nan", "-inf", "soon", "3, 4", "Tue, 24 Nov 2026 10:30:44 GMT", "Tue, 99 Foo", None]


@pytest.mark.parametrize("header", NO_PAUSE)
def test_a_retry_after_that_names_no_pause(serve: Serve, connect: Connect, clock: Clock, header: str | None) -> None:
    headers = {} if header is None else {"Retry-After": header}
    server = serve([Reply(status=503, headers=headers), Reply([1])])
    assert connect(server, sleep=clock.sleep).get(LIST) == [1]
    assert 0.4 <= sum(clock.slept) <= 1


@pytest.mark.parametrize("header", NO_PAUSE)
@pytest.mark.parametrize("call", ["GET", "POST"])
def test_a_used_up_budget_without_a_pause_is_waited_for_longer_and_longer(
    serve: Serve, connect: Connect, clock: Clock, header: str | None, call: str
) -> None:
    headers = {} if header is None else {"Retry-After": header}
    server = serve([*[Reply({"code": "api_rate_limited"}, 429, headers)] * 6, Reply([1])])
    client = connect(server, sleep=clock.sleep)
    assert (client.get(LIST) if call == "GET" else client.write(call, LIST, {}).body) == [1]
    held = pauses(clock.slept)
    assert len(held) == 6
    assert sum(held) > 20


@pytest.mark.parametrize(("jitter", "shortest"), [(min, 0.4), (max, 0.6)])
def test_pauses_double_up_to_half_a_minute_give_or_take_a_fifth(
    serve: Serve, connect: Connect, clock: Clock, monkeypatch: pytest.MonkeyPatch, jitter: Any, shortest: float
) -> None:
    monkeypatch.setattr("random.uniform", lambda *ends: jitter(ends))
    server = serve([*[Reply(status=429)] * 8, Reply([1])])
    assert connect(server, sleep=clock.sleep).get(LIST) == [1]
    expected = [shortest * factor for factor in (1, 2, 4, 8, 16, 32, 64, 64)]
    assert pauses(clock.slept) == pytest.approx(expected, abs=0.1)


@pytest.mark.parametrize(("pause", "told"), [("2.9", 0), ("3", 1), ("1500", 1)])
def test_a_used_up_budget_is_told_of_once_unless_the_wait_is_short(
    serve: Serve, clock: Clock, pause: str, told: int
) -> None:
    throttled = Reply(status=429, headers={"Retry-After": pause})
    said: list[str] = []
    with Client(Settings(serve([throttled, Reply([1])]).url, TOKEN), sleep=clock.sleep, tell=said.append) as client:
        for _call in range(2):
            with contextlib.suppress(ApiError):  # 1500 s are too long for anybody who has set no deadline
                client.get(LIST)
    line = rf"alpacon: the request budget of the token is used up until \d\d:\d\d:\d\d, for {pause} s"
    assert [bool(re.fullmatch(line, text)) for text in said] == [True] * told


@pytest.mark.parametrize("header", ["0.000001", "1e-300", "0.2"])
def test_a_tiny_pause_has_a_floor(serve: Serve, connect: Connect, clock: Clock, header: str) -> None:
    server = serve([Reply(status=429, headers={"Retry-After": header}), Reply([1])])
    assert connect(server, sleep=clock.sleep).get(LIST) == [1]
    assert sum(clock.slept) == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize("call", ["GET", "POST"])
def test_a_pause_that_is_a_date_counts_from_the_date_of_the_answer(
    serve: Serve, connect: Connect, clock: Clock, call: str
) -> None:
    headers = {"Retry-After": "Tue, 24 Nov 2026 10:31:24 GMT", "Date": "Tue, 24 Nov 2026 10:30:44 GMT"}
    server = serve([Reply({"code": "api_rate_limited"}, 429, headers), Reply([1])])
    client = connect(server, sleep=clock.sleep)
    assert (client.get(LIST) if call == "GET" else client.write(call, LIST, {}).body) == [1]
    assert pauses(clock.slept) == pytest.approx([40], abs=0.1)


@pytest.mark.parametrize("header", ["inf", "1e300", "9" * 400, "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_a_pause_without_end_is_no_pause_but_an_error(
    serve: Serve, connect: Connect, clock: Clock, header: str
) -> None:
    server = serve([Reply(status=429, headers={"Retry-After": header})])
    client = connect(server, sleep=clock.sleep)
    for _call in range(2):
        with pytest.raises(ApiError, match="request budget") as caught:
            client.get(LIST)
        assert caught.value.status == 429
    assert (len(server.requests), clock.slept) == (1, [])


def test_a_used_up_budget_is_awaited_however_often(serve: Serve, connect: Connect, clock: Clock) -> None:
    server = serve([*[Reply(status=429, headers={"Retry-After": "29.9"})] * 10, Reply([1])])
    assert connect(server, sleep=clock.sleep).get(LIST) == [1]
    assert pauses(clock.slept) == pytest.approx([29.9] * 10, abs=0.1)


def test_a_used_up_budget_is_awaited_for_five_minutes_at_the_most(serve: Serve, connect: Connect, clock: Clock) -> None:
    server = serve([Reply({"code": "API_RATE_LIMITED"}, 429, {"Retry-After": "300"}), Reply([1])])
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


@pytest.mark.parametrize(("method", "is_awaited"), [("POST", False), ("DELETE", True), ("GET", True)])
def test_submits_wait_for_the_budget_for_a_time_of_their_own(
    serve: Serve, connect: Connect, clock: Clock, method: str, is_awaited: bool
) -> None:
    server = serve([Reply({"code": "api_rate_limited"}, 429, {"Retry-After": "20"}), Reply([1])])
    client = connect(server, sleep=clock.sleep)
    client.submits_until = clock.monotonic() + 10
    with contextlib.nullcontext() if is_awaited else pytest.raises(ApiError, match="request budget"):
        client.get(LIST) if method == "GET" else client.write(method, LIST)
    assert len(server.requests) == (2 if is_awaited else 1)


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


# Outages: troubles of a workspace that has accepted the token

NO_DATABASE = Reply({"detail": "Authentication credentials were not provided."}, 403)
OUTAGES = {"no database": NO_DATABASE, "401": Reply("<html>", 401), "502": Reply("<html>", 502)}


@pytest.mark.parametrize("kind", OUTAGES)
def test_an_outage_is_told_of_and_waited_for(serve: Serve, clock: Clock, kind: str) -> None:
    server = serve([Reply([1]), *[OUTAGES[kind]] * 6, Reply([2])])
    said: list[str] = []
    with Client(Settings(server.url, TOKEN), sleep=clock.sleep, tell=said.append) as client:
        client.awaited = lambda: ["this-id"]
        assert client.get(LIST) == [1]
        assert client.get(LIST) == [2]
    assert 25 < clock.passed < 36, "probes at 0.5, 1.5, 3.5, 7.5, 15.5 and 30.5 s"
    first, second = said
    assert first.startswith("alpacon: the workspace fails, and all requests wait until it answers again. ")
    assert "the workspace has failed for 15 s. Commands whose results wait for it: this-id. " in second
    assert all(f"HTTP {OUTAGES[kind].status}" in line for line in said)


def test_what_a_workspace_that_works_refuses_is_no_outage(serve: Serve, connect: Connect, clock: Clock) -> None:
    refused = {"detail": "You do not have permission to perform this action."}
    server = serve([Reply([1]), Reply(refused, 403)])
    client = connect(server, sleep=clock.sleep)
    client.get(LIST)
    with pytest.raises(ApiError, match="may not do this"):
        client.get(LIST)
    assert (len(server.requests), clock.slept) == (2, [])


def test_a_read_that_fails_alone_is_given_up(serve: Serve, connect: Connect, clock: Clock) -> None:
    server = serve(lambda request: Reply([1]) if request.query == {"page_size": "1"} else Reply("<html>", 500))
    client = connect(server, sleep=clock.sleep)
    client.get(LIST, {"page_size": 1})
    with pytest.raises(ApiError):
        client.get(LIST)
    assert sum(request.query == {} for request in server.requests) == ATTEMPTS
    assert sum(clock.slept) < 20


def test_the_token_is_blamed_when_an_outage_lasts(serve: Serve, connect: Connect, clock: Clock) -> None:
    server = serve([Reply([1]), NO_DATABASE])
    client = connect(server, sleep=clock.sleep)
    client.get(LIST)
    with pytest.raises(ApiError) as caught:
        client.get(LIST)
    assert caught.value.refuses_token
    assert 120 <= clock.passed < 125
    assert len(server.requests) <= 20
    for _attempt in range(2):
        with pytest.raises(WorkspaceDown, match="Not sent, since the workspace has failed for 12"):
            client.write("POST", LIST, {})
    assert all(request.method == "GET" for request in server.requests)


def test_a_submit_waits_until_the_outage_is_over(serve: Serve, connect: Connect, clock: Clock) -> None:
    server = serve([Reply([1]), NO_DATABASE, NO_DATABASE, Reply([2]), Reply({"id": 1}, 201)])
    client = connect(server, sleep=clock.sleep)
    client.get(LIST)
    with pytest.raises(LostAnswer, match="may have been carried out"):
        client.write("DELETE", LIST)
    assert client.write("POST", LIST, {}).body == {"id": 1}
    assert [request.method for request in server.requests] == ["GET", "DELETE", "GET", "GET", "POST"]


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
    client.submits_until = clock.monotonic()  # which is for the budget only
    with pytest.raises(ConnectionFailed):
        client.write("POST", LIST, {})
    assert client.requests == ATTEMPTS


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409])
def test_a_refused_write_is_not_sent_again(serve: Serve, connect: Connect, clock: Clock, status: int) -> None:
    server = serve([Reply({"code": "forbidden"}, status)])
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
        Reply(status=300),
        Reply(status=304),
        Reply(status=399),
        Reply(status=408),
        *(Reply("<h1>Gateway</h1>", status) for status in (400, 401, 403, 404, 413, 451)),
        Reply("<h1>Slow down</h1>", 429, {"Retry-After": "3"}),
        Reply({"message": "Conflict"}, 409),
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
    assert {request.path for request in server.requests} == {RECORD}


@pytest.mark.parametrize("seen", [Reply({"id": COMMAND}), Reply({"code": "forbidden"}, 403), Reply("<html>", 404)])
def test_a_deletion_that_nobody_answers_is_lost_while_the_record_may_be_there(
    serve: Serve, connect: Connect, clock: Clock, seen: Reply
) -> None:
    server = serve([Reply(status=502), Reply(status=302, headers={"Location": "/login/"}), seen])
    with pytest.raises(LostAnswer, match="DELETE"):
        connect(server, sleep=clock.sleep).delete(RECORD)


@pytest.mark.parametrize(
    ("location", "words"),
    [
        ("http://127.0.0.1:99999/", "what is no address"),
        ("http://127.0.0.1:port/", "what is no address"),
        ("http://[::1", "what is no address"),
        ("http://[v1.x]:80/", "which the token is not for"),
        ("//other.example/", "which the token is not for"),
        ("javascript:alert(1)", "which the token is not for"),
        ("file:///etc/passwd", "which the token is not for"),
        ("\x1b[31mred", "HTTP 403"),
        ("", "Redirected to nowhere"),
        (None, "Redirected to nowhere"),
    ],
)
def test_a_redirect_to_nonsense(serve: Serve, connect: Connect, clock: Clock, location: str | None, words: str) -> None:
    headers = {} if location is None else {"Location": location}
    client = connect(serve([Reply(status=302, headers=headers), Reply({}, 403)]), sleep=clock.sleep)
    with pytest.raises(ApiError, match=words) as caught:
        client.get(LIST)
    assert "\x1b" not in str(caught.value)
    client = connect(serve([Reply(status=302, headers=headers)]), sleep=clock.sleep)
    with pytest.raises(LostAnswer, match="Check url") as lost:
        client.write("POST", LIST, {})
    assert "\x1b" not in str(lost.value)


@pytest.fixture
def as_before_2_32(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has requests ask for connections as before 2.32."""

    def look_up(self: Any, request: Any, _verify: Any, proxies: Any = None, **_more: Any) -> Any:
        with warnings.catch_warnings(category=DeprecationWarning, action="ignore"):
            return self.get_connection(request.url, proxies)

    monkeypatch.setattr(requests.adapters.HTTPAdapter, "get_connection_with_tls_context", look_up)
    monkeypatch.delattr(_session._Adapter, "get_connection_with_tls_context")


#: What one library takes for another address than the next one does, with the ports of the other and the own origin.
AMBIGUOUS = (
    "http://127.0.0.1:{other}\\@127.0.0.1:{own}/",
    "//127.0.0.1:{other}\\@127.0.0.1:{own}/",
    "http://127.0.0.1:{other}\\\\@127.0.0.1:{own}",
    "http://127.0.0.1:{other}#@127.0.0.1:{own}/",
    "http://127.0.0.1:{own}@127.0.0.1:{other}/",
)


@pytest.mark.parametrize("location", AMBIGUOUS)
@pytest.mark.usefixtures("as_before_2_32")
def test_an_address_that_can_be_read_in_two_ways_gets_no_token(serve: Serve, connect: Connect, location: str) -> None:
    other = serve([Reply([])])

    def answer(request: Request) -> Reply:
        ports = {"other": urlsplit(other.url).port, "own": urlsplit(server.url).port}
        return Reply(status=302, headers={"Location": location.format(**ports)})

    server = serve(answer)
    with pytest.raises(ApiError, match=f"Redirected to {other.url}, which the token is not for"):
        connect(server).get(LIST)
    assert (len(server.requests), other.requests) == (1, [])


@pytest.mark.usefixtures("as_before_2_32")
def test_all_connections_are_to_the_origin_whatever_the_address(
    serve: Serve, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = serve([Reply(["other"])])
    server = serve([Reply(status=302, headers={"Location": f"{other.url}/moved/"}), Reply(["own"])])
    monkeypatch.setattr(_client, "origin_of", lambda _url: origin_of(server.url))
    assert connect(server).get(LIST) == ["own"]
    assert other.requests == []


def test_redirects_in_a_circle_end(serve: Serve, connect: Connect, clock: Clock) -> None:
    server = serve([Reply(status=302, headers={"Location": LIST})])
    with pytest.raises(ApiError, match="More than 5 redirects"):
        connect(server, sleep=clock.sleep).get(LIST)
    assert len(server.requests) == 1 + 5


# Answers that are large, slow or odd


@pytest.fixture
def raw(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Callable[[socket.socket], None]], str]]:
    """Starts servers that do to each connection what a function says, once a request is there."""
    with socket_servers(read=65536) as start:
        yield lambda answer: f"http://{start(answer)}"


OK = b"HTTP/1.1 200 OK\r\n"


def trickle(head: bytes, drop: bytes) -> Callable[[socket.socket], None]:
    """Send a head, and then the same few bytes over and over, as long as somebody listens."""

    def answer(connection: socket.socket) -> None:
        connection.sendall(head)
        while True:
            connection.sendall(drop)
            time.sleep(0.02)

    return answer


TRICKLES = {
    "of a body with a length": (OK + b"Content-Length: 100000\r\n\r\n", b" "),
    "of a body without one": (OK + b"\r\n", b" "),
    "of chunks": (OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
    "of a header": (OK + b"X-Long: ", b"x"),
    "of words to go on": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "of hints": (b"", b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n"),
}


@pytest.mark.parametrize("kind", TRICKLES)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_trickle_ends(raw: Any, connect: Connect, kind: str, method: str) -> None:
    client = connect(raw(trickle(*TRICKLES[kind])), request_timeout=0.1)
    client.deadline = 0.0  # one try only
    with pytest.raises(LostAnswer, match="request_timeout"):
        client.get(LIST) if method == "GET" else client.write(method, LIST, {})
    assert client.requests == 1


@pytest.mark.parametrize(("seconds", "is_in_time"), [(399.0, True), (400.0, False)])
def test_an_answer_may_take_four_times_as_long_as_its_parts(
    serve: Serve, connect: Connect, monkeypatch: pytest.MonkeyPatch, seconds: float, is_in_time: bool
) -> None:
    ticks = itertools.chain([0.0], itertools.repeat(seconds))
    monkeypatch.setattr(_session, "time", SimpleNamespace(monotonic=lambda: next(ticks)))
    client = connect(serve([Reply({"id": 1}, 201)]), request_timeout=100)
    if is_in_time:
        assert client.write("POST", LIST, {}).body == {"id": 1}
    else:
        with pytest.raises(LostAnswer, match="no answer within request_timeout, or not its end within 4 times that"):
            client.write("POST", LIST, {})


@pytest.mark.parametrize(("request_timeout", "seconds"), [(30, 10), (3, 3)])
def test_a_connection_is_made_in_ten_seconds_or_not_at_all(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, request_timeout: int, seconds: int
) -> None:
    given = []

    def fail(_address: Any, timeout: float, **_named: Any) -> None:
        given.append(timeout)
        raise OSError("no route")

    monkeypatch.setattr("urllib3.connection.connection.create_connection", fail)
    client = connect("http://workspace.invalid", request_timeout=request_timeout)
    client.deadline = 0.0  # one try only
    with pytest.raises(ConnectionFailed, match="no route"):
        client.get(LIST)
    assert given == [seconds]


INTERIM = {
    "100": b"HTTP/1.1 100 Continue\r\n\r\n",
    "102": b"HTTP/1.1 102 Processing\r\n\r\n",
    "103": b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\nConnection: close\r\n\r\n",
    "103 with a length": b"HTTP/1.1 103 Early Hints\r\nContent-Length: 7\r\nTransfer-Encoding: chunked\r\n\r\n",
    "one that nobody knows": b"HTTP/1.1 199 \r\n\r\n",
    "many": b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n" * 9,
}


@pytest.mark.parametrize("kind", INTERIM)
def test_what_comes_before_an_answer_is_none(raw: Any, connect: Connect, kind: str) -> None:
    connections = []

    def answer(connection: socket.socket) -> None:
        connections.append(connection)
        for number in range(1, 5):
            connection.sendall(INTERIM[kind])
            time.sleep(0.05)
            connection.sendall(OK + b'Content-Length: 9\r\n\r\n{"n": %2d}' % number)
            connection.recv(65536)

    client = connect(raw(answer))
    assert [client.get(LIST), client.write("POST", LIST, {}).body, client.get(LIST)] == [{"n": n} for n in (1, 2, 3)]
    assert len(connections) == 1


def test_another_protocol_is_no_answer(raw: Any, connect: Connect, clock: Clock) -> None:
    upgrade = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    answers = iter([upgrade, upgrade, OK + b"Content-Length: 3\r\n\r\n[1]"])
    client = connect(raw(lambda connection: connection.sendall(next(answers))), sleep=clock.sleep)
    with pytest.raises(LostAnswer, match="HTTP 101"):
        client.write("POST", LIST, {})
    assert client.get(LIST) == [1]
    assert client.requests == 3


def packed(size: int) -> bytes:
    """So many blanks, packed."""
    packer = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS | 16)
    pieces = [packer.compress(b" " * 2**20) for _number in range(size // 2**20)]
    return b"".join([*pieces, packer.flush()])


def test_an_answer_that_unpacks_to_gigabytes_is_not_unpacked(raw: Any, connect: Connect) -> None:
    bomb = packed(2 * 2**30)
    headers = OK + f"Content-Encoding: gzip\r\nContent-Length: {len(bomb)}\r\n\r\n".encode()
    client = connect(raw(lambda connection: connection.sendall(headers + bomb)))
    client.deadline = 0.0
    tracemalloc.start()
    try:
        with pytest.raises(LostAnswer, match=r"larger than 128 MiB"):
            client.get(LIST)
        assert tracemalloc.get_traced_memory()[1] < 2 * LARGEST_ANSWER
    finally:
        tracemalloc.stop()


class WithoutEnd:
    """An answer of blanks that goes on, after these bytes."""

    def __init__(self, begin: bytes) -> None:
        self._begin = begin
        self.sent = 0

    def __call__(self, connection: socket.socket) -> None:
        connection.sendall(OK + self._begin)
        for _number in range(1000):
            connection.sendall(b" " * 2**16)
            self.sent += 2**16


def test_an_answer_without_end_is_left(raw: Any, connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_answers, "LARGEST_ANSWER", 2**20)
    answer = WithoutEnd(b"\r\n")
    with pytest.raises(LostAnswer, match="larger than 1 MiB"):
        connect(raw(answer)).write("POST", LIST, {})
    assert answer.sent < 50 * 2**20


def test_a_chunk_of_all_that_comes_is_left(raw: Any, connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its size is -1, which is how Python is told to read to the end."""
    monkeypatch.setattr(_session, "LARGEST_ANSWER", 2**20)
    monkeypatch.setattr(_session, "_FRAMING", 2**20)
    answer = WithoutEnd(b"Transfer-Encoding: chunked\r\n\r\n-1\r\n")
    with pytest.raises(LostAnswer, match="larger than 1 MiB"):
        connect(raw(answer)).write("POST", LIST, {})
    assert answer.sent < 50 * 2**20


@pytest.mark.parametrize(("size", "is_read"), [(2**24 - 2**10, True), (2**24 + 2**10, False)])
def test_what_stands_around_chunks_may_have_sixteen_mebibytes(
    raw: Any, connect: Connect, monkeypatch: pytest.MonkeyPatch, size: int, is_read: bool
) -> None:
    monkeypatch.setattr(_session, "LARGEST_ANSWER", 0)
    chunk = b"1;" + b"x" * (2**14 - 7) + b"\r\n \r\n"
    body = chunk * (size // len(chunk)) + b"3\r\n[1]\r\n0\r\n\r\n"
    client = connect(raw(lambda connection: connection.sendall(OK + b"Transfer-Encoding: chunked\r\n\r\n" + body)))
    client.deadline = 0.0
    with contextlib.nullcontext() if is_read else pytest.raises(LostAnswer, match="larger than"):
        assert client.get(LIST) == [1]


SIXTEENTH = LARGEST_ANSWER // 16


def over_and_over(text: str, size: int = SIXTEENTH) -> str:
    """The text as often as it fits."""
    return text * ((size - 100) // len(text.encode()))


WIDE_TEXT, NO_WORDS, ESCAPED, PLAIN, COMMA = '"' + "x" * 1000 + '\U0001f600",', '"",', "x\\n", "x", ","

#: What takes much more memory than it has bytes.
COSTLY: dict[str, Callable[[], str]] = {
    "lists": lambda: f"[{over_and_over('[],')}0]",
    "as many lists as may be": lambda: f"[{'[[]],' * (MOST_VALUES // 49)}0]",
    "objects": lambda: f"[{over_and_over('{},')}0]",
    "lists in lists": lambda: f"[{over_and_over('[' * 50 + ']' * 50 + ',')}0]",
    "names that no other object has": lambda: json.dumps([{f"\U0001f600{n}": str(n)} for n in range(100_000)]),
    "as many names as may be": lambda: json.dumps({f"\U0001f600{n}": f"\U0001f600{n}" for n in range(50_000)}),
    "a text of wide characters": lambda: f'["\U0001f600{over_and_over(PLAIN)}"]',
    "many texts of wide characters": lambda: f"[{over_and_over(WIDE_TEXT)}0]",
    "escapes": lambda: f'["\U0001f600{over_and_over(ESCAPED)}"]',
    "texts without words": lambda: f"[{over_and_over(NO_WORDS)}0]",
    "a text full of commas": lambda: f'["\U0001f600{over_and_over(COMMA)}"]',
    "no JSON but commas": lambda: f"<\U0001f600{over_and_over(',')}>",
}


@pytest.mark.parametrize("kind", COSTLY)
def test_no_answer_costs_more_memory_than_is_said(
    raw: Any, connect: Connect, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """At a sixteenth of all bounds."""
    monkeypatch.setattr(_answers, "LARGEST_ANSWER", SIXTEENTH)
    monkeypatch.setattr(_answers, "MOST_VALUES", MOST_VALUES // 16)
    body = gzip.compress(COSTLY[kind]().encode(), 1)
    headers = OK + f"Content-Encoding: gzip\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    client = connect(raw(lambda connection: connection.sendall(headers + body)))
    client.deadline = 0.0
    tracemalloc.start()
    try:
        with contextlib.suppress(LostAnswer):
            client.get(LIST)
        assert tracemalloc.get_traced_memory()[1] < 12 * SIXTEENTH
    finally:
        tracemalloc.stop()


def test_an_answer_has_so_many_values_and_texts_as_many_commas_as_they_like(
    serve: Serve, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_answers, "MOST_VALUES", 100)
    text = '{"a": [1, "b\\", 2], "\\\\": "c,d"},\\' * 50
    few: list[Any] = [[0] * 100, [{"result": text}] * 30, {f"field{number}": [] for number in range(50)}]
    many: list[Any] = [[0] * 101, [{"result": text}] * 51, [[]] * 52, {f"field{number}": [] for number in range(51)}]
    for body in few:
        assert connect(serve([Reply(body)])).get(LIST) == body
    for body in many:
        with pytest.raises(LostAnswer, match="more than 100 values"):
            connect(serve([Reply(body)])).write("POST", LIST, {})


def test_what_follows_a_packed_answer_is_not_gathered(raw: Any, connect: Connect) -> None:
    body = gzip.compress(b"[1]")
    headers = OK + f"Content-Encoding: gzip\r\nContent-Length: {len(body) + 2**25}\r\n\r\n".encode()
    answer = headers + body + bytes(2**25)
    client = connect(raw(lambda connection: connection.sendall(answer)))
    tracemalloc.start()
    try:
        assert client.get(LIST) == [1]
        assert tracemalloc.get_traced_memory()[1] < 2**24
    finally:
        tracemalloc.stop()


def test_a_packed_answer_is_read(serve: Serve, connect: Connect, raw: Any) -> None:
    body = gzip.compress(b'[{"id": 1}]')
    headers = OK + f"Content-Encoding: gzip\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    assert connect(raw(lambda connection: connection.sendall(headers + body))).get(LIST) == [{"id": 1}]


UNREADABLE = {
    "half of what was packed": (b"Content-Encoding: gzip\r\n", gzip.compress(b"[1]" * 99)[:-9]),
    "not packed at all": (b"Content-Encoding: gzip\r\n", b"[1]"),
    "packed in another way": (b"Content-Encoding: br\r\n", b"[1]"),
    "packed over and over": (b"Content-Encoding: gzip, gzip\r\n", gzip.compress(gzip.compress(b"[1]"))),
    "nested too deep": (b"", b"[" * 100_000 + b"]" * 100_000),
    "nothing but openings": (b"", b'{"a":' * 100_000),
    "a number without end": (b"", b"9" * 10_000),
    "cut": (b"Content-Length: 99\r\n", b"[1]"),
    "of a chunk that is none": (b"Transfer-Encoding: chunked\r\n", b"zz\r\n[1]\r\n"),
    "of a chunk below zero": (b"Transfer-Encoding: chunked\r\n", b"-5\r\n[1]\r\n0\r\n\r\n"),
    "with a thousand headers": (b"X-Header: y\r\n" * 1000, b"[1]"),
    "with a header without end": (b"X-Header: " + b"y" * 100_000 + b"\r\n", b"[1]"),
    "of two lengths": (b"Content-Length: 3\r\nContent-Length: 5\r\n", b"[1]"),
}


@pytest.mark.parametrize("kind", UNREADABLE)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_answer_that_cannot_be_read_is_a_lost_one(raw: Any, connect: Connect, kind: str, method: str) -> None:
    headers, body = UNREADABLE[kind]
    client = connect(raw(lambda connection: connection.sendall(OK + headers + b"\r\n" + body)))
    client.deadline = 0.0
    with pytest.raises(LostAnswer):
        client.get(LIST) if method == "GET" else client.write(method, LIST, {})
    assert client.requests == 1


READABLE = {
    "a length that is none": (b"Content-Length: many\r\n", b"[1]"),
    "a length below zero": (b"Content-Length: -5\r\n", b"[1]"),
    "a charset that is none": (b"Content-Type: application/json; charset=klingon\r\n", b"[1]"),
    "a charset that is not so": (b"Content-Type: text/html; charset=utf-16\r\n", b"[1]"),
    "a content type that is none": (b"Content-Type: \xff\x00;;;=\r\n", b"[1]"),
    "a mark of its byte order": (b"", b"\xef\xbb\xbf[1]"),
    "a date that is none": (b"Date: soon\r\n", b"[1]"),
    "a date that nobody lives to see": (b"Date: Tue, 24 Nov 99999999999999999999 10:30:44 GMT\r\n", b"[1]"),
    "a date with a zone that is none": (b"Date: Tue, 24 Nov 2026 10:30:44 +9999999\r\n", b"[1]"),
    "a date of the year 9999": (b"Date: Fri, 31 Dec 9999 23:59:59 -2300\r\n", b"[1]"),
    "an empty date": (b"Date: \r\n", b"[1]"),
}


@pytest.mark.parametrize("kind", READABLE)
def test_odd_headers_do_not_matter(raw: Any, connect: Connect, kind: str) -> None:
    headers, body = READABLE[kind]
    client = connect(raw(lambda connection: connection.sendall(OK + headers + b"\r\n" + body)))
    client.deadline = 0.0
    assert client.get(LIST) == [1]


def test_bytes_that_are_no_text_cost_only_themselves(raw: Any, connect: Connect) -> None:
    body = b'[{"result": "a\xff\xfeb", "elapsed_time": NaN, "load": 1e999, "id": Infinity}]'
    client = connect(raw(lambda connection: connection.sendall(OK + b"\r\n" + body)))
    assert client.get(LIST) == [{"result": "a\ufffd\ufffdb", "elapsed_time": None, "load": None, "id": None}]


def test_an_error_whose_body_cannot_be_read_is_stated_by_its_status(serve: Serve, connect: Connect) -> None:
    with pytest.raises(ApiError) as caught:
        connect(serve([Reply({}, 400, {"Content-Encoding": "br"})])).get(LIST)
    assert caught.value.status == 400


def test_an_error_that_goes_on_for_ever_is_shown_in_part(serve: Serve, connect: Connect) -> None:
    deep: Any = "\x1b[31mwords"
    for _level in range(900):
        deep = {"detail": [deep]}
    for body in (deep, {"detail": "x" * 100_000}, {f"field{number}": ["no"] for number in range(10_000)}, [deep] * 500):
        with pytest.raises(ApiError) as caught:
            connect(serve([Reply(body, 400)])).get(LIST)
        assert len(str(caught.value)) < 5000
        assert "\x1b" not in str(caught.value)


def test_an_address_that_a_workspace_does_not_know(serve: Serve, connect: Connect, clock: Clock) -> None:
    page = "<h1>Not Found</h1><p>The requested resource was not found on this server.</p>"
    server = serve([Reply(page, 404)])
    with pytest.raises(UnknownAddress, match="does not know the address") as caught:
        connect(server, sleep=clock.sleep).get(LIST)
    assert "no answer of an Alpacon workspace" not in str(caught.value)
    assert (len(server.requests), clock.slept) == (1, [])


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


def test_an_answer_of_somebody_else_names_proxy_and_path(
    serve: Serve, connect: Connect, clock: Clock, monkeypatch: Any
) -> None:
    proxy = serve([Reply("<h1>Denied</h1>", 403), Reply("<h1>Welcome</h1>")])
    monkeypatch.setenv("http_proxy", proxy.url.replace("//", "//bob:s3cret@"))
    client = connect("http://workspace.invalid/console", sleep=clock.sleep)
    ways = "url has the path /console, which few workspaces have: try it without."
    ways = f"{ways} The request went through the proxy {proxy.url.removeprefix('http://')}."
    for kind in (ApiError, LostAnswer):
        with pytest.raises(kind) as caught:
            client.get(LIST)
        assert str(caught.value).endswith(ways)
    monkeypatch.setenv("http_proxy", serve([Reply({"code": "forbidden"}, 403)]).url)
    with pytest.raises(ApiError) as own:
        connect("http://workspace.invalid/console").get(LIST)
    assert "proxy" not in str(own.value)


@pytest.mark.parametrize("names", ["127.0.0.1", "workspace.invalid,127.0.0.1", "*", "127.0.0.0/8"])
def test_no_proxy_is_honoured(
    proxy: ScriptedServer, serve: Serve, connect: Connect, monkeypatch: pytest.MonkeyPatch, names: str
) -> None:
    monkeypatch.setattr(Settings, "is_loopback", False)
    server = serve([Reply(["direct"])])
    assert connect(server).get(LIST) == ["by proxy"]
    proxy.requests.clear()
    monkeypatch.setenv("no_proxy", names)
    assert connect(server).get(LIST) == ["direct"]
    assert proxy.requests == []


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LocalHost"])
def test_what_is_on_this_machine_is_behind_no_proxy(
    proxy: ScriptedServer, serve: Serve, connect: Connect, host: str
) -> None:
    server = serve([Reply(["direct"])])
    assert connect(server.url.replace("127.0.0.1", host)).get(LIST) == ["direct"]
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


@pytest.mark.parametrize("variable", ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"])
@pytest.mark.parametrize(
    "address",
    [
        "http://bob:s3cret@",
        "http://bob:s3cret@/",
        "http:///",
        "http://bob:s3cret@proxy.example:port",
        "http://bob:s3cret@proxy.example:99999",
        "http://bob:s3cret@proxy..example",
        f"http://{'a' * 64}.example",
        "http://[::1",
        "ftp://bob:s3cret@proxy.example",
        "socks9://proxy.example",
        "bob:s3cret@",
    ],
)
def test_a_proxy_that_cannot_be_one_is_refused(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, variable: str, address: str
) -> None:
    monkeypatch.setenv(variable, address)
    with pytest.raises(UsageError) as caught:
        connect("https://workspace.invalid")
    assert caught.value.option == variable
    assert "s3cret" not in str(caught.value)
    monkeypatch.setenv("no_proxy", "workspace.invalid")
    connect("https://workspace.invalid")


def test_an_address_that_no_request_can_be_sent_to_is_refused(connect: Connect) -> None:
    with pytest.raises(UsageError, match=r"url: 'https://\*\.example' is not an http or https URL"):
        connect("https://*.example")


def test_a_proxy_that_takes_a_library_names_it(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: Any, **_named: Any) -> None:
        raise requests.exceptions.InvalidSchema("Missing dependencies for SOCKS support.")

    monkeypatch.setattr(requests.adapters, "SOCKSProxyManager", fail)
    monkeypatch.setenv("all_proxy", "socks5h://proxy.example:1080")
    with pytest.raises(UsageError, match=r"all_proxy: .*PySocks.* -m pip install pysocks"):
        connect("https://workspace.invalid")


@pytest.mark.parametrize("address", ["proxy.example:3128", "http://bob:pw@proxy.example", "https://[::1]:3128"])
def test_a_proxy_that_can_be_one_is_not_refused(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setenv("https_proxy", address)
    connect("https://workspace.invalid")


@pytest.mark.parametrize("answer", [b"", b"SSH-2.0-x\r\n", b"HTTP/1.1 abc\r\n\r\n", b"HTTP/1.1 407 No\r\n\r\n"])
def test_a_proxy_that_speaks_nonsense_has_passed_nothing_on(
    raw: Any, connect: Connect, clock: Clock, monkeypatch: pytest.MonkeyPatch, answer: bytes
) -> None:
    monkeypatch.setenv("https_proxy", raw(lambda connection: connection.sendall(answer)))
    with pytest.raises(ConnectionFailed):
        connect("https://workspace.invalid", sleep=clock.sleep).write("POST", LIST, {})


def test_a_proxy_that_makes_no_tunnel(connect: Connect, clock: Clock, serve: Serve, monkeypatch: Any) -> None:
    proxy = serve([Reply([])]).url
    monkeypatch.setenv("https_proxy", proxy)
    client = connect("https://workspace.invalid", sleep=clock.sleep)
    way = f"https://workspace.invalid:443 through the proxy {proxy.removeprefix('http://')}: Tunnel connection failed"
    with pytest.raises(ConnectionFailed, match=way):
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
        # Some gateways repeat the header that they refuse.
        Reply({"message": f'Authorization=token="{TOKEN}"'}, 403),
        Reply({"detail": {"message": [f"{TOKEN} is unknown."]}}, 401),
        Reply({"code": f"no_{TOKEN}", TOKEN: TOKEN}, 503),
        Reply(f"<h1>{TOKEN}</h1>", 404),
        Reply("<html>", 200, headers={"Content-Type": f"text/{TOKEN}"}),
        Reply(status=302, headers={"Location": f"http://{TOKEN}.example/?{TOKEN}"}),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_the_token_is_in_no_error(serve: Serve, connect: Connect, clock: Clock, reply: Reply, method: str) -> None:
    client = connect(serve([reply]), sleep=clock.sleep)
    with pytest.raises(AlpaconError) as caught:
        client.get(LIST) if method == "GET" else client.write(method, LIST, {})
    assert_without_token(caught.value)


def assert_without_token(error: BaseException | None) -> None:
    """Neither an error nor what led to it has as much as a part of the token."""
    parts = {TOKEN[start : start + 8] for start in range(len(TOKEN) - 7)}
    while error:
        shown = f"{error!r} {error} {vars(error)}"
        assert not any(part in shown for part in parts), shown
        error = error.__cause__ or error.__context__


@pytest.mark.parametrize("before", [200, 4000, 10_000])
@pytest.mark.parametrize("shape", ["html", "json"])
def test_no_part_of_the_token_is_left_where_a_text_is_cut(
    serve: Serve, connect: Connect, before: int, shape: str
) -> None:
    for within in range(1, len(TOKEN)):
        page = f"{'x' * (before - within)}{TOKEN} is unknown"
        server = serve([Reply({"detail": page} if shape == "json" else page, 403)])
        with pytest.raises(ApiError) as caught:
            connect(server).get(LIST)
        assert_without_token(caught.value)


def test_a_line_that_is_no_answer_is_shown_without_the_token(raw: Any, connect: Connect) -> None:
    url = raw(lambda connection: connection.sendall(f"token={TOKEN}?\r\n".encode()))
    with pytest.raises(LostAnswer, match=r"the connection broke before an answer was read.*\*") as caught:
        connect(url).write("POST", LIST, {})
    assert_without_token(caught.value)


#: A password, as it is and as it stands in an address and in a header.
PASSWORD, QUOTED = "s3cret/+ pw", "s3cret%2F%2B%20pw"
BASIC = base64.b64encode(f"bob:{PASSWORD}".encode()).decode()
REPEATED = f"Proxy-Authorization: Basic {BASIC} is not {PASSWORD} or {QUOTED}"


def assert_without_password(error: BaseException | None) -> None:
    assert "********" in str(error)
    while error:
        shown = f"{error!r} {error} {vars(error)}"
        assert not any(secret in shown for secret in (BASIC, PASSWORD, QUOTED)), shown
        error = error.__cause__ or error.__context__


def test_a_proxy_that_refuses_a_tunnel_may_repeat_its_password(
    raw: Any, connect: Connect, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = f"HTTP/1.1 407 no {REPEATED}\r\n\r\n".encode()
    proxy = raw(lambda connection: connection.sendall(answer))
    monkeypatch.setenv("https_proxy", proxy.replace("//", f"//bob:{QUOTED}@"))
    with pytest.raises(ConnectionFailed, match="Tunnel connection failed: 407") as caught:
        connect("https://workspace.invalid", sleep=clock.sleep).get(LIST)
    assert_without_password(caught.value)


@pytest.mark.parametrize(
    "reply",
    [
        Reply(REPEATED, 407),
        Reply({"detail": REPEATED}, 407),
        Reply(status=302, headers={"Location": f"http://other.example/{BASIC}/{QUOTED}"}),
        Reply("<html>", headers={"Content-Type": REPEATED}),
    ],
)
def test_a_proxy_in_the_place_of_a_workspace_may_repeat_its_password(
    serve: Serve, connect: Connect, monkeypatch: pytest.MonkeyPatch, reply: Reply
) -> None:
    monkeypatch.setenv("http_proxy", serve([reply]).url.replace("//", f"//bob:{QUOTED}@"))
    with pytest.raises(AlpaconError) as caught:
        connect("http://workspace.invalid").write("POST", LIST, {})
    assert_without_password(caught.value)


def test_what_a_successful_answer_says_stays_as_it_is(serve: Serve, connect: Connect) -> None:
    rows = [{"line": f"echo {TOKEN}"}]
    assert connect(serve([Reply(rows)])).get(LIST) == rows


def test_the_clock_of_the_workspace_is_taken_from_its_answers(serve: Serve, connect: Connect) -> None:
    server = serve([Reply([], headers={"Date": "Tue, 24 Nov 2026 10:30:44 GMT"})])
    client = connect(server)
    assert client.clock.at(1000.0) == 1000.0
    client.get(LIST)
    shown = datetime.fromtimestamp(client.clock.at(time.time()), UTC)
    assert abs(shown - datetime(2026, 11, 24, 10, 30, 44, tzinfo=UTC)) < timedelta(seconds=5)


@pytest.mark.parametrize("date", ["Fri, 31 Dec 9999 23:59:59 -2300", "Mon, 01 Jan 0101 00:00:00 GMT"])
def test_a_clock_that_none_can_be_is_not_taken_for_one(serve: Serve, connect: Connect, date: str) -> None:
    client = connect(serve([Reply([], headers={"Date": date})]))
    client.get(LIST)
    assert (client.clock.at(1000.0), client.clock.is_known) == (1000.0, False)


@pytest.mark.parametrize("towards", [1, -1])
@pytest.mark.parametrize(("hours", "is_one"), [(-1, True), (1, False)])
def test_a_clock_may_be_a_century_off(serve: Serve, connect: Connect, towards: int, hours: int, is_one: bool) -> None:
    century = timedelta(days=100 * 366, hours=hours)
    date = format_datetime(datetime.now(UTC) + towards * century, usegmt=True)
    client = connect(serve([Reply([], headers={"Date": date})]))
    client.get(LIST)
    assert client.clock.is_known is is_one
