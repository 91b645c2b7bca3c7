# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A server gets the command of a task once, however many hosts the task runs for and however often it is tried."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_cores import CORES
from system.playing import Play, Row, play_out, run_plays
from workspace.client import Workspace

pytestmark = pytest.mark.slow

HOSTS = [f"host-{number}" for number in range(1, 6)]
SERVERS = ["many-1", "many-2"]
COMMAND = "herdops.alpacon.alpacon_command"
#: What is handed to another host runs there in the Python of the controller.
SAME_PYTHON = {"vars": {"ansible_python_interpreter": "{{ ansible_playbook_python }}"}}
#: What the other tests here do not run on.
OTHER_CORES = [core for core in CORES if core != "development"]
Playbook = Callable[..., Play]


@pytest.fixture
def playbook(instant: Workspace, tmp_path: Path) -> Playbook:
    """Runs plays to their end."""
    return lambda plays, **options: run_plays(instant, tmp_path, HOSTS, plays, **options)


@pytest.fixture
def instant(current: Workspace) -> Workspace:
    """A workspace whose servers answer at once."""
    current.add_servers(*SERVERS, connected=True)
    current.settings(instant=True)
    return current


def a_play(*tasks: Row, **keywords: Any) -> Row:
    """A play for all hosts."""
    return {"hosts": "all", "gather_facts": False, **keywords, "tasks": list(tasks)}


def a_task(**keywords: Any) -> Row:
    """A task that forgot run_once."""
    options = {"servers": SERVERS, "line": "reboot", **keywords.pop("options", {})}
    return {"name": "Reboot", COMMAND: options, "ignore_errors": True, **keywords}


def submitted(workspace: Workspace) -> Counter[str]:
    """How many commands each server got."""
    return Counter(row["server"] for row in workspace.commands())


def refused(play: Play) -> int:
    """How many hosts were told to use run_once."""
    results = [json.loads(line)["result"] for line in (play.folder / "results").read_text().splitlines()]
    return sum("run_once: true" in result.get("msg", "") for result in results)


PLAYS: dict[str, Row] = {
    "at once": a_play(a_task()),
    "one after the other": a_play(a_task(), serial=2),
    "free": a_play(a_task(), strategy="free"),
    "host_pinned": a_play(a_task(), strategy="host_pinned"),
    "a role or block": a_play({"block": [a_task()]}),
    "included": a_play({"include_tasks": "included.yml"}, strategy="free"),
    "scheduled": a_play(a_task(options={"state": "scheduled", "scheduled_at": "2999-01-01T00:00:00Z"})),
    "handed to another host": a_play(a_task(delegate_to="elsewhere")),
    "handed to the controller": a_play(a_task(delegate_to="localhost")),
}


@pytest.mark.parametrize("forks", [1, 5])
@pytest.mark.parametrize("play", PLAYS)
def test_a_forgotten_run_once_sends_nothing_twice(
    instant: Workspace, playbook: Playbook, tmp_path: Path, play: str, forks: int
) -> None:
    (tmp_path / "included.yml").write_text(json.dumps([a_task()]))
    done = playbook([PLAYS[play]], forks=forks)
    assert submitted(instant) == dict.fromkeys(SERVERS, 1), done.said
    assert refused(done) == len(HOSTS) - 1


@pytest.mark.parametrize("core", OTHER_CORES)
@pytest.mark.parametrize("play", ["at once", "free", "handed to another host"])
def test_a_forgotten_run_once_sends_nothing_twice_on_other_cores(
    instant: Workspace, tmp_path: Path, play: str, core: str
) -> None:
    done = play_out(instant, tmp_path, [PLAYS[play] | SAME_PYTHON], HOSTS, "--forks", "5", core=core)
    assert submitted(instant) == dict.fromkeys(SERVERS, 1), done.said
    assert refused(done) == len(HOSTS) - 1


def test_each_item_of_a_loop_goes_to_a_server_once(instant: Workspace, playbook: Playbook) -> None:
    task = a_task(loop=["a", "b", "a"], options={"line": "reboot {{ item }}"})
    done = playbook([a_play(task)])
    assert submitted(instant) == dict.fromkeys(SERVERS, 3), done.said


@pytest.mark.parametrize(
    "plays",
    [
        [a_play(a_task(), a_task(), run_once=True)],
        [a_play(a_task(run_once=True, loop="{{ ansible_play_batch[:1] }}"), serial=3)],
        [a_play(a_task(run_once=True), serial=5), a_play(a_task(run_once=True), serial=5)],
        [a_play(a_task(run_once=True)), a_play(a_task(run_once=True))],
        [a_play(a_task(when="inventory_hostname == ansible_play_hosts[0]", loop=[1, 2]))],
        [a_play(*[{"include_tasks": "included.yml", "run_once": True}] * 2)],
    ],
    ids=["two tasks", "two batches", "two plays in a batch each", "two plays", "two items", "included twice"],
)
def test_what_is_meant_to_run_twice_does(
    instant: Workspace, playbook: Playbook, tmp_path: Path, plays: list[Row]
) -> None:
    (tmp_path / "included.yml").write_text(json.dumps([a_task(run_once=True)]))
    done = playbook(plays)
    assert submitted(instant) == dict.fromkeys(SERVERS, 2), done.said
    assert refused(done) == 0


@pytest.mark.parametrize("core", CORES)
def test_run_once_with_serial_submits_once(instant: Workspace, tmp_path: Path, core: str) -> None:
    plays = [a_play(a_task(run_once=True), serial="{{ batch }}", vars={"batch": 2})]
    done = play_out(instant, tmp_path, plays, HOSTS[:3], core=core)
    assert submitted(instant) == dict.fromkeys(SERVERS, 1), done.said
    assert [result["failed"] for result in done.tasks["Reboot"]] == [False, True]
    assert done.tasks["Reboot"][1]["msg"].endswith(
        " gets this command for host host-1 of the task. A server gets the command of a task once, so nothing was"
        " submitted for this host. With serial, run_once is once in each batch. Move the task into a play of its own"
        ' without serial. If each batch is to run it, give the task loop: "{{ ansible_play_batch[:1] }}".'
    )


def test_run_once_with_serial_reaches_the_servers_of_each_batch(instant: Workspace, playbook: Playbook) -> None:
    task = a_task(run_once=True, options={"servers": "{{ servers[ansible_play_batch[0]] }}"})
    servers = {"host-1": ["many-1"], "host-4": ["many-2"]}
    done = playbook([a_play(task, serial=3, vars={"servers": servers})])
    assert submitted(instant) == dict.fromkeys(SERVERS, 1), done.said
    assert done.code == 0


def test_the_advice_to_batches_is_no_run_once_alone(instant: Workspace, playbook: Playbook) -> None:
    done = playbook([PLAYS["one after the other"]])
    assert "Move the task into a play of its own without serial, and add run_once: true" in done.said


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize(
    ("keywords", "advice"),
    [
        ({"serial": [0]}, "Add run_once: true to the task"),
        ({"serial": "0"}, "Add run_once: true to the task"),
        ({"serial": "{{ '100%' }}"}, "Add run_once: true to the task"),
        ({"strategy": "free"}, "Play it with strategy: linear and run_once: true"),
        (
            {"strategy": "host_pinned", "serial": 2},
            "Play it with strategy: linear and run_once: true and without serial",
        ),
        ({"strategy": "free", "run_once": True}, "takes no notice of. Play it with strategy: linear"),
    ],
)
def test_the_advice_leads_to_no_other_error(
    instant: Workspace, tmp_path: Path, core: str, keywords: Row, advice: str
) -> None:
    done = play_out(instant, tmp_path, [a_play(a_task(), **keywords)], HOSTS[:3], core=core)
    refusals = [result["msg"] for result in done.tasks["Reboot"] if result["failed"]]
    assert len(refusals) == 2, done.said
    assert all(f"{advice}, or leave servers out" in refusal for refusal in refusals), refusals
    assert submitted(instant) == dict.fromkeys(SERVERS, 1), done.said


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("serial", [[0], "100%"])
def test_run_once_in_one_batch_is_for_one_host(instant: Workspace, tmp_path: Path, core: str, serial: Any) -> None:
    plays = [a_play(a_task(run_once=True), serial=serial)]
    done = play_out(instant, tmp_path, plays, HOSTS[:3], core=core)
    assert [result["failed"] for result in done.tasks["Reboot"]] == [False], done.said


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("keywords", [{}, {"serial": 1}, {"strategy": "free"}])
def test_a_handler_is_told_to_have_run_once(instant: Workspace, tmp_path: Path, core: str, keywords: Row) -> None:
    flushes = [["host-1"], ["host-2"]]
    tasks: list[Row] = []
    for notifying in flushes:
        changed = {"changed_when": True, "when": f"inventory_hostname in {notifying}", "notify": "Reboot"}
        tasks += [{"ansible.builtin.debug": {}, **changed}, {"ansible.builtin.meta": "flush_handlers"}]
    done = play_out(instant, tmp_path, [a_play(*tasks, handlers=[a_task()], **keywords)], HOSTS[:2], core=core)
    assert submitted(instant) == dict.fromkeys(SERVERS, 1), done.said
    [refusal] = [result["msg"] for result in done.tasks["Reboot"] if result["failed"]]
    linear = "Add run_once: true to the handler, or leave"
    assert ("Play it with strategy: linear and run_once: true, or" if "strategy" in keywords else linear) in refusal


def test_hosts_that_ask_for_other_things_all_get_them(instant: Workspace, playbook: Playbook) -> None:
    done = playbook([a_play(a_task(options={"line": "echo {{ inventory_hostname }}"}))])
    assert submitted(instant) == dict.fromkeys(SERVERS, len(HOSTS)), done.said


@pytest.mark.parametrize(("core", "strategy"), [("oldest", "host_pinned"), ("development", "free")])
def test_a_host_that_fails_meanwhile_changes_nothing_where_run_once_is_ignored(
    instant: Workspace, tmp_path: Path, core: str, strategy: str
) -> None:
    # One host after the other: the second fails when the first has submitted, and the third asks after that. What is
    # skipped is not in the results.
    awaited = {"host-2": '"Reboot"', "host-3": '"Fail"'}
    written = (
        "until grep -q '{{ awaited[inventory_hostname] }}' {{ lookup('env', 'RESULTS_FILE') }}; do sleep 0.1; done"
    )
    tasks: list[Row] = [
        {"name": "Wait", "ansible.builtin.raw": written, "when": "inventory_hostname in awaited"},
        {"name": "Fail", "ansible.builtin.fail": {}, "when": "inventory_hostname == 'host-2'"},
        a_task(run_once=True),
    ]
    play = a_play(*tasks, strategy=strategy, vars={"awaited": awaited})
    done = play_out(instant, tmp_path, [play], HOSTS[:3], core=core)
    assert submitted(instant) == dict.fromkeys(SERVERS, 1), done.said
    [refusal] = [result["msg"] for result in done.tasks["Reboot"] if result["failed"]]
    assert " gets this command for host host-1 of the task." in refusal
    assert "The task has run_once, which the strategy of the play takes no notice of." in refusal
    assert refused(done) == 0


@pytest.mark.parametrize(("core", "keywords"), [("oldest", {}), ("development", {}), ("development", {"serial": 3})])
def test_a_handler_with_run_once_submits_once_for_each_flush(
    instant: Workspace, tmp_path: Path, core: str, keywords: Row
) -> None:
    flushes = [["host-1", "host-2"], ["host-3"], ["host-2", "host-1"]]
    tasks: list[Row] = []
    for notifying in flushes:
        changed = {"changed_when": True, "when": f"inventory_hostname in {notifying}", "notify": "Reboot"}
        tasks += [{"ansible.builtin.debug": {}, **changed}, {"ansible.builtin.meta": "flush_handlers"}]
    done = play_out(
        instant, tmp_path, [a_play(*tasks, handlers=[a_task(run_once=True)], **keywords)], HOSTS[:3], core=core
    )
    assert submitted(instant) == dict.fromkeys(SERVERS, len(flushes)), done.said
    assert [result["failed"] for result in done.tasks["Reboot"]] == [False] * len(flushes)


def test_servers_are_the_same_however_and_for_wherever_they_are_written(instant: Workspace, playbook: Playbook) -> None:
    written = {
        "host-1": ["elsewhere", SERVERS],
        "host-2": ["elsewhere", ",".join(SERVERS)],
        "host-3": ["localhost", SERVERS],
    }
    where, servers = (f"{{{{ written[inventory_hostname][{place}] }}}}" for place in (0, 1))
    task = a_task(delegate_to=where, options={"servers": servers})
    done = playbook([a_play(task, vars={"written": written}, hosts=",".join(written))])
    assert submitted(instant) == dict.fromkeys(SERVERS, 1), done.said
    assert refused(done) == len(written) - 1


def test_one_server_under_two_names_gets_it_once(instant: Workspace, tmp_path: Path) -> None:
    server = {"alpacon_server_id": instant.server_ids()["many-1"]}
    task = {"name": "Reboot", COMMAND: {"line": "reboot"}, "ignore_errors": True}
    done = run_plays(instant, tmp_path, {"many-1": server, "alias": server}, [a_play(task)])
    assert submitted(instant) == {"many-1": 1}, done.said
    [(other, refusal)] = [(host, result["msg"]) for host, result in done.results.items() if result["failed"]]
    [host] = {"many-1", "alias"} - {other}
    assert refusal == (
        f"servers: the server of host {other} gets this command for host {host} of the task. A server gets the command"
        " of a task once, so nothing was submitted for this host. Where the inventory has one server under two names,"
        " play on one of them."
    )


# Retries

SUBMITS, LISTS = "^/api/events/commands/$", r"^/api/events/commands/\?"
FORBIDDEN = '{"code": "forbidden"}'
#: So long a lost submit is looked for.
BRIEF = {"wait_timeout": "1s"}


def until_known(**keywords: Any) -> Row:
    """A task that is tried until it is known to have ended well."""
    task = {"register": "done", "until": "done is success", "retries": 3, "delay": 0, "run_once": True}
    return a_task(**{**task, **keywords})


def cannot_be_seen(workspace: Workspace) -> None:
    """Let a workspace lose two submits that it carries out, and refuse to list commands during the first attempt."""
    workspace.fault("lose_after", method="POST", path=SUBMITS, times=2)
    workspace.fault("status", method="GET", path=LISTS, status=403, body=FORBIDDEN, times=3)


def attempts(play: Play) -> int:
    """Return the number of attempts that the task took."""
    [result] = play.results.values()
    [tried] = result.get("results", [result])
    return int(tried["attempts"])


@pytest.mark.parametrize("where", [{"loop": [1]}, {"delegate_to": "elsewhere"}], ids=["loop", "shipped"])
def test_a_retry_does_not_submit_again_what_may_have_been_accepted(
    instant: Workspace, playbook: Playbook, where: Row
) -> None:
    # Two submits are lost on their way, and the workspace shows none of them.
    instant.fault("lose_before", method="POST", path=SUBMITS, times=2)
    done = playbook([a_play(until_known(options=BRIEF, **where))])
    assert instant.commands() == [], done.said
    assert instant.counters()["writes"] == 2, done.said
    assert attempts(done) > 1


def test_a_retry_finds_what_became_visible_meanwhile(instant: Workspace, playbook: Playbook) -> None:
    cannot_be_seen(instant)
    done = playbook([a_play(until_known(options=BRIEF))])
    assert submitted(instant) == dict.fromkeys(SERVERS, 1), done.said
    assert done.code == 0, done.said
    assert attempts(done) > 1


def test_a_retry_awaits_what_was_not_finished_in_time(instant: Workspace, playbook: Playbook) -> None:
    instant.settings(instant=False)
    task = until_known(options={"wait_timeout": "1s"}, retries=1)
    done = playbook([a_play(task)])
    assert submitted(instant) == dict.fromkeys(SERVERS, 1), done.said
    [result] = done.results.values()
    assert result["summary"] == {"timed_out": 2}
    for command in result["commands"]:
        assert command["msg"].startswith("Not finished within wait_timeout."), command["msg"]
        assert command["msg"].endswith("An earlier attempt of this task has submitted it; it was not submitted again.")


def test_what_has_ended_or_never_was_accepted_is_submitted_again(instant: Workspace, playbook: Playbook) -> None:
    instant.fault("status", method="POST", path=SUBMITS, status=403, body=FORBIDDEN, times=2)
    task = until_known(until="done is success and done.attempts > 2")
    done = playbook([a_play(task)])
    # Refused, then two that ended.
    assert submitted(instant) == dict.fromkeys(SERVERS, 2), done.said


@pytest.mark.parametrize(
    ("word", "where"),
    [("rejected", {}), ("rejected", {"loop": [1]}), ("rejected", {"delegate_to": "elsewhere"}), ("denied", {})],
    ids=["rejected", "loop", "shipped", "denied"],
)
def test_what_was_turned_down_is_not_submitted_again(
    instant: Workspace, playbook: Playbook, word: str, where: Row
) -> None:
    instant.settings(holds=[{"line": "reboot", "status": "awaiting_approval", "seconds": 0.5, "then": word}])
    done = playbook([a_play(until_known(options={"wait_for_approval": True}, **where))])
    assert submitted(instant) == dict.fromkeys(SERVERS, 1), done.said
    [result] = done.results.values()
    [tried] = result.get("results", [result])
    assert tried["summary"] == {word: 2}


def test_what_expired_is_submitted_again(instant: Workspace, playbook: Playbook) -> None:
    instant.settings(holds=[{"line": "reboot", "status": "expired"}])
    done = playbook([a_play(until_known(retries=1))])
    assert submitted(instant) == dict.fromkeys(SERVERS, 2), done.said


@pytest.mark.parametrize("core", OTHER_CORES)
def test_a_retry_of_an_item_submits_nothing_again_on_other_cores(instant: Workspace, tmp_path: Path, core: str) -> None:
    cannot_be_seen(instant)
    done = play_out(instant, tmp_path, [a_play(until_known(options=BRIEF, loop=[1]))], HOSTS, core=core)
    assert submitted(instant) == dict.fromkeys(SERVERS, 1), done.said
    assert instant.counters()["writes"] == 2, done.said
    assert attempts(done) > 1


@pytest.mark.parametrize("core", OTHER_CORES)
def test_what_was_handed_to_another_host_and_refused_is_submitted_again(
    instant: Workspace, tmp_path: Path, core: str
) -> None:
    instant.fault("status", method="POST", path=SUBMITS, status=403, body=FORBIDDEN, times=2)
    done = play_out(instant, tmp_path, [a_play(until_known(delegate_to="elsewhere"), **SAME_PYTHON)], HOSTS, core=core)
    assert submitted(instant) == dict.fromkeys(SERVERS, 1), done.said
    [result] = done.results.values()
    assert result["summary"] == {"success": 2}
