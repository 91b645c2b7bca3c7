# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""The code that unpacks on the server what is carried, checks it, runs it and frames what it writes.

It is for any POSIX shell, and needs C(base64), C(gzip), C(head), C(sed), C(sha256sum) and C(tail). Nothing is written
to a file. What it prints is read by M(frames), which says how it looks.
"""

from __future__ import annotations

from collections.abc import Sequence

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
