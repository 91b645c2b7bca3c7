# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How long commands of a kind took lately, so that the next one is first looked at when it may be over."""

from __future__ import annotations

import contextlib
import hashlib
import math
from pathlib import Path

from .journal import replace_file

#: So many of the latest are remembered of each kind.
_LATEST = 10
#: Nobody waits for longer than this without a look, in seconds: another time the same may take a moment.
_LONGEST = 4.5
#: Two that do the same differ by so many seconds, and by such a share.
_MORE, _SHARE = 0.05, 0.05


class Durations:
    """What runs remember of the commands of a workspace: a small file for each kind.

    What cannot be read or written is not known.

    Args:
        folder: for the files.
        url: of the workspace.
    """

    def __init__(self, folder: Path, url: str) -> None:
        self._folder = folder
        self._url = url

    def expected(self, kind: str) -> float:
        """When the quickest of a kind would be over, in seconds after its submit; 0 where that is not known."""
        quickest = min(self._read(kind), default=math.inf)
        return quickest * (1 + _SHARE) + _MORE if 0 < quickest <= _LONGEST else 0.0

    def note(self, kind: str, seconds: float) -> None:
        """Remember how long a command of a kind took."""
        lately = [*self._read(kind), max(seconds, 0.001)][-_LATEST:]
        with contextlib.suppress(OSError):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            replace_file(self._file(kind), "".join(f"{number:.3f}\n" for number in lately))

    def _read(self, kind: str) -> list[float]:
        with contextlib.suppress(OSError, ValueError):
            return [float(line) for line in self._file(kind).read_text(encoding="utf-8").split()]
        return []

    def _file(self, kind: str) -> Path:
        return self._folder / hashlib.sha256(f"{self._url}\0{kind}".encode()).hexdigest()
