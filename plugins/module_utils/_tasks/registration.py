# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run the tasks of M(herdops.alpacon.alpacon_registration) and M(herdops.alpacon.alpacon_registration_info)."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Callable

from .._api.errors import NO_REGISTRATION, AlpaconError, ApiError, LostResponse, UnknownEndpoint, clean_line
from .._api.records import parse_key, parse_row_id, to_text
from .._api.servers import SERVERS_PATH
from .._fleet.run import Run
from .._options.connection import CONNECTION, parse_settings
from .orphaned_servers import (
    NO_OTHER_RECORDS,
    clean_up_records,
    delete_lost_record,
    delete_record,
    delete_unused_records,
)
from .registration_task import (
    REFUSED,
    TOKEN_CHECKED,
    RegistrationError,
    RegistrationOptions,
    RegistrationTask,
    StoredCredentials,
    describe_refusal,
    verify_credentials,
)
from .server_info import PLATFORMS

SPEC: dict[str, dict[str, Any]] = {
    **CONNECTION,
    "state": {"type": "str", "default": "registered", "choices": ["registered", "connected", "unregistered"]},
    "id": {"type": "str"},
    "key": {"type": "str", "no_log": True},
    "registration_token": {"type": "str", "no_log": True},
    "name": {"type": "str"},
    "platform": {"type": "str", "choices": list(PLATFORMS)},
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
    "id": {"type": "str"},
    "key": {"type": "str", "no_log": True},
    "registration_token": {"type": "str", "no_log": True},
    "wait_timeout": {"type": "str", "default": "2m"},
}

_TOKEN_REFUSED = (
    "registration_token: the workspace refuses it. Give a registration token of this workspace that has not expired."
)
_ATTEMPTS = 3
#: Pauses between two polls, in seconds.
_FIRST_PAUSE, _GROWTH, _LONGEST_PAUSE = 0.5, 1.4, 10.0
#: Maximum time that an agent needs to reconnect after an outage of the workspace, in seconds.
_RECONNECT_TIME = 75.0


def run_registration(options: Mapping[str, Any], run: Run) -> dict[str, Any]:
    settings = parse_settings(options, run.warn, needs_token=False)
    with RegistrationTask(settings, RegistrationOptions.from_options(options), run) as task:
        try:
            _STATES[task.options.state](task)
        except AlpaconError as error:
            task.fail(error)
        return task.result()


def run_registration_info(options: Mapping[str, Any], run: Run) -> dict[str, Any]:
    settings = parse_settings(options, run.warn, needs_token=False)
    state = TOKEN_CHECKED if (options.get("registration_token") or "").strip() else "connected"
    checked = RegistrationOptions.from_options({**options, "state": state})
    with RegistrationTask(settings, checked, run) as task:
        if checked.state == TOKEN_CHECKED:
            accepted, why = _check_registration_token(task)
            task.facts = {"accepted": accepted, "msg": why or "The workspace accepts the registration token."}
            return task.result()
        stored = verify_credentials(task)
        msg = {
            "valid": "The stored credentials are valid.",
            "stale": "The workspace refuses the stored credentials.",
            "unreachable": "The stored credentials could not be verified.",
        }[stored.credentials]
        task.facts = {
            "id": checked.id,
            **stored.facts,
            "connected": stored.connected if stored.credentials == "valid" else None,
            "msg": f"{msg} {stored.why}".strip(),
        }
        return task.result()


def _check_registration_token(task: RegistrationTask) -> tuple[bool | None, str]:
    """Return True or False, or None if the workspace did not say; and the reason unless it is accepted.

    The request has no name, so no workspace can register a server for it, and authentication comes first.
    """
    path = f"{SERVERS_PATH}register/"
    try:
        task.registration_client.write("POST", path, {"name": "", "platform": ""})
    except ApiError as error:
        if error.status in REFUSED and error.stated:
            return False, f"{_TOKEN_REFUSED} {describe_refusal(error)}"
        return (True, "") if error.status == 400 and error.stated else (None, describe_refusal(error))
    except AlpaconError as error:
        return None, str(error)
    return None, f"POST {path}: the workspace accepted a registration without a name. Delete that server there."


def registered(task: RegistrationTask) -> None:
    options = task.options
    if not options.id:
        _register(task)
        return
    stored = verify_credentials(task)
    facts = {"id": options.id, **stored.facts}
    if stored.credentials == "valid":
        task.facts = {**facts, "key": None, **NO_OTHER_RECORDS, "msg": "The stored credentials are valid."}
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
    name, done = task.options.name, "Would be registered"
    facts = {"id": None, "key": None, "name": name, "version": None, **NO_OTHER_RECORDS}
    if not task.run.check_mode:
        row = _send_registration(task)
        facts.update(id=parse_row_id(row), key=parse_key(row), name=to_text(row.get("name")) or name)
        # Print the id, in case the run ends before it returns the result.
        task.run.context.report(f"alpacon: registered {facts['name']}, {facts['id']}")
        done = "Registered"
    if not task.run.check_mode or task.options.replace:
        facts.update(clean_up_records(task, facts["id"]))
    task.changed, task.after = True, facts["name"]
    msg = f"{done} as {task.after}."
    if facts["replaced"]:
        task.before = facts["replaced"]["name"]
        msg += f" It replaces {task.before}."
    task.facts = {**facts, "credentials": "valid", "commissioned": False, "is_connected": False, "msg": msg}


def _send_registration(task: RegistrationTask) -> Mapping[str, Any]:
    """Register the host. After a lost response, delete the record that the request may have made, and try again."""
    while True:
        try:
            return _post_registration(task)
        except UnknownEndpoint:
            raise RegistrationError(NO_REGISTRATION, orphans=[]) from None
        except LostResponse as error:
            task.lost_responses += 1
            delete_lost_record(task, error)
            if task.lost_responses == _ATTEMPTS:
                raise RegistrationError(
                    f"{error} This happened {_ATTEMPTS} times in a row. No record is left behind. Run the task again.",
                    orphans=[],
                ) from None
        except ApiError as error:
            hint = f"{_TOKEN_REFUSED} " if error.status in REFUSED else ""
            raise RegistrationError(f"{hint}{describe_refusal(error)}", **error.details) from None


def _post_registration(task: RegistrationTask) -> Mapping[str, Any]:
    options, path = task.options, f"{SERVERS_PATH}register/"
    body: dict[str, Any] = {"name": options.name, "platform": options.platform}
    tags = dict(options.tags)
    # Without an API token, this task cannot search for its tag, but a later one can search for that of the machine.
    if options.machine or task.user_client:
        tags[task.tag] = task.tag_value
    if tags:
        body["tags"] = tags
    task.sent_at = time.time()
    row = task.registration_client.write("POST", path, body).body
    if not isinstance(row, Mapping) or not parse_row_id(row) or not parse_key(row):
        raise LostResponse(f"POST {path}: the response has no id or no key.")
    return row


def connected(task: RegistrationTask) -> None:
    options, pause = task.options, _FIRST_PAUSE
    unverified_at: float | None = None
    while True:
        stored = verify_credentials(task)
        now = time.monotonic()
        facts = {"id": options.id, **stored.facts}
        if stored.connected and _may_have_version(stored, options.version):
            if options.pinned:
                _warn_of_upgrades(task)
            task.facts = {**facts, "connected": True, "msg": f"{facts['name'] or options.id} is connected."}
            return
        if stored.credentials != "valid":
            unverified_at = now
        if now + pause > task.deadline:
            certain = unverified_at is None or now - unverified_at > _RECONNECT_TIME
            text = _explain_disconnected(stored, options) if certain else _explain_unknown(stored)
            raise RegistrationError(text, **facts, connected=False if certain else None)
        time.sleep(pause)
        pause = min(pause * _GROWTH, _LONGEST_PAUSE)


def _may_have_version(stored: StoredCredentials, wanted: str) -> bool:
    """Return True unless the workspace states another version of the agent. Some workspaces and builds state none."""
    # Packages write 2.6.0-rc1 as 2.6.0~rc1, and git tags as v2.6.0-rc1.
    stated, wanted = (
        text.strip().removeprefix("v").replace("~", "-") for text in (stored.server.version or "", wanted)
    )
    return not wanted or not stated[:1].isdigit() or stated == wanted


def _warn_of_upgrades(task: RegistrationTask) -> None:
    if task.user_client is None or not task.run.context.is_first("agent-upgrades"):
        return
    try:
        row = task.user_client.get("/api/workspaces/preferences/-/")
    except AlpaconError:
        return  # older workspaces have no preferences, and not every token may read them
    policy = row.get("agent_rollout_policy") if isinstance(row, Mapping) else None
    mode = policy.get("mode") if isinstance(policy, Mapping) else policy
    if mode and mode != "manual":
        task.run.context.alert(
            f"The workspace upgrades agents by itself (agent_rollout_policy is {clean_line(mode):.64}), so"
            f" {task.options.version or 'their version'} might not stay. Hold the package (alpamon_hold), or change the"
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
        f"Not connected within {options.timeout:g} s. {state} Read the agent's log on the host (journalctl -u alpamon)."
        " The agent's websockets trust only the system's CA certificates and use no proxy. A clone of the host"
        " with the same id disconnects the agent."
    )


def _explain_unknown(stored: StoredCredentials) -> str:
    text = {
        "valid": "The agent is not connected yet. After an outage of the workspace, it needs a minute to reconnect.",
        "stale": "The workspace refuses the stored credentials, so the state of the agent is unknown.",
    }.get(stored.credentials, "The stored credentials could not be verified, so the state of the agent is unknown.")
    why = f" {stored.why.rstrip('.')}." if stored.why else ""
    return f"{text}{why} Check that the workspace answers, then run the task again."


def unregistered(task: RegistrationTask) -> None:
    options = task.options
    if not options.id:
        delete_unused_records(task)
        return
    msg = "Nothing to do: the record is gone, or belongs to other credentials."
    try:
        if (options.key and _delete_by_agent(task)) or _delete_by_user(task):
            task.changed, task.before = True, options.id
            msg = "Would be unregistered." if task.run.check_mode else "Unregistered."
    except AlpaconError as error:
        raise RegistrationError(
            f"The record {options.id} may be left behind, since it could not be deleted. {error}",
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
            task.agent_client.write("DELETE", path)
        except UnknownEndpoint:
            if task.user_client is None:
                raise RegistrationError(
                    "This workspace does not let agents unregister themselves. Give an API token in token, or delete"
                    " the record in the workspace."
                ) from None
            return False
        except LostResponse:
            task.lost_responses += 1
            task.agent_client.write("DELETE", path)
    except ApiError as error:
        if error.status not in REFUSED or not error.stated:
            raise RegistrationError(describe_refusal(error)) from None
        # The lost request may have deleted the record.
        return task.lost_responses > 0
    return True


def _delete_by_user(task: RegistrationTask) -> bool:
    """Delete the record with the API token; return False if there is no token or no record."""
    if task.user_client is None:
        return False
    if not task.run.check_mode:
        return delete_record(task.user_client, task.options.id)
    try:
        task.user_client.get(f"{SERVERS_PATH}{task.options.id}/")
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
