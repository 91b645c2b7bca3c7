# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an answer is: its body, unpacked and decoded within bounds, or the error that it states."""

from __future__ import annotations

import json
import math
import re
import time
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

from .errors import ApiError, LostResponse, UnknownEndpoint, clean, error_from_body
from .settings import Redaction

#: How much of an answer is read, packed or unpacked, in bytes: a page of a hundred rows has some 100 MiB where each
#: ``result`` is as long as agents let it be.
MAX_RESPONSE_BYTES = 128 * 2**20
#: How many values an answer may have; an honest page has some ten thousand.
MAX_VALUES = 1_000_000
#: A pause that a server asks for is taken for no more than this, in seconds.
_LONGEST_PAUSE = 7 * 86400.0
#: A pause that a server asks for is taken for no less than this, in seconds.
_SHORTEST_PAUSE = 0.5
_WHOLE_TIME = re.compile(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT")
_PIECE = 2**16
#: How much of a page that is no JSON is looked at, in bytes.
_SHOWN_PAGE = 10_000
#: What a workspace of 2024 says, in HTML, where there is nothing at an address.
_DJANGO_404 = "The requested resource was not found on this server."


@dataclass(frozen=True)
class ApiResponse:
    """A successful answer: HTTP status and decoded JSON (None where there is no body).

    Attributes:
        sent, arrived: local times of the request and of its answer, in seconds since the epoch.
    """

    status: int
    body: Any
    sent: float
    arrived: float


def parse_response(
    method: str,
    path: str,
    status: int,
    headers: Mapping[str, str],
    content: bytes,
    redaction: Redaction,
    quoted: bool,
) -> Any:
    """The JSON of an answer that has this status, these headers and this body; None where there is no body.

    Args:
        redaction: takes the credentials out of what errors show of it; what a successful answer says stays as it is,
            since lines and outputs are compared.
        quoted: see :class:`.errors.ApiError`.

    Raises:
        ApiError: it states an error.
        LostResponse: it cannot be read, or does not say whether a write was carried out.
    """
    if status >= 400:
        content = redaction.content(content)
    try:
        body, readable = _decoded(content), True
    except (ValueError, RecursionError):
        body, readable = content[:_SHOWN_PAGE].decode("utf-8", "replace"), False
    if status >= 400:
        pause = _seconds(headers.get("Retry-After"), headers.get("Date"))
        raise _refusal(error_from_body(method, path, status, body, pause, quoted), body)
    if not readable:
        raise LostResponse(
            f"{method} {path}: HTTP {status} with a body that is not JSON"
            f" ({clean(redaction.text(headers.get('Content-Type', 'no content type')))})."
            " A proxy may stand in between, or url is not an Alpacon workspace."
        )
    return body


def _refusal(error: ApiError, body: Any) -> ApiError | LostResponse:
    if error.stated or (error.status != 404 and error.method == "GET"):
        return error
    if error.status == 404 and _DJANGO_404 in str(body):
        return UnknownEndpoint(f"{error} This workspace does not know the address; it may be an older one.")
    if error.status == 404:
        # A proxy without its server, or no workspace at all: no word about the record.
        lost = LostResponse(f"{error} This is no answer of an Alpacon workspace; check url and any proxy.")
    else:
        lost = LostResponse(f"{error} The request may have been carried out.")
    lost.status = error.status
    return lost


def unpack_body(raw: Any) -> bytes:
    """The body of an answer, unpacked; ValueError where it is too large, cut, or packed in a way nobody asked for."""
    packing = raw.headers.get("Content-Encoding", "identity").strip().lower()
    if packing not in ("identity", "", "gzip", "x-gzip"):
        raise ValueError("it is packed in a way that was not asked for")
    unpacker = zlib.decompressobj(zlib.MAX_WBITS | 16) if packing.endswith("gzip") else None
    pieces: list[bytes] = []
    size = received = 0
    while piece := raw.read(_PIECE, decode_content=False):
        received += len(piece)
        if unpacker:
            # What follows the end would be gathered, and copied for each piece of it.
            piece = b"" if unpacker.eof else unpacker.decompress(piece, MAX_RESPONSE_BYTES + 1 - size)
        size += len(piece)
        if max(size, received) > MAX_RESPONSE_BYTES:
            raise ValueError(f"it is larger than {MAX_RESPONSE_BYTES // 2**20} MiB")
        pieces.append(piece)
    if raw.length_remaining or (unpacker and received and not unpacker.eof):
        raise ValueError("it is cut")
    content = b"".join(pieces)
    _check_values(content)
    return content


def _finite(text: str) -> float | None:
    value = float(text)
    return value if math.isfinite(value) else None


_JSON = json.JSONDecoder(parse_float=_finite, parse_constant=lambda _name: None)


def _decoded(content: bytes) -> Any:
    """The JSON of a body, whatever encoding a header claims, with null for numbers that JSON does not have.

    A byte of text may take four where one character of it does, and is there twice at the end, in the whole text and in
    its string; a value takes up to 240 bytes beside its text. So no answer costs more than twelve times
    :data:`MAX_RESPONSE_BYTES`.
    """
    text = content.strip().decode("utf-8-sig", "replace")
    return None if not text or text.isspace() else _JSON.decode(text)


def _check_values(content: bytes) -> None:
    """ValueError where a JSON text may have too many values: a list of two bytes takes fifty when it is decoded."""
    if _starts_of_values(content) <= MAX_VALUES:
        return
    # Texts may have as many commas as they like.
    bare = content.replace(rb"\\", b"").replace(rb"\"", b"")
    if bare.count(b'"') > 4 * MAX_VALUES or sum(map(_starts_of_values, bare.split(b'"')[::2])) > MAX_VALUES:
        raise ValueError(f"it has more than {MAX_VALUES} values")


def _starts_of_values(content: bytes) -> int:
    # Takes as long whatever there is, which counting each of them does not.
    return len(content) - len(content.translate(None, b",[{"))


def parse_http_date(text: str | None) -> float | None:
    """The time of a header in seconds since the epoch, or None where there is none."""
    try:
        # What is cut would be read as well, as another minute.
        return parsedate_to_datetime(text).timestamp() if text and _WHOLE_TIME.fullmatch(text.strip()) else None
    except (TypeError, ValueError):
        return None


def _seconds(retry_after: str | None, date: str | None) -> float | None:
    """The pause that Retry-After asks for, in either of its forms; None where that is no pause at all."""
    try:
        seconds = float(retry_after or "nan")
    except ValueError:
        until, now = parse_http_date(retry_after), parse_http_date(date)
        seconds = math.nan if until is None else until - (time.time() if now is None else now)
    return min(max(seconds, _SHORTEST_PAUSE), _LONGEST_PAUSE) if seconds > 0 else None
