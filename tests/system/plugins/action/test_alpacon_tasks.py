# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run the same tasks one by one and in batches, and compare results, variables, files and handlers.

Each play of tasks/plays.yml runs in both ways, on a folder of its own.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from system.plays import Play, Row, environment, run_long_playbook, run_over_connection, task, write_inputs
from workspace.client import Workspace

MODULE = "herdops.alpacon.alpacon_tasks"
BATCHED = "herdops.alpacon.alpacon"
TASKS = Path(__file__).parent / "tasks"
PLAYS: dict[str, Row] = yaml.safe_load((TASKS / "plays.yml").read_text(encoding="utf-8"))
#: Plays that take a few seconds.
QUICK = ("keywords", "failure_of_a_role_with_forced_handlers")
#: Cores that run tasks in batches.
BATCHING_CORES = ("development", pytest.param("newest", marks=pytest.mark.slow))
#: Keywords of include_tasks and include_role that are its own; `apply` gives the others to the tasks.
OWN_KEYWORDS = ("when", "vars")
#: Seconds for the tasks of a file or a role, on a busy machine.
PLAY_TIMEOUT = 240
#: Keys that differ between two runs, or tell the ways apart, each with the reason.
IGNORED = {
    **dict.fromkeys(("start", "end", "delta", "atime", "ctime", "mtime", "version"), "time"),
    "inode": "number of a new file",
    "uuid": "identifier of a run",
    "connection": "each way has its own",
}
#: Keys of results that ansible-core adds or removes for callbacks, beside those that begin with _ansible; the status of
#: a task says whether it failed, and registered variables, which are compared too, say it for each item.
FOR_CALLBACKS = ("failed", "skipped", "invocation", "ansible_parsed", "delegate_to")
#: Variables of the dump that the play has before its first task, or that tell the ways apart.
GIVEN = re.compile(r"(ansible_(?!failed_|facts)|alpacon_|group|inventory_|omit$|playbook_dir$|role_name)")
#: Parts of texts that differ between two runs: temporary folders and files, and backups.
VOLATILE = re.compile(
    r"/[^\s'\":]*/(ansible-tmp-[\d.]+-\d+-\d+|ansible-local-\w+/(tmp|\.)\w+)"
    r"|(?<=/ansible\.)\w{8}(?=\.)"
    r"|(?<=\.)\d+\.\d{4}-\d\d-\d\d@\d\d:\d\d:\d\d~"
)


def to_outer_task(outer: Row, batched: bool) -> Row:
    """Return the task that runs a file or a role, in its block."""
    others = ("file", "role", "tasks_from", "block", "rescued")
    keywords = {key: value for key, value in outer.items() if key not in others}
    named: Row = {"name": "Outer"}
    names: tuple[str, ...] = ("role", "tasks_from")
    options: Row = {key: outer[key] for key in names if key in outer}
    options |= {"file": str(TASKS / outer["file"])} if "file" in outer else {}
    if batched:
        task = {**named, MODULE: options, **keywords}
    else:
        own = {key: keywords.pop(key) for key in OWN_KEYWORDS if key in keywords}
        if "role" in options:
            options["name"] = options.pop("role")
        tags = {"tags": keywords["tags"]} if "tags" in keywords else {}
        module = "include_role" if "name" in options else "include_tasks"
        task = {**named, f"ansible.builtin.{module}": {**options, "apply": keywords}, **own, **tags}
    rescue = [{"name": "Rescued", "ansible.builtin.debug": {"msg": "rescued"}}]
    return {"block": [task], **outer.get("block", {}), **({"rescue": rescue} if outer.get("rescued") else {})}


@dataclass
class Seen:
    """Traces of a run: its log, results in order, variables afterwards, and files."""

    play: Play
    rows: list[Row]
    variables: Row
    files: dict[str, str]

    @property
    def titles(self) -> list[str]:
        """Name, action and status of each task."""
        return [f"{row['name']}: {row['action']} {row['status']}" for row in self.rows]


def run(
    workspace: Workspace, folder: Path, case: Row, core: str, batched: bool, collections: Path | None = None
) -> Seen:
    """Run a play in one of the ways, on an empty folder, with the roles of more collections."""
    way, place = folder / ("batched" if batched else "ordinary"), folder / "place"
    for each in (place, way):
        each.mkdir()
    (way / "roles").symlink_to(TASKS / "roles")
    if collections:
        (way / "collections").symlink_to(collections)
    variables = {
        "ansible_connection": BATCHED if batched else case.get("connection", "ansible.builtin.local"),
        "ansible_python_interpreter": "{{ ansible_playbook_python }}",
        "ansible_pipelining": True,
        "corpus": str(TASKS),
        "place": str(place),
    }
    dump = {"name": "Dump", "ansible.builtin.debug": {"var": "hostvars[inventory_hostname]"}, "tags": "always"}
    outer = [to_outer_task(each, batched) for each in case["tasks"]]
    play = {"hosts": "all", "gather_facts": False, **case.get("play", {}), "tasks": outer, "post_tasks": [dump]}
    inventory = {"all": {"hosts": {"web-01": variables}}}
    environ = environment(workspace, way, ANSIBLE_CALLBACKS_ENABLED="every_result")
    arguments = [*write_inputs(way, [play], inventory), *case.get("arguments", ())]
    ended = run_long_playbook(core, arguments, way, environ, PLAY_TIMEOUT * len(outer))
    files = {str(path.relative_to(place)): describe(path) for path in sorted(place.rglob("*"))}
    shutil.rmtree(place)
    rows = [clean(row, str(way)) for row in ended.rows]
    # A host that failed dumps nothing.
    dumps = [row["result"]["hostvars[inventory_hostname]"] for row in rows if row["name"] == "Dump"]
    own = {key: value for dump in dumps for key, value in dump.items() if not GIVEN.match(key)}
    if any("rescued" in each for each in case["tasks"]):
        # To the play, the outer task has failed.
        own = {key: value for key, value in own.items() if not key.startswith("ansible_failed_")}
    return Seen(ended, list(list_tasks(rows)), own, files)


def list_tasks(rows: Iterable[Row]) -> Iterator[Row]:
    """Yield the rows of inner tasks and handlers in the order of their results."""
    for row in rows:
        if row["name"] == "Outer" and row["action"] == MODULE:
            yield from map(drop_callback_keys, row["result"].get("tasks", ()))
        elif row["name"] not in ("Outer", "Dump", "Rescued"):
            yield drop_callback_keys({key: value for key, value in row.items() if key != "host"})


def drop_callback_keys(value: Any) -> Any:
    """Return a row without the keys that depend on whom the result is for."""
    if isinstance(value, Mapping):
        own = (key for key in value if not key.startswith("_ansible_") and key not in FOR_CALLBACKS)
        return {key: drop_callback_keys(value[key]) for key in own}
    return [drop_callback_keys(each) for each in value] if isinstance(value, list) else value


def clean(value: Any, way: str) -> Any:
    """Replace what differs between two runs of the same tasks."""
    if isinstance(value, Mapping):
        return {key: f"<{IGNORED[key]}>" if key in IGNORED else clean(value[key], way) for key in value}
    if isinstance(value, list):
        return [clean(each, way) for each in value]
    return VOLATILE.sub("<volatile>", value.replace(way, "<run>")) if isinstance(value, str) else value


def describe(path: Path) -> str:
    """Return type, mode and content of a file."""
    if path.is_symlink():
        return f"link to {path.readlink()}"
    kind = "folder" if path.is_dir() else repr(path.read_bytes())
    return f"{stat.filemode(path.stat().st_mode)} {kind}"


@pytest.mark.timeout(600)
@pytest.mark.parametrize("core", BATCHING_CORES)
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in PLAYS]
)
def test_tasks_in_batches_have_the_same_results(current: Workspace, tmp_path: Path, name: str, core: str) -> None:
    if PLAYS[name].get("needs_root") and os.geteuid():
        pytest.skip("needs root")
    ordinary, batched = (run(current, tmp_path, PLAYS[name], core, batched) for batched in (False, True))
    assert len(ordinary.rows) == PLAYS[name]["count"], ordinary.titles
    assert list(compare(batched.titles, ordinary.titles, "tasks")) == [], batched.play.folder
    for key in ("rows", "variables", "files"):
        assert list(compare(getattr(batched, key), getattr(ordinary, key), key)) == [], batched.play.folder
    assert batched.play.code == ordinary.play.code


def compare(value: Any, expected: Any, path: str) -> Iterator[str]:
    """Yield the path of each value that differs, with both values."""
    if isinstance(value, Mapping) and isinstance(expected, Mapping):
        for key in sorted({*value, *expected}):
            name = f"{path}[{key}]" if key != "name" else path
            yield from compare(value.get(key, "<missing>"), expected.get(key, "<missing>"), name)
    elif isinstance(value, list) and isinstance(expected, list) and len(value) == len(expected):
        for number, (each, other) in enumerate(zip(value, expected, strict=True)):
            label = other["name"] if isinstance(other, Mapping) and "name" in other else number
            yield from compare(each, other, f"{path}[{label}]")
    elif value != expected:
        yield f"{path}: {value!r} instead of {expected!r}"


@pytest.mark.parametrize("core", BATCHING_CORES)
def test_tasks_that_cannot_be_in_a_batch_are_refused_before_anything_runs(
    current: Workspace, tmp_path: Path, core: str
) -> None:
    refused = yaml.safe_load((TASKS / "refused.yml").read_text(encoding="utf-8"))
    reasons = {task["name"]: task.pop("refused") for task in refused}
    before = {"name": "Before", "ansible.builtin.command": "echo before"}
    tasks: list[Row] = []
    for number, inner in enumerate(refused):
        file = tmp_path / f"{number}.yml"
        # Also within a block, as a rescue.
        nested = {"block": [before], "rescue": [inner]} if number % 2 else inner
        file.write_text(yaml.safe_dump([before, nested]), encoding="utf-8")
        tasks.append(task(inner["name"], {"file": str(file)}, MODULE))
    ended = run_over_connection(current, tmp_path, tasks, ["web-01"], core=core)
    messages = {name: rows[0]["msg"] for name, rows in ended.tasks.items()}
    for name, reason in reasons.items():
        assert name in messages[name]
        assert reason in messages[name]
        assert "include_tasks" in messages[name]
    assert current.commands() == []
