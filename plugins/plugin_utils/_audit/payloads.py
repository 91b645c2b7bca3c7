# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Build the shell code that runs the checks of a server, and parse their answers in its output.

Each check runs in its own shell, has a timeout and gets no input. Each answer is one part of the output (see
C(_payload.frames)), so that no check can forge the answer of another. A part is a line with the name of the check, the
output of the check, and the line C(NAME rc CODE in SECONDS by STATUS), with the timeout of the check and the exit code
of C(timeout). The last line has C(not applicable) in place of C(rc CODE) if O(applies_if) failed, and nothing in its
place if the check was ended.

What a check looks at is a part of its own, after its answer, so that it cannot change it: a line with the name of the
check and C(looked-at), the output of O(looks_at), and the same line again.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote, unquote

from ...module_utils._payload.frames import split_parts
from .checks import Check
from .scanner_files import FUNCTIONS as FILE_FUNCTIONS
from .scanners import FORMAT_FUNCTIONS

SHELL = "system"
#: The largest output of a check, and of a check with the results of another tool. The server cuts longer ones.
MAX_OUTPUT_BYTES, MAX_RESULTS_BYTES = 64 * 1024, 4 * 1024 * 1024
#: The largest part of what a check looks at that is sent.
MAX_LOOKED_AT_BYTES = 1500
#: The exit codes of timeout after it ended the program with SIGTERM, or with SIGKILL.
_ENDED, _KILLED = 124, 137
_STATUS = re.compile(r"(?:(not applicable)|rc ([0-9]{1,3})|) ?in (-?[0-9]{1,9})(?: by ([0-9]{1,3}))?")
#: The longest line in a workspace of 2024, in characters.
LINE_LENGTH_2024 = 512
#: The output of a line whose check does not apply.
NOT_APPLICABLE_OUTPUT = "[does not apply]"

# File descriptor 3 is the output of the command, 4 the status of a check, 5 the output of a check. The process that
# reads the output of a check ignores SIGTERM, so that timeout ends only processes of the check.
# The timeout of BusyBox ends only one process. It has no long options and is not used: checks have no timeout there.
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
alpacon_end=$((alpacon_now + ${AUDIT_SECONDS:-240}))
unset AUDIT_SECONDS
alpacon_run_check() {
alpacon_clock
alpacon_left=$((alpacon_end - alpacon_now))
[ "$alpacon_left" -lt "$2" ] || alpacon_left=$2
{
echo "$1"
if [ "$alpacon_left" -gt 0 ]; then
{
alpacon_status=$(${alpacon_limit:+$alpacon_limit "$alpacon_left"} @SHELL@ -c "$alpacon_check" check "$3" "$4" "$5" \
4>&1 >&5 3>&- 5>&-)
printf '\n%s %s in %s by %s' "$1" "$alpacon_status" "$alpacon_left" "$?"
} 5>&1
else
printf '\n%s in 0' "$1"
fi
} | alpacon_lines >&3
echo '[part]' >&3
}
alpacon_look() {
{
echo "$1 looked-at"
${alpacon_limit:+$alpacon_limit 5} @SHELL@ -c "$2" check 2>/dev/null 3>&- </dev/null | head -c @LOOKED@
printf '\n%s looked-at' "$1"
} | alpacon_lines >&3
echo '[part]' >&3
}
alpacon_nl='
'
""".replace("@LOOKED@", str(MAX_LOOKED_AT_BYTES))


@dataclass(frozen=True)
class CheckAnswer:
    """The answer of a server to one check.

    Attributes:
        rc_stated: the workspace states the exit code. Otherwise only 0 is certain.
        ran: False if the checks before this one took all the time.
        looked_at: what the check looked at; empty if it does not say so.
        out_of_time: the seconds after which the check was ended; 0 if it was not.
    """

    rc: int
    output: str
    rc_stated: bool = True
    complete: bool = True
    gaps: bool = False
    applies: bool = True
    ran: bool = True
    out_of_time: int = 0
    looked_at: str = ""


def build_env(wait_timeout: float) -> dict[str, str]:
    """Return the variable with the seconds for all checks: less than wait_timeout and than the limit of the agent."""
    return {"AUDIT_SECONDS": str(max(1, min(int(wait_timeout * 0.8), 1500)))}


def build_script(checks: Sequence[Check], shell: str = "/bin/sh") -> tuple[str, str]:
    """Return the label for reviewers, and the shell code that runs the checks in the order of their timeouts.

    Args:
        shell: the shell of the checks.
    """
    functions = list(dict.fromkeys(code for code in map(_get_functions, checks) if code))
    variables = {code: f"alpacon_functions_{number}" for number, code in enumerate(functions)}
    file_functions = FILE_FUNCTIONS if any(check.files for check in checks) else ""
    assignments = (f"{name}={shlex.quote(code)}\n" for code, name in variables.items())
    lines = [_CODE.replace("@SHELL@", shell), file_functions, *assignments]
    for check in sorted(checks, key=lambda check: check.timeout):
        code = _get_functions(check)
        before = f'"${variables[code]}$alpacon_nl"' if code else ""
        parameters = _assign(check.parameters)
        line = before + shlex.quote(parameters + check.line)
        condition = before + shlex.quote(parameters + check.applies_if) if check.applies_if else "''"
        name = quote(check.name, safe="")
        run = "alpacon_run_with_files" if check.files else "alpacon_run_check"
        lines.append(f"{run} {name} {check.timeout} {_get_max_bytes(check)} {line} {condition}\n")
        if check.looks_at:
            lines.append(f"alpacon_look {name} {before}{shlex.quote(parameters + check.looks_at)}\n")
    return "alpacon-audit", "".join(lines)


def _get_functions(check: Check) -> str:
    """Return the shell code before a check. Functions that collect evidence do not fit into the line of a workspace."""
    of_format = FORMAT_FUNCTIONS.get(check.results["format"], "") if check.results else ""
    return "\n".join(filter(None, (check.functions, of_format)))


def _get_max_bytes(check: Check) -> int:
    return MAX_RESULTS_BYTES if check.results else MAX_OUTPUT_BYTES


def _assign(parameters: Mapping[str, Any]) -> str:
    return "".join(f"{name}={shlex.quote(_format_value(value))}\n" for name, value in parameters.items())


def _format_value(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(map(_format_value, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def build_line(check: Check) -> str:
    """Return the line that runs one check in a workspace without env."""
    condition = f"(\n{check.applies_if}\n) >/dev/null 2>&1 || {{ echo '{NOT_APPLICABLE_OUTPUT}'; exit; }}\n"
    parts = [_assign(check.parameters), check.functions, condition if check.applies_if else "", check.line]
    code = "\n".join(filter(None, (part.strip() for part in parts)))
    if "\n" not in code:
        return f"export LC_ALL=C; {code}"
    # Workspaces of 2024 refuse line breaks; they also refuse what is too long for this form.
    escaped = code.replace("\\", "\\\\").replace("\n", "\\n")
    line = f'LC_ALL=C sh -c "$(printf %b {shlex.quote(escaped)})"'
    return line if len(line) <= LINE_LENGTH_2024 else f"export LC_ALL=C\n{code}"


def parse_answers(stdout: bytes, checks: Sequence[Check]) -> dict[str, CheckAnswer]:
    """Return the complete answers in the output of a payload, by the names of checks."""
    by_name = {check.name: check for check in checks}
    answers: dict[str, CheckAnswer] = {}
    for part in split_parts(stdout):
        first, _newline, rest = part.partition(b"\n")
        output, _newline, last = rest.rpartition(b"\n")
        name, _blank, status = last.decode("ascii", "replace").partition(" ")
        check = by_name.get(unquote(name))
        if check and check.name in answers and first == last and status == "looked-at":
            looked_at = output.decode("utf-8", "replace") if answers[check.name].applies else ""
            answers[check.name] = replace(answers[check.name], looked_at=looked_at)
        # In an output with gaps, the beginning of one part may precede the end of another.
        if check and first == name.encode() and (answer := _parse_answer(check, status, output)):
            answers[check.name] = answer
    return answers


def _parse_answer(check: Check, status: str, output: bytes) -> CheckAnswer | None:
    """Return the answer in a part, or None if the last line is not complete.

    Args:
        status: the last line without the name of the check.
    """
    found = _STATUS.fullmatch(status)
    if not found:
        return None
    not_applicable, rc, seconds, timeout_rc = bool(found[1]), found[2], int(found[3]), int(found[4] or 0)
    ended = timeout_rc in (_ENDED, _KILLED)
    if not (not_applicable or rc or ended or seconds <= 0):
        return None
    return CheckAnswer(
        int(rc or timeout_rc),
        output.decode("utf-8", "replace"),
        # The head of BusyBox reads more than it writes, so an output of the maximum counts as cut.
        complete=len(output) < _get_max_bytes(check) and timeout_rc != _KILLED and not (ended and not rc),
        applies=not not_applicable,
        ran=seconds > 0,
        out_of_time=seconds if ended and not (rc or not_applicable) else 0,
    )
