# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""alpacon_file in plays: where files are found and saved, vaults, delegation and warnings."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from ansible_cores import CORES, prepare
from system.plays import Play, play, run_playbook, task
from workspace.client import Workspace

from ansible_collections.herdops.alpacon.tests.unit.support import Row

HOSTS = ("web-01", "web-02")
MODULE = "herdops.alpacon.alpacon_file"


def transfer(name: str, options: Row, **keywords: Any) -> Row:
    return task(name, options, MODULE, **keywords)


def run(workspace: Workspace, folder: Path, *tasks: Row, **options: Any) -> Play:
    done = run_playbook(workspace, folder, play(*tasks), HOSTS, **options)
    assert workspace.token not in done.log
    return done


@pytest.mark.parametrize("core", CORES)
def test_a_file_is_found_beside_the_playbook_and_decrypted(current: Workspace, tmp_path: Path, core: str) -> None:
    (tmp_path / "files").mkdir()
    (tmp_path / "files/plain").write_text("plain")
    (tmp_path / "files/secret").write_text("hunter2hunter2")
    (tmp_path / "password").write_text("open sesame")
    vault = [str(prepare(core) / "ansible-vault"), "encrypt", "--vault-password-file", str(tmp_path / "password")]
    subprocess.run([*vault, str(tmp_path / "files/secret")], check=True, capture_output=True)
    to = f"{tmp_path}/{{{{ inventory_hostname }}}}-"
    done = run_playbook(
        current,
        tmp_path,
        play(
            transfer("plain", {"src": "plain", "dest": f"{to}plain"}),
            transfer("secret", {"src": "secret", "dest": f"{to}secret"}, no_log=True),
            transfer("content", {"content": "{{ 3 }}", "dest": f"{to}content"}),
        ),
        HOSTS,
        "--vault-password-file",
        str(tmp_path / "password"),
        core=core,
    )
    assert done.code == 0, done.log
    for host in HOSTS:
        texts = [(tmp_path / f"{host}-{name}").read_text() for name in ("plain", "secret", "content")]
        assert texts == ["plain", "hunter2hunter2", "3"]
    assert "hunter2" not in done.log
    assert not list((tmp_path / "home").rglob("ansible-local-*/*"))


def test_a_download_of_each_host_lies_beside_the_playbook(current: Workspace, tmp_path: Path) -> None:
    (tmp_path / "report").write_text("x")
    once = {"state": "downloaded", "src": f"{tmp_path}/report", "dest": "once/", "servers": list(HOSTS)}
    done = run(
        current,
        tmp_path,
        transfer("each", {"state": "downloaded", "src": f"{tmp_path}/report", "dest": "each/"}),
        transfer("again", {"state": "downloaded", "src": f"{tmp_path}/report", "dest": "each/"}),
        transfer("once", once, run_once=True),
    )
    assert done.code == 0, done.log
    for folder in ("each", "once"):
        assert all((tmp_path / folder / host / "report").read_text() == "x" for host in HOSTS)
    assert [row["changed"] for row in done.tasks["again"]] == [False, False]


def test_what_cannot_work_is_refused_before_anything_is_sent(current: Workspace, tmp_path: Path) -> None:
    to = {"dest": "/tmp/x"}
    problems: dict[str, Row] = {
        "src: nosuch cannot be read": {"src": "nosuch", **to},
        "src: files is a folder": {"src": "files", **to},
        "src: it is given along with content": {"src": "a", "content": "b", **to},
        "dest: it is empty": {"content": "b", "dest": ""},
        "content: it is a dictionary": {"content": {"a": 1}, **to},
        "state: 'absent' is not one of its values": {"state": "absent", **to},
    }
    (tmp_path / "files").mkdir()
    (tmp_path / "a").touch()
    tasks = [transfer(problem, options) for problem, options in problems.items()]
    delegated = transfer("delegate_to: ", {"content": "b", **to}, delegate_to="web-02")
    done = run(current, tmp_path, *tasks, delegated)
    for name, rows in done.tasks.items():
        assert all(name in row["msg"] for row in rows), (name, rows)
    assert (current.transfers(), current.commands()) == ([], [])


def test_servers_get_a_task_once_and_keywords_without_effect_are_warned_about(
    current: Workspace, tmp_path: Path
) -> None:
    named = {"content": "x", "dest": f"{tmp_path}/x", "servers": ["web-03"]}
    own = {"content": "x", "dest": f"{tmp_path}/{{{{ inventory_hostname }}}}"}
    done = run(current, tmp_path, transfer("named", named), transfer("own", own, become=True))
    failed = [row for row in done.tasks["named"] if row.get("failed")]
    assert (len(failed), len(current.transfers())) == (1, 3)
    assert "A server gets the command of a task once" in failed[0]["msg"]
    [warning] = [text for row in done.tasks["own"] for text in row.get("warnings", ())]
    assert "Set username instead." in warning


def test_a_host_that_is_offline_is_unreachable_with_fail(current: Workspace, tmp_path: Path) -> None:
    current.disconnect("web-02")
    options = {"content": "x", "dest": f"{tmp_path}/x", "offline": "fail"}
    done = run(current, tmp_path, transfer("own", options))
    assert sorted(bool(row.get("unreachable")) for row in done.tasks["own"]) == [False, True]
