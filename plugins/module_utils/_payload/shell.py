# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bodies that run a program or a script on a server, where that is to be done at all."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from .frames import SKIPPED, UNDONE

#: The first file that is carried, in words of the body.
_FIRST_FILE = 2
#: Once it is known that something runs, what it starts must not hold the place where the contrary is said.
_ALWAYS = "exec 9>&-\n"
_HOME = re.compile(r"~[A-Za-z0-9_.-]*(?:/|$)")


@dataclass(frozen=True)
class WorkingDirectory:
    """Where something runs, and when it is to be left out.

    Attributes:
        chdir: folder, of which C(~) at the start is a home.
        creates, removes: pattern of paths; nothing is run where one is there, or none is.
    """

    chdir: str | None = None
    creates: str | None = None
    removes: str | None = None


def shell_body(text: str, first: Sequence[str] = ()) -> str:
    """A body that is code for the shell, as it is given.

    Args:
        first: what has to be done before, each in a shell of its own whose output does not count; where that fails,
            the code is not run, and standard error says why.
    """
    otherwise = f"{{ echo '[{UNDONE}]' >&9; exit 1; }}"
    steps = [f"( {_ALWAYS}{step}\n) </dev/null >/dev/null || {otherwise}\n" for step in first]
    return "".join([*steps, _ALWAYS, f"{text}\n"])


def write_step(number: int, path: str, append: bool = False) -> str:
    """Code that writes a file that is carried to a path."""
    return f"alpacon_part {number} >{'>' if append else ''} {shlex.quote(path)}"


def program_body(argv: Sequence[str], place: WorkingDirectory) -> str:
    """A body that runs a program with its arguments, which no shell touches."""
    return f"{_preamble(place)}exec {shlex.join(argv)}\n"


def script_body(name: str, arguments: Sequence[str], executable: str | None, place: WorkingDirectory) -> str:
    """A body that runs the first file that is carried, in a folder of its own that is gone when it has ended.

    Args:
        name: of the file, as the script sees it.
        executable: what runs it; None for what its first line names, or else a shell.
    """
    file = f'"$alpacon_folder"/{shlex.quote(name)}'
    command = " ".join([*([_path(executable)] if executable else []), file, *map(shlex.quote, arguments)])
    elsewhere = "" if executable else _MOVED_FROM_NOEXEC.format(name=shlex.quote(name))
    # A trap of a signal lets the one of the end remove the folder.
    return f"""{_preamble(place)}alpacon_folder=$(umask 077; mktemp -d "${{TMPDIR:-/tmp}}/alpacon-XXXXXXXX") || exit
trap 'rm -rf "$alpacon_folder"' EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
(umask 077; alpacon_part {_FIRST_FILE} > {file}) && chmod 700 {file} || exit
{elsewhere}{command}
exit $?
"""


#: Hardened hosts mount folders for temporary files so that nothing in them can be run.
_MOVED_FROM_NOEXEC = """[ -x "$alpacon_folder"/{name} ] || {{
alpacon_noexec=$alpacon_folder
trap 'rm -rf "$alpacon_noexec" "$alpacon_folder"' EXIT
alpacon_folder=$(umask 077; mktemp -d ~/.alpacon-XXXXXXXX) || exit
cp -p "$alpacon_noexec"/{name} "$alpacon_folder" || exit
}}
"""


def _preamble(place: WorkingDirectory) -> str:
    return f"{_in_folder(place)}{_unless_there(place)}{_if_there(place)}{_ALWAYS}"


def _in_folder(place: WorkingDirectory) -> str:
    return f"cd {_path(place.chdir)} || exit\n" if place.chdir else ""


def _unless_there(place: WorkingDirectory) -> str:
    if not place.creates:
        return ""
    skip = _skip(f"skipped, since {place.creates} exists")
    return f"for alpacon_path in {_pattern(place.creates)}; do\n{_IS_THERE} && {{ {skip}; }}\ndone\n"


def _if_there(place: WorkingDirectory) -> str:
    if not place.removes:
        return ""
    skip = _skip(f"skipped, since {place.removes} does not exist")
    look = f"for alpacon_path in {_pattern(place.removes)}; do\n{_IS_THERE} && alpacon_there=yes\ndone\n"
    return f'alpacon_there=\n{look}[ "$alpacon_there" ] || {{ {skip}; }}\n'


_IS_THERE = '{ [ -e "$alpacon_path" ] || [ -L "$alpacon_path" ]; }'


def _skip(message: str) -> str:
    return f"printf %s {shlex.quote(message)}; echo '[{SKIPPED}]' >&9; exit 0"


def _path(path: str) -> str:
    """A path as a word of the shell, in which only a home at its start is expanded."""
    home = _HOME.match(path)
    start = home[0] if home else ""
    rest = path[len(start) :]
    word = f"{start}{shlex.quote(rest) if rest else ''}"
    return f"./{word}" if word.startswith("-") else word


def _pattern(path: str) -> str:
    """A pattern of paths as a word of the shell, in which only a home at its start and C(*), C(?) and C([]) count."""
    home = _HOME.match(path)
    start = home[0] if home else ""
    rest = re.sub(r"[^A-Za-z0-9_./*?\[\]!-]+", lambda found: shlex.quote(found[0]), path[len(start) :])
    word = start + rest
    return f"./{word}" if word.startswith("-") else word
