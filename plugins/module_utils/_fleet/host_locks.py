# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""Which host of a task may submit what."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from .._api.errors import AlpaconError


@dataclass(frozen=True)
class Claims:
    """Who of the hosts of a task may submit what: whoever asks first.

    Args:
        folder: temporary folder of the run.
        task: what tells the task and its loop item from all others.
        host: the host that asks.
        remedy: what to do where another host has it.
        own: what to call the server, of a task that names none; else an empty string.
    """

    folder: Path
    task: str
    host: str
    remedy: str = ""
    own: str = ""

    def take(self, wanted: Iterable[tuple[str, str]]) -> tuple[str, str] | None:
        """Take all of these or none.

        Args:
            wanted: server and digest of what is to be submitted to it.

        Returns:
            The server that another host has, and that host; None where all are this host's now.

        Raises:
            AlpaconError: it could not be found out.
        """
        try:
            return self._take_all(wanted)
        except OSError as error:
            raise AlpaconError(
                f"Which host of the task submits what cannot be agreed on in {self.folder}: {error}"
            ) from None

    def _take_all(self, wanted: Iterable[tuple[str, str]]) -> tuple[str, str] | None:
        taken: list[Path] = []
        # In one order for all: so one of the hosts that want some of the same gets all of its own.
        for server, digest in sorted(wanted):
            name = hashlib.sha256(f"{self.task}\0{server}\0{digest}".encode("utf-8", "surrogatepass")).hexdigest()
            file = self.folder / "alpacon-claims" / name
            owner = self._take(file, taken)
            if owner != self.host:
                for own in taken:
                    with contextlib.suppress(OSError):
                        own.unlink()
                return server, owner
        return None

    def _take(self, file: Path, taken: list[Path]) -> str:
        """The host that has it, which is this one if nobody has had it."""
        try:
            self._link(file)
        except FileExistsError:
            with contextlib.suppress(FileNotFoundError):
                return os.readlink(file)
            return "?"  # given up at this moment
        taken.append(file)
        return self.host

    def _link(self, file: Path) -> None:
        """Write the host's name into a file that is not there yet: a link is there with its text at once."""
        try:
            os.symlink(self.host, file)
        except FileNotFoundError:
            file.parent.mkdir(mode=0o700, exist_ok=True)
            os.symlink(self.host, file)
