# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""All questions to a server in one body of shell code, and their answers in what it prints.

Each check runs in a shell of its own, within its time, and reads nothing. What it writes is framed by its length, so
that nothing in it is taken for the answer of another check: ``[answer NAME LENGTH rc CODE from SECONDS to SECONDS more
BYTES]``, the output, and a line end. Where it does not apply, the frame says ``not applicable`` and holds what
O(applies_if) wrote.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote

from .checks import RESULTS, Check

#: The shell of the API in which code can be carried, and the label that reviewers see in the line.
CARRYING_SHELL, LABEL = "system", "alpacon-audit"
#: So much of what a check writes is kept, in bytes; more of what another tool says about many things.
LARGEST_OUTPUT, LARGEST_RESULTS = 64 * 1024, 4 * 1024 * 1024
#: Exit codes of a check that was ended since its time was up.
_OUT_OF_TIME = (124, 137)
_FRAME = re.compile(rb"\[answer (\S+) ([0-9]{1,9}) (.+)\]\n")

# Descriptors: 6 is what is kept of a check, 8 what is said about it. A time limit that ends the whole group of a check
# is what timeout of most systems has; the one of BusyBox ends one process, and so there a session is ended.
_CODE = r"""
exec 9>&- 2>/dev/null
PATH="${PATH:-/usr/bin:/bin}:/usr/local/sbin:/usr/sbin:/sbin"
LC_ALL=C
export PATH LC_ALL
unset LANGUAGE
alpacon_setsid=
command -v setsid >/dev/null && alpacon_setsid=setsid
alpacon_timeout=
if command -v timeout >/dev/null; then
case $(timeout --help 2>&1) in
*BusyBox*) ;;
*--kill-after*) alpacon_timeout=yes ;;
esac
fi
alpacon_within() {
if [ "$alpacon_timeout" ]; then
timeout -k 2 "$@" </dev/null
return
fi
alpacon_left=$1
shift
$alpacon_setsid "$@" </dev/null &
alpacon_child=$!
(
exec >/dev/null 2>&1 6>&- 8>&-
while [ "$alpacon_left" -gt 0 ]; do
kill -0 "$alpacon_child" || exit
sleep 1
alpacon_left=$((alpacon_left - 1))
done
kill -KILL "-$alpacon_child" || kill -KILL "$alpacon_child"
) &
alpacon_watch=$!
wait "$alpacon_child"
alpacon_code=$?
kill "$alpacon_watch" 2>/dev/null
return "$alpacon_code"
}
alpacon_read() {
head -c "$1"
alpacon_more=$(wc -c)
echo "more $((alpacon_more))" >&8
}
alpacon_reader() {
if [ "$alpacon_timeout" ]; then
timeout "$1" @SHELL@ -c 'head -c "$1"; more=$(wc -c); echo "more $((more))" >&8' read "$2" 6>&-
else
alpacon_read "$2" 6>&-
fi
}
alpacon_capture() {
alpacon_said=$( { {
alpacon_began=$(date +%s 2>/dev/null)
alpacon_within "$1" @SHELL@ -c "$3" check 2>&1 6>&- 8>&-
echo "rc $? from $alpacon_began to $(date +%s 2>/dev/null)" >&8
} | alpacon_reader "$(($1 + 5))" "$2" >&6; } 8>&1 )
printf '\n%s' "$(echo $alpacon_said)"
}
alpacon_print() {
alpacon_size=$(printf %s "$3" | wc -c)
printf '[answer %s %s %s]\n' "$1" "$((alpacon_size))" "$2"
printf '%s\n' "$3"
}
alpacon_nl='
'
alpacon_run() {
alpacon_out=$(exec 6>&1; alpacon_capture "$1" "$2" "$3")
alpacon_about=${alpacon_out##*"$alpacon_nl"}
alpacon_out=${alpacon_out%"$alpacon_nl"*}
}
alpacon_ask() {
if [ "$5" ]; then
alpacon_run "$2" "$3" "$5"
case " $alpacon_about " in
*" rc 0 "*) ;;
*) alpacon_print "$1" "not applicable $alpacon_about" "$alpacon_out"; return ;;
esac
fi
alpacon_run "$2" "$3" "$4"
alpacon_print "$1" "$alpacon_about" "$alpacon_out"
}
"""


@dataclass(frozen=True)
class CheckAnswer:
    """What a server answered to one check.

    Attributes:
        rc: exit code.
        rc_stated: whether the workspace told it; otherwise it is only known whether it was 0.
        output: what was written; where the check does not apply, by O(applies_if).
        complete: whether nothing of the output is missing.
        gaps: whether something may be missing before the end of what is there.
        applies: whether the check applies to the server.
        out_of_time: whether it was ended since its time was up.
    """

    rc: int
    output: str
    rc_stated: bool = True
    complete: bool = True
    gaps: bool = False
    applies: bool = True
    out_of_time: bool = False


def compose(checks: Sequence[Check], shell: str = "/bin/sh") -> tuple[str, str]:
    """A label and a body that asks all these checks, which one account answers.

    Args:
        shell: what runs the code of a check.
    """
    texts = list(dict.fromkeys(check.functions for check in checks if check.functions))
    names = {text: f"alpacon_functions_{number}" for number, text in enumerate(texts)}
    parts = [_CODE.replace("@SHELL@", shell), *(f"{name}={shlex.quote(text)}\n" for text, name in names.items())]
    for check in checks:
        size = LARGEST_RESULTS if check.kind == RESULTS else LARGEST_OUTPUT
        first = f'"${names[check.functions]}$alpacon_nl"' if check.functions else ""
        values = assignments(check.parameters)
        code = first + shlex.quote(values + check.line)
        condition = first + shlex.quote(values + check.applies_if) if check.applies_if else "''"
        parts.append(f"alpacon_ask {quote(check.name, safe='')} {check.timeout} {size} {code} {condition}\n")
    return LABEL, "".join(parts)


def read(stdout: bytes, checks: Sequence[Check]) -> dict[str, CheckAnswer]:
    """The answers to checks in what a body has printed, by their names; those that are not whole are not among them."""
    asked = {check.name: check for check in checks}
    answers: dict[str, CheckAnswer] = {}
    end = 0
    while found := _FRAME.match(stdout, end):
        start, size = found.end(), int(found[2])
        output, end = stdout[start : start + size], start + size + 1
        if stdout[end - 1 : end] != b"\n":
            break
        check = asked.get(unquote(found[1].decode("ascii", "replace")))
        answer = _answer(check, found[3].decode("ascii", "replace"), output) if check else None
        if check and answer:
            answers[check.name] = answer
    return answers


def shown(value: Any) -> str:
    """The value of a parameter as the shell has it; a list's are separated by blanks."""
    if isinstance(value, list):
        return " ".join(map(shown, value))
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def assignments(parameters: Mapping[str, Any]) -> str:
    """Code that sets parameters, a line each."""
    return "".join(f"{name}={shlex.quote(shown(value))}\n" for name, value in parameters.items())


def _answer(check: Check, said: str, output: bytes) -> CheckAnswer | None:
    """An answer by what its frame says; None where that is not enough."""
    rc = re.search(r"\brc ([0-9]{1,9})\b", said)
    more = re.search(r"\bmore ([0-9]{1,18})\b", said)
    clock = re.search(r"\bfrom ([0-9]{1,18}) to ([0-9]{1,18})\b", said)
    if not rc:
        return None
    # Programs may end with these exit codes sooner; not all clocks tell.
    is_late = clock is None or int(clock[2]) - int(clock[1]) >= check.timeout
    return CheckAnswer(
        int(rc[1]),
        output.decode("utf-8", "replace"),
        # The head of BusyBox takes more than it keeps, so that a full output counts as the beginning of a longer one.
        complete=more is not None and int(more[1]) == 0 and len(output) not in (LARGEST_OUTPUT, LARGEST_RESULTS),
        applies=not said.startswith("not applicable"),
        out_of_time=int(rc[1]) in _OUT_OF_TIME and is_late,
    )
