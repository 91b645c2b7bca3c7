# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write docs/benchmarks.md and its chart from the rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from xml.sax.saxutils import escape

import collection_tree
from benchmark.results import COLUMNS, Rows, machines
from benchmark.running import HERE
from benchmark.scenarios import EMPTY, GROUPS, ON_HOSTS, Scenario
from benchmark.targets import TARGETS

DOCS = collection_tree.ROOT / "docs"
SHOWN = {
    "fleet": ("requests_per_command", "cpu_ms", "cpu_ratio", "peak_mb", "wall_s"),
    "hosts": ("requests_per_command", "cpu_ms", "cpu_ratio", "wall_s", "wall_ratio"),
    "ssh": ("wall_s", "wall_ratio", "cpu_s", "cpu_ratio", "requests"),
    "batches": ("requests", "writes", "wall_s", "wall_ratio", "cpu_s", "cpu_ratio"),
    "files": ("wall_s", "wall_ratio", "cpu_s", "cpu_ratio", "requests", "writes"),
    "transfers": ("requests", "writes", "wall_s", "wall_ratio", "cpu_s", "peak_mb"),
    "verified": ("writes", "approvals", "uploads", "requests", "wall_s"),
    "tasks": ("requests", "requests_per_command", "cpu_s", "wall_s"),
    "lag": ("requests", "lag_s", "lag_share", "lag_share_max", "line_lag_s", "gap_s"),
    "work": ("requests", "wall_s", "wall_ratio", "cpu_s", "peak_mb", "page_mb", "history_mb"),
}
GOAL_HEADINGS = ("`ONLY=`", "", "Figure", "At most", "Measured", "Met")
PANELS = {"wall_ratio": "Time (ssh = 1)", "cpu_ratio": "CPU of the controller (ssh = 1)"}
COLOURS = dict(zip([variant.name for variant in ON_HOSTS[1:]], ("#2f6f9f", "#7fb2d8", "#d98c2b"), strict=True))
WIDTH, LEFT, TOP, BAR, STEP = 860, 150, 50, 15, 44
PANEL = (WIDTH - LEFT) // 2
# White behind all, so that it is legible on a dark page as well.
SVG = """\
<?xml version="1.0" encoding="UTF-8"?>
<!--
  Copyright: (c) 2026, herdops.alpacon contributors
  GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
  SPDX-License-Identifier: GPL-3.0-or-later
-->
<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" role="img"
     font-family="Helvetica, Arial, sans-serif" font-size="14" fill="#12202e">
  <title>Time and CPU of the connection plugin, compared with ssh</title>
  <rect width="{width}" height="{height}" rx="8" fill="#ffffff"/>
  {parts}
</svg>
"""


def write(rows: Rows) -> None:
    tables = {group: _table(scenarios, SHOWN[group], rows) for group, scenarios in GROUPS.items()}
    text = (
        (HERE / "page.md")
        .read_text(encoding="utf-8")
        .format(
            goals=_lines(GOAL_HEADINGS, [target.cells(rows) for target in TARGETS if target.value(rows) is not None]),
            machines=_machines(rows),
            **tables,
        )
    )
    (DOCS / "benchmarks.md").write_text(text, encoding="utf-8")
    (DOCS / "benchmarks.svg").write_text(_chart(GROUPS["ssh"], rows), encoding="utf-8")


def _table(scenarios: Sequence[Scenario], shown: Sequence[str], rows: Rows) -> str:
    names = [(scenario.name, variant.name) for scenario in scenarios for variant in scenario.variants]
    columns = [key for key in shown if any(key in rows.get(name, {}) for name in names)]
    lines = []
    numbers = machines(rows)
    for scenario in scenarios:
        for variant in scenario.variants:
            row = rows.get((scenario.name, variant.name))
            if row and variant != EMPTY:
                cells = [f"{row[key]:,.{COLUMNS[key][1]}f}" if key in row else "" for key in columns]
                what = [f"`{scenario.name}`", f"{scenario.title}: {variant.name}"]
                lines.append([*what, *cells, str(row["runs"]), row["date"], str(numbers.index(row["machine"]) + 1)])
    return _lines(("`ONLY=`", "", *(COLUMNS[key][0] for key in columns), "Runs", "Date", "Machine"), lines)


def _machines(rows: Rows) -> str:
    found = machines(rows)
    lines = [[str(number), *machine.values()] for number, machine in enumerate(found, 1)]
    return _lines(("Machine", *found[0]), lines)


def _lines(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    ruler = ["---" if heading in ("", "Figure") or "`" in heading else "--:" for heading in headings]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (headings, ruler, *rows))


def _chart(scenarios: Iterable[Scenario], rows: Rows) -> str:
    """Return an SVG: two panels of bars, for the ratios of time and CPU to those of ssh."""
    shown = [scenario for scenario in scenarios if (scenario.name, "ssh") in rows]
    ratios = {
        (scenario.name, name, column): rows.get((scenario.name, name), {}).get(column, 0.0)
        for scenario in shown
        for name in COLOURS
        for column in PANELS
    }
    scale = (PANEL - 60) / max([2.0, *ratios.values()])
    bottom = TOP + len(shown) * STEP
    parts = [
        _text(LEFT - 10, TOP + number * STEP + BAR + 5, scenario.title, 'text-anchor="end"')
        for number, scenario in enumerate(shown)
    ]
    for left, (column, title) in zip((LEFT, LEFT + PANEL), PANELS.items(), strict=True):
        parts.append(_text(left, 30, title, 'font-weight="bold"'))
        for number, scenario in enumerate(shown):
            for place, (name, colour) in enumerate(COLOURS.items()):
                ratio, top = ratios[scenario.name, name, column], TOP + number * STEP + place * BAR
                size = f'width="{ratio * scale:.0f}" height="{BAR - 1}"'
                parts.append(f'<rect x="{left}" y="{top}" {size} fill="{colour}"/>')
                parts.append(_text(left + ratio * scale + 5, top + 12, f"{ratio:.2f}", 'font-size="12"'))
        line = f"M {left + scale:.0f} {TOP - 6} V {bottom - 6}"
        parts.append(f'<path d="{line}" stroke="#12202e" stroke-width="1.5" stroke-dasharray="4 3"/>')
    for place, (name, colour) in enumerate(COLOURS.items()):
        left = LEFT + place * 240
        parts.append(f'<rect x="{left}" y="{bottom + 8}" width="{BAR}" height="{BAR}" fill="{colour}"/>')
        parts.append(_text(left + BAR + 8, bottom + 21, name))
    return SVG.format(width=WIDTH, height=bottom + 36, parts="\n  ".join(parts))


def _text(left: float, top: float, text: str, attributes: str = "") -> str:
    return f'<text x="{left:.0f}" y="{top:.0f}" {attributes}>{escape(text)}</text>'
