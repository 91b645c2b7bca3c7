# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Booleans of roles and playbooks that are given as text: each use of one converts it, or hands it to an option."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from system.playing import play_out
from system.scripted_hosts import Host, ScriptedHost, agents_come, run_role
from workspace.client import Workspace

from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.command import SPEC as COMMAND_SPEC
from ansible_collections.herdops.alpacon.tests.unit.support import ROOT

pytestmark = pytest.mark.slow


def test_role_does_with_text_what_it_does_with_booleans(current: Workspace, tmp_path: Path) -> None:
    current.settings(instant=True)
    specs = yaml.safe_load((ROOT / "roles/alpamon/meta/argument_specs.yml").read_text(encoding="utf-8"))
    usual = yaml.safe_load((ROOT / "roles/alpamon/defaults/main.yml").read_text(encoding="utf-8"))
    options = specs["argument_specs"]["main"]["options"]
    names = [name for name, spec in options.items() if spec["type"] == "bool"]
    plain: dict[str, dict[str, Any]] = {
        "usual": {name: usual[name] for name in names},
        # Without it, logs would hold keys.
        "other": {name: not usual[name] for name in names if name != "alpamon_no_log"},
    }
    texts = {kind: {name: _as_text(value, name) for name, value in given.items()} for kind, given in plain.items()}
    hosts = {
        **{f"{kind}-plain": ScriptedHost(variables=given) for kind, given in plain.items()},
        **{f"{kind}-text": ScriptedHost(variables=given) for kind, given in texts.items()},
    }
    key = current.add_registration_token()["key"]
    with agents_come(current):
        done = run_role(tmp_path, current, hosts, ALPACON_REGISTRATION_TOKEN=key)
    assert done.code == 0, done.said
    for kind in plain:
        assert _doings(done[f"{kind}-text"]) == _doings(done[f"{kind}-plain"])
    assert _doings(done["usual-text"]) != _doings(done["other-text"])


def test_playbooks_do_with_text_what_they_do_with_booleans(current: Workspace, tmp_path: Path) -> None:
    current.settings(instant=True)
    asked = {
        "run": {"alpacon_line": "true"},
        "schedule": {"alpacon_line": "reboot"},
        "cancel": {"alpacon_line": "reboot"},
    }
    plays = [
        {
            "ansible.builtin.import_playbook": f"herdops.alpacon.{name}",
            "vars": {
                "alpacon_servers": ["web-01"],
                **given,
                # Another time for each value: a schedule is moved only where that is asked for.
                **({"alpacon_scheduled_at": f"203{int(value)}-01-01T00:00:00Z"} if name == "schedule" else {}),
                **{boolean: write(value, boolean) for boolean in _booleans_of(name)},
            },
        }
        for write in (lambda value, _name: value, _as_text)
        for value in (False, True)
        for name, given in asked.items()
        if not (name == "cancel" and value is False)
    ]
    done = play_out(current, tmp_path, plays, None)
    assert done.code == 0, done.said
    for task in ("Run the command", "Schedule the command", "Cancel the commands"):
        told = [(result["changed"], re.sub(r"[0-9a-f-]{36}", "", result["msg"])) for result in done.tasks[task]]
        half = len(told) // 2
        assert told[:half] == told[half:], task
        assert len(set(told)) == half, "values make a difference"


def _booleans_of(playbook: str) -> list[str]:
    """The variables of a playbook that are booleans as options of the module, each of which they are."""
    [play] = yaml.safe_load((ROOT / f"playbooks/{playbook}.yml").read_text(encoding="utf-8"))
    names = play["vars"]["__playbook_arguments"]
    return [name for name in names if COMMAND_SPEC[name.removeprefix("alpacon_")]["type"] == "bool"]


def _as_text(value: bool, name: str) -> str:
    """It as people write it, each variable in another way."""
    words = ("true", "yes", "1") if value else ("false", "no", "0")
    return words[len(name) % len(words)]


def _doings(host: Host) -> list[str]:
    """What was done on a host, but for the id and the key that it got."""
    return [
        re.sub(r"(id|key) = [\w-]+|tmp[^\s'\"]*|checksum[^,]*", "", f"{call.module} {_steady(call.arguments)}")
        for call in host.calls
    ]


def _steady(arguments: dict[str, Any]) -> str:
    passing = ("src", "_original_basename", "controller_time")
    return str({name: value for name, value in sorted(arguments.items()) if name not in passing})
