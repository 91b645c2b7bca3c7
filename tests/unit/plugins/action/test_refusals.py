# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Explain every refusal of Ansible's validation with the option and the remedy."""

from __future__ import annotations

from importlib import import_module

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.herdops.alpacon.plugins.module_utils._options.refusals import explain_refusal
from ansible_collections.herdops.alpacon.tests.unit.support import Row

ID = "0a1b2c3d-0000-4000-8000-000000000001"
RUN = {"servers": ["web-01"], "line": "true"}


def explain(module: str, arguments: Row, names: dict[str, str] | None = None) -> str:
    action = import_module(f"ansible_collections.herdops.alpacon.plugins.action.{module}").ActionModule
    assert ArgumentSpecValidator(action.spec, **action.rules).validate(arguments).error_messages
    error = explain_refusal(action.spec, action.rules, arguments, names, action.exclusions)
    assert error
    return str(error)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({**RUN, "wait": "maybe"}, "wait: 'maybe' is neither true nor false. "),
        ({**RUN, "output_limit": "1MB"}, "output_limit: '1MB' is not a whole number. "),
        ({**RUN, "output_limit": [1]}, "output_limit: a list is not a whole number. "),
        ({**RUN, "success_codes": [0, "x"]}, "success_codes: 'x' is not a whole number. "),
        ({**RUN, "success_codes": None}, "success_codes: null is not a list. "),
        ({**RUN, "env": ["A=1"]}, "env: a list is not a dictionary. "),
        ({**RUN, "env": "A=secret and more"}, "env: this text is not a dictionary. "),
        ({**RUN, "state": "execute"}, "state: 'execute' is not one of its values. Did you mean executed? Give one of"),
        ({**RUN, "offline": ""}, "offline: '' is not one of its values. Give one of wait, fail, skip."),
        (
            {**RUN, "stdin": "a"},
            "stdin: it cannot be used with line. Leave stdin out, or give script in place of line.",
        ),
        (
            {**RUN, "script": "a"},
            "script: it cannot be used with line. Leave script out, or give script in place of line.",
        ),
        ({"cmd": "a", "id": ID}, "cmd: it cannot be used with id. Leave cmd out: id names the commands."),
        ({"server": "a", "argv": ["a"], "executable": "a"}, "executable: it can only be used with script. "),
        ({"server": "web-01"}, "line: it is missing, and state is executed. Give line, script or argv."),
        ({"state": "finished"}, "ids: it is missing, and state is finished. Give ids."),
        ({**RUN, "state": "scheduled"}, "scheduled_at: it is missing, and state is scheduled. "),
        ({"line": "true"}, "servers: it is missing. Give servers or ids."),
    ],
)
def test_the_option_and_the_remedy_are_named(arguments: Row, said: str) -> None:
    assert said in explain("alpacon_command", arguments)


def test_keys_of_dictionaries_and_required_options_are_named() -> None:
    assert explain("alpacon_server_info", {"filters": {"nmae": "a"}}).startswith("filters: nmae: there is no such key.")
    assert explain("alpacon_server_info", {"filters": {"connected": "a"}}).startswith(
        "filters: connected: 'a' is neith"
    )
    assert explain("alpacon_server_action", {"servers": ["a"]}).startswith(
        "action: it is missing. Give one of upgrade_"
    )


def test_null_is_only_refused_where_ansible_refuses_it() -> None:
    spec = {"timeout": {"type": "int"}, "limit": {"type": "int"}}
    assert str(explain_refusal(spec, {}, {"timeout": None, "limit": "x"})).startswith("limit: 'x' is not a whole")


def test_variables_of_playbooks_are_named() -> None:
    names = {name: f"alpacon_{name}" for name in ("line", "stdin", "script", "offline")}
    said = explain("alpacon_command", {**RUN, "stdin": "a"}, names)
    assert said == (
        "alpacon_stdin: it cannot be used with alpacon_line. Leave alpacon_stdin out, or give alpacon_script in place"
        " of alpacon_line."
    )
    assert explain("alpacon_command", {**RUN, "offline": "no"}, names).startswith("alpacon_offline: ")
