# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Begin tasks one after the other, send what they would run on the host in batches, and end them in their order.

Each task runs in a coroutine. It stops where it runs a command on the host, and the next task begins. A variable that
a task registers is a template until the task has ended: whoever evaluates it stops there, the batch is sent, the tasks
of the batch end in their order, and the evaluation goes on with the real value.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from ansible.utils.display import Display

from ...module_utils._api.errors import AlpaconError
from ...module_utils._payload.packing import PayloadTooLarge
from .._connection.runner import MAY_HAVE_RUN, RequestTooLarge
from .core import Core
from .coroutine import Coroutine
from .executor import TaskOutcome
from .kinds import Kind
from .program import Record
from .recording import Call, RunsAlone
from .sending import send_entries

display = Display()


@dataclass(frozen=True)
class NeededVariable:
    """Request of a coroutine for the value of a variable that is still pending."""

    name: str


@dataclass(frozen=True)
class Items:
    """Request of a coroutine for the values of functions, one for each item of a loop."""

    functions: list[Callable[[], Any]]


@dataclass
class OpenTask:
    """Task that has begun and not ended.

    Attributes:
        rest: the tasks after it, see :class:.Walk.
        items: the coroutines of the items of its loop.
        has_run: whether one of its commands may have run on the host.
        outcome: how it ended; None until it has, which may be long before the tasks before it have.
    """

    number: int
    task: Any
    kind: Kind
    rest: Any
    main: Coroutine
    items: list[Coroutine] = field(default_factory=list)
    is_dropped: bool = False
    has_run: bool = False

    @property
    def needs_own_run(self) -> str:
        """Return the reason why it must run by itself; empty if it need not."""
        requests = [coroutine.request for coroutine in [*self.items, self.main]]
        return next((request.reason for request in requests if isinstance(request, RunsAlone)), "")

    @property
    def outcome(self) -> TaskOutcome | None:
        return self.main.value if self.main.has_ended else None

    @property
    def names(self) -> list[str]:
        """Return the variables that it registers."""
        return list(self.task.register or ())

    def iterate_calls(self) -> Iterator[tuple[Coroutine, Call]]:
        """Yield the coroutines that wait for a command, in the order in which the commands run."""
        for coroutine in [*self.items, self.main]:
            if isinstance(coroutine.request, Call):
                yield coroutine, coroutine.request

    def drop(self) -> None:
        """End it without an outcome: it did not run on the host."""
        self.is_dropped = True
        for coroutine in [*self.items, self.main]:
            coroutine.abort()


@dataclass(frozen=True)
class Cut:
    """Why a batch ended: at which task, and the reason. The task is empty at the end of all tasks."""

    task: str
    reason: str

    def describe(self, commands: int) -> str:
        """Return a line for users."""
        end = f" at {self.task!r}" if self.task else ""
        return f"BATCH OF {commands} ENDS{end}: {self.reason}"


@dataclass(frozen=True)
class OpenCall:
    """Command that a coroutine of a task waits for."""

    task: OpenTask
    coroutine: Coroutine
    call: Call


@dataclass(frozen=True)
class Batch:
    """Commands to send at once, in their order, and why no more of them."""

    calls: list[OpenCall]
    cut: Cut


class Batches:
    """Begins and ends the tasks of one host.

    Attributes:
        open: tasks that have begun, in their order.
        cuts: why each batch ended.
        failure: the task whose failure has dropped all tasks after it.
        changed: the task whose variables the tasks after it must see; they are dropped too, and did not run.
        ended: called with each task that ended, in their order.
    """

    def __init__(self, core: Core, label: str) -> None:
        self._core = core
        self._label = label
        self._count = 0
        #: Coroutines of which a module has run.
        self._answered: set[Coroutine] = set()
        self.open: list[OpenTask] = []
        self.cuts: list[Cut] = []
        self.ended: Callable[[OpenTask, TaskOutcome], None] = lambda _task, _outcome: None
        self.failure: OpenTask | None = None
        self.changed: OpenTask | None = None

    # Begin

    def begin(self, task: Any, kind: Kind, rest: Any, run: Callable[[], TaskOutcome]) -> OpenTask:
        """Begin a task, and return when it waits for the host or has an outcome."""
        self._count += 1
        main = Coroutine(run)
        opened = OpenTask(self._count, task, kind, rest, main)
        self._show()
        self.open.append(opened)
        self._advance(opened, main)
        self._ask(opened, main)
        return opened

    def _ask(self, task: OpenTask, coroutine: Coroutine) -> None:
        """Let the host answer what a task asks before it runs its module."""
        while not task.is_dropped and _is_question(coroutine.request):
            self.send_until(lambda: not _is_question(coroutine.request), task.task, "")

    def _advance(self, task: OpenTask, coroutine: Coroutine, answer: Any = None) -> None:
        """Let a coroutine go on until it waits for the host or ends."""
        coroutine.resume(answer)
        while not task.is_dropped:
            request = coroutine.request
            if isinstance(request, NeededVariable):
                is_known = partial(self._is_known, request.name, task)
                self.send_until(is_known, task.task, f"it needs {request.name}")
                if not task.is_dropped:
                    self._show(task)
                    coroutine.resume()
            elif isinstance(request, Items):
                task.items = [Coroutine(function) for function in request.functions]
                for item in task.items:
                    if not task.is_dropped:
                        self._advance(task, item)
                        self._ask(task, item)
                if not all(item.has_ended for item in task.items) or task.is_dropped:
                    return
                self._end_items(task)
            else:
                return

    def _end_items(self, task: OpenTask) -> None:
        values, task.items = [item.value for item in task.items], []
        self._advance(task, task.main, values)

    def close(self) -> None:
        """Forget the tasks that have not ended."""
        for opened in self.open:
            opened.drop()
        self.open.clear()

    def remove(self, task: OpenTask) -> None:
        """Forget a task that has begun last, and did not run on the host."""
        task.drop()
        self.open.remove(task)

    # Variables

    def _is_known(self, name: str, task: OpenTask) -> bool:
        """Return True if all tasks before a task that register a variable have ended."""
        before = itertools.takewhile(lambda opened: opened is not task, self.open)
        return not any(name in opened.names for opened in before)

    def read(self, name: str) -> Any:
        """Return a registered variable, after its task has ended."""
        coroutine = Coroutine.get_current()
        if coroutine and any(name in opened.names for opened in self.open):
            coroutine.wait_for(NeededVariable(name))
        return self._core.own_variables[name]

    def _show(self, until: OpenTask | None = None) -> None:
        """Let a task that begins see the variables of the tasks before it."""
        values, pending = dict(self._core.own_variables), set[str]()
        for opened in itertools.takewhile(lambda opened: opened is not until, self.open):
            pending.update(opened.names)
            if opened.outcome:
                known = {**self._core.list_own_layers(opened.outcome), **opened.outcome.registered}
                values.update(known)
                pending.difference_update(known)
        self._core.show_variables(values, pending)

    # Send

    def send_until(self, condition: Callable[[], bool], by: Any, reason: str) -> None:
        """Send batches until a condition holds, a task fails, or variables have changed."""
        self._settle({})
        while not (condition() or self.failure or self.changed):
            batch = self._collect(Cut(by.get_name() if by else "", reason))
            if not batch.calls:
                return
            self._settle(self._send(batch))

    def _collect(self, cut: Cut) -> Batch:
        """Return the next batch: all that waits, in its order, up to what depends on a result."""
        calls: list[OpenCall] = []
        for opened in self.open:
            for coroutine, call in opened.iterate_calls():
                if calls and call.host.account != calls[0].call.host.account:
                    return Batch(calls, Cut(opened.task.get_name(), "it runs as another account"))
                calls.append(OpenCall(opened, coroutine, call))
                if call.is_question or coroutine in self._answered:
                    return Batch(calls, Cut(opened.task.get_name(), "what it does next depends on the answer"))
            if opened.kind.is_last and calls:
                return Batch(calls, Cut(opened.task.get_name(), opened.kind.reason))
        return Batch(calls, cut)

    def _send(self, batch: Batch) -> dict[Coroutine, Any]:
        """Send a batch, and return what each coroutine gets: a record, or the reason why there is none."""
        calls = batch.calls
        answers = self._send_calls(calls)
        if answers is None:
            # It is too large.
            half = calls[: max(1, len(calls) // 2)]
            if half == calls:
                calls[0].call.branches = {}
            return self._send(Batch(half, Cut(half[-1].task.task.get_name(), "the batch would be too large")))
        last = max((number for number, item in enumerate(calls) if item.coroutine in answers), default=0)
        if last + 1 == len(calls):
            self.cuts.append(batch.cut)
        else:
            self.cuts.append(Cut(calls[last].task.task.get_name(), "its result ended the batch"))
        display.vv(self.cuts[-1].describe(len(calls)), host=self._core.host.name)
        return answers

    def _send_calls(self, calls: list[OpenCall]) -> dict[Coroutine, Any] | None:
        """Return the answers of calls; None if they are too large for one submit, and did not run."""
        first = calls[0]
        if len(calls) == 1 and not first.call.branches:
            return {first.coroutine: _run_alone(first.call)}
        entries = [item.call.to_entry(item.task.number, item.task.kind.stops) for item in calls]
        try:
            label = f"{len({item.task.number for item in calls})}-of-{self._label}"
            result = send_entries(first.call.host, self._core.get_python(first.task.task), entries, label)
        except (PayloadTooLarge, RequestTooLarge):
            return None
        except AlpaconError as error:
            return {item.coroutine: error for item in calls}
        lost = {calls[number].task.number: calls[number].task.task.get_name() for number in result.may_have_run}
        answers: dict[Coroutine, Any] = {}
        for number, item in enumerate(calls):
            if number in result.records:
                answers[item.coroutine] = result.records[number]
            elif number in result.may_have_run:
                after = [repr(name) for task, name in lost.items() if task > item.task.number]
                others = f" These tasks after it may have run, too: {', '.join(after)}." if after else ""
                answers[item.coroutine] = AlpaconError(f"{result.problem} {MAY_HAVE_RUN}{others}")
        return answers

    # End

    def _settle(self, answers: dict[Coroutine, Any]) -> None:
        """Let the tasks go on with their answers and end, in their order."""
        while self.open and not (self.failure or self.changed):
            first = self.open[0]
            self._core.show_variables(self._core.own_variables)
            for coroutine in [*first.items, first.main]:
                if coroutine in answers:
                    first.has_run = True
                    if not _is_question(coroutine.request):
                        self._answered.add(coroutine)
                    self._advance(first, coroutine, answers.pop(coroutine))
            if isinstance(first.main.request, Items) and all(item.has_ended for item in first.items):
                self._end_items(first)
            if first.outcome is None:
                if not answers and not (first.has_run and first.needs_own_run):
                    return
                # The program on the host stops after each task that may need several commands, except this one.
                refused = AlpaconError(
                    "It needs several commands, and tasks after it have run. Run it without a batch."
                )
                waiting = [coroutine for coroutine in [*first.items, first.main] if coroutine.request]
                answers.update(dict.fromkeys(waiting, refused))
                continue
            self.open.pop(0)
            self._end(first, first.outcome, bool(answers))

    def _end(self, task: OpenTask, outcome: TaskOutcome, others_ran: bool) -> None:
        self._core.apply(outcome)
        self.ended(task, outcome)
        if outcome.has_failed:
            self.failure = task
        elif self._core.has_changed_facts(outcome) and not others_ran:
            self.changed = task
        else:
            return
        self.close()


def _is_question(request: Any) -> bool:
    return isinstance(request, Call) and request.is_question


def _run_alone(call: Call) -> Record | AlpaconError:
    try:
        result = call.run()
    except AlpaconError as error:
        return error
    return Record(result.rc, result.stdout, result.stderr)


_current: list[Batches] = []


def set_current_batches(batches: Batches) -> None:
    """Let the lookup of pending variables find the tasks of this process."""
    _current[:] = [batches]


def get_current_batches() -> Batches | None:
    return _current[0] if _current else None
