# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Find the cause of a failure in the output of a task."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import clean_line

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
    )
)
#: Only the last lines of an output are searched.
_LINES = 1000
_LENGTH = 300


def failure_reason(result: Mapping[str, Any]) -> list[str]:
    """Return the lines of the message of a failed task, with the cause in the first line."""
    said = result.get("msg") or "It failed as shown above."
    message = [str(line) for line in said] if isinstance(said, (list, tuple)) else str(said).splitlines()
    first, *others = message or [""]
    cause = _cause(result)
    return [first if not cause or cause in first else f"{first} {cause}".strip(), *others]


def _cause(result: Mapping[str, Any]) -> str:
    """Return the line that states the cause, or else the last error line; empty if there is none."""
    lines = [clean_line(line)[:_LENGTH] for line in _printed(result)]
    for cause in _CAUSES:
        found = next((line for line in lines if cause.search(line)), "")
        if found:
            return found
    said = result.get("msg")
    message = said if isinstance(said, str) else ""
    errors = _lines(result.get("stderr") or result.get("module_stderr") or message) or [""]
    # Programs name the reason last; the shell (126, 127) names it first.
    return clean_line(errors[0 if result.get("rc") in (126, 127) else -1])[:_LENGTH]


def _printed(result: Mapping[str, Any]) -> Iterator[str]:
    """Yield the output lines of a result and of its failed items."""
    for name in ("stderr", "failures", "stdout", "msg", "module_stderr"):
        yield from _lines(result.get(name))
    for item in result.get("results") or ():
        if isinstance(item, Mapping) and item.get("failed"):
            yield from _printed(item)
        elif isinstance(item, str):
            yield from _lines(item)


def _lines(said: Any) -> list[str]:
    """Return the last lines of a text or a list, without empty ones."""
    text = "\n".join(map(str, said)) if isinstance(said, (list, tuple)) else str(said or "")
    return [line.strip() for line in text.splitlines()[-_LINES:] if line.strip()]
