# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Each server gets the command of a task once, for any number of hosts and retries.

Plays share a run of ansible-playbook where they can; their command lines begin with the name of the task.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from ansible_cores import CORES
from system.plays import Play, Row, run_playbook
from workspace.client import Workspace

HOSTS = [f"host-{number}" for number in range(1, 6)]
SERVERS = ["many-1", "many-2"]
COMMAND = "herdops.alpacon.alpacon_command"
#: A delegated task runs in the Python of the controller.
SAME_PYTHON = {"ansible_python_interpreter": "{{ ansible_playbook_python }}"}
on_every_core = pytest.mark.parametrize("core", CORES)


@pytest.fixture
def instant(current: Workspace) -> Workspace:
    """Return a workspace whose commands end at once."""
    current.add_servers(*SERVERS, connected=True)
    current.settings(instant=True)
    return current


def a_play(*tasks: Row, **keywords: Any) -> Row:
    """Return a play for all hosts."""
    return {"hosts": "all", "gather_facts": False, **keywords, "tasks": list(tasks)}


def a_task(name: str = "Reboot", line: str = "", **keywords: Any) -> Row:
    """Return a task without run_once, whose line begins with its name."""
    options = {"servers": SERVERS, "line": f"{name}: {line}", **keywords.pop("options", {})}
    return {"name": name, COMMAND: options, "ignore_errors": True, **keywords}


def submitted(workspace: Workspace) -> dict[str, dict[str, int]]:
    """Return the number of commands of each task on each server."""
    commands: dict[str, Counter[str]] = {}
    for row in workspace.commands():
        commands.setdefault(row["line"].partition(":")[0], Counter())[row["server"]] += 1
    return {task: dict(counted) for task, counted in commands.items()}


def each(times: int) -> dict[str, int]:
    return dict.fromkeys(SERVERS, times)


def refusals(play: Play, task: str) -> list[str]:
    """Return the messages of the hosts that failed in a task."""
    return [result["msg"] for result in play.tasks[task] if result["failed"]]


REMEDY = "Run it once, with run_once: true in a play with strategy: linear and without serial, or leave servers out"
#: Task name -> keywords of the task, and of the play.
MISSING: dict[str, tuple[Row, Row]] = {
    "at once": ({}, {}),
    "in batches": ({}, {"serial": 2}),
    "in one batch": ({}, {"serial": [0]}),
    "in a batch of all": ({}, {"serial": "{{ '100%' }}"}),
    "free": ({}, {"strategy": "free"}),
    "free, once": ({"run_once": True}, {"strategy": "free"}),
    "pinned": ({}, {"strategy": "host_pinned", "serial": 2}),
    "scheduled": ({"options": {"state": "scheduled", "scheduled_at": "2999-01-01T00:00:00Z"}}, {}),
    "delegated": ({"delegate_to": "elsewhere"}, {}),
}


@on_every_core
def test_a_missing_run_once_sends_nothing_twice(instant: Workspace, tmp_path: Path, core: str) -> None:
    plays = [
        a_play(a_task(name, **keywords), vars=SAME_PYTHON, **play_keywords)
        for name, (keywords, play_keywords) in MISSING.items()
    ]
    (tmp_path / "included.yml").write_text(json.dumps([a_task("included")]))
    plays.append(a_play({"include_tasks": "included.yml"}, strategy="free"))
    done = run_playbook(instant, tmp_path, plays, HOSTS, "--forks", "5", core=core)
    assert submitted(instant) == dict.fromkeys((*MISSING, "included"), each(1)), done.log
    for name in MISSING:
        messages = refusals(done, name)
        assert len(messages) == len(HOSTS) - 1
        assert all(" gets this command for host " in msg and REMEDY in msg for msg in messages), messages


def test_tasks_that_are_meant_to_repeat_submit_again(instant: Workspace, tmp_path: Path) -> None:
    plays = [
        a_play(a_task("two tasks"), a_task("two tasks"), run_once=True),
        a_play(a_task("two batches", run_once=True, loop="{{ ansible_play_batch[:1] }}"), serial=3),
        a_play(a_task("two plays", run_once=True)),
        a_play(a_task("two plays", run_once=True)),
        a_play(a_task("two items", when="inventory_hostname == ansible_play_hosts[0]", loop=[1, 2])),
        a_play(*[{"include_tasks": "included.yml", "run_once": True}] * 2),
        a_play(a_task("items", "{{ item }}", loop=["a", "b"])),
        a_play(a_task("lines", "{{ inventory_hostname }}")),
    ]
    (tmp_path / "included.yml").write_text(json.dumps([a_task("included twice", run_once=True)]))
    done = run_playbook(instant, tmp_path, plays, HOSTS[:4], "--forks=20")
    twice = ("two tasks", "two batches", "two plays", "two items", "included twice", "items")
    assert submitted(instant) == {**dict.fromkeys(twice, each(2)), "lines": each(4)}, done.log
    # Any host may submit an item of a loop.
    assert all(name == "items" or not refusals(done, name) for name in done.tasks)


@on_every_core
def test_run_once_with_serial_submits_once(instant: Workspace, tmp_path: Path, core: str) -> None:
    own = a_task("own servers", run_once=True, options={"servers": "{{ theirs[ansible_play_batch[0]] }}"})
    plays = [
        a_play(a_task("two batches", run_once=True), serial="{{ batch }}", vars={"batch": 2}),
        a_play(a_task("one batch", run_once=True), serial="100%"),
        a_play(own, serial=2, vars={"theirs": {"host-1": ["many-1"], "host-3": ["many-2"]}}),
    ]
    done = run_playbook(instant, tmp_path, plays, HOSTS[:3], core=core)
    names = ("two batches", "one batch", "own servers")
    assert submitted(instant) == dict.fromkeys(names, each(1)), done.log
    [refusal] = refusals(done, "two batches")
    assert REMEDY in refusal
    assert [refusals(done, name) for name in names[1:]] == [[], []]


@on_every_core
def test_a_handler_needs_run_once_too(instant: Workspace, tmp_path: Path, core: str) -> None:
    def flushing(**keywords: Any) -> list[Row]:
        tasks: list[Row] = []
        for host in HOSTS[:2]:
            changed = {"changed_when": True, "when": f"inventory_hostname == '{host}'", "notify": keywords["notify"]}
            tasks += [{"ansible.builtin.debug": {}, **changed}, {"ansible.builtin.meta": "flush_handlers"}]
        return tasks

    handlers = {"forgotten": a_task("forgotten"), "once": a_task("once", run_once=True)}
    plays = [a_play(*flushing(notify=name), handlers=[handler]) for name, handler in handlers.items()]
    done = run_playbook(instant, tmp_path, plays, HOSTS[:2], core=core)
    assert submitted(instant) == {"forgotten": each(1), "once": each(2)}, done.log
    [refusal] = refusals(done, "forgotten")
    assert REMEDY in refusal
    assert refusals(done, "once") == []


# Retries

SUBMITS, LISTS = "^/api/events/commands/$", r"^/api/events/commands/\?"
FORBIDDEN = '{"code": "forbidden"}'
#: Limits the search for a lost submit.
BRIEF = {"wait_timeout": "1s"}


def until_success(**keywords: Any) -> Row:
    """Return a task with retries until it succeeds."""
    task = {"register": "done", "until": "done is success", "retries": 3, "delay": 0, "run_once": True}
    return a_task(**{**task, **keywords})


def attempts(play: Play) -> int:
    """Return the number of attempts that the task took."""
    [result] = play.results.values()
    [tried] = result.get("results", [result])
    return int(tried["attempts"])


@pytest.mark.parametrize("where", [{"loop": [1]}, {"delegate_to": "elsewhere"}], ids=["loop", "shipped"])
def test_a_retry_does_not_repeat_a_submit_that_may_be_accepted(instant: Workspace, tmp_path: Path, where: Row) -> None:
    # The requests of two submits are lost.
    instant.fault("lose_before", method="POST", path=SUBMITS, times=2)
    done = run_playbook(instant, tmp_path, [a_play(until_success(options=BRIEF, **where))], HOSTS, "--forks=20")
    assert instant.commands() == [], done.log
    assert instant.counters()["writes"] == 2, done.log
    assert attempts(done) > 1


@on_every_core
def test_a_retry_finds_the_command_of_a_lost_submit(instant: Workspace, tmp_path: Path, core: str) -> None:
    instant.fault("lose_after", method="POST", path=SUBMITS, times=2)
    instant.fault("status", method="GET", path=LISTS, status=403, body=FORBIDDEN, times=3)
    done = run_playbook(instant, tmp_path, [a_play(until_success(options=BRIEF, loop=[1]))], HOSTS, core=core)
    assert submitted(instant) == {"Reboot": each(1)}, done.log
    assert instant.counters()["writes"] == 2, done.log
    assert (done.code, attempts(done) > 1) == (0, True), done.log
