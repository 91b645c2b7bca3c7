# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""Asking: one command for each server and account, of all servers of a workspace at once."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property

from ansible_collections.herdops.alpacon.plugins.module_utils._api.client import Client
from ansible_collections.herdops.alpacon.plugins.module_utils._api.commands import (
    Match,
    newest_commands,
    with_rc,
)
from ansible_collections.herdops.alpacon.plugins.module_utils._api.commands_of_servers import (
    NO_CLOCK,
    commands_of,
    end_of,
)
from ansible_collections.herdops.alpacon.plugins.module_utils._api.env_support import told_by_servers
from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import (
    HIDDEN,
    AlpaconError,
    ApiError,
    RunIsOver,
    unforeseen,
)
from ansible_collections.herdops.alpacon.plugins.module_utils._api.lists import NEWEST_FIRST
from ansible_collections.herdops.alpacon.plugins.module_utils._api.lost_submits import OwnCommands
from ansible_collections.herdops.alpacon.plugins.module_utils._api.records import (
    RAN,
    STATUSES,
    Command,
    Server,
)
from ansible_collections.herdops.alpacon.plugins.module_utils._api.servers import look_up
from ansible_collections.herdops.alpacon.plugins.module_utils._api.settings import Settings
from ansible_collections.herdops.alpacon.plugins.module_utils._carrier.answers import NO_VARIABLES
from ansible_collections.herdops.alpacon.plugins.module_utils._carrier.packing import Carried, TooLarge, pack
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.fleet import Fleet
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.jobs import Job
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.outcomes import outcome_of
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.pauses import wide_pause_at
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.run import Run

from .checks import Check
from .hosts import AuditedHost, Host, audited_host
from .options import AuditOptions
from .questions import CARRYING_SHELL, LONG, SECONDS, SHORT, compose, line_of, seconds_for
from .replies import replies_of, unanswered

#: So many requests are kept to read answers, at least, and for each command: it takes several looks until all are over.
_LEAST_READS, _READS_OF_COMMANDS = 8, 0.1
#: Commands that still wait are looked for among those of this time, in seconds.
_MAY_STILL_WAIT = 3600.0
#: What tells commands apart before anything else does: the server and the line.
_Key = tuple[str, str]


@dataclass(frozen=True)
class Question:
    """What one command asks of a server.

    Attributes:
        carried: what carries all the checks; None where the line of the command is that of the only one.
    """

    audited: AuditedHost
    match: Match
    checks: Sequence[Check]
    carried: Carried | None

    def body(self) -> dict[str, object]:
        """What submits it."""
        return {**self.match.body(), **({"env": self.carried.env} if self.carried else {})}

    def take(self, job: Job, limit: int, reused: bool = False) -> None:
        """Note what came back."""
        replies = replies_of(job, self.checks, self.carried is not None, limit, reused)
        self.audited.replies.update(replies)


@dataclass
class WorkspaceAudit:
    """An audit of the hosts of one workspace.

    Attributes:
        options: those of the whole audit.
        given: the hosts of this workspace.
        hosts: them with their servers and replies, as soon as these are known.
        submitted: how many commands were.
        left_out: how many check mode did not submit.
        commanded: the servers that commands were submitted to.
        refusal: why not all could be asked, if so.
    """

    client: Client
    options: AuditOptions
    given: list[Host]
    run: Run
    hosts: list[AuditedHost] = field(default_factory=list)
    submitted: int = 0
    left_out: int = 0
    commanded: set[str] = field(default_factory=set)
    refusal: str = ""
    #: How many requests the audit has made in other workspaces.
    spent: int = 0
    #: What was packed, by the checks that are in it.
    _packed: dict[tuple[int, ...], Carried | None] = field(default_factory=dict)
    #: The lines of checks, by the id of the check.
    _lines: dict[int, str] = field(default_factory=dict)
    #: How long a line may be in a workspace that hands no variables to servers; None of one that does, as far as
    #: anything tells.
    _longest_line: int | None = None
    #: Whether a command of the workspace told that.
    _told: bool = False

    def carry_out(self) -> None:
        """Find the servers, take what was answered lately, and ask for the rest."""
        has_env = self._find_servers()
        recent = self._recent()
        if not has_env and not self._told:
            for command in newest_commands(self.client):
                self._learn(command)
        if has_env is False and not self._told:
            self._longest_line = SHORT
        fleet = self._fleet()
        questions = [question for host in self.hosts for question in self._left(host, recent, fleet)]
        # Where there was nothing to reuse, a clock would change nothing.
        is_passed_over = any(_key(question.match) in recent for question in questions)
        if self.options.reuse_within and is_passed_over and not self.client.clock.is_known:
            self.run.warn(NO_CLOCK)
        if self.run.check_mode:
            self.left_out = len({question.match for question in questions})
            return
        empty = self._ask(self._within_budget(questions), recent)
        if empty:
            self._longest_line = self._longest_line or (LONG if self._told else SHORT)
            again = [one for old in empty for one in self._questions(old.audited, old.checks)]
            self._ask(self._within_budget(again), recent)

    def _within_budget(self, questions: Sequence[Question]) -> list[Question]:
        """The questions to as many whole servers as the budget holds, with what it takes to read their answers."""
        if self.options.budget is None:
            return list(questions)
        left = self.options.budget - self.spent - self.client.requests
        by_server: dict[str | None, list[Question]] = {}
        for question in questions:
            by_server.setdefault(question.audited.server.id, []).append(question)
        held: list[Question] = []
        not_asked = 0
        for of_server in by_server.values():
            commands = len({question.match for question in (*held, *of_server)})
            if commands + max(_LEAST_READS, commands * _READS_OF_COMMANDS) <= left:
                held += of_server
                continue
            not_asked += 1
            for question in of_server:
                reason = f"The budget of {self.options.budget} requests does not suffice for this server."
                question.audited.replies.update(
                    {check.name: unanswered(reason, asked=False) for check in question.checks}
                )
        if not_asked:
            self.run.warn(
                f"The budget of {self.options.budget} requests suffices for {len(by_server) - not_asked} of"
                f" {len(by_server)} servers. Audit again to ask the others: what passed is reused for a while."
            )
        return held

    def give_up(self, error: AlpaconError) -> None:
        """Leave open what has no answer: the workspace cannot be asked, and others can."""
        self.refusal = f"The workspace {self.client.settings.url} could not be asked: {error}"
        known = {audited.host.name: audited for audited in self.hosts}
        self.hosts = [known.get(host.name) or self._unknown(host) for host in self.given]
        for audited in self.hosts:
            audited.obstacle = audited.obstacle or self.refusal

    def _unknown(self, host: Host) -> AuditedHost:
        return AuditedHost(host, Server(None), list(host.checks))

    def _find_servers(self) -> bool | None:
        """Find them, and tell from their rows whether the workspace passes variables on; None where nothing tells."""
        references = list(dict.fromkeys(host.server for host in self.given))
        try:
            known: dict[str, list[Server]] | None = look_up(self.client, references, whole_rows=True)[0]
        except ApiError as error:
            if error.refuses_token or error.status not in HIDDEN:
                raise
            known = None
            self.run.warn(f"The list of servers cannot be read, so hosts need alpacon_server_id: {error}")
        for host in self.given:
            servers = None if known is None else known[host.server]
            self.hosts.append(audited_host(host, servers))
        return told_by_servers(server for servers in (known or {}).values() for server in servers)

    def _learn(self, command: Command) -> None:
        """Note what the row of a command tells: those of workspaces without variables have the status as an object."""
        if self._told or command.status not in STATUSES:
            return
        self._told = True
        if not command.may_have_chunks:
            self._longest_line = LONG if command.scheduled_at else SHORT

    def _fleet(self) -> Fleet:
        several = len(self.given) > 1
        progress = several if self.options.progress is None else self.options.progress
        return Fleet(
            self.client,
            self.options.limits,
            tell=self.run.tell if progress else None,
            run=self.run,
            pacing=wide_pause_at,
        )

    # What to ask

    def _questions(self, audited: AuditedHost, checks: Iterable[Check]) -> list[Question]:
        """The commands that ask these checks of a server: one for each account, and one for each other line."""
        if audited.server.id is None:
            return []
        accounts: dict[str | None, list[Check]] = {}
        lines: dict[Match, list[Check]] = {}
        for check in checks:
            if self._longest_line is None:
                accounts.setdefault(check.username, []).append(check)
                continue
            line = self._line(check)
            if len(line) > self._longest_line:
                audited.replies[check.name] = unanswered(_too_long(len(line), self._longest_line), reached=True)
                continue
            match = Match(audited.server.id, line, CARRYING_SHELL, check.username)
            lines.setdefault(match, []).append(check)
        carried = [one for username, asked in accounts.items() for one in self._carried(audited, username, asked)]
        return [*carried, *(Question(audited, match, asked, None) for match, asked in lines.items())]

    def _carried(self, audited: AuditedHost, username: str | None, checks: Sequence[Check]) -> list[Question]:
        """The commands that carry these checks: one, or more where they do not fit into one."""
        carried = self._pack(checks)
        if carried:
            match = Match(audited.server.id, carried.line, CARRYING_SHELL, username)
            return [Question(audited, match, checks, carried)]
        middle = len(checks) // 2
        return [
            one for half in (checks[:middle], checks[middle:]) for one in self._carried(audited, username, half) if half
        ]

    def _line(self, check: Check) -> str:
        """The line that asks one check, which is made once."""
        if id(check) not in self._lines:
            self._lines[id(check)] = line_of(check)
        return self._lines[id(check)]

    def _pack(self, checks: Sequence[Check]) -> Carried | None:
        """These checks, packed; None where they do not fit into one submit."""
        key = tuple(map(id, checks))
        if key not in self._packed:
            try:
                env = {SECONDS: seconds_for(self.options.limits.wait_timeout)}
                self._packed[key] = pack(*compose(checks), env=env, in_parts=True)
            except TooLarge:
                if len(checks) == 1:
                    raise
                self._packed[key] = None
        return self._packed[key]

    # What is known already

    def _recent(self) -> dict[_Key, list[Command]]:
        """Commands of the servers that may answer or be adopted, by server and line, the earliest end first."""
        ids = list(dict.fromkeys(str(host.server.id) for host in self.hosts if host.server.id and host.checks))
        if self.options.reuse_within is None or not ids:
            return {}
        seconds = max(self.options.reuse_within, _MAY_STILL_WAIT)

        def is_old(command: Command) -> bool:
            self._learn(command)
            # The first answer tells the offset between both clocks.
            return command.added_at is not None and command.added_at < self.client.clock.now() - timedelta(
                seconds=seconds
            )

        recent: dict[_Key, list[Command]] = {}
        for command in commands_of(self.client, ids, NEWEST_FIRST, is_old):
            recent.setdefault((str(command.server.id), command.line.strip()), []).append(command)
        for commands in recent.values():
            commands.sort(key=end_of)
        return recent

    def _left(self, audited: AuditedHost, recent: Mapping[_Key, list[Command]], fleet: Fleet) -> list[Question]:
        """What is to be asked of a server, after good answers of late have been taken.

        The questions that are left of a command are looked for as a command of their own: that is how they were asked
        again, if they were.

        Args:
            fleet: fetches the outputs of commands that are known.
        """
        looked_at: list[tuple[Question, Command | None]] = [
            (one, None) for one in self._questions(audited, audited.checks)
        ]
        left = []
        while looked_at:
            question, before = looked_at.pop()
            known = self._latest(question, recent, before)
            if known is None:
                left.append(question)
                continue
            job = Job(audited.server, command=known, outcome=outcome_of(known))
            fleet.fetch_output(job)
            question.take(job, self.options.output_limit, reused=True)
            again = [check for check in question.checks if not audited.replies[check.name].stays]
            for check in again:
                del audited.replies[check.name]
            if len(again) == len(question.checks):
                left.append(question)
            else:
                looked_at += [(one, known) for one in self._questions(audited, again)]
        return [] if audited.obstacle else left

    def _latest(
        self, question: Question, recent: Mapping[_Key, list[Command]], before: Command | None
    ) -> Command | None:
        """The command that ended last among those that answer a question, if it did not end before another."""
        seconds = self.options.reuse_within
        if not seconds or not self.client.clock.is_known:
            return None
        earliest = self.client.clock.now() - timedelta(seconds=seconds)
        if before:
            earliest = max(earliest, end_of(before))
        for command in reversed(recent.get(_key(question.match), ())):
            fits = command.status in RAN and command.ran and not command.error_phase and end_of(command) >= earliest
            if fits and self._own.include(command, question.match):
                return command if question.carried else _with_rc(self.client, command)
        return None

    @cached_property
    def _own(self) -> OwnCommands:
        """The commands that may answer: whoever may submit can have anything answered."""
        return OwnCommands(self.client)

    # Asking

    def _ask(self, questions: Iterable[Question], recent: Mapping[_Key, list[Command]]) -> list[Question]:
        """Ask, and return what came to the server without what carries it."""
        asked: dict[Match, list[Question]] = {}
        for question in questions:
            asked.setdefault(question.match, []).append(question)
        jobs = {match: self._job(alike[0], recent) for match, alike in asked.items()}
        if not jobs:
            return []
        try:
            self._fleet().run(list(jobs.values()))
        finally:
            # Whatever happens, the ids of what was submitted are kept.
            self.submitted += sum(job.changed for job in jobs.values())
            self.commanded |= {str(job.server.id) for job in jobs.values() if job.changed}
            self._take(asked, {match: job for match, job in jobs.items() if job.id})
        refusals = [job.error for job in jobs.values() if isinstance(job.error, ApiError) and job.error.refuses_token]
        if refusals and not self.submitted:
            raise refusals[0]
        if refusals:
            self.refusal = f"The workspace {self.client.settings.url} refused the token half way: {refusals[0]}"
        self._take(asked, {match: job for match, job in jobs.items() if not job.id})
        empty = [match for match, job in jobs.items() if job.output and job.output.refused == NO_VARIABLES]
        for match in empty:
            if command := jobs[match].command:
                self._learn(command)
        return [question for match in empty for question in asked[match]]

    def _take(self, asked: Mapping[Match, Sequence[Question]], jobs: Mapping[Match, Job]) -> None:
        for match, job in jobs.items():
            for question in asked[match]:
                question.take(job, self.options.output_limit)

    def _job(self, question: Question, recent: Mapping[_Key, list[Command]]) -> Job:
        """What asks a question: the same command that still waits, for an approval say, or a new one."""
        waiting = [
            command
            for command in recent.get(_key(question.match), ())
            if not command.finished and self._own.include(command, question.match)
        ]
        return Job(question.audited.server, body=question.body(), command=waiting[-1] if waiting else None)


def ask(
    options: AuditOptions, hosts: list[Host], settings: Settings, run: Run, spent: int = 0
) -> tuple[WorkspaceAudit, AlpaconError | None]:
    """The audit of one workspace, and why that could not be asked, if so.

    Args:
        spent: how many requests the audit has made before.
    """
    with run.client(settings) as client:
        client.deadline = time.monotonic() + options.limits.wait_timeout
        audit = WorkspaceAudit(client, options, hosts, run, spent=spent)
        try:
            audit.carry_out()
        except RunIsOver:
            raise
        except Exception as error:
            # What nobody has thought of costs the answers of this workspace, not those of others.
            failure = error if isinstance(error, AlpaconError) else unforeseen(error, run.no_log)
            audit.give_up(failure)
            return audit, failure
    return audit, None


def _too_long(length: int, most: int) -> str:
    why = "This workspace hands no variables to servers, so that each check is a line of its own"
    return f"{why}. It takes {length} characters, and {most} fit."


def _key(match: Match) -> _Key:
    return str(match.server_id), (match.line or "").strip()


def _with_rc(client: Client, command: Command) -> Command | None:
    """The command with its exit code, or None where it cannot be read any more."""
    try:
        return with_rc(client, command)
    except AlpaconError:
        return None
