# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run a task of M(herdops.alpacon.alpacon_registration)."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any, Callable

from .._api.client import Client
from .._api.errors import NO_REGISTRATION, AlpaconError, ApiError, LostResponse, UnknownEndpoint
from .._api.records import Server, parse_key, parse_row_id, to_text
from .._api.servers import SERVERS_PATH
from .._fleet.run import Run
from .._options.connection import CONNECTION, parse_settings
from .orphaned_servers import (
    LOOKS,
    NO_OTHERS,
    RegistrationAttempt,
    added_at,
    delete,
    delete_orphan,
    other_records,
    reference,
    unused_records,
)
from .registration_task import (
    REFUSED,
    Clients,
    RegistrationError,
    RegistrationOptions,
    RegistrationTask,
    ask,
    connected,
    without_advice,
)

#: Maximum number of registrations that a task sends.
_ATTEMPTS = 3


def registered(task: RegistrationTask) -> dict[str, Any]:
    options = task.options
    if not options.id:
        return _register(task)
    stored = ask(task)
    facts = {"id": options.id, **stored.facts}
    if stored.credentials == "valid":
        return {"changed": False, **facts, "key": None, **NO_OTHERS, "msg": "The stored credentials are valid."}
    if stored.credentials == "unreachable":
        raise RegistrationError(
            f"Whether the stored credentials are valid could not be found out, so nothing was registered. {stored.why}",
            **facts,
        )
    if not options.replace_stale:
        raise RegistrationError(
            f"The workspace refuses the stored credentials. {stored.why} Its record may have been deleted, or the host"
            " restored from an old copy. Set replace_stale to register the host again.",
            **facts,
        )
    return _register(task)


def _register(task: RegistrationTask) -> dict[str, Any]:
    options = task.options
    facts: dict[str, Any] = {"name": options.name, "credentials": "valid", "commissioned": False, "is_connected": False}
    facts.update(changed=True, id=None, key=None, version=None, **NO_OTHERS)
    if task.run.check_mode:
        if options.replace:
            facts.update(other_records(task, None))
        return {**facts, "msg": f"Would be registered as {options.name}.{_replaces(facts)}"}
    answer, lost = _post_safely(task)
    facts.update(id=parse_row_id(answer), key=parse_key(answer), name=to_text(answer.get("name")) or options.name)
    # Whoever loses the result, or the host, has read its id.
    task.run.report(f"alpacon: registered {facts['name']}, {facts['id']}")
    facts.update(other_records(task, facts["id"], lost))
    return {**facts, "msg": f"Registered as {facts['name']}.{_replaces(facts)}"}


def _replaces(facts: Mapping[str, Any]) -> str:
    return f" It replaces {facts['replaced']['name']}." if facts["replaced"] else ""


def _post_safely(task: RegistrationTask) -> tuple[Mapping[str, Any], list[RegistrationAttempt]]:
    """Register; after a lost answer, delete the record that it may have made, and try again."""
    lost: list[RegistrationAttempt] = []
    while True:
        attempt = RegistrationAttempt.begin(task.options)
        try:
            return _post(task, attempt), lost
        except UnknownEndpoint:
            raise RegistrationError(NO_REGISTRATION, orphans=[]) from None
        except LostResponse as error:
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
            raise RegistrationError(f"{hint}{without_advice(error)}", **error.details) from None


def _post(task: RegistrationTask, attempt: RegistrationAttempt) -> Mapping[str, Any]:
    options = task.options
    body: dict[str, Any] = {"name": options.name, "platform": options.platform}
    # Without an API token, only a later task may look for the tag.
    tags = {**options.tags, attempt.tag: attempt.value} if options.machine or task.clients.user else options.tags
    if tags:
        body["tags"] = dict(tags)
    answer = task.clients.registering.write("POST", f"{SERVERS_PATH}register/", body).body
    if not isinstance(answer, Mapping) or not parse_row_id(answer) or not parse_key(answer):
        raise LostResponse(f"POST {SERVERS_PATH}register/: the answer has no id and key in it.")
    return answer


def _delete_lost(task: RegistrationTask, attempt: RegistrationAttempt, lost: LostResponse) -> None:
    """Delete the record that a lost registration made, if it made one."""
    name, user = task.options.name, task.clients.user
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


def _delete_own(user: Client, found: Sequence[Server], attempt: RegistrationAttempt, lost: LostResponse) -> None:
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
    since = user.clock.timestamp_at(attempt.sent_at) - 1.0
    return [record for record in records if added_at(user, record) >= since]


def unregistered(task: RegistrationTask) -> dict[str, Any]:
    options = task.options
    if options.means_machine:
        return _delete_left_behind(task)
    facts: dict[str, Any] = {"id": options.id, "name": None, "orphans": []}
    gone = {**facts, "changed": False, "msg": "Nothing to do: the record is gone, or belongs to other credentials."}
    try:
        by_agent = bool(options.key) and _delete_by_agent(task)
        if by_agent or _delete_by_user(task):
            said = "Would be unregistered." if task.run.check_mode else "Unregistered."
            return {**facts, "changed": True, "msg": said}
    except AlpaconError as error:
        raise RegistrationError(
            f"Not known to be unregistered: the record {options.id} may be left behind. {error}",
            **{**facts, "orphans": [{"id": options.id, "name": None}]},
        ) from None
    return gone


def _delete_left_behind(task: RegistrationTask) -> dict[str, Any]:
    """Delete the records of the machine that never came up."""
    facts: dict[str, Any] = {"id": None, "name": None, "orphans": []}
    user = task.clients.user
    if user is None:
        return {**facts, "changed": False, "msg": "Without an API token, records of the machine cannot be looked for."}
    attempt = RegistrationAttempt.begin(task.options)
    found = [record for record in unused_records(user, task.options.name) if attempt.made(record)]
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
    path = f"{SERVERS_PATH}{task.options.id}/unregister/"
    lost = False
    try:
        try:
            task.clients.agent.write("DELETE", path)
        except UnknownEndpoint:
            if task.clients.user is None:
                raise RegistrationError(
                    "This workspace knows no end of a registration by its agent. Give an API token in token, or delete"
                    " the record there."
                ) from None
            return False
        except LostResponse:
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
        return delete(user, task.options.id)
    try:
        user.get(f"{SERVERS_PATH}{task.options.id}/")
    except ApiError as error:
        if error.status != 404:
            raise
        return False
    return True


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
    settings = parse_settings(options, run.warn, needs_token=False)
    checked = RegistrationOptions.from_options(options)
    with ExitStack() as stack:
        clients = Clients(settings, checked, stack, run)
        task = RegistrationTask(clients, checked, run)
        try:
            result = _STATES[checked.state](task)
        except AlpaconError as error:
            facts = error.details
            # Of a task that failed, what may be left behind is the change.
            changed = task.written and bool(facts.get("orphans"))
            result = {"failed": True, "changed": changed, "msg": str(error), **facts}
        result["requests"] = clients.requests
    if run.diff_mode and result["changed"] and not result.get("failed"):
        known = f"{result['name'] or checked.id}\n"
        if checked.state == "unregistered":
            result["diff"] = {"before": known, "after": ""}
        else:
            replaced = result["replaced"]
            result["diff"] = {"before": f"{replaced['name']}\n" if replaced else "", "after": known}
    return result


#: The state of a task that only asks.
_ASKED = "asked"

INFO_SPEC: dict[str, dict[str, Any]] = {
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
    settings = parse_settings(options, run.warn, needs_token=False)
    checked = RegistrationOptions.from_options({**options, "state": _ASKED})
    with ExitStack() as stack:
        clients = Clients(settings, checked, stack, run)
        stored = ask(RegistrationTask(clients, checked, run))
        requests = clients.requests
    said = {"valid": "The stored credentials are valid.", "stale": "The workspace refuses the stored credentials."}
    msg = said.get(stored.credentials, "The workspace did not say whether the stored credentials are valid.")
    return {
        "changed": False,
        "id": checked.id,
        **stored.facts,
        "connected": stored.connected if stored.credentials == "valid" else None,
        "msg": f"{msg} {stored.why}".strip(),
        "requests": requests,
    }
