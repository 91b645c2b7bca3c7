# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Client for the control API: starts and controls a stand-in workspace. Needs only `requests`."""

from __future__ import annotations

import json
import select
import subprocess
import sys
import time
import typing as t
from pathlib import Path

import requests

Row = dict[str, t.Any]

DialectName = t.Literal["current", "published", "2024"]

_PROGRAM = Path(__file__).resolve().parent


class WorkspaceError(Exception):
    """The workspace did not start, or refused a control request."""


class Control:
    """The control API of a running workspace."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._session = requests.Session()
        self._session.trust_env = False

    def call(self, method: str, path: str, body: t.Any = None, **query: t.Any) -> t.Any:
        address = f"{self.url}/_control/{path}"
        response = self._session.request(method, address, json=body, params=query, timeout=120)
        if not response.ok:
            raise WorkspaceError(f"{method} {path}: {response.status_code} {response.text[:500]}")
        return response.json()

    def state(self) -> Row:
        return t.cast(Row, self.call("GET", "state/"))

    def tokens(self) -> dict[str, str]:
        """Return keys by name: admin, bob, carol, service, noacl."""
        return t.cast("dict[str, str]", self.state()["tokens"])

    def server_ids(self) -> dict[str, str]:
        return {server["name"]: server["id"] for server in self.state()["servers"]}

    def reset(self) -> None:
        self.call("POST", "reset/")

    def settings(self, **switches: t.Any) -> Row:
        return t.cast(Row, self.call("POST", "settings/", switches))

    # what clients did

    def counters(self) -> Row:
        return t.cast(Row, self.call("GET", "counters/"))

    def reset_counters(self) -> None:
        self.call("POST", "counters/reset/")

    def requests_made(self) -> int:
        return int(self.counters()["requests"])

    def log(self, last: int = 1000) -> list[Row]:
        return t.cast("list[Row]", self.call("GET", "log/", last=last))

    def drop_events(self) -> int:
        """Close the websockets of clients; return their number."""
        return int(self.call("POST", "events/drop/"))

    def send_event(self, text: str) -> None:
        """Send a frame to the websockets of clients."""
        self.call("POST", "events/send/", text)

    # commands

    def commands(self, **query: str) -> list[Row]:
        """Return the stored commands, oldest first; filter by server, line or id."""
        return t.cast("list[Row]", self.call("GET", "commands/", **query))

    def transfers(self) -> list[Row]:
        """Return the file transfers, oldest first."""
        return t.cast("list[Row]", self.call("GET", "transfers/"))

    def storage(self) -> Row:
        """Return the URL of the object storage and the log of its requests."""
        return t.cast(Row, self.call("GET", "storage/"))

    def add_commands(self, rows: list[Row]) -> list[str]:
        return t.cast("list[str]", self.call("POST", "commands/", rows))

    def add_many_commands(self, count: int, **template: t.Any) -> list[str]:
        return t.cast("list[str]", self.call("POST", "commands/", {"count": count, "template": template}))

    def change_command(self, command_id: str, **fields: t.Any) -> Row:
        return t.cast(Row, self.call("PATCH", f"commands/{command_id}/", fields))

    def delete_command(self, command_id: str) -> None:
        self.call("DELETE", f"commands/{command_id}/")

    def wait_for_command(self, command_id: str, *statuses: str, timeout: float = 60) -> Row:
        """Wait until a command has one of these statuses (by default a finished one), and return it."""
        wanted = statuses or ("success", "failed")
        return self._until(
            lambda: next((row for row in self.commands(id=command_id) if row["status"] in wanted), None),
            f"command {command_id} has not become {' or '.join(wanted)}",
            timeout,
        )

    # servers, users, tokens

    def add_servers(self, *names: str, **fields: t.Any) -> list[Row]:
        return t.cast("list[Row]", self.call("POST", "servers/", {"names": list(names), **fields}))

    def change_server(self, name: str, **fields: t.Any) -> None:
        self.call("PATCH", f"servers/{name}/", fields)

    def decide(self, command_id: str, decision: str, **fields: t.Any) -> None:
        """Approve or reject a held verified file, with `days` so that the approval stands, or decide on a sudo."""
        self.call("POST", f"commands/{command_id}/{decision}/", fields)

    def remove_server(self, name: str) -> None:
        self.call("DELETE", f"servers/{name}/")

    def disconnect(self, name: str) -> None:
        self.call("POST", f"servers/{name}/disconnect/")

    def connect(self, name: str, timeout: float = 60) -> None:
        self.call("POST", f"servers/{name}/connect/")
        self.wait_connected(name, timeout=timeout)

    def wait_connected(self, *names: str, timeout: float = 60) -> None:
        def connected() -> bool:
            servers = {server["name"]: server["is_connected"] for server in self.state()["servers"]}
            return all(servers[name] for name in names)

        self._until(connected, f"{', '.join(names)} did not connect", timeout)

    def add_user(self, username: str, **fields: t.Any) -> str:
        """Create or replace a user, and return the key of its token."""
        return str(self.call("POST", "users/", {"username": username, **fields})[username])

    def add_token(self, name: str, user: str | None, **fields: t.Any) -> str:
        return str(self.call("POST", "tokens/", {"name": name, "user": user, **fields})[name])

    def add_group(self, name: str, **fields: t.Any) -> str:
        return str(self.call("POST", "groups/", {"name": name, **fields})[name])

    # registration

    def add_registration_token(self, name: str = "fleet", **fields: t.Any) -> Row:
        """Create a registration token: `groups` by name, `expires_at` in seconds from now or ISO 8601."""
        return t.cast(Row, self.call("POST", "registration-tokens/", {"name": name, **fields}))

    def registration_tokens(self) -> list[Row]:
        return t.cast("list[Row]", self.call("GET", "registration-tokens/"))

    def registered(self, name: str = "") -> list[Row]:
        """Return the servers that registered, by default all."""
        servers = [server for server in self.state()["servers"] if server["registered_with"]]
        return [server for server in servers if not name or server["name"].rpartition("-")[0] == name]

    # faults

    def fault(self, kind: str, **details: t.Any) -> None:
        self.call("POST", "faults/", {"kind": kind, **details})

    def lose_database(self, interrupted: t.Sequence[str] = (), **details: t.Any) -> None:
        """Answer every request as a workspace of 2024 does without its database.

        `interrupted` are kinds of faults, with status 500, for the requests that are handled when it goes away.
        """
        for kind in interrupted:
            self.fault(kind, status=500, times=1, after=details.get("after", 0))
        body = json.dumps({"detail": "Authentication credentials were not provided."})
        for agents in (False, True):
            self.fault("status", status=403, body=body, agents=agents, **details)

    def faults(self) -> list[Row]:
        return t.cast("list[Row]", self.call("GET", "faults/"))

    def clear_faults(self) -> None:
        self.call("DELETE", "faults/")

    def _until(self, found: t.Callable[[], t.Any], complaint: str, timeout: float) -> t.Any:
        deadline = time.monotonic() + timeout
        while not (value := found()):
            if time.monotonic() > deadline:
                raise WorkspaceError(f"{complaint} within {timeout:g} s")
            time.sleep(0.03)
        return value


class Workspace(Control):
    """A workspace process; a context manager."""

    def __init__(
        self,
        dialect: DialectName = "current",
        servers: int | t.Sequence[str] = 3,
        agents: bool = True,
        tick: float = 0.2,
        port: int = 0,
        host: str = "127.0.0.1",
        tls: tuple[Path, Path] | None = None,
        ca: Path | None = None,
        python: str = sys.executable,
    ) -> None:
        """Prepare a workspace: `tls` is a certificate and its key, `ca` verifies it.

        `python` is an interpreter that has the workspace's libraries, where this one has not.
        """
        super().__init__("")
        self.dialect = dialect
        self.token = ""
        self._arguments = ["--dialect", dialect, "--tick", str(tick), "--port", str(port)]
        self._arguments += ["--host", host]
        if tls is not None:
            self._arguments += ["--tls", *map(str, tls)]
        if ca is not None:
            self._session.verify = str(ca)
        self._arguments += ["--agents" if agents else "--no-agents", "--exit-with-parent"]
        if isinstance(servers, int):
            self._arguments += ["--servers", str(servers)]
        else:
            self._arguments += ["--servers", "0", *(f"--server={name}" for name in servers)]
        self._python = python
        self._process: subprocess.Popen[str] | None = None

    def start(self, timeout: float = 60) -> t.Self:
        self._process = subprocess.Popen(
            [self._python, str(_PROGRAM), *self._arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        readable, _writable, _failed = select.select([self._process.stdout], [], [], timeout)
        announced = self._process.stdout.readline() if readable else ""
        if not announced:
            self.stop()
            raise WorkspaceError("the workspace did not start")
        ready = json.loads(announced)
        self.url, self.token = ready["url"], ready["token"]
        return self

    def stop(self) -> None:
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._process = None
        self._session.close()

    def __enter__(self) -> t.Self:
        return self.start()

    def __exit__(self, *exception: object) -> None:
        self.stop()

    # the API itself, for tests that speak it by hand

    def api(self, method: str, path: str, token: str | None = None, **options: t.Any) -> requests.Response:
        headers = {"Authorization": f'token="{token or self.token}"', **options.pop("headers", {})}
        address = path if path.startswith("http") else f"{self.url}/api/{path}"
        return self._session.request(method, address, headers=headers, timeout=options.pop("timeout", 30), **options)

    def register(self, name: str = "web") -> Row:
        """Register a server as an agent does, and return its record with the key."""
        body = {"name": name, "platform": "debian"}
        token = self.add_registration_token("by hand")["key"]
        return t.cast(Row, self.api("POST", "servers/servers/register/", token=token, json=body).json())

    def submit(self, server: str, line: str, **fields: t.Any) -> str:
        server_id = self.server_ids().get(server, server)
        response = self.api("POST", "events/commands/", json={"server": server_id, "line": line, **fields})
        response.raise_for_status()
        answer = response.json()
        return str((answer[0] if isinstance(answer, list) else answer)["id"])
