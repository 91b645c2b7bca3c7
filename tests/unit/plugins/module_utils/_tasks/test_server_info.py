# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Servers for playbooks: by name, by id and by filters."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.server_listing import (
    FIELDS,
    Groups,
    ServerFilter,
    describe_server,
    without_servers,
)
from ansible_collections.herdops.alpacon.plugins.modules import alpacon_server_info
from ansible_collections.herdops.alpacon.tests.unit.support import SERVER

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


@pytest.mark.parametrize("count", [10, 11])
def test_ten_of_the_groups_that_there_are_are_named(count: int) -> None:
    servers = [{"groups": [{"id": str(number), "name": f"g{number:02}"}]} for number in range(count)]
    [warning] = without_servers(ServerFilter.from_options({"groups": "zzz"}), servers)
    assert warning.endswith("There are g00, g01, g02, g03, g04, g05, g06, g07, g08, g09.")


@pytest.mark.parametrize("name", ["name", "os", "platform"])
@pytest.mark.parametrize("value", ["web-01, web-02", ["web-01 ", " web-02"]])
def test_a_filter_may_be_one_text_with_commas(name: str, value: Any) -> None:
    assert getattr(ServerFilter.from_options({name: value}), name) == ("web-01", "web-02")


def test_the_name_of_a_group_may_have_a_comma() -> None:
    assert ServerFilter.from_options({"groups": " Web, Berlin "}).groups == ("Web, Berlin",)


def test_of_a_group_that_the_workspace_filters_by_no_server_is_listed() -> None:
    wanted = ServerFilter.from_options({"groups": B["id"]})
    assert without_servers(wanted, []) == [f"filters: no server is in a group {B['id']}."]


# What is described


class ClientOfGroups:
    """Lists groups, and nothing else."""

    def rows(self, _path: str) -> Iterator[Any]:
        """The groups of the workspace."""
        yield {"id": "\ud800", "name": {"__ansible_vault": "named \ud800"}}


def test_ansible_core_makes_nothing_of_what_a_server_is_described_by_but_data() -> None:
    trusted = {"__ansible_type": "TrustedAsTemplate"}
    template = {"__ansible_type": "_AnsibleTaggedStr", "value": "{{ 1 }}", "tags": [trusted]}
    odd = [template, {"__ansible_vault": "x"}, {"__ansible_unsafe": "x"}, [[template]], "\ud800", {"\udfff": 1}]
    tags = {"role": "web", "more": odd, **template}
    row = {**dict.fromkeys(FIELDS, odd), "name": "web-\ud800", "tags": tags, "owner": {"name": odd}}
    groups = ["\ud800", template, {"id": template, "name": template}]
    for own in ({"groups": groups}, {"groups": groups, "groups_name": [None, template, "\ud800"]}):
        described = describe_server({**row, **own}, Groups(ClientOfGroups(), print))  # type: ignore[arg-type]
        shown = json.dumps(described, ensure_ascii=False)
        shown.encode("utf-8")
        assert '"__ansible' not in shown
        assert described["name"] == "web-?"
        data: dict[str, Any] = {"value": "{{ 1 }}", "tags": [{}]}
        assert described["tags"] == {"role": "web", "more": [data, {}, {}, [[data]], "?", {"?": 1}], **data}


@pytest.mark.parametrize("told", [["Ops"], ["Ops", "Legacy", "Web"]])
def test_names_that_are_not_as_many_as_the_groups_are_of_none_of_them(told: list[str]) -> None:
    row = {"groups": ["g", "h"], "groups_name": told}
    described = describe_server(row, Groups(ClientOfGroups(), print))  # type: ignore[arg-type]
    assert described["groups"] == [{"id": "g", "name": "g"}, {"id": "h", "name": "h"}]


def test_data_stays_as_it_is() -> None:
    tags = {"a": [1, 2.5, None, True, {"b": "안녕 😀"}], "_ansible_a": "", "ansible_b": {}, "": []}
    described = describe_server({"id": SERVER, "tags": tags}, Groups(ClientOfGroups(), print))  # type: ignore[arg-type]
    assert described == {"id": SERVER, "tags": tags}


def lists(levels: int) -> Any:
    """A list in a list, so many of them."""
    return [lists(levels - 1)] if levels else "x"


@pytest.mark.parametrize(
    ("largest", "larger"), [("x" * 100_000, "x" * 100_001), ([1] * 100_000, [1] * 100_001), (lists(19), lists(20))]
)
def test_a_field_counts_as_long_as_it_is_no_larger_than_one_may_be(largest: Any, larger: Any) -> None:
    groups = Groups(ClientOfGroups(), print)  # type: ignore[arg-type]
    assert describe_server({"load": largest}, groups) == {"load": largest}
    assert describe_server({"load": larger}, groups) == {"load": None}
