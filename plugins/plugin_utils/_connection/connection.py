# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A connection to a host: commands, and files in both directions, by the submits of a remote server."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shlex
import shutil
from collections.abc import Sequence
from pathlib import Path

from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import AlpaconError
from ansible_collections.herdops.alpacon.plugins.module_utils._payload.frames import UNDONE
from ansible_collections.herdops.alpacon.plugins.module_utils._payload.packing import TooLarge, make_label
from ansible_collections.herdops.alpacon.plugins.module_utils._payload.shell import shell_body, write_step
from ansible_collections.herdops.alpacon.plugins.plugin_utils._connection.command_batch import (
    CommandBatch,
    File,
    is_home_query,
)
from ansible_collections.herdops.alpacon.plugins.plugin_utils._connection.module_cache import reduce_module
from ansible_collections.herdops.alpacon.plugins.plugin_utils._connection.runner import (
    MAX_PIECE,
    RequestTooLarge,
    RunResult,
    ServerRunner,
)

#: Of a file that does not fit into one submit, so much goes in each, in bytes: even what cannot be compressed is then
#: less than 1 MiB, which is what proxies take as they come.
_PIECE = 750_000
#: Where a proxy takes less, pieces are halved until they are no larger than this, in bytes. What it takes is noted.
_SMALLEST_PIECE = 50_000
#: Of a file that is fetched, so much comes in each answer, in bytes.
_FETCHED_PIECE = 8_000_000
#: Writes the first piece of a file, and its size and the digest of that much of it into standard error.
_FETCH = (
    "[ -f {path} ] || {{ echo {missing} >&2; exit 1; }}; size=$(wc -c < {path}) && echo $size >&2"
    " && head -c $(($size < {piece} ? $size : {piece})) {path} && head -c $size {path} | sha256sum >&2"
)
_SIZE_AND_DIGEST = re.compile(rb"(?m)^(\d{1,18})\n([0-9a-f]{64})  -\n\Z")
#: So much of what a command said is shown, in characters.
_SHOWN = 2000
#: Under which name it is remembered what the host keeps, and that it keeps nothing.
_KEPT, _NOTHING = "kept", b"nothing"
#: The command of a submit that is there for what comes before it alone.
_NO_COMMAND = ":"
#: A module that does not fit into one submit waits in such a file of the account until it runs.
_APART = "alpacon-module-"
#: It is in the home of the account where the folder for temporary files cannot be written to.
_MAKE = f'umask 077; mktemp "${{TMPDIR:-/tmp}}/{_APART}XXXXXXXX" 2>/dev/null || mktemp ~/{_APART}XXXXXXXX'
#: Removes those that a run has left which was killed, and that nobody has written to for six hours.
_TIDY = (
    f'find "${{TMPDIR:-/tmp}}" ~ -maxdepth 1 -type f -name \'{_APART}*\' -user "$(id -u)" -mmin +360'
    " -exec rm -f {} + 2>/dev/null || :"
)
_TIDIED = "tidied"


class HostStepFailed(AlpaconError):
    """Something on the host failed that was no task: a file could not be written, or read."""


class HostConnection:
    """What a connection plugin does, in terms of submits.

    Args:
        word: says in the lines of commands what is done, such as the name of a module.
        keeper: the account that a module runs as in the end, whose home keeps parts of modules, so that they are sent
            once; None where nothing is to be kept.
        parent: where the folders of tasks are made; None where ansible-core says it.
    """

    def __init__(self, remote: ServerRunner, word: str, keeper: str | None, parent: str | None = None) -> None:
        self._remote = remote
        self._word = word
        self._keeper = keeper
        self._prelude = CommandBatch(parent)

    def run(self, command: str, fed: bytes = b"") -> RunResult:
        """Run a command, after what was held back for it.

        Raises:
            HostStepFailed: what was held back failed, and the command was not run.
            AlpaconError: it did not run, or nobody can say what came of it.
        """
        held = self._prelude.defer(command) if not fed else None
        if held is not None:
            return RunResult(0, held, b"")
        if not is_home_query(command):
            answer = self._run(command, fed)
            if fed and self._word.rpartition(".")[2] == "user":
                self._remote.forget_home_folders()
            return answer
        about = self._remote.home_note(command)
        known = self._remote.read_note(about)
        if known is not None:
            return RunResult(0, known, b"")
        answer = self._run(command, fed)
        if answer.rc == 0:
            self._remote.write_note(about, answer.stdout)
        return answer

    def _run(self, command: str, fed: bytes = b"") -> RunResult:
        steps, files = [*self._first_of_run(), *self._prelude.steps], self._prelude.files
        self._prelude.clear()
        known = self._kept() if fed and self._keeper is not None else None
        short = None if known is None else reduce_module(fed, known)
        answer = self._submit(command, short.program if short else fed, steps, files)
        if answer.mark == UNDONE:
            raise HostStepFailed(f"The host could not be made ready: {_said(answer)}")
        if short and short.is_missed(answer):
            self._remote.write_note(self._of_keeper, _NOTHING)
            return self._submit(command, fed)
        if short and known is not None and answer.rc == 0 and not short.parts <= known:
            self._remote.write_note(self._of_keeper, json.dumps(sorted(known | short.parts)).encode())
        return answer

    def _first_of_run(self) -> list[str]:
        """What is done on the host once in a run."""
        if self._remote.read_note(_TIDIED) is not None:
            return []
        self._remote.write_note(_TIDIED, b"")
        return [_TIDY]

    def _kept(self) -> set[str] | None:
        """Digests of what the host keeps; None where it was seen to keep nothing."""
        noted = self._remote.read_note(self._of_keeper)
        return None if noted == _NOTHING else set(json.loads(noted or "[]"))

    @property
    def _of_keeper(self) -> str:
        return f"{_KEPT} by {self._keeper}"

    def _submit(self, command: str, fed: bytes, steps: Sequence[str] = (), files: Sequence[File] = ()) -> RunResult:
        try:
            label = make_label("module" if fed else "command", self._word)
            return self._remote.run(label, shell_body(command, steps), fed, [file.content for file in files])
        except (TooLarge, RequestTooLarge):
            if files:
                ready = self._submit(_NO_COMMAND, b"", steps, files) if fed else self._make_ready(steps, files)
                done = ready.mark == UNDONE or command == _NO_COMMAND
                return ready if done else self._submit(command, fed)
            if fed:
                return self._run_apart(command, fed, steps)
            raise

    def _make_ready(self, steps: Sequence[str], files: Sequence[File]) -> RunResult:
        """Do what comes before a command, where files do not fit into one submit: they are empty until that is done."""
        made = self._remote.run(make_label("file", self._word), shell_body(_NO_COMMAND, steps), b"", [b""] * len(files))
        if made.mark != UNDONE:
            for file in files:
                self._put_in_pieces(file.content, file.path)
        return made

    def _run_apart(self, command: str, fed: bytes, steps: Sequence[str]) -> RunResult:
        """Run what does not fit into one submit: what it is fed comes in a file."""
        made = self._remote.run(make_label("file", self._word), shell_body(_MAKE, steps))
        if made.mark == UNDONE:
            return made
        if made.rc:
            raise HostStepFailed(_said(made))
        path = os.fsdecode(made.stdout.strip())
        quoted = shlex.quote(path)
        try:
            self._put_in_pieces(fed, path)
        except AlpaconError:
            with contextlib.suppress(AlpaconError):
                self._ask(f"rm -f {quoted}")
            raise
        return self._remote.run(
            make_label("module", self._word), shell_body(f"exec < {quoted}; rm -f {quoted}; {command}")
        )

    def finish(self) -> None:
        """Do what is still held back."""
        if self._prelude.steps:
            self._run(_NO_COMMAND)

    def close(self, forget: bool = False) -> None:
        """Do what is still held back, and close what is open.

        Args:
            forget: whether the server is to be found anew after that.
        """
        try:
            self.finish()
        finally:
            if forget:
                self._remote.forget_server()
            self._remote.close()

    # Files

    def put(self, content: bytes, path: str) -> None:
        """Write a file, together with the next command where it fits into one submit."""
        most = self._at_once
        if len(content) <= most:
            if sum(len(file.content) for file in self._prelude.files) + len(content) > most:
                self.finish()
            self._prelude.put(content, path)
            if not self._prelude.is_inside(path):
                self.finish()  # whoever puts a file into its place at once does nothing after it
        else:
            self.finish()
            self._put_in_pieces(content, path)

    @property
    def _at_once(self) -> int:
        """How much of a file goes into one submit, in bytes."""
        return int(self._remote.read_note(MAX_PIECE) or _PIECE)

    def _put_in_pieces(self, content: bytes, path: str) -> None:
        """Write a file piece by piece, each once, and have its digest compared at the end."""
        quoted = shlex.quote(path)
        start, size = 0, self._at_once
        while start < len(content):
            piece = content[start : start + size]
            there = f'[ "$(wc -c < {quoted})" -eq {start} ]' if start else ":"
            step = f"{there} && {write_step(2, path, append=start > 0)}"
            try:
                self._ask(step, [piece])
                start += len(piece)
            except RequestTooLarge:
                if len(piece) <= _SMALLEST_PIECE:
                    raise
                size = len(piece) // 2
                self._remote.write_note(MAX_PIECE, str(size).encode())
        digest = hashlib.sha256(content).hexdigest()
        self._ask(f"[ \"$(sha256sum < {quoted})\" = '{digest}  -' ]")

    def fetch(self, path: str, into: Path) -> None:
        """Read a file in as many answers as its size takes, and compare its size and digest with those of the first.

        What is appended meanwhile is left out. A file that fails is removed.

        Raises:
            HostStepFailed: it cannot be read, has changed meanwhile, or is larger than the free space here.
        """
        quoted, missing = shlex.quote(path), shlex.quote(f"{path}: no such file")
        first = self._answer(_FETCH.format(path=quoted, missing=missing, piece=_FETCHED_PIECE))
        stated = _SIZE_AND_DIGEST.search(first.stderr)
        if not stated:
            raise HostStepFailed(f"{path}: the host did not say its size and digest. It said: {_said(first)}")
        size, free = int(stated[1]), shutil.disk_usage(into.parent).free
        if size > free:
            raise HostStepFailed(
                f"{path} has {size} bytes, and {into.parent} has room for {free}. Fetch it to another folder."
            )
        changed = HostStepFailed(f"{path} has changed while it was read. Fetch it when nothing writes to it.")
        read = hashlib.sha256()
        try:
            with into.open("wb") as file:
                for start in range(0, size, _FETCHED_PIECE):
                    length = min(size - start, _FETCHED_PIECE)
                    part = f"tail -c +{start + 1} {quoted} | head -c {length}"
                    piece = self._ask(part) if start else first.stdout
                    if len(piece) != length:
                        raise changed
                    file.write(piece)
                    read.update(piece)
            if read.hexdigest() != stated[2].decode():
                raise changed
        except AlpaconError:
            into.unlink(missing_ok=True)
            raise

    def _ask(self, text: str, files: Sequence[bytes] = ()) -> bytes:
        return self._answer(text, files).stdout

    def _answer(self, text: str, files: Sequence[bytes] = ()) -> RunResult:
        self.finish()
        answer = self._remote.run(make_label("file", self._word), shell_body(text), b"", files)
        if answer.rc:
            raise HostStepFailed(_said(answer))
        return answer


def _said(answer: RunResult) -> str:
    """What a command said before it failed."""
    return answer.stderr.decode("utf-8", "replace").strip()[:_SHOWN] or f"it ended with rc {answer.rc}."
