# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""M(herdops.alpacon.alpacon_command) in the controller's process."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from ansible import constants as C
from ansible.errors import AnsibleError

from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import UsageError
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.run import HostLocks
from ansible_collections.herdops.alpacon.plugins.module_utils._options.connection import CONNECTION
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.command import SPEC as COMMAND_SPEC
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.command import WAIT, run_command
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.command_options import CONTENT, script_words
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.command_results import of_jobs
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.command_task import lock_named_servers
from ansible_collections.herdops.alpacon.plugins.plugin_utils._action import AlpaconAction
from ansible_collections.herdops.alpacon.plugins.plugin_utils._arguments import drop_predicted_ids
from ansible_collections.herdops.alpacon.plugins.plugin_utils._run import first_in_run
from ansible_collections.herdops.alpacon.plugins.plugin_utils._settings import WORKSPACE, refuse_foreign_server

#: No script that fits into one submit has more bytes, however well it can be compressed.
_LARGEST_SCRIPT = 2**27
_WHICH_FILE = (
    "Give the path of a file on the controller; a relative one is looked for in files/ and beside the playbook."
)
_IN_QUOTES = "Give a list of texts, and put numbers with a point and words such as yes and null in quotes."

#: The states that submit commands.
_SUBMIT = ("executed", "scheduled")
_USERNAME = "the agent runs the line as the user that the option username names. Give username in its place."
_ENV = "the agent runs the line with the variables that the option env names. Give env in its place."
_LIMITS = ("max_concurrency", "max_errors")
_ONE_SERVER = (
    "no effect, since each host has a task of its own here, for one server. Give the task servers and run_once: true,"
    " or limit the play with throttle, serial and max_fail_percentage."
)
_CONDITIONS = ("failed_when", "changed_when", "until")
_EMPTY_STDERR = (
    "stderr is always empty with line, since Alpacon merges both streams into stdout. Use script or argv, which return"
    " them apart, or look for the words in stdout."
)
_ONE_OF_BOTH = "Where the inventory has one server under two names, play on one of them."


class ActionModule(AlpaconAction):
    """Run, schedule, await and cancel commands."""

    supports_raw_params = True

    module_name = "herdops.alpacon.alpacon_command"
    spec: ClassVar[dict[str, dict[str, Any]]] = COMMAND_SPEC
    operation = staticmethod(run_command)
    selections: ClassVar[Mapping[str, str]] = {
        "servers": "Give names or UUIDs of servers, or leave it out to mean the inventory host.",
        "ids": "Give UUIDs of commands; where there are none, skip the task with when.",
        "scheduled_at": "Give ISO 8601 with a zone, such as 2031-01-01T03:00:00Z, or leave it out.",
        "run_after": "Give UUIDs of commands, or leave it out to wait for none.",
        "username": "Give the user to run as, or leave it out to mean the one of the token.",
        "groupname": "Give the group to run as, or leave it out to mean the one that the workspace decides on.",
    }
    background = "Submit with wait set to false, and await the commands later with state set to finished."

    @property
    def empty_result(self) -> dict[str, Any]:
        """No commands, in the place where a task that did something has them."""
        return {"commands": []}

    @property
    def unchanged_result(self) -> dict[str, Any]:
        """The result of no command."""
        return {**of_jobs([]), "requests": 0}

    def read_arguments(self) -> dict[str, Any]:
        """The arguments as they are written; what has no name is the line, where nothing else may be part of it."""
        given = super().read_arguments()
        if self._task.check_mode:
            drop_predicted_ids(given, "run_after")
            if given.get("state") in ("finished", "cancelled"):
                self._only_predicted_ids = drop_predicted_ids(given, "ids", "id")
        _check_argv(given.get("argv", ()))
        if "_raw_params" not in given:
            return given
        line = given.pop("_raw_params")
        if not set(given) <= set(CONNECTION) | set(WAIT):
            raise UsageError("line", "it was given without a name next to other options", "Give it as line='...'.")
        return {**given, "line": line}

    def _validated(self) -> dict[str, Any]:
        options = super()._validated()
        if options["script"] is not None:
            options[CONTENT] = base64.b64encode(self._content_of(script_words(options["script"])[0])).decode()
        return options

    def _content_of(self, path: str) -> bytes:
        """What a file of the controller holds, found and decrypted as those of M(ansible.builtin.script) are."""
        try:
            file = self._loader.get_real_file(self._find_needle("files", path))
        except AnsibleError as error:
            raise UsageError("script", f"{path} cannot be read. {error}".rstrip("."), _WHICH_FILE) from None
        try:
            if Path(file).stat().st_size > _LARGEST_SCRIPT:
                raise UsageError("script", f"{path} has more than {_LARGEST_SCRIPT} bytes", "Give a smaller file.")
            return Path(file).read_bytes()
        except OSError as error:
            raise UsageError("script", f"{path} cannot be read: {error.strerror}", _WHICH_FILE) from None
        finally:
            self._loader.cleanup_tmp_file(file)

    def module_arguments(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments of a module that is shipped, with what no other host can read."""
        content = {CONTENT: options[CONTENT]} if CONTENT in options else {}
        return {**super().module_arguments(options), **content}

    def acquire_locks(self, host_locks: HostLocks, options: Mapping[str, Any]) -> None:
        """Take the servers as the task names them: which they are is found out by the module."""
        if options["state"] in _SUBMIT:
            lock_named_servers(host_locks, options)

    def lock_advice(self, host: str) -> tuple[str, str]:
        """What to do where another host of the task does the same, and what servers that are not named are called."""
        if self._means_its_host:
            return (_ONE_OF_BOTH, f"the server of host {host}")
        return super().lock_advice(host)

    def finish_result(self, options: Mapping[str, Any], result: dict[str, Any]) -> dict[str, Any]:
        """The result; an inventory host whose agent is not connected is unreachable in it, if so asked."""
        if self._means_its_host and options["offline"] == "fail" and result.get("outcome") == "offline":
            result.update(unreachable=True, failed=False)
        is_predicted = self._task.check_mode and options["state"] == "executed" and result.get("changed")
        if is_predicted and options["wait"] and len(result["commands"]) == 1:
            # As ansible.builtin.command has it: conditions such as failed_when: r.rc not in [0, 1] go by it.
            result.update(rc=0, rc_assumed=True)
        return result

    def complete_arguments(self, task_vars: Mapping[str, Any]) -> dict[str, Any]:
        """The task's arguments; where they name neither servers nor commands, the inventory host is meant."""
        arguments = super().complete_arguments(task_vars)
        named = any(name in arguments for name in ("servers", "server", "ids", "id"))
        awaits = arguments.get("state") == "finished"
        self._means_its_host = not (named or awaits or self._only_predicted_ids)
        if self._means_its_host:
            refuse_foreign_server(self._task.args, self._templar.template(task_vars.get(WORKSPACE)))
            arguments["servers"] = [self._own_server(task_vars)]
            self._own_name = str(
                self._templar.template(task_vars.get("alpacon_name")) or task_vars["inventory_hostname"]
            )
        return arguments

    def _own_server(self, task_vars: Mapping[str, Any]) -> str:
        server_id = self._templar.template(task_vars.get("alpacon_server_id"))
        host = str(task_vars["inventory_hostname"])
        if not server_id and host in C.LOCALHOST:
            raise UsageError(
                "servers",
                f"it is left out, and the inventory host {host} is no server of the workspace",
                "Give names or UUIDs of servers, or play on hosts that are servers.",
            )
        return str(server_id or host)

    def list_warnings(self, options: Mapping[str, Any], variables: Mapping[str, Any]) -> list[str]:
        """Warnings of limits that count one server, of conditions on stderr, and of what the agent knows nothing of."""
        if options["state"] not in _SUBMIT:
            return []
        become = self.account_remedies("become", options["username"], _USERNAME)
        remote_user = self.account_remedies("remote_user", options["username"], _USERNAME)
        return [
            *self._limits_of_one_server(options, variables),
            *self._empty_stderr(options),
            *self.warn_ignored_keywords(variables, {**become, **remote_user, "environment": _ENV}),
        ]

    def _limits_of_one_server(self, options: Mapping[str, Any], variables: Mapping[str, Any]) -> list[str]:
        """A warning of limits of a task that every host of the play has for its own server, once in a run."""
        limits = [name for name in _LIMITS if options[name]]
        if not (limits and self._means_its_host and self._runs_on_several_hosts(variables)):
            return []
        if not first_in_run("alpacon_command-limits"):
            return []
        return [f"{' and '.join(limits)}: {_ONE_SERVER}"]

    def _empty_stderr(self, options: Mapping[str, Any]) -> list[str]:
        """A warning of conditions that name the stderr of a line, which is always empty, once in a run."""
        named = [name for name in _CONDITIONS if re.search(r"\bstderr", str(getattr(self._task, name)))]
        if options["line"] is None or not named or not first_in_run("alpacon_command-stderr"):
            return []
        return [f"{' and '.join(named)}: {_EMPTY_STDERR}"]


def _check_argv(argv: Any) -> None:
    """Refuse what would not reach the program as it is written."""
    if not isinstance(argv, (list, tuple)):
        raise UsageError("argv", "it is no list", _IN_QUOTES)
    for number, word in enumerate(argv, 1):
        if not isinstance(word, (str, int)) or isinstance(word, bool):
            raise UsageError("argv", f"element {number} is no text", _IN_QUOTES)
