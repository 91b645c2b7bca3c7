# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One task in each slice of a job, which ansible-runner runs at the same time, as AWX does."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from benchmark.running import Programs, ScenarioFailed, Session, check_commands, count, environ_of, measured
from benchmark.scenarios import Scenario
from system import slices
from workspace.client import Workspace

SLICES = 4
#: What the slices need of the environment; ansible-runner passes the rest on.
ENVIRON = ("ALPACON_URL", "ALPACON_TOKEN", "ANSIBLE_COLLECTIONS_PATH", "ANSIBLE_CONFIG")
TASKS = [
    {
        "name": "Run the line on every server of the slice",
        "herdops.alpacon.alpacon_command": {
            "servers": "{{ ansible_play_hosts | map('extract', hostvars, 'alpacon_server_id') }}",
            "line": "{{ line }}",
        },
        "run_once": True,
        "register": "fleet",
    },
    # The events of ansible-runner omit results of more than 700,000 characters.
    {"name": "Show the summary", "ansible.builtin.debug": {"var": "fleet.summary"}, "run_once": True},
]


@contextmanager
def prepare(scenario: Scenario, session: Session) -> Iterator[Programs]:
    """Yield the job of a scenario.

    Raises:
        ScenarioFailed: a slice fails, a command is missing or ran twice, or the controller lacks a result.
    """
    with Workspace("current", servers=scenario.servers, agents=False) as workspace:
        workspace.settings(instant=True)
        environ = {**environ_of(workspace), "no_proxy": "127.0.0.1"}
        hosts = {name: {"alpacon_server_id": server_id} for name, server_id in workspace.server_ids().items()}
        folders = [session.folder / scenario.name / str(number) for number in range(SLICES)]
        play = {"hosts": "all", "gather_facts": False, "tasks": TASKS}
        for number, own in enumerate(folders):
            # AWX deals the hosts out like cards.
            members = dict(list(hosts.items())[number::SLICES])
            passed = {"ANSIBLE_INVENTORY_ENABLED": "ansible.builtin.yaml", **{name: environ[name] for name in ENVIRON}}
            slices.write_slice(own, members, [play], passed, line=scenario.line)
        command = [sys.executable, slices.__file__, *map(str, folders)]
        yield {scenario.variants[0].name: lambda: count(workspace, lambda: measured(command, session.folder, environ))}
        check_commands(workspace, scenario.servers)
    summaries = [slices.read_results(own)["Show the summary"]["fleet.summary"] for own in folders]
    if sum(summary["success"] for summary in summaries) != scenario.servers:
        raise ScenarioFailed(f"the summaries in the artifacts are {summaries}")
