# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Change fields of a record. To set the same values twice is the same as to set them once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Callable

from .client import Client
from .errors import AlpaconError, LostResponse, UnknownEndpoint

#: The most times that the same values are sent.
_ATTEMPTS = 2
#: Pauses before each read of the record, in seconds: reads may lag behind writes.
_PAUSES = (0.0, 1.0, 2.0)


def change_record(client: Client, path: str, body: Mapping[str, Any], is_done: Callable[[Any], bool]) -> Any:
    """Send a PATCH, and return the record.

    After a lost response, read the record. If it does not have the values, send them once more.

    Args:
        is_done: returns True for a record that has the values, and False for any other data.

    Raises:
        ApiError: the workspace certainly refused the change.
        LostResponse: the change may have been carried out.
        AlpaconError: the workspace accepted the change and did not carry it out, or nothing was sent.
    """
    lost: LostResponse | None = None
    for _attempt in range(_ATTEMPTS):
        try:
            record, lost = client.write("PATCH", path, body).body, None
        except UnknownEndpoint:
            raise
        except LostResponse as error:
            record, lost = None, error
        except AlpaconError as error:
            if lost is None:
                raise
            # The first attempt may have been carried out.
            raise LostResponse(f"{lost} The second attempt failed: {error}") from None
        if not is_done(record):
            record = _read_back(client, path, is_done, lost)
        if is_done(record):
            return record
        if lost is None:
            raise AlpaconError(f"PATCH {path}: the workspace accepted the change, but the record does not have it.")
    raise lost or LostResponse(path)


def _read_back(client: Client, path: str, is_done: Callable[[Any], bool], lost: LostResponse | None) -> Any:
    """Read the record until it has the values; return its latest state."""
    record = None
    for pause in _PAUSES:
        client.sleep(pause)
        try:
            record = client.get(path)
        except AlpaconError as error:
            reason = lost or f"PATCH {path}: the response does not show the change."
            raise LostResponse(f"{reason} The record cannot be read: {error}") from None
        if is_done(record):
            break
    return record
