# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Test the `published` dialect against the published page: example, tables, errors."""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

import pytest
import requests
from workspace.client import Workspace

COMMANDS = "events/commands/"
ID = "550e8400-e29b-41d4-a716-446655440000"
SERVER = "7e3984de-49ab-4cc6-bcdf-21fbd35858b8"

#: The example of the published page.
EXAMPLE = json.loads(Path(__file__).with_name("published.json").read_text(encoding="utf-8"))
TIMES = {
    "delivered_at": "2024-01-15T10:30:44Z",
    "acked_at": "2024-01-15T10:30:44.125000Z",
    "handled_at": "2024-01-15T10:30:45Z",
}


def page(workspace: Workspace, **query: t.Any) -> dict[str, t.Any]:
    response = workspace.api("GET", COMMANDS, params=query)
    assert response.status_code == 200, response.text
    return t.cast("dict[str, t.Any]", response.json())


def lines(workspace: Workspace, **query: t.Any) -> list[str]:
    return [row["line"] for row in page(workspace, **query)["results"]]


def refused(response: requests.Response, status: int, code: str) -> None:
    assert response.status_code == status, response.text
    assert response.headers["Content-Type"] == "application/json"
    assert response.json()["code"] == code
    assert set(response.json()) == {"code", "detail"}


@pytest.fixture
def example(published: Workspace) -> Workspace:
    published.add_servers("db-01", id=SERVER, connected=True)
    fields = ("id", "shell", "line", "success", "result", "elapsed_time", "added_at", "scheduled_at", "username")
    row = {name: EXAMPLE[name] for name in fields}
    published.add_commands([row | TIMES | {"groupname": "alpacon", "server": "db-01", "requested_by": "admin"}])
    return published


@pytest.fixture
def varied(published: Workspace) -> Workspace:
    """Create four commands that every filter tells apart."""
    published.add_commands(
        [
            {"line": "uptime", "server": "web-01", "added_at": -400, "status": "success"},
            {"line": "id", "server": "web-02", "requested_by": "bob", "added_at": -300, "status": "failed"},
            {"line": "SELECT 1;", "server": "web-01", "shell": "osquery", "requested_by": None, "added_at": -200},
            {"line": "reboot", "server": "web-02", "added_at": -100, "scheduled_at": 3600},
        ]
    )
    return published


def test_example_row_in_the_list(example: Workspace) -> None:
    assert page(example)["results"] == [EXAMPLE], "Published in tests/workspace/dialects.py is not published.json"
    assert page(example) == {"count": 1, "next": None, "previous": None, "results": [EXAMPLE]}


def test_example_in_detail(example: Workspace) -> None:
    detail = example.api("GET", f"{COMMANDS}{ID}/").json()
    # The page shows no time with a fraction of a second.
    stated = TIMES | {"acked_at": "2024-01-15T10:30:44Z"}
    assert detail == EXAMPLE | stated | {"run_after": [], "data": None}


def test_next_and_previous_are_addresses(published: Workspace) -> None:
    published.add_many_commands(85, status="success", line="echo {n}")
    first = page(published)
    assert (first["count"], first["previous"], len(first["results"])) == (85, None, 15)
    assert first["next"] == f"{published.url}/api/events/commands/?page=2"
    second = published.api("GET", first["next"]).json()
    assert second["previous"] == f"{published.url}/api/events/commands/"
    assert not {row["id"] for row in first["results"]} & {row["id"] for row in second["results"]}


def test_filters_search_and_order(varied: Workspace) -> None:
    numbers = {user["username"]: user["number"] for user in varied.state()["users"]}
    assert lines(varied, server=varied.server_ids()["web-02"]) == ["reboot", "id"]
    assert lines(varied, requested_by=numbers["bob"]) == ["id"]
    assert lines(varied, requested_by_isnull="true") == ["SELECT 1;"]
    assert lines(varied, is_scheduled="true") == ["reboot"]
    assert lines(varied, search="web-01 upti") == ["uptime"]
    assert lines(varied, search="Builder") == ["id"]
    assert lines(varied) == lines(varied, ordering="-scheduled_at") == ["reboot", "SELECT 1;", "id", "uptime"]


def test_status_object(published: Workspace) -> None:
    published.add_servers("off-01", connected=False)
    wanted: list[tuple[dict[str, t.Any], str, bool]] = [
        ({"scheduled_at": 3600}, "Scheduled", True),
        ({"server": "off-01"}, "Queued", True),
        ({"status": "delivered"}, "Sent", False),
        ({"status": "running"}, "Acked", False),
        ({"status": "delivered", "added_at": -3600}, "Stuck", False),
        ({"status": "success"}, "Success", False),
        ({"status": "failed"}, "Failed", False),
    ]
    keys = published.add_commands([fields for fields, _text, _cancellable in wanted])
    for key, (_fields, text, cancellable) in zip(keys, wanted, strict=True):
        status = published.api("GET", f"{COMMANDS}{key}/").json()["status"]
        assert set(status) == {"text", "color", "cancellable", "message"}
        assert (status["text"], status["cancellable"]) == (text, cancellable)


def test_errors(published: Workspace) -> None:
    published.add_servers("off-01", connected=False)
    body = {"server": published.server_ids()["web-01"], "line": "true"}
    away = {**body, "server": published.server_ids()["off-01"]}
    refused(published.api("POST", COMMANDS, json={**body, "line": "#" * 2049}), 400, "INVALID_COMMAND")
    response = published.api("POST", COMMANDS, json=body, token=published.tokens()["noacl"])
    refused(response, 403, "API_TOKEN_ACL_NOT_ALLOWED")
    refused(published.api("POST", COMMANDS, json=away), 503, "SERVER_NOT_CONNECTED")
    assert published.commands() == []
    (sent,) = published.add_commands([{"status": "delivered"}])
    refused(published.api("DELETE", f"{COMMANDS}{sent}/"), 409, "EVENT_COMMAND_ALREADY_SENT")
    later = published.submit("web-01", "true", scheduled_at="2031-01-01T00:00:00Z")
    assert published.api("DELETE", f"{COMMANDS}{later}/").status_code == 204
    refused(published.api("GET", f"{COMMANDS}{later}/"), 404, "COMMAND_NOT_FOUND")


@pytest.mark.parametrize(
    ("header", "status"),
    [('token="{token}"', 200), ("token={token}", 200), ('token="unknown"', 401), ("Bearer {token}", 401)],
)
def test_authorization_header(published: Workspace, header: str, status: int) -> None:
    headers = {"Authorization": header.format(token=published.token)}
    assert published.api("GET", COMMANDS, headers=headers).status_code == status
