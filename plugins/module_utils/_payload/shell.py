# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Write the shell code of a payload: a program, a script, or steps before a command."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from .frames import SKIPPED, UNDONE

#: From here on the code runs, and its processes must not be able to write the mark of a skip.
_CLOSE_MARK = "exec 9>&-\n"
_HOME = re.compile(r"~[A-Za-z0-9_.-]*(?:/|$)")
_EXISTS = '{ [ -e "$alpacon_path" ] || [ -L "$alpacon_path" ]; }'
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
    """Folder to run in, and patterns of paths: skip the run if C(creates) exists or C(removes) does not."""

    chdir: str | None = None
    creates: str | None = None
    removes: str | None = None

    def build_preamble(self) -> str:
        """Return code that changes to the folder or skips the run."""
        code = f"cd {_quote_path(self.chdir)} || exit\n" if self.chdir else ""
        if self.creates:
            skip = _skip(f"skipped, since {self.creates} exists")
            code += f"for alpacon_path in {_quote_pattern(self.creates)}; do\n{_EXISTS} && {{ {skip}; }}\ndone\n"
        if self.removes:
            skip = _skip(f"skipped, since {self.removes} does not exist")
            find = f"for alpacon_path in {_quote_pattern(self.removes)}; do\n{_EXISTS} && alpacon_there=yes\ndone\n"
            code += f'alpacon_there=\n{find}[ "$alpacon_there" ] || {{ {skip}; }}\n'
        return f"{code}{_CLOSE_MARK}"


def build_shell_body(text: str, first: Sequence[str] = ()) -> str:
    """Return a body of shell code.

    Args:
        first: Steps before it, each in a shell of its own whose output does not count. If one fails, the code does not
            run, and standard error says why.
    """
    undone = f"{{ echo '[{UNDONE}]' >&9; exit 1; }}"
    steps = [f"( {_CLOSE_MARK}{step}\n) </dev/null >/dev/null || {undone}\n" for step in first]
    return "".join([*steps, _CLOSE_MARK, f"{text}\n"])


def build_write_step(number: int, path: str, append: bool = False) -> str:
    """Return code that writes a part of the payload to a path."""
    return f"alpacon_part {number} >{'>' if append else ''} {shlex.quote(path)}"


def build_program_body(argv: Sequence[str], place: WorkingDirectory) -> str:
    """Return a body that runs a program with its arguments as they are."""
    return f"{place.build_preamble()}exec {shlex.join(argv)}\n"


def build_script_body(name: str, arguments: Sequence[str], executable: str | None, place: WorkingDirectory) -> str:
    """Return a body that runs the first file of the payload in a temporary folder.

    Args:
        name: Of the file, as the script sees it.
        executable: Interpreter; None for the one of its first line, or else a shell.
    """
    file = f'"$alpacon_folder"/{shlex.quote(name)}'
    command = " ".join([*([_quote_path(executable)] if executable else []), file, *map(shlex.quote, arguments)])
    move = "" if executable else _MOVE_FROM_NOEXEC.format(name=shlex.quote(name))
    # A trap of a signal lets the one of the end remove the folder.
    before = place.build_preamble()
    return f"""{before}alpacon_folder=$(umask 077; mktemp -d "${{TMPDIR:-/tmp}}/alpacon-XXXXXXXX") || exit
trap 'rm -rf "$alpacon_folder"' EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
(umask 077; alpacon_part 2 > {file}) && chmod 700 {file} || exit
{move}{command}
exit $?
"""


def _skip(message: str) -> str:
    return f"printf %s {shlex.quote(message)}; echo '[{SKIPPED}]' >&9; exit 0"


def _quote_path(path: str, unquoted: str = "") -> str:
    """Quote a path for the shell, except for a home at its start and these characters."""
    home = _HOME.match(path)
    start = home[0] if home else ""
    rest = re.sub(rf"[^A-Za-z0-9_./{unquoted}-]+", lambda found: shlex.quote(found[0]), path[len(start) :])
    word = start + rest
    return f"./{word}" if word.startswith("-") else word


def _quote_pattern(path: str) -> str:
    return _quote_path(path, r"*?\[\]!")
