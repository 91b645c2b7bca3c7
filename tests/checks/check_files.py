# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The checks of the role audit, and the system states that they have to tell apart."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import yaml

from checks.systems import SYSTEMS

_ROOT = Path(__file__).parents[2]
_LIBRARY = _ROOT / "roles/audit/files/checks"
_STATES = Path(__file__).parent / "states"
#: The system for a state that names none.
_DEFAULT_SYSTEMS = ("debian12", "debian13")


@dataclasses.dataclass(frozen=True)
class State:
    """A state of a system and the expected outcome of a check.

    Attributes:
        prepare: shell code that root runs on the fresh system.
        booted: systemd runs before the check is asked.
        message: a part of a message.
    """

    check: str
    name: str
    system: str
    user: str
    prepare: str
    parameters: dict[str, Any]
    outcome: str
    booted: bool
    message: str

    def __str__(self) -> str:
        return f"{self.check}: {self.name} ({self.system}{', not root' if self.user != 'root' else ''})"


def sets() -> dict[str, dict[str, Any]]:
    return {path.stem: yaml.safe_load(path.read_text(encoding="utf-8")) for path in sorted(_LIBRARY.glob("*.yml"))}


def state_rows() -> dict[str, list[dict[str, Any]]]:
    rows: dict[str, list[dict[str, Any]]] = {}
    for path in sorted(_STATES.glob("*.yml")):
        for entry in yaml.safe_load(path.read_text(encoding="utf-8")):
            rows.setdefault(entry["check"], []).extend(
                {"setup": entry.get("setup", ""), **row} for row in entry["states"]
            )
    return rows


def states() -> list[State]:
    return [
        State(
            check,
            row["name"],
            system,
            row.get("user", "root"),
            f"{row['setup']}\n{row.get('prepare', '')}",
            row.get("parameters", {}),
            row["outcome"],
            row.get("booted", False),
            row.get("message", ""),
        )
        for check, rows in state_rows().items()
        for row in rows
        for system in row.get("systems", SYSTEMS if row.get("everywhere") else _DEFAULT_SYSTEMS)
    ]


def first(outcome: str) -> list[State]:
    """Return the first state with this outcome that each check has on Debian."""
    found = [state for state in states() if state.outcome == outcome and state.system == "debian12"]
    return list({state.check: state for state in reversed(found)}.values())
