# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Test commands whose sudo a person decides on: what they return, and that a grant is good for one command."""

from __future__ import annotations

import typing as t

import pytest
from workspace.client import Row, Workspace


def run(workspace: Workspace) -> Row:
    body = {"server": workspace.server_ids()["web-01"], "line": "sudo echo done", "groupname": "alpacon"}
    [row] = workspace.api("POST", "events/commands/", json=body).json()
    workspace.wait_for_command(row["id"])
    return read(workspace, row["id"])


def read(workspace: Workspace, command_id: str) -> Row:
    return t.cast(Row, workspace.api("GET", f"events/commands/{command_id}/").json())


def test_a_grant_is_good_for_one_command(current: Workspace) -> None:
    current.settings(sudo_holds=[{}])
    first = run(current)
    assert (first["status"], first["exit_code"], first["sudo_grant_status"]) == ("failed", 1, "pending_approval")
    assert first["result"] == "Alpacon denied this sudo command (SUDO_APPROVAL_REQUIRED).\n"
    current.decide(first["id"], "approve")
    assert read(current, first["id"])["sudo_grant_status"] == "authorized"
    second = run(current)
    assert (second["status"], second["result"], second["sudo_grant_status"]) == ("success", "done\n", None)
    assert read(current, first["id"])["sudo_grant_status"] == "used"
    assert run(current)["sudo_grant_status"] == "pending_approval"
    rows = current.api("GET", "events/commands/").json()["results"]
    assert not any("sudo_grant_status" in row for row in rows)


@pytest.mark.parametrize(("decision", "status"), [("reject", "rejected"), ("expire", "expired"), ("use", "used")])
def test_a_refusal_grants_nothing(current: Workspace, decision: str, status: str) -> None:
    current.settings(sudo_holds=[{"status": "pending_mfa"}])
    first = run(current)
    assert first["sudo_grant_status"] == "pending_mfa"
    current.decide(first["id"], decision)
    assert read(current, first["id"])["sudo_grant_status"] == status
    assert run(current)["status"] == "failed"


def test_an_older_workspace_states_nothing(current: Workspace) -> None:
    current.settings(sudo_holds=[{}], sudo_grants=False)
    assert "sudo_grant_status" not in run(current)
