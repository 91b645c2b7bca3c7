# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test the architecture: layers, cycles, import levels, names of classes, sizes of functions."""

from __future__ import annotations

import ast
import graphlib
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from ansible_collections.herdops.alpacon.tests.unit.support import ROOT

PLUGINS = ROOT / "plugins"
PACKAGE = "ansible_collections.herdops.alpacon.plugins."
GUIDE = (ROOT / "CONTRIBUTING.md").read_text()
LAYERS = [re.findall(r"`([\w/]+)`", layer) for layer in re.findall(r"^\d+\. (`[\w/`, ]+`): ", GUIDE, re.MULTILINE)]
TREES = {path.relative_to(PLUGINS).as_posix(): ast.parse(path.read_text()) for path in sorted(PLUGINS.rglob("*.py"))}
FILES = [file for file in TREES if not file.endswith("__init__.py")]
#: Classes that Ansible loads by name.
NAMED_BY_ANSIBLE = {"ActionModule", "LookupModule", "ModuleDocFragment"}


def get_layer(file: str) -> int:
    path = file.removesuffix(".py")
    named = [(name, number) for number, names in enumerate(LAYERS) for name in names]
    matches = [(len(name), number) for name, number in named if f"{path}/".startswith(f"{name}/")]
    assert matches, f"CONTRIBUTING.md has no layer for {file}"
    return max(matches)[1]


def imported(file: str) -> Iterator[str]:
    """Yield the paths of the plugins' files that a file imports."""
    package = file.split("/")[:-1]
    for node in ast.walk(TREES[file]):
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


def list_nodes(*kinds: type[ast.AST]) -> list[tuple[str, Any]]:
    """Return the nodes of these kinds, each with its file."""
    return [(file, node) for file, tree in TREES.items() for node in ast.walk(tree) if isinstance(node, kinds)]


GRAPH = {file.removesuffix(".py"): set(imported(file)) for file in FILES}


@pytest.mark.parametrize("file", FILES)
def test_a_file_imports_no_higher_layer(file: str) -> None:
    for path in imported(file):
        assert get_layer(path) <= get_layer(file), f"{path} is in a higher layer than {file}"


def test_lower_layers_do_not_import_ansible() -> None:
    [sentence] = re.findall(r"Nothing in (.+?) imports Ansible\.", GUIDE, re.DOTALL)
    folders = tuple(f"module_utils/{name}/" for name in re.findall(r"`(\w+)`", sentence))
    assert len(folders) == 4
    for file in (file for file in FILES if file.startswith(folders)):
        nodes = list(ast.walk(TREES[file]))
        names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
        names += [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom) and not node.level]
        assert "ansible" not in {name.partition(".")[0] for name in names}, f"{file} imports Ansible"


def get_node(path: str) -> str:
    """Count a folder below `_audit` as one."""
    return "/".join(path.removesuffix(".py").removesuffix("/__init__").split("/")[:3])


def test_there_are_no_cycles_and_few_levels() -> None:
    assert list(graphlib.TopologicalSorter(GRAPH).static_order())
    nodes: dict[str, set[str]] = {}
    for file in TREES:
        node = get_node(file)
        nodes.setdefault(node, set()).update({get_node(path) for path in imported(file)} - {node})
    levels: Counter[str] = Counter()
    for node in graphlib.TopologicalSorter(nodes).static_order():
        if node.startswith("plugin_utils/"):
            levels[node] = 1 + max((levels[other] for other in nodes[node]), default=0)
    assert {node for node, level in levels.items() if level > 6} == set(), "these import through too many files"


def test_there_are_few_layers_and_each_has_files() -> None:
    layers = {get_layer(file) for file in FILES}
    assert layers == set(range(len(LAYERS))), "CONTRIBUTING.md has a layer without files"
    assert len(LAYERS) <= 7


def test_no_two_classes_have_the_same_name() -> None:
    files: dict[str, list[str]] = {}
    for file, node in list_nodes(ast.ClassDef):
        files.setdefault(node.name, []).append(file)
    assert not {name: files[name] for name in files if len(files[name]) > 1 and name not in NAMED_BY_ANSIBLE}


def test_functions_are_short() -> None:
    sizes = {(file, node.name): (node.end_lineno or 0) - node.lineno + 1 for file, node in list_nodes(ast.FunctionDef)}
    assert not {place: size for place, size in sizes.items() if size > 50}


def test_docstrings_do_not_begin_with_a_question_word() -> None:
    documented = list_nodes(ast.Module, ast.ClassDef, ast.FunctionDef)
    question = re.compile(r"(What|Whether|Which|How|Those|Where)\b")
    assert not [(file, text) for file, node in documented if question.match(text := ast.get_docstring(node) or "")]
