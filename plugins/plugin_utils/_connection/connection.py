# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run commands on a host and copy files in both directions, with few submits.

ansible-core makes a folder, puts files there and sets their permissions, each by a command of its own. These steps are
deferred to the next submit. If a step fails, the commands after it do not run.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import shlex
import shutil
import zlib
from collections.abc import Sequence
from pathlib import Path

from ...module_utils._api.errors import AlpaconError, clean_line
from ...module_utils._payload.frames import UNDONE
from ...module_utils._payload.packing import PayloadTooLarge, make_label
from ...module_utils._payload.shell import build_shell_body
from .command_batch import CommandBatch, File, build_steps, get_queried_account, list_files, prints_path
from .module_cache import MISSING_RC, reduce_module
from .runner import MAX_PIECE, CommandResult, RequestTooLarge, ServerRunner

#: Bytes of a compressed file in one submit: as many as fit into the variables of a command, then as many as fit into
#: 1 MiB, which proxies accept by default, and less for other proxies. A run file has the accepted size.
_PIECES = (1_100_000, 750_000, 375_000, 187_500, 93_750, 50_000)
#: Files with up to this many compressed bytes in total are sent with the next command.
_DEFERRED = 750_000
#: Submits at once. The agent runs up to 20 commands of all users at once.
_AT_ONCE = 8
#: Compressed bytes of a fetched file in the output of one command: the workspace and proxies accept 1 MiB of Base64.
_FETCHED_PIECE = 760_000
#: The same limit before compression, to bound the memory.
_FETCHED_RANGE = 32_000_000
_FETCH_RANGE = "{{ tail -c +{start} < {path} | head -c {length} | gzip -1 | head -c {piece}; }} 2>/dev/null"
#: Writes the first piece of a file to standard output, and the size and digest of the file to standard error.
_FETCH = (
    "[ -f {path} ] || {{ echo {missing} >&2; exit 1; }}; size=$(wc -c < {path}) && echo $size >&2 &&"
    f" {_FETCH_RANGE} && head -c $size < {{path}} | sha256sum >&2"
)
#: Writes a file from its parts if none is missing, and removes them.
_JOIN = (
    "if [ \"$(cat {folder}/* | gzip -dc | sha256sum)\" = '{digest}  -' ]; then cat {folder}/* | gzip -dc > {path};"
    " else echo {differs} >&2; false; fi; alpacon_rc=$?; rm -rf {folder}; exit $alpacon_rc"
)
_SIZE_AND_DIGEST = re.compile(rb"(?m)^(\d{1,18})\n([0-9a-f]{64})  -\n\Z")
#: Command of a submit that only runs deferred steps.
_NO_COMMAND = ":"
#: Prefix of files for modules that do not fit into one submit.
_MODULE_FILE = "alpacon-module-"
_MAKE_MODULE_FILE = (
    f'umask 077; mktemp "${{TMPDIR:-/tmp}}/{_MODULE_FILE}XXXXXXXX" 2>/dev/null || mktemp ~/{_MODULE_FILE}XXXXXXXX'
)
#: Remove module files of killed runs after six hours.
_REMOVE_OLD_MODULE_FILES = (
    f'find "${{TMPDIR:-/tmp}}" ~ -maxdepth 1 -name \'{_MODULE_FILE}*\' -user "$(id -u)" -mmin +360'
    " -exec rm -rf {} + 2>/dev/null || :"
)
#: Name of the run file that says that old module files are removed, and text of the one of a cache with missing parts.
_FILES_REMOVED, _CACHE_FAILED = "files removed", b"failed"
#: Limit of Linux in bytes.
_PATH_MAX = 4096


class HostStepFailed(AlpaconError):
    """A step before the command of the task failed on the host, such as writing a file."""


class HostConnection:
    """Run the commands and copy the files of a task.

    Args:
        action: Name of the action or module in the labels of payloads.
        cache_owner: Account whose home has the module cache; None for no cache.
        parent: Folder for the temporary folders of tasks; None for the one that ansible-core names.
        homes: Homes of other accounts, by account, that the task has queried.
    """

    def __init__(
        self,
        runner: ServerRunner,
        action: str,
        cache_owner: str | None,
        parent: str | None = None,
        homes: dict[str, bytes] | None = None,
    ) -> None:
        self._runner = runner
        self._action = action
        self._cache_file = "" if cache_owner is None else f"cached by {cache_owner}"
        self._batch = CommandBatch(parent)
        self._homes = {} if homes is None else homes

    @property
    def submits(self) -> int:
        """Return the number of commands that were to be submitted."""
        return self._runner.submits

    def run_command(self, command: str, stdin: bytes = b"", uses_up_files: bool = False) -> CommandResult:
        """Defer a command, or run it after the deferred steps.

        Args:
            uses_up_files: No later command needs the files that were put before. This one removes the temporary
                folder, which saves ansible-core's command for that.

        Raises:
            HostStepFailed: A deferred step failed, and the command did not run.
            AlpaconError: The command did not run, or may have run.
        """
        deferred = self._batch.defer(command) if not stdin else None
        if deferred is not None:
            return CommandResult(0, deferred, b"")
        account = get_queried_account(command)
        if account is not None:
            return self._query_home(account, command)
        result = self._run_now(self._batch.add_removal(command, MISSING_RC) if uses_up_files else command, stdin)
        if uses_up_files and result.rc != MISSING_RC:
            self._batch.remake_folders()
        if prints_path(command):
            _check_path(result)
        return result

    def _query_home(self, account: str, command: str) -> CommandResult:
        name = self._runner.get_home_file(account)
        home = self._runner.read_run_file(name) if name else self._homes.get(account)
        if home is not None:
            return CommandResult(0, home, b"")
        result = self._run_now(command)
        _check_path(result)
        # The shell prints the query itself if there is no such account.
        if result.rc == 0 and not result.stdout.startswith(b"~"):
            if name:
                self._runner.write_run_file(name, result.stdout)
            else:
                self._homes[account] = result.stdout
        return result

    def run_in_parts(self, label: str, command: str, stdin: bytes, expected: float) -> CommandResult:
        """Run a command that writes its output in parts, after the deferred steps.

        Args:
            label: Name in the label of the payload.
            expected: Seconds that it will take, if no command of this label has ended in this run.

        Raises:
            PayloadTooLarge, RequestTooLarge: It does not fit into one submit, and nothing ran.
            HostStepFailed: A deferred step failed, and the command did not run.
            AlpaconError: The command did not run, or no part came and it may have run.
        """
        steps = self._take_steps()
        body, files = build_shell_body(command, build_steps(steps)), list_files(steps)
        contents = [file.content for file in files]
        try:
            result = self._runner.run_in_parts(make_label("tasks", label), body, stdin, contents, expected)
        except (PayloadTooLarge, RequestTooLarge):
            self._batch.steps = steps
            raise
        return _check_prepared(result)

    def _take_steps(self) -> list[str | File]:
        """Return the steps before the next command, and drop them."""
        steps = self._batch.steps
        self._batch.clear()
        if self._runner.read_run_file(_FILES_REMOVED) is None:
            self._runner.write_run_file(_FILES_REMOVED, b"")
            return [_REMOVE_OLD_MODULE_FILES, *steps]
        return steps

    def _run_now(self, command: str, stdin: bytes = b"") -> CommandResult:
        steps = self._take_steps()
        cached = self.get_cached_parts() if stdin else None
        reduced = None if cached is None else reduce_module(stdin, cached)
        result = _check_prepared(self._submit(command, reduced.program if reduced else stdin, steps))
        if reduced and cached is not None:
            if reduced.is_part_missing(result):
                self.stop_caching()
                return self._submit(command, stdin)
            if result.rc == 0:
                self.add_cached_parts(reduced.parts)
        return result

    def get_cached_parts(self) -> set[str] | None:
        """Return the digests of cached parts; None without a cache, or if parts were missing in it."""
        if not self._cache_file:
            return None
        text = self._runner.read_run_file(self._cache_file)
        return None if text == _CACHE_FAILED else set(json.loads(text or "[]"))

    def add_cached_parts(self, parts: frozenset[str]) -> None:
        """Record the digests of parts that the host has cached."""
        cached = self.get_cached_parts()
        if cached is not None and not parts <= cached:
            self._runner.write_run_file(self._cache_file, json.dumps(sorted(cached | parts)).encode())

    def stop_caching(self) -> None:
        """Send all parts from now on, since the host has lost some that it had cached."""
        self._runner.write_run_file(self._cache_file, _CACHE_FAILED)

    @property
    def wait_timeout(self) -> float:
        return self._runner.wait_timeout

    def _submit(self, command: str, stdin: bytes, steps: Sequence[str | File] = ()) -> CommandResult:
        kind, files = "module" if stdin else "command", list_files(steps)
        body = build_shell_body(command, build_steps(steps))
        try:
            return self._run_body(kind, body, stdin, [file.content for file in files])
        except (PayloadTooLarge, RequestTooLarge):
            if files:
                # The steps first, then the command.
                result = self._submit(_NO_COMMAND, b"", steps) if stdin else self._run_steps(steps)
                is_done = result.mark == UNDONE or command == _NO_COMMAND
                return result if is_done else self._submit(command, stdin)
            if stdin:
                return self._run_from_file(command, stdin, build_steps(steps))
            raise

    def _run_steps(self, steps: Sequence[str | File]) -> CommandResult:
        """Run steps whose files do not fit into one submit: with empty files, which are then written in pieces."""
        files = list_files(steps)
        body = build_shell_body(_NO_COMMAND, build_steps(steps))
        result = self._run_body("file", body, files=[b""] * len(files))
        if result.mark != UNDONE:
            for file in files:
                self._run_step(self._send_pieces(file))
        return result

    def _run_from_file(self, command: str, stdin: bytes, steps: Sequence[str]) -> CommandResult:
        """Write standard input that does not fit into one submit to a file, and run a command with it."""
        result = self._run_body("file", build_shell_body(_MAKE_MODULE_FILE, steps))
        if result.mark == UNDONE:
            return result
        if result.rc:
            raise HostStepFailed(get_error_text(result))
        _check_path(result)
        path = os.fsdecode(result.stdout.strip())
        quoted = shlex.quote(path)
        try:
            step = self._send_pieces(File.compress(path, stdin))
        except AlpaconError:
            self._batch.steps.append(f"rm -f {quoted}")
            raise
        return self._run_body("module", build_shell_body(f"exec < {quoted}; rm -f {quoted}; {command}", [step]))

    def _finish(self) -> None:
        """Run the deferred steps."""
        if self._batch.steps:
            self._run_now(_NO_COMMAND)

    def reset(self) -> None:
        """Query the server again before the next command, in every process."""
        self._runner.invalidate_server()

    def close(self) -> None:
        """Run the deferred steps and close."""
        try:
            self._finish()
        finally:
            self._runner.close()

    def put(self, content: bytes, path: str) -> None:
        """Write a file before the next command, or at once if it is not in the temporary folder of a task."""
        file = File.compress(path, content)
        limit = min(_DEFERRED, self._max_piece)
        files = list_files(self._batch.steps)
        if files and sum(len(file.packed) for file in [*files, file]) > limit:
            self._finish()
        if len(file.packed) > limit:
            step = self._send_pieces(file)
            self._batch.steps.append(step)
        else:
            self._batch.steps.append(file)
        if not self._batch.is_inside(path):
            self._finish()  # the task may run no other command

    @property
    def _max_piece(self) -> int:
        return int(self._runner.read_run_file(MAX_PIECE) or _PIECES[0])

    def _send_pieces(self, file: File) -> str:
        """Run the deferred steps, send a file in parts, and return the step that writes the file from the parts."""
        folder = shlex.quote(f"{file.path}.alpacon-{secrets.token_hex(8)}")
        # These steps have no files, since put() has sent them.
        steps, size = build_steps(self._batch.steps), self._max_piece
        self._batch.clear()
        try:
            size = self._send_first_piece(file, folder, [*steps, f"umask 077; mkdir {folder}"])
            for start in range(size, len(file.packed), size * _AT_ONCE):
                starts = range(start, len(file.packed), size)[:_AT_ONCE]
                self._run_pieces([(_write_part(folder, at), [file.packed[at : at + size]]) for at in starts])
        except AlpaconError:
            self._batch.steps.append(f"rm -rf {folder}")
            raise
        differs = shlex.quote(f"{file.path}: its parts are not what was sent")
        digest = hashlib.sha256(file.content).hexdigest()
        return _JOIN.format(folder=folder, path=shlex.quote(file.path), digest=digest, differs=differs)

    def _send_first_piece(self, file: File, folder: str, steps: Sequence[str]) -> int:
        """Send the first part of a file alone, and return its size: a proxy may refuse larger ones."""
        size = self._max_piece
        while True:
            piece = file.packed[:size]
            try:
                _check(self._run_body("file", build_shell_body(_write_part(folder, 0), steps), files=[piece]))
                return size
            except RequestTooLarge:
                size = next((smaller for smaller in _PIECES if smaller < len(piece)), 0)
                if not size:
                    raise
                self._runner.write_run_file(MAX_PIECE, str(size).encode())

    def fetch(self, path: str, into: Path) -> None:
        """Read a file piece by piece, and compare its digest. Bytes that are appended meanwhile are ignored.

        Raises:
            HostStepFailed: The file cannot be read, changes meanwhile, or is larger than the free space here.
        """
        quoted, missing = shlex.quote(path), shlex.quote(f"{path}: no such file")
        limits = {"path": quoted, "length": _FETCHED_RANGE, "piece": _FETCHED_PIECE}
        first = self._run_step(_FETCH.format(missing=missing, start=1, **limits))
        size_and_digest = _SIZE_AND_DIGEST.search(first.stderr)
        if not size_and_digest:
            raise HostStepFailed(f"{path}: the host did not state its size and digest, but: {get_error_text(first)}")
        size, free = int(size_and_digest[1]), shutil.disk_usage(into.parent).free
        if size > free:
            raise HostStepFailed(
                f"{path} has {size} bytes, and {into.parent} has room for {free}. Fetch it to another folder."
            )
        changed = HostStepFailed(f"{path} has changed while it was read. Fetch it when nothing writes to it.")
        digest = hashlib.sha256()
        try:
            with into.open("wb") as file:
                output, start = first.stdout, 0
                while True:
                    piece = _decompress(output, min(size - start, _FETCHED_RANGE))
                    # A host that sent byte by byte would use up the quota.
                    if len(piece) < min(size - start, _FETCHED_PIECE // 2):
                        raise changed
                    file.write(piece)
                    digest.update(piece)
                    start += len(piece)
                    if start == size:
                        break
                    # The list would repeat the outputs of earlier pieces.
                    part = _FETCH_RANGE.format(start=start + 1, **limits)
                    output = self._run_pieces([(part, ())], listed=False)[0].stdout
            if digest.hexdigest() != size_and_digest[2].decode():
                raise changed
        except AlpaconError:
            into.unlink(missing_ok=True)
            raise

    def _run_body(self, kind: str, body: str, stdin: bytes = b"", files: Sequence[bytes] = ()) -> CommandResult:
        return self._runner.run_body(make_label(kind, self._action), body, stdin, files)

    def _run_step(self, text: str) -> CommandResult:
        self._finish()
        return _check(self._run_body("file", build_shell_body(text)))

    def _run_pieces(self, texts: Sequence[tuple[str, Sequence[bytes]]], listed: bool = True) -> list[CommandResult]:
        """Run steps with their files, in any order."""
        bodies = [(build_shell_body(text), files) for text, files in texts]
        return list(map(_check, self._runner.run_bodies(make_label("file", self._action), bodies, listed)))


def _write_part(folder: str, start: int) -> str:
    """Return code that writes a part of a file; the names of parts are in their order."""
    return f"alpacon_part 2 > {folder}/{start:012}"


def _check_prepared(result: CommandResult) -> CommandResult:
    if result.mark == UNDONE:
        raise HostStepFailed(f"The host could not be prepared: {get_error_text(result)}")
    return result


def _check(result: CommandResult) -> CommandResult:
    if result.rc:
        raise HostStepFailed(get_error_text(result))
    return result


def _check_path(result: CommandResult) -> None:
    """Refuse the output of a command that prints a path if it is too long, or has control characters."""
    path = result.stdout.removesuffix(b"\n").decode("utf-8", "replace")
    problem = f"has {len(result.stdout):,} bytes" if len(result.stdout) > _PATH_MAX else ""
    if not problem and ("\t" in path or clean_line(path) != path):
        problem = "has control characters"
    if problem:
        raise HostStepFailed(
            f"The path of a home or temporary folder that the host states {problem}. Correct the home of the account."
        )


def _decompress(data: bytes, limit: int) -> bytes:
    """Return the first bytes of compressed data whose end may be missing."""
    try:
        # The limit 0 means no limit.
        return zlib.decompressobj(wbits=31).decompress(data, limit) if limit else b""
    except zlib.error as error:
        raise HostStepFailed(f"The host did not send what it read: {error}.") from None


def get_error_text(result: CommandResult) -> str:
    return result.stderr.decode("utf-8", "replace").strip()[:2000] or f"it ended with rc {result.rc}."
