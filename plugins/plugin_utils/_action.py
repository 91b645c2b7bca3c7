# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""What the action plugins share: settings from variables, and where the work is done."""

from __future__ import annotations

import atexit
import multiprocessing
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ansible import constants as C
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.herdops.alpacon.plugins.module_utils._arguments import hide, secrets
from ansible_collections.herdops.alpacon.plugins.module_utils._errors import AlpaconError, RunIsOver
from ansible_collections.herdops.alpacon.plugins.module_utils._run import Attempt, Run
from ansible_collections.herdops.alpacon.plugins.plugin_utils._workspaces import (
    Found,
    find_settings,
    refuse_shared_name,
)


class AlpaconAction(ActionBase):
    """Runs an operation in the controller's process, or ships its module where the task is delegated to another host.

    Subclasses name the module, its argument spec and the operation.
    """

    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True
    _supports_async = False

    module_name: str
    spec: Callable[[], dict[str, dict[str, Any]]]
    operation: Callable[..., dict[str, Any]]
    #: The connection settings that the task was not given itself.
    _found = Found({})

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Carry out the task."""
        super().run(tmp, task_vars)
        try:
            self._task.args = self.arguments(task_vars or {})
        except AlpaconError as error:
            return {"failed": True, "msg": str(error), **error.as_result()}
        if self._task.delegate_to and self._task.delegate_to not in C.LOCALHOST:
            return self._execute_module(module_name=self.module_name, module_args=self._task.args, task_vars=task_vars)
        try:
            _validation, options = self.validate_argument_spec(type(self).spec())
        except AnsibleActionFail as error:
            # Raised on, it would show all arguments, and the token with them.
            return {"failed": True, "msg": error.message}
        warnings: list[str] = []
        modes = {"check_mode": self._task.check_mode, "diff_mode": self._task.diff}
        try:
            result = self.operate(options, warnings.append, run=_run(self._task, task_vars or {}), **modes)
        except RunIsOver:
            # Whoever takes results is gone, and waiting for it would leave this process behind for ever.
            os._exit(1)
        except AlpaconError as error:
            result = {"failed": True, "msg": self._found.explain(error), **error.as_result()}
        result["warnings"] = warnings
        shown: dict[str, Any] = hide(result, secrets(options))
        return shown

    def operate(self, options: dict[str, Any], warn: Callable[[str], None], **surroundings: Any) -> dict[str, Any]:
        """Do the work of the task and return its result."""
        return type(self).operation(options, warn, **surroundings)

    def arguments(self, task_vars: Mapping[str, Any]) -> dict[str, Any]:
        """The task's arguments, completed by connection settings from variables of the host and from the environment.

        The environment is read here, so that a module shipped to another host gets the controller's settings.
        """
        refuse_shared_name(task_vars.get("inventory_hostname", ""), task_vars, task_vars.get("groups", {}))
        self._found = find_settings(self._task.args, task_vars, os.environ, self._templar.template)
        return {**self._task.args, **self._found.options}


#: What the attempts of a task have submitted. Core makes an action plugin of its own for each attempt; they have the
#: task in common, of which each item of a loop has its own. The task is kept, so that its id stays its own.
_ATTEMPTS: dict[int, tuple[Any, dict[str, Attempt]]] = {}


def _run(task: Any, task_vars: Mapping[str, Any]) -> Run:
    """The run that a task is part of, which one temporary folder belongs to."""
    folder = Path(C.DEFAULT_LOCAL_TMP)  # type: ignore[attr-defined]
    return Run(
        tell=Display().display,
        warn=Display().warning,
        hosts=len(task_vars.get("ansible_play_batch") or [None]),
        folder=folder,
        journal=_journal(),
        is_over=_is_orphan,
        attempts=_ATTEMPTS.setdefault(id(task), (task, {}))[1],
    )


def _journal() -> Path:
    """The file for the commands of this run that are under way."""
    home = C.config.get_config_value("ANSIBLE_HOME")
    return Path(home) / "alpacon" / f"{Path(C.DEFAULT_LOCAL_TMP).name}.ids"  # type: ignore[attr-defined]


def _is_orphan() -> bool:
    """Whether ansible-playbook, which has forked this worker, is gone."""
    # Its sentinel does not tell: the workers that were forked later hold it open as well.
    parent = multiprocessing.parent_process()
    return parent is not None and parent.pid != os.getppid()


def _tell_journal(process: int) -> None:
    """Say at the end of ansible-playbook where the commands are that it has not seen the end of."""
    if os.getpid() == process and _journal().exists():
        Display().warning(
            f"alpacon: commands whose end this run has not seen are in {_journal()}."
            " Await them with state=finished, or look for them in the workspace."
        )


# Strategies load this in the process of ansible-playbook before they fork workers, which run no such functions.
atexit.register(_tell_journal, os.getpid())
