# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A rollout to scripted hosts, of which one in twenty is lost, and the next rollout."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from benchmark.running import Programs, Run, ScenarioFailed, Session, count, measured
from benchmark.scenarios import Scenario
from system.scripted_hosts import (
    Distribution,
    RoleRun,
    ScriptedHost,
    connect_agents,
    prepare_run,
    read_run,
    summary_lines,
)
from workspace.client import Workspace

#: The lost hosts are in the second and third wave.
WAVES = [1, "30%", "100%"]
#: The call at which a host is lost: before it is registered, before it has its key, and after that.
BEFORE, BETWEEN, AFTER = "^apt ", "^copy .*alpamon.conf", "^systemd_service "
LOST_AT = (BETWEEN, BEFORE, AFTER, BETWEEN, BEFORE)


@contextmanager
def prepare(scenario: Scenario, session: Session) -> Iterator[Programs]:
    """Yield a rollout that loses hosts, and the next one, which finds most hosts converged.

    Raises:
        ScenarioFailed: the playbook fails, or a summary, a record or a token is wrong.
    """
    names = [f"host-{number:03}" for number in range(scenario.servers)]
    lost = dict(zip(names[19::20], LOST_AT * scenario.servers, strict=False))
    hosts = {name: ScriptedHost(Distribution("Debian", "13.1", hostname=name)) for name in names}
    left: dict[str, ScriptedHost] = {}

    def first() -> Run:
        fresh = {
            name: ScriptedHost(host.distribution, [(lost[name], {"lost": "No route to host."})] if name in lost else [])
            for name, host in hosts.items()
        }
        done, run = _roll_out(workspace, session.folder / "first", fresh, list(lost))
        _check_first(workspace, done, lost)
        # Hosts that were lost before they had their key have nothing of the run.
        left.update(
            (name, host if lost.get(name) in (BEFORE, BETWEEN) else ScriptedHost(host.distribution, done[name].left()))
            for name, host in hosts.items()
        )
        return run

    def again() -> Run:
        unused = [record["name"] for record in workspace.registered() if lost.get(record["name"][:-7]) == BETWEEN]
        done, run = _roll_out(workspace, session.folder / "again", left, unused)
        _expect("hosts with a record", sorted(row["name"][:-7] for row in workspace.registered()), names)
        _expect("the summary", summary_lines(done)[0], f"rollout: {len(names)} of {len(names)} connected")
        _expect("registration tokens", workspace.registration_tokens(), [])
        return run

    with Workspace("current", servers=0, agents=False) as workspace:
        workspace.settings(instant=True)
        yield {variant.name: once for variant, once in zip(scenario.variants, (first, again), strict=True)}


def _roll_out(
    workspace: Workspace, folder: Path, hosts: Mapping[str, ScriptedHost], but: list[str]
) -> tuple[RoleRun, Run]:
    command, environ = prepare_run(folder, workspace, hosts, "herdops.alpacon.rollout", {})
    variables = json.dumps({"alpamon_serial": WAVES, "alpamon_connect_timeout": "5m"})
    with connect_agents(workspace, but):
        # Ansible exits with 4 if hosts were lost.
        expected = (0, 4)
        run = count(workspace, lambda: measured([*command, "--extra-vars", variables], folder, environ, expected))
    return read_run(folder, hosts, 0), run


def _check_first(workspace: Workspace, done: RoleRun, lost: Mapping[str, str]) -> None:
    records = {record["name"][:-7]: record["id"] for record in workspace.registered()}
    _expect("hosts with a record", sorted(records), sorted(name for name in done.hosts if lost.get(name) != BEFORE))
    for host, row in done.rows.items():
        outcome = "unreachable" if host in lost else "connected"
        _expect(host, [row["outcome"], row["server_id"]], [outcome, records.get(host, "")])
    count, failed = len(done.hosts), len(lost)
    _expect("results", len(done.rows), count)
    summary = f"rollout: {count - failed} of {count} connected, {failed} unreachable"
    _expect("the summary", summary_lines(done)[0], summary)
    named = [line for line in summary_lines(done) if any(record in line for record in records.values())]
    _expect("named records", len(named), len(records.keys() & lost.keys()))
    _expect("registration tokens", workspace.registration_tokens(), [])


def _expect(name: str, found: object, expected: object) -> None:
    if found != expected:
        raise ScenarioFailed(f"{name}: {found}, not {expected}")
