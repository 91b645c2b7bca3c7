# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Parse and check the values of options; :class:`UsageError` names the option and the remedy."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.module_utils.parsing.convert_bool import boolean

from .._api.errors import UsageError, did_you_mean
from .._api.records import is_uuid, is_valid_key, normalize_uuid, parse_time
from .refusals import explain_refusal

LINE_LENGTH = 2048
_PURPOSE_LENGTH = 2000
#: In seconds. A date this far away can still be computed.
_LONGEST_DURATION = 100 * 366 * 86400
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)([wdhms])")
_UNITS = {"w": 604800, "d": 86400, "h": 3600, "m": 60, "s": 1}


def parse_duration(option: str, text: Any) -> float:
    """Parse a duration such as V(90), V(90s), V(10m) or V(1h30m) into seconds."""
    stripped = str(text).strip().lower()
    if re.fullmatch(r"\d+(\.\d+)?", stripped):
        stripped += "s"
    parts = _DURATION_PART.findall(stripped)
    if not parts or "".join(number + unit for number, unit in parts) != stripped:
        raise UsageError(
            option, f"'{text}' is not a duration", "Give seconds, or numbers with w, d, h, m or s, such as 1h30m."
        )
    seconds = sum(float(number) * _UNITS[unit] for number, unit in parts)
    if seconds > _LONGEST_DURATION:
        raise UsageError(option, f"{text!s:.40} is longer than a hundred years", "Give a shorter duration.")
    return seconds


def parse_timeout(option: str, text: Any, hint: str = "") -> float:
    """Parse a duration that is not zero; ``hint`` is a second remedy for zero."""
    seconds = parse_duration(option, text)
    if not seconds:
        raise UsageError(option, f"{text} is not a valid timeout", f"Give a duration such as 90s. {hint}".rstrip())
    return seconds


def parse_timestamp(option: str, text: Any) -> datetime:
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
    if re.match(r"\d{4}-", str(text).strip()):
        return parse_timestamp(option, text)
    return timedelta(seconds=parse_duration(option, text))


def version_key(version: str) -> tuple[Any, ...]:
    """Sort key for versions: 2.6.0-rc1, which packages write as 2.6.0~rc1, comes before 2.6.0."""
    release, _hyphen, early = version.replace("~", "-").partition("-")
    parts = [(int(part), "") if part.isdigit() else (-1, part) for part in re.findall(r"\d+|[a-z]+", early)]
    return tuple(int(part) for part in re.findall(r"\d+", release)), not early, tuple(parts)


def parse_uuid(option: str, text: Any) -> str:
    if not is_uuid(text):
        raise UsageError(
            option, f"'{text}' is not a UUID", "Give an id as the API shows it: 8-4-4-4-12 hexadecimal digits."
        )
    return normalize_uuid(text)


def split_list(value: Any) -> list[Any]:
    """Split a text at its commas, make a list of any other single value, and strip the elements."""
    items = value.split(",") if isinstance(value, str) else value if isinstance(value, (list, tuple)) else [value]
    return [item.strip() if isinstance(item, str) else item for item in items]


def parse_uuids(option: str, texts: Sequence[Any] | None) -> list[str]:
    return list(dict.fromkeys(parse_uuid(option, text) for text in texts or ()))


def parse_share(option: str, text: Any, total: int, least: int) -> int | None:
    """Parse a number, or a percentage of ``total`` (rounded down, at least ``least``)."""
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
    value = check_code(option, text)
    if len(value) > LINE_LENGTH:
        raise UsageError(
            option,
            f"the command line has {len(value)} characters, and the API takes {LINE_LENGTH}",
            "Put the line into a file, and give the file as script.",
        )
    return value


def check_code(option: str, text: Any) -> str:
    value = str(text)
    if not value.strip():
        raise UsageError(option, "the command line is empty", "Give the line to run.")
    return check_no_nul(option, value, "the command line")


def check_environment(option: str, values: Mapping[str, Any] | None) -> dict[str, str]:
    """Check environment variables; no message contains a value."""
    for number, (name, value) in enumerate((values or {}).items(), 1):
        if "=" in str(name):
            # The text after the = may be a secret.
            raise UsageError(option, f"the name of entry {number} has an =", "Give a dictionary, such as NAME: value.")
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", str(name)):
            raise UsageError(
                option, f"'{name}' is not a name of an environment variable", "Use letters, digits and underscores."
            )
        if not isinstance(value, str):
            raise UsageError(option, f"the value of {name} is not a string", "Put the value in quotes.")
        check_no_nul(option, value, f"the value of {name}")
    return dict(values or {})


def check_limit(limit: int, objects: str) -> int:
    if limit < 0:
        raise UsageError("limit", f"{limit} is negative", f"Give a number of {objects}, or 0 for all of them.")
    return min(limit, sys.maxsize)


def check_output_limit(limit: int | None) -> int | None:
    if limit is not None and limit < 0:
        raise UsageError("output_limit", f"{limit} is negative", "Give a number of characters, or leave it out.")
    return limit


def check_purpose(option: str, text: str | None) -> str | None:
    if text is None:
        return None
    if not text.strip() or len(text) > _PURPOSE_LENGTH:
        raise UsageError(
            option, f"it has {len(text)} characters", f"Give 1 to {_PURPOSE_LENGTH} characters, or leave it out."
        )
    return text


def parse_boolean(option: str, value: Any, prefix: str = "") -> bool:
    """Parse a boolean as Ansible does; ``prefix`` begins the problem in the error."""
    try:
        return bool(boolean(value))
    except TypeError:
        raise UsageError(option, f"{prefix}'{value}' is not a boolean", "Give true or false.") from None


def parse_number(value: Any) -> int | float | None:
    """Parse a finite number, as int if it is whole; return None for other text."""
    try:
        number = float(str(value))
        return int(number) if number == int(number) else number
    except (ValueError, OverflowError):  # OverflowError: infinite
        return None


def check_no_nul(option: str, text: str, subject: str = "it") -> str:
    if "\0" in text:
        raise UsageError(option, f"{subject} has a NUL character", "Remove that character.")
    return text


def check_account(option: str, name: Any) -> str | None:
    """Check the name of an account or group; return None if it is empty."""
    if name in (None, ""):
        return None
    account = str(name)
    if account != account.strip():
        raise UsageError(
            option, f"'{account}' begins or ends with a blank, which workspaces remove", "Remove it from the name."
        )
    return account


def check_credential(option: str, text: str) -> str:
    """Check a token or key and return it stripped; no message contains it."""
    text, problem = text.strip(), ""
    if not is_valid_key(text):
        problem = f"it has a character that a {option} cannot have"
    elif re.match(rf"\$ANSIBLE_VAULT|<.*>$|{{{{|{option}=", text):
        problem = f"it is a template, a placeholder, an encrypted text or an assignment, not a {option}"
    if problem:
        raise UsageError(option, problem, f"Give the {option} alone, without quotes or '{option}='.")
    return text


def validate_dictionary(option: str, spec: dict[str, Any], value: Any, **rules: Any) -> dict[str, Any]:
    """Validate a value of an option by Ansible's argument spec.

    Args:
        rules: Rules of the spec, such as C(required_if).

    Raises:
        UsageError: The value is not a dictionary, or Ansible refuses it.
    """
    if not isinstance(value, Mapping):
        raise UsageError(option, "it is not a dictionary", f"Give one, with some of {', '.join(spec)}.")
    for key in value:
        if key not in spec:
            remedy = did_you_mean(str(key), spec, f"It may have: {', '.join(spec)}.")
            raise UsageError(f"{option}: {key}", "there is no such key", remedy)
        if isinstance(value[key], float) and math.isinf(value[key]):
            raise UsageError(f"{option}: {key}", "it is infinite", "Give a finite number.")
    result = ArgumentSpecValidator(spec, **rules).validate(dict(value))
    if result.error_messages:
        explained = explain_refusal(spec, rules, value)
        if explained:
            raise UsageError(f"{option}: {explained.option}", explained.problem, explained.remedy)
        raise UsageError(option, result.error_messages[0])
    options: dict[str, Any] = result.validated_parameters
    return options
