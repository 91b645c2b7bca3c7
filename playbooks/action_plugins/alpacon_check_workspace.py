# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ask a workspace all questions of the playbook check_workspace.

Ansible loads actions from this folder beside a playbook.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

from ansible import constants as C
from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase

from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import AlpaconError, clean_line
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.run import Run
from ansible_collections.herdops.alpacon.plugins.plugin_utils._run import get_run_context
from ansible_collections.herdops.alpacon.plugins.plugin_utils._settings import decrypt, find_settings, get_run_folder
from ansible_collections.herdops.alpacon.plugins.plugin_utils._workspace_check.answers import (
    NOT_ASKED,
    OK,
    PROBLEM,
    WARNING,
)
from ansible_collections.herdops.alpacon.plugins.plugin_utils._workspace_check.check import WorkspaceCheck

_COLORS = {
    OK: C.COLOR_OK,  # type: ignore[attr-defined]
    WARNING: C.COLOR_WARN,  # type: ignore[attr-defined]
    PROBLEM: C.COLOR_ERROR,  # type: ignore[attr-defined]
    NOT_ASKED: C.COLOR_SKIP,  # type: ignore[attr-defined]
}


class ActionModule(ActionBase):
    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        variables, arguments = task_vars or {}, decrypt(self._task.args)
        # The shared state of a run would poll by itself, beyond the limit of requests.
        run = Run(replace(get_run_context(), folder=None), check_mode=self._task.check_mode)
        check = WorkspaceCheck(self._show, run, str(arguments.get("server") or ""))
        try:
            settings = find_settings({}, variables, os.environ, self._templar.template, get_run_folder())
            check.ask(settings.options, settings.hint, lambda: self._build_module(variables))
        except AlpaconError as error:
            check.refuse(error)
        file = os.path.abspath(os.path.expanduser(str(arguments["file"])))
        try:
            check.write(file, bool(arguments.get("names")))
        except OSError as error:
            return {"failed": True, "changed": False, "msg": f"{file} cannot be written: {error}"}
        return check.make_result()

    def _show(self, line: str, level: str) -> None:
        self._display.display(clean_line(line), color=_COLORS[level])

    def _build_module(self, variables: dict[str, Any]) -> bytes:
        """Return the program of the module ping, for the standard input of Python; empty if there is none."""
        try:
            built = self._configure_module("ansible.builtin.ping", {}, variables)
        except AnsibleError:
            return b""
        # Releases of ansible-core before 2.19 return a tuple of four.
        program = built[0].b_module_data if hasattr(built[0], "b_module_data") else built[2]
        return program if isinstance(program, bytes) else str(program).encode()
