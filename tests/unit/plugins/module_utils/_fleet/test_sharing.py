# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the workers of a run share: names of servers that one of them reads, and which commands they await."""

from __future__ import annotations

import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest

from ansible_collections.herdops.alpacon.plugins.module_utils._fleet import sharing
from ansible_collections.herdops.alpacon.tests.unit.support import TOKEN

IDS = [f"00000000-0000-4000-8000-{number:012}" for number in range(300)]


def test_names_are_read_once_for_all_workers_until_they_are_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(sharing, "time", SimpleNamespace(monotonic=lambda: clock.now))
    reads: list[float] = []

    def read() -> Iterable[tuple[str, str]]:
        reads.append(clock.now)
        return [(f"web-{number % 299:03}", key) for number, key in enumerate(IDS)]

    for clock.now in (1000.0, 1059.9, 1060.0, 1100.0, 2125.0):
        worker = sharing.Shared(tmp_path, "https://workspace.example", TOKEN)
        assert worker.get_server_ids(["web-000", "web-298", "web-299"], read) == {
            "web-000": [IDS[0], IDS[299]],
            "web-298": [IDS[298]],
        }
    assert reads == [1000.0, 1060.0, 2125.0]


def test_who_reads_names_for_too_long_is_waited_for_a_minute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(now=1000.0)

    def sleep(seconds: float) -> None:
        clock.now += seconds

    monkeypatch.setattr(sharing, "time", SimpleNamespace(monotonic=lambda: clock.now, sleep=sleep))
    reader, waiter = (sharing.Shared(tmp_path, "https://workspace.example", TOKEN) for _worker in range(2))
    with reader.try_lock("servers"):
        assert waiter.get_server_ids(["web-000"], lambda: pytest.fail("another one reads them")) == {}
    assert clock.now == pytest.approx(1060, abs=0.1)


def test_one_worker_finds_out_for_all(tmp_path: Path) -> None:
    workers = [sharing.Shared(tmp_path, "https://workspace.example", TOKEN) for _worker in range(3)]
    found: list[str] = []

    def find() -> str:
        time.sleep(0.1)
        found.append("true")
        return "true"

    with ThreadPoolExecutor() as threads:
        assert list(threads.map(lambda worker: worker.compute_once("supports_env", find), workers)) == ["true"] * 3
    assert found == ["true"]


def test_what_nobody_awaits_is_not_expected_and_what_somebody_does_is_after_a_while(tmp_path: Path) -> None:
    worker = sharing.Shared(tmp_path, "https://workspace.example", TOKEN)
    worker.add_awaited(IDS[0])
    assert [worker.is_awaited_for(command_id, 0.0) for command_id in IDS[:2]] == [True, False]
    assert not worker.is_awaited_for(IDS[0], 60.0)
