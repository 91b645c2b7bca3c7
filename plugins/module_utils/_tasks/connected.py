# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""Wait for the agent of a server to connect, with V(state=connected)."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from .._api.errors import AlpaconError
from .registration_order import RegistrationOrder
from .registration_task import RegistrationError, RegistrationTask, StoredCredentials, ask

#: Pauses between two polls, in seconds.
_FIRST_PAUSE, _GROWTH, _LONGEST_PAUSE = 0.5, 1.4, 10.0
#: Agents reconnect within a minute after the workspace was away, in seconds.
_RECONNECTS = 75.0
#: Preferences with the policy for versions of agents, in workspaces that have one.
_PREFERENCES = "/api/workspaces/preferences/-/"
_CHECKS = (
    "On the host, read the agent's log (journalctl -u alpamon). The agent's websockets trust the system's CA"
    " certificates only and use no proxy, and a clone of the host that has the same id sends it away."
)


def connected(task: RegistrationTask) -> dict[str, Any]:
    """Wait until the agent is connected.

    Raises:
        RegistrationError: it is not connected in time; ``connected`` in its facts is False, or None if not known.
    """
    order, pause = task.order, _FIRST_PAUSE
    unanswered_at: float | None = None
    while True:
        stored = ask(task)
        now = time.monotonic()
        facts = {"id": order.id, **stored.facts}
        if stored.connected and stored.runs(order.version):
            if order.pinned:
                _tell_of_upgrades(task)
            return {"changed": False, **facts, "connected": True, "msg": f"{facts['name'] or order.id} is connected."}
        if stored.credentials != "valid":
            unanswered_at = now
        if now + pause > task.clients.deadline:
            # Agents need time to come back to a workspace that was away.
            known = unanswered_at is None or now - unanswered_at > _RECONNECTS
            said = _not_connected(stored, order) if known else _not_known(stored)
            raise RegistrationError(said, **facts, connected=False if known else None)
        time.sleep(pause)
        pause = min(pause * _GROWTH, _LONGEST_PAUSE)


def _tell_of_upgrades(task: RegistrationTask) -> None:
    """Warn once in a run if the workspace upgrades agents by itself."""
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


def _not_connected(stored: StoredCredentials, order: RegistrationOrder) -> str:
    if stored.connected:
        state = f"An agent of version {stored.facts['version']} is connected, not {order.version}."
    elif not stored.server.commissioned:
        state = "The workspace knows the server, but its agent has not sent its first report."
    else:
        state = "The agent has reported, but holds no websocket."
    return f"Not connected within {order.timeout:g} s. {state} {_CHECKS}"


def _not_known(stored: StoredCredentials) -> str:
    said = {
        "valid": "The agent is not connected yet, and takes a minute after the workspace was away.",
        "stale": "The workspace refuses the stored credentials, so it does not say whether the agent is connected.",
    }.get(stored.credentials, "The workspace could not be asked whether the agent is connected.")
    why = f" {stored.why.rstrip('.')}." if stored.why else ""
    return f"{said}{why} Check that the workspace answers, then run the task again."
