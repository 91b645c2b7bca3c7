# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Refuse empty selections and unknown names of options."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import pytest

from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import UsageError
from ansible_collections.herdops.alpacon.plugins.plugin_utils._arguments import check_arguments, check_filters

EMPTY: tuple[Any, ...] = (None, "", "  ")
#: Selections that select nothing.
NOTHING: tuple[Any, ...] = (*EMPTY, [], ["web-01", ""], ["web-01", None], {"name": "web-01"}, True, [True])
NO_LIST: tuple[Any, ...] = ("web-01,,web-02", [["web-01"]])
SELECTIONS = {
    "alpacon_command": ("servers", "server", "ids", "id", "run_after"),
    "alpacon_command_info": ("ids", "status"),
    "alpacon_server_info": ("servers",),
    "alpacon_audit": ("hosts",),
}
TEXTS = {
    "alpacon_command": ("username", "groupname", "scheduled_at"),
    "alpacon_command_info": ("server", "shell", "requested_by", "search", "line", "cmd", "since", "until"),
}


def check(module: str, given: dict[str, Any]) -> None:
    action = import_module(f"ansible_collections.herdops.alpacon.plugins.action.{module}").ActionModule
    check_arguments(action.module_name, action.spec, given, action.selections)


def refusal(module: str, given: dict[str, Any]) -> str:
    with pytest.raises(UsageError) as raised:
        check(module, given)
    return str(raised.value)


@pytest.mark.parametrize(
    ("module", "option", "values"),
    [
        *((module, name, (*NOTHING, *NO_LIST)) for module, names in SELECTIONS.items() for name in names),
        *((module, name, EMPTY) for module, names in TEXTS.items() for name in names),
    ],
)
def test_empty_selections_are_refused(module: str, option: str, values: tuple[Any, ...]) -> None:
    name = {"server": "servers", "id": "ids", "cmd": "line"}.get(option, option)
    name = "server" if (module, option) == ("alpacon_command_info", "server") else name
    for value in values:
        assert refusal(module, {option: value}).startswith(f"{name}: "), value


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            {"servers": None},
            "servers: it is null. Give names or UUIDs of servers, or leave it out to mean the inventory",
        ),
        (
            {"username": ""},
            "username: it is empty. Give a user to run as, or leave it out to run as the user of the token",
        ),
        ({"line": "a", "cmd": "b"}, "line: it is given twice, as line and as cmd. Give one of them."),
        ({"server": "web-02", "servers": ["web-01"]}, "servers: it is given twice, as servers and as server."),
        ({"usernam": "x"}, "usernam: herdops.alpacon.alpacon_command has no such option. Did you mean username?"),
        ({"zzz": 1}, "ansible-doc herdops.alpacon.alpacon_command lists all options."),
        # Ansible would write these as Python does.
        ({"line": ["echo", "hi"]}, "line: it is a list. Give one text: in quotes if it is a word such as true or yes"),
        ({"stdin": {"a": "b"}}, "stdin: it is a dictionary. "),
    ],
)
def test_errors_have_reason_and_remedy(given: dict[str, Any], said: str) -> None:
    assert said in refusal("alpacon_command", given)


def test_valid_arguments_are_accepted() -> None:
    check("alpacon_command", {"servers": "web-01, web-02", "line": "echo a,,b", "stdin": 5, "purpose": 2026})
    check("alpacon_command_info", {"line": "echo a,,b"})
    check_filters({"filters": {"connected": True}})
    check_filters({})


@pytest.mark.parametrize("filters", [*EMPTY, [], {}, {"name": None}, {"connected": None}])
def test_empty_filters_are_refused(filters: Any) -> None:
    with pytest.raises(UsageError, match=r"^filters: .* leave it out"):
        check_filters({"filters": filters})


@pytest.mark.parametrize(
    ("module", "name", "remedy"),
    [
        ("alpacon_audit", "servers", "Did you mean hosts?"),
        ("alpacon_command", "become_user", "Did you mean username?"),
        ("alpacon_command", "register", "register is a keyword of tasks: indent it"),
    ],
)
def test_names_of_other_modules_and_keywords_have_a_remedy(module: str, name: str, remedy: str) -> None:
    assert remedy in refusal(module, {name: "a"})
