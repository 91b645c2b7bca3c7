# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test the playbook upgrade_agents: waves, the results of hosts, and the summary."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from system.plays import Play, run_playbook
from system.support import AGENTS
from workspace.client import Workspace

LOST = ("app-030", "app-060")


def upgrade(workspace: Workspace, folder: Path, hosts: Any, *arguments: str, **variables: Any) -> Play:
    given = ("-e", json.dumps({"alpacon_wait_timeout": "10s", **variables}))
    return run_playbook(workspace, folder, "herdops.alpacon.upgrade_agents", hosts, *given, *arguments)


def recap(done: Play) -> dict[str, dict[str, int]]:
    """Return the counts of each host."""
    rows = re.findall(r"(?m)^(\S+) +: (ok=.*)$", done.log)
    return {host: {key: int(value) for key, value in re.findall(r"(\w+)=(\d+)", counts)} for host, counts in rows}


def count(done: Play, key: str) -> int:
    return sum(row[key] for row in recap(done).values())


def summary(done: Play) -> list[str]:
    _tasks, _line, shown = done.log.partition("\nagents: ")
    return [line for line in f"agents: {shown}".splitlines() if line.startswith(("agents: ", "    "))] if shown else []


@pytest.mark.promise
def test_a_hundred_agents_of_which_two_do_not_come_back(current: Workspace, tmp_path: Path) -> None:
    names = [f"app-{number:03d}" for number in range(100)]
    current.add_servers(*names, agent=True)
    current.wait_connected(*names)
    current.settings(offered_version="2.6.0")
    for name in LOST:
        current.fault("disconnect", server=name, line="upgrade", seconds=600)
    current.reset_counters()
    # On a busy machine, agents take seconds to begin.
    done = upgrade(current, tmp_path, names, alpacon_agent_version="2.6.0", alpacon_wait_timeout="20s")
    assert done.code == 2, done.log
    assert (count(done, "changed"), count(done, "failed")) == (98, 2)
    # One submit for each server, and a few polls of two lists for each wave.
    assert current.requests_made() <= 160
    upgraded, versions, first, *others = summary(done)
    assert (upgraded, first) == ("agents: 98 of 100 upgraded", "agents: 2 of 100 failed")
    assert re.fullmatch(r"    2\.5\.0 -> 2\.6\.0: app-000, .* and 78 more", versions)
    lost = [
        f"    {name}: Not finished within wait_timeout. The agent has not come back: {name}, offline" for name in LOST
    ]
    assert [line.partition(", last connected")[0] for line in others] == lost
    assert len(done.tasks["Upgrade the agents of the wave"]) == 4, "waves of 1, 10, 50 and 39 hosts"
    assert len(current.commands()) == 100
    # Those of the second run are one wave.
    some = [*LOST, *names[:8]]
    again = upgrade(current, tmp_path / "again", some, alpacon_agent_version="2.6.0", alpacon_serial="100%")
    assert (count(again, "changed"), count(again, "failed")) == (0, 2)
    assert len(current.commands()) == 100
    assert "    app-030: Never ran: the server is offline." in again.log


def test_a_missing_server_is_the_only_error_that_is_printed(current: Workspace, tmp_path: Path) -> None:
    done = upgrade(current, tmp_path, ["nowhere-01", "nowhere-02"], alpacon_serial="100%")
    assert done.code == 2, done.log
    [error] = [line for line in done.log.splitlines() if line.startswith("[ERROR]")]
    assert "servers: no server is named nowhere-01." in error
    assert summary(done)[0] == "agents: 1 of 2 failed"
    assert summary(done)[-1] == "agents: 1 of 2 not tried"
    assert current.commands() == []


def test_too_many_failures_stop_the_upgrade(current: Workspace, tmp_path: Path) -> None:
    current.settings(offered_version="2.6.0")
    current.disconnect("web-01")
    ids = current.server_ids()
    # The inventory plugin sets alpacon_version to the version that the agent has.
    hosts = {f"{name}.example.com": {"alpacon_server_id": ids[name], "alpacon_version": "2.5.0"} for name in AGENTS}
    done = upgrade(current, tmp_path, hosts)
    assert done.code == 2, done.log
    assert summary(done)[0] == "agents: 1 of 3 failed"
    assert summary(done)[-1] == "agents: 2 of 3 not tried"
    assert current.commands() == []
    rest = upgrade(current, tmp_path / "rest", hosts, "--limit", "web-02*,web-03*", alpacon_serial="100%")
    assert (rest.code, count(rest, "changed")) == (0, 2), rest.log
    assert summary(rest) == ["agents: 2 of 2 upgraded", "    2.5.0 -> 2.6.0: web-02, web-03"]


def test_a_wave_waits_until_pinned_versions_cannot_be_rolled_back(current: Workspace, tmp_path: Path) -> None:
    current.settings(pinned_version="2.6.0")
    done = upgrade(current, tmp_path, AGENTS, alpacon_wait_timeout="4s")
    assert done.code == 2, done.log
    first, host, last = summary(done)
    assert (first, last) == ("agents: 1 of 3 failed", "agents: 2 of 3 not tried")
    assert "The agent has 2.6.0 now, and may still be rolled back." in host
    assert len(current.commands()) == 1


@pytest.mark.parametrize(("mode", "warned"), [("n_minus_1", True), ("latest", False), ("manual", False), ("", False)])
def test_a_policy_that_undoes_the_upgrade_is_warned_of(
    current: Workspace, tmp_path: Path, mode: str, warned: bool
) -> None:
    current.settings(agent_rollout_policy=mode)
    current.reset_counters()
    done = upgrade(current, tmp_path, AGENTS, "--check", alpacon_serial="1,100%")
    assert done.code == 0, done.log
    assert ("policy n_minus_1" in done.log) is warned
    assert [entry["path"] for entry in current.log()].count("/api/workspaces/preferences/-/") == 1


def test_check_mode_changes_nothing(current: Workspace, tmp_path: Path) -> None:
    done = upgrade(current, tmp_path, AGENTS, "--check", alpacon_agent_version="2.6.0")
    assert (done.code, count(done, "changed")) == (0, 3), done.log
    assert current.commands() == []


@pytest.mark.parametrize(
    ("hosts", "variables", "problem"),
    [
        (None, {}, "There are no hosts. Give an inventory with -i."),
        (AGENTS, {"alpacon_max_concurency": 2}, "There is no variable alpacon_max_concurency. Did you mean"),
        (AGENTS, {"alpacon_version": "2.6.0"}, "takes no alpacon_version. Choose hosts with -i and"),
        (AGENTS, {"alpamon_version": "2.6.0"}, "takes no alpamon_version. Choose hosts with -i and"),
        (AGENTS, {"alpacon_servers": "web-01"}, "This playbook takes no alpacon_servers. Choose hosts with -i"),
        (
            {"web-01": {}, "web-02": {"alpacon_url": "https://Other.example.com/"}},
            {},
            ", https://other.example.com. Run the playbook for the hosts of each by itself, with --limit.",
        ),
        (AGENTS, {"alpacon_serial": "abc"}, "alpacon_serial is abc. Give numbers of hosts or percentages"),
        (AGENTS, {"alpacon_serial": 0}, "alpacon_serial is 0. Give numbers of hosts or percentages"),
        (AGENTS, {"alpacon_agent_version": "newest"}, "version: 'newest' is not a version."),
    ],
)
def test_bad_variables_submit_nothing(
    current: Workspace, tmp_path: Path, hosts: Any, variables: dict[str, Any], problem: str
) -> None:
    done = upgrade(current, tmp_path, hosts, **variables)
    assert done.code == 2, done.log
    assert problem in done.log
    assert current.commands() == []
