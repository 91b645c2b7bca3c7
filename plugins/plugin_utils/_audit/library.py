# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""Checks that stand in files, a set in each: pure data, in which nothing is a template."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import UsageError

from .check_options import read_checks
from .checks import Check

_KEYS = ("functions", "checks")
#: The loader in C where there is one: it takes a tenth of the time.
_SafeLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_SafeLoader):
    """A safe loader that refuses a key that a mapping has twice: only the last would count."""

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Take the keys of other mappings over; its own ones, which may be among those, count before them."""
        lines: dict[tuple[str, str], int] = {}
        for key, _value in node.value:
            name, line = (key.tag, str(key.value)), key.start_mark.line + 1
            if name in lines:
                problem = f"the key {key.value} is there twice, in lines {lines[name]} and {line}"
                raise ValueError(f"{problem}. Leave one of them.")
            lines[name] = line
        super().flatten_mapping(node)
        node.value = list({(key.tag, str(key.value)): (key, value) for key, value in node.value}.values())


def read_library(folder: Path) -> dict[str, list[Check]]:
    """The check sets in a folder, by their names: a file C(NAME.yml) each, with C(checks) and perhaps C(functions).

    Raises:
        UsageError: which file, and what is wrong with it.
    """
    files = sorted([*folder.glob("*.yml"), *folder.glob("*.yaml")])
    if not files:
        raise UsageError("library", f"there is no file NAME.yml in {folder}", "Name a folder of check sets.")
    sets: dict[str, Path] = {}
    for file in files:
        other = sets.setdefault(file.stem, file)
        if other != file:
            problem = f"{other.name} and {file.name} are one check set"
            raise UsageError("library", problem, "Rename one of them, or move its checks into the other.")
    return {name: _read(file) for name, file in sets.items()}


def _read(file: Path) -> list[Check]:
    option = f"library, {file.name}"
    try:
        content = yaml.load(file.read_text(encoding="utf-8"), Loader=_Loader)
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise UsageError(option, f"it cannot be read: {error}") from None
    if not isinstance(content, dict) or not set(content) <= set(_KEYS):
        raise UsageError(option, "it is not a check set", f"Give a dictionary with {' and '.join(_KEYS)}.")
    checks = content.get("checks")
    if not isinstance(checks, list) or not all(isinstance(check, dict) for check in checks):
        raise UsageError(option, "checks is not a list of checks", "Give a list of dictionaries.")
    functions = content.get("functions") or ""
    if not isinstance(functions, str):
        raise UsageError(option, "functions is not a text", "Give code for the shell.")
    return read_checks(option, checks, functions, file.stem)
