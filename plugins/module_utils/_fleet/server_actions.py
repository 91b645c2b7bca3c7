# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Decide when the agent of a server has carried out an action."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Callable

from .._api.client import Client
from .._api.errors import ApiError, clean_line
from .._api.records import Command, Server, to_iso
from .._api.servers import find_whole_servers, query_servers
from .._options.values import version_key
from .completion import Poll, describe_offline, time_out
from .jobs import Job, Limits, Outcome, get_outcome
from .pacing import PACING, Pacing
from .sharing import SharedServers
from .upgrade_results import UpgradeResult, installed_nothing, is_same_version, parse_upgrade

#: A restart takes seconds, an upgrade minutes, and each poll reads two lists.
ACTION_PACING = Pacing(
    first_poll=2.0, young_growth=1.0, alone=3.0, alone_growth=0.3, alone_longest=60.0, steady=2.0, growth=0.25,
    longest=30.0, per_page=1.0,
)  # fmt: skip
#: The package restarts the agent by a timer of five minutes, which systemd may run a minute late.
_LATE_RESTART = 420.0
#: After a pinned upgrade, the agent has five minutes to prove healthy. Two minutes later, the old version is installed
#: again if it did not, which takes a minute.
_HEALTH_WINDOW = 480.0
#: Results of upgrades that installed nothing.
_UNCHANGED = (UpgradeResult.NOTHING, UpgradeResult.UNSTATED)
_NO_NEWER = "The workspace, or the package repository of the server, may offer no newer one."
_NO_RESTART = "Or the agent has not restarted since the upgrade."
#: Seconds for which the state of a server before an action may be that which another worker has read.
_NEW_ENOUGH = 1.0
#: In characters.
_SHOWN_RESULT = 300
#: The field of a server in which each action shows its effect.
_NEEDED_FIELDS = {"upgrade_agent": "version", "restart_agent": "started_at"}


@dataclass
class Target:
    """A server of a task.

    Attributes:
        before: the server before the action.
        server: the server as it was read last.
        read_at: monotonic seconds of that; 0 before the first poll.
        ended_at: monotonic seconds of the poll that found that the command had ended; 0 before.
        upgraded_at: monotonic seconds of the poll that found another version; 0 before.
        new_version: the version that was found then.
        doubted_at: monotonic seconds of the poll that found a start which may be an earlier one; 0 before.
    """

    job: Job
    before: Server
    server: Server = field(init=False)
    read_at: float = 0.0
    ended_at: float = 0.0
    upgraded_at: float = 0.0
    new_version: str = ""
    doubted_at: float = 0.0

    def __post_init__(self) -> None:
        self.server = self.before

    @property
    def is_upgraded(self) -> bool:
        return self.server.version not in (None, self.before.version)

    def parse_upgrade(self) -> tuple[UpgradeResult, str]:
        return parse_upgrade(self.job.command, self.server.version)

    def get_health_end(self) -> float:
        """Return the monotonic time from which on the agent keeps its new version; 0 if that is not due."""
        result, _version = self.parse_upgrade()
        if result is UpgradeResult.PINNED:
            return self.ended_at and self.ended_at + _HEALTH_WINDOW
        # Another upgrade, or one whose result is lost, may be a pinned one.
        is_possible = result in (UpgradeResult.IN_PROGRESS, UpgradeResult.UNKNOWN)
        return self.upgraded_at + _HEALTH_WINDOW if self.upgraded_at and is_possible else 0.0


def _get_received_at(command: Command | None) -> datetime | None:
    """Return when the agent had a command, as far as that is known.

    An agent reports its start up to 31 s late, and the workspace states when the report arrived. So a later start than
    the one before the task may be that of an earlier restart.
    """
    return (command.acked_at or command.delivered_at or command.added_at) if command else None


class ServerReader:
    """Read servers from the list of all servers, or one by one if the rows of that list lack a field.

    Args:
        field: the needed field; None if no field is needed.
        shared: reads the list for all workers of a task; None to read alone.
    """

    def __init__(self, field: str | None, shared: SharedServers | None = None) -> None:
        self._field = field
        self._shared = shared
        self._reads_each = False

    def complete(self, servers: Iterable[Server], client: Client) -> list[Server]:
        """Return servers with the needed field, without their rows. A deleted server is returned as it is."""
        return [self._complete(server, client).without_row() for server in servers]

    def find(self, references: Sequence[str], client: Client) -> list[Server]:
        """Return the server of each name or UUID before the action, in order.

        Raises:
            UsageError: see :func:`find_whole_servers`.
        """
        if self._shared and len(references) == 1:
            # If hosts begin one by one, each reads the list, which must not cost more than the server alone.
            found, _began = self._shared.find(references[0], client, 1, lambda _pages: _NEW_ENOUGH)
            if len(found) == 1:
                return found
        return find_whole_servers(client, references, "servers")

    def read(self, ids: Sequence[str], client: Client, age: float) -> tuple[dict[str, Server], float]:
        """Return the servers with these UUIDs, without those that do not exist, and the monotonic time of the read.

        Args:
            age: seconds since the task began to await the actions.
        """
        if self._shared and len(ids) == 1 and not self._reads_each:
            workers = self._shared.count_awaited()

            def get_valid(pages: int) -> float:
                # The list costs no more requests than if each worker read its own server.
                return ACTION_PACING.get_pause(age, workers // pages)

            shared, began = self._shared.find(ids[0], client, workers, get_valid)
            if shared:
                return {str(server.id): server for server in self.complete(shared, client)}, began
        now = time.monotonic()
        return self._read(ids, client), now

    def _read(self, ids: Sequence[str], client: Client) -> dict[str, Server]:
        if self._reads_each:
            found = [server for server_id in ids for server in query_servers(client, [server_id])[0][server_id]]
        else:
            by_id, _names = query_servers(client, ids, whole_rows=True)
            found = [server for servers in by_id.values() for server in servers]
        return {str(server.id): server for server in self.complete(found, client)}

    def _complete(self, server: Server, client: Client) -> Server:
        if self._field is None or self._field in server.fields:
            return server
        self._reads_each = True
        return next(iter(query_servers(client, [str(server.id)])[0][str(server.id)]), server)


class ActionRules:
    """The rules of an action: the state of a server may show its end, and that of a restart is shown by nothing else.

    Args:
        version: the version that an upgrade has to reach; empty for any.
        shared: see :class:`ServerReader`.
    """

    def __init__(self, limits: Limits, action: str, version: str, shared: SharedServers | None = None) -> None:
        self._limits = limits
        self._action = action
        self.ends_with_command = action not in ("upgrade_agent", "restart_agent")
        self.other_requests = 0
        self._version = version
        self.reader = ServerReader(_NEEDED_FIELDS.get(action), shared)
        self._began = time.time()
        #: By the identity of the job.
        self._targets: dict[int, Target] = {}

    def make_targets(
        self, servers: Iterable[Server], client: Client, make_body: Callable[[str | None], dict[str, Any]]
    ) -> list[Target]:
        """Return a target for each server. The job of an agent that has the version already is finished.

        Args:
            make_body: returns the body of the submit for a server's ID.
        """
        for server in self.reader.complete(servers, client):
            target = Target(Job(server, make_body(server.id)), server)
            if self._version and not self._lacks_version(target):
                version = clean_line(server.version)
                target.job.finish(Outcome.SUCCESS, f"The agent has version {version} already.")
            self._targets[id(target.job)] = target
        return list(self._targets.values())

    def read(self, jobs: Sequence[Job], client: Client, poll: Poll, newest_only: bool) -> None:
        """Poll the commands that have not ended, then read the servers whose state may decide."""
        unfinished = [job for job in jobs if not job.submitted.finished]
        if unfinished:
            poll(unfinished)
        self._read_servers(jobs, client)

    def _read_servers(self, jobs: Sequence[Job], client: Client) -> None:
        now, client = time.monotonic(), client.until()
        targets = [self._targets[id(job)] for job in jobs]
        unsure = [target for target in targets if self._depends_on_server(target, now)]
        found: dict[str, Server] = {}
        read_at = now
        if unsure:
            age = now - min(target.job.awaited_since or now for target in unsure)
            found, read_at = self.reader.read([str(target.before.id) for target in unsure], client, age)
        self.other_requests = client.requests
        for target in unsure:
            if str(target.before.id) in found:
                target.server, target.read_at = found[str(target.before.id)], read_at

    def _depends_on_server(self, target: Target, now: float) -> bool:
        command, end = target.job.command, self._limits.get_end(target.job)
        if self._action != "upgrade_agent":
            return self._action == "restart_agent"
        health_end = target.get_health_end()
        if health_end:
            return now >= min(health_end, end)
        # An upgrade takes longer than a restart, and its end may be lost by a restart.
        is_old = now >= min(target.job.awaited_since + PACING.running, end)
        return command is None or is_old or command.finished

    # Outcomes

    def complete(self, job: Job) -> None:
        """Finish a job by the state of its server, or by the end of its command."""
        target, now = self._targets[id(job)], time.monotonic()
        outcome = get_outcome(job.submitted)
        if outcome:
            target.ended_at = target.ended_at or now
        self._complete_by_server(target)
        if job.outcome:
            return
        if job.submitted.status == "awaiting_approval":
            job.finish(Outcome.AWAITING_APPROVAL, Outcome.AWAITING_APPROVAL.explain(job.id))
        elif outcome and not target.get_health_end():
            self._complete_by_command(target, outcome, now)
        elif self.ends_with_command and 0 < job.missing_since <= now - PACING.patience:
            time_out(job, self._limits)

    def settle_lost(self, jobs: Sequence[Job], client: Client) -> None:
        """Finish the jobs whose servers show that they are done."""
        # An unexpected error must not lose the IDs of the other commands.
        with contextlib.suppress(Exception):
            self._read_servers(jobs, client)
            for job in jobs:
                self._complete_by_server(self._targets[id(job)])
                if job.outcome:
                    job.changed = True
                    job.add_note("The response to its submit was lost.")

    def is_final(self, error: ApiError) -> bool:
        """Return True if the API refuses the token. Without access to commands, the servers may still decide."""
        return error.refuses_token and not error.is_unauthenticated

    def _complete_by_server(self, target: Target) -> None:
        """Finish a job if its agent is connected again with another version or a later start."""
        if target.server.is_connected is False:
            return
        if self._action == "upgrade_agent":
            self._complete_by_version(target)
        elif self._action == "restart_agent" and self._was_restarted(target):
            target.job.finish(Outcome.SUCCESS, f"Restarted at {to_iso(target.server.started_at)}.")

    def _complete_by_version(self, target: Target) -> None:
        """Finish the job of an upgrade if the agent has another version, once it is certain to keep it."""
        job, server, (result, wanted) = target.job, target.server, target.parse_upgrade()
        if server.version is None or result in (*_UNCHANGED, UpgradeResult.REFUSED):
            return
        if target.is_upgraded and not target.upgraded_at:
            target.upgraded_at, target.new_version = target.read_at, server.version
        health_end = target.get_health_end()
        if target.read_at < health_end or not (health_end or target.is_upgraded):
            return
        new = wanted or target.new_version
        version, old = clean_line(server.version), clean_line(target.before.version or "an unknown version")
        if health_end and not is_same_version(new, server.version):
            job.finish(Outcome.FAILED, f"Upgraded from {old} to {clean_line(new)}, and rolled back to {version}.")
        elif self._lacks_version(target):
            job.finish(Outcome.FAILED, f"Upgraded from {old} to {version} only. {_NO_NEWER}")
        else:
            job.finish(Outcome.SUCCESS, f"Upgraded from {old} to {version}.")

    def _was_restarted(self, target: Target) -> bool:
        job, started, before = target.job, target.server.started_at, target.before.started_at
        if started is None:
            return False
        # An earlier attempt of the task may have submitted it, before this one read the server.
        is_earlier = job.record and job.record.sent_at < self._began
        received = _get_received_at(job.command)
        if (received and started < received) or job.submitted.status == "queued":
            if before is None or started <= before:
                return False
            target.doubted_at = target.doubted_at or time.monotonic()
            # By then a report of the restart has arrived too, unless the clock of the agent is behind.
            return time.monotonic() >= target.doubted_at + PACING.patience
        return bool(is_earlier and received) or before is None or started > before

    def _complete_by_command(self, target: Target, outcome: Outcome, now: float) -> None:
        job = target.job
        why = (
            job.submitted.error_phase or (job.submitted.result or "").strip()[-_SHOWN_RESULT:] or "no reason is stated."
        )
        if outcome == Outcome.SUCCESS and self._action == "update_information":
            job.finish(Outcome.SUCCESS, "Updated.")
        elif outcome == Outcome.SUCCESS and self._action == "install_pam":
            job.changed = not installed_nothing(job.submitted.result or "")
            job.finish(Outcome.SUCCESS, "Installed." if job.changed else "Nothing was installed. It is there already.")
        elif outcome == Outcome.SUCCESS and self._action == "upgrade_agent":
            self._complete_unchanged(target, now)
        elif job.submitted.ran is False:
            job.finish(outcome)
        elif self._action == "upgrade_agent" and target.parse_upgrade()[0] is UpgradeResult.REFUSED:
            job.changed = False
            job.finish(outcome, f"Nothing was installed. {clean_line(why)}")
        # A restart may end its own command, or that of an upgrade.
        elif outcome != Outcome.SUCCESS and (self.ends_with_command or now >= target.ended_at + PACING.patience):
            job.finish(outcome, f"The command failed: {clean_line(why)}")

    def _complete_unchanged(self, target: Target, now: float) -> None:
        """Finish the job of an upgrade whose command ended, if no restart of the agent will follow."""
        job, server, (result, _wanted) = target.job, target.server, target.parse_upgrade()
        is_other = result is UpgradeResult.IN_PROGRESS
        late = _HEALTH_WINDOW if is_other else _LATE_RESTART
        is_late = now >= target.ended_at + late and server.is_connected is not False
        # The agent may still restart with the package of an earlier upgrade.
        wait = _LATE_RESTART if result is UpgradeResult.UNSTATED else PACING.patience
        is_lagging = self._lacks_version(target) and now < target.ended_at + wait
        is_current = result in _UNCHANGED
        if is_lagging or not (is_late or is_current):
            return
        # Otherwise it may have installed another package, or one that the agent has not restarted with.
        job.changed = not (is_current or is_other)
        version = clean_line(server.version or "an unknown version")
        if is_other:
            job.finish(
                Outcome.FAILED,
                f"Another upgrade was in progress, and the agent still has {version}. Run the task again.",
            )
        elif self._lacks_version(target):
            job.finish(Outcome.FAILED, f"The agent still has {version}, not {self._version}. {_NO_NEWER} {_NO_RESTART}")
        elif is_current:
            job.finish(Outcome.SUCCESS, f"Nothing was installed. The agent has {version}.")
        else:
            job.finish(Outcome.SUCCESS, f"The upgrade succeeded, and the agent still runs {version}.")

    def _lacks_version(self, target: Target) -> bool:
        """Return True if the agent has no version, or an older one than the wanted version."""
        if not self._version:
            return False
        version = target.server.version
        return version is None or version_key(version[:64].removeprefix("v")) < version_key(self._version)

    def time_out(self, job: Job) -> None:
        """Finish a job that timed out with the last known state of its server."""
        target = self._targets[id(job)]
        server = target.server
        if self.ends_with_command:
            time_out(job, self._limits)
            return
        ended = f"The last status of its command is {job.submitted.status}."
        if server.is_connected is False:
            named = replace(server, name=server.name or job.server.name)
            why = f"The agent has not come back: {describe_offline(named)}."
        elif self._action == "restart_agent":
            why = "The workspace has seen no new start of its agent."
        elif target.is_upgraded:
            why = f"The agent has {clean_line(server.version)} now, and may still be rolled back."
        else:
            why = f"The agent still has {clean_line(server.version or 'an unknown version')}."
        failed = f" The last poll failed: {job.error}" if job.error else ""
        job.finish(Outcome.TIMED_OUT, f"Not finished within wait_timeout. {why} {ended}{failed}")
