# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test interrupted and killed runs: compare the workspace's record with the user's files and output.

On each core all cases run at once, with one workspace for each moment. Each case has its own servers and token.
"""

from __future__ import annotations

import itertools
import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import ansible_cores
import pytest
from system.plays import RunningPlay, start_task, wait_until
from workspace.client import Row, Workspace

CORES = ("oldest", "newest")
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL)
TARGETS = ("parent", "worker")
#: By moment, the request that the workspace delays.
MOMENTS = {
    "before the submit": {"method": "GET", "path": "^/api/servers/", "delay": 3},
    "before the answer": {"method": "POST", "path": "^/api/events/commands/$", "delay": 3},
}
SERVERS, AT_ONCE = 12, 4
#: Seconds after which delayed requests of an ended run have arrived and were answered.
HELD = 4.0
TIMEOUT = 90.0


@dataclass(frozen=True)
class Case:
    signal: signal.Signals
    target: str
    moment: str

    def __str__(self) -> str:
        return f"{self.signal.name}-{self.target}-{self.moment.replace(' ', '_')}"

    @property
    def servers(self) -> list[str]:
        return [f"{self.signal.name}-{self.target}-{number}".lower() for number in range(SERVERS)]


#: A terminal interrupts the whole group.
CTRL_C = Case(signal.SIGINT, "group", "before the answer")
CASES = [CTRL_C, *(Case(*parts) for parts in itertools.product(SIGNALS, TARGETS, MOMENTS))]


@dataclass
class CaseRun:
    case: Case
    workspace: Workspace
    token: str
    folder: Path
    programs: Path

    def check(self) -> None:
        """Run the case, and compare the workspace's record with what the user can see."""
        options = {"servers": self.case.servers, "line": "sleep 60", "max_concurrency": str(AT_ONCE)}
        play = start_task(
            self.workspace,
            self.folder,
            ["localhost"],
            options,
            programs=self.programs,
            ALPACON_TOKEN=self.token,
        )
        try:
            if self.case.moment == "before the submit":
                wait_until(lambda: self.workspace.counters()["tokens"].get(str(self.case)), TIMEOUT)
            else:
                wait_until(self._own_commands, TIMEOUT)
            self._send_signal(play)
            kept_running = self._end(play)
        finally:
            play.stop()
        self._finish_all()  # a surviving worker would submit the rest
        wait_until(lambda: not self._has_processes(), TIMEOUT)
        time.sleep(HELD)
        rows, ids = self._own_commands(), self.workspace.server_ids()
        assert rows or self.case.moment == "before the submit"
        # No command was finished before, so that no further one could be submitted.
        log = [row for row in self.workspace.log(100_000) if row["token"] == str(self.case)]
        assert kept_running or sum(row["route"] == "POST /api/events/commands/" for row in log) <= AT_ONCE
        known = str(play.results) + "\n".join(file.read_text() for file in play.journals)
        lost = [row["id"] for row in rows if row["id"] not in known and ids[row["server"]] not in known]
        assert not lost, f"neither journal nor result names {lost}: {play.journals} {play.log}"
        if self.case == CTRL_C:
            output = "".join(play.log.split())  # the oldest core breaks lines anywhere
            assert play.journals
            assert all("".join(str(file).split()) in output for file in play.journals), play.log

    def _own_commands(self) -> list[Row]:
        names = set(self.case.servers)
        return [row for row in self.workspace.commands() if row["server"] in names]

    def _send_signal(self, play: RunningPlay) -> None:
        pid = play.process.pid
        if self.case.target == "group":
            os.killpg(pid, self.case.signal)
        else:
            os.kill(pid if self.case.target == "parent" else _get_worker(pid), self.case.signal)

    def _end(self, play: RunningPlay) -> bool:
        """Wait for ansible-playbook, and return True if it kept running until its commands finished."""
        begun, kept_running = time.monotonic(), False
        while play.process.poll() is None:
            assert time.monotonic() < begun + TIMEOUT, play.log
            if time.monotonic() > begun + HELD:
                kept_running = True
                self._finish_all()
            time.sleep(0.02)
        return kept_running

    def _has_processes(self) -> bool:
        mark = f"{self.folder}/".encode()
        for process in Path("/proc").glob("[0-9]*/cmdline"):
            with suppress(OSError):
                if mark in process.read_bytes():
                    return True
        return False

    def _finish_all(self) -> None:
        for row in self._own_commands():
            if row["status"] not in ("success", "failed"):
                self.workspace.change_command(row["id"], status="success", result="ready")


def _get_worker(pid: int) -> int:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    workers = [int(child) for child in children if b"ansible-playbook" in Path(f"/proc/{child}/cmdline").read_bytes()]
    assert workers, "there is no worker"
    return workers[-1]


@pytest.fixture(scope="module", autouse=True)
def _default_signals() -> None:
    """Restore default signal handling, which background jobs and nohup disable."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture(scope="module", params=CORES)
def results(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[Case, Future[None]]]:
    """Run every case on a core."""
    programs = ansible_cores.prepare(request.param)
    folder = tmp_path_factory.mktemp(request.param)
    with ExitStack() as stack:
        runs = []
        for moment, slow in MOMENTS.items():
            workspace = stack.enter_context(Workspace("current", servers=0, agents=False))
            cases = [case for case in CASES if case.moment == moment]
            for case in cases:
                workspace.add_servers(*case.servers, connected=True)
                token = workspace.add_token(str(case), "admin")
                runs.append(CaseRun(case, workspace, token, folder / str(case), programs))
            workspace.fault("slow", **slow)
        with ThreadPoolExecutor(12) as pool:
            # A failing case fails its own test only.
            yield {case_run.case: pool.submit(case_run.check) for case_run in runs}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_no_command_is_lost_and_none_is_submitted_after_the_end(results: dict[Case, Future[None]], case: Case) -> None:
    results[case].result()
