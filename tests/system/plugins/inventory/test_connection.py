# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The inventory's option C(connection): with it, any module reaches the hosts, and nothing else has to be said."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_cores import CORES, prepare
from system.inventories import Source
from system.support import AGENTS
from workspace.client import Workspace

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


def test_hosts_get_the_connection_only_where_that_is_asked_for(source: Source) -> None:
    source.workspace.add_servers("win-01", "win-02", connected=True, platform="Windows")
    settings: list[dict[str, Any]] = [{}, {"connection": False}]
    for options in settings:
        read = source.parse(**options)
        assert not [host for host in read.hosts.values() if "ansible_connection" in host]
        assert read.warnings == ""
    compose = {"ansible_connection": "'ssh' if own_name == 'web-02' else ansible_connection"}
    read = source.parse(connection=True, hostvars_prefix="own_", compose=compose)
    assert read.hosts["web-01"].items() >= CONNECTION.items(), "whatever the prefix"
    assert read.hosts["web-02"]["ansible_connection"] == "ssh"
    assert "ansible_connection" not in read.hosts["win-01"]
    told = "2 servers got no connection, since the agent for Windows has no POSIX shell: win-01, win-02."
    assert told in read.warnings


@pytest.mark.parametrize("core", CORES)
def test_each_host_is_reached_in_its_own_workspace(source: Source, other: Workspace, core: str) -> None:
    folder = source.folder / "inventory"
    folder.mkdir()
    for number, workspace in enumerate((source.workspace, other)):
        file = Source(workspace, folder, name=f"{number}.alpacon.yml")
        file.write(url=workspace.url, token=workspace.token, connection=True)
    both = Source(source.workspace, source.folder, prepare(core), "inventory")
    listing = both.run("all", "-m", "ping", "-o", program="ansible", ALPACON_URL=None, ALPACON_TOKEN=None)
    assert listing.code == 0, listing.out + listing.said
    assert listing.out.count('"ping": "pong"') == len(AGENTS) + 1
    assert "commands whose end this run has not seen" not in listing.warnings
    for workspace in (source.workspace, other):
        assert workspace.token not in listing.out + listing.said
        assert {row["line"].split()[3] for row in workspace.commands()} >= {"module:ansible.builtin.ping"}
        assert "unknown" not in workspace.counters()["tokens"]
