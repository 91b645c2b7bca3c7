# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""Text of servers, made fit to be shown: it is hostile until shown otherwise."""

from __future__ import annotations

import json
import re
from datetime import datetime, timezone
from typing import Any

#: Characters of a command's output that are shown; audit.json has what the audit kept.
OUTPUT_LIMIT = 2000

_ESCAPES = re.compile(
    r"\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)"  # a title or a link
    r"|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"  # a colour or a movement
    r"|\x1b[ -/]*[0-Z\\^-~]"
)
_UNSHOWN = re.compile(
    "["
    "\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f"
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # they turn the direction of what follows
    "\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff"
    + "".join(f"{chr(plane + 0xFFFE)}{chr(plane + 0xFFFF)}" for plane in range(0x10000, 0x110000, 0x10000))
    + "]"
)


def plain(value: Any) -> str:
    """Text without terminal escapes, and with a visible stand-in for each character that is not to be shown.

    What comes out is valid in XML 1.0 and HTML, and reads in the order in which it stands.
    """
    text = _ESCAPES.sub("", str(value)).replace("\r\n", "\n").replace("\r", "\n")
    return _UNSHOWN.sub(_stand_in, text)


def _stand_in(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "\u2421"
    if code < 0xA0 or 0xD800 <= code <= 0xDFFF or code & 0xFFFE == 0xFFFE or 0xFDD0 <= code <= 0xFDEF:
        return "\ufffd"
    return f"\u27e8U+{code:04X}\u27e9"


def output(value: Any) -> tuple[str, bool]:
    """The output of a command as it is shown, and whether only its beginning is."""
    text = str(value)
    return plain(text[:OUTPUT_LIMIT]).strip("\n"), len(text) > OUTPUT_LIMIT


def line(value: Any, limit: int = 300) -> str:
    """Text on one line, cut where it is longer than so many characters."""
    # What is cut off need not be made fit first.
    text = " ".join(plain(str(value)[: limit * 8]).split())
    return text if len(text) <= limit else f"{text[: limit - 1]}\u2026"


def moment(value: str | None) -> str:
    """A time of the report for people, to the minute."""
    at = parsed(value)
    return f"{at:%Y-%m-%d %H:%M} UTC" if at else line(value or "", 40)


def parsed(value: str | None) -> datetime | None:
    """A time of the report, in UTC."""
    try:
        # Python 3.10 does not read the Z.
        return datetime.fromisoformat((value or "").replace("Z", "+00:00")).astimezone(timezone.utc)
    except ValueError:
        return None


def duration(seconds: float) -> str:
    """A length of time in its two largest units."""
    whole = round(seconds)
    units = [(whole // 86400, "d"), (whole // 3600 % 24, "h"), (whole // 60 % 60, "min"), (whole % 60, "s")]
    return " ".join([f"{count} {unit}" for count, unit in units if count][:2]) or "0 s"


def counted(number: int, noun: str) -> str:
    """A number of things in words."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def inline(data: Any) -> str:
    """JSON that can stand in a script element: nothing in it ends the element or starts another."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text
