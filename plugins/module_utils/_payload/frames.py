# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

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
from dataclasses import dataclass

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


class NoFrame(Exception):
    """An output that is not the whole frame of what was carried; the text says why.

    Attributes:
        stdout: the beginning of standard output, or the parts of it, as far as they came whole.
    """

    def __init__(self, why: str, stdout: bytes = b"") -> None:
        self.stdout = stdout
        super().__init__(why)


class NoBeginning(NoFrame):
    """Not even the beginning of a frame is there, which is written before anything runs of what was carried."""


class NoEnd(NoFrame):
    """Its beginning is there, and not its end."""


class NotRun(NoFrame):
    """The server says that it has run nothing of what was carried; the text says why."""


def read_frame(digest: str, output: str) -> Frame:
    """The frame in an output; what stands before and behind it is not part of it.

    Args:
        digest: of what was carried.

    Raises:
        NotRun: the server refused it.
        NoBeginning: it is not there.
        NoEnd: it is torn off.
        NoFrame: it is not whole, or not the only one.
    """
    _before, begin, text = output.partition(f"[alpacon {digest}]")
    if not begin:
        raise NoBeginning("the beginning of the answer is missing")
    if output.count("[alpacon ") != 1:
        raise NoFrame("the answer has several frames")
    written, cut, rest = text.partition("[stderr]")
    if not cut:
        refused = re.search(r"\[refused ([^\[\]]*)\]", text)
        if refused and not text[: refused.start()].strip():
            raise NotRun(refused[1][:_SHOWN_REASON])
        raise NoEnd("the answer ends too early", _beginning(written))
    errors, end, _after = rest.partition("[end]")
    marks = _MARK.findall(errors)
    rc = _RC.fullmatch(marks[-1]) if end and marks else None
    said = marks[:-1] or [""]
    if not rc or said not in ([""], [SKIPPED], [UNDONE]):
        raise NoEnd("the answer ends too early", _beginning(written))
    try:
        return Frame(_joined(written), _decoded(_MARK.sub("", errors)), int(rc[1]), *said)
    except (ValueError, binascii.Error):
        raise NoFrame("parts of the answer are missing", _beginning(written)) from None


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
