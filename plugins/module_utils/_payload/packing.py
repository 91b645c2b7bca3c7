# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

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

#: Exit code where nothing of what is carried was run.
REFUSED = 126

# Descriptors: 3 is the output that the agent reads, 5 the standard error of the body, 7 what follows its output,
# 9 is where a body says that it was skipped. None but the last is left open for the body, so that what it starts in
# the background holds none of them. A body that writes its output in parts has 3 as well, and alpacon_lines.
_CODE = r"""
alpacon_content="@PAYLOAD@"
unset RUN BODY @NAMES@
@RESTORED@alpacon_digest=${1#sha256:}
set --
exec 3>&1 2>/dev/null
printf '[alpacon %s]\n' "$alpacon_digest" >&3
alpacon_refuse() { printf '[refused %s]\n[end]\n' "$*" >&3; exit @REFUSED@; }
for alpacon_word in base64 gzip head sed sha256sum tail; do
command -v "$alpacon_word" >/dev/null || alpacon_refuse "$alpacon_word is not installed"
done
alpacon_unpack() { printf %s "$alpacon_content" | base64 -d 2>/dev/null | gzip -dc 2>/dev/null; }
alpacon_word=$(alpacon_unpack | sha256sum)
[ "${alpacon_word%% *}" = "$alpacon_digest" ] || alpacon_refuse 'the digest differs'
alpacon_lengths=$(alpacon_unpack | head -n 1)
alpacon_part() {
alpacon_start=$((${#alpacon_lengths} + 2))
for alpacon_word in $alpacon_lengths; do
if [ "$1" -eq 0 ]; then
alpacon_unpack | tail -c "+$alpacon_start" 2>/dev/null | head -c "$alpacon_word"
return
fi
alpacon_start=$((alpacon_start + alpacon_word))
set -- "$(($1 - 1))"
done
}
alpacon_body=$(alpacon_part 0; echo .)
alpacon_body=${alpacon_body%.}
alpacon_run() {
if [ "$1" = 0 ]; then
( set --; eval "$alpacon_body" ) </dev/null
else
alpacon_part 1 2>/dev/null | ( set --; eval "$alpacon_body" )
fi
}
alpacon_lines() { base64 | sed -n 'p;$='; }
set -- $alpacon_lengths
alpacon_rest=$({ { {
alpacon_run "$2" 2>&5 9>&7 @CLOSED@5>&- 7>&-
echo "[rc $?]" >&7
} | alpacon_lines >&3; } 5>&1 | alpacon_lines; } 7>&1)
printf '[stderr]\n%s\n[end]\n' "$alpacon_rest" >&3
exit "$(printf '%s\n' "$alpacon_rest" | sed -n 's/.*\[rc \([0-9]*\)].*/\1/p')"
"""


def unpacking(names: Sequence[str], guarded: Sequence[str] = (), in_parts: bool = False) -> str:
    """The code for what stands in variables of these names, in their order.

    Args:
        guarded: other variables, whose values stand between two dots.
        in_parts: leave descriptor 3 open for the body.
    """
    payload = "".join(f"${name}" for name in names)
    restored = "".join(f"{name}=${{{name}#.}}\n{name}=${{{name}%.}}\n" for name in guarded)
    code = _CODE.replace("@PAYLOAD@", payload).replace("@NAMES@", " ".join(names)).replace("@RESTORED@", restored)
    return code.replace("@REFUSED@", str(REFUSED)).replace("@CLOSED@", "" if in_parts else "3>&- ").strip()


#: The most that a system takes for one variable, its name and C(=) included, and for all of them together, in bytes.
MAX_VARIABLE_BYTES, MAX_PAYLOAD_BYTES = 131_071, 1_500_000
#: No label is longer, in characters.
MAX_LABEL_LENGTH = 64
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
        super().__init__(f"it takes {size} bytes, compressed and encoded, and one submit carries {MAX_PAYLOAD_BYTES}")


@dataclass(frozen=True)
class Payload:
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
) -> Payload:
    """Pack a body for one submit.

    Args:
        label: what reviewers and the record of the workspace show, see :func:`make_label`.
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
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise TooLarge(len(payload))
    room = MAX_VARIABLE_BYTES - len("P00=")
    variables = {
        f"P{number}": payload[start : start + room] for number, start in enumerate(range(0, len(payload), room))
    }
    # One word with a shell and without one: what is in IFS parts it only when it is evaluated.
    run = f'eval${{IFS}}"${BODY}"'
    # Workspaces trim values, and dots stay where they are.
    guarded = {name: f".{value}." for name, value in (env or {}).items() if is_trimmed(value)}
    carriers = {RUN: run, BODY: unpacking(list(variables), list(guarded), in_parts), **variables}
    return Payload(f"/bin/sh -c $RUN {label} sha256:{digest}", {**(env or {}), **guarded, **carriers}, digest)


def is_trimmed(value: str) -> bool:
    """Whether the value of a variable does not stay as it is on its way through a workspace."""
    return value != value.strip()


def make_label(kind: str, name: str) -> str:
    """A word for the line that says what is carried, and that no shell takes for anything else.

    It is the name of no program: where a workspace drops the variables, the line would run it.
    """
    word = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.") or "unnamed"
    return f"{kind}:{word}"[:MAX_LABEL_LENGTH]


def is_reserved_variable(name: str) -> bool:
    """Whether a variable is one of those that carry, or that the code has which unpacks."""
    return _OWN_VARIABLE.fullmatch(name) is not None


def parse_digest(line: str) -> str | None:
    """The digest of what a line carries, or None of a line that carries nothing."""
    found = _LINE.fullmatch(line.strip())
    return found[2] if found else None
