# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Progress lines, and warnings about offline servers."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest

from ansible_collections.herdops.alpacon.plugins.module_utils._api.records import Command, Server
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet import fleet
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.fleet import ProgressReporter
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.jobs import Job
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.journal import Journal
from ansible_collections.herdops.alpacon.tests.unit.support import SERVER


def waiting(*names: str) -> list[Job]:
    """Return jobs of offline servers."""
    servers = [Server(SERVER, name, is_connected=False) for name in names]
    return [Job(one, command=Command(f"id-{one.name}", one, "uptime", "system", "queued")) for one in servers]


def test_progress_is_printed_every_five_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    printed: list[str] = []
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(fleet, "time", SimpleNamespace(monotonic=lambda: clock.now))
    journal = Journal(Path("/run.ids"), pytest.fail)
    reporter = ProgressReporter(printed.append, pytest.fail, journal)
    for clock.now in (1004.0, 1005.0, 1009.0, 1010.0):
        reporter.report(2, waiting("web-1"), Counter({True: 3, False: 4}))
    so_far = "alpacon: 2 to submit, 1 running, 1 of them waiting for a server that is offline, 3 done, 4 failed after"
    where = "alpacon: if this run is interrupted, the IDs are in /run.ids"
    assert printed == [f"{so_far} 5 s", where, f"{so_far} 10 s"]


GROUPS = ("a", "bcdef", "ghijk")


def test_five_offline_servers_are_named_and_the_others_counted() -> None:
    printed: list[str] = []
    reporter = ProgressReporter(None, printed.append, None)
    jobs = waiting("a", "b", "c", "d", "e", "f")
    for some in (jobs[:1], jobs[:1], jobs[1:], jobs):
        reporter.report_offline(some)
    reporter.report_offline(waiting("g", "h", "i", "j", "k", "l"))
    named = ["; ".join(f"{name}, which is offline (command id-{name})" for name in names) for names in GROUPS]
    assert printed == [
        f"alpacon: 1 waits for {named[0]}",
        f"alpacon: 5 wait for {named[1]}",
        f"alpacon: 6 wait for {named[2]}; and 1 more",
    ]
