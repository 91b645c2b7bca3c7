# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Upload verified scripts: before their submit, or once an agent says that its server has no such file.

An agent runs a verified script only if the file on the server has the approved bytes. If a note of this controller says
that the server has them, the script is submitted at once, so that an unchanged one costs a single request.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import shlex
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from .._api.client import Client
from .._api.commands import get_command
from .._api.errors import AlpaconError, ApiError, ConnectionFailed, ServerIsOffline
from .._api.records import Command, Server
from .._api.servers import query_servers
from .._api.storage import ObjectStorage
from .file_transfers import Content, UploadRules, make_body
from .jobs import Job, Limits, Outcome, Settle
from .run import Run

#: What agents say of a file that is missing on the server or has other bytes: they ran nothing.
_MISSING, _CHANGED = "file_open_failed", ("file_hash_mismatch", "file_too_large")
#: Seconds that an upload of at most 64 KiB may take, and the pauses between polls of it.
_LONGEST_UPLOAD, _POLL, _LONGEST_POLL = 120.0, 0.5, 5.0
#: Seconds after which a note that nothing was added to is removed: the next run uploads again.
_NOTE_AGE = 100 * 86_400
_MAY_HAVE_RUN = "Its output is longer than a refusal of the agent, so it was not submitted again."


@dataclass(frozen=True)
class VerifiedScript:
    """A script whose exact bytes a person approves.

    Attributes:
        path: of its file on the servers.
        interpreter: absolute path of the program that runs it.
        reuse_days: for how long to propose that an approval stands; None to leave that to the workspace.
    """

    path: str
    interpreter: str
    arguments: tuple[str, ...]
    content: str = field(repr=False)
    reuse_days: int | None = None

    @property
    def line(self) -> str:
        """Return the line that the workspace shows, and that access lists of tokens match."""
        return shlex.join((self.interpreter, self.path, *self.arguments))

    def to_field(self) -> dict[str, Any]:
        """Return the field C(file) of a submit."""
        stated = {"path": self.path, "interpreter": self.interpreter, "args": list(self.arguments)}
        days = {} if self.reuse_days is None else {"reuse_days": self.reuse_days}
        return {**stated, "content": self.content, **days}


class UploadNotes:
    """The servers that have a script, in a file of this controller.

    Errors of the file system are ignored: without a note, the script is uploaded, which changes nothing if it is there.
    """

    def __init__(self, folder: Path | None, url: str, path: str) -> None:
        name = hashlib.sha256(f"{url}\0{path}".encode()).hexdigest()[:32]
        self._file = folder / name if folder else None

    def read(self) -> set[str]:
        with contextlib.suppress(OSError):
            return set(self._file.read_text(encoding="ascii", errors="replace").split()) if self._file else set()
        return set()

    def add(self, server_id: str) -> None:
        if self._file is None:
            return
        with contextlib.suppress(OSError):
            if not self._file.exists():
                self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                self._remove_old(self._file.parent)
            descriptor = os.open(self._file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                os.write(descriptor, f"{server_id}\n".encode())
            finally:
                os.close(descriptor)

    def _remove_old(self, folder: Path) -> None:
        for file in folder.iterdir():
            # Another worker may remove it too.
            with contextlib.suppress(OSError):
                if file.stat().st_mtime < time.time() - _NOTE_AGE:
                    file.unlink()


class ScriptUploader:
    """Makes sure that a server has the script before a command needs it, at most twice for each server."""

    def __init__(self, script: VerifiedScript, client: Client, run: Run, limits: Limits) -> None:
        self._script = script
        self._client = client
        self._run = run
        self._limits = replace(limits, wait_timeout=min(limits.wait_timeout, _LONGEST_UPLOAD))
        journal = run.context.journal_file
        self._notes = UploadNotes(journal.parent / "scripts" if journal else None, client.settings.url, script.path)
        self._noted = self._notes.read()
        self._repaired: set[str] = set()

    def must_upload(self, server_id: str) -> bool:
        """Return True if the server may lack the script, or if a task that awaits nothing could not upload it later."""
        return server_id not in self._noted or not self._limits.wait

    def prepare(self, client: Client, job: Job) -> None:
        """Upload the script before its command is submitted, if the server may lack it.

        If the token may not upload, the command is submitted all the same: somebody else may have uploaded the script,
        and the agent runs nothing without it.

        Raises:
            AlpaconError: the script might not be on the server.
        """
        if not self.must_upload(str(job.server.id)):
            return
        if _is_connected(client, job.server):
            try:
                self._upload(client, job.body, overwrite=False)
            except ApiError as error:
                if not error.is_forbidden:
                    raise
        elif not self._limits.wait:
            raise ServerIsOffline("The script has to be uploaded before the submit.")

    def repair(self, job: Job) -> Settle | None:
        """Return what uploads the script if its agent ran nothing for want of it; None if that is not the cause."""
        is_missing = job.submitted.file_refused and job.submitted.error_phase in (_MISSING, *_CHANGED)
        return self._upload_again if is_missing and job.body and job.server.id not in self._repaired else None

    def _upload_again(self, job: Job) -> None:
        self._repaired.add(str(job.server.id))
        has_changed = job.submitted.error_phase in _CHANGED
        try:
            if _may_have_run(get_command(self._client, job.submitted.id)):
                job.may_have_run = True
                job.add_note(_MAY_HAVE_RUN)
                return
            self._upload(self._client, job.body, overwrite=has_changed)
        except AlpaconError as error:
            job.finish(Outcome.FAILED, f"The script could not be uploaded. {error}", error)
            return
        why = "had another file" if has_changed else "did not have the script"
        job.add_note(f"The server {why}: command {job.id} ran nothing, and the script was uploaded for another submit.")
        job.submits_again = True

    def _upload(self, client: Client, body: Mapping[str, Any], overwrite: bool) -> None:
        """Upload the script, and wait until the agent has written it.

        Raises:
            AlpaconError: it might not be on the server.
        """
        names = ("username", "groupname", "work_session")
        fields = {**{name: body[name] for name in names if body.get(name)}, "allow_overwrite": overwrite}
        server_id, content = str(body["server"]), self._script.content.encode()
        job = Job(Server(server_id), make_body("upload", server_id, self._script.path, fields))
        whole = Content(lambda: io.BytesIO(content), len(content), hashlib.sha256(content).hexdigest())
        context = self._run.context
        with ObjectStorage(client.settings, context.report_request, check=self._run.check_not_over) as storage:
            rules = UploadRules(self._limits, storage, whole)
            job.command, job.awaited_since = rules.post(client, job.body), time.monotonic()
            pause = _POLL
            while not job.outcome:
                self._run.check_not_over()
                client.sleep(pause)
                pause = min(1.5 * pause, _LONGEST_POLL)
                try:
                    rules.read([job], client, lambda _jobs: None, newest_only=False)
                except AlpaconError as error:
                    job.error = error
                rules.complete(job)
                if not job.outcome and time.monotonic() >= self._limits.get_end(job):
                    rules.time_out(job)
        if job.outcome != Outcome.SUCCESS:
            raise ConnectionFailed(f"The script was not submitted, since its upload did not succeed. {job.msg}")
        self._noted.add(server_id)
        self._notes.add(server_id)


def _is_connected(client: Client, server: Server) -> bool:
    """Return False only if that is certain."""
    if server.is_connected is None:
        with contextlib.suppress(AlpaconError):
            found = query_servers(client, [str(server.id)])[0].get(str(server.id), ())
            server = next(iter(found), server)
    return server.is_connected is not False


def _may_have_run(command: Command) -> bool:
    """Return True if the result has more than the one line of a refusal: a script may print such a line."""
    return "\n" in (command.result or "").strip()
