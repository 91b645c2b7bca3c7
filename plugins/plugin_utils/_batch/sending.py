# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Send entries to a host in one submit, and return their records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .._connection.connection import HostConnection
from .program import Entry, Record


@dataclass(frozen=True)
class BatchResult:
    """Results of the entries of a batch.

    Attributes:
        records: Records by the index of their entry.
        begun: First entry that has no record and may have run; None if there is none.
        problem: Reason why records are missing; empty if none are, or the program stopped as its entries say.
        may_have_run: All entries that have no record and may have run, beginning with C(begun).
    """

    records: Mapping[int, Record]
    begun: int | None
    problem: str
    may_have_run: tuple[int, ...] = ()


def send_entries(host: HostConnection, python: str, entries: Sequence[Entry], label: str) -> BatchResult:
    """Run entries on a host by one command.

    Args:
        python: Command line of the Python interpreter on the host.
        label: Name of the batch in the label of the payload.

    Raises:
        HostStepFailed: Nothing ran, as the message says.
        AlpaconError: Nothing ran, or may have run, as the message says.
    """
    raise NotImplementedError


def get_size(entries: Sequence[Entry]) -> int:
    """Return the estimated size of the payload of entries, in bytes."""
    raise NotImplementedError
