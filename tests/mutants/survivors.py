# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The list of mutations that no test can or need notice, each with its reason: survivors.yml."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import yaml
from mutants.draw import Mutation

LIST = Path(__file__).with_name("survivors.yml")


@dataclass(frozen=True)
class Survivor:
    """An entry of the list: a file, its lines as they are and as they are when broken, and why nobody notices."""

    file: str
    was: str
    becomes: str
    why: str

    def explains(self, mutation: Mutation) -> bool:
        """Whether it is about this mutation, wherever its lines stand by now."""
        return (self.file, self.was, self.becomes) == (str(mutation.file), mutation.was, mutation.becomes)

    def stands(self, root: Path) -> bool:
        """Whether the file still has its lines."""
        file = root / self.file
        return file.exists() and set(self.was.splitlines()) <= {line.strip() for line in file.read_text().splitlines()}


def explained() -> list[Survivor]:
    """The entries of the list."""
    return [Survivor(**entry) for entry in yaml.safe_load(LIST.read_text()) or []]
