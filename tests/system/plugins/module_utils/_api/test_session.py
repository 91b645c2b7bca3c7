# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test TLS with a private CA, and the lines about requests."""

from __future__ import annotations

import re
import socket
import struct
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from system.certificates import Authority, authority
from system.conftest import Connect
from system.support import HANG_UP, FakeClock, Response, ScriptedServer, socket_servers

from ansible_collections.herdops.alpacon.plugins.module_utils._api.client import ATTEMPTS, Client
from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import (
    ApiError,
    ConnectionFailed,
    LostResponse,
    UntrustedCertificate,
    UsageError,
)
from ansible_collections.herdops.alpacon.plugins.module_utils._api.settings import Settings
from ansible_collections.herdops.alpacon.tests.unit.support import LIST, TOKEN

Serve = Callable[..., ScriptedServer]


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Create the CA of the workspace."""
    return authority(tmp_path_factory.mktemp("ours"), "Our CA")


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Create another CA."""
    return authority(tmp_path_factory.mktemp("theirs"), "Their CA")


@pytest.fixture
def server(serve: Serve, ours: Authority) -> ScriptedServer:
    """Start a workspace with a certificate of our CA."""
    return serve([Response([1])], tls=ours.server)


def test_a_private_ca_is_named_by_its_file(server: ScriptedServer, connect: Connect, ours: Authority) -> None:
    assert connect(server, ca_path=str(ours.file)).get(LIST) == [1]
    assert server.requests[0].headers["Authorization"] == f'token="{TOKEN}"'


def test_a_setting_replaces_the_name_that_requests_declare(
    server: ScriptedServer, connect: Connect, ours: Authority
) -> None:
    connect(server, ca_path=str(ours.file), declared_agent_name="nightly patches").get(LIST)
    assert server.requests[0].headers["X-Alpacon-Declared-Agent-Name"] == "nightly patches"


@pytest.mark.parametrize("named", [False, True])
def test_an_untrusted_certificate(
    server: ScriptedServer, connect: Connect, clock: FakeClock, theirs: Authority, named: bool
) -> None:
    client = connect(server, ca_path=str(theirs.file) if named else None, sleep=clock.sleep)
    with pytest.raises(UntrustedCertificate, match=r"is not trusted.*ca_path"):
        client.write("POST", LIST, {})
    assert server.requests == []
    assert (client.requests, clock.slept) == (1, []), "no repetition helps"


BUNDLES = ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"]


@pytest.mark.filterwarnings("error:Unverified HTTPS request")
@pytest.mark.parametrize("variable", BUNDLES)
def test_the_ca_bundle_of_the_environment_is_the_default(
    server: ScriptedServer,
    connect: Connect,
    ours: Authority,
    theirs: Authority,
    variable: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(variable, str(ours.file))
    assert connect(server).get(LIST) == [1]
    with pytest.raises(UntrustedCertificate):
        connect(server, ca_path=str(theirs.file)).get(LIST)
    monkeypatch.setenv(variable, str(theirs.file))
    assert connect(server, ca_path=str(ours.file)).get(LIST) == [1]
    assert connect(server, validate_certs=False).get(LIST) == [1]


@pytest.mark.parametrize("variable", BUNDLES)
@pytest.mark.parametrize("text", [None, "no certificate"])
def test_unreadable_certificates_name_their_option(
    server: ScriptedServer, connect: Connect, tmp_path: Path, variable: str, text: str | None, monkeypatch: Any
) -> None:
    bundle = tmp_path / "bundle.pem"
    if text is not None:
        bundle.write_text(text, encoding="utf-8")
        with pytest.raises(UsageError, match=f"ca_path: no CA certificates can be read from {bundle}"):
            connect(server, ca_path=str(bundle))
    monkeypatch.setenv(variable, str(bundle))
    with pytest.raises(UsageError, match=f"{variable}: no CA certificates can be read from {bundle}"):
        connect(server)
    assert server.connections == 0


def test_a_folder_of_certificates(server: ScriptedServer, connect: Connect, ours: Authority, tmp_path: Path) -> None:
    digest = subprocess.check_output(["openssl", "x509", "-hash", "-noout", "-in", str(ours.file)], text=True)
    (tmp_path / f"{digest.strip()}.0").write_bytes(ours.file.read_bytes())
    assert connect(server, ca_path=str(tmp_path)).get(LIST) == [1]


def test_changed_certificates_are_loaded_again(
    server: ScriptedServer, connect: Connect, ours: Authority, theirs: Authority, tmp_path: Path
) -> None:
    bundle = tmp_path / "bundle.pem"
    bundle.write_bytes(theirs.file.read_bytes())
    with pytest.raises(UntrustedCertificate):
        connect(server, ca_path=str(bundle)).get(LIST)
    bundle.write_bytes(ours.file.read_bytes() + b"\n")
    assert connect(server, ca_path=str(bundle)).get(LIST) == [1]


# Failures before TLS is established


def test_a_certificate_for_another_name(server: ScriptedServer, connect: Connect, ours: Authority) -> None:
    client = connect(server.url.replace("127.0.0.1", "localhost"), ca_path=str(ours.file))
    with pytest.raises(UntrustedCertificate, match=r"is not trusted: .*localhost"):
        client.write("POST", LIST, {})
    assert (client.requests, server.requests) == (1, [])


@pytest.fixture
def breaking() -> Iterator[Callable[[Callable[[socket.socket], object]], str]]:
    """Start servers that call a function for each connection that asks for TLS."""
    with socket_servers(read=1) as start:
        yield lambda end: f"https://{start(end)}"


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def stay_silent(connection: socket.socket) -> None:
    while connection.recv(65536):
        pass


@pytest.mark.parametrize(
    ("end", "timeout", "words"),
    [(reset, 30, "reset by peer"), (stay_silent, 0.05, "timed out")],
)
def test_a_connection_that_breaks_during_tls_is_retried(
    breaking: Callable[..., str], connect: Connect, clock: FakeClock, end: Any, timeout: float, words: str
) -> None:
    client = connect(breaking(end), sleep=clock.sleep, request_timeout=timeout)
    with pytest.raises(ConnectionFailed, match=f"no connection to .*({words})") as caught:
        client.write("POST", LIST, {})
    assert not isinstance(caught.value, UntrustedCertificate)
    assert client.requests == ATTEMPTS


# Lines about requests


def test_each_request_makes_a_line_without_secrets(serve: Serve) -> None:
    secret = "a value of the user"
    server = serve(
        [
            Response([1], headers={"X-Request-ID": "req-1\x1b[2J" + TOKEN}),
            Response(status=307, headers={"Location": f"/there/?name={secret}".replace(" ", "%20")}),
            Response([1]),
            Response({"code": "api_not_found"}, status=404),
            Response([1], headers={"Content-Length": "100", "Connection": "close"}),
            HANG_UP,
        ]
    )
    lines: list[str] = []
    with Client(Settings(server.url, TOKEN), sleep=lambda _seconds: None, log=lines.append) as client:
        for _number in range(2):
            client.get(LIST, {"name": secret})
        for _number in range(2):
            with pytest.raises((ApiError, LostResponse)):
                client.get(LIST, {"name": secret}, patient=False)
        with pytest.raises(LostResponse):
            client.write("POST", LIST, {"line": secret})
    expected = [
        f"alpacon: GET {LIST}: HTTP 200 (9 ms, request ID req-1\\x1b[2J********)",
        f"alpacon: GET {LIST}: HTTP 307 (9 ms)",
        "alpacon: GET /there/: HTTP 200 (9 ms)",
        f"alpacon: GET {LIST}: HTTP 404 (9 ms)",
        f"alpacon: GET {LIST}: HTTP 200 (9 ms)",
        f"alpacon: GET {LIST}: HTTP 200, and the connection broke",
        f"alpacon: POST {LIST}: the connection broke before an answer was read",
    ]
    timed = [re.sub(r"\(\d+ ms", "(9 ms", line) for line in lines]
    assert [line[: len(start)] for line, start in zip(timed, expected, strict=True)] == expected
    assert secret not in str(lines)
