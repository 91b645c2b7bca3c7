# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test the playbooks run and upgrade_agents in waves with gates between them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from system.plays import Play, run_playbook
from workspace.client import Workspace

RUN = "herdops.alpacon.run"


@pytest.fixture
def names(request: pytest.FixtureRequest) -> list[str]:
    """Return names of servers that no other test has."""
    return [f"{request.node.name.strip(']').replace('[', '-').replace('_', '-')[-50:]}-{number}" for number in range(4)]


def run(workspace: Workspace, folder: Path, hosts: list[str], *arguments: str, **variables: Any) -> Play:
    given = [
        part for name, value in {"line": "uptime", **variables}.items() for part in ("-e", f"alpacon_{name}='{value}'")
    ]
    return run_playbook(workspace, folder, RUN, hosts, *given, *arguments)


def add_measured(workspace: Workspace, **values: float) -> None:
    now = datetime.now(UTC).isoformat()
    for name, value in values.items():
        cell = {"value": value, "unit": "percent", "sampled_at": now}
        workspace.add_servers(name, connected=True, facts={"metrics": [{"cpu": cell}]})


def tried(done: Play) -> int:
    return len(done.tasks.get("Run the command", ()))


def last_line(done: Play) -> str:
    return done.log.rstrip().splitlines()[-1]


def test_a_gate_decides_after_each_wave_but_the_last(instant: Workspace, tmp_path: Path, names: list[str]) -> None:
    instant.add_servers(*names, connected=True)
    counter = tmp_path / "gates"
    done = run(instant, tmp_path, names, serial="1,2,1", gate_line=f"echo passed >>{counter}")
    assert (done.code, tried(done)) == (0, 4), done.log
    assert counter.read_text() == "passed\n" * 2
    assert "Stopped" not in done.log


def test_a_closed_gate_stops_the_run(instant: Workspace, tmp_path: Path, names: list[str]) -> None:
    instant.add_servers(*names, connected=True)
    done = run(instant, tmp_path, names, serial="2", gate_line="echo slow >&2; exit 7")
    assert (done.code, tried(done)) == (2, 2), done.log
    assert "2 hosts were not tried" in last_line(done)
    assert "exit code 7: slow" in last_line(done)
    assert (tmp_path / "run.retry").read_text().splitlines() == list(names[2:])
    again = run(instant, tmp_path / "again", names, "--limit", f"@{tmp_path}/run.retry", serial="2", gate_line="exit 7")
    assert (again.code, tried(again)) == (0, 2), again.log


def test_a_gate_runs_its_command_on_a_server(current: Workspace, tmp_path: Path, names: list[str]) -> None:
    current.add_servers(*names, "monitor", agent=True)
    current.wait_connected(*names, "monitor")
    done = run(current, tmp_path, names, serial="2", gate_line="exit 3", gate_server="monitor")
    assert (done.code, tried(done)) == (2, 2), done.log
    assert "2 hosts were not tried" in last_line(done)
    assert "ended with rc 3" in last_line(done)
    # The gate's command is not among those to retry.
    assert (tmp_path / "run.retry").read_text().splitlines() == list(names[2:])


def test_too_many_failures_stop_the_run(current: Workspace, tmp_path: Path, names: list[str]) -> None:
    current.add_servers(*names, agent=True)
    current.wait_connected(*names)
    hosts = {name: {"alpacon_line": f"exit {number % 3 == 0:d}"} for number, name in enumerate(names)}
    done = run_playbook(current, tmp_path, RUN, hosts, "-e", "alpacon_serial=2,1,1")
    assert (done.code, tried(done)) == (2, 2), done.log
    assert "2 hosts were not tried: Too many" in last_line(done)
    given = ("-e", "alpacon_serial=2,1,1", "-e", "alpacon_max_fail_percentage=50", "-e", "alpacon_gate_line=true")
    more = run_playbook(current, tmp_path / "more", RUN, hosts, *given)
    assert (more.code, tried(more)) == (2, 4), more.log
    assert (tmp_path / "more/run.retry").read_text().splitlines() == [names[0], names[3]]
    assert "Stopped" not in more.log


def test_a_bound_on_a_metric_holds_for_the_servers_of_the_wave(
    instant: Workspace, tmp_path: Path, names: list[str]
) -> None:
    add_measured(instant, **dict(zip(names, (5, 95, 5, 99), strict=True)))
    done = run(instant, tmp_path, names, serial="1", gate_metric="cpu<=80", gate_pause="0")
    assert (done.code, tried(done)) == (2, 2), done.log
    assert f"cpu of {names[1]} is 95%, at most 80%" in last_line(done)
    # After the last wave, there is no gate.
    rest = run(
        instant, tmp_path / "rest", names, "--limit", names[3], serial="1", gate_metric="cpu<=80", gate_pause="0"
    )
    assert rest.code == 0, rest.log


def test_a_wave_that_is_offline_stops_the_run(instant: Workspace, tmp_path: Path, names: list[str]) -> None:
    instant.add_servers(*names[:2], connected=False)
    instant.add_servers(*names[2:], connected=True)
    done = run(instant, tmp_path, names, serial="2", gate_line="true")
    assert (done.code, tried(done)) == (4, 2), done.log
    assert "2 hosts were not tried" in last_line(done)
    assert "offline" in last_line(done)
    assert (tmp_path / "run.retry").read_text().splitlines() == names


def test_servers_are_in_no_wave(instant: Workspace, tmp_path: Path, names: list[str]) -> None:
    instant.add_servers(*names, connected=True)
    done = run_playbook(instant, tmp_path, RUN, None, "-e", f"alpacon_servers={','.join(names)} alpacon_line=uptime")
    assert done.code == 0, done.log
    assert "Stopped" not in done.log


def test_empty_variables_count_as_missing(instant: Workspace, tmp_path: Path, names: list[str]) -> None:
    instant.add_servers(*names, connected=True)
    parts = ("serial", "gate_line", "gate_server", "gate_metric", "gate_pause", "max_fail_percentage")
    empty = dict.fromkeys(parts, "")
    done = run(instant, tmp_path, names, **empty)
    assert (done.code, tried(done)) == (0, 4), done.log


def test_an_error_names_no_variable_of_the_playbook_for_the_gate(
    instant: Workspace, tmp_path: Path, names: list[str]
) -> None:
    instant.add_servers(*names, connected=True)
    done = run(instant, tmp_path, names, serial="2", gate_line="true", gate_server="unknown")
    assert (done.code, tried(done)) == (2, 2), done.log
    assert "no server is named unknown" in last_line(done)
    assert "alpacon_servers" not in last_line(done)


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"serial": "0"}, "alpacon_serial is 0"),
        ({"serial": "1", "max_fail_percentage": "200"}, "alpacon_max_fail_percentage is 200"),
        ({"gate_line": "true"}, "Give alpacon_serial"),
        ({"serial": "1", "gate_metric": "load<=1"}, "METRIC<=NUMBER"),
        ({"serial": "1", "servers": "wave-0"}, "alpacon_serial makes waves of the hosts"),
    ],
)
def test_wrong_variables_are_refused(instant: Workspace, tmp_path: Path, variables: dict[str, str], named: str) -> None:
    instant.reset_counters()
    done = run(instant, tmp_path, ["wave-0", "wave-1"], **variables)
    assert done.code == 2, done.log
    assert named in done.log
    assert "Stopped" not in done.log
    assert not instant.requests_made()


@pytest.mark.parametrize("playbook", [RUN, "herdops.alpacon.upgrade_agents"])
def test_sizes_of_waves_in_the_inventory_are_refused(instant: Workspace, tmp_path: Path, playbook: str) -> None:
    hosts: dict[str, dict[str, str]] = {"wave-0": {}, "wave-1": {"alpacon_serial": "1"}}
    given = ("-e", "alpacon_line=uptime") if playbook == RUN else ()
    instant.reset_counters()
    done = run_playbook(instant, tmp_path, playbook, hosts, *given)
    assert done.code == 2, done.log
    assert "alpacon_serial has no effect in the inventory" in done.log
    assert not instant.requests_made()


def test_sizes_of_waves_can_be_variables_of_an_import(instant: Workspace, tmp_path: Path, names: list[str]) -> None:
    instant.add_servers(*names, connected=True)
    variables = {"alpacon_line": "uptime", "alpacon_serial": "2", "alpacon_gate_line": "exit 7"}
    plays = [{"ansible.builtin.import_playbook": RUN, "vars": variables}]
    done = run_playbook(instant, tmp_path, plays, names)
    assert (done.code, tried(done)) == (2, 2), done.log


def test_upgrade_agents_stops_at_a_closed_gate(current: Workspace, tmp_path: Path, names: list[str]) -> None:
    current.add_servers(*names, agent=True)
    current.wait_connected(*names)
    current.settings(offered_version="2.6.0")
    given = ("-e", "alpacon_wait_timeout=20s", "-e", "alpacon_serial=1,2,1", "-e", "alpacon_gate_line='exit 9'")
    done = run_playbook(current, tmp_path, "herdops.alpacon.upgrade_agents", names, *given)
    assert done.code == 2, done.log
    assert "agents: 1 of 4 upgraded" in done.log
    assert "3 hosts were not tried" in last_line(done)
    assert "exit code 9" in last_line(done)
    assert (tmp_path / "upgrade_agents.retry").read_text().splitlines() == list(names[1:])
