# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run recorded entries on a host by one program, and read its records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .._connection.command_batch import File


@dataclass(frozen=True)
class Entry:
    """Command that an action runs on the host, after its steps.

    Attributes:
        command: Shell code.
        stdin: Program of a module; empty for a plain command.
        steps: Shell code and files to write before it.
        task: Number of its task: all entries of one loop have the same.
        stops: Its failure ends the batch, after the last entry of the same task.
        branches: Entries by the state of a file, which C(command) queries with the module C(stat): C(absent), C(same)
            and C(different). None if nothing is to be run in that state.
        checksum: Checksum of that file in the state C(same).
    """

    command: str
    stdin: bytes
    steps: Sequence[str | File]
    task: int
    stops: bool
    branches: Mapping[str, Entry | None] | None = None
    checksum: str = ""


@dataclass(frozen=True)
class Record:
    """Result of an entry.

    Attributes:
        undone: Error of a step; the command did not run. Empty if all steps succeeded.
        branch: State of the file on the host: a key of C(branches), or empty.
        branch_record: Result of the entry of that branch.
    """

    rc: int
    stdout: bytes
    stderr: bytes
    undone: str = ""
    branch: str = ""
    branch_record: Record | None = None
