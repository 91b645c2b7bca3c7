# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Creating groups, users, tokens, servers and commands."""

from __future__ import annotations

import datetime
import secrets
import typing as t
import uuid

from django.db import connection, transaction
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from workspace import lifecycle, state
from workspace.models import (
    KINDS_OF_FACTS,
    SINGLE_FACTS,
    TABLES,
    Chunk,
    Command,
    Fact,
    Group,
    Server,
    Token,
    User,
    next_number,
)

Fields = dict[str, t.Any]

_TIMES = {
    *("added_at", "scheduled_at", "delivered_at", "acked_at", "handled_at", "release_at", "boot_time"),
    *("last_connectivity", "started_at", "updated_at"),
}
_NAMES_OF_FACTS = ("name", "username", "groupname", "interface_name")
GROUPS = {"Alpacon users": "alpacon", "Operations": "ops", "Legacy": "legacy"}
TOKENS = ("admin", "bob", "carol", "service", "noacl")
_FINISHED = ("success", "failed", "completed")


def create_tables() -> None:
    with connection.schema_editor() as editor:
        for table in TABLES:
            editor.create_model(table)


def moment(value: t.Any) -> datetime.datetime | None:
    if value is None or isinstance(value, datetime.datetime):
        return value
    if isinstance(value, (int, float)):
        return timezone.now() + datetime.timedelta(seconds=value)
    parsed = parse_datetime(value)
    if parsed is None:
        raise ValueError(f"not a time: {value!r}")
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=datetime.UTC)


def _times_read(values: Fields) -> Fields:
    return {name: moment(value) if name in _TIMES else value for name, value in values.items()}


def _fixed_id(kind: str, name: str) -> uuid.UUID:
    return uuid.uuid5(uuid.NAMESPACE_URL, f"alpacon:{kind}:{name}")


@transaction.atomic
def fresh_workspace() -> None:
    for name, groupname in GROUPS.items():
        add_group(id=_fixed_id("group", name), name=name, groupname=groupname)
    users: list[Fields] = [
        {"username": "admin", "is_staff": True, "is_superuser": True, "groups": list(GROUPS)},
        {"username": "bob", "full_name": "Bob Builder", "groups": ["Alpacon users", "Operations"]},
        {"username": "carol", "full_name": "Carol Keeper", "groups": ["Alpacon users"]},
    ]
    for user in users:
        name = user["username"]
        add_user(id=_fixed_id("user", str(name)), email=f"{name}@example.com", **user)
    add_token("service", user=None, prefix="alpst", username="ansible")
    add_token("noacl", user="admin", acl=[], file_acl=[])


def add_group(**fields: t.Any) -> Group:
    Group.objects.filter(name=fields["name"]).delete()
    return Group.objects.create(**{"groupname": fields["name"].lower()[:64], **fields})


def add_user(groups: list[str] | None = None, **fields: t.Any) -> User:
    """Create a user and a token of that name; replace an existing user but keep its tokens."""
    old = User.objects.filter(username=fields["username"]).first()
    keys = dict(Token.objects.filter(user=old).values_list("name", "key")) if old else {}
    acls = dict(Token.objects.filter(user=old).values_list("name", "acl")) if old else {}
    number = old.number if old else User.objects.count() + 1
    if old:
        old.delete()
    user = User.objects.create(**{"number": number, "email": f"{fields['username']}@example.com", **fields})
    user.groups.set(_groups(groups or []))
    for name in {user.username: None, **keys}:
        add_token(name, user=user.username, key=keys.get(name), acl=acls.get(name))
    return user


def add_token(
    name: str,
    user: str | None,
    prefix: str = "alpat",
    key: str | None = None,
    acl: list[str] | None = None,
    file_acl: list[str] | None = None,
    username: str = "",
) -> Token:
    Token.objects.filter(name=name).delete()
    token = Token.objects.create(
        name=name,
        key=key or f"{prefix}-{secrets.token_hex(20)}",
        user=User.objects.get(username=user) if user else None,
        acl=["*"] if acl is None else acl,
        file_acl=["*"] if file_acl is None else file_acl,
        username=username,
    )
    state.current.traffic.token_names[token.key] = name
    return token


def _groups(names: list[str]) -> list[Group]:
    found = {group.name: group for group in Group.objects.all()}
    found |= {str(group.id): group for group in found.values()}
    return [found[name] for name in names]


def server_names(count: int) -> list[str]:
    width = max(2, len(str(count)))
    return [f"web-{number:0{width}d}" for number in range(1, count + 1)]


@transaction.atomic
def add_servers(names: list[str], groups: list[str] | None = None, **fields: t.Any) -> list[Server]:
    """Create servers. By default every second one is in the group of all users too."""
    owner = User.objects.get(username=fields.pop("owner", "admin"))
    connected = fields.pop("connected", None)
    facts = fields.pop("facts", {})
    if connected is not None and not fields.get("agent"):
        fields["is_connected"] = connected
    known = {field.name for field in Server._meta.get_fields()}
    unknown = set(fields) - known
    if unknown:
        raise ValueError(f"unknown fields: {', '.join(sorted(unknown))}")
    fields = _times_read(fields)
    servers = Server.objects.bulk_create([Server(name=name, owner=owner, **fields) for name in names])
    links = []
    for position, server in enumerate(servers):
        chosen = groups
        if chosen is None:
            chosen = ["Operations"] if position % 2 == 0 else ["Alpacon users", "Operations"]
        links += [Server.groups.through(server_id=server.id, group_id=group.id) for group in _cached_groups(chosen)]
    Server.groups.through.objects.bulk_create(links)
    add_facts(servers, facts)
    _groups_by_choice.clear()
    start_agents([server for server in servers if server.agent and connected is not False])
    return servers


def check_kinds(facts: t.Iterable[str]) -> None:
    """Refuse facts that no route lists."""
    unknown = sorted(set(facts) - set(KINDS_OF_FACTS))
    if unknown:
        raise ValueError(f"unknown kinds of facts: {', '.join(unknown)}; tests/workspace/models.py has the known ones")


def add_facts(servers: list[Server], facts: Fields) -> None:
    """Add what servers reported: lists of rows by kind, with the time `added_at` if wanted, or the cells of metrics."""
    check_kinds(facts)
    made = []
    for kind, rows in facts.items():
        for row in rows:
            values = dict(row)
            stated = values.pop("added_at", 0)
            name = next((values[key] for key in _NAMES_OF_FACTS if key in values), "")
            own = {"kind": kind, "name": "" if kind in SINGLE_FACTS else name, "values": values}
            made += [Fact(server=server, added_at=moment(stated), **own) for server in servers]
    Fact.objects.bulk_create(made, batch_size=500)


_groups_by_choice: dict[tuple[str, ...], list[Group]] = {}


def _cached_groups(names: list[str]) -> list[Group]:
    key = tuple(names)
    if key not in _groups_by_choice:
        _groups_by_choice[key] = _groups(names)
    return _groups_by_choice[key]


#: The version of every server that is not changed.
AGENT_VERSION = Server._meta.get_field("version").default
#: What agents go by.
AGENT_SWITCHES = (
    *("output", "ack_delay", "line_seconds", "repeat_unit", "offered_version", "pinned_version", "unhealthy_versions"),
    *("health_window", "upgrade_seconds", "restart_delay", "pam_servers", "file_roots"),
)


def agent_options() -> Fields:
    return {name: getattr(state.current.switches, name) for name in AGENT_SWITCHES}


def start_agents(servers: list[Server]) -> None:
    """Start agents, and record their start here: a thousand reports would take long."""
    options = agent_options()
    orders = [
        {
            "id": str(server.id),
            "name": server.name,
            "key": server.key,
            "accounts": server.accounts,
            "version": server.version,
            "options": {**options, "output": server.output or options["output"]},
        }
        for server in servers
    ]
    if orders:
        Server.objects.filter(id__in=[server.id for server in servers]).update(started_at=timezone.now())
        state.current.fleet.send("start", servers=orders)


@transaction.atomic
def add_commands(rows: list[Fields]) -> list[Command]:
    """Create past commands: fields of a command, `server` by name, `requested_by` by username, and `chunks`."""
    servers = {server.name: server for server in Server.objects.all()}
    servers |= {str(server.id): server for server in servers.values()}
    users: dict[str | None, User | None] = {None: None}
    users |= {user.username: user for user in User.objects.all()}
    first = next(iter(servers.values()), None)
    commands, chunks = [], []
    for row in rows:
        row = dict(row)
        pieces = row.pop("chunks", [])
        server = servers[row.pop("server")] if "server" in row else first
        requester = users[row.pop("requested_by", "admin")]
        command = Command(server=server, requested_by=requester, number=next_number(), **_command_fields(row))
        command.hidden = lifecycle.is_hidden(command.shell, command.line, requester is not None)
        commands.append(command)
        chunks += [_chunk(command, position, piece) for position, piece in enumerate(pieces)]
    Command.objects.bulk_create(commands, batch_size=500)
    Chunk.objects.bulk_create(chunks, batch_size=500)
    return commands


def _command_fields(row: Fields) -> Fields:
    """Add the fields that a row with this status has."""
    status = row.pop("status", None)
    fields = {"line": "true", "username": "root", "groupname": "root", **_times_read(row)}
    added = fields.setdefault("added_at", fields.get("scheduled_at") or timezone.now())
    fields.setdefault("scheduled_at", added)
    if status in _FINISHED:
        fields.setdefault("delivered_at", added)
        fields.setdefault("acked_at", fields["delivered_at"])
        fields.setdefault("handled_at", fields["acked_at"])
        fields.setdefault("success", status != "failed")
        fields.setdefault("exit_code", 0 if fields["success"] else 1)
        fields.setdefault("elapsed_time", 0.01)
        fields.setdefault("result", "")
        fields["forced_status"] = status if status == "completed" else ""
    elif status in ("delivered", "running"):
        fields.setdefault("delivered_at", added)
        if status == "running":
            fields.setdefault("acked_at", fields["delivered_at"])
    elif status not in (None, "queued", "scheduled"):
        fields["forced_status"] = status
    return fields


def _chunk(command: Command, position: int, piece: t.Any) -> Chunk:
    """Create a chunk from a text or from {seq, content, delay}."""
    if isinstance(piece, str):
        piece = {"content": piece}
    visible = timezone.now() + datetime.timedelta(seconds=piece.get("delay", 0))
    return Chunk(command=command, seq=piece.get("seq", position), content=piece["content"], visible_at=visible)


def change_command(command: Command, values: Fields) -> Command:
    """Change fields of a command; `status` forces a status, an empty one removes it."""
    values = dict(values)
    chunks = values.pop("chunks", [])
    if "status" in values:
        status = values.pop("status")
        if status in _FINISHED or status in ("delivered", "running"):
            values = _command_fields(
                {"status": status, "added_at": command.added_at, "scheduled_at": command.scheduled_at, **values}
            )
            for name in ("line", "username", "groupname"):
                values.pop(name, None)
            values.setdefault("forced_status", "")
        else:
            values["forced_status"] = "" if status in ("queued", "scheduled", None) else status
    for name, value in _times_read(values).items():
        if not hasattr(command, name):
            raise ValueError(f"unknown field: {name}")
        setattr(command, name, value)
    command.save()
    start = Chunk.objects.filter(command=command).count()
    Chunk.objects.bulk_create([_chunk(command, start + position, piece) for position, piece in enumerate(chunks)])
    if command.forced_status in lifecycle.NEVER_RAN:
        lifecycle.cascade(command)
    return command
