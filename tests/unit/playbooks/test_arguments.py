# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Compare the variables of playbooks and of the role audit with the options of the module that each of them wraps."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from ansible_collections.herdops.alpacon.plugins.module_utils._options.connection import CONNECTION
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.command import SPEC as COMMAND_SPEC
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.command_options import _ALLOWED_STATES
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.server_action import SPEC as ACTION_SPEC
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.check_selection import HOST_OPTIONS
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.hosts import JOINED_OPTIONS
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.options import SPEC as AUDIT_SPEC
from ansible_collections.herdops.alpacon.tests.unit.support import ROOT, Row

OWN = "tests/unit/playbooks/test_arguments.py"
COMMAND, ACTION, AUDIT = (f"herdops.alpacon.alpacon_{name}" for name in ("command", "server_action", "audit"))
SPECS = {COMMAND: COMMAND_SPEC, ACTION: ACTION_SPEC, AUDIT: AUDIT_SPEC}
WRAPPED = {
    "playbooks/run.yml": COMMAND,
    "playbooks/schedule.yml": COMMAND,
    "playbooks/cancel.yml": COMMAND,
    "playbooks/await.yml": COMMAND,
    "playbooks/upgrade_agents.yml": ACTION,
    "roles/audit/tasks/main.yml": AUDIT,
}
#: Variables without the name of their option.
RENAMED = {"progress": "alpacon_follow", "version": "alpacon_agent_version", "dest": "audit_report_dir"}
_SURROUNDINGS = ("argv", "stdin", "chdir", "creates", "removes")
_SCRIPT = ("script", "executable", "verified", "verified_folder")
_WAIT = (
    *("wait", "wait_timeout", "wait_for_approval", "cancel_on_timeout", "progress", "success_codes"),
    *("output_limit", "output_dir"),
)
#: Options that a file does not pass, by the reason. Connection settings and options of other states need none.
OMITTED: dict[str, dict[str, tuple[str, ...]]] = {
    "playbooks/run.yml": {
        "alpacon_line takes the words": ("argv",),
        "only cancelled commands can be too late": ("fail_if_sent",),
    },
    "playbooks/schedule.yml": {
        "a scheduled line or script brings its own": _SURROUNDINGS,
        "it awaits no command": _WAIT,
        "it schedules wherever it can": ("max_errors",),
        "only cancelled commands can be too late": ("fail_if_sent",),
    },
    "playbooks/cancel.yml": {
        "it does not select commands": (*_SURROUNDINGS, "reuse_days", "env", "run_after", "work_session", "purpose"),
        "it awaits no command": _WAIT,
    },
    "playbooks/await.yml": {
        "it awaits commands that were submitted": (
            *(
                *_SURROUNDINGS,
                *_SCRIPT,
                "reuse_days",
                "servers",
                "line",
                "shell",
                "username",
                "groupname",
                "env",
                "run_after",
                "work_session",
            ),
            "purpose",
        ),
        "it always waits": ("wait",),
        "only cancelled commands can be too late": ("fail_if_sent",),
    },
    "playbooks/upgrade_agents.yml": {
        "alpacon_max_fail_percentage limits the errors": ("max_errors",),
        "a wave ends before the next one starts": ("wait",),
        "users of the servers keep their work": ("force",),
    },
    "roles/audit/tasks/main.yml": {
        "the module reads the variables of each host": (*HOST_OPTIONS, *JOINED_OPTIONS),
        "they are the hosts of the play": ("hosts",),
        "standard error shows it without the role": ("progress",),
    },
}


def find_arguments(node: Any, module: str) -> Iterator[Row]:
    """Yield the arguments of each task that uses the module."""
    if isinstance(node, dict):
        yield from [node[module]] if module in node else []
    for inner in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from find_arguments(inner, module)


def load(path: str) -> tuple[Any, Row]:
    """Return the content of the file, and the arguments of its only task with the module."""
    content = yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))
    [arguments] = find_arguments(content, WRAPPED[path])
    return content, arguments


@pytest.mark.parametrize("path", WRAPPED)
def test_each_option_is_passed_or_omitted_for_a_reason(path: str) -> None:
    spec, (_content, passed) = SPECS[WRAPPED[path]], load(path)
    assert set(passed) <= set(spec), f"{path} passes options that {WRAPPED[path]} does not have"
    # Each playbook of commands has one state.
    state = passed.get("state", "executed")
    others = {name for name, states in _ALLOWED_STATES.items() if state not in states} if "state" in spec else set()
    omitted = {name for names in OMITTED[path].values() for name in names}
    assert omitted <= set(spec) - set(passed), f"OMITTED in {OWN} lists options that {path} passes or that are gone"
    missing = set(spec) - {*passed, *omitted, *others, *CONNECTION, "state"}
    assert not missing, f"pass {sorted(missing)} in {path}, or list the reason against it in OMITTED in {OWN}"


@pytest.mark.parametrize("path", WRAPPED)
def test_each_variable_has_the_name_of_its_option(path: str) -> None:
    _content, passed = load(path)
    prefix = "audit_" if path.startswith("roles") else "alpacon_"
    variables = {name: RENAMED.get(name, f"{prefix}{name}") for name in passed}
    read = {name: set(re.findall(rf"\b{prefix}\w+", str(value))) for name, value in passed.items()}
    wrong = {name: names for name, names in read.items() if names and names != {variables[name]}}
    assert not wrong, f"these options of {path} read other variables than {variables}"


@pytest.mark.parametrize("path", [path for path in WRAPPED if path.startswith("playbooks")])
def test_each_variable_is_one_that_the_playbook_knows(path: str) -> None:
    content, passed = load(path)
    play = content[-1]
    known = set(play["vars"]["__playbook_arguments"])
    # Keywords of the play are variables of the playbook too.
    keywords = {key: value for key, value in play.items() if key not in ("vars", "tasks", "hosts")}
    shared = "".join((ROOT / "playbooks" / path).read_text(encoding="utf-8") for path in play.get("vars_files", ()))
    used = set(re.findall(r"\balpacon_\w+[a-z]\b", f"{passed} {keywords} {shared}"))
    assert used == known, f"correct __playbook_arguments in {path}"
