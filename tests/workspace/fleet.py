# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The child process that runs the agents."""

from __future__ import annotations

import asyncio
import collections
import json
import subprocess
import sys
import typing as t
from pathlib import Path


class Fleet:
    def __init__(self, loop: asyncio.AbstractEventLoop, url: str, scratch: Path) -> None:
        self._loop, self._url, self._scratch = loop, url, scratch
        self._child: subprocess.Popen[bytes] | None = None
        self._runs_file = scratch.with_suffix(".runs")
        self._runs: collections.Counter[str] = collections.Counter()
        self._runs_read = 0

    @property
    def started(self) -> bool:
        return self._child is not None

    def start(self) -> None:
        # -P keeps this folder's module names out of the child's way
        program = [sys.executable, "-P", str(Path(__file__).with_name("agents.py"))]
        self._child = subprocess.Popen(
            [*program, "--url", self._url, "--scratch", str(self._scratch), "--runs", str(self._runs_file)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )

    def send(self, order: str, **details: t.Any) -> None:
        """Send an order as a JSON line; the first one starts the process."""
        if self._child is None:
            self.start()
        assert self._child is not None
        assert self._child.stdin is not None
        self._child.stdin.write(json.dumps({"order": order, **details}).encode() + b"\n")
        self._child.stdin.flush()

    def count_runs(self) -> collections.Counter[str]:
        """Count how often the agents began to run each command."""
        if self._runs_file.exists():
            with self._runs_file.open("rb") as runs:
                runs.seek(self._runs_read)
                new = runs.read()
            self._runs_read += len(new)
            self._runs.update(new.decode().split())
        return self._runs

    def stop(self) -> None:
        if self._child is None:
            return
        assert self._child.stdin is not None
        self._child.stdin.close()
        try:
            self._child.wait(timeout=3)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
