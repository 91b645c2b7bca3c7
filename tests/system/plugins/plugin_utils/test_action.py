# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Share TLS contexts between the workers of a play, and report progress to standard error."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ansible_cores import CORES, prepare
from system.certificates import authority
from system.fork_server import run_program
from system.plays import TIMEOUT, environment, play, run_playbook, task
from workspace.client import Workspace

HOSTS = ("web-01", "web-02", "web-03")

#: Records the process that creates a TLS context.
COUNTER = """
import os
import ssl

make = ssl.SSLContext.__new__

def recorded(*arguments, **named):
    with open(os.environ["CONTEXTS"], "a") as file:
        print(os.getpid(), file=file)
    return make(*arguments, **named)

ssl.SSLContext.__new__ = recorded
"""


@pytest.mark.parametrize("core", CORES)
def test_workers_create_no_tls_context(tmp_path: Path, core: str) -> None:
    ca = authority(tmp_path, "Our CA")
    contexts = tmp_path / "contexts"
    (tmp_path / "sitecustomize.py").write_text(COUNTER, encoding="utf-8")
    with Workspace("current", servers=HOSTS, tick=0.1, tls=(ca.chain, ca.chain), ca=ca.file) as workspace:
        workspace.wait_connected(*HOSTS)
        plays = play(task("run", {"line": "echo ready"}))
        environ = {"ALPACON_CA_PATH": str(ca.file), "PYTHONPATH": str(tmp_path), "CONTEXTS": str(contexts)}
        done = run_playbook(workspace, tmp_path / "play", plays, HOSTS, core=core, **environ)
        assert {result["stdout"] for result in done.tasks["run"]} == {"ready"}
    assert set(contexts.read_text(encoding="utf-8").split()) == {str(done.pid)}


def test_progress_is_written_to_standard_error(current: Workspace, tmp_path: Path) -> None:
    current.add_servers("away-01", connected=False)
    options = {"servers": ["away-01"], "line": "true", "wait_timeout": "1s"}
    plays = play(task("run", options))
    (tmp_path / "play.json").write_text(json.dumps(plays), encoding="utf-8")
    (tmp_path / "ansible.cfg").touch()
    out, err = tmp_path / "out", tmp_path / "err"
    command = [str(prepare("development") / "ansible-playbook"), "-i", "localhost,", str(tmp_path / "play.json")]
    run_program(command, environment(current, tmp_path), tmp_path, out, err, TIMEOUT)
    assert "alpacon: 1 waits for away-01" in err.read_text(encoding="utf-8")
    assert "alpacon: 1 waits" not in out.read_text(encoding="utf-8")
