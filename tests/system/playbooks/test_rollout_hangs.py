# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test the playbook rollout on hosts that do not end a task."""

from __future__ import annotations

import json
import os
import re
import signal
from pathlib import Path

import pytest
from system.plays import run_playbook, wait_until
from system.scripted_hosts import (
    ScriptedHost,
    agent_facts,
    configuration,
    connect_agents,
    installed,
    start_role,
    summary_lines,
)
from workspace.client import Workspace

PLAYBOOK = "herdops.alpacon.rollout"
CORES = ["oldest", "newest"]
EVERY = {"alpamon_serial": "100%", "alpamon_max_fail_percentage": 100}
HANGS = ("^apt ", {"hangs": 600})
QUICK = {"PYTHONUNBUFFERED": "1", "ANSIBLE_CALLBACKS_ENABLED": "results,quick_progress"}

pytestmark = [pytest.mark.timeout(600), pytest.mark.slow]


@pytest.mark.parametrize("core", CORES)
def test_a_task_that_takes_too_long_fails_as_any_other(current: Workspace, tmp_path: Path, core: str) -> None:
    current.settings(instant=True)
    old = {"alpamon_version": "2.5.0"}
    records = [current.register() for _number in range(3)]
    own = [[*configuration(current.url, row["id"], row["key"]), *installed("2.4.0")] for row in records]
    hosts = {
        "held": ScriptedHost(answers=[HANGS, *agent_facts(held=True), *own[0]], variables=old),
        "holds": ScriptedHost(answers=[HANGS, *own[1]], variables={**old, "alpamon_hold": True}),
        "well": ScriptedHost(answers=own[2], variables=old),
    }
    arguments = ["-e", json.dumps(EVERY)]
    run = start_role(tmp_path, current, hosts, *arguments, playbook=PLAYBOOK, core=core)
    with connect_agents(current), run as (play, ended):
        wait_until(lambda: len(list(tmp_path.glob("*.calls"))) == 3)
        wait_until(lambda: all('"module": "apt"' in (tmp_path / f"{host}.calls").read_text() for host in hosts), 120)
        wait_until(lambda: len(play.workers) == 2)
        for worker in play.workers:
            # It ends the worker of a task without a timeout.
            os.kill(worker, signal.SIGALRM)
        done = ended()
    assert {host: row["outcome"] for host, row in done.rows.items()} == {
        "held": "failed",
        "holds": "failed",
        "well": "connected",
    }, done.log
    for host in ("held", "holds"):
        assert done.rows[host]["cause"].startswith("Install the package: ")
        # It may still be installing another one.
        assert done.rows[host]["version"] == ""
    assert "apt-mark hold alpamon" in done["held"].commands
    assert "apt-mark hold alpamon" not in done["holds"].commands


@pytest.mark.parametrize("core", CORES)
def test_a_hanging_host_is_named_until_the_run_ends(current: Workspace, tmp_path: Path, core: str) -> None:
    current.settings(instant=True)
    hosts = {
        "gone": ScriptedHost(answers=agent_facts(lost="No route to host.")),
        "hangs": ScriptedHost(answers=[HANGS, *installed("2.4.0")], variables={"alpamon_version": "2.5.0"}),
        "next": ScriptedHost(),
    }
    arguments = ["-e", json.dumps({**EVERY, "alpamon_serial": [2, 1]})]
    run = start_role(tmp_path, current, hosts, *arguments, playbook=PLAYBOOK, core=core, **QUICK)
    progress = re.compile(
        r"(?m)^wave 1 of 2: Install the package: 0 of 2 hosts done, 1 failed, running: hangs \(\d+ s\)$"
    )
    calls = tmp_path / "hangs.calls"
    with connect_agents(current), run as (play, ended):
        # Other tasks of the host have this name as well.
        wait_until(lambda: calls.exists() and '"module": "apt"' in calls.read_text(encoding="utf-8"), 120)
        wait_until(lambda: progress.search(play.log), 120)
        os.kill(play.pid, signal.SIGTERM)
        done = ended()
    outcomes = {host: row["outcome"] for host, row in done.rows.items()}
    assert outcomes == {"gone": "unreachable", "hangs": "interrupted", "next": "not tried"}, done.log
    assert done.rows["gone"]["cause"].endswith("No route to host.")
    assert "'Install the package'" in done.rows["hangs"]["cause"]
    # It may be another one by now.
    assert done.rows["hangs"]["version"] == ""
    # The token of the wave is left. Nothing follows the summary, and no line is shown after it.
    [token] = [token for token in current.registration_tokens() if token["name"] != "by hand"]
    lines = summary_lines(done)
    assert "The run was interrupted in wave 1 of 2." in lines
    assert any(token["name"] in line and token["expires_at"][:16] in line for line in lines)
    assert not any(line.startswith("wave ") for line in lines)


@pytest.mark.parametrize("core", CORES)
def test_ssh_notices_that_a_host_is_down_and_keeps_its_settings(current: Workspace, tmp_path: Path, core: str) -> None:
    program, calls = tmp_path / "ssh", tmp_path / "calls"
    program.write_text(f'#!/bin/sh\necho "$*" >>{calls}\nexit 255\n', encoding="utf-8")
    program.chmod(0o700)
    hosts = {"plain": {}, "own": {"ansible_ssh_extra_args": "-o ServerAliveInterval={{ seconds }}", "seconds": 7}}
    common = {"ansible_connection": "ssh", "ansible_ssh_executable": str(program)}
    inventory = {"all": {"hosts": hosts, "vars": common}}
    everywhere = {"ANSIBLE_SSH_EXTRA_ARGS": "-o LogLevel=ERROR"}
    run_playbook(current, tmp_path / "run", PLAYBOOK, inventory, "-e", json.dumps(EVERY), core=core, **everywhere)
    # ssh uses the first value of an option.
    keepalive = "-o ServerAliveInterval=15 -o ServerAliveCountMax=4"
    plain, own = (re.findall(rf"(?m)^.* {host} .*echo ~.*$", calls.read_text(encoding="utf-8")) for host in hosts)
    assert f" -o LogLevel=ERROR {keepalive} " in plain[0]
    assert f" -o ServerAliveInterval=7 {keepalive} " in own[0]
