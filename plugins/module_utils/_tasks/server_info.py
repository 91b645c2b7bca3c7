# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a task that lists servers means; options in, result out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from itertools import islice
from typing import TYPE_CHECKING, Any, Callable

from ansible.module_utils.common.text.converters import to_text

from .._api.client import Client
from .._api.errors import ApiError, UsageError, did_you_mean
from .._api.records import is_uuid, normalize_uuid, parse_owner, to_plain_data
from .._api.servers import SERVERS_PATH, query_servers, suggest_server
from .._api.settings import Warn
from .._fleet.run import Run
from .._options.connection import CONNECTION, parse_settings
from .._options.values import check_limit, parse_boolean, split_list

if TYPE_CHECKING:
    from .._api.client import Client

GROUPS_PATH = "/api/iam/groups/"
#: What a server is described by, where its row says it; nothing else of a row comes out.
FIELDS = (
    "id",
    "name",
    "description",
    "remote_ip",
    "is_connected",
    "commissioned",
    "starred",
    "status",
    "os_name",
    "os_version",
    "platform",
    "version",
    "osquery_version",
    "cpu_physical_cores",
    "cpu_logical_cores",
    "cpu_type",
    "physical_memory",
    "load",
    "uptime",
    "boot_time",
    "last_connectivity",
    "started_at",
    "added_at",
    "updated_at",
    "owner",
    "groups",
    "is_root",
    "offline_alert_enabled",
    "tags",
)
#: Fields that names, groups and filters are made of, by what they can be.
_TEXTS = frozenset(("id", "name", "os_name", "platform"))
_FLAGS = frozenset(("is_connected", "commissioned"))
#: Filters, and the field that each is about.
FILTERS = {
    "connected": "is_connected",
    "commissioned": "commissioned",
    "name": "name",
    "os": "os_name",
    "platform": "platform",
    "groups": "groups",
    "tags": "tags",
}

#: How deep a field may be nested, and how many entries and characters it may have. Ansible gives up at 300 levels.
_DEEPEST, _LONGEST = 20, 100_000
#: So many groups are named where one is not found.
_NAMED_GROUPS = 10

#: A server as tasks and inventories give it: :data:`FIELDS`, in plain JSON types.
Described = dict[str, Any]


@dataclass(frozen=True)
class ServerFilter:
    """Which servers to look for. What is None or empty is not asked for.

    Servers ignore filters that they do not know, so :meth:`accepts` decides over every server.
    """

    connected: bool | None = None
    commissioned: bool | None = None
    name: tuple[str, ...] = ()
    os: tuple[str, ...] = ()
    platform: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    tags: Mapping[str, str | None] = field(default_factory=dict)

    @classmethod
    def from_options(cls, filters: Any) -> ServerFilter:
        """Check the option C(filters); UsageError says which part of it is wrong."""
        given = {} if filters is None else filters
        if not isinstance(given, Mapping):
            raise UsageError("filters", f"'{given}' is not a dictionary", f"Give some of {', '.join(FILTERS)}.")
        for name in given:
            if name not in FILTERS:
                hint = did_you_mean(name, FILTERS, f"Give some of {', '.join(FILTERS)}.")
                raise UsageError("filters", f"there is no filter {name}", hint)
        return cls(
            connected=_flag("connected", given.get("connected")),
            commissioned=_flag("commissioned", given.get("commissioned")),
            name=_texts("name", given.get("name")),
            os=_texts("os", given.get("os")),
            platform=_texts("platform", given.get("platform")),
            groups=_texts("groups", given.get("groups"), may_have_commas=True),
            tags=_tags(given.get("tags")),
        )

    @property
    def parameters(self) -> dict[str, str]:
        """What of it the API filters, as query parameters."""
        asked = {}
        if self.commissioned is not None:
            asked["commissioned"] = str(self.commissioned).lower()
        name, group = _only(self.name), _only(self.groups)
        if name and not set(name) & set("*?["):
            asked["name"] = name
        if is_uuid(group):
            asked["groups"] = normalize_uuid(group)
        return asked

    @property
    def fields(self) -> dict[str, str]:
        """The filters that are set, and the field that each is about."""
        return {name: about for name, about in FILTERS.items() if getattr(self, name) not in (None, (), {})}

    def accepts(self, server: Described) -> bool:
        """Whether a described server is wanted."""
        return (
            self.connected in (None, server.get("is_connected"))
            and self.commissioned in (None, server.get("commissioned"))
            and (not self.name or any(fnmatchcase(str(server.get("name")), pattern) for pattern in self.name))
            and _matches(self.os, server.get("os_name"))
            and _matches(self.platform, server.get("platform"))
            and self._accepts_groups(server.get("groups") or [])
            and self._accepts_tags(server.get("tags") or {})
        )

    def _accepts_groups(self, groups: Sequence[Mapping[str, Any]]) -> bool:
        wanted = {normalize_uuid(group) if is_uuid(group) else group for group in self.groups}
        return not wanted or any(group["id"] in wanted or group["name"] in wanted for group in groups)

    def _accepts_tags(self, tags: Mapping[str, Any]) -> bool:
        return all(key in tags and value in (None, to_text(tags[key])) for key, value in self.tags.items())


def _only(texts: Sequence[str]) -> str:
    """The text that stands alone; empty where there are none or several."""
    return texts[0] if len(texts) == 1 else ""


def _flag(name: str, value: Any) -> bool | None:
    if value is None:
        return None
    return parse_boolean("filters", value, f"{name}: '{value}' is not a boolean", "Give true or false.")


def _texts(name: str, value: Any, may_have_commas: bool = False) -> tuple[str, ...]:
    whole = [value] if may_have_commas and isinstance(value, str) else value
    values = () if value is None else split_list(whole)
    if value is not None and not values:
        raise UsageError("filters", f"{name} is an empty list", "Give what it must be, or leave it out.")
    for item in values:
        if isinstance(item, (bool, Mapping, list)) or item is None or not str(item).strip():
            raise UsageError("filters", f"{name}: '{item}' is not a text", "Give a text, or a list of texts.")
    return tuple(str(item) for item in values)


def _tags(value: Any) -> dict[str, str | None]:
    given = {} if value is None else value
    if value is not None and not given:
        raise UsageError("filters", "tags are empty", "Give keys with the value each must have, or leave it out.")
    if not isinstance(given, Mapping) or any(isinstance(item, (Mapping, list)) for item in given.values()):
        raise UsageError(
            "filters", f"tags: '{value}' is not a dictionary of texts", "Give keys with the value each must have."
        )
    return {str(key): None if item is None else to_text(item) for key, item in given.items()}


def _matches(patterns: Sequence[str], value: Any) -> bool:
    text = str(value or "").lower()
    return not patterns or any(fnmatchcase(text, pattern.lower()) for pattern in patterns)


class Groups:
    """The IAM groups of servers, with their names.

    Names that rows do not carry are read from the workspace, all at once, when the first of them is asked for.
    """

    def __init__(self, client: Client, warn: Callable[[str], None]) -> None:
        self._client = client
        self._warn = warn
        self._names: dict[str, str] | None = None

    def of(self, row: Mapping[str, Any]) -> list[dict[str, str]]:
        """Id and name of each group of a server; the id stands for a name that the token may not read."""
        groups = row.get("groups")
        if not isinstance(groups, list):
            return []
        names = row.get("groups_name")
        if not isinstance(names, list) or len(names) != len(groups):
            names = [None] * len(groups)
        return [self._described(group, name) for group, name in zip(groups, names)]

    def _described(self, group: Any, name: Any) -> dict[str, str]:
        """A group, given by its id or by an object."""
        if isinstance(group, Mapping):
            group, name = group.get("id"), group.get("name")
        group_id = str(group)
        return {"id": group_id, "name": str(name or self._read().get(group_id) or group_id)}

    def _read(self) -> dict[str, str]:
        if self._names is None:
            try:
                rows = list(self._client.rows(GROUPS_PATH))
            except ApiError as error:
                if error.status not in (403, 404):
                    raise
                self._warn(f"The names of IAM groups cannot be read, so their ids stand for them: {error}")
                rows = []
            told = [[row.get("id"), row.get("name") or ""] for row in rows]
            self._names = {str(group): str(name) for group, name in map(to_plain_data, filter(_is_moderate, told))}
        return self._names


def listing(client: Client, parameters: Mapping[str, str], groups: Groups) -> Iterator[Described]:
    """The servers of the workspace's list, by name; nothing is read for each of them."""
    for row in client.rows(SERVERS_PATH, {"ordering": "name", **parameters}):
        yield describe_server(row, groups)


def describe_server(row: Mapping[str, Any], groups: Groups) -> Described:
    """A server in plain JSON types, the same in every dialect: those of :data:`FIELDS` that the row has.

    A field that is nested without end, or as large as no field is, counts as not stated.
    """
    row = {name: to_plain_data(value) if _is_moderate(value) else None for name, value in row.items()}
    described = {name: _stated(name, row[name]) for name in FIELDS if name in row}
    if "owner" in described:
        described["owner"] = parse_owner(row)
    if "groups" in described:
        described["groups"] = groups.of(row)
    if "tags" in described and not isinstance(described["tags"], Mapping):
        described["tags"] = None
    return described


def _stated(name: str, value: Any) -> Any:
    """The value of a field; None where it is not of the field's kind."""
    if name in _FLAGS:
        return value if isinstance(value, bool) else None
    if name in _TEXTS and not isinstance(value, str):
        return str(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None
    return value


def _is_moderate(value: Any) -> bool:
    """Whether a value is no deeper and no larger than a field may be."""
    level, size = [value], 0
    for _depth in range(_DEEPEST):
        size += sum(len(item) for item in level if isinstance(item, (str, list, Mapping)))
        if size > _LONGEST:
            return False
        level = [inner for item in level if isinstance(item, (list, Mapping)) for inner in _inside(item)]
    return not level


def _inside(item: Any) -> list[Any]:
    return [*item, *item.values()] if isinstance(item, Mapping) else item


def without_servers(wanted: ServerFilter, servers: Sequence[Described]) -> list[str]:
    """A sentence for each group of the filter that none of the servers is in which the workspace has listed."""
    groups = [group for server in servers for group in server.get("groups") or []]
    names = sorted({str(group["name"]) for group in groups})
    ids = {str(group["id"]) for group in groups}
    missing = [
        group for group in wanted.groups if group not in names and not (is_uuid(group) and normalize_uuid(group) in ids)
    ]
    # Where the workspace filters, servers that it has not listed may be in any group.
    asked = wanted.parameters.keys()
    if asked:
        whose = "none of the servers that the other filters leave" if asked - {"groups"} else "no server"
        return [f"filters: {whose} is in a group {group}." for group in missing]
    otherwise = f"There are {', '.join(names[:_NAMED_GROUPS])}." if names else "No server is in any group that is told."
    return [f"filters: no server is in a group {group}. {did_you_mean(group, names, otherwise)}" for group in missing]


def unstated(wanted: ServerFilter, servers: Sequence[Described]) -> list[str]:
    """A sentence for each filter about a field that the workspace lists for no server at all."""
    return [
        f"filters: {name} matches no server, since this workspace's list does not say {about}."
        for name, about in wanted.fields.items()
        if servers and not any(about in server for server in servers)
    ]


_FILTERS: dict[str, dict[str, Any]] = {
    "connected": {"type": "bool"},
    "commissioned": {"type": "bool"},
    "name": {"type": "list", "elements": "str"},
    "os": {"type": "list", "elements": "str"},
    "platform": {"type": "list", "elements": "str"},
    "groups": {"type": "list", "elements": "str"},
    "tags": {"type": "dict"},
}

SPEC: dict[str, dict[str, Any]] = {
    **CONNECTION,
    "servers": {"type": "list", "elements": "str", "aliases": ["server"]},
    "filters": {"type": "dict", "options": _FILTERS},
    "limit": {"type": "int", "default": 0},
}


def run_server_info(options: Mapping[str, Any], run: Run) -> dict[str, Any]:
    """Carry out a task of M(herdops.alpacon.alpacon_server_info); it only ever reads."""
    settings = parse_settings(options, run.warn)
    wanted = ServerFilter.from_options(options.get("filters"))
    references = _references(split_list(options.get("servers") or ()))
    limit = check_limit(options["limit"], "servers")
    with Client(settings, report=run.report) as client:
        groups = Groups(client, run.warn)
        if references:
            servers = _referenced(client, references, groups, run.warn)
            for warning in unstated(wanted, servers):
                run.warn(warning)
            found = [server for server in servers if wanted.accepts(server)][: limit or None]
        else:
            found = _filtered(client, wanted, groups, limit, run.warn)
        return {"servers": found, "changed": False, "requests": client.requests}


def _references(given: Sequence[str]) -> list[str]:
    for reference in given:
        if not reference:
            raise UsageError("servers", "one of them is empty", "Give names or UUIDs, or leave servers out for all.")
    return list(dict.fromkeys(normalize_uuid(ref) if is_uuid(ref) else ref for ref in given))


def _filtered(client: Client, wanted: ServerFilter, groups: Groups, limit: int, warn: Warn) -> list[Described]:
    seen: list[Described] = []

    def accepted(server: Described) -> bool:
        seen.append(server)
        return wanted.accepts(server)

    servers = listing(client, wanted.parameters, groups)
    found = list(islice(filter(accepted, servers), limit or None))
    # A limit that is reached ends the reading: the servers of a group may come later.
    complete = not limit or len(found) < limit
    for warning in [*unstated(wanted, seen), *(without_servers(wanted, seen) if complete else ())]:
        warn(warning)
    return found


def _referenced(client: Client, references: Sequence[str], groups: Groups, warn: Warn) -> list[Described]:
    """The servers that have one of these names or UUIDs; a warning tells of each that none has."""
    # Filters are not pushed here: a server that they leave out would seem not to exist.
    found, seen = query_servers(client, references, whole_rows=True)
    for reference, servers in found.items():
        if not servers:
            warn(f"servers: there is no server {reference}. {suggest_server(client, reference, seen)}")
    unique = {server.id: server for servers in found.values() for server in servers}
    return [describe_server(server.fields, groups) for server in sorted(unique.values(), key=str)]
