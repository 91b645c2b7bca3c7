# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Use what ansible-core has no public interface for. Only this file and :mod:`.executor` import private parts of it.

Seen with ansible-core 2.21 and 2.22. Versions before 2.21 have other parts.
"""

from __future__ import annotations

import contextlib
import shlex
import types
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ansible import constants as C
from ansible.errors import AnsibleError, AnsibleParserError
from ansible.executor.process import worker as worker_module
from ansible.playbook.block import Block
from ansible.playbook.included_file import IncludedFile
from ansible.playbook.role_include import IncludeRole
from ansible.playbook.task_include import TaskInclude
from ansible.plugins.action import ActionBase
from ansible.plugins.strategy import StrategyBase
from ansible.template import Templar

from .coroutine import Coroutine
from .executor import BatchExecutor, Silence, TaskOutcome, list_results

with contextlib.suppress(ImportError):
    from ansible._internal._task import HostTaskResult, TaskContext, UnifiedTaskResult, VariableLayer
    from ansible.template import trust_as_template

#: Lookup that waits for a variable.
_PENDING = "{{ lookup('herdops.alpacon.pending_result', '%s') }}"
_INTERPRETER = "ansible_python_interpreter"
#: Keywords of the task itself that its inner tasks inherit.
_INHERITED = (
    *("become", "become_exe", "become_flags", "become_method", "become_user", "check_mode", "collections"),
    *("connection", "diff", "environment", "ignore_errors", "ignore_unreachable", "module_defaults", "no_log"),
    *("remote_user", "tags"),
)


class Core:
    """The parts of ansible-core that run the tasks of one host in this worker process.

    Args:
        outer: the task that the other tasks are inside of.
        variables: those of that task.
    """

    def __init__(self, outer: Any, variables: Mapping[str, Any]) -> None:
        worker: Any = worker_module.current_worker
        self.host, self.loader, self.play = worker._host, worker._loader, outer._parent._play
        self.manager = worker._variable_manager
        self._queue, self._play_context = worker._final_q, worker._play_context
        self._loaders = worker._shared_loader_obj
        self._outer = outer
        names = ("ansible_current_hosts", "ansible_failed_hosts")
        self._run_variables = {name: variables[name] for name in names if name in variables}
        self.own_variables = dict(self.manager._nonpersistent_fact_cache.get(self.host.name) or {})
        self._inner_handlers: list[Any] = []
        #: All variables that tasks have set, by the layer of ansible-core.
        self.layers: dict[Any, dict[str, Any]] = {}

    # Tasks

    @property
    def runs_handlers_after_failure(self) -> bool:
        """Return True if handlers run although a task has failed."""
        block, is_rescued = self._outer._parent, False
        while block:
            is_rescued = is_rescued or bool(getattr(block, "rescue", None))
            block = block._parent
        return bool(self.play.force_handlers or self._outer.ignore_errors or is_rescued)

    def make_include(self, role: Mapping[str, Any], file: str | None) -> Any:
        """Return the task that includes the file or role, with the keywords of the outer task."""
        block = Block(play=self.play, parent_block=self._outer._parent, role=self._outer._role)
        for name in _INHERITED:
            setattr(block, name, getattr(self._outer, name))
        kind, name, options = (TaskInclude, "tasks", file) if file else (IncludeRole, "role", dict(role))
        return kind.load(
            {f"ansible.builtin.include_{name}": options, "vars": dict(self._outer.vars or {})},
            block=block,
            role=self._outer._role,
            variable_manager=self.manager,
            loader=self.loader,
        )

    def load_included(self, outcome: TaskOutcome) -> list[Any]:
        """Return the blocks of what a task includes, without tasks whose tags are not chosen.

        If something cannot be included, the task fails.
        """
        try:
            return [block for included in outcome.included for block in self._load_included(included)]
        except AnsibleParserError:
            raise
        except AnsibleError as error:
            failed = UnifiedTaskResult._create_from_exception(error, source_is_module=False)
            outcome.utr.failed, outcome.utr.exception, outcome.utr.msg = True, failed.exception, failed.msg
            outcome.result = outcome.utr.as_result_dict()
            return []

    def _load_included(self, included: Any) -> list[Any]:
        strategy: Any = types.SimpleNamespace(_loader=self.loader, _variable_manager=self.manager)
        strategy._copy_included_file = lambda file: StrategyBase._copy_included_file(strategy, file)
        if included._is_role:
            task = strategy._copy_included_file(included)
            blocks, handlers = task.get_block_list(play=self.play, variable_manager=self.manager, loader=self.loader)
            self._inner_handlers += [handler for block in handlers for handler in block.block]
        else:
            iterator: Any = types.SimpleNamespace(_play=self.play)
            blocks = StrategyBase._load_included_file(strategy, included, iterator)
        return [
            block.filter_tagged_tasks(self.manager.get_vars(play=self.play, task=block.get_first_parent_include()))
            for block in blocks
        ]

    def find_handlers(self, notification: str) -> list[Any]:
        """Return the handlers with this name or topic."""
        strategy: Any = types.SimpleNamespace(_variable_manager=self.manager, _hosts_cache=None, _hosts_cache_all=None)
        iterator: Any = types.SimpleNamespace(_play=self.play)
        return list(StrategyBase.search_handlers_by_notification(strategy, notification, iterator))

    def is_inner(self, handler: Any) -> bool:
        """Return True for a handler of an included role."""
        return handler in self._inner_handlers

    def register_all(self) -> None:
        """Let the outer task register the variables of all tasks, also if it fails."""
        values = self.layers.get(VariableLayer.REGISTER_VARS, {})
        lookups = {name: trust_as_template(f"lookup('herdops.alpacon.pending_result', {name!r})") for name in values}
        self._outer.register = {**lookups, **(self._outer.register or {})}

    @property
    def handlers(self) -> list[Any]:
        """Return all handlers in the order in which they run."""
        return [handler for block in self.play.handlers for handler in block.block]

    def run_task(
        self,
        task: Any,
        variables: dict[str, Any],
        prepare: Callable[[Any], None] | None,
        run_items: Callable[[list[Callable[[], Any]]], list[Any]] | None,
    ) -> TaskOutcome:
        """Run a copy of a task to its end.

        Args:
            variables: those of the task, which change.
            prepare: called with each connection plugin before it is used; None to use them as they are.
        """
        loaders = types.SimpleNamespace(**vars(self._loaders))
        if prepare:
            loaders.connection_loader = _PreparingLoader(self._loaders.connection_loader, prepare)
        copied = task.copy(exclude_parent=True, exclude_tasks=True)
        copied._parent = task._parent
        with TaskContext.create(task=copied, task_vars=variables, host_name=self.host.name) as context:
            copied.squash()
            silence: Any = Silence()
            executor = BatchExecutor(self.host, self._play_context.copy(), self.loader, loaders, silence, self.manager)
            executor.run_items = run_items
            utr = executor.run()
            utr.finalize_registered_values()
            copied.ignore_errors, copied.ignore_unreachable = utr.ignore_errors, utr.ignore_unreachable
            if copied.loop is not None:
                # Otherwise core has done so.
                copied.name = copied._post_validate_name("name", copied.name, context.task_templar)
            outcome = TaskOutcome(copied, utr, utr.as_result_dict(), dict(utr.registered_values or {}))
            if utr.failed or utr.unreachable or utr.skipped:
                return outcome
            for result in list_results(utr):
                host = (result.delegated_host or copied.delegate_to) if copied.delegate_facts else None
                changes = result.pending_changes.register_host_variables if result.pending_changes else {}
                outcome.layers += [(layer, dict(values), host) for layer, values in sorted(changes.items())]
            if copied.action in C._ACTION_ALL_INCLUDES:
                result = HostTaskResult(host=self.host, task=copied, utr=utr)
                iterator: Any = types.SimpleNamespace(_play=self.play)
                outcome.included = IncludedFile.process_include_results([result], iterator, self.loader, self.manager)
        return outcome

    # Variables

    def get_variables(self, task: Any) -> dict[str, Any]:
        return {**self.manager.get_vars(play=self.play, host=self.host, task=task), **self._run_variables}

    def show_variables(self, values: Mapping[str, Any], pending: Iterable[str] = ()) -> None:
        """Let tasks see these registered variables and facts, which replace all before.

        Args:
            pending: variables that the lookup reads when they are needed.
        """
        lookups = {name: trust_as_template(_PENDING % name) for name in pending}
        self.manager._nonpersistent_fact_cache[self.host.name] = {**values, **lookups}

    def apply(self, outcome: TaskOutcome) -> None:
        """Set the variables of a task that ended, as a strategy does."""
        for layer, values, other_host in outcome.layers:
            host = other_host or self.host.name
            if host == self.host.name:
                # Core keeps these two in one place, so the later one wins.
                kept = VariableLayer.REGISTER_VARS if layer == VariableLayer.EPHEMERAL_FACT else layer
                self.layers.setdefault(kept, {}).update(values)
            if layer == VariableLayer.CACHEABLE_FACT:
                self.manager.set_host_facts(host, values)
            elif layer == VariableLayer.INCLUDE_VARS:
                for name, value in values.items():
                    self.manager.set_host_variable(host, name, value)
            elif host == self.host.name:
                self.own_variables.update(values)
            else:
                self.manager.set_nonpersistent_facts(host, values)
        self.own_variables.update(outcome.registered)
        self.layers.setdefault(VariableLayer.REGISTER_VARS, {}).update(outcome.registered)

    def get_python(self, task: Any) -> str:
        """Return the command line of Python on the host, as far as the variables of a task name it."""
        variables = self.get_variables(task)
        named = Templar(loader=self.loader, variables=variables).template(variables.get(_INTERPRETER) or "auto")
        if not str(named).startswith("auto"):
            return shlex.quote(str(named))  # as core does
        discovered = (variables.get("ansible_facts") or {}).get("discovered_interpreter_python")
        return shlex.quote(str(discovered)) if discovered else ""

    def set_failed(self, outcome: TaskOutcome) -> None:
        """Set the variables that the rescue of a block reads."""
        values = {"ansible_failed_task": outcome.task.dump_attrs(), "ansible_failed_result": outcome.result}
        self.own_variables.update(values)
        self.layers.setdefault(VariableLayer.REGISTER_VARS, {}).update(values)

    @staticmethod
    def has_changed_facts(outcome: TaskOutcome) -> bool:
        """Return True if a task has set variables that tasks which have begun cannot have seen."""
        return any(values and layer != VariableLayer.EPHEMERAL_FACT for layer, values, _host in outcome.layers)

    @staticmethod
    def list_own_layers(outcome: TaskOutcome) -> dict[str, Any]:
        """Return the variables of set_fact, which tasks that begin before its end may see."""
        return {
            name: value
            for layer, values, _host in outcome.layers
            if layer == VariableLayer.EPHEMERAL_FACT
            for name, value in values.items()
        }

    # Output

    def show(self, outcome: TaskOutcome) -> None:
        """Show a task that ended as an item of the outer task."""
        # ansible-core hides the names of items with no_log, but not those of tasks.
        result = outcome.describe()["result"]
        shown = UnifiedTaskResult.from_action_result_dict(
            {name: value for name, value in result.items() if name != "results"}
        )
        shown.loop_item = shown.loop_item_label = outcome.task.get_name()
        shown.loop_var = "item"
        if outcome.status in ("changed", "ok") and self._outer.diff and outcome.utr.diff:
            self._queue.send_callback("v2_on_file_diff", self.host, self._outer, shown)
        method = {"skipped": "skipped", "ok": "ok", "changed": "ok"}.get(outcome.status, "failed")
        self._queue.send_callback(f"v2_runner_item_on_{method}", self.host, self._outer, shown)


class _PreparingLoader:
    """Loader of connection plugins that prepares each before it is used."""

    def __init__(self, loader: Any, prepare: Callable[[Any], None]) -> None:
        self._loader, self._prepare = loader, prepare

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def get_with_context(self, *args: Any, **kwargs: Any) -> Any:
        """Return a connection plugin and how it was found."""
        found = self._loader.get_with_context(*args, **kwargs)
        self._prepare(found.object)
        return found


def assume_stat() -> None:
    """Let actions of this process take the state of a file from their coroutine, if it assumes one."""
    base: Any = ActionBase
    query = base._execute_remote_stat

    def execute(self: Any, *args: Any, **kwargs: Any) -> Any:
        coroutine = Coroutine.get_current()
        if coroutine is None or coroutine.assumed_stat is None:
            if coroutine:
                coroutine.queries_stat = True
            return query(self, *args, **kwargs)
        return dict(coroutine.assumed_stat)

    base._execute_remote_stat = execute
