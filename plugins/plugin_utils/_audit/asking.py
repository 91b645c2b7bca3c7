# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""Asking: as few commands as possible, of all servers of a workspace at once."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from ansible_collections.herdops.alpacon.plugins.module_utils._api.client import Client
from ansible_collections.herdops.alpacon.plugins.module_utils._api.commands import Match, with_rc
from ansible_collections.herdops.alpacon.plugins.module_utils._api.commands_of_servers import latest_ended
from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import (
    AlpaconError,
    ApiError,
    RunIsOver,
    unforeseen,
)
from ansible_collections.herdops.alpacon.plugins.module_utils._api.records import RAN, Command, Server
from ansible_collections.herdops.alpacon.plugins.module_utils._api.servers import look_up
from ansible_collections.herdops.alpacon.plugins.module_utils._api.settings import Settings
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.fleet import Fleet
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.jobs import Job
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.outcomes import outcome_of
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.run import Run

from .hosts import AuditedHost, Host, audited_host
from .options import AuditOptions
from .replies import Reply, reply_of

#: Answers that say that the token may not read something, which is no reason to give up.
_HIDDEN = (403, 404)


@dataclass
class WorkspaceAudit:
    """An audit of the hosts of one workspace.

    Attributes:
        options: those of the whole audit.
        given: the hosts of this workspace.
        hosts: them with their servers, as soon as these are known.
        replies: what came back, by the command that was asked for.
        submitted: how many commands were.
        left_out: how many check mode did not submit.
        refusal: why not all could be asked, if so.
    """

    client: Client
    options: AuditOptions
    given: list[Host]
    run: Run
    hosts: list[AuditedHost] = field(default_factory=list)
    replies: dict[Match, Reply] = field(default_factory=dict)
    submitted: int = 0
    left_out: int = 0
    refusal: str = ""

    def carry_out(self) -> None:
        """Find the servers, take what was answered lately, and ask for the rest."""
        self._find_servers()
        fleet = self._fleet()
        wanted = {command: host for host in self.hosts for command in filter(None, map(host.command, host.checks))}
        self._reuse(fleet, wanted)
        fresh = {c: host for c, host in wanted.items() if c not in self.replies and not host.obstacle}
        if self.run.check_mode:
            self.left_out = len(fresh)
        else:
            self._submit(fleet, {command: Job(host.server, body=command.body()) for command, host in fresh.items()})

    def give_up(self, error: AlpaconError) -> None:
        """Leave open what has no answer: the workspace cannot be asked, and others can."""
        self.refusal = f"The workspace {self.client.settings.url} could not be asked: {error}"
        known = {audited.host.name: audited for audited in self.hosts}
        self.hosts = [known.get(host.name) or self._unknown(host) for host in self.given]
        for audited in self.hosts:
            audited.obstacle = audited.obstacle or self.refusal

    def _unknown(self, host: Host) -> AuditedHost:
        return AuditedHost(host, Server(None), self.options.checks_of(host))

    def _find_servers(self) -> None:
        references = list(dict.fromkeys(host.server for host in self.given))
        try:
            known: dict[str, list[Server]] | None = look_up(self.client, references)[0]
        except ApiError as error:
            if error.refuses_token or error.status not in _HIDDEN:
                raise
            known = None
            self.run.warn(f"The list of servers cannot be read, so hosts need alpacon_server_id: {error}")
        for host in self.given:
            servers = None if known is None else known[host.server]
            self.hosts.append(audited_host(host, self.options.checks_of(host), servers))

    def _fleet(self) -> Fleet:
        several = len(self.given) * len(self.options.checks) > 1
        progress = several if self.options.progress is None else self.options.progress
        return Fleet(
            self.client,
            self.options.limits,
            tell=self.run.tell if progress else None,
            run=self.run,
        )

    def _reuse(self, fleet: Fleet, wanted: Mapping[Match, AuditedHost]) -> None:
        if self.options.reuse_within is None or not wanted:
            return
        for match, latest in latest_ended(self.client, wanted, self.options.reuse_within, _that_ran).items():
            command = _with_rc(self.client, latest)
            if command is None or command.error_phase:
                continue
            job = Job(wanted[match].server, command=command, outcome=outcome_of(command))
            fleet.fetch_output(job)
            reply = reply_of(job, reused=True)
            if reply.answer:
                self.replies[match] = reply

    def _submit(self, fleet: Fleet, jobs: Mapping[Match, Job]) -> None:
        if not jobs:
            return
        try:
            fleet.run(list(jobs.values()))
        finally:
            # Whatever happens, the ids of what was submitted are kept.
            self.submitted = sum(job.changed for job in jobs.values())
            self.replies.update((match, reply_of(job)) for match, job in jobs.items() if job.id)
        refusals = [job.error for job in jobs.values() if isinstance(job.error, ApiError) and job.error.refuses_token]
        if refusals and not self.submitted:
            raise refusals[0]
        if refusals:
            self.refusal = f"The workspace {self.client.settings.url} refused the token half way: {refusals[0]}"
        self.replies.update((match, reply_of(job)) for match, job in jobs.items())


def ask(
    options: AuditOptions, hosts: list[Host], settings: Settings, run: Run
) -> tuple[WorkspaceAudit, AlpaconError | None]:
    """The audit of one workspace, and why that could not be asked, if so."""
    with Client(settings, tell=run.tell, before_write=run.check) as client:
        client.deadline = time.monotonic() + options.limits.wait_timeout
        audit = WorkspaceAudit(client, options, hosts, run)
        try:
            audit.carry_out()
        except RunIsOver:
            raise
        except Exception as error:
            # What nobody has thought of costs the answers of this workspace, not those of others.
            failure = error if isinstance(error, AlpaconError) else unforeseen(error)
            audit.give_up(failure)
            return audit, failure
    return audit, None


def _that_ran(command: Command) -> Command | None:
    return command if command.status in RAN and command.ran else None


def _with_rc(client: Client, command: Command) -> Command | None:
    """The command with its exit code, or None where it cannot be read any more."""
    try:
        return with_rc(client, command)
    except AlpaconError:
        return None
