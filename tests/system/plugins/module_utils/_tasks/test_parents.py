# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""run_after: parents that reads do not show yet."""

from __future__ import annotations

from pathlib import Path

import pytest
from system.support import Clock, command_options
from workspace.client import Workspace

from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import UsageError
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.run import Run
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks import parents as _parents
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.command import run_command
from ansible_collections.herdops.alpacon.tests.unit.support import NO_COMMAND


@pytest.mark.parametrize(
    ("own", "shows_at", "found"), [(True, 20, True), (True, None, False), (False, 20, False), (False, None, False)]
)
def test_what_the_run_has_submitted_itself_may_show_late(
    current: Workspace,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    own: bool,
    shows_at: int | None,
    found: bool,
) -> None:
    looks, this = Clock(), Run(folder=tmp_path)
    monkeypatch.setattr(_parents, "time", looks)
    [parent] = current.add_commands([{"server": "web-01", "line": "true", "status": "success"}])
    assert this.submitted
    this.submitted.add({"id": parent if own else NO_COMMAND})
    current.fault("status", method="GET", path=f"{parent}/$", status=404, body='{"code": "command_not_found"}')
    if shows_at:
        looks.at(shows_at, current.clear_faults)
    options = command_options(current, servers=["web-02"], line="true", run_after=[parent])
    if found:
        assert run_command(options, this)["outcome"] == "success"
    else:
        with pytest.raises(UsageError, match=f"there is no command {parent}"):
            run_command(options, this)
    assert bool(looks.slept) is own
    assert sum(looks.slept) >= 30 or found or not own
