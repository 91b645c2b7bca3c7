# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Write the file of the hosts or servers to run a playbook on again."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

from ..module_utils._api.errors import clean_line

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_HEADER = "alpacon_servers:"


@dataclass(frozen=True)
class RetryFile:
    """A file of hosts for the option --limit, or of servers for the option -e.

    Ansible's own setting retry_files_enabled does not do: it is off by default, its file names localhost instead of the
    servers of a task, and also the hosts on which a command may still run, but none that were not tried.

    Args:
        has_servers: it sets the variable alpacon_servers.
    """

    path: str
    has_servers: bool = False

    @property
    def remedy(self) -> str:
        kind, option = ("servers", "-e") if self.has_servers else ("hosts", "--limit")
        return f"To retry the other {kind}, add: {option} {clean_line(shlex.quote(f'@{self.path}'))}"

    def write(self, names: Iterable[str], show: Callable[[str], None], warn: Callable[[str], None]) -> None:
        try:
            write_private_file(self.path, "".join(f"{line}\n" for line in self._format(names)), os.O_TRUNC)
        except OSError as error:
            warn(f"The hosts to retry cannot be written to {self.path}: {error.strerror}.")
        else:
            show(self.remedy)

    def remove(self, done: Collection[str]) -> None:
        """Remove the file of an earlier run if these include all that it names."""
        with contextlib.suppress(OSError, UnicodeDecodeError), open(self.path, encoding="utf-8") as file:
            if set(self._format(done)).issuperset(file.read().splitlines()):
                os.remove(self.path)

    def _format(self, names: Iterable[str]) -> list[str]:
        if not self.has_servers:
            return list(names)
        # Ansible takes variables of -e for templates, and names of servers come from the workspace.
        return [_HEADER, *(f"- {name if _UUID.fullmatch(name) else f'!unsafe {json.dumps(name)}'}" for name in names)]


def write_private_file(path: str, text: str, flag: int) -> None:
    """Write to a file, which only the owner may read if this creates it.

    Args:
        flag: C(os.O_APPEND) or C(os.O_TRUNC).
    """
    file = os.open(path, os.O_WRONLY | os.O_CREAT | flag, 0o600)
    with open(file, "w", encoding="utf-8") as stream:
        stream.write(text)
