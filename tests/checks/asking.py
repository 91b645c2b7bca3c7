# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ask a shipped check on a system, and judge its answer."""

from __future__ import annotations

import shlex
from typing import Any

from checks import throwaway


def ask(check: dict[str, Any], system: str, prepare: str, user: str, parameters: dict[str, Any]) -> tuple[str, str]:
    """The outcome of a check on a fresh system, and what it wrote."""
    values = {**check.get("parameters", {}), **parameters}
    assignments = "".join(f"{name}={shlex.quote(_text(value))}\n" for name, value in values.items())
    body = f"{assignments}{check['functions']}{check['line']}"
    if "applies_if" in check:
        condition = f"( {check['applies_if']}\n) </dev/null"
        body = f"{condition} || {{ echo 'not applicable: applies_if'; exit; }}\n{body}"
    output = throwaway.run(system, prepare, body, user)
    return _judge(output.splitlines()), output


def _text(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def _judge(lines: list[str]) -> str:
    for start, outcome in (("problem: ", "failed"), ("unknown: ", "unknown"), ("not applicable: ", "not_applicable")):
        if any(line.startswith(start) for line in lines):
            return outcome
    return "passed" if lines and lines[-1] == "done" else "unknown"
