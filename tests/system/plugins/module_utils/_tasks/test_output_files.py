# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test output_dir of alpacon_command: files, modes, secrets, and what is left alone."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from system.support import AGENTS, command_options, in_every_dialect, run, run_payload
from workspace.client import Workspace

from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import UsageError
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.run import Run
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.command import run_command


@in_every_dialect
def test_each_server_has_a_file_for_its_owner_only(workspace: Workspace, tmp_path: Path) -> None:
    folder = tmp_path / "new"
    ran = run(workspace, servers=[*AGENTS], line="seq 1 2000", output_dir=str(folder))
    assert ran["summary"] == {"success": 3}
    assert folder.stat().st_mode & 0o777 == 0o700
    assert sorted(os.listdir(folder)) == [f"{name}.stdout" for name in AGENTS]
    for name, command in zip(AGENTS, ran.commands, strict=True):
        file = folder / f"{name}.stdout"
        assert command["stdout_file"] == str(file)
        assert file.stat().st_mode & 0o777 == 0o600
        assert file.read_text().split() == [str(number) for number in range(1, 2001)]
        assert (len(command["stdout"]), command["output_complete"]) == (4000, True)


def test_a_script_has_both_streams_byte_for_byte_and_without_secrets(current: Workspace, tmp_path: Path) -> None:
    script = b"#!/bin/sh\nprintf 'a\\377b\\n'; echo \"to $KEY\" >&2\n"
    ran = run_payload(current, script, env={"KEY": "hunter2hunter2"}, output_dir=str(tmp_path))
    assert (tmp_path / "web-01.stdout").read_bytes() == b"a\xffb\n"
    assert Path(ran["stderr_file"]).read_text() == "to ********\n"


def test_a_link_is_replaced_and_what_it_refers_to_is_kept(current: Workspace, tmp_path: Path) -> None:
    (tmp_path / "other").write_text("kept")
    (tmp_path / "out").mkdir()
    file = tmp_path / "out/web-01.stdout"
    file.symlink_to(tmp_path / "other")
    for word in ("first", "second"):
        run(current, servers=["web-01"], line=f"echo {word}", output_dir=str(tmp_path / "out"))
        assert (file.is_symlink(), file.read_text()) == (False, f"{word}\n")
    assert (tmp_path / "other").read_text() == "kept"


def test_a_command_that_never_ran_leaves_the_file_of_an_earlier_one(current: Workspace, tmp_path: Path) -> None:
    file = tmp_path / "web-01.stdout"
    file.write_text("earlier")
    never: tuple[Any, ...] = ({"removes": "/nosuch"}, {"username": "nosuch-user"})
    for options in never:
        ran = run(current, servers=["web-01"], argv=["echo", "x"], output_dir=str(tmp_path), **options)
        assert (ran["stdout_file"], file.read_text()) == (None, "earlier")
    run(current, check_mode=True, servers=["web-02"], line="echo", output_dir=str(tmp_path / "new"))
    assert os.listdir(tmp_path) == ["web-01.stdout"]


def test_awaited_and_reused_commands_have_files(current: Workspace, tmp_path: Path) -> None:
    first = run(current, servers=["web-01"], line="echo hello")
    awaited = run(current, state="finished", ids=[first["id"]], output_dir=str(tmp_path))
    assert awaited["stdout_file"] == str(tmp_path / f"{first['id']}.stdout")
    reused = run(current, servers=["web-01"], line="echo hello", reuse_within="1h", output_dir=str(tmp_path))
    assert (reused.changed, (tmp_path / "web-01.stdout").read_text()) == (False, "hello\n")


def test_an_awaited_script_has_both_streams(current: Workspace, tmp_path: Path) -> None:
    first = run_payload(current, b"#!/bin/sh\nseq 1 2000 >&2\n", wait=False)
    awaited = run(current, state="finished", ids=[first["id"]], output_dir=str(tmp_path))
    assert len(awaited["stderr"]) == 4000
    assert len(Path(awaited["stderr_file"]).read_text().split()) == 2000


def test_what_cannot_be_written_is_refused_before_anything_is_submitted(current: Workspace, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    options: Any = {"servers": ["web-01"], "line": "echo", "output_dir": str(tmp_path / "file/folder")}
    for folder in (options["output_dir"], f"{tmp_path}/a\0b"):
        with pytest.raises(UsageError, match=r"output_dir: .* cannot be written"):
            run(current, **{**options, "output_dir": folder})
    with pytest.raises(UsageError, match=r"output_dir: .* wait=false"):
        run(current, **options, wait=False)
    with pytest.raises(UsageError, match=r"output_dir: .* no_log"):
        run_command(command_options(current, **{**options, "output_dir": str(tmp_path)}), Run(no_log=True))
    assert current.commands() == []
