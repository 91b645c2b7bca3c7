# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The websockets of connected agents, and sending frames to them."""

from __future__ import annotations

import asyncio
import json
import typing as t

from channels.layers import InMemoryChannelLayer, get_channel_layer


class Layer(InMemoryChannelLayer):  # type: ignore[misc]
    def _clean_expired(self) -> None:
        """Keep all frames: the sweep costs too much with a thousand agents."""


class Hub:
    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._channels: dict[str, str] = {}
        self._silent: dict[str, set[str]] = {}

    def attach(self, server_id: str, channel: str) -> str | None:
        """Store an agent's websocket, and return the one that it replaces."""
        previous = self._channels.get(server_id)
        self._channels[server_id] = channel
        return previous

    def detach(self, server_id: str, channel: str) -> bool:
        """Remove a websocket; return False if a newer one has replaced it."""
        if self._channels.get(server_id) != channel:
            return False
        del self._channels[server_id]
        return True

    def attach_silent(self, server_id: str, channel: str) -> None:
        """Store a control websocket, which is only ever closed."""
        self._silent.setdefault(server_id, set()).add(channel)

    def detach_silent(self, server_id: str, channel: str) -> None:
        self._silent.get(server_id, set()).discard(channel)

    def connected(self, server_id: str) -> bool:
        return server_id in self._channels

    def send(self, server_id: str, frame: dict[str, t.Any]) -> None:
        self._post(self._channels.get(server_id), {"type": "frame", "text": json.dumps(frame)})

    def quit(self, channel: str, reason: str) -> None:
        self._post(channel, {"type": "frame", "text": json.dumps({"query": "quit", "reason": reason})})

    def disconnect_server(self, server_id: str) -> None:
        for channel in (self._channels.pop(server_id, None), *self._silent.pop(server_id, ())):
            self._post(channel, {"type": "hangup"})

    def _post(self, channel: str | None, message: dict[str, t.Any]) -> None:
        if channel is not None:
            asyncio.run_coroutine_threadsafe(get_channel_layer().send(channel, message), self._loop)
