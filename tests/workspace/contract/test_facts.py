# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Test the lists of what agents reported: rows of each dialect, the filter by server, and reports of agents."""

from __future__ import annotations

import typing as t

import pytest
import requests
from workspace.client import Workspace, WorkspaceError

Row = dict[str, t.Any]
FACTS = {"os": [{"name": "Debian"}], "users": [{"username": "root"}, {"username": "me"}], "metrics": [{"cpu": 95}]}
CELLS = {"cpu", "memory", "disk-usage", "disk-io", "net"}


def rows(workspace: Workspace, path: str, **query: t.Any) -> list[Row]:
    response = workspace.api("GET", path, params=query)
    assert response.status_code == 200, response.text
    return t.cast("list[Row]", response.json()["results"])


def test_rows_of_today_name_their_server(current: Workspace) -> None:
    [made] = current.add_servers("off-01", connected=False, facts=FACTS)
    current.change_server("web-01", facts={"users": [{"username": "root"}]})
    listed = rows(current, "proc/users/", server=made["id"])
    assert [(row["username"], row["server"]["name"], row["server"]["is_connected"]) for row in listed] == [
        ("me", "off-01", False),
        ("root", "off-01", False),
    ]
    assert len(rows(current, "proc/users/")) == 3
    assert current.api("GET", "proc/os/?server=nonsense").status_code == 400
    current.change_server("off-01", facts={"users": []})
    assert len(rows(current, "proc/users/")) == 1


def test_rows_of_2024_do_not_name_their_server(old: Workspace) -> None:
    old.add_servers("off-01", "off-02", facts=FACTS)
    assert [set(row) for row in rows(old, "proc/os/")] == [{"added_at", "name"}] * 2
    [server, _other] = [row for row in old.state()["servers"] if row["name"].startswith("off-")]
    assert [set(row) for row in rows(old, "proc/users/", server=server["id"])] == [{"id", "username"}] * 2


def test_kinds_that_a_dialect_lacks(old: Workspace, published: Workspace) -> None:
    assert "The requested resource was not found" in old.api("GET", "metrics/latest/").text
    assert old.api("GET", "proc/disks/").status_code == 404
    assert published.api("GET", "proc/os/").json() == {"detail": "Not found."}


def test_unknown_kinds_of_facts_are_refused(current: Workspace) -> None:
    for change in (current.add_servers, current.change_server):
        with pytest.raises(WorkspaceError, match="unknown kinds of facts: user;"):
            change("web-01", facts={"user": [{"username": "root"}]})
    assert list(current.server_ids()) == ["web-01", "web-02"]
    assert as_agent(current, "POST", "proc/packages/", []) == {}, "agents report what no client lists"
    assert current.api("GET", "proc/packages/").status_code == 404


def test_metrics_are_a_list_of_servers_with_cells(current: Workspace) -> None:
    current.add_servers("db-x1", "db-x2", connected=False, facts=FACTS, tags={"role": "db"}, groups=["Legacy"])
    listed = rows(current, "metrics/latest/")
    assert [row["name"] for row in listed] == ["db-x1", "db-x2", "web-01", "web-02"]
    assert {row["id"] for row in listed} == set(current.server_ids().values())
    first, last = listed[0], listed[-1]
    assert set(first) == {"id", "name", "is_connected", *CELLS}
    assert (first["is_connected"], first["cpu"]["value"], first["cpu"]["unit"]) == (False, 95, "percent")
    assert (last["cpu"]["value"], last["net"]["unit"]) == (None, "bytes_per_sec")
    legacy = next(group["id"] for group in current.state()["groups"] if group["name"] == "Legacy")
    # No UUID has an x.
    for query in ({"tag": "role:db"}, {"groups": legacy}, {"search": "db-x"}):
        assert [row["name"] for row in rows(current, "metrics/latest/", **query)] == ["db-x1", "db-x2"], query
    assert not any(row["name"].startswith("db-x") for row in rows(current, "metrics/latest/", is_connected="true"))
    assert len(rows(current, "metrics/latest/", name="db-x1")) == 4, "this filter is not known"


def as_agent(workspace: Workspace, method: str, path: str, body: t.Any = None, **headers: str) -> t.Any:
    server = workspace.state()["servers"][0]
    headers |= {"Authorization": f'id="{server["id"]}", key="{server["key"]}"', "User-Agent": "alpamon/2.5.0"}
    response = requests.request(method, f"{workspace.url}/api/{path}", json=body, headers=headers, timeout=30)
    return response.json() if response.status_code == 200 else response.status_code


def test_what_an_agent_commits_is_listed(current: Workspace) -> None:
    address = {"address": "192.0.2.7", "broadcast": "192.0.2.255", "interface_name": "eth0", "mask": "255.255.255.0"}
    body = {"os": {"name": "Debian", "patch": 2}, "users": [{"username": "root"}], "addresses": [address]}
    assert as_agent(current, "PUT", "servers/servers/-/commit/", {**body, "sync_hashes": {"os": "sha256:1"}}) == {}
    [row] = rows(current, "proc/addresses/")
    assert row == {"id": row["id"], "added_at": row["added_at"], "server": row["server"], **address}
    assert row["server"]["name"] == "web-01"
    assert [row["patch"] for row in rows(current, "proc/os/")] == [2]


def test_an_agent_syncs_what_has_changed(current: Workspace) -> None:
    hashes = {"os": "sha256:1", "users": "sha256:2"}
    check = ("POST", "servers/servers/-/sync-check/", {"hashes": hashes})
    assert as_agent(current, *check) == {"sync_required": ["os", "users"]}
    assert as_agent(current, "GET", "proc/os/-/sync/") == 404
    assert as_agent(current, "GET", "proc/users/sync/") == []
    users = [{"username": "root"}, {"username": "me"}]
    as_agent(current, "POST", "proc/users/", users, **{"X-Sync-Hash": "sha256:2"})
    as_agent(current, "POST", "proc/os/", {"name": "Debian"}, **{"X-Sync-Hash": "sha256:0"})
    assert as_agent(current, *check) == {"sync_required": ["os"]}
    kept = as_agent(current, "GET", "proc/os/-/sync/")
    as_agent(current, "PATCH", f"proc/os/{kept['id']}/", {"name": "Debian 14"}, **{"X-Sync-Hash": "sha256:1"})
    me = next(row["id"] for row in as_agent(current, "GET", "proc/users/sync/") if row["username"] == "me")
    as_agent(current, "DELETE", f"proc/users/{me}/")
    assert as_agent(current, *check) == {"sync_required": []}
    assert [row["name"] for row in rows(current, "proc/os/")] == ["Debian 14"]
    assert [row["username"] for row in rows(current, "proc/users/")] == ["root"]
    assert as_agent(current, "POST", "metrics/realtime/cpu/", [{"usage": 1}]) == {}
