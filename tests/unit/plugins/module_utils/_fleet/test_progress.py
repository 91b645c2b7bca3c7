# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Progress lines, and warnings about offline servers."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest

from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import AlpaconError
from ansible_collections.herdops.alpacon.plugins.module_utils._api.records import Command, Server
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet import progress
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.jobs import Job
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.journal import Journal
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.progress import ProgressReporter
from ansible_collections.herdops.alpacon.tests.unit.support import SERVER


def waiting(*names: str) -> list[Job]:
    """Return jobs of offline servers."""
    servers = [Server(SERVER, name, is_connected=False) for name in names]
    return [Job(one, command=Command(f"id-{one.name}", one, "uptime", "system", "queued")) for one in servers]


def test_progress_is_printed_when_it_changes_and_once_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    printed: list[str] = []
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: clock.now))
    journal = Journal(Path("/run.ids"), pytest.fail)
    reporter = ProgressReporter(printed.append, pytest.fail, pytest.fail, journal)
    for clock.now, done in ((1004.0, 3), (1005.0, 3), (1009.0, 4), (1010.0, 4)):
        reporter.finished = Counter({True: done, False: 4})
        reporter.report(2, waiting("web-1"))
    start = "alpacon: 2 to submit, 1 running on web-1, 1 of them waiting for a server that is offline"
    where = "alpacon: if this run is interrupted, the IDs are in /run.ids"
    assert printed == [f"{start}, 3 done, 4 failed after 5 s", where, f"{start}, 4 done, 4 failed after 10 s"]
    for seconds in range(5, 300):
        clock.now = 1010.0 + seconds
        reporter.report(2, waiting("web-1"))
    assert printed[3:] == [f"{start}, 4 done, 4 failed after {10 + 60 * minute} s" for minute in range(1, 5)]


def test_many_servers_are_named_only_if_none_answers_for_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    printed: list[str] = []
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: clock.now))
    reporter = ProgressReporter(printed.append, pytest.fail, pytest.fail, None)
    jobs = [Job(Server(SERVER, name)) for name in "abcdefg"]
    for job in jobs:
        job.command = Command("id", job.server, "uptime", "system", "running")
    for clock.now in (1005.0, 1064.0, 1065.0):
        reporter.report(0, jobs)
    where = "a, b, c, d, e and 2 more"
    assert printed == [
        f"alpacon: 7 running{on}, 0 done, 0 failed after {s} s" for on, s in (("", 5), (f" on {where}", 65))
    ]


def test_an_outage_names_ten_commands_and_counts_the_others() -> None:
    printed: list[str] = []
    reporter = ProgressReporter(None, pytest.fail, printed.append, None)
    reporter.report_outage([], AlpaconError("HTTP 502"))
    reporter.report_outage(waiting(*"abcdefghijkl"), AlpaconError("HTTP 502"))
    named = ", ".join(f"id-{letter}" for letter in "abcdefghij")
    assert printed == [
        "alpacon: the workspace has been down for 15 s. Commands whose results wait for it:"
        f" {named} and 2 more. HTTP 502"
    ]


GROUPS = ("a", "bcdef", "ghijk")


def test_five_offline_servers_are_named_and_the_others_counted() -> None:
    printed: list[str] = []
    reporter = ProgressReporter(None, printed.append, pytest.fail, None)
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


def test_commands_that_the_workspace_does_not_show_are_named_once_after_five_seconds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    printed: list[str] = []
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: clock.now))
    reporter = ProgressReporter(None, printed.append, pytest.fail, None)
    seen, first, second = waiting("seen", "first", "second")
    first.missing_since, second.missing_since = 1000.0, 1003.0
    for clock.now in (1004.9, 1005.0, 1006.0, 1009.0, 1020.0):
        reporter.report_missing([seen, first, second])
    assert ["id-first" in line for line in printed] == [True, False]
    assert ["id-second" in line for line in printed] == [False, True]
    assert [f"up to {left} s" in line for left, line in zip((30, 26), printed)] == [True, True]
