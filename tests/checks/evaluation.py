# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Running the shipped checks on disposable systems, and evaluating their output as an audit does."""

from __future__ import annotations

import dataclasses
import re

from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit import payloads
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.checks import parse_checks
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.payloads import (
    NOT_APPLICABLE_OUTPUT,
    CheckAnswer,
    build_line,
)
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.responses import Evaluation, evaluate
from ansible_collections.herdops.alpacon.tests.unit.payload_runner import PART_WRITER, read_parts
from checks import check_files, sandbox
from checks.check_files import State

#: The timeout of each check: the machine may do much else. An audit without wait_timeout allows all checks 240 s.
_SECONDS = 200
_CHECKS = {
    check.name: dataclasses.replace(check, timeout=_SECONDS)
    for content in check_files.sets().values()
    for check in parse_checks("checks", content["checks"], content.get("functions", ""))
}


def evaluate_state(state: State) -> tuple[Evaluation, CheckAnswer]:
    check = _CHECKS[state.check].with_parameters(state.parameters)
    _label, body = payloads.build_script([check], sandbox.SHELLS[state.system])
    output = sandbox.run(state.system, state.prepare, f"{PART_WRITER}{body}", state.user, state.booted)
    answer = payloads.parse_answers(read_parts(output), [check])[check.name]
    return evaluate(check, answer), answer


def uses_program(state: State, program: str) -> bool:
    check = _CHECKS[state.check]
    return bool(re.search(rf"\b{program}\b", check.functions + check.line))


def evaluate_line(state: State) -> tuple[Evaluation, CheckAnswer]:
    """Do the same as in a workspace without `env`."""
    check = _CHECKS[state.check].with_parameters(state.parameters)
    output = sandbox.run(state.system, state.prepare, build_line(check), state.user, state.booted).decode()
    answer = CheckAnswer(0, output, rc_stated=False, applies=output.strip() != NOT_APPLICABLE_OUTPUT)
    return evaluate(check, answer), answer


def evaluate_all(system: str, user: str) -> dict[str, Evaluation]:
    """Return the outcome of each check on an unchanged system, all in one payload."""
    checks = list(_CHECKS.values())
    _label, body = payloads.build_script(checks, sandbox.SHELLS[system])
    answers = payloads.parse_answers(read_parts(sandbox.run(system, "", f"{PART_WRITER}{body}", user)), checks)
    return {name: evaluate(check, answers[name]) for name, check in _CHECKS.items()}


def list_leftover_files(system: str, user: str) -> str:
    _label, body = payloads.build_script(list(_CHECKS.values()), sandbox.SHELLS[system])
    return sandbox.run(system, "", f"(\n{PART_WRITER}{body}\n) >/dev/null\nfind /tmp -mindepth 1", user).decode()
