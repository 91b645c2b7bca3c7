# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Learn the end of commands from the listener, a process with a websocket, to save polls.

Workers come and go, so one process per run, workspace and token holds the websocket, see :mod:`.listener`. It starts
after as many useless polls as it costs requests. Workers and the listener share files.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import hashlib
import importlib.util
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Callable

from .._api.records import is_uuid
from .._api.settings import Settings
from .jobs import Job
from .journal import read_number, replace_file
from .run import RunContext, get_process_key

#: With more servers, subscriptions cost more than polls, which read the commands of all servers at once.
MAX_SERVERS = 20
#: Shortest and longest pause between polls of a command that the listener awaits, in case it misses the end.
_SHORTEST, _LONGEST = 30.0, 300.0
#: Shortest pause between two polls of a command that has ended.
_SHORTEST_READ = 0.2
#: Number of commands in a row whose ends the listener misses until it is given up.
_MAX_MISSED = 2
#: Seconds that polls wait for the listener to start.
_START_WAIT = 2.0
#: Seconds between two checks for the file of an ended command.
_CHECK_EVERY = 0.03
#: Seconds by which the time of a file may be too early.
_CLOCK_TICK = 0.02
_CODE = "import sys; sys.path[0] = sys.argv[1]; from {} import main; main()"


class PushFiles:
    """Files that workers and the listener share.

    Attributes:
        wanted: folder of the servers to subscribe to, by ID.
        listening: folder of the servers that are subscribed to.
        ended: folder of the commands that ended, by digests of their IDs.
        followed: folder of the commands to whose output to subscribe, by ID.
        following: folder of the commands to whose output the listener has subscribed.
        printed: folder of these commands, each with the number after that of the newest chunk.
        useless: contains a byte for each useless poll.
        missed: contains a byte for each command since the last event whose end the listener has missed.
        lock: locked while the listener runs; written when it starts.
        given_up: JSON of the message for users, and True if it is shown without C(-v).
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.wanted, self.listening, self.ended = (folder / name for name in ("wanted", "listening", "ended"))
        self.followed, self.following, self.printed = (folder / name for name in ("followed", "following", "printed"))
        self.useless, self.missed = folder / "useless", folder / "missed"
        self.lock, self.given_up = folder / "lock", folder / "given_up"

    def create(self) -> None:
        folders = self.wanted, self.listening, self.ended, self.followed, self.following, self.printed
        for path in (self.folder, *folders):
            path.mkdir(mode=0o700, exist_ok=True)

    def get_ended(self, command_id: str) -> Path:
        return self.ended / hashlib.sha256(command_id.encode("utf-8", "surrogatepass")).hexdigest()


class Push:
    """Wait for the end of the commands of a worker, and start the listener once it saves requests.

    Args:
        folder: the folder of :class:`.SharedState`.
    """

    def __init__(self, folder: Path, settings: Settings, context: RunContext) -> None:
        self._files = PushFiles(folder / "push")
        self._settings = settings
        self._context = context
        #: By server ID: the times of the subscriptions that were there at the start of the last poll, or of the task;
        #: and the same for the last poll that read the commands.
        self._polled_listening = self._relied_listening = self._read_listening()
        #: Jobs whose pauses until the next poll rely on the listener, and those of the last poll.
        self._relying: list[Job] = []
        self._relied: list[Job] = []

    def begin_poll(self) -> None:
        self._polled_listening, self._relied, self._relying = self._read_listening(), self._relying, []

    def end_poll(self, has_read: bool = True) -> None:
        """Rely on the listener from now on if the poll has read the commands, or give it up if it missed their ends.

        Args:
            has_read: False if the poll read only what another worker had written, perhaps before the subscription.
        """
        if has_read:
            self._relied_listening = self._polled_listening
        self._count_missed()

    def get_pause(self, job: Job, pause: float) -> float:
        """Return the pause before the next poll of a job: longer if the listener awaits the end of its command."""
        if job.held_since:
            return pause  # the end of its command decides nothing
        if job.ended_at:
            return min(pause, max(_SHORTEST_READ, time.monotonic() - job.ended_at))  # reads may lag behind
        if not self._is_running():
            return pause
        if not self._get_listening_since(job):
            return max(pause, min(_START_WAIT, _get_time(self._files.lock) + _START_WAIT - time.time()))
        if self._get_listening_since(job) != self._relied_listening.get(str(job.server.id)):
            return pause
        self._relying.append(job)
        return max(pause, _SHORTEST, min((time.monotonic() - job.awaited_since) / 2, _LONGEST))

    def wait(self, jobs: Sequence[Job], seconds: float, sleep: Callable[[float], None]) -> bool:
        """Sleep; return True at once if a command has ended, or the listener begins or ceases to await the commands."""
        is_running = self._is_running()
        if self._relying and not (is_running and all(map(self._has_listened, self._relying))):
            self._relying = []
            return True
        if not is_running:
            sleep(seconds)
            return False
        is_awaited = all(map(self._has_listened, jobs))
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            ended = [job for job in jobs if not job.ended_at and self._files.get_ended(job.submitted.id).exists()]
            for job in ended:
                job.ended_at = time.monotonic()
                self._files.missed.unlink(missing_ok=True)
            if ended or (not is_awaited and all(map(self._get_listening_since, jobs))):
                return True
            sleep(min(_CHECK_EVERY, left))
        return False

    def add_useless(self, jobs: Sequence[Job], requests: int) -> None:
        """Count the requests of a poll after which no command had ended, and start the listener if it pays."""
        if not all(is_uuid(job.server.id) for job in jobs) or self._has_given_up():
            return
        with contextlib.suppress(OSError):
            self._files.create()
            for job in jobs:
                (self._files.wanted / str(job.server.id)).touch()
            with self._files.useless.open("ab") as file:
                file.write(b"." * requests)
                # One session, and one subscription for each server.
                if file.tell() > len(os.listdir(self._files.wanted)) <= MAX_SERVERS:
                    self._start()

    def follow(self, job: Job) -> None:
        """Count a read of the output that found nothing, and subscribe to the output."""
        self.add_useless([job], 1)
        with contextlib.suppress(OSError):
            (self._files.followed / job.submitted.id).touch()

    def is_quiet(self, job: Job, next_seq: int, read_at: float) -> bool:
        """Return True if the listener knows that there is no chunk with this number or a later one.

        Args:
            read_at: start of the last read in monotonic seconds.
        """
        began = time.time() - (time.monotonic() - read_at)
        if not 0 < _get_time(self._files.following / job.submitted.id) < began - _CLOCK_TICK:
            return False
        return self._is_running() and read_number(self._files.printed / job.submitted.id) <= next_seq

    def _count_missed(self) -> None:
        """Give up the listener if it misses the ends of commands, which polls find."""
        if any(job.ended_at for job in self._relied):
            return  # commands of a task often end together, and the other events may arrive soon
        for job in self._relied:
            if job.submitted.ran and job.submitted.finished and not self._files.get_ended(job.submitted.id).exists():
                with contextlib.suppress(OSError), self._files.missed.open("ab") as file:
                    file.write(b".")
                    if file.tell() >= _MAX_MISSED:
                        give_up(self._files, f"the workspace has not pushed the ends of {_MAX_MISSED} commands", True)

    def _get_listening_since(self, job: Job) -> float:
        return _get_time(self._files.listening / str(job.server.id)) if is_uuid(job.server.id) else 0.0

    def _has_listened(self, job: Job) -> bool:
        """Return True if the listener has listened since before the last poll; events are not repeated."""
        return 0 < self._get_listening_since(job) == self._polled_listening.get(str(job.server.id))

    def _read_listening(self) -> dict[str, float]:
        with contextlib.suppress(OSError):
            return {file.name: _get_time(file) for file in self._files.listening.iterdir()}
        return {}

    def _is_running(self) -> bool:
        if self._files.given_up.exists():
            return False
        try:
            with self._files.lock.open() as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            pass
        return False

    def _has_given_up(self) -> bool:
        try:
            text, is_important = json.loads(self._files.given_up.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return False
        if self._context.is_first("push"):
            (self._context.report if is_important else self._context.report_details)(f"alpacon: {text}")
        return True

    def _start(self) -> None:
        """Start the listener if none has been started in this run."""
        if self._context.process is None or self._context.is_over() or self._files.lock.exists():
            return
        with self._files.lock.open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if importlib.util.find_spec("websocket") is None:
                give_up(self._files, "the Python library websocket-client is not installed")
                return
            order = {
                "folder": str(self._files.folder.parent.parent),
                "process": get_process_key(self._context.process),
                "settings": dataclasses.asdict(self._settings),
            }
            # It inherits the lock, but no terminal and no pipe of the run. The token is in no argument or variable.
            process = subprocess.Popen(  # pylint: disable=ansible-bad-function
                [sys.executable, "-c", _CODE.format(f"{__package__}.listener"), str(Path(__file__).parents[6])],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=[file.fileno()],
                cwd="/",
                env={name: value for name, value in os.environ.items() if not name.startswith("ALPACON_")},
                start_new_session=True,
            )
            if process.stdin:
                process.stdin.write(json.dumps(order).encode())
                process.stdin.close()


def give_up(files: PushFiles, reason: str, is_important: bool = False) -> None:
    """Write why commands are only polled from now on."""
    replace_file(files.given_up, json.dumps([f"commands are polled, because {reason}.", is_important]))


def _get_time(file: Path) -> float:
    """Return the time of a file in seconds since the epoch, or 0."""
    with contextlib.suppress(OSError):
        return file.stat().st_mtime
    return 0.0
