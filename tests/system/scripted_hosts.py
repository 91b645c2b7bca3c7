# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Helpers that run the role alpamon on scripted hosts of any distribution, see connection_plugins/recording.py."""

from __future__ import annotations

import json
import re
import subprocess
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import ansible_cores
from system.fork_server import run_program
from system.plays import TIMEOUT, RunningPlay, environment, start_process
from workspace.client import Workspace

Row = dict[str, Any]
Answer = tuple[str, Row]

_PLUGINS = Path(__file__).resolve().parent / "connection_plugins"
#: IDs in os-release by Ansible's names of distributions.
_IDS = {"Archlinux": "arch", "OracleLinux": "ol", "RedHat": "rhel", "Amazon": "amzn", "Linux Mint": "linuxmint"}
KEY = "-----BEGIN PGP PUBLIC KEY BLOCK-----\n"
MACHINE = "0123456789abcdef0123456789abcdef"
_UNIT = {"active": False, "enabled": False}
CONFIGURATION = "/etc/alpamon/alpamon.conf"
_FOLDERS = {"/etc/alpamon": "0700", "/var/lib/alpamon": "0750", "/var/log/alpamon": "0750", "/run/alpamon": "0750"}


@dataclass(frozen=True)
class Distribution:
    name: str
    version: str
    manager: str = "apt"
    service_manager: str = "systemd"
    hostname: str = "Web.01"

    @property
    def identifier(self) -> str:
        return _IDS.get(self.name, self.name.lower().replace(" ", "-"))

    @property
    def agent(self) -> Row:
        return {
            "version": None,
            "held": False,
            "package_file_version": None,
            "service_manager": self.service_manager,
            "service": _UNIT,
            "restart_timer": _UNIT,
            "process": {"pid": None, "state": "none", "outdated": []},
            "configuration": {"url": None, "id": None, "key": None, "readable": True, "complete": False, "text": ""},
            "machine_id": MACHINE,
            "registered_machine_id": "",
            "pending": [],
            "distribution": {"id": self.identifier, "name": self.name, "version": self.version},
            "hostname": self.hostname,
            "proxies": [],
            "uid": 0,
            "clock_ahead": 0,
        }


DEBIAN = Distribution("Debian", "13.1")


@dataclass(frozen=True)
class ScriptedHost:
    """A scripted host: its distribution, results of its modules, and its variables."""

    distribution: Distribution = DEBIAN
    answers: Iterable[Answer] = ()
    variables: Mapping[str, Any] = field(default_factory=dict)

    def entry(self, recording: Path) -> Row:
        usual: list[Answer] = [
            ("^setup ", {"changed": False, "ansible_facts": {"ansible_pkg_mgr": self.distribution.manager}}),
            ("^uri ", {"changed": False, "status": 200, "content": KEY}),
            *agent_facts(**self.distribution.agent),
        ]
        return {
            "ansible_connection": "recording",
            "ansible_pipelining": True,
            "ansible_python_interpreter": "{{ ansible_playbook_python }}",
            "recording_file": str(recording),
            "recording_answers": [*self.answers, *usual],
            **self.variables,
        }


@dataclass(frozen=True)
class Call:
    module: str
    arguments: Row
    check_mode: bool
    environment: dict[str, str]

    @property
    def line(self) -> str:
        return str(self.arguments.get("_raw_params") or " ".join(self.arguments["argv"]))


@dataclass(frozen=True)
class Host:
    calls: list[Call]
    results: list[Row]

    def of(self, module: str) -> list[Row]:
        called = [call.arguments for call in self.calls if call.module == module]
        return [{name: value for name, value in row.items() if value is not None} for row in called]

    @property
    def commands(self) -> list[str]:
        return [call.line for call in self.calls if call.module == "command"]

    @property
    def files(self) -> dict[str, str]:
        return {row["dest"]: row["content"] for row in self.of("copy") if "content" in row}

    def left(self) -> list[Answer]:
        """Return the results of the host after the run that wrote its configuration."""
        text = self.files[CONFIGURATION]
        written = dict(re.findall(r"(?m)^(url|id|key) = (\S+)$", text))
        folders = {path: {"exists": True, "mode": mode, "uid": 0} for path, mode in _FOLDERS.items()}
        files = {
            row["dest"]: {
                "exists": True,
                "mode": row.get("mode"),
                "uid": 0,
                "sha256": sha256(row["content"].encode()).hexdigest(),
            }
            for row in self.of("copy")
            if "content" in row
        }
        there = agent_facts(files={**folders, **files})
        return [*configuration(written["url"], written["id"], written["key"]), *installed("2.5.0"), *there]

    @property
    def removed(self) -> list[str]:
        return [row["path"] for row in self.of("file") if row.get("state") == "absent"]

    @property
    def shown(self) -> Row:
        found: Row = self.results[-1]["msg"]
        return found

    @property
    def facts(self) -> Row:
        return {name: value for result in self.results for name, value in result.get("ansible_facts", {}).items()}

    @property
    def failure(self) -> str:
        messages = [result["msg"] for result in self.results if result["failed"] and "msg" in result]
        last = messages[-1] if messages else ""
        return last if isinstance(last, str) else "\n".join(last)


@dataclass(frozen=True)
class RoleRun:
    code: int
    log: str
    hosts: dict[str, Host]
    #: The results of a rollout, by host.
    rows: dict[str, Row]

    def __getitem__(self, name: str) -> Host:
        return self.hosts[name]

    @property
    def banners(self) -> int:
        return len(re.findall(r"(?m)^(?:TASK|RUNNING HANDLER) \[", self.log))

    def lines_of_failures(self, name: str) -> int:
        """Count the lines about the failures of a host."""
        blocks = re.split(r"\n(?=TASK \[|PLAY |\[ERROR\]|[a-z]+: \[)", self.log)
        failed = [index for index, block in enumerate(blocks) if re.match(rf"(fatal|failed): \[{name}\]", block)]
        above = [index - 1 for index in failed if blocks[index - 1].startswith("[ERROR]")]
        return sum(len(blocks[index].splitlines()) for index in [*failed, *above])


def agent_facts(**facts: Any) -> list[Answer]:
    return [("agent", facts)]


def installed(version: str, process: str = "current") -> list[Answer]:
    """Return the facts of a host with this version and this process state."""
    outdated = ["package"] if process == "outdated" else []
    return agent_facts(
        version=version,
        service={"active": True, "enabled": True},
        process={"pid": 7, "state": process, "outdated": outdated},
    )


def configuration(url: str, server_id: str, key: str, more: str = "") -> list[Answer]:
    text = f"[server]\nurl = {url}\nid = {server_id}\nkey = ********\n\n[ssl]\nverify = true\n{more}"
    row = {"url": url, "id": server_id, "key": key, "complete": True, "text": text}
    return agent_facts(configuration=row, registered_machine_id=MACHINE)


def upgraded(workspace: Workspace, process: str, runs: str) -> list[Answer]:
    """Return the facts of a registered host whose process is in this state and whose record has this version."""
    record = workspace.register()
    workspace.change_server(record["name"], commissioned=True, is_connected=True, version=runs)
    return [*configuration(workspace.url, record["id"], record["key"]), *installed("2.5.0", process)]


@contextmanager
def connect_agents(workspace: Workspace, but: Collection[str] = ()) -> Iterator[None]:
    """Connect newly registered servers, except those of these hosts or records."""
    done = threading.Event()

    def connect() -> None:
        while not done.wait(0.2):
            for server in workspace.registered():
                if not server["is_connected"] and not {server["name"], server["name"][:-7]} & set(but):
                    workspace.change_server(server["name"], commissioned=True, is_connected=True, version="2.5.0")

    thread = threading.Thread(target=connect)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def run_role(
    folder: Path,
    workspace: Workspace,
    hosts: Mapping[str, ScriptedHost],
    *arguments: str,
    show: Iterable[str] = (),
    playbook: str = "",
    core: str = "development",
    **environ: str,
) -> RoleRun:
    """Run the role or a playbook on all hosts; `show` names variables for the last task."""
    folder.mkdir(parents=True, exist_ok=True)
    if not playbook:
        role = {"name": "herdops.alpacon.alpamon", "public": True}
        tasks: list[Row] = [{"name": "Roll out", "ansible.builtin.include_role": role, "tags": ["always"]}]
        if show:
            shown = {"msg": {name: f"{{{{ {name} }}}}" for name in show}}
            tasks.append({"name": "Show", "ansible.builtin.debug": shown})
        playbook = str(folder / "play.json")
        Path(playbook).write_text(
            json.dumps([{"hosts": "all", "gather_facts": False, "tasks": tasks}]), encoding="utf-8"
        )
    command, environ = prepare_run(folder, workspace, hosts, playbook, environ, core)
    log = folder / "log"
    _pid, code = run_program([*command, *arguments], environ, folder, log, log, TIMEOUT * 5)
    return read_run(folder, hosts, code)


@contextmanager
def start_role(
    folder: Path,
    workspace: Workspace,
    hosts: Mapping[str, ScriptedHost],
    *arguments: str,
    playbook: str,
    core: str = "development",
    **environ: str,
) -> Iterator[tuple[RunningPlay, Callable[[], RoleRun]]]:
    """Start a playbook, and yield it and a function that waits for the result."""
    command, environ = prepare_run(folder, workspace, hosts, playbook, environ, core)
    run = start_process([*command, *arguments], folder, environ)
    try:
        yield run, lambda: read_run(folder, hosts, run.process.wait(TIMEOUT * 5))
    finally:
        run.stop()


def prepare_run(
    folder: Path,
    workspace: Workspace,
    hosts: Mapping[str, ScriptedHost],
    playbook: str,
    environ: Mapping[str, str],
    core: str = "development",
) -> tuple[list[str], dict[str, str]]:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "ansible.cfg").touch()
    entries = {name: host.entry(folder / f"{name}.calls") for name, host in hosts.items()}
    (folder / "inventory.json").write_text(json.dumps({"all": {"hosts": entries}}), encoding="utf-8")
    own = {"ANSIBLE_CONNECTION_PLUGINS": str(_PLUGINS), "ANSIBLE_FORKS": "8", "ALPACON_REGISTRATION_TOKEN": ""}
    program = str(ansible_cores.prepare(core) / "ansible-playbook")
    command = [program, "-i", str(folder / "inventory.json"), playbook]
    return command, environment(workspace, folder, **{**own, **environ})


def read_run(folder: Path, hosts: Iterable[str], code: int) -> RoleRun:
    results = _lines(folder / "results")
    ended = {
        name: Host(
            [Call(**call) for call in _lines(folder / f"{name}.calls")],
            [entry["result"] for entry in results if entry["host"] == name],
        )
        for name in hosts
    }
    rows = {row["host"]: row for file in folder.glob("rollout-*.jsonl") for row in _lines(file)}
    return RoleRun(code, (folder / "log").read_text(encoding="utf-8"), ended, rows)


def summary_lines(done: RoleRun) -> list[str]:
    _before, found, summary = done.log.rpartition("\nrollout: ")
    assert found, done.log
    return f"rollout: {summary}".splitlines()


def make_signing_key(home: Path) -> tuple[str, str]:
    home.mkdir(mode=0o700)

    def gpg(*arguments: str) -> str:
        command = ["gpg", "--homedir", str(home), "--batch", "--passphrase", "", *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    try:
        gpg("--quick-generate-key", "alpamon@example.com", "ed25519", "sign", "never")
        listed = gpg("--with-colons", "--list-keys")
        return listed.partition("fpr:")[2].partition("\n")[0].strip(":"), gpg("--armor", "--export")
    finally:
        subprocess.run(["gpgconf", "--homedir", str(home), "--kill", "all"], check=False)


def _lines(file: Path) -> list[Row]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()] if file.exists() else []
