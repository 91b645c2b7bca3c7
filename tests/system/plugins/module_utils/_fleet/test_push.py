# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Learn the end of commands from a websocket of the workspace."""

from __future__ import annotations

import json
import os
import signal
import socket
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest
from system.certificates import authority
from system.plays import Play, Row, RunningPlay, play, run_over_connection, run_playbook, start_plays, task, wait_until
from system.support import request_paths
from workspace.client import Workspace

HOST = {
    "ansible_connection": "herdops.alpacon.alpacon",
    "ansible_python_interpreter": "{{ ansible_playbook_python }}",
}
POLLED = "alpacon: commands are polled, because"


def sleep_tasks(count: int, seconds: float = 1.0) -> list[Row]:
    return [task(f"Sleep {number}", f"sleep {seconds}", "ansible.builtin.raw") for number in range(count)]


def count_requests(workspace: Workspace) -> dict[str, int]:
    routes = workspace.counters()["routes"]
    names = {"sessions": "POST /api/events/sessions/", "subscriptions": "POST /api/events/subscriptions/"}
    return {name: routes.get(route, {"total": 0})["total"] for name, route in names.items()}


def is_subscribed(workspace: Workspace, times: int) -> bool:
    return count_requests(workspace)["subscriptions"] == times


def find_listeners(folder: Path) -> list[int]:
    """Return the processes that hold the lock of a listener below a folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            links = [os.readlink(link) for link in (process / "fd").iterdir()]
            if any(link.startswith(str(folder)) and "push/lock" in link for link in links):
                found.append(int(process.name))
    return found


def has_succeeded(run: Play, workspace: Workspace) -> bool:
    return run.code == 0 and all(row["status"] == "success" for row in workspace.commands())


@pytest.mark.timeout(300)
def test_each_module_costs_two_requests_over_tls(tmp_path: Path) -> None:
    ca = authority(tmp_path, "Ours")
    with Workspace(servers=["web-01"], tls=(ca.chain, ca.chain), ca=ca.file) as workspace:
        server = {"alpacon_server_id": workspace.server_ids()["web-01"]}
        tasks = [*sleep_tasks(9), task("Ping", {}, "ansible.builtin.ping")]
        run = run_over_connection(
            workspace, tmp_path, tasks, {"web-01": server}, "-v", ALPACON_CA_PATH=str(ca.file), http_proxy=""
        )
        assert has_succeeded(run, workspace), run.log
        assert POLLED not in run.log
        assert count_requests(workspace) == {"sessions": 1, "subscriptions": 1}
        # Two useless polls come first, and one when the socket is there.
        assert workspace.requests_made() <= 10 * 2 + 2 + 3, workspace.counters()["routes"]
        wait_until(lambda: not find_listeners(tmp_path))


@pytest.mark.slow
@pytest.mark.timeout(200)
def test_a_task_for_several_servers_hears_of_all(current: Workspace, tmp_path: Path) -> None:
    servers = list(current.server_ids().values())
    options = {"servers": servers, "line": "sleep 12"}
    run = run_playbook(current, tmp_path, play(task("Sleep", options)), ["localhost"])
    assert has_succeeded(run, current), run.log
    assert count_requests(current) == {"sessions": 1, "subscriptions": len(servers)}


@pytest.fixture
def started(current: Workspace, tmp_path: Path) -> RunningPlay:
    """Return a run that awaits a command with a listener."""
    hosts = {"web-01": {**HOST, "alpacon_server_id": current.server_ids()["web-01"]}}
    run = start_plays(current, tmp_path, hosts, play(*sleep_tasks(1, 20), *sleep_tasks(1, 0)))
    wait_until(partial(is_subscribed, current, 1))
    return run


@pytest.mark.slow
@pytest.mark.timeout(200)
def test_a_lost_websocket_is_opened_once_more(started: RunningPlay, current: Workspace) -> None:
    [listener] = find_listeners(started.folder)
    shown = [(Path(f"/proc/{listener}") / name).read_text() for name in ("cmdline", "environ")]
    assert [text for text in shown if current.token in text] == []
    for sessions in (1, 2):
        wait_until(partial(is_subscribed, current, sessions))
        current.send_event("x" * 2**21)
    started.end()
    assert has_succeeded(started, current), started.log
    assert started.log.count(POLLED) == 1, started.log
    assert "lost twice" in started.log
    assert count_requests(current)["sessions"] == 2


@pytest.mark.timeout(200)
def test_a_websocket_that_brings_events_is_opened_again_each_time(started: RunningPlay, current: Workspace) -> None:
    for sessions in (1, 2, 3):
        wait_until(partial(is_subscribed, current, sessions))
        # Unknown frames, events and commands do no harm.
        for frame in ("x", "[" * 100_000, json.dumps({"type": "keepalive"}), json.dumps({"event_type": "other"})):
            current.send_event(frame)
        current.send_event(json.dumps({"event_type": "command_fin", "payload": {"id": "../../../x\ud800"}}))
        current.drop_events()
    started.end()
    assert has_succeeded(started, current), started.log
    assert POLLED not in started.log
    assert count_requests(current)["sessions"] == 4
    # Each time: one when the websocket is lost, and one when it is open again.
    polls = [path for path in request_paths(current) if path.startswith("/api/events/commands/")]
    assert len(polls) <= 3 * 2 + 8, polls


@pytest.mark.timeout(200)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_no_process_is_left(started: RunningPlay, number: signal.Signals) -> None:
    assert find_listeners(started.folder)
    os.kill(started.pid, number)
    started.process.wait()
    wait_until(lambda: not find_listeners(started.folder))


@pytest.mark.slow
@pytest.mark.timeout(200)
def test_a_token_without_the_scope_is_refused_once(current: Workspace, tmp_path: Path) -> None:
    current.settings(event_scopes=False)
    run = run_over_connection(current, tmp_path, sleep_tasks(5), ["web-01"], "-v")
    assert has_succeeded(run, current), run.log
    assert run.log.count(POLLED) == 1, run.log
    assert "pushes no events to this token: The token is not allowed to do this." in run.log
    assert count_requests(current)["sessions"] == 1


@pytest.mark.timeout(200)
def test_a_websocket_of_another_server_is_not_opened(current: Workspace, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        current.settings(websocket_url=f"ws://127.0.0.1:{other.getsockname()[1]}/ws/{{word}}/")
        run = run_over_connection(current, tmp_path, sleep_tasks(5), ["web-01"])
        assert has_succeeded(run, current), run.log
        assert run.log.count(f"{POLLED} the workspace states the websocket of another server") == 1, run.log
        other.settimeout(0)
        with pytest.raises(BlockingIOError):
            other.accept()
