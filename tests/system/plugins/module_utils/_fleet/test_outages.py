# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Outages of a workspace while a task submits and awaits commands."""

from __future__ import annotations

from collections import Counter

import pytest
from system.support import run
from workspace.client import Workspace

NAMES = [f"node-{number:03}" for number in range(100)]
#: Three are rolled back; two are committed, of which one gets a page and the other no answer.
INTERRUPTED = ("status", "status", "status", "status_after", "lose_after")


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [4, 15])
@pytest.mark.parametrize("workspace", ["2024"], indirect=True)
def test_a_restart_of_the_database_costs_at_most_the_submits_that_it_interrupts(
    workspace: Workspace, seconds: float
) -> None:
    workspace.settings(instant=True)
    workspace.add_servers(*NAMES, connected=True)
    workspace.lose_database(INTERRUPTED, after=40, seconds=seconds)
    done = run(workspace, servers=NAMES, line="uptime", wait_timeout="5m")
    submitted = Counter(row["server"] for row in workspace.commands())
    assert max(submitted.values()) == 1
    successes = [row for row in done.commands if row["outcome"] == "success"]
    assert {row["id"] for row in done.commands if row["id"]} == {row["id"] for row in workspace.commands()}
    assert len(successes) >= 97, Counter((row["outcome"], row["msg"]) for row in done.commands)
