# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Names and ids of servers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from system.conftest import Connect
from system.support import Request, Response, ScriptedServer, request_paths
from workspace.client import Workspace

from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import UsageError
from ansible_collections.herdops.alpacon.plugins.module_utils._api.records import Server
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.sharing import (
    Shared,
    find_servers,
    resolve_servers,
)
from ansible_collections.herdops.alpacon.tests.unit.support import (
    OTHER_SERVER,
    SERVER,
    TOKEN,
    page,
)

Serve = Callable[..., ScriptedServer]


def ids(servers: list[Server]) -> list[str | None]:
    return [server.id for server in servers]


def test_ids_cost_no_request(workspace: Workspace, connect: Connect) -> None:
    client = connect(workspace)
    found = find_servers(client, [SERVER.upper(), OTHER_SERVER.replace("-", "")])
    assert found == [Server(SERVER), Server(OTHER_SERVER)]
    assert client.requests == 0


def test_one_name_is_asked_for(workspace: Workspace, connect: Connect) -> None:
    client = connect(workspace)
    [server] = find_servers(client, ["web-02"])
    assert (server.id, server.name, server.is_connected) == (workspace.server_ids()["web-02"], "web-02", True)
    assert request_paths(workspace) == ["/api/servers/servers/?name=web-02&page_size=100"]


@pytest.mark.parametrize(("hosts", "asked"), [(1, "name=web-02&"), (2, "")])
def test_a_list_for_others_is_made_where_there_are_others(
    current: Workspace, connect: Connect, tmp_path: Path, hosts: int, asked: str
) -> None:
    find_servers(connect(current), ["web-02"], shared=Shared(tmp_path, current.url, current.token), hosts=hosts)
    assert request_paths(current) == [f"/api/servers/servers/?{asked}page_size=100"]


def test_a_list_for_others_is_not_read_where_asking_takes_fewer_requests(
    serve: Serve, connect: Connect, tmp_path: Path
) -> None:
    server = serve([Response(page([], None, 201)), Response(page([{"id": SERVER, "name": "web-02"}]))])
    shared = Shared(tmp_path, server.url, TOKEN)
    assert ids(find_servers(connect(server), ["web-02"], shared=shared, hosts=2)) == [SERVER]
    assert [query.get("name") for query in server.queries] == [None, "web-02"]


def test_a_list_that_workers_cannot_share_is_no_need(current: Workspace, connect: Connect, tmp_path: Path) -> None:
    shared = Shared(tmp_path, current.url, current.token)
    # What is in the way of the file fails as a full disk does.
    next(tmp_path.glob("alpacon-*")).joinpath("servers").mkdir()
    assert ids(find_servers(connect(current), ["web-02"], shared=shared, hosts=2)) == [current.server_ids()["web-02"]]


@pytest.mark.parametrize("names", [["WEB-01"], ["web-0*", "web-02"]])
def test_names_are_compared_exactly(workspace: Workspace, connect: Connect, names: list[str]) -> None:
    with pytest.raises(UsageError, match=f"^server: no server is named {names[0]}".replace("*", r"\*")) as caught:
        find_servers(connect(workspace), names, "server")
    assert caught.value.option == "server"


def test_a_single_name_that_is_unknown_gets_a_suggestion_and_the_word_on_rights(
    workspace: Workspace, connect: Connect
) -> None:
    client = connect(workspace)
    with pytest.raises(UsageError, match=r"Did you mean web-01\? The token may also not see that server\.$"):
        find_servers(client, ["wbe-01"])
    assert client.requests == 2


def test_a_suggestion_that_cannot_be_looked_for_hides_nothing(serve: Serve, connect: Connect) -> None:
    server = serve([Response(page([])), Response({"code": "forbidden"}, status=403)])
    with pytest.raises(UsageError, match=r"no server is named web-7\. Check the name\."):
        find_servers(connect(server), ["web-7"])


def test_two_servers_of_one_name_are_told_apart_by_id(serve: Serve, connect: Connect) -> None:
    rows = [{"id": SERVER, "name": "twin"}, {"id": OTHER_SERVER, "name": "twin"}]
    with pytest.raises(UsageError, match=f"2 servers are named twin: {SERVER}, {OTHER_SERVER}. Give the id"):
        find_servers(connect(serve([Response(page(rows))])), ["twin"])


@pytest.mark.parametrize("references", [[SERVER, SERVER.upper()], ["{id}", "web-02", "web-01"]])
def test_each_server_may_be_named_once(current: Workspace, connect: Connect, references: list[str]) -> None:
    named = [reference.format(id=current.server_ids()["web-01"]) for reference in references]
    with pytest.raises(UsageError, match=r"are the same server\. Name each server once") as caught:
        resolve_servers(connect(current), named)
    assert caught.value.option == "servers"


def test_a_name_that_must_be_escaped(serve: Serve, connect: Connect) -> None:
    def answer(request: Request) -> Response:
        return Response(page([{"id": SERVER, "name": request.query["name"]}]))

    assert ids(find_servers(connect(serve(answer)), ["a&b=c #1"])) == [SERVER]
