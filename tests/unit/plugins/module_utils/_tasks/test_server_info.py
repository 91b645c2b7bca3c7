# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Servers for playbooks: by name, by id and by filters."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.server_listing import (
    FIELDS,
    ServerFilter,
    without_servers,
)
from ansible_collections.herdops.alpacon.plugins.modules import alpacon_server_info

# Filters and limit


def test_every_field_is_documented() -> None:
    documented = yaml.safe_load(alpacon_server_info.RETURN)["servers"]
    assert tuple(documented["contains"]) == FIELDS
    assert set(documented["sample"][0]) == set(FIELDS)


A, B = ({"id": f"{digit * 8}-{digit * 4}-4{digit * 3}-8{digit * 3}-{digit * 12}", "name": digit} for digit in "ab")
OF_THE_OTHERS = "filters: none of the servers that the other filters leave is in a group b."


@pytest.mark.parametrize(
    ("given", "warnings"),
    [
        ({}, ["filters: no server is in a group b. There are a."]),
        ({"os": "debian"}, ["filters: no server is in a group b. There are a."]),
        # The workspace has applied these, so that other servers may well be in the group.
        ({"name": "web-01"}, [OF_THE_OTHERS]),
        ({"commissioned": False}, [OF_THE_OTHERS]),
        ({"name": "web-01", "groups": "a"}, []),
    ],
)
def test_a_group_is_said_to_have_no_server_where_all_were_listed(given: dict[str, Any], warnings: list[str]) -> None:
    wanted = ServerFilter.from_options({"groups": "b", **given})
    assert without_servers(wanted, [{"name": "web-01", "groups": [A]}]) == warnings


def test_of_a_group_that_the_workspace_filters_by_no_server_is_listed() -> None:
    wanted = ServerFilter.from_options({"groups": B["id"]})
    assert without_servers(wanted, []) == [f"filters: no server is in a group {B['id']}."]
