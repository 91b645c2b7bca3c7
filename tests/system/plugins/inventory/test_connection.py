# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The inventory's option C(connection): with it, any module reaches the hosts, and nothing else has to be said."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from ansible_cores import CORES, prepare
from system.inventories import Listing, Source
from system.playing import RunningPlay, environment, until
from system.support import AGENTS
from workspace.client import Workspace

PING = ("all", "-m", "ansible.builtin.ping")
CONNECTION = {"ansible_connection": "herdops.alpacon.alpacon", "alpacon_is_connected": True}


@pytest.fixture
def other() -> Iterator[Workspace]:
    """Another workspace, with one server, which has the name of one of the first's."""
    with Workspace("current", servers=["web-01"]) as workspace:
        yield workspace


@pytest.fixture
def source(current: Workspace, tmp_path: Path) -> Source:
    """An inventory of a workspace whose servers have agents."""
    return Source(current, tmp_path)


def ping(source: Source, **environ: str | None) -> Listing:
    """Ping all hosts; each must answer, and nothing secret be shown."""
    listing = source.run(*PING, program="ansible", ANSIBLE_CALLBACK_RESULT_FORMAT="json", **environ)
    assert listing.code == 0, listing.out + listing.said
    assert source.workspace.token not in listing.out + listing.said
    assert "commands whose end this run has not seen" not in listing.warnings
    return listing


def carried_words(workspace: Workspace) -> set[str]:
    """What the lines of the commands say that they carry."""
    return {command["line"].split()[3] for command in workspace.commands()}


def test_hosts_get_what_any_module_needs(source: Source) -> None:
    listing = source.list(connection=True)
    assert {name: listing.hosts[name].items() >= CONNECTION.items() for name in AGENTS} == dict.fromkeys(AGENTS, True)


def test_without_it_nothing_is_set(source: Source) -> None:
    for listing in (source.list(), source.list(connection=False)):
        assert all("ansible_connection" not in host for host in listing.hosts.values())


def test_it_needs_no_certain_prefix_and_can_be_changed_for_some(source: Source) -> None:
    compose = {"ansible_connection": "'ssh' if own_name == 'web-02' else 'herdops.alpacon.alpacon'"}
    listing = source.list(connection=True, hostvars_prefix="own_", compose=compose)
    assert listing.hosts["web-01"].items() >= CONNECTION.items()
    assert listing.hosts["web-02"]["ansible_connection"] == "ssh"


def test_windows_servers_get_none_and_are_told_of(source: Source) -> None:
    source.workspace.add_servers("win-01", "win-02", connected=True, platform="Windows")
    listing = source.list(connection=True)
    assert "ansible_connection" not in listing.hosts["win-01"]
    assert listing.hosts["web-01"]["ansible_connection"]
    told = "2 servers got no connection, since the agent for Windows has no POSIX shell: win-01, win-02."
    assert told in listing.warnings
    assert "no connection is set" not in source.list(connection=True, filters={"name": "web-*"}).warnings
    assert "no connection is set" not in source.list().warnings


@pytest.mark.parametrize("core", CORES)
def test_the_quick_start_needs_the_inventory_and_the_environment(source: Source, core: str) -> None:
    source.write(connection=True)
    listing = ping(replace(source, programs=prepare(core)))
    assert listing.out.count('"ping": "pong"') == len(AGENTS)
    assert carried_words(source.workspace) >= {"module:ansible.builtin.ping"}


def test_settings_of_the_file_reach_the_connection(source: Source) -> None:
    source.write(connection=True, url=source.workspace.url, token=source.workspace.token)
    listing = ping(source, ALPACON_URL=None, ALPACON_TOKEN=None)
    assert listing.out.count('"ping": "pong"') == len(AGENTS)


def test_each_host_is_reached_in_its_own_workspace(source: Source, other: Workspace) -> None:
    folder = source.folder / "inventory"
    folder.mkdir()
    for number, workspace in enumerate((source.workspace, other)):
        options = {"url": workspace.url, "token": workspace.token, "connection": True}
        text = json.dumps({"plugin": "herdops.alpacon.alpacon", **options})
        (folder / f"{number}.alpacon.yml").write_text(text, encoding="utf-8")
    listing = ping(replace(source, name="inventory"), ALPACON_URL=None, ALPACON_TOKEN=None)
    assert listing.out.count('"ping": "pong"') == len(AGENTS) + 1
    for workspace in (source.workspace, other):
        assert carried_words(workspace) >= {"module:ansible.builtin.ping"}
        assert "unknown" not in workspace.counters()["tokens"]


def test_commands_go_on_as_they_did(source: Source) -> None:
    source.write(connection=True)
    listing = source.run("all", "-m", "herdops.alpacon.alpacon_command", "-a", "line=uptime", program="ansible")
    assert listing.code == 0, listing.out + listing.said
    assert [command["line"] for command in source.workspace.commands()] == ["uptime"] * len(AGENTS)


def test_an_interrupted_run_says_where_its_commands_are(source: Source) -> None:
    source.write(connection=True)
    (source.folder / "ansible.cfg").touch()
    program = str(source.programs / "ansible")
    command = [program, "-i", str(source.path), "web-01", "-m", "ansible.builtin.raw", "-a", "sleep 20"]
    with (source.folder / "log").open("wb") as log:
        process = subprocess.Popen(
            command,
            cwd=source.folder,
            env=environment(source.workspace, source.folder),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    run = RunningPlay(source.folder, process.pid, process=process)
    try:
        until(lambda: any(row["status"] == "running" for row in source.workspace.commands()))
        run.interrupt(-process.pid)
        run.process.wait(20)
        [journal] = run.journals
        assert f"commands whose end this run has not seen are in {journal}" in " ".join(run.said.split())
    finally:
        run.stop()
