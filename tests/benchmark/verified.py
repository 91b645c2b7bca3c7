# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A verified script on many servers, on three nights: a person approves it on the first one."""

from __future__ import annotations

import functools
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmark.running import Programs, Run, ScenarioFailed, Session, count, environ_of, measured, play_command
from benchmark.scenarios import NIGHTS, Scenario, Variant
from system.plays import wait_until
from workspace.client import Row, Workspace

SCRIPT = "#!/bin/sh\necho ready\n"


@contextmanager
def prepare(scenario: Scenario, session: Session) -> Iterator[Programs]:
    """Yield the nights of a scenario, on a controller that keeps its notes.

    Raises:
        ScenarioFailed: a script did not run once a night and server.
    """
    folder = session.folder / scenario.name
    folder.mkdir()
    (folder / "check.sh").write_text(SCRIPT, encoding="utf-8")
    with Workspace("current", servers=scenario.servers) as workspace:
        workspace.settings(file_roots=True, file_review=True)
        names = workspace.server_ids()
        for name in names:
            workspace.change_server(name, version="2.8.3")
        (folder / "servers.ini").write_text("\n".join(names) + "\n", encoding="utf-8")
        controller = _Controller(workspace, folder)
        yield {variant.name: functools.partial(controller.run, scenario, variant) for variant in scenario.variants}


@dataclass
class _Controller:
    workspace: Workspace
    folder: Path

    def run(self, scenario: Scenario, variant: Variant) -> Run:
        command = play_command(self.folder, scenario, variant, {"script": str(self.folder / "check.sh")})
        environ = {**environ_of(self.workspace), "ANSIBLE_HOME": str(self.folder / "home")}
        if variant == NIGHTS[2]:
            shutil.rmtree(self.folder / "home/alpacon/scripts")
        uploads, earlier = self._count_uploads(), len(self._list_scripts())
        # A task whose commands wait for a person fails.
        is_first = variant == NIGHTS[0]
        run = count(self.workspace, lambda: measured(command, self.folder, environ, (2,) if is_first else (0,)))
        held = [row["id"] for row in self._list_scripts()[earlier:] if row["status"] == "awaiting_approval"]
        run.approvals, run.uploads = len(held), self._count_uploads() - uploads
        for command_id in held:
            self.workspace.decide(command_id, "approve", days=30)
        wait_until(lambda: all(row["status"] != "awaiting_approval" for row in self._list_scripts()))
        wait_until(lambda: all(row["fin_count"] for row in self._list_scripts()))
        ran = self._list_scripts()[earlier:]
        if len(ran) != scenario.servers or any((row["run_count"], row["status"]) != (1, "success") for row in ran):
            raise ScenarioFailed(f"{len(ran)} commands, of which not all ran once and well")
        return run

    def _count_uploads(self) -> int:
        return sum(row["starts"] for row in self.workspace.transfers())

    def _list_scripts(self) -> list[Row]:
        return [row for row in self.workspace.commands() if row["shell"] == "file"]
