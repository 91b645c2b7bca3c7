# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The task of M(herdops.alpacon.alpacon_server_action): options, check mode and submits."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from .._api.commands import submit_action
from .._api.errors import UsageError
from .._api.records import is_uuid, normalize_uuid
from .._fleet.completion import skip_offline
from .._fleet.fleet import Fleet
from .._fleet.jobs import Limits
from .._fleet.run import HostLocks, Run
from .._fleet.server_actions import ACTION_PACING, ActionRules
from .._fleet.sharing import SharedServers
from .._options import values
from .._options.connection import CONNECTION, parse_settings
from .command_task import lock_references, lock_servers
from .server_action_results import describe_targets, describe_upgrades

#: Internal command of each action. That of install_pam is up to the workspace.
_LINES = {
    "upgrade_agent": "upgrade",
    "restart_agent": "restart",
    "update_information": "commit",
    "install_pam": "install_pam",
}
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
        version = _parse_version(options.get("version"), options["action"])
        servers = [str(server) for server in values.split_list(options["servers"] or ())]
        if not (servers and all(servers)):
            raise UsageError("servers", "one of them is empty" if servers else "it is empty", "Give names or UUIDs.")
        if options.get("max_concurrency") and not options["wait"]:
            raise UsageError(
                "max_concurrency", "it cannot be used with wait=false", "Leave it out, or set wait to true."
            )
        limits = Limits(
            wait=options["wait"],
            wait_timeout=values.parse_timeout("wait_timeout", options["wait_timeout"]),
            max_concurrency=values.parse_share(
                "max_concurrency", options.get("max_concurrency"), len(servers), least=1
            ),
            max_errors=values.parse_share("max_errors", options.get("max_errors"), len(servers), least=0),
            offline="fail",
        )
        if options["force"] and options["action"] == "install_pam":
            raise UsageError("force", "it cannot be used with action=install_pam", "Leave it out.")
        servers = [normalize_uuid(text) if is_uuid(text) else text for text in servers]
        return cls(servers, options["action"], version, options["force"], limits)

    @property
    def prediction(self) -> str:
        """Return the message of check mode."""
        if self.action != "upgrade_agent" or self.version:
            return f"Would be submitted: {self.action}."
        unknown = "Only the server knows whether its package repository has a newer version."
        return f"Would be submitted: {self.action}. {unknown}"

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
        raise UsageError("version", f"it cannot be used with action={action}", "Leave it out.")
    return version


def run_server_action(options: Mapping[str, Any], run: Run) -> dict[str, Any]:
    """Run a task; nothing was submitted if it raises :class:`AlpaconError`."""
    parsed = ActionOptions.from_options(options)
    settings = parse_settings(options, run.warn)
    shared = run.open_shared_state(settings) if run.hosts > 1 else None
    with run.open_client(settings, shared, parsed.limits.wait_timeout) as client:
        shared_servers = SharedServers(shared) if shared else None
        rules = ActionRules(parsed.limits, parsed.action, parsed.version, shared_servers)
        servers = rules.reader.find(parsed.servers, client)
        targets = rules.make_targets(servers, client, parsed.make_body)
        for target in targets:
            if not run.no_log:
                run.record_need(settings.url, target.before)
            if target.job.outcome:
                # An earlier attempt of the task may have upgraded it.
                target.job.changed = run.may_have_submitted(target.job.body)
            else:
                skip_offline(target.job, parsed.limits)
        to_submit = [target for target in targets if not target.job.outcome]
        if run.check_mode:
            for target in to_submit:
                target.job.changed, target.job.msg = True, parsed.prediction
        else:
            if run.host_locks:
                servers = [target.before for target in to_submit]
                lock_servers(run.host_locks, parsed.make_body(None), settings.url, servers)
            Fleet(
                client,
                parsed.limits,
                report=run.context.report if len(targets) > 1 else None,
                run=run,
                shared=shared,
                pacing=ACTION_PACING,
                post=partial(submit_action, action=parsed.action, force=parsed.force),
                rules=rules,
            ).run([target.job for target in targets])
        diff: dict[str, Any] = {}
        if run.diff_mode and parsed.action == "upgrade_agent":
            diff = describe_upgrades(targets, (parsed.version or "the newest") if run.check_mode else "")
        return {**describe_targets(targets, run.own_server), "requests": client.requests, **diff}


def lock_named_servers(host_locks: HostLocks, options: Mapping[str, Any]) -> None:
    parsed = ActionOptions.from_options(options)
    lock_references(host_locks, parsed.make_body(None), options, parsed.servers)
