# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test a rollout while its hosts run tasks, and when it ends before they do."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.herdops.alpacon.plugins.plugin_utils._failure_reason import find_failure_reason
from ansible_collections.herdops.alpacon.plugins.plugin_utils._rollout import (
    keep_ssh_alive,
    make_host_result,
)
from ansible_collections.herdops.alpacon.plugins.plugin_utils._rollout_progress import Ticker
from ansible_collections.herdops.alpacon.tests.unit.rollout_recorder import RolloutRecorder

WELL = {"outcome": "connected", "version": "2.5.0"}
FULL = {"outcome": "failed", "cause": "No space left on device"}
READ = {"__alpamon_host": {"version": "2.4.0"}}
INSTALL = "Install the package"
#: Of ansible-core 2.16, and of 2.19 and later.
TIMED_OUT = [
    "The ansible.builtin.apt action failed to execute in the expected time frame (1800) and was terminated",
    "Task failed: Timed out after 1800 second(s).",
]


def start_task(recorder: RolloutRecorder, *hosts: str, name: str = INSTALL) -> None:
    recorder.rollout.task_started(name)
    for host in hosts:
        recorder.rollout.host_started(host)


def test_progress_names_the_hosts_that_have_not_ended_the_task(tmp_path: Path) -> None:
    hosts = [f"web-{number}" for number in range(10)]
    recorder = RolloutRecorder(tmp_path, [*hosts, "later"], (10, 1))
    rollout = recorder.rollout
    assert rollout.describe_progress() == ""
    rollout.start_wave(hosts, (10, 1), 10)
    start_task(recorder, hosts[0], name="Before")
    rollout.host_ended(hosts[0])
    # It failed in an earlier task, and this one runs on some hosts only.
    rollout.host_failed(hosts[0], {"msg": "No."})
    assert rollout.describe_progress() == ""
    start_task(recorder, *hosts[1:4])
    recorder.now += 50
    for host in hosts[4:9]:
        rollout.host_started(host)
    for host in hosts[1:3]:
        rollout.host_ended(host)
    rollout.host_failed(hosts[2], {"msg": "No."})
    recorder.now += 10
    assert rollout.describe_progress() == (
        "wave 1 of 2: Install the package: 1 of 10 hosts done, 2 failed, running:"
        " web-3 (60 s), web-4 (10 s), web-5 (10 s), web-6 (10 s), web-7 (10 s) and 1 more"
    )
    for host in hosts:
        rollout.host_ended(host)
    assert rollout.describe_progress() == ""


def test_progress_has_no_control_characters(tmp_path: Path) -> None:
    recorder = RolloutRecorder(tmp_path, ["a\x1b[2J"])
    recorder.wave()
    start_task(recorder, "a\x1b[2J", name="\x07")
    assert "a\\x1b[2J (0 s)" in recorder.rollout.describe_progress()
    assert "\x07" not in recorder.rollout.describe_progress()


def test_seconds_of_a_host_are_those_of_its_own_tasks(tmp_path: Path) -> None:
    recorder = RolloutRecorder(tmp_path, ["slow", "quick"])
    rollout = recorder.rollout
    rollout.start_wave(["slow", "quick"], (), 10)
    for _task in range(2):
        start_task(recorder, "slow", "quick")
        recorder.now += 2
        rollout.host_ended("quick")
        recorder.now += 60
        rollout.host_ended("slow")
    rollout.add_results({"quick": WELL})
    start_task(recorder, "slow")
    recorder.now += 30
    rollout.end_rollout(interrupted=True)
    assert {host: row["seconds"] for host, row in recorder.rows.items()} == {"quick": 4, "slow": 154}


@pytest.mark.parametrize(
    ("facts", "version"),
    [
        (READ, ""),
        ({**READ, "__alpamon_host_after": {"version": "2.5.0"}}, "2.5.0"),
        # A rollback may have begun.
        ({**READ, "__alpamon_host_after": {"version": "2.5.0"}, "__alpamon_failed_cause": "No."}, ""),
        ({**READ, "__alpamon_host_after": {}, "alpamon_installed_version": "2.5.0"}, "2.5.0"),
    ],
)
def test_an_interrupted_host_has_no_version_that_may_be_gone(
    tmp_path: Path, facts: dict[str, Any], version: str
) -> None:
    recorder = RolloutRecorder(tmp_path, ["a", "b"])
    rollout = recorder.wave()
    recorder.facts["a"] = facts
    start_task(recorder, "a", "b")
    rollout.host_ended("b")
    rollout.end_rollout(interrupted=True)
    assert recorder.outcomes == {"a": "interrupted", "b": "interrupted"}
    assert recorder.rows["a"]["version"] == version


def test_an_interrupted_host_has_its_last_task_as_cause(tmp_path: Path) -> None:
    recorder = RolloutRecorder(tmp_path, ["runs", "waits", "skipped"])
    rollout = recorder.wave()
    start_task(recorder, "runs", "waits", "skipped", name="Read the state")
    for host in ("runs", "waits", "skipped"):
        rollout.host_ended(host)
    start_task(recorder, "runs", "waits")
    rollout.host_ended("waits")
    rollout.end_rollout(interrupted=True)
    causes = {host: row["cause"] for host, row in recorder.rows.items()}
    assert causes == {
        "runs": f"The run ended during the task '{INSTALL}'.",
        "waits": f"The run ended after the task '{INSTALL}'.",
        "skipped": "The run ended after the task 'Read the state'.",
    }


@pytest.mark.parametrize("is_next_started", [True, False])
def test_a_run_that_is_interrupted_between_two_tasks(tmp_path: Path, is_next_started: bool) -> None:
    recorder = RolloutRecorder(tmp_path, ["a"])
    rollout = recorder.wave()
    start_task(recorder, "a")
    rollout.host_ended("a")
    if is_next_started:
        rollout.task_started("Start the agent")
    rollout.end_rollout(interrupted=True)
    row = recorder.rows["a"]
    assert (row["outcome"], row["cause"]) == ("interrupted", f"The run ended after the task '{INSTALL}'.")


@pytest.mark.parametrize("has_failed", [True, False])
def test_an_unreachable_host_of_an_interrupted_run_is_unreachable(tmp_path: Path, has_failed: bool) -> None:
    recorder = RolloutRecorder(tmp_path, ["a"])
    rollout = recorder.wave()
    recorder.facts["a"] = {"__alpamon_host": {"unreachable": True, "msg": "No route to host."}}
    if has_failed:
        rollout.host_failed("a", {"msg": "No route to host."})
    rollout.end_rollout(interrupted=True)
    row = recorder.rows["a"]
    assert (row["outcome"], row["cause"]) == ("unreachable", "No route to host.")


@pytest.mark.parametrize(
    ("facts", "is_named"),
    [
        ({}, False),
        ({"rollout_token": {"failed": True}}, False),
        ({"rollout_token": {"name": "rollout-7", "key": "secret", "expires_at": "2031-01-01T03:00:00Z"}}, True),
    ],
)
@pytest.mark.parametrize(
    ("deleted", "may_be_left"), [({}, True), ({"failed": True}, True), ({"failed": False, "changed": True}, False)]
)
def test_a_registration_token_that_may_be_left_is_named(
    tmp_path: Path, facts: dict[str, Any], is_named: bool, deleted: dict[str, Any], may_be_left: bool
) -> None:
    recorder = RolloutRecorder(tmp_path, ["a", "b"], (1, 1))
    recorder.facts["a"] = {**facts, "rollout_deleted": deleted}
    rollout = recorder.wave("a")
    rollout.hosts_compared({"token_hosts": {"https://workspace.example": "a"}})
    rollout.add_results({"a": WELL})
    recorder.wave("b").add_results({"b": WELL})
    rollout.end_rollout(interrupted=True)
    named = [line for line in recorder.lines if "rollout-7" in line]
    assert len(named) == (is_named and may_be_left)
    assert all("2031-01-01T03:00:00Z" in line for line in named)
    assert "secret" not in str(recorder.lines)


@pytest.mark.parametrize("message", TIMED_OUT)
def test_a_task_that_took_too_long_is_named_and_leaves_no_known_version(message: str) -> None:
    [cause] = find_failure_reason({"msg": message}, INSTALL)
    assert cause == f"{INSTALL}: {message}"
    facts = {"__alpamon_host": {"version": "2.4.0"}, "alpamon_installed_version": "2.4.0"}
    assert make_host_result({**facts, "rollout_cause": cause}, False)["version"] == ""
    assert make_host_result({**facts, "rollout_cause": "No space left."}, False)["version"] == "2.4.0"
    assert find_failure_reason({"msg": "No."}, INSTALL) == ["No."]
    loop = {"msg": "One or more items failed", "results": [{"failed": True, "msg": message}]}
    assert find_failure_reason(loop, INSTALL) == [f"{INSTALL}: One or more items failed {message}"]


@pytest.mark.parametrize(
    ("own", "configured", "first"),
    [
        (None, "", ""),
        (None, "-o LogLevel=ERROR", "-o LogLevel=ERROR "),
        ("-v", "-o LogLevel=ERROR", "-v "),
        ("", "-v", ""),
    ],
)
def test_own_arguments_of_ssh_come_before_the_keepalive(
    monkeypatch: pytest.MonkeyPatch, own: str | None, configured: str, first: str
) -> None:
    monkeypatch.setenv("ANSIBLE_SSH_EXTRA_ARGS", configured)
    keepalive = "-o ServerAliveInterval=15 -o ServerAliveCountMax=4"
    assert keep_ssh_alive(own) == f"{first}{keepalive}"


def test_a_ticker_calls_again_until_it_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Ticker, "interval", 0.001)
    calls: list[int] = []
    twice = threading.Event()

    def call() -> None:
        calls.append(1)
        if len(calls) > 1:
            twice.set()

    ticker = Ticker(call)
    assert twice.wait(30)
    ticker.stop()
    count = len(calls)
    assert not any(thread.name == "rollout_progress" for thread in threading.enumerate())
    assert len(calls) == count
