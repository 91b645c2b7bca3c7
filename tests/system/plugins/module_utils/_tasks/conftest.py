# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tasks that do not wait."""

from __future__ import annotations

from functools import partial

import pytest
from system.support import FakeClock

from ansible_collections.herdops.alpacon.plugins.module_utils._api.client import Client
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet import run
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.fleet import Fleet
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks import command_task


@pytest.fixture
def moved(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    """Return a clock that moves on when a task of alpacon_command sleeps."""
    monkeypatch.setattr(command_task, "Fleet", partial(Fleet, sleep=clock.sleep))
    monkeypatch.setattr(run, "Client", partial(Client, sleep=clock.sleep))
    return clock
