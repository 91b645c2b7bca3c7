# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One play on hosts with systemd. Needs root, see tests/hosts/README.md."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import agent.repository
import collection_tree
import hosts
from benchmark.scenarios import CONNECTING, HERE, INVENTORIES, TOOLS_ENVIRON, Figures, Run, Scenario, measured
from hosts import network
from workspace.client import Workspace

IMAGES = collection_tree.BUILD / "hosts/images"


def run(scenario: Scenario, folder: Path) -> list[Figures]:
    """What the play costs over SSH, with pipelining and one session a host, and then through the workspace.

    Of the role that connects the hosts: what it costs on fresh hosts, and then on the same.

    Raises:
        ScenarioFailed: there is nothing to measure.
    """
    names = [f"host-{number:02}" for number in range(scenario.servers)]
    with (
        network.bridge() as address,
        agent.repository.Repository(collection_tree.BUILD / "agent", address) as repository,
        hosts.Hosts(folder / "hosts", IMAGES) as made,
        Workspace(servers=0, host=network.GATEWAY) as workspace,
    ):
        made.up([hosts.Wanted(name) for name in names])
        environ = _environ(workspace)
        _write(folder / "ssh.ini", names, f"ansible_ssh_common_args=-F {made.ssh_config}")
        first = _measure(folder, environ, "ssh.ini", "connect", repository)
        if scenario.playbook == "connect":
            rows = [_figures(f"{scenario.name}_fresh", 0, first, _tasks(folder))]
            again = _measure(folder, environ, "ssh.ini", "connect", repository)
            return [*rows, _figures(scenario.name, 0, again, _tasks(folder))]
        inventory = (
            f"{CONNECTING}compose: {{ansible_user: \"'root'\", ansible_python_interpreter: \"'/usr/bin/python3'\"}}\n"
        )
        (folder / "hosts.alpacon.yml").write_text(inventory, encoding="utf-8")
        # Each finds all done, so that both do the same.
        _measure(folder, environ, "ssh.ini", scenario.playbook)
        over_ssh = _measure(folder, environ, "ssh.ini", scenario.playbook)
        workspace.reset_counters()
        over_connection = _measure(folder, environ, "hosts.alpacon.yml", scenario.playbook)
        over_connection.requests = workspace.requests_made()
    commands = scenario.submitted
    return [_figures("ssh_20", commands, over_ssh), _figures(scenario.name, commands, over_connection)]


def _environ(workspace: Workspace) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ALPACON_", "ANSIBLE_"))}
    tools = {name: value for name, value in collection_tree.environ().items() if name in TOOLS_ENVIRON}
    return {
        **kept,
        **tools,
        "ANSIBLE_CONFIG": str(HERE / "ansible.cfg"),
        "ANSIBLE_PIPELINING": "true",
        "ANSIBLE_INVENTORY_ENABLED": f"{INVENTORIES},ansible.builtin.ini",
        "ALPACON_URL": workspace.url,
        "ALPACON_TOKEN": workspace.token,
        "ALPACON_REGISTRATION_TOKEN": workspace.add_registration_token("benchmark")["key"],
    }


def _write(file: Path, lines: list[str], *variables: str) -> None:
    common = ["[all:vars]", *variables, "ansible_python_interpreter=/usr/bin/python3"]
    file.write_text("\n".join([*lines, *common, ""]), encoding="utf-8")


def _measure(
    folder: Path,
    environ: dict[str, str],
    inventory: str,
    playbook: str,
    repository: agent.repository.Repository | None = None,
) -> Run:
    variables = (
        {}
        if repository is None
        else {
            "alpamon_repository_url": f"{repository.url}/{agent.repository.CHANNELS['stable']}",
            "alpamon_key_fingerprints": [repository.fingerprint],
        }
    )
    command = [
        "ansible-playbook",
        "-i",
        inventory,
        "-e",
        json.dumps(variables),
        str(HERE / f"playbooks/{playbook}.yml"),
    ]
    return measured(command, folder / "cost.json", folder / "log", environ)


def _tasks(folder: Path) -> int:
    recap = re.findall(r"ok=(\d+) .*skipped=(\d+)", (folder / "log").read_text(encoding="utf-8"))
    return max(int(ok) + int(skipped) for ok, skipped in recap)


def _figures(name: str, commands: int, run: Run, tasks: int | None = None) -> Figures:
    return Figures(
        scenario=name,
        commands=commands,
        requests_per_command=run.requests / commands if commands else 0.0,
        cpu_ms_per_command=run.cpu_s * 1000 / commands if commands else 0.0,
        wall_s=run.wall_s,
        peak_mb=run.peak_mb,
        cpu_s=run.cpu_s,
        tasks=tasks,
    )
