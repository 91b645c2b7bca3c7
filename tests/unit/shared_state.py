# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Helpers for state that workers share: a journal and a list of servers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.journal import Journal, Position
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.sharing import Shared
from ansible_collections.herdops.alpacon.tests.unit.support import SERVER

URL = "https://workspace.example"
LINE = "systemctl restart nginx"
IDS = ["7a50ea6c-2138-4d3f-9633-e50694c847c4", "a7282bea-31d7-4b55-a43e-97e1240c90ab"]
SERVERS = [("web-01", IDS[0]), ("web-02", IDS[1])]


def uuid(number: int, step: int) -> str:
    return f"{number:08x}-0000-4000-8000-{step:012x}"


def submit(journal: Journal, command_id: str) -> Position:
    position = journal.add_submit(SERVER, LINE)
    assert position is not None
    journal.add_id(position, command_id)
    return position


def read_journal_ids(journal: Journal) -> list[str]:
    return re.findall(r"(?m)^[0-9a-f-]{36}", journal.file.read_text()) if journal.file.exists() else []


def find_server_ids(shared: Shared, read: Callable[[], Iterable[tuple[str, str]]]) -> dict[str, list[str]]:
    return shared.get_server_ids(["web-01", "web-02", "web-03"], read)
