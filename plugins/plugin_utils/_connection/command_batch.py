# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What ansible-core does around a module on a host, held back until it can go along with what needs it.

ansible-core makes a folder, puts files there and sets their permissions, each by a command of its own. None of that
matters before something uses the folder, so all of it goes into the same submit. Where it fails there, nothing that
comes after it is run.
"""

from __future__ import annotations

import posixpath
import re
import shlex
from dataclasses import dataclass, field

from ansible_collections.herdops.alpacon.plugins.module_utils._payload.shell import write_step

#: The commands of ansible-core's shell plugins; a path in them is absolute and has no character that needs quotes.
_PATH = r"/[\w.@+/-]+"
#: What some releases put behind each.
_TAIL = "(?: && sleep 0)?"
_MKDTEMP = re.compile(
    rf"\( umask 77 && mkdir -p \"` echo (?P<base>{_PATH}) `\"&& mkdir \"` echo (?P<path>{_PATH}) `\""
    rf" && echo (?P<name>[\w.-]+)=\"` echo (?P=path) `\" \){_TAIL}"
)
_CHMOD = re.compile(rf"chmod (?P<mode>[ugoa+rwx-]+) (?P<paths>{_PATH}(?: {_PATH})*){_TAIL}")
_REMOVE = re.compile(rf"rm -f -r (?P<path>{_PATH}) > /dev/null 2>&1{_TAIL}")
_HOME = re.compile(rf"echo ~[\w.-]*{_TAIL}")


@dataclass(frozen=True)
class File:
    """What is written to a path of the host."""

    path: str
    content: bytes


@dataclass
class CommandBatch:
    """What is to be done on a host before the next command.

    Args:
        parent: where the folders of tasks are made; None where ansible-core says it.

    Attributes:
        steps: code of the shell for each, in order.
        files: what the steps write.
    """

    parent: str | None = None
    steps: list[str] = field(default_factory=list)
    files: list[File] = field(default_factory=list)
    _folders: list[str] = field(default_factory=list)
    #: Folders that are not there yet, since nothing was sent.
    _unmade: set[str] = field(default_factory=set)

    def put(self, content: bytes, path: str) -> None:
        """Write a file first."""
        self.files.append(File(path, content))
        # The body and its input come before the files.
        self.steps.append(write_step(len(self.files) + 1, path))

    def defer(self, command: str) -> bytes | None:
        """Hold a command back if it is one of those that may wait, and return what it will have written.

        None where it has to be run now.
        """
        text = _of_shell(command)
        made, allowed, removed = (pattern.fullmatch(text) for pattern in (_MKDTEMP, _CHMOD, _REMOVE))
        if made:
            path = f"{self.parent}/{made['name']}" if self.parent else made["path"]
            self._folders.append(f"{path}/")
            self._unmade.add(f"{path}/")
            # Without -p, it fails where somebody else has made it.
            self.steps.append(f"( umask 77 && mkdir {shlex.quote(path)} )" if self.parent else text)
            return f"{made['name']}={path}\n".encode()
        if allowed and all(self.is_inside(path) for path in allowed["paths"].split()):
            self.steps.append(text)
            return b""
        if removed and f"{removed['path'].rstrip('/')}/" in self._unmade:
            self.clear()
            return b""
        return None

    def is_inside(self, path: str) -> bool:
        """Whether a path is in a folder that was made for the sake of a task."""
        return any(f"{posixpath.normpath(path)}/".startswith(folder) for folder in self._folders)

    def clear(self) -> None:
        """Have nothing to do any more: it was sent, or is not wanted."""
        self.steps, self.files = [], []
        self._unmade.clear()


def is_home_query(command: str) -> bool:
    """Whether all that a command does is to say where a home is, which stays so until somebody moves it."""
    return _HOME.fullmatch(_of_shell(command)) is not None


def _of_shell(command: str) -> str:
    """What a command has a shell run; empty where it is of another kind."""
    try:
        words = shlex.split(command)
    except ValueError:
        return ""  # quotes that are left open are the shell's to complain of
    return words[2] if len(words) == 3 and words[1] == "-c" else ""
