# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run one task as ansible-core does. This uses private parts of ansible-core, as :mod:`.core` does."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ansible.executor.task_executor import TaskExecutor

try:
    from ansible._internal._task import TaskContext, UnifiedTaskResult
except ImportError:
    IS_SUPPORTED = False
else:
    IS_SUPPORTED = True

#: Core's own words, and the keys that it shows nevertheless.
_NEVER_HIDDEN = ("attempts", "exception", "retries")
_CENSORED = "the output has been hidden due to the fact that 'no_log: true' was specified for this result"


@dataclass
class TaskOutcome:
    """End of a task, and all that it changed.

    Attributes:
        task: the task as it was run, with the final values of its keywords.
        utr: ansible-core's result.
        registered: variables that the task registers.
        layers: other variables that it sets, each with the layer of ansible-core and the host.
        included: files and roles that it includes.
    """

    task: Any
    utr: Any
    result: dict[str, Any]
    registered: dict[str, Any] = field(default_factory=dict)
    layers: list[tuple[Any, dict[str, Any], str | None]] = field(default_factory=list)
    included: list[Any] = field(default_factory=list)

    @property
    def has_failed(self) -> bool:
        """Return True if no task after it may run."""
        if self.utr.unreachable:
            return not self.utr.ignore_unreachable
        return bool(self.utr.failed and not self.utr.ignore_errors)

    @property
    def status(self) -> str:
        if self.utr.unreachable:
            return "unreachable"
        if self.utr.failed:
            return "ignored" if self.utr.ignore_errors else "failed"
        return "skipped" if self.utr.skipped else "changed" if self.utr.changed else "ok"

    @property
    def message(self) -> str:
        return "its result is hidden, since it has no_log" if self.utr.no_log else str(self.result.get("msg", ""))

    def describe(self) -> dict[str, Any]:
        """Return what users see of it."""
        return {
            "name": self.task.get_name(),
            "action": self.task.action,
            **({"delegate_to": self.task.delegate_to} if self.task.delegate_to else {}),
            "status": self.status,
            "result": _censor(self.utr) if self.utr.no_log else self.result,
        }

    @property
    def notified(self) -> list[str]:
        """Return the notifications of the task, or of the items of its loop."""
        if self.utr.failed or self.utr.unreachable or self.utr.skipped or not self.utr.changed:
            return []
        return [str(name) for utr in list_results(self.utr) for name in utr.notify or ()]


class BatchExecutor(TaskExecutor):
    """Runs a task as ansible-core does, except that all items of a loop begin before the first has ended.

    Attributes:
        run_items: runs a function for each item and returns their values; None to run one item after the other.
    """

    run_items: Callable[[list[Callable[[], Any]]], list[Any]] | None = None
    _execute_item: Callable[[], Any] | None = None

    def _execute(self) -> Any:
        execute = self._execute_item
        return super()._execute() if execute is None else execute()

    def _run_loop(self, items: list[Any]) -> Any:
        if self.run_items is None or len(items) < 2:
            return super()._run_loop(items)
        # Core's own loop prepares the items, and afterwards collects their results.
        contexts: list[Any] = []
        rehearsal, queue = _copy_context(TaskContext.current()), self._final_q
        with rehearsal:
            silence: Any = Silence()
            self._final_q, self._execute_item = silence, lambda: self._keep_item(contexts)
            super()._run_loop(items)
        results = iter(self.run_items([self._make_item(context) for context in contexts]))
        self._final_q, self._execute_item = queue, lambda: self._replay(next(results, None))
        return super()._run_loop(items)

    def _keep_item(self, contexts: list[Any]) -> Any:
        context = _copy_context(TaskContext.current())
        context.play_context = self._play_context
        contexts.append(context)
        with UnifiedTaskResult.create_and_record() as utr:
            utr.set_skipped()
        return utr

    def _make_item(self, prepared: Any) -> Callable[[], Any]:
        def run() -> Any:
            context = _copy_context(prepared)
            context._task = prepared._task.copy(exclude_parent=True, exclude_tasks=True)
            context._task._parent = prepared._task._parent
            executor = TaskExecutor(
                self._host,
                prepared.play_context.copy(),
                self._loader,
                self._shared_loader_obj,
                self._final_q,
                self._variable_manager,
            )
            # As if the items before had been recorded.
            context._raw_loop_results = [None] * context._item_index
            with context:
                try:
                    return executor._execute(), context._task
                finally:
                    if executor._connection:
                        executor._connection.close()

        return run

    def _replay(self, result: Any) -> Any:
        """Record the result of an item that has run, or run it now."""
        if result is None:
            return super()._execute()
        context: Any = TaskContext.current()
        utr, context._task = result
        context._record_result(utr)
        return utr


class Silence:
    """Queue for callbacks that shows nothing."""

    def send_callback(self, *args: Any, **kwargs: Any) -> None:
        """Do nothing."""


def _copy_context(context: Any) -> Any:
    new = copy.copy(context)
    new._raw_loop_results = list(context._raw_loop_results)
    new._base_task_vars = dict(context._base_task_vars)
    new._active_task_vars = dict(context._active_task_vars)
    new._templar = None
    return new


def _censor(utr: Any) -> dict[str, Any]:
    """Return what ansible-core shows of a result with no_log."""
    shown = {
        name: value for name, value in utr.as_result_dict().items() if name in ("attempts", "exception", "retries")
    }
    results = {} if utr.loop_results is None else {"results": [_censor(result) for result in utr.loop_results]}
    return {**shown, **results, "changed": bool(utr.changed), "censored": _CENSORED}


def list_results(utr: Any) -> list[Any]:
    return [utr] if utr.loop_results is None else utr.loop_results
