# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A part of the fault campaign of the connection, from a fixed seed."""

from __future__ import annotations

from dataclasses import replace

import pytest
from faults.connection import ConnectionCampaign


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_results_of_tasks_agree_with_the_hosts_under_faults() -> None:
    campaign = ConnectionCampaign("572", rounds=(0, 3), bounds=replace(ConnectionCampaign.bounds, most=2))
    campaign.run()
    assert not campaign.failures, "\n\n".join(campaign.failures)
    assert campaign.totals["current"]["commands"] >= 12
