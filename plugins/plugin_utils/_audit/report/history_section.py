# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Describe the history of findings, and compute the lines of its picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ....module_utils._api.records import parse_time
from ..scanners.results import FAILED, SEVERITIES
from . import text

#: The size of a picture, in units of its viewBox.
_WIDTH, _HEIGHT = 600, 120
#: Audits that ask less than this share of the questions of the largest one are not in the picture.
_LEAST_SHARE = 0.5


def describe_history(report: Mapping[str, Any]) -> list[str]:
    """Return lines on mended findings, the oldest finding and the time to mend; none without a history."""
    history = report.get("history")
    if not history:
        return []
    lines = [words for words in [_describe_mended(history)] if words]
    failed = [row for row in report["results"] if row["outcome"] == FAILED and row.get("failing_since")]
    oldest = min(failed, key=lambda row: str(row["failing_since"]), default=None)
    if oldest and history["previous"]:
        where = f"{text.to_line(oldest['check'], 80)} on {text.to_line(oldest['host'], 80)}"
        lines.append(f"Oldest finding: {where}, {describe_age(report, [oldest])}")
    times = history["time_to_mend"].get("all")
    if times:
        median, worst = (text.format_duration(times[f"{name}_seconds"]) for name in ("median", "worst"))
        lines.append(f"Time to mend: median {median}, worst {worst}, of {text.pluralize(times['count'], 'finding')}")
    return lines


def _describe_mended(history: Mapping[str, Any]) -> str:
    if not history["previous"]:
        return ""
    return f"Mended since {text.format_time(history['previous'])}: {text.pluralize(len(history['mended']), 'finding')}"


def describe_section(report: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the page shows of the history, as variables of its template."""
    history = report.get("history")
    return {
        "history": history,
        "history_lines": describe_history(report),
        "mended": [{**row, "reason": _describe_mending(row)} for row in history["mended"]] if history else [],
        "chart": draw_history(history) if history else None,
        "chart_size": (_WIDTH, _HEIGHT),
    }


def _describe_mending(row: Mapping[str, Any]) -> str:
    start, end = parse_time(row["failing_since"]), parse_time(row["mended"])
    took = f" ({text.format_duration((end - start).total_seconds())})" if start and end else ""
    return f"failed from {text.format_time(row['failing_since'])} to {text.format_time(row['mended'])}{took}"


def describe_age(report: Mapping[str, Any], results: Sequence[Mapping[str, Any]]) -> str:
    """Return the first failure of the oldest of these results and its age; empty if it is not known."""
    since = min((row["failing_since"] for row in results if row.get("failing_since")), default=None)
    start, now = parse_time(since), parse_time(report["finished_at"])
    if not start or not now:
        return ""
    age = max((now - start).total_seconds(), 0)
    return f"failing since {text.format_time(since)} ({text.format_duration(age)})"


def draw_history(history: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the lines of the score and of open findings by severity; None for fewer than two audits.

    Each line is the text of the attribute C(points) of an SVG polyline, and has a label with its first and last value.
    """
    runs = history["runs"]
    least = _LEAST_SHARE * max((run["questions"] for run in runs), default=0)
    points = [(run[key], run) for run in runs if run["questions"] >= least for key in ("time", "until")]
    times = [(time.timestamp(), run) for time, run in ((parse_time(value), run) for value, run in points) if time]
    if len({time for time, _run in times}) < 2:
        return None
    first, last = times[0][0], max(time for time, _run in times)
    most = max(*(count for _time, run in times for count in run["open"].values()), 1)

    def draw(shares: Sequence[float]) -> str:
        places = [(time - first) / (last - first) * _WIDTH for time, _run in times]
        return " ".join(f"{x:.1f},{_HEIGHT * (1 - share):.1f}" for x, share in zip(places, shares, strict=True))

    (_start, before), (_end, after) = times[0], times[-1]
    shown = [name for name in reversed(SEVERITIES) if any(run["open"][name] for _time, run in times)]
    return {
        "score": draw([run["score"] / 100 for _time, run in times]),
        "score_label": f"{before['score']:g}% to {after['score']:g}%",
        "open": [
            (
                name,
                draw([run["open"][name] / most for _time, run in times]),
                f"{name}: {before['open'][name]:,} to {after['open'][name]:,}",
            )
            for name in shown
        ],
        "most": most,
        "first": points[0][0],
        "last": points[-1][0],
        "hidden": sum(run["runs"] for run in runs if run["questions"] < least),
    }
