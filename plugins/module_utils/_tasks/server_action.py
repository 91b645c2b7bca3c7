# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The task of M(herdops.alpacon.alpacon_server_action): options, check mode and result."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from .._api.client import Client
from .._api.commands import submit_action
from .._api.errors import UsageError, clean_line
from .._api.records import Server, is_uuid, normalize_uuid, to_iso
from .._api.servers import query_servers
from .._fleet.completion import skip_offline
from .._fleet.jobs import Job, Limits, Outcome, SubmitRecord, get_digest
from .._fleet.run import HostLocks, Run
from .._fleet.server_actions import ServerActions, ServerReader, Target, has_version
from .._fleet.sharing import get_only_server
from .._options import values
from .._options.connection import CONNECTION, parse_settings
from .command_results import summarize
from .command_task import lock_references, lock_servers

#: Internal command of each action.
_LINES = {"upgrade_agent": "upgrade", "restart_agent": "restart", "update_information": "commit"}
#: Without the third number, the YAML number 2.10 would be version 2.1.
_VERSION = re.compile(r"\d{1,9}(\.\d{1,9}){2,3}([-~][a-z]+[.\d]{0,20})?")

SPEC: dict[str, dict[str, Any]] = {
    **CONNECTION,
    "servers": {"type": "list", "elements": "str", "aliases": ["server"]},
    "action": {"type": "str", "required": True, "choices": list(_LINES)},
    "version": {"type": "str"},
    "force": {"type": "bool", "default": False},
    "wait": {"type": "bool", "default": True},
    "wait_timeout": {"type": "str", "default": "15m"},
    "max_concurrency": {"type": "str"},
    "max_errors": {"type": "str"},
}


@dataclass(frozen=True)
class ActionOptions:
    servers: list[str]
    action: str
    version: str
    force: bool
    limits: Limits

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> ActionOptions:
        servers = [str(server) for server in values.split_list(options["servers"] or ())]
        if not (servers and all(servers)):
            raise UsageError("servers", "one of them is empty" if servers else "it is empty", "Give names or UUIDs.")
        if options.get("max_concurrency") and not options["wait"]:
            raise UsageError("max_concurrency", "it does not go with wait=false", "Leave it out, or set wait to true.")
        limits = Limits(
            wait=options["wait"],
            wait_timeout=values.parse_timeout("wait_timeout", options["wait_timeout"]),
            max_concurrency=values.parse_share(
                "max_concurrency", options.get("max_concurrency"), len(servers), least=1
            ),
            max_errors=values.parse_share("max_errors", options.get("max_errors"), len(servers), least=0),
            offline="fail",
        )
        version = _parse_version(options.get("version"), options["action"])
        return cls(servers, options["action"], version, options["force"], limits)

    def make_body(self, server_id: str | None) -> dict[str, Any]:
        """Return the body of the submit. The search for a lost submit compares it with commands of the workspace."""
        account = {"username": "", "groupname": "", "scheduled_at": None}
        return {"server": server_id, "shell": "internal", "line": _LINES[self.action], **account}


def _parse_version(text: Any, action: str) -> str:
    if text is None:
        return ""
    version = str(text).strip().removeprefix("v")
    if not _VERSION.fullmatch(version):
        raise UsageError("version", f"'{text!s:.64}' is not a version", "Give one such as 2.6.0, or leave it out.")
    if action != "upgrade_agent":
        raise UsageError("version", f"it does not go with action={action}", "Leave it out.")
    return version


def run_server_action(options: Mapping[str, Any], run: Run) -> dict[str, Any]:
    """Run a task; nothing was submitted if it raises :class:`AlpaconError`."""
    settings = parse_settings(options, run.warn)
    parsed = ActionOptions.from_options(options)
    shared = run.open_shared_state(settings) if run.hosts > 1 else None
    with run.open_client(settings, shared) as client:
        client.deadline = time.monotonic() + parsed.limits.wait_timeout
        reader = ServerReader(client, {"upgrade_agent": "version", "restart_agent": "started_at"}.get(parsed.action))
        earlier = run.earlier_submits or {}
        targets = [_make_target(parsed, server, earlier) for server in _find_servers(client, parsed.servers, reader)]
        for target in () if run.no_log else targets:
            run.record_need(settings.url, target.before)
        to_submit = [target for target in targets if not target.job.outcome]
        if run.check_mode:
            for target in to_submit:
                _predict(parsed, target)
        else:
            if run.host_locks:
                servers = [target.before for target in to_submit]
                lock_servers(run.host_locks, parsed.make_body(None), settings.url, servers)
            post = partial(submit_action, action=parsed.action, force=parsed.force)
            ServerActions(client, run, parsed.limits, parsed.action, parsed.version, reader, post).run(targets)
        return {**_describe_all(targets, run), "requests": client.requests, **_make_diff(parsed, targets, run)}


def lock_named_servers(host_locks: HostLocks, options: Mapping[str, Any]) -> None:
    parsed = ActionOptions.from_options(options)
    lock_references(host_locks, parsed.make_body(None), options, parsed.servers)


def _find_servers(client: Client, references: Sequence[str], reader: ServerReader) -> list[Server]:
    """Find the server of each name or UUID with its state.

    Raises:
        UsageError: there is no server, or there are several, or two references are to the same server.
    """
    references = [normalize_uuid(text) if is_uuid(text) else text for text in references]
    found, similar = query_servers(client, references, whole_rows=True)
    servers = [get_only_server(client, text, found[text], similar, "servers") for text in references]
    first: dict[str | None, str] = {}
    for text, server in zip(references, servers):
        if server.id in first:
            problem = f"{first[server.id]} and {text} are the same server"
            raise UsageError("servers", problem, "Name each server once.")
        first[server.id] = text
    return reader.complete(servers)


def _make_target(options: ActionOptions, server: Server, earlier_submits: Mapping[str, SubmitRecord]) -> Target:
    target = Target(Job(server, options.make_body(server.id)), server)
    if options.version and has_version(server, options.version):
        target.job.finish(Outcome.SUCCESS, f"The agent has version {clean_line(server.version)} already.")
        # An earlier attempt of the task may have upgraded it.
        earlier = earlier_submits.get(get_digest(target.job.body))
        target.job.changed = bool(earlier and (earlier.command_id or not earlier.may_repeat))
    else:
        skip_offline(target.job, options.limits)
    return target


def _predict(options: ActionOptions, target: Target) -> None:
    job = target.job
    job.changed = True
    job.msg = f"Would be submitted: {options.action}."
    if options.action == "upgrade_agent" and not options.version:
        job.msg += " Only the server knows whether its package repository has a newer version."


def _describe_all(targets: Sequence[Target], run: Run) -> dict[str, Any]:
    servers = [_describe(target, run.own_server) for target in targets]
    outcomes = [target.job.outcome for target in targets if target.job.outcome]
    failures = [
        f"{target.job.server}: {described['msg']}"
        for target, described in zip(targets, servers)
        if target.job.outcome and not target.job.outcome.is_ok
    ]
    result: dict[str, Any] = {
        "servers": servers,
        "summary": dict(Counter(outcome.value for outcome in outcomes)),
        "changed": any(target.job.changed for target in targets),
        "failed": bool(failures),
    }
    if len(servers) == 1:
        return {**servers[0], **result}
    result["msg"] = summarize(len(targets), len(targets) - len(outcomes), failures, "actions")
    return result


def _describe(target: Target, own_server: str) -> dict[str, Any]:
    job, name = target.job, target.before.name or own_server
    versions = [clean_line(version) if version else None for version in (target.before.version, target.server.version)]
    return {
        "id": target.before.id,
        "name": clean_line(name) if name else None,
        # Ansible cannot write the enum as JSON.
        "outcome": job.outcome.value if job.outcome else None,
        "msg": " ".join(text for text in (job.msg or (job.outcome.sentence if job.outcome else ""), job.note) if text),
        "version_before": versions[0],
        "version": versions[1],
        "started_at": to_iso(target.server.started_at),
        "command_id": job.id,
        "changed": job.changed,
    }


def _make_diff(options: ActionOptions, targets: Sequence[Target], run: Run) -> dict[str, Any]:
    """Return the versions before and after of the servers that have, or would have, another one."""
    if not run.diff_mode or options.action != "upgrade_agent":
        return {}
    after = (options.version or "the newest") if run.check_mode else ""
    changed = [target for target in targets if target.job.changed and (after or target.is_upgraded)]
    pairs = [(target.before.version, after or target.server.version, target.before) for target in changed]
    return {
        "diff": {
            "before": "".join(f"{clean_line(server)}: {clean_line(old)}\n" for old, _new, server in pairs),
            "after": "".join(f"{clean_line(server)}: {clean_line(new)}\n" for _old, new, server in pairs),
        }
    }
