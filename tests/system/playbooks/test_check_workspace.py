# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test the playbook check_workspace: what it prints, its exit code and its file."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from ansible_cores import CORES
from system.plays import run_playbook
from workspace.client import Workspace

from ansible_collections.herdops.alpacon.plugins.plugin_utils._workspace_check.answers import (
    COST,
    QUESTIONS,
    SERVER_QUESTIONS,
)
from ansible_collections.herdops.alpacon.plugins.plugin_utils._workspace_check.check import MAX_REQUESTS

PLAYBOOK = "herdops.alpacon.check_workspace"
in_every_core = pytest.mark.parametrize(
    "core", [pytest.param(name, marks=() if name == "development" else pytest.mark.slow) for name in CORES]
)


@in_every_core
def test_a_line_answers_each_question(current: Workspace, tmp_path: Path, core: str) -> None:
    done = run_playbook(current, tmp_path, PLAYBOOK, None, "-e", "alpacon_server=web-01", core=core)
    assert done.code == 0, done.log
    lines = re.findall(r"^(?:ok|warning|problem|not asked) +([a-z, ]+): ", done.log, re.MULTILINE)
    assert sorted(", ".join(lines).split(", ")) == sorted([*QUESTIONS, *SERVER_QUESTIONS, COST])
    answers = json.loads((tmp_path / "check.json").read_text(encoding="utf-8"))["answers"]
    levels = {answer["question"]: answer["level"] for answer in answers}
    # The program of a module differs between the releases of ansible-core. The others have no websocket-client here.
    assert levels["module"] == levels["line"] == "ok"
    assert levels["push"] == ("ok" if core == "development" else "not asked")
    assert current.requests_made() <= MAX_REQUESTS
    assert current.token not in done.log


@pytest.mark.slow
def test_a_problem_ends_with_exit_code_2(current: Workspace, tmp_path: Path) -> None:
    done = run_playbook(current, tmp_path, PLAYBOOK, None, "-e", "alpacon_file=out.json", ALPACON_TOKEN="alpat-wrong")
    assert done.code == 2, done.log
    assert "Commands cannot run: see token above." in done.log
    assert (tmp_path / "out.json").exists()
    assert current.requests_made() == 1


@pytest.mark.slow
def test_a_token_of_another_workspace_is_not_sent(current: Workspace, tmp_path: Path) -> None:
    done = run_playbook(current, tmp_path, PLAYBOOK, None, "-e", "alpacon_url=https://workspace.invalid")
    assert done.code == 2, done.log
    assert "is not sent to https://workspace.invalid" in done.log


@pytest.mark.slow
@pytest.mark.parametrize(
    ("argument", "told"),
    [("alpacon_servers=web-01", "Did you mean alpacon_server?"), ("alpacon_line=id", "takes no alpacon_line")],
)
def test_a_misspelt_variable_is_refused(current: Workspace, tmp_path: Path, argument: str, told: str) -> None:
    done = run_playbook(current, tmp_path, PLAYBOOK, None, "-e", argument)
    assert done.code == 2, done.log
    assert told in done.log
    assert current.requests_made() == 0


@pytest.mark.slow
def test_a_file_that_cannot_be_written(current: Workspace, tmp_path: Path) -> None:
    done = run_playbook(current, tmp_path, PLAYBOOK, None, "-e", f"alpacon_file={tmp_path}/none/check.json")
    assert done.code == 2, done.log
    assert "cannot be written" in done.log
