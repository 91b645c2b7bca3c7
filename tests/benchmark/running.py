# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a program of a scenario and return its cost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import typing as t
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import collection_tree
from benchmark.scenarios import Scenario, Variant
from workspace.client import Workspace

HERE = Path(__file__).resolve().parent
CONNECTING = "plugin: herdops.alpacon.alpacon\nconnection: true\n"
INVENTORIES = "ansible.builtin.auto,ansible.builtin.yaml,ansible.builtin.ini"
#: Settings of the user, and what the client needs of the tools' environment.
DROPPED = ("ALPACON_", "ANSIBLE_", "PYTHON")
TOOLS_ENVIRON = ("ANSIBLE_COLLECTIONS_PATH", "ANSIBLE_HOME", "PATH")


class ScenarioFailed(Exception):
    """A client failed, or the workspace's record is wrong."""


@dataclass
class Run:
    """The cost of one run.

    Attributes:
        lags: seconds from the end of each command to the result of its task.
        line_lag_s: median of the seconds from the print of a line on its server to that on the terminal.
        gap_s: longest time without a new line of a server.
        approvals: number of commands that a person had to approve.
        uploads: number of uploads that started, even if the server had the file.
    """

    wall_s: float
    cpu_s: float
    peak_mb: float
    requests: int | None = None
    writes: int | None = None
    lags: list[float] = field(default_factory=list)
    page_mb: float | None = None
    history_mb: float | None = None
    line_lag_s: float | None = None
    gap_s: float | None = None
    approvals: int | None = None
    uploads: int | None = None


#: The variants of a scenario by name; each call runs one once.
Programs = dict[str, Callable[[], Run]]


@dataclass(eq=False)
class Session:
    """All scenarios of one `make bench`: a folder, what to close at the end, and the most hosts that any needs."""

    folder: Path
    stack: ExitStack
    hosts: int


def environ_of(workspace: Workspace) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(DROPPED)}
    tools = {name: value for name, value in collection_tree.environ().items() if name in TOOLS_ENVIRON}
    own = {
        "ANSIBLE_CONFIG": str(HERE / "ansible.cfg"),
        "ANSIBLE_INVENTORY_ENABLED": INVENTORIES,
        "ALPACON_URL": workspace.url,
        "ALPACON_TOKEN": workspace.token,
        # The stand-in workspace has no quota.
        "ALPACON_REQUESTS_PER_HOUR": "1000000",
        "PYTHONPATH": str(HERE / "without_websocket"),
    }
    return {**kept, **tools, **own}


def write_play(folder: Path, scenario: Scenario) -> None:
    """Write the play of a scenario's own tasks: for its first hosts, or once if the tasks name servers."""
    hosts = "localhost" if scenario.seconds else f"all[0:{scenario.servers - 1}]"
    play = {
        "name": scenario.title,
        "hosts": hosts,
        "gather_facts": False,
        "tasks": list(scenario.tasks),
        "handlers": list(scenario.handlers),
    }
    (folder / f"{scenario.name}.yml").write_text(json.dumps([play]), encoding="utf-8")


def play_command(folder: Path, scenario: Scenario, variant: Variant, variables: dict[str, t.Any]) -> list[str]:
    playbook = HERE / f"playbooks/{variant.run}.yml" if variant.run else folder / f"{scenario.name}.yml"
    variables = {**variables, **variant.variables}
    return ["ansible-playbook", "-i", variant.inventory, "-e", json.dumps(variables), str(playbook)]


def count(workspace: Workspace, once: Callable[[], Run]) -> Run:
    """Run a program and add the requests that it made, and how many of them were writes."""
    workspace.reset_counters()
    run = once()
    counters = workspace.counters()
    run.requests, run.writes = counters["requests"], counters["writes"]
    return run


def measured(command: list[str], folder: Path, environ: dict[str, str], expected: t.Container[int] = (0,)) -> Run:
    """Run a program in a folder and return the cost; raise ScenarioFailed for other exit codes."""
    log, report = folder / "log", folder / "cost.json"
    with log.open("w", encoding="utf-8") as out:
        code = subprocess.run(
            [sys.executable, str(HERE / "measure.py"), str(report), *command],
            cwd=folder,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            check=False,
        ).returncode
    if code not in expected:
        raise ScenarioFailed(f"exit code {code}:\n{log.read_text(encoding='utf-8')[-2000:]}")
    return Run(**json.loads(report.read_text(encoding="utf-8")))


def check_commands(workspace: Workspace, expected: int) -> None:
    """Raise ScenarioFailed unless the workspace has this many commands, each run once and successful."""
    commands = workspace.commands()
    wrong = [command["id"] for command in commands if (command["fin_count"], command["status"]) != (1, "success")]
    if len(commands) != expected or wrong:
        raise ScenarioFailed(
            f"the workspace has {len(commands)} commands of {expected}, of which {len(wrong)} did not run once and well"
        )
