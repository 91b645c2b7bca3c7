# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""alpacon_command with verified scripts: when they are uploaded, what is submitted, and how each refusal ends."""

from __future__ import annotations

import re
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from system.plays import wait_until
from system.support import AGENTS, TaskResult, command_options, count_methods, encode_script, run
from workspace.client import Workspace

from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import RunIsOver
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet import file_transfers, verified_scripts
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.pacing import PACING
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.run import Run, RunContext
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.command import run_command
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.command_options import CONTENT
from ansible_collections.herdops.alpacon.tests.unit.support import FAR, Row

SCRIPT = b'#!/bin/sh\necho "it ran: $*"\n'


@pytest.fixture(autouse=True)
def _lane(current: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verified_scripts, "_POLL", 0.05)
    monkeypatch.setattr(file_transfers, "_SHORTEST", 0.05)
    monkeypatch.setattr(file_transfers, "PACING", replace(PACING, patience=1.0))
    current.settings(file_roots=True)
    for name in AGENTS:
        current.change_server(name, version="2.8.3")


@pytest.fixture
def here(tmp_path: Path) -> Run:
    """Return a run on a controller that keeps notes."""
    return Run(RunContext(journal_file=tmp_path / "run.ids"))


def verify(workspace: Workspace, here: Run, content: bytes = SCRIPT, **given: Any) -> TaskResult:
    script = {"servers": ["web-01"], "script": "check.sh 'a b' c", "username": "root", "verified": True}
    options = command_options(workspace, **{**script, CONTENT: encode_script(content), **given})
    before = workspace.requests_made()
    result = run_command(options, here)
    assert result["requests"] == workspace.requests_made() - before
    return TaskResult(result, [])


def count_uploads(workspace: Workspace) -> int:
    return sum(row["starts"] for row in workspace.transfers())


def ran(workspace: Workspace) -> int:
    return sum(row["run_count"] for row in workspace.commands() if row["shell"] == "file")


def files(workspace: Workspace) -> list[str]:
    return [row["status"] for row in workspace.commands() if row["shell"] == "file"]


def test_an_unchanged_script_costs_one_submit_and_no_approval(current: Workspace, here: Run) -> None:
    first = verify(current, here, servers=[*AGENTS])
    assert (first.changed, first["summary"], count_uploads(current)) == (True, {"success": 3}, 3)
    assert {command["stdout"] for command in first.commands} == {"it ran: a b c"}
    assert re.fullmatch(r"/root/\.alpacon-check\.sh-[0-9a-f]{32}", first["path"])
    assert first.commands[0]["line"] == f"/bin/sh {first['path']} 'a b' c"
    before = count_methods(current)["POST"]
    second = verify(current, here, servers=[*AGENTS])
    assert (second["summary"], count_uploads(current)) == ({"success": 3}, 3)
    assert count_methods(current)["POST"] - before == 3
    changed = verify(current, here, content=SCRIPT + b"\n")
    assert (changed["outcome"], count_uploads(current)) == ("success", 4)
    assert changed["path"] != first["path"]


def test_without_a_note_a_script_that_is_there_is_no_error(current: Workspace, tmp_path: Path) -> None:
    for number in range(2):
        done = verify(current, Run(RunContext(journal_file=tmp_path / str(number) / "run.ids")))
        assert (done["outcome"], done["stdout"]) == ("success", "it ran: a b c")


def change_file(workspace: Workspace, done: TaskResult, content: str | None) -> None:
    """Change the file of a script on its server, or remove it, by an ordinary command."""
    path = f'"$HOME/../web-01.root{done["path"]}"'
    line = f"rm {path}" if content is None else f"printf '%s\\n' {content} > {path}"
    assert run(workspace, servers=["web-01"], line=line)["outcome"] == "success"


@pytest.mark.parametrize("content", [None, "evil", "$(seq 20000)"])
def test_a_script_that_is_gone_or_changed_is_uploaded_again(current: Workspace, here: Run, content: str | None) -> None:
    done = verify(current, here)
    change_file(current, done, content)
    again = verify(current, here)
    assert (again["outcome"], again["stdout"]) == ("success", "it ran: a b c"), again.result
    assert "uploaded for another submit" in again["msg"]
    # The agent ran nothing of the first of these.
    assert (files(current), ran(current), count_uploads(current)) == (["success", "failed", "success"], 2, 2)
    assert not here.context.journal_file.exists()  # type: ignore[union-attr]


def test_the_lost_response_to_its_second_submit_is_found(current: Workspace, here: Run) -> None:
    change_file(current, verify(current, here), "evil")
    current.fault("lose_after", method="POST", path="events/commands/$", after=1, times=1)
    again = verify(current, here)
    assert (again["outcome"], files(current), ran(current)) == ("success", ["success", "failed", "success"], 2)


def test_a_script_that_prints_a_refusal_runs_once(current: Workspace, here: Run) -> None:
    done = verify(current, here, b"echo file_open_failed: printed; echo more; exit 1\n")
    assert (done["outcome"], done["ran"], ran(current), count_uploads(current)) == ("failed", None, 1, 1)
    assert (done["stdout"], "Never ran" in done["msg"]) == ("file_open_failed: printed\nmore", False)
    assert "It may have run (file_open_failed)." in done["msg"]


def test_it_is_uploaded_again_once_only(current: Workspace, here: Run) -> None:
    verify(current, here)
    done = verify(current, here)
    change_file(current, done, "evil")
    # The agent says that it wrote the file.
    current.fault("half_file", line="download")
    again = verify(current, here)
    assert (again["outcome"], again["ran"], ran(current)) == ("failed", False, 2)
    assert again["error_phase"] == "file_hash_mismatch"
    assert "could not be uploaded" in again["msg"]


def test_half_a_script_never_runs(current: Workspace, here: Run) -> None:
    current.fault("half_file", line="download", times=1)
    first = verify(current, here)
    assert (first["outcome"], ran(current), files(current)) == ("refused", 0, [])
    assert "its upload did not succeed" in first["msg"]
    current.call("DELETE", "faults/")
    # The upload says that the file exists, and the agent that it is another one.
    second = verify(current, here)
    assert (second["outcome"], second["stdout"], ran(current)) == ("success", "it ran: a b c", 1)


def test_an_approval_is_asked_once(current: Workspace, here: Run) -> None:
    current.settings(file_review=True)
    held = verify(current, here, reuse_days=30)
    assert (held["outcome"], held.failed) == ("awaiting_approval", True)
    current.decide(held["id"], "approve", days=1)
    assert run(current, state="finished", ids=[held["id"]])["stdout"] == "it ran: a b c"
    for _night in range(2):
        assert verify(current, here)["outcome"] == "success"
    other = verify(current, here, script="check.sh other")
    assert other["outcome"] == "awaiting_approval"
    current.decide(other["id"], "reject")
    rejected = run(current, state="finished", ids=[other["id"]])
    assert (rejected["outcome"], rejected["ran"]) == ("rejected", False)


def test_the_second_night_asks_nobody_and_uploads_nothing(current: Workspace, here: Run) -> None:
    current.settings(file_review=True)
    night: dict[str, Any] = {"servers": [*AGENTS], "reuse_days": 30}
    assert verify(current, here, **night)["summary"] == {"awaiting_approval": 3}
    assert files(current) == ["awaiting_approval"] * 3
    for command in current.commands():
        if command["shell"] == "file":
            current.decide(command["id"], "approve", days=30)
    wait_until(lambda: files(current) == ["success"] * 3)
    before, uploads = count_methods(current)["POST"], count_uploads(current)
    second = verify(current, here, **night)
    # Each POST is the submit of a command that no person had to approve.
    assert (second["summary"], files(current)) == ({"success": 3}, ["success"] * 6)
    assert {"awaiting_approval"}.isdisjoint(command["status"] for command in second.commands)
    assert (count_methods(current)["POST"] - before, count_uploads(current) - uploads) == (3, 0)


def test_a_person_is_waited_for(current: Workspace, here: Run) -> None:
    current.settings(file_review=True)

    def approve() -> None:
        wait_until(lambda: files(current) == ["awaiting_approval"])
        current.decide(current.commands()[-1]["id"], "approve")

    thread = threading.Thread(target=approve)
    thread.start()
    done = verify(current, here, wait_for_approval=True)
    thread.join()
    assert (done["outcome"], done["stdout"]) == ("success", "it ran: a b c")


@pytest.mark.parametrize("word", ["lose_after", "html"])
@pytest.mark.parametrize("path", ["webftp/uploads/$", "uploads/.*/upload/$", "events/commands/$", "/bucket/"])
def test_a_lost_response_never_runs_it_twice(current: Workspace, here: Run, word: str, path: str) -> None:
    kind: Row = {"kind": "html", "status": 502} if word == "html" else {"kind": word}
    method = "PUT" if "bucket" in path else "GET" if path.endswith("/upload/$") else "POST"
    current.fault(**kind, method=method, path=path, times=1)
    done = verify(current, here, wait_timeout="20s")
    assert ran(current) == (done["outcome"] == "success"), done.result
    assert done["outcome"] in ("success", "refused", "unknown")
    assert count_uploads(current) <= 1


def test_nothing_is_submitted_if_the_run_ends_during_the_upload(current: Workspace, tmp_path: Path) -> None:
    current.fault("slow", method="GET", path="uploads/.*/status/", delay=2.0)
    journal = tmp_path / "run.ids"
    run_ends = Run(RunContext(journal_file=journal, is_over=lambda: count_uploads(current) > 0))
    with pytest.raises(RunIsOver):
        verify(current, run_ends)
    # No command might have been sent, so the journal has none.
    assert (files(current), journal.exists()) == ([], False)


@pytest.mark.parametrize("kind", ["html", "lose_before", "truncate"])
def test_a_server_that_cannot_be_read_is_no_lost_submit(current: Workspace, here: Run, kind: str) -> None:
    server = current.server_ids()["web-01"]
    # The first request finds the servers of the task.
    current.fault(kind, method="GET", path=f"servers/servers/{server}/$")
    done = verify(current, here, servers=[server], wait_timeout="3s")
    assert (done["outcome"], done["stdout"]) == ("success", "it ran: a b c"), done["msg"]


def test_an_agent_that_is_too_old_fails_alone(current: Workspace, here: Run) -> None:
    current.change_server("web-02", version="2.8.2")
    done = verify(current, here, servers=[*AGENTS])
    assert [command["outcome"] for command in done.commands] == ["success", "refused", "success"]
    assert "older than 2.8.3" in done.commands[1]["msg"]


def test_a_workspace_without_the_lane_is_asked_once_for_all(current: Workspace, here: Run) -> None:
    current.settings(file_lane=False)
    done = verify(current, here, servers=[*AGENTS], max_concurrency="1")
    assert [command["outcome"] for command in done.commands] == ["refused", "not_tried", "not_tried"]


def test_a_workspace_without_transfers(published: Workspace, here: Run) -> None:
    done = verify(published, here)
    assert (done["outcome"], done.changed) == ("refused", False)
    assert "has no file transfers" in done["msg"]


def test_a_schedule_has_its_script_on_the_server(current: Workspace, here: Run) -> None:
    when: Row = {"state": "scheduled", "scheduled_at": FAR}
    first = verify(current, here, **when)
    assert (first["outcome"], first.changed, count_uploads(current)) == ("pending", True, 1)
    again = verify(current, here, **when)
    assert (again["outcome"], again.changed, count_uploads(current)) == ("pending", False, 1)
    # The file may be gone meanwhile, and nobody could upload it when the command is due.
    verify(current, here, state="scheduled", scheduled_at="2041-01-01T00:00:00Z")
    assert count_uploads(current) == 2
    gone = verify(current, here, state="cancelled")
    assert (gone.changed, len(gone.commands)) == (True, 2)


def test_a_schedule_that_waits_for_a_person_says_so(current: Workspace, here: Run) -> None:
    current.settings(file_review=True)
    when: Row = {"state": "scheduled", "scheduled_at": FAR}
    assert "Would be uploaded, then scheduled" in verify(current, replace(here, check_mode=True), **when)["msg"]
    for is_new in (True, False):
        held = verify(current, here, **when)
        assert (held["outcome"], held.changed, files(current)) == ("pending", is_new, ["awaiting_approval"])
        assert "held for approval" in held["msg"]
    current.decide(held["id"], "approve")
    assert "held" not in verify(current, here, **when)["msg"]


def test_an_offline_server_gets_no_schedule_without_a_script(current: Workspace, here: Run) -> None:
    current.disconnect("web-01")
    done = verify(current, here, state="scheduled", scheduled_at=FAR)
    assert (done["outcome"], done.changed, files(current)) == ("offline", False, [])


def test_an_offline_server_gets_its_script_when_it_is_back(current: Workspace, here: Run) -> None:
    current.disconnect("web-01")

    def come_back() -> None:
        wait_until(lambda: files(current))
        current.connect("web-01")

    thread = threading.Thread(target=come_back)
    thread.start()
    done = verify(current, here)
    thread.join()
    assert (done["outcome"], done["stdout"]) == ("success", "it ran: a b c"), done.result
    assert (files(current), ran(current)) == (["failed", "success"], 1)


def test_check_mode_uploads_nothing(current: Workspace, here: Run) -> None:
    check = replace(here, check_mode=True)
    assert "Would be uploaded" in verify(current, check)["msg"]
    verify(current, here)
    assert "the server has the script" in verify(current, check)["msg"]
    assert (len(current.transfers()), ran(current)) == (1, 1)


def test_a_result_is_reused(current: Workspace, here: Run) -> None:
    verify(current, here)
    reused = verify(current, here, reuse_within="10m")
    assert (reused.changed, reused["stdout"], ran(current)) == (False, "it ran: a b c", 1)


def test_a_result_of_another_user_is_not_reused(current: Workspace, here: Run) -> None:
    other = current.add_user("eve", is_staff=True, is_superuser=True)
    # A line names the digest, and the bytes may be others.
    verify(current, here, token=other)
    done = verify(current, here, reuse_within="10m")
    assert (done["outcome"], done.changed, ran(current)) == ("success", True, 2)


def test_a_token_that_may_not_upload(current: Workspace, here: Run, tmp_path: Path) -> None:
    path = verify(current, here)["path"]
    # It runs on a controller without notes.
    others = Run(RunContext(journal_file=tmp_path / "other" / "run.ids"))
    token = current.add_token("one", "admin", acl=[f"/bin/sh {path} 'a b' c"], file_acl=[])
    assert verify(current, others, token=token)["outcome"] == "success"
    arguments: list[Row] = [{"script": "check.sh other"}, {"executable": "/bin/bash"}]
    for given in arguments:
        assert verify(current, others, token=token, **given)["outcome"] == "refused"
    assert verify(current, others, SCRIPT + b"#", token=token)["outcome"] == "refused"
    other = run(current, token=token, servers=["web-01"], line="id", username="root")
    assert other["outcome"] == "refused"
    missing = verify(current, others, token=token, servers=["web-02"])
    assert (missing["outcome"], missing["error_phase"]) == ("failed", "file_open_failed")
    assert "could not be uploaded" in missing["msg"]
    assert (count_uploads(current), ran(current)) == (1, 2)
