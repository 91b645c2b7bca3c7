# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What commands wrote: from their rows, or from chunks that arrive one by one."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any, Callable

from .client import Client
from .commands import get_command_path
from .errors import ApiError, LostResponse, UnknownEndpoint, clean_line
from .records import Command, to_text
from .response import MAX_RESPONSE_BYTES

#: Pauses between looks for chunks that are missing, in seconds: the agent repeats a lost one after 1, 2, 4 ... s.
_CHUNK_PAUSES = (0.3, 0.6, 1.2, 2.4, 4.8)
#: How old a finish must be before what has come is believed to be all, in seconds: nothing tells the end of a line's
#: output, a frame that of what is carried.
_CHUNK_SETTLE, _FRAME_SETTLE = 0.6, 0.3
#: What has not arrived so long after the finish never will, in seconds.
_CHUNK_PATIENCE = 60.0
_SHOWN_GAPS = 20
#: The number of a chunk is less than this.
_MOST_CHUNKS = 2**31

#: The exit code of a line that has none of its own.
INTERRUPTED_RC = -1
#: The exit code of a line that the agent has ended, and what it writes behind the output then, into the result only.
TIMEOUT_RC = 124
TIMEOUT_MESSAGE = re.compile(r"Command timed out after ([0-9][0-9a-zµ.]{0,30})\s*\Z")
#: In chunks only, the agent puts this in front of what it says itself, and a line break behind it.
AGENT_PREFIX = "alpamon: "
#: In place of bytes that are no UTF-8.
_REPLACEMENT = "\ufffd"
_REPLACED = re.compile(f"{_REPLACEMENT}{{2,}}")
#: So much of two ends is compared, in characters.
_COMPARED = 1000


@dataclass(frozen=True)
class Output:
    """What a command wrote.

    Attributes:
        text: both streams merged, as the API has them; of what was carried, standard output, in which bytes that are
            no UTF-8 are surrogates.
        complete: whether nothing of it is missing.
        note: what is missing, for a user; empty if nothing is.
        stderr: standard error of what was carried, alike.
        mark: the word with which what was carried says that it had nothing to do, say; mostly empty.
        refused: why the server ran nothing of the command; empty where it did, or nobody has looked for the reason.
        doubt: why nobody can know whether it ran, though the workspace says that it succeeded; empty where it ran.
    """

    text: str
    complete: bool = True
    note: str = ""
    stderr: str = ""
    mark: str = ""
    refused: str = ""
    doubt: str = ""

    def end(self, limit: int) -> Output:
        """The last characters of each stream, at most so many besides line breaks at its end; the note tells."""
        text, stderr = (stream.rstrip("\r\n") for stream in (self.text, self.stderr))
        left_out = max(len(text) - limit, 0) + max(len(stderr) - limit, 0)
        if not left_out:
            return self
        note = f"output_limit cut {_plural(left_out, 'character')} off the start of its output."
        return replace(
            self,
            text=text[max(len(text) - limit, 0) :],
            stderr=stderr[max(len(stderr) - limit, 0) :],
            complete=False,
            note=f"{self.note} {note}".lstrip(),
        )


def parse_output(command: Command) -> Output | None:
    """The output of a finished command as far as its row carries it, or None where chunks may have more."""
    complete = not command.truncated and command.result not in (None, "", _end_said(command))
    return _from_result(command) if complete or not command.may_have_chunks or command.ran is False else None


def fetch_output(
    client: Client,
    command: Command,
    sleep: Callable[[float], None] = time.sleep,
    is_whole: Callable[[str], bool] | None = None,
) -> Output:
    """The output of a finished command, from its row where that carries it, else from its chunks.

    Args:
        is_whole: tells whether an output has its end; None where no output tells that.
    """
    carried = parse_output(command)
    if carried:
        return carried
    if _end_said(command) or command.exit_code == INTERRUPTED_RC:
        is_whole = None  # what was ended has no end of its own
    age = (client.clock.now() - command.end).total_seconds() if command.end else 0.0
    # Chunks may arrive after the word that the command is over, the last ones or all.
    settle = _FRAME_SETTLE if is_whole else _CHUNK_SETTLE
    if age < settle:
        sleep(min(settle - age, settle))
    chunks: dict[int, str] = {}
    missing = _fetch_chunks(client, command, chunks)
    for pause in _CHUNK_PAUSES if age < _CHUNK_PATIENCE else ():
        if missing or (is_whole and missing is not None and not is_whole(_joined(chunks, command)[0])):
            sleep(pause)
            missing = _fetch_chunks(client, command, chunks)
    if not chunks and not missing:
        return _from_result(command)
    text, damaged = _joined(chunks, command)
    notes = [f"Output is incomplete: {missing}."] if missing else []
    if damaged:
        notes.append(f"Output is damaged in {_plural(damaged, 'place')}: the agent cut characters where chunks meet.")
    return Output(f"{text}{_end_said(command)}" if chunks else text, not notes, " ".join(notes))


def fetch_newest_chunk(client: Client, command: Command) -> Any:
    """Return a page with the newest chunk of a command, to compare with a later one; None without chunks."""
    if not command.may_have_chunks:
        return None
    try:
        return client.get(f"{get_command_path(command.id)}chunks/", {"ordering": "-seq", "page_size": 1})
    except UnknownEndpoint:
        return None
    except ApiError as error:
        if error.status != 404:
            raise
        return None


def _from_result(command: Command) -> Output:
    if command.truncated:
        return Output(command.result or "", False, "Output is incomplete: the agent cut it in the middle.")
    return Output(command.result or "")


def _end_said(command: Command) -> str:
    """What the agent has put behind the output, and into no chunk: that it took too long."""
    said = TIMEOUT_MESSAGE.search(command.result or "") if command.exit_code == TIMEOUT_RC else None
    return said[0] if said else ""


def _joined(chunks: Mapping[int, str], command: Command) -> tuple[str, int]:
    """Join chunks, with the end and characters cut between two chunks from the agent's copy in the result.

    Returns:
        The text, or the result where there are no chunks, and how many places of it stay damaged.
    """
    if not chunks:
        return command.result or "", 0
    ordered = [chunks[seq] for seq in sorted(chunks)]
    text, seams = "".join(ordered), set(accumulate(map(len, ordered)))
    # Text and damage in turn.
    parts, start = [], 0
    for run in _REPLACED.finditer(text):
        if any(place in seams for place in range(run.start() + 1, run.end())):
            parts += [text[start : run.start()], run[0]]
            start = run.end()
    parts.append(text[start:])
    damaged = len(parts) // 2
    if not command.truncated:
        return text, damaged
    copy = _copy_of(command)
    damaged -= _mend(parts, copy.head)
    parts = [part[::-1] for part in reversed(parts)]
    damaged -= _mend(parts, copy.tail[::-1])
    text = "".join(part[::-1] for part in reversed(parts))
    return text if _gaps(chunks) else copy.complete(text), damaged


@dataclass(frozen=True)
class _Copy:
    """The agent's copy of an output, which it cut in the middle.

    Attributes:
        head, tail: without characters that the cut divides.
        size: of the whole output, in bytes.
    """

    head: str
    tail: str
    size: int

    def complete(self, text: str) -> str:
        """Append what is missing at the end of a text, if the text stops within the tail."""
        came, tail = text.encode(), self.tail.encode()
        overlap = came[self.size - len(tail) :]
        if not self.size - len(tail) <= len(came) < self.size or not tail.startswith(overlap):
            return text
        return text + tail[len(overlap) :].decode()


def _copy_of(command: Command) -> _Copy:
    head, left_out, tail = command.split_result()
    tail = tail.removesuffix(_end_said(command))
    whole_head, whole_tail = head.rstrip(_REPLACEMENT), tail.lstrip(_REPLACEMENT)
    # Each byte of a character that is cut is replaced.
    cut = len(head) - len(whole_head) + len(tail) - len(whole_tail)
    return _Copy(whole_head, whole_tail, len(whole_head.encode()) + len(whole_tail.encode()) + left_out + cut)


def _mend(parts: list[str], copy: str) -> int:
    """Replace the damage in a text by what stands there in a copy, as far as both agree; return in how many places.

    Args:
        parts: text and damage in turn.
    """
    place = mended = 0
    for number in range(0, len(parts) - 1, 2):
        if not copy.startswith(parts[number], place):
            break
        start = end = place + len(parts[number])
        left = len(parts[number + 1])
        while left > 0 and end < len(copy):
            # The agent replaces each byte of a character that it cuts.
            left -= 1 if copy[end] == _REPLACEMENT else len(copy[end].encode())
            end += 1
        if left:
            break
        parts[number + 1], place, mended = copy[start:end], end, mended + 1
    return mended


def _fetch_chunks(client: Client, command: Command, chunks: dict[int, str]) -> str | None:
    """Add the chunks that are not there yet; say what is still missing, or None where the server knows no chunks."""
    first_unknown, size, nowhere = _first_gap(chunks), 0, 0
    params = {"ordering": "seq", **({"seq__gte": first_unknown} if first_unknown else {})}
    try:
        for row in client.rows(f"{get_command_path(command.id)}chunks/", params):
            seq, content = row.get("seq"), row.get("content")
            if isinstance(seq, int) and not isinstance(seq, bool) and 0 <= seq < _MOST_CHUNKS:
                chunks[seq] = to_text(content) or ""
                size += len(chunks[seq])
            else:
                nowhere += 1
            if size > MAX_RESPONSE_BYTES:
                raise LostResponse(f"its chunks have more than {MAX_RESPONSE_BYTES // 2**20} MiB.")
    except UnknownEndpoint:
        return None  # as below, in words of 2024
    except ApiError as error:
        if error.status != 404:
            raise
        return None
    unplaced = f"{_plural(nowhere, 'chunk')} came without a number that says where to put it" if nowhere else ""
    return ", and ".join(filter(None, (_missing(command, chunks), unplaced)))


def _first_gap(chunks: Mapping[int, str]) -> int:
    return next((seq for seq in range(len(chunks)) if seq not in chunks), len(chunks))


def _missing(command: Command, chunks: Mapping[int, str]) -> str:
    gaps = _gaps(chunks)
    if gaps:
        lost = sum(last - first + 1 for first, last in gaps)
        return f"{_plural(lost, 'chunk')} of {max(chunks) + 1} never arrived ({_ranges(gaps)})"
    if command.truncated and chunks:
        # The agent's own copy keeps the end: chunks that do not end alike stopped early.
        text, copy = _joined(chunks, command)[0], _copy_of(command)
        if not _comparable(text[-4 * _COMPARED :]).endswith(_comparable(copy.tail[-_COMPARED:])):
            return f"its last chunks never arrived, so {len(text.encode())} of {copy.size} bytes are here"
    return ""


def _comparable(text: str) -> str:
    """A text without what makes a chunk differ from the copy of it."""
    return "".join(text.replace(AGENT_PREFIX, "").split())


def _plural(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def _gaps(chunks: Iterable[int]) -> list[tuple[int, int]]:
    """First and last of each stretch of numbers that are not there, from 0 on."""
    known = sorted(chunks)
    return [(before + 1, after - 1) for before, after in zip([-1, *known], known) if after > before + 1]


def _ranges(gaps: Sequence[tuple[int, int]]) -> str:
    """3, 5-8"""
    parts = [str(first) if first == last else f"{first}-{last}" for first, last in gaps[:_SHOWN_GAPS]]
    return ", ".join([*parts, "..."] if len(gaps) > _SHOWN_GAPS else parts)


_HOME_OF_ENV = "the folder that HOME in env names"
_NAME_A_GROUP = "Name a group of the account with groupname, over the connection with alpacon_groupname"
#: What the agent says of an account that it cannot run the line as -> why the line never began.
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
        f"its user may not enter its home folder, or {_HOME_OF_ENV}, on the server",
    ),
)
#: What the agent says besides -> why the line never began.
_NEVER_BEGAN = (
    (r"Command cancelled before execution: .+", "the agent was stopped while it waited in its queue"),
    (r"Failed to submit command: job queue is full", "the agent's queue was full, so it may be submitted again"),
    (r"fork/exec /bin/sh: argument list too long", "line and env are larger than the server's system takes"),
)

_SUDO = re.compile(r"Alpacon denied this sudo (?:command|invocation) \(([A-Z0-9_]{1,63})\)")
_AS_ROOT = "Run it with username=root instead, if the token may."
_PENDING = "An approval of it is pending, which is no denial: approve it in the workspace, then run the task again."
_SOMEBODY = "It needs somebody who confirms it, which a task cannot do."

#: Code of a sudo that was not let through -> what to do.
_SUDO_ADVICE = {
    "SUDO_APPROVAL_REQUIRED": _PENDING,
    "SUDO_COMMAND_NOT_AUTHORIZED": f"A service token has no user whose sudo could be allowed. {_AS_ROOT}",
    "SUDO_INTENT_DEVIATION": f"It is not what was announced. {_PENDING}",
    "SUDO_NO_AUTHORITY": f"The user has no right to sudo on that server. {_AS_ROOT}",
    "SUDO_NO_WORKSESSION_POLICY": "No sudo policy of the work session covers it. Add one, or give another session.",
    "SUDO_POLICY_MFA_REQUIRED": f"{_SOMEBODY} {_AS_ROOT}",
    "SUDO_PRESENCE_REQUIRED": f"{_SOMEBODY} {_AS_ROOT}",
    "SUDO_RISK_DENIED": "The workspace holds it for too risky. Submitting it again changes nothing.",
    "SUDO_SESSION_MISSING": f"The workspace knows no session that it belongs to. {_AS_ROOT}",
    "WORKSPACE_SUDO_WITH_MFA_DISABLED": f"The workspace does not allow sudo that is confirmed by MFA. {_AS_ROOT}",
    "WORK_SESSION_SCOPE_NOT_ALLOWED": "The work session does not allow sudo. Give another in work_session.",
}


def explain_never_began(command: Command, output: str) -> str:
    """Why a command that counts as failed never began, or an empty string where it did or nobody can know."""
    if command.status != "failed" or command.error_phase or command.exit_code not in (None, 1):
        return ""
    # The row names the account as well, and no line could have written that.
    named = {name: clean_line(getattr(command, name) or f"of that {name}") for name in ("username", "groupname")}
    return _why(output, (*_ACCOUNT_REFUSED, *_NEVER_BEGAN)).format_map(named)


def blames_account(output: Output) -> bool:
    """Whether nothing ran for the sake of the account, so that the server may well run something as another."""
    return bool(output.refused and _why(output.text, _ACCOUNT_REFUSED))


def _why(output: str, known: Iterable[tuple[str, str]]) -> str:
    said = output.strip()
    said = said[len(AGENT_PREFIX) :] if said.startswith(AGENT_PREFIX) else said
    return next((why for pattern, why in known if re.fullmatch(pattern, said)), "")


def explain_ended_early(command: Command, output: str) -> str:
    """What ended a command that did not end by itself, or an empty string where it did or nobody can know."""
    if command.rc == INTERRUPTED_RC:
        return "a signal ended it, or the agent was stopped meanwhile"
    limit = TIMEOUT_MESSAGE.search(output) if command.rc == TIMEOUT_RC else None
    return f"the agent ended it after {limit[1]}, the longest that it lets a command run" if limit else ""


def limit_output(command: Command, output: Output, limit: int | None) -> Output:
    """The end of an output, at most so many characters; what stands there instead of an output stays whole.

    Args:
        limit: None for all of it.
    """
    if limit is None or command.ran is False or output.refused:
        return output
    return output.end(limit)


def explain_sudo(output: str) -> str:
    """What to do about a sudo in the line that Alpacon did not let through; empty where there is none."""
    found = _SUDO.search(output)
    if not found:
        return ""
    return f"Alpacon did not let its sudo through ({found[1]}). {_SUDO_ADVICE.get(found[1], _AS_ROOT)}"
