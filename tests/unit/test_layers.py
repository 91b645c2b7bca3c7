# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test the architecture: layers, cycles, names of classes.

No two classes have one name.
"""

from __future__ import annotations

import ast
import graphlib
import re
from collections import Counter
from collections.abc import Iterator

import pytest

from ansible_collections.herdops.alpacon.tests.unit.support import ROOT

PLUGINS = ROOT / "plugins"
PACKAGE = "ansible_collections.herdops.alpacon.plugins."
GUIDE = (ROOT / "CONTRIBUTING.md").read_text()
FLOORS = [re.findall(r"`([\w/]+)`", floor) for floor in re.findall(r"^\d+\. (`[\w/`, ]+`): ", GUIDE, re.MULTILINE)]
FILES = sorted(path.relative_to(PLUGINS).as_posix() for path in PLUGINS.rglob("*.py") if path.name != "__init__.py")
#: Names of classes that Ansible looks for, in each file of a kind.
NAMED_BY_ANSIBLE = {"ActionModule", "LookupModule", "ModuleDocFragment"}


def floor_of(file: str) -> int:
    path = file.removesuffix(".py")
    named = [(name, number) for number, names in enumerate(FLOORS) for name in names]
    fitting = [(len(name), number) for name, number in named if f"{path}/".startswith(f"{name}/")]
    assert fitting, f"CONTRIBUTING.md has no floor for {file}"
    return max(fitting)[1]


def imported(source: str, file: str) -> Iterator[str]:
    """Yield the files of the plugins that a file imports."""
    package = file.split("/")[:-1]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names if alias.name.startswith(PACKAGE)]
            yield from (module.removeprefix(PACKAGE).replace(".", "/") for module in modules)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            if node.level:
                base = package[: len(package) - node.level + 1] + (module.split(".") if module else [])
            elif module.startswith(PACKAGE):
                base = module.removeprefix(PACKAGE).split(".")
            else:
                continue
            for alias in node.names:
                path = "/".join([*base, alias.name])
                yield path if (PLUGINS / f"{path}.py").exists() else "/".join(base)


@pytest.mark.parametrize("file", FILES)
def test_imports_only_what_stands_below(file: str) -> None:
    own = floor_of(file)
    for path in imported((PLUGINS / file).read_text(), file):
        assert floor_of(path) <= own, f"{path} does not stand below {file}"


def test_what_needs_no_ansible_imports_none() -> None:
    [sentence] = re.findall(r"Nothing in (.+?) imports Ansible\.", GUIDE, re.DOTALL)
    folders = tuple(f"module_utils/{name}/" for name in re.findall(r"`(\w+)`", sentence))
    assert len(folders) == 4
    for file in (file for file in FILES if file.startswith(folders)):
        nodes = list(ast.walk(ast.parse((PLUGINS / file).read_text())))
        names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
        names += [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom) and not node.level]
        assert "ansible" not in {name.partition(".")[0] for name in names}, f"{file} imports Ansible"


def test_nothing_goes_round_in_circles() -> None:
    graph = {file.removesuffix(".py"): set(imported((PLUGINS / file).read_text(), file)) for file in FILES}
    assert list(graphlib.TopologicalSorter(graph).static_order())


def test_there_are_few_floors_and_each_has_something() -> None:
    assert {floor_of(file) for file in FILES} == set(range(len(FLOORS)))
    assert len(FLOORS) <= 7


def test_a_word_stands_for_one_class() -> None:
    nodes = [node for file in PLUGINS.rglob("*.py") for node in ast.walk(ast.parse(file.read_text()))]
    names = Counter(node.name for node in nodes if isinstance(node, ast.ClassDef))
    assert {name for name, count in names.items() if count > 1} <= NAMED_BY_ANSIBLE
