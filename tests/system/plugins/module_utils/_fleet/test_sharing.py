# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Shared state with real processes, and the search for servers."""

from __future__ import annotations

import multiprocessing
import random
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from system.conftest import Connect
from system.support import Request, Response, ScriptedServer, request_paths
from workspace.client import Workspace

from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import UsageError
from ansible_collections.herdops.alpacon.plugins.module_utils._api.records import Server
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet import journal as _journal
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.journal import Journal
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.run import HostLocks
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.sharing import (
    SharedState,
    find_servers,
)
from ansible_collections.herdops.alpacon.tests.unit.shared_state import (
    URL,
    read_journal_ids,
    submit,
    uuid,
)
from ansible_collections.herdops.alpacon.tests.unit.support import (
    OTHER_SERVER,
    SERVER,
    TOKEN,
    page,
)

FORK = multiprocessing.get_context("fork")

#: Seconds after which a process counts as hanging.
PATIENCE = 30.0


def at_once(count: int, work: Callable[[int], Any]) -> list[Any]:
    """Run a function in several processes at once. Return its results."""
    start = FORK.Barrier(count)
    results = FORK.SimpleQueue()

    def process(number: int) -> None:
        start.wait(PATIENCE)
        results.put((number, work(number)))

    processes = [FORK.Process(target=process, args=(number,), daemon=True) for number in range(count)]
    for one in processes:
        one.start()
    for one in processes:
        one.join(PATIENCE)
    assert [one.exitcode for one in processes] == [0] * count
    return [result for _number, result in sorted(results.get() for _process in processes)]


@pytest.fixture
def shared(tmp_path: Path) -> SharedState:
    """Return an empty shared state."""
    return SharedState(tmp_path, URL, TOKEN)


# The journal


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    """Return a journal without its file and folder."""
    return Journal(tmp_path / "alpacon/run.ids", pytest.fail)


def test_lines_survive_while_other_workers_remove_theirs(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = _journal.lock_file

    def lock_later(descriptor: int, kind: int) -> None:
        time.sleep(random.random() / 500)
        lock(descriptor, kind)

    def work(number: int) -> bool:
        kept, missed = set(), set()
        for step in range(30):
            position = submit(journal, uuid(number, step))
            missed |= {uuid(number, step)} - set(read_journal_ids(journal))
            # In the first steps, workers remove all lines now and then, and with them the file.
            if step < 15 or step % 5:
                journal.remove([position])
            else:
                kept.add(uuid(number, step))
        return not missed and kept <= set(read_journal_ids(journal))

    # Other workers get time to remove the file after it was opened.
    monkeypatch.setattr(_journal, "lock_file", lock_later)
    assert all(at_once(8, work))
    assert len(read_journal_ids(journal)) == 8 * 3


# Locks between hosts


def host_locks(folder: Path, host: str, task: str = "task") -> HostLocks:
    return HostLocks(folder, task, host)


def _acquire(folder: Path, task: str, wanted: list[list[tuple[str, str]]], number: int) -> tuple[str, str] | None:
    return host_locks(folder, f"host-{number}", task).acquire(wanted[number])


def test_one_of_several_competing_hosts_gets_all_locks(tmp_path: Path) -> None:
    wanted = [[("a", "x"), ("b", "x")], [("b", "x"), ("c", "x")], [("c", "x"), ("a", "x")]]
    for round_ in range(5):
        task = f"task {round_}"
        results = at_once(3, partial(_acquire, tmp_path, task, wanted))
        winners = [number for number in range(3) if results[number] is None]
        assert len(winners) == 1


# Rows


def test_no_worker_reads_half_a_row(shared: SharedState) -> None:
    row = {"id": "a", "result": "x" * 200_000}
    enough = FORK.Event()

    def work(number: int) -> int:
        reads = 0
        while not enough.is_set():
            if number == 0:
                shared.write_row("a", row)
                continue
            found = shared.pop_row("a")
            assert found in (None, row)
            reads += found is not None
            if reads == 20:
                enough.set()
        return reads

    assert max(at_once(3, work)) == 20


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
