# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Locks on files that workers share, and numbers in them."""

from __future__ import annotations

import fcntl
import itertools
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from ansible_collections.herdops.alpacon.plugins.module_utils._fleet import journal


def test_a_lock_that_another_worker_holds_for_a_moment_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    holder, waiter = (os.open(tmp_path, os.O_RDONLY) for _worker in range(2))
    fcntl.flock(holder, fcntl.LOCK_EX)
    pauses: list[float] = []

    def let_go(seconds: float) -> None:
        pauses.append(seconds)
        fcntl.flock(holder, fcntl.LOCK_UN)

    monkeypatch.setattr(journal, "time", SimpleNamespace(monotonic=lambda: 1000.0, sleep=let_go))
    try:
        journal.lock_file(waiter, fcntl.LOCK_EX)
        [pause] = pauses
        assert 0 < pause < 0.1
    finally:
        os.close(holder)
        os.close(waiter)


def test_a_lock_that_nobody_lets_go_of_is_waited_for_five_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = itertools.count(1000.0)
    pauses: list[float] = []
    monkeypatch.setattr(journal, "time", SimpleNamespace(monotonic=lambda: next(seconds), sleep=pauses.append))
    with journal.lock_folder(tmp_path):
        with pytest.raises(TimeoutError), journal.lock_folder(tmp_path):
            pass
        assert len(pauses) == 5


@pytest.mark.parametrize("text", [None, "", "soon"])
def test_what_is_no_number_counts_as_none_noted(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "number").write_text(text)
    assert journal.read_number(tmp_path / "number") == 0.0
