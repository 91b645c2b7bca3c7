# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pauses between polls."""

from __future__ import annotations

import pytest

from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.pacing import PACING


@pytest.mark.parametrize(
    ("age", "alone", "shared"),
    [(0.1, 0.3, 0.2), (0.9, 1, 0.2), (1, 1, 0.2), (10, 1, 0.8), (100, 8, 8), (1000, 10, 10)],
)
def test_pauses_grow_with_the_age_of_a_command(age: float, alone: float, shared: float) -> None:
    assert PACING.get_pause(age) == pytest.approx(alone)
    assert PACING.get_pause(age, shared=True) == pytest.approx(shared)


@pytest.mark.parametrize(("pages", "pause"), [(1, 1), (10, 3.46), (32, 9.3), (101, 30)])
def test_pauses_grow_with_the_length_of_the_list(pages: int, pause: float) -> None:
    assert PACING.get_pause(10, pages) == pytest.approx(pause, abs=0.01)
