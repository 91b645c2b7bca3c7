# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Find servers by name or UUID, and suggest a name for one that is unknown."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Callable

from .client import Client
from .errors import AlpaconError, ApiError, LostResponse, UsageError, did_you_mean
from .lists import PAGE_SIZE
from .records import Server, is_uuid, normalize_uuid, parse_row_id, parse_servers

SERVERS_PATH = "/api/servers/servers/"

#: Texts that are not server names -> remedy.
_NO_NAMES = (
    (
        r"[*?]|^[~!&]|:[!&]",
        "Patterns are not allowed here: name servers, or select them with filters.name of alpacon_server_info or by the"
        " hosts of an inventory.",
    ),
    (r"[\s,;\[\]{}'\"]", "Give a list, or names with commas between them."),
    ("^all$", "For the hosts of a group of the inventory, give groups['all'] in a template."),
)


def query_servers(
    client: Client, references: Sequence[str], whole_rows: bool = False
) -> tuple[dict[str, list[Server]], list[str]]:
    """Find all servers of each name or normalized UUID, with few requests.

    The first page states the length of the list. The rest of it is read, or each server is queried if that takes fewer
    requests. Without ``whole_rows``, servers drop their rows, some kilobytes each.

    Returns:
        The servers by name or UUID, and all names that the list has as far as it was read.
    """
    found: dict[str, list[Server]] = {reference: [] for reference in references}
    if len(found) == 1:
        [reference] = found
        return {reference: _query(client, reference) or []}, []
    seen: list[str] = []
    for number, page in enumerate(client.pages(SERVERS_PATH, {"ordering": "name"}, whole=True), start=1):
        servers = list(parse_servers(page.rows))
        seen += [server.name or "" for server in servers]
        if number == 1 and -(-(page.count or 0) // PAGE_SIZE) - 1 > len(found):
            singly = _query_each(client, found)
            if singly is not None:
                return singly, seen
        for server in servers:
            for key in {server.id, server.name} & found.keys():
                found[str(key)].append(server if whole_rows else server.without_row())
        if all(found.values()) and _none_follows(found, seen):
            break
    return found, seen


def find_whole_servers(client: Client, references: Sequence[str], option: str) -> list[Server]:
    """Find the server of each name or normalized UUID, in order, with its row; see :func:`pick_servers`."""
    found, seen = query_servers(client, references, whole_rows=True)
    return pick_servers(client, references, found, seen, option)


def _none_follows(found: Iterable[str], seen: Sequence[str]) -> bool:
    if all(map(is_uuid, found)):
        return True
    # The order depends on the collation of the workspace's database.
    orders: tuple[Callable[[str], str], ...] = (str, str.casefold, lambda name: re.sub(r"\W|_", "", name.casefold()))
    return seen[-1] not in found and any(list(map(key, seen)) == sorted(map(key, seen)) for key in orders)


def _query_each(client: Client, references: Iterable[str]) -> dict[str, list[Server]] | None:
    """Query each server; None if the workspace ignores the name."""
    found = {}
    for reference in references:
        servers = _query(client, reference, patient=False)
        if servers is None:
            return None
        found[reference] = servers
    return found


def _query(client: Client, reference: str, patient: bool = True) -> list[Server] | None:
    """Query one name or UUID; with ``patient=False``, return None if the workspace ignores the name."""
    if is_uuid(reference):
        return query_by_id(client, reference)
    found: list[Server] = []
    for page in client.pages(SERVERS_PATH, {"name": reference}, whole=True):
        servers = list(parse_servers(page.rows))
        found += [server for server in servers if server.name == reference]
        if not patient and any(server.name != reference for server in servers):
            return None
    return found


def pick_servers(
    client: Client,
    references: Sequence[str],
    found: Mapping[str, Sequence[Server]],
    seen: Sequence[str],
    option: str,
    unique: bool = True,
) -> list[Server]:
    """Return the server of each reference, in order.

    Args:
        found, seen: see :func:`query_servers`.
        option: the option that has the references.
        unique: refuse two references to the same server.

    Raises:
        UsageError: a reference has no server or several, or two references are to the same server.
    """
    servers = [_get_only_server(client, reference, found[reference], seen, option) for reference in references]
    first: dict[str | None, str] = {}
    for reference, server in zip(references, servers):
        if unique and server.id in first:
            problem = f"{first[server.id]} and {reference} are the same server"
            raise UsageError(option, problem, "Name each server once.")
        first[server.id] = reference
    return servers


def _get_only_server(
    client: Client, reference: str, servers: Sequence[Server], seen: Sequence[str], option: str
) -> Server:
    if len(servers) == 1:
        return servers[0]
    if servers:
        ids = ", ".join(str(server.id) for server in servers)
        problem = f"{len(servers)} servers are named {reference}: {ids}"
        raise UsageError(option, problem, "Give the id of the one you mean.")
    raise UsageError(option, f"no server is named {reference}", suggest_server(client, reference, seen))


def query_by_id(client: Client, server_id: str) -> list[Server]:
    """Return the server with this UUID, or an empty list."""
    path = f"{SERVERS_PATH}{normalize_uuid(server_id)}/"
    try:
        row = client.get(path)
    except ApiError as error:
        if error.status == 404:
            return []
        raise
    if parse_row_id(row) != normalize_uuid(server_id):
        raise LostResponse(f"GET {path}: the answer is not that server.")
    return [Server.from_row(row)]


def may_be_name(text: str) -> bool:
    """Return False for a pattern, or several names in one, which users give by mistake."""
    return not any(re.search(pattern, text.strip()) for pattern, _advice in _NO_NAMES)


def suggest_server(client: Client, reference: str, seen: Sequence[str]) -> str:
    """Return the remedy for an unknown name or UUID, given the names in the list of servers if it was read."""
    name = reference.strip()
    for pattern, advice in _NO_NAMES:
        if re.search(pattern, name):
            return advice
    if is_uuid(name):
        return "Check the UUID. Or the token has no access to that server."
    names = seen or _list_similar_names(client, name)
    if reference in names:
        return "It was added while the servers were listed. Run the task again."
    return f"{_suggest_name(name, names)} Or the token has no access to that server."


def _suggest_name(name: str, names: Sequence[str]) -> str:
    def find_numbers(text: str) -> list[str]:
        return [digits.lstrip("0") for digits in re.findall("[0-9]+", text)]

    for normalize in (str.casefold, lambda text: text.casefold().partition(".")[0]):
        same = normalize(name)
        meant = [other for other in names if normalize(other) == same and not same.isdigit()]
        if len(meant) == 1:
            return did_you_mean(meant[0], meant, "")
    # The closest name with another number is another server.
    numbers = find_numbers(name)
    return did_you_mean(name, [other for other in names if find_numbers(other) == numbers], "Check the name.")


def _list_similar_names(client: Client, name: str) -> list[str]:
    """List the first servers by name and, if the list is longer, those found by half of the name."""
    rows: list[Any] = []
    label = name.partition(".")[0]
    with contextlib.suppress(AlpaconError):
        for parameters in ({"ordering": "name"}, {"search": label[: len(label) // 2 + 1]}):
            page = next(client.pages(SERVERS_PATH, parameters))
            rows += page.rows
            if (page.count or 0) <= PAGE_SIZE:
                break
    return [server.name or "" for server in parse_servers(rows)]
