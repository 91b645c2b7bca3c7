# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How long a task looks for what it has submitted where lists lag behind."""

from __future__ import annotations

from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.command_task import VISIBLE_PAUSES


def test_half_a_minute_passes_in_looks_that_become_rarer() -> None:
    assert sum(VISIBLE_PAUSES) == 30
    assert sorted(VISIBLE_PAUSES) == list(VISIBLE_PAUSES)
    assert min(VISIBLE_PAUSES) > 0
