# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""Delete the record of a server, with V(state=unregistered)."""

from __future__ import annotations

from typing import Any

from .._api.errors import AlpaconError, ApiError, LostAnswer, UnknownAddress
from .._api.servers import PATH
from .orphaned_servers import RegistrationAttempt, delete, delete_orphan, unused_records
from .registration_task import REFUSED, RegistrationError, RegistrationTask, ask, without_advice


def unregistered(task: RegistrationTask) -> dict[str, Any]:
    order = task.order
    if order.means_machine:
        return _delete_left_behind(task)
    facts: dict[str, Any] = {"id": order.id, "name": None, "orphans": []}
    gone = {**facts, "changed": False, "msg": "Nothing to do: the record is gone, or belongs to other credentials."}
    try:
        by_agent = bool(order.key) and _delete_by_agent(task)
        if by_agent or _delete_by_user(task):
            said = "Would be unregistered." if task.run.check_mode else "Unregistered."
            return {**facts, "changed": True, "msg": said}
    except AlpaconError as error:
        raise RegistrationError(
            f"Not known to be unregistered: the record {order.id} may be left behind. {error}",
            **{**facts, "orphans": [{"id": order.id, "name": None}]},
        ) from None
    return gone


def _delete_left_behind(task: RegistrationTask) -> dict[str, Any]:
    """Delete the records of the machine that never came up."""
    facts: dict[str, Any] = {"id": None, "name": None, "orphans": []}
    user = task.clients.user
    if user is None:
        return {**facts, "changed": False, "msg": "Without an API token, records of the machine cannot be looked for."}
    attempt = RegistrationAttempt.begin(task.order)
    found = [record for record in unused_records(user, task.order.name) if attempt.made(record)]
    if not task.run.check_mode:
        facts["orphans"] = [orphan for record in found for orphan in delete_orphan(task, user, record)]
    count = len(found) - len(facts["orphans"])
    said = f"{count} of {len(found)} records of the machine {'would be' if task.run.check_mode else 'were'} deleted."
    return {**facts, "changed": count > 0, "msg": said if found else "There is no record of the machine left."}


def _delete_by_agent(task: RegistrationTask) -> bool:
    """Delete the record with the agent's own credentials; return False if the workspace refuses them."""
    if task.run.check_mode:
        stored = ask(task)
        if stored.credentials == "unreachable":
            raise RegistrationError(stored.why)
        return stored.credentials == "valid"
    path = f"{PATH}{task.order.id}/unregister/"
    lost = False
    try:
        try:
            task.clients.agent.write("DELETE", path)
        except UnknownAddress:
            if task.clients.user is None:
                raise RegistrationError(
                    "This workspace knows no end of a registration by its agent. Give an API token in token, or delete"
                    " the record there."
                ) from None
            return False
        except LostAnswer:
            lost = task.written = True
            task.clients.agent.write("DELETE", path)
    except ApiError as error:
        if error.status not in REFUSED or not error.stated:
            raise RegistrationError(without_advice(error)) from None
        return lost
    return True


def _delete_by_user(task: RegistrationTask) -> bool:
    """Delete the record with the API token; return False without a token or a record."""
    user = task.clients.user
    if user is None:
        return False
    if not task.run.check_mode:
        return delete(user, task.order.id)
    try:
        user.get(f"{PATH}{task.order.id}/")
    except ApiError as error:
        if error.status != 404:
            raise
        return False
    return True
