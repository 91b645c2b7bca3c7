# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Find the cause of a failed task in its result."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ..module_utils._api.errors import clean_line

#: Search this many lines at the end of an output for a cause, and shorten texts to this many characters.
_MAX_LINES, _MAX_LENGTH = 1000, 300
#: Messages of ansible-core about the keyword ``timeout`` of a task.
TIMED_OUT = re.compile(r"Timed out after \d+ second|failed to execute in the expected time frame")
#: Messages of apt, dnf, zypper, ssh and sudo, root causes first.
_CAUSES = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"no space left|enough (free )?space|more space (needed )?on|disk quota exceeded|read-only file system",
        r"could not get lock|is locked by|failed to (obtain|acquire) .*lock",
        r"(is|has) (not valid yet|not yet valid|expired)|expkeysig|not live until|no binding signature at time",
        r"no_pubkey|no public key|badsig|not signed|signature verification failed|bad (gpg|pgp) signature",
        r"could ?n.?t resolve|temporary failure resolving|connection (refused|reset|timed out)|certificate verif",
        r"failed to fetch|status code: [45]\d\d",
        r"unable to locate package|version .* was not found|no match for argument|no package .* available",
        r"no provider of|nothing provides|unmet dependencies|conflicts with",
        r"host key verification failed|too many authentication failures|no route to host",
        r"not in the sudoers|password is required",
        r"permission denied|operation not permitted",
        TIMED_OUT.pattern,
    )
)


def find_failure_reason(result: Mapping[str, Any], task: str = "") -> list[str]:
    """Return the lines of the message of a failed task, with the cause in the first line.

    Args:
        task: name of the task, for messages that make no sense without it.
    """
    message = result.get("msg") or "It failed as shown above."
    lines = [str(line) for line in message] if isinstance(message, (list, tuple)) else str(message).splitlines()
    first, *others = lines or [""]
    cause = _find_cause(result)
    first = first if not cause or cause in first else f"{first} {cause}".strip()
    return [f"{task}: {first}" if task and TIMED_OUT.search(first) else first, *others]


def find_unreachable_reason(result: Mapping[str, Any]) -> str:
    # no_log hides the message of some tasks.
    return find_failure_reason(result)[0] if result.get("msg") else "The host became unreachable."


def _find_cause(result: Mapping[str, Any]) -> str:
    """Return the line of the cause, or else the last error line; empty if there is none."""
    lines = [shorten(line) for line in _list_lines(result)]
    for cause in _CAUSES:
        found = next((line for line in lines if cause.search(line)), "")
        if found:
            return found
    message = result.get("msg")
    text = result.get("stderr") or result.get("module_stderr") or (message if isinstance(message, str) else "")
    errors = _split_lines(text) or [""]
    # Programs name the reason last; the shell (126, 127) names it first.
    return shorten(errors[0 if result.get("rc") in (126, 127) else -1])


def _list_lines(result: Mapping[str, Any]) -> Iterator[str]:
    for name in ("stderr", "failures", "stdout", "msg", "module_stderr"):
        yield from _split_lines(result.get(name))
    for item in result.get("results") or ():
        if isinstance(item, Mapping) and item.get("failed"):
            yield from _list_lines(item)
        elif isinstance(item, str):
            yield from _split_lines(item)


def _split_lines(output: Any) -> list[str]:
    """Return the last lines of a text or a list, without empty ones."""
    text = "\n".join(map(str, output)) if isinstance(output, (list, tuple)) else str(output or "")
    return [line.strip() for line in text.splitlines()[-_MAX_LINES:] if line.strip()]


def shorten(value: Any) -> str:
    return "" if value is None else clean_line(value)[:_MAX_LENGTH]
