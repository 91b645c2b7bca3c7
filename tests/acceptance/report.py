# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The report for maintainers, in Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from acceptance.comparison import Comparison, Difference
from acceptance.running import Run

_PATH_ID = re.compile(r"(?<=/)[^/ ]*\d[^/ ]*(?=/)")


def render(run: Run, comparison: Comparison | None, dialect: str) -> str:
    """Render the report; without a comparison, that of an interrupted run."""
    lines = ["# Acceptance", "", f"Targets: {run.passed} passed, {len(run.failed)} failed."]
    lines += [f"Failed: {name}" for name in run.failed]
    if comparison:
        routes, count = len(run.recording.routes), len(comparison.differences)
        lines += [f"{routes} routes compared with dialect {dialect} of the stand-in. Differences: {count}.", ""]
        lines += _list_differences(comparison.differences)
        if comparison.notes:
            lines += ["## Not compared", ""]
            lines += ["These depend on the data of the workspace, or on what was requested.", ""]
            lines += _list_differences(comparison.notes)
    else:
        lines += ["The run was interrupted.", ""]
    return "\n".join([*lines, *_describe_removal(run), ""])


def _list_differences(differences: Iterable[Difference]) -> Iterator[str]:
    lines = [_describe(difference) for difference in sorted(differences)]
    yield from [*lines, ""] if lines else []


def _describe(difference: Difference) -> str:
    place = [f"`{difference.route}`"]
    place += [str(difference.status)] if difference.status else []
    place += [f"`{difference.path}`"] if difference.path else []
    return f"- {' '.join(place)}: {difference.text}"


def _describe_removal(run: Run) -> Iterator[str]:
    yield "## Left behind"
    yield ""
    if run.lost_submits:
        yield f"- {run.lost_submits} requests got no response. Look for commands with `acceptance-` in their line."
    yield from (f"- {_PATH_ID.sub('{id}', sentence)}" for sentence in run.removal.left)
    if not run.lost_submits and not run.removal.left:
        yield "Nothing."
    for kind, count in sorted(run.removal.removed.items()):
        yield f"Removed at the end: {count} {kind}."
