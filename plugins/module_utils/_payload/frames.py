# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read what a carried body has written out of the output of its command.

The output is one frame: C([alpacon DIGEST]), standard output in Base64 by lines and how many lines these are,
C([stderr]), standard error alike, with C([rc NUMBER]) somewhere between, and C([end]). Both streams come back exact to
the byte, and a frame of which something is missing is none. A body may write its output in parts, with C([part]) behind
each; they come back as C([part LENGTH]), a line end, the part and a line end, also from a frame without an end.
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
from .packing import REFUSED, parse_digest

_MARK = re.compile(r"\[([^\[\]]*)\](?:\r?\n)?")
_RC = re.compile(r"rc ([0-9]{1,3})")
#: What a body says where it had nothing to do, and where what was to come before it could not be done.
SKIPPED, UNDONE = "skipped", "undone"
#: What stands behind each part of an output.
_PART = "[part]"
_SHOWN_REASON = 100
#: A line of Base64 that others follow.
_WHOLE = re.compile(r"[A-Za-z0-9+/]{76}")


@dataclass(frozen=True)
class Frame:
    """What a carried body has written.

    Attributes:
        rc: its exit code.
        mark: :data:`SKIPPED` or :data:`UNDONE` where it says so; else empty.
    """

    stdout: bytes
    stderr: bytes
    rc: int
    mark: str = ""


class FrameError(Exception):
    """An output that is not the whole frame of what was carried; the text says why.

    Attributes:
        stdout: the beginning of standard output, or the parts of it, as far as they came whole.
    """

    def __init__(self, why: str, stdout: bytes = b"") -> None:
        self.stdout = stdout
        super().__init__(why)


class MissingFrame(FrameError):
    """Not even the beginning of a frame is there, which is written before anything runs of what was carried."""


class IncompleteFrame(FrameError):
    """Its beginning is there, and not its end."""


class PayloadRefused(FrameError):
    """The server says that it has run nothing of what was carried; the text says why."""


def read_frame(digest: str, output: str) -> Frame:
    """The frame in an output; what stands before and behind it is not part of it.

    Args:
        digest: of what was carried.

    Raises:
        PayloadRefused: the server refused it.
        MissingFrame: it is not there.
        IncompleteFrame: it is torn off.
        FrameError: it is not whole, or not the only one.
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
        raise IncompleteFrame("the answer ends too early", _beginning(written))
    errors, end, _after = rest.partition("[end]")
    marks = _MARK.findall(errors)
    rc = _RC.fullmatch(marks[-1]) if end and marks else None
    said = marks[:-1] or [""]
    if not rc or said not in ([""], [SKIPPED], [UNDONE]):
        raise IncompleteFrame("the answer ends too early", _beginning(written))
    try:
        return Frame(_joined(written), _decoded(_MARK.sub("", errors)), int(rc[1]), *said)
    except (ValueError, binascii.Error):
        raise FrameError("parts of the answer are missing", _beginning(written)) from None


def _joined(section: str) -> bytes:
    """Return standard output, with its length before each part if it has parts."""
    *parts, rest = section.split(_PART)
    return b"".join([*(_with_length(_decoded(part)) for part in parts), _decoded(rest)])


def _with_length(part: bytes) -> bytes:
    return b"[part %d]\n%s\n" % (len(part), part)


def _decoded(section: str) -> bytes:
    """What stands in Base64 in some lines, the last of which says how many these are; no lines stand for nothing."""
    text = section.replace("\r", "").strip()
    if not text:
        return b""
    *lines, count = text.split("\n")
    if count != str(len(lines)) or not all(map(_WHOLE.fullmatch, lines[:-1])):
        raise ValueError("parts are missing")
    return base64.b64decode("".join(lines), validate=True)


def _beginning(section: str) -> bytes:
    """Return the parts that are whole, or the lines up to the first that is not, which tells where some are missing."""
    *parts, section = section.split(_PART)
    whole = []
    for part in parts:
        with contextlib.suppress(ValueError):
            whole.append(_with_length(_decoded(part)))
    if parts:
        return b"".join(whole)
    lines = section.replace("\r", "").lstrip("\n").split("\n")[:-1]
    return base64.b64decode("".join(itertools.takewhile(_WHOLE.fullmatch, lines)))


#: The exit code of a shell that finds no such program, and the most that it says of it, in characters.
_NOT_FOUND, _LONGEST_COMPLAINT = 127, 1000
#: Why nothing ran in a workspace that knows of no variables.
NO_VARIABLES = "the workspace did not pass on the variables that carry it; a newer workspace is needed"


def unpack_output(command: Command, output: Output, line: str | None = None) -> tuple[Command, Output]:
    """A finished command and its output: refused where the command never began, else with both streams apart where it
    carried something.

    Args:
        line: what was submitted, where that is known; else the row of the command says it.

    Returns:
        The command with its exit code, if only the server said it, and the output. An answer that is not whole is an
        output that is not complete.
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
        return command, _without_frame(command, output, line, error)
    streams = Output(_text(frame.stdout), output.complete, output.note, _text(frame.stderr), frame.mark)
    return (command if command.exit_code is not None else replace(command, exit_code=frame.rc)), streams


def make_end_check(command: Command, line: str | None = None) -> Callable[[str], bool] | None:
    """What tells whether an output is all of what a command has written; None of a line that carries nothing.

    Args:
        line: as for :func:`unpack_output`.
    """
    digest = parse_digest(line or command.line)
    return partial(_has_end, digest) if digest else None


def _has_end(digest: str, text: str) -> bool:
    try:
        read_frame(digest, text)
    except MissingFrame:
        return bool(text.strip())  # something else was said in its place
    except IncompleteFrame:
        return False
    except FrameError:
        return True  # more chunks would not make it another
    return True


def _without_frame(command: Command, output: Output, line: str, error: FrameError) -> Output:
    """What can be said of an output that is not the whole frame."""
    why, doubt = str(error), ""
    if isinstance(error, IncompleteFrame):
        why = explain_ended_early(command, output.text) or why
    elif isinstance(error, PayloadRefused):
        if _may_be(command, REFUSED):
            return Output("", refused=f"the server refused what was carried, since {why}")
        why = doubt = "the server says that nothing of it ran"
    elif isinstance(error, MissingFrame):
        if _came_without_variables(command, output, line):
            return Output("", refused=NO_VARIABLES)
        doubt = "nothing of its answer is there"
    note = f"What it wrote is not known: {why}. {output.note}".rstrip()
    return Output(_text(error.stdout), False, note, doubt=doubt if command.succeeded else "")


def _came_without_variables(command: Command, output: Output, line: str) -> bool:
    """Whether nothing but the label of a line can have been run, or nothing at all, for want of the variables."""
    label, digest = line.split()[-2:]
    said = rf"(?:.*: )?{re.escape(digest)}\b.*{re.escape(label)}: .*not found"
    if len(output.text) < _LONGEST_COMPLAINT and re.fullmatch(said, output.text.strip()):
        return _may_be(command, _NOT_FOUND)
    # What unpacks says something whatever comes, and only chunks can be lost on their way.
    silent = output.complete and not output.text.strip() and not command.may_have_chunks
    return silent and command.status == "success"


def _may_be(command: Command, code: int) -> bool:
    """Whether a command can have ended with an exit code that is not 0."""
    return command.status == "failed" and command.exit_code in (None, code)


def _check_rc(command: Command, frame: Frame) -> None:
    """Refuse the frame of another run than the one that the workspace tells of."""
    stated = command.exit_code
    if frame.rc != stated if stated is not None else (frame.rc == 0) != command.succeeded:
        said = f"rc {stated}" if stated is not None else command.status
        raise FrameError(f"the server says rc {frame.rc}, and the workspace says {said}")


def _text(stream: bytes) -> str:
    return stream.decode("utf-8", "surrogateescape")
