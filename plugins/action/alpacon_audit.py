# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""M(herdops.alpacon.alpacon_audit), which has its whole work here: one task for all hosts of the play."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

from ansible.errors import AnsibleError

from ansible_collections.herdops.alpacon.plugins.filter.mistyped import mistyped
from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import AlpaconError, UsageError
from ansible_collections.herdops.alpacon.plugins.module_utils._api.settings import Settings
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.run import Run
from ansible_collections.herdops.alpacon.plugins.module_utils._options.connection import CONNECTION, settings_of
from ansible_collections.herdops.alpacon.plugins.module_utils._options.secrets import hide, secrets
from ansible_collections.herdops.alpacon.plugins.plugin_utils._action import AlpaconAction, is_in_batches
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.audit import Audited, run_audit
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.checks import Check
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.hosts import Host, server_of
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.library import read_library
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.of_play import (
    AS_WRITTEN,
    OF_PLAY,
    WAIVERS,
    join_waivers,
    of_role,
    refuse_different,
)
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.options import SPEC as AUDIT_SPEC
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.options import AuditOptions
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.plans import OF_HOSTS, PREFIX, Plans
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.report import read_past, write_report
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.result import result_of
from ansible_collections.herdops.alpacon.plugins.plugin_utils._host_variables import (
    CommonVariables,
    HostVariables,
    is_equal,
    is_plain,
    is_same_for_all,
)
from ansible_collections.herdops.alpacon.plugins.plugin_utils._vaults import decrypted
from ansible_collections.herdops.alpacon.plugins.plugin_utils._workspaces import (
    SERVER_ID,
    TOKENS,
    WORKSPACE,
    Found,
    find_settings,
    refuse_foreign_server,
    refuse_shared_name,
    run_folder,
    without_empty_settings,
)

_ROLE = "herdops.alpacon.audit"
_USERNAME = "the agent runs each line as the user that username of the check names. Give username there in its place."
_ENV = "the agent runs the lines without it. Set the variables in the lines of the checks."
_WITHOUT_SERIAL = (
    "Move the task into a play of its own without serial; max_concurrency limits how many commands are under way. If"
    ' each batch is to be audited by itself, add hosts: "{{ ansible_play_batch }}".'
)

#: Variables that are settings of workspaces.
_SETTINGS = (*(f"alpacon_{setting}" for setting in CONNECTION), TOKENS)
#: Variables of the role that are not for each host, and its results.
_OF_TASK = frozenset(
    f"{PREFIX}{name}"
    for name in (*AUDIT_SPEC, "report_dir", "result", "library")
    if name not in (*CONNECTION, *OF_HOSTS)
)


class ActionModule(AlpaconAction):
    """Ask the servers of all hosts, judge their answers, and write the report."""

    BYPASS_HOST_LOOP = True

    module_name = "herdops.alpacon.alpacon_audit"
    spec: ClassVar[dict[str, dict[str, Any]]] = AUDIT_SPEC
    selections: ClassVar[Mapping[str, str]] = {
        "hosts": "Give names of hosts of the inventory, or leave it out to mean the hosts of the play.",
        "check_sets": "Name at least one, or leave it out to mean all of them.",
        "formats": "Name at least one, or leave it out for the usual ones. Without dest, no report is written.",
    }

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Carry out the task."""
        if self.is_for_elsewhere():
            remedy = "Leave delegate_to out: nothing connects to the hosts."
            return {"failed": True, "msg": f"delegate_to: an audit is made by the controller only. {remedy}"}
        self._task_vars = task_vars or {}
        #: Templates of the play that say the same for every host, worked out.
        self._same: dict[str, Any] = {}
        return super().run(tmp, task_vars)

    def arguments(self, task_vars: Mapping[str, Any]) -> dict[str, Any]:
        """The task's arguments as they are: each host has connection settings of its own.

        What is null counts as left out, where an empty selection does not come first: a null fail_on is not never. So
        does an empty setting.
        """
        for name in ("checks", "waivers"):
            given = self._task.args.get(name)
            # The text of a list, which could not be read back.
            if isinstance(given, str) and "datetime.date" in given:
                problem = "ansible-core before 2.19 hands over no list with a date that has no quotes"
                raise UsageError(name, problem, "Write dates in quotes, such as '2027-01-31'.")
        return {name: value for name, value in without_empty_settings(self._task.args).items() if value is not None}

    def ignored(self, options: Mapping[str, Any], variables: Mapping[str, Any]) -> list[str]:
        """Warnings of C(become) and C(environment), which the agent knows nothing of."""
        by_checks = not options["username"] and all(check.get("username") for check in options["checks"] or ())
        become = {} if by_checks else self.instead_of_account("become", options["username"], _USERNAME)
        return self.without_effect(variables, {**become, "environment": _ENV})

    def operation(self, options: dict[str, Any], run: Run) -> dict[str, Any]:
        """Audit, write the report where that is wanted, and return the result."""
        if options["hosts"] is None and is_in_batches(self._task, len(self._task_vars["ansible_play_hosts_all"])):
            raise UsageError("hosts", "with serial, each batch would audit all hosts of the play", _WITHOUT_SERIAL)
        library = read_library(Path(options["library"])) if options["library"] else {}
        plans = Plans(library, options)
        groups = _groups(self._task_vars)
        found = _members(options["hosts"], self._task_vars, groups)
        of_play = self._of_play()
        common = CommonVariables(of_play, [host.variables.written for host in found])
        # Asked once for each name: it looks through the variables of all hosts.
        is_shared = cache(lambda name: is_same_for_all(of_play[name], common))
        checks = [self._checks(host, of_play, is_shared, plans) for host in found]
        if library:
            names = set(self._task_vars).union(*(host.variables.written for host in found))
            _refuse_misspelt(names, self._task.get_variable_manager().extra_vars, plans)
        if self._is_of_role:
            warn = run.warn
            run = replace(run, warn=lambda text: warn(of_role(text)))
            options = {**options, "waivers": self._waivers(found, common) or options["waivers"]}
        checked = AuditOptions.from_options(options, checks)
        past = read_past([Path(path) for path in options["compare_to"]], run.warn)
        folder = Path(options["dest"]).absolute() if options["dest"] and not run.check_mode else None
        if folder:
            _make(folder)
        workspaces = _Workspaces(self._task.args, options, run.warn)
        settings = {name: self._templar.template(of_play[name]) for name in _SETTINGS if name in of_play}
        hosts = [
            Host(host.name, host.server, host.groups, asked, workspaces.of(host.name, host.variables.below(settings)))
            for host, asked in zip(found, checks, strict=True)
        ]
        others = groups.keys() - {host.name for host in hosts}
        audited = run_audit(checked, hosts, run, {name: groups[name] for name in others})
        hidden = secrets(options) | {host.settings.token for host in hosts}
        if folder is None:
            return _hidden(result_of(audited, no_log=run.no_log), hidden)
        return _hidden(_written(audited, folder, options, past, hidden, run.no_log), hidden)

    def completed(self, options: Mapping[str, Any], result: dict[str, Any]) -> dict[str, Any]:
        """The result, which names the variables of the role where the role asked for it."""
        if not self._is_of_role:
            return result
        overview = [of_role(line, about_option=False) for line in result["overview"]]
        return {**result, "msg": of_role(result["msg"], about_option=False), "overview": overview}

    def _in_words(self, error: AlpaconError) -> dict[str, Any]:
        result = super()._in_words(error)
        return {**result, "msg": of_role(result["msg"])} if self._is_of_role else result

    @property
    def _is_of_role(self) -> bool:
        return bool(self._task_vars.get("ansible_role_name") == _ROLE)

    def _of_play(self) -> dict[str, Any]:
        """The variables of play, role and task as they are written, which count before those of hosts."""
        first = self._task_vars["hostvars"].raw_get(self._task_vars["inventory_hostname"])
        return {
            name: value
            for name, value in self._task_vars.items()
            if name not in first or not is_equal(first[name], value)
        }

    def _waivers(self, found: Sequence[_Member], common: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        """The waivers of all hosts; none where all say the same.

        Raises:
            UsageError: two hosts say different things of what is one for the play.
        """
        hosts: dict[str, str] = {}
        for host in found:
            own = {name: host.variables.written.get(name) for name in (WAIVERS, *OF_PLAY)}
            worked_out = [own[name] for name in own if name not in AS_WRITTEN]
            # Hosts with equal variables say the same.
            key = json.dumps([own, "" if is_same_for_all(worked_out, common) else host.name], default=repr)
            hosts.setdefault(key, host.name)
        if len(hosts) < 2:
            return []
        said = {host: self._said(host) for host in hosts.values()}
        refuse_different(said)
        lists = [(host, values[WAIVERS]) for host, values in said.items()]
        return join_waivers(lists, datetime.now(timezone.utc).date())

    def _said(self, host: str) -> dict[str, Any]:
        """The variables that are one for the play, as they would be for a host alone.

        Raises:
            UsageError: one of them cannot be worked out.
        """
        manager, inventory = self._task.get_variable_manager(), self._task_vars["hostvars"]._inventory
        everything = manager.get_vars(play=self._task.get_play(), host=inventory.get_host(host), task=self._task)
        templar = self._templar.copy_with_new_env(available_variables=everything)
        said = {}
        for name in (WAIVERS, *OF_PLAY):
            try:
                said[name] = everything[name] if name in AS_WRITTEN else decrypted(templar.template(everything[name]))
            except AnsibleError as error:
                raise UsageError(name, str(error), f"Host: {host}.") from None
        return said

    def _checks(
        self, host: _Member, of_play: Mapping[str, Any], is_shared: Callable[[str], bool], plans: Plans
    ) -> Sequence[Check]:
        """The checks that a host may be asked with.

        Args:
            is_shared: whether the variable of the play with that name says the same for every host.
        """
        variables = host.variables
        named = [name for name in {*variables, *of_play} if str(name).startswith(PREFIX) and name not in _OF_TASK]
        own: dict[str, Any] = {}
        for name in named:
            if name not in of_play:
                own[name] = variables[name]
            elif is_plain(of_play[name]):
                own[name] = of_play[name]
            elif name in self._same:
                own[name] = self._same[name]
            else:
                everything = {**variables.written, **of_play, "inventory_hostname": host.name}
                templar = self._templar.copy_with_new_env(available_variables=everything)
                own[name] = decrypted(templar.template(of_play[name]))
                if is_shared(name):
                    self._same[name] = own[name]
        return plans.of(host.name, own)


@dataclass(frozen=True)
class _Member:
    """A host that is meant, and what the inventory knows of it."""

    name: str
    server: str
    groups: frozenset[str]
    variables: HostVariables


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

    def _read(self, host: str, found: Found) -> Settings:
        try:
            return settings_of({**self._options, **found.options}, self._warn)
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


def _members(names: list[str] | None, task_vars: Mapping[str, Any], groups_of: Mapping[str, set[str]]) -> list[_Member]:
    """The hosts that are meant, and what the inventory knows of them."""
    hostvars = task_vars["hostvars"]
    members = []
    for name in dict.fromkeys(names if names is not None else task_vars["ansible_play_hosts_all"]):
        if name not in hostvars:
            raise UsageError("hosts", f"the inventory has no host {name}", "Give names of hosts of the inventory.")
        own = HostVariables(name, hostvars)
        refuse_shared_name(name, own, task_vars.get("groups", {}))
        server = server_of(str(name), own.get(SERVER_ID))
        members.append(_Member(str(name), server, frozenset(groups_of.get(name, ())), own))
    return members


def _refuse_misspelt(names: Iterable[str], given: Iterable[str], plans: Plans) -> None:
    """Check the names of variables of the role, of every host: no question is asked while one of them is wrong.

    Args:
        given: those that were given with -e, which are for this run.

    Raises:
        AlpaconError: there are variables that are misspelt.
    """
    names, parameters = set(names), {f"{PREFIX}{name}" for name in plans.parameters}
    own = {*_OF_TASK, *(f"{PREFIX}{name}" for name in OF_HOSTS)}
    told = mistyped(names, own | parameters) or mistyped([], own, given=set(given) - parameters)
    if f"{PREFIX}dest" in names:
        told.append(f"There is no variable {PREFIX}dest. Did you mean {PREFIX}report_dir?")
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


def _hidden(result: dict[str, Any], hidden: set[str]) -> dict[str, Any]:
    shown: dict[str, Any] = hide(result, hidden)
    return shown


def _written(
    audited: Audited,
    folder: Path,
    options: Mapping[str, Any],
    past: Sequence[Mapping[str, Any]],
    hidden: set[str],
    no_log: bool,
) -> dict[str, Any]:
    shown = hide(audited.report, hidden)
    try:
        files = write_report(shown, folder, options["formats"], past)
    except OSError as error:
        result = result_of(audited, no_log=no_log)
        lost = f"The report could not be written to {folder}: {error}."
        return {**result, "failed": True, "msg": f"{lost} {result['msg']}"}
    return result_of(audited, [str(file) for file in files], no_log)
