# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""Outputs of commands that carried something, unpacked."""

from __future__ import annotations

from dataclasses import replace

from .._api.agent_output import why_never_began
from .._api.outputs import Output
from .._api.records import RAN, Command
from .frames import Frame, NoFrame, NotRun, read_frame
from .packing import digest_of_line


def unpacked(command: Command, output: Output, line: str | None = None) -> tuple[Command, Output]:
    """A finished command and its output, with both streams apart where it carried something.

    Args:
        line: what was submitted, where that is known; else the row of the command says it.

    Returns:
        The command with its exit code, if only the server said it, and the output. An answer that is not whole is an
        output that is not complete.
    """
    digest = digest_of_line(line or command.line)
    if digest is None or command.ran is False or command.status not in RAN or why_never_began(command, output.text):
        return command, output
    try:
        frame = read_frame(digest, output.text)
        _check_rc(command, frame)
    except NotRun as error:
        return command, Output("", refused=f"the server refused what was carried, since {error}")
    except NoFrame as error:
        note = f"What it wrote is not known: {error}. {output.note}".rstrip()
        return command, Output(_text(error.stdout), False, note)
    streams = Output(_text(frame.stdout), stderr=_text(frame.stderr), mark=frame.mark)
    return (command if command.exit_code is not None else replace(command, exit_code=frame.rc)), streams


def _check_rc(command: Command, frame: Frame) -> None:
    """Refuse the frame of another run than the one that the workspace tells of."""
    stated = command.exit_code
    if frame.rc != stated if stated is not None else (frame.rc == 0) != (command.status == "success"):
        said = f"rc {stated}" if stated is not None else command.status
        raise NoFrame(f"the server says rc {frame.rc}, and the workspace says {said}")


def _text(stream: bytes) -> str:
    return stream.decode("utf-8", "surrogateescape")
