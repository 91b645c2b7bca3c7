# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the action plugins share: settings from variables, and where the work is done."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, ClassVar

from ansible import constants as C
from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.playbook.handler import Handler
from ansible.playbook.task_include import TaskInclude
from ansible.plugins.action import ActionBase
from ansible.plugins.loader import strategy_loader
from ansible.utils.helpers import pct_to_int

from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import (
    AlpaconError,
    RunIsOver,
    UsageError,
)
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.jobs import DECLINED, Outcome
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.run import EarlierSubmit, HostLocks, Run
from ansible_collections.herdops.alpacon.plugins.module_utils._options.connection import CONNECTION
from ansible_collections.herdops.alpacon.plugins.module_utils._options.secrets import (
    collect_secrets,
    sanitize_result,
    without_value,
)
from ansible_collections.herdops.alpacon.plugins.plugin_utils._arguments import check_arguments
from ansible_collections.herdops.alpacon.plugins.plugin_utils._run import current_run, first_in_run, prepare_workers
from ansible_collections.herdops.alpacon.plugins.plugin_utils._settings import (
    TaskSettings,
    decrypt,
    drop_empty_settings,
    find_settings,
    refuse_facts_named_as_settings,
    refuse_shared_name,
    run_folder,
)

#: The environment variables that connection settings are read from.
_IN_ENVIRONMENT = [f"ALPACON_{name.upper()}" for name in CONNECTION]

#: A secret that long is hidden in the output of other tasks as well; a shorter one may be a word like any other.
_SURELY_SECRET = 16

#: What Ansible hides in everything that it prints: from ansible-core 2.22 on.
_REGISTRY: Any = None
with contextlib.suppress(ImportError):
    _REGISTRY = importlib.import_module("ansible.module_utils.secrets")

# Strategies load this before they fork.
prepare_workers()


class AlpaconAction(ActionBase):
    """Runs an operation in the controller's process, or ships its module where the task is delegated to another host.

    Subclasses name the module, its argument spec and the operation.
    """

    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True
    _supports_async = False

    module_name: str
    spec: ClassVar[dict[str, dict[str, Any]]]
    #: Rules of Ansible's argument spec beside it, such as C(mutually_exclusive).
    rules: ClassVar[Mapping[str, Any]] = {}
    operation: Callable[..., dict[str, Any]]
    #: Options that select something, and what to do where they select nothing.
    selections: ClassVar[Mapping[str, str]] = {}
    #: The connection settings that the task was not given itself.
    _found = TaskSettings({})
    #: Whether all commands that it names were only predicted, in check mode, so that nothing is there to be looked for.
    _only_predicted_ids = False
    #: What the server of the inventory host is called, where that is meant.
    _own_name = ""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Carry out the task."""
        variables = task_vars or {}
        # First of all: an error hides only secrets that are texts.
        self._task.args = decrypt(self._task.args)
        try:
            self._refuse_async()
            refuse_facts_named_as_settings(variables, self._templar.template)
            super().run(tmp, task_vars)
            self._task.args = self.read_arguments()
            check_arguments(self.module_name, self.spec, self._task.args, self.selections)
            self._task.args = self.complete_arguments(variables)
            options = self._validated()
        except AlpaconError as error:
            return self._failed(error, collect_secrets(self._task.args))
        hidden = collect_secrets(options)
        _register(hidden)
        warnings = [*self._misplaced(), *self.list_warnings(options, variables)]
        if self.is_delegated():
            result = self.finish_result(options, {**self.empty_result, **self._ship(options, variables)})
            return sanitize_result({**result, "warnings": [*result.get("warnings", []), *warnings]}, hidden)
        run = self._run_of_task(variables, warnings.append)
        try:
            done = self.unchanged_result if self._only_predicted_ids else self.operation(options, run)
            result = self.finish_result(options, done)
        except RunIsOver:
            # Whoever takes results is gone, and waiting for it would leave this process behind for ever.
            os._exit(1)
        except AlpaconError as error:
            return self._failed(error, hidden, warnings)
        return sanitize_result({**result, "warnings": warnings}, hidden)

    def _refuse_async(self) -> None:
        if self._task.async_val:
            raise UsageError(
                "async",
                f"{self.module_name} runs on the controller and cannot be put into the background by Ansible",
                self.background,
            )

    #: What to do instead of C(async).
    background = "Leave it out."

    def _validated(self) -> dict[str, Any]:
        try:
            _validation, options = self.validate_argument_spec(
                self.spec, **({} if self._only_predicted_ids else self.rules)
            )
        except AnsibleActionFail as error:
            # Raised on, it would show all arguments, and the token with them.
            raise AlpaconError(error.message) from None
        return dict(options)

    def _failed(self, error: AlpaconError, hidden: set[str], warnings: Sequence[str] = ()) -> dict[str, Any]:
        result = {**self._failure_result(error), **self.empty_result}
        return sanitize_result({**result, "warnings": list(warnings)}, hidden)

    def _failure_result(self, error: AlpaconError) -> dict[str, Any]:
        """An error as a failed task returns it."""
        shown = without_value(error) if self._task.no_log else error
        return {"failed": True, "msg": self._found.explain(shown), **error.details}

    @property
    def empty_result(self) -> dict[str, Any]:
        """What a failed task returns that did nothing."""
        return {}

    @property
    def unchanged_result(self) -> dict[str, Any]:
        """What a task returns whose commands were only predicted."""
        return {"commands": [], "changed": False, "requests": 0}

    def list_warnings(self, options: Mapping[str, Any], variables: Mapping[str, Any]) -> list[str]:
        """Warnings of keywords that the task was given and that have no effect, see :meth:`warn_ignored_keywords`."""
        return []

    def warn_ignored_keywords(self, variables: Mapping[str, Any], instead: Mapping[str, str]) -> list[str]:
        """Warnings of those of these keywords that the task was given, each of them once in a run.

        Args:
            instead: C(become), C(become_user), C(remote_user) or C(environment), and what has the effect that it has
                not.
        """
        # A token in env would go to the servers.
        environment = "environment" if self._environment and not self._settings_in_environment else ""
        become, account = self._become(variables), self._become_user(variables)
        given = {
            "become": (become, account),
            "become_user": ("become_user" if become else "", account),
            "remote_user": self._remote_user(variables),
            "environment": (environment, ""),
        }
        module = self.module_name.rpartition(".")[2]
        warnings = []
        for keyword, why in instead.items():
            name, account = given[keyword]
            if name and first_in_run(f"{module}-{keyword}"):
                named = f"{name} ({account} on {variables.get('inventory_hostname')})" if account else name
                warnings.append(f"{named} has no effect on {self.module_name}: {why}")
        return warnings

    def account_remedies(self, keyword: str, username: str | None, otherwise: str) -> dict[str, str]:
        """What :meth:`warn_ignored_keywords` is to say of the account that a task asks for.

        Args:
            keyword: C(become) or C(remote_user).
            username: whom the option of that name means.
            otherwise: what to say where it means nobody.
        """
        if not username:
            return {keyword: otherwise}
        # What a play or a block says is for other tasks.
        own = "become_user" if keyword == "become" else keyword
        if own not in (self._task.get_ds() or {}) or getattr(self._task, own) in (None, "", username):
            return {}
        return {own: f"username names {username}. Leave one of the two out."}

    def _misplaced(self) -> list[str]:
        """A warning of connection settings in the keyword C(environment), where nobody reads them; once in a run."""
        names = self._settings_in_environment
        if not names or not first_in_run("-".join(["environment", *names])):
            return []
        return [
            f"environment: this keyword is not where {' and '.join(names)} can be set, since the environment of"
            f" ansible-playbook itself is read. Set {' and '.join(names).lower()} among the variables instead."
        ]

    @property
    def _settings_in_environment(self) -> list[str]:
        return [name for name in _IN_ENVIRONMENT if name in self._environment]

    @cached_property
    def _environment(self) -> set[str]:
        """The names in the keyword C(environment) of the task, and of what it is part of."""
        given = self._task.environment or ()
        names: set[str] = set()
        for part in given if isinstance(given, (list, tuple)) else [given]:
            # What cannot be worked out has no effect here either.
            with contextlib.suppress(AnsibleError):
                whole = part if isinstance(part, Mapping) else self._templar.template(part)
                names.update(whole if isinstance(whole, Mapping) else ())
        return names

    def is_delegated(self) -> bool:
        """Whether the task is delegated to another host, which its module is shipped to, and has something to do."""
        elsewhere = self._task.delegate_to and self._task.delegate_to not in C.LOCALHOST
        return bool(elsewhere) and not self._only_predicted_ids

    def _become(self, variables: Mapping[str, Any]) -> str:
        """The keyword or variable that asks for another user, or an empty string."""
        if self._task.become:
            return "become"
        variable = variables.get("ansible_become", False)
        return "ansible_become" if boolean(self._templar.template(variable), strict=False) else ""

    def _become_user(self, variables: Mapping[str, Any]) -> str:
        """The account that C(become) means."""
        return self._text_of(variables, "ansible_become_user") or str(self._task.become_user or "root")

    def _remote_user(self, variables: Mapping[str, Any]) -> tuple[str, str]:
        """The variable or keyword that names an account to run as, C(-u) among them, and the account."""
        keyword = str(self._task.remote_user or "")
        for variable in ("ansible_alpacon_user", "ansible_user"):
            account = self._text_of(variables, variable)
            # Core makes a variable of the keyword.
            if account and account != keyword:
                return variable, account
        return "remote_user" if keyword else "", keyword

    def _text_of(self, variables: Mapping[str, Any], name: str) -> str:
        """A variable of the host; an empty text where it has none, or one that cannot be worked out."""
        with contextlib.suppress(AnsibleError):
            return str(self._templar.template(variables.get(name)) or "")
        return ""

    def _ship(self, options: Mapping[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Have the module run on the host that the task is delegated to."""
        item = _item(self._task, task_vars)
        if item.shipped:
            return {**item.shipped, "failed": True, "msg": f"{_NOT_AGAIN} {item.shipped.get('msg', '')}"}
        host_locks = self._host_locks(task_vars)
        if host_locks and not self._task.check_mode:
            try:
                self.acquire_locks(host_locks, options)
            except AlpaconError as error:
                return self._failure_result(error)
        # Older cores add their own to what they are given, and the next attempt must not meet it.
        arguments = self.module_arguments(options)
        result: dict[str, Any] = self._execute_module(
            module_name=self.module_name, module_args=arguments, task_vars=task_vars
        )
        if _is_open(result):
            item.shipped = result
        return result

    def module_arguments(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments of a module that is shipped."""
        return dict(self._task.args)

    def acquire_locks(self, host_locks: HostLocks, options: Mapping[str, Any]) -> None:
        """Make sure that no other host of the task does the same, for a module that is shipped."""

    def _host_locks(self, task_vars: Mapping[str, Any]) -> HostLocks | None:
        """What decides between the hosts of a task that name the same servers; None where one host alone has it."""
        if not self._runs_on_several_hosts(task_vars):
            return None
        host = str(task_vars.get("inventory_hostname"))
        return HostLocks(run_folder(), _item(self._task, task_vars).name, host, *self.lock_advice(host))

    def _runs_on_several_hosts(self, task_vars: Mapping[str, Any]) -> bool:
        return len(task_vars.get("ansible_play_hosts_all") or ()) > 1 and not _is_for_one_host(self._task)

    def _run_of_task(self, task_vars: Mapping[str, Any], warn: Callable[[str], None]) -> Run:
        """The run that the task is part of."""
        return replace(
            current_run(),
            warn=warn,
            check_mode=self._task.check_mode,
            diff_mode=self._task.diff,
            no_log=bool(self._task.no_log),
            hosts=len(task_vars.get("ansible_play_batch") or [None]),
            host_locks=self._host_locks(task_vars),
            earlier_submits=_item(self._task, task_vars).earlier_submits,
            own_server=self._own_name,
        )

    def lock_advice(self, host: str) -> tuple[str, str]:
        """What to do where another host of the task does the same, and what servers that are not named are called."""
        return _advice(self._task), ""

    def finish_result(self, options: Mapping[str, Any], result: dict[str, Any]) -> dict[str, Any]:
        """What the task did, here or on another host, with what Ansible is to make of it."""
        return result

    def read_arguments(self) -> dict[str, Any]:
        """The task's arguments as they are written."""
        return dict(self._task.args)

    def complete_arguments(self, task_vars: Mapping[str, Any]) -> dict[str, Any]:
        """The task's arguments, completed by connection settings from variables of the host and from the environment.

        The environment is read here, so that a module shipped to another host gets the controller's settings.
        """
        refuse_shared_name(task_vars.get("inventory_hostname", ""), task_vars, task_vars.get("groups", {}))
        self._found = find_settings(self._task.args, task_vars, os.environ, self._templar.template, run_folder())
        # The rules of an argument spec count null as given.
        given = {name: value for name, value in self._task.args.items() if value is not None}
        return {**drop_empty_settings(given), **self._found.options}


_OR_LEAVE_OUT = "or leave servers out to run it on the server of each host."
_IN_ONE_BATCH = "Move the task into a play of its own without serial, and add run_once: true to it"
_ONCE_A_BATCH = (
    "With serial, run_once is once in each batch. Move the task into a play of its own without serial. If each batch is"
    ' to run it, give the task loop: "{{ ansible_play_batch[:1] }}".'
)
_RUN_ONCE_IGNORED = "The task has run_once, which the strategy of the play takes no notice of. "
#: More than there are in any play.
_ALL_HOSTS = 10**9
_NOT_AGAIN = "An earlier attempt of this task may have submitted it; it was not submitted again."
#: Outcomes of commands that go on, or may, and of those that were turned down; another word may mean as much.
_OPEN = frozenset(
    (
        Outcome.PENDING,
        Outcome.AWAITING_APPROVAL,
        Outcome.STUCK,
        Outcome.ERROR,
        Outcome.TIMED_OUT,
        Outcome.UNKNOWN,
        *DECLINED,
    )
)
_CLOSED = frozenset(Outcome) - _OPEN


def _is_open(result: Mapping[str, Any]) -> bool:
    """Whether a module that ran elsewhere has left commands behind that are not to be submitted again."""
    # From ansible-core 2.19 on, whatever a module fails with counts as an exception.
    answered = "commands" in result or "invocation" in result
    crashed = not answered and ("exception" in result or "module_stdout" in result)
    outcomes = {command.get("outcome") for command in result.get("commands") or ()}
    return crashed or bool(outcomes - _CLOSED - {None})


@dataclass
class _Item:
    """A task, or one item of its loop, through all of its attempts.

    Attributes:
        task: kept, so that its id stays its own.
        name: what tells it from other tasks and items, the same for every host.
        earlier_submits: what its attempts have submitted.
        shipped: what a module that was shipped has returned, where what it submitted is not to be submitted again.
    """

    task: Any
    name: str
    earlier_submits: dict[str, EarlierSubmit] = field(default_factory=dict)
    shipped: dict[str, Any] = field(default_factory=dict)


#: Core makes an action plugin of its own for each attempt; they have the task in common, of which each item of a loop
#: has a copy of its own.
_ITEMS: dict[int, _Item] = {}


def _item(task: Any, task_vars: Mapping[str, Any]) -> _Item:
    """What this worker knows of a task."""
    if id(task) not in _ITEMS:
        loop_var = task_vars.get("ansible_loop_var")
        item = json.dumps(task_vars.get(loop_var) if loop_var else None, sort_keys=True, default=str)
        name = json.dumps([_origin(task), item])
        # A loop may have equal items.
        occurrence = sum(known.name.rpartition(" ")[0] == name for known in _ITEMS.values())
        _ITEMS[id(task)] = _Item(task, f"{name} {occurrence}")
    return _ITEMS[id(task)]


def _origin(task: Any) -> list[str]:
    """What tells a task from all others, the same for every host and in every batch."""
    # What is included is loaded anew for some of the hosts; only the outermost include is the same for all.
    includes, parent = [], task._parent
    while parent:
        if isinstance(parent, TaskInclude) and not parent.statically_loaded:
            includes.append(parent)
        parent = parent._parent
    if not includes:
        return [str(task._uuid)]
    return [str(includes[-1]._uuid), *(str(include.get_path()) for include in includes[:-1]), str(task.get_path())]


def _is_for_one_host(task: Any) -> bool:
    """Whether core itself picks one host for the task; a handler is meant anew whenever handlers are flushed."""
    return _is_left_to_core(task) and (isinstance(task, Handler) or not is_in_batches(task))


def is_in_batches(task: Any, hosts: int = _ALL_HOSTS) -> bool:
    """Whether the play has several batches with so many hosts; of any number, whether it may have."""
    first = next(iter(task.get_play().serial), 0)
    return bool(0 < pct_to_int(first, hosts) < hosts)


def _advice(task: Any) -> str:
    """How a task that names servers is carried out once, in words."""
    is_handler, in_batches = isinstance(task, Handler), is_in_batches(task)
    if not _is_linear(task):
        ignored, needed = (_RUN_ONCE_IGNORED, "") if task.run_once else ("", " and run_once: true")
        serial = " and without serial" if in_batches and not is_handler else ""
        return f"{ignored}Play it with strategy: linear{needed}{serial}, {_OR_LEAVE_OUT}"
    if task.run_once:
        return _ONCE_A_BATCH
    add = f"Add run_once: true to the {'handler' if is_handler else 'task'}"
    return f"{_IN_ONE_BATCH if in_batches and not is_handler else add}, {_OR_LEAVE_OUT}"


def _is_left_to_core(task: Any) -> bool:
    """Whether core itself picks one host for the task in each batch."""
    return bool(task.run_once) and _is_linear(task)


def _is_linear(task: Any) -> bool:
    """Whether the strategy of the play is one that knows C(run_once); others run the task for every host."""
    linear, strategy = (strategy_loader.get(name, class_only=True) for name in ("linear", task.get_play().strategy))
    return issubclass(strategy, linear)


def _register(hidden: Iterable[str]) -> None:
    """Have Ansible hide long secrets in everything that it prints, where it can."""
    if _REGISTRY is not None:
        _REGISTRY.register_secrets([text for text in hidden if len(text) >= _SURELY_SECRET])
