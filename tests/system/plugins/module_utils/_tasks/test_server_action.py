# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test alpacon_server_action: outcomes, versions, lost responses, limits and requests."""

from __future__ import annotations

import itertools
import re
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from system.plays import wait_until
from system.support import AGENTS, Request, Response, ScriptedServer, TaskResult, count_methods, request_paths
from workspace.client import Workspace

from ansible_collections.herdops.alpacon.plugins.module_utils._api.client import Client
from ansible_collections.herdops.alpacon.plugins.module_utils._api.commands import submit_action
from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import UsageError
from ansible_collections.herdops.alpacon.plugins.module_utils._api.records import Command
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet import server_actions
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.jobs import Job
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.pacing import PACING
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.poller import Poller
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.run import HostLocks, Run, RunContext
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.submitting import LostSubmitFinder
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks import server_action
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.server_action import SPEC, run_server_action
from ansible_collections.herdops.alpacon.tests.unit.support import NO_COMMAND, SERVER, Row, current_row, page

in_both_dialects = pytest.mark.parametrize("workspace", ["current", "2024"], indirect=True)
ACTIONS = "/actions/"


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    quick = replace(server_actions.ACTION_PACING, first_poll=0.1, alone=0.2, steady=0.2, longest=0.3, per_page=0.0)
    monkeypatch.setattr(server_action, "ACTION_PACING", quick)
    monkeypatch.setattr(server_actions, "PACING", replace(PACING, patience=1.0, running=0.5))
    monkeypatch.setattr(server_actions, "_HEALTH_WINDOW", 2.0)


def act(target: Workspace | ScriptedServer, action: str, run: Run | None = None, **given: Any) -> TaskResult:
    """Run a task, and check the number of requests that it returns."""
    token = target.token if isinstance(target, Workspace) else "alpat-x"
    defaults = {name: option.get("default") for name, option in SPEC.items()}
    options = {**defaults, "url": target.url, "token": token, "action": action, "servers": ["web-01"], **given}
    warnings: list[str] = []
    before = target.requests_made() if isinstance(target, Workspace) else len(target.requests)
    result = run_server_action(options, run or Run(warn=warnings.append))
    after = target.requests_made() if isinstance(target, Workspace) else len(target.requests)
    assert result["requests"] == after - before
    return TaskResult(result, warnings)


def outcomes(done: TaskResult) -> list[str]:
    return [server["outcome"] for server in done["servers"]]


@in_both_dialects
def test_an_upgrade_ends_with_the_new_version(workspace: Workspace) -> None:
    workspace.settings(offered_version="2.6.0")
    done = act(workspace, "upgrade_agent", servers=[*AGENTS], version="2.6.0")
    assert not done.failed, done.result
    assert done["summary"] == {"success": 3}
    for server in done["servers"]:
        assert (server["version_before"], server["version"], server["changed"]) == ("2.5.0", "2.6.0", True)
        assert server["msg"] == "Upgraded from 2.5.0 to 2.6.0."
        assert server["started_at"] > workspace.commands(id=server["command_id"])[0]["added_at"][:19]
    again = act(workspace, "upgrade_agent", servers=[*AGENTS], version="v2.5.9")
    assert (again.changed, again.failed) == (False, False)
    assert again["requests"] == (1 if workspace.dialect == "current" else 4)
    assert again["servers"][0]["msg"] == "The agent has version 2.6.0 already."
    assert len(workspace.commands()) == 3


def test_an_agent_without_a_newer_version_is_unchanged(current: Workspace) -> None:
    done = act(current, "upgrade_agent")
    assert (done["outcome"], done.changed) == ("success", False)
    assert done["msg"] == "Nothing was installed. The agent has 2.5.0."
    wanted = act(current, "upgrade_agent", version="2.6.0")
    assert (wanted["outcome"], wanted.changed, wanted.failed) == ("failed", False, True)
    assert wanted["msg"].startswith("The agent still has 2.5.0, not 2.6.0. The workspace, or the package repository")


def test_an_upgrade_waits_for_a_late_restart(current: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    current.settings(offered_version="2.6.0", restart_delay=2.0)
    assert act(current, "upgrade_agent")["version"] == "2.6.0"
    # The package manager said that it installed something, and the agent never restarts.
    monkeypatch.setattr(server_actions, "_LATE_RESTART", 0.5)
    current.settings(offered_version="2.7.0", restart_delay=60)
    done = act(current, "upgrade_agent")
    assert (done["outcome"], done["version"], done.changed) == ("success", "2.6.0", True)
    assert done["msg"] == "The upgrade succeeded, and the agent still runs 2.6.0."


def test_an_upgrade_waits_for_the_restart_of_an_earlier_one(current: Workspace) -> None:
    current.settings(offered_version="2.6.0", restart_delay=4.0)
    act(current, "upgrade_agent", wait=False)
    wait_until(lambda: current.commands()[0]["status"] == "success")
    done = act(current, "upgrade_agent", version="2.6.0")
    assert (done["outcome"], done["version"], done.changed) == ("success", "2.6.0", False), done["msg"]


def count_server_reads(workspace: Workspace) -> int:
    """Count the requests that read servers."""
    return sum("/servers/servers/" in path for path in request_paths(workspace))


@pytest.mark.parametrize(("pinned", "version"), [("2.6.0", "2.6.0"), ("2.4.0", None)])
def test_a_pinned_version_is_a_success_once_its_health_window_has_passed(
    current: Workspace, pinned: str, version: str | None
) -> None:
    current.settings(pinned_version=pinned)
    done = act(current, "upgrade_agent", version=version)
    assert (done["outcome"], done["version"], done.changed) == ("success", pinned, True)
    # The agent refuses upgrades until then.
    again = act(current, "upgrade_agent")
    assert (again["outcome"], again["msg"], again.changed) == (
        "success",
        f"Nothing was installed. The agent has {pinned}.",
        False,
    )


@pytest.mark.parametrize("is_lost", [False, True])
def test_a_pinned_version_that_is_rolled_back_is_a_failure(current: Workspace, is_lost: bool) -> None:
    current.settings(pinned_version="2.6.0", unhealthy_versions=["2.6.0"], health_window=1.5, repeat_unit=0.02)
    if is_lost:
        current.fault("status", method="POST", path="/fin/$", agents=True, status=503)
    done = act(current, "upgrade_agent", version="2.6.0")
    assert (done["outcome"], done["version"], done.changed) == ("failed", "2.5.0", True)
    assert done["msg"] == "Upgraded from 2.5.0 to 2.6.0, and rolled back to 2.5.0."


def test_a_health_window_takes_few_requests(current: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    # On a busy machine, agents end their commands and connect again late, which adds reads outside the window.
    monkeypatch.setattr(server_actions, "PACING", replace(PACING, patience=1.0, running=60.0))
    monkeypatch.setattr(server_actions, "_HEALTH_WINDOW", 4.0)
    current.settings(pinned_version="2.6.0")
    done = act(current, "upgrade_agent", servers=[*AGENTS])
    assert outcomes(done) == ["success"] * 3
    # The names, and once more when the windows have passed.
    assert count_server_reads(current) <= 4


def test_a_health_window_that_outlasts_wait_timeout(current: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_actions, "_HEALTH_WINDOW", 480.0)
    current.settings(pinned_version="2.6.0")
    done = act(current, "upgrade_agent", wait_timeout="2s")
    assert (done["outcome"], done["version"], done.failed) == ("timed_out", "2.6.0", True)
    assert "The agent has 2.6.0 now, and may still be rolled back." in done["msg"]


def test_an_upgrade_that_the_agent_refuses_fails_and_says_so(current: Workspace) -> None:
    current.settings(pinned_version="2.6.0", health_window=30.0)
    act(current, "upgrade_agent", wait=False)
    wait_until(lambda: act(current, "upgrade_agent", Run(check_mode=True))["version"] == "2.6.0")
    current.wait_connected("web-01")
    done = act(current, "upgrade_agent")
    assert (done["outcome"], done.changed, done.failed) == ("failed", False, True)
    assert done["msg"].startswith("Nothing was installed. Upgrade refused: ")
    assert done["msg"].endswith("Retry once it completes.")


@pytest.mark.parametrize("offered", ["2.6.0", ""])
def test_an_upgrade_waits_for_another_one_that_is_in_progress(
    current: Workspace, monkeypatch: pytest.MonkeyPatch, offered: str
) -> None:
    if offered:
        monkeypatch.setattr(server_actions, "_HEALTH_WINDOW", 8.0)
    current.settings(offered_version=offered, upgrade_seconds=4.0)
    act(current, "upgrade_agent", wait=False)
    wait_until(lambda: current.commands()[0]["status"] == "running")
    done = act(current, "upgrade_agent", version="2.6.0")
    assert current.commands()[1]["result_begin"] == "Upgrade already in progress."
    if offered:
        assert (done["outcome"], done["version"], done.changed) == ("success", "2.6.0", True)
    else:
        assert (done["outcome"], done["version"], done.changed) == ("failed", "2.5.0", False)
        assert done["msg"] == "Another upgrade was in progress, and the agent still has 2.5.0. Run the task again."


def test_an_upgrade_to_less_than_the_wanted_version_fails(current: Workspace) -> None:
    current.settings(offered_version="2.6.0")
    done = act(current, "upgrade_agent", version="2.7.0")
    assert (done["outcome"], done["version"], done.changed) == ("failed", "2.6.0", True)
    assert done["msg"].startswith("Upgraded from 2.5.0 to 2.6.0 only. The workspace, or the package")


def test_an_unknown_version_is_not_skipped(current: Workspace) -> None:
    current.change_server("web-01", version=None)
    current.settings(offered_version="2.6.0")
    done = act(current, "upgrade_agent", version="2.0.0")
    assert (done["version_before"], done["version"], done.changed) == (None, "2.6.0", True)


@in_both_dialects
def test_a_restart_ends_with_a_new_start_and_without_a_result(workspace: Workspace) -> None:
    done = act(workspace, "restart_agent", servers=[*AGENTS])
    assert outcomes(done) == ["success"] * 3, done.result
    assert done.changed
    assert {row["status"] for row in workspace.commands()} == {"running"}
    # Each action is submitted once.
    assert count_methods(workspace)["POST"] == 3


def test_information_is_updated(current: Workspace) -> None:
    done = act(current, "update_information")
    assert (done["outcome"], done["msg"], done.changed) == ("success", "Updated.", True)
    assert current.commands()[0]["line"] == "commit"
    pending = act(current, "update_information", wait=False)
    assert (pending["outcome"], pending.failed) == ("pending", False)
    # One read of the server by its name, and the submit.
    assert pending["requests"] == 2


def test_pam_is_installed_once(current: Workspace) -> None:
    current.settings(pam_servers=["web-02"])
    done = act(current, "install_pam", servers=["web-01", "web-02"])
    assert (outcomes(done), done.changed) == (["success"] * 2, True)
    assert [server["changed"] for server in done["servers"]] == [True, False]
    again = act(current, "install_pam")
    assert (again["outcome"], again.changed, again.failed) == ("success", False, False)
    # An upgrade asks the package manager for alpamon-pam alone then.
    upgraded = act(current, "upgrade_agent")
    assert (upgraded["outcome"], upgraded.changed) == ("success", False)


def test_a_server_on_which_pam_cannot_be_installed(current: Workspace) -> None:
    current.settings(sudo_with_mfa=False)
    done = act(current, "install_pam")
    assert (done["outcome"], done.changed) == ("refused", False)
    assert done["msg"].startswith("alpamon-pam is for sudo that is confirmed by MFA")
    current.settings(sudo_with_mfa=True)
    current.fault("late_fin", server="web-01", line="install_pam", seconds=60)
    act(current, "install_pam", wait=False)
    assert act(current, "install_pam")["msg"].startswith("alpamon-pam is being installed on that server already.")
    current.change_server("web-01", platform="windows")
    assert act(current, "install_pam")["msg"].startswith("alpamon-pam cannot be installed on that server")
    current.change_server("web-01", platform="debian")


def test_a_server_that_does_not_come_back_times_out(current: Workspace) -> None:
    current.fault("disconnect", server="web-02", line="upgrade", seconds=600)
    current.settings(offered_version="2.6.0")
    done = act(current, "upgrade_agent", servers=["web-01", "web-02"], wait_timeout="4s")
    assert outcomes(done) == ["success", "timed_out"]
    assert "The agent has not come back: web-02, offline, last connected at " in done["servers"][1]["msg"]
    assert done["msg"].startswith("1 of 2 actions failed: web-02: Not finished within wait_timeout.")
    # It is offline now, so the next task submits nothing to it.
    again = act(current, "upgrade_agent", servers=["web-01", "web-02"], version="2.6.0")
    assert (outcomes(again), again.changed, again.failed) == (["success", "offline"], False, True)
    assert "Nothing was submitted to web-02, offline" in again["servers"][1]["msg"]


def test_an_outage_does_not_extend_wait_timeout(current: Workspace) -> None:
    current.fault("status", method="GET", path="events/commands", status=502, seconds=8)
    done = act(current, "update_information", wait_timeout="1s")
    assert done["outcome"] == "timed_out", "it is known to have ended only after the outage"
    assert "The last poll failed: " in done["msg"]


@in_both_dialects
def test_a_server_that_went_offline_is_refused(workspace: Workspace) -> None:
    # The list still shows it as connected.
    workspace.settings(read_lag=10)
    workspace.disconnect("web-01")
    done = act(workspace, "restart_agent")
    assert (done["outcome"], done.changed) == ("offline", False)
    assert count_methods(workspace)["POST"] == 1


def test_a_busy_server_needs_force(current: Workspace) -> None:
    current.settings(busy_servers=["web-01"])
    done = act(current, "restart_agent")
    assert (done["outcome"], done.changed) == ("refused", False)
    assert done["msg"].startswith("A user is working on the server. Try again later, or set force to true.")
    assert act(current, "restart_agent", force=True)["outcome"] == "success"


def test_a_workspace_without_actions(published: Workspace, serve: Callable[..., ScriptedServer]) -> None:
    assert act(published, "restart_agent")["outcome"] == "refused"
    row = {"id": SERVER, "name": "web-01", "is_connected": True, "version": "2.5.0", "started_at": None}
    html = "<h1>Not Found</h1><p>The requested resource was not found on this server.</p>"
    old = serve([Response(page([row])), Response(html, status=404)])
    done = act(old, "restart_agent")
    assert done["outcome"] == "refused"
    assert done["msg"].startswith("This workspace has no server actions.")


@pytest.mark.parametrize("kind", ["lose_after", "html"])
def test_a_lost_response_is_found_and_never_repeated(current: Workspace, kind: str) -> None:
    current.settings(offered_version="2.6.0")
    current.fault(kind, method="POST", path=ACTIONS, times=1)
    done = act(current, "upgrade_agent")
    assert (done["outcome"], done["version"], done.changed) == ("success", "2.6.0", True)
    assert len(current.commands()) == 1


def test_a_lost_response_is_decided_by_the_server_if_no_command_shows(current: Workspace) -> None:
    current.settings(offered_version="2.6.0")
    current.fault("lose_after", method="POST", path=ACTIONS, times=1)
    current.fault("status", method="GET", path="events/commands", status=403, body='{"code": "forbidden"}')
    done = act(current, "upgrade_agent")
    assert (done["outcome"], done["version"], done["command_id"]) == ("success", "2.6.0", None)
    assert done["msg"] == "Upgraded from 2.5.0 to 2.6.0. The response to its submit was lost."


def test_a_submit_that_never_arrived_is_unknown(current: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LostSubmitFinder, "_get_end", lambda _self, job: job.awaited_since + 0.5)
    current.fault("lose_before", method="POST", path=ACTIONS)
    done = act(current, "restart_agent")
    assert (done["outcome"], done.changed, done.failed) == ("unknown", True, True)
    assert count_methods(current)["POST"] == 1


def test_a_search_changes_no_outcome_that_the_server_decided(
    current: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LostSubmitFinder, "_is_unknown", lambda _self, job, *_rest: job.outcome is not None)
    current.settings(offered_version="2.6.0")
    current.fault("disconnect", server="web-02", line="upgrade", seconds=600)
    current.fault("lose_after", method="POST", path=ACTIONS, times=1)
    current.fault("status", method="GET", path="events/commands", status=403, body='{"code": "forbidden"}')
    done = act(current, "upgrade_agent", servers=["web-01", "web-02"], max_concurrency="1", wait_timeout="4s")
    assert outcomes(done) == ["success", "timed_out"]


def test_a_search_that_outlasts_wait_timeout_polls_no_server(
    current: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LostSubmitFinder, "_is_unknown", lambda _self, job, now, _rest: now > job.awaited_since + 2.0)
    current.fault("lose_before", method="POST", path=ACTIONS)
    done = act(current, "restart_agent", wait_timeout="1s")
    assert done["outcome"] == "unknown"
    assert done["requests"] < 30


def test_an_unexpected_error_in_a_poll_keeps_all_ids(current: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: Any, **_options: Any) -> None:
        raise RuntimeError("unexpected failure")

    monkeypatch.setattr(Poller, "poll", fail)
    done = act(current, "update_information", servers=[*AGENTS], wait_timeout="1s")
    assert {server["command_id"] for server in done["servers"]} == {command["id"] for command in current.commands()}
    assert outcomes(done) == ["timed_out"] * 3
    assert all("unexpected failure" in server["msg"] for server in done["servers"])


def test_a_slow_submit_delays_no_poll(current: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    has_ended = threading.Event()
    poll_once = Poller.poll

    def submit_slowly(client: Client, body: Row, *arguments: Any, **options: Any) -> Command:
        if body["server"] == slow:
            assert has_ended.wait(20), "no poll found the end of the other command"
        return submit_action(client, body, *arguments, **options)

    def poll(poller: Poller, jobs: list[Job], *arguments: Any, **options: Any) -> None:
        poll_once(poller, jobs, *arguments, **options)
        if any(job.submitted.finished for job in jobs):
            has_ended.set()

    slow = current.server_ids()["web-02"]
    monkeypatch.setattr(server_action, "submit_action", submit_slowly)
    monkeypatch.setattr(Poller, "poll", poll)
    done = act(current, "update_information", servers=["web-01", "web-02"])
    assert outcomes(done) == ["success"] * 2, done.result


def test_a_failed_upgrade(current: Workspace) -> None:
    current.fault("fail_start", line="upgrade", reason="queue_full")
    done = act(current, "upgrade_agent")
    assert (done["outcome"], done["msg"]) == (
        "failed",
        "The command failed: Failed to submit command: job queue is full",
    )


def test_a_restart_that_loses_the_end_of_an_upgrade(current: Workspace) -> None:
    """Ignore a failed command if the version says otherwise."""
    current.settings(offered_version="2.6.0", restart_delay=0.5, repeat_unit=0.02)
    current.fault("status", method="POST", path="/fin/$", agents=True, status=503)
    done = act(current, "upgrade_agent")
    assert done["version"] == "2.6.0", done.result


def test_max_errors_stops_the_submits(current: Workspace) -> None:
    current.settings(busy_servers=["web-01"])
    done = act(current, "restart_agent", servers=[*AGENTS], max_concurrency="1", max_errors="0")
    assert outcomes(done) == ["refused", "not_tried", "not_tried"]
    assert current.commands() == []


def test_servers_that_are_offline_count_as_errors(current: Workspace) -> None:
    current.disconnect("web-02")
    done = act(current, "restart_agent", servers=[*AGENTS], max_errors="0")
    assert outcomes(done) == ["not_tried", "offline", "not_tried"]
    assert outcomes(act(current, "restart_agent", servers=[*AGENTS], max_errors="50%"))[::2] == ["success"] * 2


def test_a_later_attempt_reports_the_upgrade_of_an_earlier_one(current: Workspace) -> None:
    current.settings(offered_version="2.6.0", restart_delay=2.0)
    run = Run(earlier_submits={})
    assert act(current, "upgrade_agent", run, version="2.6.0", wait_timeout="1s")["outcome"] == "timed_out"
    wait_until(lambda: act(current, "upgrade_agent", Run(check_mode=True))["version"] == "2.6.0")
    again = act(current, "upgrade_agent", run, version="2.6.0")
    assert (again["outcome"], again.changed, count_methods(current)["POST"]) == ("success", True, 1)


def test_a_version_that_reads_show_late_is_no_upgrade(serve: Callable[..., ScriptedServer]) -> None:
    shown = itertools.chain(["2.5.0"] * 2, itertools.repeat("2.6.0"))
    result = "Already up-to-date (alpamon: 2.6.0, pam: not installed)"
    command = current_row(line="upgrade", status="success", success=True, exit_code=0, result=result)

    def answer(request: Request) -> Response:
        if request.path != f"/api/servers/servers/{SERVER}/":
            return Response([command] if request.method == "POST" else command)
        row = {"id": SERVER, "name": "web-01", "is_connected": True, "version": next(shown)}
        return Response(row)

    done = act(serve(answer), "upgrade_agent", servers=[SERVER], version="2.6.0")
    assert (done["outcome"], done["version"], done.changed) == ("success", "2.6.0", False)


def test_an_upgrade_waits_for_the_restart_after_an_earlier_one_that_dnf_does_not_state(
    serve: Callable[..., ScriptedServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_actions, "PACING", replace(PACING, patience=0.2, running=0.1))
    shown = itertools.chain(["2.5.0"] * 6, itertools.repeat("2.6.0"))
    result = "Dependencies resolved.\nNothing to do.\nComplete!"
    command = current_row(line="upgrade", status="success", success=True, exit_code=0, result=result)

    def answer(request: Request) -> Response:
        if request.path != f"/api/servers/servers/{SERVER}/":
            return Response([command] if request.method == "POST" else command)
        row = {"id": SERVER, "name": "web-01", "is_connected": True, "version": next(shown)}
        return Response(row)

    done = act(serve(answer), "upgrade_agent", servers=[SERVER], version="2.6.0")
    assert (done["outcome"], done["version"], done.changed) == ("success", "2.6.0", False), done["msg"]
    # Without a version to wait for, the task ends with what the agent has.
    monkeypatch.setattr(server_actions, "_LATE_RESTART", 60.0)
    shown = itertools.chain(itertools.repeat("2.5.0"))
    assert act(serve(answer), "upgrade_agent", servers=[SERVER])["msg"] == "Nothing was installed. The agent has 2.5.0."


def test_max_concurrency_waits_for_the_end(current: Workspace) -> None:
    done = act(current, "restart_agent", servers=[*AGENTS], max_concurrency="1")
    assert outcomes(done) == ["success"] * 3
    commands = {row["server"]: row for row in current.commands()}
    ended = [server["started_at"] for server in done["servers"]]
    begun = [commands[name]["added_at"] for name in AGENTS]
    assert begun[1] > ended[0][:19]
    assert begun[2] > ended[1][:19]


def test_check_mode_submits_nothing(current: Workspace) -> None:
    current.change_server("web-01", version="2.6.0")
    current.disconnect("web-03")
    run = Run(check_mode=True, diff_mode=True)
    done = act(current, "upgrade_agent", run, servers=[*AGENTS], version="2.6.0")
    assert outcomes(done) == ["success", None, "offline"]
    assert [server["changed"] for server in done["servers"]] == [False, True, False]
    assert done["diff"] == {"before": "web-02: 2.5.0\n", "after": "web-02: 2.6.0\n"}
    assert done["msg"].startswith("1 of 3 actions failed: web-03: Never ran: the server is offline.")
    assert (count_methods(current)["POST"], done["requests"]) == (0, 1)
    assert act(current, "restart_agent", run, servers=["web-01", "web-02"])["msg"] == "2 actions would be submitted."


def test_diff_mode_shows_the_versions(current: Workspace) -> None:
    current.settings(offered_version="2.6.0")
    done = act(current, "upgrade_agent", Run(diff_mode=True))
    assert done["diff"] == {"before": "web-01: 2.5.0\n", "after": "web-01: 2.6.0\n"}


def test_a_hundred_servers_take_few_reads(current: Workspace) -> None:
    names = [f"app-{number:03d}" for number in range(100)]
    current.add_servers(*names, agent=True)
    current.wait_connected(*names)
    current.settings(offered_version="2.6.0")
    done = act(current, "upgrade_agent", servers=names, version="2.6.0")
    assert done["summary"] == {"success": 100}, done["msg"]
    # A server or command is read by itself only if it is the last one.
    assert sum(bool(re.search("/[0-9a-f-]{36}/", path)) for path in request_paths(current)) <= 6


def test_a_command_in_the_journal_is_removed_at_its_end(current: Workspace, tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    context = RunContext(journal_file=journal)
    current.fault("lose_after", method="POST", path=ACTIONS, times=1)
    assert act(current, "restart_agent", Run(context))["outcome"] == "success"
    assert not journal.exists()
    assert act(current, "update_information", Run(context), wait=False)["outcome"] == "pending"


def test_a_second_host_of_a_task_cannot_act_on_the_same_server(current: Workspace, tmp_path: Path) -> None:
    for host, fails in (("first", False), ("second", True)):
        run = Run(host_locks=HostLocks(tmp_path, "task", host))
        if fails:
            with pytest.raises(UsageError, match="gets this command for host first"):
                act(current, "update_information", run)
        else:
            act(current, "update_information", run)


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"servers": ["web-01", "web-1"]}, "servers: no server is named web-1. Did you mean web-0"),
        ({"servers": [NO_COMMAND]}, f"servers: no server is named {NO_COMMAND}. Check the UUID."),
        ({"servers": []}, "servers: it is empty"),
        ({"version": "latest"}, "version: 'latest' is not a version."),
        ({"version": "2.1"}, "version: '2.1' is not a version."),
        ({"action": "restart_agent", "version": "2.6.0"}, "version: it cannot be used with action=restart_agent"),
        ({"action": "install_pam", "force": True}, "force: it cannot be used with action=install_pam"),
        ({"max_concurrency": "2", "wait": False}, "max_concurrency: it cannot be used with wait=false"),
        ({"wait_timeout": "0"}, "wait_timeout: 0 is not a valid timeout"),
    ],
)
def test_bad_options_submit_nothing(current: Workspace, given: Row, problem: str) -> None:
    with pytest.raises(UsageError) as caught:
        act(current, **{"action": "upgrade_agent", **given})
    assert str(caught.value).startswith(problem)
    assert count_methods(current)["POST"] == 0


def test_two_references_to_one_server(current: Workspace) -> None:
    with pytest.raises(UsageError, match="are the same server"):
        act(current, "restart_agent", servers=["web-01", current.server_ids()["web-01"].upper()])


def test_texts_of_the_workspace_are_only_data(serve: Callable[..., ScriptedServer]) -> None:
    odd = "\x1b[2J{{ 1 }}"
    row = {"id": SERVER, "name": f"web{odd}", "is_connected": True, "version": "9" * 5000, "started_at": None}
    command = current_row(shell="internal", line=odd, status="failed", success=False, exit_code=1, result=odd)
    server = serve(
        lambda request: (
            Response([command], status=201)
            if request.method == "POST"
            else Response(row if SERVER in request.path else command)
        )
    )
    done = act(server, "upgrade_agent", servers=[SERVER], wait_timeout="3s")
    assert done["msg"] == "The command failed: \\x1b[2J{{ 1 }}"
    assert done["name"] == "web\\x1b[2J{{ 1 }}"
