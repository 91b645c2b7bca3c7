# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ask a shipped check on a throw-away system, with the code that servers get, and judge its answer as an audit does."""

from __future__ import annotations

import re

from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit import payloads
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.checks import read_checks
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.payloads import NOT_APPLIED, line_of
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.responses import CheckOutcome, judge
from ansible_collections.herdops.alpacon.tests.unit.payload_runner import PART_WRITER, read_parts
from checks import library, throwaway
from checks.library import State

_CHECKS = {
    check.name: check
    for content in library.sets().values()
    for check in read_checks("checks", content["checks"], content.get("functions", ""))
}


def ask(state: State) -> tuple[CheckOutcome, str]:
    """The outcome of a check in a state, and what it wrote."""
    check = _CHECKS[state.check].with_parameters(state.parameters)
    _label, body = payloads.compose([check], throwaway.SHELLS[state.system])
    output = throwaway.run(state.system, state.prepare, f"{PART_WRITER}{body}", state.user, state.booted)
    answer = payloads.read(read_parts(output), [check])[check.name]
    return judge(check, answer), answer.output


def uses(state: State, program: str) -> bool:
    """Return True if the check of a state names a program."""
    check = _CHECKS[state.check]
    return bool(re.search(rf"\b{program}\b", check.functions + check.line))


def ask_by_line(state: State) -> tuple[CheckOutcome, str]:
    """The same in such a workspace."""
    check = _CHECKS[state.check].with_parameters(state.parameters)
    output = throwaway.run(state.system, state.prepare, line_of(check), state.user, state.booted).decode()
    answer = payloads.CheckAnswer(0, output, rc_stated=False, applies=output.strip() != NOT_APPLIED)
    return judge(check, answer), output


def ask_all(system: str, user: str) -> dict[str, CheckOutcome]:
    """The outcome of each check on a system as it is, all asked at once."""
    checks = list(_CHECKS.values())
    _label, body = payloads.compose(checks, throwaway.SHELLS[system])
    answers = payloads.read(read_parts(throwaway.run(system, "", f"{PART_WRITER}{body}", user)), checks)
    return {name: judge(check, answers[name]) for name, check in _CHECKS.items()}


def left_by_all(system: str, user: str) -> str:
    """The temporary files that all checks leave behind, a line each."""
    _label, body = payloads.compose(list(_CHECKS.values()), throwaway.SHELLS[system])
    return throwaway.run(system, "", f"(\n{PART_WRITER}{body}\n) >/dev/null\nfind /tmp -mindepth 1", user).decode()
