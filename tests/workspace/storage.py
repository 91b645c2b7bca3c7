# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The object storage of file transfers, on a port of its own: whoever has a signed URL may use it."""

from __future__ import annotations

import collections
import hashlib
import hmac
import secrets
import typing as t
import uuid
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from workspace import state
from workspace.faults import Faults
from workspace.traffic import Message, Receive, Scope, Send

_PIECE = 2**16


class Storage:
    """Keeps one object for each transfer, in a folder."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url = url
        self.log: collections.deque[dict[str, t.Any]] = collections.deque(maxlen=1000)
        self._folder = folder
        self._key = secrets.token_bytes(16)
        self._faults = Faults(self._answer)

    def sign(self, method: str, transfer: uuid.UUID) -> str:
        """Return the URL with which anybody may PUT or GET the object of a transfer."""
        base = state.current.switches.storage_url or self.url
        return f"{base}/bucket/{transfer}?X-Signature={self._signature(method, str(transfer))}"

    def fill(self, url: str, content: bytes) -> None:
        """Store an object as an agent would that has this URL."""
        name = urlsplit(url).path.removeprefix("/bucket/")
        (self._folder / str(uuid.UUID(name))).write_bytes(content)

    def clear(self) -> None:
        self.log.clear()
        for file in self._folder.glob("*"):
            file.unlink()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        entry = {"method": scope["method"], "path": scope["path"], "headers": headers, "status": None, "received": 0}
        is_agent = "alpamon" in headers.get("user-agent", "")
        entry["agent"] = is_agent
        self.log.append(entry)
        scope["workspace.transport"] = getattr(getattr(send, "__self__", None), "transport", None)
        scope["workspace.agent" if is_agent else "workspace.request"] = True
        self._faults.http = state.current.faults.http

        async def count() -> Message:
            message = await receive()
            entry["received"] += len(message.get("body", b""))
            return message

        async def record(message: Message) -> None:
            if message["type"] == "http.response.start":
                entry["status"] = message["status"]
            await send(message)

        await self._faults(scope, count, record)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        name = scope["path"].removeprefix("/bucket/")
        given = parse_qs(scope["query_string"].decode("latin-1")).get("X-Signature", [""])[0]
        if any(key == b"authorization" for key, _value in scope["headers"]):
            status, file = 400, None  # as Amazon S3 does: only one kind of authentication is allowed
        elif not hmac.compare_digest(given, self._signature(scope["method"], name)):
            status, file = 403, None
        else:
            status, file = 200, self._folder / str(uuid.UUID(name))
        if file is not None and scope["method"] == "PUT":
            await self._store(file, receive)
            await _send_error(send, 200, "")
        elif file is not None and file.exists():
            await _send_file(send, file)
        else:
            await _send_error(send, status if file is None else 404, "<Error/>")

    async def _store(self, file: Path, receive: Receive) -> None:
        """Store an object once its last byte has come."""
        part = file.with_suffix(f".{secrets.token_hex(4)}")
        with part.open("wb") as content:
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    break
                content.write(message.get("body", b""))
                if not message.get("more_body"):
                    part.replace(file)
                    return
        part.unlink()

    def _signature(self, method: str, name: str) -> str:
        return hmac.new(self._key, f"{method} {name}".encode(), hashlib.sha256).hexdigest()


async def _send_error(send: Send, status: int, body: str) -> None:
    headers = [(b"content-length", str(len(body)).encode()), (b"content-type", b"application/xml")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body.encode()})


async def _send_file(send: Send, file: Path) -> None:
    length = str(file.stat().st_size).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", length)]})
    with file.open("rb") as content:
        while piece := content.read(_PIECE):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b""})
