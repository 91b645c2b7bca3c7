# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rows of every dialect, and options of tasks."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.command import INTERNAL, SPEC
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.command_info import SPEC as INFO_SPEC

Row = dict[str, Any]
#: The options of alpacon_command, and what only the action plugin sets.
SHIPPED_SPEC: dict[str, Row] = {**SPEC, **{name: {"type": "str"} for name in INTERNAL}}

DIALECTS = ("current", "published", "2024")
TOKEN = "alpat-0123456789abcdef"
LIST = "/api/events/commands/"
SERVER = "7a50ea6c-2138-4d3f-9633-e50694c847c4"
OTHER_SERVER = "a7282bea-31d7-4b55-a43e-97e1240c90ab"
COMMAND = "550e8400-e29b-41d4-a716-446655440000"
NO_COMMAND = "00000000-0000-4000-8000-000000000000"
#: A time in the far future.
FAR = "2999-01-01T00:00:00Z"

#: The checkout, or the installed collection.
ROOT = Path(__file__).resolve().parents[2]
_CONTRACT = ROOT / "tests/workspace/contract"


def read_code_blocks(guide: str, language: str) -> list[str]:
    text = (ROOT / f"docs/docsite/rst/{guide}.rst").read_text(encoding="utf-8")
    found = re.findall(rf"\.\. code-block:: {language}\n\n((?:\n|    .*\n)+)", text)
    return [textwrap.dedent(block) for block in found]


def recordings() -> list[Any]:
    return [seen for path in _CONTRACT.glob("2024/*.json") for seen in json.loads(path.read_text(encoding="utf-8"))]


def recorded(name: str) -> Any:
    return next(seen["response"]["json"] for seen in recordings() if seen["name"] == name)


#: The example of the published page.
PUBLISHED_ROW: Row = json.loads((_CONTRACT / "published.json").read_text(encoding="utf-8"))


def current_row(**fields: Any) -> Row:
    return {
        "id": COMMAND,
        "shell": "system",
        "line": "uptime",
        "success": None,
        "exit_code": None,
        "error_phase": None,
        "result": None,
        "status": "queued",
        "cancellable": False,
        "response_delay": None,
        "elapsed_time": None,
        "added_at": "2026-11-24T10:30:44.000000Z",
        "scheduled_at": "2026-11-24T10:30:44.000000Z",
        "delivered_at": None,
        "acked_at": None,
        "handled_at": None,
        "server": {"id": SERVER, "name": "web-01", "os": "Debian 13", "is_connected": True},
        "username": "root",
        "groupname": "root",
        "requested_by": {"id": "9e2e4c06-8052-4d6b-92b7-9204081e4126", "name": "Bob Builder", "email": "b@example.com"},
        **fields,
    }


def old_row(text: str, cancellable: bool = False, message: str = "", **fields: Any) -> Row:
    return {
        "id": COMMAND,
        "shell": "system",
        "line": "uptime",
        "success": None,
        "result": None,
        "status": {"text": text, "color": "secondary", "cancellable": cancellable, "message": message},
        "response_delay": None,
        "elapsed_time": None,
        "added_at": "2026-11-24T10:30:44.000000Z",
        "server": SERVER,
        "server_name": "web-01",
        "username": "root",
        "groupname": "root",
        "requested_by": "9e2e4c06-8052-4d6b-92b7-9204081e4126",
        "requested_by_name": "Bob Builder",
        **fields,
    }


def page(rows: list[Any], following: Any = None, count: int | None = None) -> Row:
    """Return a page of a list; without `count`, only the last page states the number of rows."""
    if count is None and not following:
        count = len(rows)
    return {"count": count, "next": following, "previous": None, "results": rows}


def rows(first: int, last: int) -> list[Row]:
    return [{"id": number} for number in range(first, last)]


def command_options(**given: Any) -> Row:
    return _options(SHIPPED_SPEC, given)


def info_options(**given: Any) -> Row:
    return _options(INFO_SPEC, given)


def lookup_options(**given: Any) -> Row:
    defaults = {"line": None, "status": ["success"], "within": None, "want": "output", "default": None}
    return {**CONNECTION, **defaults, **given}


def _options(spec: Mapping[str, Any], given: Row) -> Row:
    unknown = set(given) - set(spec)
    assert not unknown, f"no such options: {unknown}"
    return {**{name: option.get("default") for name, option in spec.items()}, **CONNECTION, **given}


def option_specs(value: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(value, dict):
        for name, below in value.items():
            if isinstance(below, dict) and isinstance(below.get("type"), str):
                yield name, below
            yield from option_specs(below)
    elif isinstance(value, list):
        for below in value:
            yield from option_specs(below)


#: The connection settings of a task that reaches nothing.
CONNECTION: Row = {
    "url": "https://workspace.example",
    "token": TOKEN,
    "validate_certs": True,
    "ca_path": None,
    "request_timeout": 30,
    "requests_per_hour": 1000,
}
