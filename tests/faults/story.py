# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Carry out the tasks of a round against a workspace, and note what came of each."""

from __future__ import annotations

import base64
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from faults.draw import INPUT, REQUEST_TIMEOUT, SERVERS, Round
from system.plays import start_task
from workspace.client import Control, Workspace, WorkspaceError

from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import AlpaconError
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.run import Run
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.command import SHIPPED_SPEC, run_command
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.command_options import CONTENT, CommandOptions

#: No play takes so long unless it hangs, in seconds.
_PATIENCE = 300.0


@dataclass
class Task:
    """A task, and what came of it.

    Attributes:
        options: the options that it was given.
        result: what it returned.
        refusal: the message of the error that it ended with instead.
        crash: the traceback of an exception that no task may end with.
        first, last: numbers of the workspace's requests between which its own lie.
        started, ended: seconds since the epoch.
    """

    options: Mapping[str, Any]
    result: dict[str, Any] = field(default_factory=dict)
    refusal: str = ""
    crash: str = ""
    warnings: list[str] = field(default_factory=list)
    first: int = 0
    last: int = 0
    started: float = 0.0
    ended: float = 0.0

    @property
    def state(self) -> str:
        return str(self.options.get("state", "executed"))

    @property
    def entries(self) -> list[dict[str, Any]]:
        return list(self.result.get("commands", ()))


@dataclass
class Record:
    """What a round did, and the truth about it.

    Attributes:
        ids: server -> id.
        rows: commands as the workspace has them.
        log: requests as the workspace saw them.
        runs: server -> how often its agent ran the line.
        prepared: server -> id of a command that stood before the tasks.
        strain: the longest time that the workspace took to answer outside of all faults, in seconds.
    """

    drawn: Round
    tasks: list[Task] = field(default_factory=list)
    ids: dict[str, str] = field(default_factory=dict)
    rows: list[dict[str, Any]] = field(default_factory=list)
    log: list[dict[str, Any]] = field(default_factory=list)
    runs: dict[str, int] = field(default_factory=dict)
    prepared: dict[str, str] = field(default_factory=dict)
    strain: float = 0.0


class Story:
    def __init__(self, workspace: Workspace, drawn: Round, ledger: Path) -> None:
        self._workspace = workspace
        self._drawn = drawn
        self._ledger = ledger
        self._what: dict[str, Any] = {"line": drawn.speech.line(drawn.tag, str(ledger))}
        if drawn.carried:
            self._script = ledger.with_name(f"{drawn.tag}.sh")
            self._script.write_text(drawn.speech.script(drawn.tag, str(ledger)), encoding="utf-8")
            self._what = {"script": str(self._script), "stdin": INPUT}
        self.record = Record(drawn)

    def tell(self) -> Record:
        self._set_stage()
        if self._drawn.story == "cancelled":
            self._prepare()
        over = threading.Event()
        probe = threading.Thread(target=self._measure_strain, args=(over,))
        probe.start()
        faults = [*self._drawn.http, *self._drawn.agents, *self._drawn.reports]
        self._workspace.call("POST", "faults/", faults)
        outages = [threading.Thread(target=self._outage, args=outage) for outage in self._drawn.outages]
        for outage in outages:
            outage.start()
        try:
            self._act()
        finally:
            for outage in outages:
                outage.join()
            over.set()
            probe.join()
        self._workspace.clear_faults()
        self._gather()
        return self.record

    def _act(self) -> None:
        getattr(self, self._drawn.story)()

    def _set_stage(self) -> None:
        self._workspace.reset()
        self._workspace.wait_connected(*SERVERS)
        self._workspace.settings(**self._drawn.switches)
        self.record.ids = self._workspace.server_ids()
        for server in self._drawn.offline:
            self._workspace.disconnect(server)

    def _measure_strain(self, over: threading.Event) -> None:
        control = Control(self._workspace.url)
        while not over.wait(0.3):
            started = time.monotonic()
            control.counters()
            self.record.strain = max(self.record.strain, time.monotonic() - started)

    def _outage(self, start: float, length: float, server: str) -> None:
        time.sleep(start)
        self._workspace.disconnect(server)
        time.sleep(length)
        with suppress(WorkspaceError):
            self._workspace.connect(server)

    def _gather(self) -> None:
        record = self.record
        # First the ledger: what runs later than this is delivered by then.
        with suppress(FileNotFoundError):
            for line in self._ledger.read_text().splitlines():
                number, _blank, tag = line.partition(" ")
                if tag == self._drawn.tag:
                    record.runs[f"s{number}"] = record.runs.get(f"s{number}", 0) + 1
        record.rows = [row for row in self._workspace.commands() if self._drawn.mark in row["line"]]
        record.log = self._workspace.log(20_000)

    # Tasks

    def _options(self, **options: Any) -> dict[str, Any]:
        servers = list(self._drawn.servers)
        given = {
            "servers": servers if self._drawn.by_name else [self.record.ids[server] for server in servers],
            **self._what,
            **self._drawn.options,
            **options,
        }
        if given.get("state") == "scheduled" or not given.get("wait", True):
            given.pop("max_concurrency", None)  # it is refused there
        return given

    def _number(self) -> int:
        return max((entry["number"] for entry in self._workspace.log(1)), default=0)

    def _run_of_thread(self, warn: Callable[[str], None]) -> Run:
        """The tasks of a thread are those of one run of ansible-playbook."""
        folder = self._ledger.with_name(f"{self._ledger.name}-{threading.get_ident()}")
        folder.mkdir(exist_ok=True)
        return Run(folder=folder, warn=warn)

    def run(self, **options: Any) -> Task:
        task = Task(options)
        self.record.tasks.append(task)
        task.first = self._number()
        task.started = time.time()
        try:
            task.result = run_command(self._validated(options), self._run_of_thread(task.warnings.append))
        except AlpaconError as error:
            task.refusal = str(error)
        except Exception:
            task.crash = traceback.format_exc(limit=-4, chain=False)
        task.ended = time.time()
        task.last = self._number()
        return task

    def _validated(self, options: Mapping[str, Any]) -> dict[str, Any]:
        given = {
            "url": self._workspace.url,
            "token": self._workspace.token,
            "request_timeout": REQUEST_TIMEOUT,
            **options,
        }
        if "script" in given:
            given[CONTENT] = base64.b64encode(self._script.read_bytes()).decode()
        validated = ArgumentSpecValidator(SHIPPED_SPEC).validate(given)
        if validated.error_messages:
            raise ValueError(validated.error_messages)
        return dict(validated.validated_parameters)

    # Stories

    def executed(self) -> None:
        self.run(**self._options())

    def twice(self) -> None:
        """The same line once more at once, which must never be taken for the first one."""
        self.run(**self._options(wait=self._drawn.detail[0] < 0.6))
        self.run(**self._options())

    def later(self) -> None:
        task = self.run(**self._options(wait=False))
        ids = [entry["id"] for entry in task.entries if entry["id"]]
        several = ("max_concurrency", "max_errors")
        options = {name: value for name, value in self._drawn.options.items() if name not in several}
        time.sleep(self._drawn.detail[0] * 2)
        for _time in range(1 if self._drawn.detail[1] < 0.7 else 2):
            if ids:
                self.run(state="finished", ids=ids, **options)

    def reuse(self) -> None:
        self.run(**self._options())
        self.run(**self._options(reuse_within="1h"))

    def scheduled(self) -> None:
        """Schedule, and again; where the time is near, once more after it."""
        near = self._drawn.detail[0] < 0.5
        options = self._schedule(5.0 if near else 3600.0)
        self.run(**options)
        self.run(**options)
        if near:
            due = datetime.fromisoformat(options["scheduled_at"]).timestamp()
            time.sleep(max(0.0, due - time.time()) + 1.0)
            self.run(**options)

    def race(self) -> None:
        options = self._schedule(3600.0)
        runs = [threading.Thread(target=self.run, kwargs=options) for _run in range(2)]
        for run in runs:
            run.start()
            time.sleep(self._drawn.detail[1] * 0.2)
        for run in runs:
            run.join()
        if self._drawn.detail[2] < 0.5:
            self.run(**options)

    def _schedule(self, seconds: float) -> dict[str, Any]:
        moment = datetime.now(UTC) + timedelta(seconds=seconds)
        return self._options(state="scheduled", scheduled_at=moment.isoformat())

    def _prepare(self) -> None:
        """Commands that wait for long, soon to be due, or on some servers none at all."""
        for position, server in enumerate(self._drawn.servers):
            seconds = (3600.0, 3600.0, 0.6, 1.5, None)[(position + int(self._drawn.detail[0] * 5)) % 5]
            if seconds is not None and server not in self._drawn.offline:
                moment = datetime.now(UTC) + timedelta(seconds=seconds)
                order = CommandOptions.from_options(self._validated({"servers": [server], **self._what}))
                fields = {"scheduled_at": moment.isoformat(), **order.extra}
                self.record.prepared[server] = self._workspace.submit(server, order.line, **fields)

    def cancelled(self) -> None:
        """Cancel what waits, by id or by line; and once more."""
        by_ids = self._drawn.detail[1] < 0.5 and self.record.prepared
        where = {"servers": self._options()["servers"], **self._what}
        what: dict[str, Any] = {"ids": list(self.record.prepared.values())} if by_ids else where
        options = {"state": "cancelled", "fail_if_sent": self._drawn.detail[2] < 0.5, **what}
        for _time in range(1 if self._drawn.detail[3] < 0.4 else 2):
            self.run(**options)

    def per_host(self) -> None:
        task = Task(self._options())
        self.record.tasks.append(task)
        task.first = self._number()
        task.started = time.time()
        several = ("servers", "max_concurrency", "max_errors")
        options = {name: value for name, value in task.options.items() if name not in several}
        options["request_timeout"] = REQUEST_TIMEOUT
        with tempfile.TemporaryDirectory(prefix="faults-") as folder:
            play = start_task(self._workspace, Path(folder), task.options["servers"], options)
            try:
                play.process.wait(_PATIENCE)
            finally:
                play.stop()
            if "Traceback" in play.log or not play.results:
                task.crash = play.log[-4000:]
            results = [play.results[host] for host in task.options["servers"] if host in play.results]
            task.result = {
                "commands": [entry for result in results for entry in result.get("commands", ())],
                "failed": any(result.get("failed") for result in results),
                "requests": sum(result.get("requests", 0) for result in results),
                "refused_hosts": [str(result.get("msg")) for result in results if "commands" not in result],
            }
        task.ended = time.time()
        task.last = self._number()
