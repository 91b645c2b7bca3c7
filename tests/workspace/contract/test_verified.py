# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Test verified files: their body and refusals, what the agent checks, and approvals that stand."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest
import requests
from workspace.client import Row, Workspace

SCRIPT = 'echo "one: $1"\n'


@pytest.fixture(autouse=True)
def _new_agents(current: Workspace) -> None:
    current.change_server("web-01", version="2.8.3")


def post(workspace: Workspace, file: Row, **fields: t.Any) -> requests.Response:
    body = {"server": workspace.server_ids()["web-01"], "groupname": "alpacon", "file": file, **fields}
    return workspace.api("POST", "events/commands/", json=body)


def describe(path: Path, **fields: t.Any) -> Row:
    return {"path": str(path), "interpreter": "/bin/sh", "args": ["a b"], "content": SCRIPT, **fields}


def run(workspace: Workspace, path: Path, **fields: t.Any) -> Row:
    [row] = post(workspace, describe(path, **fields)).json()
    workspace.wait_for_command(row["id"])
    return t.cast(Row, workspace.api("GET", f"events/commands/{row['id']}/").json())


def test_a_file_with_the_approved_bytes_runs(current: Workspace, tmp_path: Path) -> None:
    path = tmp_path / "script"
    path.write_text(SCRIPT)
    answer = post(current, describe(path))
    [row] = answer.json()
    assert (answer.status_code, row["shell"], row["line"]) == (201, "file", f"/bin/sh {path} 'a b'")
    ended = current.wait_for_command(row["id"])
    assert (ended["status"], ended["result_begin"]) == ("success", "one: a b\n")


def test_an_agent_refuses_other_bytes(current: Workspace, tmp_path: Path) -> None:
    path = tmp_path / "script"
    row = run(current, path)
    assert (row["status"], row["error_phase"], row["exit_code"]) == ("failed", "file_open_failed", 1)
    path.write_text(SCRIPT[:-1])
    row = run(current, path)
    assert (row["error_phase"], row["result"]) == (
        "file_hash_mismatch", f"file_hash_mismatch: {path} has another content",
    )  # fmt: skip
    path.write_text(SCRIPT + "#" * 65_536)
    assert run(current, path)["error_phase"] == "file_too_large"
    path.write_text(SCRIPT)
    assert run(current, path)["error_phase"] is None


def test_the_refusals_of_a_body(current: Workspace, tmp_path: Path) -> None:
    current.settings(file_reuse_max=30)
    good = describe(tmp_path / "script")
    cases: list[tuple[str, Row, Row]] = [
        ("invalid_path", {"path": "script"}, {}),
        ("invalid_path", {"interpreter": "sh"}, {}),
        ("empty_content", {"content": ""}, {}),
        ("content_too_large", {"content": "x" * 65_537}, {}),
        ("line_too_long", {"args": ["x" * 2048]}, {}),
        ("invalid_reuse_days", {"reuse_days": 0}, {}),
        ("reuse_exceeds_max", {"reuse_days": 31}, {}),
        ("line_not_allowed", {}, {"line": ""}),
        ("data_not_allowed", {}, {"data": ""}),
        ("env_not_allowed", {}, {"env": {}}),
    ]
    for word, changed, fields in cases:
        answer = post(current, {**good, **changed}, **fields)
        assert (answer.status_code, answer.json()["code"]) == (400, f"file_exec_{word}")
    current.change_server("web-01", version="2.8.2")
    assert post(current, good).json()["code"] == "file_exec_unsupported_agent"
    current.settings(file_lane=False)
    assert post(current, good).json()["code"] == "file_exec_assessor_disabled"
    assert current.commands() == []


def test_an_approval_stands_for_the_same_bytes_alone(current: Workspace, tmp_path: Path) -> None:
    current.settings(file_review=True)
    path = tmp_path / "script"
    path.write_text(SCRIPT)
    [held] = post(current, describe(path)).json()
    assert current.wait_for_command(held["id"], "awaiting_approval")["delivered_at"] is None
    current.decide(held["id"], "approve", days=1)
    assert current.wait_for_command(held["id"])["status"] == "success"
    assert run(current, path)["status"] == "success"
    for changed in ({"content": SCRIPT + "\n"}, {"args": ["other"]}, {"interpreter": "/bin/bash"}):
        [row] = post(current, describe(path, **changed)).json()
        assert current.wait_for_command(row["id"], "awaiting_approval")
    current.decide(row["id"], "reject")
    assert current.wait_for_command(row["id"], "rejected")


def test_an_approval_ends(current: Workspace, tmp_path: Path) -> None:
    current.settings(file_review=True)
    path = tmp_path / "script"
    path.write_text(SCRIPT)
    for _time in range(2):
        [row] = post(current, describe(path)).json()
        assert current.wait_for_command(row["id"], "awaiting_approval")
        current.decide(row["id"], "approve", days=-1)
        current.wait_for_command(row["id"])


def test_an_access_list_sees_the_rendered_line(current: Workspace, tmp_path: Path) -> None:
    path = tmp_path / "script"
    key = current.add_token("three", "admin", acl=[f"/bin/sh {path} *"])
    for changed, status in (({}, 201), ({"path": f"{path}x"}, 403)):
        body = {"server": current.server_ids()["web-01"], "groupname": "alpacon", "file": {**describe(path), **changed}}
        headers = {"Authorization": f"token={key}"}
        answer = requests.post(f"{current.url}/api/events/commands/", json=body, headers=headers, timeout=30)
        assert answer.status_code == status


def test_servers_can_have_files_of_their_own(current: Workspace, tmp_path: Path) -> None:
    current.settings(file_roots=True)
    path = tmp_path / "script"
    path.write_text(SCRIPT)
    assert run(current, path)["error_phase"] == "file_open_failed"


def test_older_workspaces_know_no_verified_files(old: Workspace) -> None:
    assert post(old, describe(Path("/x"))).status_code == 400
