# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test fifty hosts that register at once through ansible-playbook while responses are lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from system.plays import start_task
from system.registrations import REGISTER
from workspace.client import Workspace

HOSTS = [f"node{number:02d}.example.com" for number in range(50)]
#: The faults of registrations, in the order in which they arrive.
FAULTS = [("lose_after", None, 8), ("lose_before", None, 6), ("status_after", 502, 6), ("status", 503, 3)]


def check(workspace: Workspace, results: dict[str, Any]) -> None:
    """Check that each host has one record and its credentials."""
    records = {record["name"].rpartition("-")[0]: record for record in workspace.registered()}
    assert len(workspace.registered()) == len(records) == len(HOSTS)
    assert len(results) == len(HOSTS)
    for host, result in results.items():
        record = records[host.partition(".")[0]]
        assert (result["id"], result["key"], result["name"]) == (record["id"], record["key"], record["name"])
        assert result["orphans"] == []


def options(key: str) -> dict[str, str]:
    """Return the options of the task."""
    return {"registration_token": key, "name": "{{ inventory_hostname }}", "platform": "debian"}


def test_no_record_too_many_while_answers_are_lost(workspace: Workspace, tmp_path: Path) -> None:
    key = workspace.add_registration_token()["key"]
    for kind, status, times in FAULTS:
        workspace.fault(kind, method="POST", path=REGISTER, times=times, status=status)
    given: dict[str, Any] = {"forks": 25, "module": "alpacon_registration"}
    play = start_task(workspace, tmp_path / "first", HOSTS, options(key), **given).end()
    assert all(fault["times"] == 0 for fault in workspace.faults())
    assert key not in play.log
    results = {host: result for host, result in play.results.items() if not result.get("failed")}
    # A host that lost three responses in a row gives up, leaves nothing behind, and succeeds the next time.
    late = [host for host in HOSTS if host not in results]
    assert all(play.results[host]["orphans"] == [] for host in late)
    if late:
        again = start_task(workspace, tmp_path / "again", late, options(key), **given).end()
        assert again.code == 0, again.log
        results |= again.results
    check(workspace, results)
