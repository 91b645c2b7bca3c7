# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Counting and logging the requests of clients; agents are counted apart."""

from __future__ import annotations

import collections
import itertools
import re
import time
import typing as t
from email.utils import formatdate

from workspace import auth, state

Scope = dict[str, t.Any]
Message = dict[str, t.Any]
Receive = t.Callable[[], t.Awaitable[Message]]
Send = t.Callable[[Message], t.Awaitable[None]]
App = t.Callable[[Scope, Receive, Send], t.Awaitable[None]]

_ID = re.compile(r"(?<=/)[0-9a-fA-F]{8}-?(?:[0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}(?=/|$)")
_MAX_BODY = 65536


class Traffic:
    def __init__(self, app: App, log_size: int = 20_000) -> None:
        self._app = app
        self.log: collections.deque[dict[str, t.Any]] = collections.deque(maxlen=log_size)
        self.token_names: dict[str, str] = {}
        self._numbers = itertools.count(1)
        self.reset()

    def reset(self) -> None:
        self.requests = self.writes = self.agent_requests = 0
        self.routes: dict[str, collections.Counter[str]] = {}
        self.tokens: collections.Counter[str] = collections.Counter()

    def counters(self) -> dict[str, t.Any]:
        return {
            "requests": self.requests,
            "writes": self.writes,
            "routes": {route: {"total": sum(hits.values()), **hits} for route, hits in sorted(self.routes.items())},
            "tokens": dict(self.tokens),
            "agents": self.agent_requests,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            # The faults below need the connection itself, which the wrapped send would hide.
            scope["workspace.transport"] = getattr(getattr(send, "__self__", None), "transport", None)
            send = _add_date(send)
        if scope["type"] != "http" or not scope["path"].startswith("/api/"):
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        if auth.is_agent(headers.get("authorization", "")) and "alpamon" in headers.get("user-agent", ""):
            self.agent_requests += 1
            scope["workspace.agent"] = True
            await self._app(scope, receive, send)
            return
        await self._record(scope, receive, send, headers)

    async def _record(self, scope: Scope, receive: Receive, send: Send, headers: dict[str, str]) -> None:
        entry = self._entry(scope, headers)
        scope["workspace.request"] = entry["number"]
        body = bytearray()

        async def record_body() -> Message:
            message = await receive()
            if message["type"] == "http.request" and len(body) < _MAX_BODY:
                body.extend(message.get("body", b""))
                entry["body"] = body[:_MAX_BODY].decode(errors="replace")
            return message

        async def record_response(message: Message) -> None:
            if message["type"] == "http.response.start":
                entry["status"], entry["answered"] = message["status"], time.monotonic()
                entry["retry_after"] = _get_header(message, b"retry-after")
            await send(message)

        try:
            await self._app(scope, record_body, record_response)
        finally:
            entry["fault"] = scope.get("workspace.fault")
            status = str(entry["status"] or "lost")
            self.routes.setdefault(entry["route"], collections.Counter())[status] += 1

    def _entry(self, scope: Scope, headers: dict[str, str]) -> dict[str, t.Any]:
        query = scope["query_string"].decode("latin-1")
        authorization = headers.pop("authorization", None)
        key = auth.header_pairs(authorization or "").get("token", "")
        entry = {
            "number": next(self._numbers),
            "arrived": time.monotonic(),
            "answered": None,
            "retry_after": None,
            "method": scope["method"],
            "path": scope["path"] + (f"?{query}" if query else ""),
            "route": f"{scope['method']} {_ID.sub('{id}', scope['path'])}",
            "status": None,
            "token": self.token_names.get(key),
            "headers": headers,
            "body": "",
            "fault": None,
        }
        self.log.append(entry)
        self.requests += 1
        self.writes += scope["method"] not in ("GET", "HEAD", "OPTIONS")
        self.tokens[entry["token"] or "unknown"] += 1
        return entry


def _add_date(send: Send) -> Send:
    """Add a Date header by the workspace's clock, or by that of a proxy."""

    async def dated(message: Message) -> None:
        switches = state.current.switches
        if message["type"] == "http.response.start" and switches.date_header and _get_header(message, b"date") is None:
            date = formatdate(time.time() + switches.clock_skew + switches.date_skew, usegmt=True)
            message = {**message, "headers": [*message["headers"], (b"date", date.encode())]}
        await send(message)

    return dated


def _get_header(start: Message, name: bytes) -> str | None:
    value = {key.lower(): value for key, value in start.get("headers", ())}.get(name)
    return None if value is None else value.decode("latin-1")
