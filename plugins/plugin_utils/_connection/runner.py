# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run the body of a payload on one server, by one command of the workspace, and write files for later tasks."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...module_utils._api.commands import SENT, Match, cancel
from ...module_utils._api.errors import AlpaconError, ApiError, LostResponse, UsageError
from ...module_utils._api.outputs import TIMEOUT_RC, blames_account, fetch_output
from ...module_utils._api.records import Server, is_uuid, normalize_uuid
from ...module_utils._api.servers import query_servers
from ...module_utils._api.settings import Settings
from ...module_utils._fleet.fleet import Fleet
from ...module_utils._fleet.jobs import Job, Limits, Outcome
from ...module_utils._fleet.journal import replace_file
from ...module_utils._fleet.pacing import BATCH_PACING, FILE_PACING, MODULE_PACING, SHELL_PACING, Pacing
from ...module_utils._fleet.run import Run
from ...module_utils._fleet.sharing import SharedState, find_servers
from ...module_utils._payload.frames import FrameError, read_frame, split_parts
from ...module_utils._payload.packing import Payload, pack

#: Names of run files: the ID of the server (empty: query the server again), a random text that changes when all homes
#: are queried again, the account of the last task and a random text that changes with it, and the size of a file that
#: the workspace, or a proxy in front of it, accepts in one submit.
_ID, _HOMES, _ACCOUNT, MAX_PIECE = "id", "homes", "account", "piece"
MAY_HAVE_RUN = "It may have run, and is not run again."
_AWAIT = "Await it with alpacon_command and state=finished."


class RequestTooLarge(AlpaconError):
    """The workspace, a proxy or the host refused a submit for its size. It may accept a smaller one."""


class AccountRefused(AlpaconError):
    """The workspace or the server refused the account, and nothing was run."""


@dataclass(frozen=True)
class RunTarget:
    """Server and account to run on, and the fields and limits of each command.

    Attributes:
        host: Name of the inventory host, for messages.
        server: Name or UUID.
        connected: State of the agent in the inventory; None if unknown.
        username, groupname: None for the account of the token.
        extra: Further fields, such as C(purpose).
    """

    host: str
    server: str
    connected: bool | None
    username: str | None
    groupname: str | None
    extra: dict[str, Any]
    limits: Limits


@dataclass(frozen=True)
class CommandResult:
    """Streams and exit code of a command; C(mark) is that of :class:`.Output`.

    Attributes:
        problem: Reason why parts of the output may be missing; empty if it is complete. C(rc) is then not known.
    """

    rc: int
    stdout: bytes
    stderr: bytes
    mark: str = ""
    problem: str = ""


class ServerRunner:
    """Run bodies on one server. Run files are in the temporary folder of the run, and all its workers read them."""

    def __init__(self, target: RunTarget, settings: Settings, run: Run) -> None:
        self._target = target
        self._run = run
        self._shared = run.open_shared_state(settings)
        self._client = run.open_client(settings, self._shared)
        self._server: Server | None = None
        #: Number of commands that were to be submitted.
        self.submits = 0
        self._record_account()

    @property
    def wait_timeout(self) -> float:
        """Return how long a command is awaited, in seconds."""
        return self._target.limits.wait_timeout

    def close(self) -> None:
        self._client.__exit__()

    @property
    def account(self) -> tuple[str | None, ...]:
        """Return the server and the account of all commands."""
        return self._target.server, self._target.username, self._target.groupname

    def invalidate_server(self) -> None:
        """Query the server and its homes again before the next command, in every process."""
        self._server = None
        self.write_run_file(_ID, b"")
        self.write_run_file(_HOMES, secrets.token_hex(4).encode())

    def _record_account(self) -> None:
        name = (self._target.username or "").encode("utf-8", "backslashreplace")
        if (self.read_run_file(_ACCOUNT) or b"").rpartition(b" ")[0] != name:
            self.write_run_file(_ACCOUNT, b"%s %s" % (name, secrets.token_hex(4).encode()))

    def get_home_file(self, account: str) -> str | None:
        """Return the name of the run file with the home of an account; None if any task may move that home.

        A home is not moved while its account runs a command: only tasks of other accounts may do that. That of root
        stays where it is.
        """
        own = self._target.username
        if account and account != own:
            return None
        names = (_HOMES,) if own == "root" else (_HOMES, _ACCOUNT)
        return " ".join(["home", *((self.read_run_file(name) or b"").decode() for name in names)])

    def run_body(self, label: str, body: str, stdin: bytes = b"", files: Sequence[bytes] = ()) -> CommandResult:
        """Run a body once; the arguments are those of :func:`.packing.pack`.

        Raises:
            PayloadTooLarge: The payload does not fit into one submit.
            AlpaconError: The body did not run, or may have run, as the message says.
        """
        payload = pack(label, body, stdin, files)
        [job] = self._run_payloads([payload], self._shared, MODULE_PACING if stdin else SHELL_PACING)
        return self._get_result(job)

    def run_in_parts(
        self, label: str, body: str, stdin: bytes, files: Sequence[bytes], expected: float
    ) -> CommandResult:
        """Run a body that writes its output in parts, and return the parts that came: see :func:`.split_parts`.

        Args:
            expected: Seconds that it will take, if no command of this label has ended in this run.

        Raises:
            PayloadTooLarge: The payload does not fit into one submit.
            AlpaconError: The body did not run, or no part came and it may have run, as the message says.
        """
        payload = pack(label, body, stdin, files, in_parts=True)
        [job] = self._run_payloads([payload], self._shared, BATCH_PACING, expected=expected)
        try:
            return self._get_result(job)
        except AlpaconError as error:
            stdout = self._read_parts(job, payload.digest)
            if not stdout:
                raise
            return CommandResult(-1, stdout, b"", problem=str(error))

    def _read_parts(self, job: Job, digest: str) -> bytes:
        """Return the complete parts of an output whose end is missing; empty if there are none."""
        if job.command is None or job.ran is False or (job.output and job.output.refused):
            return b""
        stdout = job.output.text.encode("utf-8", "surrogateescape") if job.output else b""
        if any(split_parts(stdout)):
            return stdout
        # The workspace has no result, but the agent may have sent chunks.
        try:
            return read_frame(digest, fetch_output(self._client, job.command).text).stdout
        except FrameError as error:
            return error.stdout
        except AlpaconError:
            return b""

    def run_bodies(
        self, label: str, bodies: Sequence[tuple[str, Sequence[bytes]]], listed: bool = True
    ) -> list[CommandResult]:
        """Run bodies with their files, once each, at the same time and in any order.

        Args:
            listed: False for large outputs, since each page of the list would repeat those of earlier commands.

        Raises:
            PayloadTooLarge: The payload of one does not fit into one submit, and none was submitted.
            AlpaconError: One did not run, or may have run, as the message says. The others have ended too.
        """
        payloads = [pack(label, body, b"", files) for body, files in bodies]
        # Workers share only the polls of single commands.
        shared = self._shared if len(payloads) == 1 else None
        return [self._get_result(job) for job in self._run_payloads(payloads, shared, FILE_PACING, listed)]

    def _run_payloads(
        self,
        payloads: Sequence[Payload],
        shared: SharedState | None,
        pacing: Pacing,
        listed: bool = True,
        expected: float | None = None,
    ) -> list[Job]:
        jobs = [self._make_job(payload, listed, expected) for payload in payloads]
        self.submits += len(jobs)
        fleet = Fleet(
            self._client,
            self._target.limits,
            report_offline=self._run.context.report,
            run=self._run,
            shared=shared,
            pacing=pacing,
        )
        try:
            fleet.run(jobs)
        except BaseException as error:
            if type(error).__name__ == "TaskTimeoutError":
                self._name_command(error, next((job for job in jobs if not job.outcome), jobs[0]))
            raise
        finally:
            # The workspace has stated the name of the server. All jobs need the same.
            for job in jobs[:1]:
                self._run.record_need(self._client.settings.url, job.server, job.body)
        return jobs

    def _make_job(self, payload: Payload, listed: bool, expected: float | None) -> Job:
        job = Job(self._find_server(), listed=listed, expected=expected)
        command = Match(job.server.id, payload.line, "system", self._target.username, self._target.groupname)
        job.body = {**command.to_body(), **self._target.extra, "env": payload.env}
        return job

    def _name_command(self, error: BaseException, job: Job) -> None:
        """Add the command to the error with which ansible-core ends a task after its C(timeout).

        After an error of another type, some actions would try again.
        """
        journal = self._run.context.journal_file
        status = f"command {job.id} is not finished" if job.id else f"the ID of its command is in {journal}"
        message = f"{self._target.host}: {status}. {_AWAIT}"
        # Before 2.19, ansible-core does not display the text of this error.
        if error.args:
            error.args = (f"{error} {message}",)
        else:
            self._run.context.alert(message)

    def _get_result(self, job: Job) -> CommandResult:
        host, outcome, output = self._target.host, job.outcome, job.output
        if outcome == Outcome.REFUSED and isinstance(job.error, ApiError) and job.error.refuses_account:
            raise AccountRefused(f"{host}: {job.error}")
        is_missing = job.found is not None and not any(job.found)
        if is_missing and isinstance(job.error, LostResponse) and job.error.status == 413:
            raise RequestTooLarge(f"{host}: {job.error}")
        if outcome == Outcome.AWAITING_APPROVAL:
            raise AlpaconError(f"{host}: {self._cancel_held_command(job)}")
        if output and output.refused:
            is_too_large = "argument list too long" in output.text
            error_type = RequestTooLarge if is_too_large else AccountRefused if blames_account(output) else AlpaconError
            raise error_type(f"{host}: nothing was run: {output.refused}.")
        if outcome in (Outcome.SUCCESS, Outcome.FAILED) and output and job.submitted.ran:
            if output.complete and job.submitted.rc is not None:
                stdout, stderr = (text.encode("utf-8", "surrogateescape") for text in (output.text, output.stderr))
                return CommandResult(job.submitted.rc, stdout, stderr, output.mark)
            remedy = " A task that takes so long needs async and poll." if job.submitted.rc == TIMEOUT_RC else ""
            raise AlpaconError(f"{host}: command {job.id} has run. {output.note}{remedy}")
        message = job.msg or (outcome.sentence if outcome else "")
        # That sentence names an option of alpacon_command.
        message = message.replace(
            Outcome.TIMED_OUT.explain(job.id), f"Not finished within alpacon_wait_timeout. {_AWAIT}"
        )
        if job.id:
            message = f"command {job.id}: {message}"
        if job.command and job.command.error_phase:
            message = f"{message} The workspace says: {job.command.error_phase}."
        raise AlpaconError(f"{host}: {message}{'' if job.ran is False else f' {MAY_HAVE_RUN}'}")

    def _cancel_held_command(self, job: Job) -> str:
        """Cancel a command that would otherwise run after its task has failed, and return the message for the user."""
        held = f"the workspace held command {job.id} until somebody approves it."
        try:
            result = cancel(self._client, job.submitted.id)
        except LostResponse as error:
            return f"{held} It may have been cancelled. {MAY_HAVE_RUN} {error}"
        except AlpaconError as error:
            return f"{held} It could not be cancelled. {MAY_HAVE_RUN} {error}"
        if result == SENT:
            return f"{held} It was delivered before it could be cancelled. {MAY_HAVE_RUN}"
        return f"{held} It was cancelled."

    def read_run_file(self, name: str) -> bytes | None:
        """Return a text that a task of this run wrote about the server and the account; None if there is none."""
        with contextlib.suppress(OSError):
            return self._get_run_file(name).read_bytes()
        return None

    def write_run_file(self, name: str, text: bytes) -> None:
        with contextlib.suppress(OSError):
            replace_file(self._get_run_file(name), text.decode("utf-8", "surrogateescape"))

    def _get_run_file(self, name: str) -> Path:
        settings = self._client.settings
        server = None if name == MAX_PIECE else self._target.server
        username = None if name in (_ID, _HOMES, _ACCOUNT, MAX_PIECE) else self._target.username
        key = [settings.url, settings.token, server, username, name]
        # Without a folder, nothing is read and written.
        folder = self._run.context.folder or Path(os.devnull)
        return folder / f"alpacon-host-{hashlib.sha256(json.dumps(key).encode()).hexdigest()[:32]}"

    def _find_server(self) -> Server:
        if self._server is None:
            reference = self._target.server
            self._server = self._get_server(reference) if is_uuid(reference) else self._resolve_name(reference)
        return self._server

    def _get_server(self, reference: str) -> Server:
        server_id = normalize_uuid(reference)
        if self._target.connected is not False:
            return Server(server_id)
        # The agent may have connected since the inventory was read.
        servers = query_servers(self._client, [server_id])[0][server_id]
        if not servers:
            raise UsageError("server", f"no server has the id {server_id}", "Read the inventory again.")
        return servers[0]

    def _resolve_name(self, reference: str) -> Server:
        text = self.read_run_file(_ID)
        if text:
            return Server(text.decode(), reference)
        # Servers that other workers have resolved may be older than an empty file.
        shared = self._shared if text is None else None
        [server] = find_servers(self._client, [reference], "server", shared, self._run.hosts)
        self.write_run_file(_ID, str(server.id).encode())
        return server
