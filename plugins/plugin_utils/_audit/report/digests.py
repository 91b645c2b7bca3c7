# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""What says whether two reports hold the same."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Any


def digest(rows: Iterable[Any]) -> str:
    """The digest of rows: of the JSON of each on a line of its own, with sorted keys and nothing but ASCII.

    ``jq -cSa '.results[]' audit.json | sha256sum`` says the same of a report's results.
    """
    hashed = hashlib.sha256()
    for row in rows:
        hashed.update(f"{json.dumps(row, sort_keys=True, separators=(',', ':'))}\n".encode())
    return f"sha256:{hashed.hexdigest()}"
