# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test each shipped check in each state of the table."""

from __future__ import annotations

import dataclasses

import pytest

from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.payloads import CheckAnswer
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.responses import Evaluation
from checks import check_files, evaluation, sandbox
from checks.check_files import State

_MISSING = sandbox.missing_requirements()
#: Programs of which each is missing somewhere, or may be.
_PROGRAMS = ("awk", "cat", "cut", "df", "find", "getent", "grep", "ls", "sed", "sort", "stat", "tail", "tr", "uname")

pytestmark = [
    pytest.mark.skipif(bool(_MISSING), reason=f"disposable systems cannot be made here: {_MISSING}"),
    pytest.mark.timeout(500),
]


@pytest.mark.parametrize("state", check_files.states(), ids=str)
def test_state(state: State) -> None:
    outcome, answer = evaluation.evaluate_state(state)
    _check_outcome(state, outcome, answer)
    assert answer.looked_at.strip() or outcome.outcome != "passed"


@pytest.mark.parametrize("state", [*check_files.first("passed"), *check_files.first("failed")], ids=str)
def test_state_by_line(state: State) -> None:
    _check_outcome(state, *evaluation.evaluate_line(state))


@pytest.mark.parametrize(
    ("state", "program"),
    [
        (state, program)
        for program in _PROGRAMS
        for state in check_files.first("failed")
        if evaluation.uses_program(state, program)
    ],
    ids=str,
)
def test_no_check_passes_for_want_of_a_program(state: State, program: str) -> None:
    remove = f"rm -f /usr/bin/{program} /usr/sbin/{program}"
    outcome, answer = evaluation.evaluate_state(dataclasses.replace(state, prepare=f"{state.prepare}\n{remove}"))
    assert outcome.outcome in ("failed", "unknown"), answer.output


def _check_outcome(state: State, outcome: Evaluation, answer: CheckAnswer) -> None:
    assert outcome.outcome == state.outcome, answer.output
    assert state.message.lower() in outcome.message.lower()
