# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the server of 2024 was seen to ignore, to refuse and not to know, beside the recorded exchanges."""

from __future__ import annotations

import time
import typing as t
import uuid

import pytest
from workspace.client import Workspace

COMMANDS = "events/commands/"


@pytest.fixture(scope="module")
def _shared() -> t.Iterator[Workspace]:
    with Workspace("2024", servers=["web-01", "web-02"], tick=0.1) as workspace:
        yield workspace


@pytest.fixture
def workspace(_shared: Workspace) -> Workspace:
    _shared.reset()
    _shared.wait_connected("web-01", "web-02")
    return _shared


def rows(workspace: Workspace, query: str) -> list[dict[str, t.Any]]:
    return t.cast("list[dict[str, t.Any]]", workspace.api("GET", COMMANDS + query).json()["results"])


@pytest.mark.parametrize("ordering", ["scheduled_at", "delivered_at", "acked_at", "handled_at"])
def test_orderings_that_are_ignored(workspace: Workspace, ordering: str) -> None:
    workspace.add_many_commands(5, line="{n}", status="success", step=-60)
    newest_first = [row["line"] for row in rows(workspace, "")]
    assert newest_first == ["0", "1", "2", "3", "4"]
    assert [row["line"] for row in rows(workspace, f"?ordering={ordering}")] == newest_first
    assert [row["line"] for row in rows(workspace, "?ordering=added_at")] == newest_first[::-1]


def test_of_two_orderings_one_is_ignored(workspace: Workspace) -> None:
    moments = {"a": (-300, -10), "b": (-200, -20), "c": (-100, -10)}
    workspace.add_commands(
        [{"line": line, "added_at": added, "scheduled_at": due} for line, (added, due) in moments.items()]
    )
    assert [row["line"] for row in rows(workspace, "?ordering=-scheduled_at,-added_at")] == ["c", "b", "a"]


def test_list_rows_tell_no_times_and_no_row_tells_an_exit_code(workspace: Workspace) -> None:
    key = workspace.submit("web-01", "exit 3")
    workspace.wait_for_command(key)
    (row,) = rows(workspace, "")
    assert not {"scheduled_at", "delivered_at", "acked_at", "handled_at", "exit_code"} & set(row)
    detail = workspace.api("GET", f"{COMMANDS}{key}/").json()
    assert (detail["success"], "exit_code" in detail) == (False, False)


def test_run_after_does_not_hold_what_is_due_at_once(workspace: Workspace) -> None:
    first = workspace.submit("web-01", "sleep 0.5; exit 1")
    second = workspace.submit("web-01", "true", run_after=[first])
    assert workspace.commands(id=second)[0]["delivered_count"] == 1
    assert workspace.wait_for_command(second)["status"] == "success"


def test_run_after_holds_what_is_scheduled(workspace: Workspace) -> None:
    first = workspace.submit("web-01", "sleep 1; exit 1")
    (second,) = workspace.add_commands([{"server": "web-01", "scheduled_at": 0.1, "run_after": [first]}])
    truth = workspace.wait_for_command(second)
    assert (truth["status"], truth["delivered_count"]) == ("failed", 0)


@pytest.mark.parametrize("line", ["true\ntrue", "a\nb\nc"])
def test_several_lines_are_refused_whatever_the_acl(workspace: Workspace, line: str) -> None:
    body = {"server": workspace.server_ids()["web-01"], "line": line}
    answer = workspace.api("POST", COMMANDS, json=body)
    assert (answer.status_code, answer.json()) == (400, {"line": ["Permission denied"]})
    assert workspace.commands() == []


@pytest.mark.parametrize(
    "route", [f"{COMMANDS}{uuid.UUID(int=1)}/chunks/", "auth/whoami/", "auth/env/", "events/sessions/"]
)
def test_routes_that_it_does_not_know_are_answered_by_django(workspace: Workspace, route: str) -> None:
    answer = workspace.api("GET", route)
    assert (answer.status_code, answer.headers["Content-Type"]) == (404, "text/html; charset=utf-8")
    assert "<title>Not Found</title>" in answer.text


def test_registration_can_be_one_of_them(workspace: Workspace) -> None:
    assert workspace.api("GET", "servers/registration-tokens/").status_code == 200
    workspace.settings(registration=False)
    for method, route in (("GET", "registration-tokens/"), ("POST", "servers/register/")):
        answer = workspace.api(method, f"servers/{route}")
        assert (answer.status_code, answer.headers["Content-Type"]) == (404, "text/html; charset=utf-8")


@pytest.mark.parametrize("query", ["is_connected=false", "tag=env:prod", "id=x"])
def test_filters_of_servers_that_came_later_are_ignored(workspace: Workspace, query: str) -> None:
    assert workspace.api("GET", f"servers/servers/?{query}").json()["count"] == 2


def test_a_database_that_is_away_makes_it_refuse_a_valid_token(workspace: Workspace) -> None:
    workspace.lose_database(seconds=0.3)
    answer = workspace.api("GET", COMMANDS)
    assert answer.status_code == 403
    assert answer.json() == {"detail": "Authentication credentials were not provided."}
    time.sleep(0.3)
    assert workspace.api("GET", COMMANDS).status_code == 200
