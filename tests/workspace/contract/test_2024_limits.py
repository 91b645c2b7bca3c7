# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Test features that the workspace of 2024 ignores, refuses or lacks, besides the recorded exchanges."""

from __future__ import annotations

import uuid

import pytest
from workspace.client import Workspace

COMMANDS = "events/commands/"


def test_orderings_that_are_ignored(old: Workspace) -> None:
    old.add_many_commands(5, line="{n}", status="success", step=-60)
    for query, lines in (("", "01234"), ("?ordering=scheduled_at", "01234"), ("?ordering=added_at", "43210")):
        assert "".join(row["line"] for row in old.api("GET", COMMANDS + query).json()["results"]) == lines


def test_run_after_does_not_hold_what_is_due_at_once(old: Workspace) -> None:
    first = old.submit("web-01", "sleep 0.2; exit 1")
    second = old.submit("web-01", "true", run_after=[first])
    assert old.commands(id=second)[0]["delivered_count"] == 1
    assert old.wait_for_command(second)["status"] == "success"


def test_several_lines_are_refused_whatever_the_acl(old: Workspace) -> None:
    body = {"server": old.server_ids()["web-01"], "line": "true\ntrue"}
    answer = old.api("POST", COMMANDS, json=body)
    assert (answer.status_code, answer.json()) == (400, {"line": ["Permission denied"]})
    assert old.commands() == []


@pytest.mark.parametrize("route", [f"{COMMANDS}{uuid.UUID(int=1)}/chunks/", "auth/whoami/"])
def test_routes_that_it_does_not_know_are_answered_by_django(old: Workspace, route: str) -> None:
    answer = old.api("GET", route)
    assert (answer.status_code, answer.headers["Content-Type"]) == (404, "text/html; charset=utf-8")
    assert "<title>Not Found</title>" in answer.text
