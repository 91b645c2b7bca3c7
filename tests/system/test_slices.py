# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Slices of a job in ansible-runner: who submits, and what the controller gets."""

from __future__ import annotations

from pathlib import Path

import pytest
from system.plays import COMMAND_MODULE, environment, play, read_journal_ids, task, wait_until
from system.slices import get_artifacts, read_results, run_slices, start_slice, write_slice
from workspace.client import Workspace

pytestmark = pytest.mark.slow
#: The folder of the artifacts, which ansible-runner gives to Ansible.
HOME = "$AWX_ISOLATED_DATA_DIR/home"


def environ(workspace: Workspace, folder: Path) -> dict[str, str]:
    given = environment(workspace, folder, ANSIBLE_HOME=HOME)
    return {name: value for name, value in given.items() if name.startswith(("ALPACON_", "ANSIBLE_CO", "ANSIBLE_H"))}


def test_slices_submit_once_and_return_their_results(current: Workspace, tmp_path: Path) -> None:
    folders, ids = {name: tmp_path / name for name in ("web-01", "web-02")}, current.server_ids()
    own = "{{ ansible_play_hosts | map('extract', hostvars, 'alpacon_server_id') }}"
    tasks = [
        task("All", {"servers": list(folders), "line": "echo once"}, run_once=True),
        task("Own", {"servers": own, "line": "echo own"}, run_once=True),
    ]
    for name, folder in folders.items():
        write_slice(folder, {name: {"alpacon_server_id": ids[name]}}, play(*tasks), environ(current, tmp_path))
    assert run_slices(list(folders.values())) == ["successful"] * 2
    assert sorted(row["server"] for row in current.commands()) == list(folders)
    for name, folder in folders.items():
        found = read_results(folder)
        assert "is not a host of this slice" in found["All"]["msg"]
        [command] = found["Own"]["commands"]
        assert (command["server"]["name"], command["outcome"]) == (name, "success")


def test_the_journal_of_a_cancelled_slice_is_in_its_artifacts(current: Workspace, tmp_path: Path) -> None:
    known = {"alpacon_server_id": current.server_ids()["web-01"]}
    write_slice(tmp_path, {"web-01": known}, play({COMMAND_MODULE: "sleep 30"}), environ(current, tmp_path))
    with start_slice(tmp_path) as (worker, process):
        [command] = wait_until(current.commands)
        worker.terminate()
        process.communicate()
    [journal] = (get_artifacts(tmp_path) / "home/alpacon").glob("*.ids")
    assert read_journal_ids(journal) == [command["id"]]
