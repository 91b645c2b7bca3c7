# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""Carry a body of shell code, its standard input and files to a server in one submit.

The API takes one line of 2,048 characters and variables for it. So the line is the same for all, C(LINE), and what
is to run stands in variables that are unset before anything of it runs. It works with and without a shell on the
server, as seen with the agent v2.5.0.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from .unpacking import unpacking

#: The most that a system takes for one variable, its name and C(=) included, and for all of them together, in bytes.
LARGEST_VARIABLE, LARGEST_PAYLOAD = 131_071, 1_500_000
#: No label is longer, in characters.
LONGEST_LABEL = 64
#: What the words of the line stand for is in these variables, and in C(P0), C(P1) and so on.
RUN, BODY = "RUN", "BODY"
_OWN_VARIABLE = re.compile(rf"{RUN}|{BODY}|P\d+|alpacon_\w*")
_LINE = re.compile(r"/bin/sh -c \$RUN (\S+) sha256:([0-9a-f]{64})")
#: More is hardly smaller, and takes four times as long.
_COMPRESSION = 1


class TooLarge(Exception):
    """What is to be carried does not fit into one submit.

    Attributes:
        size: what it takes, compressed and encoded, in bytes.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        super().__init__(f"it takes {size} bytes, compressed and encoded, and one submit carries {LARGEST_PAYLOAD}")


@dataclass(frozen=True)
class Carried:
    """What submits a body.

    Attributes:
        line: the command line.
        env: its variables; what is in them is not to be shown.
        digest: SHA-256 of all that decides what runs, in hexadecimal digits.
    """

    line: str
    env: dict[str, str] = field(repr=False)
    digest: str


def pack(
    label: str,
    body: str,
    stdin: bytes = b"",
    files: Sequence[bytes] = (),
    env: Mapping[str, str] | None = None,
    in_parts: bool = False,
) -> Carried:
    """Pack a body for one submit.

    Args:
        label: what reviewers and the record of the workspace show, see :func:`label_of`.
        body: code for C(/bin/sh). In it, C(alpacon_part 2) writes the first of the files, C(alpacon_part 3) the next.
        stdin: what the body reads; it meets the end at once where that is empty.
        files: what the body asks for.
        env: further variables of the body, which the digest does not cover.
        in_parts: the body pipes each part of its output into C(alpacon_lines), writes that and C([part]) to
            descriptor 3, and nothing to standard output. Parts that were written count even if the command is ended.

    Raises:
        TooLarge: it does not fit.
    """
    parts = [body.encode("utf-8", "surrogateescape"), stdin, *files]
    lengths = " ".join(str(len(part)) for part in parts)
    content = b"".join([f"{lengths}\n".encode(), *parts])
    digest = hashlib.sha256(content).hexdigest()
    payload = base64.b64encode(gzip.compress(content, _COMPRESSION, mtime=0)).decode()
    if len(payload) > LARGEST_PAYLOAD:
        raise TooLarge(len(payload))
    room = LARGEST_VARIABLE - len("P00=")
    variables = {
        f"P{number}": payload[start : start + room] for number, start in enumerate(range(0, len(payload), room))
    }
    # One word with a shell and without one: what is in IFS parts it only when it is evaluated.
    run = f'eval${{IFS}}"${BODY}"'
    # Workspaces trim values, and dots stay where they are.
    guarded = {name: f".{value}." for name, value in (env or {}).items() if is_trimmed(value)}
    carriers = {RUN: run, BODY: unpacking(list(variables), list(guarded), in_parts), **variables}
    return Carried(f"/bin/sh -c $RUN {label} sha256:{digest}", {**(env or {}), **guarded, **carriers}, digest)


def is_trimmed(value: str) -> bool:
    """Whether the value of a variable does not stay as it is on its way through a workspace."""
    return value != value.strip()


def label_of(kind: str, name: str) -> str:
    """A word for the line that says what is carried, and that no shell takes for anything else.

    It is the name of no program: where a workspace drops the variables, the line would run it.
    """
    word = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.") or "unnamed"
    return f"{kind}:{word}"[:LONGEST_LABEL]


def is_own_variable(name: str) -> bool:
    """Whether a variable is one of those that carry, or that the code has which unpacks."""
    return _OWN_VARIABLE.fullmatch(name) is not None


def digest_of_line(line: str) -> str | None:
    """The digest of what a line carries, or None of a line that carries nothing."""
    found = _LINE.fullmatch(line.strip())
    return found[2] if found else None
