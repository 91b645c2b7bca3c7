# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run M(herdops.alpacon.alpamon_info) on the host, and make the plan of the role alpamon on the controller."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure, AnsibleError
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import AlpaconError, clean_line
from ansible_collections.herdops.alpacon.plugins.module_utils._options.refusals import explain_refusal
from ansible_collections.herdops.alpacon.plugins.plugin_utils._agent.plan import KEPT_IF_UNSET, SPEC, make_plan, refuse
from ansible_collections.herdops.alpacon.plugins.plugin_utils._agent.problems import find_option_problems
from ansible_collections.herdops.alpacon.plugins.plugin_utils._agent.state import PARTS, Controller, RoleOptions
from ansible_collections.herdops.alpacon.plugins.plugin_utils._facts import (
    refuse_facts_named_as_settings,
    refuse_settings_of_any_host,
)
from ansible_collections.herdops.alpacon.plugins.plugin_utils._settings import decrypt
from ansible_collections.herdops.alpacon.plugins.plugin_utils._variable_names import find_misspelt_names

_PREFIX = "alpamon_"
_SPEC = {f"{_PREFIX}{name}": {**SPEC[name], "required": name not in KEPT_IF_UNSET} for name in SPEC}
_PLAYBOOK_VARIABLES = ("hosts", "serial", "max_fail_percentage", "groups", "become", "results")
_VARIABLES = [*_SPEC, *(f"{_PREFIX}{name}" for name in _PLAYBOOK_VARIABLES)]
_TAGS = frozenset().union(*PARTS.values())
_FILES = ("ca_cert", "package_file", "repository_key")
_OWN_CONNECTION = (
    "The tasks reach the host through the agent, which this role stops, restarts or removes."
    " Use another connection, such as SSH with ansible_connection=ssh."
)
display = Display()


class ActionModule(ActionBase):
    _supports_check_mode = True
    _supports_async = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        variables = task_vars or {}
        super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        with_plan = boolean(arguments.pop("plan", False))
        if with_plan and self._connection.transport == "herdops.alpacon.alpacon":
            return {"changed": False, "plan": refuse([_OWN_CONNECTION])}
        # Before the host is reached.
        role, problems = self._read_role(variables) if with_plan else (None, [])
        if problems:
            return {"changed": False, "plan": refuse(problems)}
        arguments.setdefault("controller_time", time.time())
        try:
            result: dict[str, Any] = self._execute_module(
                module_name="herdops.alpacon.alpamon_info",
                module_args=arguments,
                task_vars=variables,
                wrap_async=self._task.async_val,
            )
        except AnsibleConnectionFailure as error:
            if "censored due to no log" in str(error):
                # With no_log, ssh hides the cause. A command without secrets fails with the same cause.
                self._connection._play_context.no_log = False
                self._low_level_execute_command("exit 0")
            raise
        result.pop("plan", None)
        if role and not result.get("failed"):
            result["plan"] = self._make_plan(result, variables, role)
            for warning in result["plan"].get("warnings", ()):
                display.warning(warning)
        return result

    def _read_role(self, variables: Mapping[str, Any]) -> tuple[RoleOptions | None, list[str]]:
        """Return the options of the role, and the problems of its variables."""
        extra = self._task.get_variable_manager().extra_vars
        # With alpamon_hosts misspelt, the playbook would roll out to all hosts.
        selection = f"{_PREFIX}hosts" if "rollout_plan" in variables else ""
        misspelt = find_misspelt_names(variables, _VARIABLES, selection, extra)
        if "_raw_params" in extra:
            misspelt.append(
                f"'{clean_line(extra['_raw_params'])}' belongs to no variable. Put a value with blanks in two pairs of"
                " quotes."
            )
        if selection:
            misspelt += _find_tag_problems(variables)
        if misspelt:
            return None, misspelt
        try:
            refuse_facts_named_as_settings(variables, self._templar.template)
            options = self._read_options(variables)
        except AlpaconError as error:
            return None, [str(error)]
        role = RoleOptions(options, self._describe_controller(options, variables))
        return role, find_option_problems(role)

    def _make_plan(self, result: Mapping[str, Any], variables: Mapping[str, Any], role: RoleOptions) -> dict[str, Any]:
        try:
            # ansible-core sets facts that a host returns before the next task.
            returned = result.get("ansible_facts")
            if isinstance(returned, Mapping):
                refuse_facts_named_as_settings({**variables, "ansible_facts": returned}, self._templar.template)
            refuse_settings_of_any_host()
        except AlpaconError as error:
            return refuse([str(error)])
        return make_plan(role.options, result, role.controller)

    def _read_options(self, variables: Mapping[str, Any]) -> dict[str, Any]:
        values = {}
        for name, option in _SPEC.items():
            value = decrypt(self._templar.template(variables[name] if option["required"] else variables.get(name)))
            if value is not None or option["required"]:
                values[name] = {"dict": {}, "list": []}.get(option["type"], "") if value is None else value
        checked = ArgumentSpecValidator(_SPEC).validate(values)
        if checked.error_messages:
            raise explain_refusal(_SPEC, {}, values) or AlpaconError(" ".join(checked.error_messages))
        return {name.removeprefix(_PREFIX): checked.validated_parameters.get(name) for name in _SPEC}

    def _describe_controller(self, options: Mapping[str, Any], variables: Mapping[str, Any]) -> Controller:
        tags = frozenset(variables.get("ansible_run_tags") or ())
        paths = {
            name: self._find_file(options[name])
            for name in _FILES
            if options[name] and not options[name].startswith(("http://", "https://"))
        }
        readable = {name: path for name, path in paths.items() if os.access(path, os.R_OK)}
        return Controller(
            host=variables["inventory_hostname"],
            # Without a tag of the role, all of its parts run.
            parts=tags & _TAGS,
            files=paths,
            missing=sorted(paths.keys() - readable.keys()),
            digests={
                name: _hash_file(path, options["package_checksum"] if name == "package_file" else "")
                for name, path in readable.items()
                if os.path.isfile(path) and (name != "package_file" or options["package_checksum"])
            },
        )

    def _find_file(self, path: str) -> str:
        """Search for a file as the module copy does, then in the current directory."""
        expanded = os.path.expanduser(path)
        if not os.path.isabs(expanded):
            try:
                return str(self._find_needle("files", expanded))
            except (AnsibleError, AnsibleActionFail):
                return os.path.abspath(expanded)
        return expanded


def _find_tag_problems(variables: Mapping[str, Any]) -> Iterable[str]:
    unknown = {*(variables.get("ansible_run_tags") or ())} - _TAGS - {"all", "always", "tagged", "untagged"}
    if unknown:
        yield (
            f"There are no tasks with the tags {', '.join(sorted(unknown))}. The role has the tags"
            f" {', '.join(sorted(_TAGS))}."
        )
    # Ansible skips a task if one of its tags is skipped, and the task that runs the role has all tags.
    skipped = sorted(_TAGS & {*(variables.get("ansible_skip_tags") or ())})
    if skipped:
        yield (
            f"--skip-tags {','.join(skipped)} would skip the whole role. Select parts of the role instead, as in"
            " --tags install,register,configure."
        )


def _hash_file(path: str, checksum: str) -> str:
    """Return the SHA-256 of a file; with a checksum, such as V(sha512:0a1b), the digest in the same format."""
    algorithm, colon, _sum = checksum.lower().rpartition(":")
    try:
        digest = hashlib.new(algorithm or "sha256", Path(path).read_bytes(), usedforsecurity=False)
    except ValueError:
        return ""
    return f"{algorithm}{colon}{digest.hexdigest()}"
