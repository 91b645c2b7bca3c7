# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test alpacon_server_info: names, UUIDs, filters and fields."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import UsageError
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.server_info import (
    FIELDS,
    GroupNames,
    ServerFilter,
    describe_server,
    explain_filters,
)
from ansible_collections.herdops.alpacon.plugins.modules import alpacon_server_info
from ansible_collections.herdops.alpacon.tests.unit.support import SERVER

# Filters and limit


def test_every_field_is_documented() -> None:
    documented = yaml.safe_load(alpacon_server_info.RETURN)["servers"]
    assert tuple(documented["contains"]) == (*FIELDS, "gathered")
    assert set(documented["sample"][0]) == {*FIELDS, "gathered"}


A, B = ({"id": f"{digit * 8}-{digit * 4}-4{digit * 3}-8{digit * 3}-{digit * 12}", "name": digit} for digit in "ab")
OF_THE_OTHERS = "filters: no server that matches the other filters is in a group b."


@pytest.mark.parametrize(
    ("given", "warnings"),
    [
        ({"os": "debian"}, ["filters: no server is in a group b. Available: a."]),
        # The workspace has applied these, so that other servers may well be in the group.
        ({"name": "web-01"}, [OF_THE_OTHERS]),
        ({"name": "web-01", "groups": "a"}, []),
    ],
)
def test_a_group_without_servers_is_warned_of_if_all_were_listed(given: dict[str, Any], warnings: list[str]) -> None:
    wanted = ServerFilter.from_options({"groups": "b", **given})
    server = {"name": "web-01", "os_name": "Debian", "groups": [A]}
    assert list(explain_filters(wanted, [server])) == warnings


def test_a_filter_may_be_one_text_with_commas() -> None:
    wanted = ServerFilter.from_options({"name": "web-01, web-02", "groups": " Web, Berlin "})
    assert (wanted.name, wanted.groups) == (("web-01", "web-02"), ("Web, Berlin",))


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ({"name": "web-01"}, {"name": "web-01"}),
        ({"name": "*web-[0-9]*.example.com"}, {"search": "example.com"}),
        ({"name": "web[1-3].[ab].x"}, {"search": "web"}),
        ({"name": "a [b"}, {"search": "a"}),
        ({"name": "*"}, {}),
        ({"name": ["web-*", "db-*"]}, {}),
        ({"os": "debian", "platform": "rhel"}, {}),
        ({"groups": ["a", "b"]}, {}),
        ({"tags": {"any": None, "env": "prod", "role": "db"}}, {"tag": "env:prod"}),
        ({"tags": {"rack": 12}}, {"tag": "rack:12"}),
        # A workspace could split or compare these in another way.
        ({"tags": {"cloud:region": "us", "time": "12:30", "gpu": True, "list": "a,b", "text": " x", "": "y"}}, {}),
        ({"connected": False, "commissioned": True}, {"is_connected": "false", "commissioned": "true"}),
    ],
)
def test_only_filters_of_which_the_workspace_lists_every_match_are_sent(given: dict[str, Any], sent: Any) -> None:
    assert ServerFilter.from_options(given).parameters == sent


@pytest.mark.parametrize(
    ("filters", "problem"),
    [
        ({"conected": True}, "there is no filter conected. Did you mean connected?"),
        ("web", "'web' is not a dictionary"),
        ({"name": [{"a": 1}]}, "name: '{'a': 1}' is not a text."),
        ({"os": ""}, "os: '' is not a text"),
        ({"groups": []}, "groups is an empty list."),
        ({"tags": {}}, "tags are empty."),
        ({"tags": {"role": ["web"]}}, "tags: "),
    ],
)
def test_invalid_filters(filters: Any, problem: str) -> None:
    with pytest.raises(UsageError, match=re.escape(f"filters: {problem}")):
        ServerFilter.from_options(filters)


class ClientOfGroups:
    """Stand in for a client that lists groups."""

    def rows(self, _path: str) -> Iterator[Any]:
        """Return the groups of the workspace."""
        yield {"id": "\ud800", "name": {"__ansible_vault": "named \ud800"}}


def test_a_described_server_is_only_data() -> None:
    trusted = {"__ansible_type": "TrustedAsTemplate"}
    template = {"__ansible_type": "_AnsibleTaggedStr", "value": "{{ 1 }}", "tags": [trusted]}
    odd = [template, {"__ansible_vault": "x"}, {"__ansible_unsafe": "x"}, [[template]], "\ud800", {"\udfff": 1}]
    tags = {"role": "web", "more": odd, **template}
    row = {**dict.fromkeys(FIELDS, odd), "name": "web-\ud800", "tags": tags, "owner": {"name": odd}}
    groups = ["\ud800", template, {"id": template, "name": template}]
    for own in ({"groups": groups}, {"groups": groups, "groups_name": [None, template, "\ud800"]}):
        described = describe_server({**row, **own}, GroupNames(ClientOfGroups(), print))  # type: ignore[arg-type]
        shown = json.dumps(described, ensure_ascii=False)
        shown.encode("utf-8")
        assert '"__ansible' not in shown
        assert described["name"] == "web-?"
        data: dict[str, Any] = {"value": "{{ 1 }}", "tags": [{}]}
        assert described["tags"] == {"role": "web", "more": [data, {}, {}, [[data]], "?", {"?": 1}], **data}


@pytest.mark.parametrize(
    ("row", "names"),
    [
        ({"groups": ["g", "h"], "groups_name": ["Ops", "Legacy", "Web"]}, ["g", "h"]),
        ({"groups": ["g", "h"], "groups_name": ["Ops", "Legacy"]}, ["Ops", "Legacy"]),
        ({"groups": [{"id": "g", "name": "Ops"}, "h"]}, ["Ops", "h"]),
        ({"groups": None}, []),
    ],
)
def test_names_of_groups_come_from_the_row(row: dict[str, Any], names: list[str]) -> None:
    described = describe_server(row, GroupNames(ClientOfGroups(), print))  # type: ignore[arg-type]
    assert described["groups"] == [{"id": "gh"[number], "name": name} for number, name in enumerate(names)]


def test_only_known_fields_are_described_unchanged() -> None:
    tags = {"a": [1, 2.5, None, True, {"b": "안녕 😀"}], "_ansible_a": "", "ansible_b": {}, "": []}
    row = {"id": SERVER, "tags": tags, "token": "x", "url": "https://elsewhere"}
    described = describe_server(row, GroupNames(ClientOfGroups(), print))  # type: ignore[arg-type]
    assert described == {"id": SERVER, "tags": tags}


def lists(levels: int) -> Any:
    """Return nested lists."""
    return [lists(levels - 1)] if levels else "x"


@pytest.mark.parametrize(
    ("largest", "larger"), [("x" * 100_000, "x" * 100_001), ([1] * 100_000, [1] * 100_001), (lists(19), lists(20))]
)
def test_maximum_size_of_a_field(largest: Any, larger: Any) -> None:
    groups = GroupNames(ClientOfGroups(), print)  # type: ignore[arg-type]
    assert describe_server({"load": largest}, groups) == {"load": largest}
    assert describe_server({"load": larger}, groups) == {"load": None}


def test_a_misspelt_platform_is_warned_of_if_no_server_has_it() -> None:
    wanted = ServerFilter.from_options({"platform": ["debain", "rhel"]})
    assert list(explain_filters(wanted, [])) == ["filters: no server has the platform debain. Did you mean debian?"]
    assert not list(explain_filters(wanted, [{"platform": "debain"}]))
