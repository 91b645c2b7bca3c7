# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run a task in the controller's process, or its module on the host that it is delegated to."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
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

from ..module_utils._api.errors import AlpaconError, RunIsOver, UsageError
from ..module_utils._api.records import is_uuid, normalize_uuid
from ..module_utils._fleet.jobs import CLOSED, SubmitRecord
from ..module_utils._fleet.run import HostLocks, Run
from ..module_utils._options.connection import CONNECTION
from ..module_utils._options.refusals import explain_refusal
from ..module_utils._options.secrets import collect_secrets, redact_error, sanitize_result
from ._arguments import check_arguments
from ._facts import refuse_settings_of_any_host
from ._run import first_in_run, get_run_context, prepare_workers
from ._settings import (
    WORKSPACE,
    TaskSettings,
    decrypt,
    drop_empty_options,
    find_settings,
    get_run_folder,
    refuse_other_workspace,
    refuse_shared_name,
)
from ._variable_names import name_variables

#: ansible-core 2.22 and later hide what is registered here in all output.
_REGISTRY: Any = None
with contextlib.suppress(ImportError):
    _REGISTRY = importlib.import_module("ansible.module_utils.secrets")
#: Shorter secrets are not registered: they may be common words. In characters.
_MIN_REGISTERED_LENGTH = 16

_ONCE = (
    "Run it once, with run_once: true in a play with strategy: linear and without serial, or leave servers out to run"
    " it on the server of each host."
)
# Strategies load this before they fork.
prepare_workers()


@dataclass(frozen=True)
class TaskRequest:
    """Describe a task to the hooks of its action plugin, besides the options.

    Attributes:
        variables: those of the inventory host.
        settings: connection settings that are not arguments of the task.
        own_name: server name of the inventory host, if the task is for that server.
        only_predicted_ids: in check mode, all commands that the task names were only predicted.
    """

    variables: dict[str, Any]
    settings: TaskSettings = field(default_factory=lambda: TaskSettings({}))
    own_name: str = ""
    only_predicted_ids: bool = False


class AlpaconAction(ActionBase):
    """Base of the action plugins; a subclass names the module, its argument spec and the operation."""

    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True
    _supports_async = False

    module_name: str
    spec: ClassVar[dict[str, dict[str, Any]]]
    rules: ClassVar[Mapping[str, Any]] = {}
    operation: Callable[..., dict[str, Any]]
    #: Options that select something, each with the remedy for an empty value.
    selections: ClassVar[Mapping[str, str]] = {}
    #: Remedies for options that exclude others, as :func:`explain_refusal` formats them.
    exclusions: ClassVar[Mapping[str, str]] = {}
    async_remedy = "Leave it out."
    #: Keys of the result of a task that failed before it submitted anything.
    empty_result: ClassVar[Mapping[str, Any]] = {}
    unchanged_result: ClassVar[Mapping[str, Any]] = {"commands": [], "changed": False, "requests": 0}

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Call the hooks of the subclass in this order, each with what those before it returned.

        1. :meth:`read_arguments` returns the arguments as written, which are then checked.
        2. :meth:`complete_arguments` adds the connection settings.
        3. :meth:`is_for_own_server` decides whether the server of the inventory host is added.
        4. :meth:`validate_arguments` converts the arguments to options.
        5. :meth:`list_warnings` returns warnings about these.
        6. :meth:`perform` does the task; for a delegated task :meth:`acquire_locks`, then :meth:`get_module_arguments`.
        7. :meth:`finish_result` changes the result, unless the task failed before it submitted anything.
        """
        variables = task_vars or {}
        # Errors hide secrets only if they are texts.
        self._task.args = decrypt(self._task.args)
        try:
            if self._task.async_val:
                raise UsageError(
                    "async",
                    f"{self.module_name} runs on the controller and cannot be put into the background by Ansible",
                    self.async_remedy,
                )
            super().run(tmp, task_vars)
            request, options = self._read_task(variables)
            refuse_settings_of_any_host()
        except AlpaconError as error:
            return self._failed(error, TaskRequest(variables), collect_secrets(self._task.args))
        hidden = collect_secrets(options)
        if _REGISTRY is not None:
            _REGISTRY.register_secrets([text for text in hidden if len(text) >= _MIN_REGISTERED_LENGTH])
        warnings = [*self._warn_misplaced_settings(), *self.list_warnings(options, request)]
        if self.is_delegated() and not request.only_predicted_ids:
            result = {**self.empty_result, **self._execute_delegated(options, request)}
            result = self.finish_result(options, result, request)
            return sanitize_result({**result, "warnings": [*result.get("warnings", []), *warnings]}, hidden)
        run = self._make_run(request, warnings.append)
        try:
            is_predicted = request.only_predicted_ids
            done = dict(self.unchanged_result) if is_predicted else self.perform(options, run, request)
            result = self.finish_result(options, done, request)
        except RunIsOver:
            # Without ansible-playbook, this process would wait forever to return its result.
            os._exit(1)
        except AlpaconError as error:
            return self._failed(error, request, hidden, warnings)
        return sanitize_result({**result, "warnings": warnings}, hidden)

    def _read_task(self, variables: dict[str, Any]) -> tuple[TaskRequest, dict[str, Any]]:
        """Return what the task asks for, and its options."""
        self._task.args, only_predicted_ids = self.read_arguments()
        check_arguments(self.module_name, self.spec, self._task.args, self.selections)
        arguments, settings = self.complete_arguments(self._task.args, variables)
        own_name = ""
        if not only_predicted_ids and self.is_for_own_server(arguments):
            server, own_name = self._find_own_server(variables)
            arguments["servers"] = [server]
        # Ansible validates and ships these.
        self._task.args = arguments
        request = TaskRequest(variables, settings, own_name, only_predicted_ids)
        return request, self.validate_arguments(request)

    def read_arguments(self) -> tuple[dict[str, Any], bool]:
        """Return the arguments as written, and True if all commands that they name were only predicted."""
        return dict(self._task.args), False

    def complete_arguments(
        self, arguments: Mapping[str, Any], variables: Mapping[str, Any]
    ) -> tuple[dict[str, Any], TaskSettings]:
        """Add connection settings from variables of the host and from the environment of the controller."""
        refuse_shared_name(variables.get("inventory_hostname", ""), variables, variables.get("groups", {}))
        settings = find_settings(arguments, variables, os.environ, self._templar.template, get_run_folder())
        # Ansible refuses null for these, so that a null state never means the default state.
        with_default = [name for name, option in self.spec.items() if option.get("default") is not None]
        return {**drop_empty_options(arguments, with_default), **settings.options}, settings

    def is_for_own_server(self, arguments: Mapping[str, Any]) -> bool:
        """Return True if the task is for the server of the inventory host, since it names no other target."""
        return False

    def validate_arguments(self, request: TaskRequest) -> dict[str, Any]:
        """Convert the arguments to options by the argument spec."""
        rules = {} if request.only_predicted_ids else self.rules
        try:
            _validation, options = self.validate_argument_spec(self.spec, **rules)
        except AnsibleActionFail as error:
            names = {**name_variables(self.spec, request.variables), **request.settings.names}
            explained = explain_refusal(self.spec, rules, self._task.args, names, self.exclusions)
            # The error itself would show all arguments, with the token.
            raise explained or AlpaconError(error.message) from None
        return dict(options)

    def list_warnings(self, options: Mapping[str, Any], request: TaskRequest) -> list[str]:
        return []

    def perform(self, options: dict[str, Any], run: Run, request: TaskRequest) -> dict[str, Any]:
        """Do the task in this process, and return its result."""
        return self.operation(options, run)

    def acquire_locks(self, host_locks: HostLocks, options: Mapping[str, Any]) -> None:
        """Lock the servers of a delegated module against the other hosts of the task."""

    def get_module_arguments(self, options: Mapping[str, Any]) -> dict[str, Any]:
        return dict(self._task.args)

    def finish_result(self, options: Mapping[str, Any], result: dict[str, Any], request: TaskRequest) -> dict[str, Any]:
        return result

    def _find_own_server(self, variables: Mapping[str, Any]) -> tuple[str, str]:
        """Return the UUID or name of the inventory host's server, and its name."""
        refuse_other_workspace(self._task.args.get("url"), self._templar.template(variables.get(WORKSPACE)))
        host = str(variables["inventory_hostname"])
        server_id = self._templar.template(variables.get("alpacon_server_id"))
        if not server_id and host in C.LOCALHOST:
            raise UsageError(
                "servers",
                f"it is left out, and the inventory host {host} is not a server of the workspace",
                "Give names or UUIDs of servers, or run the play on hosts that are servers.",
            )
        return str(server_id or host), str(self._templar.template(variables.get("alpacon_name")) or host)

    def warn_ignored_limits(self, options: Mapping[str, Any], request: TaskRequest) -> list[str]:
        """Return a warning, once in a run, about limits of a task that has one server for each of several hosts."""
        limits = [name for name in ("max_concurrency", "max_errors") if options[name]]
        one_server = request.own_name and self._runs_on_several_hosts(request.variables)
        module = self.module_name.rpartition(".")[2]
        if not (limits and one_server and first_in_run(f"{module}-limits")):
            return []
        return [
            f"{' and '.join(limits)}: no effect, since the task runs for each host, with one server. Give servers"
            " and run_once: true, or limit the play with throttle, serial and max_fail_percentage."
        ]

    def _failed(
        self, error: AlpaconError, request: TaskRequest, hidden: set[str], warnings: Sequence[str] = ()
    ) -> dict[str, Any]:
        result = {**self._failure_result(error, request), **self.empty_result}
        return sanitize_result({**result, "warnings": list(warnings)}, hidden)

    def _failure_result(self, error: AlpaconError, request: TaskRequest) -> dict[str, Any]:
        shown = redact_error(error) if self._task.no_log else error
        if isinstance(shown, UsageError):
            shown = shown.rename(name_variables(self.spec, request.variables))
        return {"failed": True, "msg": request.settings.explain(shown), **error.details}

    def warn_ignored_keywords(self, variables: Mapping[str, Any], remedies: Mapping[str, str]) -> list[str]:
        """Return warnings about keywords of the task that have no effect, each once in a run.

        Args:
            remedies: By C(become), C(become_user), C(remote_user) and C(environment).
        """
        # With the remedy env, the task would send a token to the servers.
        environment = "environment" if self._environment and self._environment.isdisjoint(_SETTING_VARIABLES) else ""
        become = "become" if self._task.become else ""
        if not become and boolean(self._templar.template(variables.get("ansible_become", False)), strict=False):
            become = "ansible_become"
        account = self._template_text(variables, "ansible_become_user") or str(self._task.become_user or "root")
        used = {
            "become": (become, account),
            "become_user": ("become_user" if become else "", account),
            "remote_user": self._find_remote_user(variables),
            "environment": (environment, ""),
        }
        module = self.module_name.rpartition(".")[2]
        warnings = []
        for keyword, remedy in remedies.items():
            name, account = used[keyword]
            if name and first_in_run(f"{module}-{keyword}"):
                description = f"{name} ({account} on {variables.get('inventory_hostname')})" if account else name
                warnings.append(f"{description} has no effect on {self.module_name}: {remedy}")
        return warnings

    def get_account_remedies(self, keyword: str, username: str | None, default: str) -> dict[str, str]:
        """Return the remedy for C(become) or C(remote_user) in :meth:`warn_ignored_keywords`.

        Args:
            username: Value of the option.
            default: Remedy if that is empty.
        """
        if not username:
            return {keyword: default}
        # Keywords of a play or block may be meant for other tasks.
        own = "become_user" if keyword == "become" else keyword
        if own not in (self._task.get_ds() or {}) or getattr(self._task, own) in (None, "", username):
            return {}
        return {own: f"username names {username}. Leave one of the two out."}

    def _warn_misplaced_settings(self) -> list[str]:
        names = [name for name in _SETTING_VARIABLES if name in self._environment]
        if not names or not first_in_run("-".join(["environment", *names])):
            return []
        return [
            f"environment: {' and '.join(names)} have no effect in this keyword, since they are read from the"
            f" environment of ansible-playbook. Set the variables {' and '.join(names).lower()} instead."
        ]

    @cached_property
    def _environment(self) -> set[str]:
        """Return the names in the keyword C(environment) of the task, its block and play."""
        environment = self._task.environment or ()
        names: set[str] = set()
        for part in environment if isinstance(environment, (list, tuple)) else [environment]:
            # A template that fails has no effect.
            with contextlib.suppress(AnsibleError):
                variables = part if isinstance(part, Mapping) else self._templar.template(part)
                names.update(variables if isinstance(variables, Mapping) else ())
        return names

    def is_delegated(self) -> bool:
        return bool(self._task.delegate_to) and self._task.delegate_to not in C.LOCALHOST

    def _find_remote_user(self, variables: Mapping[str, Any]) -> tuple[str, str]:
        """Return the variable or keyword that sets the remote user (C(-u) sets the keyword), and the user."""
        keyword = str(self._task.remote_user or "")
        for variable in ("ansible_alpacon_user", "ansible_user"):
            account = self._template_text(variables, variable)
            # ansible-core sets the variable from the keyword.
            if account and account != keyword:
                return variable, account
        return "remote_user" if keyword else "", keyword

    def _template_text(self, variables: Mapping[str, Any], name: str) -> str:
        """Return a variable of the host, or an empty text if its template fails."""
        with contextlib.suppress(AnsibleError):
            return str(self._templar.template(variables.get(name)) or "")
        return ""

    def _execute_delegated(self, options: Mapping[str, Any], request: TaskRequest) -> dict[str, Any]:
        item = _get_item(self._task, request.variables)
        if item.open_result:
            message = "An earlier attempt of this task may have submitted commands. Nothing was submitted again."
            return {**item.open_result, "failed": True, "msg": f"{message} {item.open_result.get('msg', '')}"}
        host_locks = self._host_locks(request)
        if host_locks and not self._task.check_mode:
            try:
                self.acquire_locks(host_locks, options)
            except AlpaconError as error:
                return self._failure_result(error, request)
        # Older releases of ansible-core change the arguments, which the next attempt uses again.
        arguments = self.get_module_arguments(options)
        result: dict[str, Any] = self._execute_module(
            module_name=self.module_name, module_args=arguments, task_vars=request.variables
        )
        if _has_open_commands(result):
            item.open_result = result
        return result

    def _host_locks(self, request: TaskRequest) -> HostLocks | None:
        """Return the locks between the hosts of a task; None if it runs for one host."""
        variables = request.variables
        if not self._runs_on_several_hosts(variables):
            return None
        name, host = _get_item(self._task, variables).name, str(variables.get("inventory_hostname"))
        own, remedy = "", _ONCE
        if request.own_name:
            own = f"the server of host {host}"
            remedy = "If two hosts of the inventory are the same server, limit the play to one of them."
        return HostLocks(get_run_folder(), name, host, remedy, own)

    def _runs_on_several_hosts(self, variables: Mapping[str, Any]) -> bool:
        if len(variables.get("ansible_play_hosts_all") or ()) <= 1:
            return False
        # A handler with run_once runs once for each flush, also with serial.
        once = self._task.run_once and _is_linear(self._task)
        return not once or (is_in_batches(self._task) and not isinstance(self._task, Handler))

    def _make_run(self, request: TaskRequest, warn: Callable[[str], None]) -> Run:
        return Run(
            get_run_context(),
            warn=warn,
            check_mode=self._task.check_mode,
            diff_mode=self._task.diff,
            no_log=bool(self._task.no_log),
            hosts=len(request.variables.get("ansible_play_batch") or [None]),
            host_locks=self._host_locks(request),
            earlier_submits=_get_item(self._task, request.variables).earlier_submits,
            own_server=request.own_name,
        )


_SETTING_VARIABLES = [f"ALPACON_{name.upper()}" for name in CONNECTION]


def _has_open_commands(result: Mapping[str, Any]) -> bool:
    """Return True if a delegated module may have submitted commands that must not be submitted again."""
    # From ansible-core 2.19 on, every failure of a module has an exception.
    is_complete = "commands" in result or "invocation" in result
    crashed = not is_complete and ("exception" in result or "module_stdout" in result)
    outcomes = {row.get("outcome") for name in ("commands", "servers") for row in result.get(name) or ()}
    return crashed or bool(outcomes - CLOSED - {None})


@dataclass
class _Item:
    """State of a task, or of one item of its loop, through all attempts.

    Attributes:
        task: Referenced so that no other task gets its C(id).
        name: Identity; the same for every host, and different from other tasks and items.
    """

    task: Any
    name: str
    earlier_submits: dict[str, SubmitRecord] = field(default_factory=dict)
    open_result: dict[str, Any] = field(default_factory=dict)


#: By the C(id) of the task. Each attempt has an action plugin of its own, and each item of a loop a copy of the task.
_ITEMS: dict[int, _Item] = {}


def _get_item(task: Any, task_vars: Mapping[str, Any]) -> _Item:
    if id(task) not in _ITEMS:
        loop_var = task_vars.get("ansible_loop_var")
        item = json.dumps(task_vars.get(loop_var) if loop_var else None, sort_keys=True, default=str)
        name = json.dumps([_identify(task), item])
        # A loop may have equal items.
        occurrence = sum(other.name.rpartition(" ")[0] == name for other in _ITEMS.values())
        _ITEMS[id(task)] = _Item(task, f"{name} {occurrence}")
    return _ITEMS[id(task)]


def _identify(task: Any) -> list[str]:
    """Return texts that identify a task, the same for every host and in every batch."""
    # Included tasks may be loaded once per host. Only the outermost include is the same for all hosts.
    includes, parent = [], task._parent
    while parent:
        if isinstance(parent, TaskInclude) and not parent.statically_loaded:
            includes.append(parent)
        parent = parent._parent
    if not includes:
        return [str(task._uuid)]
    return [str(includes[-1]._uuid), *(str(include.get_path()) for include in includes[:-1]), str(task.get_path())]


def refuse_other_slices(servers: Iterable[str], variables: Mapping[str, Any]) -> None:
    """Refuse servers that are not hosts of this slice of a job, since each slice would submit to them."""
    # AWX passes no number of the slice, but gives the workflow of the slices the name of their job template.
    job = variables.get("awx_job_template_name")
    if not job or job != variables.get("awx_workflow_job_name"):
        return
    names = set(variables["groups"]["all"])
    others = [server for server in servers if server not in names]
    if others:  # reading the variables of all hosts takes a while
        hosts = [variables["hostvars"][name] for name in names]
        own = {host.get(key) for host in hosts for key in ("alpacon_server_id", "alpacon_name")}
        others = [server for server in others if (normalize_uuid(server) if is_uuid(server) else server) not in own]
    if others:
        raise UsageError(
            "servers",
            f"{others[0]} is not a host of this slice, and each slice of the job {job} would submit the command to it",
            "Name hosts in ansible_play_hosts, leave servers out, or run the task in a job without slices.",
        )


def is_in_batches(task: Any, hosts: int = 10**9) -> bool:
    """Return True if C(serial) splits a play of this many hosts into batches; by default, a very large play."""
    first = next(iter(task.get_play().serial), 0)
    return bool(0 < pct_to_int(first, hosts) < hosts)


def _is_linear(task: Any) -> bool:
    """Return True if the strategy of the play observes C(run_once)."""
    linear, strategy = (strategy_loader.get(name, class_only=True) for name in ("linear", task.get_play().strategy))
    return issubclass(strategy, linear)
