# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plays on hosts with systemd. Needs root, see tests/hosts/README.md."""

from __future__ import annotations

import json
import re
from pathlib import Path

import agent.repository
import collection_tree
import hosts
from benchmark.scenarios import CONNECTING, HERE, INVENTORIES, Figures, Run, Scenario, environ_of, measured
from hosts import network
from workspace.client import Workspace

IMAGES = collection_tree.BUILD / "hosts/images"


def run(scenario: Scenario, folder: Path) -> list[Figures]:
    """Measure a play over SSH and through the workspace, or the role on fresh hosts and again.

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
            rows = [Figures.of(f"{scenario.name}_fresh", 0, first, tasks=_tasks(folder))]
            again = _measure(folder, environ, "ssh.ini", "connect", repository)
            return [*rows, Figures.of(scenario.name, 0, again, tasks=_tasks(folder))]
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
    return [Figures.of("ssh_20", commands, over_ssh), Figures.of(scenario.name, commands, over_connection)]


def _environ(workspace: Workspace) -> dict[str, str]:
    return {
        **environ_of(workspace),
        "ANSIBLE_PIPELINING": "true",
        "ANSIBLE_INVENTORY_ENABLED": f"{INVENTORIES},ansible.builtin.ini",
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
    variables: dict[str, object] = {}
    if repository is not None:
        variables["alpamon_repository_url"] = f"{repository.url}/{agent.repository.CHANNELS['stable']}"
        variables["alpamon_key_fingerprints"] = [repository.fingerprint]
    path = str(HERE / f"playbooks/{playbook}.yml")
    command = ["ansible-playbook", "-i", inventory, "-e", json.dumps(variables), path]
    return measured(command, folder / "cost.json", folder / "log", environ)


def _tasks(folder: Path) -> int:
    recap = re.findall(r"ok=(\d+) .*skipped=(\d+)", (folder / "log").read_text(encoding="utf-8"))
    return max(int(ok) + int(skipped) for ok, skipped in recap)
