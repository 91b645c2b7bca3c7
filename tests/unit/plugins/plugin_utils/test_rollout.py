# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import stat
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from ansible.executor.playbook_executor import PlaybookExecutor

from ansible_collections.herdops.alpacon.plugins.plugin_utils._rollout import (
    Rollout,
    compare_hosts,
    count_waves,
    make_host_result,
    make_host_results,
)
from ansible_collections.herdops.alpacon.tests.unit.rollout_recorder import RolloutRecorder

UUIDS = [f"550e8400-e29b-41d4-a716-44665544000{number}" for number in range(4)]
FULL = {"outcome": "failed", "cause": "No space left on device"}
WELL = {"outcome": "connected", "version": "2.5.0"}


@pytest.mark.parametrize("hosts", [1, 2, 7, 10, 100, 999])
@pytest.mark.parametrize(
    "sizes", [["1", "10%", "50%"], [1], ["30%"], [0], [], [2, 0], ["100%"], [1, "1%"], [5000], ["200%"]]
)
def test_number_of_waves(hosts: int, sizes: list[Any]) -> None:
    class Inventory:
        def get_hosts(self, *_pattern: Any, **_order: Any) -> list[int]:
            return list(range(hosts))

    class Play:
        serial, hosts, order = sizes, "all", None

    executor = PlaybookExecutor.__new__(PlaybookExecutor)
    executor._inventory = Inventory()
    assert count_waves(hosts, sizes) == len(executor._get_serialized_batches(Play()))


def test_results_file_and_lines_of_a_rollout(tmp_path: Path) -> None:
    recorder = RolloutRecorder(tmp_path, ["a", "b", "c"], (1, 2))
    rollout = recorder.wave("a")
    recorder.now += 7.25
    rollout.add_results({"a": {**WELL, "server_id": UUIDS[0], "server_name": "a-1", "notes": ["its clock is ahead"]}})
    assert recorder.rows == {
        "a": {
            "host": "a",
            "outcome": "connected",
            "version": "2.5.0",
            "server_id": UUIDS[0],
            "server_name": "a-1",
            "cause": "",
            "seconds": 7.2,
            "notes": ["its clock is ahead"],
        }
    }
    assert stat.S_IMODE(recorder.file.stat().st_mode) == 0o600
    rollout = recorder.wave("b", "c")
    rollout.add_results({"b": FULL})
    assert recorder.lines == ["wave 1 of 2: 1 of 1 connected"]
    rollout.add_results({"c": WELL})
    rollout.end_rollout()
    assert recorder.lines[1:] == [
        "wave 2 of 2: 1 of 2 connected, 1 failed",
        "rollout: 2 of 3 connected, 1 failed",
        "  1 x No space left on device (b)",
        "  a: its clock is ahead",
        f"Results: {recorder.file}",
        f"To retry the other hosts, add: --limit @{tmp_path}/rollout.retry",
    ]
    assert recorder.retried == ["b"]


def test_a_rollout_without_failures_leaves_no_retry_file(tmp_path: Path) -> None:
    recorder = RolloutRecorder(tmp_path, ["a", "b"])
    recorder.wave().add_results({"a": {"outcome": "removed"}, "b": {"outcome": "installed"}})
    recorder.rollout.end_rollout()
    assert recorder.lines == [
        "wave 1 of 1: 1 of 2 removed, 1 installed",
        "rollout: 1 of 2 removed, 1 installed",
        f"Results: {recorder.file}",
    ]
    assert list(tmp_path.iterdir()) == [recorder.file]


@pytest.mark.parametrize(
    ("earlier", "outcome", "is_kept"),
    [
        (["a", "b"], "connected", False),
        (["a", "z"], "connected", True),
        (["a"], "failed", True),
        (["a"], "would be connected", True),
    ],
)
def test_the_hosts_to_retry_are_removed_when_all_of_them_are_done(
    tmp_path: Path, earlier: list[str], outcome: str, is_kept: bool
) -> None:
    recorder = RolloutRecorder(tmp_path, ["a", "b"])
    file = tmp_path / "rollout.retry"
    file.write_text("".join(f"{host}\n" for host in earlier), encoding="utf-8")
    recorder.wave().add_results({"a": {"outcome": outcome}, "b": WELL})
    recorder.rollout.end_rollout()
    assert file.exists() is is_kept


def test_a_rollout_that_stopped_retries_the_hosts_that_were_not_tried(tmp_path: Path) -> None:
    recorder = RolloutRecorder(tmp_path, ["a", "b", "c", "d"], (2,), limit=12.5)
    recorder.wave("a", "b").add_results({"a": FULL, "b": WELL})
    recorder.rollout.end_rollout()
    assert recorder.lines[1] == "rollout: 1 of 4 connected, 1 failed, 2 not tried"
    why = "The rollout stopped after wave 1 of 2: 1 of 2 connected, 1 failed. alpamon_max_fail_percentage is 12.5."
    assert why in recorder.lines
    assert recorder.outcomes == {"a": "failed", "b": "connected", "c": "not tried", "d": "not tried"}
    assert recorder.retried == ["a", "c", "d"]


def test_an_unreachable_host_has_a_result_with_its_record(tmp_path: Path) -> None:
    recorder = RolloutRecorder(tmp_path, ["a", "b"])
    registration = {"id": UUIDS[0], "key": "secret"}
    recorder.facts["a"] = {"__alpamon_registration": registration, "__alpamon_host_after": {"version": "2.5.0"}}
    rollout = recorder.wave()
    rollout.host_unreachable("a", {"msg": "No route to host.", "unreachable": True})
    row = recorder.rows["a"]
    assert (row["outcome"], row["cause"], row["server_id"]) == ("unreachable", "No route to host.", UUIDS[0])
    assert row["version"] == "2.5.0"
    assert row["notes"] == [f"its key might not be on the host: {UUIDS[0]}"]
    assert "secret" not in str(row)
    # Later results of the host, and results of other hosts, are ignored.
    rollout.add_results({"a": WELL, "b": WELL, "other": WELL})
    assert recorder.outcomes == {"a": "unreachable", "b": "connected"}
    assert recorder.lines == ["wave 1 of 1: 1 of 2 connected, 1 unreachable"]


@pytest.mark.parametrize(("interrupted", "outcome", "part"), [(True, "interrupted", "run"), (False, "unknown", "wave")])
def test_a_run_that_ends_within_a_wave_keeps_each_cause(
    tmp_path: Path, interrupted: bool, outcome: str, part: str
) -> None:
    recorder = RolloutRecorder(tmp_path, ["done", "full", "idle", "late", "next"], (4,))
    rollout = recorder.rollout
    rollout.start_wave(["done", "full", "idle", "late"], (4,), 10)
    rollout.task_started("Read the state")
    for host in ("done", "full", "late"):
        rollout.host_started(host)
    rollout.add_results({"done": WELL})
    rollout.host_failed("full", {"msg": "It failed.", "stderr": "One.\nNo space left on device"})
    rollout.host_failed("done", {"msg": "Too late."})
    rollout.end_rollout(interrupted)
    assert recorder.outcomes == {
        "done": "connected",
        "full": "failed",
        "late": outcome,
        "idle": "not tried",
        "next": "not tried",
    }
    assert recorder.rows["full"]["cause"] == "It failed. No space left on device"
    assert recorder.rows["late"]["cause"] == f"The {part} ended during the task 'Read the state'."
    assert recorder.retried == ["full", "idle", "late", "next"]
    assert ("The run was interrupted in wave 1 of 2." in recorder.lines) is interrupted


@pytest.mark.parametrize(
    ("causes", "line"),
    [
        ({"web-1": "web-1 is full", "web-2": "web-2 is full"}, "2 x <host> is full (web-1, web-2)"),
        ({"web-1": "web-1 is full"}, "1 x web-1 is full (web-1)"),
        # A name that is a part of another one, and one that is a word.
        ({"web-1": "web-10 is full", "web-2": "web-10 is full"}, "2 x web-10 is full (web-1, web-2)"),
        ({"a": "Give a name", "b": "Give a name"}, "2 x Give a name (a, b)"),
        ({"a": f"{UUIDS[0]} is gone", "b": f"{UUIDS[1].upper()} is gone"}, "2 x <id> is gone (a, b)"),
        ({"a": "connect to 10.0.0.1: no", "b": "connect to 10.0.0.2: no"}, "2 x connect to <address>: no (a, b)"),
        ({"a": "held by process 12", "b": "held by process 345"}, "2 x held by process <number> (a, b)"),
        ({"a": "status code: 403", "b": "status code: 404"}, "1 x status code: 403 (a)"),
        (dict.fromkeys("abcdefgh", "x"), "8 x x (a, b, c, d, e and 3 more)"),
    ],
)
def test_equal_causes_are_one_group(tmp_path: Path, causes: dict[str, str], line: str) -> None:
    recorder = RolloutRecorder(tmp_path, list(causes))
    recorder.wave().add_results({host: {"outcome": "failed", "cause": cause} for host, cause in causes.items()})
    recorder.rollout.end_rollout()
    assert recorder.lines[2] == f"  {line}"


def test_the_name_of_the_server_is_not_part_of_a_cause(tmp_path: Path) -> None:
    recorder = RolloutRecorder(tmp_path, ["a", "b"])
    rows = {host: {**FULL, "server_name": f"{host}-123", "cause": f"{host}-123 is offline."} for host in "ab"}
    recorder.wave().add_results(rows)
    recorder.rollout.end_rollout()
    assert recorder.lines[2] == "  2 x <host> is offline. (a, b)"


def test_the_summary_is_short_however_many_hosts_fail(tmp_path: Path) -> None:
    hosts = [f"web-{number:04}" for number in range(1000)]
    recorder = RolloutRecorder(tmp_path, hosts)
    rows = {
        host: {"outcome": "failed", "cause": "full" if number % 2 else f"{number * 'x'}", "notes": ["left behind"]}
        for number, host in enumerate(hosts)
    }
    recorder.wave().add_results(rows)
    recorder.rollout.end_rollout()
    assert len(recorder.lines) < 50
    assert recorder.lines[2].startswith("  500 x full (web-0001, ")
    assert "  and 980 more notes" in recorder.lines
    assert max(map(len, recorder.lines)) < 500
    assert len(recorder.rows) == len(recorder.retried) == 1000


def test_messages_of_hosts_have_no_control_characters(tmp_path: Path) -> None:
    recorder = RolloutRecorder(tmp_path, ["a\x1b[2J", "b"])
    evil = "\x1b]0;evil\x07" + "x\n" * 1000
    rollout = recorder.wave()
    recorder.facts["a\x1b[2J"] = {"alpamon_server_id": evil, "alpamon_orphans": [evil]}
    rollout.host_unreachable("a\x1b[2J", {"msg": evil})
    rollout.add_results({"b": {"outcome": evil, "version": evil, "cause": evil, "notes": [evil, None], "server_id": 7}})
    rollout.end_rollout()
    output = "\n".join(recorder.lines)
    assert "\x1b" not in output
    assert "\x07" not in output
    assert "\\x1b]0;evil" in output
    assert max(map(len, recorder.lines)) < 1000
    assert recorder.rows["b"]["server_id"] == "7"


def test_rollouts_of_one_run_share_both_files(tmp_path: Path) -> None:
    one = RolloutRecorder(tmp_path, ["a", "b"])
    retry: list[str] = []
    for hosts in (["a", "b"], ["b", "c"]):
        rollout = Rollout(hosts, str(one.file), one.lines.append, one.warnings.append, lambda host: {}, retry)
        rollout.start_wave(hosts, (), None)
        rollout.add_results({hosts[0]: FULL, hosts[1]: FULL})
        rollout.end_rollout()
    assert one.retried == ["a", "b", "c"]
    assert len(one.file.read_text(encoding="utf-8").splitlines()) == 4


def test_unwritable_files_cause_one_warning(tmp_path: Path) -> None:
    recorder = RolloutRecorder(tmp_path / "none", ["a", "b"])
    recorder.wave().add_results({"a": FULL, "b": FULL})
    recorder.rollout.end_rollout()
    assert recorder.warnings == [f"The results cannot be written to {recorder.file}: No such file or directory."]
    assert recorder.lines[1:] == ["rollout: 2 of 2 failed", "  2 x No space left on device (a, b)"]


@pytest.mark.parametrize(("given", "name"), [("~/done.jsonl", "done.jsonl"), (7, "7")])
def test_paths_of_files_work_with_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: Any, name: str) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    lines: list[str] = []
    rollout = Rollout(["a"], given, lines.append, lines.append, lambda host: {})
    rollout.start_wave(["a"], (), None)
    rollout.add_results({"a": FULL})
    rollout.end_rollout()
    assert {file.name for file in tmp_path.iterdir()} == {name, "rollout.retry"}
    # Ansible does not expand ~ in --limit.
    assert Path(lines[-1].rpartition("@")[2]).exists()


def test_a_host_that_failed_in_an_earlier_play_stops_no_rollout(tmp_path: Path) -> None:
    recorder = RolloutRecorder(tmp_path, ["a", "b"])
    recorder.wave("b").add_results({"b": WELL})
    recorder.rollout.end_rollout()
    assert recorder.retried == ["a"]
    assert not any(line.startswith("The rollout stopped") for line in recorder.lines)


def test_a_failed_wave_ends_the_rollout_whatever_the_limit_is(tmp_path: Path) -> None:
    recorder = RolloutRecorder(tmp_path, ["a", "b"], (1,), limit=100)
    recorder.wave("a").add_results({"a": FULL})
    recorder.rollout.end_rollout()
    assert any(line.endswith("1 of 1 failed. Ansible stops if all hosts of a wave fail.") for line in recorder.lines)


def test_the_refusal_of_clones_names_five_hosts() -> None:
    own = {"__alpamon_host": {"plan": DONE}}
    shared = compare_hosts([f"web-{number}" for number in range(500)], defaultdict(lambda: own))["shared"]
    assert "as web-1, web-2, web-3, web-4, web-5 and 494 more. One of them" in shared["web-0"]


def test_no_files_are_written_without_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    lines: list[str] = []
    rollout = Rollout(["a"], "", lines.append, lines.append, lambda host: {})
    rollout.start_wave(["a"], (), None)
    rollout.add_results({"a": FULL})
    rollout.end_rollout()
    assert list(tmp_path.iterdir()) == []
    assert len(lines) == 3


PLAN = {"problems": [], "state": "present", "workspace": "https://a.example", "needs_token": True, "server_id": ""}
DONE = {**PLAN, "needs_token": False, "server_id": UUIDS[0]}
GONE = {**DONE, "state": "absent"}
OTHER = {**PLAN, "workspace": "https://b.example"}


@pytest.mark.parametrize(
    ("plans", "token_hosts", "shared"),
    [
        ({}, {}, []),
        ({"a": {}, "b": {"problems": ["unsupported"]}, "c": {"needs_token": True}}, {}, []),
        ({"a": DONE, "b": PLAN, "c": PLAN}, {PLAN["workspace"]: "b"}, []),
        ({"a": {**PLAN, "problems": ["misspelt"]}, "b": PLAN}, {PLAN["workspace"]: "b"}, []),
        ({"a": OTHER, "b": PLAN, "c": OTHER}, {OTHER["workspace"]: "a", PLAN["workspace"]: "b"}, []),
        ({"a": DONE, "b": DONE, "c": {**DONE, "server_id": UUIDS[1]}}, {}, ["a", "b"]),
        ({"a": DONE, "b": GONE}, {}, ["a", "b"]),
        ({"a": GONE, "b": GONE}, {}, []),
    ],
)
def test_hosts_of_a_wave_are_compared(plans: dict[str, Any], token_hosts: dict[str, str], shared: list[str]) -> None:
    found = compare_hosts(plans, {host: {"__alpamon_host": {"plan": plan}} for host, plan in plans.items()})
    assert found["token_hosts"] == token_hosts
    assert list(found["shared"]) == shared
    for host, other in ((shared[0], shared[-1]), (shared[-1], shared[0])) if shared else ():
        assert found["shared"][host].startswith(f"The host has the same credentials as {other}. ")


@pytest.mark.parametrize(
    ("state", "check_mode", "facts", "outcome"),
    [
        ("present", False, {"alpamon_connected": True, "alpamon_installed_version": "2.5.0"}, "connected"),
        ("present", True, {"alpamon_connected": True, "alpamon_installed_version": "2.5.0"}, "connected"),
        ("present", False, {"alpamon_connected": False, "alpamon_installed_version": "2.5.0"}, "installed"),
        ("present", False, {"alpamon_installed_version": ""}, "not installed"),
        ("present", True, {"alpamon_installed_version": ""}, "would be connected"),
        ("present", False, {"alpamon_connected": False, "rollout_cause": "It is offline."}, "failed"),
        ("present", False, {"alpamon_connected": None, "rollout_cause": "It could not be asked."}, "unknown"),
        ("present", True, {"rollout_cause": "There is no such package."}, "failed"),
        ("installed", False, {"alpamon_connected": True, "alpamon_installed_version": "2.5.0"}, "installed"),
        ("installed", True, {"alpamon_installed_version": ""}, "would be installed"),
        ("absent", False, {"alpamon_installed_version": ""}, "removed"),
        ("absent", False, {"alpamon_installed_version": "2.5.0"}, "installed"),
        ("absent", True, {"alpamon_installed_version": "2.5.0"}, "would be removed"),
    ],
)
def test_the_outcome_of_a_host(state: str, check_mode: bool, facts: dict[str, Any], outcome: str) -> None:
    host = {"version": "2.5.0", "plan": {**PLAN, "state": state}}
    assert make_host_result({"__alpamon_host": host, **facts}, check_mode)["outcome"] == outcome


def test_notes_in_the_result_of_a_host() -> None:
    facts = {
        "__alpamon_host": {"version": "2.4.0", "plan": {**DONE, "cloned_id": UUIDS[1], "clock": "Its clock is ahead."}},
        "alpamon_orphans": [UUIDS[2]],
        "alpamon_duplicates": [f"web, {UUIDS[3]}"],
        "rollout_cause": "No.",
    }
    assert make_host_result(facts, False) == {
        "outcome": "failed",
        "version": "2.4.0",
        "server_id": UUIDS[0],
        "server_name": "",
        "cause": "No.",
        "notes": [
            f"left behind in the workspace: {UUIDS[2]}",
            f"offline under the same name: web, {UUIDS[3]}",
            f"record of another machine, which stays in the workspace: {UUIDS[1]}",
            "Its clock is ahead.",
        ],
    }
    del facts["rollout_cause"]
    assert "Its clock is ahead." not in make_host_result(facts, False)["notes"]


def test_a_host_that_was_never_reached_is_unreachable() -> None:
    facts = {"__alpamon_host": {"unreachable": True, "msg": "No."}, "rollout_cause": "No."}
    assert make_host_result(facts, False)["outcome"] == "unreachable"


def test_a_host_reports_the_unreachable_hosts_of_its_wave() -> None:
    wave = compare_hosts("abc", {host: {} for host in "abc"})
    facts = {"inventory_hostname": "a", "rollout_compared": {"ansible_stats": {"data": {"wave": wave}}}}
    assert make_host_results(facts, False, ["a", "c"]) == {
        "a": make_host_result(facts, False),
        "b": {"outcome": "unreachable"},
    }
