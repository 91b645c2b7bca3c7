# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pack shell code, its standard input and files into the line and the variables of one submit.

The line is always C(/bin/sh -c $RUN LABEL sha256:DIGEST). The code is in variables, which it unsets before it runs the
body. This works with and without a shell on the server (seen with the agent v2.5.0).
"""

from __future__ import annotations

import base64
import hashlib
import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

#: Exit code of a server that refuses to run a payload.
REFUSED_RC = 126

# Descriptors: 3 is the output that the agent reads, 5 the standard error of the body, 7 the lines after its output, and
# 9 the marks. The body has only 9, since its background processes would delay the end of the others. A body that writes
# its output in parts has 3 as well, and alpacon_lines.
_CODE = r"""
alpacon_content="@PAYLOAD@"
unset RUN BODY @NAMES@
@RESTORED@alpacon_digest=${1#sha256:}
set --
exec 3>&1 2>/dev/null
printf '[alpacon %s]\n' "$alpacon_digest" >&3
alpacon_refuse() { printf '[refused %s]\n[end]\n' "$*" >&3; exit @REFUSED@; }
for alpacon_word in base64 @DD@gzip head sed sha256sum tail; do
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
@LIVE@set -- $alpacon_lengths
alpacon_rest=$({ { {
alpacon_run "$2" 2>&5 9>&7 @CLOSED@5>&- 7>&-
echo "[rc $?]" >&7
} | @OUT@; } 5>&1 | @ERR@; } 7>&1)
printf '[stderr]\n%s\n[end]\n' "$alpacon_rest" >&3
exit "$(printf '%s\n' "$alpacon_rest" | sed -n 's/.*\[rc \([0-9]*\)].*/\1/p')"
"""

# dd returns as soon as there is output. Shells write a word at once, but perhaps not the line end after it. Up to 4,096
# bytes are not mixed with others.
_LIVE = r"""alpacon_live() {
alpacon_count=0
while :; do
alpacon_count=$((alpacon_count + 1))
alpacon_word=$(dd bs=2964 count=1 | base64 | tr -d '\n')
printf '%s\n' "${alpacon_word}[$1 $alpacon_count ${#alpacon_word}]" >&3
[ "$alpacon_word" ] || break
done
}
"""

#: Why a server refuses a payload that it gets too late, and the variable with the time in seconds since the epoch.
LATE, NOT_AFTER = "not_after has passed", "alpacon_not_after"
_NOT_AFTER = f"""alpacon_word=$(date +%s)
case $alpacon_word in "" | *[!0-9]*) alpacon_refuse "date +%s tells no time, so not_after cannot be checked" ;; esac
[ "$alpacon_word" -le "${NOT_AFTER}" ] || alpacon_refuse "{LATE}"
unset {NOT_AFTER}
"""

#: Limits of systems, in bytes: one variable with its name and C(=), and all variables together.
MAX_VARIABLE_BYTES, MAX_PAYLOAD_BYTES = 131_071, 1_500_000
_RESERVED_VARIABLE = re.compile(r"RUN|BODY|P\d+|alpacon_\w*")
_LINE = re.compile(r"/bin/sh -c \$RUN (\S+) sha256:([0-9a-f]{64})")
#: Higher levels save hardly any bytes and take four times as long.
_COMPRESSION = 1


class PayloadTooLarge(Exception):
    """A payload does not fit into one submit."""

    def __init__(self, size: int) -> None:
        self.size = size
        super().__init__(
            f"it takes {size} bytes, compressed and encoded, and the limit of one submit is {MAX_PAYLOAD_BYTES}"
        )


@dataclass(frozen=True)
class Payload:
    """Line and variables of one submit, and the SHA-256 of the body, its input and files."""

    line: str
    env: dict[str, str] = field(repr=False)
    digest: str


def is_dense(content: bytes) -> bool:
    """Return True for Base64 and for content that is compressed already."""
    middle = content[len(content) // 2 :][:4096]
    return len(zlib.compress(middle, _COMPRESSION)) > 0.7 * len(middle)


def compress(content: bytes, wbits: int = zlib.MAX_WBITS | 16) -> bytes:
    """Compress content: as gzip, or in another format of zlib."""
    # Looking for repeated texts would take four times as long for nothing.
    strategy = zlib.Z_HUFFMAN_ONLY if is_dense(content) else zlib.Z_DEFAULT_STRATEGY
    packer = zlib.compressobj(_COMPRESSION, zlib.DEFLATED, wbits, strategy=strategy)
    return packer.compress(content) + packer.flush()


def pack(
    label: str,
    body: str,
    stdin: bytes = b"",
    files: Sequence[bytes] = (),
    env: Mapping[str, str] | None = None,
    in_parts: bool = False,
    live: bool = False,
    expires: bool = False,
) -> Payload:
    """Pack a body for one submit.

    Args:
        label: Shown to reviewers and in the record of the workspace, see :func:`make_label`.
        body: Code for C(/bin/sh). C(alpacon_part 2) in it writes the first file, C(alpacon_part 3) the second.
        stdin: Standard input of the body.
        env: Further variables of the body. The digest does not cover them.
        in_parts: The body writes nothing to standard output. It pipes each part of its output through
            C(alpacon_lines) to descriptor 3, and then writes C([part]) there. If the agent ends the command, the
            parts before can still be read.
        live: Write both streams in small pieces as the body prints them, see :mod:`.frames`.
        expires: Refuse to run the body after the time in the variable :data:`NOT_AFTER`, which the caller adds.
    """
    parts = [body.encode("utf-8", "surrogateescape"), stdin, *files]
    lengths = " ".join(str(len(part)) for part in parts)
    content = b"".join([f"{lengths}\n".encode(), *parts])
    digest = hashlib.sha256(content).hexdigest()
    payload = base64.b64encode(compress(content)).decode()
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise PayloadTooLarge(len(payload))
    length = MAX_VARIABLE_BYTES - len("P00=")
    variables = {
        f"P{number}": payload[start : start + length] for number, start in enumerate(range(0, len(payload), length))
    }
    # Workspaces trim values. The code removes the dots.
    dotted = {name: f".{value}." for name, value in (env or {}).items() if is_trimmed(value)}
    code = (
        _CODE.replace("@PAYLOAD@", "".join(f"${name}" for name in variables))
        .replace("@NAMES@", " ".join(variables))
        .replace("@RESTORED@", "".join(f"{name}=${{{name}#.}}\n{name}=${{{name}%.}}\n" for name in dotted))
        .replace("@REFUSED@", str(REFUSED_RC))
        .replace("@CLOSED@", "" if in_parts else "3>&- ")
        .replace("@DD@", "dd tr " if live else "")
        .replace("@LIVE@", f"{_NOT_AFTER if expires else ''}{_LIVE if live else ''}")
        .replace("@OUT@", "alpacon_live out" if live else "alpacon_lines >&3")
        .replace("@ERR@", "alpacon_live err" if live else "alpacon_lines")
    )
    # RUN is one word with a shell and without one: only eval splits it.
    env = {**(env or {}), **dotted, "RUN": 'eval${IFS}"$BODY"', "BODY": code.strip(), **variables}
    return Payload(f"/bin/sh -c $RUN {label} sha256:{digest}", env, digest)


def is_trimmed(value: str) -> bool:
    """Return True if workspaces trim this value of a variable."""
    return value != value.strip()


def make_label(kind: str, name: str) -> str:
    """Return a word that describes a payload and needs no quotes.

    If a workspace drops the variables, the line runs the label as a program. No program has a colon in its name.
    """
    word = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.") or "unnamed"
    return f"{kind}:{word}"[:64]


def is_reserved_variable(name: str) -> bool:
    """Return True for a variable that payloads use."""
    return _RESERVED_VARIABLE.fullmatch(name) is not None


def parse_digest(line: str) -> str | None:
    """Return the digest of the payload in a line, None for other lines."""
    found = _LINE.fullmatch(line.strip())
    return found[2] if found else None
