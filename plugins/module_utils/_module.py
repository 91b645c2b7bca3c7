# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run an operation as a module, where a task is delegated to another host."""

from __future__ import annotations

from typing import Any, Callable

from ansible.module_utils.basic import AnsibleModule

from ._api.errors import AlpaconError
from ._api.settings import Warn
from ._fleet.run import Run
from ._options.secrets import collect_secrets, sanitize_result, without_value

_NOT_LOGGED = "NOT_LOGGING_PARAMETER"
_UNSHOWN = "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER"


class _Module(AnsibleModule):
    """A module that does not log the values of O(env).

    They are not marked as secrets in the argument spec: Ansible would then hide each of them, be it C(0), in all that
    it prints from ansible-core 2.22 on.
    """

    def _log_invocation(self) -> None:
        given = self.params
        self.params = _without_env(given, _NOT_LOGGED)
        try:
            super()._log_invocation()
        finally:
            self.params = given


def run_module(spec: dict[str, dict[str, Any]], operation: Callable[..., dict[str, Any]], **rules: Any) -> None:
    """Validate the module's arguments, carry out the operation and exit.

    Args:
        rules: Rules of Ansible's argument spec, such as C(mutually_exclusive).
    """
    module = _Module(argument_spec=spec, supports_check_mode=True, **rules)
    hidden = collect_secrets(module.params)
    # Core would hide them in ids and outcomes as well.
    module.no_log_values = collect_secrets({**module.params, "env": None})
    unshown = {name: _UNSHOWN for name in spec if spec[name].get("no_log")}
    invocation = {"module_args": _without_env({**module.params, **unshown}, _UNSHOWN)}
    warnings: list[str] = []
    try:
        result = operation(module.params, _run(module, warnings.append))
    except AlpaconError as error:
        shown = without_value(error) if module.no_log else error
        result = {"failed": True, "msg": str(shown), **error.details}
    # From ansible-core 2.22 on, a module returns what is hidden only where it is shown.
    result = sanitize_result({**result, "warnings": warnings}, hidden)
    for warning in result.pop("warnings"):
        module.warn(warning)
    if result.get("failed"):
        module.fail_json(invocation=invocation, **result)
    module.exit_json(invocation=invocation, **result)


def _run(module: AnsibleModule, warn: Warn) -> Run:
    return Run(warn=warn, check_mode=module.check_mode, diff_mode=module._diff, no_log=module.no_log)


def _without_env(params: dict[str, Any], instead: str) -> dict[str, Any]:
    """Parameters with another text in place of O(env), if it is given."""
    return {**params, "env": instead} if params.get("env") else params
