# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What keeps the connection plugin from running a module, or from knowing what came of it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import pytest
from system.playing import (
    Play,
    Row,
    ids_in,
    over_connection,
    play,
    play_out,
    start_over_connection,
    task,
    until,
)
from workspace.client import Workspace

PING = task("Ping", None, "ansible.builtin.ping")
MAY_HAVE_RUN = "may have run"
WITHDRAWN = r"the workspace held .+ until somebody approves it\. It was cancelled\."


def unreachable(run: Play, hosts: Iterable[str]) -> dict[str, str]:
    """Why each host was unreachable."""
    assert {host: run.results[host].get("unreachable") for host in hosts} == dict.fromkeys(hosts, True), run.said
    return {host: run.results[host]["msg"] for host in hosts}


def modules(workspace: Workspace) -> list[Row]:
    """The workspace's record of modules that were submitted."""
    return [row for row in workspace.commands() if " module:" in row["line"]]


def test_each_cause_is_named_and_nothing_runs(current: Workspace, tmp_path: Path) -> None:
    offline, held = current.server_ids()["web-02"], current.server_ids()["web-03"]
    current.disconnect("web-02")
    current.settings(holds=[{"line": "ping", "servers": ["web-03"], "status": "awaiting_approval"}])
    causes = {
        "offline": ({"alpacon_server_id": offline}, "offline"),
        "known-offline": ({"alpacon_server_id": offline, "alpacon_is_connected": False}, "offline"),
        "held": (
            {"alpacon_server_id": held},
            f"held: {WITHDRAWN}",
        ),
        "nobody": ({}, "no server is named nobody"),
        "no-id": ({"alpacon_server_id": "00000000-0000-4000-8000-000000000000"}, "server"),
        "account": ({"alpacon_server_id": "web-01", "ansible_user": "stranger"}, "username"),
        "acl": ({"alpacon_server_id": "web-01", "alpacon_token": current.tokens()["noacl"]}, "access list"),
        "token": ({"alpacon_server_id": "web-01", "alpacon_token": "wrong" * 8}, "token"),
        "gone": ({"alpacon_url": "http://127.0.0.1:9", "alpacon_token": "gone" * 10}, "127.0.0.1:9"),
    }
    run = over_connection(current, tmp_path, [PING], {host: given for host, (given, _cause) in causes.items()})
    said = unreachable(run, causes)
    for host, (_given, cause) in causes.items():
        assert re.search(cause, said[host]), f"{host}: {said[host]}"
        assert MAY_HAVE_RUN not in said[host], f"{host}: {said[host]}"
    assert [row["run_count"] for row in current.commands()] == [0] * len(current.commands())
    assert {row["status"] for row in current.commands()} <= {"cancelled"}
    for secret in (current.token, current.tokens()["noacl"], "wrong" * 8, "gone" * 10):
        assert secret not in run.said


def test_a_submit_whose_answer_is_lost_is_found_and_not_repeated(current: Workspace, tmp_path: Path) -> None:
    current.fault("lose_after", method="POST", path="^/api/events/commands/$", times=1)
    run = over_connection(current, tmp_path, [PING])
    assert run.results["web-01"].get("ping") == "pong", run.said
    assert [row["run_count"] for row in modules(current)] == [1]


def test_what_takes_too_long_is_named_with_its_id_and_a_way_out(current: Workspace, tmp_path: Path) -> None:
    current.settings(line_seconds=3)
    sleep = task("Long", "sleep 30", "ansible.builtin.command", ignore_unreachable=True)
    tasks = [{**sleep, "name": "Waited", "vars": {"alpacon_wait_timeout": 1}}, sleep]
    run = over_connection(current, tmp_path, tasks)
    waited, ended = (command["id"] for command in current.commands())
    assert f"command {waited}: Not finished within alpacon_wait_timeout." in run.tasks["Waited"][0]["msg"]
    said = run.tasks["Long"][0]["msg"]
    assert f"command {ended} has run." in said
    assert "the agent ended it after 3s" in said
    assert said.endswith("A task that takes so long needs async and poll.")


@pytest.mark.parametrize(("fault", "phase"), [("never_ack", "agent_disconnected"), ("vanish", "agent_timeout")])
def test_what_the_workspace_gave_up_is_not_said_to_have_run(
    current: Workspace, tmp_path: Path, fault: str, phase: str
) -> None:
    current.settings(gives_up_after=1)
    current.fault(fault, line=" module:")
    run = over_connection(current, tmp_path, [PING])
    [said] = unreachable(run, ["web-01"]).values()
    assert "has run" not in said
    assert f"The workspace says: {phase}. It may have run, and is not run again." in said
    assert [row["status"] for row in modules(current)] == ["failed"]


def test_what_the_agent_rejected_is_not_said_to_have_run(current: Workspace, tmp_path: Path) -> None:
    current.fault("reject", line=" module:")
    run = over_connection(current, tmp_path, [PING])
    [said] = unreachable(run, ["web-01"]).values()
    assert "has run" not in said
    assert [row["run_count"] for row in modules(current)] == [0]


@pytest.mark.parametrize("seq", [0, None])
def test_an_output_with_a_hole_is_no_result(current: Workspace, tmp_path: Path, seq: int | None) -> None:
    current.settings(output="chunks")
    current.fault("drop_chunk", line=" module:", **({} if seq is None else {"seq": seq}))
    run = over_connection(current, tmp_path, [PING])
    [said] = unreachable(run, ["web-01"]).values()
    assert re.search(r"has run|may have run", said)
    assert "ping" not in run.results["web-01"]
    assert [row["run_count"] for row in modules(current)] == [1]


def test_an_answer_that_comes_after_the_end_is_waited_for(current: Workspace, tmp_path: Path) -> None:
    current.settings(output="chunks")
    current.fault("late_chunk", seconds=2)
    run = over_connection(current, tmp_path, [PING])
    assert run.results["web-01"].get("ping") == "pong", run.said


def test_an_agent_that_dies_meanwhile_may_have_run_it(current: Workspace, tmp_path: Path) -> None:
    current.settings(stuck_after=1)
    current.fault("vanish", line=" module:")
    run = over_connection(current, tmp_path, [PING])
    assert MAY_HAVE_RUN in unreachable(run, ["web-01"])["web-01"]
    assert len(modules(current)) == 1


def test_what_nobody_could_look_at_or_withdraw_may_have_run(current: Workspace, tmp_path: Path) -> None:
    current.fault("status", status=404, body="default backend - 404", path="^/api/events/commands/.")
    run = over_connection(current, tmp_path, [{**PING, "vars": {"alpacon_wait_timeout": 1}}])
    assert MAY_HAVE_RUN in unreachable(run, ["web-01"])["web-01"]
    assert [row["run_count"] for row in modules(current)] == [1]


def test_an_agent_that_starts_nothing_is_told_with_its_reason(current: Workspace, tmp_path: Path) -> None:
    current.fault("fail_start", reason="user")
    run = over_connection(current, tmp_path, [task("Raw", "true", "ansible.builtin.raw")])
    said = unreachable(run, ["web-01"])["web-01"]
    assert "nothing was run: the server has no user admin." in said
    assert MAY_HAVE_RUN not in said


def test_an_interrupted_run_leaves_the_ids(current: Workspace, tmp_path: Path) -> None:
    run = start_over_connection(current, tmp_path, [task("Sleep", "sleep 30", "ansible.builtin.command")])
    try:
        until(lambda: any(row["status"] == "running" for row in modules(current)))
        run.interrupt()
        run.end()
    finally:
        run.stop()
    [journal] = run.journals
    assert ids_in(journal) == [row["id"] for row in modules(current)]


def test_who_interrupts_a_long_run_was_told_the_journal(current: Workspace, tmp_path: Path) -> None:
    run = start_over_connection(current, tmp_path, [task("Long", "sleep 60", "ansible.builtin.command")])
    try:
        until(lambda: "alpacon: if this run is interrupted, the IDs are in " in run.said)
        run.interrupt(-run.pid)
        run.process.wait(10)
    finally:
        run.stop()
    [journal] = run.journals
    assert run.said.count(str(journal)) == 1
    assert ids_in(journal) == [row["id"] for row in modules(current)]


@pytest.mark.parametrize("core", ["oldest", "development"])
def test_the_timeout_of_a_task_names_the_command_that_goes_on(current: Workspace, tmp_path: Path, core: str) -> None:
    variables = {
        "ansible_connection": "herdops.alpacon.alpacon",
        "ansible_python_interpreter": "{{ ansible_playbook_python }}",
    }
    tasks = [task("Long", "sleep 5", "ansible.builtin.command", timeout=1), task("Next", "true", "ansible.builtin.raw")]
    run = play_out(current, tmp_path, play(*tasks), {"all": {"hosts": {"web-01": variables}}}, core=core)
    [command] = modules(current)
    said = f"web-01: command {command['id']} goes on. Await it by alpacon_command with state=finished."
    # ansible-core shows no text of the error before 2.19, and breaks lines of warnings.
    assert "".join(said.split()) in "".join((run.said if core == "oldest" else run.tasks["Long"][0]["msg"]).split())
    assert run.tasks["Next"][0]["rc"] == 0
