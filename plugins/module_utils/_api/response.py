# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Parse responses: body, error and Retry-After within bounds of time and memory, and the workspace's clock."""

from __future__ import annotations

import json
import math
import re
import threading
import time
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import Any

from .errors import UNCERTAIN, ApiError, LostResponse, UnknownEndpoint, clean, error_from_body
from .records import last_moment
from .settings import Redaction

#: The most bytes of a response, packed or unpacked: a page of 100 rows has some 100 MiB if each ``result`` is as long
#: as agents allow.
MAX_RESPONSE_BYTES = 128 * 2**20
#: The most values in a response; an honest page has some ten thousand.
MAX_VALUES = 1_000_000
#: Bounds of a pause that a workspace asks for, in seconds.
_MIN_PAUSE, _MAX_PAUSE = 0.5, 7 * 86400.0
_WHOLE_TIME = re.compile(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT")
#: The most bytes to read of a page that is not JSON.
_SHOWN_PAGE = 10_000
#: A 404 of a workspace of 2024 for an unknown address, in HTML.
_DJANGO_404 = "The requested resource was not found on this server."

#: Readings may disagree on the offset between the two clocks by this much, in seconds.
_TOLERANCE = 1.0
#: The largest offset that counts, in seconds: a controller whose clock was reset may show 1970.
_MAX_OFFSET = 100 * 366 * 86400.0


@dataclass(frozen=True)
class ApiResponse:
    """A successful response.

    Attributes:
        body: the decoded JSON; None for an empty body.
        sent, arrived: local times of the request and of the response, in seconds since the epoch.
    """

    status: int
    body: Any
    sent: float
    arrived: float


def parse_response(
    method: str, path: str, status: int, headers: Mapping[str, str], content: bytes, redaction: Redaction, quoted: bool
) -> Any:
    """Return the JSON of a response, or None for an empty body.

    Args:
        redaction: removes credentials from errors; the JSON stays unchanged, since lines and outputs are compared.

    Raises:
        ApiError: the response states an error.
        LostResponse: the response cannot be read, or does not state whether a write was carried out.
    """
    if status >= 400:
        content = redaction.redact_bytes(content)
    try:
        body, is_json = _decode(content), True
    except (ValueError, RecursionError):
        body, is_json = content[:_SHOWN_PAGE].decode("utf-8", "replace"), False
    if status >= 400:
        pause = parse_retry_after(headers.get("Retry-After"), headers.get("Date"))
        raise _classify(error_from_body(method, path, status, body, pause, quoted), body)
    if not is_json:
        raise LostResponse(
            f"{method} {path}: HTTP {status} with a body that is not JSON"
            f" ({clean(redaction.redact_text(headers.get('Content-Type', 'no content type')))})."
            " A proxy may stand in between, or url is not an Alpacon workspace."
        )
    return body


def _classify(error: ApiError, body: Any) -> ApiError | LostResponse:
    """Return the error if the API states it or the request changes nothing, else a lost response."""
    if error.stated or (error.status != 404 and error.method == "GET"):
        return error
    if error.status == 404 and _DJANGO_404 in str(body):
        return UnknownEndpoint(f"{error} This workspace does not know the address; it may be an older one.")
    if error.status == 404:
        # The page of a proxy or of another server does not say whether the record exists.
        lost = LostResponse(f"{error} This is not the response of an Alpacon workspace; check url and any proxy.")
    else:
        lost = LostResponse(f"{error} {UNCERTAIN}")
    lost.status = error.status
    return lost


def unpack_body(raw: Any) -> bytes:
    """Read and unpack the body of a urllib3 response; ValueError if it is too large, cut or packed in another way."""
    packing = raw.headers.get("Content-Encoding", "identity").strip().lower()
    if packing not in ("identity", "", "gzip", "x-gzip"):
        raise ValueError("its Content-Encoding is neither gzip nor identity")
    unpacker = zlib.decompressobj(zlib.MAX_WBITS | 16) if packing.endswith("gzip") else None
    pieces: list[bytes] = []
    size = received = 0
    while piece := raw.read(2**16, decode_content=False):
        received += len(piece)
        if unpacker:
            # zlib would collect and copy bytes after the end at each call.
            piece = b"" if unpacker.eof else unpacker.decompress(piece, MAX_RESPONSE_BYTES + 1 - size)
        size += len(piece)
        if max(size, received) > MAX_RESPONSE_BYTES:
            raise ValueError(f"it is larger than {MAX_RESPONSE_BYTES // 2**20} MiB")
        pieces.append(piece)
    if raw.length_remaining or (unpacker and received and not unpacker.eof):
        raise ValueError("it is cut off")
    content = b"".join(pieces)
    _check_values(content)
    return content


def _decode(content: bytes) -> Any:
    """Decode JSON as UTF-8, regardless of headers, with None for NaN and infinite numbers.

    Memory: a byte may become four if the text has a character that needs as many, and exists twice, in the text and in
    a string of it. A value takes up to 240 bytes more. So a response costs at most twelve times
    :data:`MAX_RESPONSE_BYTES`.
    """

    def parse_float(number: str) -> float | None:
        value = float(number)
        return value if math.isfinite(value) else None

    text = content.strip().decode("utf-8-sig", "replace")
    if not text or text.isspace():
        return None
    return json.loads(text, parse_float=parse_float, parse_constant=lambda _name: None)


def _check_values(content: bytes) -> None:
    """Raise ValueError if a JSON text may have too many values: ``[]`` takes fifty bytes when it is decoded."""
    if _count_value_starts(content) <= MAX_VALUES:
        return
    # Count again outside of strings, which may have any number of commas.
    bare = content.replace(rb"\\", b"").replace(rb"\"", b"")
    if bare.count(b'"') > 4 * MAX_VALUES or sum(map(_count_value_starts, bare.split(b'"')[::2])) > MAX_VALUES:
        raise ValueError(f"it has more than {MAX_VALUES} values")


def _count_value_starts(content: bytes) -> int:
    # translate() takes the same time for any content, unlike count() of each character.
    return len(content) - len(content.translate(None, b",[{"))


def parse_http_date(text: str | None) -> float | None:
    """Return an HTTP date in seconds since the epoch, or None for any other text."""
    try:
        # The library parses a truncated date as another time.
        return parsedate_to_datetime(text).timestamp() if text and _WHOLE_TIME.fullmatch(text.strip()) else None
    except (TypeError, ValueError):
        return None


def parse_retry_after(retry_after: str | None, date: str | None) -> float | None:
    """Return the pause of a Retry-After header, a number of seconds or a date; None if it is neither."""
    try:
        seconds = float(retry_after or "nan")
    except ValueError:
        until, now = parse_http_date(retry_after), parse_http_date(date)
        seconds = math.nan if until is None else until - (time.time() if now is None else now)
    return min(max(seconds, _MIN_PAUSE), _MAX_PAUSE) if seconds > 0 else None


class _Offset:
    """Bound, in seconds, by how much another clock is ahead of this one."""

    def __init__(self) -> None:
        self.least, self.most = -math.inf, math.inf

    def narrow(self, shown: float, precision: float, sent: float, arrived: float) -> None:
        """Add a reading.

        Args:
            shown: seconds since the epoch by that clock; its time was up to ``precision`` later.
            sent, arrived: local times of the request and of its response, between which the clock showed this time.
        """
        if abs(shown - sent) <= _MAX_OFFSET:
            self.least = max(self.least, shown - arrived)
            self.most = min(self.most, shown + precision - sent)


class WorkspaceClock:
    """Estimate the workspace's time from its responses; threads may share one clock.

    The row of a submit states when the command was added, by the clock of all rows. Before the first submit, the
    ``Date`` header counts: some workspaces send none, and a proxy sends its own.
    """

    def __init__(self) -> None:
        self._by_rows, self._by_dates = _Offset(), _Offset()
        self._lock = threading.Lock()

    def observe_date(self, shown: float, sent: float, arrived: float) -> None:
        """Add the Date of a response, which has whole seconds only."""
        with self._lock:
            self._by_dates.narrow(shown, 1.0, sent, arrived)

    def observe_row(self, added_at: datetime, sent: float, arrived: float) -> None:
        shown = added_at.timestamp()
        with self._lock:
            self._by_rows.narrow(shown, last_moment(added_at).timestamp() - shown, sent, arrived)

    def observe_past(self, moment: datetime, local: float) -> None:
        """Add a moment that had passed in the workspace at this local time; only a Date can contradict it."""
        with self._lock:
            if math.isfinite(self._by_dates.least):
                self._by_dates.narrow(moment.timestamp(), math.inf, local, local)

    def timestamp_at(self, local: float) -> float:
        """Convert a local time to the workspace's: the earliest possible one, in seconds since the epoch."""
        least = self._offset.least
        return local + (least if math.isfinite(least) else 0.0)

    def datetime_at(self, local: float) -> datetime:
        return datetime.fromtimestamp(self.timestamp_at(local), timezone.utc)

    def now(self) -> datetime:
        return self.datetime_at(time.time())

    @property
    def is_known(self) -> bool:
        """Return True if there are readings, and one offset fits all of them."""
        offset = self._offset
        return math.isfinite(offset.least) and offset.least <= offset.most + _TOLERANCE

    @property
    def _offset(self) -> _Offset:
        return self._by_rows if math.isfinite(self._by_rows.least) else self._by_dates
