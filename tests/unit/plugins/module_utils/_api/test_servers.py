# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test the search for servers, and the suggestion for an unknown name."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import ApiError, LostResponse
from ansible_collections.herdops.alpacon.plugins.module_utils._api.lists import PAGE_SIZE, Page
from ansible_collections.herdops.alpacon.plugins.module_utils._api.servers import query_servers, suggest_server
from ansible_collections.herdops.alpacon.tests.unit.support import COMMAND, SERVER, Row

SEEN = ["db-01", "My Server", "web-01", "web-02", "web-03", "twin.a.example", "twin.b.example"]
NOBODY: Any = None
A_LIST = "Give a list, or names with commas between them."
A_GROUP = "For the hosts of a group of the inventory, give groups['all'] in a template."
NO_PATTERN = (
    "Patterns are not allowed here: name servers, or select them with filters.name of alpacon_server_info"
    " or by the hosts of an inventory."
)


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("wbe-01", "Did you mean web-01?"),
        (" web-01\t", "Did you mean web-01?"),
        ("Web-01.example.com", "Did you mean web-01?"),
        ("my-server", "Did you mean My Server?"),
        *((pattern, NO_PATTERN) for pattern in ("web-*", "~web", "web:&db", "!web")),
        ('["web-01"]', A_LIST),
        ("all", A_GROUP),
        ("web-9", "Check the name."),
        ("twin", "Check the name."),
        ("c0ffee00-0000-4000-8000-000000000000", "Check the UUID."),
    ],
)
def test_only_a_likely_name_is_suggested(reference: str, said: str) -> None:
    rights = "" if said in (A_LIST, NO_PATTERN, A_GROUP) else " Or the token has no access to that server."
    assert suggest_server(NOBODY, reference, SEEN) == f"{said}{rights}"


def test_the_name_itself_is_not_suggested() -> None:
    assert suggest_server(NOBODY, "web-01", SEEN) == "It was added while the servers were listed. Run the task again."


@pytest.mark.parametrize(("count", "searches"), [(100, []), (101, [{"search": "web-"}])])
def test_long_lists_of_servers_are_searched(count: int, searches: list[Row]) -> None:
    asked: list[Row] = []

    def pages(_path: str, query: Row) -> Iterator[Page]:
        asked.append(query)
        return iter([Page([], count)])

    client: Any = SimpleNamespace(pages=pages)
    suggest_server(client, "web-011.example.com", [])
    assert asked == [{"ordering": "name"}, *searches]


class Workspace:
    """List this many servers like a client, perhaps ignoring the filter by name."""

    def __init__(self, count: int, filters: bool = True) -> None:
        self.requests = 0
        self._rows: list[Row] = [{"id": uuid(number), "name": f"web-{number:04}"} for number in range(count)]
        self._filters = filters

    def pages(self, _path: str, query: Row, whole: bool) -> Iterator[Page]:
        assert whole
        name = query.get("name") if self._filters else None
        rows = [row for row in self._rows if name in (None, row["name"])]
        for first in range(0, len(rows) or 1, PAGE_SIZE):
            self.requests += 1
            yield Page(rows[first : first + PAGE_SIZE], len(rows))


def uuid(number: int) -> str:
    return f"7a50ea6c-2138-4d3f-9633-{number:012}"


@pytest.mark.parametrize(("count", "last", "requests"), [(400, 150, 2), (400, 399, 4), (401, 400, 1 + 3)])
def test_each_server_is_queried_if_that_takes_fewer_requests(count: int, last: int, requests: int) -> None:
    client: Any = Workspace(count)
    names = ["web-0000", "web-0001", f"web-{last:04}"]
    found = query_servers(client, names)[0]
    assert [[server.id for server in found[name]] for name in names] == [[uuid(0)], [uuid(1)], [uuid(last)]]
    assert client.requests == requests


def test_a_list_without_a_name_filter_is_read_to_its_end() -> None:
    client: Any = Workspace(500, filters=False)
    names = ["web-0450", "web-0451", "web-0499"]
    found = query_servers(client, names)[0]
    assert all(found.values())
    assert not any(server.fields for [server] in found.values()), "rows take some kilobytes each"
    assert client.requests == 5 + 1, "all pages, and a question for one name"


@pytest.mark.parametrize(
    ("answer", "expected"),
    [({"id": SERVER.upper()}, [SERVER]), (404, []), ({"id": COMMAND}, LostResponse), (403, ApiError)],
)
def test_a_server_is_found_by_its_id(answer: Any, expected: Any) -> None:
    def get(path: str) -> Row:
        if isinstance(answer, int):
            raise ApiError("GET", path, answer)
        return dict(answer)

    client: Any = SimpleNamespace(get=get)
    with contextlib.nullcontext() if isinstance(expected, list) else pytest.raises(expected):
        assert [server.id for server in query_servers(client, [SERVER])[0][SERVER]] == expected
