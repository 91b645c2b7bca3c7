# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Running the tasks of a round against a workspace, and recording their results."""

from __future__ import annotations

import base64
import tempfile
import threading
import time
import traceback
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from faults.rounds import INPUT, REQUEST_TIMEOUT, SERVERS, Round
from system.plays import start_task
from workspace.client import Control, Workspace, WorkspaceError

from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import AlpaconError
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.run import Run, RunContext
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.command import run_command
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.command_options import CONTENT, CommandOptions
from ansible_collections.herdops.alpacon.tests.unit.support import SHIPPED_SPEC

#: Seconds after which a play hangs.
_TIMEOUT = 300.0


@dataclass
class Task:
    """A task and its result.

    Attributes:
        refusal: the message of an expected error.
        crash: the traceback of any other exception.
        first, last: numbers of the workspace's requests before and at the end of the task.
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
    """The tasks of a round, and what the workspace recorded.

    Attributes:
        ids: server IDs by name.
        rows: commands of the workspace.
        log: requests that the workspace received.
        runs: how often the agent of a server ran the line.
        submitted_before: by server, the ID of a command submitted before the tasks.
        slowest_response: the workspace's longest response time without faults, in seconds.
    """

    drawn: Round
    tasks: list[Task] = field(default_factory=list)
    ids: dict[str, str] = field(default_factory=dict)
    rows: list[dict[str, Any]] = field(default_factory=list)
    log: list[dict[str, Any]] = field(default_factory=list)
    runs: dict[str, int] = field(default_factory=dict)
    submitted_before: dict[str, str] = field(default_factory=dict)
    slowest_response: float = 0.0


class RoundRunner:
    def __init__(self, workspace: Workspace, drawn: Round, run_log: Path) -> None:
        self._workspace = workspace
        self._drawn = drawn
        self._run_log = run_log
        self._command_options: dict[str, Any] = {"line": drawn.command.line(drawn.tag, str(run_log))}
        if drawn.has_payload:
            self._script = run_log.with_name(f"{drawn.tag}.sh")
            self._script.write_text(drawn.command.script(drawn.tag, str(run_log)), encoding="utf-8")
            self._command_options = {"script": str(self._script), "stdin": INPUT}
        self.record = Record(drawn)

    def run(self) -> Record:
        self._prepare_workspace()
        if self._drawn.scenario == "cancelled":
            self._submit_scheduled()
        over = threading.Event()
        probe = threading.Thread(target=self._measure_response_time, args=(over,))
        probe.start()
        faults = [*self._drawn.http, *self._drawn.agents, *self._drawn.reports]
        self._workspace.call("POST", "faults/", faults)
        outages = [threading.Thread(target=self._outage, args=outage) for outage in self._drawn.outages]
        for outage in outages:
            outage.start()
        try:
            self._run_tasks()
        finally:
            for outage in outages:
                outage.join()
            over.set()
            probe.join()
        self._workspace.clear_faults()
        self._collect_record()
        return self.record

    def _run_tasks(self) -> None:
        getattr(self, self._drawn.scenario)()

    def _prepare_workspace(self) -> None:
        self._workspace.reset()
        self._workspace.wait_connected(*SERVERS)
        self._workspace.settings(**self._drawn.switches)
        self.record.ids = self._workspace.server_ids()
        for server in self._drawn.offline:
            self._workspace.disconnect(server)

    def _measure_response_time(self, over: threading.Event) -> None:
        control = Control(self._workspace.url)
        while not over.wait(0.3):
            started = time.monotonic()
            control.counters()
            self.record.slowest_response = max(self.record.slowest_response, time.monotonic() - started)

    def _outage(self, start: float, length: float, server: str) -> None:
        time.sleep(start)
        self._workspace.disconnect(server)
        time.sleep(length)
        with suppress(WorkspaceError):
            self._workspace.connect(server)

    def _collect_record(self) -> None:
        record = self.record
        # First the run log: what runs later is delivered by now.
        with suppress(FileNotFoundError):
            for line in self._run_log.read_text().splitlines():
                number, _blank, tag = line.partition(" ")
                if tag == self._drawn.tag:
                    record.runs[f"s{number}"] = record.runs.get(f"s{number}", 0) + 1
        record.rows = [row for row in self._workspace.commands() if self._drawn.marker in row["line"]]
        record.log = self._workspace.log(20_000)

    # Tasks

    def _options(self, **options: Any) -> dict[str, Any]:
        servers = list(self._drawn.servers)
        given = {
            "servers": servers if self._drawn.by_name else [self.record.ids[server] for server in servers],
            **self._command_options,
            **self._drawn.options,
            **options,
        }
        if given.get("state") == "scheduled" or not given.get("wait", True):
            given.pop("max_concurrency", None)  # refused for these
        return given

    def _last_request(self) -> int:
        return max((entry["number"] for entry in self._workspace.log(1)), default=0)

    def run_task(self, **options: Any) -> Task:
        task = Task(options)
        self.record.tasks.append(task)
        task.first = self._last_request()
        task.started = time.time()
        # The tasks of a thread belong to one run of ansible-playbook.
        folder = self._run_log.with_name(f"{self._run_log.name}-{threading.get_ident()}")
        folder.mkdir(exist_ok=True)
        try:
            task.result = run_command(
                self._validate(options), Run(RunContext(folder=folder), warn=task.warnings.append)
            )
        except AlpaconError as error:
            task.refusal = str(error)
        except Exception:
            task.crash = traceback.format_exc(limit=-4, chain=False)
        task.ended = time.time()
        task.last = self._last_request()
        return task

    def _validate(self, options: Mapping[str, Any]) -> dict[str, Any]:
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

    # Scenarios

    def executed(self) -> None:
        self.run_task(**self._options())

    def twice(self) -> None:
        """Submit the same line twice; the second must not adopt the first."""
        self.run_task(**self._options(wait=self._drawn.detail[0] < 0.6))
        self.run_task(**self._options())

    def later(self) -> None:
        task = self.run_task(**self._options(wait=False))
        ids = [entry["id"] for entry in task.entries if entry["id"]]
        several = ("max_concurrency", "max_errors")
        options = {name: value for name, value in self._drawn.options.items() if name not in several}
        time.sleep(self._drawn.detail[0] * 2)
        for _time in range(1 if self._drawn.detail[1] < 0.7 else 2):
            if ids:
                self.run_task(state="finished", ids=ids, **options)

    def reuse(self) -> None:
        self.run_task(**self._options())
        self.run_task(**self._options(reuse_within="1h"))

    def scheduled(self) -> None:
        """Schedule twice; if the time is near, once more after it."""
        near = self._drawn.detail[0] < 0.5
        options = self._schedule(5.0 if near else 3600.0)
        self.run_task(**options)
        self.run_task(**options)
        if near:
            due = datetime.fromisoformat(options["scheduled_at"]).timestamp()
            time.sleep(max(0.0, due - time.time()) + 1.0)
            self.run_task(**options)

    def race(self) -> None:
        options = self._schedule(3600.0)
        runs = [threading.Thread(target=self.run_task, kwargs=options) for _run in range(2)]
        for run in runs:
            run.start()
            time.sleep(self._drawn.detail[1] * 0.2)
        for run in runs:
            run.join()
        if self._drawn.detail[2] < 0.5:
            self.run_task(**options)

    def _schedule(self, seconds: float) -> dict[str, Any]:
        moment = datetime.now(UTC) + timedelta(seconds=seconds)
        return self._options(state="scheduled", scheduled_at=moment.isoformat())

    def _submit_scheduled(self) -> None:
        """Submit commands that are due late or soon; none on some servers."""
        for position, server in enumerate(self._drawn.servers):
            seconds = (3600.0, 3600.0, 0.6, 1.5, None)[(position + int(self._drawn.detail[0] * 5)) % 5]
            if seconds is not None and server not in self._drawn.offline:
                moment = datetime.now(UTC) + timedelta(seconds=seconds)
                order = CommandOptions.from_options(self._validate({"servers": [server], **self._command_options}))
                fields = {"scheduled_at": moment.isoformat(), **order.extra}
                self.record.submitted_before[server] = self._workspace.submit(server, order.line, **fields)

    def cancelled(self) -> None:
        """Cancel waiting commands by ID or by line, once or twice."""
        by_ids = self._drawn.detail[1] < 0.5 and self.record.submitted_before
        where = {"servers": self._options()["servers"], **self._command_options}
        what: dict[str, Any] = {"ids": list(self.record.submitted_before.values())} if by_ids else where
        options = {"state": "cancelled", "fail_if_sent": self._drawn.detail[2] < 0.5, **what}
        for _time in range(1 if self._drawn.detail[3] < 0.4 else 2):
            self.run_task(**options)

    def per_host(self) -> None:
        task = Task(self._options())
        self.record.tasks.append(task)
        task.first = self._last_request()
        task.started = time.time()
        several = ("servers", "max_concurrency", "max_errors")
        options = {name: value for name, value in task.options.items() if name not in several}
        options["request_timeout"] = REQUEST_TIMEOUT
        with tempfile.TemporaryDirectory(prefix="faults-") as folder:
            play = start_task(self._workspace, Path(folder), task.options["servers"], options)
            try:
                play.process.wait(_TIMEOUT)
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
        task.last = self._last_request()
