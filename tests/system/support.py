# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Helpers of all system tests: scripted server, clock, clients, tasks, and the requests of a workspace."""

from __future__ import annotations

import base64
import json
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from workspace.client import Workspace

from ansible_collections.herdops.alpacon.plugins.module_utils._api.client import Client
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.run import Run
from ansible_collections.herdops.alpacon.plugins.module_utils._options.connection import parse_settings
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.command import run_command
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.command_info import run_info
from ansible_collections.herdops.alpacon.tests.unit import support
from ansible_collections.herdops.alpacon.tests.unit.support import DIALECTS, TOKEN, Row

#: Servers of every workspace that have an agent.
AGENTS = ("web-01", "web-02", "web-03")
#: Run a test in every dialect; other tests use today's.
in_every_dialect = pytest.mark.parametrize("workspace", DIALECTS, indirect=True)


# A scripted server


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    query: dict[str, str]
    headers: Mapping[str, str]
    body: Any


@dataclass(frozen=True)
class Response:
    body: Any = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    interim: tuple[int, ...] = ()

    @property
    def content(self) -> bytes:
        if self.body is None:
            return b""
        return (self.body if isinstance(self.body, str) else json.dumps(self.body)).encode()


#: Close the connection without a response.
HANG_UP = Response(status=0)

Script = Callable[[Request], Response]


class ScriptedServer:
    """Answer with the next response of a list (the last one repeats), or with that of a function."""

    def __init__(self, script: Script | list[Response], tls: Any = None) -> None:
        self.requests: list[Request] = []
        self.connections = 0
        self._script = script if callable(script) else self._in_turn(script)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._scheme = "http"
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
            self._scheme = "https"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)

    @property
    def url(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self._server.server_address[1]}"

    @property
    def queries(self) -> list[dict[str, str]]:
        return [request.query for request in self.requests]

    @staticmethod
    def _in_turn(replies: list[Response]) -> Script:
        left = iter(replies)
        last = replies[-1]
        return lambda request: next(left, last)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # Send headers and body in one packet, as real servers do.
            wbufsize = -1
            disable_nagle_algorithm = True

            def setup(self) -> None:
                super().setup()
                outer.connections += 1

            def handle_any(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(length)) if length else None
                parts = urlsplit(self.path)
                query = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
                request = Request(self.command, parts.path, query, dict(self.headers.items()), body)
                outer.requests.append(request)
                self._answer(outer._script(request))

            def _answer(self, response: Response) -> None:
                if response is HANG_UP:
                    self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    self.close_connection = True
                    return
                for status in response.interim:
                    self.send_response_only(status)
                    self.end_headers()
                (self.send_response_only if "Date" in response.headers else self.send_response)(response.status)
                kind = "text/html" if isinstance(response.body, str) else "application/json"
                headers = {"Content-Type": kind, "Content-Length": str(len(response.content)), **response.headers}
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(response.content)

            do_GET = do_POST = do_DELETE = do_PATCH = handle_any

            def log_message(self, format: str, *args: Any) -> None:
                return None

        return Handler

    def __enter__(self) -> ScriptedServer:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._server.shutdown()
        self._server.server_close()


# A clock that tests move


class FakeClock:
    """Replace the module ``time``: sleeping moves the clock on and runs the alarms in between."""

    def __init__(self) -> None:
        self.slept: list[float] = []
        self._passed = 0.0
        self._start = time.monotonic()
        self._epoch = time.time()
        self._alarms: list[tuple[float, Callable[[], object]]] = []
        self._lock = threading.Lock()

    def monotonic(self) -> float:
        return time.monotonic() + self._passed

    def time(self) -> float:
        return self._epoch + self.passed

    @property
    def passed(self) -> float:
        return self.monotonic() - self._start

    def sleep(self, seconds: float) -> None:
        with self._lock:
            self.slept.append(seconds)
            self._passed += seconds
            due = [alarm for alarm in self._alarms if alarm[0] <= self.passed]
            self._alarms = [alarm for alarm in self._alarms if alarm not in due]
        for _when, action in due:
            action()
        # Let other threads run.
        time.sleep(0.001)

    def rewind(self) -> None:
        self._passed = 0.0

    def at(self, seconds: float, action: Callable[[], object]) -> None:
        self._alarms.append((seconds, action))


def rate_limit_fault(seconds: int) -> Row:
    """Return the fault of a used-up quota."""
    return {"status": 429, "body": '{"code": "api_rate_limited"}', "headers": {"Retry-After": str(seconds)}}


def nonzero_sleeps(slept: list[float]) -> list[float]:
    """Return rounded pauses without empty ones, for comparison."""
    return [round(pause, 3) for pause in slept if pause > 0]


# Clients and options


@contextmanager
def open_client(url: str, token: str = TOKEN, **settings: Any) -> Iterator[Client]:
    sleep = settings.pop("sleep", time.sleep)
    with Client(parse_settings({"url": url, "token": token, **settings}), sleep=sleep) as client:
        yield client


def command_options(workspace: Workspace | None = None, **given: Any) -> Row:
    return support.command_options(**{**_settings(workspace), **given})


def info_options(workspace: Workspace | None = None, **given: Any) -> Row:
    return support.info_options(**{**_settings(workspace), **given})


def lookup_options(workspace: Workspace | None = None, **given: Any) -> Row:
    return support.lookup_options(**{**_settings(workspace), **given})


def _settings(workspace: Workspace | None) -> Row:
    return {"url": workspace.url, "token": workspace.token} if workspace else {}


def make_body(workspace: Workspace, server: str = "web-01", **fields: Any) -> Row:
    return {
        "server": workspace.server_ids().get(server, server),
        "shell": "system",
        "line": "echo hello",
        "username": "",
        "groupname": "",
        "scheduled_at": None,
        **fields,
    }


# Tasks


@dataclass(frozen=True)
class TaskResult:
    result: Row
    warnings: list[str]

    def __getitem__(self, key: str) -> Any:
        return self.result[key]

    @property
    def commands(self) -> list[Row]:
        commands: list[Row] = self.result["commands"]
        return commands

    @property
    def failed(self) -> bool:
        return bool(self.result.get("failed"))

    @property
    def changed(self) -> bool:
        return bool(self.result["changed"])


def run(workspace: Workspace, check_mode: bool = False, diff_mode: bool = False, **given: Any) -> TaskResult:
    """Run a task of alpacon_command, and check the number of requests that it returns."""
    warnings: list[str] = []
    before = workspace.requests_made()
    options = command_options(workspace, **given)
    result = run_command(options, Run(warn=warnings.append, check_mode=check_mode, diff_mode=diff_mode))
    assert result["requests"] == workspace.requests_made() - before
    return TaskResult(result, warnings)


def encode_script(script: bytes) -> str:
    return base64.b64encode(script).decode()


def run_payload(workspace: Workspace, file: bytes | None = None, check_mode: bool = False, **given: Any) -> TaskResult:
    if file is not None:
        given = {"script": "job.sh", "_script_content": encode_script(file), **given}
    return run(workspace, check_mode, **{"servers": ["web-01"], **given})


def info(workspace: Workspace, **given: Any) -> TaskResult:
    warnings: list[str] = []
    return TaskResult(run_info(info_options(workspace, **given), Run(warn=warnings.append)), warnings)


# Servers without HTTP


@contextmanager
def socket_servers(read: int) -> Iterator[Callable[[Callable[[socket.socket], object]], str]]:
    """Start servers that read up to `read` bytes of each connection and call a function with it.

    It gives the address of each, and ends them with its context.
    """
    listeners: list[socket.socket] = []

    def start(act: Callable[[socket.socket], object]) -> str:
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)

        def serve_all() -> None:
            while True:
                try:
                    connection, _address = listener.accept()
                except OSError:
                    return
                with connection, suppress(OSError):
                    connection.recv(read)
                    act(connection)

        threading.Thread(target=serve_all, daemon=True).start()
        return f"127.0.0.1:{listener.getsockname()[1]}"

    try:
        yield start
    finally:
        for listener in listeners:
            listener.close()


# The requests of a workspace


def count_methods(workspace: Workspace) -> Counter[str]:
    return Counter(entry["method"] for entry in workspace.log())


def request_paths(workspace: Workspace, method: str = "GET") -> list[str]:
    return [entry["path"] for entry in workspace.log() if entry["method"] == method]
