# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The API for agents: HTTP routes and two websockets. Plain Django, because it is the busiest part."""

from __future__ import annotations

import datetime
import functools
import json
import typing as t
import uuid

from channels.generic.websocket import AsyncWebsocketConsumer
from django.core.exceptions import ValidationError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone

from workspace import auth, lifecycle, seeding, state
from workspace.models import MULTI_FACTS, SINGLE_FACTS, Command, Fact, Server

View = t.Callable[..., HttpResponse]


def agent_only(view: View) -> View:
    """Pass the server of the requesting agent to the view."""

    @functools.wraps(view)
    def wrapped(request: HttpRequest, **arguments: t.Any) -> HttpResponse:
        header = request.META.get("HTTP_AUTHORIZATION", "")
        server = auth.server_of(header)
        if server is None:
            return auth.refusal(header)
        return view(request, server, **arguments)

    return wrapped


def _for_command(view: t.Callable[[Command, dict[str, t.Any]], None]) -> View:
    @functools.wraps(view)
    def wrapped(request: HttpRequest, pk: uuid.UUID) -> JsonResponse:
        pairs = auth.header_pairs(request.META.get("HTTP_AUTHORIZATION", ""))
        try:
            # One query finds the command and proves the agent's key.
            command = Command.objects.get(id=pk, server_id=pairs.get("id"), server__key=pairs.get("key", ""))
        except (Command.DoesNotExist, ValidationError):
            return JsonResponse({"detail": "Not found."}, status=404)
        view(command, json.loads(request.body or b"{}"))
        return JsonResponse({})

    return wrapped


@_for_command
def acknowledge(command: Command, body: dict[str, t.Any]) -> None:
    lifecycle.acknowledge(command)


@_for_command
def chunk(command: Command, body: dict[str, t.Any]) -> None:
    lifecycle.add_chunk(command, int(body["seq"]), body["content"])


@_for_command
def finish(command: Command, body: dict[str, t.Any]) -> None:
    exit_code = body.get("exit_code")
    lifecycle.finish(command, bool(body.get("success")), body.get("result"), body.get("elapsed_time"), exit_code)


@_for_command
def reject(command: Command, body: dict[str, t.Any]) -> None:
    lifecycle.finish(command, False, f"Rejected by the agent: {body.get('reason', '')}", None, None)


@agent_only
def own_server(request: HttpRequest, server: Server) -> JsonResponse:
    row = state.current.dialect.server_row(server, detail=True)
    return JsonResponse(row | {"version": server.version})


@agent_only
def commit(request: HttpRequest, server: Server) -> JsonResponse:
    body = json.loads(request.body or b"{}")
    info, system = body.get("info") or {}, body.get("os") or {}
    boot_time = (body.get("time") or {}).get("boot_time")
    hardware = ("cpu_type", "cpu_physical_cores", "cpu_logical_cores", "physical_memory")
    values = {
        "commissioned": True,
        **{name: body.get(name) for name in ("version", "load")},
        **{name: info.get(name) for name in hardware},
        "os_name": system.get("name"),
        "os_version": system.get("version"),
        "platform": system.get("platform"),
        "boot_time": datetime.datetime.fromtimestamp(boot_time, datetime.UTC) if boot_time else None,
    }
    known = {name: value for name, value in values.items() if value is not None}
    hashes = server.sync_hashes | (body.get("sync_hashes") or {})
    Server.objects.filter(id=server.id).update(updated_at=timezone.now(), sync_hashes=hashes, **known)
    stated = {kind: body[kind] for kind in (*SINGLE_FACTS, *MULTI_FACTS) if body.get(kind) is not None}
    Fact.objects.filter(server=server, kind__in=stated).delete()
    seeding.add_facts([server], {kind: _as_list(rows) for kind, rows in stated.items()})
    return JsonResponse({})


def _as_list(body: t.Any) -> list[t.Any]:
    return body if isinstance(body, list) else [body]


@agent_only
def sync(request: HttpRequest, server: Server) -> JsonResponse:
    body = json.loads(request.body or b"{}")
    known = {name: body[name] for name in ("version", "load") if body.get(name) is not None}
    Server.objects.filter(id=server.id).update(updated_at=timezone.now(), **known)
    return JsonResponse({})


@agent_only
def access_policy(request: HttpRequest, server: Server) -> JsonResponse:
    return JsonResponse({"block_local_sudo": False, "detect_local_access": False})


@agent_only
def event(request: HttpRequest, server: Server) -> JsonResponse:
    body = json.loads(request.body or b"{}")
    if body.get("record") == "started":
        Server.objects.filter(id=server.id).update(started_at=timezone.now())
    return JsonResponse({}, status=201)


@agent_only
def sync_check(request: HttpRequest, server: Server) -> JsonResponse:
    """Name the kinds of facts whose hash is not the one of the report before."""
    hashes = json.loads(request.body or b"{}").get("hashes") or {}
    return JsonResponse({"sync_required": [kind for kind in hashes if server.sync_hashes.get(kind) != hashes[kind]]})


@agent_only
def report(request: HttpRequest, server: Server, kind: str, pk: uuid.UUID | None = None) -> JsonResponse:
    """Add, change or delete facts; drop reports of anything else."""
    if kind in (*SINGLE_FACTS, *MULTI_FACTS):
        old = Fact.objects.filter(server=server, kind=kind)
        old = old.filter(id=pk) if pk or kind in MULTI_FACTS else old
        body = json.loads(request.body or b"null")
        if request.method != "POST" or kind in SINGLE_FACTS:
            old.delete()
        if request.method != "DELETE":
            seeding.add_facts([server], {kind: _as_list(body)})
        if "X-Sync-Hash" in request.headers:
            hashes = server.sync_hashes | {kind: request.headers["X-Sync-Hash"]}
            Server.objects.filter(id=server.id).update(sync_hashes=hashes)
    return JsonResponse({})


@agent_only
def facts_to_sync(request: HttpRequest, server: Server, kind: str) -> JsonResponse:
    """Return what the server has of this kind: a list, or an object of kinds with a single row."""
    rows = [{"id": str(fact.id), **fact.values} for fact in Fact.objects.filter(server=server, kind=kind)]
    if kind not in SINGLE_FACTS:
        return JsonResponse(rows, safe=False)
    return JsonResponse(rows[0]) if rows else JsonResponse({"detail": "Not found."}, status=404)


@agent_only
def no_metrics(request: HttpRequest, server: Server) -> JsonResponse:
    return JsonResponse([], safe=False)


def accept_any(request: HttpRequest, rest: str) -> HttpResponse:
    """Accept and drop all other reports of the genuine agent."""
    if auth.is_agent(request.META.get("HTTP_AUTHORIZATION", "")):
        return agent_only(lambda request, server: JsonResponse({}))(request)
    if state.current.dialect.name == "2024":
        raise Http404
    return JsonResponse({"detail": "Not found."}, status=404)


class Socket(AsyncWebsocketConsumer):  # type: ignore[misc]
    server_id: uuid.UUID | None = None

    async def connect(self) -> None:
        header = dict(self.scope["headers"]).get(b"authorization", b"").decode("latin-1")
        server = auth.server_of(header)
        if server is None or not server.enabled:
            await self.close()
            return
        self.server_id = server.id
        await self.accept()
        await self.on_connect()

    async def on_connect(self) -> None:
        pass

    async def frame(self, event: dict[str, t.Any]) -> None:
        await self.send(text_data=event["text"])

    async def hangup(self, event: dict[str, t.Any]) -> None:
        await self.close()


class Control(Socket):
    """The control websocket, which stays silent."""

    async def on_connect(self) -> None:
        state.current.hub.attach_silent(str(self.server_id), self.channel_name)

    async def disconnect(self, code: int) -> None:
        if self.server_id is not None:
            state.current.hub.detach_silent(str(self.server_id), self.channel_name)


class Backhaul(Socket):
    async def on_connect(self) -> None:
        assert self.server_id is not None
        hub = state.current.hub
        previous = hub.attach(str(self.server_id), self.channel_name)
        if previous is not None:
            hub.quit(previous, "Another session of this server has connected.")
        lifecycle.agent_connected(self.server_id, self.scope["client"][0])

    async def disconnect(self, code: int) -> None:
        if self.server_id is not None and state.current.hub.detach(str(self.server_id), self.channel_name):
            lifecycle.agent_disconnected(self.server_id)
