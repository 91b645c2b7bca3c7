# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""state=executed and state=finished: lines that agents really run, in every dialect."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import Any

import collection_tree
import pytest
from system.playing import until
from system.support import AGENTS, command_options, in_every_dialect, methods, paths, run
from workspace.client import Workspace

from ansible_collections.herdops.alpacon.plugins.module_utils._api import outputs as _outputs
from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import ApiError, UsageError
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.fleet import Fleet
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.run import Run
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks import command_task as _command_task
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.command import run_command
from ansible_collections.herdops.alpacon.tests.unit.support import FAR, LIST, NO_COMMAND, Row

FINISHED = ("success", "failed", "cancelled", "denied", "rejected", "expired")


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes a fleet look at a workspace only when everything there is over, so that looks can be counted."""

    def over(workspace: Workspace) -> None:
        for command in workspace.commands():
            workspace.wait_for_command(command["id"], *FINISHED)

    def make(workspace: Workspace) -> None:
        waits = partial(Fleet, sleep=lambda _seconds: over(workspace))
        monkeypatch.setattr(_command_task, "Fleet", waits)

    return make


# One server


@in_every_dialect
def test_one_command_on_one_server(workspace: Workspace) -> None:
    ran = run(workspace, servers=["web-01"], line="echo hello; exit 0")
    assert (ran.changed, ran.failed) == (True, False)
    [command] = ran.commands
    assert command.items() <= ran.result.items()
    assert (command["rc"], command["stdout"], command["stdout_lines"], command["stderr"]) == (0, "hello", ["hello"], "")
    assert (command["outcome"], command["status"], command["success"], command["ran"]) == ("success",) * 2 + (True,) * 2
    assert command["server"]["id"] == workspace.server_ids()["web-01"]
    assert command["server"]["name"] == "web-01"
    assert command["start"] <= command["end"]
    assert command["delta"].startswith("0:00:0")
    assert ran["summary"] == {"success": 1}
    assert ran.warnings == []
    [made] = workspace.commands()
    assert (made["id"], made["run_count"]) == (command["id"], 1)


def test_the_line_of_the_guide_goes_on_after_its_command(current: Workspace, tmp_path: Path) -> None:
    guide = (collection_tree.ROOT / "docs/docsite/rst/fleet_commands.rst").read_text(encoding="utf-8")
    [line] = re.findall(r"line: (setsid .*)", guide)
    over, late = tmp_path / "over", tmp_path / "late.log"
    waits = f"until [ -e {over} ]; do sleep 0.05; done"
    line = line.replace("sleep 600", waits).replace("/tmp/late.log", str(late))
    assert run(current, servers=["web-01"], line=line)["rc"] == 0
    over.touch()
    until(late.read_bytes)


def test_what_an_access_list_of_2024_refuses_is_explained(old: Workspace) -> None:
    old.settings(acl={"admin": ["echo *"]})
    refused = run(old, servers=["web-01"], line="reboot")
    assert (refused["outcome"], refused["error"]["code"]) == ("refused", "api_token_acl_not_allowed")
    assert "Add a command ACL whose pattern matches the whole line" in refused["msg"]
    assert "line break" not in refused["msg"]
    assert "lets no line with a line break through" in run(old, servers=["web-01"], line="echo a\necho b")["msg"]


def test_a_server_that_may_be_disabled_is_told_of(old: Workspace) -> None:
    old.settings(offline_mode="refuse")
    old.change_server("web-01", enabled=False)
    [command] = run(old, servers=["web-01"], line="true").commands
    assert (command["outcome"], command["ran"]) == ("offline", False)
    assert "web-01 counts as connected, so it is most likely disabled" in command["msg"]
    assert "for a server that is disabled there" in command["msg"]


def test_an_exit_code_that_is_not_stated_is_called_assumed(old: Workspace) -> None:
    assert "rc 1 (assumed: the workspace states no" in run(old, servers=["web-01"], line="exit 3")["msg"]


@in_every_dialect
@pytest.mark.parametrize(
    ("status", "says"),
    [
        ("denied", "verification denied it"),
        ("rejected", "reviewer rejected it"),
        ("expired", "nobody approved it in time"),
        ("cancelled", "it was cancelled"),
    ],
)
def test_what_never_ran_is_said_as_such(workspace: Workspace, status: str, says: str) -> None:
    workspace.settings(holds=[{"line": "^echo", "status": status}])
    ran = run(workspace, servers=["web-01"], line="echo hello")
    assert (ran["outcome"], ran["status"], ran["ran"], ran["rc"], ran["stdout"]) == (status, status, False, None, "")
    assert ran["msg"].startswith("Never ran: ")
    assert says in ran["msg"]
    assert [row["run_count"] for row in workspace.commands()] == [0]


def test_a_command_that_is_approved_later_is_awaited_by_its_id(workspace: Workspace) -> None:
    workspace.settings(holds=[{"line": "^echo", "status": "awaiting_approval"}])
    held = run(workspace, servers=["web-01"], line="echo hello")
    assert (held["outcome"], held["ran"]) == ("awaiting_approval", False)
    assert "await its id with state=finished" in held["msg"]
    workspace.change_command(held["id"], status="queued")
    ran = run(workspace, state="finished", ids=[held["id"]])
    assert (ran["stdout"], [row["run_count"] for row in workspace.commands()]) == ("hello", [1])


def test_a_command_that_is_held_for_its_purpose_says_which_option_gives_it(current: Workspace) -> None:
    current.settings(holds=[{"line": "uptime", "status": "awaiting_purpose"}])
    held = run(current, servers=["web-01"], line="uptime", wait_timeout="1")
    assert "Last status: awaiting_purpose." in held["msg"]
    assert held["msg"].endswith("give the option purpose.")


@in_every_dialect
def test_a_line_that_fails(workspace: Workspace) -> None:
    ran = run(workspace, servers=["web-01"], line="echo out; echo err >&2; exit 3")
    assert (ran.changed, ran.failed) == (True, True)
    assert ran["outcome"] == "failed"
    assert ran["stdout_lines"] == ["out", "err"]
    if workspace.dialect == "current":
        assert (ran["rc"], ran.result.get("rc_assumed")) == (3, None)
    else:
        assert (ran["rc"], ran["rc_assumed"]) == (1, True)
    assert f"ended with rc {ran['rc']}" in ran["msg"]
    assert "err" in ran["msg"]


def test_an_exit_code_that_counts_as_success(current: Workspace) -> None:
    ran = run(current, servers=["web-01"], line="exit 3", success_codes=[0, 3])
    assert (ran.failed, ran["rc"], ran["outcome"], ran["success"]) == (False, 3, "success", True)


def test_it_runs_each_time(workspace: Workspace) -> None:
    assert run(workspace, servers=["web-01"], line="true").changed
    assert run(workspace, servers=["web-01"], line="true").changed
    assert len(workspace.commands()) == 2


@pytest.mark.parametrize("line", ["printf '안녕 🙂\\n%.0s' $(seq 1 1000)", "printf 'é%.0s' $(seq 1 10000)"])
def test_ten_thousand_characters_of_unicode(workspace: Workspace, line: str) -> None:
    ran = run(workspace, servers=["web-01"], line=line)
    expected = "안녕 🙂\n" * 1000 if "안녕" in line else "é" * 10_000
    assert ran["stdout"] == expected.rstrip("\n")
    assert ran["output_complete"] is True


@in_every_dialect
def test_no_output(workspace: Workspace) -> None:
    ran = run(workspace, servers=["web-01"], line="true")
    assert (ran["stdout"], ran["stdout_lines"], ran["output_complete"]) == ("", [], True)


def test_env_arrives_and_is_nowhere_to_be_seen(current: Workspace) -> None:
    ran = run(current, servers=["web-01"], line="test ${#PGPASSWORD} = 12", env={"PGPASSWORD": "s3cret-value"})
    assert ran["rc"] == 0
    assert "s3cret-value" not in str(ran.result)
    assert ran.warnings == []


def test_a_value_that_a_workspace_trims_is_told_of_by_its_name_alone(current: Workspace) -> None:
    env = {"PAD": "  s3cret-value  ", "NEXT": "fine", "KEY": "END\n"}
    ran = run(current, servers=["web-01"], line='printf "[%s]" "$PAD$KEY"', env=env)
    [warning] = ran.warnings
    assert "these have some: PAD, KEY. Use script or argv" in warning
    assert "s3cret" not in f"{ran.result}{ran.warnings}"
    finished = run(current, state="finished", ids=[ran["id"]], env=env)
    assert finished.warnings == []
    warnings: list[str] = []
    options = command_options(current, servers=["web-01"], line="true", env=env)
    run_command(options, Run(warn=warnings.append, no_log=True, check_mode=True))
    assert "these have some: 2 of them. Use" in warnings[0]


def test_env_is_refused_where_the_workspace_would_drop_it(old: Workspace, published: Workspace) -> None:
    # In one of them a command tells; in the other one there is none, and a server tells.
    run(old, servers=["web-01"], line="true")
    states: tuple[Row, ...] = ({}, {"state": "scheduled", "scheduled_at": FAR})
    for workspace, submitted in ((old, 1), (published, 0)):
        for state in states:
            with pytest.raises(UsageError, match=r"^env: this workspace does not pass variables on to servers, so "):
                run(workspace, servers=["web-01"], line='echo "$DIR"/*', env={"DIR": "/srv"}, **state)
        assert len(workspace.commands()) == submitted


def test_a_workspace_that_may_have_ignored_a_purpose_is_warned_about(old: Workspace) -> None:
    ran = run(old, servers=["web-01"], line="true", purpose="tests")
    assert ran["rc"] == 0
    [warning] = ran.warnings
    assert warning.startswith("purpose: ")


# Less of each output


@pytest.mark.parametrize("kept", ["both", "chunks"])
def test_the_end_of_an_output_is_kept(current: Workspace, kept: str) -> None:
    current.settings(output=kept)
    ran = run(current, servers=["web-01"], line="seq 1 1000; exit 3", output_limit=8)
    assert (ran["stdout"], ran["rc"], ran["output_complete"]) == ("999\n1000", 3, False)
    assert "output_limit cut 3884 characters off the start of its output." in ran["msg"]


def test_an_output_within_its_limit_is_complete(workspace: Workspace) -> None:
    ran = run(workspace, servers=["web-01"], line="echo hello", output_limit=5)
    assert (ran["stdout"], ran["output_complete"], ran["msg"]) == ("hello", True, "Succeeded.")


def test_no_output_need_be_kept(workspace: Workspace) -> None:
    ran = run(workspace, servers=["web-01"], line="echo hello", output_limit=0)
    assert (ran["stdout"], ran["rc"], ran["output_complete"], ran["success"]) == ("", 0, False, True)


def test_a_secret_that_is_cut_in_two_stays_hidden(current: Workspace) -> None:
    ran = run(current, servers=["web-01"], line='printf "%s-end" "$S"', env={"S": "s3cret-value"}, output_limit=9)
    assert ran["stdout"] == "*****-end"
    assert "value" not in str(ran.result)


# Requests


@in_every_dialect
@pytest.mark.parametrize("server", ["id", "name"])
def test_what_one_command_costs(workspace: Workspace, patient: Any, server: str) -> None:
    patient(workspace)
    named = workspace.server_ids()["web-01"] if server == "id" else "web-01"
    ran = run(workspace, servers=[named], line="echo hello")
    assert ran["stdout"] == "hello"
    assert ran["requests"] == 2 if server == "id" else 3
    assert methods(workspace) == {"POST": 1, "GET": ran["requests"] - 1}


def test_what_output_in_chunks_costs(current: Workspace, patient: Any) -> None:
    current.settings(output="chunks")
    patient(current)
    ran = run(current, servers=[current.server_ids()["web-01"]], line="echo hello")
    assert (ran["stdout"], ran["requests"]) == ("hello", 3)


def test_what_no_output_costs(current: Workspace, patient: Any) -> None:
    patient(current)
    ran = run(current, servers=[current.server_ids()["web-01"]], line="true")
    assert (ran["stdout"], ran["output_complete"], ran["requests"]) == ("", True, 3)


@pytest.mark.parametrize(
    ("line", "seq", "said"),
    [("echo only", None, "only"), ("echo first; sleep 0.3; echo FATAL", 1, "first\nFATAL")],
    ids=["all", "the last"],
)
def test_chunks_that_come_after_the_end_cost_nothing(
    current: Workspace, monkeypatch: pytest.MonkeyPatch, line: str, seq: int | None, said: str
) -> None:
    monkeypatch.setattr(_outputs, "_CHUNK_SETTLE", 3.0)
    current.settings(output="chunks")
    current.fault("late_chunk", seconds=1, **({} if seq is None else {"seq": seq}))
    ran = run(current, servers=["web-01"], line=line)
    assert (ran["stdout"], ran["output_complete"]) == (said, True)
    assert len([path for path in paths(current) if "/chunks/" in path]) == 1


@pytest.mark.parametrize(("kept", "line"), [("chunks", "echo important"), ("both", "seq 1 200000; echo important")])
def test_what_took_too_long_is_told_with_all_of_its_output(current: Workspace, kept: str, line: str) -> None:
    current.settings(output=kept)
    current.fault("time_out", seconds=2)
    ran = run(current, servers=["web-01"], line=f"{line}; sleep 77")
    assert (ran["rc"], ran["output_complete"]) == (124, True)
    assert ran["stdout"].endswith("important\nCommand timed out after 2s")
    assert "the agent ended it after 2s, the longest that it lets a command run" in ran["msg"]
    assert "never arrived" not in ran["msg"]


@in_every_dialect
def test_what_many_commands_cost(workspace: Workspace, patient: Any) -> None:
    patient(workspace)
    ran = run(workspace, servers=list(AGENTS), line="echo hello")
    assert [command["stdout"] for command in ran.commands] == ["hello"] * 3
    assert methods(workspace)["POST"] == 3
    names, *looks = paths(workspace)
    assert names.startswith("/api/servers/servers/")
    assert all(look.startswith(f"{LIST}?") for look in looks)
    assert len(looks) <= 3


# Many servers


@pytest.mark.parametrize(("hosts", "lists"), [(1, 2), (2, 1)])
def test_hosts_of_one_task_read_the_list_of_servers_once(
    current: Workspace, tmp_path: Path, hosts: int, lists: int
) -> None:
    for name in ("web-01", "web-02"):
        options = command_options(current, servers=[name], line="true")
        assert run_command(options, Run(hosts=hosts, folder=tmp_path, check_mode=True))["changed"]
    assert len(paths(current)) == lists


def test_each_server_has_its_result(workspace: Workspace) -> None:
    names = ["web-03", "web-01", "web-02"]
    ran = run(workspace, servers=names, line='test "$HOSTNAME" != web-01 && echo $HOSTNAME || exit 1')
    assert [command["server"]["name"] for command in ran.commands] == names
    assert [command["stdout"] for command in ran.commands] == ["web-03", "", "web-02"]
    assert ran["summary"] == {"success": 2, "failed": 1}
    assert ran.failed
    assert "1 of 3 commands did not end well: web-01: " in ran["msg"]


@in_every_dialect
def test_a_server_that_is_offline_is_no_reason_to_lose_the_others(workspace: Workspace) -> None:
    workspace.add_servers("off-01", connected=False)
    workspace.settings(offline_mode="refuse")
    ran = run(workspace, servers=["web-01", "off-01"], line="echo hello")
    online, offline = ran.commands
    assert (online["outcome"], online["stdout"]) == ("success", "hello")
    assert (offline["outcome"], offline["id"], offline["ran"], offline["changed"]) == ("offline", None, False, False)
    assert offline["error"]["code"] == "server_not_connected"
    assert "offline" in offline["msg"]
    assert (ran.failed, ran.changed) == (True, True)


def test_nothing_is_awaited_without_wait(workspace: Workspace) -> None:
    ran = run(workspace, servers=["web-01", "web-02"], line="sleep 30", wait=False)
    assert [command["outcome"] for command in ran.commands] == ["pending", "pending"]
    assert all(command["id"] and command["rc"] is None for command in ran.commands)
    assert (ran.failed, ran.changed) == (False, True)
    assert methods(workspace) == {"GET": 1, "POST": 2}


def test_a_wait_that_times_out_keeps_the_id(workspace: Workspace) -> None:
    workspace.add_servers("bare-01", connected=True)
    ran = run(workspace, servers=["bare-01"], line="sleep 30", wait_timeout="1s")
    assert (ran.failed, ran["outcome"], ran["status"], ran["rc"]) == (True, "timed_out", "delivered", None)
    assert "Not finished within wait_timeout" in ran["msg"]
    assert ran["id"] == workspace.commands()[0]["id"]


# What is refused before anything is sent

BAD: list[tuple[dict[str, Any], str]] = [
    ({"servers": ["web-99"], "line": "true"}, "servers"),
    ({"servers": ["web-01"], "line": "x" * 2049}, "line"),
    ({"servers": ["web-01"], "line": "true", "token": ""}, "token"),
]


@pytest.mark.parametrize(("given", "option"), BAD)
def test_bad_input_is_refused_before_any_write(current: Workspace, given: dict[str, Any], option: str) -> None:
    with pytest.raises(UsageError) as caught:
        run(current, **given)
    assert caught.value.option == option
    assert current.counters()["writes"] == 0


# Check mode


def test_check_mode_writes_nothing(workspace: Workspace) -> None:
    ran = run(workspace, check_mode=True, servers=["web-01", "web-02"], line="true")
    assert (ran.changed, ran.failed) == (True, False)
    assert [command["msg"] for command in ran.commands] == ["Would be submitted."] * 2
    assert workspace.counters()["writes"] == 0
    assert workspace.commands() == []


# How it may end besides


@pytest.mark.parametrize(("fault", "phase"), [("never_ack", "agent_disconnected"), ("vanish", "agent_timeout")])
@pytest.mark.parametrize("lean_rows", [False, True])
def test_what_the_workspace_gave_up_may_have_run(current: Workspace, lean_rows: bool, fault: str, phase: str) -> None:
    current.settings(gives_up_after=1, lean_rows=lean_rows)
    current.fault(fault)
    ran = run(current, servers=["web-01", "web-02"], line="true")
    for command in ran.commands:
        assert (command["outcome"], command["ran"], command["rc"]) == ("failed", None, None)
        assert command["error_phase"] == phase
        assert command["msg"] == f"It failed, and no exit code came ({phase}). Whether it ran is not known."


def test_what_the_agent_rejected_is_not_said_to_have_run(current: Workspace) -> None:
    current.fault("reject", reason="unsigned_command")
    ran = run(current, servers=["web-01"], line="true")
    assert (ran["outcome"], ran["ran"], ran["rc"]) == ("failed", None, None)
    assert "ended with rc" not in ran["msg"]
    assert ran["msg"].endswith("Its output ends with: Rejected by the agent: unsigned_command")


@pytest.mark.parametrize("lean_rows", [False, True])
@pytest.mark.parametrize("carried", [False, True], ids=["line", "argv"])
def test_words_of_a_newer_workspace_say_no_less(current: Workspace, lean_rows: bool, carried: bool) -> None:
    current.settings(words={"success": "accomplished", "failed": "terminated"}, lean_rows=lean_rows)
    for code, outcome, word in ((0, "success", "accomplished"), (3, "failed", "terminated")):
        line = f"echo out; exit {code}"
        given: dict[str, Any] = {"argv": ["/bin/sh", "-c", line]} if carried else {"line": line}
        ran = run(current, servers=["web-01", "web-02"], wait_timeout=20, **given)
        for command in ran.commands:
            assert (command["outcome"], command["status"], command["rc"]) == (outcome, word, code)
            assert (command["ran"], command["success"], command["stdout"]) == (True, code == 0, "out")
            assert f"The workspace calls it {word}." in command["msg"]


def test_what_was_approved_is_awaited_through_the_error_before_its_delivery(current: Workspace) -> None:
    current.settings(holds=[{"status": "awaiting_approval", "seconds": 2}], approval_error=3, tick=0.2)
    held = run(current, servers=["web-01"], line="echo hello")
    assert held["outcome"] == "awaiting_approval"
    current.wait_for_command(held["id"], "error")
    ran = run(current, state="finished", ids=[held["id"]])
    assert (ran["outcome"], ran["stdout"]) == ("success", "hello")


# reuse_within


@in_every_dialect
def test_a_command_that_succeeded_lately_is_taken_as_done(workspace: Workspace) -> None:
    workspace.settings(date_header=True)
    first = run(workspace, servers=["web-01"], line="echo hello")
    again = run(workspace, servers=["web-01"], line="echo hello", reuse_within="1h")
    assert (again.changed, again.failed) == (False, False)
    assert (again["id"], again["stdout"], again["rc"]) == (first["id"], "hello", 0)
    assert "within reuse_within" in again["msg"]
    assert len(workspace.commands()) == 1


@in_every_dialect
def test_check_mode_returns_all_of_a_command_that_is_taken_as_done(workspace: Workspace) -> None:
    workspace.settings(date_header=True)
    given: dict[str, Any] = {"servers": ["web-01"], "line": "echo hello", "reuse_within": "1h"}
    run(workspace, **given)
    again, predicted = run(workspace, **given), run(workspace, check_mode=True, **given)
    assert (predicted["stdout"], predicted["output_complete"]) == ("hello", True)
    assert predicted.commands == again.commands


@pytest.mark.parametrize(
    ("row", "given"),
    [
        ({"added_at": -7200}, {}),
        ({"status": "failed"}, {}),
        ({"line": "echo other"}, {}),
        ({"server": "web-02"}, {}),
        ({"shell": "internal"}, {}),
        ({"username": "bob"}, {"username": "root"}),
        ({"status": "cancelled"}, {}),
    ],
)
def test_another_command_is_not_taken_for_it(workspace: Workspace, row: dict[str, Any], given: dict[str, Any]) -> None:
    before = {"server": "web-01", "line": "echo hello", "status": "success", "added_at": -60}
    [older] = workspace.add_commands([{**before, **row}])
    ran = run(workspace, check_mode=True, servers=["web-01"], line="echo hello", reuse_within="1h", **given)
    assert ran.changed
    assert ran["id"] != older


@pytest.mark.parametrize("lean_rows", [False, True])
@pytest.mark.parametrize(
    ("code", "success_codes", "reused"), [(3, [0, 3], True), (4, [0, 3], False), (1, [1], True), (1, [0], False)]
)
def test_exit_codes_that_count_as_success_are_taken_as_done(
    current: Workspace, lean_rows: bool, code: int, success_codes: list[int], reused: bool
) -> None:
    current.settings(lean_rows=lean_rows)
    row = {"server": "web-01", "line": "true", "status": "failed", "exit_code": code, "added_at": -60}
    [command_id] = current.add_commands([row])
    given: dict[str, Any] = {
        "servers": ["web-01"],
        "line": "true",
        "reuse_within": "1h",
        "success_codes": success_codes,
    }
    ran = run(current, check_mode=True, **given)
    assert (ran.changed, ran["rc"]) == ((False, code) if reused else (True, None))
    asked = [path for path in paths(current) if path.endswith(f"/{command_id}/")]
    assert bool(asked) is (lean_rows and success_codes != [0]), "its code is read where the list does not say it"


@in_every_dialect
def test_a_command_that_ran_for_long_is_taken_as_done(workspace: Workspace) -> None:
    workspace.settings(date_header=True)
    row = {"server": "web-01", "line": "echo hello", "status": "success", "added_at": -5000, "delivered_at": -5000}
    [made] = workspace.add_commands([{**row, "acked_at": -5000, "handled_at": -3500}])
    workspace.add_many_commands(3, server="web-01", line="true", status="success", added_at=-3900)
    ran = run(workspace, check_mode=True, servers=["web-01"], line="echo hello", reuse_within="1h")
    assert (ran.changed, ran["id"]) == (False, made)


def ended_late(workspace: Workspace, names: list[str], **times: float) -> list[str]:
    """Commands that succeeded ten minutes ago, as they were scheduled two days ago."""
    row = {"line": "echo hello", "status": "success", "result": "hello", "added_at": -172_800, "scheduled_at": -600}
    row |= {"delivered_at": -600, "acked_at": -599, "handled_at": -590, **times}
    return workspace.add_commands([{**row, "server": name} for name in names])


@in_every_dialect
@pytest.mark.parametrize("names", [["web-01"], list(AGENTS)], ids=["one", "several"])
def test_a_command_that_was_scheduled_long_ago_and_ended_lately_is_taken_as_done(
    workspace: Workspace, names: list[str]
) -> None:
    made = ended_late(workspace, names)
    # Between both lie commands that are older, but were submitted later; and others that are to come.
    workspace.add_many_commands(5, server="web-01", line="true", status="success", added_at=-9000)
    workspace.submit("web-01", "echo hello", scheduled_at=FAR)
    ids = workspace.server_ids()
    workspace.reset_counters()
    ran = run(workspace, check_mode=True, servers=[ids[name] for name in names], line="echo hello", reuse_within="1h")
    old = workspace.dialect == "2024"
    assert [command["changed"] for command in ran.commands] == [old] * len(names), "2024 lists no schedule"
    assert old or [command["id"] for command in ran.commands] == made
    assert workspace.counters()["routes"][f"GET {LIST}"]["total"] == 1


def test_a_fleet_that_was_scheduled_for_one_time_is_taken_as_done(current: Workspace) -> None:
    names = [f"node-{number:03}" for number in range(250)]
    current.add_servers(*names, connected=True)
    made = ended_late(current, names)
    ids = current.server_ids()
    current.reset_counters()
    ran = run(current, check_mode=True, servers=[ids[name] for name in names], line="echo hello", reuse_within="1h")
    assert [command["id"] for command in ran.commands] == made
    assert current.counters()["routes"][f"GET {LIST}"]["total"] == 3


def test_only_the_servers_that_need_it_run_it_anew(workspace: Workspace) -> None:
    run(workspace, servers=["web-02"], line="echo hello")
    ran = run(workspace, servers=list(AGENTS), line="echo hello", reuse_within="10m")
    assert [command["changed"] for command in ran.commands] == [True, False, True]
    assert [command["stdout"] for command in ran.commands] == ["hello"] * 3
    assert len(workspace.commands()) == 3


def test_the_latest_of_several_is_taken(workspace: Workspace) -> None:
    made = workspace.add_many_commands(5, server="web-01", line="true", status="success", added_at=-10)
    ran = run(workspace, servers=["web-01"], line="true", reuse_within="1h")
    assert ran["id"] == made[0]


def test_no_time_at_all_reuses_nothing_and_reads_nothing(current: Workspace) -> None:
    given: dict[str, Any] = {"servers": [current.server_ids()["web-01"]], "line": "true"}
    first = run(current, **given)
    before = len(paths(current, "GET"))
    again = run(current, check_mode=True, reuse_within="0", **given)
    assert (first["outcome"], again.changed, again.warnings) == ("success", True, [])
    assert not [path for path in paths(current, "GET")[before:] if path.startswith(LIST)]


# state=finished


@in_every_dialect
def test_commands_of_an_earlier_task_are_awaited(workspace: Workspace) -> None:
    earlier = run(workspace, servers=["web-01", "web-02"], line="sleep 0.3; echo $HOSTNAME", wait=False)
    ids = [command["id"] for command in earlier.commands]
    ran = run(workspace, state="finished", ids=ids)
    assert [command["id"] for command in ran.commands] == ids
    assert [command["stdout"] for command in ran.commands] == ["web-01", "web-02"]
    assert [command["server"]["id"] for command in ran.commands] == [
        workspace.server_ids()[name] for name in ("web-01", "web-02")
    ]
    assert (ran.changed, ran.failed) == (False, False)
    again = run(workspace, state="finished", ids=ids)
    assert (again.changed, again.failed) == (False, False)


def test_an_awaited_command_that_failed(workspace: Workspace) -> None:
    [failed, fine] = workspace.add_commands([{"status": "failed", "result": "boom"}, {"status": "success"}])
    ran = run(workspace, state="finished", ids=[failed, fine])
    assert ran.failed
    assert [command["outcome"] for command in ran.commands] == ["failed", "success"]
    assert ran["summary"] == {"failed": 1, "success": 1}


def test_an_awaited_command_that_is_not_there(current: Workspace) -> None:
    ran = run(current, state="finished", ids=[NO_COMMAND])
    assert (ran.failed, ran["outcome"], ran["ran"]) == (True, "unknown", None)
    assert "does not show it" in ran["msg"]


def test_check_mode_awaits_and_writes_nothing(workspace: Workspace) -> None:
    workspace.settings(offline_mode="queue")
    [waits] = workspace.add_commands([{"status": "scheduled", "scheduled_at": FAR}])
    ran = run(workspace, check_mode=True, state="finished", ids=[waits], wait_timeout="1s", cancel_on_timeout=True)
    assert (ran.changed, ran["outcome"]) == (False, "timed_out")
    assert workspace.counters()["writes"] == 0
    assert workspace.commands()[0]["status"] == "scheduled"


@in_every_dialect
def test_what_is_awaited_and_cancelled_in_the_end_counts_as_changed(workspace: Workspace) -> None:
    [waits] = run(workspace, state="scheduled", servers=["web-01"], line="echo late", scheduled_at=FAR).commands
    ran = run(workspace, state="finished", ids=[waits["id"]], wait_timeout="1s", cancel_on_timeout=True)
    assert (ran["outcome"], ran.changed, ran["commands"][0]["changed"]) == ("timed_out", True, True)
    assert methods(workspace)["DELETE"] == 1


@in_every_dialect
def test_what_others_cancelled_in_the_meantime_does_not_count_as_changed(workspace: Workspace) -> None:
    [waits] = run(workspace, state="scheduled", servers=["web-01"], line="echo late", scheduled_at=FAR).commands
    workspace.fault("status", method="DELETE", status=404, body="{}")
    ran = run(workspace, state="finished", ids=[waits["id"]], wait_timeout="1s", cancel_on_timeout=True)
    assert (ran["outcome"], ran.changed) == ("timed_out", False)


@in_every_dialect
def test_a_bad_token_is_named(workspace: Workspace) -> None:
    with pytest.raises(ApiError, match="The token is unknown, disabled or expired") as caught:
        run(workspace, servers=["web-01"], line="true", token="alpat-wrong")
    assert "alpat-wrong" not in str(caught.value)
    assert workspace.counters()["writes"] == 0


@in_every_dialect
@pytest.mark.parametrize("code", [0, 3])
def test_a_command_runs_after_its_parent_or_not_at_all_in_every_dialect(workspace: Workspace, code: int) -> None:
    [parent] = run(workspace, servers=["web-01"], line=f"sleep 1; exit {code}", wait=False).commands
    child = run(workspace, servers=["web-02"], line="echo child", run_after=[parent["id"]])
    assert child["outcome"] == ("parent_failed" if code else "success")
    first, *more = workspace.commands()
    assert all(not row["run_count"] or row["delivered_at"] >= first["handled_at"] for row in more)
    assert sum(row["run_count"] for row in more) == (0 if code else 1)


def test_what_is_held_and_not_let_go_goes_on_after_its_time(current: Workspace) -> None:
    current.settings(cancel_held=False, holds=[{"status": "awaiting_approval"}])
    limits: dict[str, Any] = {"wait_timeout": "1s", "cancel_on_timeout": True, "wait_for_approval": True}
    ran = run(current, servers=["web-01"], line="echo held", **limits)
    assert (ran["outcome"], ran["status"]) == ("timed_out", "awaiting_approval")
    assert "It could not be cancelled: The workspace does not let the command be cancelled while it is" in ran["msg"]
    assert "delivered" not in ran["msg"]


@pytest.mark.parametrize(("code", "outcome"), [(0, "pending"), (1, "parent_failed")])
def test_a_parent_is_awaited_and_judged_by_itself_whatever_its_child_is_given(
    published: Workspace, code: int, outcome: str
) -> None:
    [parent] = run(published, servers=["web-01"], line=f"sleep 1; exit {code}", wait=False).commands
    given: dict[str, Any] = {"wait": False, "success_codes": [1], "max_errors": "0"}
    child = run(published, servers=["web-02"], line="exit 1", run_after=[parent["id"]], **given)
    assert child["outcome"] == outcome


def test_a_parent_that_waits_for_its_server_is_left_alone(published: Workspace) -> None:
    published.settings(offline_mode="queue")
    published.disconnect("web-01")
    parent = published.submit("web-01", "true")
    limits: dict[str, Any] = {"offline": "skip", "wait_timeout": "3s"}
    child = run(published, servers=["web-02"], line="echo child", run_after=[parent], **limits)
    assert child["outcome"] == "not_tried"
    assert [row["status"] for row in published.commands()] == ["queued"]


def test_a_parent_is_not_withdrawn_where_its_child_has_no_time_left(published: Workspace) -> None:
    [parent] = run(published, state="scheduled", servers=["web-01"], line="echo parent", scheduled_at=FAR).commands
    limits: dict[str, Any] = {"wait_timeout": "1s", "cancel_on_timeout": True}
    child = run(published, servers=["web-02"], line="echo child", run_after=[parent["id"]], **limits)
    assert child["outcome"] == "not_tried"
    assert [row["status"] for row in published.commands()] == ["scheduled"]


@in_every_dialect
def test_a_parent_that_does_not_exist_is_refused(workspace: Workspace) -> None:
    with pytest.raises(UsageError, match=NO_COMMAND):
        run(workspace, servers=["web-01"], line="echo child", run_after=[NO_COMMAND])
    assert workspace.commands() == []


#: What a task is given -> how many lists, details, submits, cancels and lists of servers it takes.
COSTS: dict[str, tuple[dict[str, Any], tuple[int, int, int, int, int]]] = {
    "finish one": ({"state": "finished", "ids": ["{ran}"]}, (0, 1, 0, 0, 0)),
    "finish two": ({"state": "finished", "ids": ["{ran}", "{other}"]}, (1, 0, 0, 0, 0)),
    "submit": ({"servers": list(AGENTS), "line": "echo", "wait": False}, (0, 0, 3, 0, 1)),
    "schedule": ({"servers": ["web-01"], "line": "x", "state": "scheduled", "scheduled_at": FAR}, (2, 0, 1, 0, 1)),
    "schedule again": (
        {"servers": ["web-01"], "line": "y", "state": "scheduled", "scheduled_at": FAR},
        (1, 0, 0, 0, 1),
    ),
    "cancel nothing": ({"servers": ["{server}"], "line": "x", "state": "cancelled"}, (1, 0, 0, 0, 0)),
    "cancel what is not there": ({"state": "cancelled", "ids": [NO_COMMAND]}, (0, 1, 0, 1, 0)),
    "reuse": ({"servers": ["{server}"], "line": "uptime", "reuse_within": "1h"}, (1, 0, 0, 0, 0)),
}


@in_every_dialect
@pytest.mark.parametrize("case", COSTS)
def test_what_other_tasks_cost(workspace: Workspace, case: str) -> None:
    workspace.settings(date_header=True)
    given, (lists, details, submits, cancels, servers) = COSTS[case]
    ran, other = workspace.add_commands([{"line": "uptime", "status": "success", "result": "up"}] * 2)
    workspace.submit("web-01", "y", scheduled_at=FAR)
    known = {"ran": ran, "other": other, "server": workspace.server_ids()["web-01"]}
    filled: dict[str, Any] = {
        name: [text.format_map(known) for text in value] if name in ("ids", "servers") else value
        for name, value in given.items()
    }
    workspace.reset_counters()
    run(workspace, **filled)
    made = {name: count["total"] for name, count in workspace.counters()["routes"].items()}
    # Rows of 2024 do not state times: each that matches and is not the task's own costs a request.
    details += case == "schedule again" and workspace.dialect == "2024"
    assert made == {
        name: count
        for name, count in {
            f"GET {LIST}": lists,
            f"GET {LIST}{{id}}/": details,
            f"POST {LIST}": submits,
            f"DELETE {LIST}{{id}}/": cancels,
            "GET /api/servers/servers/": servers,
        }.items()
        if count
    }


def test_a_command_of_five_seconds_costs_ten_requests(current: Workspace) -> None:
    assert run(current, servers=["web-01"], line="sleep 5")["requests"] <= 10
