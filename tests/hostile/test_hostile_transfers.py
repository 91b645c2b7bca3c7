# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test hostile workspaces and storages in transfers: one server fails, and the token and other files are safe."""

from __future__ import annotations

import functools
import json
import threading
import uuid
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from hostile.workspace import NAMES, VICTIM, HostileWorkspace
from system.support import HANG_UP, FakeClock, Request, Response, command_options, encode_script

from ansible_collections.herdops.alpacon.plugins.module_utils._api import storage as _storage
from ansible_collections.herdops.alpacon.plugins.module_utils._api.client import Client
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet import file_transfers
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet import run as _run
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.pacing import PACING
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.run import Run, RunContext
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks import file as _file
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.command import run_command
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.command_options import CONTENT
from ansible_collections.herdops.alpacon.tests.unit.support import TOKEN, Row

EVIL = "\x1b[31m\x07\x9b2J\u202e\r\nX: y {{ lookup('pipe', 'id') }}"
UPLOADS, DOWNLOADS = "/api/webftp/uploads/", "/api/webftp/downloads/"
URLS: list[Any] = [
    "file:///etc/passwd",
    "ftp://127.0.0.1/x",
    "http://storage.example.com/x",
    "https://user:password@storage.example.com/x",
    "https://storage.example.com\\@127.0.0.1/x",
    "//storage.example.com/x",
    f"https://storage.example.com/{EVIL}",
    "https://" + "x" * 100_000,
    "https://storage.example.com:99999/",
    {"url": EVIL},
    7,
]
IDS: list[Any] = ["../../servers/servers", "x/..", "a\r\nX: y", EVIL, None, 7, {"id": EVIL}, ["x"], True]
SUCCESSES: list[Any] = ["yes", 1, 0, 1.5, {"success": True}, [], EVIL]
STATUSES: list[Any] = [[], EVIL, f"<html>{EVIL}</html>", *({"success": value, "message": EVIL} for value in SUCCESSES)]


class Bucket(ThreadingHTTPServer):
    """An object storage that answers requests for the victim's objects in one hostile way."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.requests: list[str] = []
        self.status = 200
        self.headers: dict[str, str] = {}
        self.is_endless = False


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Bucket

    def answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.requests.append(f"{self.command} {self.path}\n{self.headers}")
        is_victim = VICTIM in self.path
        self.send_response(self.server.status if is_victim else 200)
        for name, value in (self.server.headers if is_victim else {}).items():
            self.send_header(name, value)
        is_endless = is_victim and self.server.is_endless
        self.send_header(*(("Connection", "close") if is_endless else ("Content-Length", "4")))
        self.end_headers()
        try:
            self.wfile.write(b"good")
            while is_endless:
                self.wfile.write(b"evil" * 10_000)
        except OSError:
            self.close_connection = True

    do_GET = do_PUT = answer

    def log_message(self, format: str, *args: Any) -> None:
        return None


class TransferringWorkspace(HostileWorkspace):
    """A workspace with transfers; `fields` replace those of responses about the victim."""

    def __init__(self, bucket: Bucket) -> None:
        super().__init__(FakeClock())
        self.fields: Row = {}
        self.status: Any = {"success": True, "message": ""}
        self.created: Response | None = None
        self._uploads: dict[str, str] = {}
        self._bucket = bucket

    def _respond(self, request: Request) -> Response:
        if not request.path.startswith("/api/webftp/"):
            return super()._respond(request)
        if request.method == "POST":
            return self._create(request)
        _empty, _api, _webftp, _kind, upload_id, what, _end = request.path.split("/")
        if what == "upload":
            return Response({})
        is_victim = self._uploads[upload_id] == VICTIM
        return Response(self.status if is_victim else {"success": True, "message": ""})

    def _make(self, body: Row, status: str | None) -> Row:
        # Submits of verified scripts have no line.
        return super()._make({"line": "", **body}, status)

    def _create(self, request: Request) -> Response:
        server, own = request.body["server"], str(uuid.uuid4())
        self._uploads[own] = server
        url = f"{self._bucket.url}/{server}"
        row: Row = {"id": own, "name": "../../evil", "path": "/etc", "upload_url": url, "download_url": url}
        if request.path == DOWNLOADS:
            row["command"] = self._make({"server": server, "line": "upload"}, None)["id"]
        if server == VICTIM and self.created:
            return self.created
        return Response({**row, **(self.fields if server == VICTIM else {})}, 201)


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    quick = replace(file_transfers.TRANSFER_PACING, first_poll=0.1, alone=0.2, steady=0.2, longest=0.3, per_page=0.0)
    monkeypatch.setattr(_file, "TRANSFER_PACING", quick)
    monkeypatch.setattr(file_transfers, "_SHORTEST", 0.1)
    monkeypatch.setattr(file_transfers, "PACING", replace(PACING, patience=0.5))
    monkeypatch.setattr(_storage, "_FIRST_PAUSE", 0.01)
    monkeypatch.setattr(_storage, "_LAG", 0.0)
    monkeypatch.setattr(_run, "Client", functools.partial(Client, sleep=lambda _seconds: None))


@pytest.fixture
def bucket() -> Iterator[Bucket]:
    with Bucket() as served:
        thread = threading.Thread(target=served.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield served
        served.shutdown()


@pytest.fixture
def hostile(bucket: Bucket) -> Iterator[TransferringWorkspace]:
    workspace = TransferringWorkspace(bucket)
    with workspace.server:
        yield workspace


def transfer(hostile: TransferringWorkspace, bucket: Bucket, folder: Path, state: str) -> Row:
    """Transfer a file of each server, and return the result of the victim."""
    defaults = {name: option.get("default") for name, option in _file.SPEC.items()}
    own = {"url": hostile.server.url, "token": TOKEN, "servers": list(NAMES.values()), "wait_timeout": "1s"}
    source: Row = {"content": "good", "dest": "/srv/x"}
    if state == "downloaded":
        source = {"src": "/srv/x", "dest": f"{folder}/in/"}
    options = {**defaults, **own, **source, "state": state, "compare": False, "max_size": 100_000}
    hostile.requests.clear()
    printed: list[str] = []
    result = _file.run_file(options, Run(RunContext(report=printed.append), warn=printed.append))
    victim: Row | None = None
    for server_id, entry in zip(NAMES.values(), result["servers"], strict=True):
        if server_id == VICTIM:
            victim = entry
        else:
            assert entry["outcome"] == "success", entry
    assert victim is not None
    shown = [victim["msg"], *printed]
    assert all(text.isprintable() for text in shown), shown
    text = json.dumps([result, printed])
    assert TOKEN not in text
    assert TOKEN not in "".join(bucket.requests)
    assert "uthorization" not in "".join(bucket.requests)
    known = ("/api/webftp/", "/api/servers/servers/", "/api/events/commands/")
    assert all(request.path.startswith(known) and ".." not in request.path for request in hostile.requests)
    allowed = {folder / "in" / server / "x" for server in NAMES.values()}
    files = {path for path in folder.rglob("*") if path.is_file()}
    assert files <= allowed
    assert all(path.read_text() == "good" for path in files)
    return victim


STATES = pytest.mark.parametrize("state", ["uploaded", "downloaded"])


@STATES
def test_urls(hostile: TransferringWorkspace, bucket: Bucket, tmp_path: Path, state: str) -> None:
    for url in URLS:
        hostile.fields = {"upload_url": url, "download_url": url}
        victim = transfer(hostile, bucket, tmp_path, state)
        assert (victim["outcome"], victim["changed"]) == ("refused", False), (url, victim)
        assert not any(VICTIM in request for request in bucket.requests)


@STATES
def test_ids_and_other_answers(hostile: TransferringWorkspace, bucket: Bucket, tmp_path: Path, state: str) -> None:
    # An upload has not begun by then; the agent may have read the file of a download.
    name, outcome = ("id", "refused") if state == "uploaded" else ("command", "unknown")
    for value in IDS:
        hostile.fields = {name: value}
        victim = transfer(hostile, bucket, tmp_path, state)
        assert victim["outcome"] == outcome, (value, victim)
    page = f"<html>{EVIL}</html>"
    for response in (Response(page, 201), Response(page, 404), Response([EVIL], 201), Response("[" * 10**5), HANG_UP):
        hostile.created = response
        victim = transfer(hostile, bucket, tmp_path, state)
        assert victim["outcome"] == outcome, victim


def test_statuses(hostile: TransferringWorkspace, bucket: Bucket, tmp_path: Path) -> None:
    for status in STATUSES:
        hostile.status = status
        victim = transfer(hostile, bucket, tmp_path, "uploaded")
        assert victim["outcome"] in ("timed_out", "unknown"), (status, victim)
    hostile.status = {"success": False, "message": EVIL * 10_000}
    victim = transfer(hostile, bucket, tmp_path, "uploaded")
    assert (victim["outcome"], len(victim["msg"]) < 1000) == ("failed", True)


@STATES
def test_a_redirect_is_not_followed(hostile: TransferringWorkspace, bucket: Bucket, tmp_path: Path, state: str) -> None:
    for status in (301, 302, 303, 307, 308):
        bucket.status, bucket.headers = status, {"Location": f"{hostile.server.url}/stolen", "Set-Cookie": "a=b"}
        victim = transfer(hostile, bucket, tmp_path, state)
        assert (victim["outcome"], victim["changed"]) in (("refused", False), ("failed", False)), victim


def test_an_endless_file(hostile: TransferringWorkspace, bucket: Bucket, tmp_path: Path) -> None:
    bucket.is_endless = True
    victim = transfer(hostile, bucket, tmp_path, "downloaded")
    assert (victim["outcome"], victim["changed"]) == ("failed", False)
    transfer(hostile, bucket, tmp_path, "uploaded")


def test_a_verified_script_that_was_not_uploaded_is_not_submitted(
    hostile: TransferringWorkspace, bucket: Bucket
) -> None:
    script: Row = {"script": "a.sh", "verified": True, "username": "root", CONTENT: encode_script(b"id\n")}
    own: Row = {"url": hostile.server.url, "token": TOKEN, "servers": list(NAMES.values()), "wait_timeout": "1s"}
    options = command_options(**{**own, **script, "progress": "false"})
    cases: list[Row] = [
        {"fields": {"upload_url": "https://user:password@storage.example.com/"}},
        {"fields": {"id": EVIL}},
        {"status": {"success": "yes", "message": EVIL}},
        {"status": {"success": False, "message": EVIL}},
    ]
    for case in cases:
        hostile.fields = case.get("fields", {})
        hostile.status = case.get("status", {"success": True, "message": ""})
        hostile.commands.clear()
        result = run_command(options, Run())
        assert set(hostile.ids) == {*NAMES.values()} - {VICTIM}, case
        [victim] = [entry for entry in result["commands"] if entry["ran"] is False]
        assert (victim["outcome"], victim["msg"].isprintable()) == ("refused", True), victim
        assert TOKEN not in json.dumps(result) + "".join(bucket.requests)
