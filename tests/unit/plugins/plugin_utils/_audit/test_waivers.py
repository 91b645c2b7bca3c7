# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from datetime import date

import pytest

from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.waivers import read_waivers


@pytest.mark.parametrize(("today", "expired"), [(date(2027, 1, 31), False), (date(2027, 2, 1), True)])
def test_a_waiver_counts_on_its_last_day(today: date, expired: bool) -> None:
    [waiver] = read_waivers([{"check": "a", "hosts": ["web"], "reason": "It moves.", "until": "2027-01-31"}], today)
    assert waiver.expired is expired
