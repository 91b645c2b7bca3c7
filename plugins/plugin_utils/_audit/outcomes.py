# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""What may come of a check, and how bad that is."""

from __future__ import annotations

PASSED, FAILED, UNKNOWN, NOT_APPLICABLE, WAIVED = OUTCOMES = ("passed", "failed", "unknown", "not_applicable", "waived")

#: Outcomes that somebody has to do something about.
FINDINGS = (FAILED, UNKNOWN)
#: Outcomes that answer the question.
ANSWERS = (PASSED, FAILED, NOT_APPLICABLE, WAIVED)

#: From the least to the worst.
SEVERITIES = ("info", "low", "medium", "high", "critical")

#: What a check of each severity counts in a score.
WEIGHTS = {"info": 0, "low": 1, "medium": 3, "high": 6, "critical": 10}


def is_at_least(severity: str, bound: str) -> bool:
    """Whether a severity is as bad as another, or worse."""
    return SEVERITIES.index(severity) >= SEVERITIES.index(bound)
