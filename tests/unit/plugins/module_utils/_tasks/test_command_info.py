# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a command is listed with."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.herdops.alpacon.plugins.module_utils._api.records import Command
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.command_info import listed
from ansible_collections.herdops.alpacon.tests.unit.support import SERVER, current_row


@pytest.mark.parametrize(
    ("stated", "shown"),
    [
        (None, None),
        (SERVER, {"id": SERVER, "name": None}),
        ({"name": "Bob"}, {"id": None, "name": "Bob"}),
        ({"id": SERVER, "name": "Bob"}, {"id": SERVER, "name": "Bob"}),
    ],
)
def test_who_requested_it_as_far_as_the_row_says(stated: Any, shown: dict[str, str | None] | None) -> None:
    assert listed(Command.from_row(current_row(requested_by=stated)), None)["requested_by"] == shown
