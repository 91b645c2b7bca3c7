# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A server gets the command of a task once, however many hosts the task runs for and however often it is tried."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.herdops.alpacon.plugins.module_utils._api.client import Client
from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import AlpaconError, UsageError
from ansible_collections.herdops.alpacon.plugins.module_utils._api.records import Command, Server
from ansible_collections.herdops.alpacon.plugins.module_utils._api.settings import Settings
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.jobs import Job, Outcome
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.run import EarlierSubmit, HostLocks, Run
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.submitting import Submitter
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.command_options import CommandOptions
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.command_task import (
    lock_named_servers,
    lock_servers,
)
from ansible_collections.herdops.alpacon.tests.unit.support import COMMAND, SERVER, TOKEN, command_options


def test_a_server_is_known_by_its_uuid_and_by_its_name(tmp_path: Path) -> None:
    first, second = (HostLocks(tmp_path, "task", host, remedy="Do so.") for host in ("first", "second"))
    # What is handed to another host finds its certificates there.
    options = command_options(servers=[SERVER.upper()], line="reboot", ca_path="/on/that/host")
    lock_named_servers(first, {**options, "url": "https://workspace.example/api/"})
    server = Server(SERVER, "many-1")
    with pytest.raises(UsageError, match=r"^servers: many-1 gets this command for host first of the task\..* Do so\.$"):
        lock_servers(second, CommandOptions.from_options(options), options["url"], [server])


@pytest.mark.parametrize(
    ("status", "outcome", "over"),
    [
        ("success", Outcome.SUCCESS, True),
        ("cancelled", Outcome.CANCELLED, True),
        # As the workspace says of what was carried, of whose answer nothing is there.
        ("success", Outcome.UNKNOWN, False),
        ("running", Outcome.TIMED_OUT, False),
        # Nobody is asked once more for what they have said no to.
        ("denied", Outcome.DENIED, False),
    ],
)
def test_a_retry_submits_again_only_what_is_over(status: str, outcome: Outcome, over: bool) -> None:
    earlier_submits = {"digest": EarlierSubmit(0.0, COMMAND)}
    job = Job(Server(SERVER), command=Command(COMMAND, Server(SERVER), "reboot", "system", status), digest="digest")
    job.finish(outcome)
    with Client(Settings("https://workspace.example", TOKEN)) as client:
        Submitter(client, Run(earlier_submits=earlier_submits)).finish([job])
    assert earlier_submits["digest"].over is over


def test_what_cannot_be_agreed_on_is_submitted_by_nobody(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(AlpaconError, match=f"cannot be agreed on in {tmp_path}/file: .*Not a directory"):
        HostLocks(tmp_path / "file", "task", "first").acquire([(SERVER, "digest")])


def test_who_cannot_have_all_leaves_the_rest_to_others(tmp_path: Path) -> None:
    first, second, third = (HostLocks(tmp_path, "task", host) for host in ("first", "second", "third"))
    assert first.acquire([("b", "digest")]) is None
    assert second.acquire([("a", "digest"), ("b", "digest")]) == ("b", "first")
    assert third.acquire([("a", "digest")]) is None
