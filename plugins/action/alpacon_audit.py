# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""M(herdops.alpacon.alpacon_audit), which has its whole work here: one task for all hosts of the play."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar

from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import AlpaconError, UsageError
from ansible_collections.herdops.alpacon.plugins.module_utils._api.settings import Settings
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.run import Run
from ansible_collections.herdops.alpacon.plugins.module_utils._options.connection import CONNECTION, parse_settings
from ansible_collections.herdops.alpacon.plugins.module_utils._options.secrets import collect_secrets, mask_secrets
from ansible_collections.herdops.alpacon.plugins.plugin_utils._action import AlpaconAction, is_in_batches
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.audit import build_result, run_audit
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.check_selection import (
    HOST_OPTIONS,
    VARIABLE_PREFIX,
    CheckSelector,
    load_check_sets,
)
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.hosts import (
    WAIVERS_VARIABLE,
    Host,
    HostVariables,
    get_server_reference,
    refuse_differing_values,
    to_role_error,
)
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.options import SPEC as AUDIT_SPEC
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.options import AuditOptions
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.report import read_previous, write_report
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.waivers import add_waivers, find_unknown_names
from ansible_collections.herdops.alpacon.plugins.plugin_utils._settings import (
    SERVER_ID,
    WORKSPACE,
    TaskSettings,
    drop_empty_settings,
    find_settings,
    refuse_foreign_server,
    refuse_shared_name,
    run_folder,
)
from ansible_collections.herdops.alpacon.plugins.plugin_utils._variable_names import find_misspelt_names

_ROLE = "herdops.alpacon.audit"
_USERNAME = "the agent runs each line as the user that username of the check names. Give username there in its place."
_ENV = "the agent runs the lines without it. Set the variables in the lines of the checks."
_WITHOUT_SERIAL = (
    "Move the task into a play of its own without serial; max_concurrency limits how many commands are under way. If"
    ' each batch is to be audited by itself, add hosts: "{{ ansible_play_batch }}".'
)

#: Variables of the role that are not for each host, and its results.
_OF_TASK = frozenset(
    f"{VARIABLE_PREFIX}{name}"
    for name in (*AUDIT_SPEC, "report_dir", "result", "library")
    if name not in (*CONNECTION, *HOST_OPTIONS)
)


class ActionModule(AlpaconAction):
    """Ask the servers of all hosts, evaluate their answers, and write the report."""

    BYPASS_HOST_LOOP = True

    module_name = "herdops.alpacon.alpacon_audit"
    spec: ClassVar[dict[str, dict[str, Any]]] = AUDIT_SPEC
    selections: ClassVar[Mapping[str, str]] = {
        "hosts": "Give names of hosts of the inventory, or leave it out to mean the hosts of the play.",
        "check_sets": "Name at least one, or leave it out to mean all of them.",
        "formats": "Name at least one, or leave it out for the usual ones.",
    }

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Carry out the task."""
        if self.is_delegated():
            remedy = "Leave delegate_to out: nothing connects to the hosts."
            return {"failed": True, "msg": f"delegate_to: an audit is made by the controller only. {remedy}"}
        self._task_vars = task_vars or {}
        self._waivers: dict[str, Any] = {}
        return super().run(tmp, task_vars)

    def complete_arguments(self, task_vars: Mapping[str, Any]) -> dict[str, Any]:
        """The task's arguments as they are: each host has connection settings of its own.

        What is null counts as left out, where an empty selection does not come first: a null fail_on is not never. So
        does an empty setting.
        """
        return {name: value for name, value in drop_empty_settings(self._task.args).items() if value is not None}

    def list_warnings(self, options: Mapping[str, Any], variables: Mapping[str, Any]) -> list[str]:
        """Warnings of C(become) and C(environment), which the agent knows nothing of."""
        by_checks = not options["username"] and all(check.get("username") for check in options["checks"] or ())
        become = {} if by_checks else self.account_remedies("become", options["username"], _USERNAME)
        return self.warn_ignored_keywords(variables, {**become, "environment": _ENV})

    def operation(self, options: dict[str, Any], run: Run) -> dict[str, Any]:
        """Audit, write the report where that is wanted, and return the result."""
        if options["hosts"] is None and is_in_batches(self._task, len(self._task_vars["ansible_play_hosts_all"])):
            raise UsageError("hosts", "with serial, each batch would audit all hosts of the play", _WITHOUT_SERIAL)
        library = load_check_sets(Path(options["library"])) if options["library"] else {}
        selector = CheckSelector(library, options)
        hosts = self._hosts(options, selector, run)
        if options["waivers"] is None:
            options = {**options, "waivers": list(self._waivers.values())}
        checked = AuditOptions.from_options(options, [host.checks for host in hosts])
        groups = _groups(self._task_vars)
        names = [*groups, *(host.name for host in hosts)]
        checks = {check.name for check in [*checked.checks, *chain.from_iterable(library.values())]}
        for sentence in find_unknown_names(checked.waivers, checks, names, self._task_vars.get("groups", {})):
            run.warn(sentence)
        past = read_previous(Path(options["compare_to"]), run.warn) if options["compare_to"] else None
        folder = Path(options["dest"]).absolute() if options["dest"] and not run.check_mode else None
        if folder:
            _make(folder)
        audited = run_audit(checked, hosts, run)
        hidden = collect_secrets(options) | {host.settings.token for host in hosts}
        files: list[Path] = []
        lost = ""
        if folder:
            try:
                files = write_report(mask_secrets(audited.report, hidden), folder, options["formats"], past)
            except OSError as error:
                lost = f"The report could not be written to {folder}: {error}. "
        result = build_result(audited, [str(file) for file in files], run.no_log)
        if lost:
            result.update(failed=True, msg=lost + result["msg"])
        shown: dict[str, Any] = mask_secrets(result, hidden)
        return shown

    def _failure_result(self, error: AlpaconError) -> dict[str, Any]:
        if self._is_of_role and isinstance(error, UsageError):
            error = to_role_error(error)
        return super()._failure_result(error)

    @property
    def _is_of_role(self) -> bool:
        return bool(self._task_vars.get("ansible_role_name") == _ROLE)

    def _hosts(self, options: Mapping[str, Any], selector: CheckSelector, run: Run) -> list[Host]:
        """The hosts that are meant, each with its checks and settings, and their waivers.

        Raises:
            AlpaconError: what is wrong with the variables of one of them.
        """
        hostvars, groups = self._task_vars["hostvars"], self._task_vars.get("groups", {})
        groups_of = _groups(self._task_vars)
        workspaces = _Workspaces(self._task.args, options, run.warn)
        first: HostVariables | None = None
        names: set[str] = set()
        hosts = []
        given = options["hosts"] if options["hosts"] is not None else self._task_vars["ansible_play_hosts_all"]
        for name in map(str, dict.fromkeys(given)):
            if name not in hostvars:
                raise UsageError("hosts", f"the inventory has no host {name}", "Give names of hosts of the inventory.")
            variables = self._variables(name)
            refuse_shared_name(name, variables, groups)
            names.update(map(str, variables))
            own = {
                key: variables[key] for key in variables if str(key).startswith(VARIABLE_PREFIX) and key not in _OF_TASK
            }
            checks = selector.select(name, own)
            first = first or variables
            if self._is_of_role:
                refuse_differing_values(first, variables)
            if options["waivers"] is None:
                add_waivers(self._waivers, variables.get(WAIVERS_VARIABLE))
            server = get_server_reference(name, variables.get(SERVER_ID))
            hosts.append(Host(name, server, frozenset(groups_of.get(name, ())), checks, workspaces.of(name, variables)))
        if options["library"]:
            _refuse_misspelt(names, self._task.get_variable_manager().extra_vars, selector)
        return hosts

    def _variables(self, host: str) -> HostVariables:
        """The variables that the task would have if it ran for a host alone."""
        found = self._task_vars["hostvars"]._inventory.get_host(host)
        manager = self._task.get_variable_manager()
        written = manager.get_vars(self._task.get_play(), found, self._task)
        return HostVariables(host, written, self._templar)


class _Workspaces:
    """The settings of each host's workspace."""

    def __init__(self, given: Mapping[str, Any], options: Mapping[str, Any], warn: Callable[[str], None]) -> None:
        self._given = {name: given.get(name) for name in CONNECTION}
        self._options = options
        self._warn = warn
        self._known: dict[tuple[str, ...], Settings] = {}

    def of(self, host: str, variables: Mapping[str, Any]) -> Settings:
        """The connection settings of a host, by its variables."""
        refuse_foreign_server(self._given, variables.get(WORKSPACE))
        found = find_settings(self._given, variables, os.environ, folder=run_folder())
        key = tuple(str(found.options.get(name)) for name in CONNECTION)
        if key not in self._known:
            self._known[key] = self._read(host, found)
        return self._known[key]

    def _read(self, host: str, found: TaskSettings) -> Settings:
        try:
            return parse_settings({**self._options, **found.options}, self._warn)
        except UsageError as error:
            text = found.explain(error).removeprefix(f"{error.option}: ")
            raise UsageError(error.option, f"{text} Host: {host}.") from None


def _groups(task_vars: Mapping[str, Any]) -> dict[str, set[str]]:
    """The groups of each host of the inventory."""
    groups_of: dict[str, set[str]] = {}
    for group, members in task_vars.get("groups", {}).items():
        for member in members:
            groups_of.setdefault(member, set()).add(group)
    return groups_of


def _refuse_misspelt(names: set[str], given: Iterable[str], selector: CheckSelector) -> None:
    """Check the names of variables of the role, of every host: no question is asked while one of them is wrong.

    Args:
        given: those that were given with -e, which are for this run.

    Raises:
        AlpaconError: there are variables that are misspelt.
    """
    parameters = {f"{VARIABLE_PREFIX}{name}" for name in selector.parameters}
    own = {*_OF_TASK, *(f"{VARIABLE_PREFIX}{name}" for name in HOST_OPTIONS)}
    told = find_misspelt_names(names, own | parameters) or find_misspelt_names(
        [], own, extra_vars=set(given) - parameters
    )
    if f"{VARIABLE_PREFIX}dest" in names:
        told.append(f"There is no variable {VARIABLE_PREFIX}dest. Did you mean {VARIABLE_PREFIX}report_dir?")
    if told:
        raise AlpaconError(" ".join(told))


def _make(folder: Path) -> None:
    """Have the folder before anything is asked: answers that cannot be written down would be lost."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError("dest", f"{folder} cannot be made: {error.strerror}", "Name another folder.") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UsageError("dest", f"nothing can be written to {folder}", "Name another folder, or change its mode.")
