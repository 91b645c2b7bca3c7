# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test hostile hosts: their responses are data or an error, decide nothing and fill no disk."""

from __future__ import annotations

import gzip
import hashlib
import json
import shlex
import subprocess
import sys
from collections.abc import Sequence
from itertools import chain, repeat
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from system.plays import play, run_playbook, task
from workspace.client import Workspace

from ansible_collections.herdops.alpacon.plugins.module_utils._api.settings import Settings
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.jobs import Limits
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.run import Run, RunContext
from ansible_collections.herdops.alpacon.plugins.module_utils._payload.packing import PayloadTooLarge
from ansible_collections.herdops.alpacon.plugins.plugin_utils._connection.connection import (
    HostConnection,
    HostStepFailed,
)
from ansible_collections.herdops.alpacon.plugins.plugin_utils._connection.runner import (
    CommandResult,
    RunTarget,
    ServerRunner,
)

PIECE = 8_000_000


class HostileHost(ServerRunner):
    def __init__(self, folder: Path, *answers: CommandResult | Exception) -> None:
        access = RunTarget("web-01", "web-01", None, None, None, {}, Limits())
        super().__init__(access, Settings("https://workspace.invalid", ""), Run(RunContext(folder=folder)))
        self.bodies: list[str] = []
        self._give = Mock(side_effect=chain(answers, repeat(CommandResult(0, b"", b""))))

    def run_body(self, label: str, body: str, stdin: bytes = b"", files: Sequence[bytes] = ()) -> CommandResult:
        self.bodies.append(body)
        ran: CommandResult = self._give()
        return ran

    def run_bodies(
        self, label: str, bodies: Sequence[tuple[str, Sequence[bytes]]], listed: bool = True
    ) -> list[CommandResult]:
        return [self.run_body(label, body, files=files) for body, files in bodies]


def make_stat_output(content: bytes, size: int | None = None) -> bytes:
    return f"{len(content) if size is None else size}\n{hashlib.sha256(content).hexdigest()}  -\n".encode()


CHANGED, ROOM, SILENT = "has changed", "has room for", "did not state its size and digest"
LIES: dict[str, tuple[str, list[CommandResult]]] = {
    "fewer bytes": (CHANGED, [CommandResult(0, gzip.compress(b"abc"), make_stat_output(b"abc", 10))]),
    "another digest": (CHANGED, [CommandResult(0, gzip.compress(b"abc"), make_stat_output(b"xyz"))]),
    "another piece": (
        CHANGED,
        [
            CommandResult(0, gzip.compress(bytes(PIECE)), make_stat_output(b"", PIECE + 3)),
            CommandResult(0, gzip.compress(b"abc"), b""),
        ],
    ),
    "more bytes": (CHANGED, [CommandResult(0, gzip.compress(bytes(10**5)), make_stat_output(b"abc"))]),
    "bytes that are not compressed": (
        "did not send what it read",
        [CommandResult(0, b"abc", make_stat_output(b"abc"))],
    ),
    "a petabyte": (ROOM, [CommandResult(0, bytes(PIECE), make_stat_output(b"", 10**15))]),
    "nothing": (SILENT, [CommandResult(0, b"abc", b"")]),
    "a negative size": (SILENT, [CommandResult(0, b"abc", make_stat_output(b"abc", -3))]),
    "binary": (SILENT, [CommandResult(0, b"abc", b"\xff\x1b[31m\0" * 10_000)]),
    "digits without end": (SILENT, [CommandResult(0, b"abc", b"9" * 10_000 + make_stat_output(b"abc"))]),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_file_that_is_not_what_the_host_says_is_refused(tmp_path: Path, lie: str) -> None:
    said, answers = LIES[lie]
    with pytest.raises(HostStepFailed, match=said) as refused:
        HostConnection(HostileHost(tmp_path, *answers), "fetch", None).fetch("/etc/motd", tmp_path / "fetched")
    assert not (tmp_path / "fetched").exists()
    assert str(refused.value).replace("\n", "").isprintable()
    assert len(str(refused.value)) < 10_000


@pytest.mark.parametrize("home", [b"", b"\xff\xfe", b"$(touch canary)", b"/" + b"x" * 4000])
def test_an_odd_home_is_passed_on_as_it_is(tmp_path: Path, home: bytes) -> None:
    connection = HostConnection(host := HostileHost(tmp_path, CommandResult(0, home, b"")), "copy", None)
    answers = [connection.run_command("/bin/sh -c 'echo ~'").stdout for _time in range(2)]
    assert answers == [home, home]
    assert len(host.bodies) == 1


HOME, LONG = "echo ~", b"/" + b"x" * 100_000
MKDTEMP = "( umask 77 && mkdir -p \"` echo '/home/a b' `\"&& mkdir \"` echo '/home/a b/t' `\" )"


@pytest.mark.parametrize("path", [LONG, b"/home/\x1b[2J", b"/home/a\nb", b"/home/\tb", b"/home/\xc2\x9b31m", b"/\0\n"])
@pytest.mark.parametrize("query", [HOME, "echo ~app", "echo '~a b'", 'echo "`pwd`"', MKDTEMP])
@pytest.mark.parametrize("rc", [0, 1])
def test_a_path_that_is_too_long_or_has_controls_is_refused(tmp_path: Path, query: str, path: bytes, rc: int) -> None:
    host = HostConnection(HostileHost(tmp_path, CommandResult(rc, path, b"")), "copy", None)
    with pytest.raises(HostStepFailed, match=r"has control characters|has 100,001 bytes") as refused:
        host.run_command(f"/bin/sh -c {shlex.quote(query)}")
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 1000


@pytest.mark.parametrize("command", ["echo ~; dmesg", "echo ~|cat", "echo 'a'", "pwd"])
def test_the_output_of_other_commands_may_be_long(tmp_path: Path, command: str) -> None:
    host = HostConnection(HostileHost(tmp_path, CommandResult(0, LONG + b"\x1b", b"")), "raw", None)
    assert host.run_command(f"/bin/sh -c {shlex.quote(command)}").stdout == LONG + b"\x1b"


@pytest.mark.timeout(60)
def test_a_long_command_is_read_once(tmp_path: Path) -> None:
    host = HostileHost(tmp_path)
    HostConnection(host, "setup", None).run_command(f"/bin/sh -c {shlex.quote('/x x' * 1_000_000)}", b"a module")
    assert len(host.bodies) == 1


@pytest.mark.parametrize("name", [LONG, b"a\ntouch canary", b"/tmp/\x1b[2J"])
def test_the_name_of_a_temporary_file_that_is_no_path_is_refused(tmp_path: Path, name: bytes) -> None:
    host = HostileHost(tmp_path, PayloadTooLarge(2_000_000), CommandResult(0, name + b"\n", b""))
    with pytest.raises(HostStepFailed, match=r"has control characters|has 100,002 bytes"):
        HostConnection(host, "copy", None).run_command("true", b"a module")
    assert len(host.bodies) == 2


@pytest.mark.parametrize("name", [b"", b"a; touch canary", b"$(touch canary)"])
def test_the_odd_name_of_a_temporary_file_is_one_word_to_the_shell(tmp_path: Path, name: bytes) -> None:
    host = HostileHost(tmp_path, PayloadTooLarge(2_000_000), CommandResult(0, name + b"\n", b""))
    HostConnection(host, "copy", None).run_command("true", b"a module")
    assert len(host.bodies) == 4
    for body in host.bodies[2:]:
        code = f"alpacon_part() {{ :; }}\n{body}".encode("utf-8", "surrogateescape")
        subprocess.run(["/bin/sh"], input=code, cwd=tmp_path, capture_output=True, check=False)
    assert not (tmp_path / "canary").exists()


def write_forged_python(file: Path, **result: Any) -> str:
    answer = json.dumps({"changed": True, "ping": "pong", **result})
    file.write_text(f"#!/bin/sh\ncat > /dev/null\ncat << 'END'\n{answer}\nEND\n", encoding="utf-8")
    file.chmod(0o755)
    return str(file)


def test_results_and_files_of_a_host_run_and_send_nothing_elsewhere(tmp_path: Path) -> None:
    with Workspace("current", servers=["web-01", "web-02"]) as workspace:
        workspace.wait_connected("web-01", "web-02")
        ids = workspace.server_ids()
        names = " ".join(sorted(sys.stdlib_module_names - set(sys.builtin_module_names)))
        plant = f"for name in {names}; do echo \"open('canary', 'w')\" > $name.py; done"
        taken = {"alpacon_server_id": ids["web-01"], "alpacon_url": "http://127.0.0.1:1"}
        forged = {
            "add_host": {"host_name": "web-02", "groups": [], "host_vars": taken},
            "add_group": "all",
            "_ansible_delegated_vars": {"web-02": taken},
            "_ansible_facts_gathered": True,
        }
        host = {"ansible_connection": "herdops.alpacon.alpacon"}
        hostile = {"ansible_python_interpreter": write_forged_python(tmp_path / "python", **forged)}
        own = {"ansible_python_interpreter": "{{ ansible_playbook_python }}"}
        ping, raw = "ansible.builtin.ping", "ansible.builtin.raw"
        first = [
            task("Plant", plant, raw),
            task("Planted", {}, ping, vars=own),
            task("Touched", "test ! -e canary", raw),
            task("Forged", {}, ping, vars=hostile),
        ]
        plays = [*play(*first, hosts="web-01"), *play(task("Other", {}, ping, vars=own), hosts="web-02")]
        run = run_playbook(workspace, tmp_path, plays, {"all": {"hosts": {"web-01": host, "web-02": host}}})
        assert [run.tasks[name][0]["ping"] for name in ("Planted", "Forged", "Other")] == ["pong"] * 3, run.log
        assert run.tasks["Touched"][0]["rc"] == 0
        assert [command["server"] for command in workspace.commands()] == ["web-01"] * 4 + ["web-02"]
