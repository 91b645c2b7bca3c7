# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What becomes of jobs whose submits are answered."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from system.conftest import Connect
from system.support import Reply, ScriptedServer

from ansible_collections.herdops.alpacon.plugins.module_utils._api.records import Server
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.fleet import Fleet
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.jobs import Job, Limits
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.run import Run
from ansible_collections.herdops.alpacon.tests.unit.support import SERVER, current_row

Serve = Callable[..., ScriptedServer]


def job(line: str) -> Job:
    body = {"server": SERVER, "shell": "system", "line": line, "username": "", "groupname": "", "scheduled_at": None}
    return Job(Server(SERVER), body=body)


@pytest.mark.parametrize(
    ("status", "code", "told"),
    [(400, "api_token_acl_not_allowed", True), (403, "api_token_acl_not_allowed", False), (400, "invalid", False)],
)
def test_that_no_line_break_is_let_through_is_told_where_that_is_so(
    serve: Serve, connect: Connect, status: int, code: str, told: bool
) -> None:
    refused = job("echo a\necho b")
    client = connect(serve([Reply({"code": code}, status)]))
    Fleet(client, Limits()).run([refused])
    assert refused.outcome == "refused"
    assert ("lets no line with a line break through" in refused.note) is told


def test_a_journal_that_cannot_be_written_changes_nothing_of_what_is_submitted(
    serve: Serve, connect: Connect, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    client = connect(serve([Reply({"code": "invalid"}, 400), Reply([current_row()], 201)]))
    jobs = [job("true"), job("uptime")]
    Fleet(client, Limits(wait=False, max_concurrency=1), run=Run(journal_file=tmp_path / "file/run.ids")).run(jobs)
    assert [(done.outcome, done.note) for done in jobs] == [("refused", ""), ("pending", "")]
