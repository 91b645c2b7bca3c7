# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run ansible-core's own integration targets over the connection plugin: run_connection.py CORE

They come from the source distribution of that release, and run on two servers, with and without a shell.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import ansible_cores
import collection_tree

sys.path.insert(0, str(Path(__file__).parents[1]))

from workspace.client import Workspace

HOSTS = ("with-shell", "without-shell")
#: The role, and variables that take the place of its own: root needs no password to become root.
ROLES = {
    "raw": {} if os.geteuid() == 0 else {"ansible_become_method": "herdops.alpacon.account"},
    "wait_for_connection": {},
}


def main(core: str) -> int:
    try:
        programs = ansible_cores.prepare(core)
    except ansible_cores.MissingPythonError as error:
        return collection_tree.skip(str(error))
    place = collection_tree.BUILD / "connection" / ansible_cores.CORES[core].version
    targets = unpack(ansible_cores.sdist(core), place)
    inventory = place / "inventory.json"
    variables = {
        "ansible_connection": "herdops.alpacon.alpacon",
        "ansible_python_interpreter": "{{ ansible_playbook_python }}",
    }
    inventory.write_text(json.dumps({"all": {"hosts": {host: {} for host in HOSTS}, "vars": variables}}))
    with Workspace("current", servers=HOSTS, tick=0.1) as workspace:
        workspace.change_server("without-shell", allow_sh=False)
        environ = environment(programs, workspace, place, targets)
        failed = [name for name in ("connection", *ROLES) if run(name, place, targets, inventory, environ)]
    print(f"failed: {', '.join(failed)}" if failed else "all passed")
    return 1 if failed else 0


def unpack(sdist: Path, place: Path) -> Path:
    shutil.rmtree(place, ignore_errors=True)
    with tarfile.open(sdist) as archive:
        inside = f"{archive.getnames()[0].split('/')[0]}/test/integration/targets"
        members = [member for member in archive.getmembers() if member.name.startswith(f"{inside}/")]
        archive.extractall(place, members, filter="data")
    return place / inside


def environment(programs: Path, workspace: Workspace, place: Path, targets: Path) -> dict[str, str]:
    return {
        **ansible_cores.environ(programs),
        "ALPACON_URL": workspace.url,
        "ALPACON_TOKEN": workspace.token,
        "ANSIBLE_BECOME_ALLOW_SAME_USER": "1",
        "ANSIBLE_COLLECTIONS_PATH": str(collection_tree.link()),
        "ANSIBLE_FORCE_HANDLERS": "1",
        "ANSIBLE_HOME": str(place / "home"),
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_ROLES_PATH": str(targets),
        "INVENTORY": str(place / "inventory.json"),
        "no_proxy": "127.0.0.1",
    }


def run(name: str, place: Path, targets: Path, inventory: Path, environ: dict[str, str]) -> int:
    print(f"======== {name}", flush=True)
    folder = place / name
    folder.mkdir()
    if name == "connection":
        # A script, not a role.
        paths = {"local_tmp": f"{folder}/local", "remote_tmp": f"{folder}/remote"}
        command = ["./test.sh", "-e", json.dumps({"target_hosts": "all", "action_prefix": "", **paths})]
        return subprocess.run(command, cwd=targets / "connection", env=environ, check=False).returncode
    play = folder / "play.json"
    play.write_text(json.dumps([{"hosts": "all", "gather_facts": False, "roles": [name]}]), encoding="utf-8")
    variables = json.dumps({**ROLES[name], "output_dir": str(folder)})
    command = ["ansible-playbook", "-i", str(inventory), str(play), "-e", variables]
    return subprocess.run(command, cwd=folder, env=environ, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
