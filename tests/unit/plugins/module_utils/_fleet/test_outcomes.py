# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How commands end, by what their rows say."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.herdops.alpacon.plugins.module_utils._api.records import Command
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.jobs import get_outcome
from ansible_collections.herdops.alpacon.tests.unit.support import current_row


@pytest.mark.parametrize(
    ("fields", "outcome"),
    [
        ({"exit_code": 0}, "failed"),
        ({"exit_code": 2, "error_phase": "remote_command_exceeded_timeout"}, "failed"),
        ({"exit_code": None}, "failed"),
        ({"exit_code": 2}, "success"),
        ({"exit_code": 3}, "failed"),
    ],
)
def test_what_the_workspace_calls_failed(fields: dict[str, Any], outcome: str) -> None:
    command = Command.from_row(current_row(status="failed", success=False, **fields))
    assert get_outcome(command, {0, 2}) == outcome


@pytest.mark.parametrize(("codes", "outcome"), [({0}, "success"), ({1, 2}, "failed")])
def test_a_success_in_a_word_that_is_not_known_is_that_of_code_0(codes: set[int], outcome: str) -> None:
    command = Command.from_row(current_row(status="well done", success=True, handled_at="2026-11-24T10:30:45Z"))
    assert get_outcome(command, codes) == outcome
