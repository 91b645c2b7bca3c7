# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Test the changes of servers and of the preferences that administrators make."""

from __future__ import annotations

import typing as t

import pytest
from workspace.client import Workspace

PREFERENCES = "workspaces/preferences/-/"
WINDOW = {"days": [5, 6], "start_hour": 2, "length_hours": 4, "timezone": "Asia/Seoul"}


def change(workspace: Workspace, **policy: t.Any) -> t.Any:
    return workspace.api("PATCH", PREFERENCES, json={"agent_rollout_policy": policy})


def read(workspace: Workspace) -> t.Any:
    return workspace.api("GET", PREFERENCES).json()["agent_rollout_policy"]


def test_a_change_of_the_policy_names_a_part(current: Workspace) -> None:
    current.settings(agent_rollout_policy="latest")
    assert read(current) == {"mode": "latest", "window": None}
    assert change(current, window={"days": [5]}).status_code == 400
    assert change(current, window=WINDOW).json()["agent_rollout_policy"] == {"mode": "latest", "window": WINDOW}
    assert change(current, mode="manual", window={"start_hour": 23}).status_code == 200
    assert read(current) == {"mode": "manual", "window": {**WINDOW, "start_hour": 23}}
    current.reset()
    assert current.api("GET", PREFERENCES).json() == {}


@pytest.mark.parametrize(
    "policy",
    [
        {"mode": "newest"},
        *({"window": {**WINDOW, **wrong}} for wrong in ({"days": [7]}, {"start_hour": 24}, {"timezone": "Seoul"})),
    ],
)
def test_a_bad_policy_changes_nothing(current: Workspace, policy: t.Any) -> None:
    current.settings(agent_rollout_policy="latest", agent_rollout_window=WINDOW)
    answer = change(current, **policy)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid")
    assert read(current) == {"mode": "latest", "window": WINDOW}


def test_who_may_change_the_policy_and_which_modes_there_are(current: Workspace, published: Workspace) -> None:
    current.settings(agent_rollout_policy="latest", unavailable_modes=["n_minus_1"])
    answer = change(current, mode="n_minus_1")
    assert (answer.status_code, answer.json()) == (400, {"code": "preferences_agent_rollout_mode_unavailable"})
    bob = current.tokens()["bob"]
    assert current.api("GET", PREFERENCES, token=bob).status_code == 200
    assert current.api("PATCH", PREFERENCES, token=bob, json={}).status_code == 403
    assert published.api("GET", PREFERENCES).status_code == 404
    assert change(published, mode="latest").status_code == 404


def test_only_todays_workspaces_mute_alerts(current: Workspace, published: Workspace, old: Workspace) -> None:
    for workspace in (current, published, old):
        path = f"servers/servers/{workspace.server_ids()['web-01']}/"
        answer = workspace.api("PATCH", path, json={"offline_alert_enabled": False, "description": "Shop"})
        assert answer.status_code == 200
        [server] = [server for server in workspace.state()["servers"] if server["name"] == "web-01"]
        changed = workspace is current
        assert (server["offline_alert_enabled"], server["description"]) == (not changed, "Shop" if changed else "")
        assert ("offline_alert_enabled" in answer.json()) is changed
