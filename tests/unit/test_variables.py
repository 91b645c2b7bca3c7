# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test that variables of tasks cannot be replaced by a user's variables of the same name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.herdops.alpacon.tests.unit.support import ROOT

FILES = [*(ROOT / "roles").glob("*/tasks/**/*.yml"), *(ROOT / "playbooks").rglob("*.yml")]


def task_variables(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        yield from node.get("vars", {})
        for value in node.values():
            yield from task_variables(value)
    elif isinstance(node, list):
        for value in node:
            yield from task_variables(value)


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_variables_of_tasks_have_a_prefix(file: Path) -> None:
    folder, name = file.relative_to(ROOT).parts[:2]
    # Settings of connections replace those of a user on purpose.
    prefixes = f"__{name}_" if folder == "roles" else ("__", "rollout_", "ansible_")
    names = set(task_variables(yaml.safe_load(file.read_text(encoding="utf-8"))))
    unsafe = [name for name in names if not name.startswith(prefixes)]
    assert not unsafe, f"begin the names of these variables in {file.relative_to(ROOT)} with one of {prefixes}"
