# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What runs remember of how long commands took."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.durations import Durations

URL, SETUP = "https://workspace.example.com", "module:ansible.builtin.setup"


def after(folder: Path, *seconds: float) -> float:
    """What is expected after commands that took so long."""
    durations = Durations(folder, URL)
    for took in seconds:
        durations.note(SETUP, took)
    return Durations(folder, URL).expected(SETUP)


def test_nobody_expects_anything_of_what_has_not_run(tmp_path: Path) -> None:
    assert after(tmp_path) == 0
    after(tmp_path, 2.0)
    assert Durations(tmp_path, URL).expected("module:ansible.builtin.ping") == 0
    assert Durations(tmp_path, "https://other.example.com").expected(SETUP) == 0


def test_the_quickest_of_the_latest_ten_counts(tmp_path: Path) -> None:
    assert after(tmp_path, 3.0, 1.0, *[2.0] * 9) == pytest.approx(1.1)
    assert after(tmp_path, 2.0) == pytest.approx(2.15)


@pytest.mark.parametrize(("seconds", "expected"), [(-1.0, 0.05105), (0.0, 0.05105), (4.5, 4.775), (4.501, 0)])
def test_what_takes_long_may_take_a_moment_the_next_time(tmp_path: Path, seconds: float, expected: float) -> None:
    assert after(tmp_path, seconds, 60.0) == pytest.approx(expected)


def test_only_the_user_may_look_at_what_is_remembered(tmp_path: Path) -> None:
    assert after(tmp_path / "home/durations", 2.0) == pytest.approx(2.15)
    assert stat.S_IMODE((tmp_path / "home/durations").stat().st_mode) == 0o700


@pytest.mark.parametrize("content", ["", "soon\n", "nan\n", "-1\n", "\udcff"])
def test_what_cannot_be_read_is_not_known(tmp_path: Path, content: str) -> None:
    after(tmp_path, 2.0)
    [file] = tmp_path.iterdir()
    file.write_bytes(content.encode("utf-8", "surrogateescape"))
    assert Durations(tmp_path, URL).expected(SETUP) == 0
    assert after(tmp_path, 2.0) >= 0
