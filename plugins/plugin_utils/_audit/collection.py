# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Asking: one command for each server and account, of all servers of a workspace at once."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from typing import Any

from ansible_collections.herdops.alpacon.plugins.module_utils._api.client import Client
from ansible_collections.herdops.alpacon.plugins.module_utils._api.commands import (
    CLOCK_UNKNOWN,
    Match,
    detect_env_by_servers,
    end_sort_key,
    fetch_rc,
    list_newest_commands,
    list_server_commands,
)
from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import (
    NO_ACCESS_STATUSES,
    SENTENCES,
    AlpaconError,
    ApiError,
    RunIsOver,
    UsageError,
    wrap_unexpected,
)
from ansible_collections.herdops.alpacon.plugins.module_utils._api.lists import NEWEST_FIRST
from ansible_collections.herdops.alpacon.plugins.module_utils._api.lost_submits import OwnCommands
from ansible_collections.herdops.alpacon.plugins.module_utils._api.records import (
    RAN,
    STATUSES,
    Command,
    Server,
    is_uuid,
    is_windows,
    parse_owner,
    to_text,
)
from ansible_collections.herdops.alpacon.plugins.module_utils._api.servers import query_servers
from ansible_collections.herdops.alpacon.plugins.module_utils._api.settings import Settings
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.fleet import Fleet
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.jobs import Job, get_outcome
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.pacing import AUDIT_PACING
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.run import Run
from ansible_collections.herdops.alpacon.plugins.module_utils._options.values import LINE_LENGTH
from ansible_collections.herdops.alpacon.plugins.module_utils._payload.frames import NO_VARIABLES
from ansible_collections.herdops.alpacon.plugins.module_utils._payload.packing import Payload, TooLarge, pack

from .checks import Check
from .hosts import Host
from .options import AuditOptions
from .payloads import LINE_LENGTH_2024, SECONDS_VARIABLE, SHELL, build_line, build_script, get_time_budget
from .responses import Response, missing_response, parse_responses

#: Commands that still wait are looked for among those of this time, in seconds.
_MAY_STILL_WAIT = 3600.0
#: Recent commands by the server and the line, the earliest end first.
_Recent = Mapping[tuple[str, str], list[Command]]
_NOT_COMMISSIONED = "The server is not commissioned: its agent has not finished its registration."
_WINDOWS = "Audits ask in a POSIX shell, and the server runs Windows. Leave it out, as in hosts: all:!platform_windows."
_NO_SERVER = "The workspace has no such server, or the token may not see it."
#: What a workspace says of a server.
_ABOUT = ("os", "agent", "ip", "owner")
#: No text that a workspace tells about a server is longer, in characters.
_LONGEST_TEXT = 200


@dataclass
class AuditedHost:
    """A host, the server that it stands for, and what came back.

    Attributes:
        obstacle: why nothing can be submitted to the server; empty if it can.
        about: what the workspace says of the server: C(os), C(agent), C(ip) and C(owner), each a text or None.
        responses: by the names of checks.
    """

    host: Host
    server: Server
    checks: list[Check]
    obstacle: str = ""
    about: dict[str, str | None] = field(default_factory=lambda: dict.fromkeys(_ABOUT))
    responses: dict[str, Response] = field(default_factory=dict)

    @property
    def reached(self) -> bool:
        """Return True if the server answered, or had nothing to answer."""
        return not self.checks or any(response.reached for response in self.responses.values())

    @property
    def reason(self) -> str:
        """Say why the server was not reached, or why only earlier answers count; else empty."""
        if self.reached:
            is_reused = bool(self.responses) and all(response.reused for response in self.responses.values())
            return self.obstacle if is_reused else ""
        return self.obstacle or next((response.evaluation.message for response in self.responses.values()), "")


def describe_server(server: Server) -> dict[str, str | None]:
    """Return the texts about a server, see :class:`AuditedHost`."""
    row, owner = server.fields, parse_owner(server.fields)
    name, version = _text(row.get("os_name")), _text(row.get("os_version"))
    return {
        "os": " ".join(filter(None, (name, version))) or None,
        "agent": _text(server.version),
        "ip": _text(row.get("remote_ip")),
        "owner": _text(owner["name"]) if owner else None,
    }


def _text(value: Any) -> str | None:
    text = to_text(value)
    return text[:_LONGEST_TEXT] if text else None


def resolve_host(host: Host, servers: Sequence[Server] | None) -> AuditedHost:
    """Return a host with its server.

    Args:
        servers: those that it may mean; None where nobody can know.
    """
    checks = list(host.checks)
    if servers is None and is_uuid(host.server):
        return AuditedHost(host, Server(host.server), checks)
    if not servers:
        return AuditedHost(host, Server(None), checks, _NO_SERVER)
    if len(servers) > 1:
        ids = ", ".join(str(server.id) for server in servers)
        remedy = "Give the host the variable alpacon_server_id."
        return AuditedHost(host, Server(None), checks, f"{len(servers)} servers have this name: {ids}. {remedy}")
    [found] = servers
    server, obstacle = found.without_row(), ""
    if is_windows(found.fields):
        obstacle = _WINDOWS
    elif server.commissioned is False:
        obstacle = _NOT_COMMISSIONED
    elif server.is_connected is False:
        obstacle = SENTENCES["server_not_connected"]
    return AuditedHost(host, server, checks, obstacle, describe_server(found))


@dataclass(frozen=True)
class CheckBatch:
    """The checks that one command runs on a server.

    Attributes:
        carried: what carries all the checks; None where the line of the command is that of the only one.
    """

    audited: AuditedHost
    match: Match
    checks: Sequence[Check]
    carried: Payload | None = None

    @property
    def key(self) -> tuple[str, str]:
        """Return the server and the line, by which commands are indexed."""
        return str(self.match.server_id), (self.match.line or "").strip()

    def store_responses(self, job: Job, reused: bool = False) -> None:
        """Keep the responses of a job."""
        self.audited.responses.update(parse_responses(job, self.checks, self.carried is not None, reused))


@dataclass
class WorkspaceCollector:
    """An audit of the hosts of one workspace.

    Attributes:
        options: those of the whole audit.
        given: the hosts of this workspace.
        hosts: the hosts with their servers and responses, as soon as these are known.
        submitted: how many commands were.
        left_out: how many check mode did not submit.
        submitted_to: the servers that commands were submitted to.
        refusal: why not all could be asked, if so.
    """

    client: Client
    options: AuditOptions
    given: list[Host]
    run: Run
    hosts: list[AuditedHost] = field(default_factory=list)
    submitted: int = 0
    left_out: int = 0
    submitted_to: set[str] = field(default_factory=set)
    refusal: str = ""
    #: What was packed, by the checks that are in it.
    _packed: dict[tuple[int, ...], Payload] = field(default_factory=dict)
    #: How long a line may be in a workspace that hands no variables to servers; None of one that does.
    _longest_line: int | None = None

    def collect(self) -> None:
        """Find the servers, take what was answered lately, and ask for the rest."""
        has_env = self._find_servers()
        recent = self._list_recent()
        rows = [command for commands in recent.values() for command in commands]
        self._longest_line = _detect_longest_line(
            rows or (() if has_env else list_newest_commands(self.client)), has_env
        )
        fleet = self._create_fleet()
        batches = [batch for host in self.hosts for batch in self._reuse_answers(host, recent, fleet)]
        # Where there was nothing to reuse, a clock would change nothing.
        if self.options.reuse_within and not self.client.clock.is_known and any(one.key in recent for one in batches):
            self.run.warn(CLOCK_UNKNOWN)
        if self.run.check_mode:
            self.left_out = len({batch.match for batch in batches})
            return
        empty = self._submit(batches, recent)
        again = [one for old in empty for one in self._build_batches(old.audited, old.checks)]
        self._submit(again, recent)

    def mark_failed(self, error: AlpaconError) -> None:
        """Note why what has no answer stays open; other workspaces go on."""
        self.refusal = f"The workspace {self.client.settings.url} could not be asked: {error}"
        known = {audited.host.name: audited for audited in self.hosts}
        self.hosts = [known.get(host.name) or AuditedHost(host, Server(None), list(host.checks)) for host in self.given]
        for audited in self.hosts:
            audited.obstacle = audited.obstacle or self.refusal

    def _find_servers(self) -> bool | None:
        """Find the servers. Return True if their rows show that the workspace supports env, None if unknown."""
        references = list(dict.fromkeys(host.server for host in self.given))
        try:
            known: dict[str, list[Server]] | None = query_servers(self.client, references, whole_rows=True)[0]
        except ApiError as error:
            if error.refuses_token or error.status not in NO_ACCESS_STATUSES:
                raise
            known = None
            self.run.warn(f"The list of servers cannot be read, so hosts need alpacon_server_id: {error}")
        self.hosts = [resolve_host(host, None if known is None else known[host.server]) for host in self.given]
        return detect_env_by_servers(server for servers in (known or {}).values() for server in servers)

    def _create_fleet(self) -> Fleet:
        progress = len(self.given) > 1 if self.options.progress is None else self.options.progress
        report = self.run.report if progress else None
        return Fleet(self.client, self.options.limits, report=report, run=self.run, pacing=AUDIT_PACING)

    # What to ask

    def _build_batches(self, audited: AuditedHost, checks: Iterable[Check]) -> list[CheckBatch]:
        """Return the commands that run these checks on a server: one for each account, or one for each line."""
        server = audited.server.id
        if server is None:
            return []
        accounts: dict[str | None, list[Check]] = {}
        lines: dict[Match, list[Check]] = {}
        for check in checks:
            if self._longest_line is None:
                accounts.setdefault(check.username, []).append(check)
            elif len(line := build_line(check)) > self._longest_line:
                why = "This workspace hands no variables to servers, so that each check is a line of its own."
                reason = f"{why} It takes {len(line)} characters, and {self._longest_line} fit."
                audited.responses[check.name] = missing_response(reason, reached=True)
            else:
                lines.setdefault(Match(server, line, SHELL, check.username), []).append(check)
        batches = [CheckBatch(audited, match, asked) for match, asked in lines.items()]
        for username, asked in accounts.items():
            carried = self._pack_checks(asked)
            batches.append(CheckBatch(audited, Match(server, carried.line, SHELL, username), asked, carried))
        return batches

    def _pack_checks(self, checks: Sequence[Check]) -> Payload:
        """Pack these checks, once for all servers.

        Raises:
            UsageError: they do not fit into one submit.
        """
        key = tuple(map(id, checks))
        if key not in self._packed:
            env = {SECONDS_VARIABLE: get_time_budget(self.options.limits.wait_timeout)}
            try:
                self._packed[key] = pack(*build_script(checks), env=env, in_parts=True)
            except TooLarge as error:
                raise UsageError("checks", str(error), "Audit with fewer checks at once.") from None
        return self._packed[key]

    # What is known already

    def _list_recent(self) -> _Recent:
        """Return commands of the servers that may answer or be adopted."""
        ids = list(dict.fromkeys(str(host.server.id) for host in self.hosts if host.server.id and host.checks))
        if self.options.reuse_within is None or not ids:
            return {}
        lately = timedelta(seconds=max(self.options.reuse_within, _MAY_STILL_WAIT))

        def is_old(command: Command) -> bool:
            # The first answer tells the offset between both clocks.
            return command.added_at is not None and command.added_at < self.client.clock.now() - lately

        recent: dict[tuple[str, str], list[Command]] = {}
        for command in sorted(list_server_commands(self.client, ids, NEWEST_FIRST, is_old), key=end_sort_key):
            recent.setdefault((str(command.server.id), command.line.strip()), []).append(command)
        return recent

    def _reuse_answers(self, audited: AuditedHost, recent: _Recent, fleet: Fleet) -> list[CheckBatch]:
        """Take reusable answers of a server, and return what is left to ask.

        The batches that are left of a command are looked for as a command of their own: that is how they were asked
        again, if they were.

        Args:
            fleet: fetches the outputs of commands that are known.
        """
        looked_at: list[tuple[CheckBatch, Command | None]] = [
            (one, None) for one in self._build_batches(audited, audited.checks)
        ]
        left = []
        while looked_at:
            batch, before = looked_at.pop()
            known = self._find_reusable(batch, recent, before)
            if known is None:
                left.append(batch)
                continue
            job = Job(audited.server, command=known, outcome=get_outcome(known))
            fleet.fetch_output(job)
            batch.store_responses(job, reused=True)
            again = [check for check in batch.checks if not audited.responses[check.name].is_reusable]
            for check in again:
                del audited.responses[check.name]
            if len(again) == len(batch.checks):
                left.append(batch)
            else:
                looked_at += [(one, known) for one in self._build_batches(audited, again)]
        return [] if audited.obstacle else left

    def _find_reusable(self, batch: CheckBatch, recent: _Recent, before: Command | None) -> Command | None:
        """Return the last command that answers a batch and did not end before another."""
        seconds = self.options.reuse_within
        if not seconds or not self.client.clock.is_known:
            return None
        earliest = self.client.clock.now() - timedelta(seconds=seconds)
        if before:
            earliest = max(earliest, end_sort_key(before))
        for command in reversed(recent.get(batch.key, ())):
            fits = (
                command.status in RAN and command.ran and not command.error_phase and end_sort_key(command) >= earliest
            )
            if fits and self._own_commands.include(command, batch.match):
                with contextlib.suppress(AlpaconError):
                    return command if batch.carried else fetch_rc(self.client, command)
                return None
        return None

    @cached_property
    def _own_commands(self) -> OwnCommands:
        """Return the filter for commands of this requester: other people's answers are not trusted."""
        return OwnCommands(self.client)

    # Asking

    def _submit(self, batches: Iterable[CheckBatch], recent: _Recent) -> list[CheckBatch]:
        """Ask, and return what came to the server without what carries it."""
        asked: dict[Match, list[CheckBatch]] = {}
        for batch in batches:
            asked.setdefault(batch.match, []).append(batch)
        jobs = [(self._create_job(alike[0], recent), alike) for alike in asked.values()]
        if not jobs:
            return []
        try:
            self._create_fleet().run([job for job, _alike in jobs])
        finally:
            # Whatever happens, the ids of what was submitted are kept.
            self.submitted += sum(job.changed for job, _alike in jobs)
            self.submitted_to |= {str(job.server.id) for job, _alike in jobs if job.changed}
            self._store_responses((job, alike) for job, alike in jobs if job.id)
        refusals = [job.error for job, _alike in jobs if isinstance(job.error, ApiError) and job.error.refuses_token]
        if refusals and not self.submitted:
            raise refusals[0]
        if refusals:
            self.refusal = f"The workspace {self.client.settings.url} refused the token half way: {refusals[0]}"
        self._store_responses((job, alike) for job, alike in jobs if not job.id)
        empty = [(job, alike) for job, alike in jobs if job.output and job.output.refused == NO_VARIABLES]
        if empty:
            self._longest_line = (
                _detect_longest_line([job.known for job, _alike in empty], has_env=False) or LINE_LENGTH_2024
            )
        return [batch for _job, alike in empty for batch in alike]

    def _store_responses(self, jobs: Iterable[tuple[Job, Sequence[CheckBatch]]]) -> None:
        for job, alike in jobs:
            for batch in alike:
                batch.store_responses(job)

    def _create_job(self, batch: CheckBatch, recent: _Recent) -> Job:
        """Return a job for a batch: the same command if it still waits, or a new one."""
        waiting = [
            command
            for command in recent.get(batch.key, ())
            if not command.finished and self._own_commands.include(command, batch.match)
        ]
        body = {**batch.match.body(), **({"env": batch.carried.env} if batch.carried else {})}
        return Job(batch.audited.server, body=body, command=waiting[-1] if waiting else None)


def collect_responses(
    options: AuditOptions, hosts: list[Host], settings: Settings, run: Run
) -> tuple[WorkspaceCollector, AlpaconError | None]:
    """Audit one workspace. Return the audit, and the error if the workspace could not be asked."""
    with run.client(settings) as client:
        client.deadline = time.monotonic() + options.limits.wait_timeout
        audit = WorkspaceCollector(client, options, hosts, run)
        try:
            audit.collect()
        except RunIsOver:
            raise
        except Exception as error:
            # What nobody has thought of costs the answers of this workspace, not those of others.
            failure = error if isinstance(error, AlpaconError) else wrap_unexpected(error, run.no_log)
            audit.mark_failed(failure)
            return audit, failure
    return audit, None


def _detect_longest_line(commands: Iterable[Command], has_env: bool | None) -> int | None:
    """Tell from rows how long a line may be, None if the workspace hands variables to servers.

    Args:
        has_env: what other rows tell.
    """
    told = next((command for command in commands if command.status in STATUSES), None)
    if told is None:
        return LINE_LENGTH_2024 if has_env is False else None
    # The status of workspaces without variables is an object.
    return None if told.may_have_chunks else LINE_LENGTH if told.scheduled_at else LINE_LENGTH_2024
