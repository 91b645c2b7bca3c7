# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Shared state of several processes, and the search for servers."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from system.conftest import Connect
from system.processes import CONTEXT, acquire_locks, at_once, exchange_row, write_journal
from system.support import Request, Response, ScriptedServer, request_paths
from workspace.client import Workspace

from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import UsageError
from ansible_collections.herdops.alpacon.plugins.module_utils._api.records import Server
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.journal import Journal
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.sharing import (
    SharedState,
    find_servers,
)
from ansible_collections.herdops.alpacon.tests.unit.shared_state import (
    read_journal_ids,
)
from ansible_collections.herdops.alpacon.tests.unit.support import (
    OTHER_SERVER,
    SERVER,
    TOKEN,
    page,
)

# Several processes


@pytest.fixture(autouse=True)
def _collections(monkeypatch: pytest.MonkeyPatch) -> None:
    # Processes import without Ansible's loader.
    monkeypatch.syspath_prepend(os.environ["ANSIBLE_COLLECTIONS_PATH"])


def test_lines_survive_while_other_workers_remove_theirs(tmp_path: Path) -> None:
    file = tmp_path / "alpacon/run.ids"
    assert all(at_once(8, write_journal, file))
    assert len(read_journal_ids(Journal(file, pytest.fail))) == 8 * 3


def test_one_of_several_competing_hosts_gets_all_locks(tmp_path: Path) -> None:
    wanted = [[("a", "x"), ("b", "x")], [("b", "x"), ("c", "x")], [("c", "x"), ("a", "x")]]
    for round_ in range(5):
        results = at_once(3, acquire_locks, tmp_path, f"task {round_}", wanted)
        assert results.count(None) == 1


def test_no_worker_reads_half_a_row(tmp_path: Path) -> None:
    row = {"id": "a", "result": "x" * 200_000}
    assert max(at_once(3, exchange_row, tmp_path, row, CONTEXT.Event())) == 20


# Servers by name

Serve = Callable[..., ScriptedServer]


def ids(servers: list[Server]) -> list[str | None]:
    return [server.id for server in servers]


def test_ids_cost_no_request(workspace: Workspace, connect: Connect) -> None:
    client = connect(workspace)
    found = find_servers(client, [SERVER.upper(), OTHER_SERVER.replace("-", "")])
    assert found == [Server(SERVER), Server(OTHER_SERVER)]
    assert client.requests == 0


def test_one_name_costs_one_request(workspace: Workspace, connect: Connect) -> None:
    client = connect(workspace)
    [server] = find_servers(client, ["web-02"])
    assert (server.id, server.name, server.is_connected) == (workspace.server_ids()["web-02"], "web-02", True)
    assert request_paths(workspace) == ["/api/servers/servers/?name=web-02&page_size=100"]


@pytest.mark.parametrize(("hosts", "asked"), [(1, "name=web-02&"), (2, "")])
def test_the_list_is_read_for_several_hosts(
    current: Workspace, connect: Connect, tmp_path: Path, hosts: int, asked: str
) -> None:
    find_servers(connect(current), ["web-02"], shared=SharedState(tmp_path, current.url, current.token), hosts=hosts)
    assert request_paths(current) == [f"/api/servers/servers/?{asked}page_size=100"]


def test_a_list_longer_than_the_queries_is_not_read(serve: Serve, connect: Connect, tmp_path: Path) -> None:
    server = serve([Response(page([], None, 201)), Response(page([{"id": SERVER, "name": "web-02"}]))])
    shared = SharedState(tmp_path, server.url, TOKEN)
    assert ids(find_servers(connect(server), ["web-02"], shared=shared, hosts=2)) == [SERVER]
    assert [query.get("name") for query in server.queries] == [None, "web-02"]


def test_names_are_found_without_a_shared_list(current: Workspace, connect: Connect, tmp_path: Path) -> None:
    shared = SharedState(tmp_path, current.url, current.token)
    # A folder in place of the file fails as a full disk does.
    next(tmp_path.glob("alpacon-*")).joinpath("servers").mkdir()
    assert ids(find_servers(connect(current), ["web-02"], shared=shared, hosts=2)) == [current.server_ids()["web-02"]]


@pytest.mark.parametrize("names", [["WEB-01"], ["web-0*", "web-02"]])
def test_names_are_compared_exactly(workspace: Workspace, connect: Connect, names: list[str]) -> None:
    with pytest.raises(UsageError, match=f"^server: no server is named {names[0]}".replace("*", r"\*")) as caught:
        find_servers(connect(workspace), names, "server")
    assert caught.value.option == "server"


def test_an_unknown_name_gets_a_suggestion_and_a_hint_on_rights(workspace: Workspace, connect: Connect) -> None:
    client = connect(workspace)
    with pytest.raises(UsageError, match=r"Did you mean web-01\? Or the token has no access to that server\.$"):
        find_servers(client, ["wbe-01"])
    assert client.requests == 2


def test_a_failed_search_for_a_suggestion_keeps_the_message(serve: Serve, connect: Connect) -> None:
    server = serve([Response(page([])), Response({"code": "forbidden"}, status=403)])
    with pytest.raises(UsageError, match=r"no server is named web-7\. Check the name\."):
        find_servers(connect(server), ["web-7"])


def test_an_ambiguous_name_lists_the_ids(serve: Serve, connect: Connect) -> None:
    rows = [{"id": SERVER, "name": "twin"}, {"id": OTHER_SERVER, "name": "twin"}]
    with pytest.raises(UsageError, match=f"2 servers are named twin: {SERVER}, {OTHER_SERVER}. Give the id"):
        find_servers(connect(serve([Response(page(rows))])), ["twin"])


@pytest.mark.parametrize("references", [[SERVER, SERVER.upper()], ["{id}", "web-02", "web-01"]])
def test_a_server_that_is_named_twice_is_refused(current: Workspace, connect: Connect, references: list[str]) -> None:
    named = [reference.format(id=current.server_ids()["web-01"]) for reference in references]
    with pytest.raises(UsageError, match=r"are the same server\. Name each server once") as caught:
        find_servers(connect(current), named)
    assert caught.value.option == "servers"


def test_names_are_escaped_in_queries(serve: Serve, connect: Connect) -> None:
    def answer(request: Request) -> Response:
        return Response(page([{"id": SERVER, "name": request.query["name"]}]))

    assert ids(find_servers(connect(serve(answer)), ["a&b=c #1"])) == [SERVER]
