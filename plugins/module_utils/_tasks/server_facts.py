# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Gather what agents reported of their hosts, for M(herdops.alpacon.alpacon_server_info)."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from .._api.client import Client
from .._api.errors import ApiError, IncompleteList, UnknownEndpoint, UsageError, clean_line
from .._api.lists import BY_ID, NEWEST_FIRST, PAGE_SIZE, Page
from .._api.records import is_small, is_uuid, normalize_uuid, parse_server, parse_time, to_plain_data
from .._api.settings import Warn

_TODAY, _ALL = "Today's workspaces have it", "Today's workspaces and those of 2024 have it"
#: Sentence on the workspaces that have a kind, by kind.
KINDS = {
    "info": _ALL,
    "os": _ALL,
    "time": _ALL,
    "users": _ALL,
    "groups": _ALL,
    "interfaces": _ALL,
    "disks": _TODAY,
    "partitions": _TODAY,
    "metrics": "Workspaces of version 2.37 and newer have it",
}
#: Kinds with one current row for each server. Workspaces of 2024 also list older rows.
_KEPT = frozenset(("info", "os", "time"))
_METRICS_PATH = "/api/metrics/latest/"
#: Up to this many servers are read one by one. For more, the length of the whole list decides.
_FEW = 10
#: Most readings of the list of metrics, and most pages of each.
_READINGS, _MAX_PAGES = 3, 1000
#: The most servers that a warning names.
_MAX_NAMES = 10
_LONG_AGO = datetime.min.replace(tzinfo=timezone.utc)

Row = dict[str, Any]


def gather(client: Client, kinds: Iterable[str], servers: Sequence[Row], warn: Warn) -> None:
    """Add to each server its data of these kinds, by kind, as C(gathered)."""
    keys = [normalize_uuid(server["id"]) if is_uuid(server.get("id")) else "" for server in servers]
    for server in servers:
        server["gathered"] = {}
    for kind in kinds:
        rows = _read_selected(client, kind, list(dict.fromkeys(filter(None, keys))))
        _describe_all(kind, [(server, rows.get(key, [])) for key, server in zip(keys, servers)], warn)


def gather_from_all(client: Client, kinds: Iterable[str], warn: Warn) -> list[Row] | None:
    """List all servers that have data of these kinds, by name; None if the rows do not name their servers."""
    servers: dict[str, Row] = {}
    collected: dict[str, dict[str, list[Row]]] = {}
    for kind in kinds:
        rows: dict[str, list[Row]] = defaultdict(list)
        for page in _read_rows(client, kind, {}):
            for row in page.rows:
                server = parse_server(row)
                if not server.id or not server.name:
                    return None
                servers.setdefault(server.id, {"id": server.id, "name": server.name, "gathered": {}})
                rows[server.id].append(row)
        collected[kind] = rows
    for kind, rows in collected.items():
        _describe_all(kind, [(server, rows.get(key, [])) for key, server in servers.items()], warn)
    return sorted(servers.values(), key=lambda server: str(server["name"]))


def _read_selected(client: Client, kind: str, ids: Sequence[str]) -> dict[str, list[Row]]:
    """Return the rows of these servers, by ID. Read each server or the whole list, whichever takes fewer requests."""
    found = _read_each(client, kind, ids) if len(ids) <= _FEW else None
    if found is not None:
        return found
    found = {server_id: [] for server_id in ids}
    for number, page in enumerate(_read_rows(client, kind, {}), start=1):
        pairs = [(parse_server(row).id, row) for row in page.rows]
        if pairs and not any(server_id for server_id, _row in pairs):
            problem = f"this workspace does not state to which servers {kind} belong, so a task can read {_FEW} at most"
            raise UsageError("gather", problem, f"Select at most {_FEW} with servers, filters or limit.")
        if number == 1 and -(-(page.count or 0) // PAGE_SIZE) - 1 > len(ids):
            each = _read_each(client, kind, ids)
            if each is not None:
                return each
        for server_id, row in pairs:
            if server_id in found:
                found[server_id].append(row)
    return found


def _read_each(client: Client, kind: str, ids: Iterable[str]) -> dict[str, list[Row]] | None:
    """Read the rows of each server; None if the workspace ignores the filter."""
    found = {}
    for server_id in ids:
        rows: list[Row] = []
        for page in _read_rows(client, kind, {"server": server_id}):
            if any(parse_server(row).id not in (None, server_id) for row in page.rows):
                return None
            rows += page.rows
            if rows and kind in _KEPT:
                # The newest comes first.
                break
        found[server_id] = rows
    return found


def _read_rows(client: Client, kind: str, params: Mapping[str, str]) -> Iterator[Page]:
    """Read a whole list of rows page by page.

    Raises:
        ApiError, UnknownEndpoint: the workspace has no such list, or the token may not read it.
        IncompleteList: rows are missing.
    """
    if kind == "metrics":
        return _read_metrics(client, params)
    return _read_pages(client, kind, {"ordering": NEWEST_FIRST if kind in _KEPT else BY_ID, **params}, whole=True)


def _read_metrics(client: Client, params: Mapping[str, str]) -> Iterator[Page]:
    """Read the list again until no row is missing: a new measurement moves a row to the front during a reading.

    Further rows of a server count only if a page has several of one server: in other lists, they are the server's row
    after a move. All rows of a server come from one reading.
    """
    known: set[str] = set()
    received, several = 0, False
    for _reading in range(_READINGS):
        counts, earlier, contents = [], frozenset(known), set()
        for number, page in enumerate(_read_pages(client, "metrics", {"ordering": NEWEST_FIRST, **params}, False)):
            if number == _MAX_PAGES:
                raise IncompleteList(_METRICS_PATH, received, None)
            keys = [parse_server(row).id or _write_content(row) for row in page.rows]
            several = several or len(set(keys)) < len(keys)
            fresh = []
            for key, row in zip(keys, page.rows):
                content = key + _write_content(row)
                if key not in earlier and content not in contents and (several or key not in known):
                    fresh.append(row)
                    known.add(key)
                    contents.add(content)
            received += len(fresh)
            counts += [] if page.count is None else [page.count]
            yield Page(fresh, page.count)
        least = min(counts, default=0)
        if received >= least:
            return
    raise IncompleteList(_METRICS_PATH, received, least)


def _write_content(row: Row) -> str:
    """Return the JSON of a row, to recognise it in another reading; empty if it is too large."""
    return json.dumps(row, sort_keys=True) if is_small(row) else ""


def _read_pages(client: Client, kind: str, params: Mapping[str, str], whole: bool) -> Iterator[Page]:
    path = _METRICS_PATH if kind == "metrics" else f"/api/proc/{kind}/"
    try:
        yield from client.pages(path, params, whole)
    except (ApiError, UnknownEndpoint) as error:
        if isinstance(error, UnknownEndpoint) or error.status == 404:
            error.args = (f"gather: this workspace has no {kind}. {KINDS[kind]}. {error}",)
        elif error.status == 403 and not error.refuses_token:
            remedy = f"Use a token with a scope for it, or leave {kind} out."
            error.args = (f"gather: the token may not read {kind}. {remedy} {error}",)
        raise


def _describe_all(kind: str, pairs: Iterable[tuple[Row, list[Row]]], warn: Warn) -> None:
    """Put the rows of each server under its C(gathered); None if they are too large."""
    large = []
    for server, rows in pairs:
        own = [_without_server(row) for row in rows]
        if kind in _KEPT:
            own = [max(own, key=lambda row: parse_time(row.get("added_at")) or _LONG_AGO)] if own else []
        if not is_small(own):
            large.append(clean_line(server.get("name")))
            server["gathered"][kind] = None
            continue
        own = to_plain_data(own)
        server["gathered"][kind] = (own[0] if own else None) if kind in _KEPT else sorted(own, key=_get_name)
    if large:
        more = f" and {len(large) - _MAX_NAMES} more" if len(large) > _MAX_NAMES else ""
        warn(f"gather: {kind} are null where they are too large: {', '.join(large[:_MAX_NAMES])}{more}.")


def _without_server(row: Row) -> Row:
    return {name: value for name, value in row.items() if name not in ("server", "server_name")}


def _get_name(row: Row) -> str:
    return str(row.get("name") or row.get("username") or row.get("groupname") or "")
