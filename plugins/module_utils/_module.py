# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""Run an operation as a module, where a task is delegated to another host."""

from __future__ import annotations

from typing import Any, Callable

from ansible.module_utils.basic import AnsibleModule

from ._arguments import hide, secrets
from ._errors import AlpaconError


def run_module(spec: dict[str, dict[str, Any]], operation: Callable[..., dict[str, Any]]) -> None:
    """Validate the module's arguments, carry out the operation and exit."""
    module = AnsibleModule(argument_spec=spec, supports_check_mode=True)
    # Ansible hides every value of a secret dict, be it "0": that would hide exit codes as well.
    module.no_log_values = secrets(module.params)
    hidden = {name: "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER" for name in spec if spec[name].get("no_log")}
    invocation = {"module_args": {**module.params, **hidden}}
    try:
        result = operation(module.params, module.warn, check_mode=module.check_mode, diff_mode=module._diff)
    except AlpaconError as error:
        result = {"failed": True, "msg": str(error), **error.as_result()}
    # From ansible-core 2.22 on, a module returns what is hidden only where it is shown.
    result = hide(result, module.no_log_values)
    if result.get("failed"):
        module.fail_json(invocation=invocation, **result)
    module.exit_json(invocation=invocation, **result)
