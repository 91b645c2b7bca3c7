# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plays over SSH and through the workspace, on hosts with systemd. Needs root, see tests/hosts/README.md."""

from __future__ import annotations

import functools
import json
import random
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import agent.repository
import collection_tree
import hosts
from benchmark.running import CONNECTING, Programs, Run, Session, count, environ_of, measured, play_command, write_play
from benchmark.scenarios import SOURCE, Scenario, Variant
from hosts import network, requirements
from workspace.client import Workspace

IMAGES = collection_tree.BUILD / "hosts/images"
PYTHON = "ansible_python_interpreter=/usr/bin/python3"
PROGRAMS = requirements.PROGRAMS | agent.repository.PROGRAMS
#: Number of hosts that start at the same time.
BATCH = 20
#: Each systemd takes several of them, and the usual limit is 128.
INSTANCES = Path("/proc/sys/fs/inotify/max_user_instances")


@dataclass
class Bed:
    """Connected hosts, and the workspace and environment of their plays."""

    folder: Path
    workspace: Workspace
    environ: dict[str, str]

    def run(self, scenario: Scenario, variant: Variant) -> Run:
        variables = {"source": str(self.folder / "source"), "new": uuid.uuid4().hex}
        command = play_command(self.folder, scenario, variant, variables)
        return count(self.workspace, lambda: measured(command, self.folder, {**self.environ, **variant.environ}))


@contextmanager
def prepare(scenario: Scenario, session: Session) -> Iterator[Programs]:
    """Yield the plays of a scenario, on hosts that all scenarios share.

    Raises:
        ScenarioFailed: a play fails.
    """
    bed = _connect_hosts(session)
    write_play(bed.folder, scenario)
    if scenario.size:
        # Nothing makes it smaller on its way.
        (bed.folder / "source").write_bytes(random.Random(scenario.size).randbytes(scenario.size))
        copy = ["-m", "ansible.builtin.copy", "-a", f"src=source dest={SOURCE}"]
        measured(["ansible", "all[0]", "-i", "ssh.ini", *copy], bed.folder, bed.environ)
    # The first run makes all changes, so that the runs that count do the same.
    bed.run(scenario, scenario.variants[0])
    yield {variant.name: functools.partial(bed.run, scenario, variant) for variant in scenario.variants}


@functools.cache
def _connect_hosts(session: Session) -> Bed:
    """Connect the hosts of all scenarios. After a failure nothing is left, so that the next scenario can try."""
    with ExitStack() as stack:
        bed = _start_hosts(session, stack)
        session.stack.push(stack.pop_all())
    return bed


def _start_hosts(session: Session, stack: ExitStack) -> Bed:
    folder = session.folder / "on_hosts"
    folder.mkdir(exist_ok=True)
    stack.callback(INSTANCES.write_text, INSTANCES.read_text())
    INSTANCES.write_text("8192")
    address = stack.enter_context(network.bridge())
    repository = stack.enter_context(agent.repository.Repository(collection_tree.BUILD / "agent", address))
    made = stack.enter_context(hosts.Hosts(folder / "hosts", IMAGES))
    workspace = stack.enter_context(Workspace(servers=0, host=network.GATEWAY))
    names = [f"host-{number:03}" for number in range(session.hosts)]
    for start in range(0, len(names), BATCH):
        made.up([hosts.HostSpec(name) for name in names[start : start + BATCH]])
    _write_inventory(folder / "ssh.ini", names, f"ansible_ssh_common_args=-F {made.ssh_config}")
    compose = {"ansible_user": "'root'", "ansible_python_interpreter": f"'{PYTHON.partition('=')[2]}'"}
    (folder / "hosts.alpacon.yml").write_text(f"{CONNECTING}compose: {json.dumps(compose)}\n", encoding="utf-8")
    environ = {**environ_of(workspace), "ANSIBLE_PIPELINING": "true"}
    token = workspace.add_registration_token("benchmark")["key"]
    variables = {
        "alpamon_serial": "100%",
        "alpamon_repository_url": f"{repository.url}/{agent.repository.CHANNELS['stable']}",
        "alpamon_key_fingerprints": [repository.fingerprint],
    }
    rollout = ["ansible-playbook", "-i", "ssh.ini", "-e", json.dumps(variables), "herdops.alpacon.rollout"]
    measured(rollout, folder, {**environ, "ALPACON_REGISTRATION_TOKEN": token})
    entries = [f"{record['name'][:-7]} alpacon_server_id={record['id']}" for record in workspace.registered()]
    connection = ("ansible_connection=herdops.alpacon.alpacon", "ansible_user=root")
    _write_inventory(folder / "connection.ini", sorted(entries), *connection)
    return Bed(folder, workspace, environ)


def _write_inventory(file: Path, names: list[str], *variables: str) -> None:
    file.write_text("\n".join([*names, "[all:vars]", PYTHON, *variables, ""]), encoding="utf-8")
