# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from workspace.client import Workspace

from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.jobs import Limits
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.run import Run, RunContext
from ansible_collections.herdops.alpacon.plugins.module_utils._options.connection import parse_settings
from ansible_collections.herdops.alpacon.plugins.plugin_utils._connection.runner import RunTarget, ServerRunner
from ansible_collections.herdops.alpacon.tests.unit.support import TOKEN


@pytest.fixture
def make_runner(tmp_path: Path) -> Iterator[Callable[..., ServerRunner]]:
    """Make runners for servers, as tasks of one run do."""
    with ExitStack() as stack:

        def make(where: Workspace | str, server: str = "web-01", wait_timeout: float = 60, **more: Any) -> ServerRunner:
            known = {"url": where, "token": TOKEN}
            if isinstance(where, Workspace):
                known = {"url": where.url, "token": where.token}
            known |= {name: more.pop(name) for name in ("url", "token") if name in more}
            run = Run(RunContext(folder=tmp_path, alert=more.pop("alert", None) or print))
            limits = Limits(wait_timeout=wait_timeout, cancel_on_timeout=True, offline="fail", wait_for_approval=False)
            fields: dict[str, Any] = {"connected": None, "username": None, "groupname": None, "extra": {}, **more}
            access = RunTarget(host="the-host", server=server, limits=limits, **fields)
            runner = ServerRunner(access, parse_settings(known), run)
            stack.callback(runner.close)
            return runner

        yield make
