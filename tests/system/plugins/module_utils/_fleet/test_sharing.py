# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""State that workers share, with real processes, and the servers that names mean."""

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

#: Nothing here takes so long unless it hangs, in seconds.
PATIENCE = 30.0


def at_once(count: int, work: Callable[[int], Any]) -> list[Any]:
    """Run a function in so many processes at once and return their results."""
    start = FORK.Barrier(count)
    answers = FORK.SimpleQueue()

    def process(number: int) -> None:
        start.wait(PATIENCE)
        answers.put((number, work(number)))

    processes = [FORK.Process(target=process, args=(number,), daemon=True) for number in range(count)]
    for one in processes:
        one.start()
    for one in processes:
        one.join(PATIENCE)
    assert [one.exitcode for one in processes] == [0] * count
    return [answer for _number, answer in sorted(answers.get() for _process in processes)]


@pytest.fixture
def shared(tmp_path: Path) -> SharedState:
    """Return the state of workers, still empty."""
    return SharedState(tmp_path, URL, TOKEN)


# The journal


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    """A journal that does not exist yet, in a folder that does not either."""
    return Journal(tmp_path / "alpacon/run.ids", pytest.fail)


def test_commands_that_are_journalled_while_others_are_struck_out_stay(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = _journal.lock_file

    def lock_later(descriptor: int, kind: int) -> None:
        time.sleep(random.random() / 500)
        lock(descriptor, kind)

    def work(number: int) -> bool:
        kept, missed = set(), set()
        for step in range(30):
            place = submit(journal, uuid(number, step))
            missed |= {uuid(number, step)} - set(read_journal_ids(journal))
            # At first, nobody has anything under way now and then, and the journal is gone.
            if step < 15 or step % 5:
                journal.remove([place])
            else:
                kept.add(uuid(number, step))
        return not missed and kept <= set(read_journal_ids(journal))

    # Others have time to take away what was just opened.
    monkeypatch.setattr(_journal, "lock_file", lock_later)
    assert all(at_once(8, work))
    assert len(read_journal_ids(journal)) == 8 * 3


# Locks between hosts


def host_locks(folder: Path, host: str, task: str = "task") -> HostLocks:
    """Return the locks of one host of a task."""
    return HostLocks(folder, task, host)


def _wish(folder: Path, task: str, wishes: list[list[tuple[str, str]]], number: int) -> tuple[str, str] | None:
    return host_locks(folder, f"host-{number}", task).acquire(wishes[number])


def test_of_hosts_whose_wishes_overlap_each_server_goes_to_one(tmp_path: Path) -> None:
    wishes = [[("a", "x"), ("b", "x")], [("b", "x"), ("c", "x")], [("c", "x"), ("a", "x")]]
    for round_ in range(5):
        task = f"task {round_}"
        answers = at_once(3, partial(_wish, tmp_path, task, wishes))
        winners = [number for number in range(3) if answers[number] is None]
        assert len(winners) == 1


# Rows


def test_who_offers_and_who_takes_never_meet_half_a_row(shared: SharedState) -> None:
    row = {"id": "a", "result": "x" * 200_000}
    enough = FORK.Event()

    def work(number: int) -> int:
        taken = 0
        while not enough.is_set():
            if number == 0:
                shared.write_row("a", row)
                continue
            found = shared.pop_row("a")
            assert found in (None, row)
            taken += found is not None
            if taken == 20:
                enough.set()
        return taken

    assert max(at_once(3, work)) == 20


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
    find_servers(connect(current), ["web-02"], shared=SharedState(tmp_path, current.url, current.token), hosts=hosts)
    assert request_paths(current) == [f"/api/servers/servers/?{asked}page_size=100"]


def test_a_list_for_others_is_not_read_where_asking_takes_fewer_requests(
    serve: Serve, connect: Connect, tmp_path: Path
) -> None:
    server = serve([Response(page([], None, 201)), Response(page([{"id": SERVER, "name": "web-02"}]))])
    shared = SharedState(tmp_path, server.url, TOKEN)
    assert ids(find_servers(connect(server), ["web-02"], shared=shared, hosts=2)) == [SERVER]
    assert [query.get("name") for query in server.queries] == [None, "web-02"]


def test_a_list_that_workers_cannot_share_is_no_need(current: Workspace, connect: Connect, tmp_path: Path) -> None:
    shared = SharedState(tmp_path, current.url, current.token)
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
        find_servers(connect(current), named)
    assert caught.value.option == "servers"


def test_a_name_that_must_be_escaped(serve: Serve, connect: Connect) -> None:
    def answer(request: Request) -> Response:
        return Response(page([{"id": SERVER, "name": request.query["name"]}]))

    assert ids(find_servers(connect(serve(answer)), ["a&b=c #1"])) == [SERVER]
