# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test that the documentation lists each status and outcome of a command."""

from __future__ import annotations

import re

import yaml

from ansible_collections.herdops.alpacon.plugins.module_utils._api.records import NEVER_RAN, STATUSES
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.jobs import Outcome
from ansible_collections.herdops.alpacon.plugins.modules import alpacon_command, alpacon_command_info


def _words(returned: str, key: str) -> set[str]:
    """Return the values that the documentation of a key of commands lists."""
    documented = yaml.safe_load(returned)["commands"]["contains"][key]["description"]
    return set(re.findall(r"V\((\w+)\)", " ".join(documented)))


def test_every_status_is_documented() -> None:
    assert _words(alpacon_command_info.RETURN, "status") == STATUSES


def test_every_outcome_is_documented() -> None:
    assert _words(alpacon_command.RETURN, "outcome") == {outcome.value for outcome in Outcome}


def test_what_never_ran_has_a_sentence_of_its_own() -> None:
    assert {Outcome(status).value for status in NEVER_RAN} == NEVER_RAN
