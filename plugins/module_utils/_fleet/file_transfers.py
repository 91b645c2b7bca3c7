# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Send files to servers and fetch files from them, as jobs of a fleet, and decide when each has ended."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, BinaryIO, Callable

from .._api.client import Client
from .._api.errors import AlpaconError, ApiError, ConnectionFailed, LostResponse, RunIsOver, clean_line
from .._api.records import Command, Server
from .._api.storage import ObjectStorage, SignedUrl, StorageError
from .._api.transfers import TransferStatus, create_download, create_upload, read_status, start_upload
from .completion import Poll, describe_offline, ends_polls, time_out
from .jobs import Job, Limits, Outcome, Settle, get_outcome
from .pacing import PACING, Pacing
from .threads import THREADS

#: Agents take a second for a small file. Each poll takes a request for each upload.
TRANSFER_PACING = Pacing(
    first_poll=1.0, young_growth=1.0, alone=2.0, alone_growth=0.3, alone_longest=60.0, steady=2.0, growth=0.25,
    longest=30.0, per_page=0.1,
)  # fmt: skip
#: Pause until the next read of an upload that runs: the shortest in seconds, its share of the age, and the longest.
_SHORTEST, _GROWTH, _LONGEST = 1.0, 0.3, 60.0
_SHOWN_RESULT = 300
_NOTHING_WRITTEN = "Nothing was written on the server."
_EXISTS = "already exists."
_MAY_BE_WRITTEN = "The agent may still write the file. Run the task again."


@dataclass(frozen=True)
class Content:
    """The content of an upload.

    Attributes:
        open: returns it from its start.
        size: in bytes.
        digest: SHA-256 in hexadecimal digits.
    """

    open: Callable[[], BinaryIO]
    size: int
    digest: str


def make_body(kind: str, server_id: str | None, path: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the body of a job: what identifies its submit, and what the API gets of it.

    Args:
        kind: C(upload) or C(download).
        path: of the file on the server.
        fields: C(username), C(groupname), and others of the API; and C(digest) of the content.
    """
    account = {name: fields.get(name) or "" for name in ("username", "groupname")}
    # No command of a workspace has such a line.
    identity = {"server": server_id, "shell": "internal", "line": f"{kind} {path}", "scheduled_at": None}
    return {**fields, **identity, **account, "path": path, "action": kind}


def _make_request(body: Mapping[str, Any]) -> dict[str, Any]:
    folder, slash, name = str(body["path"]).rpartition("/")
    others = ("username", "groupname", "work_session", "allow_overwrite", "resource_type")
    given = {key: body[key] for key in others if body.get(key) not in (None, "")}
    return {"server": body["server"], "path": folder + slash, "name": name, **given}


class _TransferRules:
    """Base of the rules of uploads and of downloads.

    Attributes:
        hosts: of the object storage, by the ID of the job.
        unknown: sentences for users about a job whose submit is lost.
    """

    other_requests = 0
    unknown = ""

    def __init__(self, limits: Limits, storage: ObjectStorage) -> None:
        self._limits = limits
        self._storage = storage
        self.hosts: dict[str, str] = {}

    def settle_lost(self, jobs: Sequence[Job], client: Client) -> None:
        """Finish the jobs: no command that the workspace shows can be theirs with certainty."""
        for job in jobs:
            why = f"{job.error} " if job.error else ""
            job.finish(Outcome.UNKNOWN, f"{why}{self.unknown}")

    def is_final(self, error: ApiError) -> bool:
        return ends_polls(error)


class UploadRules(_TransferRules):
    """The rules of uploads: the status of the upload shows its end.

    Nothing happens on a server before :func:`start_upload`, which is sent once. What fails before that is a certain
    failure; if the response to that is lost, only the status decides.
    """

    ends_with_command = False
    unknown = "An earlier attempt of this task may have written the file. It was not sent again."

    def __init__(self, limits: Limits, storage: ObjectStorage, content: Content) -> None:
        super().__init__(limits, storage)
        self._content = content
        self._statuses: dict[str, TransferStatus] = {}
        #: When to read the status of an upload again, in monotonic seconds.
        self._next_reads: dict[str, float] = {}
        #: Uploads whose start may not have arrived.
        self._lost_starts: dict[str, LostResponse] = {}

    def post(self, client: Client, body: Mapping[str, Any], _earlier_ids: Collection[str] = ()) -> Command:
        """Store the content and make the agent fetch it. Return a command that stands for the upload.

        Raises:
            ApiError, ConnectionFailed: nothing was written on the server.
        """
        deadline = time.monotonic() + self._limits.wait_timeout
        try:
            upload = create_upload(client, _make_request(body))
            self._store(upload.url, deadline)
        except (LostResponse, StorageError) as error:
            failure = str(error)
        else:
            failure = ""
        if failure:
            raise ConnectionFailed(failure if failure.endswith(_NOTHING_WRITTEN) else f"{failure} {_NOTHING_WRITTEN}")
        self.hosts[upload.id] = upload.url.host
        try:
            start_upload(client, upload.id)
        except LostResponse as error:
            self._lost_starts[upload.id] = error
        return Command(upload.id, Server(str(body["server"])), str(body["line"]), "internal", "running")

    def _store(self, url: SignedUrl, deadline: float) -> None:
        opened: list[_HashedFile] = []

        def open_file() -> Any:
            opened.append(_HashedFile(self._content.open()))
            return opened[-1]

        self._storage.put(url, open_file, self._content.size, deadline)
        if opened[-1].digest != self._content.digest:
            raise StorageError("The file changed on the controller while it was sent.")

    def read(self, jobs: Sequence[Job], client: Client, poll: Poll, newest_only: bool) -> None:
        """Read the status of each upload that is due."""
        now, client = time.monotonic(), client.until()
        due = [
            job for job in jobs if now >= min(self._next_reads.get(job.submitted.id, 0.0), self._limits.get_end(job))
        ]
        with ThreadPoolExecutor(max(1, min(THREADS, len(due)))) as pool:
            failures = [error for error in pool.map(lambda job: self._read_one(job, client, now), due) if error]
        self.other_requests = client.requests
        if failures and len(failures) == len(due):
            raise min(failures, key=lambda error: isinstance(error, ApiError) and error.stated)

    def _read_one(self, job: Job, client: Client, now: float) -> AlpaconError | None:
        upload_id = job.submitted.id
        pause = min(max(_SHORTEST, _GROWTH * (now - job.awaited_since)), _LONGEST)
        self._next_reads[upload_id] = now + pause
        try:
            self._statuses[upload_id] = read_status(client, upload_id)
        except AlpaconError as error:
            is_missing = isinstance(error, ApiError) and error.status == 404 and error.stated
            job.missing_since = (job.missing_since or now) if is_missing else 0.0
            return None if is_missing else error
        job.error, job.missing_since = None, 0.0
        return None

    def complete(self, job: Job) -> Settle | None:
        success, message = self._statuses.get(job.submitted.id, TransferStatus(None, ""))
        if success is None:
            if job.missing_since and time.monotonic() >= job.missing_since + PACING.patience:
                job.finish(
                    Outcome.UNKNOWN, f"The workspace does not show the upload {job.id} any more. {_MAY_BE_WRITTEN}"
                )
            return None
        # A later attempt of the task may send the file again.
        job.command = job.submitted.with_status("success" if success else "failed")
        if job.submitted.id in self._lost_starts:
            job.add_note("The response to its start was lost.")
        if success:
            job.finish(Outcome.SUCCESS, "Uploaded.")
        elif message.endswith(_EXISTS) and not job.body.get("allow_overwrite"):
            # The agent may have fetched it twice, for a start whose response was lost.
            job.changed = job.submitted.id in self._lost_starts
            job.finish(Outcome.SUCCESS, "The server has such a file already, and overwrite is false.")
        else:
            why = message or "no reason is stated."
            job.finish(Outcome.FAILED, f"The agent did not write the file, or only a part of it: {why}")
        return None

    def time_out(self, job: Job) -> Settle | None:
        lost = self._lost_starts.get(job.submitted.id)
        outcome = Outcome.UNKNOWN if lost else Outcome.TIMED_OUT
        reasons = [str(lost) if lost else "", f"The last poll failed: {job.error}" if job.error else ""]
        if job.server.is_connected is False:
            reasons.append(f"It waits for {describe_offline(job.server)}.")
        texts = ["Not finished within wait_timeout.", *reasons, _MAY_BE_WRITTEN]
        job.finish(outcome, " ".join(text for text in texts if text))
        return None


class DownloadRules(_TransferRules):
    """The rules of downloads: the file can be read once the command has ended.

    Args:
        save: reads the file from a URL and finishes the job; called in a thread.
    """

    ends_with_command = True
    unknown = (
        "The agent may have copied the file to the object storage of the workspace. Nothing was changed. Run the task"
        " again."
    )

    def __init__(self, limits: Limits, storage: ObjectStorage, save: Callable[[Job, SignedUrl, float], None]) -> None:
        super().__init__(limits, storage)
        self._save = save
        self._urls: dict[str, SignedUrl] = {}

    def post(self, client: Client, body: Mapping[str, Any], _earlier_ids: Collection[str] = ()) -> Command:
        """Make the agent store the file, and return its command.

        Raises:
            ApiError, ConnectionFailed: the file cannot be read.
            LostResponse: the agent may store the file.
        """
        try:
            transfer, command = create_download(client, _make_request(body))
        except StorageError as error:
            raise ConnectionFailed(str(error)) from None
        self.hosts[command.id] = transfer.url.host
        self._urls[command.id] = transfer.url
        return replace(command, line=str(body["line"]))

    def read(self, jobs: Sequence[Job], client: Client, poll: Poll, newest_only: bool) -> None:
        poll(jobs)

    def complete(self, job: Job) -> Settle | None:
        job.changed = False
        outcome = get_outcome(job.submitted)
        if outcome == Outcome.SUCCESS and job.submitted.id in self._urls:
            return self._fetch
        if outcome == Outcome.SUCCESS:
            job.finish(Outcome.FAILED, "An earlier attempt of this task asked for the file. Run the task again.")
        elif job.submitted.status == "awaiting_approval":
            job.finish(Outcome.AWAITING_APPROVAL, "Held for approval. Approve it in the workspace, then run it again.")
        elif outcome:
            why = job.submitted.error_phase or (job.submitted.result or "").strip()[-_SHOWN_RESULT:]
            failed = f"The agent did not read the file: {clean_line(why or 'no reason is stated.')}"
            job.finish(outcome, failed if outcome == Outcome.FAILED else None)
        elif job.missing_since and time.monotonic() >= job.missing_since + PACING.patience:
            return self.time_out(job)
        return None

    def _fetch(self, job: Job) -> None:
        end = max(self._limits.get_end(job), time.monotonic() + self._limits.wait_timeout / 2)
        try:
            self._save(job, self._urls[job.submitted.id], end)
        except RunIsOver:
            raise
        except Exception as error:
            # A job without an outcome would be fetched again.
            job.finish(Outcome.FAILED, str(error) if isinstance(error, AlpaconError) else f"Not saved: {error!r:.200}")

    def time_out(self, job: Job) -> Settle | None:
        job.changed = False
        time_out(job, replace(self._limits, cancel_on_timeout=False))
        return None


class _HashedFile:
    """Compute the digest of a file while it is read."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._hash = hashlib.sha256()

    def __enter__(self) -> _HashedFile:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._file.close()

    def read(self, size: int = -1) -> bytes:
        piece = self._file.read(size)
        self._hash.update(piece)
        return piece

    @property
    def digest(self) -> str:
        return self._hash.hexdigest()
