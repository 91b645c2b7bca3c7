# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands whose sudo a person decides on: denied at first, and granted to the next command that is the same."""

from __future__ import annotations

import base64
import re
import typing as t

from workspace import state
from workspace.models import Command

_PAYLOAD = re.compile(r"/bin/sh -c \$RUN \S+ sha256:([0-9a-f]{64})")
#: Decision of the control API -> the status of the grant.
DECISIONS = {"approve": "authorized", "reject": "rejected", "expire": "expired", "use": "used"}


def find_denial(command: Command) -> str | None:
    """Return what a command prints whose sudo is denied, and open a grant for it; None if it may run."""
    rule = _find_rule(command)
    if rule is None:
        return None
    same = {"server": command.server, "line": command.line, "username": command.username}
    granted = Command.objects.filter(sudo_grant_status="authorized", **same).first()
    if granted:
        granted.sudo_grant_status = "used"
        granted.save(update_fields=["sudo_grant_status"])
        return None
    command.sudo_grant_status = rule.get("status", "pending_approval")
    denial = f"Alpacon denied this sudo command ({rule.get('code', 'SUDO_APPROVAL_REQUIRED')}).\n"
    payload = _PAYLOAD.fullmatch(command.line)
    before = rule.get("output", "")
    if payload is None:
        return before + denial
    lines = base64.encodebytes(denial.encode()).decode()
    return f"[alpacon {payload[1]}]\n[stderr]\n{lines}{lines.count(chr(10))}\n[rc 1]\n[end]\n"


def strip(command: Command) -> str:
    """Return the line for an agent that has no sudo."""
    return command.line.removeprefix("sudo ") if _find_rule(command) is not None else command.line


def decide(command: Command, decision: str) -> None:
    command.sudo_grant_status = DECISIONS[decision]
    command.save(update_fields=["sudo_grant_status"])


def _find_rule(command: Command) -> dict[str, t.Any] | None:
    for rule in state.current.switches.sudo_holds:
        named = rule.get("servers", [command.server.name])
        if command.server.name in named and re.search(rule.get("line", "sudo"), command.line):
            return rule
    return None
