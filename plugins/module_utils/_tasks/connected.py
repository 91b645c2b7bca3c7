# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""V(state=connected): the agent of a host is commissioned and connected."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from .._api.errors import AlpaconError
from .registration_task import RegistrationError, RegistrationTask, StoredCredentials, ask

#: Pauses between two questions whether the agent is connected, in seconds.
_FIRST_PAUSE, _GROWTH, _LONGEST_PAUSE = 0.5, 1.4, 10.0
#: Where workspaces that have a policy for the versions of agents state it.
_PREFERENCES = "/api/workspaces/preferences/-/"
_CHECKS = (
    "On the host, read the agent's log (journalctl -u alpamon). The agent's websockets trust the system's CA"
    " certificates only and use no proxy, and a clone of the host that has the same id sends it away."
)


def connected(task: RegistrationTask) -> dict[str, Any]:
    order, pause = task.order, _FIRST_PAUSE
    while True:
        stored = ask(task)
        facts = {"id": order.id, **stored.facts}
        if stored.connected and stored.runs(order.version):
            if order.pinned:
                _tell_of_upgrades(task)
            return {"changed": False, **facts, "msg": f"{facts['name'] or order.id} is connected."}
        if stored.credentials == "stale":
            raise RegistrationError(
                f"The workspace refuses the stored credentials, so the agent cannot connect. {stored.why}", **facts
            )
        if time.monotonic() + pause > task.clients.deadline:
            raise RegistrationError(
                f"Not connected within {order.timeout:g} s. {_last_seen(stored, order.version)} {_CHECKS}", **facts
            )
        time.sleep(pause)
        pause = min(pause * _GROWTH, _LONGEST_PAUSE)


def _tell_of_upgrades(task: RegistrationTask) -> None:
    """Say once in a run if the workspace upgrades agents by itself."""
    user = task.clients.user
    if user is None or not task.run.first("agent-upgrades"):
        return
    try:
        row = user.get(_PREFERENCES)
    except AlpaconError:
        return  # older workspaces have no such page, and not every token may read it
    policy = row.get("agent_rollout_policy") if isinstance(row, Mapping) else None
    if (policy.get("mode") if isinstance(policy, Mapping) else policy) == "latest":
        task.run.alert(
            "The workspace upgrades agents to the latest version by itself (agent_rollout_policy), so"
            f" {task.order.version or 'their version'} will not stay. Hold the package (alpamon_hold), or change the"
            " policy."
        )


def _last_seen(stored: StoredCredentials, wanted: str) -> str:
    if stored.why:
        return f"Last seen: {stored.why}"
    if stored.connected:
        return f"An agent of version {stored.facts['version']} is connected, not {wanted}."
    if not stored.server.commissioned:
        return "The workspace knows the server, but its agent has not sent its first report."
    return "The agent has reported, but holds no websocket."
