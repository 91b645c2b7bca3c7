# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The workspace as a process: how it starts, what it says, and that it leaves nothing behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import typing as t
from pathlib import Path

import requests

TESTS = Path(__file__).resolve().parents[2]


def start(folder: Path, *arguments: str) -> tuple[subprocess.Popen[str], dict[str, str]]:
    """With a temporary folder of its own, so that what it leaves behind shows."""
    process = subprocess.Popen(
        [sys.executable, "-m", "workspace", "--servers", "2", *arguments],
        cwd=TESTS,
        env={**os.environ, "TMPDIR": str(folder)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    return process, json.loads(process.stdout.readline())


def control(ready: dict[str, str], path: str) -> t.Any:
    return requests.get(f"{ready['url']}/_control/{path}", timeout=5).json()


def agents_of(process: subprocess.Popen[str]) -> list[int]:
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text(encoding="ascii")
    return [int(child) for child in children.split()]


def is_alive(number: int) -> bool:
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    return True


def until(what: t.Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not what() and time.monotonic() < deadline:
        time.sleep(0.02)


def assert_clean(process: subprocess.Popen[str], children: list[int], folder: Path) -> None:
    assert process.wait(timeout=10) == 0
    assert not any(is_alive(child) for child in children)
    assert list(folder.glob("workspace-*")) == []
    for pipe in (process.stdin, process.stdout):
        assert pipe is not None
        pipe.close()


def test_a_signal_ends_it_and_its_agents(tmp_path: Path) -> None:
    file = tmp_path / "ready.json"
    process, ready = start(tmp_path, "--ready-file", str(file), "--dialect", "published", "--server", "db-01")
    children = agents_of(process)
    assert children
    server = control(ready, "state/")["servers"][0]["id"]
    headers = {"Authorization": f'token="{ready["token"]}"'}
    body = {"server": server, "line": "sleep 60"}
    requests.post(f"{ready['url']}/api/events/commands/", json=body, headers=headers, timeout=5).raise_for_status()
    until(file.exists)
    assert json.loads(file.read_text(encoding="utf-8")) == ready
    assert (set(ready), ready["dialect"]) == ({"url", "token", "dialect"}, "published")
    assert [server["name"] for server in control(ready, "state/")["servers"]] == ["db-01", "web-01", "web-02"]
    process.send_signal(signal.SIGTERM)
    assert_clean(process, children, tmp_path)


def test_it_ends_with_its_parent(tmp_path: Path) -> None:
    process, _ready = start(tmp_path, "--exit-with-parent")
    children = agents_of(process)
    assert process.stdin is not None
    process.stdin.close()
    assert_clean(process, children, tmp_path)
