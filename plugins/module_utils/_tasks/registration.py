# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run the tasks of M(herdops.alpacon.alpacon_registration) and M(herdops.alpacon.alpacon_registration_info)."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Callable

from .._api.errors import NO_REGISTRATION, AlpaconError, ApiError, LostResponse, UnknownEndpoint
from .._api.records import parse_key, parse_row_id, to_text
from .._api.servers import SERVERS_PATH
from .._fleet.run import Run
from .._options.connection import CONNECTION, parse_settings
from .orphaned_servers import NO_OTHERS, clean_up_records, delete_left_behind, delete_lost_record, delete_record
from .registration_task import (
    REFUSED,
    RegistrationError,
    RegistrationOptions,
    RegistrationTask,
    StoredCredentials,
    describe_refusal,
    verify_credentials,
)

SPEC: dict[str, dict[str, Any]] = {
    **CONNECTION,
    "state": {"type": "str", "default": "registered", "choices": ["registered", "connected", "unregistered"]},
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

INFO_SPEC: dict[str, dict[str, Any]] = {
    **CONNECTION,
    "id": {"type": "str", "required": True},
    "key": {"type": "str", "required": True, "no_log": True},
    "wait_timeout": {"type": "str", "default": "2m"},
}

#: Maximum number of registrations that a task sends.
_ATTEMPTS = 3
#: Pauses between two polls, in seconds.
_FIRST_PAUSE, _GROWTH, _LONGEST_PAUSE = 0.5, 1.4, 10.0
#: Agents reconnect within a minute after the workspace was away, in seconds.
_RECONNECTS = 75.0


def run_registration(options: Mapping[str, Any], run: Run) -> dict[str, Any]:
    """Run a task of M(herdops.alpacon.alpacon_registration)."""
    settings = parse_settings(options, run.warn, needs_token=False)
    with RegistrationTask(settings, RegistrationOptions.from_options(options), run) as task:
        try:
            _STATES[task.options.state](task)
        except AlpaconError as error:
            task.fail(error)
        return task.result()


def run_registration_info(options: Mapping[str, Any], run: Run) -> dict[str, Any]:
    """Run a task of M(herdops.alpacon.alpacon_registration_info)."""
    settings = parse_settings(options, run.warn, needs_token=False)
    checked = RegistrationOptions.from_options({**options, "state": "connected"})
    with RegistrationTask(settings, checked, run) as task:
        stored = verify_credentials(task)
        msg = {
            "valid": "The stored credentials are valid.",
            "stale": "The workspace refuses the stored credentials.",
            "unreachable": "The workspace did not say whether the stored credentials are valid.",
        }[stored.credentials]
        task.facts = {
            "id": checked.id,
            **stored.facts,
            "connected": stored.connected if stored.credentials == "valid" else None,
            "msg": f"{msg} {stored.why}".strip(),
        }
        return task.result()


def registered(task: RegistrationTask) -> None:
    options = task.options
    if not options.id:
        _register(task)
        return
    stored = verify_credentials(task)
    facts = {"id": options.id, **stored.facts}
    if stored.credentials == "valid":
        task.facts = {**facts, "key": None, **NO_OTHERS, "msg": "The stored credentials are valid."}
    elif stored.credentials == "unreachable":
        raise RegistrationError(
            f"Nothing was registered, since the stored credentials could not be verified. {stored.why}", **facts
        )
    elif options.replace_stale:
        _register(task)
    else:
        raise RegistrationError(
            f"The workspace refuses the stored credentials. {stored.why} Its record may have been deleted, or the host"
            " restored from an old copy. Set replace_stale to register the host again.",
            **facts,
        )


def _register(task: RegistrationTask) -> None:
    name, text = task.options.name, "Would be registered"
    facts = {"id": None, "key": None, "name": name, "version": None, **NO_OTHERS}
    if not task.run.check_mode:
        answer = _send_registration(task)
        facts.update(id=parse_row_id(answer), key=parse_key(answer), name=to_text(answer.get("name")) or name)
        # It is not lost if the result or the host is.
        task.run.context.report(f"alpacon: registered {facts['name']}, {facts['id']}")
        text = "Registered"
    if not task.run.check_mode or task.options.replace:
        facts.update(clean_up_records(task, facts["id"]))
    task.changed, task.after = True, facts["name"]
    if facts["replaced"]:
        task.before = facts["replaced"]["name"]
    replaces = f" It replaces {task.before}." if task.before else ""
    task.facts = {
        **facts,
        "credentials": "valid",
        "commissioned": False,
        "is_connected": False,
        "msg": f"{text} as {task.after}.{replaces}",
    }


def _send_registration(task: RegistrationTask) -> Mapping[str, Any]:
    """Register; after a lost answer, delete the record that it may have made, and try again."""
    while True:
        try:
            return _post(task)
        except UnknownEndpoint:
            raise RegistrationError(NO_REGISTRATION, orphans=[]) from None
        except LostResponse as error:
            task.lost += 1
            delete_lost_record(task, error)
            if task.lost == _ATTEMPTS:
                raise RegistrationError(
                    f"{error} So it was {_ATTEMPTS} times in a row. Nothing of it is left behind; run the task again.",
                    orphans=[],
                ) from None
        except ApiError as error:
            hint = "registration_token: the workspace refuses it. " if error.status in REFUSED else ""
            raise RegistrationError(f"{hint}{describe_refusal(error)}", **error.details) from None


def _post(task: RegistrationTask) -> Mapping[str, Any]:
    options = task.options
    body: dict[str, Any] = {"name": options.name, "platform": options.platform}
    tags = dict(options.tags)
    # Without an API token, only a later task may search for the tag.
    if options.machine or task.user:
        tags[task.tag] = task.tag_value
    if tags:
        body["tags"] = tags
    task.sent_at = time.time()
    answer = task.registering.write("POST", f"{SERVERS_PATH}register/", body).body
    if not isinstance(answer, Mapping) or not parse_row_id(answer) or not parse_key(answer):
        raise LostResponse(f"POST {SERVERS_PATH}register/: the answer has no id and key in it.")
    return answer


def connected(task: RegistrationTask) -> None:
    """Wait until the agent is connected."""
    options, pause = task.options, _FIRST_PAUSE
    unanswered_at: float | None = None
    while True:
        stored = verify_credentials(task)
        now = time.monotonic()
        facts = {"id": options.id, **stored.facts}
        if stored.connected and _has_version(stored, options.version):
            if options.pinned:
                _warn_of_upgrades(task)
            task.facts = {**facts, "connected": True, "msg": f"{facts['name'] or options.id} is connected."}
            return
        if stored.credentials != "valid":
            unanswered_at = now
        if now + pause > task.deadline:
            # Agents need time to come back to a workspace that was away.
            known = unanswered_at is None or now - unanswered_at > _RECONNECTS
            text = _explain_disconnected(stored, options) if known else _explain_unknown(stored)
            raise RegistrationError(text, **facts, connected=False if known else None)
        time.sleep(pause)
        pause = min(pause * _GROWTH, _LONGEST_PAUSE)


def _has_version(stored: StoredCredentials, wanted: str) -> bool:
    """Return True if the agent may have that version: not all workspaces and builds state one."""
    # Packages write 2.6.0-rc1 as 2.6.0~rc1, and tags as v2.6.0-rc1.
    stated, wanted = (
        text.strip().removeprefix("v").replace("~", "-") for text in (stored.server.version or "", wanted)
    )
    return not wanted or not stated[:1].isdigit() or stated == wanted


def _warn_of_upgrades(task: RegistrationTask) -> None:
    """Warn once in a run if the workspace upgrades agents by itself."""
    user = task.user
    if user is None or not task.run.context.is_first("agent-upgrades"):
        return
    try:
        row = user.get("/api/workspaces/preferences/-/")
    except AlpaconError:
        return  # older workspaces have no such page, and not every token may read it
    policy = row.get("agent_rollout_policy") if isinstance(row, Mapping) else None
    if (policy.get("mode") if isinstance(policy, Mapping) else policy) == "latest":
        task.run.context.alert(
            "The workspace upgrades agents to the latest version by itself (agent_rollout_policy), so"
            f" {task.options.version or 'their version'} will not stay. Hold the package (alpamon_hold), or change the"
            " policy."
        )


def _explain_disconnected(stored: StoredCredentials, options: RegistrationOptions) -> str:
    if stored.connected:
        state = f"An agent of version {stored.server.version} is connected, not {options.version}."
    elif not stored.server.commissioned:
        state = "The workspace knows the server, but its agent has not sent its first report."
    else:
        state = "The agent has reported, but has no open websocket."
    return (
        f"Not connected within {options.timeout:g} s. {state} On the host, read the agent's log (journalctl -u"
        " alpamon). The agent's websockets trust the system's CA certificates only and use no proxy, and a clone of the"
        " host that has the same id sends it away."
    )


def _explain_unknown(stored: StoredCredentials) -> str:
    text = {
        "valid": "The agent is not connected yet, and takes a minute after the workspace was away.",
        "stale": "The workspace refuses the stored credentials, so it does not say whether the agent is connected.",
    }.get(stored.credentials, "The workspace could not be asked whether the agent is connected.")
    why = f" {stored.why.rstrip('.')}." if stored.why else ""
    return f"{text}{why} Check that the workspace answers, then run the task again."


def unregistered(task: RegistrationTask) -> None:
    options = task.options
    if options.is_about_machine:
        delete_left_behind(task)
        return
    msg = "Nothing to do: the record is gone, or belongs to other credentials."
    try:
        if (options.key and _delete_by_agent(task)) or _delete_by_user(task):
            task.changed, task.before = True, options.id
            msg = "Would be unregistered." if task.run.check_mode else "Unregistered."
    except AlpaconError as error:
        raise RegistrationError(
            f"Not known to be unregistered: the record {options.id} may be left behind. {error}",
            id=options.id,
            name=None,
            orphans=[{"id": options.id, "name": None}],
        ) from None
    task.facts = {"id": options.id, "name": None, "orphans": [], "msg": msg}


def _delete_by_agent(task: RegistrationTask) -> bool:
    """Delete the record with the agent's own credentials; return False if the workspace refuses them."""
    if task.run.check_mode:
        stored = verify_credentials(task)
        if stored.credentials == "unreachable":
            raise RegistrationError(stored.why)
        return stored.credentials == "valid"
    path = f"{SERVERS_PATH}{task.options.id}/unregister/"
    try:
        try:
            task.agent.write("DELETE", path)
        except UnknownEndpoint:
            if task.user is None:
                raise RegistrationError(
                    "This workspace knows no end of a registration by its agent. Give an API token in token, or delete"
                    " the record there."
                ) from None
            return False
        except LostResponse:
            task.lost += 1
            task.agent.write("DELETE", path)
    except ApiError as error:
        if error.status not in REFUSED or not error.stated:
            raise RegistrationError(describe_refusal(error)) from None
        return task.lost > 0
    return True


def _delete_by_user(task: RegistrationTask) -> bool:
    """Delete the record with the API token; return False without a token or a record."""
    if task.user is None:
        return False
    if not task.run.check_mode:
        return delete_record(task.user, task.options.id)
    try:
        task.user.get(f"{SERVERS_PATH}{task.options.id}/")
    except ApiError as error:
        if error.status != 404:
            raise
        return False
    return True


_STATES: dict[str, Callable[[RegistrationTask], None]] = {
    "registered": registered,
    "connected": connected,
    "unregistered": unregistered,
}
