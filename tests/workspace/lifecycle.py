# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The life of a command from its creation to its end."""

from __future__ import annotations

import datetime
import json
import re
import typing as t
import uuid

from django.db import connection, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from workspace import state, sudo, verified
from workspace.models import Chunk, Command, Server

CASCADED = "Cancelled due to prior commmand failure."  # sic: so the real workspace spells it
NEVER_RAN = ("cancelled", "denied", "rejected", "expired")
_CARRIED = re.compile(r"/bin/sh -c \$RUN \S+ sha256:([0-9a-f]{64})")
# The fields that a delivery changes; with `instant`, all of them.
_DELIVERY = ["delivered_at", "delivered_count", "acked_at", "handled_at", "fin_count"]
_DELIVERY += ["success", "exit_code", "elapsed_time", "result"]


def is_hidden(shell: str, line: str, requested: bool) -> bool:
    """Return True for commands that the API never shows: pings and terminal resizes."""
    if shell != "internal":
        return False
    verb = line.split(" ", 1)[0]
    return verb == "resizepty" or (verb in ("ping", "debug") and not requested)


def submit(command: Command) -> None:
    now = timezone.now()
    command.hidden = is_hidden(command.shell, command.line, command.requested_by_id is not None)
    _hold(command, now)
    if not command.forced_status and not state.current.dialect.ignores_run_after and command.run_after:
        parents = Command.objects.filter(id__in=command.run_after)
        if any(p.forced_status in NEVER_RAN or (p.handled_at is not None and not p.success) for p in parents):
            _fail_unrun(command, now)
    waits = not state.current.dialect.ignores_run_after
    due = command.scheduled_at <= now and _is_deliverable(command, waits)
    if due:
        _mark_delivered(command, now)
    command.save(force_insert=True)
    if due:
        _send(command)


def _hold(command: Command, now: datetime.datetime) -> None:
    for rule in state.current.switches.holds:
        named = rule.get("servers", [command.server.name])
        if command.server.name in named and re.search(rule.get("line", ""), command.line):
            command.forced_status = rule["status"]
            if "seconds" in rule:
                command.release_at = now + datetime.timedelta(seconds=rule["seconds"])
                command.release_to = rule.get("then", "")
            return
    if command.shell == "file":
        verified.hold(command, now)


def _is_deliverable(command: Command, waits: bool = True) -> bool:
    """Return True if it can be delivered now; without `waits`, `run_after` is ignored."""
    if command.forced_status or command.delivered_at or command.handled_at:
        return False
    server = command.server
    if not (server.is_connected and server.enabled):
        return False
    if not (command.run_after and waits):
        return True
    return not Command.objects.filter(id__in=command.run_after, handled_at__isnull=True).exists()


def _mark_delivered(command: Command, now: datetime.datetime) -> None:
    command.delivered_at = now
    command.delivered_count += 1
    if state.current.switches.instant and not command.server.agent:
        command.acked_at = command.handled_at = now
        command.fin_count = 1
        command.success, command.exit_code, command.elapsed_time = True, 0, 0.0
        command.result = _instant_result(command.line)
        if command.shell == "internal":
            _act_instantly(command, now)


def _act_instantly(command: Command, now: datetime.datetime) -> None:
    """Restart or upgrade a server without an agent, or store its file, whose content is its path."""
    offered = state.current.switches.offered_version
    if command.line == "upload":
        order = json.loads(command.data or "{}")
        state.current.storage.fill(order["content"], order["path"].encode())
    if command.line == "upgrade" and not offered:
        command.result = "Already up-to-date"
    elif command.line in ("restart", "upgrade"):
        values = {"version": offered} if command.line == "upgrade" else {}
        Server.objects.filter(id=command.server_id).update(started_at=now, **values)


def _instant_result(line: str) -> str:
    """Return the line as output; for a payload, a frame."""
    carried = _CARRIED.fullmatch(line)
    if carried:
        return f"[alpacon {carried[1]}]\n{state.current.switches.instant_carried}[stderr]\n[rc 0]\n[end]\n"
    return f"{line}\n" * state.current.switches.instant_lines


def _send(command: Command) -> None:
    denial = sudo.find_denial(command)
    if denial is not None:
        command.acked_at = command.acked_at or timezone.now()
        finish(command, False, denial, 0.01, 1)
        return
    state.current.hub.send(
        str(command.server_id),
        {
            "query": "command",
            "command": {
                "id": str(command.id),
                "shell": command.shell,
                "line": sudo.strip(command),
                "user": command.username,
                "group": command.groupname,
                "env": command.env or {},
                "allow_sh": command.server.allow_sh,
                "data": command.data or "",
            },
        },
    )


def tick() -> int:
    """Deliver due commands, unless nothing waits and the database has not changed."""
    connection.ensure_connection()
    if connection.connection.total_changes == state.current.idle_since:
        return 0
    delivered = deliver_due()
    undelivered = Q(delivered_at__isnull=True, handled_at__isnull=True, forced_status="")
    is_waiting = Command.objects.filter(undelivered | Q(release_at__isnull=False) | _silent()).exists()
    state.current.idle_since = None if is_waiting else connection.connection.total_changes
    return delivered


def deliver_due(server_id: uuid.UUID | None = None) -> int:
    """Deliver due commands of one server or of all."""
    now = timezone.now()
    if server_id is None:
        _release_held(now)
        _fail_silent(now)
    waiting = Command.objects.filter(
        delivered_at__isnull=True,
        handled_at__isnull=True,
        forced_status="",
        scheduled_at__lte=now,
        server__is_connected=True,
        server__enabled=True,
    )
    if server_id is not None:
        waiting = waiting.filter(server_id=server_id)
    due = [command for command in waiting.select_related("server").order_by("number") if _is_deliverable(command)]
    for command in due:
        _mark_delivered(command, now)
    Command.objects.bulk_update(due, _DELIVERY, batch_size=200)
    for command in due:
        _send(command)
    return len(due)


def _release_held(now: datetime.datetime) -> None:
    for command in Command.objects.filter(release_at__isnull=False, release_at__lte=now):
        command.forced_status, command.release_at = command.release_to, None
        command.save(update_fields=["forced_status", "release_at"])
        if command.forced_status in NEVER_RAN:
            cascade(command)


def _silent() -> Q:
    """Select commands without a result; none if the workspace never gives them up."""
    if state.current.switches.gives_up_after is None:
        return Q(pk=None)
    return Q(delivered_at__isnull=False, handled_at__isnull=True)


def _fail_silent(now: datetime.datetime) -> None:
    """Fail commands that their agent did not acknowledge or finish in time."""
    timeout = state.current.switches.gives_up_after or 0.0
    for command in Command.objects.filter(_silent()):
        since = command.acked_at or command.delivered_at
        if since and (now - since).total_seconds() >= timeout:
            command.error_phase = "agent_timeout" if command.acked_at else "agent_disconnected"
            command.success, command.handled_at, command.forced_status = False, now, ""
            command.save()
            cascade(command)


def acknowledge(command: Command) -> None:
    if command.acked_at is None and command.handled_at is None:
        command.acked_at = timezone.now()
        if command.forced_status == "stuck":
            command.forced_status = ""
        command.save(update_fields=["acked_at", "forced_status"])


def add_chunk(command: Command, seq: int, content: str) -> None:
    Chunk.objects.create(command=command, seq=seq, content=content)
    payload = {"command_id": str(command.id), "seq": seq, "content": content}
    state.current.events.publish("command_output", str(command.id), payload)


def finish(command: Command, success: bool, result: str | None, elapsed: float | None, exit_code: int | None) -> None:
    command.fin_count += 1
    if command.handled_at is not None:
        command.save(update_fields=["fin_count"])
        return
    command.handled_at = timezone.now()
    command.success, command.elapsed_time, command.exit_code = success, elapsed, exit_code
    command.result = result.strip() if result and state.current.dialect.trims_result else result
    command.error_phase = verified.find_refusal(command, exit_code, result)
    command.forced_status = ""
    with transaction.atomic():
        command.save()
        if not success:
            cascade(command)
    state.current.events.publish("command_fin", str(command.server_id), {"id": str(command.id)})


def cascade(parent: Command) -> None:
    """Fail commands that wait for one that failed or never ran."""
    now = timezone.now()
    waiting = Command.objects.filter(~Q(run_after=[]), handled_at__isnull=True)
    for child in [child for child in waiting if str(parent.id) in child.run_after]:
        _fail_unrun(child, now)
        child.save()
        if state.current.dialect.cascades_deep:
            cascade(child)


def _fail_unrun(command: Command, now: datetime.datetime) -> None:
    command.success, command.result, command.handled_at, command.forced_status = False, CASCADED, now, ""


def cancel(command: Command) -> bool:
    """Cancel an undelivered command; return True if its row was deleted."""
    if state.current.switches.cancel_mode == "delete":
        command.delete()
        return True
    if command.forced_status != "cancelled":
        command.forced_status, command.release_at = "cancelled", None
        command.save(update_fields=["forced_status", "release_at"])
        cascade(command)
    return False


def agent_connected(server_id: uuid.UUID, address: str | None) -> None:
    Server.objects.filter(id=server_id).update(is_connected=True, remote_ip=address, last_connectivity=timezone.now())
    deliver_due(server_id)


def agent_disconnected(server_id: uuid.UUID) -> None:
    Server.objects.filter(id=server_id).update(is_connected=False)


def remove_server(server: Server) -> None:
    state.current.hub.disconnect_server(str(server.id))
    server.delete()


def visible_servers(principal: t.Any) -> QuerySet[Server]:
    servers = Server.objects.all()
    if isinstance(principal, Server):
        return servers.filter(id=principal.id)
    if getattr(principal, "is_staff", True):
        return servers
    return servers.filter(groups__in=principal.groups.all()).distinct()


def visible_commands(principal: t.Any) -> QuerySet[Command]:
    commands = Command.objects.filter(hidden=False)
    if isinstance(principal, Server):
        return commands.filter(server_id=principal.id)
    if getattr(principal, "is_staff", True):
        return commands
    return commands.filter(server__in=visible_servers(principal))
