# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Programs that are forked do what they do as processes of their own."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from ansible_cores import CORES, prepare
from system.forked import carry_out
from system.inventories import Source
from system.playing import environment
from workspace.client import Workspace


@pytest.mark.parametrize("core", CORES)
def test_a_fork_prints_what_a_process_of_its_own_does(current: Workspace, tmp_path: Path, core: str) -> None:
    source = Source(current, tmp_path, prepare(core))
    source.write(compose={"all": "alpacon_nothing"}, filters={"name": "web-01"}, hostname=["tags.none", "id", "name"])
    forked = source.run("--list")
    # A setting that Ansible reads while it is imported, with its default.
    alone = source.run("--list", ANSIBLE_STRATEGY="linear")
    assert (forked.code, forked.warnings) == (alone.code, alone.warnings)
    assert forked.hosts.keys() == alone.hosts.keys() == set(current.server_ids()["web-01"].split())
    assert forked.groups == alone.groups


def test_a_run_that_takes_too_long_is_killed_and_the_next_one_is_another(current: Workspace, tmp_path: Path) -> None:
    (tmp_path / "ansible.cfg").touch()
    (tmp_path / "home").mkdir()
    wait = [{"hosts": "localhost", "gather_facts": False, "tasks": [{"ansible.builtin.pause": {"seconds": 600}}]}]
    (tmp_path / "play.json").write_text(json.dumps(wait), encoding="utf-8")
    program, log = str(prepare("development") / "ansible-playbook"), tmp_path / "log"
    environ = environment(current, tmp_path)
    with pytest.raises(subprocess.TimeoutExpired):
        carry_out([program, str(tmp_path / "play.json")], environ, tmp_path, log, log, patience=0.1)
    _pid, code = carry_out([program, "--version"], environ, tmp_path, log, log, patience=60)
    assert code == 0
    assert log.read_text(encoding="utf-8").startswith("ansible-playbook [core ")
