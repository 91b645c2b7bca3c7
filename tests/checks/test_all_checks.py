# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test all shipped checks in one payload."""

from __future__ import annotations

import pytest

from checks import evaluation, sandbox, systems

_MISSING = sandbox.missing_requirements()

pytestmark = [
    pytest.mark.skipif(bool(_MISSING), reason=f"disposable systems cannot be made here: {_MISSING}"),
    pytest.mark.timeout(500),
]


@pytest.mark.parametrize("user", ["root", "alice"])
@pytest.mark.parametrize("system", list(systems.SYSTEMS))
def test_each_check_comes_to_its_end(system: str, user: str) -> None:
    outcomes = evaluation.evaluate_all(system, user)
    assert not {name: outcome.message for name, outcome in outcomes.items() if "its end" in outcome.message}
    assert {outcome.outcome for outcome in outcomes.values()} == {"passed", "failed", "unknown", "not_applicable"}


@pytest.mark.parametrize("system", list(systems.SYSTEMS))
def test_no_temporary_file_is_left(system: str) -> None:
    assert not evaluation.list_leftover_files(system, "alice")
