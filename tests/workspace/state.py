# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The state of a running workspace outside its database."""

from __future__ import annotations

import dataclasses
import typing as t

from workspace.settings import Switches

if t.TYPE_CHECKING:
    from workspace.dialects import Dialect
    from workspace.events import Events
    from workspace.faults import Faults
    from workspace.fleet import Fleet
    from workspace.hub import Hub
    from workspace.replica import Replica
    from workspace.storage import Storage
    from workspace.traffic import Traffic


@dataclasses.dataclass
class State:
    dialect: Dialect
    hub: Hub
    fleet: Fleet
    faults: Faults
    traffic: Traffic
    replica: Replica
    events: Events
    switches: Switches
    initial: dict[str, t.Any]
    storage: Storage
    url: str = ""
    #: How many rows of the database had been changed when nothing was left that a tick could deliver.
    idle_since: int | None = None


current: State = t.cast(State, None)
