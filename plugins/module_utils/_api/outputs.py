# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Get the output of commands from their rows or chunks, and explain the agent's own messages in it.

The result in a command's row has its output; of more than 1 MiB, the agent leaves out the middle. Chunks have all of
it, as numbered pieces of text, with three faults:

- A chunk arrives late or never. The numbers show the gap: read the chunks again, and report the gaps that are left.
- No number shows that the last chunks are missing, but the end of the result does, and it completes the output.
- The agent cuts the output by time, perhaps inside a character. It replaces each byte that is no UTF-8, so the bytes
  of that character are replacement characters on both sides. Its bytes come from the result, at the same distance from
  the start or the end; in the middle, which the result does not have, report the damage.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, count
from typing import Any, Callable

from .client import Client, get_or_none
from .commands import get_command_path
from .errors import ApiError, LostResponse, UnknownEndpoint, clean_line
from .records import Command, to_text
from .response import MAX_RESPONSE_BYTES

#: Pauses between reads for missing chunks, in seconds: the agent repeats a lost one after 1, 2, 4 ... s.
_CHUNK_PAUSES = (0.3, 0.6, 1.2, 2.4, 4.8)
#: The last chunk may arrive so long after the finish, in seconds: of a line, and of output that marks its own end.
_LINE_DELAY, _FRAME_DELAY = 0.6, 0.3
#: A chunk that is missing so long after the finish never arrives, in seconds.
_MAX_CHUNK_DELAY = 60.0
_MAX_CHUNKS = 2**31
_SHOWN_GAPS = 20

#: Exit codes of a line that was interrupted, and of one that the agent ended at its time limit.
INTERRUPTED_RC, TIMEOUT_RC = -1, 124
#: The agent appends this to the result, and to no chunk.
TIMEOUT_MESSAGE = re.compile(r"Command timed out after ([0-9][0-9a-zµ.]{0,30})\s*\Z")
#: The prefix of the agent's own messages, in chunks only.
AGENT_PREFIX = "alpamon: "
#: In place of each byte that is no UTF-8; as :func:`_encode` encodes several of them.
_REPLACEMENT, _REPLACED = "\ufffd", re.compile(b"\xff{2,}")
#: How many characters of two ends are compared.
_COMPARED = 1000


@dataclass(frozen=True)
class Output:
    """The output of a command.

    Attributes:
        text: both streams merged; of a payload, standard output, with surrogates for bytes that are no UTF-8.
        stderr: standard error of a payload, with surrogates too.
        refused: why the server ran nothing of the command; empty if it did, or if that was not checked.
        doubt: why the command might not have run, though the workspace states success.
    """

    text: str
    complete: bool = True
    note: str = ""
    stderr: str = ""
    mark: str = ""
    refused: str = ""
    doubt: str = ""


def parse_output(command: Command) -> Output | None:
    """Return the output in a finished command's row, or None if chunks may have more."""
    complete = not command.truncated and command.result not in (None, "", _get_timeout_message(command))
    return _from_result(command) if complete or not command.may_have_chunks or command.ran is False else None


def fetch_output(
    client: Client,
    command: Command,
    sleep: Callable[[float], None] = time.sleep,
    is_whole: Callable[[str], bool] | None = None,
) -> Output:
    """Return the output of a finished command, from its row if possible, else from its chunks.

    Args:
        is_whole: returns True if an output has its end mark; None if the output has none.
    """
    output = parse_output(command)
    if output:
        return output
    if _get_timeout_message(command) or command.exit_code == INTERRUPTED_RC:
        is_whole = None  # an interrupted payload does not mark its end
    age = (client.clock.now() - command.end).total_seconds() if command.end else 0.0
    # Some chunks, or all, may arrive after the finish.
    delay = _FRAME_DELAY if is_whole else _LINE_DELAY
    if age < delay:
        sleep(min(delay - age, delay))
    chunks: dict[int, str] = {}
    missing = ""
    try:
        missing = _read_chunks(client, command, chunks)
        for pause in _CHUNK_PAUSES if age < _MAX_CHUNK_DELAY else ():
            if not missing and (is_whole is None or is_whole(_join(chunks, command)[0])):
                break
            sleep(pause)
            missing = _read_chunks(client, command, chunks)
    except (ApiError, UnknownEndpoint) as error:
        # Workspaces of 2024 have no chunks.
        if isinstance(error, ApiError) and error.status != 404:
            raise
    if not chunks and not missing:
        return _from_result(command)
    text, damaged = _join(chunks, command)
    notes = [f"Output is incomplete: {missing}."] if missing else []
    if damaged:
        notes.append(f"Output is damaged in {_plural(damaged, 'place')}: the agent cut characters where chunks meet.")
    return Output(f"{text}{_get_timeout_message(command)}" if chunks else text, not notes, " ".join(notes))


def fetch_newest_chunk(client: Client, command: Command) -> Any:
    """Return a page with the newest chunk of a command, to compare with a later one; None without chunks."""
    path, params = f"{get_command_path(command.id)}chunks/", {"ordering": "-seq", "page_size": 1}
    return get_or_none(client, path, params) if command.may_have_chunks else None


def fetch_chunks(client: Client, command: Command, first: int) -> list[dict[str, Any]]:
    """Return the rows of up to a hundred chunks in one request, from this number on. It is not repeated on errors."""
    params = {"ordering": "seq", **({"seq__gte": first} if first else {})}
    return next(client.pages(f"{get_command_path(command.id)}chunks/", params, patient=False)).rows


def limit_output(command: Command, output: Output, limit: int | None) -> Output:
    """Cut each stream to its last characters, without line breaks at the end; None cuts nothing.

    A text that replaces the output of a command that never ran is not cut.
    """
    text, stderr = (stream.rstrip("\r\n") for stream in (output.text, output.stderr))
    if limit is None or command.ran is False or output.refused or max(len(text), len(stderr)) <= limit:
        return output
    cut = max(len(text) - limit, 0) + max(len(stderr) - limit, 0)
    note = f"{output.note} output_limit cut {_plural(cut, 'character')} off the start of its output."
    text, stderr = (stream[max(len(stream) - limit, 0) :] for stream in (text, stderr))
    return replace(output, text=text, stderr=stderr, complete=False, note=note.lstrip())


def _from_result(command: Command) -> Output:
    note = "Output is incomplete: the agent cut it in the middle." if command.truncated else ""
    return Output(command.result or "", not note, note)


def _get_timeout_message(command: Command) -> str:
    found = TIMEOUT_MESSAGE.search(command.result or "") if command.exit_code == TIMEOUT_RC else None
    return found[0] if found else ""


def _read_chunks(client: Client, command: Command, chunks: dict[int, str]) -> str:
    """Add the chunks from the first gap on, and return a text that describes missing ones."""
    first_gap = next(seq for seq in count() if seq not in chunks)
    params = {"ordering": "seq", **({"seq__gte": first_gap} if first_gap else {})}
    size = unplaced = 0
    for row in client.rows(f"{get_command_path(command.id)}chunks/", params):
        seq = row.get("seq")
        if isinstance(seq, int) and not isinstance(seq, bool) and 0 <= seq < _MAX_CHUNKS:
            chunks[seq] = to_text(row.get("content")) or ""
            size += len(chunks[seq])
        else:
            unplaced += 1
        if size > MAX_RESPONSE_BYTES:
            raise LostResponse(f"its chunks have more than {MAX_RESPONSE_BYTES // 2**20} MiB.")
    unnumbered = f"{_plural(unplaced, 'chunk')} arrived without a number" if unplaced else ""
    return ", and ".join(filter(None, (_describe_missing(command, chunks), unnumbered)))


def _describe_missing(command: Command, chunks: Mapping[int, str]) -> str:
    gaps = _find_gaps(chunks)
    if gaps:
        lost = sum(last - first + 1 for first, last in gaps)
        ranges = [str(first) if first == last else f"{first}-{last}" for first, last in gaps[:_SHOWN_GAPS]]
        listed = ", ".join([*ranges, "..."] if len(gaps) > _SHOWN_GAPS else ranges)
        return f"{_plural(lost, 'chunk')} of {max(chunks) + 1} never arrived ({listed})"
    if command.truncated and chunks:
        text, copy = _join(chunks, command)[0], _Copy.from_command(command)
        # Whitespace and the agent's prefix may differ.
        end, wanted = (
            "".join(part.replace(AGENT_PREFIX, "").split())
            for part in (text[-4 * _COMPARED :], copy.tail.decode(errors="replace")[-_COMPARED:])
        )
        if not end.endswith(wanted):
            return f"its last chunks never arrived, so {len(_encode(text))} of {copy.size} bytes are here"
    return ""


def _find_gaps(chunks: Iterable[int]) -> list[tuple[int, int]]:
    known = sorted(chunks)
    return [(before + 1, after - 1) for before, after in zip([-1, *known], known) if after > before + 1]


def _plural(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def _join(chunks: Mapping[int, str], command: Command) -> tuple[str, int]:
    """Join chunks, and repair and complete them from a result that was cut.

    Returns:
        The text, or the result if there are no chunks, and the number of places that stay damaged.
    """
    if not chunks:
        return command.result or "", 0
    ordered = [_encode(chunks[seq]) for seq in sorted(chunks)]
    output, seams = bytearray().join(ordered), set(accumulate(map(len, ordered)))
    runs = (run.span() for run in _REPLACED.finditer(output))
    damage = [(start, end) for start, end in runs if not seams.isdisjoint(range(start + 1, end))]
    repaired = 0
    if command.truncated:
        copy = _Copy.from_command(command)
        repaired = copy.repair(output, damage)
        if not _find_gaps(chunks):
            output += copy.find_end(output)
    return output.decode(errors="replace"), len(damage) - repaired


def _encode(text: str) -> bytes:
    """Encode text as the agent read it, but each byte that it replaced as 0xFF, which UTF-8 does not have."""
    return text.replace(_REPLACEMENT, "\udcff").encode(errors="surrogateescape")


@dataclass(frozen=True)
class _Copy:
    """The agent's copy of an output, which it cut in the middle.

    Attributes:
        head, tail: without the character that the cut divides.
        size: of the whole output, in bytes.
    """

    head: bytes
    tail: bytes
    size: int

    @classmethod
    def from_command(cls, command: Command) -> _Copy:
        head, left_out, tail = command.split_result()
        start, end = _encode(head), _encode(tail.removesuffix(_get_timeout_message(command)))
        return cls(start.rstrip(b"\xff"), end.lstrip(b"\xff"), len(start) + left_out + len(end))

    def repair(self, output: bytearray, damage: Sequence[tuple[int, int]]) -> int:
        """Replace damage by the bytes of the copy, as far as all others before or behind it agree; count the repairs.

        Args:
            damage: start and end of each place.
        """
        repaired = agreed = 0
        for start, end in damage:
            if output[agreed:start] != self.head[agreed:start] or end > len(self.head):
                break
            output[start:end] = self.head[start:end]
            repaired, agreed = repaired + 1, end
        # Where the tail begins in the output.
        offset, agreed = len(output) - len(self.tail), len(output)
        for start, end in reversed(damage[repaired:]):
            if start < offset or output[end:agreed] != self.tail[end - offset : agreed - offset]:
                break
            output[start:end] = self.tail[start - offset : end - offset]
            repaired, agreed = repaired + 1, start
        return repaired

    def find_end(self, output: bytes | bytearray) -> bytes:
        """Return the missing end of an output that certainly stops within the tail."""
        begin = self.size - len(self.tail)
        # In the middle, which the copy lacks, the command may have written replacement characters of three bytes.
        longest = len(output) + 2 * output.count(b"\xff", len(self.head), begin)
        is_within = begin <= len(output) and longest < self.size and self.tail.startswith(output[begin:])
        return self.tail[len(output) - begin :] if is_within else b""


_HOME_OF_ENV = "the folder that HOME in env names"
_NAME_A_GROUP = "Name a group of the account with groupname, over the connection with alpacon_groupname"
#: Message of the agent on an account -> why the line never began.
_ACCOUNT_REFUSED = (
    (r"there is no corresponding .{1,255} username in this server", "the server has no user {username}"),
    (
        r"there is no corresponding .{1,255} groupname in this server",
        f"the server has no group {{groupname}}. {_NAME_A_GROUP}",
    ),
    (
        r"groupname .{1,255} is not in user .{1,255}'s group list",
        f"the user {{username}} is not a member of the group {{groupname}}. {_NAME_A_GROUP}",
    ),
    # Without a shell a line has parts that may have run before: only the start of the shell is certain.
    (
        r"fork/exec /bin/sh: no such file or directory",
        f"the home folder of its user, or {_HOME_OF_ENV}, is missing on the server",
    ),
    (
        r"fork/exec /bin/sh: permission denied",
        f"its user is not allowed to enter its home folder, or {_HOME_OF_ENV}, on the server",
    ),
)
#: Other message of the agent -> why the line never began.
_NEVER_BEGAN = (
    (r"Command cancelled before execution: .+", "the agent was stopped while it waited in its queue"),
    (r"Failed to submit command: job queue is full", "the agent's queue was full, so it may be submitted again"),
    (r"fork/exec /bin/sh: argument list too long", "line and env are larger than the server's system allows"),
)
_UPLOAD = "Upload it, as a task with verified=true does"
#: Error phase of a verified file -> why the agent did not run it.
_FILE_REFUSED = {
    "file_exec_unsupported": "the agent cannot run verified files. Upgrade it; agents for Windows never can",
    "file_hash_mismatch": f"the file on the server has other bytes than the submitted one. {_UPLOAD}",
    "file_open_failed": f"the agent cannot open the file on the server. {_UPLOAD}, and check its path, owner and mode",
    "file_payload_invalid": "the agent does not understand how the file was submitted. Upgrade it",
    "file_too_large": f"the file on the server is too large, so it is not the submitted one. {_UPLOAD}",
}

_AS_ROOT = "Run it with username=root instead, if the token may."
_PENDING = "An approval of it is pending, which is no denial: approve it in the workspace, then run the task again."
_PERSON = "A person has to confirm it, which a task cannot do."

#: The line that the agent prints instead of running a sudo.
SUDO_DENIAL = re.compile(r"Alpacon denied this sudo (?:command|invocation) \(([A-Z0-9_]{1,63})\)")
#: Code of a denied sudo -> remedy.
_SUDO_ADVICE = {
    "SUDO_APPROVAL_REQUIRED": _PENDING,
    "SUDO_COMMAND_NOT_AUTHORIZED": f"A service token has no user whose sudo could be allowed. {_AS_ROOT}",
    "SUDO_INTENT_DEVIATION": f"It is not what was announced. {_PENDING}",
    "SUDO_NO_AUTHORITY": f"The user has no right to sudo on that server. {_AS_ROOT}",
    "SUDO_NO_WORKSESSION_POLICY": "No sudo policy of the work session covers it. Add one, or give another session.",
    "SUDO_POLICY_MFA_REQUIRED": f"{_PERSON} {_AS_ROOT}",
    "SUDO_PRESENCE_REQUIRED": f"{_PERSON} {_AS_ROOT}",
    "SUDO_RISK_DENIED": "The workspace rates it as too risky. Submitting it again changes nothing.",
    "SUDO_SESSION_MISSING": f"The workspace knows no session that it belongs to. {_AS_ROOT}",
    "WORKSPACE_SUDO_WITH_MFA_DISABLED": f"The workspace does not allow sudo that is confirmed by MFA. {_AS_ROOT}",
    "WORK_SESSION_SCOPE_NOT_ALLOWED": "The work session does not allow sudo. Give another in work_session.",
}


def explain_never_began(command: Command, output: str) -> str:
    """Return why a failed command never began; empty if it began or that is uncertain."""
    if command.file_refused:
        phase = clean_line(command.error_phase)
        return _FILE_REFUSED.get(phase, f"the agent refused the file ({phase}). Its output may say why")
    if command.status != "failed" or command.error_phase or command.exit_code not in (None, 1):
        return ""
    # The account comes from the row: the output may be forged.
    named = {name: clean_line(getattr(command, name) or f"of that {name}") for name in ("username", "groupname")}
    return _find_reason(output, (*_ACCOUNT_REFUSED, *_NEVER_BEGAN)).format_map(named)


def blames_account(output: Output) -> bool:
    """Return True if nothing ran because of the account; another account may work."""
    return bool(output.refused and _find_reason(output.text, _ACCOUNT_REFUSED))


def _find_reason(output: str, known: Iterable[tuple[str, str]]) -> str:
    message = output.strip().removeprefix(AGENT_PREFIX)
    return next((reason for pattern, reason in known if re.fullmatch(pattern, message)), "")


def explain_ended_early(command: Command, output: str) -> str:
    """Return the cause of a command's early end; empty if it ended by itself or that is uncertain."""
    if command.rc == INTERRUPTED_RC:
        return "a signal ended it, or the agent was stopped meanwhile"
    limit = TIMEOUT_MESSAGE.search(output) if command.rc == TIMEOUT_RC else None
    return f"the agent ended it after {limit[1]}, the longest that it lets a command run" if limit else ""


def explain_sudo(output: str) -> str:
    """Return the remedy for a sudo of the line that Alpacon denied; empty if there is none."""
    found = SUDO_DENIAL.search(output)
    return f"Alpacon denied its sudo ({found[1]}). {_SUDO_ADVICE.get(found[1], _AS_ROOT)}" if found else ""
