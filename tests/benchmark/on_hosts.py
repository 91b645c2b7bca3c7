# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plays on hosts with systemd. Needs root, see tests/hosts/README.md."""

from __future__ import annotations

import json
from pathlib import Path

import agent.repository
import collection_tree
import hosts
from benchmark.scenarios import CONNECTING, HERE, INVENTORIES, Figures, Run, Scenario, environ_of, measured
from hosts import network
from workspace.client import Workspace

IMAGES = collection_tree.BUILD / "hosts/images"


def run(scenario: Scenario, folder: Path) -> list[Figures]:
    """Connect fresh hosts, then measure a play over SSH and through the workspace.

    Raises:
        ScenarioFailed: the play fails.
    """
    names = [f"host-{number:02}" for number in range(scenario.servers)]
    with (
        network.bridge() as address,
        agent.repository.Repository(collection_tree.BUILD / "agent", address) as repository,
        hosts.Hosts(folder / "hosts", IMAGES) as made,
        Workspace(servers=0, host=network.GATEWAY) as workspace,
    ):
        made.up([hosts.HostSpec(name) for name in names])
        environ = {
            **environ_of(workspace),
            "ANSIBLE_PIPELINING": "true",
            "ANSIBLE_INVENTORY_ENABLED": f"{INVENTORIES},ansible.builtin.ini",
            "ALPACON_REGISTRATION_TOKEN": workspace.add_registration_token("benchmark")["key"],
        }

        def measure(inventory: str, playbook: str, **variables: object) -> Run:
            command = ["ansible-playbook", "-i", inventory, "-e", json.dumps(variables), playbook]
            return measured(command, folder / "cost.json", folder / "log", environ)

        variables = [f"ansible_ssh_common_args=-F {made.ssh_config}", "ansible_python_interpreter=/usr/bin/python3"]
        inventory = "\n".join([*names, "[all:vars]", *variables, ""])
        (folder / "ssh.ini").write_text(inventory, encoding="utf-8")
        inventory = (
            f"{CONNECTING}compose: {{ansible_user: \"'root'\", ansible_python_interpreter: \"'/usr/bin/python3'\"}}\n"
        )
        (folder / "hosts.alpacon.yml").write_text(inventory, encoding="utf-8")
        measure(
            "ssh.ini",
            "herdops.alpacon.rollout",
            alpamon_serial="100%",
            alpamon_repository_url=f"{repository.url}/{agent.repository.CHANNELS['stable']}",
            alpamon_key_fingerprints=[repository.fingerprint],
        )
        playbook = str(HERE / f"playbooks/{scenario.playbook}.yml")
        # The first run makes all changes, so that the next two do the same.
        measure("ssh.ini", playbook)
        over_ssh = measure("ssh.ini", playbook)
        workspace.reset_counters()
        over_connection = measure("hosts.alpacon.yml", playbook)
        over_connection.requests = workspace.requests_made()
    commands = scenario.submitted
    return [Figures.of("ssh_20", commands, over_ssh), Figures.of(scenario.name, commands, over_connection)]
