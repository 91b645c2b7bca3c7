# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Scripts and programs that are carried to servers, in every state."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import pytest
from system.support import Outcome, methods, run
from workspace.client import Workspace

#: The dialects that know no variables.
dropping = pytest.mark.parametrize("workspace", ["published", "2024"], indirect=True)
BOTH_STREAMS = b"#!/bin/sh\necho out $1\necho err >&2\nexit 3\n"


def content(script: bytes) -> str:
    """What the action hands on of a script."""
    return base64.b64encode(script).decode()


def carry(workspace: Workspace, file: bytes | None = None, check_mode: bool = False, **given: Any) -> Outcome:
    """Carry out a task with a script, or with what is given."""
    if file is not None:
        given = {"script": "job.sh", "_script_content": content(file), **given}
    return run(workspace, check_mode, **{"servers": ["web-01"], **given})


def test_a_script_gives_its_code_and_both_streams_exactly(current: Workspace) -> None:
    result = carry(current, BOTH_STREAMS, script="job.sh 'a  b'").result
    assert (result["rc"], result["stdout"], result["stderr"]) == (3, "out a b", "err")
    assert result["outcome"] == "failed"
    assert result["output_complete"]
    assert result["changed"]
    assert result["line"].startswith("/bin/sh -c $RUN script:job.sh sha256:")
    assert methods(current)["POST"] == 1


def test_a_server_without_a_shell_runs_it_as_well(current: Workspace) -> None:
    current.change_server("web-01", allow_sh=False)
    result = carry(current, BOTH_STREAMS).result
    assert (result["rc"], result["stdout"], result["stderr"]) == (3, "out", "err")
    result = carry(current, argv=["printf", "%s|", "$HOME", "*", "a  b", "it's"]).result
    assert result["stdout"] == "$HOME|*|a  b|it's|"


def test_arguments_reach_a_program_as_they_are(current: Workspace) -> None:
    words = ["$HOME", "*", "~", "a  b", "", "it's", '"', "\\", "`id`", "line\nbreak", "ä", "-n"]
    result = carry(current, argv=["printf", "%s|", *words]).result
    assert result["stdout"] == "".join(f"{word}|" for word in words)


def test_what_a_script_reads_is_exact_to_the_byte(current: Workspace) -> None:
    stdin = bytes(range(256)) * 300 + b"\n\n  "
    result = carry(current, argv=["sha256sum"], stdin=stdin.decode("utf-8", "surrogateescape")).result
    assert result["stdout"] == f"{hashlib.sha256(stdin).hexdigest()}  -"


@dropping
@pytest.mark.parametrize("allow_sh", [True, False])
def test_a_workspace_that_hands_no_variables_on_runs_nothing(workspace: Workspace, allow_sh: bool) -> None:
    workspace.change_server("web-01", allow_sh=allow_sh)
    outcome = carry(workspace, BOTH_STREAMS)
    assert outcome.failed
    assert not outcome.warnings
    assert (outcome["outcome"], outcome["ran"], outcome["rc"]) == ("failed", False, None)
    assert "handed none of the variables to the server that carry it" in outcome["msg"]
