# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Running a command line: account, environment, with or without a shell, time limit."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import functools
import grp
import os
import pwd
import re
import shutil
import signal
import typing as t
from pathlib import Path

SHELL = "/bin/sh"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
LS_COLORS = "rs=0:di=01;34:ln=01;36:ex=01;32"
#: Seconds that a child which holds the output gets after the end of its line.
OUTPUT_GRACE_SECONDS = 2.0
#: The group of those that the workspace itself makes accounts for.
MEMBER_GROUP = "alpacon"
NO_USER = "there is no corresponding {user} username in this server"
NO_GROUP = "there is no corresponding {group} groupname in this server"
NOT_A_MEMBER = "groupname {group} is not in user {user}'s group list"
NO_HOME = f"fork/exec {SHELL}: no such file or directory"
CLOSED_HOME = f"fork/exec {SHELL}: permission denied"
TOO_LARGE = f"fork/exec {SHELL}: argument list too long"
QUEUE_FULL = "Failed to submit command: job queue is full"
CANCELLED = "Command cancelled before execution: context canceled"

_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)\})")
_OPERATORS = ("&&", "||", ";")


class NotStartedError(Exception):
    """Nothing of the line ran; the text is the result, with exit code 1."""


class AccountRefusedError(NotStartedError):
    """The account or its group is refused; the output states the reason too."""


class Output(t.Protocol):
    def flush_timeout(self) -> float | None:
        """Return how many seconds to wait for more output before `flush`; None for ever."""

    def flush(self) -> None:
        """Send pending output."""

    async def add(self, data: bytes) -> None:
        """Add output."""

    def add_message(self, text: str) -> None:
        """Add an error message of the agent itself."""


@dataclasses.dataclass(frozen=True)
class Account:
    """The account of a line. Without IDs, the line runs as the agent does."""

    name: str
    home: str
    uid: int | None = None
    gid: int | None = None
    groups: tuple[int, ...] = ()

    def options(self) -> dict[str, t.Any]:
        if self.uid is None or (self.uid, self.gid) == (os.geteuid(), os.getegid()):
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": list(self.groups)}


def find_account(user: str, group: str) -> Account:
    """Find an account on this host, in one of its groups. An empty name is root.

    A workspace creates the accounts of its members before it sends their commands. Here root replaces missing ones.
    """
    user = user or "root"
    try:
        entry = pwd.getpwnam(user)
    except KeyError:
        if group == MEMBER_GROUP:
            return Account("root", "/root")
        raise AccountRefusedError(NO_USER.format(user=user)) from None
    groups = os.getgrouplist(user, entry.pw_gid)
    try:
        # The group of root is ignored.
        gid = grp.getgrnam(group).gr_gid if group and entry.pw_uid else entry.pw_gid
    except KeyError:
        raise AccountRefusedError(NO_GROUP.format(group=group)) from None
    if gid not in groups:
        raise AccountRefusedError(NOT_A_MEMBER.format(user=user, group=group))
    account = Account(user, entry.pw_dir, entry.pw_uid, gid, tuple(groups))
    # Python enters the folder before it takes the account, the genuine agent after that.
    if account.options() and os.path.isdir(entry.pw_dir) and not can_enter(account):
        raise NotStartedError(CLOSED_HOME)
    return account


def can_enter(account: Account) -> bool:
    home = Path(account.home).resolve()
    return account.uid == 0 or all(_can_traverse(place.stat(), account) for place in (home, *home.parents))


def _can_traverse(status: os.stat_result, account: Account) -> bool:
    if status.st_uid == account.uid:
        return bool(status.st_mode & 0o100)
    return bool(status.st_mode & (0o010 if status.st_gid in (account.gid, *account.groups) else 0o001))


@functools.cache
def host_environment() -> dict[str, str]:
    found = {}
    with contextlib.suppress(OSError):
        for line in Path("/etc/environment").read_text(encoding="utf-8", errors="replace").splitlines():
            name, equals, value = line.strip().removeprefix("export ").partition("=")
            if equals and not name.startswith("#"):
                found[name] = value.strip("\"'")
    return found


def make_environment(account: Account, own: dict[str, str]) -> dict[str, str]:
    base = {"PATH": PATH, "TERM": "xterm-256color", "LANG": "en_US.UTF-8", "LS_COLORS": LS_COLORS}
    name, home = account.name, account.home
    identity = {"HOME": home, "PWD": home, "USER": name, "LOGNAME": name, "MAIL": f"/var/mail/{name}"}
    return base | host_environment() | identity | {"SHELL": "/bin/bash"} | own


def expand(word: str, environment: dict[str, str]) -> str:
    """Return the value of a variable if the word is only its name, else the word."""
    match = _VARIABLE.fullmatch(word)
    return environment.get(match[1] or match[2], word) if match else word


class Line:
    def __init__(
        self,
        account: Account,
        environment: dict[str, str],
        output: Output,
        seconds: float,
        on_start: t.Callable[[], None],
    ) -> None:
        self._account, self._environment, self._output, self._seconds = account, environment, output, seconds
        self._on_start = on_start
        self._process: asyncio.subprocess.Process | None = None
        #: It took too long.
        self.timed_out = False
        #: It was ended from outside.
        self.stopped = False
        #: Its processes are to outlive the agent.
        self.left_alone = False

    async def run(self, line: str, allow_sh: bool, program: list[str] | None = None) -> int:
        """Run it, or a program without a shell. Return its exit code, -1 after a signal. Raises NotStartedError."""
        timer = asyncio.get_running_loop().call_later(self._seconds, self._time_out)
        try:
            if program:
                return await self._run(program)
            if allow_sh:
                return await self._run([SHELL, "-c", expand(line, self._environment)])
            return await self._run_words(line.split())
        finally:
            timer.cancel()

    def stop(self) -> None:
        self.stopped = True
        self.kill()

    def kill(self) -> None:
        if self._process is not None and not self.left_alone:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)

    @property
    def process_group(self) -> int | None:
        return self._process.pid if self._process else None

    def _time_out(self) -> None:
        self.timed_out = True
        self.kill()

    async def _run_words(self, words: list[str]) -> int:
        """Run programs without a shell, joined by `&&`, `||` and `;` as words of their own."""
        code, start = 0, 0
        ends = [number for number, word in enumerate(words) if word in _OPERATORS]
        for end in (*ends, len(words)):
            arguments = [expand(word, self._environment) for word in words[start:end]]
            start = end + 1
            if arguments:
                code = await self._run_program(arguments, alone=not ends)
            operator = words[end] if end < len(words) else ";"
            if (operator == "&&" and code != 0) or (operator == "||" and code == 0) or self.timed_out or self.stopped:
                break
        return code

    async def _run_program(self, arguments: list[str], alone: bool) -> int:
        try:
            program = arguments[0]
            if "/" not in program and shutil.which(program, path=PATH) is None:
                raise NotStartedError(f'exec: "{program}": executable file not found in $PATH')
            return await self._run(arguments)
        except NotStartedError as error:
            if alone:
                raise
            self._output.add_message(str(error))
            return 1

    async def _run(self, arguments: list[str]) -> int:
        read_end, write_end = os.pipe()
        try:
            process = await asyncio.create_subprocess_exec(
                *arguments,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=write_end,
                stderr=write_end,
                cwd=self._environment["HOME"],
                env=self._environment,
                start_new_session=True,
                umask=0o022,
                **self._account.options(),
            )
        except (OSError, ValueError) as error:
            os.close(read_end)
            reason = os.strerror(error.errno or 0).lower() if isinstance(error, OSError) else "invalid argument"
            raise NotStartedError(f"fork/exec {arguments[0]}: {reason}") from error
        finally:
            os.close(write_end)
        if self._process is None:
            self._on_start()
        self._process = process
        reader = asyncio.StreamReader(2**18)
        pipe = open(read_end, "rb", 0)  # noqa: SIM115, the transport closes it
        transport, _protocol = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), pipe
        )
        cutting = asyncio.ensure_future(_close_after_exit(process, transport))
        try:
            await self._read_all(reader)
            code = await process.wait()
        finally:
            cutting.cancel()
            transport.close()
            self.kill()
        return max(code, -1)

    async def _read_all(self, reader: asyncio.StreamReader) -> None:
        while True:
            try:
                async with asyncio.timeout(self._output.flush_timeout()):
                    data = await reader.read(2**16)
            except TimeoutError:
                self._output.flush()
                continue
            if not data:
                return
            await self._output.add(data)


async def _close_after_exit(process: asyncio.subprocess.Process, transport: asyncio.ReadTransport) -> None:
    await process.wait()
    await asyncio.sleep(OUTPUT_GRACE_SECONDS)
    transport.close()
