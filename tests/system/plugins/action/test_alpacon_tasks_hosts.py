# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run tasks one by one and in batches on several hosts of a play, and compare the results of each host."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from system.plays import Play, Row, run_playbook
from system.plugins.action.test_alpacon_tasks import MODULE, OWN_KEYWORDS, clean, compare, describe, list_tasks
from workspace.client import Workspace

HOSTS = tuple(f"app-{number:02}" for number in range(10))
#: Those of most cases; one of them fails.
FEW_HOSTS = HOSTS[:4]
TASKS: list[Row] = [
    {"name": "Make a folder", "ansible.builtin.file": {"path": "{{ own }}", "state": "directory", "mode": "0755"}},
    {"name": "Gather", "ansible.builtin.setup": {"gather_subset": ["!all", "!min", "python"]}, "tags": "facts"},
    {
        "name": "Write",
        "ansible.builtin.copy": {
            "content": "{{ inventory_hostname }} {{ ansible_facts.python.version.major | default('none') }}\n",
            "dest": "{{ own }}/file",
            "mode": "0600",
        },
        "register": "written",
    },
    {
        "name": "Fail on one host",
        "ansible.builtin.command": "test {{ inventory_hostname }} != app-03",
        "changed_when": False,
        "tags": "check",
    },
    {"name": "Use a result", "ansible.builtin.command": "echo {{ written.dest }} {{ given | default('') }}"},
    {"name": "Set", "ansible.builtin.set_fact": {"last": "{{ written.changed }} {{ inventory_hostname }}"}},
]


#: What the outer task, its play and the command line have.
CASES: dict[str, Row] = {
    "many hosts": {"hosts": HOSTS},
    "in turns": {"play": {"serial": [1, 2], "max_fail_percentage": 60}},
    "free": {"play": {"strategy": "free"}},
    "chosen tags": {"arguments": ["--tags", "facts,outer"], "outer": {"tags": "outer"}},
    "chosen inner tags": {"arguments": ["--tags", "facts"]},
    "skipped tags": {"arguments": ["--skip-tags", "check"]},
    "check mode": {"arguments": ["--check"]},
    "once": {"outer": {"run_once": True}},
}


@dataclass
class Seen:
    """Traces of a run: the rows of each host, its files, and the exit code."""

    play: Play
    rows: dict[str, list[Row]]
    files: dict[str, str]


@pytest.fixture(scope="module")
def fleet() -> Iterator[Workspace]:
    with Workspace("current", servers=HOSTS, tick=0.1) as workspace:
        workspace.wait_connected(*HOSTS)
        yield workspace


def run(fleet: Workspace, folder: Path, case: Row, batched: bool) -> Seen:
    """Run the tasks in one of the ways, on empty folders."""
    way, place = folder / ("batched" if batched else "ordinary"), folder / "place"
    for each in (place, way):
        each.mkdir()
    file = way / "tasks.yml"
    file.write_text(json.dumps(TASKS), encoding="utf-8")
    keywords = {"vars": {"given": "parameter"}, **case.get("outer", {})}
    if batched:
        outer = {"name": "Outer", MODULE: {"file": str(file)}, **keywords}
    else:
        own = {key: keywords.pop(key) for key in OWN_KEYWORDS if key in keywords}
        tags = {"tags": keywords["tags"]} if "tags" in keywords else {}
        include = {"file": str(file), "apply": keywords}
        outer = {"name": "Outer", "ansible.builtin.include_tasks": include, **own, **tags}
    values = {name: f"{{{{ {name} | default('none') }}}}" for name in ("written", "last", "ansible_facts")}
    dump = {"name": "Dump", "ansible.builtin.debug": {"msg": values}, "tags": "always"}
    play = {"hosts": "all", "gather_facts": False, **case.get("play", {}), "tasks": [outer, dump]}
    variables = {
        "ansible_connection": "herdops.alpacon.alpacon",
        "ansible_python_interpreter": "{{ ansible_playbook_python }}",
        "own": f"{place}/{{{{ inventory_hostname }}}}",
    }
    hosts = case.get("hosts", FEW_HOSTS)
    inventory = {"all": {"hosts": {host: {} for host in hosts}, "vars": variables}}
    arguments = ["-f", "10", *case.get("arguments", ())]
    environ = {"ANSIBLE_CALLBACKS_ENABLED": "every_result"}
    ended = run_playbook(fleet, way, [play], inventory, *arguments, **environ)
    files = {str(path.relative_to(place)): describe(path) for path in sorted(place.rglob("*"))}
    shutil.rmtree(place)
    cleaned = [clean(row, str(way)) for row in ended.rows]
    of_hosts = {host: [row for row in cleaned if row["host"] == host] for host in hosts}
    rows = {
        host: [*list_tasks(rows), *(row for row in rows if row["name"] == "Dump")] for host, rows in of_hosts.items()
    }
    return Seen(ended, rows, files)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", CASES)
def test_tasks_in_batches_have_the_same_results_on_each_host(fleet: Workspace, tmp_path: Path, name: str) -> None:
    fleet.reset()
    fleet.wait_connected(*HOSTS)
    ordinary, batched = (run(fleet, tmp_path, CASES[name], batched) for batched in (False, True))
    for host in ordinary.rows:
        assert list(compare(titles(batched.rows[host]), titles(ordinary.rows[host]), host)) == []
        assert list(compare(batched.rows[host], ordinary.rows[host], host)) == []
    assert list(compare(batched.files, ordinary.files, "files")) == []
    assert batched.play.code == ordinary.play.code


def titles(rows: list[Row]) -> list[str]:
    return [f"{row['name']}: {row['status']}" for row in rows]
