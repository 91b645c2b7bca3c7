# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The agents of all servers of a workspace in one process, controlled by JSON lines. Needs only `websockets`."""

from __future__ import annotations

import argparse
import asyncio
import collections
import contextlib
import dataclasses
import itertools
import json
import os
import re
import shutil
import signal
import ssl
import sys
import typing as t
from pathlib import Path

if not __package__:
    # In place of this folder, whose module names must not stand in the way.
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from agent.alpamon import lines
from agent.alpamon.agent import Agent, Options
from agent.alpamon.faults import Fault
from agent.alpamon.lines import Account
from agent.alpamon.reports import EVENT, Poster
from websockets.asyncio.client import ClientConnection

Order = dict[str, t.Any]


@dataclasses.dataclass
class FleetOptions(Options):
    #: The agent's version in the package repository; empty if the agent has it.
    offered_version: str = ""
    #: Version that the workspace wants of its agents, whatever the repository has; empty for the newest.
    pinned_version: str = ""
    #: Versions whose agents do not prove healthy, so that a guard installs the old version again.
    unhealthy_versions: list[str] = dataclasses.field(default_factory=list)
    #: Seconds from the start of a pinned version until it has proved healthy, or is replaced.
    health_window: float = 1.0
    #: Seconds that an upgrade takes.
    upgrade_seconds: float = 0.0
    #: Names of servers that have alpamon-pam.
    pam_servers: list[str] = dataclasses.field(default_factory=list)
    #: Seconds from the end of an upgrade, or the start of a restart, to the new start.
    restart_delay: float = 0.2
    #: Files of transfers, and verified files, are below a folder for each server, so that servers differ.
    file_roots: bool = False


_PAM_IS_CURRENT = (
    "Reading package lists...\nBuilding dependency tree...\nReading state information...\n"
    "alpamon-pam is already the newest version (1.2.0).\n"
    "0 upgraded, 0 newly installed, 0 to remove and 3 not upgraded.\n"
)


class FleetAgent(Agent):
    """The agent of a made-up server: a folder as home, and one account by default."""

    def __init__(self, fleet: AgentFleet, server: Order) -> None:
        options = FleetOptions(**server["options"])
        super().__init__(fleet.url, server["id"], server["key"], fleet.poster, fleet.tls, options)
        self.name: str = server["name"]
        self.accounts: str = server.get("accounts") or "own"
        self.version: str | None = server.get("version")
        self._is_upgrading = False
        #: The end of the health window of a pinned upgrade.
        self._guard: asyncio.TimerHandle | None = None
        self._restart: asyncio.TimerHandle | None = None
        self._fleet = fleet
        self._home = fleet.scratch / self.name
        self._root = fleet.scratch / f"{self.name}.root"
        self._temporary = self._home / "tmp"

    def pauses(self) -> t.Iterator[float]:
        return itertools.chain((0.0, 0.2, 0.4, 0.8, 1.6), itertools.repeat(5.0))

    def accepts(self, command_id: str) -> bool:
        """Ignore a command that was cancelled on its way."""
        return not any(command_id in ids for ids in self._fleet.forgotten)

    def get_faults(self, line: str) -> list[Fault]:
        return self._fleet.faults_for(self.name, line)

    def find_account(self, user: str, group: str) -> Account:
        """Return the host's account if `accounts` is `host`, else the current user under any name."""
        if self.accounts == "host":
            return lines.find_account(user, group)
        self._temporary.mkdir(parents=True, exist_ok=True)
        return Account(user or "root", str(self._home))

    def make_environment(self, account: Account, own: dict[str, str]) -> dict[str, str]:
        """Add the name and the temporary folder of the server to the variables of a line."""
        folder = {} if self.accounts == "host" else {"TMPDIR": str(self._temporary)}
        return super().make_environment(account, {"HOSTNAME": self.name, **folder, **own})

    def find_file(self, account: Account, path: str) -> Path:
        file = super().find_file(account, path)
        if not self._own_options.file_roots:
            return file
        below = self._root / file.relative_to("/")
        below.parent.mkdir(parents=True, exist_ok=True)
        return below

    def record_run(self, command_id: str) -> None:
        with self._fleet.runs.open("a", encoding="ascii") as file:
            file.write(f"{command_id}\n")

    async def run_internal(self, line: str) -> tuple[int, str]:
        """Commit, restart, upgrade or install alpamon-pam."""
        if line == "commit":
            self._report_version()
            return 0, "Committed system information."
        if line == "restart":
            self._restart_later(results=False)
            await asyncio.Event().wait()  # the restart loses the result
        if line == "install_pam":
            return 0, self._install_pam()
        if line != "upgrade":
            return await super().run_internal(line)
        if self._guard:
            return 1, f"Upgrade refused: the upgrade to {self.version} has not completed. Retry once it completes."
        if self._is_upgrading:
            return 0, "Upgrade already in progress."
        self._is_upgrading = True
        try:
            await asyncio.sleep(self._own_options.upgrade_seconds)
            return self._upgrade_to_pinned() if self._own_options.pinned_version else self._upgrade()
        finally:
            self._is_upgrading = False

    def _upgrade(self) -> tuple[int, str]:
        """Run the package manager; the new package takes effect at a later restart, as that of Linux does."""
        offered = self._own_options.offered_version
        if offered in ("", self.version) and self.name in self._own_options.pam_servers:
            return 0, _PAM_IS_CURRENT
        if offered in ("", self.version):
            return 0, f"Already up-to-date (alpamon: {self.version}, pam: not installed)"
        self.version = offered
        self._restart_later(results=True)
        return 0, f"Unpacking alpamon ({offered}) ...\nSetting up alpamon ({offered}) ...\n"

    def _install_pam(self) -> str:
        options = self._own_options
        if self.name in options.pam_servers:
            return _PAM_IS_CURRENT
        self.set(dataclasses.replace(options, pam_servers=[*options.pam_servers, self.name]))
        return "Unpacking alpamon-pam (1.2.0) ...\nSetting up alpamon-pam (1.2.0) ...\n"

    def _upgrade_to_pinned(self) -> tuple[int, str]:
        """Install the version that the workspace wants, and the old one again if that is not healthy."""
        options, old = self._own_options, self.version
        if options.pinned_version == old:
            return 0, f"Already running v{old}."
        self.version = options.pinned_version
        self._restart_later(results=True)
        kept = old if self.version in options.unhealthy_versions else self.version
        window = options.restart_delay + options.health_window
        self._guard = asyncio.get_running_loop().call_later(window, self._end_health_window, kept)
        return 0, f"Updated to v{self.version}. Restarting ..."

    def _end_health_window(self, version: str | None) -> None:
        """Restart with this version if another one runs."""
        self._guard = None
        if version != self.version:
            self.version = version
            self.start(self.restart())

    def change(self, accounts: str, version: str | None) -> None:
        """Set the accounts and the version; forget its files, and the restart and health window of an upgrade."""
        shutil.rmtree(self._root, ignore_errors=True)
        self.accounts, self.version = accounts or "own", version
        for timer in filter(None, (self._guard, self._restart)):
            timer.cancel()
        self._guard = None

    @property
    def _own_options(self) -> FleetOptions:
        return t.cast(FleetOptions, self.options)

    def _restart_later(self, results: bool) -> None:
        delay = self._own_options.restart_delay
        loop = asyncio.get_running_loop()
        self._restart = loop.call_later(delay, lambda: self.start(self.restart(results)))

    def report_start(self) -> None:
        super().report_start()
        self._report_version()

    def _report_version(self) -> None:
        if self.version is not None:
            self.reports.put("/api/servers/servers/-/sync/", {"version": self.version}, EVENT)

    async def dial(self, name: str) -> ClientConnection:
        """Open a websocket, a few of the fleet at a time."""
        async with self._fleet.dialling:
            return await super().dial(name)

    async def simulate_kill(self, away: float) -> None:
        """Leave running lines behind; they end with the workspace."""
        self._fleet.leftover_groups |= self.drop_all(kill=False)
        self.away = away
        await self.reconnect()


class AgentFleet:
    def __init__(self, url: str, scratch: Path, runs: Path) -> None:
        self.url, self.scratch, self.runs = url, scratch, runs
        # These agents belong to the workspace itself and take whatever certificate it shows.
        self.tls = ssl._create_unverified_context() if url.startswith("https://") else None
        self.poster = Poster(url, self.tls)
        self.dialling = asyncio.Semaphore(20)
        #: Process groups that outlived their agent.
        self.leftover_groups: set[int] = set()
        #: What the workspace forgot recently; some of it may still be on its way.
        self.forgotten: collections.deque[set[str]] = collections.deque(maxlen=4)
        self._agents: dict[str, tuple[FleetAgent, asyncio.Task[None]]] = {}
        self._faults: list[Fault] = []

    def handle(self, order: Order) -> None:
        getattr(self, f"_{order.pop('order')}")(**order)

    def _start(self, servers: list[Order]) -> None:
        for server in servers:
            self._stop(server["id"])
            agent = FleetAgent(self, server)
            self._agents[server["id"]] = agent, asyncio.ensure_future(agent.run())

    def _stop(self, id: str) -> None:
        agent, task = self._agents.pop(id, (None, None))
        if agent is not None and task is not None:
            agent.drop_all(kill=True)
            task.cancel()

    def _options(self, options: dict[str, t.Any], id: str | None = None) -> None:
        for agent, _task in self._chosen(id):
            agent.set(dataclasses.replace(agent.options, **options))

    def _change(self, accounts: str, version: str | None, id: str | None = None) -> None:
        for agent, _task in self._chosen(id):
            agent.change(accounts, version)

    def _forget(self, ids: list[str]) -> None:
        self.forgotten.append(set(ids))
        for agent, _task in self._agents.values():
            agent.drop_commands(self.forgotten[-1])

    def _set_faults(self, faults: list[Fault]) -> None:
        self._faults = faults

    def _add_faults(self, faults: list[Fault]) -> None:
        self._faults += faults

    def _chosen(self, server_id: str | None) -> list[tuple[FleetAgent, asyncio.Task[None]]]:
        if server_id is None:
            return list(self._agents.values())
        return [self._agents[server_id]] if server_id in self._agents else []

    def end(self) -> None:
        for server_id in list(self._agents):
            self._stop(server_id)
        for group in self.leftover_groups:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(group, signal.SIGKILL)

    def faults_for(self, name: str, line: str) -> list[Fault]:
        """Return the faults of this command, and decrease their counts."""
        taken = []
        for fault in self._faults:
            if fault.get("server") not in (None, "*", name) or not re.search(fault.get("line") or "", line):
                continue
            if fault.get("after", 0) > 0:
                fault["after"] -= 1
            elif fault.get("times") is None or fault["times"] > 0:
                fault["times"] = None if fault.get("times") is None else fault["times"] - 1
                taken.append(fault)
        return taken


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", required=True)
    parser.add_argument("--scratch", required=True, type=Path)
    parser.add_argument("--runs", required=True, type=Path, help="file for the ID of each command that begins to run")
    arguments = parser.parse_args()
    fleet = AgentFleet(arguments.url, arguments.scratch, arguments.runs)
    orders = asyncio.StreamReader(limit=2**26)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    while line := await orders.readline():
        fleet.handle(json.loads(line))
    fleet.end()
    await asyncio.sleep(0.05)
    shutil.rmtree(arguments.scratch, ignore_errors=True)


if __name__ == "__main__":
    asyncio.run(main())
