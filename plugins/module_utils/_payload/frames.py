# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read the frame that a payload writes, and return its two streams and its exit code.

A frame is C([alpacon DIGEST]), standard output in lines of Base64 and their number, C([stderr]), standard error alike
with C([rc NUMBER]) in it, and C([end]). Both streams come back exact to the byte. A body may write its output in parts,
each followed by C([part]); they come back as C([part LENGTH]), a line end, the part and a line end, also from a frame
without an end.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import itertools
import re
from dataclasses import dataclass, replace
from functools import partial
from typing import Callable

from .._api.outputs import Output, explain_ended_early, explain_never_began
from .._api.records import Command
from .packing import REFUSED_RC, parse_digest

_MARK = re.compile(r"\[([^\[\]]*)\](?:\r?\n)?")
_RC = re.compile(r"rc ([0-9]{1,3})")
#: Marks of a body that was skipped, and of one that did not run since a step before it failed.
SKIPPED, UNDONE = "skipped", "undone"
_PART = "[part]"
_SHOWN_REASON = 100
#: Every line of Base64 but the last.
_FULL_LINE = re.compile(r"[A-Za-z0-9+/]{76}")


@dataclass(frozen=True)
class Frame:
    """Streams and exit code of a body; C(mark) is :data:`SKIPPED`, :data:`UNDONE` or empty."""

    stdout: bytes
    stderr: bytes
    rc: int
    mark: str = ""


class FrameError(Exception):
    """Output without exactly one complete frame; C(stdout) has the complete parts, or the beginning, of the stream."""

    def __init__(self, why: str, stdout: bytes = b"") -> None:
        self.stdout = stdout
        super().__init__(why)


class MissingFrame(FrameError):
    """The begin mark is missing, which is written before the body runs."""


class IncompleteFrame(FrameError):
    """The begin mark is there and the end mark is not."""


class PayloadRefused(FrameError):
    """The server refused to run the body, for the reason in the text."""


def read_frame(digest: str, output: str) -> Frame:
    """Find the one frame with this digest in an output.

    Raises:
        PayloadRefused: The server ran nothing.
        MissingFrame: It is not there.
        IncompleteFrame: Its end is missing.
        FrameError: It is damaged, or not the only one.
    """
    _before, begin, text = output.partition(f"[alpacon {digest}]")
    if not begin:
        raise MissingFrame("the beginning of the answer is missing")
    if output.count("[alpacon ") != 1:
        raise FrameError("the answer has several frames")
    written, cut, rest = text.partition("[stderr]")
    if not cut:
        refused = re.search(r"\[refused ([^\[\]]*)\]", text)
        if refused and not text[: refused.start()].strip():
            raise PayloadRefused(refused[1][:_SHOWN_REASON])
        raise IncompleteFrame("the answer ends too early", _decode_beginning(written))
    errors, end, _after = rest.partition("[end]")
    marks = _MARK.findall(errors)
    rc = _RC.fullmatch(marks[-1]) if end and marks else None
    said = marks[:-1] or [""]
    if not rc or said not in ([""], [SKIPPED], [UNDONE]):
        raise IncompleteFrame("the answer ends too early", _decode_beginning(written))
    try:
        return Frame(_decode_parts(written), _decode(_MARK.sub("", errors)), int(rc[1]), *said)
    except (ValueError, binascii.Error):
        raise FrameError("parts of the answer are missing", _decode_beginning(written)) from None


def _decode_parts(section: str) -> bytes:
    *parts, rest = section.split(_PART)
    return b"".join([*(_add_length(_decode(part)) for part in parts), _decode(rest)])


def _add_length(part: bytes) -> bytes:
    return b"[part %d]\n%s\n" % (len(part), part)


def _decode(section: str) -> bytes:
    """Decode lines of Base64, the last of which is their number."""
    text = section.replace("\r", "").strip()
    if not text:
        return b""
    *lines, count = text.split("\n")
    if count != str(len(lines)) or not all(map(_FULL_LINE.fullmatch, lines[:-1])):
        raise ValueError("parts are missing")
    return base64.b64decode("".join(lines), validate=True)


def _decode_beginning(section: str) -> bytes:
    """Decode the complete parts, or the lines up to the first that is not full."""
    *parts, section = section.split(_PART)
    whole = []
    for part in parts:
        with contextlib.suppress(ValueError):
            whole.append(_add_length(_decode(part)))
    if parts:
        return b"".join(whole)
    lines = section.replace("\r", "").lstrip("\n").split("\n")[:-1]
    return base64.b64decode("".join(itertools.takewhile(_FULL_LINE.fullmatch, lines)))


#: A shell that does not find a program: its exit code, and the longest message, in characters.
_NOT_FOUND, _MAX_NOT_FOUND_LENGTH = 127, 1000
NO_VARIABLES = "the workspace did not pass on the variables of the command; a newer workspace is needed"


def unpack_output(command: Command, output: Output, line: str | None = None) -> tuple[Command, Output]:
    """Separate the two streams of a payload in the output of a finished command.

    Args:
        line: The submitted line, if known; the row of the command may not have it.

    Returns:
        The command with the exit code of the frame if the workspace stated none, and the output: C(refused) if the
        command never began, not complete if the frame is not. Other commands come back unchanged.
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
        return bool(text.strip())  # a message in its place
    except IncompleteFrame:
        return False
    except FrameError:
        pass  # more chunks would not repair it
    return True


def _explain_frame_error(command: Command, output: Output, line: str, error: FrameError) -> Output:
    why, doubt = str(error), ""
    if isinstance(error, IncompleteFrame):
        why = explain_ended_early(command, output.text) or why
    elif isinstance(error, PayloadRefused):
        if _may_have_failed_with(command, REFUSED_RC):
            return Output("", refused=f"the server refused to run it: {why}")
        why = doubt = "the server says that nothing of it ran"
    elif isinstance(error, MissingFrame):
        if _has_no_variables(command, output, line):
            return Output("", refused=NO_VARIABLES)
        doubt = "nothing of its answer is there"
    note = f"What it wrote is not known: {why}. {output.note}".rstrip()
    return Output(_decode_text(error.stdout), False, note, doubt=doubt if command.succeeded else "")


def _has_no_variables(command: Command, output: Output, line: str) -> bool:
    """Return True if the workspace dropped the variables: the shell did not find the label, or said nothing."""
    label, digest = line.split()[-2:]
    said = rf"(?:.*: )?{re.escape(digest)}\b.*{re.escape(label)}: .*not found"
    if len(output.text) < _MAX_NOT_FOUND_LENGTH and re.fullmatch(said, output.text.strip()):
        return _may_have_failed_with(command, _NOT_FOUND)
    # The code always writes a frame, and only chunks can be lost.
    silent = output.complete and not output.text.strip() and not command.may_have_chunks
    return silent and command.status == "success"


def _may_have_failed_with(command: Command, code: int) -> bool:
    return command.status == "failed" and command.exit_code in (None, code)


def _check_rc(command: Command, frame: Frame) -> None:
    """Refuse a frame whose exit code is not that of the workspace."""
    stated = command.exit_code
    if frame.rc != stated if stated is not None else (frame.rc == 0) != command.succeeded:
        said = f"rc {stated}" if stated is not None else command.status
        raise FrameError(f"the server says rc {frame.rc}, and the workspace says {said}")


def _decode_text(stream: bytes) -> str:
    return stream.decode("utf-8", "surrogateescape")
