# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test the option gather of alpacon_server_info: few requests, whole lists, and the data as it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from system.support import Request, Response, ScriptedServer, TaskResult, request_paths
from workspace.client import Workspace

from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import AlpaconError, IncompleteList
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.run import Run
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.server_facts import KINDS
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.server_info import SPEC, run_server_info
from ansible_collections.herdops.alpacon.tests.unit.support import Row, page

Serve = Callable[..., ScriptedServer]
METRICS, LIST = "/api/metrics/latest/", "/api/servers/servers/"
IDS = [f"{number:08d}-4bd5-4d3f-9633-e50694c847c4" for number in range(1, 13)]
FULL = {"cpu": 12.5, "memory": 40, "disk-usage": 95}


def gather(target: Workspace | ScriptedServer, *kinds: str, **given: Any) -> TaskResult:
    token = target.token if isinstance(target, Workspace) else "alpat-x"
    defaults = {name: option.get("default") for name, option in SPEC.items()}
    options = {**defaults, "url": target.url, "token": token, "gather": list(kinds), **given}
    warnings: list[str] = []
    return TaskResult(run_server_info(options, Run(warn=warnings.append)), warnings)


def gathered(outcome: TaskResult, kind: str) -> dict[str, Any]:
    return {server["name"]: server["gathered"][kind] for server in outcome["servers"]}


def paths(workspace: Workspace) -> list[str]:
    return [path.partition("?")[0] for path in request_paths(workspace)]


@pytest.mark.parametrize(("count", "most"), [(1_000, 11), pytest.param(10_000, 115, marks=pytest.mark.slow)])
def test_a_hundred_servers_in_one_request(count: int, most: int) -> None:
    names = [f"db-{number:05d}" for number in range(count)]
    with Workspace(servers=0, agents=False) as workspace:
        workspace.add_servers(*names, facts={"metrics": [{**FULL, "disk-usage": 20}], "os": [{"name": "Debian"}]})
        for name in (names[7], names[-1]):
            workspace.change_server(name, facts={"metrics": [FULL]})
        for kind, path in (("metrics", METRICS), ("os", "/api/proc/os/")):
            workspace.reset_counters()
            outcome = gather(workspace, kind)
            assert [server["name"] for server in outcome["servers"]] == names
            assert set(outcome["servers"][0]) == {"id", "name", "gathered"}
            assert outcome["requests"] == workspace.requests_made() <= most
            assert set(paths(workspace)[-outcome["requests"] :]) == {path}
            assert outcome.warnings == []
            if kind == "metrics":
                used = {name: cells["disk-usage"]["value"] for name, cells in gathered(outcome, kind).items()}
                full = [name for name, value in used.items() if value > 90]
                assert full == [names[7], names[-1]]


def test_selected_servers_are_read_one_by_one(current: Workspace) -> None:
    users = [{"username": "www-data", "uid": 33}, {"username": "root", "uid": 0}]
    current.add_servers("off-01", connected=False, facts={"users": users, "os": [{"name": "Debian"}]})
    outcome = gather(current, "users", "os", "metrics", servers=["off-01", "web-01"])
    off, web = outcome["servers"]
    assert [(row["username"], row["uid"]) for row in off["gathered"]["users"]] == [("root", 0), ("www-data", 33)]
    assert set(off["gathered"]["users"][0]) == {"id", "added_at", "username", "uid"}
    assert (off["gathered"]["os"]["name"], off["is_connected"]) == ("Debian", False)
    assert (web["gathered"]["users"], web["gathered"]["os"]) == ([], None)
    assert paths(current)[-6:] == 2 * ["/api/proc/users/"] + 2 * ["/api/proc/os/"] + 2 * [METRICS]


@pytest.mark.parametrize(("others", "requests"), [(1, 5), (20, 11), (40, 13)])
def test_many_selected_servers_take_the_fewer_requests(current: Workspace, others: int, requests: int) -> None:
    users = [{"username": f"user-{number:02d}"} for number in range(30)]
    for name, count in (("db", 12), ("dc", others)):
        current.add_servers(*(f"{name}-{number:02d}" for number in range(count)), facts={"users": users})
    for given in ({"filters": {"name": "db-*"}}, {"limit": 12}):
        outcome = gather(current, "users", **given)
        expected = [user["username"] for user in users]
        for own in gathered(outcome, "users").values():
            assert [row["username"] for row in own] == expected
        assert len(outcome["servers"]) == 12
        assert outcome["requests"] == requests + 2, "one for the servers and one for their groups"


def test_accounts_of_all_servers_are_complete_although_they_tie(current: Workspace) -> None:
    users = [{"username": "root"}, {"username": "www-data"}, {"username": "nobody"}]
    current.add_servers(*(f"db-{number:03d}" for number in range(120)), facts={"users": users})
    outcome = gather(current, "users")
    assert {name: len(own) for name, own in gathered(outcome, "users").items()} == {
        f"db-{number:03d}": 3 for number in range(120)
    }


def test_old_workspaces_keep_older_rows_and_name_no_servers(old: Workspace) -> None:
    versions = [
        {"name": "Debian", "version": version, "added_at": -age} for age, version in enumerate(["13", "12", "11"])
    ]
    old.add_servers(*(f"db-{number:02d}" for number in range(8)), facts={"os": versions})
    outcome = gather(old, "os", servers=["db-03", "db-04", "web-01"])
    found = {name: row and row["version"] for name, row in gathered(outcome, "os").items()}
    assert found == {"db-03": "13", "db-04": "13", "web-01": None}
    with pytest.raises(AlpaconError) as caught:
        gather(old, "os")
    assert str(caught.value) == (
        "gather: this workspace does not state which servers os belong to, so a task can read at most 10."
        " Select at most 10 with servers, filters or limit."
    )
    assert len(gathered(gather(old, "os", limit=10), "os")) == 10


def test_older_rows_are_not_read_to_their_end(old: Workspace) -> None:
    old.change_server("web-01", facts={"os": [{"version": age, "added_at": -age} for age in range(250)]})
    outcome = gather(old, "os", servers=["web-01"])
    assert (gathered(outcome, "os")["web-01"]["version"], outcome["requests"]) == (0, 2)


@pytest.mark.parametrize("kind", KINDS)
def test_a_workspace_without_the_route(published: Workspace, kind: str) -> None:
    with pytest.raises(AlpaconError) as caught:
        gather(published, kind)
    text = str(caught.value)
    assert text.startswith(f"gather: this workspace has no {kind}. {KINDS[kind]}. ")
    assert published.requests_made() == 1


def test_an_old_workspace_without_metrics(old: Workspace) -> None:
    with pytest.raises(AlpaconError) as caught:
        gather(old, "metrics", servers=["web-01"])
    assert str(caught.value).startswith(
        "gather: this workspace has no metrics. Workspaces of version 2.37 and newer have it. "
    )


def test_a_token_without_the_scope(current: Workspace) -> None:
    current.fault("status", path=METRICS, status=403, body='{"code": "forbidden"}')
    with pytest.raises(AlpaconError) as caught:
        gather(current, "metrics")
    expected = "gather: the token is not allowed to read metrics. Use a token with a scope for it"
    assert str(caught.value).startswith(expected)
    assert caught.value.details["error"]["status"] == 403


def test_a_refused_request_is_not_blamed_on_the_scope(current: Workspace) -> None:
    current.fault("status", path=METRICS, status=400, body='{"code": "invalid"}')
    with pytest.raises(AlpaconError) as caught:
        gather(current, "metrics")
    assert "gather" not in str(caught.value)


def test_a_token_that_is_refused(old: Workspace) -> None:
    with pytest.raises(AlpaconError) as caught:
        gather(old, "os", token="alpat-unknown")
    assert "gather" not in str(caught.value)


def test_nothing_more_without_kinds(current: Workspace) -> None:
    outcome = gather(current)
    assert not any("gathered" in server for server in outcome["servers"])
    assert outcome["requests"] == 2


def server_row(server_id: str) -> Row:
    return {"id": server_id, "name": f"web-{server_id[6:8]}", "groups": []}


def answer_all(rows: list[Row]) -> Callable[[Request], Response]:
    """Answer with the servers, and with these rows whatever the filter is."""

    def answer(request: Request) -> Response:
        if request.path.startswith(LIST):
            server_id = request.path.removeprefix(LIST).strip("/")
            return Response(server_row(server_id) if server_id else page([server_row(own) for own in IDS]))
        return Response(page(rows))

    return answer


def test_rows_without_names_of_servers(serve: Serve) -> None:
    server = serve(answer_all([{"id": n, "server": own.upper(), "version": n} for n, own in enumerate(IDS)]))
    outcome = gather(server, "os")
    assert {name: row["version"] for name, row in gathered(outcome, "os").items()} == {
        f"web-{n + 1:02d}": n for n in range(12)
    }
    assert [request.path for request in server.requests] == ["/api/proc/os/", LIST, "/api/proc/os/"]
    assert outcome["servers"][0]["groups"] == [], "the list has the other fields too"


def test_rows_with_names_of_servers_beside_their_ids(serve: Serve) -> None:
    server = serve(answer_all([{"server": own, "server_name": f"web-{own[6:8]}", "version": 1} for own in IDS]))
    outcome = gather(server, "os")
    assert gathered(outcome, "os") == {f"web-{number:02d}": {"version": 1} for number in range(1, 13)}
    assert outcome["requests"] == 1


def test_a_workspace_that_ignores_the_filter(serve: Serve) -> None:
    rows = [{"id": n, "server": {"id": own}, "username": f"user-{n}"} for n, own in enumerate(IDS)]
    server = serve(answer_all(rows))
    outcome = gather(server, "users", servers=[IDS[2]])
    assert gathered(outcome, "users") == {"web-03": [{"id": 2, "username": "user-2"}]}
    assert [request.path for request in server.requests][1:] == 2 * ["/api/proc/users/"]


def test_addresses_are_sorted_by_interface(current: Workspace) -> None:
    addresses = [{"address": f"192.0.2.{number}", "interface_name": f"eth{3 - number}"} for number in range(3)]
    current.change_server("web-01", facts={"addresses": addresses})
    [server] = gather(current, "addresses", servers=["web-01"])["servers"]
    assert [row["address"] for row in server["gathered"]["addresses"]] == ["192.0.2.2", "192.0.2.1", "192.0.2.0"]


@pytest.fixture
def measured(current: Workspace) -> dict[str, int]:
    """Return a workspace with the disk usage of 22 servers, and servers without metrics."""
    usage = {f"db-{number:02d}": number for number in range(22)}
    for name, value in usage.items():
        current.add_servers(name, facts={"metrics": [{"disk-usage": {"value": value, "device": "/dev/sda1"}}]})
    return usage


def read_usage(outcome: TaskResult) -> dict[str, Any]:
    return {name: cells and cells["disk-usage"]["value"] for name, cells in gathered(outcome, "metrics").items()}


def test_metrics_of_selected_servers_are_theirs(current: Workspace, measured: dict[str, int]) -> None:
    outcome = gather(current, "metrics", filters={"name": "db-*"})
    assert read_usage(outcome) == measured
    cells = outcome["servers"][7]["gathered"]["metrics"]
    assert (set(cells), cells["disk-usage"]["device"]) == (
        {"cpu", "memory", "disk-usage", "disk-io", "net"},
        "/dev/sda1",
    )
    two = gather(current, "metrics", servers=["db-03", "web-01"])
    assert read_usage(two) == {"db-03": 3, "web-01": None}
    assert paths(current)[-2:] == [METRICS] * 2


def metric(server_id: str, value: Any = 1, **fields: Any) -> Row:
    return {"id": server_id, "name": f"web-{server_id[6:8]}", "disk-usage": {"value": value}, **fields}


@pytest.mark.parametrize("known", [IDS, IDS[1:]])
def test_metrics_of_a_workspace_that_ignores_the_search(serve: Serve, known: list[str]) -> None:
    rows = [metric(own, number) for number, own in enumerate(IDS) if own in known]
    server = serve(answer_all([*rows, {"id": None, "disk-usage": {"value": 99}}]))
    outcome = gather(server, "metrics", servers=[IDS[0], IDS[2]])
    assert read_usage(outcome) == {"web-01": 0 if IDS[0] in known else None, "web-03": 2}
    asked = [request.query for request in server.requests if request.path == METRICS]
    assert [query.get("search") for query in asked] == (["web-01", "web-03"] if known is IDS else ["web-01", None])


def test_metrics_that_never_come_whole_are_an_error(serve: Serve) -> None:
    rows = [metric(own) for own in IDS]
    with pytest.raises(IncompleteList, match="11 of 12 rows"):
        gather(serve(lambda _request: Response(page([*rows[:11], rows[10]], count=12))), "metrics")


def test_data_that_is_too_large_is_null(serve: Serve) -> None:
    rows = [{**metric(own, "x" * 100_001), "name": f"web-{own[6:8]}\x1b"} for own in IDS]
    outcome = gather(serve(answer_all([{**rows[0], "disk-usage": 1}, *rows[1:]])), "metrics")
    assert [cells for cells in gathered(outcome, "metrics").values() if cells] == [{"disk-usage": 1}]
    names = ", ".join(f"web-{number:02d}\\x1b" for number in range(2, 12))
    assert outcome.warnings == [f"gather: metrics are null where they are too large: {names} and 1 more."]
