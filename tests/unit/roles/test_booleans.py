# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test that roles and playbooks convert booleans that are given as text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import yaml

from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.command import SPEC as COMMAND_SPEC
from ansible_collections.herdops.alpacon.tests.unit.support import ROOT, option_specs

_CONDITIONS = frozenset(("when", "that", "until", "failed_when", "changed_when"))
_EXPRESSION = re.compile(r"\{\{(.*?)\}\}|\{%(.*?)%\}", re.DOTALL)
_TEXT = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"")
#: An option of a module converts its value, and omit is not a boolean.
_PASSED_ON = re.compile(r"^\s*[\w.]+ \| default\(omit\)\s*$")


def _expressions(value: Any, key: str = "") -> Iterator[str]:
    """Yield conditions and texts in braces."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _expressions(inner, str(name))
    elif isinstance(value, list):
        for inner in value:
            yield from _expressions(inner, key)
    elif isinstance(value, str):
        found = ["".join(groups) for groups in _EXPRESSION.findall(value)]
        yield from found or ([value] if key in _CONDITIONS else [])


def test_each_use_of_a_boolean_converts_it() -> None:
    paths = [path for folder in ("roles", "playbooks") for path in sorted((ROOT / folder).rglob("*.yml"))]
    contents = {path: yaml.safe_load(path.read_text(encoding="utf-8")) for path in paths}
    specs = [spec for content in contents.values() for spec in option_specs(content)]
    specs += [(f"alpacon_{name}", option) for name, option in COMMAND_SPEC.items()]
    # The rollout has no argument spec.
    names = {"alpamon_become", *(name for name, spec in specs if spec["type"] == "bool")}
    assert {"alpamon_hold", "alpacon_wait"} <= names
    bare = re.compile(rf"\b({'|'.join(sorted(names))})\b(?!\s*\|\s*(?:default\([^)]*\)\s*\|\s*)?bool\b)")
    used = [(path, expression) for path, content in contents.items() for expression in _expressions(content)]
    for path in sorted((ROOT / "roles").rglob("*.j2")):
        used += [(path, "".join(groups)) for groups in _EXPRESSION.findall(path.read_text(encoding="utf-8"))]
    unconverted = [
        f"{path.relative_to(ROOT)}: {expression.strip()}"
        for path, expression in used
        if not _PASSED_ON.match(expression) and bare.search(_TEXT.sub("''", expression))
    ]
    assert not unconverted, "convert these with the filter bool"
