# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The records that a run created, and their removal."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

COMMANDS, TOKENS = "/api/events/commands/", "/api/servers/registration-tokens/"
SERVERS, REGISTER = "/api/servers/servers/", "/api/servers/servers/register/"
#: The list of records that a POST to a path creates.
_LISTS = {COMMANDS: COMMANDS, TOKENS: TOKENS, REGISTER: SERVERS}
_ID = re.compile(r"[0-9A-Za-z-]{1,64}")
#: Seconds that a command which cannot be cancelled may still take.
_MAX_WAIT = 90
_ATTEMPTS = 6


class Created:
    """The paths of records, kept in a file, so that the next run removes what a killed run left.

    Attributes:
        paths: records that still exist, oldest first.
    """

    def __init__(self, file: Path, workspace: str) -> None:
        self._file = file
        self._workspace = workspace
        self._lock = threading.Lock()
        self.paths: list[str] = []
        if file.exists():
            stored = json.loads(file.read_text(encoding="utf-8"))
            self.paths = stored["paths"] if stored["workspace"] == workspace else []

    def note(self, method: str, path: str, status: int, content: bytes) -> None:
        """Read from an exchange which records exist."""
        if not 200 <= status < 300:
            return
        if method == "POST" and path in _LISTS:
            try:
                rows = json.loads(content)
            except (RecursionError, ValueError):
                return
            for row in rows if isinstance(rows, list) else [rows]:
                if isinstance(row, dict) and _ID.fullmatch(str(row.get("id"))):
                    self._change(add=f"{_LISTS[path]}{row['id']}/")
        elif method == "DELETE":
            self.forget(path.replace("/unregister/", "/"))

    def forget(self, path: str) -> None:
        self._change(remove=path)

    def _change(self, add: str = "", remove: str = "") -> None:
        with self._lock:
            self.paths = [path for path in self.paths if path != remove] + ([add] if add else [])
            if not self.paths:
                self._file.unlink(missing_ok=True)
                return
            self._file.parent.mkdir(parents=True, exist_ok=True)
            # A run that is killed leaves the old file or the new one.
            draft = self._file.with_suffix(".new")
            draft.write_text(json.dumps({"workspace": self._workspace, "paths": self.paths}), encoding="utf-8")
            draft.replace(self._file)


@dataclass
class Removal:
    """Numbers of removed records by kind, and a sentence for each that is left."""

    removed: dict[str, int] = field(default_factory=dict)
    left: list[str] = field(default_factory=list)


class Remover:
    """Removes records from a workspace, with requests of its own.

    Args:
        call: sends a request: method, path, JSON body or None.
    """

    def __init__(self, call: Callable[[str, str, Any], requests.Response], created: Created) -> None:
        self._call = call
        self._created = created
        self.result = Removal()

    def remove_all(self) -> Removal:
        """Cancel commands that wait, await those that run, delete registration tokens and servers."""
        running = []
        for path in list(self._created.paths):
            try:
                if not path.startswith(COMMANDS):
                    self._delete(path)
                elif not self._cancel(path):
                    running.append(path)
            except requests.RequestException as error:
                self.result.left.append(f"{path}: {type(error).__name__}")
        self._await(running)
        return self.result

    def remove_folder(self, servers: list[str], folder: str) -> None:
        """Remove a folder on these servers, given by ID."""
        for server in servers:
            body = {"server": server, "shell": "system", "line": f"rm -rf {folder}"}
            response = self._send("POST", COMMANDS, body)
            self._created.note("POST", COMMANDS, response.status_code, response.content)
            if not response.ok:
                self.result.left.append(f"{folder} on a server may be left: {response.status_code}")

    def _delete(self, path: str) -> None:
        response = self._send("DELETE", path)
        if response.ok or response.status_code == 404:
            self._done(path, "registration tokens" if path.startswith(TOKENS) else "servers")
        else:
            self.result.left.append(f"{path}: status {response.status_code}")

    def _cancel(self, path: str) -> bool:
        """Cancel a command; return False if it is running."""
        response = self._send("GET", path)
        row = response.json() if response.ok else {}
        if response.status_code == 404 or row.get("handled_at"):
            self._created.forget(path)
            return True
        state = row.get("status")
        cancellable = state.get("cancellable") if isinstance(state, dict) else row.get("cancellable")
        if cancellable is not False and not row.get("delivered_at") and self._send("DELETE", path).ok:
            self._done(path, "pending commands")
            return True
        return state in ("cancelled", "denied", "rejected", "expired")

    def _await(self, paths: list[str]) -> None:
        deadline = time.monotonic() + _MAX_WAIT
        for path in paths:
            while not self._cancel(path):
                if time.monotonic() > deadline:
                    self.result.left.append(f"{path}: it still runs")
                    break
                time.sleep(1)

    def _done(self, path: str, kind: str) -> None:
        self._created.forget(path)
        self.result.removed[kind] = self.result.removed.get(kind, 0) + 1

    def _send(self, method: str, path: str, body: Any = None) -> requests.Response:
        """Send a request, again if the workspace is busy or away; a POST only if it was refused."""
        for pause in _pauses():
            try:
                response = self._call(method, path, body)
            except requests.RequestException:
                if method == "POST":
                    raise
            else:
                if response.status_code != 429 and (response.status_code < 500 or method == "POST"):
                    return response
                pause = max(pause, _parse_seconds(response.headers.get("Retry-After")))
            time.sleep(pause)
        return self._call(method, path, body)


def _pauses() -> Iterator[float]:
    for attempt in range(_ATTEMPTS - 1):
        yield 0.5 * 2**attempt


def _parse_seconds(text: str | None) -> float:
    return min(float(text), 3600) if text and text.isdigit() else 0
