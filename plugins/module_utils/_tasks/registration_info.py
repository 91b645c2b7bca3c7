# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""Run a task of M(herdops.alpacon.alpacon_registration_info), which only reads."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

from .._fleet.run import Run
from .._options.connection import CONNECTION, settings_of
from .registration_order import RegistrationOrder
from .registration_task import Clients, RegistrationTask, ask

#: The state of a task that only asks.
_ASKED = "asked"

SPEC: dict[str, dict[str, Any]] = {
    **CONNECTION,
    "id": {"type": "str", "required": True},
    "key": {"type": "str", "required": True, "no_log": True},
    "wait_timeout": {"type": "str", "default": "2m"},
}


def run_registration_info(options: Mapping[str, Any], run: Run) -> dict[str, Any]:
    """Carry out a task of M(herdops.alpacon.alpacon_registration_info).

    Returns:
        What the workspace says of an agent's credentials; it fails for none of it.

    Raises:
        UsageError: a bad option, before any request.
    """
    settings = settings_of(options, run.warn, needs_token=False)
    order = RegistrationOrder.from_options({**options, "state": _ASKED})
    with ExitStack() as stack:
        clients = Clients(settings, order, stack, run)
        stored = ask(RegistrationTask(clients, order, run))
        requests = clients.requests
    said = {"valid": "The stored credentials are valid.", "stale": "The workspace refuses the stored credentials."}
    msg = said.get(stored.credentials, "The workspace did not say whether the stored credentials are valid.")
    return {
        "changed": False,
        "id": order.id,
        **stored.facts,
        "connected": stored.connected if stored.credentials == "valid" else None,
        "msg": f"{msg} {stored.why}".strip(),
        "requests": requests,
    }
