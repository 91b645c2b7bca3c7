# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read the frame that a payload writes: two streams, exact to the byte, and an exit code.

A frame is C([alpacon DIGEST]), standard output as lines of Base64 and their number, C([stderr]), standard error in the
same form with C([rc NUMBER]) among its lines, and C([end]). A body may write C([part]) after each part of its output.
Such a part is read as C([part LENGTH]), a line end, the part and a line end, even if the end of the frame is missing.

The frame of a live payload has pieces of both streams before C([stderr]), as they were printed: Base64, then
C([out NUMBER LENGTH]) or C([err NUMBER LENGTH]). The numbers of each stream begin with 1, and its last piece is empty.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Callable

from .._api.outputs import Output, explain_ended_early, explain_never_began
from .._api.records import Command
from .packing import LATE, REFUSED_RC, parse_digest

_MARK = re.compile(r"\[([^\[\]]*)\](?:\r?\n)?")
_RC = re.compile(r"rc ([0-9]{1,3})")
#: Marks of a body that skipped its work, and of a body that did not run because a step before it failed.
SKIPPED, UNDONE = "skipped", "undone"
_PART = "[part]"
_READ_PART = re.compile(rb"\[part ([0-9]{1,9})\]\n")
#: In characters.
_MAX_REASON_LENGTH = 100
#: The end of a piece of a live payload.
_PIECE_END = re.compile(r"\[(out|err) ([0-9]{1,9}) ([0-9]{1,4})\]")
#: All lines of Base64 except the last have this form.
_FULL_LINE = re.compile(r"[A-Za-z0-9+/]{76}")


@dataclass(frozen=True)
class Frame:
    """Streams and exit code of a body; C(mark) is :data:`SKIPPED`, :data:`UNDONE` or empty."""

    stdout: bytes
    stderr: bytes
    rc: int
    mark: str = ""


class FrameError(Exception):
    """The output does not contain exactly one complete frame. C(stdout) has the complete parts or its beginning."""

    def __init__(self, reason: str, stdout: bytes = b"") -> None:
        self.stdout = stdout
        super().__init__(reason)


class MissingFrame(FrameError):
    """The begin mark is missing. A payload writes it before the body runs."""


class IncompleteFrame(FrameError):
    """The end mark is missing."""


class PayloadRefused(FrameError):
    """The server refused to run the body."""


def read_frame(digest: str, output: str) -> Frame:
    """Find the frame with this digest in an output.

    Raises:
        FrameError: The frame is missing, incomplete, damaged, or not the only one; the subclasses name the cause.
    """
    _before, begin, text = output.partition(f"[alpacon {digest}]")
    if not begin:
        raise MissingFrame("its beginning is missing")
    if output.count("[alpacon ") != 1:
        raise FrameError("it has several beginnings")
    stdout, separator, rest = text.partition("[stderr]")
    live = _join_pieces(stdout)
    if not separator:
        refused = re.search(r"\[refused ([^\[\]]*)\]", text)
        if refused and not text[: refused.start()].strip():
            raise PayloadRefused(refused[1][:_MAX_REASON_LENGTH])
        raise IncompleteFrame("its end is missing", live[0] if live else _decode_beginning(stdout))
    stderr, end, _after = rest.partition("[end]")
    marks = _MARK.findall(stderr)
    rc = _RC.fullmatch(marks[-1]) if end and marks else None
    others = marks[:-1] or [""]
    if not rc or others not in ([""], [SKIPPED], [UNDONE]):
        raise IncompleteFrame("its end is missing", live[0] if live else _decode_beginning(stdout))
    if live:
        if not live[2]:
            raise FrameError("parts of it are missing", live[0])
        return Frame(live[0], live[1], int(rc[1]), *others)
    try:
        *parts, last = stdout.split(_PART)
        decoded = b"".join([*(_add_length(_decode(part)) for part in parts), _decode(last)])
        return Frame(decoded, _decode(_MARK.sub("", stderr)), int(rc[1]), *others)
    except (ValueError, binascii.Error):
        raise FrameError("parts of it are missing", _decode_beginning(stdout)) from None


def read_pieces(text: str) -> tuple[list[tuple[str, int, bytes]], str]:
    """Read the complete pieces of a live payload.

    Returns:
        The stream (C(out) or C(err)), number and content of each piece, and the text after the last one.
    """
    text, end = text.replace("\r", ""), 0
    pieces = []
    for mark in _PIECE_END.finditer(text):
        content, end = text[end : mark.start()].lstrip("\n"), mark.end()
        with contextlib.suppress(ValueError):
            if len(content) == int(mark[3]):
                pieces.append((mark[1], int(mark[2]), base64.b64decode(content, validate=True)))
    return pieces, text[end:]


def _join_pieces(section: str) -> tuple[bytes, bytes, bool] | None:
    """Join the pieces of both streams up to the first that is missing, and return True if both are complete.

    Returns:
        None for a payload that is not live.
    """
    pieces, rest = read_pieces(section)
    if not pieces:
        return None
    streams: dict[str, list[bytes]] = {"out": [], "err": []}
    for stream, number, content in pieces:
        if number == len(streams[stream]) + 1:
            streams[stream].append(content)
    is_complete = all(parts and not parts[-1] for parts in streams.values()) and not rest.strip()
    return b"".join(streams["out"]), b"".join(streams["err"]), is_complete


def split_parts(stdout: bytes) -> Iterator[bytes]:
    """Yield the complete parts that a frame has read from a body which writes its output in parts."""
    end = 0
    while found := _READ_PART.match(stdout, end):
        end = found.end() + int(found[1]) + 1
        yield stdout[found.end() : end - 1]


def _add_length(part: bytes) -> bytes:
    return b"[part %d]\n%s\n" % (len(part), part)


def _decode(section: str) -> bytes:
    """Decode lines of Base64. The last line is the number of the others."""
    text = section.replace("\r", "").strip()
    if not text:
        return b""
    *lines, count = text.split("\n")
    if count != str(len(lines)) or not all(map(_FULL_LINE.fullmatch, lines[:-1])):
        raise ValueError("parts are missing")
    return base64.b64decode("".join(lines), validate=True)


def _decode_beginning(section: str) -> bytes:
    """Decode the complete parts; without parts, the lines up to the first that is not full."""
    *parts, last = section.split(_PART)
    decoded = []
    for part in parts:
        with contextlib.suppress(ValueError):
            decoded.append(_add_length(_decode(part)))
    if parts:
        return b"".join(decoded)
    lines = last.replace("\r", "").lstrip("\n").split("\n")[:-1]
    return base64.b64decode("".join(itertools.takewhile(_FULL_LINE.fullmatch, lines)))


#: Exit code of a shell that does not find a program, and the length of its longest message, in characters.
_NOT_FOUND, _MAX_NOT_FOUND_LENGTH = 127, 1000
NO_VARIABLES = "the workspace did not pass on the variables of the command; a newer workspace is needed"


def unpack_output(command: Command, output: Output, line: str | None = None) -> tuple[Command, Output]:
    """Separate the two streams of a payload in the output of a finished command.

    Args:
        line: The submitted line, if known; the row of the command might lack it.

    Returns:
        The command, with the exit code of the frame if the workspace states none, and the output. It is C(refused) if
        the command never began, and incomplete if the frame is. A command without a payload is returned unchanged.
    """
    never_began = explain_never_began(command, output.text)
    if never_began:
        return command, replace(output, refused=never_began)
    line = line or command.line
    digest = parse_digest(line)
    if digest is None or command.ran is False or not command.is_handled:
        return command, output
    try:
        frame = read_frame(digest, output.text)
        _check_rc(command, frame)
    except FrameError as error:
        return command, _explain_frame_error(command, output, line, error)
    streams = Output(_decode_text(frame.stdout), output.complete, output.note, _decode_text(frame.stderr), frame.mark)
    return (command if command.exit_code is not None else replace(command, exit_code=frame.rc)), streams


def make_end_check(command: Command, line: str | None = None) -> Callable[[str], bool] | None:
    """Return a function that checks if an output is complete; None for a line without a payload."""
    digest = parse_digest(line or command.line)
    return partial(_has_end, digest) if digest else None


def _has_end(digest: str, text: str) -> bool:
    try:
        read_frame(digest, text)
    except MissingFrame:
        return bool(text.strip())  # a shell wrote a message instead
    except IncompleteFrame:
        return False
    except FrameError:
        pass  # more chunks would not repair it
    return True


def _explain_frame_error(command: Command, output: Output, line: str, error: FrameError) -> Output:
    reason, doubt = str(error), ""
    if isinstance(error, IncompleteFrame):
        reason = explain_ended_early(command, output.text) or reason
    elif isinstance(error, PayloadRefused):
        if _may_have_failed_with(command, REFUSED_RC):
            mark = LATE if reason == LATE else ""
            return Output("", refused=f"the server refused to run it: {reason}", mark=mark)
        reason = doubt = "the server says that it ran nothing"
    elif isinstance(error, MissingFrame):
        if _has_no_variables(command, output, line):
            return Output("", refused=NO_VARIABLES)
        doubt = "its output is missing"
    note = f"The output cannot be read: {reason}. {output.note}".rstrip()
    return Output(_decode_text(error.stdout), False, note, doubt=doubt if command.succeeded else "")


def _has_no_variables(command: Command, output: Output, line: str) -> bool:
    """Return True if the workspace dropped the variables: the shell did not find the label, or wrote nothing."""
    label, digest = line.split()[-2:]
    not_found = rf"(?:.*: )?{re.escape(digest)}\b.*{re.escape(label)}: .*not found"
    if len(output.text) < _MAX_NOT_FOUND_LENGTH and re.fullmatch(not_found, output.text.strip()):
        return _may_have_failed_with(command, _NOT_FOUND)
    # A payload always writes a frame, and only chunks can be lost.
    is_empty = output.complete and not output.text.strip() and not command.may_have_chunks
    return is_empty and command.status == "success"


def _may_have_failed_with(command: Command, code: int) -> bool:
    return command.status == "failed" and command.exit_code in (None, code)


def _check_rc(command: Command, frame: Frame) -> None:
    """Raise an error if the exit codes of the frame and of the workspace differ."""
    stated = command.exit_code
    if frame.rc != stated if stated is not None else (frame.rc == 0) != command.succeeded:
        result = f"rc {stated}" if stated is not None else command.status
        raise FrameError(f"the server says rc {frame.rc}, and the workspace says {result}")


def _decode_text(stream: bytes) -> str:
    return stream.decode("utf-8", "surrogateescape")
