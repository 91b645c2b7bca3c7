# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Open the websocket of a workspace: its limits, and the proxy of the environment."""

from __future__ import annotations

import base64
import hashlib
import itertools
import re
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from system.certificates import authority
from system.support import socket_servers

from ansible_collections.herdops.alpacon.plugins.module_utils._api.client import Client
from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import UntrustedCertificate
from ansible_collections.herdops.alpacon.plugins.module_utils._api.settings import Settings
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet import listener
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.listener import connect_websocket
from ansible_collections.herdops.alpacon.tests.unit.support import TOKEN

pytest.importorskip("websocket")

#: Of RFC 6455.
_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

Start = Callable[[Callable[[socket.socket], object]], str]


@pytest.fixture
def start() -> Iterator[Start]:
    with socket_servers(read=0) as start:
        yield start


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


class Accepting:
    """Accept tunnels and websockets, send a text, and record the requests."""

    def __init__(self, start: Start, tls: ssl.SSLContext | None = None) -> None:
        self.requests: list[str] = []
        self._tls = tls
        self.address = start(self._serve)

    def _serve(self, connection: socket.socket) -> None:
        while request := _read_request(connection):
            self.requests.append(request)
            if request.startswith("CONNECT "):
                connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                connection = self._tls.wrap_socket(connection, server_side=True) if self._tls else connection
                continue
            [key] = re.findall(r"(?m)^Sec-WebSocket-Key: (\S+)", request)
            accept = base64.b64encode(hashlib.sha1(f"{key}{_GUID}".encode()).digest()).decode()
            headers = f"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}"
            connection.sendall(f"HTTP/1.1 101 OK\r\n{headers}\r\n\r\n\x81\x02hi".encode("latin-1"))


def _read_request(connection: socket.socket) -> str:
    text = b""
    while not text.endswith(b"\r\n\r\n"):
        if not (data := connection.recv(1)):
            return ""
        text += data
    return text.decode()


def open_websocket(url: str, **settings: Any) -> bytes:
    """Open the websocket of a workspace, and return its first message."""
    opened = connect_websocket(Client(Settings(url, TOKEN, **settings)), f"ws{url[4:]}/ws/")
    try:
        text: bytes = opened.recv_data()[1]
        return text
    finally:
        opened.shutdown()


@pytest.mark.parametrize("variable", ["http_proxy", "ALL_PROXY"])
def test_the_websocket_uses_the_proxy_of_the_requests(
    start: Start, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    proxy = Accepting(start)
    monkeypatch.setenv(variable, f"http://bob:s3cret@{proxy.address}")
    assert open_websocket("http://workspace.invalid:8000", declared_agent_name="nightly patches") == b"hi"
    tunnel, request = proxy.requests
    assert tunnel.startswith("CONNECT workspace.invalid:8000 ")
    assert re.search("(?im)^Proxy-Authorization: Basic ", tunnel)
    assert request.startswith("GET /ws/ ")
    assert "Proxy-Authorization" not in request
    assert "X-Alpacon-Declared-Agent-Name: nightly patches\r\n" in request
    assert "nightly patches" not in tunnel


def test_the_websocket_is_encrypted_inside_of_the_tunnel(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ca = authority(tmp_path, "Ours")
    proxy = Accepting(start, ca.server)
    monkeypatch.setattr(Settings, "is_loopback", False)
    monkeypatch.setenv("all_proxy", f"http://bob:s3cret@{proxy.address}")
    assert open_websocket("https://127.0.0.1", ca_path=str(ca.file)) == b"hi"
    assert [request.partition(" HTTP")[0] for request in proxy.requests] == ["CONNECT 127.0.0.1:443", "GET /ws/"]
    with pytest.raises(UntrustedCertificate):
        open_websocket("https://127.0.0.1")


@pytest.mark.parametrize("no_proxy", [None, "127.0.0.0/8"])
def test_a_proxy_that_must_not_be_used_hears_nothing(
    start: Start, monkeypatch: pytest.MonkeyPatch, no_proxy: str | None
) -> None:
    proxy, server = Accepting(start), Accepting(start)
    for name in ("http_proxy", "all_proxy"):
        monkeypatch.setenv(name, f"http://bob:s3cret@{proxy.address}")
    if no_proxy:
        monkeypatch.setattr(Settings, "is_loopback", False)
        monkeypatch.setenv("no_proxy", no_proxy)
    assert open_websocket(f"http://{server.address}") == b"hi"
    assert proxy.requests == []
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "header",
    [b"x" * 2**16, b"x: y\r\n" * 2**14, b"HTTP/1.1 500 No\r\nContent-Length: 99999999999\r\n\r\n" + b"x" * 2**16],
    ids=["one line", "many lines", "the body of an error"],
)
def test_an_endless_handshake_is_not_read(start: Start, header: bytes) -> None:
    sent: list[int] = []

    def serve(connection: socket.socket) -> None:
        _read_request(connection)
        with suppress(OSError):
            for data in itertools.chain([b"" if header.startswith(b"H") else b"HTTP/1.1 101 OK\r\n"], [header] * 1000):
                connection.sendall(data)
                sent.append(len(data))

    with pytest.raises(Exception, match="too large"):
        open_websocket(f"http://{start(serve)}")
    assert sum(sent) < 20_000_000, "the rest stays in the buffers of the kernel"


def test_a_handshake_has_one_deadline(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "_HANDSHAKE_TIMEOUT", 0.5)
    sent: list[bytes] = []

    def serve(connection: socket.socket) -> None:
        _read_request(connection)
        with suppress(OSError):
            for number in range(200):
                time.sleep(0.05)
                connection.sendall(b"HTTP/1.1 101 OK\r\nx: "[number % 20 :][:1])
                sent.append(b".")

    with pytest.raises(Exception, match="timed out"):
        open_websocket(f"http://{start(serve)}")
    assert len(sent) < 100
