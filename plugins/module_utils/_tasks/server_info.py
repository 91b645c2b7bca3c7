# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""List and filter servers, for M(herdops.alpacon.alpacon_server_info) and the inventory."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Callable

from ansible.module_utils.common.text.converters import to_text

from .._api.client import Client
from .._api.errors import ApiError, UnknownEndpoint, UsageError, did_you_mean
from .._api.records import is_small, is_uuid, normalize_uuid, parse_owner, to_plain_data
from .._api.servers import SERVERS_PATH, query_servers, suggest_server
from .._api.settings import Warn
from .._fleet.run import Run
from .._options.connection import CONNECTION, parse_settings
from .._options.values import check_limit, parse_boolean, split_list
from .iam_groups import GROUPS_PATH
from .server_facts import KINDS, gather, gather_from_all

FIELDS = (
    "id", "name", "description", "remote_ip", "is_connected", "commissioned", "starred", "status", "os_name",
    "os_version", "platform", "version", "osquery_version", "cpu_physical_cores", "cpu_logical_cores", "cpu_type",
    "physical_memory", "load", "uptime", "boot_time", "last_connectivity", "started_at", "added_at", "updated_at",
    "owner", "groups", "is_root", "offline_alert_enabled", "tags",
)  # fmt: skip
#: Platforms that agents report.
PLATFORMS = ("debian", "rhel", "darwin", "windows")
_TEXTS = frozenset(("id", "name", "os_name", "platform"))
_BOOLEANS = frozenset(("is_connected", "commissioned"))

#: The :data:`FIELDS` of a server, in plain JSON types.
Described = dict[str, Any]

_TEXT_LIST = {"type": "list", "elements": "str"}
_FILTERS: dict[str, dict[str, Any]] = {
    "connected": {"type": "bool"},
    "commissioned": {"type": "bool"},
    "name": _TEXT_LIST,
    "os": _TEXT_LIST,
    "platform": _TEXT_LIST,
    "groups": _TEXT_LIST,
    "tags": {"type": "dict"},
}
#: Texts that no workspace splits, strips, or reads as an operator.
_PLAIN_TEXT = re.compile(r"[A-Za-z0-9][\w.-]*", re.ASCII)
_FIELD_OF_FILTER = {**{name: name for name in _FILTERS}, "connected": "is_connected", "os": "os_name"}

SPEC: dict[str, dict[str, Any]] = {
    **CONNECTION,
    "servers": {"type": "list", "elements": "str", "aliases": ["server"]},
    "filters": {"type": "dict", "options": _FILTERS},
    "limit": {"type": "int", "default": 0},
    "gather": {"type": "list", "elements": "str", "choices": list(KINDS)},
}


def run_server_info(options: Mapping[str, Any], run: Run) -> dict[str, Any]:
    settings = parse_settings(options, run.warn)
    wanted = ServerFilter.from_options(options.get("filters"))
    references = split_list(options.get("servers") or ())
    if not all(references):
        raise UsageError("servers", "one of them is empty", "Give names or UUIDs, or leave servers out for all.")
    limit = check_limit(options["limit"], "servers")
    kinds = dict.fromkeys(options.get("gather") or ())
    with Client(settings, report=run.context.report, log=run.context.report_request) as client:
        if kinds and not references and not limit and wanted == ServerFilter():
            named = gather_from_all(client, kinds, run.warn)
            if named is not None:
                return {"servers": named, "changed": False, "requests": client.requests}
        groups = GroupNames(client, run.warn)
        if references:
            servers = _list_referenced(client, references, groups, run.warn)
            found = [server for server in servers if wanted.accepts(server)][: limit or None]
            complete = False
        else:
            servers, found = [], []
            for server in list_servers(client, wanted, groups):
                servers.append(server)
                found += [server] if wanted.accepts(server) else []
                if limit and len(found) == limit:
                    break
            # After the limit, there may be more servers of a group.
            complete = not limit or len(found) < limit
        for warning in explain_filters(wanted, servers, complete):
            run.warn(warning)
        if kinds:
            gather(client, kinds, found, run.warn, {} if references else make_query(wanted, groups))
        return {"servers": found, "changed": False, "requests": client.requests}


def _list_referenced(client: Client, references: Sequence[str], groups: GroupNames, warn: Warn) -> list[Described]:
    """List the servers with these names or UUIDs, and warn of each reference without a server."""
    unique = dict.fromkeys(normalize_uuid(ref) if is_uuid(ref) else ref for ref in references)
    # The filters are not sent: a server that they exclude would seem not to exist.
    found, seen = query_servers(client, list(unique), whole_rows=True)
    for reference, servers in found.items():
        if not servers:
            warn(f"servers: there is no server {reference}. {suggest_server(client, reference, seen)}")
    by_id = {server.id: server for servers in found.values() for server in servers}
    return [describe_server(server.fields, groups) for server in sorted(by_id.values(), key=str)]


@dataclass(frozen=True)
class ServerFilter:
    """The conditions of the option C(filters); a filter that is not given is None or empty.

    Older workspaces ignore some of these, so :meth:`accepts` checks every server again.
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
        """Check the option C(filters).

        Raises:
            UsageError: a name or a value is invalid.
        """
        filters = {} if filters is None else filters
        choices = f"Give some of {', '.join(_FILTERS)}."
        if not isinstance(filters, Mapping):
            raise UsageError("filters", f"'{filters}' is not a dictionary", choices)
        for name in filters:
            if name not in _FILTERS:
                raise UsageError("filters", f"there is no filter {name}", did_you_mean(name, _FILTERS, choices))
        return cls(
            connected=_parse_flag("connected", filters.get("connected")),
            commissioned=_parse_flag("commissioned", filters.get("commissioned")),
            name=_parse_texts("name", filters.get("name")),
            os=_parse_texts("os", filters.get("os")),
            platform=_parse_texts("platform", filters.get("platform")),
            groups=_parse_texts("groups", filters.get("groups"), may_have_commas=True),
            tags=_parse_tags(filters.get("tags")),
        )

    @property
    def parameters(self) -> dict[str, str]:
        """Return the filters that the workspace can apply so that it lists all servers that match, and maybe others.

        A group may be a name, which :func:`make_query` replaces.
        """
        parameters = {}
        for name, flag in (("is_connected", self.connected), ("commissioned", self.commissioned)):
            if flag is not None:
                parameters[name] = str(flag).lower()
        if len(self.name) == 1 and not set(self.name[0]) & set("*?["):
            parameters["name"] = self.name[0]
        elif len(self.name) == 1:
            literals = " ".join(re.split(r"\[.*\]|[*?\[]", self.name[0]))
            words = _PLAIN_TEXT.findall(literals)
            parameters |= {"search": max(words, key=len)} if words else {}
        if len(self.groups) == 1:
            parameters["groups"] = normalize_uuid(self.groups[0]) if is_uuid(self.groups[0]) else self.groups[0]
        for key, value in self.tags.items():
            # The workspace may write booleans in another way.
            if _PLAIN_TEXT.fullmatch(key) and _PLAIN_TEXT.fullmatch(value or "") and value not in ("True", "False"):
                parameters["tag"] = f"{key}:{value}"
                break
        return parameters

    def accepts(self, server: Described) -> bool:
        wanted = {normalize_uuid(group) if is_uuid(group) else group for group in self.groups}
        groups = {text for group in server.get("groups") or () for text in (group["id"], group["name"])}
        tags = server.get("tags") or {}
        return (
            self.connected in (None, server.get("is_connected"))
            and self.commissioned in (None, server.get("commissioned"))
            and (not self.name or any(fnmatchcase(str(server.get("name")), pattern) for pattern in self.name))
            and _matches(self.os, server.get("os_name"))
            and _matches(self.platform, server.get("platform"))
            and (not wanted or bool(wanted & groups))
            and all(key in tags and value in (None, to_text(tags[key])) for key, value in self.tags.items())
        )


def _matches(patterns: Sequence[str], value: Any) -> bool:
    text = str(value or "").lower()
    return not patterns or any(fnmatchcase(text, pattern.lower()) for pattern in patterns)


def _parse_flag(name: str, value: Any) -> bool | None:
    if value is None:
        return None
    return parse_boolean("filters", value, f"{name}: ")


def _parse_texts(name: str, value: Any, may_have_commas: bool = False) -> tuple[str, ...]:
    if value is None:
        return ()
    texts = split_list([value] if may_have_commas and isinstance(value, str) else value)
    if not texts:
        raise UsageError("filters", f"{name} is an empty list", "Give values, or leave it out.")
    for item in texts:
        if isinstance(item, (bool, Mapping, list)) or item is None or not str(item).strip():
            raise UsageError("filters", f"{name}: '{item}' is not a text", "Give a text, or a list of texts.")
    return tuple(map(str, texts))


def _parse_tags(value: Any) -> dict[str, str | None]:
    if value is None:
        return {}
    remedy = "Give each key with its value"
    if not value:
        raise UsageError("filters", "tags are empty", f"{remedy}, or leave tags out.")
    if not isinstance(value, Mapping) or any(isinstance(item, (Mapping, list)) for item in value.values()):
        raise UsageError("filters", f"tags: '{value}' is not a dictionary of texts", f"{remedy}.")
    return {str(key): None if item is None else to_text(item) for key, item in value.items()}


class GroupNames:
    """The names of IAM groups. If the row of a server has only ids, read the names of all groups once."""

    def __init__(self, client: Client, warn: Callable[[str], None]) -> None:
        self._client = client
        self._warn = warn
        self._names: dict[str, str] | None = None
        self._problem = ""

    def describe(self, row: Mapping[str, Any]) -> list[dict[str, str]]:
        """Return the id and name of each group of a server; the name is the id if the token has no access to it."""
        groups = row.get("groups")
        if not isinstance(groups, list):
            return []
        names = row.get("groups_name")
        if not isinstance(names, list) or len(names) != len(groups):
            names = [None] * len(groups)
        described = []
        for group, name in zip(groups, names):
            if isinstance(group, Mapping):
                name, group = group.get("name"), group.get("id")
            described.append({"id": str(group), "name": str(name or self._get_name(str(group)) or group)})
        return described

    def find_id(self, name: str) -> str | None:
        """Return the UUID of the only group with this name; None if there is none, or it cannot be read."""
        found = [group for group, own in self._read_names().items() if own == name]
        return normalize_uuid(found[0]) if len(found) == 1 and is_uuid(found[0]) else None

    def _get_name(self, group: str) -> str | None:
        names = self._read_names()
        if self._problem:
            self._warn(f"The names of IAM groups cannot be read, so their ids replace them: {self._problem}")
            self._problem = ""
        return names.get(group)

    def _read_names(self) -> dict[str, str]:
        if self._names is None:
            try:
                rows = list(self._client.rows(GROUPS_PATH))
            except (ApiError, UnknownEndpoint) as error:
                if isinstance(error, ApiError) and error.status not in (403, 404):
                    raise
                rows, self._problem = [], str(error)
            pairs = [[row.get("id"), row.get("name") or ""] for row in rows]
            self._names = {str(group): str(name) for group, name in map(to_plain_data, filter(is_small, pairs))}
        return self._names


def make_query(wanted: ServerFilter, groups: GroupNames) -> dict[str, str]:
    """Return the query for a list of servers, with the UUID of a group in place of its name."""
    query = wanted.parameters
    if "groups" in query and not is_uuid(query["groups"]):
        group = groups.find_id(query.pop("groups"))
        query |= {"groups": group} if group else {}
    return query


def list_servers(client: Client, wanted: ServerFilter, groups: GroupNames) -> Iterator[Described]:
    """List servers by name, filtered only as far as the workspace filters them; see :class:`ServerFilter`."""
    for row in client.rows(SERVERS_PATH, {"ordering": "name", **make_query(wanted, groups)}):
        yield describe_server(row, groups)


def describe_server(row: Mapping[str, Any], groups: GroupNames) -> Described:
    """Return the :data:`FIELDS` in the row of a server; None for those that are too large or of another type."""
    row = {name: to_plain_data(value) if is_small(value) else None for name, value in row.items()}
    described = {name: _check_type(name, row[name]) for name in FIELDS if name in row}
    if "owner" in described:
        described["owner"] = parse_owner(row)
    if "groups" in described:
        described["groups"] = groups.describe(row)
    if "tags" in described and not isinstance(described["tags"], Mapping):
        described["tags"] = None
    return described


def _check_type(name: str, value: Any) -> Any:
    if name in _BOOLEANS:
        return value if isinstance(value, bool) else None
    if name in _TEXTS and not isinstance(value, str):
        return str(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None
    return value


def explain_filters(wanted: ServerFilter, servers: Sequence[Described], complete: bool = True) -> Iterator[str]:
    """Yield a warning for each filter whose field no server has, and for each group without servers.

    Args:
        complete: False if there may be more of them.
    """
    for name, field_name in _FIELD_OF_FILTER.items():
        is_given = getattr(wanted, name) not in (None, (), {})
        if is_given and servers and not any(field_name in server for server in servers):
            yield f"filters: {name} matches no server, since this workspace does not list the field {field_name}."
    if not complete:
        return
    for platform in () if servers else wanted.platform:
        if platform not in PLATFORMS:
            remedy = did_you_mean(platform, PLATFORMS, f"Known platforms are {', '.join(PLATFORMS)}.")
            yield f"filters: no server has the platform {platform}. {remedy}"
    groups = [group for server in servers for group in server.get("groups") or []]
    names = sorted({str(group["name"]) for group in groups})
    ids = {str(group["id"]) for group in groups}
    # If the workspace filters, it does not list all groups.
    parameters = wanted.parameters.keys() - {"groups"}
    subject = "no server that matches the other filters" if parameters else "no server"
    others = f"Available: {', '.join(names[:10])}." if names else "No server is in a group."
    for group in wanted.groups:
        if group not in names and not (is_uuid(group) and normalize_uuid(group) in ids):
            hint = "" if parameters or not servers else f" {did_you_mean(group, names, others)}"
            yield f"filters: {subject} is in a group {group}.{hint}"
