# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Verified files: scripts whose exact bytes a person approves, and approvals that stand for some days."""

from __future__ import annotations

import datetime
import hashlib
import json
import shlex
import typing as t

from django.utils import timezone
from rest_framework import exceptions

from workspace import state
from workspace.dialects import Refusal
from workspace.models import Approval, Command, Server

MAX_BYTES = 65_536
#: The first agent that states that it runs verified files.
FIRST_VERSION = (2, 8, 3)
_ALONE = ("line", "data", "env")


def read_body(body: dict[str, t.Any]) -> tuple[dict[str, t.Any], dict[str, t.Any]]:
    """Return the body of an ordinary submit with the rendered line, and what the agent gets of the file."""
    for name in _ALONE:
        if name in body:
            raise Refusal(f"file_{name}_not_allowed")
    if "shell" in body:
        raise exceptions.ValidationError({"shell": ["It is not allowed with file."]})
    file = body["file"]
    if not isinstance(file, dict) or not isinstance(file.get("args", []), list):
        raise exceptions.ValidationError({"file": ["It is not an object with a list of arguments."]})
    path, interpreter = str(file.get("path", "")), str(file.get("interpreter", "/bin/bash"))
    if not (path.startswith("/") and interpreter.startswith("/")):
        raise Refusal("file_invalid_path")
    content = str(file.get("content", "")).encode()
    if not content:
        raise Refusal("file_empty_content")
    if len(content) > MAX_BYTES:
        raise Refusal("file_content_too_large")
    arguments = [str(argument) for argument in file.get("args", [])]
    line = shlex.join([interpreter, path, *arguments])
    if len(line) > state.current.switches.line_max:
        raise Refusal("file_line_too_long")
    _check_days(file.get("reuse_days"))
    others = {name: value for name, value in body.items() if name != "file"}
    digest = hashlib.sha256(content).hexdigest()
    return {**others, "line": line}, {"path": path, "interpreter": interpreter, "args": arguments, "sha256": digest}


def _check_days(days: t.Any) -> None:
    if days is not None and (not isinstance(days, int) or not 1 <= days <= 366):
        raise Refusal("file_invalid_reuse_days")
    if days is not None and days > state.current.switches.file_reuse_max:
        raise Refusal("file_reuse_exceeds_max")


def check(server: Server) -> None:
    if not state.current.switches.file_lane:
        raise Refusal("file_assessor_disabled")
    version = str(server.version or "0").removeprefix("v").split(".")
    numbers = tuple(int(part) if part.isdigit() else 0 for part in version)
    if numbers < FIRST_VERSION or server.platform == "windows":
        raise Refusal("file_unsupported_agent")


def hold(command: Command, now: datetime.datetime) -> None:
    """Hold a command for a person unless an approval of the same bytes, account, arguments and server stands."""
    if not state.current.switches.file_review:
        return
    if not Approval.objects.filter(server=command.server, digest=_digest(command), until__gt=now).exists():
        command.forced_status = "awaiting_approval"


def decide(command: Command, approve: bool, days: float = 0.0) -> None:
    """Approve or reject a held command; an approval may stand for some days."""
    if command.forced_status != "awaiting_approval":
        raise ValueError(f"{command.id} is not held")
    command.forced_status = "" if approve else "rejected"
    command.save(update_fields=["forced_status"])
    if approve and days:
        until = timezone.now() + datetime.timedelta(days=days)
        Approval.objects.create(server=command.server, digest=_digest(command), until=until)


def find_refusal(command: Command, exit_code: int | None, result: str | None) -> str | None:
    """Return the code with which an agent says that it did not run the file; None if it did."""
    code, colon, _why = (result or "").partition(": ")
    refused = command.shell == "file" and exit_code == 1 and colon and code.startswith("file_")
    return code if refused and code.replace("_", "").isalpha() else None


def _digest(command: Command) -> str:
    approved = [json.loads(command.data or "{}"), command.username, command.groupname]
    return hashlib.sha256(json.dumps(approved, sort_keys=True).encode()).hexdigest()
