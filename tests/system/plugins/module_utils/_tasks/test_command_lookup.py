# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lookup: the latest matching command of each server."""

from __future__ import annotations

from typing import Any

import pytest
from system.support import in_every_dialect, lookup_options, request_paths
from workspace.client import Workspace

from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import AlpaconError
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.command_info import run_lookup
from ansible_collections.herdops.alpacon.tests.unit.support import LIST


def look_up(workspace: Workspace, *terms: str, **given: Any) -> list[Any]:
    warnings: list[str] = []
    found = run_lookup(list(terms), lookup_options(workspace, **given), warnings.append)
    assert warnings == []
    return found


@pytest.fixture
def history(workspace: Workspace) -> Workspace:
    """Three commands on each of two servers, newest first an hour apart, and none on the third."""
    rows: list[dict[str, Any]] = [
        {"line": "uptime", "status": "running"},
        {"line": "uptime", "status": "success", "result": "new\n"},
        {"line": "false", "status": "failed", "result": "boom\n"},
        {"line": "uptime", "status": "success", "result": "old\n"},
    ]
    workspace.add_commands(
        [
            {"added_at": -3600 * age - 10, **row, "server": server}
            for age, row in enumerate(rows)
            for server in ("web-01", "web-02")
        ]
    )
    return workspace


def test_the_latest_output_of_each_server(history: Workspace) -> None:
    server_id = history.server_ids()["web-01"]
    assert look_up(history, "web-02", "web-03", server_id, "web-01", line="uptime") == ["new", None, "new", "new"]
    assert history.counters()["writes"] == 0


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, "new"),
        ({"line": "date"}, None),
        ({"status": ["failed"]}, "boom"),
        ({"within": "30m"}, None),
        ({"within": "30m", "status": ["running"]}, ""),
    ],
)
def test_which_command_is_meant(history: Workspace, given: dict[str, Any], expected: str | None) -> None:
    assert look_up(history, "web-01", **given) == [expected]


def test_the_latest_of_another_status_is_named(history: Workspace) -> None:
    options = lookup_options(history, line="false")
    del options["default"]
    with pytest.raises(
        AlpaconError, match=r"web-01 has no such .* status success\. The latest .* is failed, 20.*default"
    ):
        run_lookup(["web-01"], options, pytest.fail)


@in_every_dialect
@pytest.mark.parametrize("want", ["id", "record"])
def test_what_is_wanted(history: Workspace, want: str) -> None:
    [found] = look_up(history, "web-01", want=want)
    expected = next(row["id"] for row in history.commands() if row["line"] == "uptime" and row["status"] == "success")
    if want == "id":
        assert found == expected
    else:
        assert (found["id"], found["stdout"], found["rc"], found["outcome"]) == (expected, "new", 0, "success")
        assert found["requested_by"]["name"] == "admin"
        # Rows of some workspaces have the server's id only.
        assert found["server"] == {"id": history.server_ids()["web-01"], "name": "web-01"}


@pytest.mark.parametrize("terms", [1, 40])
def test_the_list_is_read_once_for_all(workspace: Workspace, terms: int) -> None:
    names = [f"db-{number:02d}" for number in range(40)]
    workspace.add_servers(*names, connected=True)
    workspace.add_many_commands(300, line="true", status="success", result="x", servers=names)
    workspace.reset_counters()
    assert look_up(workspace, *names[:terms]) == ["x"] * terms
    assert [path.split("?")[0] for path in request_paths(workspace)][-2:] == ["/api/servers/servers/", LIST]
    assert ("server=" in request_paths(workspace)[-1]) is (terms == 1)
    assert workspace.requests_made() == 2
