# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tasks for many hosts in ansible-playbook itself: what its workers share, its journal, its progress, its budget."""

from __future__ import annotations

import multiprocessing
import os
import re
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from system.conftest import _fresh
from system.playing import Row, RunningPlay, ids_in, start, until
from system.support import AGENTS, command_options
from workspace.client import Workspace

from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.run import Run
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.command import run_command
from ansible_collections.herdops.alpacon.tests.unit.support import DIALECTS

pytestmark = pytest.mark.slow

Begin = Callable[..., RunningPlay]

HOSTS = [f"web-{number:02d}" for number in range(1, 41)]
#: Servers without an agent, whose commands go on until the test ends them.
BARE = [f"bare-{number}" for number in range(1, 6)]
FIFTY = [f"many-{number:02d}" for number in range(1, 51)]
THREE_HUNDRED = [f"many-{number:03d}" for number in range(300)]
SERVERS = "GET /api/servers/servers/"
TO_ITS_SERVERS = {"servers": "{{ its_servers }}", "line": "echo {{ inventory_hostname }}"}
EVERY_WAY = [*DIALECTS, "lean rows"]
TELLS_NUMBERS = re.compile(r"alpacon: (?:(\d+) to submit, )?(\d+) running, (\d+) done, (\d+) failed after \d+ s")


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Begin]:
    """Begins runs of ansible-playbook, each in a folder of its own, and ends those that a failed test leaves."""
    with ExitStack() as stack:
        begun: list[RunningPlay] = []

        def play(workspace: Workspace, hosts: Any, forks: int = 20, **options: Any) -> RunningPlay:
            one = start(workspace, tmp_path / f"play-{len(begun)}", hosts, options, forks)
            begun.append(one)
            stack.callback(one.stop)
            return one

        yield play


@pytest.fixture(params=EVERY_WAY)
def fleet(request: pytest.FixtureRequest, running: Callable[[str], Workspace]) -> Workspace:
    """An empty workspace with forty servers, of each dialect, and with rows that leave things out."""
    lean = request.param == "lean rows"
    workspace = _fresh(running("current" if lean else request.param))
    workspace.add_servers(*HOSTS[len(AGENTS) :], agent=True)
    workspace.settings(lean_rows=lean)
    workspace.wait_connected(*HOSTS)
    return workspace


def under_way(workspace: Workspace, *servers: str) -> set[str]:
    """Ids of the commands that go on, on these servers or on any."""
    return {
        row["id"]
        for row in workspace.commands()
        if row["status"] in ("delivered", "running") and (not servers or row["server"] in servers)
    }


def end_all(workspace: Workspace) -> None:
    """End the commands that go on, well."""
    for command_id in under_way(workspace):
        workspace.change_command(command_id, status="success", result="ready")


# What workers share


def test_forty_hosts_cost_hardly_more_than_one_task_for_all(fleet: Workspace, begin: Begin) -> None:
    play = begin(fleet, HOSTS, line="echo {{ inventory_hostname }}").end()
    assert play.code == 0, play.said
    assert {host: result["stdout"] for host, result in play.results.items()} == {host: host for host in HOSTS}
    counters = fleet.counters()
    assert counters["requests"] <= 1.3 * len(HOSTS), counters
    assert counters["routes"][SERVERS]["total"] == 1
    assert sum(result["requests"] for result in play.results.values()) == counters["requests"]
    assert play.journals == []


def everything_at_once() -> tuple[dict[str, str], dict[str, str]]:
    """The line of each host, and the outcome that it is to have."""
    lines: dict[str, str] = {}
    outcomes: dict[str, str] = {}
    stories = [
        (12, "echo {host}", "success"),
        (6, "echo {host}; exit 3", "failed"),
        (12, "sleep {seconds}; echo {host}", "success"),
        (4, "echo {host} # held", "success"),
        (1, "echo {host} # held", "rejected"),
        (1, "echo {host} # held", "expired"),
        (2, "echo {host} # held", "cancelled"),
        (2, "echo {host} # held", "awaiting_approval"),
    ]
    hosts = iter(HOSTS)
    for count, line, outcome in stories:
        for number in range(count):
            host = next(hosts)
            lines[host] = line.format(host=host, seconds=number % 4)
            outcomes[host] = outcome
    return lines, outcomes


def test_every_host_gets_its_own_outcome_whatever_the_others_do(fleet: Workspace, begin: Begin) -> None:
    fleet.settings(holds=[{"line": "# held", "status": "awaiting_approval"}])
    lines, outcomes = everything_at_once()
    impatient = [host for host in HOSTS if outcomes[host] == "awaiting_approval"]
    hosts = {host: {"its_line": lines[host], "patient": host not in impatient} for host in HOSTS}
    play = begin(fleet, hosts, line="{{ its_line }}", wait_for_approval="{{ patient }}")
    held = until(
        lambda: (
            len(ids := {row["server"]: row["id"] for row in fleet.commands() if "held" in row["line"]}) == 10 and ids
        )
    )
    until(lambda: set(impatient) <= set(play.results))
    for host, command_id in held.items():
        if outcomes[host] == "success":
            fleet.change_command(command_id, status="queued")
        elif host not in impatient:
            fleet.change_command(command_id, status=outcomes[host])
    play.end()
    results = play.results
    assert {host: result["outcome"] for host, result in results.items()} == outcomes, play.said
    assert play.code == 2
    knows_rc = fleet.dialect == "current"
    for host, result in results.items():
        [entry] = result["commands"]
        if outcomes[host] in ("success", "failed"):
            rc = 0 if outcomes[host] == "success" else 3 if knows_rc else 1
            assert (entry["stdout"], entry["rc"], entry["ran"]) == (host, rc, True)
        else:
            assert (entry["stdout"], entry["rc"]) == ("", None)
            assert entry["ran"] is False
        assert result["failed"] == (outcomes[host] != "success")
    assert Counter(row["server"] for row in fleet.commands()).most_common(1)[0][1] == 1, "none was submitted twice"
    assert play.journals == []


def test_hosts_with_several_servers_each_get_all_of_their_results(current: Workspace, begin: Begin) -> None:
    current.add_servers(*BARE, connected=True)
    theirs = {
        "one": ["web-01", "bare-1"],
        "two": ["web-02", "web-03"],
        "three": ["bare-2", "bare-3"],
        "four": ["bare-4"],
    }
    play = begin(current, {host: {"its_servers": servers} for host, servers in theirs.items()}, **TO_ITS_SERVERS)
    until(lambda: len(under_way(current, *BARE)) == 4 == len(under_way(current)))
    end_all(current)
    assert play.end().code == 0, play.said
    seen = {
        host: {entry["server"]["name"]: entry["outcome"] for entry in result["commands"]}
        for host, result in play.results.items()
    }
    assert seen == {host: dict.fromkeys(servers, "success") for host, servers in theirs.items()}
    assert Counter(row["server"] for row in current.commands()) == Counter(chain(*theirs.values()))
    assert play.journals == []


def test_what_workers_share_holds_no_secret_and_is_gone_afterwards(current: Workspace, begin: Begin) -> None:
    current.add_servers(*BARE, connected=True)
    play = begin(current, BARE, line="make all", env={"PASSWORD": "hunter2-hunter2"})
    until(lambda: len(under_way(current)) == len(BARE))
    shared = until(lambda: list(play.temporary.glob("alpacon-*/polled_at")))[0].parent
    assert shared.stat().st_mode & 0o777 == 0o700
    for path in (play.folder / "home").rglob("*"):
        assert current.token not in str(path)
        if path.is_file():
            assert not any(secret in path.read_text() for secret in (current.token, "hunter2-hunter2"))
    end_all(current)
    assert play.end().code == 0, play.said
    assert not shared.exists()
    assert current.token not in play.said


def test_a_journal_that_cannot_be_written_stops_nothing(current: Workspace, begin: Begin, tmp_path: Path) -> None:
    (tmp_path / "play-0/home").mkdir(parents=True)
    (tmp_path / "play-0/home/alpacon").write_text("in the way")
    play = begin(current, AGENTS, line="echo {{ inventory_hostname }}").end()
    assert {host: result["stdout"] for host, result in play.results.items()} == {host: host for host in AGENTS}


# Workers that die


def holder(lock: Path) -> int | None:
    """The process that holds the lock of a file."""
    if not lock.exists():
        return None
    inode = f":{lock.stat().st_ino}"
    for line in Path("/proc/locks").read_text().splitlines():
        fields = line.split()
        if fields[1] == "FLOCK" and fields[5].endswith(inode):
            return int(fields[4])
    return None


def lock_of(folder: Path) -> Path:
    """The lock that whoever polls holds, which need not be there yet."""
    return next(folder.glob("alpacon-*/poll.lock"), folder / "none")


@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_who_is_killed_while_polling_for_all_holds_nobody_up(current: Workspace, tmp_path: Path) -> None:
    current.add_servers(*BARE, connected=True)
    fork = multiprocessing.get_context("fork")
    answers = fork.SimpleQueue()

    def work(server: str) -> None:
        options = command_options(current, servers=[server], line="make all", wait_timeout="30")
        run = Run(hosts=len(BARE), folder=tmp_path, journal_file=tmp_path / "run.ids")
        answers.put((server, run_command(options, run)["outcome"]))

    current.fault("slow", path=r"^/api/events/commands/\?", delay=5, times=1)
    workers = {server: fork.Process(target=work, args=(server,), daemon=True) for server in BARE}
    for worker in workers.values():
        worker.start()
    until(lambda: len(under_way(current)) == len(BARE))
    pid = until(lambda: holder(lock_of(tmp_path)))
    [victim] = [server for server, worker in workers.items() if worker.pid == pid]
    os.kill(pid, signal.SIGKILL)
    end_all(current)
    for worker in workers.values():
        worker.join(30)
    left = [server for server in BARE if server != victim]
    assert dict(answers.get() for _server in left) == dict.fromkeys(left, "success")
    [lost] = current.commands(server=victim)
    assert ids_in(tmp_path / "run.ids") == [lost["id"]]


# The journal


def kill_a_worker(play: RunningPlay) -> None:
    """Kill the worker that polls for the others."""
    os.kill(until(lambda: holder(lock_of(play.temporary))), signal.SIGKILL)


ENDS: dict[str, Callable[[RunningPlay], None]] = {
    "SIGINT": RunningPlay.interrupt,
    "SIGINT to the group": lambda play: play.interrupt(-play.process.pid),
    "a worker is killed": kill_a_worker,
}


@pytest.mark.parametrize("end", ENDS)
def test_a_run_that_is_cut_off_leaves_the_ids_of_what_goes_on(current: Workspace, begin: Begin, end: str) -> None:
    current.add_servers(*BARE, connected=True)
    current.fault("slow", path=r"^/api/events/commands/\?", delay=0.5)
    play = begin(current, [*AGENTS, *BARE], line="echo ready")
    until(lambda: set(play.results) == set(AGENTS) and len(under_way(current)) == len(BARE))
    going_on = under_way(current)
    journal = play.folder / f"home/alpacon/{play.temporary.name}.ids"
    until(lambda: set(ids_in(journal)) == going_on)
    ENDS[end](play)
    play.process.wait(30)
    assert play.code != 0
    assert play.journals == [journal]
    assert sorted(ids_in(journal)) == sorted(going_on)
    pick_up(current, begin, journal, len(BARE))


def pick_up(workspace: Workspace, begin: Begin, journal: Path, count: int) -> None:
    """Await what is in a journal, in another run, and see it end well."""
    workspace.clear_faults()
    before = len(workspace.commands())
    ids = f"{{{{ lookup('ansible.builtin.file', '{journal}') | regex_findall('(?m)^[0-9a-f-]{{36}}') }}}}"
    play = begin(workspace, ["localhost"], state="finished", ids=ids)
    end_all(workspace)
    assert play.end().code == 0, play.said
    assert play.results["localhost"]["summary"] == {"success": count}
    assert len(workspace.commands()) == before
    assert play.journals == []


def test_one_task_that_is_cut_off_leaves_all_of_its_ids(current: Workspace, begin: Begin) -> None:
    current.add_servers(*BARE, connected=True)
    play = begin(current, ["localhost"], servers=[*AGENTS, *BARE], line="echo ready")
    until(lambda: len(under_way(current, *BARE)) == len(BARE) == len(under_way(current)))
    submitted = {row["id"] for row in current.commands()}
    journal = play.folder / f"home/alpacon/{play.temporary.name}.ids"
    until(lambda: set(ids_in(journal)) == submitted)
    play.interrupt()
    play.process.wait(30)
    assert play.results == {}, "so that nobody knows yet how any of them ended"
    assert play.journals == [journal]
    assert set(ids_in(journal)) == submitted
    pick_up(current, begin, journal, len(submitted))


# Progress


def numbers(play: RunningPlay) -> list[list[int]]:
    """What each line about the progress counts."""
    found = map(TELLS_NUMBERS.fullmatch, play.progress)
    return [[int(number or 0) for number in match.groups()] for match in found if match]


def test_a_task_for_several_servers_tells_how_it_goes(current: Workspace, begin: Begin) -> None:
    servers, line = list(AGENTS), "sleep 6.5"
    plays = {
        "list": begin(current, ["localhost"], servers=servers, line=line),
        "list, off": begin(current, ["localhost"], servers=servers, line=line, progress=False),
        "one": begin(current, ["localhost"], servers=servers[:1], line=line),
        "one, on": begin(current, ["localhost"], servers=servers[:1], line=line, progress=True),
        "hosts": begin(current, servers, line=line),
    }
    for play in plays.values():
        assert play.end().code == 0, play.said
        assert "\r" not in play.said
    assert {name for name, play in plays.items() if play.progress} == {"list", "one, on"}
    for name, total in (("list", 3), ("one, on", 1)):
        play = plays[name]
        assert [sum(counted) for counted in numbers(play)] == [total] * len(numbers(play))
        [where] = [told for told in play.progress if not TELLS_NUMBERS.fullmatch(told)]
        assert re.search(rf"{re.escape(str(play.folder))}/home/alpacon/ansible-local-\S+\.ids$", where)
        assert play.progress.index(where) == 1


# The budget


def early(log: list[Row]) -> list[str]:
    """Requests that came before the time that a 429 names, but for those that were on their way when it was said."""
    refused = [entry for entry in log if entry["status"] == 429]
    return [
        f"{entry['number']} came {entry['arrived'] - said['answered']:.2f} s after {said['number']}"
        f" was refused for {said['retry_after']} s"
        for said in refused
        for entry in log
        if said["answered"] + 0.5 < entry["arrived"] < said["answered"] + int(said["retry_after"]) - 0.1
    ]


@pytest.mark.parametrize("way", ["one task", "a task per host"])
def test_a_used_up_budget_holds_everybody_back(current: Workspace, begin: Begin, way: str) -> None:
    # As 200 an hour, in seconds.
    current.add_servers(*THREE_HUNDRED, connected=True)
    current.settings(instant=True, throttle="200/15s")
    if way == "one task":
        play = begin(current, ["localhost"], servers=THREE_HUNDRED, line="echo ready")
    else:
        play = begin(current, THREE_HUNDRED, line="echo ready")
    assert play.end().code == 0, play.said
    log = current.log()
    assert early(log) == []
    assert "alpacon: the request budget of the token is used up until" in play.said
    commands = current.commands()
    assert Counter(row["server"] for row in commands) == Counter(THREE_HUNDRED)
    reached = Counter(entry["method"] for entry in log if entry["status"] != 429)
    assert reached["POST"] == len(THREE_HUNDRED)
    outcomes = Counter(entry["outcome"] for result in play.results.values() for entry in result["commands"])
    assert outcomes == {"success": len(THREE_HUNDRED)}


def test_a_budget_that_is_used_up_for_too_long_ends_the_task_in_time(current: Workspace, begin: Begin) -> None:
    current.add_servers(*FIFTY, connected=True)
    current.settings(instant=True, throttle="10/15s")
    play = begin(current, ["localhost"], servers=FIFTY, line="echo ready", wait_timeout="3").end()
    assert play.code == 2
    result = play.results["localhost"]
    assert "wait_timeout" in result["msg"]
    submitted = {row["server"] for row in current.commands()}
    by_name = {entry["server"]["name"]: entry for entry in result["commands"]}
    assert set(by_name) == set(FIFTY)
    for name, entry in by_name.items():
        assert entry["outcome"] in (("success", "timed_out") if name in submitted else ("not_tried",))
    untried = [entry["msg"] for entry in by_name.values() if entry["outcome"] == "not_tried"]
    assert untried
    assert all("the request budget is used up for longer than wait_timeout" in msg for msg in untried)
    assert early(current.log()) == []
