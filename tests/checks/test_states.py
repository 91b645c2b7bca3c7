# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Each shipped check tells each state of the table as what it is."""

from __future__ import annotations

import pytest

from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.judging import CheckOutcome
from checks import asking, library, throwaway
from checks.library import State

_WHY_NOT = throwaway.why_not()

pytestmark = [
    pytest.mark.skipif(bool(_WHY_NOT), reason=f"throw-away systems cannot be made here: {_WHY_NOT}"),
    pytest.mark.timeout(500),
]


@pytest.mark.parametrize("state", library.states(), ids=str)
def test_state(state: State) -> None:
    _assert_told(state, *asking.ask(state))


@pytest.mark.parametrize("state", [one for one in library.states() if asking.fits_a_line(one)], ids=str)
def test_state_by_line(state: State) -> None:
    _assert_told(state, *asking.ask_by_line(state))


def _assert_told(state: State, outcome: CheckOutcome, output: str) -> None:
    assert outcome.outcome == state.outcome, output
    assert state.says.lower() in outcome.message.lower()
    assert state.facts.items() <= {name: str(value) for name, value in outcome.facts.items()}.items()
