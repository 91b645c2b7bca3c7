# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read the values of options; :class:`UsageError` says which one is wrong and what would be right."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from ansible.module_utils.parsing.convert_bool import boolean

from .._api.errors import UsageError
from .._api.records import is_uuid, is_valid_key, normalize_uuid, parse_time

LINE_LENGTH = 2048
PURPOSE_LENGTH = 2000

#: No duration is longer, in seconds: dates can still be reckoned with it.
_LONGEST = 100 * 366 * 86400

_NUMBER = re.compile(r"\d+(\.\d+)?")
_PART = re.compile(r"(\d+(?:\.\d+)?)([wdhms])")
_UNITS = {"w": 604800, "d": 86400, "h": 3600, "m": 60, "s": 1}


def parse_duration(option: str, text: Any) -> float:
    """Read a duration such as V(90), V(90s), V(10m) or V(1h30m) into seconds."""
    stripped = str(text).strip().lower()
    if _NUMBER.fullmatch(stripped):
        return _bounded(option, text, float(stripped))
    parts = _PART.findall(stripped)
    if not parts or "".join(number + unit for number, unit in parts) != stripped:
        raise UsageError(
            option, f"'{text}' is not a duration", "Give seconds, or numbers with w, d, h, m or s, such as 1h30m."
        )
    return _bounded(option, text, sum(float(number) * _UNITS[unit] for number, unit in parts))


def parse_timeout(option: str, text: Any, instead: str = "") -> float:
    """Read a duration that is not zero.

    Args:
        instead: what to do where no time is meant.
    """
    seconds = parse_duration(option, text)
    if not seconds:
        raise UsageError(option, f"{text} is no time to wait", f"Give a duration such as 90s. {instead}".rstrip())
    return seconds


def _bounded(option: str, text: Any, seconds: float) -> float:
    if seconds > _LONGEST:
        raise UsageError(option, f"{text!s:.40} is longer than a hundred years", "Give a shorter duration.")
    return seconds


def parse_timestamp(option: str, text: Any) -> datetime:
    """Read an ISO 8601 time with a zone."""
    example = "Give ISO 8601 with a zone, such as 2031-01-01T03:00:00Z or 2031-01-01T03:00:00+09:00."
    stripped = str(text).strip()
    time = parse_time(stripped)
    if time is None:
        years = " of the years 100 to 9000" if re.match(r"\d{4}-", stripped) else ""
        raise UsageError(option, f"'{text}' is not a time{years}", example)
    if not re.search(r"(?:[zZ]|[+-]\d\d:?\d\d)$", stripped) or "T" not in stripped.upper().replace(" ", "T"):
        raise UsageError(option, f"'{text}' has no zone, and servers would read it in their own", example)
    return time


def parse_timestamp_or_age(option: str, text: Any) -> datetime | timedelta:
    """Read a time, or a duration that is to be counted back from now."""
    if re.match(r"\d{4}-", str(text).strip()):
        return parse_timestamp(option, text)
    return timedelta(seconds=parse_duration(option, text))


def parse_uuid(option: str, text: Any) -> str:
    """Read a UUID."""
    if not is_uuid(text):
        raise UsageError(
            option, f"'{text}' is not a UUID", "Give an id as the API shows it: 8-4-4-4-12 hexadecimal digits."
        )
    return normalize_uuid(text)


def split_list(value: Any) -> list[Any]:
    """Read a list, which may be one text with commas; blanks around its elements are no part of them."""
    listed = value.split(",") if isinstance(value, str) else value if isinstance(value, (list, tuple)) else [value]
    return [item.strip() if isinstance(item, str) else item for item in listed]


def parse_uuids(option: str, texts: Sequence[Any] | None) -> list[str]:
    """Read a list of UUIDs; each counts once."""
    return list(dict.fromkeys(parse_uuid(option, text) for text in texts or ()))


def parse_share(option: str, text: Any, total: int, least: int) -> int | None:
    """Read a number, or a percentage of ``total`` (rounded down, but not below ``least``); None where not given."""
    if text in (None, ""):
        return None
    match = re.fullmatch(r"(\d{1,9})(%?)", str(text).strip())
    if not match or (match.group(2) and int(match.group(1)) > 100):
        raise UsageError(option, f"'{text}' is neither a number nor a percentage", "Give one such as 10 or 25%.")
    number = int(match.group(1))
    if match.group(2):
        return max(least, total * number // 100)
    if number < least:
        raise UsageError(option, f"{number} is too small", f"Give at least {least}.")
    return number


def check_line(option: str, text: Any) -> str:
    """Check a command line; it comes back as given."""
    value = check_code(option, text)
    if len(value) > LINE_LENGTH:
        raise UsageError(
            option,
            f"the command line has {len(value)} characters, and the API takes {LINE_LENGTH}",
            "Put it into a file, and give that as script.",
        )
    return value


def check_code(option: str, text: Any) -> str:
    """Check what a shell is to run, however long it is; it comes back as given."""
    value = str(text)
    if not value.strip():
        raise UsageError(option, "the command line is empty", "Give the line that is to run.")
    return check_no_nul(option, value, "the command line")


def check_environment(option: str, values: Mapping[str, Any] | None) -> dict[str, str]:
    """Check environment variables, without ever naming a value."""
    for number, (name, value) in enumerate((values or {}).items(), 1):
        if "=" in str(name):
            # What stands after it may be a secret.
            raise UsageError(option, f"the name of entry {number} has an =", "Give a dictionary, such as NAME: value.")
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", str(name)):
            raise UsageError(
                option, f"'{name}' is not a name of an environment variable", "Use letters, digits and underscores."
            )
        if not isinstance(value, str):
            raise UsageError(
                option,
                f"the value of {name} is not a string",
                "Put it in quotes: what the server gets must be unambiguous.",
            )
        check_no_nul(option, value, f"the value of {name}")
    return dict(values or {})


def check_limit(limit: int, what: str) -> int:
    """How many of something are listed at most; 0 for all of them.

    Raises:
        UsageError: it is negative.
    """
    if limit < 0:
        raise UsageError("limit", f"{limit} is negative", f"Give a number of {what}, or 0 for all of them.")
    return min(limit, sys.maxsize)


def check_output_limit(limit: int | None) -> int | None:
    """Check how many characters of the end of each output are kept; None for all of it."""
    if limit is not None and limit < 0:
        raise UsageError("output_limit", f"{limit} is negative", "Give a number of characters, or leave it out.")
    return limit


def check_purpose(option: str, text: str | None) -> str | None:
    """Check a purpose: absent, or 1 to 2000 characters that are not all blank."""
    if text is None:
        return None
    if not text.strip() or len(text) > PURPOSE_LENGTH:
        raise UsageError(
            option, f"it has {len(text)} characters", f"Give 1 to {PURPOSE_LENGTH} characters, or leave it out."
        )
    return text


def parse_boolean(option: str, value: Any, problem: str = "", remedy: str = "Give one of the two.") -> bool:
    """Read a word for true or false.

    Args:
        problem, remedy: what is said of a value that is neither, in place of the usual words.
    """
    try:
        return bool(boolean(value))
    except TypeError:
        raise UsageError(option, problem or f"'{value}' is neither true nor false", remedy) from None


def parse_number(value: Any) -> int | float | None:
    """A number, whole where it can be, or None where it is none."""
    try:
        read = float(str(value))
    except ValueError:
        return None
    if not math.isfinite(read):
        return None
    return int(read) if read == int(read) else read


def check_no_nul(option: str, text: str, what: str = "it") -> str:
    """Check a text that a shell or the system is to be given; it comes back as given."""
    if "\0" in text:
        raise UsageError(option, f"{what} has a NUL character", "Take it out.")
    return text


def check_credential(option: str, text: str) -> str:
    """Check a token or key, without ever showing it."""
    text = text.strip()
    if not is_valid_key(text):
        raise UsageError(
            option, f"it has a character that no {option} has", "Give the key alone, without quotes or 'token='."
        )
    return text
