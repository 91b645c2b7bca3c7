# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Recognize the commands that ansible-core runs around modules, and defer them to the next submit."""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass, field

from ...module_utils._payload.packing import compress
from ...module_utils._payload.shell import build_write_step

#: Commands of ansible-core's shell plugins, with absolute paths that need no quotes.
_PATH = r"/[\w.@+/-]+"
#: Some releases append this.
_TAIL = "(?: && sleep 0)?"
_MKDTEMP = re.compile(
    rf"\( umask 77 && mkdir -p \"` echo {_PATH} `\"&& mkdir \"` echo (?P<path>{_PATH}) `\""
    rf" && echo (?P<name>[\w.-]+)=\"` echo (?P=path) `\" \){_TAIL}"
)
_CHMOD = re.compile(rf"chmod [ugoa+rwx-]+ (?P<paths>{_PATH}(?: {_PATH})*){_TAIL}")
_REMOVE = re.compile(rf"rm -f -r (?P<path>{_PATH}) > /dev/null 2>&1{_TAIL}")
_HOME = re.compile(rf"echo ~(?P<account>[\w.-]*){_TAIL}")
#: Commands of ansible-core that print a path, which it writes into the next commands.
_PRINTS_PATH = re.compile(rf"(?:echo (?:~[^\s;|&]*|'~[^;|&\n]*'|\"`pwd`\")|\( umask 77 && mkdir -p [^\n]* \)){_TAIL}")


@dataclass(frozen=True)
class File:
    """File to write; C(packed) is its compressed content."""

    path: str
    content: bytes
    packed: bytes

    @classmethod
    def compress(cls, path: str, content: bytes) -> File:
        return cls(path, content, compress(content))


@dataclass
class CommandBatch:
    """Steps that wait for the next submit: shell code, and files to write.

    Attributes:
        parent: Folder for the temporary folders of tasks; None for the one that ansible-core names.
    """

    parent: str | None = None
    steps: list[str | File] = field(default_factory=list)
    #: Temporary folders of the task, and the steps that make them.
    _folders: dict[str, str] = field(default_factory=dict)
    #: Folders that only a deferred step makes.
    _unmade: set[str] = field(default_factory=set)

    def defer(self, command: str) -> bytes | None:
        """Defer a command that ansible-core runs before others, and return its output; None for other commands."""
        code = _get_shell_code(command)
        mkdtemp, chmod, remove = (pattern.fullmatch(code) for pattern in (_MKDTEMP, _CHMOD, _REMOVE))
        if mkdtemp:
            path = f"{self.parent}/{mkdtemp['name']}" if self.parent else mkdtemp["path"]
            # Without -p, mkdir fails if another user has made the folder.
            step = f"( umask 77 && mkdir {shlex.quote(path)} )" if self.parent else code
            self._folders[f"{path}/"] = step
            self._unmade.add(f"{path}/")
            self.steps.append(step)
            return f"{mkdtemp['name']}={path}\n".encode()
        if chmod and all(self.is_inside(path) for path in chmod["paths"].split()):
            self.steps.append(code)
            return b""
        if remove:
            folder = f"{remove['path'].rstrip('/')}/"
            self._folders.pop(folder, None)
            if folder in self._unmade:
                self.clear()
                return b""
        return None

    def add_removal(self, command: str, kept_rc: int) -> str:
        """Return a command that also removes the temporary folders of the task, unless it ends with an exit code."""
        if not self._folders:
            return command
        paths = shlex.join(folder.rstrip("/") for folder in self._folders)
        return f"{command}\nalpacon_rc=$?\n[ $alpacon_rc = {kept_rc} ] || rm -rf {paths}\nexit $alpacon_rc"

    def remake_folders(self) -> None:
        """Make the removed folders again before the next command, unless ansible-core removes them first."""
        self.steps += self._folders.values()
        self._unmade.update(self._folders)

    def is_inside(self, path: str) -> bool:
        """Return True for a path in the temporary folder of a task."""
        return any(f"{posixpath.normpath(path)}/".startswith(folder) for folder in self._folders)

    def clear(self) -> None:
        """Drop the steps when they are submitted or not needed."""
        self.steps = []
        self._unmade.clear()


def list_files(steps: Iterable[str | File]) -> list[File]:
    return [step for step in steps if isinstance(step, File)]


def build_steps(steps: Iterable[str | File]) -> list[str]:
    """Return steps as shell code that writes the files of a payload, in their order."""
    code: list[str] = []
    # Parts 0 and 1 of a payload are the body and its input.
    number = 2
    for step in steps:
        if isinstance(step, File):
            code.append(build_write_step(number, step.path))
            number += 1
        else:
            code.append(step)
    return code


def prints_path(command: str) -> bool:
    """Return True if ansible-core takes the output of a command as a path."""
    return _PRINTS_PATH.fullmatch(_get_shell_code(command)) is not None


def get_queried_account(command: str) -> str | None:
    """Return the account whose home a command prints, empty for the own one; None for other commands."""
    query = _HOME.fullmatch(_get_shell_code(command))
    return query["account"] if query else None


def _get_shell_code(command: str) -> str:
    """Return the code of a shell command as ansible-core writes it, an empty text for other commands."""
    # shlex.split takes minutes for a megabyte.
    program, _option, word = command.partition(" -c ")
    code = word[1:-1].replace("'\"'\"'", "'") if word.startswith("'") else word
    return code if " " not in program and shlex.quote(code) == word else ""
