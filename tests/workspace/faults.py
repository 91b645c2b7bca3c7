# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""HTTP faults, injected between the client and everything that handles a request."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import math
import random
import re
import socket
import struct
import time
import typing as t

from workspace import state
from workspace.traffic import App, Message, Receive, Scope, Send

AGENT_KINDS = (
    *("vanish", "never_ack", "reject", "slow_ack", "late_fin", "drop_chunk", "late_chunk", "duplicate_chunk"),
    *("reverse_chunks", "disconnect", "fail_start", "half_file", "time_out", "restart", "kill"),
)
HTML = "<html><head><title>Proxy</title></head><body><h1>Please sign in</h1></body></html>\n"
#: What nginx answers to a body above its client_max_body_size.
TOO_LARGE = (
    "<html>\r\n<head><title>413 Request Entity Too Large</title></head>\r\n<body>\r\n"
    "<center><h1>413 Request Entity Too Large</h1></center>\r\n<hr><center>nginx/1.22.1</center>\r\n"
    "</body>\r\n</html>\r\n"
)
_ids = itertools.count(1)


@dataclasses.dataclass
class Fault:
    """An HTTP fault: the requests that it hits and its effect."""

    kind: str
    method: str | None = None
    path: str = ""
    times: int | None = None
    seconds: float | None = None
    probability: float = 1.0
    after: int = 0
    delay: float = 0.0
    status: int | None = None
    body: str | None = None
    headers: dict[str, str] = dataclasses.field(default_factory=dict)
    agents: bool = False
    seed: int = 0
    length: t.Literal["correct", "wrong"] = "wrong"
    dribble: bool = False
    id: int = dataclasses.field(default_factory=lambda: next(_ids))
    hits: int = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"unknown kind {self.kind!r}; known: {', '.join([*KINDS, *AGENT_KINDS])}")
        self._pattern = re.compile(self.path)
        self._random = random.Random(self.seed)
        self._until = math.inf

    def matches(self, method: str, path: str, agent: bool) -> bool:
        if self.agents != agent or self.method not in (None, "*", method) or not self._pattern.search(path):
            return False
        if self.after > 0:
            self.after -= 1
            return False
        if self.times == 0 or self._random.random() >= self.probability:
            return False
        now = time.monotonic()
        if self.seconds is not None and not self.hits:
            self._until = now + self.seconds
        if now >= self._until:
            return False
        if self.times is not None:
            self.times -= 1
        self.hits += 1
        return True

    def describe(self) -> dict[str, t.Any]:
        return dataclasses.asdict(self)


@dataclasses.dataclass
class Answer:
    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes

    async def deliver(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status, "headers": self.headers})
        await send({"type": "http.response.body", "body": self.body})


class Faults:
    def __init__(self, app: App) -> None:
        self._app = app
        self.http: list[Fault] = []
        self.agent: list[dict[str, t.Any]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if _is_too_large(scope):
            await _read_body(receive)
            await _make_response(Fault("status", status=413, body=TOO_LARGE, headers={"connection": "close"})).deliver(
                send
            )
            return
        fault = self._choose(scope)
        if fault is None:
            await self._app(scope, receive, send)
            return
        scope["workspace.fault"] = fault.kind
        await KINDS[fault.kind](self, fault, scope, receive, send)

    def _choose(self, scope: Scope) -> Fault | None:
        agent = "workspace.agent" in scope
        if not self.http or not (agent or "workspace.request" in scope):
            return None
        query = scope["query_string"].decode("latin-1")
        path = scope["path"] + (f"?{query}" if query else "")
        return next((fault for fault in self.http if fault.matches(scope["method"], path, agent)), None)

    async def _handle(self, scope: Scope, receive: Receive) -> Answer:
        """Handle the request completely and return the response."""
        answer = Answer(500, [], b"")

        async def keep(message: Message) -> None:
            if message["type"] == "http.response.start":
                answer.status, answer.headers = message["status"], list(message["headers"])
            else:
                answer.body += message.get("body", b"")

        await self._app(scope, receive, keep)
        return answer

    async def lose_before(self, fault: Fault, scope: Scope, receive: Receive, send: Send) -> None:
        await _read_body(receive)
        await asyncio.sleep(fault.delay)
        await _reset(scope, receive)

    async def lose_after(self, fault: Fault, scope: Scope, receive: Receive, send: Send) -> None:
        await self._handle(scope, receive)
        await asyncio.sleep(fault.delay)
        await _reset(scope, receive)

    async def reset(self, fault: Fault, scope: Scope, receive: Receive, send: Send) -> None:
        answer = await self._handle(scope, receive)
        await asyncio.sleep(fault.delay)
        _write_raw(scope, answer, len(answer.body), answer.body[: len(answer.body) // 2])
        # What was written has to leave before the reset throws the rest away.
        await asyncio.sleep(0.05)
        await _reset(scope, receive)

    async def status(self, fault: Fault, scope: Scope, receive: Receive, send: Send) -> None:
        await _read_body(receive)
        await asyncio.sleep(fault.delay)
        await _make_response(fault).deliver(send)

    async def status_after(self, fault: Fault, scope: Scope, receive: Receive, send: Send) -> None:
        await self._handle(scope, receive)
        await asyncio.sleep(fault.delay)
        await _make_response(fault).deliver(send)

    async def html(self, fault: Fault, scope: Scope, receive: Receive, send: Send) -> None:
        await self._handle(scope, receive)
        await asyncio.sleep(fault.delay)
        page = dataclasses.replace(fault, status=fault.status or 200, body=fault.body or HTML)
        await _make_response(page).deliver(send)

    async def truncate(self, fault: Fault, scope: Scope, receive: Receive, send: Send) -> None:
        answer = await self._handle(scope, receive)
        await asyncio.sleep(fault.delay)
        part = answer.body[: len(answer.body) // 2]
        _write_raw(scope, answer, len(part if fault.length == "correct" else answer.body), part)
        scope["workspace.transport"].close()
        await _disconnected(receive)

    async def slow(self, fault: Fault, scope: Scope, receive: Receive, send: Send) -> None:
        answer = await self._handle(scope, receive)
        if not fault.dribble:
            await asyncio.sleep(fault.delay)
            await answer.deliver(send)
            return
        await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
        pieces = 10
        size = -(-len(answer.body) // pieces) or 1
        for start in range(0, len(answer.body), size):
            await asyncio.sleep(fault.delay / pieces)
            part = answer.body[start : start + size]
            await send({"type": "http.response.body", "body": part, "more_body": start + size < len(answer.body)})

    async def timeout_after(self, fault: Fault, scope: Scope, receive: Receive, send: Send) -> None:
        await self._handle(scope, receive)
        await _disconnected(receive)


Kind = t.Callable[[Faults, Fault, Scope, Receive, Send], t.Awaitable[None]]
KINDS: dict[str, Kind] = {
    kind.__name__: kind
    for kind in (
        *(Faults.lose_before, Faults.lose_after, Faults.reset, Faults.status, Faults.status_after),
        *(Faults.html, Faults.truncate, Faults.slow, Faults.timeout_after),
    )
}


def _is_too_large(scope: Scope) -> bool:
    """Return True if a proxy in front of the workspace would refuse the size of the body."""
    most = state.current.switches.body_max
    if most is None or not scope["path"].startswith("/api/"):
        return False
    return int(dict(scope["headers"]).get(b"content-length", 0)) > most


def _make_response(fault: Fault) -> Answer:
    status = fault.status or 502
    body = fault.body if fault.body is not None else f"<html><body><h1>{status}</h1></body></html>\n"
    kind = "application/json" if body[:1] in ("{", "[") else "text/html"
    headers = {"content-type": kind, "content-length": str(len(body.encode()))}
    headers |= {name.lower(): str(value) for name, value in fault.headers.items()}
    return Answer(status, [(name.encode(), value.encode()) for name, value in headers.items()], body.encode())


def _write_raw(scope: Scope, answer: Answer, length: int, body: bytes) -> None:
    """Write a response past the HTTP server, which would reject a wrong length."""
    kind = dict(answer.headers).get(b"Content-Type", b"application/json").decode()
    head = (
        f"HTTP/1.1 {answer.status} OK\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
    )
    scope["workspace.transport"].write(head.encode() + body)


async def _read_body(receive: Receive) -> None:
    while True:
        message = await receive()
        if message["type"] != "http.request" or not message.get("more_body"):
            return


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _reset(scope: Scope, receive: Receive) -> None:
    """Close with RST instead of FIN, as a crashed peer does."""
    transport = scope["workspace.transport"]
    if not transport.is_closing():
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    await _disconnected(receive)
