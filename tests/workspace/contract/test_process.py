# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Test that the process of a workspace leaves nothing behind."""

from __future__ import annotations

from pathlib import Path

import pytest
from workspace.client import Workspace


@pytest.mark.parametrize("end", ["signal", "parent"])
def test_it_ends_with_its_agents_and_its_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    workspace = Workspace("published", servers=["db-01", "web-01"]).start()
    process = workspace._process
    assert process is not None
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text(encoding="ascii").split()
    assert children
    workspace.wait_for_command(workspace.submit("db-01", "sleep 60"), "running", "delivered")
    if end == "signal":
        process.terminate()
    else:
        assert process.stdin is not None
        process.stdin.close()
    assert process.wait(timeout=30) == 0
    assert not any(Path(f"/proc/{child}").exists() for child in children)
    assert list(tmp_path.glob("workspace-*")) == []
    workspace.stop()
