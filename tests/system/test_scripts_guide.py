# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test the examples of the guide on scripts, with other paths and owners."""

from __future__ import annotations

import getpass
import grp
import os
from pathlib import Path

import yaml
from system.plays import run_playbook
from system.support import AGENTS, run_payload
from workspace.client import Workspace

from ansible_collections.herdops.alpacon.tests.unit.support import Row, read_code_blocks

OWNER = f"{getpass.getuser()}:{grp.getgrgid(os.getgid()).gr_name}"


[PLACE] = read_code_blocks("scripts", "sh")


def example(name: str) -> list[Row]:
    examples = map(yaml.safe_load, read_code_blocks("scripts", "yaml"))
    [entries] = [entries for entries in examples if entries[0]["name"] == name]
    if "hosts" in entries[0]:
        return list(entries)
    return [{"hosts": AGENTS[0], "gather_facts": False, "tasks": entries}]


def prepare(folder: Path) -> None:
    (folder / "files").mkdir()
    (folder / "files/place.sh").write_text(PLACE, encoding="utf-8")
    (folder / "files/tidy.sh").write_text('#!/bin/sh\nprintf "%s|" "$@"\n', encoding="utf-8")
    (folder / "files/restore.sh").write_text('test "$PGPASSWORD" = pssst\n', encoding="utf-8")
    (folder / "files/setup.sh").write_text("touch .done\n", encoding="utf-8")


def test_one_file_gets_to_every_server_and_a_second_run_changes_nothing(current: Workspace, tmp_path: Path) -> None:
    prepare(tmp_path)
    (tmp_path / "motd.j2").write_text("Größe {{ 40 + 2 }}\n\n", encoding="utf-8")
    [play] = example("Install the message of the day")
    [task] = play["tasks"]
    options = task["herdops.alpacon.alpacon_command"]
    # A relative path is one in the home of each server.
    options["script"] = options["script"].replace("/etc/motd", "motd").replace("root:root", OWNER)
    runs = [run_playbook(current, tmp_path, [play], AGENTS, *check) for check in (["--check"], [], [])]
    assert [run.code for run in runs] == [0, 0, 0], "".join(run.log for run in runs)
    [predicted, first, second] = runs[-1].tasks[task["name"]]
    assert [predicted["changed"], first["changed"], second["changed"]] == [True, True, False]
    assert {row["stdout"] for row in first["commands"]} == {"changed"}
    assert {row["stdout"] for row in second["commands"]} == {"ok"}
    there = run_payload(
        current, argv=["sh", "-c", "cat motd; stat -c %U:%G%a motd; ls motd.* | wc -l"], servers=list(AGENTS)
    )
    assert {row["stdout"] for row in there.commands} == {f"Größe 42\n\n{OWNER}644\n0"}


def test_the_other_examples_run(current: Workspace, tmp_path: Path) -> None:
    prepare(tmp_path)
    tidy = example("Tidy up")
    find = example("Find names with blanks")
    find[0]["tasks"][0]["herdops.alpacon.alpacon_command"]["argv"][1] = str(tmp_path)
    once = example("Set up the application")
    once[0]["vars"] = {"groups": {"web": list(AGENTS)}}
    restore = example("Restore the database")
    restore[0]["vars"] = {"vault_pgpassword": "pssst"}
    restore[0]["tasks"][0]["herdops.alpacon.alpacon_command"]["server"] = AGENTS[0]
    options = once[0]["tasks"][0]["herdops.alpacon.alpacon_command"]
    options.update(servers=list(AGENTS), chdir=str(tmp_path))
    done = run_playbook(current, tmp_path, [*tidy, *find, *restore, *once, *once], AGENTS)
    assert done.code == 0, done.log
    [tidied] = done.tasks["Run the script"]
    assert {row["stdout"] for row in tidied["commands"]} == {"--days|30|/var/log/my app|"}
    [_first, again] = done.tasks[once[0]["tasks"][0]["name"]]
    assert not again["changed"]
