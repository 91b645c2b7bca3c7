# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A rollout to scripted hosts, of which one in twenty is lost, and the next rollout."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path

from benchmark.scenarios import Figures, Scenario, ScenarioFailed, measured
from system.scripted_hosts import (
    Answer,
    Distribution,
    RoleRun,
    ScriptedHost,
    connect_agents,
    prepare_run,
    read_run,
    summary_lines,
)
from workspace.client import Workspace

PLAYBOOK = "herdops.alpacon.rollout"
#: The hosts that are lost come in the second wave and in the third.
WAVES = [1, "30%", "100%"]
#: At which call a host is lost: before it is registered, before it has its key, and after that.
BEFORE, BETWEEN, AFTER = "^apt ", "^copy .*alpamon.conf", "^systemd_service "
LOST_AT = (BETWEEN, BEFORE, AFTER, BETWEEN, BEFORE)


def run(scenario: Scenario, folder: Path) -> list[Figures]:
    """Measure a rollout that loses hosts, and the next one, which finds most hosts converged.

    Raises:
        ScenarioFailed: there is nothing to measure, or a summary, a record or a token is not as it has to be.
    """
    names = [f"host-{number:03}" for number in range(scenario.servers)]
    lost = dict(zip(names[19::20], LOST_AT * scenario.servers, strict=False))
    with Workspace("current", servers=0, agents=False) as workspace:
        workspace.settings(instant=True)
        fresh = {name: _host(name, *_lost(lost.get(name))) for name in names}
        first, figures = _rolled(workspace, folder / "first", scenario.name, fresh, but=lost)
        _check_first(workspace, first, lost)
        unused = [record["name"] for record in workspace.registered() if lost.get(record["name"][:-7]) == BETWEEN]
        left = {name: _left(first, name, lost.get(name)) for name in names}
        again, later = _rolled(workspace, folder / "again", f"{scenario.name}_again", left, but=unused)
        _check_again(workspace, again, names)
    return [figures, later]


def _host(name: str, *answers: Answer) -> ScriptedHost:
    return ScriptedHost(Distribution("Debian", "13.1", hostname=name), answers)


def _lost(at: str | None) -> list[Answer]:
    return [(at, {"lost": "No route to host."})] if at else []


def _left(done: RoleRun, name: str, lost_at: str | None) -> ScriptedHost:
    if lost_at in (BEFORE, BETWEEN):
        return _host(name)
    return _host(name, *done[name].left())


def _rolled(
    workspace: Workspace, folder: Path, name: str, hosts: Mapping[str, ScriptedHost], but: Collection[str] = ()
) -> tuple[RoleRun, Figures]:
    command, environ = prepare_run(folder, workspace, hosts, playbook=PLAYBOOK)
    variables = json.dumps({"alpamon_serial": WAVES, "alpamon_connect_timeout": "5m"})
    workspace.reset_counters()
    with connect_agents(workspace, but):
        # Ansible ends with 4 where hosts were lost.
        cost = measured([*command, "--extra-vars", variables], folder / "cost", folder / "log", environ, (0, 4))
    cost.requests = workspace.requests_made()
    return read_run(folder, hosts, 0), Figures.of(name, len(hosts), cost)


def _check_first(workspace: Workspace, done: RoleRun, lost: Mapping[str, str]) -> None:
    records = {record["name"][:-7]: record["id"] for record in workspace.registered()}
    _same("hosts that have a record", sorted(records), sorted(name for name in done.hosts if lost.get(name) != BEFORE))
    for host, row in done.rows.items():
        outcome = "unreachable" if host in lost else "connected"
        _same(host, [row["outcome"], row["server_id"]], [outcome, records.get(host, "")])
    count, failed = len(done.hosts), len(lost)
    _same("results", len(done.rows), count)
    _same(
        "the summary", summary_lines(done)[0], f"rollout: {count - failed} of {count} connected, {failed} unreachable"
    )
    named = [line for line in summary_lines(done) if any(record in line for record in records.values())]
    _same("records that are named", len(named), len(records.keys() & lost.keys()))
    _same("registration tokens", workspace.registration_tokens(), [])


def _check_again(workspace: Workspace, done: RoleRun, names: list[str]) -> None:
    _same("hosts that have a record", sorted(record["name"][:-7] for record in workspace.registered()), names)
    _same("the summary", summary_lines(done)[0], f"rollout: {len(names)} of {len(names)} connected")
    _same("registration tokens", workspace.registration_tokens(), [])


def _same(what: str, found: object, wanted: object) -> None:
    if found != wanted:
        raise ScenarioFailed(f"{what}: {found}, not {wanted}")
