# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs the integration targets against one workspace, through a recording proxy."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import collection_tree
import requests
from acceptance.config import Config, Found
from acceptance.created import Created, Removal, Remover
from acceptance.proxy import RecordingProxy, open_session
from acceptance.shapes import Recording

TARGETS = collection_tree.ROOT / "tests/integration/targets"
TASKS = "acceptance"
#: Seconds that ansible-playbook has to end after an interrupt.
_PATIENCE = 20
_TASK = re.compile(r"TASK \[(?:\w+ : )?(.*)\] \**")


def list_targets() -> list[str]:
    """List the targets that run against any workspace."""
    return sorted(path.parent.parent.name for path in TARGETS.glob(f"*/tasks/{TASKS}.yml"))


@dataclass
class Run:
    """The results of a run of the targets.

    Attributes:
        passed: number of targets that passed.
        failed: a sentence for each target that failed.
    """

    recording: Recording
    removal: Removal = field(default_factory=Removal)
    passed: int = 0
    failed: list[str] = field(default_factory=list)
    interrupted: bool = False
    lost_submits: int = 0


class TargetRunner:
    """Runs targets, and removes all that they created.

    Args:
        folder: for the logs and the file of created records.
        name: part of the name or line of all that is created.
    """

    def __init__(self, config: Config, found: Found, folder: Path, name: str = "") -> None:
        self.config = config
        self.found = found
        self.folder = folder
        self.created = Created(folder / "created.json", config.url)
        self.name = name or f"acceptance-{secrets.token_hex(4)}"

    def run(self, targets: Sequence[str]) -> Run:
        self.folder.mkdir(parents=True, exist_ok=True)
        if self.created.paths:
            print("Removing what a killed run left ...", flush=True)
            self.remove(Run(Recording()))
        with RecordingProxy(self.config.url, self.config.token, self.created, self.config.verify) as proxy:
            run = Run(proxy.recording)
            try:
                for target in targets:
                    print(f"  {target}", flush=True)
                    if self._run_target(target, proxy):
                        run.failed.append(f"{target}: {self._read_failed_task(target)}")
                    else:
                        run.passed += 1
            except KeyboardInterrupt:
                signal.signal(signal.SIGINT, signal.SIG_IGN)
                print("Interrupted. Removing what the run created ...", flush=True)
                run.interrupted = True
        run.lost_submits = proxy.lost_submits
        self.remove(run)
        return run

    def remove(self, run: Run) -> None:
        """Remove all that the run created, whatever signals come."""
        handlers = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            with open_session(self.config.verify) as session:

                def call(method: str, path: str, body: Any) -> requests.Response:
                    headers = {"Authorization": f'token="{self.config.token}"', "Accept": "application/json"}
                    address = self.config.url + path
                    return session.request(method, address, json=body, headers=headers, timeout=60)

                remover = Remover(call, self.created)
                if run.interrupted or run.failed:
                    remover.remove_folder(list(self.found.server_ids.values()), f"/tmp/{self.name}")
                run.removal = remover.remove_all()
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)

    def _run_target(self, target: str, proxy: RecordingProxy) -> int:
        with tempfile.TemporaryDirectory() as output_dir, (self.folder / f"{target}.log").open("w") as log:
            playbook = Path(output_dir, "target.json")
            playbook.write_text(json.dumps([self._describe_play(target, proxy, output_dir)]), encoding="utf-8")
            process = subprocess.Popen(
                ["ansible-playbook", "-i", f"{target},", str(playbook)],
                env=collection_tree.environ() | {"ANSIBLE_ROLES_PATH": str(TARGETS), "ANSIBLE_NOCOLOR": "1"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                return process.wait()
            finally:
                _stop(process)

    def _describe_play(self, target: str, proxy: RecordingProxy, output_dir: str) -> dict[str, Any]:
        variables = {
            "ansible_connection": "local",
            "output_dir": output_dir,
            "dialect": self.found.dialect,
            "workspaces": {self.found.dialect: {"url": proxy.url, "token": proxy.token}},
            "run_name": self.name,
            "servers": self.config.servers,
            "accounts": self.config.accounts,
        }
        settings = {"url": proxy.url, "token": proxy.token}
        return {
            "name": target,
            "hosts": target,
            "gather_facts": False,
            "vars": variables,
            "module_defaults": {
                "group/herdops.alpacon.alpacon": settings,
                "herdops.alpacon.alpacon_command": {"wait_timeout": "2m"},
            },
            "tasks": [
                {
                    "name": "Run the target",
                    "ansible.builtin.include_role": {"name": target, "tasks_from": TASKS},
                }
            ],
        }

    def _read_failed_task(self, target: str) -> str:
        log = (self.folder / f"{target}.log").read_text(encoding="utf-8", errors="replace")
        task, failed = "", ""
        for line in log.splitlines():
            if match := _TASK.fullmatch(line):
                task = match[1]
            elif line.startswith(("fatal: ", "failed: ")):
                failed = task
        return failed or "no task ran"


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Interrupt the processes of a target that has not ended, then kill those that remain."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_PATIENCE)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
