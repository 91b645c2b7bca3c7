# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the workers of a run share about a workspace.

Workers are processes. What they share is files in the run's own temporary folder, which nobody else may read and
which is gone when the run is: names of servers, rows of commands that others await, and until when requests must
pause. No token and no environment variable is ever in there.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import time
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Callable

from .._api.client import Client, Outage, OutageState, RateLimitPause
from .._api.errors import IncompleteList, UsageError
from .._api.lists import PAGE_SIZE
from .._api.records import Server, is_uuid, normalize_uuid
from .._api.servers import SERVERS_PATH, parse_servers, query_servers, suggest_server
from .journal import lock_folder, read_number, replace_file

#: Stands for the row of a command that the list does not have.
NOT_LISTED: dict[str, Any] = {}
_ID_OF_COMMAND = re.compile(r"[0-9A-Za-z-]+")
#: For how long names of servers are taken from another worker, in seconds.
_NAMES_LAST = 60.0
#: For how long a worker waits for another one that finds something out, in seconds.
_PATIENCE = 60.0


class SharedPause(RateLimitPause):
    """Until when no worker of a run may send a request; of this process alone where the file cannot be written."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self._file = file

    def until(self) -> float:
        """Monotonic seconds, which all processes of a machine count alike."""
        return max(self._until, read_number(self._file))

    def hold(self, until: float) -> bool:
        """Make everybody wait until then, in monotonic seconds; return True if that is later by more than a second."""
        is_later = super().hold(until)
        with contextlib.suppress(OSError), lock_folder(self._file.parent):
            before = read_number(self._file)
            is_later = is_later and until > before + 1
            replace_file(self._file, str(max(until, before)))
        return is_later


class SharedOutage(Outage):
    """The outage of a workspace for all workers of a run; for this process alone if the files cannot be written."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder
        self._file = folder / "outage"

    @property
    def accepted(self) -> bool:
        """Return True if the workspace has accepted the token in this run."""
        return super().accepted or (self._folder / "accepted").exists()

    def accept(self) -> None:
        """Note that the workspace has accepted the token."""
        if not super().accepted:
            super().accept()
            with contextlib.suppress(OSError):
                (self._folder / "accepted").touch()

    def is_first_notice(self) -> bool:
        """Return True the first time in this run, to one worker alone."""
        try:
            (self._folder / "outage_announced").touch(exist_ok=False)
        except FileExistsError:
            return False
        except OSError:
            pass
        return super().is_first_notice()

    def read_state(self) -> OutageState | None:
        """Return the outage, or None if there is none."""
        try:
            since, next_probe, pause = map(float, self._file.read_text().split())
        except FileNotFoundError:
            return super().read_state()
        except (OSError, ValueError):
            return None
        return OutageState(since, next_probe, pause)

    def write_state(self, state: OutageState | None) -> None:
        """Replace the outage, under the lock."""
        super().write_state(None)
        try:
            if state is None:
                self._file.unlink(missing_ok=True)
            else:
                replace_file(self._file, " ".join(map(str, state)))
        except OSError:
            super().write_state(state)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the lock of the outage, as far as there is a file for it."""
        with super().locked(), contextlib.ExitStack() as stack:
            with contextlib.suppress(OSError):
                stack.enter_context(lock_folder(self._folder))
            yield


class Shared:
    """What the workers of a run share about one workspace, as seen with one token.

    Args:
        folder: temporary folder of the run.
        url, token: they decide which workers share; only a digest of both is used.
    """

    def __init__(self, folder: Path, url: str, token: str) -> None:
        digest = hashlib.sha256(f"{url}\0{token}".encode()).hexdigest()
        self._folder = folder / f"alpacon-{digest}"
        self._awaited = self._folder / "awaited"
        self._rows = self._folder / "rows"
        # Parents that mkdir makes itself would be open to others.
        for path in (self._folder, self._awaited, self._rows):
            path.mkdir(mode=0o700, exist_ok=True)
        self.pause = SharedPause(self._folder / "paused_until")
        self.outage = SharedOutage(self._folder)

    @contextlib.contextmanager
    def try_lock(self, name: str) -> Iterator[bool]:
        """Whether this worker holds the lock now. It never waits, and a worker that dies lets go of it."""
        with (self._folder / f"{name}.lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                yield False
            else:
                yield True

    # Commands

    def add_awaited(self, command_id: str) -> None:
        """Ask whoever polls to look for this command as well."""
        with contextlib.suppress(OSError):
            (self._awaited / _file_name(command_id)).touch()

    def remove_awaited(self, command_id: str) -> None:
        """Take the command off the list of those that are looked for."""
        for folder in (self._awaited, self._rows):
            with contextlib.suppress(OSError):
                (folder / _file_name(command_id)).unlink()

    def awaited_ids(self) -> set[str]:
        """The ids of all commands that somebody awaits."""
        return {entry.name for entry in os.scandir(self._awaited)}

    def is_awaited_for(self, command_id: str, seconds: float) -> bool:
        """Whether somebody has waited for this command for so long."""
        with contextlib.suppress(OSError):
            return time.time() - (self._awaited / command_id).stat().st_mtime >= seconds
        return False

    def write_status(self, command_id: str, status: str) -> None:
        """Let the worker that awaits a command know that it was handed over; once is enough."""
        file = self._awaited / _file_name(command_id)
        with contextlib.suppress(OSError):
            if not file.stat().st_size:
                # Its worker may have taken it away since: it must not come back.
                descriptor = os.open(file, os.O_WRONLY)
                os.write(descriptor, status.encode())
                os.close(descriptor)

    def read_status(self, command_id: str) -> str:
        """What another worker has noted of a command that goes on, or an empty string."""
        with contextlib.suppress(OSError):
            return (self._awaited / _file_name(command_id)).read_text()
        return ""

    def write_row(self, command_id: str, row: dict[str, Any]) -> None:
        """Leave the row of a command that is over, or :data:`NOT_LISTED`, to the worker that awaits it."""
        replace_file(self._rows / _file_name(command_id), json.dumps(row))
        (self._awaited / _file_name(command_id)).unlink(missing_ok=True)

    def pop_row(self, command_id: str) -> dict[str, Any] | None:
        """The row that another worker left, once, or None."""
        file = self._rows / _file_name(command_id)
        try:
            row: dict[str, Any] = json.loads(file.read_text())
        except FileNotFoundError:
            return None
        file.unlink(missing_ok=True)
        return row

    def polled_at(self) -> float:
        """When the latest poll that came to its end was begun, in monotonic seconds."""
        return read_number(self._folder / "polled_at")

    def poll_gap(self) -> float:
        """How long after the latest poll the next one is due, in seconds; 0 before the first one."""
        return read_number(self._folder / "poll_gap")

    def write_poll(self, began: float, gap: float) -> None:
        """Say when a poll that has come to its end was begun, and how long after that the next one is due."""
        replace_file(self._folder / "poll_gap", str(gap))
        replace_file(self._folder / "polled_at", str(began))

    def compute_once(self, name: str, find: Callable[[], str]) -> str:
        """A text that the first worker finds, for which the others wait."""
        file = self._folder / name
        patience = time.monotonic() + _PATIENCE
        while not file.exists():
            with self.try_lock(name) as mine:
                if (mine and not file.exists()) or time.monotonic() >= patience:
                    text = find()
                    with contextlib.suppress(OSError):
                        replace_file(file, text)
                    return text
            if not mine:
                time.sleep(0.02)
        return file.read_text()

    # Servers

    def get_server_ids(
        self, names: Iterable[str], read: Callable[[], Iterable[tuple[str, str]]]
    ) -> dict[str, list[str]]:
        """The ids of servers by name, of those that ``read`` gives, or another worker has just read.

        A worker finds its own names without reading the others, however many there are. Where another one takes too
        long to read them, none is known.
        """
        file = self._folder / "servers"
        patience = time.monotonic() + _PATIENCE
        while time.monotonic() < patience:
            known = _look_in(file, names)
            if known is not None:
                return known
            with self.try_lock("servers") as mine:
                # Another one may have read them between the look and the lock.
                if mine and _look_in(file, ()) is None:
                    began = time.monotonic()
                    servers = list(read())
                    _write_names(file, began, servers)
                    return {name: ids for name in names if (ids := [key for other, key in servers if other == name])}
            if not mine:
                time.sleep(0.02)
        return {}


def _file_name(command_id: str) -> str:
    if not _ID_OF_COMMAND.fullmatch(command_id):
        raise ValueError("no id of a command looks like that")
    return command_id


def _digest(name: str) -> bytes:
    return hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest().encode()


# The file of names: when it was begun, then a record for each server, in order of its name's digest.
_DIGEST, _ID = len(_digest("")), 36
_RECORD = _DIGEST + _ID + 1


class _Records(Sequence[bytes]):
    """The records of a file of names."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._length = os.fstat(descriptor).st_size // _RECORD

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, number: Any) -> Any:
        return os.pread(self._descriptor, _RECORD - 1, number * _RECORD)


def _write_names(file: Path, began: float, servers: Iterable[tuple[str, str]]) -> None:
    records = sorted(_digest(name) + server_id.encode() for name, server_id in servers)
    first = f"{began:<{_RECORD - 1}.3f}".encode()
    replace_file(file, b"".join(record + b"\n" for record in (first, *records)).decode())


def _look_in(file: Path, names: Iterable[str]) -> dict[str, list[str]] | None:
    """The ids of those of these names that a worker has read lately, or None where none has."""
    try:
        descriptor = os.open(file, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        records = _Records(descriptor)
        if time.monotonic() - float(records[0]) >= _NAMES_LAST:
            return None
        return {name: ids for name in names if (ids := _ids_of(records, _digest(name)))}
    finally:
        os.close(descriptor)


def _ids_of(records: Sequence[bytes], digest: bytes) -> list[str]:
    ids = []
    for number in range(bisect_left(records, digest, 1), len(records)):
        if not records[number].startswith(digest):
            break
        ids.append(records[number][_DIGEST:].decode())
    return ids


def resolve_servers(
    client: Client,
    references: Sequence[str],
    option: str = "servers",
    shared: Shared | None = None,
    hosts: int = 1,
) -> list[Server]:
    """Find the server that each reference means, as :func:`find` does, where none may be named twice."""
    servers = find_servers(client, references, option, shared, hosts)
    seen: dict[str | None, str] = {}
    for reference, server in zip(references, servers):
        if server.id in seen:
            raise UsageError(option, f"{seen[server.id]} and {reference} are the same server", "Name each server once.")
        seen[server.id] = reference
    return servers


def find_servers(
    client: Client,
    references: Sequence[str],
    option: str = "servers",
    shared: Shared | None = None,
    hosts: int = 1,
) -> list[Server]:
    """Find the server that each reference means, in order, with as few requests as possible.

    A UUID is taken as it is, without a request; the API refuses it at the submit if there is no such server.
    Names are compared exactly.

    Args:
        shared: what the workers of the run share; with it the list is read once for all of them.
        hosts: for how many hosts the task runs.

    Raises:
        UsageError: a name is unknown or stands for several servers.
    """
    names = list(dict.fromkeys(reference for reference in references if not is_uuid(reference)))
    found = _shared_names(client, names, shared, hosts) if shared and names and hosts > 1 else {}
    missing = [name for name in names if name not in found]
    seen: list[str] = []
    if missing:
        asked, seen = query_servers(client, missing)
        found.update(asked)
    by_name = {name: _the_one(client, name, found[name], seen, option) for name in names}
    return [Server(normalize_uuid(ref)) if is_uuid(ref) else by_name[ref] for ref in references]


def _shared_names(client: Client, names: Sequence[str], shared: Shared, hosts: int) -> dict[str, list[Server]]:
    """Of these names the ones that the list of a worker of this run has; the others may be newer."""

    def read() -> Iterator[tuple[str, str]]:
        for page in client.pages(SERVERS_PATH, whole=True):
            if (page.count or 0) > hosts * PAGE_SIZE:
                return  # asking for each name costs less
            yield from ((str(server.name), str(server.id)) for server in parse_servers(page.rows))

    try:
        ids = shared.get_server_ids(names, read)
    except (OSError, IncompleteList):
        return {}  # the disk is full, say: then each worker asks for itself
    return {name: [Server(server_id, name) for server_id in found] for name, found in ids.items()}


def _the_one(client: Client, name: str, servers: Sequence[Server], seen: Sequence[str], option: str) -> Server:
    if len(servers) == 1:
        return servers[0]
    if servers:
        ids = ", ".join(str(server.id) for server in servers)
        raise UsageError(
            option, f"{len(servers)} servers are named {name}: {ids}", "Give the id of the one that is meant."
        )
    raise UsageError(option, f"no server is named {name}", suggest_server(client, name, seen))
