# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A large file to one server of the stand-in workspace and back: over the connection, and by a file transfer."""

from __future__ import annotations

import filecmp
import functools
import random
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmark.running import Programs, Run, ScenarioFailed, Session, count, environ_of, measured, play_command
from benchmark.scenarios import TRANSFERS, Scenario, Variant
from workspace.client import Workspace


@contextmanager
def prepare(scenario: Scenario, session: Session) -> Iterator[Programs]:
    """Yield the plays that transfer a file, which each copy and first upload finds under a new name.

    Raises:
        ScenarioFailed: a copy differs from the file.
    """
    folder = session.folder / scenario.name
    folder.mkdir()
    # Nothing makes it smaller on its way.
    (folder / "source").write_bytes(random.Random(scenario.size).randbytes(scenario.size))
    with Workspace("current", servers=scenario.servers) as workspace:
        [(name, server_id)] = workspace.server_ids().items()
        connection = f"{name} alpacon_server_id={server_id} ansible_connection=herdops.alpacon.alpacon\n"
        (folder / "connection.ini").write_text(connection, encoding="utf-8")
        (folder / "servers.ini").write_text(f"{name}\n", encoding="utf-8")
        yield {
            variant.name: functools.partial(_run, workspace, scenario, variant, folder) for variant in scenario.variants
        }


def _run(workspace: Workspace, scenario: Scenario, variant: Variant, folder: Path) -> Run:
    place = folder / "place"
    if variant in TRANSFERS[:2]:
        place.write_text(str(folder / uuid.uuid4().hex), encoding="utf-8")
    there, back = Path(place.read_text(encoding="utf-8")), folder / "back"
    back.unlink(missing_ok=True)
    variables = {
        "source": str(folder / "source"),
        "there": str(there),
        "back": str(back),
        "ansible_python_interpreter": "/usr/bin/python3",
    }
    command = play_command(folder, scenario, variant, variables)
    environ = {**environ_of(workspace), "no_proxy": "127.0.0.1"}
    run = count(workspace, lambda: measured(command, folder, environ))
    copy = back if variant == TRANSFERS[3] else there
    if not filecmp.cmp(folder / "source", copy, shallow=False):
        raise ScenarioFailed(f"{variant.name}: the copy differs")
    return run
