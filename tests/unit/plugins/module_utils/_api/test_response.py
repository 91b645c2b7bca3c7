# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test the parsing of responses and the clock of the workspace."""

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
from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import (
    ApiError,
    LostResponse,
    UnknownEndpoint,
)
from ansible_collections.herdops.alpacon.plugins.module_utils._api.response import (
    WorkspaceClock,
    parse_http_date,
    parse_response,
    unpack_body,
)
from ansible_collections.herdops.alpacon.plugins.module_utils._api.settings import Redaction

DATE = "Tue, 24 Nov 2026 12:00:00 GMT"
OFFLINE = b'{"code": "SERVER_NOT_CONNECTED"}'
DJANGO_404 = b"<h1>Not Found</h1><p>The requested resource was not found on this server.</p>"


def parse(method: str, status: int, content: bytes, **headers: str) -> Any:
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
    assert parse("GET", 200, content) == body


def received(content: bytes, **headers: str) -> Any:
    """Return a response whose body is not read yet."""
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
def test_the_number_of_values_is_limited(monkeypatch: pytest.MonkeyPatch, content: bytes, is_read: bool) -> None:
    monkeypatch.setattr(response, "MAX_VALUES", 100)
    with contextlib.nullcontext() if is_read else pytest.raises(ValueError, match="it has more than 100 values"):
        assert unpack_body(received(content)) == content


@pytest.mark.parametrize("packing", ["identity", "gzip"])
@pytest.mark.parametrize(("size", "is_read"), [(2**20, True), (2**20 + 1, False)])
def test_the_size_of_a_response_is_limited(
    monkeypatch: pytest.MonkeyPatch, packing: str, size: int, is_read: bool
) -> None:
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
def test_the_size_of_an_unpacked_response_is_limited(
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
def test_memory_of_a_response_is_limited(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setattr(response, "MAX_RESPONSE_BYTES", LARGEST)
    monkeypatch.setattr(response, "MAX_VALUES", MOST)
    received_response = received(COSTLY[kind].encode())
    tracemalloc.start()
    try:
        with contextlib.suppress(ValueError, LostResponse):
            parse("GET", 200, unpack_body(received_response))
        assert tracemalloc.get_traced_memory()[1] < 12 * LARGEST
    finally:
        tracemalloc.stop()


def test_ten_thousand_bytes_of_a_page_are_parsed() -> None:
    with pytest.raises(ApiError) as caught:
        parse("GET", 502, b"<p>" + b" " * 9990 + b"GatewayDown")
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
        parse("GET", 429, b"{}", **{"Retry-After": asked, "Date": DATE})
    assert caught.value.retry_after == seconds


def test_a_truncated_date_is_ignored() -> None:
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
def test_responses_that_leave_the_effect_uncertain(method: str, status: int, content: bytes, is_lost: bool) -> None:
    with pytest.raises((ApiError, LostResponse)) as caught:
        parse(method, status, content)
    assert isinstance(caught.value, LostResponse) is is_lost


@pytest.mark.parametrize(
    ("method", "status", "content", "is_unknown"),
    [
        ("GET", 404, DJANGO_404, True),
        ("DELETE", 404, DJANGO_404, True),
        ("DELETE", 404, b"nginx", False),
        ("DELETE", 502, DJANGO_404, False),
    ],
)
def test_only_the_404_page_of_django_tells_that_an_address_is_unknown(
    method: str, status: int, content: bytes, is_unknown: bool
) -> None:
    with pytest.raises(LostResponse) as caught:
        parse(method, status, content)
    assert isinstance(caught.value, UnknownEndpoint) is is_unknown


# The clock

#: Local time at which requests are sent, in whole seconds since the epoch; each is answered after half a second.
SENT = 1_800_000_000.0
ARRIVED = SENT + 0.5


def moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, timezone.utc)


@pytest.fixture
def clock() -> WorkspaceClock:
    return WorkspaceClock()


@pytest.mark.parametrize("ahead", [0.0, 7200.0, -7200.0])
def test_the_row_of_a_submit_sets_the_clock(clock: WorkspaceClock, ahead: float) -> None:
    clock.observe_row(moment(SENT + 0.25 + ahead), SENT, ARRIVED)
    assert clock.timestamp_at(SENT) == pytest.approx(SENT + ahead - 0.25), "the earliest that it can have shown"
    assert clock.is_known


def test_a_row_overrules_a_date(clock: WorkspaceClock) -> None:
    clock.observe_date(SENT + 10, SENT, ARRIVED)
    assert clock.timestamp_at(SENT) == pytest.approx(SENT + 9.5)
    clock.observe_row(moment(SENT + 0.25), SENT, ARRIVED)
    clock.observe_date(SENT + 20, SENT + 10, ARRIVED + 10)
    assert clock.timestamp_at(SENT) == pytest.approx(SENT - 0.25)
    assert clock.is_known


def test_whole_seconds_may_be_up_to_a_second_late(clock: WorkspaceClock) -> None:
    # Added 0.9 s after a full second, and then 0.1 s after one: with a fraction, these two would not fit.
    clock.observe_row(moment(SENT - 2), SENT - 1.2, SENT - 1.1)
    clock.observe_row(moment(SENT + 1), SENT + 1.05, SENT + 1.1)
    assert clock.is_known
    assert clock.timestamp_at(SENT) == pytest.approx(SENT - 0.1)


@pytest.mark.parametrize("fraction", [0.0, 0.25])
def test_contradicting_rows_leave_the_clock_unknown(clock: WorkspaceClock, fraction: float) -> None:
    clock.observe_row(moment(SENT + fraction), SENT, ARRIVED)
    clock.observe_row(moment(SENT + 3 + fraction), SENT, ARRIVED)
    assert not clock.is_known


@pytest.mark.parametrize(("apart", "fit"), [(2.0, True), (2.25, False)])
def test_dates_are_cut_to_seconds_and_may_disagree_by_another_one(
    clock: WorkspaceClock, apart: float, fit: bool
) -> None:
    clock.observe_date(SENT, SENT, SENT)
    clock.observe_date(SENT + apart, SENT, SENT)
    assert clock.is_known is fit


@pytest.mark.parametrize("towards", [1, -1])
@pytest.mark.parametrize(("hours", "is_one"), [(-1, True), (1, False)])
def test_a_clock_may_be_a_century_off(clock: WorkspaceClock, towards: int, hours: int, is_one: bool) -> None:
    shown = SENT + towards * (100 * 366 * 24 + hours) * 3600
    clock.observe_date(shown, SENT, SENT)
    assert (clock.is_known, clock.timestamp_at(SENT) == SENT) == (is_one, not is_one)


@pytest.mark.parametrize(("late", "is_known"), [(-600.0, True), (2.0, True), (2.5, False), (600.0, False)])
def test_a_past_time_after_the_date_contradicts_it(clock: WorkspaceClock, late: float, is_known: bool) -> None:
    clock.observe_date(SENT, SENT, SENT)
    clock.observe_past(moment(SENT + late), SENT)
    assert clock.is_known is is_known


def test_a_past_time_alone_leaves_the_clock_unknown(clock: WorkspaceClock) -> None:
    assert (clock.timestamp_at(SENT), clock.is_known) == (SENT, False)
    clock.observe_past(moment(SENT - 600), SENT)
    assert (clock.timestamp_at(SENT), clock.is_known) == (SENT, False)
