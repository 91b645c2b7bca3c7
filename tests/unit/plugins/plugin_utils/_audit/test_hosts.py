# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The servers that hosts stand for, and what is said of them."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.herdops.alpacon.plugins.module_utils._api.records import Server
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.hosts import about_of, server_of
from ansible_collections.herdops.alpacon.tests.unit.support import SERVER


@pytest.mark.parametrize(
    ("server_id", "server"),
    [
        ("", "web-01"),
        ("other", "other"),
        ("7A50EA6C21384D3F9633E50694C847C4", "7a50ea6c-2138-4d3f-9633-e50694c847c4"),
    ],
)
def test_the_server_of_a_host(server_id: Any, server: str) -> None:
    assert server_of("web-01", server_id) == server


@pytest.mark.parametrize(
    ("row", "owner"),
    [
        ({"owner": {"id": "u", "name": "Bob", "username": "bob"}}, "Bob"),
        ({"owner": {"id": 1, "username": "bob"}}, "bob"),
        ({"owner": "u", "owner_name": "Bob"}, "Bob"),
        ({}, None),
    ],
)
def test_whose_a_server_is(row: dict[str, Any], owner: str | None) -> None:
    assert about_of(Server.from_row({"id": SERVER, **row}))["owner"] == owner
