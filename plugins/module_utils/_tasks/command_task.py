# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""State of a task of M(herdops.alpacon.alpacon_command), with its locks, its cancels and the checks of O(run_after)."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Callable

from .._api.client import Client
from .._api.commands import SENT, cancel, find_command, supports_env
from .._api.errors import UsageError, clean_line
from .._api.outputs import Output
from .._api.records import Command, Server, is_uuid, normalize_uuid, to_iso
from .._fleet.completion import refresh_unknown, skip_offline
from .._fleet.fleet import Fleet
from .._fleet.follow import MAX_FOLLOWED, Follower
from .._fleet.held_sudo import HeldSudo
from .._fleet.jobs import OK_OUTCOMES, Job, Limits, Outcome, get_digest, get_outcome
from .._fleet.output_collector import OutputCollector
from .._fleet.pacing import PACING
from .._fleet.run import HostLocks, Run
from .._fleet.sharing import SharedState, find_servers
from .._fleet.verified_scripts import ScriptUploader
from .._options.connection import parse_settings
from .._options.secrets import mask_secrets
from .command_options import CommandOptions
from .command_results import describe_jobs

MAX_NAMED = 5
#: Requests for a hundred short commands, measured by make bench: in one task for all servers, and in a task per host.
REQUESTS, REQUESTS_PER_HOST = 103, 111


@dataclass
class CommandTask:
    """A task and its jobs.

    Attributes:
        before, after: Lines of the diff.
    """

    client: Client
    options: CommandOptions
    run: Run
    shared: SharedState | None
    secrets: set[str] = field(default_factory=set)
    jobs: list[Job] = field(default_factory=list)
    ok_outcomes: frozenset[Outcome] = OK_OUTCOMES
    before: list[str] = field(default_factory=list)
    after: list[str] = field(default_factory=list)

    def result(self) -> dict[str, Any]:
        result = describe_jobs(self.jobs, self.ok_outcomes, self.run.no_log)
        result["requests"] = self.client.requests
        if self.options.verified:
            for described in (result, *result["commands"]):
                described["path"] = self.options.verified.path
        if self.options.output_files:
            for job, described in zip(self.jobs, result["commands"]):
                described.update(self.options.output_files.describe(job))
            if len(self.jobs) == 1:
                result.update(self.options.output_files.describe(self.jobs[0]))
        if self.run.diff_mode and (self.before or self.after):
            diff = {"before": self.before, "after": self.after}
            result["diff"] = {side: "".join(f"{clean_line(line)}\n" for line in lines) for side, lines in diff.items()}
        return result

    def set_jobs(self, jobs: list[Job]) -> None:
        """Set the jobs, in the order of the option servers or ids."""
        self.jobs = jobs
        if self.options.output_files:
            self.options.output_files.assign(jobs)

    @property
    def save_output(self) -> Callable[[Job, Output], bool] | None:
        files = self.options.output_files
        return files.save if files and not self.run.check_mode else None

    def diff_line(self, server: Server, line: str, scheduled_at: datetime | None) -> str:
        # A server given by its UUID has no name before a submit.
        name = server.name or self.run.own_server or server.id
        # Lists of 2024 do not state the time.
        return f"{name}: {line} at {to_iso(scheduled_at)}" if scheduled_at else f"{name}: {line}"

    def resolve_servers(self) -> list[Server]:
        return find_servers(self.client, self.options.servers, "servers", self.shared, self.run.hosts)

    def fetch_outputs(self, jobs: Iterable[Job]) -> None:
        """Read the outputs of commands that ended before the task."""
        outputs = OutputCollector(
            self.client, self.options.limits, self._hide, no_log=self.run.no_log, save=self.save_output
        )
        for job in jobs:
            outputs.fetch(job)

    def skip_offline(self, jobs: Sequence[Job]) -> list[Job]:
        """Finish the jobs whose servers are offline unless C(offline=wait). Return the other jobs."""
        refresh_unknown(jobs, self.client, self.options.limits)
        return [job for job in jobs if not skip_offline(job, self.options.limits)]

    def make_fleet(self, follows: bool = True, **limits: Any) -> Fleet:
        # A task for several hosts has one server in each worker.
        hosts = self.run.hosts if self.run.host_locks else 1
        follows = follows and self.options.follows and hosts <= MAX_FOLLOWED and not self.run.no_log
        changed = replace(self.options.limits, **limits)
        uploader = self._make_uploader(changed)
        return Fleet(
            self.client,
            changed,
            report=self.run.context.report if self.options.progress else None,
            report_offline=self.run.context.report if self.options.progress is not False else lambda _text: None,
            run=self.run,
            shared=self.shared,
            hide=self._hide,
            follower=Follower(self.client, self.secrets, self.run) if follows else None,
            prepare=uploader.prepare if uploader else None,
            repair=uploader.repair if uploader else None,
            sudo=HeldSudo(self.client, self.run, changed, self.options.is_sudo) if changed.wait_for_approval else None,
            save=self.save_output,
        )

    def _make_uploader(self, limits: Limits) -> ScriptUploader | None:
        script = self.options.verified
        return ScriptUploader(script, self.client, self.run, limits) if script else None

    def predict_submit(self, server: Server) -> str:
        """Return what check mode says of a command that would be submitted or scheduled."""
        is_now = self.options.state == "executed"
        done = "submitted" if is_now else f"scheduled for {to_iso(self.options.time)}"
        uploader = self._make_uploader(replace(self.options.limits, wait=is_now and self.options.limits.wait))
        if uploader is None:
            return f"Would be {done}."
        held = "The workspace may hold it until a person approves it."
        if uploader.must_upload(str(server.id)):
            return f"Would be uploaded, then {done}. {held}"
        return f"Would be {done}: the server has the script. {held}"

    def _hide(self, text: str) -> str:
        return str(mask_secrets(text, self.secrets))

    def check_env(self) -> None:
        """Refuse O(env) with O(line) on a workspace that ignores O(env)."""
        # A payload without its variables runs nothing, and reports that.
        if self.options.has_payload or "env" not in self.options.extra:
            return

        def detect() -> list[bool | None]:
            return [supports_env(self.client)]

        shared = self.run.open_shared_state(self.client.settings)
        found = shared.find_once("supports_env", detect) if shared else None
        # None: another worker takes too long.
        if (found or detect()) == [False]:
            raise UsageError(
                "env",
                "this workspace does not pass variables on to servers, so the line would run without them",
                "Set variables that are not secret in the line, such as LANG=C ls.",
            )

    def report_cost(self, to_submit: Sequence[Job]) -> None:
        locks, quota = self.run.host_locks, self.client.settings.requests_per_hour
        commands, per_hundred = (self.run.hosts, REQUESTS_PER_HOST) if locks else (1, REQUESTS)
        text = describe_cost(commands * len(to_submit), quota, self.options.limits, per_hundred)
        if not text or self.options.progress is False:
            return
        task = locks.task.encode("utf-8", "surrogatepass") if locks else b""
        if not locks or self.run.context.is_first(f"cost-{hashlib.sha256(task).hexdigest()}"):
            self.run.context.report(text)

    def record_needs(self, servers: Sequence[Server]) -> None:
        if not self.run.no_log:
            for server in servers:
                body = mask_secrets(self.options.match(server.id).to_body(), self.secrets)
                self.run.record_need(self.client.settings.url, server, body)
                if self.options.verified:
                    upload = {**body, "path": self.options.verified.path, "action": "upload"}
                    self.run.record_need(self.client.settings.url, server, upload)

    def lock_servers(self, servers: Sequence[Server]) -> None:
        if self.run.host_locks:
            body = self.options.make_body(Server(None))
            lock_servers(self.run.host_locks, body, self.client.settings.url, servers)

    def cancel(self, command_id: str) -> str:
        """Cancel a command, see :func:`cancel`, and share that with the other workers of the run."""
        done = cancel(self.client, command_id)
        if done != SENT and self.run.submitted_commands:
            self.run.submitted_commands.add({"id": command_id, "gone": True})
        return done

    def read_submitted(self) -> dict[str, dict[str, Any]]:
        return self.run.submitted_commands.read_rows() if self.run.submitted_commands else {}

    def cancelled_ids(self) -> set[str]:
        """Return the IDs of the commands that this run cancelled; lists may still show them."""
        return {command_id for command_id, row in self.read_submitted().items() if row.get("gone")}


def describe_cost(commands: int, quota: int, limits: Limits, per_hundred: int = REQUESTS) -> str:
    """Return the expected number of requests for so many submits, or an empty text if a quarter of the quota suffices.

    Args:
        quota: requests an hour.
        per_hundred: requests for a hundred commands, if the task waits for them.
    """
    requests = math.ceil(commands * per_hundred / 100) if limits.wait else commands
    if 4 * requests <= quota:
        return ""
    text = (
        f"alpacon: about {requests:,} requests are expected for {commands:,} commands; the token has {quota:,} an hour"
    )
    if requests <= quota:
        return text
    return (
        f"{text}, so the task waits for the quota. Commands not submitted within wait_timeout"
        f" ({limits.wait_timeout:.0f} s) are not_tried. Name fewer servers, or set requests_per_hour if the workspace"
        " allows more."
    )


def lock_named_servers(host_locks: HostLocks, options: Mapping[str, Any]) -> None:
    parsed = CommandOptions.from_options(options)
    lock_references(host_locks, parsed.make_body(Server(None)), options, parsed.servers)


def lock_references(
    host_locks: HostLocks, body: Mapping[str, Any], options: Mapping[str, Any], references: Sequence[str]
) -> None:
    servers = [Server(normalize_uuid(name)) if is_uuid(name) else Server(None, name) for name in references]
    # The file of certificates is on the other host.
    settings = parse_settings({**options, "ca_path": None})
    lock_servers(host_locks, body, settings.url, servers)


def lock_servers(host_locks: HostLocks, body: Mapping[str, Any], url: str, servers: Sequence[Server]) -> None:
    """Lock servers, or refuse one to which another host of the task submits the same body."""
    # Another workspace may have a server of the same name or UUID.
    command = f"{url} {get_digest(body)}"
    # A delegated task locks either the name or the UUID.
    by_key = {key: server for server in servers for key in (server.id, server.name) if key}
    conflict = host_locks.acquire([(key, command) for key in by_key])
    if conflict:
        key, host = conflict
        raise UsageError(
            "servers",
            f"{host_locks.own_server or by_key[key]} gets this command for host {host} of the task",
            f"A server gets the command of a task once, so nothing was submitted for this host. {host_locks.remedy}",
        )


def await_parents(task: CommandTask, jobs: Sequence[Job]) -> bool:
    """Await the commands of O(run_after), or finish the jobs and return False if one of these commands fails.

    Newer workspaces (:attr:`.Command.may_have_chunks`) do that themselves.
    """
    ids = task.options.extra.get("run_after") if jobs else None
    parents = [_find_parent(task, command_id) for command_id in ids or ()]
    if all(parent.may_have_chunks for parent in parents):
        return True
    awaited = [Job(parent.server, command=parent) for parent in parents]
    # Options of this task do not apply to its parents.
    task.make_fleet(False, cancel_on_timeout=False, offline="wait", success_codes=frozenset((0,))).run(awaited)
    failed = next((job for job in awaited if job.outcome != Outcome.SUCCESS), None)
    if failed is None:
        return True
    outcome = Outcome.PARENT_FAILED if failed.submitted.finished else Outcome.NOT_TRIED
    for job in jobs:
        job.finish(outcome, f"{outcome.sentence} It was to run after {failed.id}, which is {failed.outcome}.")
    return False


def check_parents(task: CommandTask) -> None:
    """Refuse to schedule after a command that failed, or that the workspace does not await itself."""
    for command_id in task.options.extra.get("run_after") or ():
        parent = _find_parent(task, command_id)
        if get_outcome(parent) == Outcome.SUCCESS:
            continue
        # A command with the status error may still run.
        if parent.finished and parent.ran is not None:
            why = "a command scheduled after it never runs"
            remedy = "Give the id of a command that succeeded or has not ended, or leave it out."
        elif not parent.may_have_chunks:
            why = "this workspace does not wait for it before it runs a scheduled command"
            remedy = "Await it with state=finished first, then schedule."
        else:
            continue
        raise UsageError("run_after", f"{command_id} is {parent.status}, and {why}", remedy)


def _find_parent(task: CommandTask, command_id: str) -> Command:
    # A command that this run submitted might not be visible yet.
    pauses = PACING.get_read_pauses() if command_id in task.read_submitted() else ()
    for pause in (0.0, *pauses):
        time.sleep(pause)
        command = find_command(task.client, command_id)
        if command:
            return command
    why = f"there is no command {command_id}, or the token has no access to it"
    raise UsageError("run_after", why, "Give ids of existing commands.")
