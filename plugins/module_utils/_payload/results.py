# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""Outputs of commands: what the agent says in place of one, and both streams of what was carried."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial
from typing import Callable

from .._api.agent_output import why_ended_early, why_never_began
from .._api.outputs import Output
from .._api.records import Command
from .frames import Frame, NoBeginning, NoEnd, NoFrame, NotRun, read_frame
from .packing import digest_of_line
from .unpacking import REFUSED

#: The exit code of a shell that finds no such program, and the most that it says of it, in characters.
_NOT_FOUND, _LONGEST_COMPLAINT = 127, 1000
#: Why nothing ran in a workspace that knows of no variables.
NO_VARIABLES = "the workspace did not pass on the variables that carry it; a newer workspace is needed"


def unpacked(command: Command, output: Output, line: str | None = None) -> tuple[Command, Output]:
    """A finished command and its output: refused where the command never began, else with both streams apart where it
    carried something.

    Args:
        line: what was submitted, where that is known; else the row of the command says it.

    Returns:
        The command with its exit code, if only the server said it, and the output. An answer that is not whole is an
        output that is not complete.
    """
    never_began = why_never_began(command, output.text)
    if never_began:
        return command, replace(output, refused=never_began)
    line = line or command.line
    digest = digest_of_line(line)
    if digest is None or command.ran is False or not command.is_handled:
        return command, output
    try:
        frame = read_frame(digest, output.text)
        _check_rc(command, frame)
    except NoFrame as error:
        return command, _without_frame(command, output, line, error)
    streams = Output(_text(frame.stdout), output.complete, output.note, _text(frame.stderr), frame.mark)
    return (command if command.exit_code is not None else replace(command, exit_code=frame.rc)), streams


def whole_of(command: Command, line: str | None = None) -> Callable[[str], bool] | None:
    """What tells whether an output is all of what a command has written; None of a line that carries nothing.

    Args:
        line: as for :func:`unpacked`.
    """
    digest = digest_of_line(line or command.line)
    return partial(_has_end, digest) if digest else None


def _has_end(digest: str, text: str) -> bool:
    try:
        read_frame(digest, text)
    except NoBeginning:
        return bool(text.strip())  # something else was said in its place
    except NoEnd:
        return False
    except NoFrame:
        return True  # more chunks would not make it another
    return True


def _without_frame(command: Command, output: Output, line: str, error: NoFrame) -> Output:
    """What can be said of an output that is not the whole frame."""
    why, doubt = str(error), ""
    if isinstance(error, NoEnd):
        why = why_ended_early(command, output.text) or why
    elif isinstance(error, NotRun):
        if _may_be(command, REFUSED):
            return Output("", refused=f"the server refused what was carried, since {why}")
        why = doubt = "the server says that nothing of it ran"
    elif isinstance(error, NoBeginning):
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
        raise NoFrame(f"the server says rc {frame.rc}, and the workspace says {said}")


def _text(stream: bytes) -> str:
    return stream.decode("utf-8", "surrogateescape")
