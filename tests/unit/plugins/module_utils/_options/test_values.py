# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Parse values of options, and refuse wrong ones with the name of the option."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import UsageError
from ansible_collections.herdops.alpacon.plugins.module_utils._options import values as _values
from ansible_collections.herdops.alpacon.tests.unit.support import SERVER

SECRET = "s3cret-value"
NOW = datetime(2026, 11, 24, 12, tzinfo=timezone.utc)


def refusal(parse: Callable[..., Any], value: Any, *more: Any) -> str:
    """Return the message with which an option is refused."""
    with pytest.raises(UsageError) as caught:
        parse("some_option", value, *more)
    assert caught.value.option == "some_option"
    assert caught.value.details == {"option": "some_option"}
    assert str(caught.value).startswith("some_option: ")
    return str(caught.value)


@pytest.mark.parametrize(
    ("value", "elements"),
    [
        ("web-01, web-02", ["web-01", "web-02"]),
        ("web-01,", ["web-01", ""]),
        ([" web-01", "a, b "], ["web-01", "a, b"]),
        (("a", 1, None), ["a", 1, None]),
        (7, [7]),
        ([], []),
    ],
)
def test_lists(value: Any, elements: list[Any]) -> None:
    assert _values.split_list(value) == elements


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("1.5", 1.5),
        ("90s", 90),
        ("2h", 7200),
        ("1d", 86400),
        ("1h30m", 5400),
        (" 1H30M ", 5400),
        ("0.5h", 1800),
        ("36600d", 100 * 366 * 86400),
    ],
)
def test_durations(text: Any, seconds: float) -> None:
    assert _values.parse_duration("some_option", text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        "2031-01-01T03:00:00Z",
        "2031-01-01T03:00:00z",
        "2031-01-01 03:00:00Z",
        " 2031-01-01T03:00Z ",
        "2031-01-01T12:00:00+09:00",
        "2030-12-31T22:00:00.000-05:00",
    ],
)
def test_timestamps(text: str) -> None:
    assert _values.parse_timestamp("some_option", text) == datetime(2031, 1, 1, 3, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("2h", timedelta(hours=2)), ("90", timedelta(seconds=90)), ("2026-11-24T11:00:00Z", NOW - timedelta(hours=1))],
)
def test_timestamps_and_ages(text: str, expected: datetime | timedelta) -> None:
    assert _values.parse_timestamp_or_age("some_option", text) == expected


def test_uuids_are_normalized_and_unique() -> None:
    assert _values.parse_uuid("some_option", SERVER.upper()) == SERVER
    assert _values.parse_uuids("some_option", [SERVER, SERVER.upper(), SERVER.replace("-", "")]) == [SERVER]
    assert _values.parse_uuids("some_option", None) == []


@pytest.mark.parametrize(
    ("text", "least", "expected"),
    [
        (None, 1, None),
        ("10", 1, 10),
        (10, 1, 10),
        ("25%", 1, 5),
        ("99%", 1, 19),
        ("100%", 1, 20),
        ("1%", 1, 1),
        ("1%", 0, 0),
        ("0", 0, 0),
        ("0%", 1, 1),
    ],
)
def test_shares(text: Any, least: int, expected: int | None) -> None:
    assert _values.parse_share("some_option", text, 20, least) == expected


@pytest.mark.parametrize("line", ["df -h", "  leading", "echo 안녕 $HOME | wc -c\n", "x" * 2048, "한" * 2048])
def test_lines_are_returned_unchanged(line: str) -> None:
    assert _values.check_line("some_option", line) == line


def test_environments() -> None:
    given = {"PGPASSWORD": "s3cret", "_x9": ""}
    assert _values.check_environment("some_option", given) == given
    assert _values.check_environment("some_option", None) == {}


@pytest.mark.parametrize("text", [None, "x", "x" * 2000])
def test_purposes(text: str | None) -> None:
    assert _values.check_purpose("some_option", text) == text


LONG = "is longer than a hundred years"
REFUSED: list[tuple[Callable[..., Any], Any, str]] = [
    *(
        (_values.parse_duration, text, f"'{text}' is not a duration. Give")
        for text in ("", "soon", "-5", "5 m", "10x", "1.2.3")
    ),
    *((_values.parse_duration, text, LONG) for text in ("9" * 5000, "36600d1s", f"{'9' * 400}d")),
    *((_values.parse_timestamp, text, "has no zone") for text in ("2031-01-01 03:00", "2031-01-01")),
    *((_values.parse_timestamp, text, "is not a time. Give ISO 8601") for text in ("tomorrow", "03:00Z")),
    *((_values.parse_timestamp, text, "is not a time of the years") for text in ("9999-12-31T24:00Z", "2031-13-01Z")),
    (_values.parse_timestamp_or_age, "0001-01-01T00:00:00+23:59", "is not a time of the years"),
    (_values.parse_timestamp_or_age, "2026-11-24T11:00:00", "no zone"),
    (_values.parse_timestamp_or_age, "x", "not a duration"),
    *((_values.parse_uuid, text, f"'{text}' is not a UUID") for text in ("web-01", "", SERVER[:-1])),
    (_values.parse_uuids, [SERVER, "x"], "'x' is not a UUID"),
    *((_values.check_line, line, "is empty") for line in ("", " \t\n")),
    (_values.check_line, "a\0b", "NUL"),
    (_values.check_line, "x" * 2049, "2049 characters, and the API takes 2048"),
    *((_values.check_purpose, text, f"it has {len(text)} characters") for text in ("", "   ", "x" * 2001)),
    *((_values.check_environment, {name: SECRET}, f"'{name}' is not a name") for name in ("9X", "A-B", "", "Ä")),
    (_values.check_environment, {"GOOD": SECRET, f"BAD={SECRET}": ""}, "the name of entry 2 has an ="),
    *(
        (_values.check_environment, {"P": value}, "the value of P is not a string")
        for value in (31337, True, None, [SECRET])
    ),
    (_values.check_environment, {"P": f"{SECRET}\0"}, "the value of P has a NUL character. Remove that character."),
]


@pytest.mark.parametrize(("parse", "value", "words"), REFUSED)
def test_refused_values(parse: Callable[..., Any], value: Any, words: str) -> None:
    message = refusal(parse, value)
    assert words in message
    assert SECRET not in message
    assert "31337" not in message
    assert len(message) < 250


@pytest.mark.parametrize("text", ["-1", "1.5", "101%", "%", "5 %", "9" * 5000])
def test_refused_shares(text: str) -> None:
    assert "neither a number nor a percentage" in refusal(_values.parse_share, text, 20, 0)


def test_order_of_versions() -> None:
    early = ["2.2.9", "2.3.0-alpha", "2.3.0-rc1", "2.3.0~rc2", "2.3.0-rc10"]
    ordered = ["dev", *early, "2.3.0", "2.3.1", "2.5.9", "2.5.10", "3.0.0"]
    assert sorted({*ordered}, key=_values.version_key) == ordered
