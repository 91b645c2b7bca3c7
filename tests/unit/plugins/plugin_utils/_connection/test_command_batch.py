# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Defer the commands that the shell plugin of the installed ansible-core writes, and no others."""

from __future__ import annotations

import shlex
from typing import Any

import pytest
from ansible.plugins.loader import shell_loader

from ansible_collections.herdops.alpacon.plugins.module_utils._payload.packing import pack
from ansible_collections.herdops.alpacon.plugins.module_utils._payload.shell import build_shell_body
from ansible_collections.herdops.alpacon.plugins.plugin_utils._connection.command_batch import (
    CommandBatch,
    File,
    build_steps,
    get_queried_account,
    list_files,
)
from ansible_collections.herdops.alpacon.tests.unit.payload_runner import run_and_read_frame

FOLDER = "/home/me/.ansible/tmp/ansible-tmp-1.5-2-3"


@pytest.fixture
def shell() -> Any:
    plugin = shell_loader.get("ansible.builtin.sh")
    plugin.set_options()
    return plugin


def to_command(command: str, tail: str = "") -> str:
    """Return a command as ansible-core passes it to connections."""
    return f"/bin/sh -c {shlex.quote(command + tail)}"


@pytest.fixture(params=["", " && sleep 0"])
def tail(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def batch(shell: Any, tail: str) -> CommandBatch:
    """Return a batch with the step that makes a temporary folder."""
    batch = CommandBatch()
    made = shell.mkdtemp(basefile="ansible-tmp-1.5-2-3", tmpdir="/home/me/.ansible/tmp", mode=0o700)
    assert batch.defer(to_command(made, tail)) == f"ansible-tmp-1.5-2-3={FOLDER}\n".encode()
    return batch


def test_mkdir_put_and_chmod_are_deferred(batch: CommandBatch, shell: Any, tail: str) -> None:
    batch.steps.append(File.compress(f"{FOLDER}/source", b"content"))
    assert batch.defer(to_command(shell.chmod([f"{FOLDER}/", f"{FOLDER}/source"], "u+rwx"), tail)) == b""
    assert len(batch.steps) == 3
    assert [file.content for file in list_files(batch.steps)] == [b"content"]


def test_chmod_elsewhere_is_not_deferred(batch: CommandBatch, shell: Any, tail: str) -> None:
    for path in ("/etc/passwd", f"{FOLDER}/../x", f"{FOLDER}-other/x"):
        assert batch.defer(to_command(shell.chmod([path], "u+x"), tail)) is None


def test_removing_a_folder_that_was_not_made_drops_the_steps(batch: CommandBatch, shell: Any, tail: str) -> None:
    assert batch.defer(to_command(shell.remove(f"{FOLDER}/", recurse=True), tail)) == b""
    assert batch.steps == []


@pytest.mark.parametrize(
    "command",
    ["true", "echo 'open", "/bin/sh -c 'rm -f -r /'", "/bin/sh -c 'chmod u+x /x; reboot'", "/bin/sh -c 'mkdir /x'", ""],
)
def test_other_commands_are_not_deferred(command: str) -> None:
    assert CommandBatch().defer(command) is None


def test_queries_of_homes_are_recognized(shell: Any, tail: str) -> None:
    assert get_queried_account(to_command(shell.expand_user("~"), tail)) == ""
    assert get_queried_account(to_command(shell.expand_user("~root"), tail)) == "root"
    for command in (to_command("echo ~; id", tail), "echo 'open", "/bin/bash -l -c 'echo ~'", "/bin/sh -c echo\\ ~"):
        assert get_queried_account(command) is None


def test_deferred_steps_run_first_and_the_command_does_not_run_if_one_fails(tmp_path: Any, shell: Any) -> None:
    batch = CommandBatch()
    made = shell.mkdtemp(basefile="ansible-tmp-1", tmpdir=str(tmp_path), mode=0o700)
    assert batch.defer(to_command(made)) == f"ansible-tmp-1={tmp_path}/ansible-tmp-1\n".encode()
    batch.steps.append(File.compress(f"{tmp_path}/ansible-tmp-1/source", b"content"))
    body = build_shell_body(f"cat {tmp_path}/ansible-tmp-1/source", build_steps(batch.steps))
    frame = run_and_read_frame(pack("module:x", body, b"", [b"content"]))
    assert (frame.stdout, frame.rc, frame.mark) == (b"content", 0, "")
    again = run_and_read_frame(pack("module:x", body, b"", [b"content"]))
    assert (again.stdout, again.rc, again.mark) == (b"", 1, "undone")
    assert b"exist" in again.stderr
