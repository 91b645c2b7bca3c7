# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Check the guides on commands of the connection plugin: how to find them, and the token that may run them."""

from __future__ import annotations

import getpass
import re
import shlex
from pathlib import Path

import pytest
from ansible_cores import CORES
from system.inventories import Source
from system.plays import environment, run_over_connection, task
from workspace.client import Workspace

from ansible_collections.herdops.alpacon.tests.unit.support import ROOT

GUIDE = (ROOT / "docs/docsite/rst/reviewing.rst").read_text(encoding="utf-8")
[PATTERN] = re.findall(r"^    (/bin/sh -c \$RUN \*)$", GUIDE, re.MULTILINE)
HOST = ("web-01", "-m")


def test_the_pattern_allows_payloads_and_no_other_line(current: Workspace, tmp_path: Path) -> None:
    source = Source(current, tmp_path)
    source.write(connection=True)
    current.settings(acl={"admin": [PATTERN]})
    pinged = source.run(*HOST, "ansible.builtin.ping", program="ansible")
    assert pinged.code == 0, pinged.out + pinged.log
    plain = source.run(*HOST, "herdops.alpacon.alpacon_command", "-a", "line=uptime", program="ansible")
    assert plain.code != 0
    assert "The access list of this token does not allow that command" in plain.out + plain.log
    for row in current.commands():
        assert re.fullmatch(
            r"/bin/sh -c \$RUN (command|module):ansible\.builtin\.ping sha256:[0-9a-f]{64}", row["line"]
        )
        assert row["purpose"] == (
            f"Ansible task ansible.builtin.ping of play Ansible Ad-Hoc, played by {getpass.getuser()}"
        )


def test_the_command_of_the_guide_finds_commands_of_a_module(current: Workspace, tmp_path: Path) -> None:
    modules = ("apt", "ping")
    lines = [f"/bin/sh -c $RUN module:ansible.builtin.{module} sha256:{64 * '0'}" for module in modules]
    rows = [{"server": "web-01", "line": line, "status": "success", "added_at": -60} for line in [*lines, "uptime"]]
    [apt, *_others] = current.add_commands(rows)
    [command] = re.findall(r"^    \$ ansible (.*)$", GUIDE, re.MULTILINE)
    source = Source(current, tmp_path)
    source.write()
    found = source.run(*shlex.split(command), program="ansible")
    assert found.code == 0, found.log
    assert {line.split('"')[3] for line in found.out.splitlines() if line.startswith('            "id": ')} == {apt}


MODULE = """\
from ansible.module_utils.basic import AnsibleModule
AnsibleModule({}).exit_json()
"""


@pytest.mark.parametrize("core", CORES)
def test_the_label_has_the_full_name_of_the_module(current: Workspace, tmp_path: Path, core: str) -> None:
    own, collection = tmp_path / "library", tmp_path / "ansible_collections/some/where"
    for folder in (own, collection / "plugins/modules", collection / "meta"):
        folder.mkdir(parents=True)
    for file in (own / "mine.py", collection / "plugins/modules/new.py", collection / "plugins/modules/ping.py"):
        file.write_text(MODULE, encoding="utf-8")
    routing = "plugin_routing: {modules: {old: {redirect: some.where.new}}}"
    (collection / "meta/runtime.yml").write_text(f"{routing}\nrequires_ansible: '>=2.16'\n", encoding="utf-8")
    names = {
        "ansible.builtin.ping": ["ping", "ansible.builtin.ping", "ansible.legacy.ping"],
        "ansible.builtin.copy": ["copy", "ansible.builtin.copy"],
        "some.where.ping": ["some.where.ping"],
        "some.where.new": ["some.where.new", "some.where.old"],
        "mine": ["mine"],
    }
    options = {"copy": {"content": "x", "dest": f"{tmp_path}/copied"}}
    tasks = [
        task(name, options.get(name.rpartition(".")[2], {}), name) for spellings in names.values() for name in spellings
    ]
    paths = f"{environment(current, tmp_path)['ANSIBLE_COLLECTIONS_PATH']}:{tmp_path}"
    tasks.append(task("by its collection", {}, "new", collections=["some.where"]))
    done = run_over_connection(current, tmp_path, tasks, core=core, ANSIBLE_COLLECTIONS_PATH=paths)
    assert not any(rows[0]["failed"] for rows in done.tasks.values()), done.log
    labels = {row["line"].split()[3].partition(":")[2] for row in current.commands()}
    assert labels == set(names)
