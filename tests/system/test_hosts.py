# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test what hosts and benchmarks leave behind if they cannot start, and how they name missing packages."""

from __future__ import annotations

import os
import subprocess
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import NoReturn

import pytest
from benchmark import on_hosts
from benchmark.running import Session
from hosts import network, requirements
from hosts.machines import Hosts, HostSpec


class Network:
    """The namespaces that `ip` would add and delete."""

    def __init__(self) -> None:
        self.namespaces: list[str] = []
        self.fails = False

    def ip(self, *arguments: str, check: bool = True) -> str:
        match arguments:
            case ("netns", "add", name):
                assert name not in self.namespaces
                self.namespaces.append(name)
            case ("netns", "delete", name):
                self.namespaces.remove(name)
            case ("netns", "list"):
                return "".join(f"{name}\n" for name in self.namespaces)
            case ("link", "add", *_) if self.fails:
                raise subprocess.CalledProcessError(2, "ip")
        return ""


@pytest.fixture
def namespaces(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Network:
    made = Network()
    monkeypatch.setattr(network, "ip", made.ip)
    monkeypatch.setattr(network, "_add_bridge", lambda: None)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return made


def test_a_host_that_cannot_be_connected_leaves_no_namespace(namespaces: Network) -> None:
    namespaces.fails = True
    with pytest.raises(subprocess.CalledProcessError):
        network.attach()
    assert namespaces.namespaces == []


def test_a_host_that_cannot_boot_leaves_no_namespace(
    namespaces: Network, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    made = Hosts(tmp_path, tmp_path)
    monkeypatch.setattr(made.images, "root", lambda release: tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FileNotFoundError):
        made.up([HostSpec("web-1")])
    assert namespaces.namespaces == []


def test_a_scenario_that_fails_leaves_nothing_to_the_next_one(
    namespaces: Network, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def repository(*_arguments: object) -> NoReturn:
        raise FileNotFoundError("rpmbuild")

    (tmp_path / "instances").write_text("128", encoding="utf-8")
    monkeypatch.setattr(on_hosts, "INSTANCES", tmp_path / "instances")
    monkeypatch.setattr(on_hosts.agent.repository, "Repository", repository)
    with ExitStack() as stack:
        session = Session(tmp_path, stack, 1)
        for _scenario in range(2):
            with pytest.raises(FileNotFoundError, match="rpmbuild"):
                on_hosts._connect_hosts(session)
            assert namespaces.namespaces == []
    assert (tmp_path / "instances").read_text(encoding="utf-8") == "128"


@pytest.mark.parametrize("user", [0, 1000])
def test_missing_packages_are_named_with_their_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], user: int
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: user)
    monkeypatch.setattr(requirements, "install", lambda packages: None)
    missing = requirements.find_missing({"no-such-program": "rpm", "nor-this-one": "createrepo-c", "sh": "dash"})
    assert missing[-1] == "packages are missing: apt-get install createrepo-c rpm"
    assert len(missing) == (2 if user else 1)
    assert ("createrepo-c rpm" in capsys.readouterr().out) == (not user)
