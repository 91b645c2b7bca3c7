# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A reverse proxy that records the shapes of all exchanges, and the IDs of all records that were created."""

from __future__ import annotations

import http.server
import json
import os
import secrets
import select
import socket
import ssl
import threading
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import requests
from acceptance.created import Created
from acceptance.shapes import Recording
from requests.utils import DEFAULT_CA_BUNDLE_PATH

#: Headers of one connection, and those that the proxy writes itself.
_OWN_HEADERS = frozenset(
    {
        *(
            "connection",
            "keep-alive",
            "proxy-authenticate",
            "proxy-authorization",
            "te",
            "trailer",
            "transfer-encoding",
        ),
        *("upgrade", "content-length", "content-encoding", "host"),
    }
)
_TIMEOUT = (30, 120)
Alter = Callable[[str, str, int, bytes], tuple[int, bytes]]


class RecordingProxy:
    """A proxy for one workspace; a context manager.

    Targets use :attr:`url` and :attr:`token`. The proxy replaces this token by that of the workspace, so no process of
    Ansible knows it.

    Args:
        verify: a file of certificates, or True.
        alter: changes the status and the body of a response, for tests.
    """

    def __init__(self, url: str, token: str, created: Created, verify: Any = True, alter: Alter | None = None) -> None:
        self.workspace = url.rstrip("/")
        self.created = created
        self.recording = Recording()
        self.token = f"acceptance-{secrets.token_hex(16)}"
        self.lost_submits = 0
        self.verify = verify
        self.alter = alter
        self.session = open_session(verify)
        self._authorizations = {f'token="{self.token}"': f'token="{token}"'}
        self._server = _Server(("127.0.0.1", 0), self)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> RecordingProxy:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *exception: object) -> None:
        """Stop, after the requests that are under way."""
        self._server.shutdown()
        self._server.server_close()
        self._server.wait_for_requests()
        self.session.close()

    def authorize(self, headers: dict[str, str]) -> dict[str, str]:
        return {
            name: self._authorizations.get(value, value) if name.lower() == "authorization" else value
            for name, value in headers.items()
        }

    def forward(self, method: str, path: str, headers: dict[str, str], body: bytes) -> requests.Response:
        kept = {name: value for name, value in headers.items() if name.lower() not in _OWN_HEADERS}
        address = self.workspace + path
        return self.session.request(method, address, data=body, headers=self.authorize(kept), timeout=_TIMEOUT)

    def record(self, method: str, path: str, response: requests.Response) -> tuple[int, bytes]:
        """Record an exchange, and return the status and the body for the client."""
        status, content = response.status_code, response.content
        if self.alter:
            status, content = self.alter(method, path, status, content)
        self.created.note(method, urlsplit(path).path, response.status_code, response.content)
        self.recording.add(method, path, status, response.headers.get("Content-Type", ""), content)
        return status, self._redirect_websocket(path, content)

    def _redirect_websocket(self, path: str, content: bytes) -> bytes:
        if not urlsplit(path).path.endswith("/events/sessions/") or b"websocket_url" not in content:
            return content
        try:
            session = json.loads(content)
            stated = urlsplit(str(session["websocket_url"]))
        except (LookupError, RecursionError, TypeError, ValueError):
            return content
        # The websocket of another server stays, so that the collection refuses it.
        if stated.hostname == urlsplit(self.workspace).hostname:
            session["websocket_url"] = stated._replace(scheme="ws", netloc=urlsplit(self.url).netloc).geturl()
        return json.dumps(session).encode()

    def connect(self) -> socket.socket:
        """Open a connection to the workspace for a websocket."""
        target = urlsplit(self.workspace)
        is_tls = target.scheme == "https"
        host = str(target.hostname)
        connection = socket.create_connection((host, target.port or (443 if is_tls else 80)), _TIMEOUT[0])
        if not is_tls:
            return connection
        bundle = self.verify if isinstance(self.verify, str) else os.environ.get("REQUESTS_CA_BUNDLE")
        context = ssl.create_default_context(cafile=bundle or DEFAULT_CA_BUNDLE_PATH)
        return context.wrap_socket(connection, server_hostname=host)


class _Session(requests.Session):
    def request(self, *arguments: Any, **options: Any) -> requests.Response:
        """Send a request that keeps to the workspace, with its certificates and no credentials of C(~/.netrc)."""
        options = {"verify": self.verify, "allow_redirects": False, "auth": lambda request: request, **options}
        return super().request(*arguments, **options)


def open_session(verify: Any) -> requests.Session:
    session = _Session()
    session.headers.clear()
    session.verify = verify
    return session


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], proxy: RecordingProxy) -> None:
        super().__init__(address, _Handler)
        self.proxy = proxy
        self.busy = 0
        self.idle = threading.Condition()

    def wait_for_requests(self) -> None:
        with self.idle:
            self.idle.wait_for(lambda: not self.busy, _TIMEOUT[1])

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that went away."""


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Otherwise each response costs 40 ms.
    disable_nagle_algorithm = True
    server: _Server

    def handle_request(self) -> None:
        if self.headers.get("Upgrade"):
            self._tunnel()
            return
        with self.server.idle:
            self.server.busy += 1
        try:
            self._forward()
        finally:
            with self.server.idle:
                self.server.busy -= 1
                self.server.idle.notify_all()

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_OPTIONS = handle_request

    def _forward(self) -> None:
        proxy = self.server.proxy
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            response = proxy.forward(self.command, self.path, dict(self.headers.items()), body)
        except requests.RequestException:
            proxy.lost_submits += self.command == "POST"
            self.close_connection = True
            return
        status, content = proxy.record(self.command, self.path, response)
        self.send_response_only(status)
        for name, value in response.headers.items():
            if name.lower() not in _OWN_HEADERS:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _tunnel(self) -> None:
        proxy, self.close_connection = self.server.proxy, True
        host = urlsplit(proxy.workspace).netloc
        with proxy.connect() as workspace:
            headers = proxy.authorize({**self.headers, "Host": host})
            if "Origin" in headers:
                headers["Origin"] = proxy.workspace
            lines = [f"{self.command} {self.path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
            workspace.sendall("\r\n".join([*lines, "", ""]).encode("latin-1"))
            _pump(self.connection, workspace)

    def log_message(self, *arguments: Any) -> None:
        """Log nothing: paths have IDs."""


def _pump(client: socket.socket, workspace: socket.socket) -> None:
    """Copy both directions until one of them ends."""
    targets = {client: workspace, workspace: client}
    while True:
        pending = [workspace] if isinstance(workspace, ssl.SSLSocket) and workspace.pending() else []
        for source in pending or select.select(list(targets), [], [])[0]:
            data = source.recv(65536)
            if not data:
                return
            targets[source].sendall(data)
