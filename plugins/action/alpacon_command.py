# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Action plugin of M(herdops.alpacon.alpacon_command): reads scripts and finds the server of the inventory host."""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from ansible.errors import AnsibleError

import ansible_collections.herdops.alpacon.plugins.plugin_utils._bytecode  # noqa: F401 # pylint: disable=unused-import
from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import UsageError
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.run import HostLocks
from ansible_collections.herdops.alpacon.plugins.module_utils._options import values
from ansible_collections.herdops.alpacon.plugins.module_utils._options.connection import CONNECTION
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.command import RULES, SPEC, WAIT, run_command
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.command_options import CONTENT, HOST, split_script
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.command_results import describe_jobs
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.command_task import lock_named_servers
from ansible_collections.herdops.alpacon.plugins.plugin_utils._action import (
    AlpaconAction,
    TaskRequest,
    refuse_other_slices,
)
from ansible_collections.herdops.alpacon.plugins.plugin_utils._arguments import drop_predicted_ids
from ansible_collections.herdops.alpacon.plugins.plugin_utils._run import first_in_run

#: A larger script does not fit into one submit even if compressed well.
_MAX_SCRIPT_BYTES = 2**27
_SCRIPT_REMEDY = (
    "Give the path of a file on the controller; a relative one is searched in files/ and beside the playbook. A command"
    " goes into line."
)
_ARGV_REMEDY = "Give a list of texts, with quotes around decimal numbers and words such as yes and null."
_BYTE_ORDER_MARK = "\ufeff".encode()
_SUBMITTING = ("executed", "scheduled")


class ActionModule(AlpaconAction):
    supports_raw_params = True

    module_name = "herdops.alpacon.alpacon_command"
    spec: ClassVar[dict[str, dict[str, Any]]] = SPEC
    rules: ClassVar[Mapping[str, Any]] = RULES
    operation = staticmethod(run_command)
    selections: ClassVar[Mapping[str, str]] = {
        "servers": "Give names or UUIDs of servers, or leave it out to mean the inventory host.",
        "ids": "Give UUIDs of commands; if there are none, skip the task with when.",
        "scheduled_at": "Give ISO 8601 with a zone, such as 2031-01-01T03:00:00Z, or leave it out.",
        "not_after": "Give ISO 8601 with a zone, or a duration such as 2h, or leave it out.",
        "run_after": "Give UUIDs of commands, or leave it out to wait for none.",
        "username": "Give a user to run as, or leave it out to run as the user of the token.",
        "groupname": "Give a group to run as, or leave it out to run as the default group of the workspace.",
        "output_dir": "Give a folder on the controller, or leave it out to write no files.",
    }
    exclusions: ClassVar[Mapping[str, str]] = {
        "ids": "Leave {other} out: {ids} names the commands.",
        "line": "Leave {other} out, or give {script} in place of {line}.",
    }
    async_remedy = "Submit with wait set to false, and await the commands later with state set to finished."
    empty_result: ClassVar[Mapping[str, Any]] = {"commands": []}
    unchanged_result: ClassVar[Mapping[str, Any]] = {**describe_jobs([]), "requests": 0}

    def read_arguments(self) -> tuple[dict[str, Any], bool]:
        """Read the arguments as written; a text without a name is O(line)."""
        arguments, only_predicted_ids = super().read_arguments()
        name = next((name for name in ("ids", "id") if name in arguments), "")
        if name and arguments.get("state", "executed") in _SUBMITTING:
            remedy = f"Set state to finished or cancelled, or leave {name} out."
            raise UsageError(name, "it names commands that exist", remedy)
        if self._task.check_mode:
            drop_predicted_ids(arguments, "run_after")
            if arguments.get("state") in ("finished", "cancelled"):
                only_predicted_ids = drop_predicted_ids(arguments, "ids", "id")
        _check_argv(arguments.get("argv", ()))
        if "_raw_params" in arguments:
            line = arguments.pop("_raw_params")
            if not set(arguments) <= set(CONNECTION) | set(WAIT):
                raise UsageError("line", "it has no name, and there are other options", "Give it as line='...'.")
            arguments["line"] = line
        return arguments, only_predicted_ids

    def is_for_own_server(self, arguments: Mapping[str, Any]) -> bool:
        has_target = any(name in arguments for name in ("servers", "server", "ids", "id"))
        return not has_target and arguments.get("state") != "finished"

    def validate_arguments(self, request: TaskRequest) -> dict[str, Any]:
        options = super().validate_arguments(request)
        if options["state"] == "executed" and not request.own_name:
            refuse_other_slices(values.split_list(options["servers"] or ()), request.variables)
        if options["output_dir"]:
            self._complete_output_dir(options, request)
        if options["script"] is not None:
            path = split_script(options["script"])[0]
            # Everybody who may read commands sees a verified script, so it is never decrypted.
            content = self._read_script(path, decrypt=not options["verified"])
            _check_script(path, content, options["executable"])
            options[CONTENT] = base64.b64encode(content).decode()
        return options

    def _complete_output_dir(self, options: dict[str, Any], request: TaskRequest) -> None:
        if self.is_delegated():
            problem = "its files are on the controller, so the task cannot be delegated to another host"
            raise UsageError("output_dir", problem, "Leave it or delegate_to out.")
        options["output_dir"] = self._loader.path_dwim(os.path.expanduser(options["output_dir"]))
        if request.own_name:
            options[HOST] = str(request.variables["inventory_hostname"])

    def _read_script(self, path: str, decrypt: bool) -> bytes:
        """Find, decrypt and read a file on the controller as M(ansible.builtin.script) does."""
        try:
            file = self._loader.get_real_file(self._find_needle("files", path), decrypt=decrypt)
        except AnsibleError as error:
            raise UsageError("script", f"{path} cannot be read. {error}", _SCRIPT_REMEDY) from None
        try:
            if Path(file).stat().st_size > _MAX_SCRIPT_BYTES:
                raise UsageError("script", f"{path} has more than {_MAX_SCRIPT_BYTES} bytes", "Give a smaller file.")
            return Path(file).read_bytes()
        except OSError as error:
            raise UsageError("script", f"{path} cannot be read: {error.strerror}", _SCRIPT_REMEDY) from None
        finally:
            self._loader.cleanup_tmp_file(file)

    def get_module_arguments(self, options: Mapping[str, Any]) -> dict[str, Any]:
        content = {CONTENT: options[CONTENT]} if CONTENT in options else {}
        # A module prints nothing, so it must not spend requests on output to print.
        return {**super().get_module_arguments(options), **content, "progress": "false"}

    def acquire_locks(self, host_locks: HostLocks, options: Mapping[str, Any]) -> None:
        """Lock the servers by the names in the task, which only the module resolves."""
        if options["state"] in _SUBMITTING:
            lock_named_servers(host_locks, options)

    def finish_result(self, options: Mapping[str, Any], result: dict[str, Any], request: TaskRequest) -> dict[str, Any]:
        """Report a host as unreachable with O(offline=fail), and predict the exit code in check mode."""
        if request.own_name and options["offline"] == "fail" and result.get("outcome") == "offline":
            result.update(unreachable=True, failed=False)
        is_predicted = self._task.check_mode and options["state"] == "executed" and result.get("changed")
        if is_predicted and options["wait"] and len(result["commands"]) == 1:
            # As ansible.builtin.command does, for conditions such as failed_when: r.rc not in [0, 1].
            result.update(rc=0, rc_assumed=True)
        return result

    def list_warnings(self, options: Mapping[str, Any], request: TaskRequest) -> list[str]:
        """Warn once in a run of limits for a single server, of conditions on stderr, and of ignored keywords."""
        if options["state"] not in _SUBMITTING:
            return []
        warnings = self.warn_ignored_limits(options, request)
        keywords = ("failed_when", "changed_when", "until")
        conditions = [name for name in keywords if re.search(r"\bstderr", str(getattr(self._task, name)))]
        is_merged = options["line"] is not None or options["verified"]
        if is_merged and conditions and first_in_run("alpacon_command-stderr"):
            warnings.append(
                f"{' and '.join(conditions)}: stderr is always empty with line and verified, since Alpacon merges both"
                " streams into stdout. Search stdout, or use script or argv, which return stderr."
            )
        set_username = "the agent runs the line as the user in the option username. Set username instead."
        remedies: dict[str, str] = {}
        for keyword in ("become", "remote_user"):
            remedies |= self.get_account_remedies(keyword, options["username"], set_username)
        set_env = "the agent runs the line with the variables in the option env. Set env instead."
        in_script = "a verified script gets no variables, which nobody would review. Set them in the script."
        remedies["environment"] = in_script if options["verified"] else set_env
        return [*warnings, *self.warn_ignored_keywords(request.variables, remedies)]


def _check_script(path: str, content: bytes, executable: str | None) -> None:
    if not content.strip():
        raise UsageError("script", f"{path} is empty", "Write the commands into it.")
    if not executable and content.startswith(b"#!") and content.partition(b"\n")[0].endswith(b"\r"):
        why = f"the lines of {path} end as on Windows, so that its first line names no program"
        raise UsageError("script", why, "Save it with Unix line ends, such as with dos2unix.")
    if not executable and content.startswith(_BYTE_ORDER_MARK + b"#!"):
        why = f"{path} begins with a byte order mark, so that its first line names no program"
        raise UsageError("script", why, "Save it as UTF-8 without a byte order mark.")


def _check_argv(argv: Any) -> None:
    """Refuse elements that Ansible would convert to other texts."""
    if not isinstance(argv, (list, tuple)):
        raise UsageError("argv", "it is not a list", _ARGV_REMEDY)
    for number, word in enumerate(argv, 1):
        if not isinstance(word, (str, int)) or isinstance(word, bool):
            raise UsageError("argv", f"element {number} is not a text", _ARGV_REMEDY)
