# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Each file of module_utils imports only what CONTRIBUTING.md lists before it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODULE_UTILS = ROOT / "plugins/module_utils"
PACKAGE = "ansible_collections.herdops.alpacon.plugins.module_utils"
LAYERS = re.findall(r"^\d+\. `(_\w+)`: ", (ROOT / "CONTRIBUTING.md").read_text(), re.MULTILINE)


def imported(source: str) -> Iterator[str]:
    """The names of what a file imports from module_utils, wherever in the file it does."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[-1] for alias in node.names if alias.name.startswith(PACKAGE))
        elif isinstance(node, ast.ImportFrom):
            module = (node.module or "").removeprefix(PACKAGE).lstrip(".")
            if node.level == 1 or (node.module or "").startswith(PACKAGE):
                yield from [module] if module else (alias.name for alias in node.names)


def test_the_list_names_every_file() -> None:
    files = {path.stem for path in MODULE_UTILS.glob("*.py")} - {"__init__"}
    assert sorted(LAYERS) == sorted(files)


@pytest.mark.parametrize("layer", LAYERS)
def test_imports_only_what_stands_before_it(layer: str) -> None:
    names = set(imported((MODULE_UTILS / f"{layer}.py").read_text()))
    assert names <= set(LAYERS[: LAYERS.index(layer)])


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("from . import _a, _b", ["_a", "_b"]),
        ("from ._a import x", ["_a"]),
        (f"from {PACKAGE} import _a", ["_a"]),
        (f"from {PACKAGE}._a import x", ["_a"]),
        (f"import {PACKAGE}._a", ["_a"]),
        ("def f():\n    from ._a import x", ["_a"]),
        ("from json import loads\nimport os", []),
    ],
)
def test_every_form_of_import_is_seen(source: str, names: list[str]) -> None:
    assert list(imported(source)) == names
