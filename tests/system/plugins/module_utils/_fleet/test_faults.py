# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A part of the fault campaign, from a fixed seed, and a case that it found."""

from __future__ import annotations

import pytest
from faults.campaign import Campaign
from faults.rounds import Bounds
from system.support import run
from workspace.client import Workspace

from ansible_collections.herdops.alpacon.tests.unit.support import Row

IN_PROCESS = ("executed", "twice", "later", "reuse", "scheduled", "race", "cancelled")
SUBMIT = {"method": "POST", "path": "^/api/events/commands/$"}
DETAIL = {"method": "GET", "path": "^/api/events/commands/[0-9a-f-]{36}/$"}
LIST = {"method": "GET", "path": r"^/api/events/commands/\?"}


@pytest.mark.slow
def test_results_match_the_workspace_with_any_fault() -> None:
    campaign = Campaign("276", rounds=range(9), bounds=Bounds(IN_PROCESS, most=12, timeouts=(3, 4)))
    campaign.run()
    assert not campaign.failures, "\n\n".join(campaign.failures)
    assert sum(totals["commands"] for totals in campaign.totals.values()) > 60


@pytest.mark.slow
@pytest.mark.parametrize("fault", [LIST, DETAIL, SUBMIT], ids=["list", "detail", "submit"])
def test_a_response_of_a_wrong_shape_loses_no_command(current: Workspace, fault: Row) -> None:
    current.fault("html", status=200, body='{"results": [null]}', times=2, **fault)
    result = run(current, line="echo hello", servers=["web-01", "web-02", "web-03"], wait_timeout="60")
    assert {entry["id"] for entry in result.commands} == {row["id"] for row in current.commands()}
    assert result["summary"] == {"success": 3}
