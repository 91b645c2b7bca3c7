# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Go through blocks, included files and roles, and handlers, in the order in which ansible-core runs their tasks."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from ansible.playbook.block import Block

from .batches import Batches, Items, OpenTask
from .branches import add_branches
from .core import Core
from .coroutine import wait_for
from .executor import TaskOutcome
from .kinds import Kind, check_tasks, get_kind, get_short_name
from .recording import HostConnections


@dataclass(frozen=True)
class Rest:
    """Parts that are still to run: a task, a block, an end of a block or of handlers, and the rest."""

    first: Any
    rest: Rest | None


@dataclass(frozen=True)
class BlockEnd:
    """End of the tasks of a block with C(rescue) or C(always), or of its C(rescue)."""

    block: Block
    is_rescue: bool = False


@dataclass(frozen=True)
class AlwaysEnd:
    """End of the C(always) of a block, after which an earlier failure goes on."""

    failure: TaskOutcome | None


@dataclass(frozen=True)
class FlushHandlers:
    """Stands for the notified handlers, beginning with one of all handlers; a handler may notify later ones."""

    position: int = 0


class Walk:
    """Runs an included file or role, and all that it includes.

    Attributes:
        outcomes: of the tasks that ended, in their order.
        failure: how the task ended whose failure ends the walk; None if there is none.
        notified: notifications for handlers of the play.
    """

    def __init__(
        self, core: Core, batches: Batches, connections: HostConnections, connection_name: str, hosts: int
    ) -> None:
        self._core = core
        self._batches = batches
        self._connections = connections
        self._connection_name = connection_name
        self._hosts = hosts
        self._rest: Rest | None = None
        self._pending_handlers: list[Any] = []
        self._include_task: Any = None
        #: Tasks that turned out not to be recordable, with the reason.
        self._own_runs: list[tuple[Any, str]] = []
        self.outcomes: list[TaskOutcome] = []
        self.failure: TaskOutcome | None = None
        self.notified: list[str] = []
        batches.ended = self._end_task

    def run(self, include: Any, runs_handlers_after_failure: bool) -> None:
        """Run an include and all its tasks, then the notified handlers of its roles.

        Raises:
            TaskRefused: a task cannot run here. The tasks before it may have run.
        """
        self._include_task = include
        self._rest = _chain([include, FlushHandlers()], None)
        self._run_rest()
        if self.failure and runs_handlers_after_failure:
            # The play takes no notifications from a task that fails.
            for name in self.notified:
                self._notify(self._core.find_handlers(name))
            self.notified = []
            failure, self.failure = self.failure, None
            self._rest = Rest(FlushHandlers(), None)
            self._run_rest()
            self.failure = failure

    def _run_rest(self) -> None:
        while not self.failure:
            if self._rest:
                first, self._rest = self._rest.first, self._rest.rest
                self._begin(first)
            elif self._batches.open:
                self._drain(None, "the end of the tasks")
            else:
                return
            self._react()

    def _react(self) -> None:
        """Go on behind a task that failed, or whose variables the tasks after it need."""
        batches = self._batches
        if batches.failure and batches.failure.outcome:
            self._rest = self._unwind(batches.failure.rest, batches.failure.outcome)
        elif batches.changed:
            self._rest = batches.changed.rest
        batches.failure = batches.changed = None

    def _drain(self, by: Any, reason: str) -> None:
        """Let all tasks that have begun end, unless one fails."""
        self._batches.send_until(lambda: not self._batches.open, by, reason)

    # Blocks

    def _begin(self, first: Any) -> None:
        if isinstance(first, BlockEnd | AlwaysEnd | FlushHandlers):
            reason = self._needs_end(first)
            if reason:
                # The tasks before may still fail, or notify.
                self._push([first])
                self._drain(None, reason)
            else:
                self._pass(first)
        elif isinstance(first, Block):
            end = BlockEnd(first) if first.rescue or first.always else None
            self._push([*first.block, *([end] if end else [])])
        elif get_short_name(first.action) == "meta":
            if first.args.get("_raw_params") == "flush_handlers":
                self._push([FlushHandlers()])
        else:
            self._begin_task(first)

    def _needs_end(self, end: BlockEnd | AlwaysEnd | FlushHandlers) -> str:
        """Return the reason why the tasks that have begun must end first; empty if they need not."""
        opened = self._batches.open
        if isinstance(end, FlushHandlers):
            return "handlers run" if any(task.task.notify for task in opened) else ""
        must_end = opened and (isinstance(end, BlockEnd) or end.failure)
        return "the end of a block with rescue or always" if must_end else ""

    def _push(self, parts: list[Any]) -> None:
        self._rest = _chain(parts, self._rest)

    def _pass(self, end: BlockEnd | AlwaysEnd | FlushHandlers) -> None:
        """Go on behind an end that all tasks before it have reached."""
        if isinstance(end, BlockEnd):
            self._push([*end.block.always, AlwaysEnd(None)])
        elif isinstance(end, AlwaysEnd):
            if end.failure:
                self._rest = self._unwind(self._rest, end.failure)
        else:
            handlers = self._core.handlers
            for position in range(end.position, len(handlers)):
                if handlers[position] in self._pending_handlers:
                    self._pending_handlers.remove(handlers[position])
                    self._push([handlers[position], FlushHandlers(position + 1)])
                    break

    def _unwind(self, rest: Rest | None, failure: TaskOutcome) -> Rest | None:
        """Return what runs after a failure; without any, the failure is that of the walk."""
        while rest:
            first, rest = rest.first, rest.rest
            if isinstance(first, BlockEnd):
                block, is_rescued = first.block, not first.is_rescue and bool(first.block.rescue)
                # An unreachable host runs no rescue.
                if is_rescued and not failure.utr.unreachable:
                    self._core.set_failed(failure)
                    return _chain([*block.rescue, BlockEnd(block, is_rescue=True)], rest)
                if not failure.utr.unreachable:
                    return _chain([*block.always, AlwaysEnd(failure)], rest)
            elif isinstance(first, AlwaysEnd):
                failure = first.failure or failure
        self.failure = failure
        return None

    # Tasks

    def _begin_task(self, task: Any) -> None:
        kind = self._get_kind(task)
        if kind.is_alone and self._batches.open:
            self._push([task])
            self._drain(task, kind.reason)
            return
        opened = self._start(task, kind)
        if opened.is_dropped:
            return
        own_run = opened.needs_own_run
        if kind.branches and not (own_run or add_branches(opened.iterate_calls())):
            own_run = "what it does depends on the host"
        if own_run:
            self._own_runs.append((task, own_run))
            self._batches.remove(opened)
            self._push([task])
            return
        outcome = opened.outcome
        if outcome and outcome.included:
            self._include(outcome)
        if kind.is_last or (outcome and (outcome.has_failed or self._core.has_changed_facts(outcome))):
            self._drain(task, kind.reason)

    def _get_kind(self, task: Any) -> Kind:
        for other, reason in self._own_runs:
            if other is task:
                return Kind(is_alone=True, is_last=True, reason=reason)
        facts = self._core.get_variables(task).get("ansible_facts") or {}
        kind = get_kind(task, facts, task.connection in (None, self._connection_name))
        if kind.runs_ahead or kind.is_last:
            return kind
        if not self._core.get_python(task):
            return replace(kind, is_last=True, reason="its Python interpreter is to be found first")
        if _runs_items_in_turn(task):
            return replace(kind, is_last=True, reason="an item of its loop begins after the one before has ended")
        return kind

    def _start(self, task: Any, kind: Kind) -> OpenTask:
        is_recorded = not (kind.is_alone or kind.runs_ahead)
        run_items = (lambda functions: wait_for(Items(functions))) if is_recorded and not kind.is_last else None
        prepare = partial(self._connections.prepare, records=is_recorded)
        return self._batches.begin(
            task,
            kind,
            self._rest,
            lambda: self._core.run_task(task, self._core.get_variables(task), prepare, run_items),
        )

    def _include(self, outcome: TaskOutcome) -> None:
        blocks = self._core.load_included(outcome)
        check_tasks(blocks, self._hosts)
        self._push(blocks)

    def _end_task(self, opened: OpenTask, outcome: TaskOutcome) -> None:
        if opened.task is self._include_task:
            return
        self.outcomes.append(outcome)
        self._core.show(outcome)
        for name in outcome.notified:
            found = self._core.find_handlers(name)
            inner = [handler for handler in found if self._core.is_inner(handler)]
            self._notify(inner)
            # The play says what is wrong with a name that nothing has.
            if len(inner) < len(found) or not found:
                self.notified += [name] if name not in self.notified else []

    def _notify(self, handlers: list[Any]) -> None:
        self._pending_handlers += [handler for handler in handlers if handler not in self._pending_handlers]


def _runs_items_in_turn(task: Any) -> bool:
    """Return True if an item of the loop waits for the items before it, or may use their results."""
    if task.loop is None:
        return False
    if task.loop_control.pause or task.loop_control.break_when:
        return True
    names = "|".join(map(re.escape, ["_task", *(task.register or ())]))
    source = {key: value for key, value in (task.get_ds() or {}).items() if key != "register"}
    return re.search(rf"\b(?:{names})\b", str(source)) is not None


def _chain(parts: list[Any], rest: Rest | None) -> Rest | None:
    for part in reversed(parts):
        rest = Rest(part, rest)
    return rest
