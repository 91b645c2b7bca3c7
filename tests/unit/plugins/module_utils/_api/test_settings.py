# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Settings of connections: what is warned about, and what nothing shows."""

from __future__ import annotations

import pytest

from ansible_collections.herdops.alpacon.plugins.module_utils._api.client import Client
from ansible_collections.herdops.alpacon.plugins.module_utils._api.settings import Settings
from ansible_collections.herdops.alpacon.tests.unit.support import TOKEN


@pytest.mark.parametrize(
    ("url", "warned"),
    [
        ("https://one.example", False),
        ("http://localhost", False),
        ("http://[::1]:8100", False),
        ("http://127.example.com", True),
    ],
)
def test_a_token_that_travels_in_the_clear_is_warned_about(url: str, warned: bool) -> None:
    warnings = Settings(url, TOKEN).warnings
    assert bool(warnings) is warned
    assert all("Use https" in warning and TOKEN not in warning for warning in warnings)


def test_the_token_is_in_no_repr() -> None:
    settings = Settings("https://one.example", TOKEN)
    with Client(settings) as client:
        assert TOKEN not in repr(settings) + str(settings) + repr(client) + repr(vars(client))
