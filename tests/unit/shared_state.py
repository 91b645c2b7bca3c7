# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Helpers for state that workers share: a journal and a list of servers."""

from __future__ import annotations

import re

from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.journal import Journal, Position
from ansible_collections.herdops.alpacon.tests.unit.support import SERVER

URL = "https://workspace.example"
LINE = "systemctl restart nginx"


def uuid(number: int, step: int) -> str:
    return f"{number:08x}-0000-4000-8000-{step:012x}"


def submit(journal: Journal, command_id: str) -> Position:
    position = journal.add_submit(SERVER, LINE)
    assert position is not None
    journal.add_id(position, command_id)
    return position


def read_journal_ids(journal: Journal) -> list[str]:
    return re.findall(r"(?m)^[0-9a-f-]{36}", journal.file.read_text()) if journal.file.exists() else []
