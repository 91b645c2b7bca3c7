# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Comparing the results of a round with the record of the workspace."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from faults.rounds import KILLED
from faults.runner import Record, Task

from ansible_collections.herdops.alpacon.plugins.module_utils._options.values import parse_share

Row = dict[str, Any]
Entry = dict[str, Any]

#: Outcomes of commands that have not ended.
OPEN = frozenset(("timed_out", "stuck", "awaiting_approval", "pending", "error"))
NEVER_RAN = frozenset(("denied", "rejected", "expired"))
#: Outcomes of commands that might not have been submitted.
_NOT_SUBMITTED = frozenset(("unknown", "refused", "offline", "not_tried"))
#: A task must see a finish that the workspace recorded this many seconds before.
_UNSEEN = 4.0
#: The message about a cancel request without a visible result.
_UNSEEN_CANCEL = "no answer states that it was cancelled, and the command could not be read"
#: Seconds beyond wait_timeout for names, lost responses, output and the last poll.
_GRACE = 40.0
#: The beginnings of the agent's messages about lines that did not start.
_NOT_BEGUN = (
    "there is no corresponding ",
    "groupname ",
    "fork/exec /bin/sh: ",
    "Failed to submit command: ",
    "Command cancelled before execution: ",
)
#: The exit code of lines that exceeded their time.
_TIMED_OUT = 124
#: The message of a shell about a killed script.
_KILLED = "\nKilled"
#: The replacement of a divided character.
_HALF = "\ufffd"
#: The message about a successful payload without a result.
_NO_ANSWER = "its output is missing"
#: A workspace with this response time in seconds delays its clients too.
OVERLOADED = 1.0

#: The counts of all rounds; unseen are outputs with lost chunks that the API does not reveal.
COUNTS = ("rounds", "commands", "run twice", "lost", "wrong", "unknown", "unseen", "requests")


@dataclass
class Verdict:
    """The disagreements of a round by kind, and the number of commands.

    Attributes:
        cut: outputs whose last chunks were lost, which the API does not reveal.
    """

    commands: int = 0
    requests: int = 0
    unknown: int = 0
    cut: int = 0
    twice: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    @property
    def counts(self) -> dict[str, int]:
        bad = (len(self.twice), len(self.lost), len(self.wrong))
        return dict(zip(COUNTS, (1, self.commands, *bad, self.unknown, self.cut, self.requests), strict=True))

    @property
    def disagreements(self) -> list[str]:
        kinds = (("run twice", self.twice), ("lost", self.lost), ("wrong", self.wrong))
        return [f"{kind}: {text}" for kind, texts in kinds for text in texts]


class RoundChecker:
    def __init__(self, record: Record) -> None:
        self.record = record
        self.drawn = record.drawn
        self.names = {server_id: name for name, server_id in record.ids.items()}
        self.rows = {row["id"]: row for row in record.rows}
        self.verdict = Verdict()
        self.overloaded = record.slowest_response > OVERLOADED

    def check(self) -> Verdict:
        for number, task in enumerate(self.record.tasks, start=1):
            self._check_task(f"task {number} ({task.state})", task)
        self._check_runs()
        if self.drawn.scenario in ("scheduled", "race"):
            self._check_schedule()
        if self.drawn.scenario == "reuse":
            self._check_reuse()
        return self.verdict

    def _add_wrong(self, text: str) -> None:
        self.verdict.wrong.append(text)

    # A task as a whole

    def _check_task(self, name: str, task: Task) -> None:
        self.verdict.requests += int(task.result.get("requests") or 0)
        self.verdict.commands += len(task.entries)
        if task.crash:
            self._add_wrong(f"{name}: {task.crash}")
            return
        self._check_time(name, task)
        if task.refusal:
            self._check_refusal(name, task)
            return
        if task.state in ("executed", "scheduled"):
            self._check_servers(name, task)
            self._check_losses(name, task)
        else:
            self._check_ids(name, task)
        self._check_summary(name, task)
        for entry in task.entries:
            self._check_entry(f"{name}, {self._server(entry)}", task, entry)

    def _check_time(self, name: str, task: Task) -> None:
        # The last command is submitted after the timeouts of all before it.
        total = len(self.drawn.servers)
        window = parse_share("max_concurrency", task.options.get("max_concurrency"), total, least=1) or total
        bound = (1 + math.ceil(total / window)) * self.drawn.timeout + _GRACE
        if not self.overloaded and task.ended - task.started > bound:
            self._add_wrong(f"{name}: took {task.ended - task.started:.1f} s, with wait_timeout={self.drawn.timeout:g}")

    def _check_refusal(self, name: str, task: Task) -> None:
        """Check that a task that failed as a whole wrote nothing."""
        written = [entry for entry in self._log(task) if entry["method"] in ("POST", "DELETE")]
        if written and not self._races(task):
            self._add_wrong(f"{name}: ended with '{task.refusal}' after {len(written)} writes")
        in_the_past = "is in the past" in task.refusal and self.drawn.scenario == "scheduled"
        if not self._may_fail() and not in_the_past:
            self._add_wrong(f"{name}: ended with '{task.refusal}' although no request was hit")

    def _check_servers(self, name: str, task: Task) -> None:
        stated = [self._server(entry) for entry in task.entries]
        if task.result.get("refused_hosts"):
            return
        if stated != list(self.drawn.servers):
            self._add_wrong(f"{name}: its commands are for {stated} rather than {list(self.drawn.servers)}")

    def _check_ids(self, name: str, task: Task) -> None:
        ids = [entry["id"] for entry in task.entries]
        if "ids" in task.options and ids != list(task.options["ids"]):
            self._add_wrong(f"{name}: its commands are not the ids that it was given")

    def _check_summary(self, name: str, task: Task) -> None:
        if "summary" not in task.result:
            return
        counted = Counter(entry["outcome"] for entry in task.entries)
        if dict(counted) != task.result["summary"]:
            self._add_wrong(f"{name}: its summary is {task.result['summary']} rather than {dict(counted)}")
        if task.result["changed"] != any(entry["changed"] for entry in task.entries):
            self._add_wrong(f"{name}: changed is {task.result['changed']}")
        bad = set(counted) - {"success", "pending"}
        if task.state == "executed" and task.result["failed"] != bool(bad):
            self._add_wrong(f"{name}: failed is {task.result['failed']} with {dict(counted)}")

    def _check_losses(self, name: str, task: Task) -> None:
        """Check that the result has each accepted command, by ID or as unknown."""
        entries = {self._server(entry): entry for entry in task.entries}
        submitted: dict[str, list[Row]] = {}
        for row in self._rows_submitted_by(task):
            submitted.setdefault(row["server"], []).append(row)
        if self._races(task):
            return
        for server, rows in submitted.items():
            if len(rows) > 1:
                self.verdict.twice.append(f"{name}, {server}: {len(rows)} commands, {[row['id'] for row in rows]}")
            entry = entries.get(server)
            if entry and entry["outcome"] == "unknown" and not entry["id"]:
                continue
            if not entry or entry["id"] not in [row["id"] for row in rows]:
                self.verdict.lost.append(
                    f"{name}, {server}: {rows[0]['id']} was accepted, the result is {_describe_entry(entry)}"
                )

    # One command of a task

    def _check_entry(self, name: str, task: Task, entry: Entry) -> None:
        outcome, command_id = entry["outcome"], entry["id"]
        row = self.rows.get(command_id)
        if outcome == "unknown":
            self.verdict.unknown += 1
        # A cancel request with a lost response may be handled after all tasks.
        ends = (
            None
            if outcome == "unknown"
            else self.record.tasks[-1]
            if self._may_be_cancelled_later(task, entry)
            else task
        )
        if command_id and row is None and outcome != "cancelled" and not self._was_cancelled(ends, command_id):
            self._add_wrong(f"{name}: {command_id} is not in the workspace; {_describe_entry(entry)}")
            return
        if row and row["server"] != self._server(entry):
            self._add_wrong(f"{name}: {command_id} is one of {row['server']}; {_describe_entry(entry)}")
            return
        if (
            row
            and task.state == "executed"
            and "reuse_within" not in task.options
            and not self._was_submitted_by(task, row)
        ):
            self._add_wrong(f"{name}: {command_id} was not submitted by this task; {_describe_entry(entry)}")
            return
        for complaint in self._entry_errors(task, entry, row):
            self._add_wrong(f"{name}: {complaint}; {_describe_entry(entry)}; truth: {_describe_row(row)}")

    def _entry_errors(self, task: Task, entry: Entry, row: Row | None) -> Iterator[str]:
        check = _CHECKS.get(entry["outcome"])
        if check is None:
            yield "that outcome is not expected"
        else:
            yield from check(self, task, entry, row)
        if entry["ran"] and entry["outcome"] in (*NEVER_RAN, "refused", "offline", "not_tried", "cancelled"):
            yield "it is said to have run"

    def _check_never_ran(self, task: Task, entry: Entry, row: Row | None) -> Iterator[str]:
        if not row or row["status"] != entry["outcome"] or row["run_count"]:
            yield "it did not end so"

    def _check_sent(self, task: Task, entry: Entry, row: Row | None) -> Iterator[str]:
        if not row or not row["delivered_count"]:
            yield "it was not delivered"

    def _check_ended(self, task: Task, entry: Entry, row: Row | None) -> Iterator[str]:
        server, outcome = self._server(entry), entry["outcome"]
        if row is None or row["status"] not in ("success", "failed"):
            yield "it has not ended"
            return
        if _never_began(row):
            yield from self._check_not_begun(server, entry)
            return
        cut_off = self._was_killed(server, row)
        if not self.drawn.supports_payload and not cut_off:
            yield from self._check_not_begun(server, entry)
            return
        code = row["exit_code"] if cut_off else self.drawn.rc(server)
        states_code = self.drawn.dialect == "current"
        codes = task.options.get("success_codes", [0]) if states_code else [0]
        if outcome != ("success" if code in codes else "failed"):
            yield f"its exit code is {code}"
        rc = code if states_code else min(abs(code), 1)
        if entry["rc"] != rc or entry["ran"] is not True:
            yield f"its rc is {rc}, and it ran"
        yield from self._check_partial_output(server, entry) if cut_off else self._check_output(server, entry)

    def _was_killed(self, server: str, row: Row) -> bool:
        agent_faults = self.drawn.agent_faults(server)
        return (row["exit_code"] == KILLED and "restart" in agent_faults) or (
            row["exit_code"] == _TIMED_OUT and "time_out" in agent_faults
        )

    def _check_not_begun(self, server: str, entry: Entry) -> Iterator[str]:
        """Check a line that did not start. If the agent's message is lost, it looks like a failed line."""
        if entry["outcome"] != "failed":
            yield "it never began"
        if entry["ran"] is False and entry["rc"] is None:
            return
        if not self._loses_chunks(server) and not self._may_fail("GET"):
            yield "it never began, so it did not run and has no rc"

    def _check_partial_output(self, server: str, entry: Entry) -> Iterator[str]:
        said = entry["stdout"].partition("Command timed out after ")[0].strip().rstrip(_HALF)
        if not self._loses_chunks(server) and said not in self.drawn.command.text(server):
            yield f"its output is the beginning of {_shorten(self.drawn.command.text(server))}"

    def _check_output(self, server: str, entry: Entry) -> Iterator[str]:
        text = self.drawn.command.text(server)
        text = text.rstrip("\r\n") if self.drawn.dialect == "current" else text.strip()
        stdout = entry["stdout"]
        if self.drawn.has_payload and entry["output_complete"]:
            yield from self._check_stderr(server, entry)
        if stdout == text:
            if entry["output_complete"] is not True and not self._may_be_cut(server):
                yield "its output is complete"
            return
        in_chunks = self.drawn.switches.get("output") == "chunks" or self.drawn.command.kind == "huge"
        if entry["output_complete"] is False:
            if not self._may_be_cut(server):
                yield "its output is not complete, and nothing happened to it"
        elif self._loses_chunks(server) and in_chunks and text.startswith(entry["stdout"]):
            self.verdict.cut += 1
        else:
            yield f"its output is {_shorten(text)} rather than {_shorten(entry['stdout'])}"

    def _check_stderr(self, server: str, entry: Entry) -> Iterator[str]:
        """Check standard error, to which the shell adds a message about a killed script."""
        if entry["stderr"].removesuffix(_KILLED) != f"error {server}":
            yield f"its standard error is {_shorten(entry['stderr'])}"

    def _loses_chunks(self, server: str) -> bool:
        """Return True if chunks may be late or lost: an agent repeats refused reports five times."""
        return bool(self.drawn.reports) or bool(self.drawn.agent_faults(server) & {"drop_chunk", "late_chunk"})

    def _may_be_cut(self, server: str) -> bool:
        hit = self._loses_chunks(server) or "reverse_chunks" in self.drawn.agent_faults(server)
        return hit or self._may_fail("GET") or self.drawn.command.kind == "huge"

    def _check_cancelled(self, task: Task, entry: Entry, row: Row | None) -> Iterator[str]:
        if row and row["status"] not in ("cancelled", *NEVER_RAN) and entry["id"]:
            yield "it was not cancelled"
        if (
            entry["changed"]
            and entry["id"]
            and task.state == "cancelled"
            and not self._was_cancelled(task, entry["id"])
        ):
            yield "no request cancelled it"

    def _check_unsent(self, task: Task, entry: Entry, row: Row | None) -> Iterator[str]:
        if entry["id"]:
            yield "it has an id"
        posts = self._posts(task, self._server(entry))
        # A submit refused only for the quota counts as not tried.
        tried = [post["fault"] for post in posts if post["status"] != 429]
        if entry["outcome"] == "not_tried" and tried and not self._races(task):
            yield f"it was tried: {tried}"
        if entry["changed"]:
            yield "it counts as changed"
        may_fail = self._may_fail("POST") or self.drawn.unreachable(self._server(entry))
        if entry["outcome"] == "refused" and not may_fail:
            yield "nothing was in its way"
        if entry["outcome"] == "offline" and not self.drawn.unreachable(self._server(entry)):
            yield "its agent was there all the time"

    def _check_unknown(self, task: Task, entry: Entry, row: Row | None) -> Iterator[str]:
        if task.state == "cancelled":
            if not self._may_fail("DELETE", "GET"):
                yield "no answer was lost"
        elif entry["id"] and _NO_ANSWER in entry["msg"]:
            if not self.drawn.has_payload or not self._may_be_cut(self._server(entry)):
                yield "nothing happened to its answer"
        elif entry["id"]:
            restarted = self.drawn.may_restart(self._server(entry))
            if restarted and row is not None and entry["status"] in ("delivered", "running", "stuck"):
                yield from self._check_open(task, entry, row)
            elif row is not None and not self._statuses(403):
                yield "its id is known, and the workspace shows it"
        elif not self.overloaded and not any(post["fault"] for post in self._posts(task, self._server(entry))):
            yield "no answer was lost"

    def _check_open(self, task: Task, entry: Entry, row: Row | None) -> Iterator[str]:
        server, outcome = self._server(entry), entry["outcome"]
        if row is None:
            cancelled = outcome == "timed_out" and (entry["status"] == "cancelled" or _UNSEEN_CANCEL in entry["msg"])
            if not cancelled and not self._may_be_cancelled_later(task, entry):
                yield "there is no such command"
            return
        if outcome == "awaiting_approval" and not self.drawn.holds(server):
            yield "the workspace did not hold it"
        if outcome in ("pending", "awaiting_approval") or not row["handled_at"]:
            return
        early = task.ended - datetime.fromisoformat(row["handled_at"]).timestamp()
        if early < _UNSEEN:
            return
        if entry["ran"] is False and row["run_count"]:
            yield f"it is said not to have run, and ended {early:.1f} s before the task did"
        # A workspace may report "stuck" although a late result follows.
        gave_up = outcome == "stuck" and self.drawn.switches["stuck_after"] < early + self.drawn.timeout
        if not gave_up and not self._may_fail("GET") and not self._statuses(429):
            yield f"it ended {early:.1f} s before the task did"

    def _may_be_cancelled_later(self, task: Task, entry: Entry) -> bool:
        """Return True if another task may cancel the command after this one."""
        return entry["outcome"] == "pending" and (task.state == "executed" or bool(task.warnings))

    # All tasks together

    def _check_runs(self) -> None:
        for server, runs in self.record.runs.items():
            accepted = sum(1 for row in self.record.rows if row["server"] == server and row["delivered_count"])
            if runs > accepted:
                label = [_describe_row(row) for row in self.record.rows if row["server"] == server]
                self.verdict.twice.append(f"{server}: the line ran {runs} times, {accepted} were delivered: {label}")
        for row in self.record.rows:
            if row["run_count"] > 1 or row["delivered_count"] > 1:
                self._add_wrong(f"the workspace itself ran {row['id']} twice")

    def _check_schedule(self) -> None:
        """Check that each server has one command, unless a task reported that it does not know."""
        uncertain = any(task.refusal or task.crash or task.warnings for task in self.record.tasks)
        for server in self.drawn.servers:
            known = [row for row in self.record.rows if row["server"] == server and row["status"] != "cancelled"]
            rows = [row for row in known if row["status"] not in NEVER_RAN]
            entries = [entry for task in self.record.tasks for entry in task.entries if self._server(entry) == server]
            doubtful = any(entry["outcome"] in _NOT_SUBMITTED for entry in entries)
            label = f"{[row['id'] for row in rows]}: {[_describe_entry(entry) for entry in entries]}"
            if len(rows) > 1 and not doubtful and not (self.drawn.scenario == "race" and uncertain):
                self.verdict.twice.append(f"{server}: {len(rows)} commands exist, {label}")
            if not known and not doubtful and not uncertain:
                self.verdict.lost.append(f"{server}: no command exists, {label}")
            self._check_existing(server, known)

    def _check_existing(self, server: str, rows: list[Row]) -> None:
        existing = {row["id"] for row in rows}
        for task in self.record.tasks:
            for entry in task.entries:
                named = self._server(entry) == server and entry["id"] and entry["outcome"] != "cancelled"
                # A run that could not check after its submit does not know what another run cancelled.
                if named and entry["id"] not in existing and not task.warnings:
                    self._add_wrong(f"{server}: {_describe_entry(entry)} was cancelled, {sorted(existing)} exists")

    def _check_reuse(self) -> None:
        first, second = self.record.tasks[:2]
        for entry in second.entries:
            before = [
                row
                for row in self._rows_submitted_by(first)
                if row["server"] == self._server(entry)
                and row["status"] == "success"
                and row["handled_at"]
                and datetime.fromisoformat(row["handled_at"]).timestamp() < second.started
            ]
            if before and (entry["changed"] or entry["id"] not in [row["id"] for row in before]):
                self._add_wrong(f"{self._server(entry)}: {before[0]['id']} was to be reused; {_describe_entry(entry)}")

    # The record

    def _may_fail(self, *methods: str) -> bool:
        return self.overloaded or (self.drawn.may_fail(*methods) if methods else bool(self.drawn.http))

    def _statuses(self, status: int) -> bool:
        """Return True if faults send this status; a 429 delays all requests."""
        return any(fault.get("status") == status for fault in self.drawn.http)

    def _server(self, entry: Entry) -> str:
        server = entry["server"] or {}
        row = self.rows.get(entry["id"])
        return self.names.get(str(server.get("id"))) or server.get("name") or (row or {}).get("server") or "?"

    def _log(self, task: Task) -> list[Row]:
        return [entry for entry in self.record.log if task.first < entry["number"] <= task.last]

    def _was_submitted_by(self, task: Task, row: Row) -> bool:
        return task.first < (row["created_by_request"] or 0) <= task.last

    def _rows_submitted_by(self, task: Task) -> list[Row]:
        return [row for row in self.record.rows if self._was_submitted_by(task, row)]

    def _posts(self, task: Task, server: str) -> list[Row]:
        server_id = self.record.ids[server]
        return [
            entry
            for entry in self._log(task)
            if entry["route"] == "POST /api/events/commands/" and server_id in entry["body"]
        ]

    def _was_cancelled(self, task: Task | None, command_id: str) -> bool:
        """Return True if a cancel request was made before the end of a task, or at any time."""
        return any(
            entry["method"] == "DELETE" and command_id in entry["path"] and (not task or entry["number"] <= task.last)
            for entry in self.record.log
        )

    def _races(self, task: Task) -> bool:
        return any(
            other is not task and other.first < task.last and task.first < other.last for other in self.record.tasks
        )


_CHECKS: dict[str, Callable[[RoundChecker, Task, Entry, Row | None], Iterator[str]]] = {
    **dict.fromkeys(("success", "failed"), RoundChecker._check_ended),
    **dict.fromkeys(NEVER_RAN, RoundChecker._check_never_ran),
    **dict.fromkeys(("refused", "offline", "not_tried"), RoundChecker._check_unsent),
    **dict.fromkeys(OPEN, RoundChecker._check_open),
    "cancelled": RoundChecker._check_cancelled,
    "unknown": RoundChecker._check_unknown,
    "sent": RoundChecker._check_sent,
}


def _never_began(row: Row) -> bool:
    return row["exit_code"] == 1 and str(row["result_begin"]).startswith(_NOT_BEGUN)


def _describe_entry(entry: Entry | None) -> str:
    if entry is None:
        return "nothing"
    kept = ("id", "status", "outcome", "rc", "ran", "changed", "output_complete", "msg")
    return json.dumps({key: entry[key] for key in kept}, default=str)[:600]


def _describe_row(row: Row | None) -> str:
    if row is None:
        return "no such command"
    counts = ("delivered_count", "run_count", "fin_count")
    kept = ("status", "exit_code", "result_begin", *counts, "added_at", "handled_at")
    return json.dumps({key: row[key] for key in kept})


def _shorten(text: str) -> str:
    return repr(text) if len(text) < 120 else f"{text[:50]!r}...{text[-50:]!r} ({len(text)})"
