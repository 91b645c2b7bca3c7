# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pack shell code, its standard input and files into the line and the variables of one submit.

The line is always C(/bin/sh -c $RUN LABEL sha256:DIGEST). The code is in variables that are unset before it runs. This
works with and without a shell on the server, as seen with the agent v2.5.0.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

#: Exit code of a server that refuses to run a payload.
REFUSED_RC = 126

# Descriptors: 3 is the output that the agent reads, 5 the standard error of the body, 7 what follows its output, and 9
# marks a skip. Only 9 stays open for the body, so that its background processes hold none of the others. A body that
# writes its output in parts has 3 as well, and alpacon_lines.
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

#: Limits of systems, in bytes: one variable with its name and C(=), and all variables together.
MAX_VARIABLE_BYTES, MAX_PAYLOAD_BYTES = 131_071, 1_500_000
_RESERVED_VARIABLE = re.compile(r"RUN|BODY|P\d+|alpacon_\w*")
_LINE = re.compile(r"/bin/sh -c \$RUN (\S+) sha256:([0-9a-f]{64})")
#: A higher level is hardly smaller and takes four times as long.
_COMPRESSION = 1


class PayloadTooLarge(Exception):
    """A payload does not fit into one submit; C(size) is in bytes, compressed and encoded."""

    def __init__(self, size: int) -> None:
        self.size = size
        super().__init__(
            f"it takes {size} bytes, compressed and encoded, and the limit of one submit is {MAX_PAYLOAD_BYTES}"
        )


@dataclass(frozen=True)
class Payload:
    """Line and variables of one submit, and the SHA-256 of the code, its input and files."""

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
        label: Shown to reviewers and in the record of the workspace, see :func:`make_label`.
        body: Code for C(/bin/sh). C(alpacon_part 2) in it writes the first of the files, C(alpacon_part 3) the next.
        stdin: Standard input of the body.
        env: Further variables of the body, which the digest does not cover.
        in_parts: The body pipes each part of its output into C(alpacon_lines), writes that and C([part]) to
            descriptor 3, and nothing to standard output. Parts that were written count even if the command is ended.

    Raises:
        PayloadTooLarge: It does not fit.
    """
    parts = [body.encode("utf-8", "surrogateescape"), stdin, *files]
    lengths = " ".join(str(len(part)) for part in parts)
    content = b"".join([f"{lengths}\n".encode(), *parts])
    digest = hashlib.sha256(content).hexdigest()
    payload = base64.b64encode(gzip.compress(content, _COMPRESSION, mtime=0)).decode()
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise PayloadTooLarge(len(payload))
    room = MAX_VARIABLE_BYTES - len("P00=")
    variables = {
        f"P{number}": payload[start : start + room] for number, start in enumerate(range(0, len(payload), room))
    }
    # Workspaces trim values. The code removes the dots.
    guarded = {name: f".{value}." for name, value in (env or {}).items() if is_trimmed(value)}
    code = (
        _CODE.replace("@PAYLOAD@", "".join(f"${name}" for name in variables))
        .replace("@NAMES@", " ".join(variables))
        .replace("@RESTORED@", "".join(f"{name}=${{{name}#.}}\n{name}=${{{name}%.}}\n" for name in guarded))
        .replace("@REFUSED@", str(REFUSED_RC))
        .replace("@CLOSED@", "" if in_parts else "3>&- ")
    )
    # One word with a shell and without one: only eval splits it.
    own = {"RUN": 'eval${IFS}"$BODY"', "BODY": code.strip(), **variables}
    return Payload(f"/bin/sh -c $RUN {label} sha256:{digest}", {**(env or {}), **guarded, **own}, digest)


def is_trimmed(value: str) -> bool:
    """Return True if workspaces trim this value of a variable."""
    return value != value.strip()


def make_label(kind: str, name: str) -> str:
    """Return a word for the line that needs no quotes.

    The colon makes it the name of no program, since a line without its variables would run that.
    """
    word = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.") or "unnamed"
    return f"{kind}:{word}"[:64]


def is_reserved_variable(name: str) -> bool:
    """Return True if a payload uses this variable itself."""
    return _RESERVED_VARIABLE.fullmatch(name) is not None


def parse_digest(line: str) -> str | None:
    """Return the digest of a payload by its line, None for other lines."""
    found = _LINE.fullmatch(line.strip())
    return found[2] if found else None
