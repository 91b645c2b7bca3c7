# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ansible's programs, forked from a process that has imported them: the imports take longer than most runs.

One such process per ansible-core runs this file, with the standard library and Ansible only.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

#: Seconds after SIGTERM until SIGKILL.
_STOP_SECONDS = 10.0
PROGRAMS = {
    "ansible": "ansible.cli.adhoc",
    "ansible-playbook": "ansible.cli.playbook",
    "ansible-inventory": "ansible.cli.inventory",
}
#: Modules that most runs import later, on ansible-cores that have them.
_OFTEN_IMPORTED = (
    "requests",
    "html",
    "mimetypes",
    "pprint",
    "pty",
    "tomllib",
    "xml.dom.minidom",
    "multiprocessing.popen_fork",
    "multiprocessing.synchronize",
    "ansible.module_utils._internal._json",
    "ansible.parsing.yaml.dumper",
    "ansible.playbook.handler_task_include",
    "ansible.playbook.role_include",
    "ansible.plugins.cache.memory",
    "ansible.plugins.strategy",
    "ansible.plugins.vars",
    "ansible.utils._junit_xml",
    "ansible.utils.encrypt",
    "ansible.utils.version",
)
_HERE = Path(__file__).resolve().parent
#: Settings that Ansible reads at import, the same for all runs.
_FOLDERS = {
    "ANSIBLE_CALLBACK_PLUGINS": str(_HERE / "callback_plugins"),
    "ANSIBLE_CONNECTION_PLUGINS": str(_HERE / "connection_plugins"),
}
#: Settings that Ansible reads for each run. With others, a run is not forked.
_READ_LATE = {
    *_FOLDERS,
    "ANSIBLE_CACHE_PLUGIN",
    "ANSIBLE_CACHE_PLUGIN_CONNECTION",
    "ANSIBLE_CALLBACKS_ENABLED",
    "ANSIBLE_COLLECTIONS_PATH",
    "ANSIBLE_CONFIG",
    "ANSIBLE_FORKS",
    "ANSIBLE_HOME",
    "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED",
    "ANSIBLE_NOCOLOR",
    "ANSIBLE_REMOTE_USER",
}


def run_program(
    command: Sequence[str], environ: Mapping[str, str], folder: Path, out: Path, err: Path, timeout: float
) -> tuple[int, int]:
    """Run a program to its end and return its process ID and exit code.

    `environ` is all of its environment. After `timeout` seconds it is killed, and TimeoutExpired is raised.
    """
    for file in (out, err):
        file.write_bytes(b"")
    if _can_be_forked(command[0], environ):
        return _fork(command, environ, folder, (out, err), timeout)
    with out.open("ab") as printed, err.open("ab") as complained:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=printed,
            stderr=complained,
            start_new_session=True,
        )
        try:
            return process.pid, process.wait(timeout)
        except BaseException:
            process.terminate()
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            raise


def _can_be_forked(program: str, environ: Mapping[str, str]) -> bool:
    config = Path(environ.get("ANSIBLE_CONFIG", ""))
    return (
        Path(program).name in PROGRAMS
        and config.is_file()
        and config.stat().st_size == 0
        and not any(name.startswith("PYTHON") and os.environ.get(name) != value for name, value in environ.items())
        and {name for name in environ if name.startswith("ANSIBLE_")} <= _READ_LATE
        and all(environ.get(name, folder) == folder for name, folder in _FOLDERS.items())
    )


_prepared: dict[Path, subprocess.Popen[bytes]] = {}


def _fork(
    command: Sequence[str], environ: Mapping[str, str], folder: Path, files: tuple[Path, Path], timeout: float
) -> tuple[int, int]:
    programs = Path(command[0]).parent
    if programs not in _prepared:
        _prepared[programs] = _prepare(programs)
    server = _prepared[programs]
    assert server.stdin
    assert server.stdout
    request = {
        "command": list(command),
        "environ": dict(environ),
        "folder": str(folder),
        "files": list(map(str, files)),
    }
    server.stdin.write(json.dumps(request).encode() + b"\n")
    pid = int(server.stdout.readline())
    try:
        if not select.select([server.stdout], [], [], timeout)[0]:
            raise subprocess.TimeoutExpired(command, timeout)
    except BaseException:
        _end(pid, _prepared.pop(programs))
        raise
    return pid, int(server.stdout.readline())


def _prepare(programs: Path) -> subprocess.Popen[bytes]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("ALPACON_", "ANSIBLE_"))}
    return subprocess.Popen(
        [str(programs / "python"), __file__],
        env={**environ, **_FOLDERS, "ANSIBLE_HOME": os.environ["ANSIBLE_HOME"], "ANSIBLE_NOCOLOR": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        bufsize=0,
        start_new_session=True,
    )


def _end(pid: int, server: subprocess.Popen[bytes]) -> None:
    """End a run and its fork server, which would report this run to the next one."""
    assert server.stdout
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        # Ansible ends its workers first.
        if select.select([server.stdout], [], [], _STOP_SECONDS)[0]:
            break
    server.kill()
    server.wait()


# The fork server


def serve() -> None:
    """Fork for each request on standard input, and print the child's ID and later its exit code."""
    for module in PROGRAMS.values():
        importlib.import_module(module)
    for module in _OFTEN_IMPORTED:
        with contextlib.suppress(ImportError):
            importlib.import_module(module)
    # Runs are short. A collection would copy the pages that they share with this process.
    gc.freeze()
    gc.disable()
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            _run(json.loads(line))
        print(pid, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


def _run(request: dict[str, Any]) -> NoReturn:
    os.setsid()
    os.chdir(request["folder"])
    for number, name in enumerate([os.devnull, *request["files"]]):
        file = os.open(name, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(file, number)
        os.close(file)
    os.environ.clear()
    os.environ.update(request["environ"])
    sys.argv = request["command"]
    sys.path[0] = os.path.dirname(sys.argv[0])
    constants: Any = importlib.reload(importlib.import_module("ansible.constants"))
    # Polling workers a thousand times a second costs more than the workers.
    constants.DEFAULT_INTERNAL_POLL_INTERVAL = 0.01
    sys.exit(importlib.import_module(PROGRAMS[os.path.basename(sys.argv[0])]).main(sys.argv))


if __name__ == "__main__":
    serve()
