# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Gather what agents reported of their hosts, for M(herdops.alpacon.alpacon_server_info)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from .._api.client import Client
from .._api.errors import ApiError, UnknownEndpoint, UsageError, clean_line, join_first
from .._api.lists import BY_ID, NEWEST_FIRST, PAGE_SIZE, Page
from .._api.records import Server, is_small, is_uuid, normalize_uuid, parse_server, parse_time, to_plain_data
from .._api.settings import Warn

_TODAY, _ALL = "Today's workspaces have it", "Today's workspaces and those of 2024 have it"
METRICS = "metrics"
#: Sentence on the workspaces that have a kind, by kind.
KINDS = {
    "info": _ALL,
    "os": _ALL,
    "time": _ALL,
    "users": _ALL,
    "groups": _ALL,
    "interfaces": _ALL,
    "addresses": _TODAY,
    "disks": _TODAY,
    "partitions": _TODAY,
    METRICS: "Workspaces of version 2.37 and newer have it",
}
#: Kinds with one current row for each server. Workspaces of 2024 also list older rows.
_KEPT = frozenset(("info", "os", "time", METRICS))
#: Up to this many servers are read one by one. For more, the length of the whole list decides.
_FEW = 10
#: The most servers that a warning names.
_MAX_NAMES = 10
_LONG_AGO = datetime.min.replace(tzinfo=timezone.utc)

Row = dict[str, Any]


def gather(client: Client, kinds: Iterable[str], servers: Sequence[Row], warn: Warn, query: Mapping[str, str]) -> None:
    """Add to each server its data of these kinds, by kind, as C(gathered).

    Args:
        query: filters of the list of servers that all these servers match.
    """
    keys = [normalize_uuid(server["id"]) if is_uuid(server.get("id")) else "" for server in servers]
    names = {key: str(server.get("name") or "") for key, server in zip(keys, servers) if key}
    for server in servers:
        server["gathered"] = {}
    # A server may have connected since it was listed.
    kept = {name: query[name] for name in ("groups", "search", "tag") if name in query}
    for kind in kinds:
        rows = _read_selected(client, kind, names, kept if kind == METRICS else {})
        _describe_all(kind, [(server, rows.get(key, [])) for key, server in zip(keys, servers)], warn)


def gather_from_all(client: Client, kinds: Iterable[str], warn: Warn) -> list[Row] | None:
    """List all servers that have data of these kinds, by name; None if the rows do not name their servers."""
    servers: dict[str, Row] = {}
    collected: dict[str, dict[str, list[Row]]] = {}
    for kind in kinds:
        rows: dict[str, list[Row]] = defaultdict(list)
        for page in _read_rows(client, kind, {}):
            for row in page.rows:
                server = _parse_owner(kind, row)
                if not server.id or not server.name:
                    return None
                servers.setdefault(server.id, {"id": server.id, "name": server.name, "gathered": {}})
                rows[server.id].append(row)
        collected[kind] = rows
    for kind, rows in collected.items():
        _describe_all(kind, [(server, rows.get(key, [])) for key, server in servers.items()], warn)
    return sorted(servers.values(), key=lambda server: str(server["name"]))


def _parse_owner(kind: str, row: Row) -> Server:
    # The list of metrics is a list of servers.
    return Server.from_row(row) if kind == METRICS else parse_server(row)


def _read_selected(
    client: Client, kind: str, names: Mapping[str, str], query: Mapping[str, str]
) -> dict[str, list[Row]]:
    """Return the rows of these servers, by ID. Read each server or the whole list, whichever takes fewer requests.

    Args:
        names: names of the servers by ID.
        query: filters of the whole list.
    """
    begins_with_list = len(names) > _FEW or bool(query)
    found = None if begins_with_list else _read_each(client, kind, names)
    if found is not None:
        return found
    found = {server_id: [] for server_id in names}
    for number, page in enumerate(_read_rows(client, kind, query), start=1):
        pairs = [(_parse_owner(kind, row).id, row) for row in page.rows]
        if pairs and not any(server_id for server_id, _row in pairs):
            problem = f"this workspace does not state which servers {kind} belong to, so a task can read at most {_FEW}"
            raise UsageError("gather", problem, f"Select at most {_FEW} with servers, filters or limit.")
        if number == 1 and begins_with_list and -(-(page.count or 0) // PAGE_SIZE) - 1 > len(names):
            each = _read_each(client, kind, names)
            if each is not None:
                return each
        for server_id, row in pairs:
            if server_id in found:
                found[server_id].append(row)
    return found


def _read_each(client: Client, kind: str, names: Mapping[str, str]) -> dict[str, list[Row]] | None:
    """Read the rows of each server; None if the workspace ignores the filter."""
    found = {}
    for server_id, name in names.items():
        read = _search_metrics if kind == METRICS else _read_server
        rows = read(client, kind, server_id, name)
        if rows is None:
            return None
        found[server_id] = rows
    return found


def _read_server(client: Client, kind: str, server_id: str, _name: str) -> list[Row] | None:
    rows: list[Row] = []
    for page in _read_rows(client, kind, {"server": server_id}):
        if any(parse_server(row).id not in (None, server_id) for row in page.rows):
            return None
        rows += page.rows
        if rows and kind in _KEPT:
            # The newest comes first.
            break
    return rows


def _search_metrics(client: Client, kind: str, server_id: str, name: str) -> list[Row] | None:
    """Search for a server, since the list of metrics has no filter for one; None if it is not among the first."""
    for page in _read_rows(client, kind, {"search": name}):
        return [row for row in page.rows if _parse_owner(kind, row).id == server_id] or None
    return None


def _read_rows(client: Client, kind: str, params: Mapping[str, str]) -> Iterator[Page]:
    """Read a whole list of rows page by page.

    Raises:
        ApiError, UnknownEndpoint: the workspace has no such list, or the token is not allowed to read it.
        IncompleteList: rows are missing.
    """
    path = "/api/metrics/latest/" if kind == METRICS else f"/api/proc/{kind}/"
    ordering = "name" if kind == METRICS else NEWEST_FIRST if kind in _KEPT else BY_ID
    try:
        yield from client.pages(path, {"ordering": ordering, **params}, whole=True)
    except (ApiError, UnknownEndpoint) as error:
        if isinstance(error, UnknownEndpoint) or error.status == 404:
            error.args = (f"gather: this workspace has no {kind}. {KINDS[kind]}. {error}",)
        elif error.status == 403 and not error.refuses_token:
            remedy = f"Use a token with a scope for it, or leave {kind} out."
            error.args = (f"gather: the token is not allowed to read {kind}. {remedy} {error}",)
        raise


def _describe_all(kind: str, pairs: Iterable[tuple[Row, list[Row]]], warn: Warn) -> None:
    """Put the rows of each server under its C(gathered); None if they are too large."""
    large = []
    for server, rows in pairs:
        own = [_without_server(kind, row) for row in rows]
        if kind in _KEPT:
            own = [max(own, key=lambda row: parse_time(row.get("added_at")) or _LONG_AGO)] if own else []
        if not is_small(own):
            large.append(clean_line(server.get("name")))
            server["gathered"][kind] = None
            continue
        own = to_plain_data(own)
        server["gathered"][kind] = (own[0] if own else None) if kind in _KEPT else sorted(own, key=_get_name)
    if large:
        warn(f"gather: {kind} are null where they are too large: {join_first(large, _MAX_NAMES)}.")


def _without_server(kind: str, row: Row) -> Row:
    left_out = ("id", "name", "is_connected") if kind == METRICS else ("server", "server_name")
    return {name: value for name, value in row.items() if name not in left_out}


def _get_name(row: Row) -> str:
    return str(next(filter(None, map(row.get, ("name", "username", "groupname", "interface_name"))), ""))
