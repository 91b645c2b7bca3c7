# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test that roles and playbooks convert booleans that are given as text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.command import SPEC as COMMAND_SPEC
from ansible_collections.herdops.alpacon.tests.unit.support import ROOT, option_specs

_CONDITIONS = frozenset(("when", "that", "until", "failed_when", "changed_when"))
_EXPRESSION = re.compile(r"\{\{(.*?)\}\}|\{%(.*?)%\}", re.DOTALL)
_TEXT = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"")


def _files() -> list[Path]:
    return [path for folder in ("roles", "playbooks") for path in sorted((ROOT / folder).rglob("*.yml"))]


def _booleans() -> set[str]:
    """Return the boolean variables of roles and playbooks."""
    specs = [spec for path in _files() for spec in option_specs(yaml.safe_load(path.read_text(encoding="utf-8")))]
    specs += [(f"alpacon_{name}", option) for name, option in COMMAND_SPEC.items()]
    # The rollout has no specification of its own.
    return {"alpamon_become", *(name for name, spec in specs if spec["type"] == "bool")}


def _expressions(value: Any, key: str = "") -> Iterator[str]:
    """Yield conditions and texts in braces."""
    if isinstance(value, dict):
        for name, below in value.items():
            yield from _expressions(below, str(name))
    elif isinstance(value, list):
        for below in value:
            yield from _expressions(below, key)
    elif isinstance(value, str):
        inner = ["".join(found) for found in _EXPRESSION.findall(value)]
        yield from inner or ([value] if key in _CONDITIONS else [])


def _unconverted(expression: str, names: set[str]) -> list[str]:
    bare = re.compile(rf"\b({'|'.join(sorted(names))})\b(?!\s*\|\s*(?:default\([^)]*\)\s*\|\s*)?bool\b)")
    return [] if not names else bare.findall(_TEXT.sub("''", expression))


def _evaluated() -> list[tuple[str, str]]:
    found = [
        (path.relative_to(ROOT).as_posix(), expression)
        for path in _files()
        for expression in _expressions(yaml.safe_load(path.read_text(encoding="utf-8")))
    ]
    for path in sorted((ROOT / "roles").rglob("*.j2")):
        found += [(path.name, "".join(one)) for one in _EXPRESSION.findall(path.read_text(encoding="utf-8"))]
    return found


def test_booleans_are_found() -> None:
    assert {"alpamon_hold", "alpamon_rollback", "alpamon_become", "alpacon_wait", "alpacon_reschedule"} <= _booleans()


def test_each_use_of_a_boolean_converts_it() -> None:
    names = _booleans()
    # An option of a module converts by itself what it gets as it is, and omit is no boolean.
    handed = re.compile(r"^\s*[\w.]+ \| default\(omit\)\s*$")
    bare = [
        f"{where}: {expression.strip()}"
        for where, expression in _evaluated()
        if not handed.match(expression) and _unconverted(expression, names)
    ]
    assert bare == []
