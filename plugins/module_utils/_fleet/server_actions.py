# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Submit an action to many servers, and wait until their agents have carried it out."""

from __future__ import annotations

import re
import time
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Callable

from .._api.client import Client
from .._api.errors import AlpaconError, ApiError, RunIsOver, clean_line, wrap_unexpected
from .._api.records import Command, Server, to_iso
from .._api.servers import query_servers
from .._options.values import version_key
from .completion import describe_offline, time_out
from .fleet import THREADS, ProgressReporter
from .jobs import Job, Limits, Outcome, get_outcome
from .pacing import PACING, Pacing
from .poller import Poller
from .run import Run
from .submitting import LostSubmitFinder, Submitter, describe_stop

#: A restart takes seconds, an upgrade minutes, and each poll reads two lists.
ACTION_PACING = Pacing(
    first_poll=2.0, young_growth=1.0, alone=3.0, alone_growth=0.3, alone_longest=60.0, steady=2.0, growth=0.25,
    longest=30.0, per_page=1.0,
)  # fmt: skip
#: The package restarts the agent by a timer of five minutes, which systemd may run a minute late.
_LATE_RESTART = 420.0
#: The agent's own words, and those of apt, dnf, zypper and yum, for an upgrade that installed nothing. The agent states
#: the version that runs, and apt the installed one.
_NOTHING_INSTALLED = re.compile(
    r"\AAlready up-to-date(?: \(alpamon: (?P<running>[^,)\s]+))?"
    r"|(?<![\w-])alpamon is already the newest version(?: \((?P<installed>[^)\s]+)\))?"
    r"|^Nothing to do\.|^No packages marked for update",
    re.MULTILINE,
)
_NO_NEWER = "The package repository of the server may have no newer one."
_NO_RESTART = "Or the agent has not restarted since the upgrade."
#: In characters.
_SHOWN_RESULT = 300


@dataclass
class Target:
    """A server of a task.

    Attributes:
        before: the server before the action.
        server: the server as it was read last.
        ended_at: monotonic seconds of the poll that found that the command had ended; 0 before.
    """

    job: Job
    before: Server
    server: Server = field(init=False)
    ended_at: float = 0.0

    def __post_init__(self) -> None:
        self.server = self.before

    @property
    def is_upgraded(self) -> bool:
        return self.server.version not in (None, self.before.version)


def has_version(server: Server, wanted: str) -> bool:
    """Return True if the agent of a server has this version or a newer one; False if its version is unknown."""
    return server.version is not None and version_key(server.version[:64].removeprefix("v")) >= version_key(wanted)


class ServerReader:
    """Read servers from the list of all servers, or one by one if the rows of that list lack a field.

    Args:
        field: the needed field; None if no field is needed.
    """

    def __init__(self, client: Client, field: str | None) -> None:
        self._client = client
        self._field = field
        self._reads_each = False

    def complete(self, servers: Iterable[Server]) -> list[Server]:
        """Return servers with the needed field, without their rows. A deleted server is returned as it is."""
        return [self._complete(server).without_row() for server in servers]

    def read(self, ids: Sequence[str]) -> dict[str, Server]:
        """Return the servers with these UUIDs, without those that do not exist."""
        if self._reads_each:
            found = [server for server_id in ids for server in query_servers(self._client, [server_id])[0][server_id]]
        else:
            by_id, _names = query_servers(self._client, ids, whole_rows=True)
            found = [server for servers in by_id.values() for server in servers]
        return {str(server.id): server for server in self.complete(found)}

    def _complete(self, server: Server) -> Server:
        if self._field is None or self._field in server.fields:
            return server
        self._reads_each = True
        return next(iter(query_servers(self._client, [str(server.id)])[0][str(server.id)]), server)


class ServerActions:
    """Submit the jobs of an action in threads, and poll until each has an outcome.

    Args:
        version: the version that an upgrade has to reach; empty for any.
        post: see :class:`.Submitter`.
    """

    def __init__(
        self,
        client: Client,
        run: Run,
        limits: Limits,
        action: str,
        version: str,
        reader: ServerReader,
        post: Callable[..., Command],
    ) -> None:
        self._client = client
        self._run = run
        self._limits = limits
        self._action = action
        self._version = version
        self._reader = reader
        self._submitter = Submitter(client, run, post)
        self._lost = LostSubmitFinder(self._submitter, limits, run.no_log)
        self._poller = Poller(client, None, limits.wait_timeout, ACTION_PACING)
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="alpacon")
        self._began = time.time()
        self._to_submit: deque[Target] = deque()
        self._awaited: list[Target] = []
        #: Number of finished jobs: successes by True, failures by False.
        self._finished: Counter[bool] = Counter()
        #: Monotonic seconds.
        self._next_poll = 0.0
        self._polled_at = time.monotonic()
        self._stop_reason = ""

    def run(self, targets: Sequence[Target]) -> None:
        """Submit the action once to each server whose job has no outcome yet, and finish all jobs. Runs once.

        Raises:
            RunIsOver: the run ended before this worker; the journal has the IDs of the unfinished commands.
        """
        self._to_submit.extend(target for target in targets if not target.job.outcome)
        self._awaited.extend(target for target in targets if target.job.outcome)
        self._take_finished()
        self._client.submit_deadline = time.monotonic() + self._limits.wait_timeout
        self._client.awaited_ids = lambda: [target.job.id for target in self._awaited if target.job.id]
        progress = ProgressReporter(
            self._run.context.report if len(targets) > 1 else None, lambda _text: None, self._submitter.journal
        )
        try:
            while self._to_submit or self._awaited:
                self._run.check_not_over()
                self._run.context.report_journal()
                known = [target.job for target in self._awaited if target.job.command]
                progress.report(len(self._to_submit), known, self._finished, len(self._lost.jobs))
                self._submit_some()
                self._wait()
        except RunIsOver:
            # Responses that arrive now still add their command IDs to the journal.
            self._pool.shutdown(wait=True, cancel_futures=True)
            raise
        finally:
            # After an interrupt, do not wait for requests that hang.
            self._pool.shutdown(wait=False, cancel_futures=True)
        # The result names the commands, so the journal need not, unless no process reads the result any more.
        self._run.check_not_over()
        self._submitter.finish([target.job for target in targets])

    def _submit_some(self) -> None:
        limit = self._limits.max_concurrency
        room = THREADS if limit is None else min(THREADS, limit - len(self._awaited))
        batch = (
            []
            if self._stop_reason
            else [self._to_submit.popleft() for _number in range(min(room, len(self._to_submit)))]
        )
        for _done in self._pool.map(self._submit, batch):
            pass
        now = time.monotonic()
        self._client.deadline = now + self._limits.wait_timeout
        for target in batch:
            job = target.job
            if job.lost and not (job.command or job.outcome):
                self._lost.add(job)
            elif not (job.outcome or self._limits.wait):
                job.finish(Outcome.PENDING)
            job.awaited_since = now
            self._awaited.append(target)
        self._take_finished()
        if batch:
            self._next_poll = now + ACTION_PACING.get_first_poll()
        if self._stop_reason:
            for target in self._to_submit:
                target.job.finish(Outcome.NOT_TRIED, self._stop_reason)
            self._to_submit.clear()

    def _submit(self, target: Target) -> None:
        try:
            self._submitter.submit(target.job)
        except RunIsOver:
            raise
        except Exception as error:
            # An unexpected error must not lose the IDs of the other commands.
            unexpected = wrap_unexpected(error, self._run.no_log)
            target.job.finish(Outcome.UNKNOWN, f"{Outcome.UNKNOWN.sentence} {unexpected}", unexpected)
            target.job.changed = True

    def _take_finished(self) -> None:
        """Count the jobs that have an outcome, and await the others."""
        for target in self._awaited:
            job = target.job
            if job.outcome:
                job.command = job.command.without_result() if job.command else None
                self._finished[job.outcome.is_ok] += 1
                if not job.outcome.is_ok:
                    stop = describe_stop(job, self._finished[False], self._limits)
                    self._stop_reason = stop or self._stop_reason
        self._awaited = [target for target in self._awaited if not target.job.outcome]

    def _wait(self) -> None:
        """Sleep for a moment, or poll if a poll is due; submit first if there is room."""
        if not self._awaited:
            return
        limit = self._limits.max_concurrency
        is_busy = bool(self._to_submit) and (limit is None or len(self._awaited) < limit)
        if is_busy:
            busy_pause = PACING.submitting if self._limits.max_errors is None else PACING.failing
            due = self._polled_at + busy_pause
        else:
            # A lost submit ends with its search.
            ends = [self._get_end(target) for target in self._awaited if target.job.command]
            due = min(self._next_poll, self._lost.next_search, *ends)
        pause = due - time.monotonic()
        if pause > 0:
            time.sleep(0.0 if is_busy else min(pause, 1.0))
            return
        sent, failure = self._client.requests, None
        try:
            self._poll()
        except AlpaconError as error:
            failure = error
        self._polled_at = now = time.monotonic()
        for target in self._awaited:
            target.job.error = failure or target.job.error
            self._complete(target, now)
        self._take_finished()
        self._next_poll = now + self._get_pause(now, self._client.requests - sent)

    def _get_end(self, target: Target) -> float:
        return target.job.awaited_since + self._limits.wait_timeout

    def _get_pause(self, now: float, requests: int) -> float:
        """Return the pause until the next poll, given the number of requests that one takes."""
        if not self._awaited:
            return 0.0
        age = now - max(target.job.awaited_since for target in self._awaited)
        pause = ACTION_PACING.get_pause(age, len(self._awaited), max(1, requests))
        return max(pause, min(age, self._client.get_quota_pause(requests) or 0.0))

    # Polls

    def _poll(self) -> None:
        """Read the commands that have not ended, then the servers whose state may decide."""
        now = time.monotonic()
        if now >= self._lost.next_search:
            for job in self._lost.search():
                if not (job.outcome or self._limits.wait):
                    job.finish(Outcome.PENDING)
        jobs = [target.job for target in self._awaited if target.job.command and not target.job.command.finished]
        if jobs:
            self._poller.poll(jobs, self._pool.map)
        unsure = [target for target in self._awaited if self._depends_on_server(target, now)]
        found = self._reader.read([str(target.before.id) for target in unsure]) if unsure else {}
        for target in unsure:
            target.server = found.get(str(target.before.id), target.server)

    def _depends_on_server(self, target: Target, now: float) -> bool:
        command = target.job.command
        if self._action != "upgrade_agent":
            return self._action == "restart_agent"
        # An upgrade takes longer than a restart, and its end may be lost by a restart.
        is_old = now >= min(target.job.awaited_since + PACING.running, self._get_end(target))
        return command is None or is_old or command.finished

    # Outcomes

    def _complete(self, target: Target, now: float) -> None:
        """Finish a job by the state of its server, the end of its command, or its timeout."""
        job, command = target.job, target.job.command
        if self._complete_by_server(target):
            return
        outcome = get_outcome(command) if command else None
        if command and not job.outcome:
            if command.status == "awaiting_approval":
                job.finish(Outcome.AWAITING_APPROVAL)
            elif outcome:
                target.ended_at = target.ended_at or now
                self._complete_by_command(target, outcome, now)
            elif self._action == "update_information" and 0 < job.missing_since <= now - PACING.patience:
                time_out(job, self._limits)
        if not job.outcome and now >= self._get_end(target) and (command or not job.lost):
            self._time_out(target)
        elif isinstance(job.error, ApiError) and job.error.refuses_token and command and not job.outcome:
            job.finish(Outcome.UNKNOWN, f"Submitted, but its outcome cannot be read: {job.error}")

    def _complete_by_server(self, target: Target) -> bool:
        """Finish a job if its agent is connected again with another version or a later start."""
        job, server = target.job, target.server
        if server.is_connected is False:
            return False
        if self._action == "upgrade_agent" and target.is_upgraded and not _installed_nothing(target):
            version, old = clean_line(server.version), clean_line(target.before.version or "an unknown version")
            if self._lacks_version(target):
                job.finish(Outcome.FAILED, f"Upgraded from {old} to {version} only. {_NO_NEWER}")
            else:
                job.finish(Outcome.SUCCESS, f"Upgraded from {old} to {version}.")
        elif self._action == "restart_agent" and self._was_restarted(target):
            job.finish(Outcome.SUCCESS, f"Restarted at {to_iso(server.started_at)}.")
        else:
            return False
        if job.command is None:
            job.changed = True
            job.add_note("The response to its submit was lost.")
        return True

    def _was_restarted(self, target: Target) -> bool:
        job, started, before = target.job, target.server.started_at, target.before.started_at
        # An earlier attempt of the task may have submitted it, before this one read the server.
        is_earlier = job.record and job.record.sent_at < self._began
        if is_earlier and started and job.command and job.command.added_at:
            return started > job.command.added_at
        return started is not None and (before is None or started > before)

    def _complete_by_command(self, target: Target, outcome: Outcome, now: float) -> None:
        job = target.job
        if outcome == Outcome.SUCCESS and self._action == "update_information":
            job.finish(Outcome.SUCCESS, "Updated.")
        elif outcome == Outcome.SUCCESS and self._action == "upgrade_agent":
            self._complete_unchanged(target, now)
        elif job.known.ran is False:
            job.finish(outcome)
        # A restart may end its own command, or that of an upgrade.
        elif outcome != Outcome.SUCCESS and (
            self._action == "update_information" or now >= target.ended_at + PACING.patience
        ):
            why = job.known.error_phase or (job.known.result or "").strip()[-_SHOWN_RESULT:] or "no reason is stated."
            job.finish(outcome, f"The command failed: {clean_line(why)}")

    def _complete_unchanged(self, target: Target, now: float) -> None:
        """Finish the job of an upgrade whose command ended, if no restart of the agent will follow."""
        job, server = target.job, target.server
        is_late = now >= target.ended_at + _LATE_RESTART and server.is_connected is not False
        is_lagging = self._lacks_version(target) and now < target.ended_at + PACING.patience
        installed_nothing = _installed_nothing(target)
        if is_lagging or not (is_late or installed_nothing):
            return
        # Otherwise it may have installed another package, or one that the agent has not restarted with.
        job.changed = not installed_nothing
        version = clean_line(server.version or "an unknown version")
        if self._lacks_version(target):
            job.finish(Outcome.FAILED, f"The agent still has {version}, not {self._version}. {_NO_NEWER} {_NO_RESTART}")
        elif installed_nothing:
            job.finish(Outcome.SUCCESS, f"The agent has {version}, the newest version of its package repository.")
        else:
            job.finish(Outcome.SUCCESS, f"The upgrade succeeded, and the agent still runs {version}.")

    def _lacks_version(self, target: Target) -> bool:
        return bool(self._version) and not has_version(target.server, self._version)

    def _time_out(self, target: Target) -> None:
        job, server = target.job, target.server
        if self._action == "update_information" or job.command is None:
            time_out(job, self._limits)
            return
        ended = f"The last status of its command is {job.known.status}."
        if server.is_connected is False:
            named = replace(server, name=server.name or job.server.name)
            why = f"The agent has not come back: {describe_offline(named)}."
        elif self._action == "restart_agent":
            why = "The workspace has seen no new start of its agent."
        else:
            why = f"The agent still has {clean_line(server.version or 'an unknown version')}."
        failed = f" The last poll failed: {job.error}" if job.error else ""
        job.finish(Outcome.TIMED_OUT, f"Not finished within wait_timeout. {why} {ended}{failed}")


def _installed_nothing(target: Target) -> bool:
    """Return True if an upgrade installed nothing, and the agent runs the installed version if that is stated."""
    command, version = target.job.command, target.server.version
    found = _NOTHING_INSTALLED.search(command.result or "") if command and command.succeeded else None
    stated = found and (found["running"] or found["installed"])
    if not (found and stated and version):
        return found is not None
    # Packages write 2.6.0-rc1 as 2.6.0~rc1, and may add their revision, as in 2.6.0-1.
    installed = stated.removeprefix("v").replace("~", "-")
    return f"{installed}-".startswith(f"{version.removeprefix('v')}-")
