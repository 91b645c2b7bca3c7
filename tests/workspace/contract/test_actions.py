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
    workspace._until(lambda: server(workspace)["version"] == version, f"no {version}", 30)


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


def upgrade(workspace: Workspace) -> tuple[int, str]:
    workspace.wait_connected("web-01")
    [command] = act(workspace, "upgrade_agent").json()
    done = workspace.wait_for_command(command["id"])
    return done["exit_code"], done["result_begin"]


def test_a_pinned_version_is_installed_and_refuses_upgrades_until_it_has_proved_healthy(current: Workspace) -> None:
    current.settings(pinned_version="2.4.0")
    assert upgrade(current) == (0, "Updated to v2.4.0. Restarting ...")
    await_version(current, "2.4.0")
    code, text = upgrade(current)
    assert (code, text.partition(":")[0]) == (1, "Upgrade refused")
    current._until(lambda: upgrade(current) == (0, "Already running v2.4.0."), "still refused", 30)


def test_a_pinned_version_that_is_not_healthy_is_rolled_back(current: Workspace) -> None:
    current.settings(pinned_version="2.7.0", unhealthy_versions=["2.7.0"], health_window=0.5)
    started = server(current)["started_at"]
    assert upgrade(current) == (0, "Updated to v2.7.0. Restarting ...")
    await_version(current, "2.7.0")
    await_version(current, "2.5.0")
    current.wait_connected("web-01")
    assert server(current)["started_at"] > started
    # The test that follows begins with a healthy agent.
    current.reset()
    assert upgrade(current)[1].startswith("Already up-to-date (alpamon: 2.5.0")


def test_a_second_upgrade_does_nothing_while_the_first_runs(current: Workspace) -> None:
    current.settings(offered_version="2.6.0", upgrade_seconds=2.0)
    [first] = act(current, "upgrade_agent").json()
    current._until(lambda: current.commands(id=first["id"])[0]["status"] == "running", "not running", 30)
    assert upgrade(current) == (0, "Upgrade already in progress.")
    assert "Setting up alpamon (2.6.0)" in current.wait_for_command(first["id"])["result_begin"]
    await_version(current, "2.6.0")
    current.wait_connected("web-01")


def test_pam_is_installed_once_and_joins_upgrades(current: Workspace) -> None:
    texts = []
    for action in ("install_pam", "install_pam", "upgrade_agent"):
        [command] = act(current, action).json()
        texts.append(current.wait_for_command(command["id"])["result_begin"])
    assert "Setting up alpamon-pam" in texts[0]
    assert "alpamon-pam is already the newest version" in texts[1]
    assert texts[1] == texts[2]


def test_a_server_on_which_pam_cannot_be_installed(current: Workspace) -> None:
    def refuse() -> str:
        answer = act(current, "install_pam")
        assert 400 <= answer.status_code < 500
        return str(answer.json()["code"])

    current.settings(sudo_with_mfa=False)
    assert refuse() == "server_pam_install_requires_sudo_with_mfa"
    current.settings(sudo_with_mfa=True)
    current.fault("late_fin", server="web-01", line="install_pam", seconds=60)
    assert act(current, "install_pam").status_code == 201
    assert refuse() == "server_pam_install_in_progress"
    current.change_server("web-01", platform="windows")
    assert refuse() == "server_pam_install_unsupported"
    current.change_server("web-01", platform="debian")


def test_a_restarted_agent_reports_no_result(current: Workspace) -> None:
    started = server(current)["started_at"]
    [command] = act(current, "restart_agent").json()
    current._until(lambda: server(current)["started_at"] > started, "no restart", 30)
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
