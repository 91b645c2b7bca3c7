# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Helpers that run plays with ansible-playbook, in the foreground or the background."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ansible_cores
import collection_tree
from system.fork_server import run_program
from workspace.client import Workspace

Row = dict[str, Any]


def read_journal_ids(journal: Path) -> list[str]:
    return re.findall(r"(?m)^[0-9a-f-]{36}", journal.read_text(encoding="utf-8"))


_CALLBACKS = Path(__file__).resolve().parent / "callback_plugins"
#: Seconds after which a run hangs.
TIMEOUT = 150.0


def wait_until(condition: Callable[[], Any], seconds: float = TIMEOUT) -> Any:
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "timeout"
        time.sleep(0.02)
    return value


def environment(workspace: Workspace, folder: Path, **more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ALPACON_", "ANSIBLE_"))}
    tools = collection_tree.environ()
    return {
        **kept,
        "PATH": tools["PATH"],
        "ANSIBLE_COLLECTIONS_PATH": tools["ANSIBLE_COLLECTIONS_PATH"],
        "ANSIBLE_CONFIG": str(folder / "ansible.cfg"),
        "ANSIBLE_HOME": str(folder / "home"),
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_CALLBACK_PLUGINS": str(_CALLBACKS),
        "ANSIBLE_CALLBACKS_ENABLED": "results",
        "RESULTS_FILE": str(folder / "results"),
        "ALPACON_URL": workspace.url,
        "ALPACON_TOKEN": workspace.token,
        "no_proxy": "127.0.0.1",
        **more,
    }


@dataclass
class Play:
    folder: Path
    pid: int
    ended: int | None = None

    @property
    def code(self) -> int | None:
        return self.ended

    @property
    def log(self) -> str:
        return (self.folder / "log").read_bytes().decode()

    @property
    def rows(self) -> list[Row]:
        file = self.folder / "results"
        return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()] if file.exists() else []

    @property
    def results(self) -> dict[str, Row]:
        return {row["host"]: row["result"] for row in self.rows}

    @property
    def tasks(self) -> dict[str, list[Row]]:
        results: dict[str, list[Row]] = {}
        for row in self.rows:
            results.setdefault(row["task"], []).append(row["result"])
        return results

    @property
    def temporary(self) -> Path:
        [folder] = (self.folder / "home/tmp").glob("ansible-local-*")
        return folder

    @property
    def journals(self) -> list[Path]:
        return sorted((self.folder / "home/alpacon").glob("*.ids"))


@dataclass
class RunningPlay(Play):
    process: subprocess.Popen[bytes] = field(kw_only=True)

    @property
    def code(self) -> int | None:
        return self.process.returncode

    def end(self, timeout: float = TIMEOUT) -> RunningPlay:
        self.process.wait(timeout)
        assert "Traceback" not in self.log, self.log
        return self

    @property
    def workers(self) -> list[int]:
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text(encoding="utf-8")
        return [int(child) for child in children.split()]

    def interrupt(self, pid: int | None = None) -> None:
        """Send SIGINT to ansible-playbook, a process, or a process group (a negative number)."""
        os.kill(self.pid if pid is None else pid, signal.SIGINT)

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def start_task(
    workspace: Workspace,
    folder: Path,
    hosts: Mapping[str, Row] | Iterable[str],
    options: Mapping[str, Any],
    forks: int = 20,
    module: str = "alpacon_command",
    programs: Path = collection_tree.TOOLS,
    **environ: str,
) -> RunningPlay:
    task = {"name": "Run it", f"herdops.alpacon.{module}": dict(options)}
    plays = [{"hosts": "all", "gather_facts": False, "tasks": [task]}]
    return start_plays(workspace, folder, hosts, plays, forks, programs, **environ)


def start_plays(
    workspace: Workspace,
    folder: Path,
    hosts: Mapping[str, Row] | Iterable[str],
    plays: list[Row],
    forks: int = 20,
    programs: Path = collection_tree.TOOLS,
    **environ: str,
) -> RunningPlay:
    command = [str(programs / "ansible-playbook"), "-f", str(forks), *write_inputs(folder, plays, hosts)]
    return start_process(command, folder, environment(workspace, folder, **environ))


def start_process(command: list[str], folder: Path, environ: Mapping[str, str]) -> RunningPlay:
    """Start a run in a process group of its own, without input, with its output in a file."""
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return RunningPlay(folder, process.pid, process=process)


def run_playbook(
    workspace: Workspace,
    folder: Path,
    plays: str | list[Row],
    hosts: Iterable[str] | None,
    *arguments: str,
    core: str = "development",
    **environ: str,
) -> Play:
    """Run plays, or a playbook of the collection by its name, on an ansible-core.

    Args:
        hosts: names, variables by host, or a whole inventory.
    """
    # The agents of the stand-in share the machine with the play.
    tasks = 0 if isinstance(plays, str) else sum(len(play.get("tasks", ())) for play in plays)
    command = [*write_inputs(folder, plays, hosts), *arguments]
    return run_long_playbook(core, command, folder, environment(workspace, folder, **environ), TIMEOUT * max(1, tasks))


def run_long_playbook(core: str, arguments: list[str], folder: Path, environ: Row, seconds: float) -> Play:
    """Run plays on an ansible-core with the arguments of ansible-playbook."""
    command = [str(ansible_cores.prepare(core) / "ansible-playbook"), *arguments]
    log = folder / "log"
    play = Play(folder, *run_program(command, environ, folder, log, log, seconds))
    assert "Traceback" not in play.log, play.log
    return play


def write_inputs(folder: Path, plays: str | list[Row], hosts: Iterable[str] | None) -> list[str]:
    """Write the inventory and the plays of a run, and return the arguments with their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "ansible.cfg").touch()
    arguments = [plays] if isinstance(plays, str) else [str(folder / "play.json")]
    if not isinstance(plays, str):
        (folder / "play.json").write_text(json.dumps(plays), encoding="utf-8")
    if hosts is None:
        return arguments
    if not (isinstance(hosts, Mapping) and "all" in hosts):
        variables = hosts if isinstance(hosts, Mapping) else {host: {} for host in hosts}
        hosts = {"all": {"hosts": dict(variables), "vars": {"ansible_connection": "local"}}}
    (folder / "inventory.json").write_text(json.dumps(hosts), encoding="utf-8")
    return ["-i", str(folder / "inventory.json"), *arguments]


def run_over_connection(
    workspace: Workspace,
    folder: Path,
    tasks: list[Row],
    hosts: Mapping[str, Row] | Iterable[str] = ("web-01",),
    *arguments: str,
    core: str = "development",
    **environ: str,
) -> Play:
    """Run tasks over the connection plugin."""
    own = hosts if isinstance(hosts, Mapping) else {host: {} for host in hosts}
    common = {
        "ansible_connection": "herdops.alpacon.alpacon",
        "ansible_python_interpreter": "{{ ansible_playbook_python }}",
    }
    inventory = {"all": {"hosts": {host: {**common, **own[host]} for host in own}}}
    return run_playbook(workspace, folder, play(*tasks), inventory, *arguments, core=core, **environ)


COMMAND_MODULE = "herdops.alpacon.alpacon_command"


def task(name: str, options: Any, module: str = COMMAND_MODULE, **keywords: Any) -> Row:
    return {"name": name, module: options, "ignore_errors": True, **keywords}


def play(*tasks: Row, hosts: str = "all", **keywords: Any) -> list[Row]:
    return [{"hosts": hosts, "gather_facts": False, "tasks": list(tasks), **keywords}]
