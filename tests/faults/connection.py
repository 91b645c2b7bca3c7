# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The campaign of the connection plugin: plays under faults, judged by what their tasks left on the hosts."""

from __future__ import annotations

import json
import random
import re
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from faults.campaign import Campaign
from faults.connection_tasks import Deed, Row, draw_deeds
from faults.draw import REQUEST_TIMEOUT, Bounds, Round, draw
from faults.story import Record, Story
from faults.verdict import STRAINED, Verdict
from system.plays import start_plays
from workspace.client import Workspace

#: What is in the line of every carried command.
_CARRIED = " sha256:"
#: What may be drawn: a few hosts, and commands that nobody hears of are given up after a while.
BOUNDS = Bounds(("executed",), most=4, timeouts=(8,))
#: How many tasks a play has, at least and at most.
_TASKS = (3, 6)
#: No play takes so long unless it hangs, in seconds.
_PATIENCE = 400.0
#: What runs on after its agent was killed ends within so many seconds.
_STRAGGLERS = 2.0
#: How an error says that its command may have had effects.
_MAY_HAVE_RUN = re.compile(r"may have run|has run\b")
#: Tasks of several commands: what an error says is about the one that failed.
_SEVERAL = ("later", "copy", "file")


def draw_play(seed: str, number: int, bounds: Bounds, folder: Path) -> tuple[Round, list[Deed]]:
    drawn = draw(seed, number, bounds)
    rng = random.Random(f"{seed}/{number}/connection")
    # A module takes longer than most lines, and has to have the time.
    own = {"stuck_after": rng.choice((600.0, 600.0, 5.0)), "read_lag": rng.choice((0, 0, 0.5, 2))}
    drawn = replace(drawn, offline=(), carried=True, switches={**drawn.switches, **own})
    for rule in (*drawn.agents, *drawn.switches.get("holds", ())):
        rule["line"] = _CARRIED
    for fault in drawn.agents:
        fault["after"] = rng.choice((0, 1, 2, 4, 6))
    if rng.random() < 0.5:
        after = {"method": "POST", "path": "^/api/events/commands/$", "times": 2, "after": rng.randrange(10)}
        drawn.http.append({"kind": "status_after", "status": 503, **after})
    return drawn, draw_deeds(rng, folder, rng.randint(*_TASKS))


@dataclass
class PlayRecord(Record):
    """What a play did, and the truth about it.

    Attributes:
        results: what each task returned on each host, by its name and the host.
        traces: the file of each task on each host.
        fetched: what each brought.
    """

    deeds: Sequence[Deed] = ()
    results: dict[tuple[str, str], Row] = field(default_factory=dict)
    output: str = ""
    ended: bool = False
    traces: dict[tuple[str, str], bytes] = field(default_factory=dict)
    fetched: dict[tuple[str, str], bytes] = field(default_factory=dict)


class PlayStory(Story):
    def __init__(self, workspace: Workspace, campaign: Campaign, number: int, place: Path) -> None:
        self._place = place
        drawn, deeds = draw_play(campaign.seed, number, campaign.bounds, place / "files")
        super().__init__(workspace, drawn, place / "ledger")
        self.record: PlayRecord = PlayRecord(drawn, deeds=deeds)

    def _act(self) -> None:
        variables = {
            "ansible_connection": "herdops.alpacon.alpacon",
            "ansible_python_interpreter": "{{ ansible_playbook_python }}",
            "alpacon_request_timeout": REQUEST_TIMEOUT,
            "alpacon_wait_timeout": self._drawn.timeout,
            "alpacon_wait_for_approval": self._drawn.options["wait_for_approval"],
        }
        own = {server: {"alpacon_server_id": self.record.ids[server]} for server in self._drawn.servers}
        hosts = {server: {**variables, **({} if self._drawn.by_name else own[server])} for server in own}
        tasks = [deed.task for deed in self.record.deeds]
        plays = [{"hosts": "all", "gather_facts": False, "strategy": "ansible.builtin.free", "tasks": tasks}]
        run = start_plays(self._workspace, self._place, hosts, plays, forks=len(hosts))
        with suppress(subprocess.TimeoutExpired):
            run.process.wait(_PATIENCE)
            self.record.ended = True
        run.stop()
        self.record.output = run.log
        for entry in map(json.loads, _content(self._place / "results").splitlines()):
            self.record.results[entry["task"], entry["host"]] = entry["result"]

    def _gather(self) -> None:
        time.sleep(_STRAGGLERS)
        record = self.record
        for deed in record.deeds:
            for server in self._drawn.servers:
                key = (deed.name, server)
                record.traces[key] = _content(self._place / f"files/{server}.{deed.number}")
                record.fetched[key] = _content(self._place / f"files/fetched.{server}.{deed.number}")
        record.rows = self._workspace.commands()
        record.log = self._workspace.log(20_000)


def _content(file: Path) -> bytes:
    return file.read_bytes() if file.exists() else b""


def judge_play(record: PlayRecord, token: str) -> Verdict:
    verdict = Verdict(commands=len(record.deeds) * len(record.drawn.servers), requests=len(record.log))
    if not record.ended or "Traceback" in record.output:
        verdict.wrong.append(f"the play did not end well:\n{record.output[-3000:]}")
    if token in record.output:
        verdict.wrong.append("the token was printed")
    for row in record.rows:
        if row["delivered_count"] > 1:
            verdict.wrong.append(f"the workspace itself delivered {row['id']} twice")
    for deed in record.deeds:
        for server in record.drawn.servers:
            told = f"{deed.name}, {server}"
            result = record.results.get((deed.name, server))
            times = deed.times_run(record.traces[deed.name, server], server)
            if times is not None and times > 1:
                verdict.twice.append(f"{told}: it ran {times} times; {_shown(result)}")
            elif result is None:
                verdict.lost.append(f"{told}: it has no result")
            elif is_error(result):
                verdict.unknown += bool(_MAY_HAVE_RUN.search(str(result["msg"])))
                verdict.lost += [f"{told}: {what}; {_shown(result)}" for what in _of_error(record, deed, result, times)]
            else:
                verdict.wrong += [
                    f"{told}: {what}; {_shown(result)}" for what in _of_result(record, deed, server, result, times)
                ]
    return verdict


def is_error(result: Row) -> bool:
    return bool(result.get("unreachable")) or (bool(result["failed"]) and not {"rc", "content"} & set(result))


def _of_error(record: PlayRecord, deed: Deed, result: Row, times: int | None) -> Iterator[str]:
    """What is wrong with an error: it tells the untruth about whether anything has run, or has no cause."""
    if times != 0 and deed.kind not in _SEVERAL and not _MAY_HAVE_RUN.search(str(result["msg"])):
        yield "it ran, and nobody says that it may have"
    if times is None:
        yield "it left what no run can have written"
    drawn = record.drawn
    fell_silent = drawn.switches["stuck_after"] < drawn.timeout
    hindered = drawn.http or drawn.agents or drawn.reports or drawn.outages or drawn.switches["holds"] or fell_silent
    if not hindered and not record.strain > STRAINED:
        yield "nothing was in its way"


def _of_result(record: PlayRecord, deed: Deed, server: str, result: Row, times: int | None) -> Iterator[str]:
    for key, value in deed.expected(server).items():
        if result.get(key) != value:
            yield f"{key} is {_shown(result.get(key))} rather than {_shown(value)}"
    if bool(result["failed"]) != bool(deed.returns.get("rc")):
        yield f"failed is {result['failed']}"
    if deed.leaves is not None and times != 1:
        yield "it has left nothing of that"
    if deed.fetches is not None and record.fetched[deed.name, server] != deed.fetches:
        yield "what it brought is something else"


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) < 500 else f"{text[:250]} ... {text[-200:]}"


class ConnectionCampaign(Campaign):
    name = "connection"
    dialects = ("current",)
    bounds = BOUNDS

    def _judged(self, workspace: Workspace, number: int, ledger: Path) -> tuple[Record, Verdict]:
        with tempfile.TemporaryDirectory(prefix="faults-") as folder:
            story = PlayStory(workspace, self, number, Path(folder))
            story.tell()
            return story.record, judge_play(story.record, workspace.token)
