# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A task about commands at work: what it orders, with what it works, and how far it is."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from .._api.client import Client
from .._api.commands import SENT, cancel, find_command, supports_env
from .._api.errors import UsageError
from .._api.lost_submits import OwnCommands
from .._api.records import Command, Server, is_uuid, normalize_uuid
from .._fleet.fleet import Fleet
from .._fleet.jobs import OK_OUTCOMES, Job, Outcome, get_digest, get_outcome
from .._fleet.run import HostLocks, Run
from .._fleet.sharing import Shared, resolve_servers
from .._options.connection import parse_settings
from .._options.secrets import mask_secrets
from .command_options import CommandOptions

NAMED_SERVERS = 5
#: Pauses between looks for what was submitted and is not listed yet, in seconds, and how old it is at the most.
VISIBLE_PAUSES = (0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 6.0, 6.0)

_ONCE = "A server gets the command of a task once, so nothing was submitted for this host."

_WITHOUT_ENV = "this workspace does not pass variables on to servers, so the line would run without them"


@dataclass
class Progress:
    """What a task has done so far, on the way to its result."""

    jobs: list[Job] = field(default_factory=list)
    before: list[str] = field(default_factory=list)
    after: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    #: Outcomes that are no failure in this state.
    ok_outcomes: frozenset[Outcome] = OK_OUTCOMES


@dataclass(frozen=True)
class CommandTask:
    """A task at work: what it orders, and with what it works.

    Attributes:
        hidden: the texts that no result may show.
    """

    client: Client
    options: CommandOptions
    run: Run
    shared: Shared | None
    hidden: set[str] = field(default_factory=set)

    def servers(self) -> list[Server]:
        """The servers that it names."""
        return resolve_servers(self.client, self.options.servers, "servers", self.shared, self.run.hosts)

    def check_env(self) -> None:
        """Refuse variables that the workspace would drop, so that the line would run without them.

        Without its variables, a line that only unpacks what it carries runs nothing, and says so.

        Raises:
            UsageError: it would drop them.
        """
        if self.options.has_payload or "env" not in self.options.extra:
            return

        def find() -> str:
            return json.dumps(supports_env(self.client))

        shared = self.run.shared(self.client.settings)
        if json.loads(shared.compute_once("supports_env", find) if shared else find()) is False:
            raise UsageError("env", _WITHOUT_ENV, "Set what is no secret in the line, such as LANG=C ls.")

    def lock_servers(self, servers: Sequence[Server]) -> None:
        """Make sure that no other host of the task submits the same to one of these servers.

        Raises:
            UsageError: another host does.
        """
        if self.run.host_locks:
            lock_servers(self.run.host_locks, self.options, self.client.settings.url, servers)

    def gone(self) -> set[str]:
        """The commands that this run has withdrawn, which lists may still show."""
        submitted = self.run.submitted
        return {command for command, row in submitted.read_rows().items() if row.get("gone")} if submitted else set()

    def believes(self, command: Command) -> bool:
        """Whether the answer of a command that has the line is believed: others may have anything carried by it."""
        return not self.options.has_payload or self._own.include(command, self.options.match(command.server.id))

    @cached_property
    def _own(self) -> OwnCommands:
        return OwnCommands(self.client)

    def cancel(self, command_id: str) -> str:
        """Withdraw a command, see :func:`cancel`."""
        done = cancel(self.client, command_id)
        if done != SENT and self.run.submitted:
            self.run.submitted.add({"id": command_id, "gone": True})
        return done

    def fleet(self, **limits: Any) -> Fleet:
        """A fleet within the limits of the task, but for those that are given."""
        return Fleet(
            self.client,
            replace(self.options.limits, **limits),
            report=self.run.report if self.options.progress else None,
            report_offline=(lambda _text: None) if self.options.silent else self.run.report,
            run=self.run,
            shared=self.shared,
            hide=lambda text: str(mask_secrets(text, self.hidden)),
        )


def lock_named_servers(host_locks: HostLocks, options: Mapping[str, Any]) -> None:
    """Make sure that no other host names the same servers for the same, before the module runs elsewhere.

    No request is made: only the names of the servers are compared.

    Raises:
        UsageError: another host does.
    """
    checked = CommandOptions.from_options(options)
    servers = [Server(normalize_uuid(name)) if is_uuid(name) else Server(None, name) for name in checked.servers]
    # A file of certificates is on the host that the module goes to.
    settings = parse_settings({**options, "ca_path": None})
    lock_servers(host_locks, checked, settings.url, servers)


def lock_servers(host_locks: HostLocks, options: CommandOptions, url: str, servers: Sequence[Server]) -> None:
    """Raise :class:`UsageError` where another host of the task submits something of this."""
    # Another workspace may have a server of the same name or UUID.
    what = f"{url} {get_digest(options.body(Server(None)))}"
    # Under both, since of what is submitted elsewhere only one of them may be known.
    known = {key: server for server in servers for key in (server.id, server.name) if key}
    taken = host_locks.acquire([(key, what) for key in known])
    if taken:
        key, host = taken
        server = host_locks.own or str(known[key])
        raise UsageError(
            "servers", f"{server} gets this command for host {host} of the task", f"{_ONCE} {host_locks.remedy}"
        )


def fetch_outputs(fleet: Fleet, jobs: Sequence[Job]) -> None:
    for job in jobs:
        if job.output is None:
            fleet.fetch_output(job)


def placeholder(command_id: str) -> Command:
    return Command(command_id, Server(None), line="", shell="", status="unknown")


def await_parents(task: CommandTask, jobs: Sequence[Job]) -> bool:
    """Await what the jobs are to run after, where the workspace may not; whether they may be submitted.

    Workspaces that give the status as an object deliver a command at once, whatever it is to run after.
    """
    ids = task.options.extra.get("run_after") if jobs else None
    parents = [_parent(task, command_id) for command_id in ids or ()]
    if all(parent.may_have_chunks for parent in parents):
        return True
    awaited = [Job(parent.server, command=parent) for parent in parents]
    # They are not this task's own: nothing is cancelled, and its codes are not theirs.
    task.fleet(cancel_on_timeout=False, offline="wait", success_codes=frozenset((0,))).run(awaited)
    bad = next((job for job in awaited if job.outcome != Outcome.SUCCESS), None)
    if bad is None:
        return True
    outcome = Outcome.PARENT_FAILED if bad.known.finished else Outcome.NOT_TRIED
    for job in jobs:
        job.finish(outcome, f"{outcome.sentence} It was to run after {bad.id}, which is {bad.outcome}.")
    return False


def check_parents(task: CommandTask) -> None:
    """Refuse to schedule behind a command that failed, or where the workspace may not wait for one that runs."""
    for command_id in task.options.extra.get("run_after") or ():
        parent = _parent(task, command_id)
        if get_outcome(parent) == Outcome.SUCCESS:
            continue
        # Whether one in error ran is not known, and it may yet be delivered.
        if parent.finished and parent.ran is not None:
            raise UsageError(
                "run_after",
                f"{command_id} is {parent.status}, and what is scheduled after it never runs",
                "Give the id of a command that succeeded or is to come, or leave it out.",
            )
        if not parent.may_have_chunks:
            raise UsageError(
                "run_after",
                f"{command_id} is {parent.status}, and this workspace does not hold what is scheduled back for it",
                "Await it with state=finished first, then schedule.",
            )


def _parent(task: CommandTask, command_id: str) -> Command:
    submitted = task.run.submitted
    own = submitted is not None and command_id in submitted.read_rows()
    # What this run has submitted may not be visible yet.
    for pause in (*VISIBLE_PAUSES, None) if own else (None,):
        command = find_command(task.client, command_id)
        if command:
            return command
        if pause:
            time.sleep(pause)
    raise UsageError(
        "run_after", f"there is no command {command_id}, or the token may not see it", "Give ids of commands there are."
    )
