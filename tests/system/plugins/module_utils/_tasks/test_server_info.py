# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test alpacon_server_info: names, UUIDs, filters and fields."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from system import inventories
from system.support import Response, ScriptedServer, TaskResult, in_every_dialect, request_paths
from workspace.client import Workspace

from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import ApiError, UsageError
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.run import Run
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.server_info import FIELDS, run_server_info
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.server_info import SPEC as SERVER_INFO_SPEC
from ansible_collections.herdops.alpacon.tests.unit.support import NO_COMMAND, SERVER, Row, page

Serve = Callable[..., ScriptedServer]
LIST = "/api/servers/servers/?"
ODD = "{{ lookup('pipe', 'touch /tmp/alpacon-was-templated') }}"
TWINS = ("twin", "twin")
OTHERS = ["app-01", "db-01", "new-01", *TWINS, ODD]
#: Fields that the lists of older workspaces leave out.
ONLY_CURRENT = {"description", "platform", "offline_alert_enabled", "tags"}
ONLY_DETAIL = {"version", "osquery_version", "uptime", "last_connectivity", "started_at", "added_at", "updated_at"}


def list_servers(target: Workspace | ScriptedServer, **given: Any) -> TaskResult:
    """Run a task of alpacon_server_info."""
    token = target.token if isinstance(target, Workspace) else "alpat-x"
    defaults = {name: option.get("default") for name, option in SERVER_INFO_SPEC.items()}
    warnings: list[str] = []
    result = run_server_info({**defaults, "url": target.url, "token": token, **given}, Run(warn=warnings.append))
    assert result["changed"] is False
    return TaskResult(result, warnings)


def names(outcome: TaskResult) -> list[str]:
    return [server["name"] for server in outcome["servers"]]


@in_every_dialect
def test_all_servers_with_all_fields(workspace: Workspace) -> None:
    workspace.add_servers("app-01", tags={"role": "app"}, os_name="Debian", boot_time=-60)
    outcome = list_servers(workspace)
    assert names(outcome) == ["app-01", "web-01", "web-02", "web-03"]
    server = outcome["servers"][0]
    expected = set(FIELDS) - (set() if workspace.dialect == "current" else ONLY_CURRENT | ONLY_DETAIL)
    assert set(server) == expected
    assert server["groups"] == [{"id": server["groups"][0]["id"], "name": "Operations"}]
    email = "admin@example.com" if workspace.dialect == "current" else None
    assert server["owner"] == {"id": server["owner"]["id"], "name": "admin", "email": email}
    assert outcome["requests"] == (1 if workspace.dialect == "2024" else 2)
    assert outcome.warnings == []


@pytest.mark.parametrize(("status", "fails"), [(403, False), (404, False), (401, True)])
def test_names_of_groups_that_may_not_be_read(serve: Serve, status: int, fails: bool) -> None:
    rows = [{"id": SERVER, "name": "web-01", "groups": ["g"]}]
    server = serve([Response(page(rows)), Response({"code": "forbidden"}, status=status)])
    if fails:
        with pytest.raises(ApiError):
            list_servers(server)
        return
    outcome = list_servers(server)
    assert outcome["servers"][0]["groups"] == [{"id": "g", "name": "g"}]
    [warning] = outcome.warnings
    assert "so their ids replace them" in warning


def test_one_by_id_is_one_request(workspace: Workspace) -> None:
    server_id = workspace.server_ids()["web-02"]
    outcome = list_servers(workspace, servers=[server_id.upper()])
    assert names(outcome) == ["web-02"]
    assert request_paths(workspace)[0] == f"/api/servers/servers/{server_id}/"
    assert len(request_paths(workspace)) == 2, "the names of groups are read besides"


def test_warning_of_unknown_servers(workspace: Workspace) -> None:
    outcome = list_servers(workspace, servers=["web-1", "web-01", NO_COMMAND])
    assert names(outcome) == ["web-01"]
    assert outcome.warnings == [
        f"servers: there is no server {text} Or the token has no access to that server."
        for text in ("web-1. Did you mean web-01?", f"{NO_COMMAND}. Check the UUID.")
    ]


@pytest.mark.parametrize(
    ("filters", "hosts", "pushed"),
    [
        ({"connected": "no"}, ["db-01", "new-01"], "&is_connected=false"),
        ({"commissioned": False}, ["new-01"], "&commissioned=false"),
        ({"name": "app-01"}, ["app-01"], "&name=app-01"),
        ({"name": ["[ad]*-0?"]}, ["app-01", "db-01"], "&search=0"),
        ({"name": ["app-*", "db-*"]}, ["app-01", "db-01"], ""),
        ({"groups": ["Legacy", "Alpacon users"]}, ["app-01", "db-01"], ""),
        ({"groups": "Legacy"}, ["db-01"], "&groups=UUID"),
        ({"platform": ["RHEL", "suse"]}, ["db-01"], ""),
        ({"tags": {"role": None}}, ["app-01", "db-01"], ""),
        ({"tags": {"fqdn": None, "role": "web"}}, ["app-01"], "&tag=role%3Aweb"),
    ],
)
def test_filters(workspace: Workspace, filters: Row, hosts: list[str], pushed: str) -> None:
    inventories.add_servers(workspace)
    found = list_servers(workspace, filters=filters)
    assert sorted(name for name in names(found) if not name.startswith("web-")) == sorted(hosts)
    [path] = [path for path in request_paths(workspace) if path.startswith(LIST)]
    assert re.sub("groups=[0-9a-f-]{36}", "groups=UUID", path) == f"{LIST}ordering=name{pushed}&page_size=100"


@pytest.mark.parametrize("count", [1_000, pytest.param(10_000, marks=pytest.mark.slow)])
def test_fifty_of_many_servers_are_one_request(count: int) -> None:
    with Workspace(servers=0, agents=False) as workspace:
        workspace.add_servers(*(f"web-{number:05d}" for number in range(count - 50)), groups=[])
        ids = workspace.add_servers(*(f"db-{number:02d}" for number in range(50)), groups=[], tags={"role": "db"})
        outcome = list_servers(workspace, filters={"tags": {"role": "db"}}, gather=["metrics"])
        assert [server["id"] for server in outcome["servers"]] == [row["id"] for row in ids]
        assert all(server["gathered"]["metrics"] for server in outcome["servers"])
        assert outcome["requests"] == 2, "one for the servers and one for their metrics"


@pytest.mark.parametrize(
    ("filters", "sent"),
    [
        ({"tags": {"role": "db"}}, {"tag": "role:db"}),
        ({"connected": True}, {"is_connected": "true"}),
        ({"name": "db-*"}, {"search": "db-"}),
        ({"groups": "Legacy"}, {"groups": "a7282bea-31d7-4b55-a43e-97e1240c90ab"}),
    ],
)
def test_rows_of_a_workspace_that_ignores_a_filter_are_checked(serve: Serve, filters: Row, sent: Row) -> None:
    group = {"id": "a7282bea-31d7-4b55-a43e-97e1240c90ab", "name": "Legacy"}
    wanted = {"name": "db-01", "tags": {"role": "db"}, "is_connected": True, "groups": [group["id"]]}
    other = {"name": "DB-02", "tags": {"role": "DB"}, "is_connected": False, "groups": ["g"]}
    rows = [{"id": f"{number}{SERVER[1:]}", **row} for number, row in enumerate((wanted, other))]
    server = serve(lambda request: Response(page([group] if "/groups/" in request.path else rows)))
    assert names(list_servers(server, filters=filters)) == ["db-01"]
    [asked] = [request.query for request in server.requests if request.path.startswith(LIST[:-1])]
    assert asked == {"ordering": "name", "page_size": "100", **sent}


@pytest.mark.parametrize(("status", "rows"), [(403, 0), (404, 0), (200, 0), (200, 2)])
def test_a_group_that_is_not_known_for_certain_is_not_sent(serve: Serve, status: int, rows: int) -> None:
    own = {"id": SERVER, "name": "db-01", "groups": [{"id": "g", "name": "Legacy"}]}
    groups = [{"id": f"{number}{SERVER[1:]}", "name": "Legacy"} for number in range(rows)]
    body = "<p>The requested resource was not found on this server.</p>" if status == 404 else page(groups)
    server = serve(lambda request: Response(body, status) if "/groups/" in request.path else Response(page([own])))
    outcome = list_servers(server, filters={"groups": "Legacy"})
    assert (names(outcome), outcome.warnings) == (["db-01"], [])
    assert "groups" not in server.requests[-1].query


@pytest.mark.parametrize(("limit", "count", "pages"), [(0, 253, 3), (101, 101, 2)])
def test_limit(workspace: Workspace, limit: int, count: int, pages: int) -> None:
    workspace.add_servers(*(f"db-{number:03d}" for number in range(250)))
    assert len(list_servers(workspace, limit=limit)["servers"]) == count
    assert len([path for path in request_paths(workspace) if path.startswith(LIST)]) == pages


def test_warning_of_a_filter_of_an_unlisted_field(published: Workspace) -> None:
    outcome = list_servers(published, filters={"platform": ["debian"], "tags": {"role": None}})
    assert names(outcome) == []
    assert outcome.warnings == [
        f"filters: {name} matches no server, since this workspace does not list the field {name}."
        for name in ("platform", "tags")
    ]


@pytest.mark.parametrize(
    ("given", "option", "problem"),
    [
        ({"servers": ["web-01", " "]}, "servers", "one of them is empty"),
        ({"limit": -1}, "limit", "-1 is negative"),
        ({"filters": {"connected": "perhaps"}}, "filters", "connected: 'perhaps' is not a boolean"),
    ],
)
def test_bad_options_are_refused_before_any_request(current: Workspace, given: Row, option: str, problem: str) -> None:
    with pytest.raises(UsageError, match=problem) as caught:
        list_servers(current, **given)
    assert caught.value.option == option
    assert current.requests_made() == 0
