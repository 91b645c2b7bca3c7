# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run ansible-core's own integration targets over the connection plugin, on one of the supported ansible-core releases.

The targets come from the source distribution of that release: all of them, those that are named, or with --quick
those that do not mostly sleep. Each runs on two servers of a stand-in workspace, one
whose agent has a shell and one whose agent has none. What becomes other accounts needs root, and changes accounts of
this machine only in a view of its files that ends with the run.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ansible_cores
import check_sanity
import collection_tree

sys.path.insert(0, str(Path(__file__).parents[1]))

from workspace.client import Workspace

Variables = dict[str, Any]

PLACE = collection_tree.BUILD / "connection"
#: Servers that anybody plays, and those that really take accounts.
HOSTS = ("with-shell", "without-shell")
HOSTS_WITH_ACCOUNTS = ("accounts-with-shell", "accounts-without-shell")
#: Folders in which targets look for accounts, and change them.
FOLDERS_OF_ACCOUNTS = ("/etc", "/home", "/var/mail")
ACCOUNT = "herdops.alpacon.account"


@dataclass(frozen=True)
class Target:
    """A target: its folder, the servers, variables that take the place of its own, and how it is played."""

    name: str
    hosts: tuple[str, ...] = HOSTS
    variables: Variables | None = None
    gather_facts: bool = False
    one_by_one: bool = False
    needs_root: bool = False
    sleeps: bool = False

    def play(self) -> Variables:
        """A play of the role that the target is."""
        return {
            "hosts": ",".join(self.hosts),
            "gather_facts": self.gather_facts,
            "serial": 1 if self.one_by_one else len(self.hosts),
            "roles": [self.name],
        }


#: Ways to become another account; the target has those that ask for passwords, which the agent cannot be asked for.
BECOME_METHODS = [
    {"method": method, "user": "{{ test_user_name }}", "password": None, "skip": not there}
    for method, there in ((ACCOUNT, True), ("su", True), ("sudo", shutil.which("sudo") is not None))
]
TARGETS = (
    Target("async", gather_facts=True, sleeps=True),
    Target("connection"),
    Target(
        "become",
        HOSTS_WITH_ACCOUNTS,
        # One of the accounts that the workspace knows.
        {"become_methods": BECOME_METHODS, "test_user_name": "deploy"},
        one_by_one=True,
        needs_root=True,
    ),
    # Root needs no password to become root.
    Target("raw", variables=None if os.geteuid() == 0 else {"ansible_become_method": ACCOUNT}),
    Target("wait_for_connection"),
)


def main(name: str, chosen: list[str]) -> int:
    """Run the targets and return the exit code."""
    try:
        programs = ansible_cores.prepare(name)
    except ansible_cores.MissingPythonError as error:
        return check_sanity.without_python(error)
    place = PLACE / ansible_cores.CORES[name].version
    targets = _unpacked(ansible_cores.sdist(name), place)
    wanted = [target for target in TARGETS if _is_chosen(target, chosen)]
    with _own_accounts(place) as has_accounts, _workspace() as workspace:
        for target in [target for target in wanted if target.needs_root and not has_accounts]:
            print(f"{target.name}: left out, since it needs root and a namespace of its own")
            wanted.remove(target)
        runner = Runner(place, targets, programs, workspace)
        with ThreadPoolExecutor(len(wanted) or 1) as pool:
            passed = list(pool.map(runner.run, wanted))
    return 0 if all(passed) else 1


def _is_chosen(target: Target, chosen: list[str]) -> bool:
    return not target.sleeps if chosen == ["--quick"] else not chosen or target.name in chosen


def _unpacked(sdist: Path, place: Path) -> Path:
    """The folder of integration targets of a source distribution."""
    shutil.rmtree(place, ignore_errors=True)
    with tarfile.open(sdist) as archive:
        inside = f"{archive.getnames()[0].split('/')[0]}/test/integration/targets"
        members = [member for member in archive.getmembers() if member.name.startswith(f"{inside}/")]
        archive.extractall(place, members, filter="data")
    return place / inside


@contextmanager
def _own_accounts(place: Path) -> Iterator[bool]:
    """Have this process and its children see folders whose changes nobody else sees; gives whether that is so."""
    try:
        os.unshare(os.CLONE_NEWNS)
        _mount("--make-rprivate", "/")
        layers = place / "layers"
        layers.mkdir(parents=True)
        _mount("-t", "tmpfs", "tmpfs", str(layers))
        for number, folder in enumerate(FOLDERS_OF_ACCOUNTS):
            upper, work = layers / f"upper-{number}", layers / f"work-{number}"
            upper.mkdir()
            work.mkdir()
            layered = f"lowerdir={folder},upperdir={upper},workdir={work}"
            _mount("-t", "overlay", "overlay", "-o", layered, folder)
    except (OSError, subprocess.CalledProcessError):
        yield False
    else:
        yield True


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True, capture_output=True)


@contextmanager
def _workspace() -> Iterator[Workspace]:
    servers = (*HOSTS, *HOSTS_WITH_ACCOUNTS)
    with Workspace("current", servers=servers, tick=0.1) as workspace:
        for server in servers:
            accounts = "host" if server in HOSTS_WITH_ACCOUNTS else "own"
            workspace.change_server(server, allow_sh="without" not in server, accounts=accounts)
        yield workspace


class Runner:
    """Runs targets of one ansible-core against one workspace, each in a folder of its own."""

    def __init__(self, place: Path, targets: Path, programs: Path, workspace: Workspace) -> None:
        self._place = place
        self._targets = targets
        self._programs = programs
        self._workspace = workspace

    def run(self, target: Target) -> bool:
        """Run a target, say how it went, and give whether it passed."""
        folder = self._place / target.name
        folder.mkdir()
        started = time.monotonic()
        command, where = self._connection(folder) if target.name == "connection" else self._role(target, folder)
        with (folder / "log").open("wb") as log:
            done = subprocess.run(
                command,
                cwd=where,
                env=self._environ(folder),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                check=False,
            )
        said = (folder / "log").read_text(encoding="utf-8", errors="replace") if done.returncode else ""
        how = "FAILED" if done.returncode else "passed"
        print(f"{target.name}: {how} in {time.monotonic() - started:.0f} s\n{said}".rstrip(), flush=True)
        return done.returncode == 0

    def _connection(self, folder: Path) -> tuple[list[str], Path]:
        """The target that is no role: a script, to which each plugin brings its inventory."""
        given = {
            "target_hosts": "all",
            "action_prefix": "",
            "local_tmp": f"{folder}/local",
            "remote_tmp": f"{folder}/remote",
        }
        inventory = self._inventory(folder, HOSTS)
        return ["env", f"INVENTORY={inventory}", "./test.sh", "-e", json.dumps(given)], self._targets / "connection"

    def _role(self, target: Target, folder: Path) -> tuple[list[str], Path]:
        (folder / "play.json").write_text(json.dumps([target.play()]), encoding="utf-8")
        given = {**(target.variables or {}), "output_dir": str(folder)}
        inventory = self._inventory(folder, target.hosts)
        return ["ansible-playbook", "-i", str(inventory), str(folder / "play.json"), "-e", json.dumps(given)], folder

    def _inventory(self, folder: Path, hosts: tuple[str, ...]) -> Path:
        variables = {"ansible_connection": "herdops.alpacon.alpacon"}
        # Other accounts may not see this one; where there are any, Python is looked for.
        if hosts == HOSTS:
            variables["ansible_python_interpreter"] = "{{ ansible_playbook_python }}"
        else:
            variables["ansible_become_method"] = ACCOUNT
        path = folder / "inventory.json"
        path.write_text(
            json.dumps({"all": {"hosts": {host: {} for host in hosts}, "vars": variables}}), encoding="utf-8"
        )
        return path

    def _environ(self, folder: Path) -> dict[str, str]:
        return {
            **ansible_cores.environ(self._programs),
            "ALPACON_URL": self._workspace.url,
            "ALPACON_TOKEN": self._workspace.token,
            "ANSIBLE_BECOME_ALLOW_SAME_USER": "1",
            "ANSIBLE_COLLECTIONS_PATH": str(collection_tree.link()),
            "ANSIBLE_FORCE_HANDLERS": "1",
            "ANSIBLE_HOME": str(folder / "home"),
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_ROLES_PATH": str(self._targets),
            "no_proxy": "127.0.0.1",
        }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
