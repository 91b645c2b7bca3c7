# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Event sessions, subscriptions, and the websocket that brings events. Nothing is kept or replayed."""

from __future__ import annotations

import asyncio
import json
import secrets
import typing as t
import uuid

from channels.generic.websocket import AsyncWebsocketConsumer
from channels.layers import get_channel_layer
from rest_framework import exceptions, serializers, status, views
from rest_framework.response import Response

from workspace import lifecycle, state
from workspace.models import Command


class Events:
    """The open channels, and the servers and commands whose events each of them hears of."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        #: Channels that are not connected yet, by the word of their URL.
        self._invited: dict[str, str] = {}
        #: Names of websockets by channel.
        self._channels: dict[str, str] = {}
        self._owners: dict[str, str] = {}
        self._listeners: dict[str, set[str]] = {}

    def invite(self, owner: str) -> tuple[str, str]:
        """Return the ID of a new channel, and a word that connects it once."""
        channel, word = str(uuid.uuid4()), secrets.token_urlsafe(24)
        self._invited[word] = channel
        self._owners[channel] = owner
        return channel, word

    def open(self, word: str, name: str) -> str | None:
        """Connect a channel to a websocket; return None for a word that was used before."""
        channel = self._invited.pop(word, None)
        if channel is not None:
            self._channels[channel] = name
        return channel

    def close(self, channel: str) -> None:
        self._channels.pop(channel, None)
        self._owners.pop(channel, None)
        for channels in self._listeners.values():
            channels.discard(channel)

    def is_open(self, channel: str, owner: str) -> bool:
        return channel in self._channels and self._owners.get(channel) == owner

    def subscribe(self, channel: str, target_id: str) -> None:
        self._listeners.setdefault(target_id, set()).add(channel)

    def publish(self, event_type: str, target_id: str, payload: dict[str, t.Any]) -> None:
        """Send an event to the channels that listen to its server or command."""
        for channel in self._listeners.get(target_id, ()):
            self._post(channel, {"type": "frame", "text": json.dumps(make_event(event_type, payload))})

    def send(self, text: str) -> None:
        """Send a text frame to all channels."""
        for channel in self._channels:
            self._post(channel, {"type": "frame", "text": text})

    def drop(self) -> int:
        """Close all websockets; return their number."""
        for channel in self._channels:
            self._post(channel, {"type": "hangup"})
        return len(self._channels)

    def _post(self, channel: str, message: dict[str, t.Any]) -> None:
        name = self._channels.get(channel)
        if name is not None:  # the websocket may close meanwhile
            asyncio.run_coroutine_threadsafe(get_channel_layer().send(name, message), self._loop)


def make_event(event_type: str, payload: dict[str, t.Any]) -> dict[str, t.Any]:
    return {"event_type": event_type, "payload": payload}


class EventSocket(AsyncWebsocketConsumer):  # type: ignore[misc]
    """The websocket of a session. Its URL is the credential, and good for one connection."""

    channel: str | None = None

    async def connect(self) -> None:
        self.channel = state.current.events.open(self.scope["url_route"]["kwargs"]["word"], self.channel_name)
        if self.channel is None:
            await self.close()
            return
        await self.accept()

    async def disconnect(self, code: int) -> None:
        if self.channel is not None:
            state.current.events.close(self.channel)

    async def frame(self, event: dict[str, t.Any]) -> None:
        await self.send(text_data=event["text"])

    async def hangup(self, event: dict[str, t.Any]) -> None:
        await self.close()


def _check_scope(request: t.Any) -> str:
    """Return the owner of a channel, which is the token, if its scopes include events."""
    if not state.current.switches.event_scopes:
        raise exceptions.PermissionDenied
    return str(request.auth.pk if request.auth else request.user.pk)


class SessionView(views.APIView):  # type: ignore[misc]
    def post(self, request: t.Any) -> Response:
        channel, word = state.current.events.invite(_check_scope(request))
        scheme = "wss" if request.scheme == "https" else "ws"
        url = state.current.switches.websocket_url or f"{scheme}://{request.get_host()}/ws/events/{{word}}/"
        row = {"id": str(uuid.uuid4()), "websocket_url": url.format(word=word), "channel_id": channel}
        return Response(row, status=status.HTTP_201_CREATED)


class SubscriptionSerializer(serializers.Serializer):  # type: ignore[misc]
    channel = serializers.UUIDField()
    event_type = serializers.ChoiceField(choices=["command_fin", "command_output"])
    target_id = serializers.UUIDField()

    def validate_channel(self, value: uuid.UUID) -> str:
        if not state.current.events.is_open(str(value), self.context["owner"]):
            raise serializers.ValidationError("The channel is not connected.")
        return str(value)


class SubscriptionView(views.APIView):  # type: ignore[misc]
    def post(self, request: t.Any) -> Response:
        serializer = SubscriptionSerializer(data=request.data, context={"owner": _check_scope(request)})
        serializer.is_valid(raise_exception=True)
        values = serializer.validated_data
        found = lifecycle.visible_servers(request.user)
        if values["event_type"] == "command_output":
            found = Command.objects.filter(server__in=found)
        if not found.filter(pk=values["target_id"]).exists():
            raise exceptions.ValidationError({"target_id": ["Not found."]})
        state.current.events.subscribe(values["channel"], str(values["target_id"]))
        row = {"id": str(uuid.uuid4()), **values, "target_id": str(values["target_id"])}
        return Response(row, status=status.HTTP_201_CREATED)
