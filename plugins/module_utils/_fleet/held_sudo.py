# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Await a person's decision on the sudo of a command, and have the fleet submit the command once more if it is granted.

The agent denies a sudo that needs a person, so its command has failed by then, and a grant does not continue it.
It is submitted once more only if it certainly did nothing but that sudo.
"""

from __future__ import annotations

import re
import shlex
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Callable

from .._api.client import Client
from .._api.commands import get_command
from .._api.errors import AlpaconError, ApiError
from .._api.outputs import SUDO_DENIAL, explain_sudo
from .jobs import Job, Limits, Outcome, Settle
from .run import Run

#: Values of C(sudo_grant_status).
HELD = frozenset(("pending_approval", "pending_mfa"))
_GRANTED = "authorized"
#: The exit code of a sudo that was denied.
_DENIED_RC = 1
#: Seconds between two reads: the first pause, its share of the age of the command, and the longest; for each command
#: of the task that is held or may be held in another worker, so that hundreds of reads an hour suffice.
FIRST, GROWTH, LONGEST, EACH = 5.0, 0.2, 180.0, 6.0

#: Characters with which a shell may run more than one program. Agents without a shell split at them within quotes, too.
_NOT_SIMPLE = re.compile(r"[;&|<>()$`\\\r\n]")
_SUDO = re.compile(r"(?:/[\w./-]+/)?sudo")
#: Programs that run programs, and may call sudo a second time after other work.
_RUNNERS = re.compile(
    r"(?:ba|da|z|k|fi|c|tc|a)?sh|busybox|env|xargs|find|nohup|timeout|time|nice|ionice|setsid|watch|parallel|script|su"
    r"|sudo|doas|runuser|chroot|nsenter|unshare|systemd-run|flock|make|ansible\S*|(?:python|perl|ruby|node|php|lua|awk)\S*"
)
#: Folders of programs that come with the system; anywhere else, it may be a script.
_FOLDERS = ("", "/bin", "/sbin", "/usr/bin", "/usr/sbin")

_ALONE = (
    "It was not submitted again after an approval, since it may have done other work before its sudo. Only a line or"
    " argv that is a single sudo of a program of the system is. Approve it in the workspace, then run the task again."
)
_TWICE = "It was submitted once more already, and is not submitted a third time."
_LOST = "It is not submitted again, since the response to its submit was lost or an earlier attempt sent it."
_DECIDED = {
    "rejected": (
        Outcome.REJECTED,
        "A reviewer rejected its sudo, so what it was to run never ran. Do not submit it again; talk to the reviewer.",
    ),
    "expired": (Outcome.EXPIRED, "Nobody approved its sudo in time, so what it was to run never ran."),
    "used": (
        Outcome.UNKNOWN,
        "The approval of its sudo was used by another command, so this one was not submitted again. Look in the"
        " workspace for what ran before you run the task again.",
    ),
}


def is_sudo_line(line: str) -> bool:
    """Return True if a line certainly does nothing but a single sudo."""
    if _NOT_SIMPLE.search(line):
        return False
    try:
        return is_sudo(shlex.split(line))
    except ValueError:
        return False


def is_sudo(argv: Sequence[str]) -> bool:
    """Return True if a program with arguments is a single sudo whose program most likely runs no other sudo."""
    words = iter(argv)
    if not _SUDO.fullmatch(next(words, "")):
        return False
    program = _skip_options(words)
    folder, _slash, name = program.rpartition("/")
    if not re.fullmatch(r"[\w.+-]+", name) or folder not in _FOLDERS or _RUNNERS.fullmatch(name):
        return False
    return not any("sudo" in word for word in words)


def _skip_options(words: Iterator[str]) -> str:
    """Return the program that follows the harmless options of sudo; empty if there are other options."""
    for word in words:
        if word in ("-u", "-g", "--user", "--group"):
            next(words, "")
        elif word == "--":
            return next(words, "")
        elif word not in ("-n", "-H", "--non-interactive", "--set-home"):
            return "" if word.startswith("-") or "=" in word else word
    return ""


class HeldSudo:
    """Decides which failed commands await a person, reads the decisions, and ends the wait.

    Args:
        alone: True if the commands of the task are a single sudo, see :func:`is_sudo`.
    """

    def __init__(self, client: Client, run: Run, limits: Limits, alone: bool) -> None:
        self._client, self._run, self._limits, self._alone = client, run, limits, alone
        self._next_read = 0.0

    def check(self, job: Job, fetch: Callable[[Job], None]) -> None:
        """Hold a failed job whose sudo awaits a person. Otherwise, change nothing but its note.

        Args:
            fetch: reads its output.
        """
        if job.output is None:
            fetch(job)
        if not (job.body and job.output and self.may_be_held(job)):
            return
        text = f"{job.output.text}\n{job.output.stderr}"
        if not explain_sudo(text):
            return
        try:
            status = get_command(self._client, job.submitted.id).sudo_grant_status
        except AlpaconError as error:
            job.add_note(f"The workspace could not be asked about its sudo: {error}")
            return
        if self._alone and status in _DECIDED:
            job.finish(*_DECIDED[status])
        if status not in HELD and status != _GRANTED:
            return
        refusal = self._find_refusal(job, text)
        if refusal:
            job.add_note(refusal)
            return
        job.outcome, job.command = None, replace(job.submitted, sudo_grant_status=status)
        job.held_since = time.monotonic()
        self._next_read = self._next_read or job.held_since + FIRST
        job.expected = self._next_read - job.awaited_since
        if status in HELD:
            self._run.context.report(
                f"alpacon: the sudo of command {job.id} on {job.server} awaits a person in the workspace. The command"
                " has ended, so nothing is left to cancel if you interrupt the task"
            )

    @staticmethod
    def may_be_held(job: Job) -> bool:
        command = job.submitted
        return job.outcome == Outcome.FAILED and command.rc == _DENIED_RC and not command.error_phase

    def _find_refusal(self, job: Job, text: str) -> str:
        """Return why the job must not be submitted again; empty if it may."""
        if job.is_second:
            return _TWICE
        if not job.is_answered:
            return _LOST
        limit = self._limits.output_limit
        is_cut = limit is not None and len(text) > limit
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        has_other = len(lines) != 1 or not SUDO_DENIAL.fullmatch(lines[0].removeprefix("sudo: ").removesuffix("."))
        is_complete = job.output is not None and job.output.complete and not is_cut
        return "" if self._alone and is_complete and not has_other else _ALONE

    def read(self, jobs: Sequence[Job], client: Client) -> None:
        """Read the decisions about held jobs, if that is due.

        Raises:
            ApiError: the API refuses the token.
        """
        now = time.monotonic()
        ends = any(now >= self._limits.get_end(job) for job in jobs)
        if now < self._next_read and not ends:
            return
        for job in jobs:
            try:
                command = get_command(client, job.submitted.id)
            except ApiError as error:
                if error.refuses_token:
                    raise
                job.error = error
            except AlpaconError as error:
                job.error = error
            else:
                job.error = None
                job.command = replace(job.submitted, sudo_grant_status=command.sudo_grant_status)
        self._next_read = time.monotonic() + self._get_pause(jobs, now)
        for job in jobs:
            job.expected = self._next_read - job.awaited_since

    def _get_pause(self, jobs: Sequence[Job], now: float) -> float:
        age = now - min(job.held_since for job in jobs)
        hosts = self._run.hosts if self._run.host_locks else 1
        alone = min(max(FIRST, GROWTH * age, EACH * hosts), LONGEST)
        return max(alone, EACH * len(jobs), self._client.get_quota_pause(len(jobs)) or 0.0)

    def complete(self, job: Job) -> Settle | None:
        """End the wait of a job that was decided. Return what has the fleet submit it once more if it was granted."""
        status = job.submitted.sudo_grant_status
        if status == _GRANTED:
            return self._submit_again
        if status not in HELD:
            default = Outcome.FAILED, "The workspace no longer says whether its sudo is approved."
            self._end(job, *_DECIDED.get(status or "", default))
        return None

    def time_out(self, job: Job) -> None:
        last = f" The last poll failed: {job.error}" if job.error else ""
        limit = "before not_after" if time.monotonic() >= self._limits.not_after else "within wait_timeout"
        why = f"Nobody decided on its sudo {limit}, so what it was to run never ran."
        self._end(job, Outcome.FAILED, f"{why} Approve it in the workspace, then run the task again.{last}")

    @staticmethod
    def _end(job: Job, outcome: Outcome, msg: str) -> None:
        job.held_since = 0.0
        job.finish(outcome, msg)

    def _submit_again(self, job: Job) -> None:
        job.add_note(f"A person approved the sudo of command {job.id}, which the agent had denied until then.")
        job.held_since, job.submits_again = 0.0, True
