# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Resolve names and ids of servers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, Callable

from .errors import AlpaconError, ApiError, LostResponse, did_you_mean
from .lists import PAGE_SIZE
from .records import Server, is_uuid, normalize_uuid, parse_row_id

if TYPE_CHECKING:
    from .client import Client

SERVERS_PATH = "/api/servers/servers/"


def query_servers(
    client: Client, references: Sequence[str], whole_rows: bool = False
) -> tuple[dict[str, list[Server]], list[str]]:
    """The servers of each name or canonical UUID, with as few requests as possible; and the names that were seen.

    The first page of the list tells how long it is: it is read on, or each server is asked for where that takes fewer
    requests. Several servers of one name are all found.

    Args:
        whole_rows: whether they are wanted with all that their rows say, some kilobytes each.

    Raises:
        IncompleteList: the list did not come whole.
    """
    found: dict[str, list[Server]] = {reference: [] for reference in references}
    if len(found) == 1:
        [reference] = found
        return {reference: _ask(client, reference) or []}, []
    seen: list[str] = []
    for number, page in enumerate(client.pages(SERVERS_PATH, {"ordering": "name"}, whole=True), start=1):
        servers = list(parse_servers(page.rows))
        seen += [server.name or "" for server in servers]
        if number == 1 and -(-(page.count or 0) // PAGE_SIZE) - 1 > len(found):
            singly = _ask_each(client, found)
            if singly is not None:
                return singly, seen
        for server in servers:
            for key in {server.id, server.name} & found.keys():
                found[str(key)].append(server if whole_rows else server.without_row())
        if all(found.values()) and _none_follows(found, seen):
            break
    return found, seen


def _none_follows(found: Iterable[str], seen: Sequence[str]) -> bool:
    """Whether no further server of these names can come, since the list is in order and past them."""
    if all(map(is_uuid, found)):
        return True
    # Which of these orders it is depends on the collation of the workspace's database.
    orders: tuple[Callable[[str], str], ...] = (str, str.casefold, lambda name: re.sub(r"\W|_", "", name.casefold()))
    return seen[-1] not in found and any(list(map(key, seen)) == sorted(map(key, seen)) for key in orders)


def _ask_each(client: Client, references: Iterable[str]) -> dict[str, list[Server]] | None:
    """The servers of each, asked for by itself; None where the workspace takes no notice of the name."""
    found = {}
    for reference in references:
        servers = _ask(client, reference, patient=False)
        if servers is None:
            return None
        found[reference] = servers
    return found


def _ask(client: Client, reference: str, patient: bool = True) -> list[Server] | None:
    """The servers of one name or UUID.

    Args:
        patient: whether a list that takes no notice of the name is read to its end; else there is no answer.
    """
    if is_uuid(reference):
        return _ask_by_id(client, reference)
    found: list[Server] = []
    for page in client.pages(SERVERS_PATH, {"name": reference}, whole=True):
        servers = list(parse_servers(page.rows))
        found += [server for server in servers if server.name == reference]
        if not patient and any(server.name != reference for server in servers):
            return None
    return found


def _ask_by_id(client: Client, server_id: str) -> list[Server]:
    path = f"{SERVERS_PATH}{normalize_uuid(server_id)}/"
    try:
        row = client.get(path)
    except ApiError as error:
        if error.status != 404:
            raise
        return []
    if parse_row_id(row) != normalize_uuid(server_id):
        raise LostResponse(f"GET {path}: the answer is not that server.")
    return [Server.from_row(row)]


def parse_servers(rows: Iterable[Any]) -> Iterator[Server]:
    """The servers of rows, but for those whose id is not a UUID: nobody could name them to the API."""
    return (Server.from_row(row) for row in rows if parse_row_id(row))


def suggest_server(client: Client, reference: str, seen: Sequence[str]) -> str:
    """What to do about a name or UUID that no server has, where these names were seen."""
    return _other_than_a_name(reference) or _offer(client, reference, seen)


def _offer(client: Client, reference: str, seen: Sequence[str]) -> str:
    known = seen or ([] if is_uuid(reference) else _names_near(client, reference))
    if reference in known:
        return "It was added while the servers were listed. Run the task again."
    return f"{_name_meant(reference, known)} The token may also not see that server."


def _name_meant(reference: str, known: Sequence[str]) -> str:
    if is_uuid(reference):
        return "Check the UUID."
    for same in (_folded, _label):
        meant = [name for name in known if same(name) == same(reference) and not same(name).isdigit()]
        if len(meant) == 1:
            return did_you_mean(meant[0], meant, "")
    # Servers are told apart by their numbers: the nearest name with another one is another server.
    return did_you_mean(reference, [name for name in known if _numbers(name) == _numbers(reference)], "Check the name.")


#: What is no name of a server, and what to do about it.
_NO_NAMES = (
    (
        "[*?]",
        "Patterns are not taken here: name servers, or select them with filters.name of alpacon_server_info or by the"
        " hosts of an inventory.",
    ),
    (r"[\s,;\[\]{}'\"]", "Give a list, or names with commas between them."),
    ("^all$", "For the hosts of a group of the inventory, give groups['all'] in a template."),
)


def _other_than_a_name(reference: str) -> str:
    return next((advice for pattern, advice in _NO_NAMES if re.search(pattern, reference.strip())), "")


def _folded(name: str) -> str:
    return name.strip().casefold()


def _label(name: str) -> str:
    """The first label of a name, which may be that of a host with its domain."""
    return _folded(name).partition(".")[0]


def _numbers(name: str) -> list[str]:
    return [digits.lstrip("0") for digits in re.findall("[0-9]+", name)]


def _names_near(client: Client, name: str) -> list[str]:
    """Names that may be meant: the first ones of the list and, where it is long, some that begin like this one."""
    names: list[str] = []
    label = name.strip().partition(".")[0]
    try:
        for parameters in ({"ordering": "name"}, {"search": label[: len(label) // 2 + 1]}):
            for page in islice(client.pages(SERVERS_PATH, parameters), 1):
                names += [server.name or "" for server in parse_servers(page.rows)]
            if (page.count or 0) <= PAGE_SIZE:
                break
    except AlpaconError:
        pass  # that the name is unknown is known already
    return names
