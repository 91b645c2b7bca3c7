# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test the playbook run: the output that it shows."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import collection_tree
import pytest
from ansible_cores import CORES
from system.plays import Play, environment, run_playbook, start_process, wait_until, write_inputs
from workspace.client import Workspace

RUN = "herdops.alpacon.run"
SCHEDULE = "herdops.alpacon.schedule"
OTHERS = [name for name in CORES if name != "development"]


def shown(done: Play) -> list[str]:
    [result] = done.tasks["Show each command"]
    lines: list[str] = result["msg"]
    return lines


def test_what_a_script_wrote_to_both_streams_is_shown(current: Workspace, tmp_path: Path) -> None:
    (tmp_path / "bad.sh").write_text("echo to-out; echo 'cannot open {{ 6 * 7 }}' >&2; exit 4\n", encoding="utf-8")
    given = ("-e", "alpacon_servers=web-01", "-e", "alpacon_script=bad.sh")
    done = run_playbook(current, tmp_path, RUN, None, *given)
    assert done.code == 2, done.log
    assert shown(done) == ["web-01: failed, rc 4", "    to-out", "    cannot open {{ 6 * 7 }}"]
    predicted = run_playbook(current, tmp_path / "check", RUN, None, *given[:2], "-e", "alpacon_line=uptime", "--check")
    assert (predicted.code, shown(predicted)[0]) == (0, "web-01: check mode"), predicted.log


def test_whole_outputs_lie_in_the_current_folder(current: Workspace, tmp_path: Path) -> None:
    given = ("-e", "alpacon_servers=web-01", "-e", "alpacon_line='seq 1 2000'")
    folder = ("-e", "alpacon_output_dir='all outputs'")
    done = run_playbook(current, tmp_path / "here", RUN, None, *given, *folder)
    assert done.code == 0, done.log
    written = tmp_path / "here/all outputs"
    assert len((written / "web-01.stdout").read_text().split()) == 2000
    assert shown(done)[-2] == "    2000"
    assert str(written) in shown(done)[-1]


def test_an_exit_code_that_the_workspace_did_not_state_is_marked(published: Workspace, tmp_path: Path) -> None:
    done = run_playbook(published, tmp_path, RUN, None, "-e", "alpacon_servers=web-01", "-e", "alpacon_line='exit 7'")
    assert (done.code, shown(done)) == (2, ["web-01: failed, rc 1 (assumed)"]), done.log


def test_a_server_that_is_offline_fails_at_once_and_gets_no_command(instant: Workspace, tmp_path: Path) -> None:
    instant.add_servers("dead-01")
    given = ("-e", "alpacon_servers=dead-01", "-e", "alpacon_line=uptime")
    done = run_playbook(instant, tmp_path, RUN, None, *given)
    assert (done.code, shown(done)[0]) == (2, "dead-01: offline"), done.log
    assert "alpacon_offline=wait" in done.log
    assert not any(request["method"] == "POST" for request in instant.log())


def test_a_server_that_may_be_left_out_is_no_reason_to_wait(current: Workspace, tmp_path: Path) -> None:
    current.add_servers("dead-01")
    given = ("-e", "alpacon_servers=dead-01,web-01", "-e", "alpacon_line='exit 3'", "-e", "alpacon_offline=skip")
    done = run_playbook(current, tmp_path, RUN, None, *given)
    assert shown(done)[-1] == "web-01: failed, rc 3", done.log
    assert "alpacon_offline=wait" not in done.log


def test_an_empty_folder_for_outputs_is_refused(instant: Workspace, tmp_path: Path) -> None:
    given = ("-e", "alpacon_servers=web-01", "-e", "alpacon_line=uptime", "-e", "alpacon_output_dir=")
    done = run_playbook(instant, tmp_path, RUN, None, *given)
    assert "alpacon_output_dir: " in done.tasks["Check that every command succeeded"][0]["msg"], done.log
    assert not any(request["method"] == "POST" for request in instant.log())


def test_hosts_that_failed_can_be_retried(instant: Workspace, tmp_path: Path) -> None:
    names = [f"retry-{number}" for number in range(4)]
    instant.add_servers(*names[1:], connected=True)
    instant.add_servers(names[0])
    # A failed template sends nothing.
    hosts = {name: {"alpacon_line": "{{ none.a }}" if name == names[1] else "uptime"} for name in names}
    done = run_playbook(instant, tmp_path, RUN, hosts)
    assert done.code != 0, done.log
    file = tmp_path / "run.retry"
    assert file.read_text(encoding="utf-8").splitlines() == names[:2]
    assert f"--limit @{file}" in done.log
    given = ("-e", "alpacon_line=uptime", "-e", "alpacon_offline=skip", "--limit", f"@{file}")
    again = run_playbook(instant, tmp_path / "again", RUN, names, *given)
    assert again.code == 0, again.log
    assert len(again.tasks["Run the command"]) == 2


def test_hosts_that_an_interrupt_left_out_can_be_retried(current: Workspace, tmp_path: Path) -> None:
    names = ["web-01", "web-02"]
    tool = str(collection_tree.TOOLS / "ansible-playbook")
    command = [tool, "-f", "1", *write_inputs(tmp_path, RUN, names), "-e", "alpacon_line='sleep 60'"]
    play = start_process(command, tmp_path, environment(current, tmp_path))
    try:
        wait_until(current.commands)
        play.interrupt()
        play.end()
    finally:
        play.stop()
    assert (tmp_path / "run.retry").read_text(encoding="utf-8") == "web-02\n", play.log
    assert "The command may still run on 1 server. Await it: ansible-playbook herdops.alpacon.await\n" in play.log


@pytest.mark.parametrize("core", ["development", *(pytest.param(name, marks=pytest.mark.slow) for name in OTHERS)])
def test_servers_of_a_task_that_failed_can_be_retried(instant: Workspace, tmp_path: Path, core: str) -> None:
    names = [f"{core}-task-{number}" for number in range(3)]
    instant.add_servers(names[0], connected=True)
    instant.add_servers(*names[1:])
    given = ("-e", f"alpacon_servers={','.join(names)}", "-e", "alpacon_line=uptime")
    done = run_playbook(instant, tmp_path, RUN, None, *given, core=core)
    assert done.code == 2, done.log
    retry = f"@{tmp_path}/run.retry.yml"
    assert f"-e {retry}" in done.log
    again = run_playbook(instant, tmp_path / "again", RUN, None, *given, "-e", retry, core=core)
    assert again.code == 2, again.log
    [result] = again.tasks["Run the command"]
    assert [command["server"]["name"] for command in result["commands"]] == names[1:]


def test_servers_without_a_schedule_can_be_retried(instant: Workspace, tmp_path: Path) -> None:
    names = ["up-01", "down-01"]
    instant.add_servers(names[0], connected=True)
    instant.add_servers(names[1])
    given = ("-e", "alpacon_line=uptime", "-e", "alpacon_scheduled_at=2031-01-01T03:00:00Z")
    offline = ("-e", "alpacon_offline=fail")
    done = run_playbook(instant, tmp_path, "herdops.alpacon.schedule", names, *given, *offline)
    assert done.code != 0, done.log
    assert (tmp_path / "schedule.retry").read_text(encoding="utf-8") == "down-01\n"
    # A cancel of all of them leaves nothing to retry, and no file of an earlier cancel.
    (tmp_path / "cancel.retry").write_text("up-01\n", encoding="utf-8")
    cancelled = run_playbook(instant, tmp_path, "herdops.alpacon.cancel", names, *given)
    assert cancelled.code == 0, cancelled.log
    assert not (tmp_path / "cancel.retry").exists()


def test_tags_of_an_imported_playbook_choose_it(current: Workspace, tmp_path: Path) -> None:
    imported = {"ansible.builtin.import_playbook": RUN, "vars": {"alpacon_line": "echo hello"}, "tags": ["now"]}
    done = run_playbook(current, tmp_path, [imported], ["web-01"], "--tags", "now")
    assert (done.code, shown(done)) == (0, ["web-01: success, rc 0", "    hello"]), done.log


def test_a_wrong_value_is_the_only_error_that_is_printed(current: Workspace, tmp_path: Path) -> None:
    given = ("-e", "alpacon_servers=web-01", "-e", "alpacon_line=uptime", "-e", "alpacon_wait_timeout=soon")
    done = run_playbook(current, tmp_path, RUN, None, *given)
    assert done.code == 2, done.log
    [error] = [line for line in done.log.splitlines() if line.startswith("[ERROR]")]
    assert "alpacon_wait_timeout: 'soon' is not a duration" in error


def test_variables_that_would_have_no_effect_are_refused(current: Workspace, tmp_path: Path) -> None:
    given = ("-e", "alpacon_servers=web-01", "-e", "alpacon_line=uptime", "-e", "alpacon_follow=soon")
    done = run_playbook(current, tmp_path, RUN, None, *given, "-e", "alpacon_users=root", "-e", "alpamon_groups=A")
    assert "This playbook takes no alpacon_users. " in done.log, "variables of the playbook rollout may be given too"
    assert "alpacon_follow is soon. Give true or false." in done.log
    assert not current.requests_made()


def test_an_empty_answer_of_a_survey_means_false(current: Workspace, tmp_path: Path) -> None:
    given = '{"alpacon_servers": "web-01", "alpacon_line": "echo hello", "alpacon_follow": ""}'
    done = run_playbook(current, tmp_path, RUN, None, "-e", given)
    assert (done.code, shown(done)) == (0, ["web-01: success, rc 0", "    hello"]), done.log


@pytest.mark.parametrize("core", ["development", *(pytest.param(name, marks=pytest.mark.slow) for name in OTHERS)])
def test_results_of_ten_hosts_are_folded_and_shown_once(instant: Workspace, tmp_path: Path, core: str) -> None:
    names = [f"{core}-{number:02}" for number in range(13)]
    instant.add_servers(*names[:11], connected=True)
    instant.add_servers(*names[11:])
    # Each server answers with its line.
    hostile = "{{ 6 * 7 }} \x1b[31m"
    lines = dict.fromkeys(names, "5.15.0-91") | {names[4]: f"{{% raw %}}{hostile}{{% endraw %}}"}
    hosts = {name: {"alpacon_line": line, "alpacon_offline": "fail"} for name, line in lines.items()}
    done = run_playbook(instant, tmp_path, RUN, hosts, "-f", "13", core=core)
    assert done.code == 4, done.log
    assert shown(done) == [
        "10 servers alike, rc 0: 5.15.0-91",
        f"{names[4]}: rc 0: {{{{ 6 * 7 }}}} \\x1b[31m",
        f"2 offline: {names[11]}, {names[12]}",
    ]


def test_results_of_ten_servers_of_a_task_are_folded(instant: Workspace, tmp_path: Path) -> None:
    names = [f"fold-{number:02}" for number in range(10)]
    instant.add_servers(*names, connected=True)
    given = ("-e", f"alpacon_servers={','.join(names)}", "-e", "alpacon_line=uptime")
    done = run_playbook(instant, tmp_path, RUN, None, *given)
    assert (done.code, shown(done)) == (0, ["10 servers alike, rc 0: uptime"]), done.log
    predicted = run_playbook(instant, tmp_path / "check", RUN, None, *given, "--check")
    assert shown(predicted) == [f"10 check mode: {', '.join(names[:5])} and 5 more"], predicted.log


def test_commands_that_wait_too_long_are_cancelled(current: Workspace, tmp_path: Path) -> None:
    current.disconnect("web-01")
    given = ("-e", "alpacon_line=true", "-e", "alpacon_offline=wait", "-e", "alpacon_not_after=3s")
    done = run_playbook(current, tmp_path, RUN, ["web-01", "web-02"], *given)
    outcomes = {task["commands"][0]["outcome"] for task in done.tasks["Run the command"]}
    assert (done.code, outcomes) == (2, {"late", "success"}), done.log
    assert (tmp_path / "run.retry").read_text(encoding="utf-8") == "web-01\n"


def test_a_scheduled_script_that_its_server_gets_too_late_does_not_run(current: Workspace, tmp_path: Path) -> None:
    current.disconnect("web-01")
    (tmp_path / "job.sh").write_text(f"touch {tmp_path}/ran\n", encoding="utf-8")
    due = datetime.now(UTC) + timedelta(seconds=20)
    end = due + timedelta(seconds=1)
    times = {"alpacon_scheduled_at": due.isoformat(), "alpacon_not_after": end.isoformat()}
    given = [word for name, value in times.items() for word in ("-e", f"{name}={value}")]
    done = run_playbook(current, tmp_path, SCHEDULE, ["web-01"], "-e", "alpacon_script=job.sh", *given)
    assert done.code == 0, done.log
    [row] = current.commands()
    time.sleep(max(0.0, (end - datetime.now(UTC)).total_seconds() + 1))
    current.connect("web-01")
    ended = current.wait_for_command(row["id"])
    assert (ended["status"], (tmp_path / "ran").exists()) == ("failed", False)
    ids = f"alpacon_ids={row['id']}"
    awaited = run_playbook(current, tmp_path / "await", "herdops.alpacon.await", None, "-e", ids)
    assert (awaited.code, "late" in shown(awaited)[0]) == (2, True), awaited.log
