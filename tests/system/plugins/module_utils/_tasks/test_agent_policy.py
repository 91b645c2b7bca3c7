# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test alpacon_agent_policy: parts of a policy, check mode, diffs, lost responses and refusals."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from system.support import Request, Response, ScriptedServer, TaskResult, count_methods
from workspace.client import Workspace

from ansible_collections.herdops.alpacon.plugins.module_utils._api import changes
from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import AlpaconError, ApiError, UsageError
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.run import Run
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.agent_policy import SPEC, run_agent_policy
from ansible_collections.herdops.alpacon.tests.unit.support import Row

PREFERENCES = "/preferences/"
STORED = {"days": [5, 6], "start_hour": 2, "length_hours": 4, "timezone": "Asia/Seoul"}
WINDOW = {**STORED, "days": ["saturday", "sunday"]}


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "_PAUSES", (0.0, 0.1))


@pytest.fixture
def governed(current: Workspace) -> Workspace:
    """Return a workspace that upgrades agents at the weekend."""
    current.settings(agent_rollout_policy="latest", agent_rollout_window=STORED)
    return current


def manage(target: Workspace | ScriptedServer, run: Run | None = None, **given: Any) -> TaskResult:
    token = target.token if isinstance(target, Workspace) else "alpat-x"
    options = {**{name: option.get("default") for name, option in SPEC.items()}, "url": target.url, "token": token}
    return TaskResult(run_agent_policy({**options, **given}, run or Run(warn=lambda _text: None)), [])


def read(workspace: Workspace) -> tuple[str, Row]:
    switches = workspace.state()["switches"]
    return switches["agent_rollout_policy"], switches["agent_rollout_window"]


def list_bodies(workspace: Workspace) -> list[Row]:
    sent = [entry for entry in workspace.log() if entry["method"] == "PATCH"]
    return [json.loads(entry["body"])["agent_rollout_policy"] for entry in sent]


def test_a_task_without_options_reads_the_policy(governed: Workspace) -> None:
    done = manage(governed)
    assert (done.changed, done["mode"], done["window"], done["automatic"]) == (False, "latest", WINDOW, True)
    assert done["requests"] == 1
    governed.settings(agent_rollout_policy="manual", agent_rollout_window=None)
    done = manage(governed)
    assert (done["mode"], done["window"], done["automatic"]) == ("manual", None, False)


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ({"mode": "manual"}, {"mode": "manual"}),
        ({"window": {"start_hour": 23}}, {"window": {**STORED, "start_hour": 23}}),
        ({"window": {**dict.fromkeys(STORED), "start_hour": 23}}, {"window": {**STORED, "start_hour": 23}}),
        ({"window": {"days": ["sunday", "monday", "sunday"]}}, {"window": {**STORED, "days": [0, 6]}}),
        ({"mode": "n_minus_1", "window": WINDOW}, {"mode": "n_minus_1"}),
    ],
)
def test_a_part_of_the_policy_is_changed_once(governed: Workspace, given: Row, sent: Row) -> None:
    before = read(governed)
    predicted = manage(governed, Run(check_mode=True, diff_mode=True), **given)
    assert (predicted.changed, read(governed), list_bodies(governed)) == (True, before, [])
    done = manage(governed, Run(diff_mode=True), **given)
    assert list_bodies(governed) == [sent]
    assert done["diff"] == predicted["diff"]
    assert done["diff"]["before"] != done["diff"]["after"]
    assert (done["mode"], done["window"]) == (predicted["mode"], predicted["window"])
    assert read(governed) == (sent.get("mode", "latest"), sent.get("window", STORED))
    again = manage(governed, **given)
    assert (again.changed, len(list_bodies(governed))) == (False, 1)


def test_a_first_window_must_be_whole(current: Workspace) -> None:
    current.settings(agent_rollout_policy="latest")
    with pytest.raises(UsageError, match=r"^window: start_hour, length_hours missing"):
        manage(current, window={"days": ["sunday"], "timezone": "UTC"})
    assert manage(current, window=WINDOW).changed
    assert read(current) == ("latest", STORED)


@pytest.mark.parametrize(
    ("window", "problem"),
    [
        ({}, "window: it is empty"),
        ({"days": []}, "window: days: it is an empty list"),
        ({"days": ["5"]}, "window: days: '5' is not one of its values"),
        ({"start_hour": 24}, "window: start_hour: 24 is out of range. Give 0 to 23."),
        ({"length_hours": 0}, "window: length_hours: 0 is out of range. Give 1 to 24."),
        ({"timezone": "../etc"}, "window: timezone: '../etc' is not a zone"),
        ({"hours": 4}, "window: hours: there is no such key."),
    ],
)
def test_a_bad_window_is_refused_before_any_request(governed: Workspace, window: Row, problem: str) -> None:
    governed.reset_counters()
    with pytest.raises(UsageError) as caught:
        manage(governed, window=window)
    assert str(caught.value).startswith(problem)
    assert governed.requests_made() == 0


def test_a_mode_that_the_workspace_does_not_offer_has_its_sentence(governed: Workspace) -> None:
    governed.settings(unavailable_modes=["n_minus_1"])
    with pytest.raises(ApiError, match=r"does not offer this mode .* Give another mode") as caught:
        manage(governed, mode="n_minus_1")
    assert caught.value.stated


@pytest.mark.parametrize("workspace", ["2024", "published", "current"], indirect=True)
def test_a_workspace_without_a_policy_is_named(workspace: Workspace) -> None:
    with pytest.raises(AlpaconError, match="no policy for automatic upgrades"):
        manage(workspace, mode="manual")
    assert count_methods(workspace)["PATCH"] == 0


@pytest.mark.parametrize(("kind", "sent"), [("lose_before", 2), ("lose_after", 1)])
def test_a_lost_response_is_read_back(governed: Workspace, kind: str, sent: int) -> None:
    governed.fault(kind, method="PATCH", path=PREFERENCES, times=1)
    assert manage(governed, mode="manual").changed
    assert (read(governed)[0], len(list_bodies(governed))) == ("manual", sent)


def test_a_part_that_somebody_else_changes_meanwhile_stays(serve: Callable[..., ScriptedServer]) -> None:
    stored: Row = {"mode": "latest", "window": STORED}

    def respond(request: Request) -> Response:
        if request.method == "PATCH":
            stored.update({**request.body["agent_rollout_policy"], "mode": "manual"})
        return Response({"agent_rollout_policy": stored})

    done = manage(serve(respond), Run(diff_mode=True), window={"start_hour": 23})
    assert (done.changed, done["mode"], done["automatic"], done["window"]["start_hour"]) == (True, "manual", False, 23)


@pytest.mark.parametrize(
    "policy",
    [
        "late\x1b[2J",
        {"mode": "latest\x1b[2J", "window": [1]},
        {"mode": "latest", "window": {"days": [True, 9, "5", None], "start_hour": 1e9, "timezone": "{{ 7 }}\x1b"}},
    ],
)
def test_an_odd_policy_is_read_as_data(serve: Callable[..., ScriptedServer], policy: object) -> None:
    def respond(request: Request) -> Response:
        return Response({"agent_rollout_policy": policy})

    server = serve(respond)
    assert "\x1b" not in str(manage(server, Run(diff_mode=True)).result)
    with pytest.raises(AlpaconError, match="does not have it"):
        manage(server, mode="manual")
