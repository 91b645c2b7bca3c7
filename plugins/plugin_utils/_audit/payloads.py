# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""All checks for a server in one body of shell code, and their answers in what it prints.

Each check runs in a shell of its own, within its time, and reads nothing. Each answer is a part of the output (see
M(frames)), so that nothing in it is taken for the answer of another check. The part is a line with the name of the
check, what the check wrote, and a last line C(NAME rc CODE in SECONDS by STATUS), with the time that the check had and
the status of C(timeout). There, C(not applicable) takes the place of the exit code if O(applies_if) failed. If the
check was ended, there is neither.
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
SHELL, LABEL = "system", "alpacon-audit"
#: So much of what a check writes is kept, in bytes; more of what another tool says about many things.
MAX_OUTPUT_BYTES, MAX_RESULTS_BYTES = 64 * 1024, 4 * 1024 * 1024
#: The variable with the seconds that all checks have together, and these seconds if nobody sets it.
SECONDS_VARIABLE, DEFAULT_SECONDS = "AUDIT_SECONDS", 240
#: The agent ends each command after 30 minutes.
_MOST_SECONDS = 1500
_PART = re.compile(rb"\[part ([0-9]{1,9})\]\n")
#: How timeout ends if it has ended a program: with SIGTERM, or with SIGKILL.
_ENDED, _KILLED = 124, 137
_STATUS = re.compile(r"(?:(not applicable)|rc ([0-9]{1,3})|) ?in (-?[0-9]{1,9})(?: by ([0-9]{1,3}))?")
#: The longest line of workspaces of 2024, in characters.
LINE_LENGTH_2024 = 512
#: What a line prints, and nothing else, where its check does not apply.
NOT_APPLICABLE_OUTPUT = "[does not apply]"

# Descriptors: 3 is the output that the agent reads, 4 the end of a check, 5 what it writes. The shell of a check waits
# for what reads its output, and that reads on after SIGTERM: timeout ends only what the check has started.
# The timeout of BusyBox, which has no long options, ends one process only: there checks have no limit.
_CODE = r"""
exec 9>&- 2>/dev/null
PATH="${PATH:-/usr/bin:/bin}:/usr/local/sbin:/usr/sbin:/sbin"
LC_ALL=C
export PATH LC_ALL
unset LANGUAGE
sh -c 'renice -n 19 -p "$PPID"; ionice -c 3 -p "$PPID"' >/dev/null
alpacon_limit=
timeout --kill-after=2 9 true && alpacon_limit='timeout --kill-after=2'
alpacon_check='trap : TERM
{
if [ "$3" ] && ! @SHELL@ -c "$3" check >/dev/null 2>&1 4>&-; then
echo "not applicable" >&4
else
@SHELL@ -c "$2" check 2>&1 4>&-
echo "rc $?" >&4
fi
} | (
trap "" TERM
head -c "$1"
cat >/dev/null
)'
alpacon_clock() {
read -r alpacon_now alpacon_rest </proc/uptime || alpacon_now=0
alpacon_now=${alpacon_now%%.*}
}
alpacon_clock
alpacon_end=$((alpacon_now + ${@SECONDS@:-@DEFAULT@}))
unset @SECONDS@
alpacon_ask() {
alpacon_clock
alpacon_left=$((alpacon_end - alpacon_now))
[ "$alpacon_left" -lt "$2" ] || alpacon_left=$2
{
echo "$1"
if [ "$alpacon_left" -gt 0 ]; then
{
alpacon_said=$(${alpacon_limit:+$alpacon_limit "$alpacon_left"} @SHELL@ -c "$alpacon_check" check "$3" "$4" "$5" \
4>&1 >&5 3>&- 5>&-)
printf '\n%s %s in %s by %s' "$1" "$alpacon_said" "$alpacon_left" "$?"
} 5>&1
else
printf '\n%s in 0' "$1"
fi
} | alpacon_lines >&3
echo '[part]' >&3
}
alpacon_nl='
'
"""


@dataclass(frozen=True)
class CheckAnswer:
    """The answer of a server to one check.

    Attributes:
        rc: exit code.
        rc_stated: whether the workspace told it; otherwise it is only known whether it was 0.
        output: what was written.
        complete: whether nothing of the output is missing.
        gaps: whether something may be missing before the end of what is there.
        applies: whether the check applies to the server.
        ran: whether there was time for it.
        out_of_time: after how many seconds it was ended, since its time was up; 0 if it was not.
    """

    rc: int
    output: str
    rc_stated: bool = True
    complete: bool = True
    gaps: bool = False
    applies: bool = True
    ran: bool = True
    out_of_time: int = 0


def get_time_budget(wait_timeout: float) -> str:
    """Return the time for all checks of a command that is awaited for so long; the rest is for its way."""
    return str(max(1, min(int(wait_timeout * 0.8), _MOST_SECONDS)))


def build_script(checks: Sequence[Check], shell: str = "/bin/sh") -> tuple[str, str]:
    """Return a label and the code that runs these checks for one account, those with a long timeout last.

    Args:
        shell: what runs the code of a check.
    """
    texts = list(dict.fromkeys(check.functions for check in checks if check.functions))
    names = {text: f"alpacon_functions_{number}" for number, text in enumerate(texts)}
    code = (
        _CODE.replace("@SHELL@", shell)
        .replace("@SECONDS@", SECONDS_VARIABLE)
        .replace("@DEFAULT@", str(DEFAULT_SECONDS))
    )
    parts = [code, *(f"{name}={shlex.quote(text)}\n" for text, name in names.items())]
    for check in sorted(checks, key=lambda check: check.timeout):
        first = f'"${names[check.functions]}$alpacon_nl"' if check.functions else ""
        values = assignments(check.parameters)
        line = first + shlex.quote(values + check.line)
        condition = first + shlex.quote(values + check.applies_if) if check.applies_if else "''"
        parts.append(
            f"alpacon_ask {quote(check.name, safe='')} {check.timeout} {_get_max_bytes(check)} {line} {condition}\n"
        )
    return LABEL, "".join(parts)


def parse_answers(stdout: bytes, checks: Sequence[Check]) -> dict[str, CheckAnswer]:
    """Return the complete answers in the output of a payload, by the names of checks."""
    asked = {check.name: check for check in checks}
    answers: dict[str, CheckAnswer] = {}
    end = 0
    while found := _PART.match(stdout, end):
        end = found.end() + int(found[1]) + 1
        first, _line, rest = stdout[found.end() : end - 1].partition(b"\n")
        output, _line, last = rest.rpartition(b"\n")
        name, _blank, said = last.decode("ascii", "replace").partition(" ")
        # Where output is lost, the beginning of one part may stand before the end of another.
        check = asked.get(unquote(name)) if first == name.encode() else None
        answer = _parse_answer(check, said, output) if check else None
        if check and answer:
            answers[check.name] = answer
    return answers


def _get_max_bytes(check: Check) -> int:
    return MAX_RESULTS_BYTES if check.kind == RESULTS else MAX_OUTPUT_BYTES


def build_line(check: Check) -> str:
    """Return the line that runs one check in a workspace without env."""
    condition = f"(\n{check.applies_if}\n) >/dev/null 2>&1 || {{ echo '{NOT_APPLICABLE_OUTPUT}'; exit; }}\n"
    parts = [assignments(check.parameters), check.functions, condition if check.applies_if else "", check.line]
    code = "\n".join(filter(None, (part.strip() for part in parts)))
    if "\n" not in code:
        return f"export LC_ALL=C; {code}"
    # Workspaces of 2024 refuse a line with a line break.
    escaped = code.replace("\\", "\\\\").replace("\n", "\\n")
    return f'LC_ALL=C sh -c "$(printf %b {shlex.quote(escaped)})"'


def format_value(value: Any) -> str:
    """Return the value of a parameter for the shell: a list is separated by blanks."""
    if isinstance(value, list):
        return " ".join(map(format_value, value))
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def assignments(parameters: Mapping[str, Any]) -> str:
    """Return code that sets parameters, a line each."""
    return "".join(f"{name}={shlex.quote(format_value(value))}\n" for name, value in parameters.items())


def _parse_answer(check: Check, said: str, output: bytes) -> CheckAnswer | None:
    """Parse an answer, or return None if its last line is not complete."""
    found = _STATUS.fullmatch(said)
    if not found:
        return None
    rc, seconds, status = found[2], int(found[3]), int(found[4] or 0)
    ended = status in (_ENDED, _KILLED)
    if not (found[1] or rc or ended or seconds <= 0):
        return None
    return CheckAnswer(
        int(rc or status),
        output.decode("utf-8", "replace"),
        # The head of BusyBox takes more than it keeps, so that a full output counts as the beginning of a longer one.
        complete=len(output) < _get_max_bytes(check) and status != _KILLED and not (ended and not rc),
        applies=not found[1],
        ran=seconds > 0,
        out_of_time=seconds if ended and not (rc or found[1]) else 0,
    )
