# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Values of options: what is read, and what is refused with the option's name."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import UsageError
from ansible_collections.herdops.alpacon.plugins.module_utils._options import values as _values
from ansible_collections.herdops.alpacon.tests.unit.support import SERVER

NOW = datetime(2026, 11, 24, 12, tzinfo=timezone.utc)


def refused(read: Callable[..., Any], value: Any, *more: Any) -> str:
    """The message with which an option is refused."""
    with pytest.raises(UsageError) as caught:
        read("some_option", value, *more)
    assert caught.value.option == "some_option"
    assert caught.value.as_result() == {"option": "some_option"}
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
def test_a_list_may_be_one_text_with_commas(value: Any, elements: list[Any]) -> None:
    assert _values.elements(value) == elements


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90),
        (90, 90),
        ("0", 0),
        ("1.5", 1.5),
        ("90s", 90),
        ("10m", 600),
        ("2h", 7200),
        ("1d", 86400),
        ("1w", 604800),
        ("1h30m", 5400),
        (" 1H30M ", 5400),
        ("0.5h", 1800),
        ("1d2h3m4s", 93784),
        ("36600d", 100 * 366 * 86400),
    ],
)
def test_durations(text: Any, seconds: float) -> None:
    assert _values.duration("some_option", text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "-5", "5 m", "1h 30m", "10x", "h", "1.2.3", "1e3", "m5"])
def test_what_is_no_duration(text: str) -> None:
    message = refused(_values.duration, text)
    assert f"'{text}' is not a duration" in message
    assert "1h30m" in message


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
def test_moments(text: str) -> None:
    assert _values.moment("some_option", text) == datetime(2031, 1, 1, 3, tzinfo=timezone.utc)


@pytest.mark.parametrize("text", ["2031-01-01T03:00:00", "2031-01-01 03:00", "2031-01-01", "2031-01-01T03:00:00.5"])
def test_a_moment_without_a_zone_is_refused(text: str) -> None:
    message = refused(_values.moment, text)
    assert "has no zone" in message
    assert "2031-01-01T03:00:00Z" in message


@pytest.mark.parametrize("text", ["tomorrow", "03:00Z", "2031-13-01T03:00:00Z", "1924905600"])
def test_what_is_no_moment(text: str) -> None:
    assert "is not a time" in refused(_values.moment, text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2h", timedelta(hours=2)),
        ("90", timedelta(seconds=90)),
        ("2026-11-24T11:00:00Z", NOW - timedelta(hours=1)),
    ],
)
def test_moments_and_ages(text: str, expected: datetime | timedelta) -> None:
    assert _values.moment_or_age("some_option", text) == expected


@pytest.mark.parametrize(
    ("text", "problem"), [("2026-11-24T11:00:00", "no zone"), ("2026-99-99Z", "not a time"), ("x", "not a duration")]
)
def test_what_is_neither_moment_nor_age(text: str, problem: str) -> None:
    assert problem in refused(_values.moment_or_age, text)


def test_uuids_are_canonical_and_count_once() -> None:
    assert _values.uuid("some_option", SERVER.upper()) == SERVER
    assert _values.uuids("some_option", [SERVER, SERVER.upper(), SERVER.replace("-", "")]) == [SERVER]
    assert _values.uuids("some_option", None) == []


@pytest.mark.parametrize("text", ["web-01", "", "123", SERVER[:-1]])
def test_what_is_no_uuid(text: str) -> None:
    assert f"'{text}' is not a UUID" in refused(_values.uuid, text)
    assert f"'{text}' is not a UUID" in refused(_values.uuids, [SERVER, text])


@pytest.mark.parametrize(
    ("text", "least", "expected"),
    [
        (None, 1, None),
        ("", 1, None),
        ("10", 1, 10),
        (10, 1, 10),
        (" 5 ", 1, 5),
        ("1", 1, 1),
        ("150", 1, 150),
        ("25%", 1, 5),
        ("100%", 1, 20),
        ("99%", 1, 19),
        ("1%", 1, 1),
        ("1%", 0, 0),
        ("0", 0, 0),
        ("0%", 1, 1),
    ],
)
def test_shares(text: Any, least: int, expected: int | None) -> None:
    assert _values.share("some_option", text, 20, least) == expected


@pytest.mark.parametrize("text", ["-1", "1.5", "101%", "many", "%", "5 %"])
def test_what_is_no_share(text: str) -> None:
    assert "neither a number nor a percentage" in refused(_values.share, text, 20, 0)


def test_a_share_that_is_too_small() -> None:
    assert "0 is too small. Give at least 1" in refused(_values.share, "0", 20, 1)


@pytest.mark.parametrize("line", ["df -h", "  leading", "echo 안녕 $HOME | wc -c\n", "x" * 2048, "한" * 2048])
def test_lines_come_back_as_given(line: str) -> None:
    assert _values.line("some_option", line) == line


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("", "is empty"),
        (" \t\n", "is empty"),
        ("a\0b", "NUL"),
        ("x" * 2049, "2049 characters, and the API takes 2048"),
    ],
)
def test_lines_that_are_refused(line: str, problem: str) -> None:
    assert problem in refused(_values.line, line)


def test_a_line_that_is_too_long_is_shown_a_way_out() -> None:
    assert "give that as script" in refused(_values.line, "x" * 3000)


def test_environments() -> None:
    given = {"PGPASSWORD": "s3cret", "_x9": ""}
    assert _values.environment("some_option", given) == given
    assert _values.environment("some_option", None) == {}


@pytest.mark.parametrize("name", ["9X", "A-B", "", "A B", "Ä"])
def test_names_that_are_no_names_of_variables(name: str) -> None:
    message = refused(_values.environment, {name: "s3cret"})
    assert f"'{name}' is not a name" in message
    assert "s3cret" not in message


def test_a_name_that_may_hold_a_secret_is_given_by_its_number() -> None:
    message = refused(_values.environment, {"GOOD": "s3cret", "BAD=s3cret": ""})
    assert "the name of entry 2 has an =" in message
    assert "s3cret" not in message


@pytest.mark.parametrize("value", [31337, True, None, ["s3cret"], 3.5])
def test_values_of_variables_must_be_strings_and_are_never_named(value: Any) -> None:
    message = refused(_values.environment, {"PASSWORD": value})
    assert "the value of PASSWORD is not a string" in message
    assert str(value) not in message.replace("PASSWORD", "")


def test_a_value_with_a_nul_is_refused_and_never_shown() -> None:
    assert refused(_values.environment, {"PASSWORD": "s3cret\0"}) == (
        "some_option: the value of PASSWORD has a NUL character. Take it out."
    )


@pytest.mark.parametrize("text", [None, "x", "x" * 2000])
def test_purposes(text: str | None) -> None:
    assert _values.purpose("some_option", text) == text


@pytest.mark.parametrize("text", ["", "   ", "x" * 2001])
def test_purposes_that_are_refused(text: str) -> None:
    assert f"it has {len(text)} characters" in refused(_values.purpose, text)


@pytest.mark.parametrize("text", ["99999999999999999w", "9" * 400, "9" * 5000, "36600d1s", f"{'9' * 400}d"])
def test_a_duration_that_nobody_lives_to_see_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"^wait_timeout: .* is longer than a hundred years") as caught:
        _values.duration("wait_timeout", text)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("text", ["9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59", "9999-12-31T24:00:00Z"])
def test_a_time_that_cannot_be_reckoned_with_is_refused(text: str) -> None:
    for read in (_values.moment, _values.moment_or_age):
        with pytest.raises(UsageError, match=r"^since: .* is not a time of the years"):
            read("since", text)


def test_what_is_no_time_at_all_is_not_told_of_years() -> None:
    with pytest.raises(UsageError, match=r"^since: 'tomorrow' is not a time\. Give ISO 8601"):
        _values.moment("since", "tomorrow")


def test_a_number_that_no_fleet_has_is_refused() -> None:
    with pytest.raises(UsageError, match="neither a number nor a percentage"):
        _values.share("max_errors", "9" * 5000, 10, 0)
