# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run the checks of a workspace's hosts, with one command for each server and account, and collect the responses."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

from ...module_utils._api.client import Client
from ...module_utils._api.commands import (
    CLOCK_UNKNOWN,
    Match,
    detect_env_by_servers,
    end_sort_key,
    fetch_rc,
    list_newest_commands,
    list_server_commands,
)
from ...module_utils._api.errors import (
    NO_ACCESS_STATUSES,
    SENTENCES,
    AlpaconError,
    ApiError,
    RunIsOver,
    UsageError,
    wrap_unexpected,
)
from ...module_utils._api.lists import NEWEST_FIRST
from ...module_utils._api.lost_submits import OwnCommands
from ...module_utils._api.outputs import Output
from ...module_utils._api.records import RAN, STATUSES, Command, Server, is_uuid, is_windows, parse_owner, to_text
from ...module_utils._api.servers import query_servers
from ...module_utils._api.settings import Settings
from ...module_utils._fleet.fleet import Fleet
from ...module_utils._fleet.jobs import Job, get_outcome
from ...module_utils._fleet.output_collector import OutputCollector
from ...module_utils._fleet.pacing import AUDIT_PACING
from ...module_utils._fleet.run import Run
from ...module_utils._options.values import LINE_LENGTH
from ...module_utils._payload.frames import NO_VARIABLES
from ...module_utils._payload.packing import Payload, PayloadTooLarge, pack
from ...module_utils._tasks.command_task import describe_cost
from .checks import Check
from .hosts import Host
from .options import AuditOptions
from .payloads import LINE_LENGTH_2024, SHELL, build_env, build_line, build_script
from .responses import Response, missing_response, parse_responses
from .scanner_files import EvidenceFolder

#: The greatest age of an unfinished command that is awaited instead of submitted again, in seconds.
_MAX_UNFINISHED_AGE = 3600.0
#: Recent commands by server ID and line, sorted by their ends.
_RecentCommands = Mapping[tuple[str, str], list[Command]]
_MAX_TEXT = 200


@dataclass
class AuditedHost:
    """A host with its server and the responses to its checks.

    Attributes:
        skip_reason: why no command can be submitted to the server; empty if one can.
        about: C(os), C(agent), C(ip) and C(owner) of the server, each a text or None.
    """

    host: Host
    server: Server = field(default_factory=lambda: Server(None))
    skip_reason: str = ""
    about: dict[str, str | None] = field(default_factory=lambda: _describe_server(Server(None)))
    responses: dict[str, Response] = field(default_factory=dict)

    @property
    def reached(self) -> bool:
        """Return True if the server responded to a check, or has no checks."""
        return not self.host.checks or any(response.reached for response in self.responses.values())

    @property
    def reason(self) -> str:
        """Return why the server was not reached, or why all its responses are reused; otherwise an empty text."""
        if self.reached:
            is_reused = bool(self.responses) and all(response.reused for response in self.responses.values())
            return self.skip_reason if is_reused else ""
        return self.skip_reason or next((response.evaluation.message for response in self.responses.values()), "")


def _describe_server(server: Server) -> dict[str, str | None]:
    row, owner = server.fields, parse_owner(server.fields) or {}
    values = {"os": row.get("os_name"), "agent": server.version, "ip": row.get("remote_ip"), "owner": owner.get("name")}
    texts = {key: to_text(value) or "" for key, value in values.items()}
    texts["os"] = f"{texts['os']} {to_text(row.get('os_version')) or ''}".strip()
    return {key: text[:_MAX_TEXT] or None for key, text in texts.items()}


def _resolve_host(host: Host, servers: Sequence[Server] | None) -> AuditedHost:
    """Return a host with its server, or with the reason why there is none.

    Args:
        servers: the servers with the host's name or ID; None if the token is not allowed to list servers.
    """
    if servers is None and is_uuid(host.server):
        return AuditedHost(host, Server(host.server))
    if not servers:
        return AuditedHost(host, skip_reason="The workspace has no such server, or the token has no access to it.")
    if len(servers) > 1:
        ids = ", ".join(str(server.id) for server in servers)
        remedy = "Give the host the variable alpacon_server_id."
        return AuditedHost(host, skip_reason=f"{len(servers)} servers have this name: {ids}. {remedy}")
    [server] = servers
    reason = ""
    if is_windows(server.fields):
        reason = "The server runs Windows, and checks need a POSIX shell. Exclude it, as in all:!platform_windows."
    elif server.commissioned is False:
        reason = "The server is not commissioned: its agent has not finished its registration."
    elif server.is_connected is False:
        reason = SENTENCES["server_not_connected"]
    return AuditedHost(host, server.without_row(), reason, _describe_server(server))


@dataclass(frozen=True)
class _CheckBatch:
    """The checks that one command runs on a server.

    Attributes:
        payload: the packed checks; None if the line of the command is the code of the checks, which are equal.
    """

    audited: AuditedHost
    match: Match
    checks: Sequence[Check]
    payload: Payload | None = None

    @property
    def key(self) -> tuple[str, str]:
        return str(self.match.server_id), (self.match.line or "").strip()

    def store_responses(self, job: Job, evidence: EvidenceFolder | None, reused: bool = False) -> None:
        responses = parse_responses(job, self.checks, self.payload is not None, reused)
        if reused:
            # The other checks run again, and files of theirs would be those of another audit.
            responses = {name: response for name, response in responses.items() if response.is_reusable}
        if evidence:
            for name, response in responses.items():
                files = [evidence.store(self.audited.host.name, name, file) for file in response.files]
                responses[name] = replace(response, files=files)
        self.audited.responses.update(responses)


@dataclass
class WorkspaceCollector:
    """Collects the responses of all servers of one workspace.

    Attributes:
        hosts: the audited hosts, in the order of C(inventory_hosts).
        submitted: the number of commands.
        to_submit: the number of commands that would be submitted without check mode.
        submitted_to: the IDs of the servers.
        refusal: why not all checks could be submitted; empty if they could.
    """

    client: Client
    options: AuditOptions
    inventory_hosts: list[Host]
    run: Run
    hosts: list[AuditedHost] = field(default_factory=list)
    submitted: int = 0
    to_submit: int = 0
    submitted_to: set[str] = field(default_factory=set)
    refusal: str = ""
    error: AlpaconError | None = None
    _recent: _RecentCommands = field(default_factory=dict)
    #: The payloads by the IDs of their checks.
    _payloads: dict[tuple[int, ...], Payload] = field(default_factory=dict)
    #: The longest line of a workspace that supports no env; None if it does.
    _max_line: int | None = None

    def __post_init__(self) -> None:
        # Other requesters could forge answers.
        self._own_commands = OwnCommands(self.client)

    def collect(self) -> None:
        has_env = self._find_servers()
        self._recent = self._list_recent_commands()
        commands = [command for same_line in self._recent.values() for command in same_line]
        if not commands and not has_env:
            commands = list_newest_commands(self.client)
        self._max_line = _detect_max_line(commands, has_env)
        outputs = OutputCollector(self.client, self.options.limits, no_log=self.run.no_log)
        batches = [batch for audited in self.hosts for batch in self._reuse_answers(audited, outputs)]
        has_recent = self.options.reuse_within and any(batch.key in self._recent for batch in batches)
        if has_recent and not self.client.clock.is_known:
            self.run.warn(CLOCK_UNKNOWN)
        if self.run.check_mode:
            self.to_submit = len({batch.match for batch in batches})
            return
        lines: list[_CheckBatch] = []
        for batch in self._submit(batches):
            lines += self._build_batches(batch.audited, batch.checks)
        self._submit(lines)

    def mark_failed(self, error: AlpaconError) -> None:
        self.error = error
        self.refusal = f"The workspace {self.client.settings.url} could not be asked: {error}"
        audited_hosts = {audited.host.name: audited for audited in self.hosts}
        self.hosts = [audited_hosts.get(host.name) or AuditedHost(host) for host in self.inventory_hosts]
        for audited in self.hosts:
            audited.skip_reason = audited.skip_reason or self.refusal
            # A response of a command that was not submitted has no other reason than the error.
            audited.responses = {name: one for name, one in audited.responses.items() if one.reached or one.command}

    def _find_servers(self) -> bool | None:
        """Resolve the hosts to servers.

        Returns:
            True if the workspace supports env, False if not, None if the servers do not show it.
        """
        references = list(dict.fromkeys(host.server for host in self.inventory_hosts))
        found: dict[str, list[Server]] | None = None
        try:
            found = query_servers(self.client, references, whole_rows=True)[0]
        except ApiError as error:
            if error.refuses_token or error.status not in NO_ACCESS_STATUSES:
                raise
            self.run.warn(f"The list of servers cannot be read, so hosts need alpacon_server_id: {error}")
        self.hosts = [
            _resolve_host(host, None if found is None else found[host.server]) for host in self.inventory_hosts
        ]
        return detect_env_by_servers(server for servers in (found or {}).values() for server in servers)

    def _build_batches(self, audited: AuditedHost, checks: Iterable[Check]) -> list[_CheckBatch]:
        """Return the commands that run these checks: one for each account, or without env one for each check."""
        server_id = audited.server.id
        if server_id is None:
            return []
        by_account: dict[str | None, list[Check]] = {}
        by_line: dict[Match, list[Check]] = {}
        for check in checks:
            if self._max_line is None:
                by_account.setdefault(check.username, []).append(check)
            elif len(line := build_line(check)) > self._max_line:
                cause = "This workspace does not support env, so each check is one line."
                reason = f"{cause} The line has {len(line)} characters, and at most {self._max_line} fit."
                audited.responses[check.name] = missing_response(reason, reached=True)
            else:
                by_line.setdefault(Match(server_id, line, SHELL, check.username), []).append(check)
        batches = [_CheckBatch(audited, match, equal_checks) for match, equal_checks in by_line.items()]
        for username, own_checks in by_account.items():
            payload = self._pack_checks(own_checks)
            batches.append(_CheckBatch(audited, Match(server_id, payload.line, SHELL, username), own_checks, payload))
        for batch in batches:
            self.run.record_need(self.client.settings.url, audited.server, batch.match.to_body())
        return batches

    def _pack_checks(self, checks: Sequence[Check]) -> Payload:
        key = tuple(map(id, checks))
        if key not in self._payloads:
            env = build_env(self.options.limits.wait_timeout)
            try:
                self._payloads[key] = pack(*build_script(checks), env=env, in_parts=True)
            except PayloadTooLarge as error:
                raise UsageError("checks", str(error), "Audit with fewer checks at once.") from None
        return self._payloads[key]

    def _list_recent_commands(self) -> _RecentCommands:
        audited_hosts = [audited for audited in self.hosts if audited.server.id and audited.host.checks]
        ids = list(dict.fromkeys(str(audited.server.id) for audited in audited_hosts))
        if self.options.reuse_within is None or not ids:
            return {}
        max_age = timedelta(seconds=max(self.options.reuse_within, _MAX_UNFINISHED_AGE))

        def is_old(command: Command) -> bool:
            # The offset of the workspace's clock is known from the first response on.
            return command.added_at is not None and command.added_at < self.client.clock.now() - max_age

        recent: dict[tuple[str, str], list[Command]] = {}
        for command in sorted(list_server_commands(self.client, ids, NEWEST_FIRST, is_old), key=end_sort_key):
            recent.setdefault((str(command.server.id), command.line.strip()), []).append(command)
        return recent

    def _reuse_answers(self, audited: AuditedHost, outputs: OutputCollector) -> list[_CheckBatch]:
        """Store the reusable answers of a server and return the batches that have to run.

        An audit repeats only the checks that did not pass, so they may be in a later command with fewer checks.
        """
        candidates: list[tuple[_CheckBatch, Command | None]] = [
            (batch, None) for batch in self._build_batches(audited, audited.host.checks)
        ]
        to_run = []
        while candidates:
            batch, earlier = candidates.pop()
            command = self._find_reusable(batch, earlier)
            if command is None:
                to_run.append(batch)
                continue
            job = Job(audited.server, command=command, outcome=get_outcome(command))
            outputs.fetch(job)
            batch.store_responses(job, self.options.evidence, reused=True)
            not_passed = [check for check in batch.checks if check.name not in audited.responses]
            if len(not_passed) == len(batch.checks):
                to_run.append(batch)
            else:
                candidates += [(smaller, command) for smaller in self._build_batches(audited, not_passed)]
        return [] if audited.skip_reason else to_run

    def _find_reusable(self, batch: _CheckBatch, earlier: Command | None) -> Command | None:
        """Return the newest command that ran the batch within O(reuse_within), and not before an earlier command."""
        if not self.options.reuse_within or not self.client.clock.is_known:
            return None
        since = self.client.clock.now() - timedelta(seconds=self.options.reuse_within)
        if earlier:
            since = max(since, end_sort_key(earlier))
        for command in reversed(self._recent.get(batch.key, ())):
            has_result = command.status in RAN and command.ran and not command.error_phase
            if has_result and end_sort_key(command) >= since and self._own_commands.include(command, batch.match):
                with contextlib.suppress(AlpaconError):
                    return command if batch.payload else fetch_rc(self.client, command)
                return None
        return None

    def _submit(self, batches: Iterable[_CheckBatch]) -> list[_CheckBatch]:
        """Run the batches and store their responses.

        Returns:
            The batches to submit again as lines, because their commands reached a server without env.
        """
        by_match: dict[Match, list[_CheckBatch]] = {}
        for batch in batches:
            by_match.setdefault(batch.match, []).append(batch)
        jobs = {match: self._create_job(group[0]) for match, group in by_match.items()}
        if not jobs:
            return []
        to_submit = sum(job.command is None for job in jobs.values())
        cost = describe_cost(to_submit, self.client.settings.requests_per_hour, self.options.limits)
        if cost and self.options.progress is not False:
            self.run.context.report(cost)
        self._run_jobs({id(job): by_match[match] for match, job in jobs.items()}, list(jobs.values()))
        errors = [job.error for job in jobs.values() if isinstance(job.error, ApiError) and job.error.refuses_token]
        if errors and not self.submitted:
            raise errors[0]
        if errors:
            self.refusal = f"The workspace {self.client.settings.url} refused the token during the audit: {errors[0]}"
        failed = {match: job for match, job in jobs.items() if job.output and job.output.refused == NO_VARIABLES}
        if failed:
            commands = [job.submitted for job in failed.values()]
            self._max_line = _detect_max_line(commands, has_env=False) or LINE_LENGTH_2024
        return [batch for match in failed for batch in by_match[match]]

    def _run_jobs(self, batches: Mapping[int, Sequence[_CheckBatch]], jobs: Sequence[Job]) -> None:
        """Run jobs, and store the responses of each at once: large outputs of many servers do not fit into the memory.

        Args:
            batches: those of each job, by its id().
        """
        stored = set()

        def store(job: Job, output: Output | None) -> bool:
            stored.add(id(job))
            job.output = output
            for batch in batches[id(job)]:
                batch.store_responses(job, self.options.evidence)
            return True

        try:
            progress = len(self.inventory_hosts) > 1 if self.options.progress is None else self.options.progress
            report = self.run.context.report if progress else None
            limits, pacing = self.options.limits, AUDIT_PACING
            Fleet(self.client, limits, report=report, run=self.run, pacing=pacing, save=store).run(jobs)
        finally:
            # An interrupt does not lose the IDs of submitted commands.
            changed = [job for job in jobs if job.changed]
            self.submitted += len(changed)
            self.submitted_to |= {str(job.server.id) for job in changed}
            for job in jobs:
                if (job.id or job.outcome) and id(job) not in stored:
                    store(job, job.output)

    def _create_job(self, batch: _CheckBatch) -> Job:
        """Return a job that awaits an unfinished command of the batch, or submits a new command if there is none."""
        unfinished = [
            command
            for command in self._recent.get(batch.key, ())
            if not command.finished and self._own_commands.include(command, batch.match)
        ]
        body = {**batch.match.to_body(), **({"env": batch.payload.env} if batch.payload else {})}
        if unfinished:
            return Job(batch.audited.server, body=body, command=unfinished[-1], adopted=True)
        return Job(batch.audited.server, body=body)


def collect_responses(options: AuditOptions, hosts: list[Host], settings: Settings, run: Run) -> WorkspaceCollector:
    """Collect the responses of the hosts of one workspace. Set C(error) of the collector instead of raising it."""
    with run.open_client(settings, quota_wait=options.limits.wait_timeout) as client:
        collector = WorkspaceCollector(client, options, hosts, run)
        try:
            collector.collect()
        except RunIsOver:
            raise
        except Exception as error:
            # An unexpected error must not end the audit of other workspaces.
            collector.mark_failed(error if isinstance(error, AlpaconError) else wrap_unexpected(error, run.no_log))
    return collector


def _detect_max_line(commands: Iterable[Command], has_env: bool | None) -> int | None:
    """Return the length of the longest line that a workspace accepts; None if it supports env.

    Args:
        has_env: the answer of the servers, which counts if there is no command.
    """
    command = next((command for command in commands if command.status in STATUSES), None)
    if command is None:
        return LINE_LENGTH_2024 if has_env is False else None
    # Workspaces with env are the ones that may send output in chunks.
    if command.may_have_chunks:
        return None
    return LINE_LENGTH if command.scheduled_at else LINE_LENGTH_2024
