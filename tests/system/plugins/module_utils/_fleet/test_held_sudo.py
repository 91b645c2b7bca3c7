# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Commands whose sudo a person decides on: what each decision does, and that nothing runs twice."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest
from system.plays import wait_until
from system.support import AGENTS, TaskResult, command_options, run
from workspace.client import Workspace

from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import RunIsOver
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet import held_sudo
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.run import Run, RunContext
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.command import run_command
from ansible_collections.herdops.alpacon.tests.unit.support import Row

LINE = "sudo echo done"
DENIAL = "Alpacon denied this sudo command (SUDO_APPROVAL_REQUIRED)."


@pytest.fixture(autouse=True)
def _held(current: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held_sudo, "FIRST", 0.05)
    monkeypatch.setattr(held_sudo, "EACH", 0.05)
    current.settings(sudo_holds=[{}])


def held(workspace: Workspace) -> list[Row]:
    return [row for row in workspace.commands() if row["sudo_grant_status"] in held_sudo.HELD]


def decide(workspace: Workspace, decision: str, count: int = 1) -> None:
    wait_until(lambda: len(held(workspace)) == count)
    for row in held(workspace):
        workspace.decide(row["id"], decision)


@contextmanager
def person(workspace: Workspace, decision: str, count: int = 1) -> Iterator[None]:
    thread = threading.Thread(target=decide, args=(workspace, decision, count))
    thread.start()
    yield
    thread.join()


def submit(workspace: Workspace, **given: Any) -> TaskResult:
    line = {} if "argv" in given or "script" in given else {"line": LINE}
    return run(workspace, **{"servers": ["web-01"], "wait_for_approval": True, **line, **given})


def count_runs(workspace: Workspace) -> int:
    return sum(row["run_count"] for row in workspace.commands())


@pytest.mark.parametrize("status", sorted(held_sudo.HELD))
def test_a_granted_sudo_is_submitted_once_more(current: Workspace, status: str) -> None:
    current.settings(sudo_holds=[{"status": status}])
    with person(current, "approve"):
        done = submit(current)
    assert (done["outcome"], done["stdout"], done["rc"]) == ("success", "done", 0), done["msg"]
    assert (len(current.commands()), count_runs(current)) == (2, 1)
    first = next(row for row in current.commands() if row["id"] != done["id"])
    assert first["id"] in done["msg"]


def test_a_granted_argv_is_submitted_once_more(current: Workspace, tmp_path: Path) -> None:
    (tmp_path / "sudo").write_text('#!/bin/sh\nexec "$@"\n', encoding="utf-8")
    (tmp_path / "sudo").chmod(0o755)
    with person(current, "approve"):
        done = submit(current, argv=[f"{tmp_path}/sudo", "echo", "a;b"])
    assert (done["outcome"], done["stdout"], count_runs(current)) == ("success", "a;b", 1), done["msg"]


@pytest.mark.parametrize(("decision", "outcome"), [("reject", "rejected"), ("expire", "expired"), ("use", "unknown")])
def test_what_is_not_granted_is_not_submitted_again(current: Workspace, decision: str, outcome: str) -> None:
    with person(current, decision):
        done = submit(current)
    assert (done["outcome"], done.failed, len(current.commands())) == (outcome, True, 1), done["msg"]


@pytest.mark.parametrize(
    ("rule", "given"),
    [
        ({}, {"line": "echo before; sudo echo done"}),
        ({}, {"line": "sudo sh -c 'echo before'"}),
        ({"output": "before\n"}, {}),
        ({"line": "script:"}, {"script": "job.sh", "_script_content": "ZWNobw=="}),
        ({}, {"output_limit": 20}),
        ({"output": "before\n"}, {"output_limit": len(DENIAL)}),
    ],
)
def test_what_may_have_done_other_work_is_not_submitted_again(
    current: Workspace, tmp_path: Path, rule: Row, given: Row
) -> None:
    current.settings(sudo_holds=[rule])
    if "output_limit" in given:
        given = {**given, "output_dir": str(tmp_path)}
    done = submit(current, **given)
    assert (done["outcome"], len(current.commands())) == ("failed", 1)
    assert "not submitted again" in done["msg"] or "output_limit" in given


@pytest.mark.parametrize("given", [{"wait_for_approval": False}, {"grants": False}])
def test_without_the_option_or_the_status_the_task_fails_at_once(current: Workspace, given: Row) -> None:
    current.settings(sudo_grants=given.pop("grants", True))
    done = submit(current, **given)
    assert (done["outcome"], done["rc"], len(current.commands())) == ("failed", 1, 1)
    assert "An approval of it is pending" in done["msg"]


def test_a_sudo_that_is_held_a_second_time_is_not_submitted_a_third_time(current: Workspace) -> None:
    def approve_and_use() -> None:
        wait_until(lambda: len(held(current)) == 1)
        [row] = held(current)
        current.settings(sudo_holds=[{"line": "^sudo"}])
        current.change_command(row["id"], sudo_grant_status="authorized", line="another")
        decide(current, "approve")

    thread = threading.Thread(target=approve_and_use)
    thread.start()
    done = submit(current)
    thread.join()
    assert (done["outcome"], len(current.commands()), count_runs(current)) == ("failed", 2, 0)


@pytest.mark.parametrize("limit", ["wait_timeout", "not_after"])
def test_nobody_decides_in_time(current: Workspace, limit: str) -> None:
    done = submit(current, **{limit: "3s"})
    assert (done["outcome"], len(current.commands())) == ("failed", 1)
    assert limit in done["msg"]


def test_several_servers_are_decided_one_by_one(current: Workspace) -> None:
    current.settings(sudo_holds=[{"servers": ["web-01", "web-02"]}, {"line": "^never$"}])

    def decide_each() -> None:
        wait_until(lambda: len(held(current)) == 2)
        for row in held(current):
            current.decide(row["id"], "approve" if row["server"] == "web-01" else "reject")

    thread = threading.Thread(target=decide_each)
    thread.start()
    done = submit(current, servers=[*AGENTS], line="sudo id")
    thread.join()
    outcomes = {command["server"]["name"]: command["outcome"] for command in done.commands}
    assert (outcomes["web-01"], outcomes["web-02"], len(current.commands())) == ("success", "rejected", 4)


def test_it_is_read_seldom(current: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held_sudo, "FIRST", 60.0)
    done = submit(current, wait_timeout="3s")
    # The submit, polls, and one read of the status at the beginning and at the end.
    assert (done["outcome"], done["requests"] < 10) == ("failed", True), done["requests"]


@pytest.mark.parametrize("kind", ["lose_after", "html"])
def test_a_lost_response_never_runs_it_twice(current: Workspace, kind: str) -> None:
    fault: Row = {"kind": "html", "status": 502} if kind == "html" else {"kind": kind}

    def approve() -> None:
        wait_until(lambda: len(held(current)) == 1)
        current.fault(**fault, method="POST", path="events/commands/$", times=1)
        current.decide(held(current)[0]["id"], "approve")

    thread = threading.Thread(target=approve)
    thread.start()
    done = submit(current, wait_timeout="20s")
    thread.join()
    assert count_runs(current) == (done["outcome"] == "success"), done["msg"]
    assert done["outcome"] in ("success", "unknown")


@pytest.mark.parametrize("ends", ["held", "second"])
def test_a_killed_and_repeated_task_runs_it_once(current: Workspace, tmp_path: Path, ends: str) -> None:
    reported: list[str] = []

    def is_over() -> bool:
        return any("awaits a person" in line for line in reported) if ends == "held" else len(current.commands()) == 2

    def attempt(over: Callable[[], bool]) -> Row:
        options = command_options(current, servers=["web-01"], line=LINE, wait_for_approval=True)
        context = RunContext(journal_file=tmp_path / "run.ids", is_over=over, report=reported.append)
        return run_command(options, Run(context, earlier_submits=earlier))

    earlier: dict[str, Any] = {}
    with person(current, "approve") if ends == "second" else nullcontext(), pytest.raises(RunIsOver):
        attempt(is_over)
    if ends == "held":
        decide(current, "approve")
    # The journal names only commands that have not ended.
    assert (tmp_path / "run.ids").exists() == (ends == "second")
    assert attempt(lambda: False)["outcome"] == "success"
    assert count_runs(current) == 1


def test_a_command_that_was_searched_for_is_not_submitted_again(current: Workspace) -> None:
    current.fault("lose_after", method="POST", path="events/commands/$", times=1)
    done = submit(current, wait_timeout="20s")
    assert (done["outcome"], len(current.commands())) == ("failed", 1)
    assert "not submitted again" in done["msg"]


def test_a_rejected_sudo_is_not_submitted_by_a_retry(current: Workspace) -> None:
    run_with_retries = Run(earlier_submits={})
    options = command_options(current, servers=["web-01"], line=LINE, wait_for_approval=True, wait_timeout="9s")
    with person(current, "reject"):
        assert run_command(options, run_with_retries)["outcome"] == "rejected"
    assert run_command(options, run_with_retries)["outcome"] == "rejected"
    assert len(current.commands()) == 1
