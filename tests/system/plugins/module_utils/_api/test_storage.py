# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test requests to the object storage: what they have, what they do not follow, and their limits."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from system.certificates import authority

from ansible_collections.herdops.alpacon.plugins.module_utils._api import storage
from ansible_collections.herdops.alpacon.plugins.module_utils._api.settings import Settings
from ansible_collections.herdops.alpacon.plugins.module_utils._api.storage import ObjectStorage, StorageError, check_url
from ansible_collections.herdops.alpacon.tests.unit.support import TOKEN

_SETTINGS = Settings("http://127.0.0.1:1", TOKEN, request_timeout=2)
Answer = tuple[int, dict[str, str], bytes]


class _Server(ThreadingHTTPServer):
    """Answer in turn, the last answer again; keep the requests."""

    daemon_threads = True

    def __init__(self, *answers: Answer) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers = list(answers)
        self.requests: list[tuple[str, str, dict[str, str], bytes]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/bucket/x?X-Signature=secret"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def answer(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.requests.append((self.command, self.path, dict(self.headers.items()), content))
        answers = self.server.answers
        status, headers, body = answers.pop(0) if len(answers) > 1 else answers[0]
        if not status:
            self.close_connection = True
            return
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_PUT = answer

    def log_message(self, format: str, *args: Any) -> None:
        return None


@contextmanager
def serving(*answers: Answer) -> Iterator[_Server]:
    with _Server(*answers) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield server
        server.shutdown()


def put(server: _Server, content: bytes, settings: Settings = _SETTINGS, **options: Any) -> None:
    with ObjectStorage(settings, **{"sleep": lambda _seconds: None, **options}) as client:
        client.put(check_url(server.url, settings), lambda: io.BytesIO(content), len(content), time.monotonic() + 60)


def get(server: _Server, most: int = 1000, seconds: float = 60, **options: Any) -> bytes:
    content = bytearray()
    with ObjectStorage(_SETTINGS, **{"sleep": lambda _seconds: None, **options}) as client:
        client.get(check_url(server.url, _SETTINGS), content.extend, most, time.monotonic() + seconds)
    return bytes(content)


OK: Answer = (200, {}, b"")


def test_a_file_is_stored_with_its_length_and_nothing_that_identifies_the_user(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login someone password hidden\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    cookie = (200, {"Set-Cookie": "session=1; Path=/"}, b"")
    with serving(cookie) as server, ObjectStorage(_SETTINGS) as client:
        for content in (b"x" * 300_000, b""):
            url = check_url(server.url, _SETTINGS)
            client.put(url, lambda content=content: io.BytesIO(content), len(content), time.monotonic() + 60)  # type: ignore[misc]
    for (method, path, headers, content), size in zip(server.requests, (300_000, 0), strict=True):
        assert (method, path, len(content)) == ("PUT", "/bucket/x?X-Signature=secret", size)
        assert {name.lower() for name in headers} <= {"host", "user-agent", "content-length", "accept-encoding"}
        assert TOKEN not in str(headers)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_is_followed(status: int) -> None:
    with serving((200, {}, b"stolen")) as other:
        redirect = (status, {"Location": other.url}, b"")
        with serving(redirect) as server:
            with pytest.raises(StorageError, match="a redirect, which is not followed"):
                put(server, b"x")
            with pytest.raises(StorageError, match="a redirect, which is not followed"):
                get(server)
        assert (len(server.requests), other.requests) == (2, [])


def test_a_request_that_failed_is_sent_again_as_a_whole() -> None:
    with serving((503, {}, b""), (0, {}, b""), OK) as server:
        put(server, b"content")
    assert [content for _method, _path, _headers, content in server.requests] == [b"content"] * 3
    with serving((500, {}, b""), (0, {}, b""), (200, {}, b"content")) as server:
        assert get(server) == b"content"


def test_a_pause_that_the_storage_asks_for_is_kept() -> None:
    pauses: list[float] = []
    with serving((429, {"Retry-After": "7"}, b""), OK, (503, {"Retry-After": "9"}, b""), OK) as server:
        put(server, b"content", sleep=pauses.append)
        get(server, sleep=pauses.append)
    assert pauses == [7, 9]
    with serving((429, {"Retry-After": "61"}, b"")) as server, pytest.raises(StorageError, match="HTTP 429"):
        get(server)
    assert len(server.requests) == 1, "the pause is longer than the transfer may take"


class _Broken(io.BytesIO):
    def read(self, size: int | None = -1) -> bytes:
        raise OSError(5, "Input/output error")


@pytest.mark.parametrize(
    ("file", "size", "seconds", "words"),
    [
        (FileNotFoundError(2, "No such file or directory"), 1, 60, "controller: No such file"),
        (_Broken(), 1, 60, "controller: Input/output error"),
        (io.BytesIO(b"short"), 9, 60, "became shorter on the controller"),
        (io.BytesIO(b"late"), 4, 0, "wait_timeout"),
    ],
)
def test_a_file_that_cannot_be_read_to_its_end_is_no_failure_of_the_connection(
    file: Any, size: int, seconds: float, words: str
) -> None:
    opened: list[Any] = []

    def open_file() -> Any:
        opened.append(file)
        if isinstance(file, OSError):
            raise file
        return file

    with (
        serving(OK) as server,
        ObjectStorage(_SETTINGS, sleep=lambda _seconds: None) as client,
        pytest.raises(StorageError, match=words),
    ):
        client.put(check_url(server.url, _SETTINGS), open_file, size, time.monotonic() + seconds)
    assert len(opened) == 1, "another attempt would fail too"


def test_a_refusal_is_not_repeated_and_no_message_has_the_url() -> None:
    lines: list[str] = []
    with serving((403, {}, b"<Error>secret</Error>")) as server, pytest.raises(StorageError) as error:
        put(server, b"x", log=lines.append)
    assert len(server.requests) == 1
    assert f"127.0.0.1:{server.server_address[1]} answered HTTP 403" in str(error.value)
    assert lines
    assert "secret" not in f"{error.value} {lines}"


def test_a_file_that_was_just_stored_may_come_later() -> None:
    with serving((404, {}, b""), (403, {}, b""), (200, {}, b"late")) as server:
        assert get(server) == b"late"


def test_a_file_that_never_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "_LAG", 0.2)
    with serving((404, {}, b"")) as server, pytest.raises(StorageError, match="HTTP 404"):
        get(server, sleep=lambda _seconds: time.sleep(0.05))
    assert len(server.requests) > 1


def test_a_file_is_no_larger_than_allowed() -> None:
    with serving((200, {}, b"x" * 1001)) as server, pytest.raises(StorageError, match="more than 1000 bytes"):
        get(server)
    endless = (200, {"Content-Length": "-1"}, b"x" * 2**20)
    with serving(endless) as server, pytest.raises(StorageError):
        get(server)


def test_a_file_that_is_cut_off_is_no_file() -> None:
    cut = (200, {"Content-Length": "100", "Connection": "close"}, b"half")
    with serving(cut) as server, pytest.raises(StorageError, match="after 4 bytes"):
        get(server)
    packed = (200, {"Content-Encoding": "gzip"}, b"bomb")
    with serving(packed) as server, pytest.raises(StorageError, match="compressed"):
        get(server)


def test_a_slow_answer_ends_at_the_deadline() -> None:
    class Drip(_Handler):
        def answer(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            with suppress(OSError):
                for _byte in range(100):
                    self.wfile.write(b"x")
                    time.sleep(0.1)

        do_GET = answer

    with serving(OK) as server:
        server.RequestHandlerClass = Drip
        with pytest.raises(StorageError, match="broke after"):
            get(server, seconds=1)


def test_a_file_that_changes_while_it_is_sent() -> None:
    with serving(OK) as server, ObjectStorage(_SETTINGS, sleep=lambda _seconds: None) as client:
        url = check_url(server.url, _SETTINGS)
        with pytest.raises(StorageError, match="not stored"):
            client.put(url, lambda: io.BytesIO(b"short"), 10, time.monotonic() + 5)
        client.put(url, lambda: io.BytesIO(b"longer"), 4, time.monotonic() + 5)
    # The request that breaks off may be recorded last.
    assert {request[3] for request in server.requests} == {b"short", b"long"}


def test_the_ca_of_the_workspace_and_the_usual_ones_are_trusted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ours, usual = authority(tmp_path, "Our CA"), authority(tmp_path, "Usual CA")
    monkeypatch.setattr(storage, "find_default_certificates", lambda: str(usual.file))
    for issuer, answers in ((ours, True), (usual, True), (authority(tmp_path, "Their CA"), False)):
        settings = Settings("https://127.0.0.1:1", TOKEN, ca_path=str(ours.file), request_timeout=2)
        with _Server(OK) as server, ObjectStorage(settings, sleep=lambda _seconds: None) as client:
            server.socket = issuer.server.wrap_socket(server.socket, server_side=True)
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
            url = check_url(server.url.replace("http:", "https:"), settings)
            if answers:
                client.put(url, lambda: io.BytesIO(b"x"), 1, time.monotonic() + 5)
            else:
                with pytest.raises(StorageError, match="not trusted"):
                    client.put(url, lambda: io.BytesIO(b"x"), 1, time.monotonic() + 5)
            server.shutdown()


def test_nothing_is_sent_after_the_end_of_the_run() -> None:
    def check() -> None:
        raise RuntimeError("over")

    with serving(OK) as server, pytest.raises(RuntimeError, match="over"):
        put(server, b"x", check=check)
    assert server.requests == []
