# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Build the body of a payload, which is shell code: it runs a program or a script, or a command after some steps."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from .frames import SKIPPED, UNDONE

#: The user's code and its processes must not be able to write marks.
_CLOSE_MARK = "exec 9>&-\n"
_HOME = re.compile(r"~[A-Za-z0-9_.-]*(?:/|$)")
#: Characters of patterns, for a class of a regular expression.
_WILDCARDS = r"*?\[\]!"
#: Hardened hosts mount folders for temporary files with noexec.
_MOVE_FROM_NOEXEC = """[ -x "$alpacon_folder"/{name} ] || {{
alpacon_noexec=$alpacon_folder
trap 'rm -rf "$alpacon_noexec" "$alpacon_folder"' EXIT
alpacon_folder=$(umask 077; mktemp -d ~/.alpacon-XXXXXXXX) || exit
cp -p "$alpacon_noexec"/{name} "$alpacon_folder" || exit
}}
"""


@dataclass(frozen=True)
class WorkingDirectory:
    """Folder of a payload, and patterns of paths: it is skipped if C(creates) exists or C(removes) does not."""

    chdir: str | None = None
    creates: str | None = None
    removes: str | None = None

    def build_preamble(self) -> str:
        """Return code that changes to the folder or skips the payload."""
        code = f"cd {_quote_path(self.chdir)} || exit\n" if self.chdir else ""
        for pattern, test, reason in ((self.creates, "-n", "exists"), (self.removes, "-z", "does not exist")):
            if pattern:
                message = shlex.quote(f"skipped, since {pattern} {reason}")
                code += (
                    f"alpacon_found=\nfor alpacon_path in {_quote_path(pattern, _WILDCARDS)}; do\n"
                    '{ [ -e "$alpacon_path" ] || [ -L "$alpacon_path" ]; } && alpacon_found=yes\ndone\n'
                    f"[ {test} \"$alpacon_found\" ] && {{ printf %s {message}; echo '[{SKIPPED}]' >&9; exit 0; }}\n"
                )
        return f"{code}{_CLOSE_MARK}"


def build_shell_body(command: str, steps: Sequence[str] = ()) -> str:
    """Return a body that runs a shell command.

    Args:
        steps: Shell code to run first, each step in a shell of its own and without its standard output. If a step
            fails, the command does not run.
    """
    undone = f"{{ echo '[{UNDONE}]' >&9; exit 1; }}"
    code = [f"( {_CLOSE_MARK}{step}\n) </dev/null >/dev/null || {undone}\n" for step in steps]
    return "".join([*code, _CLOSE_MARK, f"{command}\n"])


def build_write_step(number: int, path: str) -> str:
    """Return code that writes a part of the payload to a file."""
    return f"alpacon_part {number} > {shlex.quote(path)}"


def build_program_body(argv: Sequence[str], directory: WorkingDirectory) -> str:
    """Return a body that runs a program with its arguments unchanged."""
    return f"{directory.build_preamble()}exec {shlex.join(argv)}\n"


def build_script_body(name: str, arguments: Sequence[str], executable: str | None, directory: WorkingDirectory) -> str:
    """Return a body that runs the first file of the payload in a temporary folder.

    Args:
        name: Name of that file in the temporary folder.
        executable: Interpreter; None for the interpreter of the first line, or else a shell.
    """
    file = f'"$alpacon_folder"/{shlex.quote(name)}'
    command = " ".join([*([_quote_path(executable)] if executable else []), file, *map(shlex.quote, arguments)])
    move = "" if executable else _MOVE_FROM_NOEXEC.format(name=shlex.quote(name))
    preamble = directory.build_preamble()
    # The traps of signals exit, and the trap of the exit removes the folder.
    return f"""{preamble}alpacon_folder=$(umask 077; mktemp -d "${{TMPDIR:-/tmp}}/alpacon-XXXXXXXX") || exit
trap 'rm -rf "$alpacon_folder"' EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
(umask 077; alpacon_part 2 > {file}) && chmod 700 {file} || exit
{move}{command}
exit $?
"""


def _quote_path(path: str, unquoted: str = "") -> str:
    """Quote a path for the shell, except a home at its start and the unquoted characters."""
    home = _HOME.match(path)
    start = home[0] if home else ""
    rest = re.sub(rf"[^A-Za-z0-9_./{unquoted}-]+", lambda found: shlex.quote(found[0]), path[len(start) :])
    word = start + rest
    return f"./{word}" if word.startswith("-") else word
