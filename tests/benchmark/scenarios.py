# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The scenarios and how one is measured: a workspace, a client process, and their figures."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import random
import statistics
import subprocess
import sys
import typing as t
from dataclasses import dataclass, field, replace
from pathlib import Path

import certifi
import collection_tree
from system.certificates import authority
from workspace.client import Workspace

HERE = Path(__file__).resolve().parent
LINE = "echo ready"
#: What a server answers to the check that runs it.
ANSWER = base64.encodebytes(b"ready\nready\n\nready rc 0 in 30 by 0").decode() + "1\n[part]\n"
#: A line of 79 characters, and how often an output of 64 KiB has it.
LONG_LINE, LARGE_OUTPUT = f"echo {'x' * 74}", 65536 // 80
#: The agent's own clock when the line ends.
TIMED_LINE = "sleep {seconds}; date +%s.%N"
#: What begins a script that says what it is.
SCRIPT = b'#!/bin/sh\nsha256sum <"$0"; exit\n'
#: So many agents take their time to connect.
START_SECONDS = 300.0
RUNS_OF_EMPTY_PLAY = 3
PLUGIN = "plugin: herdops.alpacon.alpacon\n"
CONNECTING = f"{PLUGIN}connection: true\n"
INVENTORIES = "ansible.builtin.auto,ansible.builtin.yaml"
#: What the client needs of the tools' environment; none of the user's own settings.
TOOLS_ENVIRON = ("ANSIBLE_COLLECTIONS_PATH", "ANSIBLE_HOME", "PATH")


class ScenarioFailed(Exception):
    """A client failed, or the workspace's record is wrong."""


@dataclass(frozen=True)
class Scenario:
    """A scenario to measure.

    Attributes:
        servers: number of servers in the workspace and in the inventory.
        playbook: playbook to run; empty for the bare loop.
        inventory: list this inventory with ansible-inventory instead.
        commands: number of commands of one run; by default one per server.
        timed: the line prints when it ends, so that the delay of the task can be measured.
        tls: the workspace uses https, with a CA beside those that clients trust by default.
        instant: the workspace answers for the agents; many real ones would take most of the time.
        lines: with `instant`, how often the output has the line.
        script: size of the script in bytes that replaces the line; 0 for none.
        output_limit: characters of each output that the task keeps; None for all.
        net: playbook whose cost with the same inventory is subtracted.
        asked: run only if named, because it takes long.
        runs: number of runs; the median counts.
        connection: the hosts are those of the workspace's inventory, with its connection.
        on_hosts: run on hosts of its own, see :mod:`.on_hosts`.
        scripted: run a rollout on scripted hosts, see :mod:`.rollout`.
        checks: number of checks in a made-up audit report to write; no workspace is used.
    """

    name: str
    servers: int
    playbook: str = ""
    inventory: t.Literal["", "workspace", "static"] = ""
    dialect: t.Literal["current", "published"] = "current"
    line: str = LINE
    commands: int | None = None
    timed: bool = False
    tls: bool = False
    instant: bool = False
    lines: int = 1
    script: int = 0
    output_limit: int | None = None
    net: t.Literal["", "empty", "noop"] = ""
    asked: bool = False
    runs: int = 1
    connection: bool = False
    checks: int = 0
    on_hosts: bool = False
    scripted: bool = False

    @property
    def submitted(self) -> int:
        return self.servers if self.commands is None else self.commands


def _lag(seconds: str, runs: int) -> Scenario:
    line = TIMED_LINE.format(seconds=seconds)
    return Scenario(f"lag_{seconds}", 1, "fleet", line=line, timed=True, net="empty", runs=runs)


def _large(name: str, output_limit: int | None = None) -> Scenario:
    return Scenario(
        name, 1000, "fleet", line=LONG_LINE, instant=True, lines=LARGE_OUTPUT, output_limit=output_limit, net="empty"
    )


SCENARIOS = [
    Scenario("empty_play", 1000, "empty", commands=0, instant=True, runs=RUNS_OF_EMPTY_PLAY),
    Scenario("floor_1000", 1000, runs=3),
    Scenario("fleet_1000", 1000, "fleet", net="empty", runs=3),
    Scenario("fleet_1000_published", 1000, "fleet", dialect="published", net="empty", runs=2),
    Scenario("fleet_10000", 10000, "fleet", instant=True, net="empty"),
    Scenario("fleet_50000", 50000, "fleet", instant=True, net="empty", asked=True),
    _large("outputs_1000"),
    _large("outputs_1000_limited", output_limit=2000),
    Scenario("script_1000", 1000, "script", script=100_000, net="empty"),
    Scenario("names_10000", 10000, "names", commands=0, instant=True),
    Scenario("perhost_300", 300, "perhost"),
    Scenario("perhost_300_https", 300, "perhost", tls=True),
    Scenario("hosts_300", 300, "perhost", instant=True, net="noop", runs=3),
    Scenario("hosts_1000", 1000, "perhost", instant=True, net="noop"),
    Scenario("hosts_3000", 3000, "perhost", instant=True, net="noop", asked=True),
    Scenario("audit_1000", 1000, "audit", instant=True),
    Scenario("audit_role_1000", 1000, "audit_role", instant=True),
    Scenario("audit_report_5000", 5000, checks=20, commands=0),
    Scenario("connection_100", 100, "modules", commands=500, connection=True),
    Scenario("connection_20", 20, "work", commands=400, on_hosts=True, asked=True),
    Scenario("rollout_100", 100, commands=100, scripted=True, asked=True),
    Scenario("uri_300", 300, "by_hand"),
    Scenario("inventory_5000", 5000, inventory="workspace", commands=0, instant=True),
    Scenario("static_5000", 5000, inventory="static", commands=0, instant=True),
    _lag("0.05", 3),
    _lag("1", 3),
    _lag("5", 1),
    _lag("10", 1),
    _lag("60", 1),
]


@dataclass
class Run:
    wall_s: float
    cpu_s: float
    peak_mb: float
    requests: float = 0
    lag_s: float | None = None


@dataclass
class Figures:
    """The figures of a scenario. `requests` is set if there are no commands."""

    scenario: str
    commands: int
    requests_per_command: float
    cpu_ms_per_command: float
    wall_s: float
    peak_mb: float
    cpu_s: float
    lag_s: float | None = None
    requests: float | None = None
    page_mb: float | None = None

    @classmethod
    def of(cls, name: str, commands: int, run: Run, empty_s: float = 0.0, **more: t.Any) -> Figures:
        per_command = (run.requests / commands, (run.cpu_s - empty_s) * 1000 / commands) if commands else (0.0, 0.0)
        return cls(name, commands, *per_command, run.wall_s, run.peak_mb, run.cpu_s, **more)

    def as_row(self) -> dict[str, t.Any]:
        row = {key: round(value, 4) if isinstance(value, float) else value for key, value in vars(self).items()}
        return {key: value for key, value in row.items() if value is not None}


@dataclass
class Runner:
    scenario: Scenario
    folder: Path
    environ: dict[str, str] = field(default_factory=dict)

    def run(self) -> Figures:
        scenario = self.scenario
        if scenario.checks:
            return self._write_reports()
        ca = None
        if scenario.tls:
            ca = authority(self.folder, scenario.name)
            # The number of trusted CAs is what costs.
            self._file("pem").write_bytes(Path(certifi.where()).read_bytes() + ca.file.read_bytes())
        workspace = Workspace(
            scenario.dialect,
            servers=scenario.servers,
            agents=not scenario.instant,
            tls=(ca.chain, ca.chain) if ca else None,
            ca=ca.file if ca else None,
        )
        try:
            workspace.start(timeout=START_SECONDS)
            workspace.settings(instant=scenario.instant, instant_lines=scenario.lines, instant_carried=ANSWER)
            self._prepare(workspace)
            if scenario.inventory or scenario.connection:
                self._write_inventories()
            empty_s = 0.0
            if scenario.net:
                empty_runs = [self._measure(self._play(scenario.net)) for _run in range(RUNS_OF_EMPTY_PLAY)]
                empty_s = statistics.median(run.cpu_s for run in empty_runs)
            runs = [self._run_once(workspace) for _run in range(scenario.runs)]
            _check(workspace, scenario.submitted * scenario.runs)
        finally:
            workspace.stop()
        return self._figures(runs, empty_s)

    def _write_reports(self) -> Figures:
        folder = self._file("reports")
        command = [sys.executable, str(HERE / "report.py"), str(self.scenario.servers), str(self.scenario.checks)]
        self.environ = collection_tree.environ()
        figures = self._figures([self._measure([*command, str(folder)]) for _run in range(self.scenario.runs)], 0.0)
        return replace(figures, requests=None, page_mb=(folder / "audit.html").stat().st_size / 1e6)

    def _prepare(self, workspace: Workspace) -> None:
        ids = workspace.server_ids()
        self._file("inventory.ini").write_text("\n".join(ids) + "\n", encoding="utf-8")
        self._file("ids").write_text("\n".join(ids.values()) + "\n", encoding="utf-8")
        if self.scenario.script:
            # Nothing makes it smaller on its way.
            noise = random.Random(self.scenario.name).randbytes(self.scenario.script - len(SCRIPT))
            self._file("script").write_bytes(SCRIPT + noise)
        self.environ = {
            **environ_of(workspace),
            "RESULTS_FILE": str(self._file("results")),
            "no_proxy": "127.0.0.1",
            **({"REQUESTS_CA_BUNDLE": str(self._file("pem"))} if self.scenario.tls else {}),
        }
        if self.scenario.inventory or self.scenario.connection:
            self.environ["ANSIBLE_INVENTORY_ENABLED"] = INVENTORIES
        if self.scenario.timed:
            # Only there, since a callback that reads results costs time that is not the client's.
            self.environ["ANSIBLE_CALLBACKS_ENABLED"] = "results"

    def _file(self, name: str) -> Path:
        return self.folder / f"{self.scenario.name}.{name}"

    def _run_once(self, workspace: Workspace) -> Run:
        self._file("results").unlink(missing_ok=True)
        workspace.reset_counters()
        scenario = self.scenario
        run = self._measure(self._command())
        run.requests = workspace.requests_made()
        if scenario.timed:
            record = json.loads(self._file("results").read_text(encoding="utf-8"))
            run.lag_s = float(record["time"]) - float(record["result"]["stdout"])
        return run

    def _command(self) -> list[str]:
        if self.scenario.inventory:
            name = "my.alpacon.yml" if self.scenario.inventory == "workspace" else "static.yml"
            return ["ansible-inventory", "-i", str(self._file(name)), "--list"]
        if self.scenario.playbook:
            return self._play(self.scenario.playbook)
        return [sys.executable, str(HERE / "floor.py"), str(self._file("ids")), self.scenario.line]

    def _write_inventories(self) -> None:
        source = self._file("my.alpacon.yml")
        source.write_text(CONNECTING if self.scenario.connection else PLUGIN, encoding="utf-8")
        if self.scenario.inventory == "static":
            listed = ["--list", "--yaml", "--output", str(self._file("static.yml"))]
            self._measure(["ansible-inventory", "-i", str(source), *listed])

    def _play(self, playbook: str) -> list[str]:
        variables: dict[str, t.Any] = {"line": self.scenario.line}
        if self.scenario.output_limit is not None:
            variables["output_limit"] = self.scenario.output_limit
        if self.scenario.script:
            script = self._file("script")
            variables |= {"script": str(script), "digest": hashlib.sha256(script.read_bytes()).hexdigest()}
        inventory = self._file("my.alpacon.yml" if self.scenario.connection else "inventory.ini")
        path = HERE / "playbooks" / f"{playbook}.yml"
        return ["ansible-playbook", "-i", str(inventory), "-e", json.dumps(variables), str(path)]

    def _measure(self, command: list[str]) -> Run:
        return measured(command, self._file("cost.json"), self._file("log"), self.environ)

    def _figures(self, runs: list[Run], empty_s: float) -> Figures:
        def median(name: str) -> float:
            return statistics.median(getattr(run, name) or 0 for run in runs)

        run = Run(median("wall_s"), median("cpu_s"), median("peak_mb"), median("requests"))
        commands = self.scenario.submitted
        lag_s = median("lag_s") if self.scenario.timed else None
        requests = None if commands else run.requests
        return Figures.of(self.scenario.name, commands, run, empty_s, lag_s=lag_s, requests=requests)


def environ_of(workspace: Workspace) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ALPACON_", "ANSIBLE_"))}
    tools = {name: value for name, value in collection_tree.environ().items() if name in TOOLS_ENVIRON}
    config = str(HERE / "ansible.cfg")
    own = {"ANSIBLE_CONFIG": config, "ALPACON_URL": workspace.url, "ALPACON_TOKEN": workspace.token}
    return {**kept, **tools, **own}


def measured(
    command: list[str], report: Path, log: Path, environ: dict[str, str], expected: t.Container[int] = (0,)
) -> Run:
    """Run a program in the folder of its log and return the cost; raise ScenarioFailed for other exit codes."""
    with log.open("w", encoding="utf-8") as out:
        code = subprocess.run(
            [sys.executable, str(HERE / "measure.py"), str(report), *command],
            cwd=log.parent,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            check=False,
        ).returncode
    if code not in expected:
        raise ScenarioFailed(f"exit code {code}:\n{log.read_text(encoding='utf-8')[-2000:]}")
    return Run(**json.loads(report.read_text(encoding="utf-8")))


def _check(workspace: Workspace, expected: int) -> None:
    commands = workspace.commands()
    wrong = [command["id"] for command in commands if (command["fin_count"], command["status"]) != (1, "success")]
    if len(commands) != expected or wrong:
        raise ScenarioFailed(
            f"the workspace has {len(commands)} commands of {expected}, of which {len(wrong)} did not run once and well"
        )
