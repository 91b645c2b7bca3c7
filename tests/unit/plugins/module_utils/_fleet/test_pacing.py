# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How long is paused between two looks."""

from __future__ import annotations

import pytest

from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.pacing import pause_at


@pytest.mark.parametrize(
    ("age", "alone", "among_others"),
    [(0.1, 0.3, 0.15), (0.9, 0.65, 0.18), (1, 1, 0.2), (10, 1, 1), (100, 8, 8), (1000, 10, 10)],
)
def test_pauses_widen_with_the_age_of_a_command(age: float, alone: float, among_others: float) -> None:
    assert pause_at(age) == pytest.approx(alone)
    assert pause_at(age, among_others=True) == pytest.approx(among_others)


@pytest.mark.parametrize(("pages", "pause"), [(1, 1), (32, 9.3), (101, 30)])
def test_pauses_widen_with_what_a_look_costs(pages: int, pause: float) -> None:
    assert pause_at(10, pages) == pytest.approx(pause)
