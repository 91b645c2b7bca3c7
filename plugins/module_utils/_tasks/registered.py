# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""Register a server, with V(state=registered).

Every registration makes a new record in the workspace. So it is sent only if there are no stored credentials, or if the
workspace itself refuses them. A record whose credentials were lost with the answer is deleted before the next attempt.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from .._api.client import Client
from .._api.errors import NO_REGISTRATION, AlpaconError, ApiError, LostAnswer, UnknownAddress
from .._api.records import Server, answered_key, plain_text, row_id
from .._api.servers import PATH
from .orphaned_servers import LOOKS, RegistrationAttempt, added_at, delete, reference, unused_records
from .other_records import NO_OTHERS, other_records
from .registration_task import REFUSED, RegistrationError, RegistrationTask, ask, without_advice

#: Maximum number of registrations that a task sends.
_ATTEMPTS = 3


def registered(task: RegistrationTask) -> dict[str, Any]:
    order = task.order
    if not order.id:
        return _register(task)
    stored = ask(task)
    facts = {"id": order.id, **stored.facts}
    if stored.credentials == "valid":
        return {"changed": False, **facts, "key": None, **NO_OTHERS, "msg": "The stored credentials are valid."}
    if stored.credentials == "unreachable":
        raise RegistrationError(
            f"Whether the stored credentials are valid could not be found out, so nothing was registered. {stored.why}",
            **facts,
        )
    if not order.replace_stale:
        raise RegistrationError(
            f"The workspace refuses the stored credentials. {stored.why} Its record may have been deleted, or the host"
            " restored from an old copy. Set replace_stale to register the host again.",
            **facts,
        )
    return _register(task)


def _register(task: RegistrationTask) -> dict[str, Any]:
    order = task.order
    facts: dict[str, Any] = {"name": order.name, "credentials": "valid", "commissioned": False, "is_connected": False}
    facts.update(changed=True, id=None, key=None, version=None, **NO_OTHERS)
    if task.run.check_mode:
        if order.replace:
            facts.update(other_records(task, None))
        return {**facts, "msg": f"Would be registered as {order.name}.{_replaces(facts)}"}
    answer, lost = _post_safely(task)
    facts.update(id=row_id(answer), key=answered_key(answer), name=plain_text(answer.get("name")) or order.name)
    # Whoever loses the result, or the host, has read its id.
    task.run.tell(f"alpacon: registered {facts['name']}, {facts['id']}")
    facts.update(other_records(task, facts["id"], lost))
    return {**facts, "msg": f"Registered as {facts['name']}.{_replaces(facts)}"}


def _replaces(facts: Mapping[str, Any]) -> str:
    return f" It replaces {facts['replaced']['name']}." if facts["replaced"] else ""


def _post_safely(task: RegistrationTask) -> tuple[Mapping[str, Any], list[RegistrationAttempt]]:
    """Register; after a lost answer, delete the record that it may have made, and try again."""
    lost: list[RegistrationAttempt] = []
    while True:
        attempt = RegistrationAttempt.begin(task.order)
        try:
            return _post(task, attempt), lost
        except UnknownAddress:
            raise RegistrationError(NO_REGISTRATION, orphans=[]) from None
        except LostAnswer as error:
            lost.append(attempt)
            task.written = True
            _delete_lost(task, attempt, error)
            if len(lost) == _ATTEMPTS:
                raise RegistrationError(
                    f"{error} So it was {_ATTEMPTS} times in a row. Nothing of it is left behind; run the task again.",
                    orphans=[],
                ) from None
        except ApiError as error:
            hint = "registration_token: the workspace refuses it. " if error.status in REFUSED else ""
            raise RegistrationError(f"{hint}{without_advice(error)}", **error.as_result()) from None


def _post(task: RegistrationTask, attempt: RegistrationAttempt) -> Mapping[str, Any]:
    order = task.order
    body: dict[str, Any] = {"name": order.name, "platform": order.platform}
    # Without an API token, only a later task may look for the tag.
    tags = {**order.tags, attempt.tag: attempt.value} if order.machine or task.clients.user else order.tags
    if tags:
        body["tags"] = dict(tags)
    answer = task.clients.registering.write("POST", f"{PATH}register/", body).body
    if not isinstance(answer, Mapping) or not row_id(answer) or not answered_key(answer):
        raise LostAnswer(f"POST {PATH}register/: the answer has no id and key in it.")
    return answer


def _delete_lost(task: RegistrationTask, attempt: RegistrationAttempt, lost: LostAnswer) -> None:
    """Delete the record that a lost registration made, if it made one."""
    name, user = task.order.name, task.clients.user
    if user is None:
        raise RegistrationError(
            f"{lost} A record named {name}-xxxxxx may be left behind in the workspace: delete the one that never"
            " connects, and run the task again. With an API token in token, the task does so by itself.",
            orphans=[{"id": None, "name": f"{name}-xxxxxx"}],
        )
    for pause in LOOKS:
        time.sleep(pause)
        try:
            found = _made_by(user, attempt, unused_records(user, name))
        except AlpaconError as error:
            raise RegistrationError(
                f"{lost} Whether it made a record named {name}-xxxxxx could not be seen. {error} Look for one that"
                " never connects, delete it, and run the task again.",
                orphans=[{"id": None, "name": f"{name}-xxxxxx"}],
            ) from None
        if found:
            _delete_own(user, found, attempt, lost)
            return


def _delete_own(user: Client, found: Sequence[Server], attempt: RegistrationAttempt, lost: LostAnswer) -> None:
    orphans = [reference(record) for record in found]
    names = ", ".join(f"{record.name} ({record.id})" for record in found)
    certain = len(found) == 1 and user.clock.is_known
    if not certain and not all(attempt.made(record) for record in found):
        # Workspaces that list no tags leave it open which one it is, and the others may be in use. Which of them are
        # new, no clock tells where answers state no time.
        raise RegistrationError(
            f"{lost} It may have made one of these records: {names}. Delete the one that never connects, and run the"
            " task again.",
            orphans=orphans,
        )
    try:
        for record in found:
            delete(user, str(record.id))
    except AlpaconError as error:
        raise RegistrationError(
            f"{lost} It made the record {names}, which could not be deleted. {error} Delete it, and run the task"
            " again.",
            orphans=orphans,
        ) from None


def _made_by(user: Client, attempt: RegistrationAttempt, records: Sequence[Server]) -> list[Server]:
    """Select the records that the attempt made: by its tag, or by their age if the workspace shows no tags."""
    if any("tags" in record.fields for record in records):
        return [record for record in records if attempt.made(record)]
    # Some workspaces cut times to whole seconds.
    since = user.clock.at(attempt.sent_at) - 1.0
    return [record for record in records if added_at(user, record) >= since]
