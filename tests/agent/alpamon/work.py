# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the agent does with a command: acknowledge it, run its line, send the output as it comes, and report the end."""

from __future__ import annotations

import codecs
import datetime
import grp
import json
import os
import pwd
import select
import subprocess
import sys
import threading
import time
import typing as t

from .api import Api

CHUNK_BYTES = 4096
RESULT_BYTES = 1024 * 1024
LINE_SECONDS = 1800
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
SLOTS = threading.Semaphore(20)


def execute(api: Api, command: dict[str, t.Any], quit_agent: t.Callable[[], None]) -> None:
    """Take a command through all its steps."""
    place = f"/api/events/commands/{command['id']}"
    api.report("POST", f"{place}/ack/", {})
    if not _parsable(command.get("data")):
        return
    with SLOTS:
        started = time.monotonic()
        exit_code, result = _run(api, place, command, quit_agent)
    report = {
        "success": exit_code == 0,
        "result": result,
        "elapsed_time": time.monotonic() - started,
        "exit_code": exit_code,
    }
    api.report("POST", f"{place}/fin/", report)


def _parsable(data: str | None) -> bool:
    try:
        json.loads(data or "null")
    except ValueError:
        return False
    return True


def _run(api: Api, place: str, command: dict[str, t.Any], quit_agent: t.Callable[[], None]) -> tuple[int, str]:
    if command.get("shell") == "internal":
        return _internal(command.get("line", ""), quit_agent)
    if command.get("shell") != "system":
        return 1, "Invalid command shell argument."
    try:
        return _run_line(api, place, command)
    except (OSError, LookupError) as error:
        return 1, str(error)


def _internal(line: str, quit_agent: t.Callable[[], None]) -> tuple[int, str]:
    verb = line.split(" ")[0]
    if verb == "ping":
        return 0, datetime.datetime.now(datetime.UTC).isoformat()
    if verb in ("commit", "sync"):
        return 0, ""
    if verb == "quit":
        threading.Timer(1, quit_agent).start()
        return 0, "Alpamon will shutdown in 1 second."
    if verb == "restart":
        threading.Timer(1, os.execv, [sys.argv[0], sys.argv]).start()
        return 0, "Alpamon will restart in 1 second."
    return 1, f"Unknown command: {line}"


def _run_line(api: Api, place: str, command: dict[str, t.Any]) -> tuple[int, str]:
    process = subprocess.Popen(
        ["/bin/sh", "-c", command["line"]],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd="/",
        env={"PATH": PATH, "HOME": "/root", "LANG": "C.UTF-8", **(command.get("env") or {})},
        user=_known(pwd.getpwnam, command.get("user")),
        group=_known(grp.getgrnam, command.get("group")),
        start_new_session=True,
    )
    output = _stream(api, place, process)
    if output is None:
        process.kill()
        return 124, f"Command timed out after {LINE_SECONDS // 60}m0s"
    code = process.wait()
    return (128 - code if code < 0 else code), _shortened(output)


def _known(look_up: t.Callable[[str], object], name: str | None) -> str | None:
    """An account that the host has; none stands for root, as do those that a genuine server would have made first."""
    try:
        return name if name and look_up(name) else None
    except KeyError:
        return None


def _stream(api: Api, place: str, process: subprocess.Popen[bytes]) -> bytes | None:
    """Send what a process prints in numbered chunks, and return all of it; None if it takes too long."""
    deadline = time.monotonic() + LINE_SECONDS
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    whole, sequence = bytearray(), 0
    descriptor = t.cast("t.IO[bytes]", process.stdout).fileno()
    while select.select([descriptor], [], [], max(deadline - time.monotonic(), 0))[0]:
        data = os.read(descriptor, CHUNK_BYTES)
        whole += data
        if text := decoder.decode(data, final=not data):
            api.report("POST", f"{place}/chunk/", {"seq": sequence, "content": text})
            sequence += 1
        if not data:
            return bytes(whole)
    return None


def _shortened(output: bytes) -> str:
    if len(output) <= RESULT_BYTES:
        return output.decode(errors="replace")
    half = RESULT_BYTES // 2 - 32
    marker = f"\n... [{len(output) - 2 * half} bytes truncated] ...\n".encode()
    return (output[:half] + marker + output[-half:]).decode(errors="ignore")
