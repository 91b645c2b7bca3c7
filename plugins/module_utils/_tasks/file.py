# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The task of M(herdops.alpacon.alpacon_file): compares files with those of servers, then transfers the others."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Callable

from .._api.client import Client
from .._api.errors import UsageError
from .._api.storage import ObjectStorage, SignedUrl
from .._fleet.completion import refresh_unknown, skip_offline
from .._fleet.file_transfers import TRANSFER_PACING, Content, DownloadRules, UploadRules, make_body
from .._fleet.fleet import Fleet
from .._fleet.jobs import Job, Limits, Outcome
from .._fleet.run import HostLocks, Run
from .._fleet.sharing import SharedState, find_servers
from .._options.connection import CONNECTION, parse_settings
from .command_task import lock_servers
from .file_options import FileOptions
from .file_results import FileTarget, describe_files
from .local_files import find_digest, save_file

SPEC: dict[str, dict[str, Any]] = {
    **CONNECTION,
    "servers": {"type": "list", "elements": "str", "aliases": ["server"]},
    "state": {"type": "str", "default": "uploaded", "choices": ["uploaded", "downloaded"]},
    "src": {"type": "str"},
    "content": {"type": "str"},
    "dest": {"type": "str", "required": True},
    "overwrite": {"type": "bool", "default": True},
    "compare": {"type": "bool", "default": True},
    "username": {"type": "str"},
    "groupname": {"type": "str"},
    "work_session": {"type": "str"},
    "max_size": {"type": "bytes", "default": "1G"},
    "offline": {"type": "str", "default": "wait", "choices": ["wait", "fail", "skip"]},
    "wait_timeout": {"type": "str", "default": "10m"},
    "max_concurrency": {"type": "str"},
    "max_errors": {"type": "str"},
}
#: Outcomes of a comparison after which the file is transferred: it differs, is missing, or cannot be compared.
_DIFFERS = (Outcome.SUCCESS, Outcome.FAILED, Outcome.REFUSED)
_DIGEST = re.compile(r"\\?([0-9a-f]{64}) ")
_UNCHANGED = "The file is the same on both sides."


class FileTask:
    """A task and its targets."""

    def __init__(
        self, client: Client, options: FileOptions, run: Run, shared: SharedState | None, content: Content | None
    ) -> None:
        self.client, self.options, self.run = client, options, run
        self.shared, self.content = shared, content
        self.targets: list[FileTarget] = []

    def make_body(self, server_id: str | None) -> dict[str, Any]:
        digest = {"digest": self.content.digest} if self.content else {}
        kind = "upload" if self.options.is_upload else "download"
        return make_body(kind, server_id, self.options.path, {**self.options.fields, **digest})

    def make_targets(self) -> None:
        servers = find_servers(self.client, self.options.servers, "servers", self.shared, self.run.hosts)
        local = {} if self.options.is_upload else self.options.list_targets()
        for reference, server in zip(self.options.servers, servers):
            job = Job(server, self.make_body(server.id))
            path = local.get(reference, "")
            self.targets.append(FileTarget(job, path, path or self.options.path))
            if not self.run.no_log:
                url = self.client.settings.url
                self.run.record_need(url, server, job.body)
                if self.options.compare:
                    self.run.record_need(url, server, self.options.match_comparison(server.id).to_body())

    def compare(self, targets: Sequence[FileTarget]) -> None:
        """Finish the jobs of the files that are the same on both sides, by a command on each server."""
        wanted = [(target, self.content.digest if self.content else find_digest(target.local)) for target in targets]
        compared = {
            id(target): Job(target.job.server, self.options.match_comparison(target.job.server.id).to_body())
            for target, digest in wanted
            if digest
        }
        if not compared:
            return
        # A comparison that fails says that there is no such file.
        limits = replace(self.options.limits, max_errors=None)
        self._make_fleet(limits, shared=self.shared).run(list(compared.values()))
        for target, digest in wanted:
            job = compared.get(id(target))
            if job is None:
                continue
            target.job.server = job.server
            found = _DIGEST.match(job.output.text) if job.output and job.outcome == Outcome.SUCCESS else None
            if found and found[1] == digest:
                # An earlier attempt of the task may have transferred it.
                target.digest, target.job.changed = digest, self.run.may_have_submitted(target.job.body)
                target.job.finish(Outcome.SUCCESS, _UNCHANGED)
            elif job.outcome not in _DIFFERS:
                job.changed = False
                job.msg = f"It was not transferred, since the command that compares it did not end: {job.msg}"
                target.job = job
            elif job.outcome == Outcome.REFUSED:
                target.job.add_note(f"It could not be compared first: {job.msg}")

    def transfer(self, targets: Sequence[FileTarget]) -> None:
        context = self.run.context
        with ObjectStorage(self.client.settings, context.report_request, check=self.run.check_not_over) as storage:
            rules: UploadRules | DownloadRules
            if self.content:
                rules = UploadRules(self.options.limits, storage, self.content)
            else:
                by_job = {id(target.job): target for target in targets}
                save = _make_saver(storage, by_job, self.options.max_size)
                rules = DownloadRules(self.options.limits, storage, save)
            # Other workers cannot poll uploads, which are no commands.
            shared = None if self.content else self.shared
            limits = self.options.limits
            fleet = self._make_fleet(limits, shared=shared, pacing=TRANSFER_PACING, post=rules.post, rules=rules)
            fleet.run([target.job for target in targets])
        for target in targets:
            target.host = rules.hosts.get(target.job.id or "")
            if self.content and target.job.outcome == Outcome.SUCCESS and target.job.changed:
                target.digest, target.size = self.content.digest, self.content.size

    def _make_fleet(self, limits: Limits, **options: Any) -> Fleet:
        report = self.run.context.report
        return Fleet(
            self.client,
            limits,
            report=report if len(self.targets) > 1 else None,
            report_offline=report,
            run=self.run,
            **options,
        )


def _make_saver(
    storage: ObjectStorage, targets: Mapping[int, FileTarget], max_size: int
) -> Callable[[Job, SignedUrl, float], None]:
    def save(job: Job, url: SignedUrl, deadline: float) -> None:
        target = targets[id(job)]
        saved = save_file(target.local, lambda write: storage.get(url, write, max_size, deadline))
        target.size, target.digest, job.changed = saved
        job.finish(Outcome.SUCCESS, "Downloaded." if job.changed else _UNCHANGED)

    return save


def _lock_local_files(host_locks: HostLocks, targets: Sequence[FileTarget]) -> None:
    """Lock files of the controller, or refuse one to which another host of the task downloads."""
    paths = {os.path.realpath(target.local): target.local for target in targets if target.local}
    conflict = host_locks.acquire([(path, "download") for path in paths])
    if conflict:
        path, host = conflict
        why = f"host {host} of the task downloads to {paths[path]} too, so nothing was downloaded for this host"
        raise UsageError("dest", why, "Give a folder with a slash at its end, or a path with inventory_hostname.")


def run_file(options: Mapping[str, Any], run: Run) -> dict[str, Any]:
    """Run a task; nothing was transferred if it raises :class:`AlpaconError`."""
    parsed = FileOptions.from_options(options)
    settings = parse_settings(options, run.warn)
    content = parsed.read_content() if parsed.is_upload else None
    shared = run.open_shared_state(settings) if run.hosts > 1 else None
    with run.open_client(settings, shared, parsed.limits.wait_timeout) as client:
        task = FileTask(client, parsed, run, shared, content)
        task.make_targets()
        refresh_unknown([target.job for target in task.targets], client, parsed.limits)
        for target in task.targets:
            skip_offline(target.job, parsed.limits)
        waiting = [target for target in task.targets if not target.job.outcome]
        if run.check_mode:
            for target in waiting:
                verb = "uploaded" if parsed.is_upload else "downloaded"
                target.job.changed, target.job.msg = True, f"Would be {verb}, unless it is the same."
        elif waiting:
            if run.host_locks:
                servers = [target.job.server for target in waiting]
                lock_servers(run.host_locks, task.make_body(None), settings.url, servers)
                _lock_local_files(run.host_locks, waiting)
            if parsed.compare:
                task.compare(waiting)
            waiting = [target for target in waiting if not target.job.outcome]
            if waiting:
                task.transfer(waiting)
        ok_outcomes = parsed.limits.ok_outcomes
        return {**describe_files(task.targets, ok_outcomes, run.own_server, run.no_log), "requests": client.requests}
