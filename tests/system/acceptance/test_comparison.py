# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from acceptance.comparison import compare
from acceptance.running import TARGETS, list_targets
from acceptance.shapes import Recording, get_route

PATH = "/api/events/commands/"
ROUTE = f"GET {PATH}"
NO_ZONE = "2026-01-01T00:00:00"
UUID = "7a50ea6c-2138-4d3f-9633-e50694c847c4"


def record(*exchanges: tuple[int, Any]) -> Recording:
    recording = Recording()
    for status, value in exchanges:
        recording.add("GET", PATH, status, "application/json; charset=utf-8", json.dumps(value).encode())
    return recording


def find(actual: Any, expected: Any, status: int = 200) -> list[tuple[str, str]]:
    """Return the differences of two bodies: path and text."""
    differences = compare(record((status, actual)), record((status, expected))).differences
    return [(difference.path, difference.text) for difference in differences]


@pytest.mark.parametrize(
    ("url", "route"),
    [
        (f"{PATH}?server={UUID}&page=2", PATH),
        (f"{PATH}{UUID}/chunks/", f"{PATH}{{id}}/chunks/"),
        ("/api/servers/servers/-/", "/api/servers/servers/-/"),
        ("/api/servers/servers/12/", "/api/servers/servers/{id}/"),
        ("/api/iam/users/Web-01.example.com/", "/api/iam/users/{id}/"),
    ],
)
def test_routes_have_no_ids_and_no_queries(url: str, route: str) -> None:
    assert get_route("GET", url) == f"GET {route}"


def test_a_recording_has_no_values_and_no_keys_that_users_chose() -> None:
    recording = record(
        (200, {"id": UUID, "name": "secret-name", "tags": {"secret": "secret"}, "rows": [{"/dev/secret": 987}]}),
        (400, {"code": "invalid_command", "line": ["secret text"]}),
    )
    described = json.dumps(recording.describe())
    assert not re.search(r"secret|987|7a50ea6c", described)
    assert "code invalid_command" in described


@pytest.mark.parametrize(
    ("actual", "expected", "path", "text"),
    [
        ({"a": 1}, {"a": 1, "b": 2}, "b", "missing field"),
        ({"a": {"c": 1}}, {"a": {"c": 1, "d": 2}}, "a.d", "missing field"),
        ({"rows": [{"a": 1, "b": 2}]}, {"rows": [{"a": 1}]}, "rows[].b", "additional field: integer"),
        ({"rows": [{"a": 1}, {}]}, {"rows": [{"a": 1}, {"a": 1}]}, "rows[].a", "missing from some objects"),
        ({"a": "1"}, {"a": 1}, "a", "string, expected integer"),
        ({"a": 1.5}, {"a": 1}, "a", "number, expected integer"),
        ({"a": 12}, {"a": UUID}, "a", "integer, expected UUID"),
        (
            {"a": "2026-01-01T00:00:00"},
            {"a": "2026-01-01T00:00:00Z"},
            "a",
            "time without zone, expected time with zone",
        ),
        ({"a": ["x"]}, {"a": [{"b": 1}]}, "a[]", "string, expected object"),
        ({"a": "x"}, {"a": {"b": {"c": 1}}}, "a", "string, expected object"),
        ([], {}, "", "list, expected object"),
    ],
)
def test_a_different_field_is_named_once(actual: Any, expected: Any, path: str, text: str) -> None:
    assert find(actual, expected) == [(path, text)]


@pytest.mark.parametrize(
    ("actual", "expected"),
    [
        ({"a": UUID, "b": 1.5}, {"a": "00000000-0000-4000-8000-000000000000", "b": 7.5}),
        ({"a": None}, {"a": {"b": 1}}),
        ({"a": 1}, {"a": None}),
        ({"a": []}, {"a": [{"b": 1}]}),
        ({"a": ""}, {"a": "x"}),
        ({"a": 1}, {"a": 1.5}),
        ({"tags": {"x": "y"}}, {"tags": {}}),
    ],
)
def test_what_depends_on_the_data_is_no_difference(actual: Any, expected: Any) -> None:
    assert find(actual, expected) == []


def test_a_field_that_some_objects_of_the_stand_in_lack_may_be_missing() -> None:
    assert find([{"a": 1}], [{"a": 1}, {"a": 1, "b": 1}]) == []


@pytest.mark.parametrize(
    ("actual", "text"),
    [
        ({"code": "no_such_command"}, "code no_such_command, expected code command_not_found"),
        ({"code": "Not a code: secret"}, "string, expected code command_not_found"),
    ],
)
def test_a_different_code_of_an_error_is_named(actual: Any, text: str) -> None:
    assert find(actual, {"code": "command_not_found"}, 404) == [("code", text)]


def test_a_different_status_is_named() -> None:
    [difference] = compare(record((200, {}), (410, {})), record((200, {}), (404, {}))).differences
    assert (difference.route, difference.status, difference.text) == (ROUTE, 410, "expected status 404")


def test_a_page_in_place_of_json_is_named() -> None:
    page = Recording()
    page.add("GET", PATH, 404, "text/html", b"<html>")
    [difference] = compare(page, record((404, {}))).differences
    assert difference.text == "text/html, expected application/json"


def test_routes_of_one_workspace_are_notes() -> None:
    comparison = compare(record((200, {})), Recording())
    assert (len(comparison.differences), len(comparison.notes)) == (0, 1)


def test_the_readme_says_why_other_targets_are_left_out() -> None:
    readme = (TARGETS.parent / "README.md").read_text(encoding="utf-8")
    left_out = {path.parent.parent.name for path in TARGETS.glob("*/tasks/dialect.yml")} - set(list_targets())
    assert left_out == set(re.findall(r"^\| `(\w+)` \| left out", readme, re.M))
