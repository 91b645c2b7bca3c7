# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Action plugin of M(herdops.alpacon.alpacon_file): finds the file on the controller, and decrypts it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, ClassVar

from ansible.errors import AnsibleError

from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import UsageError
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.run import Run
from ansible_collections.herdops.alpacon.plugins.module_utils._options import values
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.file import SPEC, run_file
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.file_options import FOUND, HOST
from ansible_collections.herdops.alpacon.plugins.plugin_utils._action import (
    AlpaconAction,
    TaskRequest,
    refuse_other_slices,
)

_USE_USERNAME = "the agent transfers the file as the user in the option username. Set username instead."
_SRC_REMEDY = "Give the path of a file on the controller; a relative one is searched in files/ and beside the playbook."


class ActionModule(AlpaconAction):
    module_name = "herdops.alpacon.alpacon_file"
    spec: ClassVar[dict[str, dict[str, Any]]] = SPEC
    operation = staticmethod(run_file)
    selections: ClassVar[Mapping[str, str]] = {
        "servers": "Give names or UUIDs of servers, or leave it out to mean the inventory host.",
        "src": "Give the path of a file.",
        "dest": "Give the path of a file, or of a folder with a slash at its end.",
        "username": "Give a user, or leave it out to let the workspace decide.",
        "groupname": "Give a group, or leave it out to let the workspace decide.",
    }
    empty_result: ClassVar[Mapping[str, Any]] = {"servers": []}

    def is_for_own_server(self, arguments: Mapping[str, Any]) -> bool:
        return "servers" not in arguments and "server" not in arguments

    def validate_arguments(self, request: TaskRequest) -> dict[str, Any]:
        if self.is_delegated():
            problem = "files are read and written on the controller, so the task cannot be delegated to another host"
            raise UsageError("delegate_to", problem, "Leave it out.")
        options = super().validate_arguments(request)
        if not request.own_name:
            refuse_other_slices(values.split_list(options["servers"] or ()), request.variables)
        else:
            options[HOST] = str(request.variables["inventory_hostname"])
        if options["state"] == "downloaded":
            is_folder = options["dest"].endswith("/")
            options["dest"] = self._loader.path_dwim(os.path.expanduser(options["dest"])) + "/" * is_folder
        elif options["src"] is not None:
            options[FOUND] = self._find_source(options["src"])
        return options

    def _find_source(self, path: str) -> str:
        """Find a file on the controller as M(ansible.builtin.copy) does; a vault is decrypted into another file."""
        try:
            found = str(self._find_needle("files", path))
            if os.path.isdir(found):
                raise UsageError("src", f"{path} is a folder", "Give a file, such as an archive of the folder.")
            return str(self._loader.get_real_file(found))
        except AnsibleError as error:
            raise UsageError("src", f"{path} cannot be read. {error}", _SRC_REMEDY) from None

    def perform(self, options: dict[str, Any], run: Run, request: TaskRequest) -> dict[str, Any]:
        try:
            return super().perform(options, run, request)
        finally:
            if FOUND in options:
                self._loader.cleanup_tmp_file(options[FOUND])

    def finish_result(self, options: Mapping[str, Any], result: dict[str, Any], request: TaskRequest) -> dict[str, Any]:
        """Report a host as unreachable with O(offline=fail), as M(herdops.alpacon.alpacon_command) does."""
        if request.own_name and options["offline"] == "fail" and result.get("outcome") == "offline":
            result.update(unreachable=True, failed=False)
        return result

    def list_warnings(self, options: Mapping[str, Any], request: TaskRequest) -> list[str]:
        remedies: dict[str, str] = {}
        for keyword in ("become", "remote_user"):
            remedies |= self.get_account_remedies(keyword, options["username"], _USE_USERNAME)
        warnings = self.warn_ignored_limits(options, request)
        return [*warnings, *self.warn_ignored_keywords(request.variables, remedies)]
