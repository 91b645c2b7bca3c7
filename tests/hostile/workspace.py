# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A workspace in this process that is honest but for one kind of response."""

from __future__ import annotations

import base64
import re
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import formatdate
from typing import Any

from system.support import HANG_UP, FakeClock, Request, Response, ScriptedServer

from ansible_collections.herdops.alpacon.plugins.module_utils._payload.packing import parse_digest
from ansible_collections.herdops.alpacon.tests.unit.support import LIST, Row, current_row, page

SERVERS = "/api/servers/servers/"
WHOAMI, MYSELF = "/api/auth/whoami/", "/api/iam/users/-/"
#: Server IDs by name. A case changes the responses about the second server.
NAMES = {name: f"{number}a50ea6c-2138-4d3f-9633-e50694c847c4" for number, name in enumerate(("a", "b", "c"), start=1)}
VICTIM = NAMES["b"]

#: The response that a case changes: to the victim's submit, its row in lists, its detail, or its row among servers or
#: in what they reported.
SUBMIT, LISTED, DETAIL, SERVER, FACTS = PLACES = ("submit", "list", "detail", "servers", "facts")


@dataclass(frozen=True)
class Case:
    """A hostile response.

    Attributes:
        place: one of :data:`PLACES`.
        row: changes the row of the victim.
        page: changes the page of a list.
        response: replaces the response, after the request was handled.
        headers: replaces headers of all responses.
    """

    name: str
    place: str
    row: Callable[[Row], Any] = lambda row: row
    page: Callable[[Row], Any] = lambda page: page
    response: Response | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


class HostileWorkspace:
    """A workspace with three servers. Commands succeed at the first poll."""

    def __init__(self, clock: FakeClock) -> None:
        self.requests: list[Request] = []
        self.commands: dict[str, Row] = {}
        self._case = Case("honest", "")
        self._clock = clock
        self._lock = threading.Lock()
        self.server = ScriptedServer(self._answer)

    def start_case(self, case: Case) -> None:
        self._case = case
        self._clock.rewind()
        self.requests.clear()
        self.commands.clear()

    def add_commands(self, status: str = "scheduled") -> dict[str, str]:
        """Create a command on each server and return their IDs by server ID."""
        for server_id in NAMES.values():
            self._make({"server": server_id, "line": "uptime"}, status)
        return self.ids

    @property
    def ids(self) -> dict[str, str]:
        return {row["server"]["id"]: command_id for command_id, row in self.commands.items()}

    @property
    def submits(self) -> Counter[str]:
        sent = [request for request in self.requests if request.method == "POST"]
        return Counter(_get_target(request) or request.body["server"] for request in sent)

    def unexpected_requests(self) -> list[str]:
        known = "|".join(self.commands) or "none"
        expected = (
            ("GET", f"{LIST}(({known})/(chunks/)?)?"),
            ("GET", f"{SERVERS}(({'|'.join(NAMES.values())})/)?"),
            ("GET", "/api/iam/groups/"),
            ("GET", f"{WHOAMI}|{MYSELF}"),
            ("GET", "/api/(proc/(os|users)|metrics/latest)/"),
            ("POST", f"{LIST}|{SERVERS}({'|'.join(NAMES.values())})/actions/"),
            ("DELETE", f"{LIST}({known})/"),
        )
        return [
            f"{request.method} {request.path}"
            for request in self.requests
            if not any(request.method == method and re.fullmatch(path, request.path) for method, path in expected)
        ]

    def _answer(self, request: Request) -> Response:
        with self._lock:
            self.requests.append(request)
            response = self._respond(request)
        if response is HANG_UP:
            return response
        date = formatdate(self._clock.time(), usegmt=True)
        return replace(response, headers={"Date": date, **self._case.headers, **response.headers})

    def _respond(self, request: Request) -> Response:
        case = self._case
        if request.method == "POST":
            acted = {"server": _get_target(request), "line": request.body.get("action")}
            row = self._make(request.body if request.path == LIST else acted, None)
            return self._apply_case(row, Response([row], 201), SUBMIT, lambda changed: Response([changed], 201))
        if request.path == LIST:
            for row in self.commands.values():
                self._execute(row)
            rows = [
                row
                for row in reversed(self.commands.values())
                if request.query.get("server") in (None, row["server"]["id"])
            ]
            if case.place == LISTED and case.response:
                return case.response
            shown = page([self._shown(row) for row in rows if case.place != DETAIL or row["server"]["id"] != VICTIM])
            return Response(case.page(shown) if case.place == LISTED else shown)
        if request.path.startswith((SERVERS, "/api/proc/", "/api/metrics/")):
            return self._respond_about_servers(request)
        if request.path == WHOAMI:
            return Response({"principal_type": "user"})
        if request.path == MYSELF:
            return Response(current_row()["requested_by"])
        row = self.commands.get(request.path.removeprefix(LIST).rstrip("/"), {})
        if not row:
            return Response(page([])) if request.path.endswith("/chunks/") else Response({"detail": "Not found."}, 404)
        if request.method == "DELETE":
            row.update(status="cancelled")
            return Response(status=204)
        self._execute(row)
        return self._apply_case(row, Response(row), DETAIL, Response)

    def _respond_about_servers(self, request: Request) -> Response:
        if not request.path.startswith(SERVERS):
            return self._respond_about_facts(request)
        rows = [
            {"id": own, "name": name, "is_connected": True, "groups": [], "version": f"2.{5 + self.submits[own]}.0"}
            for name, own in NAMES.items()
        ]
        if request.path != SERVERS:
            return Response(next((row for row in rows if str(row["id"]) in request.path), None))
        if self._case.place == SERVER and self._case.response:
            return self._case.response
        listed = page([self._case.row(row) if self._changes(row["id"], SERVER) else row for row in rows])
        return Response(self._case.page(listed) if self._case.place == SERVER else listed)

    def _respond_about_facts(self, request: Request) -> Response:
        if self._case.place == FACTS and self._case.response:
            return self._case.response
        rows: list[Row] = [
            {"id": own, "server": {"id": own, "name": name}, "name": f"of {name}", "added_at": self._now()}
            for name, own in NAMES.items()
            if request.query.get("server") in (None, own) and request.query.get("search") in (None, name)
        ]
        if request.path.startswith("/api/metrics/"):
            rows = [{"id": row["id"], "name": row["server"]["name"], "cpu": {"name": row["name"]}} for row in rows]
        listed = page([self._case.row(row) if self._changes(row["id"], FACTS) else row for row in rows])
        return Response(self._case.page(listed) if self._case.place == FACTS else listed)

    def _changes(self, server_id: Any, place: str) -> bool:
        return server_id == VICTIM and self._case.place == place

    def _apply_case(self, row: Row, honest: Response, place: str, wrap: Callable[[Any], Response]) -> Response:
        if not self._changes(row["server"]["id"], place):
            return honest
        return self._case.response or wrap(self._case.row(row))

    def _shown(self, row: Row) -> Any:
        return self._case.row(row) if self._changes(row["server"]["id"], LISTED) else row

    def _make(self, body: Row, status: str | None) -> Row:
        now = self._now()
        name = next(name for name, own in NAMES.items() if own == body["server"])
        row = current_row(id=str(uuid.uuid4()), line=body["line"], added_at=now, scheduled_at=now)
        row.update(server={"id": body["server"], "name": name}, status=status or "queued", result=None)
        if status:
            row.update(scheduled_at="2999-01-01T00:00:00Z", cancellable=True)
        self.commands[row["id"]] = row
        return row

    def _execute(self, row: Row) -> None:
        if row["status"] == "queued":
            now = self._now()
            row.update(status="success", success=True, exit_code=0, result=_result(row))
            row.update(delivered_at=now, acked_at=now, handled_at=now, elapsed_time=0.1, response_delay=0.1)

    def _now(self) -> str:
        return datetime.fromtimestamp(self._clock.time(), UTC).isoformat().replace("+00:00", "Z")


def _get_target(request: Request) -> str:
    """Return the server of an action; empty for other requests."""
    found = re.fullmatch(f"{SERVERS}([^/]+)/actions/", request.path)
    return found[1] if found else ""


def frame(digest: str, stdout: str, stderr: str, rc: str = "rc 0") -> str:
    out, err = (base64.encodebytes(text.encode()).decode() for text in (stdout, stderr))
    return f"[alpacon {digest}]\n{out}{out.count(chr(10))}\n[stderr]\n{err}{err.count(chr(10))}\n[{rc}]\n[end]\n"


def _result(row: Row) -> str:
    name, digest = row["server"]["name"], parse_digest(row["line"])
    return frame(digest, f"out of {name}", f"err of {name}") if digest else f"out of {name}"
