# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run shell code on one server of the workspace, one submit for each run."""

from __future__ import annotations

import contextlib
import hashlib
import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...module_utils._api.commands import SENT, Match, cancel
from ...module_utils._api.errors import AlpaconError, ApiError, LostResponse, UsageError
from ...module_utils._api.outputs import TIMEOUT_RC, blames_account
from ...module_utils._api.records import Server, is_uuid, normalize_uuid
from ...module_utils._api.servers import query_servers
from ...module_utils._api.settings import Settings
from ...module_utils._fleet.fleet import Fleet
from ...module_utils._fleet.jobs import Job, Limits, Outcome
from ...module_utils._fleet.journal import replace_file
from ...module_utils._fleet.pacing import MODULE_PACING, SHELL_PACING
from ...module_utils._fleet.run import Run
from ...module_utils._fleet.sharing import find_servers
from ...module_utils._payload.packing import pack

#: Notes of a run: the ID of the server (empty: query it again), a random text that changes when homes may have moved,
#: and the size of a file that the workspace, or a proxy in front of it, accepts in one submit.
_ID, _HOMES, MAX_PIECE = "", "homes", "piece"
_MAY_HAVE_RUN = "It may have run, and is not run again."
_GOES_ON = "Not finished within alpacon_wait_timeout. It goes on; await it by alpacon_command with state=finished."


class RequestTooLarge(AlpaconError):
    """A submit was refused for its size. A smaller one may be accepted."""


class AccountRefused(AlpaconError):
    """Nothing was run because of the account. Another one may be accepted."""


@dataclass(frozen=True)
class RunTarget:
    """Server, account and limits of the runs.

    Attributes:
        host: Name in the inventory, for messages.
        server: Name or UUID.
        connected: State of the agent in the inventory; None if unknown.
        username, groupname: None for those of the token.
        extra: Further fields of each command, such as C(purpose).
    """

    host: str
    server: str
    connected: bool | None
    username: str | None
    groupname: str | None
    extra: dict[str, Any]
    limits: Limits


@dataclass(frozen=True)
class RunResult:
    """Streams and exit code of a run; C(mark) is that of :class:`.Output`."""

    rc: int
    stdout: bytes
    stderr: bytes
    mark: str = ""


class ServerRunner:
    """Run code on one server with one client."""

    def __init__(self, target: RunTarget, settings: Settings, run: Run) -> None:
        self._target = target
        self._run = run
        self._shared = run.shared(settings)
        self._client = run.client(settings, self._shared)
        self._server: Server | None = None

    def close(self) -> None:
        self._client.__exit__()

    def invalidate_server(self) -> None:
        """Query the server again before the next run, in every process."""
        self._server = None
        self.write_note(_ID, b"")
        self.invalidate_home_folders()

    def invalidate_home_folders(self) -> None:
        """Query homes again, since a task may have moved them."""
        self.write_note(_HOMES, secrets.token_hex(4).encode())

    def get_home_note(self, command: str) -> str:
        """Return the name of the note for the output of a command that prints a home."""
        return f"{(self.read_note(_HOMES) or b'').decode()} {command}"

    def run_body(self, label: str, body: str, stdin: bytes = b"", files: Sequence[bytes] = ()) -> RunResult:
        """Run a body once, see :func:`.packing.pack`.

        Raises:
            PayloadTooLarge: It does not fit into one submit.
            RequestTooLarge: The workspace, or a proxy in front of it, accepts smaller submits only.
            AccountRefused: The workspace, or the server, refuses the account.
            AlpaconError: It did not run, or may have run; the text says which.
        """
        payload = pack(label, body, stdin, files)
        job = Job(self._find_server())
        command = Match(job.server.id, payload.line, "system", self._target.username, self._target.groupname)
        job.body = {**command.to_body(), **self._target.extra, "env": payload.env}
        fleet = Fleet(
            self._client,
            self._target.limits,
            report_offline=self._run.context.report,
            run=self._run,
            shared=self._shared,
            pacing=MODULE_PACING if stdin else SHELL_PACING,
        )
        try:
            fleet.run([job])
        except BaseException as error:
            if type(error).__name__ == "TaskTimeoutError":
                self._name_command(error, job)
            raise
        return self._get_result(job)

    def _name_command(self, error: BaseException, job: Job) -> None:
        """Name the command in the error with which ansible-core ends a task after its C(timeout).

        An error of another type would let some actions try again.
        """
        where = (
            f"command {job.id} goes on" if job.id else f"the ID of its command is in {self._run.context.journal_file}"
        )
        said = f"{self._target.host}: {where}. Await it by alpacon_command with state=finished."
        # Before 2.19, ansible-core does not display the text of this error.
        if error.args:
            error.args = (f"{error} {said}",)
        else:
            self._run.context.alert(said)

    def _get_result(self, job: Job) -> RunResult:
        outcome, output = job.outcome, job.output
        if outcome == Outcome.REFUSED and isinstance(job.error, ApiError) and job.error.refuses_account:
            raise AccountRefused(f"{self._target.host}: {job.error}")
        is_missing = job.found is not None and not any(job.found)
        if is_missing and isinstance(job.error, LostResponse) and job.error.status == 413:
            raise RequestTooLarge(f"{self._target.host}: {job.error}")
        if outcome == Outcome.AWAITING_APPROVAL:
            raise AlpaconError(f"{self._target.host}: {self._cancel_held_command(job)}")
        if output and output.refused:
            kind = AccountRefused if blames_account(output) else AlpaconError
            raise kind(f"{self._target.host}: nothing was run: {output.refused}.")
        if outcome in (Outcome.SUCCESS, Outcome.FAILED) and output and job.known.ran:
            if output.complete and job.known.rc is not None:
                stdout, stderr = (text.encode("utf-8", "surrogateescape") for text in (output.text, output.stderr))
                return RunResult(job.known.rc, stdout, stderr, output.mark)
            advice = " A task that takes so long needs async and poll." if job.known.rc == TIMEOUT_RC else ""
            raise AlpaconError(f"{self._target.host}: command {job.id} has run. {output.note}{advice}")
        # The sentence of the outcome is for tasks of alpacon_command.
        said = (job.msg or (outcome.sentence if outcome else "")).replace(Outcome.TIMED_OUT.sentence, _GOES_ON)
        said = f"{f'command {job.id}: ' if job.id else ''}{said}"
        if job.command and job.command.error_phase:
            said = f"{said} The workspace says: {job.command.error_phase}."
        raise AlpaconError(f"{self._target.host}: {said}{'' if job.ran is False else f' {_MAY_HAVE_RUN}'}")

    def _cancel_held_command(self, job: Job) -> str:
        """Cancel a command that would run after its task has failed, and return a sentence on it."""
        held = f"the workspace held command {job.id} until somebody approves it"
        try:
            done = cancel(self._client, job.known.id)
        except LostResponse as error:
            return f"{held}. It may have been cancelled. {_MAY_HAVE_RUN} {error}"
        except AlpaconError as error:
            return f"{held}. It could not be cancelled. {_MAY_HAVE_RUN} {error}"
        if done == SENT:
            return f"{held}. It was delivered before it could be cancelled. {_MAY_HAVE_RUN}"
        return f"{held}. It was cancelled."

    def read_note(self, about: str) -> bytes | None:
        """Return a note of this run about the server and the account, None if there is none."""
        with contextlib.suppress(OSError):
            return self._note_file(about).read_bytes()
        return None

    def write_note(self, about: str, text: bytes) -> None:
        """Write a note for later tasks of this run."""
        with contextlib.suppress(OSError):
            replace_file(self._note_file(about), text.decode("utf-8", "surrogateescape"))

    def _note_file(self, about: str) -> Path:
        settings = self._client.settings
        server = None if about == MAX_PIECE else self._target.server
        username = None if about in (_ID, _HOMES, MAX_PIECE) else self._target.username
        key = [settings.url, settings.token, server, username, about]
        folder = self._run.context.folder or Path("/nonexistent")
        return folder / f"alpacon-host-{hashlib.sha256(json.dumps(key).encode()).hexdigest()[:32]}"

    def _find_server(self) -> Server:
        if self._server is None:
            reference = self._target.server
            self._server = self._get_server(reference) if is_uuid(reference) else self._resolve_name(reference)
        return self._server

    def _get_server(self, reference: str) -> Server:
        server = Server(normalize_uuid(reference))
        if self._target.connected is not False:
            return server
        # The inventory may be old, and the agent connected by now.
        server_id = str(server.id)
        found = query_servers(self._client, [server_id])[0][server_id]
        if not found:
            raise UsageError("server", f"no server has the id {server_id}", "Read the inventory again.")
        return found[0]

    def _resolve_name(self, reference: str) -> Server:
        known = self.read_note(_ID)
        if known:
            return Server(known.decode(), reference)
        # Results of other workers may be older than the note that is empty.
        shared = self._shared if known is None else None
        [server] = find_servers(self._client, [reference], "server", shared, self._run.hosts)
        self.write_note(_ID, str(server.id).encode())
        return server
