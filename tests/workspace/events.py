# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Events as they happen: sessions, subscriptions, and the websocket that brings them. Nothing is kept or replayed."""

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

TYPES = ("command_output", "command_fin", "sudo", "work_session", "notification")


class Events:
    """Who listens to what."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._invited: dict[str, str] = {}
        self._channels: dict[str, str] = {}
        self._owners: dict[str, str] = {}
        self._listeners: dict[tuple[str, str], set[str]] = {}

    def invite(self, owner: str) -> tuple[str, str]:
        """Make a channel that is not connected yet: its id, and the word that connects it once."""
        channel, word = str(uuid.uuid4()), secrets.token_urlsafe(24)
        self._invited[word] = channel
        self._owners[channel] = owner
        return channel, word

    def open(self, word: str, name: str) -> str | None:
        """Connect a channel to the websocket of that name; None for a word that was used before."""
        channel = self._invited.pop(word, None)
        if channel is not None:
            self._channels[channel] = name
        return channel

    def close(self, channel: str) -> None:
        """Forget a channel and all that it listens to."""
        self._channels.pop(channel, None)
        self._owners.pop(channel, None)
        for topic, channels in list(self._listeners.items()):
            channels.discard(channel)
            if not channels:
                self._listeners.pop(topic, None)

    def is_open(self, channel: str, owner: str) -> bool:
        """Tell whether this owner's websocket is there."""
        return channel in self._channels and self._owners.get(channel) == owner

    def listen(self, channel: str, event_type: str, target: str) -> None:
        """Let a channel have the events of a type and target."""
        self._listeners.setdefault((event_type, target), set()).add(channel)

    def publish(self, event_type: str, target: str, payload: dict[str, t.Any]) -> None:
        """Send an event to those that listen."""
        if not self._listeners:
            return
        text = json.dumps({"event_type": event_type, "payload": payload})
        for channel in list(self._listeners.get((event_type, target), ())):
            name = self._channels.get(channel)
            if name is not None:  # the websocket may close meanwhile
                message = get_channel_layer().send(name, {"type": "frame", "text": text})
                asyncio.run_coroutine_threadsafe(message, self._loop)


class EventSocket(AsyncWebsocketConsumer):  # type: ignore[misc]
    """What a session's address leads to. The address is the credential, and good for one connection."""

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


def _owner(request: t.Any) -> str:
    """Whose a channel is: the token's."""
    return str(request.auth.pk if request.auth else request.user.pk)


class SessionView(views.APIView):  # type: ignore[misc]
    def post(self, request: t.Any) -> Response:
        channel, word = state.current.events.invite(_owner(request))
        scheme = "wss" if request.scheme == "https" else "ws"
        answer = {
            "id": str(uuid.uuid4()),
            "websocket_url": f"{scheme}://{request.get_host()}/ws/events/{word}/",
            "channel_id": channel,
        }
        return Response(answer, status=status.HTTP_201_CREATED)


class SubscriptionSerializer(serializers.Serializer):  # type: ignore[misc]
    channel = serializers.UUIDField()
    event_type = serializers.ChoiceField(choices=TYPES)
    target_id = serializers.UUIDField(required=False, allow_null=True)

    def validate_channel(self, value: uuid.UUID) -> str:
        if not state.current.events.is_open(str(value), self.context["owner"]):
            raise serializers.ValidationError("The channel is not connected.")
        return str(value)


class SubscriptionView(views.APIView):  # type: ignore[misc]
    def post(self, request: t.Any) -> Response:
        serializer = SubscriptionSerializer(data=request.data, context={"owner": _owner(request)})
        serializer.is_valid(raise_exception=True)
        values = serializer.validated_data
        event_type, target = values["event_type"], values.get("target_id")
        kinds = {"command_output": lifecycle.visible_commands, "command_fin": lifecycle.visible_servers}
        if event_type in kinds and not kinds[event_type](request.user).filter(pk=target).exists():
            raise exceptions.ValidationError({"target_id": ["Not found."]})
        state.current.events.listen(values["channel"], event_type, str(target or ""))
        answer = {
            "id": str(uuid.uuid4()),
            "channel": values["channel"],
            "event_type": event_type,
            "target_id": str(target) if target else None,
        }
        return Response(answer, status=status.HTTP_201_CREATED)
