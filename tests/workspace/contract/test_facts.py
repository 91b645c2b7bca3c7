# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Test the lists of what agents reported: rows of each dialect, the filter by server, and reports of agents."""

from __future__ import annotations

import typing as t

import requests
from workspace.client import Workspace

Row = dict[str, t.Any]
FACTS = {"os": [{"name": "Debian"}], "users": [{"username": "root"}, {"username": "me"}], "metrics": [{"disk": 95}]}


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
    [row] = rows(current, "metrics/latest/")
    assert set(row) == {"added_at", "server", "disk"}
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


def test_agents_report_at_the_same_address(current: Workspace) -> None:
    server = current.state()["servers"][0]
    headers = {"Authorization": f'id="{server["id"]}", key="{server["key"]}"', "User-Agent": "alpamon/2.5.0"}
    response = requests.post(f"{current.url}/api/proc/users/", json=[], headers=headers, timeout=5)
    assert (response.status_code, response.json()) == (200, {})
