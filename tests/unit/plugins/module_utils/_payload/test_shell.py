# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.herdops.alpacon.plugins.module_utils._payload.frames import Frame, read_frame
from ansible_collections.herdops.alpacon.plugins.module_utils._payload.packing import pack
from ansible_collections.herdops.alpacon.plugins.module_utils._payload.shell import (
    WorkingDirectory,
    build_program_body,
    build_script_body,
    build_shell_body,
)
from ansible_collections.herdops.alpacon.tests.unit.payload_runner import SHELLS, run_and_read_frame

ODD = ["a b", "$HOME", "*", "it's", "~", "\n", "", "`x`", "ä"]
#: Options of unshare that give a program its own mounts.
NAMESPACES = ("--map-root-user", "--mount")
SCRIPT = b"#!/bin/sh\nprintf '%s|' \"$@\"\ncat\nexit 4\n"


def run(body: str, stdin: bytes = b"", content: bytes = b"", shell: str = "none", **environment: str) -> Frame:
    return run_and_read_frame(pack("script:x", body, stdin, [content]), shell, **environment)


@pytest.mark.parametrize("shell", SHELLS)
def test_programs_get_their_arguments_unchanged(shell: str) -> None:
    frame = run(build_program_body(["printf", "%s|", *ODD], WorkingDirectory()), shell=shell)
    assert frame.stdout.decode() == "".join(f"{word}|" for word in ODD)


@pytest.mark.parametrize("shell", SHELLS)
def test_scripts_get_arguments_and_input_and_are_removed(shell: str, tmp_path: Path) -> None:
    frame = run(
        build_script_body("it's mine.sh", ODD, None, WorkingDirectory()), b"input", SCRIPT, shell, TMPDIR=str(tmp_path)
    )
    assert (frame.stdout.decode(), frame.rc) == ("".join(f"{word}|" for word in ODD) + "input", 4)
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(
    subprocess.run(["unshare", *NAMESPACES, "true"], check=False).returncode != 0, reason="no namespaces"
)
@pytest.mark.parametrize("shell", [shell for shell in SHELLS if shell != "none"])
def test_scripts_run_if_the_temporary_folder_is_noexec(shell: str, tmp_path: Path) -> None:
    payload = pack("script:x", build_script_body("it's mine.sh", ["1"], None, WorkingDirectory()), b"input", [SCRIPT])
    (tmp_path / "tmp").mkdir()
    mounted = f'mount -t tmpfs -o noexec none {tmp_path}/tmp && {shell} -c "$0"; ls -A {tmp_path} {tmp_path}/tmp'
    line = payload.line.replace("/bin/sh", shell)
    environment = {**os.environ, **payload.env, "HOME": str(tmp_path), "TMPDIR": f"{tmp_path}/tmp"}
    command = ["unshare", *NAMESPACES, "sh", "-c", mounted, line]
    done = subprocess.run(command, env=environment, input="", capture_output=True, text=True, check=True)
    frame = read_frame(payload.digest, done.stdout)
    assert (frame.stdout, frame.rc) == (b"1|input", 4), done
    assert done.stdout.endswith(f"\n{tmp_path}:\ntmp\n\n{tmp_path}/tmp:\n")


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Restore signals that nohup and background jobs ignore, since children inherit that."""
    before = {number: signal.signal(number, signal.default_int_handler) for number in (signal.SIGHUP, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(("name", "number"), [("HUP", 1), ("INT", 2), ("TERM", 15)])
@pytest.mark.parametrize("process", ["$$", "$PPID"], ids=["the script", "the shell that started it"])
def test_a_script_that_a_signal_ends_is_removed(
    process: str, name: str, number: int, shell: str, tmp_path: Path
) -> None:
    ended = f"kill -{name} {process}; sleep 0.1".encode()
    frame = run(build_script_body("x", [], None, WorkingDirectory()), b"", ended, shell, TMPDIR=str(tmp_path))
    assert frame.rc == 128 + number
    assert not list(tmp_path.iterdir())


def test_only_the_account_can_read_a_script(tmp_path: Path) -> None:
    command = b'ls -ld "$0" "$(dirname "$0")" | cut -c1-10'
    frame = run(build_script_body("x", [], None, WorkingDirectory()), b"", command, TMPDIR=str(tmp_path))
    assert frame.stdout.split() == [b"drwx------", b"-rwx------"]


def test_scripts_run_with_the_given_interpreter(tmp_path: Path) -> None:
    frame = run(build_script_body("x", ["1"], "/usr/bin/env", WorkingDirectory()), b"", b"#!/bin/sh\necho $1\n")
    assert frame.stdout == b"1\n"


def test_chdir(tmp_path: Path) -> None:
    (tmp_path / "a b").mkdir()
    frame = run(build_program_body(["pwd"], WorkingDirectory(chdir="~/a b")), HOME=str(tmp_path))
    assert frame.stdout.decode() == f"{tmp_path}/a b\n"
    assert run(build_program_body(["pwd"], WorkingDirectory(chdir=str(tmp_path / "none")))).rc != 0


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("pattern", ["a b", "a*", "~/a?b", "[a]*", "link"])
def test_creates_skips_the_run_if_a_path_matches(pattern: str, shell: str, tmp_path: Path) -> None:
    (tmp_path / "a b").touch()
    (tmp_path / "link").symlink_to("nowhere")
    directory, missing = (
        WorkingDirectory(str(tmp_path), creates=pattern),
        WorkingDirectory(str(tmp_path), creates="a c*"),
    )
    frame = run(build_program_body(["false"], directory), shell=shell, HOME=str(tmp_path))
    assert frame == Frame(f"skipped, since {pattern} exists".encode(), b"", 0, "skipped")
    assert run(build_program_body(["false"], missing), shell=shell).rc == 1


@pytest.mark.parametrize("shell", SHELLS)
def test_removes_skips_the_run_if_no_path_matches(shell: str, tmp_path: Path) -> None:
    (tmp_path / "there").touch()
    frame = run(build_program_body(["false"], WorkingDirectory(str(tmp_path), removes="a'b*")), shell=shell)
    assert frame == Frame(b"skipped, since a'b* does not exist", b"", 0, "skipped")
    assert run(build_program_body(["false"], WorkingDirectory(str(tmp_path), removes="the*")), shell=shell).rc == 1


def test_background_processes_are_not_awaited() -> None:
    began = time.monotonic()
    frame = run(build_shell_body("setsid sleep 30 >/dev/null 2>&1 </dev/null & echo started"))
    assert frame.stdout == b"started\n"
    assert time.monotonic() - began < 25
