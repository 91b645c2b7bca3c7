# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run payloads as agents do: with a shell, or without one by splitting the line."""

from __future__ import annotations

import os
import shutil
import subprocess

from ansible_collections.herdops.alpacon.plugins.module_utils._payload.frames import Frame, read_frame
from ansible_collections.herdops.alpacon.plugins.module_utils._payload.packing import Payload

#: Installed shells, and none.
SHELLS = [*(shell for shell in ("dash", "bash", "mksh") if shutil.which(shell)), "none"]

#: Functions of a body that writes its output in parts, as a payload defines them.
PART_WRITER = """exec 3>&1
alpacon_lines() {
set -- "$(base64)"
printf '%s\\n' "$1" "$(($(printf '%s\\n' "$1" | wc -l)))"
}
"""
_DIGEST = "a" * 64


def read_parts(output: bytes) -> bytes:
    """Read the output of a body that follows :data:`PART_WRITER`."""
    return read_frame(_DIGEST, f"[alpacon {_DIGEST}]\n{output.decode()}[stderr]\n[rc 0]\n[end]\n").stdout


def run_payload(payload: Payload, shell: str = "none", **environment: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, **environment, **payload.env}
    if shell == "none":
        argv = [env[word[1:]] if word.startswith("$") else word for word in payload.line.split()]
    else:
        argv = [shell, "-c", payload.line.replace("/bin/sh", shell)]
    return subprocess.run(
        argv,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )


def run_and_read_frame(payload: Payload, shell: str = "none", **environment: str) -> Frame:
    """Run a payload and return its frame."""
    done = run_payload(payload, shell, **environment)
    frame = read_frame(payload.digest, done.stdout)
    assert frame.rc == done.returncode
    return frame
