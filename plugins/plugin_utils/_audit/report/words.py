# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.
"""Sentences that several formats share: why a server has no results, what was found, and what is waived."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .text import line


def unasked_words(server: Mapping[str, Any]) -> str:
    """Why a server has no results, or nothing."""
    if server["reached"] and server["asked"]:
        return ""
    reason = line(server["reason"])
    kind = "Not reached" if server["asked"] else "Not asked"
    return f"{kind}: {reason}" if reason else kind


def waiver_words(waiver: Mapping[str, Any] | None) -> str:
    """A waiver in words."""
    if not waiver:
        return ""
    by = f" by {line(waiver['by'], 80)}" if waiver["by"] else ""
    until = f" until {line(waiver['until'], 40)}" if waiver["until"] else ""
    ended = " (expired)" if waiver["expired"] else ""
    return f"{line(waiver['reason'])}: waived{by}{until}{ended}"


def found_words(result: Mapping[str, Any], limit: int = 300) -> str:
    """What was found in one sentence, and the waiver; the message itself tells of one that has expired."""
    waiver = result["waiver"]
    words = (line(result["message"], limit), "" if waiver and waiver["expired"] else waiver_words(waiver))
    return words[0] if not words[1] else ". ".join(filter(None, (words[0].removesuffix("."), words[1])))
