# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The journal of an interrupted run of ansible-playbook."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from system.plays import RunningPlay, read_journal_ids, start_task, wait_until
from system.support import AGENTS
from workspace.client import Workspace

Begin = Callable[..., RunningPlay]

#: Servers without an agent, whose commands run until the test ends them.
BARE = [f"bare-{number}" for number in range(1, 6)]


@pytest.fixture
def begin(current: Workspace, tmp_path: Path) -> Iterator[Begin]:
    """Return a function that starts ansible-playbook in a folder of its own, and stop all runs after the test."""
    with ExitStack() as stack:
        begun: list[RunningPlay] = []

        def play(hosts: Any, **options: Any) -> RunningPlay:
            one = start_task(current, tmp_path / f"play-{len(begun)}", hosts, options)
            begun.append(one)
            stack.callback(one.stop)
            return one

        yield play


def list_running_ids(workspace: Workspace) -> set[str]:
    return {row["id"] for row in workspace.commands() if row["status"] in ("delivered", "running")}


def end_all(workspace: Workspace) -> None:
    for command_id in list_running_ids(workspace):
        workspace.change_command(command_id, status="success", result="ready")


@pytest.mark.slow
@pytest.mark.parametrize("way", ["one task", "a task per host"])
def test_an_interrupted_run_leaves_the_ids_of_running_commands(current: Workspace, begin: Begin, way: str) -> None:
    current.add_servers(*BARE, connected=True)
    names = [*AGENTS, *BARE]
    secret: dict[str, Any] = {"line": "echo ready", "env": {"PASSWORD": "hunter2-hunter2"}}
    play = begin(["localhost"], servers=names, **secret) if way == "one task" else begin(names, **secret)
    returned = set() if way == "one task" else set(AGENTS)
    wait_until(lambda: set(play.results) == returned and len(list_running_ids(current)) == len(BARE))
    left = {row["id"] for row in current.commands() if row["server"] not in returned}
    journal = play.folder / f"home/alpacon/{play.temporary.name}.ids"
    wait_until(lambda: set(read_journal_ids(journal)) == left)
    for path in (play.folder / "home").rglob("*"):
        assert current.token not in str(path)
        if path.is_file():
            assert not any(word in path.read_text() for word in (current.token, "hunter2-hunter2"))
    play.interrupt(-play.process.pid)
    play.process.wait(30)
    assert play.code != 0
    assert current.token not in play.log
    assert play.journals == [journal]
    assert sorted(read_journal_ids(journal)) == sorted(left)
    # Another run awaits them.
    ids = f"{{{{ lookup('ansible.builtin.file', '{journal}') | regex_findall('(?m)^[0-9a-f-]{{36}}') }}}}"
    following = begin(["localhost"], state="finished", ids=ids)
    end_all(current)
    assert following.end().code == 0, following.log
    assert following.results["localhost"]["summary"] == {"success": len(left)}
    assert len(current.commands()) == len(names)
    assert following.journals == []
