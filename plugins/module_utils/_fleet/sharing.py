# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Share pauses, outages, rows of commands and server names between the workers of a run, and find servers by name.

The workers are processes. They share files in the temporary folder of the run, which only the user can read and which
is deleted after the run. The files contain no token and no environment variable.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import math
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Callable

from .._api.client import Client, RateLimitPause
from .._api.errors import IncompleteList
from .._api.lists import PAGE_SIZE
from .._api.outage import Outage, OutageState
from .._api.records import Server, is_uuid, normalize_uuid, parse_servers
from .._api.servers import SERVERS_PATH, pick_servers, query_servers
from .journal import lock_folder, read_number, replace_file

#: Replaces the row of a command that the list does not contain.
NOT_LISTED: dict[str, Any] = {}
#: Seconds that the shared list of server names is valid, and seconds to wait for another worker to find a value.
_NAMES_VALID, _FIND_WAIT = 60.0, 60.0
#: What workers share of the row of a server.
_SERVER_FIELDS = ("id", "name", "is_connected", "commissioned", "started_at", "last_connectivity", "version")


class SharedPause(RateLimitPause):
    """A rate limit pause of all workers of a run, or of this process alone if the file cannot be written."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self._file = file

    def get_end(self) -> float:
        """Return the end in monotonic seconds, which are the same in all processes of a machine."""
        return max(self._until, read_number(self._file))

    def extend(self, until: float) -> bool:
        is_later = super().extend(until)
        with contextlib.suppress(OSError), lock_folder(self._file.parent):
            before = read_number(self._file)
            is_later = is_later and until > before + 1
            replace_file(self._file, str(max(until, before)))
        return is_later


class SharedOutage(Outage):
    """An outage that all workers of a run see, or this process alone if the files cannot be written."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder
        self._file = folder / "outage"

    @property
    def accepted(self) -> bool:
        return super().accepted or (self._folder / "accepted").exists()

    def accept(self) -> None:
        if not super().accepted:
            super().accept()
            with contextlib.suppress(OSError):
                (self._folder / "accepted").touch()

    def is_first_notice(self) -> bool:
        try:
            (self._folder / "outage_announced").touch(exist_ok=False)
        except FileExistsError:
            return False
        except OSError:
            pass
        return super().is_first_notice()

    def read_state(self) -> OutageState | None:
        try:
            since, next_probe, pause = map(float, self._file.read_text().split())
        except FileNotFoundError:
            return super().read_state()
        except (OSError, ValueError):
            return None
        return OutageState(since, next_probe, pause)

    def write_state(self, state: OutageState | None) -> None:
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
        """Lock out the other threads, and the other workers if the folder can be locked."""
        with super().locked(), contextlib.ExitStack() as stack:
            with contextlib.suppress(OSError):
                stack.enter_context(lock_folder(self._folder))
            yield


class SharedState:
    """The state that the workers of a run share if they use the same workspace with the same token.

    Args:
        folder: temporary folder of the run.
        url, token: only a digest of both is written.
    """

    def __init__(self, folder: Path, url: str, token: str) -> None:
        digest = hashlib.sha256(f"{url}\0{token}".encode()).hexdigest()
        self.folder = folder / f"alpacon-{digest}"
        self._awaited = self.folder / "awaited"
        self._rows = self.folder / "rows"
        # With parents=True, mkdir would make folders that other users can read.
        for path in (self.folder, self._awaited, self._rows):
            path.mkdir(mode=0o700, exist_ok=True)
        self.pause = SharedPause(self.folder / "paused_until")
        self.outage = SharedOutage(self.folder)

    @contextlib.contextmanager
    def try_lock(self, name: str) -> Iterator[bool]:
        """Yield True if this worker got the lock, at once. The lock is also released when the worker exits."""
        with (self.folder / f"{name}.lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                yield False
            else:
                yield True

    def find_once(self, name: str, find: Callable[[], Any], valid: float = math.inf) -> Any:
        """Return a JSON value that one worker finds for all, or None if another worker takes too long.

        Args:
            valid: how many seconds before this call the value may have been found.
        """
        file = self.folder / name
        called = time.monotonic()
        while time.monotonic() < called + _FIND_WAIT:
            value = _load(file, called - valid)
            if value is not None:
                return value
            with self.try_lock(name) as is_locked:
                # Another worker may have written the value just before the lock.
                if is_locked and _load(file, called - valid) is None:
                    began, value = time.monotonic(), find()
                    with contextlib.suppress(OSError):
                        replace_file(file, f"{began}\n{json.dumps(value)}")
                    return value
            if not is_locked:
                time.sleep(0.02)
        return None

    # Commands

    def read_duration(self, kind: str) -> float | None:
        """Return the seconds from submit to end of the last command of this kind in the run; None if there was none."""
        return read_number(self.folder / _to_duration_file(kind)) or None

    def write_duration(self, kind: str, seconds: float) -> None:
        with contextlib.suppress(OSError):
            replace_file(self.folder / _to_duration_file(kind), str(seconds))

    def add_awaited(self, command_id: str) -> None:
        """Ask the worker that polls to search the list for this command too."""
        with contextlib.suppress(OSError):
            (self._awaited / command_id).touch()

    def remove_awaited(self, command_id: str) -> None:
        for folder in (self._awaited, self._rows):
            with contextlib.suppress(OSError):
                (folder / command_id).unlink()

    def awaited_ids(self) -> set[str]:
        return {entry.name for entry in os.scandir(self._awaited)}

    def is_awaited_for(self, command_id: str, seconds: float) -> bool:
        """Return True if a worker has awaited this command for at least so many seconds."""
        with contextlib.suppress(OSError):
            return time.time() - (self._awaited / command_id).stat().st_mtime >= seconds
        return False

    def write_status(self, command_id: str, status: str) -> None:
        """Write the status of an unfinished command for the worker that awaits it, once."""
        file = self._awaited / command_id
        with contextlib.suppress(OSError):
            if not file.stat().st_size:
                # Without O_CREAT: the other worker may have removed the file since.
                descriptor = os.open(file, os.O_WRONLY)
                os.write(descriptor, status.encode())
                os.close(descriptor)

    def read_status(self, command_id: str) -> str:
        """Return the status that another worker wrote for this command, or an empty string."""
        with contextlib.suppress(OSError):
            return (self._awaited / command_id).read_text()
        return ""

    def write_row(self, command_id: str, row: dict[str, Any]) -> None:
        """Write the last row of a command, or :data:`NOT_LISTED`, for the worker that awaits it."""
        replace_file(self._rows / command_id, json.dumps(row))
        (self._awaited / command_id).unlink(missing_ok=True)

    def pop_row(self, command_id: str) -> dict[str, Any] | None:
        """Remove and return the row that another worker wrote, or return None."""
        file = self._rows / command_id
        try:
            row: dict[str, Any] = json.loads(file.read_text())
        except FileNotFoundError:
            return None
        file.unlink(missing_ok=True)
        return row

    def read_poll(self) -> tuple[float, float]:
        """Return the start of the last complete poll in monotonic seconds, and the pause after it; both 0 at first."""
        with contextlib.suppress(FileNotFoundError):
            began, _space, pause = (self.folder / "poll").read_text().partition(" ")
            return float(began), float(pause)
        return 0.0, 0.0

    def write_poll(self, began: float, pause: float) -> None:
        replace_file(self.folder / "poll", f"{began} {pause}")


def _to_duration_file(kind: str) -> str:
    return f"duration-{hashlib.sha256(kind.encode('utf-8', 'surrogatepass')).hexdigest()[:32]}"


def _load(file: Path, since: float) -> Any:
    """Return the JSON value of a file, or None if the file is missing, or its value was not found after that time."""
    with contextlib.suppress(FileNotFoundError), file.open(encoding="utf-8") as lines:
        if float(lines.readline()) > since:
            return json.load(lines)
    return None


class SharedServers:
    """Reads the list of servers for all workers of a run, each of which awaits an action of one server."""

    def __init__(self, shared: SharedState) -> None:
        self._shared = shared

    def count_awaited(self) -> int:
        """Return the number of commands and actions that the workers of the run await, at least one."""
        with contextlib.suppress(OSError):
            return max(1, len(self._shared.awaited_ids()))
        return 1

    def find(
        self, reference: str, client: Client, workers: int, get_valid: Callable[[int], float]
    ) -> tuple[list[Server], float]:
        """Return the servers with this name or UUID, and the monotonic time at which they were read.

        They are in no list if that has more pages than workers share it. Then the caller reads its own server.

        Args:
            get_valid: returns the seconds for which a list of so many pages is new enough.
        """

        def count_pages() -> int:
            return max(1, -(-(next(client.pages(SERVERS_PATH)).count or 0) // PAGE_SIZE))

        def read() -> dict[str, Any]:
            began = time.monotonic()
            pages = client.pages(SERVERS_PATH, {"ordering": "name"}, whole=True)
            rows = [{name: row[name] for name in _SERVER_FIELDS if name in row} for page in pages for row in page.rows]
            return {"began": began, "rows": rows}

        found = None
        with contextlib.suppress(OSError, IncompleteList):
            pages = self._shared.find_once("server_pages", count_pages)
            if pages is not None and pages <= workers:
                found = self._shared.find_once("server_states", read, get_valid(pages))
        servers = parse_servers(found["rows"]) if found else ()
        return [server for server in servers if reference in (server.id, server.name)], found["began"] if found else 0.0


def find_servers(
    client: Client,
    references: Sequence[str],
    option: str = "servers",
    shared: SharedState | None = None,
    hosts: int = 1,
    unique: bool = True,
) -> list[Server]:
    """Find the server of each reference, in order, with as few requests as possible.

    A UUID costs no request: the API refuses a submit to a server that does not exist. Names are compared exactly.

    Args:
        shared: state of the workers, so that one of them reads the list for all hosts.
        hosts: number of hosts that the task runs for.
        unique: refuse two references to the same server.

    Raises:
        UsageError: no server or several servers have a name, or two references are to the same server.
    """
    names = list(dict.fromkeys(reference for reference in references if not is_uuid(reference)))
    found = _read_shared_names(client, names, shared, hosts) if shared and names and hosts > 1 else {}
    missing = [name for name in names if name not in found]
    similar: list[str] = []
    if missing:
        queried, similar = query_servers(client, missing)
        found.update(queried)
    found.update({reference: [Server(normalize_uuid(reference))] for reference in references if is_uuid(reference)})
    return pick_servers(client, references, found, similar, option, unique)


def _read_shared_names(
    client: Client, names: Sequence[str], shared: SharedState, hosts: int
) -> dict[str, list[Server]]:
    """Return the servers of those names that the shared list contains. The list may lack new servers."""

    def read() -> dict[str, list[str]]:
        ids: dict[str, list[str]] = {}
        for page in client.pages(SERVERS_PATH, whole=True):
            if (page.count or 0) > hosts * PAGE_SIZE:
                break  # a query for each name costs fewer requests
            for server in parse_servers(page.rows):
                ids.setdefault(str(server.name), []).append(str(server.id))
        return ids

    try:
        ids = shared.find_once("servers", read, _NAMES_VALID) or {}
    except (OSError, IncompleteList):
        return {}  # for example if the disk is full: then each worker queries its own names
    return {name: [Server(server_id, name) for server_id in ids[name]] for name in names if name in ids}
