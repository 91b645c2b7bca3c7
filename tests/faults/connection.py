# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The fault campaign of the connection plugin: plays under faults, compared with the files that their tasks wrote."""

from __future__ import annotations

import base64
import json
import random
import re
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from faults.campaign import Campaign
from faults.rounds import REQUEST_TIMEOUT, Bounds, Round, draw_round
from faults.runner import Record, RoundRunner
from faults.verdict import OVERLOADED, Verdict
from system.plays import start_plays
from workspace.client import Workspace

Row = dict[str, Any]

#: A part of each line that runs a payload.
_PAYLOAD_MARKER = " sha256:"
#: The minimum and maximum of tasks in a play.
_TASKS = (3, 6)
#: Seconds after which a play hangs.
_TIMEOUT = 400.0
#: Seconds that commands run on after their agent was killed.
_LEFTOVER_SECONDS = 2.0
#: A part of messages about commands that may have had effects.
_MAY_HAVE_RUN = re.compile(r"may have run|has run\b")
#: Tasks of several commands: their error is about one of them.
_SEVERAL = ("later", "copy", "file")
#: Placeholder for the name of the host in expected results.
_HOST = "HOST"
_RAN = b"ran\n"


@dataclass(frozen=True)
class ConnectionTask:
    """A task of a module and its expected results.

    Attributes:
        task: the task in the play.
        returns: its result on each host.
        writes: the content that each run appends to a file of the host; None if it only reads.
        fetches: the content that it copies to the controller.
    """

    number: int
    kind: str
    task: Row
    returns: Mapping[str, Any]
    writes: bytes | None = None
    fetches: bytes | None = None

    @property
    def name(self) -> str:
        return f"{self.number} {self.kind}"

    def expected(self, host: str) -> Row:
        return {
            key: value.replace(_HOST, host) if isinstance(value, str) else value for key, value in self.returns.items()
        }

    def count_runs(self, content: bytes, host: str) -> int | None:
        """Count the runs by the content of the file; None for content that no run writes."""
        written = (self.writes or b"").replace(_HOST.encode(), host.encode())
        return next((times for times in range(4) if content == written * times), None)


def _draw_tasks(rng: random.Random, folder: Path, count: int) -> list[ConnectionTask]:
    """Draw the tasks of a play, and write their files to a folder."""
    folder.mkdir(exist_ok=True)
    large = rng.randbytes(rng.choice((5, 5, 70_000, 1_600_000)))
    (folder / "source").write_bytes(large)
    script = '#!/bin/sh\necho ran >> "$1"; echo "$2"; echo error >&2; exit "$3"\n'
    (folder / "script.sh").write_text(script, encoding="utf-8")
    return [_draw_task(rng, folder, large, number) for number in range(count)]


def _draw_task(rng: random.Random, folder: Path, large: bytes, number: int) -> ConnectionTask:
    rc, last = rng.choice((0, 0, 0, 3)), rng.choice((2_000, 30_000, 200_000))
    host = "{{ inventory_hostname }}"
    source, file, fetched = f"{folder}/source", f"{folder}/{host}.{number}", f"{folder}/fetched.{host}.{number}"
    ended = {"stderr": "error", "rc": rc}

    def shell(then: str) -> Row:
        return {"ansible.builtin.shell": f"echo ran >> {file}; {then}; echo error >&2; exit {rc}"}

    def copy(**options: str) -> Row:
        return {"ansible.builtin.copy": {"dest": file, "mode": "0600", **options}}

    text, line = f"{_HOST} ünïcode  汉语", f"printf '%s\\n\\n' \"{host} ünïcode  汉语\""
    numbers = "\n".join(map(str, range(1, last + 1)))
    later = {**shell(f"sleep 1.3; echo {host}"), "async": 12, "poll": 2}
    fetch = {"ansible.builtin.fetch": {"src": source, "dest": fetched, "flat": True}}
    script = {"ansible.builtin.script": f"{folder}/script.sh {file} {host} {rc}"}
    copied = f"copied to {_HOST}\n"
    kinds: dict[str, tuple[Any, ...]] = {
        "shell": (shell(line), {"stdout": text, **ended}, _RAN),
        "long": (shell(f"seq 1 {last}"), {"stdout": numbers, **ended}, _RAN),
        "later": (later, {"stdout": _HOST, "rc": rc}, _RAN),
        "script": (script, {"stdout": f"{_HOST}\n", "stderr": "error\n", "rc": rc}, _RAN),
        "copy": (copy(content=copied.replace(_HOST, host)), {"changed": True}, copied.encode()),
        "file": (copy(src=source), {"changed": True}, large),
        "slurp": ({"ansible.builtin.slurp": {"src": source}}, {"content": base64.b64encode(large).decode()}),
        "fetch": (fetch, {"changed": True}, None, large),
    }
    kind = rng.choice(list(kinds))
    task, *rest = kinds[kind]
    keywords = {"name": f"{number} {kind}", "ignore_errors": True, "ignore_unreachable": True}
    return ConnectionTask(number, kind, {**keywords, **task}, *rest)


def draw_play(seed: str, number: int, bounds: Bounds, folder: Path) -> tuple[Round, list[ConnectionTask]]:
    drawn = draw_round(seed, number, bounds)
    rng = random.Random(f"{seed}/{number}/connection")
    # A module takes longer than most lines.
    own = {"stuck_after": rng.choice((600.0, 600.0, 5.0)), "read_lag": rng.choice((0, 0, 0.5, 2))}
    drawn = replace(drawn, offline=(), has_payload=True, switches={**drawn.switches, **own})
    for rule in (*drawn.agents, *drawn.switches.get("holds", ())):
        rule["line"] = _PAYLOAD_MARKER
    for fault in drawn.agents:
        fault["after"] = rng.choice((0, 1, 2, 4, 6))
    if rng.random() < 0.5:
        after = {"method": "POST", "path": "^/api/events/commands/$", "times": 2, "after": rng.randrange(10)}
        drawn.http.append({"kind": "status_after", "status": 503, **after})
    return drawn, _draw_tasks(rng, folder, rng.randint(*_TASKS))


@dataclass
class PlayRecord(Record):
    """The results of a play, and what the workspace and the hosts recorded.

    Attributes:
        results: results by task name and host.
        files: contents of the files that the tasks write, by task name and host.
        fetched: contents of fetched files.
    """

    connection_tasks: Sequence[ConnectionTask] = ()
    results: dict[tuple[str, str], Row] = field(default_factory=dict)
    output: str = ""
    ended: bool = False
    files: dict[tuple[str, str], bytes] = field(default_factory=dict)
    fetched: dict[tuple[str, str], bytes] = field(default_factory=dict)


class PlayRunner(RoundRunner):
    def __init__(self, workspace: Workspace, campaign: Campaign, number: int, folder: Path) -> None:
        self._folder = folder
        drawn, tasks = draw_play(campaign.seed, number, campaign.bounds, folder / "files")
        super().__init__(workspace, drawn, folder / "run_log")
        self.record: PlayRecord = PlayRecord(drawn, connection_tasks=tasks)

    def _run_tasks(self) -> None:
        variables = {
            "ansible_connection": "herdops.alpacon.alpacon",
            "ansible_python_interpreter": "{{ ansible_playbook_python }}",
            "alpacon_request_timeout": REQUEST_TIMEOUT,
            "alpacon_wait_timeout": self._drawn.timeout,
            "alpacon_wait_for_approval": self._drawn.options["wait_for_approval"],
        }
        own = {server: {"alpacon_server_id": self.record.ids[server]} for server in self._drawn.servers}
        hosts = {server: {**variables, **({} if self._drawn.by_name else own[server])} for server in own}
        tasks = [task.task for task in self.record.connection_tasks]
        plays = [{"hosts": "all", "gather_facts": False, "strategy": "ansible.builtin.free", "tasks": tasks}]
        run = start_plays(self._workspace, self._folder, hosts, plays, forks=len(hosts))
        with suppress(subprocess.TimeoutExpired):
            run.process.wait(_TIMEOUT)
            self.record.ended = True
        run.stop()
        self.record.output = run.log
        for entry in map(json.loads, _read(self._folder / "results").splitlines()):
            self.record.results[entry["task"], entry["host"]] = entry["result"]

    def _collect_record(self) -> None:
        time.sleep(_LEFTOVER_SECONDS)
        record = self.record
        for task in record.connection_tasks:
            for server in self._drawn.servers:
                key = (task.name, server)
                record.files[key] = _read(self._folder / f"files/{server}.{task.number}")
                record.fetched[key] = _read(self._folder / f"files/fetched.{server}.{task.number}")
        record.rows = self._workspace.commands()
        record.log = self._workspace.log(20_000)


def _read(file: Path) -> bytes:
    return file.read_bytes() if file.exists() else b""


def check_play(record: PlayRecord, token: str) -> Verdict:
    commands = len(record.connection_tasks) * len(record.drawn.servers)
    verdict = Verdict(commands=commands, requests=len(record.log))
    if not record.ended or "Traceback" in record.output:
        verdict.wrong.append(f"the play did not end well:\n{record.output[-3000:]}")
    if token in record.output:
        verdict.wrong.append("the token was printed")
    for row in record.rows:
        if row["delivered_count"] > 1:
            verdict.wrong.append(f"the workspace itself delivered {row['id']} twice")
    for task in record.connection_tasks:
        for server in record.drawn.servers:
            result = record.results.get((task.name, server))
            label = f"{task.name}, {server}: {_shorten(result)}"
            runs = task.count_runs(record.files[task.name, server], server)
            if runs is not None and runs > 1:
                verdict.twice.append(f"{label}: it ran {runs} times")
            elif result is None:
                verdict.lost.append(f"{label}: it has no result")
            elif result.get("unreachable") or (result["failed"] and not {"rc", "content"} & set(result)):
                verdict.unknown += bool(_MAY_HAVE_RUN.search(str(result["msg"])))
                verdict.lost += [f"{label}: {error}" for error in _check_error(record, task, result, runs)]
            else:
                verdict.wrong += [f"{label}: {error}" for error in _check_result(record, task, server, result, runs)]
    return verdict


def _check_error(record: PlayRecord, task: ConnectionTask, result: Row, runs: int | None) -> Iterator[str]:
    """Check that an error is right about effects, and has a cause."""
    if runs != 0 and task.kind not in _SEVERAL and not _MAY_HAVE_RUN.search(str(result["msg"])):
        yield "it ran, and the message does not say that it may have"
    if runs is None:
        yield "its file has content that no run writes"
    drawn = record.drawn
    is_stuck = drawn.switches["stuck_after"] < drawn.timeout
    has_faults = drawn.http or drawn.agents or drawn.reports or drawn.outages or drawn.switches["holds"] or is_stuck
    if not has_faults and not record.slowest_response > OVERLOADED:
        yield "there was no fault"


def _check_result(
    record: PlayRecord, task: ConnectionTask, server: str, result: Row, runs: int | None
) -> Iterator[str]:
    for key, value in task.expected(server).items():
        if result.get(key) != value:
            yield f"{key} is {_shorten(result.get(key))} rather than {_shorten(value)}"
    if bool(result["failed"]) != bool(task.returns.get("rc")):
        yield f"failed is {result['failed']}"
    if task.writes is not None and runs != 1:
        yield "it did not write its file"
    if task.fetches is not None and record.fetched[task.name, server] != task.fetches:
        yield "the fetched file is wrong"


def _shorten(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) < 500 else f"{text[:250]} ... {text[-200:]}"


class ConnectionCampaign(Campaign):
    name = "connection"
    dialects = ("current",)
    bounds = Bounds(("executed",), most=4, timeouts=(8,))

    def _run_and_check(self, workspace: Workspace, number: int, run_log: Path) -> tuple[Record, Verdict]:
        with tempfile.TemporaryDirectory(prefix="faults-") as folder:
            runner = PlayRunner(workspace, self, number, Path(folder))
            runner.run()
            return runner.record, check_play(runner.record, workspace.token)
