# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run the task of M(herdops.alpacon.alpacon_audit) on the controller, once for all hosts of the play."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from ansible.errors import AnsibleError

import ansible_collections.herdops.alpacon.plugins.plugin_utils._bytecode  # noqa: F401 # pylint: disable=unused-import
from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import AlpaconError, UsageError
from ansible_collections.herdops.alpacon.plugins.module_utils._api.records import is_uuid, normalize_uuid
from ansible_collections.herdops.alpacon.plugins.module_utils._api.settings import Settings
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.run import Run
from ansible_collections.herdops.alpacon.plugins.module_utils._options.connection import CONNECTION, parse_settings
from ansible_collections.herdops.alpacon.plugins.module_utils._options.secrets import (
    collect_secrets,
    mask_records,
    mask_secrets,
)
from ansible_collections.herdops.alpacon.plugins.plugin_utils._action import AlpaconAction, TaskRequest, is_in_batches
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.attestations import describe_invalid
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.audit import build_result, run_audit
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.check_selection import (
    HOST_OPTIONS,
    VARIABLE_PREFIX,
    CheckSelector,
    load_check_sets,
)
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.checks import Check
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.history_file import (
    find_history_folder,
    record_audit,
)
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.hosts import (
    JOINED_OPTIONS,
    Host,
    HostVariables,
    refuse_differing_values,
    to_role_error,
)
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.options import SPEC as AUDIT_SPEC
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.options import AuditOptions
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.report import read_previous, write_report
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.report.comparison import compare_reports
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.result_selection import (
    find_unknown_names,
    find_unknown_rules,
    join_entries,
)
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.scanner_files import EvidenceFolder
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.scanners.tailoring import read_local_file
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.waivers import describe_expired
from ansible_collections.herdops.alpacon.plugins.plugin_utils._facts import refuse_settings_of_any_host
from ansible_collections.herdops.alpacon.plugins.plugin_utils._settings import (
    SERVER_ID,
    WORKSPACE,
    TaskSettings,
    drop_empty_options,
    find_settings,
    get_run_folder,
    refuse_other_workspace,
    refuse_shared_name,
)
from ansible_collections.herdops.alpacon.plugins.plugin_utils._variable_names import find_misspelt_names

_ROLE = "herdops.alpacon.audit"
_BECOME_REMEDY = "the agent runs the line of a check as the user in username of the check. Set that instead."
_ENVIRONMENT_REMEDY = "the agent runs the lines without it. Set the variables in the lines of the checks."
_SERIAL_REMEDY = (
    "Move the task into a play of its own without serial; max_concurrency limits how many commands are under way. To"
    ' audit each batch by itself, add hosts: "{{ ansible_play_batch }}".'
)

_HOST_VARIABLES = frozenset(f"{VARIABLE_PREFIX}{name}" for name in HOST_OPTIONS)
#: The other variables of the role, and its result.
_ROLE_VARIABLES = frozenset(
    f"{VARIABLE_PREFIX}{name}"
    for name in (*AUDIT_SPEC, "report_dir", "result", "library")
    if name not in (*CONNECTION, *HOST_OPTIONS)
)


class ActionModule(AlpaconAction):
    BYPASS_HOST_LOOP = True

    module_name = "herdops.alpacon.alpacon_audit"
    spec: ClassVar[dict[str, dict[str, Any]]] = AUDIT_SPEC
    selections: ClassVar[Mapping[str, str]] = {
        "hosts": "Name hosts of the inventory, or leave it out to audit the hosts of the play.",
        "check_sets": "Name at least one, or leave it out to run all of them.",
        "formats": "Name at least one, or leave it out for the default.",
    }

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        if self.is_delegated():
            remedy = "Remove delegate_to: nothing connects to the hosts."
            return {"failed": True, "msg": f"delegate_to: only the controller can run an audit. {remedy}"}
        return super().run(tmp, task_vars)

    def complete_arguments(
        self, arguments: Mapping[str, Any], variables: Mapping[str, Any]
    ) -> tuple[dict[str, Any], TaskSettings]:
        """Return the arguments that are not null. They get no settings of a host, since each host has its own."""
        return drop_empty_options(arguments), TaskSettings({})

    def list_warnings(self, options: Mapping[str, Any], request: TaskRequest) -> list[str]:
        """Warn of C(become) and C(environment), which the agent does not apply."""
        in_checks = not options["username"] and all(check.get("username") for check in options["checks"] or ())
        become = {} if in_checks else self.get_account_remedies("become", options["username"], _BECOME_REMEDY)
        return self.warn_ignored_keywords(request.variables, {**become, "environment": _ENVIRONMENT_REMEDY})

    def perform(self, options: dict[str, Any], run: Run, request: TaskRequest) -> dict[str, Any]:
        variables = request.variables
        if options["hosts"] is None and is_in_batches(self._task, len(variables["ansible_play_hosts_all"])):
            raise UsageError("hosts", "with serial, each batch would audit all hosts of the play", _SERIAL_REMEDY)
        check_sets = load_check_sets(Path(options["library"])) if options["library"] else {}
        joined: dict[str, dict[str, Any]] = {name: {} for name in JOINED_OPTIONS if options[name] is None}
        hosts = self._list_hosts(options, variables, self._make_selector(check_sets, options), joined, run.warn)
        refuse_settings_of_any_host()
        options = {**options, **{name: list(entries.values()) for name, entries in joined.items()}}
        audit_options = AuditOptions.from_options(options, [host.checks for host in hosts])
        distinct = {id(host.checks): host.checks for host in hosts}.values()
        checks = {check.name for shared in (*distinct, *check_sets.values()) for check in shared}
        groups: Mapping[str, Any] = variables.get("groups", {})
        host_names = {*groups.get("all", ()), *(host.name for host in hosts)}
        for warning in _list_entry_warnings(audit_options, checks, host_names, groups):
            run.warn(warning)
        previous = read_previous(Path(options["compare_to"]), run.warn) if options["compare_to"] else None
        folder = Path(options["dest"]).absolute() if options["dest"] and not run.check_mode else None
        if folder:
            _create_folder(folder)
            audit_options = replace(audit_options, evidence=EvidenceFolder(folder))
        audit = run_audit(audit_options, hosts, run)
        rules = [check["name"] for check in audit.report["checks"] if check["of"]]
        for warning in find_unknown_rules("An attestation", audit_options.attestations, rules):
            run.warn(warning)
        if previous and not run.check_mode:
            audit.report["trend"] = compare_reports(audit.report, previous)
        # The rest needs the memory.
        del previous
        hidden = collect_secrets(options) | {host.settings.token for host in hosts}
        files: list[Path] = []
        error_message = ""
        if folder:
            mask_records(audit.report, hidden)
            record_audit(audit.report, find_history_folder(folder), run.warn)
            try:
                if audit_options.evidence:
                    audit.report["evidence"] = audit_options.evidence.write_sums()
                files = write_report(audit.report, folder, options["formats"])
            except OSError as error:
                error_message = f"The report could not be written to {folder}: {error}. "
        result = build_result(audit, [str(file) for file in files], run.no_log)
        if error_message:
            result.update(failed=True, msg=error_message + result["msg"])
        masked: dict[str, Any] = mask_secrets(result, hidden)
        return masked

    def _make_selector(self, check_sets: Mapping[str, list[Check]], options: Mapping[str, Any]) -> CheckSelector:
        return CheckSelector(check_sets, options, self._read_file)

    def _read_file(self, option: str, path: str) -> bytes:
        """Find a file as M(ansible.builtin.copy) does, decrypt and read it."""
        try:
            found = self._loader.get_real_file(self._find_needle("files", os.path.expanduser(path)))
        except AnsibleError as error:
            remedy = "Give a path on the controller. For a file on the servers, use tailoring."
            raise UsageError(option, f"{path} cannot be read. {error}", remedy) from None
        try:
            return read_local_file(option, str(found))
        finally:
            self._loader.cleanup_tmp_file(found)

    def _failure_result(self, error: AlpaconError, request: TaskRequest) -> dict[str, Any]:
        if isinstance(error, UsageError) and _is_of_role(request.variables):
            error = to_role_error(error)
        return super()._failure_result(error, request)

    def _list_hosts(
        self,
        options: Mapping[str, Any],
        task_vars: Mapping[str, Any],
        selector: CheckSelector,
        joined: Mapping[str, dict[str, Any]],
        warn: Callable[[str], None],
    ) -> list[Host]:
        """Return the hosts with their checks and settings, and add their waivers and attestations to C(joined)."""
        hostvars, groups = task_vars["hostvars"], task_vars.get("groups", {})
        manager = self._task.get_variable_manager()
        first: HostVariables | None = None
        names: set[str] = set()
        #: By the values of their options.
        parsed: dict[tuple[str, ...], Settings] = {}
        hosts = []
        requested = options["hosts"] if options["hosts"] is not None else task_vars["ansible_play_hosts_all"]
        for name in map(str, dict.fromkeys(requested)):
            if name not in hostvars:
                raise UsageError("hosts", f"the inventory has no host {name}", "Give names of hosts of the inventory.")
            # The variables that the task would have if it ran for this host alone.
            host = hostvars._inventory.get_host(name)
            variables = HostVariables(name, manager.get_vars(self._task.get_play(), host, self._task), self._templar)
            refuse_shared_name(name, variables, groups)
            names.update(map(str, variables))
            own = {key for key in variables if str(key).startswith(VARIABLE_PREFIX) and key not in _ROLE_VARIABLES}
            checks = selector.select(name, {key: variables[key] for key in own})
            first = first or variables
            if _is_of_role(task_vars):
                refuse_differing_values(first, variables)
            for option, entries in joined.items():
                join_entries(option, entries, variables.get(f"{VARIABLE_PREFIX}{option}"))
            server_id = variables.get(SERVER_ID)
            server = normalize_uuid(server_id) if is_uuid(server_id) else str(server_id or name)
            settings = self._find_settings(variables, options, parsed, warn)
            host_groups = frozenset(group.name for group in host.get_groups())
            hosts.append(Host(name, server, host_groups, checks, settings))
        if options["library"]:
            _refuse_misspelt_names(names, set(manager.extra_vars), selector)
        return hosts

    def _find_settings(
        self,
        variables: HostVariables,
        options: Mapping[str, Any],
        parsed: dict[tuple[str, ...], Settings],
        warn: Callable[[str], None],
    ) -> Settings:
        """Return the connection settings of a host. Equal options are parsed once, and added to C(parsed)."""
        arguments = {name: self._task.args.get(name) for name in CONNECTION}
        refuse_other_workspace(arguments["url"], variables.get(WORKSPACE))
        found = find_settings(arguments, variables, os.environ, folder=get_run_folder())
        key = tuple(str(found.options.get(name)) for name in CONNECTION)
        if key not in parsed:
            try:
                parsed[key] = parse_settings({**options, **found.options}, warn)
            except UsageError as error:
                name, _colon, text = found.explain(error).partition(": ")
                raise UsageError(name, f"{text} Host: {variables.host}.") from None
        return parsed[key]


def _list_entry_warnings(
    options: AuditOptions, checks: Collection[str], hosts: Collection[str], groups: Collection[str]
) -> list[str]:
    return [
        *find_unknown_names("A waiver", options.waivers, checks, hosts, groups),
        *describe_expired(options.waivers),
        *find_unknown_names("An attestation", options.attestations, checks, hosts, groups),
        *describe_invalid(options.attestations),
    ]


def _is_of_role(variables: Mapping[str, Any]) -> bool:
    return bool(variables.get("ansible_role_name") == _ROLE)


def _refuse_misspelt_names(names: set[str], extra_vars: set[str], selector: CheckSelector) -> None:
    """Refuse variables of any host, or of C(-e), with a misspelt name of a variable of the role."""
    parameters = {f"{VARIABLE_PREFIX}{name}" for name in selector.parameters}
    own = _ROLE_VARIABLES | _HOST_VARIABLES
    sentences = find_misspelt_names(names, own | parameters)
    sentences = sentences or find_misspelt_names([], own, extra_vars=extra_vars - parameters)
    if f"{VARIABLE_PREFIX}dest" in names:
        sentences.append(f"There is no variable {VARIABLE_PREFIX}dest. Did you mean {VARIABLE_PREFIX}report_dir?")
    if sentences:
        raise AlpaconError(" ".join(sentences))


def _create_folder(folder: Path) -> None:
    """Create the folder of the report, or raise UsageError before the audit submits anything."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError("dest", f"{folder} cannot be created: {error.strerror}", "Choose another folder.") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UsageError("dest", f"{folder} is not writable", "Choose another folder, or change its mode.")
