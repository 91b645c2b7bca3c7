# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""The report as one HTML file that needs nothing else: no network, and no scripts to be read."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from ..outcomes import SEVERITIES
from .html_content import (
    SHOWN_ANSWERS,
    SHOWN_SERVERS,
    Content,
    choices_in,
    curves_of,
    figures_of,
    shell_summary,
)
from .priorities import SHOWN_FIXES, fixes
from .text import OUTPUT_LIMIT, inline, line, moment, plain

_PAGE = Path(__file__).parent / "page"

#: Names that the trend shows of each kind.
_NAMED = 25


def render(report: Mapping[str, Any]) -> Iterator[str]:
    """The text of audit.html, in pieces."""
    to_fix = fixes(report)
    content = Content(report)
    report = content.report
    style, script = (_file(name) for name in ("report.css", "report.js"))
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(
        line=line, plain=plain, moment=moment, figure=_figure, change=_change, shell=shell_summary
    )
    groups, more_groups = content.by_group()
    yield from environment.from_string(_file("report.html.j2")).generate(
        report=report,
        trend=report.get("trend"),
        curves=curves_of(report.get("trend")),
        content=content,
        checks=sorted(content.checks, key=lambda check: check.rank),
        numbers={check["name"]: number for number, check in enumerate(report["checks"])},
        fixes=to_fix[:SHOWN_FIXES],
        more_fixes=max(0, len(to_fix) - SHOWN_FIXES),
        sets=content.by_set(),
        groups=groups,
        more_groups=more_groups,
        figures=figures_of(report),
        choices=choices_in(report),
        severities=SEVERITIES[::-1],
        output_limit=OUTPUT_LIMIT,
        named=_NAMED,
        shown_answers=SHOWN_ANSWERS,
        shown_servers=SHOWN_SERVERS,
        data=Markup(inline(content.data)),
        style=Markup(style),
        script=Markup(script),
        policy=_policy(style, script),
    )


def _file(name: str) -> str:
    return (_PAGE / name).read_text(encoding="utf-8")


def _figure(number: float) -> str:
    return f"{number:,}"


def _change(number: float) -> str:
    return f"{number:+,}".replace("-", "\N{MINUS SIGN}")


def _policy(style: str, script: str) -> str:
    """What the page may do: use its own style and script, and ask nobody for anything."""
    return (
        f"default-src 'none'; style-src '{_digest(style)}'; script-src '{_digest(script)}';"
        " base-uri 'none'; form-action 'none'"
    )


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
