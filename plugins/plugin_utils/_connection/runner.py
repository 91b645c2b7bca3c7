# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A server of the workspace as a place where code of the shell is run, one submit for each."""

from __future__ import annotations

import contextlib
import hashlib
import json
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.herdops.alpacon.plugins.module_utils._api.commands import SENT, Match, cancel
from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import (
    AlpaconError,
    ApiError,
    LostResponse,
    UsageError,
)
from ansible_collections.herdops.alpacon.plugins.module_utils._api.outputs import TIMEOUT_RC, blames_account
from ansible_collections.herdops.alpacon.plugins.module_utils._api.records import Server, is_uuid, normalize_uuid
from ansible_collections.herdops.alpacon.plugins.module_utils._api.servers import query_servers
from ansible_collections.herdops.alpacon.plugins.module_utils._api.settings import Settings
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.fleet import Fleet
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.jobs import Job, Limits, Outcome
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.journal import replace_file
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.pacing import MODULE_PACING, SHELL_PACING
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.run import Run
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.sharing import resolve_servers
from ansible_collections.herdops.alpacon.plugins.module_utils._payload.packing import pack

#: What the id of the server is noted as, which is no command; the note is empty where the id has to be looked up anew.
_ID = ""
#: About the homes of all accounts, as far as they have been asked for since they may have moved.
_HOMES = "homes"
#: How much of a file the workspace, or a proxy in front of it, takes at once, whichever server it is for.
AT_ONCE = "at once"
_MAY_HAVE_RUN = "It may have run, and is not run again."
_GOES_ON = "Not finished within alpacon_wait_timeout. It goes on; await it by alpacon_command with state=finished."
_ASYNC = " A task that takes so long needs async and poll."


class RequestTooLarge(AlpaconError):
    """A submit was refused for its size alone, so that a smaller one may be accepted."""


class AccountRefused(AlpaconError):
    """Nothing was run because of the account, so that the same may run as another one."""


@dataclass(frozen=True)
class RunTarget:
    """Which server is meant, and how code is run there.

    Attributes:
        host: what the inventory calls it, and messages do.
        server: its name or UUID.
        connected: whether its agent was connected when the inventory was read; None if nobody has said it.
        username, groupname: the account; None for the one of the token.
        extra: fields of a command besides, such as C(purpose).
        limits: how long to wait.
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
    """What code has written, and its exit code.

    Attributes:
        mark: see :class:`Output`.
    """

    rc: int
    stdout: bytes
    stderr: bytes
    mark: str = ""


class ServerRunner:
    """Runs code on one server; a client and what is known of the server stay between two runs."""

    def __init__(self, access: RunTarget, settings: Settings, run: Run) -> None:
        self._access = access
        self._run = run
        self._shared = run.shared(settings)
        self._client = run.client(settings, self._shared)
        self._server: Server | None = None

    def close(self) -> None:
        """Close what is open."""
        self._client.__exit__()

    def forget_server(self) -> None:
        """Find the server anew, the next time, in this process or another one of the run."""
        self._server = None
        self.write_note(_ID, b"")
        self.forget_home_folders()

    def forget_home_folders(self) -> None:
        """Ask anew where homes are, which a task may have moved."""
        self.write_note(_HOMES, secrets.token_hex(4).encode())

    def home_note(self, command: str) -> str:
        """What the answer to a command that asks for a home is noted about, until homes are forgotten."""
        return f"{(self.read_note(_HOMES) or b'').decode()} {command}"

    def run(self, label: str, body: str, stdin: bytes = b"", files: Sequence[bytes] = ()) -> RunResult:
        """Run a body once, see :func:`.packing.pack`.

        Raises:
            TooLarge: it does not fit into one submit.
            AccountRefused: the workspace, or the server, does not let it run as this account.
            RequestTooLarge: it does, and is more than the workspace, or a proxy in front of it, takes.
            AlpaconError: it did not run, or nobody can say what came of it; the text says which.
        """
        carried = pack(label, body, stdin, files)
        job = Job(self._find())
        command = Match(job.server.id, carried.line, "system", self._access.username, self._access.groupname)
        job.body = {**command.body(), **self._access.extra, "env": carried.env}
        fleet = Fleet(
            self._client,
            self._access.limits,
            report_offline=self._run.report,
            run=self._run,
            shared=self._shared,
            pacing=MODULE_PACING if stdin else SHELL_PACING,
        )
        with self._named_in_timeout(job):
            fleet.run([job])
        return self._answer(job)

    @contextlib.contextmanager
    def _named_in_timeout(self, job: Job) -> Iterator[None]:
        """Name the command in the error with which ansible-core ends a task after its C(timeout)."""
        try:
            yield
        except BaseException as error:
            # Another error in its place would be a failure that some actions try again after.
            if type(error).__name__ == "TaskTimeoutError":
                where = (
                    f"command {job.id} goes on" if job.id else f"the ID of its command is in {self._run.journal_file}"
                )
                said = f"{self._access.host}: {where}. Await it by alpacon_command with state=finished."
                # ansible-core shows no text of this error before 2.19.
                if error.args:
                    error.args = (f"{error} {said}",)
                else:
                    self._run.alert(said)
            raise

    def _answer(self, job: Job) -> RunResult:
        outcome, output = job.outcome, job.output
        if outcome == Outcome.REFUSED and isinstance(job.error, ApiError) and job.error.refuses_account:
            raise AccountRefused(f"{self._access.host}: {job.error}")
        if job.never_seen and isinstance(job.error, LostResponse) and job.error.status == 413:
            raise RequestTooLarge(f"{self._access.host}: {job.error}")
        if outcome == Outcome.AWAITING_APPROVAL:
            raise AlpaconError(f"{self._access.host}: {self._withdraw(job)}")
        if output and output.refused:
            kind = AccountRefused if blames_account(output) else AlpaconError
            raise kind(f"{self._access.host}: nothing was run: {output.refused}.")
        if outcome in (Outcome.SUCCESS, Outcome.FAILED) and output and job.known.ran:
            if output.complete and job.known.rc is not None:
                stdout, stderr = (text.encode("utf-8", "surrogateescape") for text in (output.text, output.stderr))
                return RunResult(job.known.rc, stdout, stderr, output.mark)
            advice = _ASYNC if job.known.rc == TIMEOUT_RC else ""
            raise AlpaconError(f"{self._access.host}: command {job.id} has run. {output.note}{advice}")
        # The sentence of the outcome is for those who have asked for a command.
        said = (job.msg or (outcome.sentence if outcome else "")).replace(Outcome.TIMED_OUT.sentence, _GOES_ON)
        said = f"{f'command {job.id}: ' if job.id else ''}{said}"
        if job.command and job.command.error_phase:
            said = f"{said} The workspace says: {job.command.error_phase}."
        raise AlpaconError(f"{self._access.host}: {said}{'' if job.ran is False else f' {_MAY_HAVE_RUN}'}")

    def _withdraw(self, job: Job) -> str:
        """Take back a command that would run after its task has failed."""
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
        """What tasks of this run have noted about the server and the account; None if they have not."""
        with contextlib.suppress(OSError):
            return self._note_file(about).read_bytes()
        return None

    def write_note(self, about: str, text: bytes) -> None:
        """Let later tasks of this run know something that stays so."""
        with contextlib.suppress(OSError):
            replace_file(self._note_file(about), text.decode("utf-8", "surrogateescape"))

    def _note_file(self, about: str) -> Path:
        """The file of a note, for all workers."""
        settings, access = self._client.settings, self._access
        server = None if about == AT_ONCE else access.server
        # Which server it is does not depend on the account, nor does whether homes have moved.
        username = None if about in (_ID, _HOMES, AT_ONCE) else access.username
        key = [settings.url, settings.token, server, username, about]
        folder = self._run.folder or Path("/nonexistent")
        return folder / f"alpacon-host-{hashlib.sha256(json.dumps(key).encode()).hexdigest()[:32]}"

    # The server

    def _find(self) -> Server:
        if self._server is None:
            self._server = self._found()
        return self._server

    def _found(self) -> Server:
        reference = self._access.server
        if is_uuid(reference):
            server = Server(normalize_uuid(reference))
            # What an inventory says may be old: only whether it is still so is worth a request.
            return self._asked(str(server.id)) if self._access.connected is False else server
        known = self.read_note(_ID)
        if known:
            return Server(known.decode(), reference)
        # What other workers have read may be older than the order to forget it.
        shared = self._shared if known is None else None
        [server] = resolve_servers(self._client, [reference], "server", shared, self._run.hosts)
        self.write_note(_ID, str(server.id).encode())
        return server

    def _asked(self, server_id: str) -> Server:
        found = query_servers(self._client, [server_id])[0][server_id]
        if not found:
            raise UsageError("server", f"no server has the id {server_id}", "Read the inventory again.")
        return found[0]
