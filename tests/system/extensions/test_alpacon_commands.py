# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run the event source as ansible-rulebook does, without ansible-rulebook."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import collection_tree
import pytest
from ansible_cores import CORES
from system.plays import play, run_playbook, task
from system.support import in_every_dialect
from workspace.client import Workspace

from ansible_collections.herdops.alpacon.plugins.plugin_utils import _event_source
from ansible_collections.herdops.alpacon.plugins.plugin_utils._event_source import EventOptions, WorkspaceWatch
from ansible_collections.herdops.alpacon.tests.unit.support import Row

SOURCE = collection_tree.link() / collection_tree.NAME / "extensions/eda/plugins/event_source/alpacon_commands.py"


class Source:
    """An event source that runs in a thread."""

    def __init__(self, arguments: Row) -> None:
        self.events: list[Row] = []
        self.error: BaseException | None = None
        self.polls = 0
        self._loop = asyncio.new_event_loop()
        # As runpy does, which does not work beside Ansible's loader of collections.
        module: dict[str, Any] = {"__file__": str(SOURCE)}
        exec(compile(SOURCE.read_text(encoding="utf-8"), SOURCE, "exec"), module)
        self._task = self._loop.create_task(module["main"](self, arguments))
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._task)
        except BaseException as error:
            self.error = error
        # As asyncio.run does.
        self._loop.run_until_complete(self._loop.shutdown_default_executor())

    async def put(self, event: Row) -> None:
        assert set(event) == {"alpacon"}
        self.events.append(event["alpacon"])

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._task.cancel)
        self.join()

    def join(self) -> None:
        self._thread.join(timeout=60)
        assert not self._thread.is_alive()

    @property
    def ended(self) -> Counter[str]:
        """Count the events by the ID of their command."""
        return Counter(event["command"]["id"] for event in self.events if event["type"] == "command_ended")

    @property
    def servers(self) -> list[tuple[str, str]]:
        return [(event["type"], event["server"]["name"]) for event in self.events if event["type"] != "command_ended"]

    def wait(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 60
        while not condition():
            assert self._thread.is_alive(), self.error
            assert time.monotonic() < deadline, f"{len(self.events)} events after {self.polls} polls"
            time.sleep(0.01)

    def wait_for_polls(self, number: int) -> None:
        """Wait until this many polls have begun and ended."""
        last = self.polls + number + 1
        self.wait(lambda: self.polls >= last)


Start = Callable[..., Source]


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Start event sources that poll without a pause."""
    monkeypatch.setattr(_event_source, "_SHORTEST_INTERVAL", 0)
    poll = WorkspaceWatch.poll

    def counted(watch: WorkspaceWatch) -> Any:
        polled = poll(watch)
        sources[-1].polls += 1
        return polled

    sources: list[Source] = []
    monkeypatch.setattr(WorkspaceWatch, "poll", counted)
    with contextlib.ExitStack() as stack:

        def start(workspace: Workspace, **arguments: Any) -> Source:
            defaults = {"url": workspace.url, "token": workspace.token, "interval": 0.05, "requests_per_hour": 10**9}
            sources.append(Source({**defaults, **arguments}))
            stack.callback(sources[-1].stop)
            sources[-1].wait(lambda: sources[-1].polls > 0)
            return sources[-1]

        yield start


@pytest.fixture
def fleet(instant: Workspace) -> Iterator[Workspace]:
    instant.reset()
    instant.add_servers("web-01", "web-02", connected=True)
    instant.add_servers("off-01", connected=False)
    yield instant
    instant.reset()


def now(seconds: float = 0) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


def test_a_thousand_commands_end_while_reads_lag_and_fail(fleet: Workspace, start: Start) -> None:
    ended_before = fleet.add_many_commands(1500, status="success", added_at=-120, step=-1)
    running = fleet.add_many_commands(90, status="running", added_at=-1, step=-0.1)
    waiting = fleet.add_many_commands(150, server="off-01", added_at=-200_000, step=-1000)
    open_ones = running + waiting
    random.Random(0).shuffle(open_ones)
    fleet.settings(read_lag=0.2)
    source = start(fleet, servers=False)
    expected: list[str] = []
    tie = now()
    for number in range(10):
        # They were added some time before others that lists show already.
        row = {"status": "success", "scheduled_at": tie, "handled_at": tie, "step": -0.3, "added_at": 0}
        expected += fleet.add_many_commands(80, **row)
        if number in (3, 6):
            # The first is retried within a poll, and the second fails the poll.
            fleet.fault("status", status=503 if number == 3 else 409, times=1)
        ending, open_ones = open_ones[:20], open_ones[20:]
        for command in ending:
            fleet.change_command(command, status="failed" if number % 2 else "success", handled_at=tie)
        expected += ending
    for command in open_ones[:10]:
        fleet.delete_command(command)
    source.wait(lambda: len(source.ended) >= len(expected))
    source.wait_for_polls(2)
    assert source.ended == Counter(expected)
    assert not source.ended.keys() & set(ended_before)
    assert len(expected) == 1000


def test_many_commands_of_one_time_come_once_and_hold_up_no_others(fleet: Workspace, start: Start) -> None:
    [old] = fleet.add_many_commands(1, server="off-01", added_at=-4000)
    source = start(fleet, servers=False)
    # Three pages whose rows change places at each read.
    expected = [old, *fleet.add_many_commands(260, status="success", added_at=now(), step=0)]
    source.wait_for_polls(1)
    fleet.change_command(old, status="success", handled_at=now())
    source.wait(lambda: len(source.ended) == 261)
    assert source.polls <= 60
    source.wait_for_polls(2)
    assert source.ended == Counter(expected)


@in_every_dialect
def test_events_of_commands_and_servers(workspace: Workspace, start: Start) -> None:
    slow = workspace.submit("web-03", "sleep 1; echo slow")
    source = start(workspace)
    quick = workspace.submit("web-01", "echo quick; exit 3")
    later = workspace.submit("web-01", "echo later", scheduled_at=now(2))
    workspace.disconnect("web-02")
    source.wait(lambda: len(source.servers) == 1)
    workspace.connect("web-02")
    source.wait(lambda: len(source.servers) == 2 and len(source.ended) == 3)
    source.wait_for_polls(2)
    assert source.ended == Counter([slow, quick, later])
    assert source.servers == [("server_disconnected", "web-02"), ("server_connected", "web-02")]
    commands = {event["command"]["id"]: event["command"] for event in source.events if "command" in event}
    assert {key: commands[key]["stdout"] for key in commands} == {slow: "slow", quick: "quick", later: "later"}
    assert [commands[key]["outcome"] for key in (slow, quick)] == ["success", "failed"]
    assert commands[quick]["rc"] == (3 if workspace.dialect == "current" else 1)
    assert source.events[0].keys() == {"type", "server"} or source.events[0].keys() == {"type", "command"}


@in_every_dialect
def test_commands_that_were_scheduled_long_before_the_start(workspace: Workspace, start: Start) -> None:
    row = {"server": "web-01", "added_at": -200_000, "step": -1000}
    workspace.add_many_commands(20, scheduled_at=86400, **row)
    workspace.add_many_commands(300, status="success", added_at=-4000, step=-10)
    # On a busy machine, the source takes seconds to start.
    due = workspace.add_many_commands(5, scheduled_at=8, **row)
    source = start(workspace, servers=False)
    source.wait(lambda: len(source.ended) == 5)
    workspace.reset_counters()
    polls = source.polls
    source.wait_for_polls(10)
    source.stop()
    assert source.ended == Counter(due)
    # Nothing reads a command before it is due.
    assert workspace.requests_made() <= source.polls - polls + 1


@in_every_dialect
def test_commands_that_waited_for_a_server_long_before_the_start(workspace: Workspace, start: Start) -> None:
    workspace.add_servers("off-01", connected=False)
    waiting = workspace.add_many_commands(5, server="off-01", added_at=-200_000, step=-1000)
    workspace.add_many_commands(300, status="success", added_at=-4000, step=-10)
    source = start(workspace, servers=False)
    for command in waiting:
        workspace.change_command(command, status="success", handled_at=now())
    source.wait(lambda: len(source.ended) == 5)
    source.wait_for_polls(2)
    assert source.ended == Counter(waiting)


def test_only_the_detail_has_the_exit_code(fleet: Workspace, start: Start) -> None:
    fleet.settings(lean_rows=True)
    source = start(fleet, servers=False)
    fleet.add_many_commands(1, status="failed", exit_code=7)
    source.wait(lambda: bool(source.events))
    assert source.events[0]["command"]["rc"] == 7


def test_a_poll_reads_few_details(fleet: Workspace, start: Start) -> None:
    fleet.settings(lean_rows=True)
    source = start(fleet, servers=False)
    polls = source.polls
    fleet.reset_counters()
    failed = fleet.add_many_commands(300, status="failed", exit_code=7)
    source.wait(lambda: len(source.ended) == 300)
    source.stop()
    assert source.ended == Counter(failed)
    assert fleet.requests_made() <= 50 + 5 * (source.polls - polls + 1)
    # Where the exit code was not read, the event says so.
    codes = Counter((event["command"]["rc"], "rc_assumed" in event["command"]) for event in source.events)
    assert codes == {(7, False): 50, (1, True): 250}


def test_a_command_from_the_future_hides_no_others(fleet: Workspace, start: Start) -> None:
    source = start(fleet, servers=False)
    future = fleet.add_many_commands(1, status="success", added_at=86400)
    source.wait(lambda: len(source.ended) == 1)
    others = fleet.add_many_commands(3, status="success")
    source.wait(lambda: len(source.ended) == 4)
    source.wait_for_polls(2)
    assert source.ended == Counter(future + others)


def test_the_output_of_an_event_is_bounded(fleet: Workspace, start: Start) -> None:
    source = start(fleet, servers=False)
    fleet.add_many_commands(1, status="success", result="a" * 5000 + "end")
    fleet.add_many_commands(1, status="success", result="", chunks=["in chunks"])
    source.wait(lambda: len(source.events) == 2)
    long, chunked = sorted((event["command"] for event in source.events), key=lambda one: -len(one["stdout"]))
    assert (len(long["stdout"]), long["stdout"][-3:], long["output_complete"]) == (4000, "end", False)
    assert (chunked["stdout"], chunked["output_complete"]) == ("", False)


@pytest.mark.parametrize("core", CORES)
def test_no_text_of_an_event_is_a_template(fleet: Workspace, tmp_path: Path, core: str) -> None:
    run = "lookup('ansible.builtin.pipe', 'echo was run')"
    hostile = [
        f"{{{{ {run} }}}}",
        f"{{% if {run} == 'was run' %}}was run{{% endif %}}",
        f"#jinja2:variable_start_string:'[[',variable_end_string:']]'\n[[ {run} ]]",
        f"#jinja2:line_statement_prefix:'%%'\n%% if {run} == 'was run'\nwas run\n%% endif",
    ]
    event = _event_source._make_event("command_ended", command={"nested": [{text: text} for text in hostile]})
    (tmp_path / "event.json").write_text(json.dumps({"ansible_eda": {"event": event}}))
    show = task("show", {"msg": "{{ ansible_eda.event.alpacon.command.nested }}"}, "ansible.builtin.debug")
    done = run_playbook(fleet, tmp_path, play(show), ["web-01"], "-e", f"@{tmp_path}/event.json", core=core)
    assert done.tasks["show"][0]["msg"] == event["alpacon"]["command"]["nested"]


def test_servers_that_appear_or_vanish(fleet: Workspace, start: Start) -> None:
    source = start(fleet, commands=False)
    fleet.add_servers("new-offline", connected=False)
    fleet.remove_server("off-01")
    fleet.remove_server("web-02")
    source.wait_for_polls(2)
    assert source.servers == []
    fleet.reset_counters()
    polls = source.polls
    source.wait_for_polls(5)
    assert fleet.requests_made() <= source.polls - polls + 2
    fleet.change_server("new-offline", is_connected=True)
    fleet.add_servers("new", connected=True, last_connectivity=5)
    source.wait(lambda: len(source.servers) == 1)
    fleet.change_server("new", is_connected=False)
    source.wait(lambda: len(source.servers) == 2)
    source.wait_for_polls(2)
    assert source.servers == [("server_connected", "new-offline"), ("server_disconnected", "new")]


def test_servers_that_remain_while_most_vanish(fleet: Workspace) -> None:
    names = [f"db-{number}" for number in range(200)]
    fleet.add_servers(*names, connected=True)
    arguments = {"url": fleet.url, "token": fleet.token, "commands": False}
    watch = WorkspaceWatch(EventOptions.from_arguments(arguments, {}))
    watch.poll()
    for name in names:
        fleet.remove_server(name)
    [watcher] = watch._watchers
    assert isinstance(watcher, _event_source.ServerWatcher)
    watcher._list_again = 0.0
    watch.poll()
    assert len(watcher._connected) == 3
    fleet.change_server("web-01", is_connected=False)
    assert [event["alpacon"]["server"]["name"] for event in watch.poll()[0]] == ["web-01"]


def test_requests_are_logged_for_debugging(fleet: Workspace, caplog: pytest.LogCaptureFixture) -> None:
    for level, is_logged in ((logging.INFO, False), (logging.DEBUG, True)):
        caplog.set_level(level, "herdops.alpacon.alpacon_commands")
        WorkspaceWatch(EventOptions.from_arguments({"url": fleet.url, "token": fleet.token}, {})).poll()
        assert ("alpacon: GET /api/events/commands/: HTTP 200 (" in caplog.text) == is_logged
    assert fleet.token not in caplog.text


def test_a_poll_of_a_large_fleet_takes_two_requests(fleet: Workspace, start: Start) -> None:
    fleet.add_servers(*(f"db-{number}" for number in range(300)), connected=True)
    fleet.add_many_commands(500, status="success", step=-2)
    source = start(fleet)
    fleet.change_server("db-7", is_connected=False)
    source.wait(lambda: len(source.servers) == 1)
    source.wait_for_polls(1)
    fleet.reset_counters()
    polls = source.polls
    source.wait(lambda: source.polls >= polls + 20)
    source.stop()
    assert fleet.requests_made() <= 2 * (source.polls - polls + 1)
    assert source.servers == [("server_disconnected", "db-7")]


def test_many_servers_that_return_are_read_in_one_list(fleet: Workspace, start: Start) -> None:
    names = [f"db-{number}" for number in range(120)]
    fleet.add_servers(*names, connected=False)
    source = start(fleet, commands=False)
    source.wait_for_polls(1)
    fleet.reset_counters()
    polls = source.polls
    for name in names:
        fleet.change_server(name, is_connected=True)
    source.wait(lambda: len(source.servers) == 120)
    source.stop()
    assert sorted(source.servers) == sorted(("server_connected", name) for name in names)
    # A request for each server that returns would be 120 more.
    assert fleet.requests_made() <= 5 * (source.polls - polls + 2)


@in_every_dialect
def test_a_token_that_is_refused_ends_the_source(workspace: Workspace, start: Start) -> None:
    source = Source({"url": workspace.url, "token": "alpat-unknown"})
    source.join()
    assert "unknown, disabled or expired" in str(source.error)


def test_a_token_that_expires_ends_the_source(fleet: Workspace, start: Start) -> None:
    source = start(fleet)
    body = '{"code": "auth_authentication_failed"}'
    fleet.fault("status", status=401, body=body)
    source.join()
    assert "The token is unknown" in str(source.error)


def test_a_source_that_is_cancelled_does_not_await_a_response(fleet: Workspace, start: Start) -> None:
    source = start(fleet, request_timeout=3600)
    fleet.fault("timeout_after")
    requests = fleet.requests_made()
    source.wait(lambda: fleet.requests_made() > requests)
    source.stop()
    assert isinstance(source.error, asyncio.CancelledError)


def test_wrong_options_are_refused_before_any_request(fleet: Workspace, start: Start) -> None:
    fleet.reset_counters()
    source = Source({"url": fleet.url, "token": fleet.token, "intervall": 30})
    source.join()
    assert str(source.error) == "intervall: there is no such option. Did you mean interval?"
    assert fleet.requests_made() == 0


def test_a_missing_ansible_core_is_named() -> None:
    program = f"""
import asyncio, runpy
main = runpy.run_path({str(SOURCE)!r})["main"]
asyncio.run(main(None, {{}}))
"""
    done = subprocess.run([sys.executable, "-S", "-c", program], capture_output=True, text=True, check=False)
    last = done.stderr.splitlines()[-1]
    assert last.startswith("ModuleNotFoundError: ansible-core is missing.")
    assert last.endswith(f"{sys.executable} -m pip install ansible-core")


def test_the_first_poll_does_not_delay_the_second_one(fleet: Workspace) -> None:
    fleet.add_many_commands(5000, status="success", step=-0.1)
    arguments = {"url": fleet.url, "token": fleet.token, "requests_per_hour": 60}
    watch = WorkspaceWatch(EventOptions.from_arguments(arguments, {}))
    fleet.reset_counters()
    assert watch.poll() == ([], 30)
    assert fleet.requests_made() > 50
    # The next one takes 14 requests: 100 commands each, those of the last two minutes.
    assert watch.poll()[1] > 600
