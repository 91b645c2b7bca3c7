# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The control API under /_control/: tests and demos prepare the workspace and read its data."""

from __future__ import annotations

import json
import typing as t

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone

from workspace import auth, lifecycle, registration, seeding, state, sudo, verified
from workspace.faults import AGENT_KINDS, Fault
from workspace.models import Approval, Chunk, Command, Fact, Group, RegistrationToken, Server, Token, Transfer, User

_SERVER = (
    *("name", "key", "agent", "is_connected", "enabled", "commissioned", "version", "platform", "tags"),
    *("registered_with", "description", "offline_alert_enabled"),
)
_COMMAND = ("shell", "line", "username", "data", "success", "exit_code", "created_by_request", "delivered_count")

Body = t.Any
Answer = t.Any


def dispatch(request: HttpRequest, route: str) -> HttpResponse:
    parts = [part for part in route.split("/") if part]
    handler = ROUTES.get((request.method or "", parts[0] if parts else "", len(parts)))
    if handler is None:
        return JsonResponse({"error": "no such control route"}, status=404)
    try:
        body = json.loads(request.body or b"null")
        return JsonResponse(handler(request, body, *parts[1:]), safe=False)
    except (ValueError, TypeError, KeyError, Command.DoesNotExist, Server.DoesNotExist, User.DoesNotExist) as error:
        return JsonResponse({"error": f"{type(error).__name__}: {error}"}, status=400)


def get_state(request: HttpRequest, body: Body) -> Answer:
    current = state.current
    return {
        "dialect": current.dialect.name,
        "url": current.url,
        "switches": vars(current.switches),
        "tokens": {token.name: token.key for token in Token.objects.all()},
        "users": [
            {"id": str(user.id), "number": user.number, "username": user.username} for user in User.objects.all()
        ],
        "groups": [{"id": str(group.id), "name": group.name} for group in Group.objects.all()],
        "servers": [
            {
                **{name: getattr(server, name) for name in _SERVER},
                "id": str(server.id),
                "groups": [group.name for group in server.groups.all()],
            }
            for server in Server.objects.prefetch_related("groups")
        ],
        "registration_tokens": get_registration_tokens(request, body),
        "commands": Command.objects.count(),
    }


def reset(request: HttpRequest, body: Body) -> Answer:
    """Restore the initial state: no commands, no faults, initial servers, users, tokens and switches."""
    current = state.current
    _forget_commands()
    Transfer.objects.all().delete()
    Approval.objects.all().delete()
    current.storage.clear()
    Chunk.objects.all().delete()
    Command.objects.all().delete()
    Fact.objects.all().delete()
    for server in Server.objects.exclude(id__in=current.initial["servers"]):
        _remove(server)
    if current.fleet.started:
        # An agent may have a version that it has not reported yet.
        current.fleet.send("change", accounts="", version=seeding.AGENT_VERSION)
    # A test may have replaced the owner by another user of that name.
    owner = User.objects.filter(username="admin").first()
    Server.objects.update(
        enabled=True,
        commissioned=True,
        output="",
        allow_sh=True,
        accounts="",
        sync_hashes={},
        owner=owner,
        description="",
        offline_alert_enabled=True,
    )
    Server.objects.filter(agent=True).update(version=seeding.AGENT_VERSION)
    RegistrationToken.objects.all().delete()
    current.faults.http.clear()
    current.faults.agent.clear()
    if current.fleet.started:
        current.fleet.send("set_faults", faults=[])
    current.switches.change(current.initial["switches"])
    _agents_follow_switches()
    current.replica.follow(current.switches.read_lag)
    Token.objects.exclude(name__in=seeding.TOKENS).delete()
    User.objects.exclude(username__in=seeding.TOKENS).delete()
    Token.objects.exclude(name="noacl").update(acl=["*"], file_acl=["*"])
    Token.objects.filter(name="noacl").update(acl=[], file_acl=[])
    gone = Server.objects.filter(id__in=current.initial["servers"], agent=True, is_connected=False)
    seeding.start_agents(list(gone))
    Server.objects.filter(agent=False).update(is_connected=True)
    counters_reset(request, body)
    current.traffic.log.clear()
    auth.TokenThrottle.cache.clear()
    return {}


def _forget_commands() -> None:
    """Tell agents to drop the newest delivered commands, which are about to be deleted."""
    under_way = Command.objects.filter(server__agent=True, delivered_at__isnull=False)
    ids = [str(key) for key in under_way.order_by("-number").values_list("id", flat=True)[:1000]]
    if ids and state.current.fleet.started:
        state.current.fleet.send("forget", ids=ids)


def settings(request: HttpRequest, body: Body) -> Answer:
    """Change switches; `acl` and `file_acl` set the patterns of a token: {"acl": {"bob": ["uptime", "df *"]}}."""
    body = dict(body)
    for kind in ("acl", "file_acl"):
        for name, patterns in body.pop(kind, {}).items():
            if not Token.objects.filter(name=name).update(**{kind: patterns}):
                raise ValueError(f"no token named {name}")
    state.current.switches.change(body)
    if set(seeding.AGENT_SWITCHES) & set(body):
        _agents_follow_switches()
    if "throttle" in body:
        auth.TokenThrottle.cache.clear()
    state.current.replica.follow(state.current.switches.read_lag)
    return vars(state.current.switches)


def _agents_follow_switches() -> None:
    if Server.objects.filter(agent=True).exists():
        state.current.fleet.send("options", options=seeding.agent_options())


def counters(request: HttpRequest, body: Body) -> Answer:
    return state.current.traffic.counters()


def counters_reset(request: HttpRequest, body: Body) -> Answer:
    state.current.traffic.reset()
    return {}


def log(request: HttpRequest, body: Body) -> Answer:
    return list(state.current.traffic.log)[-int(request.GET.get("last", 1000)) :]


def get_commands(request: HttpRequest, body: Body) -> Answer:
    """Return stored commands, oldest first; filter by ?server=, ?line= and ?id=."""
    commands = Command.objects.select_related("server", "requested_by").order_by("number")
    query = request.GET
    if "server" in query:
        commands = commands.filter(server__name=query["server"])
    if "line" in query:
        commands = commands.filter(line=query["line"])
    if "id" in query:
        commands = commands.filter(id=query["id"])
    return [_describe_command(command) for command in commands]


def _describe_command(command: Command) -> dict[str, t.Any]:
    times = {name: getattr(command, name) for name in ("added_at", "scheduled_at", "delivered_at", "handled_at")}
    return {
        **{name: getattr(command, name) for name in (*_COMMAND, "fin_count", "purpose", "sudo_grant_status")},
        **{name: moment.isoformat() if moment else None for name, moment in times.items()},
        "id": str(command.id),
        "server": command.server.name,
        "status": command.status_at(timezone.now(), state.current.switches.stuck_after),
        "result_begin": (command.result or "")[:200],
        "requested_by": command.requested_by.username if command.requested_by else None,
        "token": command.created_by_token,
        "declared_agent": command.declared_agent,
        # Agents from outside, and servers without one, do not record their runs.
        "run_count": state.current.fleet.count_runs()[str(command.id)]
        if command.server.agent
        else min(1, command.fin_count),
        "env_keys": sorted(command.env or {}),
        "work_session": str(command.work_session) if command.work_session else None,
    }


def get_transfers(request: HttpRequest, body: Body) -> Answer:
    names = ("kind", "path", "name", "username", "groupname", "allow_overwrite", "starts")
    transfers = Transfer.objects.select_related("server").order_by("added_at")
    return [
        {
            **{name: getattr(transfer, name) for name in names},
            "id": str(transfer.id),
            "server": transfer.server.name,
            "command": str(transfer.command_id) if transfer.command_id else None,
        }
        for transfer in transfers
    ]


def get_storage(request: HttpRequest, body: Body) -> Answer:
    return {"url": state.current.storage.url, "log": list(state.current.storage.log)}


def post_commands(request: HttpRequest, body: Body) -> Answer:
    """Create past commands: a list of rows, or {count, template} with "{n}" for the row's number."""
    rows = body if isinstance(body, list) else list(_from_template(body["count"], body.get("template", {})))
    return [str(command.id) for command in seeding.add_commands(rows)]


def _from_template(count: int, template: dict[str, t.Any]) -> t.Iterator[dict[str, t.Any]]:
    """Yield rows `step` seconds apart (default -1), starting at `added_at` or now."""
    step = template.pop("step", -1)
    names = template.pop("servers", None)
    start = seeding.moment(template.pop("added_at", 0))
    assert start is not None
    for number in range(count):
        row = {
            key: value.replace("{n}", str(number)) if isinstance(value, str) else value
            for key, value in template.items()
        }
        if names:
            row["server"] = names[number % len(names)]
        yield {"added_at": start + seeding.datetime.timedelta(seconds=step * number), **row}


def patch_command(request: HttpRequest, body: Body, key: str) -> Answer:
    return _describe_command(seeding.change_command(Command.objects.get(id=key), body))


def review_command(request: HttpRequest, body: Body, key: str, decision: str) -> Answer:
    """Decide on a held verified file, with {days} for which an approval stands, or on a denied sudo."""
    command = Command.objects.select_related("server").get(id=key)
    if command.sudo_grant_status and decision in sudo.DECISIONS:
        sudo.decide(command, decision)
    elif decision in ("approve", "reject"):
        verified.decide(command, decision == "approve", **dict(body or {}))
    else:
        raise ValueError(f"no such decision: {decision}")
    return {}


def delete_command(request: HttpRequest, body: Body, key: str) -> Answer:
    Command.objects.get(id=key).delete()
    return {}


def post_servers(request: HttpRequest, body: Body) -> Answer:
    """Create servers: {names, connected, commissioned, enabled, groups, agent, facts, ...}, or a list of them."""
    made = []
    for fields in body if isinstance(body, list) else [body]:
        fields = dict(fields)
        names = fields.pop("names", None) or [fields.pop("name")]
        made += seeding.add_servers(names, **fields)
    return [{"id": str(server.id), "name": server.name, "key": server.key} for server in made]


def patch_server(request: HttpRequest, body: Body, name: str) -> Answer:
    server = Server.objects.get(name=name)
    facts = body.pop("facts", {})
    Fact.objects.filter(server=server, kind__in=facts).delete()
    seeding.add_facts([server], facts)
    for field, value in seeding._times_read(body).items():
        if not hasattr(server, field):
            raise ValueError(f"unknown field: {field}")
        setattr(server, field, value)
    server.save()
    if "output" in body and server.agent:
        options = {"output": server.output or state.current.switches.output}
        state.current.fleet.send("options", id=str(server.id), options=options)
    if {"accounts", "version"} & set(body) and server.agent:
        state.current.fleet.send("change", id=str(server.id), accounts=server.accounts, version=server.version)
    return {"id": str(server.id), "name": server.name}


def delete_server(request: HttpRequest, body: Body, name: str) -> Answer:
    _remove(Server.objects.get(name=name))
    return {}


def _remove(server: Server) -> None:
    _disconnect(server)
    server.delete()


def connection(request: HttpRequest, body: Body, name: str, action: str) -> Answer:
    server = Server.objects.get(name=name)
    if action == "connect":
        if server.agent:
            seeding.start_agents([server])
        else:
            lifecycle.agent_connected(server.id, None)
    elif action == "disconnect":
        _disconnect(server)
    else:
        raise ValueError(f"no such action: {action}")
    return {}


def events(request: HttpRequest, body: Body, action: str) -> Answer:
    """Close the websockets of clients, or send a frame to them."""
    if action == "drop":
        return state.current.events.drop()
    state.current.events.send(str(body))
    return None


def _disconnect(server: Server) -> None:
    if server.agent:
        state.current.fleet.send("stop", id=str(server.id))
    state.current.hub.disconnect_server(str(server.id))
    lifecycle.agent_disconnected(server.id)


def post_users(request: HttpRequest, body: Body) -> Answer:
    users = [seeding.add_user(**fields) for fields in (body if isinstance(body, list) else [body])]
    return {user.username: Token.objects.get(name=user.username).key for user in users}


def post_tokens(request: HttpRequest, body: Body) -> Answer:
    tokens = [seeding.add_token(**fields) for fields in (body if isinstance(body, list) else [body])]
    return {token.name: token.key for token in tokens}


def post_groups(request: HttpRequest, body: Body) -> Answer:
    groups = [seeding.add_group(**fields) for fields in (body if isinstance(body, list) else [body])]
    return {group.name: str(group.id) for group in groups}


def get_registration_tokens(request: HttpRequest, body: Body) -> Answer:
    tokens = RegistrationToken.objects.prefetch_related("allowed_groups")
    return [registration.token_row(token) | {"key": token.key} for token in tokens]


def post_registration_tokens(request: HttpRequest, body: Body) -> Answer:
    """Create a token: {name, groups: [names], expires_at, enabled, description, key}."""
    fields = dict(body)
    if "expires_at" in fields:
        fields["expires_at"] = seeding.moment(fields["expires_at"])
    groups = Group.objects.filter(name__in=fields.pop("groups", []))
    token = registration.add_token(groups, **fields)
    return registration.token_row(token) | {"key": token.key}


def get_faults(request: HttpRequest, body: Body) -> Answer:
    faults = state.current.faults
    return [fault.describe() for fault in faults.http] + faults.agent


def post_faults(request: HttpRequest, body: Body) -> Answer:
    faults = state.current.faults
    wanted = body if isinstance(body, list) else [body]
    agent = [fault for fault in wanted if fault.get("kind") in AGENT_KINDS]
    faults.http += [Fault(**fault) for fault in wanted if fault not in agent]
    if agent:
        faults.agent += agent
        state.current.fleet.send("add_faults", faults=agent)
    return get_faults(request, None)


def delete_faults(request: HttpRequest, body: Body) -> Answer:
    faults = state.current.faults
    faults.http.clear()
    if faults.agent:
        faults.agent.clear()
        state.current.fleet.send("set_faults", faults=[])
    return {}


# by method, first part of the path, and number of parts
ROUTES: dict[tuple[str, str, int], t.Callable[..., Answer]] = {
    ("GET", "state", 1): get_state,
    ("POST", "reset", 1): reset,
    ("POST", "settings", 1): settings,
    ("GET", "counters", 1): counters,
    ("POST", "counters", 2): lambda request, body, action: counters_reset(request, body),
    ("GET", "log", 1): log,
    ("POST", "events", 2): events,
    ("GET", "commands", 1): get_commands,
    ("GET", "transfers", 1): get_transfers,
    ("GET", "storage", 1): get_storage,
    ("POST", "commands", 1): post_commands,
    ("PATCH", "commands", 2): patch_command,
    ("DELETE", "commands", 2): delete_command,
    ("POST", "commands", 3): review_command,
    ("POST", "servers", 1): post_servers,
    ("PATCH", "servers", 2): patch_server,
    ("DELETE", "servers", 2): delete_server,
    ("POST", "servers", 3): connection,
    ("POST", "users", 1): post_users,
    ("POST", "tokens", 1): post_tokens,
    ("POST", "groups", 1): post_groups,
    ("GET", "registration-tokens", 1): get_registration_tokens,
    ("POST", "registration-tokens", 1): post_registration_tokens,
    ("GET", "faults", 1): get_faults,
    ("POST", "faults", 1): post_faults,
    ("DELETE", "faults", 1): delete_faults,
}
