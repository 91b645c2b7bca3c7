# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ask a shipped check on a throw-away system, with the code that servers get, and judge its answer as an audit does."""

from __future__ import annotations

from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit import questions
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.check_options import read_checks
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.judging import CheckAnswer, CheckOutcome, judge
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
    shell = throwaway.SHELLS[state.system]
    _, body = questions.compose([check], {}, shell)
    printed = throwaway.run(state.system, state.prepare, body, state.user)
    answer = questions.read(printed)[check.name]
    given = CheckAnswer(
        answer.rc,
        answer.output,
        complete=answer.complete,
        applies=answer.applies,
        out_of_time=answer.out_of_time,
    )
    return judge(check, given), answer.output
