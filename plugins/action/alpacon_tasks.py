# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run a role or a file of tasks on a host in few commands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import AlpaconError
from ansible_collections.herdops.alpacon.plugins.module_utils._options.refusals import explain_refusal
from ansible_collections.herdops.alpacon.plugins.plugin_utils._batch import core
from ansible_collections.herdops.alpacon.plugins.plugin_utils._batch.batches import Batches, set_current_batches
from ansible_collections.herdops.alpacon.plugins.plugin_utils._batch.executor import IS_SUPPORTED
from ansible_collections.herdops.alpacon.plugins.plugin_utils._batch.recording import HostConnections
from ansible_collections.herdops.alpacon.plugins.plugin_utils._batch.walk import Walk

SPEC = {"role": {"type": "str"}, "tasks_from": {"type": "str"}, "file": {"type": "str"}}
_RULES: dict[str, Any] = {
    "mutually_exclusive": [("role", "file"), ("tasks_from", "file")],
    "required_one_of": [("role", "file")],
}
CONNECTION = "herdops.alpacon.alpacon"
_REMEDY = "Use include_role or include_tasks instead."


class ActionModule(ActionBase):
    _supports_check_mode = True
    _supports_diff = True

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the tasks, and return what each did."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        variables = task_vars or {}
        try:
            _validation, options = self.validate_argument_spec(SPEC, **_RULES)
        except AnsibleActionFail as error:
            raise AnsibleActionFail(str(explain_refusal(SPEC, _RULES, self._task.args) or error.message)) from None
        if not IS_SUPPORTED:
            raise AnsibleActionFail(f"alpacon_tasks needs ansible-core 2.21 or newer. {_REMEDY}")
        if self._task.delegate_to:
            raise AnsibleActionFail(f"alpacon_tasks does not support the keyword delegate_to. {_REMEDY}")
        if self._connection.ansible_name != CONNECTION:
            raise AnsibleActionFail(
                f"alpacon_tasks needs the connection {CONNECTION}, and this host has {self._connection.ansible_name}."
                f" {_REMEDY}"
            )
        role = {"name": options["role"], "tasks_from": options["tasks_from"] or "main"}
        host = core.Core(self._task, variables)
        named = options["role"] or Path(options["file"]).name
        batches = Batches(host, named)
        connections = HostConnections(f"tasks of {named!s:.200}")
        walk = Walk(host, batches, connections, CONNECTION, len(variables.get("ansible_play_hosts") or ()))
        core.assume_stat()
        set_current_batches(batches)
        try:
            walk.run(host.make_include(role, options["file"]), host.runs_handlers_after_failure)
        except AlpaconError as error:
            result.update(failed=True, msg=str(error))
        finally:
            batches.close()
        for layer, values in host.layers.items():
            self.register_host_variables(values, layer)
        self._task.notify = [*(self._task.notify or ()), *walk.notified] or None
        result.update(
            changed=any(outcome.status == "changed" for outcome in walk.outcomes),
            tasks=[outcome.describe() for outcome in walk.outcomes],
            submits=connections.submits,
            cuts=[vars(cut) for cut in batches.cuts],
        )
        if walk.failure or result.get("failed"):
            host.register_all()
        if walk.failure:
            failure = walk.failure
            is_unreachable = failure.status == "unreachable"
            result["unreachable" if is_unreachable else "failed"] = True
            result["msg"] = f"The task {failure.task.get_name()!r} failed: {failure.message}"
        return result
