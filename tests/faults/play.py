# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The tasks of a round in ansible-playbook itself."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import collection_tree

_SILENT = 300


class PlayError(Exception):
    """The play itself went wrong, rather than a task in it."""


def one_task(options: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Run one task that names all servers, and give its result."""
    play = {**_play("localhost", settings), "tasks": [_task(options), _keep("{{ outcome }}")]}
    return _run([play], "localhost,", 5)


def task_per_host(options: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Run a task for each server as a host of its own, and give their results as one."""
    servers = options["servers"]
    rest = {name: value for name, value in options.items() if name not in ("servers", "max_concurrency", "max_errors")}
    everyone = {**_play("all", settings), "tasks": [_task(rest)]}
    gather = {**_play("all", settings), "tasks": [{**_keep(_RESULTS), "run_once": True}]}
    results = _run([everyone, gather], ",".join(servers) + ",", 20)["results"]
    refused = [result for result in results if "commands" not in result]
    return {
        "commands": [entry for result in results for entry in result.get("commands", ())],
        "failed": any(result.get("failed") for result in results),
        "requests": sum(result.get("requests", 0) for result in results),
        "refused_hosts": [str(result.get("msg")) for result in refused],
    }


_RESULTS = "{{ {'results': ansible_play_hosts_all | map('extract', hostvars, 'outcome') | list} }}"


def _play(hosts: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "hosts": hosts,
        "gather_facts": False,
        "module_defaults": {"group/herdops.alpacon.alpacon": dict(settings)},
        "vars": {"ansible_connection": "local", "ansible_python_interpreter": "{{ ansible_playbook_python }}"},
    }


def _task(options: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": "Run it",
        "herdops.alpacon.alpacon_command": dict(options),
        "register": "outcome",
        "ignore_errors": True,
    }


def _keep(result: str) -> dict[str, Any]:
    return {
        "name": "Keep it",
        "delegate_to": "localhost",
        "ansible.builtin.copy": {"content": result, "dest": "{{ playbook_dir }}/result.json", "mode": "0600"},
    }


def _run(plays: list[dict[str, Any]], hosts: str, forks: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="faults-") as place:
        folder = Path(place)
        (folder / "play.json").write_text(json.dumps(plays), encoding="utf-8")
        program = str(collection_tree.TOOLS / "ansible-playbook")
        command = [program, "-i", hosts, "-f", str(forks), str(folder / "play.json")]
        done = subprocess.run(
            command,
            env=collection_tree.environ(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_SILENT,
            check=False,
        )
        said = done.stdout + done.stderr
        kept = folder / "result.json"
        if not kept.exists() or "Traceback" in said or "MODULE FAILURE" in said:
            raise PlayError(said[-4000:])
        result: dict[str, Any] = json.loads(kept.read_text(encoding="utf-8"))
        return result
