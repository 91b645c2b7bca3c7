# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Test the actions of servers, and what agents do then."""

from __future__ import annotations

import typing as t

import pytest
import requests
from workspace.client import Row, Workspace


def act(workspace: Workspace, action: str, server: str = "web-01", **fields: t.Any) -> requests.Response:
    path = f"servers/servers/{workspace.server_ids()[server]}/actions/"
    return workspace.api("POST", path, json={"action": action, **fields})


def server(workspace: Workspace) -> Row:
    return t.cast(Row, workspace.api("GET", f"servers/servers/{workspace.server_ids()['web-01']}/").json())


def await_version(workspace: Workspace, version: str) -> None:
    workspace._until(lambda: server(workspace)["version"] == version, f"no {version}", 10)


def test_an_action_answers_with_a_list_of_its_command(current: Workspace) -> None:
    answer = act(current, "update_information")
    [command] = answer.json()
    assert (answer.status_code, command["shell"], command["line"]) == (201, "internal", "commit")
    done = current.wait_for_command(command["id"])
    assert (done["exit_code"], done["result_begin"]) == (0, "Committed system information.")


@pytest.mark.parametrize("action", ["reboot_system", "shutdown_system", "upgrade_system", "shutdown_agent"])
def test_an_action_that_is_gone(current: Workspace, action: str) -> None:
    answer = act(current, action)
    assert (answer.status_code, answer.json()) == (400, {"code": "invalid", "source": "action"})


def test_a_server_that_cannot_act(current: Workspace, old: Workspace) -> None:
    for workspace in (current, old):
        workspace.disconnect("web-01")
    assert (answer := act(current, "restart_agent")).status_code == 400
    assert answer.json() == {"code": "server_not_connected"}
    assert (answer := act(old, "restart_agent")).status_code == 400
    words = "Requested server is not connected now. Please try again later."
    assert answer.json() == {"non_field_errors": [words]}
    assert act(old, "install_pam").json() == {"action": ['"install_pam" is not a valid choice.']}


def test_a_busy_server_acts_only_by_force(current: Workspace) -> None:
    current.settings(busy_servers=["web-01"])
    answer = act(current, "restart_agent")
    assert (answer.status_code, answer.json()) == (409, {"code": "server_busy_with_user_work"})
    assert act(current, "restart_agent", force=True).status_code == 201


def test_the_published_page_has_no_actions(published: Workspace) -> None:
    assert act(published, "restart_agent").status_code == 404


def test_an_upgraded_agent_restarts_after_its_result(current: Workspace) -> None:
    current.settings(offered_version="2.6.0")
    started = server(current)["started_at"]
    [command] = act(current, "upgrade_agent").json()
    assert current.wait_for_command(command["id"])["exit_code"] == 0
    own = server(current)
    assert (own["version"], own["started_at"]) == ("2.5.0", started)
    await_version(current, "2.6.0")
    assert server(current)["started_at"] > started
    [again] = act(current, "upgrade_agent").json()
    done = current.wait_for_command(again["id"])
    assert done["result_begin"] == "Already up-to-date (alpamon: 2.6.0, pam: not installed)"


def test_a_restarted_agent_reports_no_result(current: Workspace) -> None:
    started = server(current)["started_at"]
    [command] = act(current, "restart_agent").json()
    current._until(lambda: server(current)["started_at"] > started, "no restart", 10)
    current.wait_connected("web-01")
    assert current.commands(id=command["id"])[0]["status"] == "running"


def test_a_reset_gives_agents_their_version_back(current: Workspace) -> None:
    current.change_server("web-01", version="2.4.0")
    current.settings(offered_version="2.4.0")
    [command] = act(current, "upgrade_agent").json()
    assert "2.4.0" in current.wait_for_command(command["id"])["result_begin"]
    current.reset()
    assert server(current)["version"] == "2.5.0"
    [command] = act(current, "upgrade_agent").json()
    assert "2.5.0" in current.wait_for_command(command["id"])["result_begin"]
