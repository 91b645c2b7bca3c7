# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Text of servers, made fit to be shown: it is hostile until shown otherwise."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from ..results import FAILED, OUTCOMES, PASS, format_age, is_reused_only

_ESCAPES = re.compile(
    r"\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)"  # a title or a link
    r"|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"  # a colour or a movement
    r"|\x1b[ -/]*[0-Z\\^-~]"
)
_INVISIBLE = re.compile(
    "["
    "\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f"
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # they turn the direction of what follows
    "\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff"
    + "".join(f"{chr(plane + 0xFFFE)}{chr(plane + 0xFFFF)}" for plane in range(0x10000, 0x110000, 0x10000))
    + "]"
)


def clean_text(value: Any) -> str:
    """Text without terminal escapes, and with a visible stand-in for each character that is not to be shown.

    What comes out is valid in XML 1.0 and HTML, and reads in the order in which it stands.
    """
    text = _ESCAPES.sub("", str(value)).replace("\r\n", "\n").replace("\r", "\n")
    return _INVISIBLE.sub(_substitute, text)


def _substitute(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "\u2421"
    if code < 0xA0 or 0xD800 <= code <= 0xDFFF or code & 0xFFFE == 0xFFFE or 0xFDD0 <= code <= 0xFDEF:
        return "\ufffd"
    return f"\u27e8U+{code:04X}\u27e9"


def to_line(value: Any, limit: int = 300) -> str:
    """Text on one line, cut where it is longer than so many characters."""
    # What is cut off need not be made fit first.
    text = " ".join(clean_text(str(value)[: limit * 8]).split())
    return text if len(text) <= limit else f"{text[: limit - 1]}\u2026"


def format_time(value: str | None) -> str:
    """Return a time of the report for people, to the minute."""
    at = parse_time(value)
    return f"{at:%Y-%m-%d %H:%M} UTC" if at else to_line(value or "", 40)


def parse_time(value: str | None) -> datetime | None:
    """Parse a time of the report, in UTC."""
    try:
        # Python 3.10 does not read the Z.
        return datetime.fromisoformat((value or "").replace("Z", "+00:00")).astimezone(timezone.utc)
    except ValueError:
        return None


def pluralize(number: int, noun: str) -> str:
    """Return a number of things in words."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def to_script_json(data: Any) -> str:
    """JSON that can stand in a script element: nothing in it ends the element or starts another."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def describe_unreached(server: Mapping[str, Any]) -> str:
    """Say why a server has no results, or nothing."""
    if server["reached"]:
        return ""
    reason = to_line(server["reason"])
    return f"Not reached: {reason}" if reason else "Not reached"


def describe_reuse(server: Mapping[str, Any]) -> str:
    """Say that only answers from before this audit count for a server, and why; nothing where others do."""
    words = f"Cannot be asked now, and only earlier answers count: {to_line(server['reason'])}"
    return words if is_reused_only(server) else ""


def group_unreached(report: Mapping[str, Any]) -> list[tuple[str, list[str]]]:
    """Return why servers were not asked now, with the ages of earlier answers; the most frequent reason first.

    Of a reason it is the first sentence.
    """
    reasons: dict[str, list[str]] = {}
    for server in report["servers"]:
        words = describe_unreached(server) or describe_reuse(server)
        # Check mode leaves servers open without a reason.
        if words and server["reason"]:
            host = f"{to_line(server['host'], 80)}{format_age(server)}"
            reasons.setdefault(words.partition(". ")[0].removesuffix("."), []).append(host)
    return sorted(reasons.items(), key=lambda pair: -len(pair[1]))


def join_first(names: Sequence[str], most: int) -> str:
    """Return the first of many names, and how many more there are."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def describe_outcomes(summary: Mapping[str, Any]) -> str:
    """Say how often each outcome came, and how bad is what failed."""
    by_severity = [f"{count:,} {name}" for name, count in summary["failed_by_severity"].items() if count]
    failed = f"{summary[FAILED]:,} failed" + (f" ({', '.join(by_severity)})" if by_severity else "")
    others = [name for name in OUTCOMES if name != FAILED and summary[name]]
    return ", ".join([failed, *(f"{summary[name]:,} {name.replace('_', ' ')}" for name in others)])


def describe_cost(summary: Mapping[str, Any]) -> str:
    """Say how many commands were run, and how many answers were reused."""
    return f"{pluralize(summary['commands'], 'command')} run, {pluralize(summary['reused'], 'answer')} reused"


def describe_waiver(waiver: Mapping[str, Any] | None) -> str:
    """Return a waiver in words."""
    if not waiver:
        return ""
    by = f" by {to_line(waiver['by'], 80)}" if waiver["by"] else ""
    until = f" until {to_line(waiver['until'], 40)}" if waiver["until"] else ""
    ended = " (expired)" if waiver["expired"] else ""
    return f"{to_line(waiver['reason'])}: waived{by}{until}{ended}"


def describe_result(result: Mapping[str, Any], limit: int = 300) -> str:
    """Say what was found, and the waiver; the message itself tells of one that has expired."""
    waiver = result["waiver"]
    words = (to_line(result["message"], limit), "" if waiver and waiver["expired"] else describe_waiver(waiver))
    return words[0] if not words[1] else ". ".join(filter(None, (words[0].removesuffix("."), words[1])))


def describe_verdict(report: Mapping[str, Any]) -> str:
    """Return the verdict for people: an audit that nothing may fail has judged nothing."""
    is_judged = report["verdict"] != PASS or report["fail_on"] is not None
    return str(report["verdict"] or "none") if is_judged else "not judged"


def fold_text(value: Any, limit: int = 160) -> tuple[str, str]:
    """Return the beginning of a text and, where that is not all, "and 54 more" of a list or an ellipsis."""
    text = to_line(value, 5000)
    if len(text) <= limit:
        return text, ""
    # Messages of many problems count what they leave out.
    told = re.search(r"And (\d+) more\.$", text)
    for separator, least in ((", ", 3), (". ", 1)):
        shown = text[: limit + 1].rpartition(separator)[0]
        more = text[len(shown) :].count(separator)
        if len(shown) > limit // 3 and more >= least:
            count = "" if text.endswith("\u2026") else f"{more + (int(told[1]) - 1 if told else 0):,} "
            return shown, f"and {count}more"
    return text[:limit].rpartition(" ")[0] or text[:limit], "\u2026"
