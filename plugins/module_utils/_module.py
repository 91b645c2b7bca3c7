# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run a task as a module on the host that it is delegated to."""

from __future__ import annotations

from typing import Any, Callable

from ansible.module_utils.basic import AnsibleModule

from ._api.errors import AlpaconError
from ._fleet.run import Run
from ._options.secrets import collect_secrets, redact_error, sanitize_result

#: Shown by ansible-core in place of a secret argument.
_MASK = "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER"


class _Module(AnsibleModule):
    """Do not log the values of O(env).

    With no_log in the argument spec, ansible-core 2.22 would hide each value, even C(0), everywhere in the result.

    Args:
        internal: arguments that only the action plugin sets. They are in no spec, documentation or log.
    """

    def __init__(self, internal: tuple[str, ...] = (), **keywords: Any) -> None:
        self._internal = internal
        self.internal_values: dict[str, Any] = {}
        super().__init__(**keywords)

    def _load_params(self) -> None:
        super()._load_params()
        self.internal_values = {name: self.params.pop(name) for name in self._internal if name in self.params}

    def _log_invocation(self) -> None:
        params = self.params
        self.params = _mask_env(params, "NOT_LOGGING_PARAMETER")
        try:
            super()._log_invocation()
        finally:
            self.params = params


def run_module(
    spec: dict[str, dict[str, Any]],
    operation: Callable[..., dict[str, Any]],
    internal: tuple[str, ...] = (),
    **rules: Any,
) -> None:
    module = _Module(argument_spec=spec, supports_check_mode=True, internal=internal, **rules)
    secrets = collect_secrets(module.params)
    # ansible-core would hide values of env in IDs and outcomes as well.
    module.no_log_values = collect_secrets({**module.params, "env": None})
    masked = {name: _MASK for name in spec if spec[name].get("no_log")}
    invocation = {"module_args": _mask_env({**module.params, **masked}, _MASK)}
    warnings: list[str] = []
    run = Run(warn=warnings.append, check_mode=module.check_mode, diff_mode=module._diff, no_log=module.no_log)
    try:
        result = operation({**module.params, **module.internal_values}, run)
    except AlpaconError as error:
        shown = redact_error(error) if module.no_log else error
        result = {"failed": True, "msg": str(shown), **error.details}
    # ansible-core 2.22 and later hide secrets only when they are displayed.
    result = sanitize_result({**result, "warnings": warnings}, secrets)
    for warning in result.pop("warnings"):
        module.warn(warning)
    if result.get("failed"):
        module.fail_json(invocation=invocation, **result)
    module.exit_json(invocation=invocation, **result)


def _mask_env(params: dict[str, Any], mask: str) -> dict[str, Any]:
    return {**params, "env": mask} if params.get("env") else params
