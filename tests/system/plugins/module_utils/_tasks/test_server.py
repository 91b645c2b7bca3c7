# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test alpacon_server: changes, check mode, diffs, lost responses, refusals and requests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from system.support import Request, Response, ScriptedServer, TaskResult, count_methods
from workspace.client import Workspace

from ansible_collections.herdops.alpacon.plugins.module_utils._api import changes
from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import RunIsOver, UsageError
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.run import Run, RunContext
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.server import SPEC, run_server
from ansible_collections.herdops.alpacon.tests.unit.support import Row

SERVERS = "/api/servers/servers/"
NAMES = ("app-1", "app-2", "app-3")
MUTED: Row = {"offline_alert": False}


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "_PAUSES", (0.0, 0.2))


@pytest.fixture
def fleet(workspace: Workspace) -> Workspace:
    """Return a workspace with three servers without agents."""
    workspace.add_servers(*NAMES)
    workspace.reset_counters()
    return workspace


def change(target: Workspace | ScriptedServer, *servers: str, run: Run | None = None, **given: Any) -> TaskResult:
    """Run a task for servers, by default for the first, and check the number of requests that it returns."""
    token = target.token if isinstance(target, Workspace) else "alpat-x"
    defaults = {name: option.get("default") for name, option in SPEC.items()}
    options = {**defaults, "url": target.url, "token": token, "servers": list(servers or NAMES[:1]), **given}
    before = target.requests_made() if isinstance(target, Workspace) else len(target.requests)
    result = run_server(options, run or Run(warn=lambda _text: None))
    after = target.requests_made() if isinstance(target, Workspace) else len(target.requests)
    assert result["requests"] == after - before
    return TaskResult(result, [])


def read(workspace: Workspace, name: str = NAMES[0]) -> Row:
    [server] = [server for server in workspace.state()["servers"] if server["name"] == name]
    return dict(server)


def test_a_fleet_is_muted_once(fleet: Workspace) -> None:
    done = change(fleet, *NAMES, **MUTED)
    assert (done.changed, done.failed, done["requests"]) == (True, False, 4)
    assert [read(fleet, name)["offline_alert_enabled"] for name in NAMES] == [False] * 3
    assert [server["offline_alert"] for server in done["servers"]] == [False] * 3
    again = change(fleet, *NAMES, **MUTED)
    assert (again.changed, again["requests"], count_methods(fleet)["PATCH"]) == (False, 1, 3)
    loud = change(fleet, *NAMES[:2], offline_alert=True)
    assert loud["msg"] == "2 of 2 servers changed."
    assert [read(fleet, name)["offline_alert_enabled"] for name in NAMES] == [True, True, False]


def test_every_option_is_changed_and_shown(fleet: Workspace) -> None:
    groups = {group["name"]: group["id"] for group in fleet.state()["groups"]}
    server_id = read(fleet)["id"]
    given = {"name": "app-9", "description": " Shop ", "groups": ["Legacy"], **MUTED}
    predicted = change(fleet, server_id, run=Run(check_mode=True, diff_mode=True), **given)
    assert (predicted.changed, count_methods(fleet)["PATCH"]) == (True, 0)
    done = change(fleet, server_id, run=Run(diff_mode=True), **given)
    assert done["diff"] == predicted["diff"]
    assert done["diff"]["after"].splitlines() == [
        'app-1: name: "app-9"',
        'app-1: description: "Shop"',
        "app-1: offline_alert: false",
        f'app-1: groups: ["{groups["Legacy"]}"]',
    ]
    assert done["diff"]["before"].splitlines()[1:3] == ['app-1: description: ""', "app-1: offline_alert: true"]
    stored = read(fleet, "app-9")
    assert (stored["id"], stored["description"], stored["groups"]) == (server_id, "Shop", ["Legacy"])
    for key in ("id", "name", "description", "offline_alert", "groups"):
        assert done[key] == predicted[key] == done["servers"][0][key]
    again = change(fleet, server_id, run=Run(diff_mode=True), **given)
    assert (again.changed, again["diff"]) == (False, {"before": "", "after": ""})


@pytest.mark.parametrize("workspace", ["2024", "published"], indirect=True)
@pytest.mark.parametrize("given", [MUTED, {"description": "Shop", "name": "app-9"}])
def test_an_older_workspace_is_refused_before_any_change(fleet: Workspace, given: Row) -> None:
    with pytest.raises(UsageError, match="it may be an older one"):
        change(fleet, *NAMES[: 1 if "name" in given else 3], **given)
    assert count_methods(fleet)["PATCH"] == 0


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"servers": [*NAMES], "name": "app"}, "name: several servers cannot have one name"),
        ({"name": "my app"}, "name: 'my app' is not a name"),
        ({"description": "x" * 256}, "description: it has 256 characters"),
        ({"description": "a\x1bb"}, "description: it has a control character"),
        ({"groups": ["Operation"]}, r"groups: no group is named Operation\. Did you mean Operations\?"),
        ({"servers": ["app-11"], **MUTED}, r"servers: no server is named app-11\."),
    ],
)
def test_bad_options_change_nothing(fleet: Workspace, given: Row, problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        change(fleet, *given.get("servers", ()), **{name: value for name, value in given.items() if name != "servers"})
    assert count_methods(fleet)["PATCH"] == 0


@pytest.mark.parametrize(("kind", "sent"), [("lose_before", 2), ("lose_after", 1)])
def test_a_lost_response_is_read_back(fleet: Workspace, kind: str, sent: int) -> None:
    fleet.fault(kind, method="PATCH", path=SERVERS, times=1)
    done = change(fleet, **MUTED)
    assert (done.changed, done.failed) == (True, False)
    assert not read(fleet)["offline_alert_enabled"]
    assert count_methods(fleet)["PATCH"] == sent


def test_reads_that_lag_behind_do_not_matter(fleet: Workspace) -> None:
    fleet.settings(read_lag=0.1)
    fleet.fault("lose_after", method="PATCH", path=SERVERS, times=1)
    assert not change(fleet, **MUTED).failed
    assert not read(fleet)["offline_alert_enabled"]


def test_reads_that_lag_behind_do_not_hide_a_change_of_the_run(fleet: Workspace, tmp_path: Path) -> None:
    fleet.settings(read_lag=60)
    run = Run(RunContext(folder=tmp_path), warn=lambda _text: None, diff_mode=True)
    for alert in (False, True, False):
        done = change(fleet, run=run, offline_alert=alert)
        assert (done.changed, read(fleet)["offline_alert_enabled"]) == (True, alert)
        assert done["diff"]["before"] != done["diff"]["after"]


def test_a_change_whose_responses_are_all_lost_may_have_been_carried_out(fleet: Workspace) -> None:
    fleet.fault("lose_before", method="PATCH", path=SERVERS)
    done = change(fleet, *NAMES, **MUTED)
    assert (done.failed, done.changed) == (True, True)
    assert [(server["offline_alert"], server["changed"]) for server in done["servers"]] == [
        (None, True),
        (True, False),
        (True, False),
    ]
    assert done["servers"][2]["msg"] == "Not tried."
    assert count_methods(fleet)["PATCH"] == 2


def test_a_lost_response_that_cannot_be_read_back_is_no_success(fleet: Workspace) -> None:
    server_id = read(fleet)["id"]
    fleet.fault("lose_before", method="PATCH", path=SERVERS, times=1)
    fleet.fault("status", method="GET", path=server_id, status=403, body='{"code": "forbidden"}')
    done = change(fleet, **MUTED)
    assert (done.failed, done.changed, done["offline_alert"]) == (True, True, None)
    assert "The record cannot be read: The token is not allowed to do this." in done["msg"]


def test_a_server_that_is_refused_does_not_stop_the_others(fleet: Workspace) -> None:
    second = read(fleet, NAMES[1])["id"]
    fleet.fault("status", method="PATCH", path=second, status=403, body='{"code": "forbidden"}')
    done = change(fleet, *NAMES, **MUTED)
    assert (done.failed, done.changed) == (True, True)
    assert [server["failed"] for server in done["servers"]] == [False, True, False]
    assert done["msg"].startswith("1 of 3 servers failed: app-2: The token is not allowed to do this.")
    assert [read(fleet, name)["offline_alert_enabled"] for name in NAMES] == [False, True, False]


def test_servers_that_are_refused_alike_are_listed_together(fleet: Workspace) -> None:
    fleet.fault("status", method="PATCH", path=SERVERS, status=403, body='{"code": "forbidden"}')
    done = change(fleet, *NAMES, **MUTED)
    assert done["msg"].startswith("3 of 3 servers failed: app-1, app-2, app-3: The token is not allowed to do this.")
    assert done["msg"].count("HTTP 403") == 1


def test_a_refused_token_stops_at_once(fleet: Workspace) -> None:
    body = '{"code": "auth_authentication_failed"}'
    fleet.fault("status", method="PATCH", path=SERVERS, status=401, body=body)
    done = change(fleet, *NAMES, **MUTED)
    assert (done.failed, done.changed, count_methods(fleet)["PATCH"]) == (True, False, 1)


def test_an_ended_run_changes_nothing(fleet: Workspace) -> None:
    with pytest.raises(RunIsOver):
        change(fleet, run=Run(RunContext(is_over=lambda: True)), **MUTED)
    assert read(fleet)["offline_alert_enabled"]


@pytest.mark.parametrize(
    "answer", [{}, [], None, {"offline_alert_enabled": True}, {"offline_alert_enabled": "\x1b[2J", "groups": 5}]
)
def test_a_workspace_that_only_claims_the_change_is_found_out(
    serve: Callable[..., ScriptedServer], answer: object
) -> None:
    row = {"id": "7a50ea6c-2138-4d3f-9633-e50694c847c4", "name": "app-1\x1b[2J", "offline_alert_enabled": True}

    def respond(request: Request) -> Response:
        return Response(answer if request.method == "PATCH" else row)

    done = change(serve(respond), str(row["id"]), run=Run(diff_mode=True), **MUTED)
    assert (done.failed, done.changed, done["offline_alert"]) == (True, True, None)
    assert "does not have it" in done["msg"]
    assert "\x1b" not in str(done.result)
