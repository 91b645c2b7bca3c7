# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Marks of processes, here, elsewhere and gone, with and without /proc."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ansible_collections.herdops.alpacon.plugins.module_utils._fleet import run
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.run import get_process_key, has_process_ended


@pytest.fixture(params=["linux", "elsewhere"], autouse=True)
def _system(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "elsewhere":
        monkeypatch.setattr(run, "_PROC", Path("/no-such-folder"))


def test_a_process_that_goes_on_and_one_that_is_gone() -> None:
    assert not has_process_ended(get_process_key(os.getpid()))
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        mark = get_process_key(process.pid)
        assert not has_process_ended(mark)
    assert has_process_ended(mark)


def test_a_number_that_another_process_has_by_now() -> None:
    machine, pid, started = get_process_key(os.getpid()).split("-")
    # Where the system does not say when it was started, nobody can tell.
    before = max(int(started) - 1, 0)
    assert bool(before) == run._PROC.exists()
    assert has_process_ended(f"{machine}-{pid}-{before}") == bool(before)


def test_those_of_other_machines_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    _machine, _pid, started = get_process_key(os.getpid()).split("-")
    assert not has_process_ended(f"00000000-4194305-{started}")
    own = get_process_key(4194305)
    assert has_process_ended(own)
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    assert not has_process_ended(own)


def test_a_process_of_another_account_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(pid: int, _signal: int) -> None:
        raise PermissionError(pid)

    monkeypatch.setattr(os, "kill", refuse)
    assert not has_process_ended(get_process_key(os.getpid()))


@pytest.mark.parametrize("text", ["", "web", "1a2b3c4d-12", "1a2b3c4d-12-34-56", "20261126T201400-12345"])
def test_what_is_no_mark(text: str) -> None:
    assert not has_process_ended(text)
