# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""Run a task of M(herdops.alpacon.alpacon_registration)."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any, Callable

from .._api.errors import AlpaconError
from .._fleet.run import Run
from .._options.connection import CONNECTION, settings_of
from .connected import connected
from .registered import registered
from .registration_order import RegistrationOrder
from .registration_task import Clients, RegistrationTask
from .unregistered import unregistered

SPEC: dict[str, dict[str, Any]] = {
    **CONNECTION,
    "state": {
        "type": "str",
        "default": "registered",
        "choices": ["registered", "connected", "unregistered"],
    },
    "id": {"type": "str"},
    "key": {"type": "str", "no_log": True},
    "registration_token": {"type": "str", "no_log": True},
    "name": {"type": "str"},
    "platform": {"type": "str", "choices": ["debian", "rhel", "darwin", "windows"]},
    "tags": {"type": "dict"},
    "machine": {"type": "str"},
    "replace_stale": {"type": "bool", "default": False},
    "replace": {"type": "bool", "default": False},
    "clean_up": {"type": "bool", "default": True},
    "version": {"type": "str"},
    "pinned": {"type": "bool", "default": False},
    "wait_timeout": {"type": "str", "default": "2m"},
}

_STATES: dict[str, Callable[[RegistrationTask], dict[str, Any]]] = {
    "registered": registered,
    "connected": connected,
    "unregistered": unregistered,
}


def run_registration(options: Mapping[str, Any], run: Run) -> dict[str, Any]:
    """Carry out a task of M(herdops.alpacon.alpacon_registration).

    Raises:
        UsageError: a bad option, before any request.
    """
    settings = settings_of(options, run.warn, needs_token=False)
    order = RegistrationOrder.from_options(options)
    with ExitStack() as stack:
        clients = Clients(settings, order, stack, run)
        task = RegistrationTask(clients, order, run)
        try:
            result = _STATES[order.state](task)
        except AlpaconError as error:
            facts = error.as_result()
            # Of a task that failed, what may be left behind is the change.
            changed = task.written and bool(facts.get("orphans"))
            result = {"failed": True, "changed": changed, "msg": str(error), **facts}
        result["requests"] = clients.requests
    if run.diff_mode and result["changed"] and not result.get("failed"):
        known = f"{result['name'] or order.id}\n"
        if order.state == "unregistered":
            result["diff"] = {"before": known, "after": ""}
        else:
            replaced = result["replaced"]
            result["diff"] = {"before": f"{replaced['name']}\n" if replaced else "", "after": known}
    return result
