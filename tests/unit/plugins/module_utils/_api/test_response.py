# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What answers are: their bodies, the pauses that they ask for, and which of them say nothing of a write."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import random
import tracemalloc
from datetime import datetime, timezone
from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.herdops.alpacon.plugins.module_utils._api import response
from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import ApiError, LostResponse
from ansible_collections.herdops.alpacon.plugins.module_utils._api.response import (
    parse_http_date,
    parse_response,
    unpack_body,
)
from ansible_collections.herdops.alpacon.plugins.module_utils._api.settings import Redaction

DATE = "Tue, 24 Nov 2026 12:00:00 GMT"
OFFLINE = b'{"code": "SERVER_NOT_CONNECTED"}'


def read(method: str, status: int, content: bytes, **headers: str) -> Any:
    return parse_response(method, "/", status, headers, content, Redaction(), quoted=True)


@pytest.mark.parametrize(
    ("content", "body"),
    [
        (b"", None),
        (b"\xef\xbb\xbf ", None),
        (b'\xef\xbb\xbf{"a": 1}', {"a": 1}),
        (b"[NaN, 1e999, Infinity]", [None, None, None]),
        (b'["a\xff\xfeb"]', ["a\ufffd\ufffdb"]),
    ],
)
def test_bodies(content: bytes, body: Any) -> None:
    assert read("GET", 200, content) == body


def received(content: bytes, **headers: str) -> Any:
    """A response whose body is still to be read."""
    sent = io.BytesIO(content)

    def read(size: int, decode_content: bool) -> bytes:
        return b"" if decode_content else sent.read(size)

    return SimpleNamespace(headers=headers, length_remaining=0, read=read)


@pytest.mark.parametrize(
    ("content", "is_read"),
    [
        (b'[{"a":[]},' + b"{}," * 47 + b"[]]", True),
        (b'[{"a":[]},' + b"{}," * 48 + b"[]]", False),
        (b'",,"' + b"," * 100, True),
        (b'",,"' + b"," * 101, False),
        (b'["a,\\",b\\\\",' + b'",",' * 96 + b"0]", True),
        (b'"' + b"," * 101 + b'"' * 400, False),
    ],
)
def test_an_answer_may_have_so_many_values(monkeypatch: pytest.MonkeyPatch, content: bytes, is_read: bool) -> None:
    monkeypatch.setattr(response, "MAX_VALUES", 100)
    with contextlib.nullcontext() if is_read else pytest.raises(ValueError, match="it has more than 100 values"):
        assert unpack_body(received(content)) == content


@pytest.mark.parametrize("packing", ["identity", "gzip"])
@pytest.mark.parametrize(("size", "is_read"), [(2**20, True), (2**20 + 1, False)])
def test_an_answer_has_an_end(monkeypatch: pytest.MonkeyPatch, packing: str, size: int, is_read: bool) -> None:
    monkeypatch.setattr(response, "MAX_RESPONSE_BYTES", 2**20)
    content = random.Random(1).randbytes(2**20).hex().encode()[:size]
    received_response = received(
        gzip.compress(content) if packing == "gzip" else content, **{"Content-Encoding": packing}
    )
    with contextlib.nullcontext() if is_read else pytest.raises(ValueError, match="it is larger than 1 MiB"):
        assert unpack_body(received_response) == content


@pytest.mark.parametrize(
    ("content", "is_read"),
    [
        (gzip.compress(b"[1]").ljust(2**20), True),
        (gzip.compress(b"[1]").ljust(2**20 + 1), False),
        (gzip.compress(b" " * 2**26), False),
    ],
    ids=["blanks behind it", "a blank too many", "a bomb"],
)
def test_a_packed_answer_costs_no_more_than_its_bound(
    monkeypatch: pytest.MonkeyPatch, content: bytes, is_read: bool
) -> None:
    monkeypatch.setattr(response, "MAX_RESPONSE_BYTES", 2**20)
    tracemalloc.start()
    try:
        with contextlib.nullcontext() if is_read else pytest.raises(ValueError, match="it is larger than 1 MiB"):
            assert unpack_body(received(content, **{"Content-Encoding": "gzip"})) == b"[1]"
        assert tracemalloc.get_traced_memory()[1] < 2**22
    finally:
        tracemalloc.stop()


#: What takes much more memory than it has bytes, at a sixty-fourth of all bounds.
LARGEST, MOST = response.MAX_RESPONSE_BYTES // 64, response.MAX_VALUES // 64
COSTLY = {
    "lists": f"[{'[[]],' * (MOST // 4)}0]",
    "names": json.dumps({f"\U0001f600{n}": f"\U0001f600{n}" for n in range(MOST - 1)}),
    "a text of wide characters": f'["\U0001f600{"x" * (LARGEST - 100)}"]',
    "no JSON but commas": f"<\U0001f600{',' * (LARGEST - 100)}>",
}


@pytest.mark.parametrize("kind", COSTLY)
def test_no_answer_costs_more_memory_than_is_said(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setattr(response, "MAX_RESPONSE_BYTES", LARGEST)
    monkeypatch.setattr(response, "MAX_VALUES", MOST)
    received_response = received(COSTLY[kind].encode())
    tracemalloc.start()
    try:
        with contextlib.suppress(ValueError, LostResponse):
            read("GET", 200, unpack_body(received_response))
        assert tracemalloc.get_traced_memory()[1] < 12 * LARGEST
    finally:
        tracemalloc.stop()


def test_a_page_that_is_no_json_is_shown_from_its_first_ten_thousand_bytes() -> None:
    with pytest.raises(ApiError) as caught:
        read("GET", 502, b"<p>" + b" " * 9990 + b"GatewayDown")
    assert caught.value.text == "Gateway"


@pytest.mark.parametrize(
    ("asked", "seconds"),
    [
        ("37", 37),
        ("0.1", 0.5),
        ("1e9", 7 * 86400),
        ("-5", None),
        ("nan", None),
        ("Tue, 24 Nov 2026 12:01:30 GMT", 90),
        ("Tue, 24 Nov 2026 11:59:59 GMT", None),
        ("Tue, 99 Nov 2026 12:01:30 GMT", None),
        ("Tue, 24 Nov 2099 12:00:00 GMT", 7 * 86400),
    ],
)
def test_pauses_are_bounded(asked: str, seconds: float | None) -> None:
    with pytest.raises(ApiError) as caught:
        read("GET", 429, b"{}", **{"Retry-After": asked, "Date": DATE})
    assert caught.value.retry_after == seconds


def test_a_time_that_is_cut_is_none() -> None:
    assert (
        parse_http_date(DATE)
        == parse_http_date(f" {DATE} ")
        == datetime(2026, 11, 24, 12, tzinfo=timezone.utc).timestamp()
    )
    assert not any(parse_http_date(DATE[:end]) for end in range(len(DATE)))


@pytest.mark.parametrize(
    ("method", "status", "content", "is_lost"),
    [
        ("POST", 400, b'{"code": "INVALID_COMMAND"}', False),
        ("POST", 409, b"{}", True),
        ("POST", 429, b"nginx", True),
        ("POST", 502, OFFLINE, True),
        ("POST", 503, OFFLINE, False),
        ("POST", 503, b"{}", True),
        ("DELETE", 504, OFFLINE, True),
        ("GET", 500, b"{}", False),
        ("GET", 404, b'{"detail": "Not found."}', False),
        ("GET", 404, b"{}", True),
        ("GET", 200, b"nginx", True),
    ],
)
def test_which_answers_say_nothing_of_what_was_asked(method: str, status: int, content: bytes, is_lost: bool) -> None:
    with pytest.raises((ApiError, LostResponse)) as caught:
        read(method, status, content)
    assert isinstance(caught.value, LostResponse) is is_lost
