# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run public roles one by one and in batches, in check mode, and compare results and submits.

The roles are in the package `ansible` on PyPI, which brings collections of others.
"""

from __future__ import annotations

import fcntl
import shutil
import subprocess
import zipfile
from pathlib import Path

import ansible_cores
import pytest
from collection_tree import BUILD
from system.plays import Row
from system.plugins.action.test_alpacon_tasks import compare, run
from workspace.client import Workspace

PACKAGE = "ansible==14.5.0"
COLLECTIONS = (
    *("ansible/posix", "ansible/windows", "community/general", "community/mongodb", "community/windows"),
    "community/zabbix",
)
FACTS = ["!all", "!min", "distribution", "virtual", "pkg_mgr", "service_mgr"]
#: Nothing is installed or started, and root needs no sudo.
VARIABLES = {"ansible_become": False}
ARGUMENTS = ["--check", "--skip-tags", "install,pkg,service"]
#: The variables of roles, and how many submits they need at most in batches.
ROLES: dict[str, Row] = {
    "community.mongodb.mongodb_linux": {"vars": {}, "submits": 5},
    "community.zabbix.zabbix_agent": {
        "vars": {
            "zabbix_agent_version": "7.0",
            "zabbix_agent_version_check": False,
            "zabbix_manage_repo": False,
            "zabbix_agent_tlspsk_auto": True,
        },
        "submits": 7,
    },
}


@pytest.fixture(scope="session")
def collections() -> Path:
    """Return a folder with collections from PyPI, whose download has 50 MB."""
    place = BUILD / "public" / PACKAGE
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.with_name("lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not place.exists():
            download(place.with_name("partial")).rename(place)
    return place


def download(place: Path) -> Path:
    """Unpack the collections into a folder."""
    shutil.rmtree(place, ignore_errors=True)
    python = str(ansible_cores.prepare("newest") / "python")
    command = [python, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(place), PACKAGE]
    pip = ansible_cores.install_pip(ansible_cores.CORES["newest"].pip)
    subprocess.run(command, env={**ansible_cores.environ(), "PYTHONPATH": str(pip)}, check=True)
    [wheel] = place.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        wanted = tuple(f"ansible_collections/{name}/" for name in COLLECTIONS)
        archive.extractall(place, [name for name in archive.namelist() if name.startswith(wanted)])
    wheel.unlink()
    return place


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", ROLES)
def test_public_roles_have_the_same_results_in_few_submits(
    current: Workspace, tmp_path: Path, collections: Path, name: str
) -> None:
    outer = {"role": name, "vars": {**VARIABLES, **ROLES[name]["vars"]}}
    facts = {"gather_facts": True, "gather_subset": FACTS}
    connection = "herdops.alpacon.alpacon"
    case = {"tasks": [outer], "play": facts, "connection": connection, "arguments": ARGUMENTS}
    ordinary = run(current, tmp_path, case, "development", False, collections)
    of_ordinary = len(current.commands())
    batched = run(current, tmp_path, case, "development", True, collections)
    of_batched = len(current.commands()) - of_ordinary
    print(f"{name}: {len(ordinary.rows)} tasks, {of_ordinary} and {of_batched} submits")
    assert list(compare(batched.titles, ordinary.titles, "tasks")) == []
    assert list(compare(batched.rows, ordinary.rows, "rows")) == []
    assert batched.play.code == ordinary.play.code
    assert of_batched <= ROLES[name]["submits"] < of_ordinary
