# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How many requests a module takes on the only server of a run, in a workspace in which it takes a while."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from system.support import Reply, Request, ScriptedServer

from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.jobs import Limits
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.run import Run
from ansible_collections.herdops.alpacon.plugins.module_utils._options.connection import settings_of
from ansible_collections.herdops.alpacon.plugins.plugin_utils._host_connection import HostConnection
from ansible_collections.herdops.alpacon.plugins.plugin_utils._remote import AT_ONCE, Access, Remote
from ansible_collections.herdops.alpacon.tests.unit.support import COMMAND, SERVER, TOKEN, current_row

PING, SETUP, PACKAGES = "ansible.builtin.ping", "ansible.builtin.setup", "ansible.builtin.package_facts"


class Taking:
    """A workspace in which each command takes so many seconds."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._line = ""
        self._added = time.time()

    def __call__(self, request: Request) -> Reply:
        """Take a command, or say how it is."""
        if request.method == "POST":
            self._line, self._added = request.body["line"], time.time()
            return Reply([self._row("queued")], 201)
        if time.time() < self._added + self.seconds:
            return Reply(self._row("running"))
        digest = self._line.rpartition(":")[2]
        frame = f"[alpacon {digest}]\n[stderr]\n[rc 0]\n[end]\n"
        end = self._iso(self._added + self.seconds)
        return Reply(self._row("success", success=True, exit_code=0, result=frame, handled_at=end))

    def _row(self, status: str, **fields: object) -> dict[str, object]:
        server = {"id": SERVER, "name": "web-01"}
        about = {"line": self._line, "server": server, "added_at": self._iso(self._added)}
        return current_row(id=COMMAND, status=status, **about, **fields)

    @staticmethod
    def _iso(seconds: float) -> str:
        return (datetime.fromtimestamp(0, UTC) + timedelta(seconds=seconds)).isoformat()


def requests_for(server: ScriptedServer, module: str, folder: Path) -> int:
    """How many requests one run of a module takes, in a run of its own."""
    before = len(server.requests)
    settings = settings_of({"url": server.url, "token": TOKEN})
    shared = folder / f"run-{before}"
    shared.mkdir()
    remote = Remote(
        Access("web-01", SERVER, None, None, None, {}, Limits()), settings, Run(folder=shared, durations=folder)
    )
    assert HostConnection(remote, module, keeper=None).run("/bin/sh -c python3", b"code").rc == 0
    remote.close()
    return len(server.requests) - before


@pytest.mark.parametrize(
    ("module", "seconds", "first", "later"), [(PING, 0.25, 2, 2), (SETUP, 1.5, 4, 3), (PACKAGES, 4.0, 7, 3)]
)
def test_a_module_is_looked_at_when_it_may_be_over(
    tmp_path: Path, module: str, seconds: float, first: int, later: int
) -> None:
    with ScriptedServer(Taking(seconds)) as server:
        made = [requests_for(server, module, tmp_path) for _time in range(2)]
    assert made[0] <= first
    assert made[1] <= later


def test_what_takes_as_long_as_it_is_told_is_not_remembered(tmp_path: Path) -> None:
    with ScriptedServer(Taking(0.0)) as server:
        requests_for(server, "ansible.builtin.command", tmp_path)
    assert [path for path in tmp_path.iterdir() if path.is_file()] == []


def test_what_a_run_knows_of_a_server_and_its_homes_until_the_connection_is_reset(tmp_path: Path) -> None:
    settings = settings_of({"url": "https://workspace.example", "token": TOKEN})

    def remote(username: str | None = None) -> Remote:
        return Remote(Access("web-01", SERVER, None, username, None, {}, Limits()), settings, Run(folder=tmp_path))

    homes = [remote(account).about_home("echo ~app") for account in (None, "deploy")]
    assert homes[0] == homes[1], "each account notes the answer for itself"
    remote("deploy").note(homes[0], b"/home/app")
    assert remote("deploy").noted(remote("deploy").about_home("echo ~app")) == b"/home/app"
    remote().forget()
    assert remote("deploy").noted(remote("deploy").about_home("echo ~app")) is None


def test_what_a_workspace_takes_at_once_is_known_to_all_tasks_of_its_run(tmp_path: Path) -> None:
    def remote(server: str, username: str | None, url: str = "https://workspace.example") -> Remote:
        settings = settings_of({"url": url, "token": TOKEN})
        return Remote(Access(server, server, None, username, None, {}, Limits()), settings, Run(folder=tmp_path))

    remote("web-01", None).note(AT_ONCE, b"50000")
    assert remote("web-02", "deploy").noted(AT_ONCE) == b"50000"
    assert remote("web-01", None, "https://other.example").noted(AT_ONCE) is None
