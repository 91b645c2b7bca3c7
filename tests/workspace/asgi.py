# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The application: counters, faults, then Django for HTTP and Channels for websockets."""

from __future__ import annotations

import io
import typing as t

from channels.routing import URLRouter
from django.core.handlers.asgi import ASGIRequest
from django.core.handlers.base import BaseHandler
from django.urls import path, set_script_prefix

from workspace.agent_api import Backhaul, Control
from workspace.events import EventSocket
from workspace.traffic import Receive, Scope, Send

websockets = URLRouter(
    [
        path("ws/servers/backhaul/", Backhaul.as_asgi()),
        path("ws/servers/control/", Control.as_asgi()),
        path("ws/events/<str:word>/", EventSocket.as_asgi()),
    ]
)


class Django(BaseHandler):
    """Django's synchronous handler in the thread of the loop, which owns the connection to SQLite.

    Its own ASGI handler makes a thread, and so a connection, for every request, and gives up when the client goes away,
    while a lost answer must have been handled to the end.
    """

    def __init__(self) -> None:
        super().__init__()
        self.load_middleware()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await _body(receive)
        if body is None:
            return
        status, headers, content = self._respond(scope, body)
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    def _respond(self, scope: Scope, body: bytes) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
        set_script_prefix("/")
        request = ASGIRequest(scope, io.BytesIO(body))
        response: t.Any = self.get_response(request)
        content = b"".join(response)
        headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in response.items()]
        if not response.has_header("Content-Length"):
            headers.append((b"Content-Length", str(len(content)).encode()))
        response.close()
        return response.status_code, headers, content


async def _body(receive: Receive) -> bytes | None:
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        if not message.get("more_body"):
            return bytes(body)


def router() -> t.Callable[[Scope, Receive, Send], t.Awaitable[None]]:
    django = Django()

    async def route(scope: Scope, receive: Receive, send: Send) -> None:
        await (websockets if scope["type"] == "websocket" else django)(scope, receive, send)

    return route
