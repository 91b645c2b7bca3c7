# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The tests that run each line of the core, measured once and cached until a file changes."""

from __future__ import annotations

import ast
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import collection_tree
import pytest
from coverage import CoverageData
from mutants.contexts import SECONDS
from mutants.mutations import Mutation

SYSTEM = "tests/system/plugins/module_utils"
#: The tests that concern the core.
TESTS = ("tests/unit", SYSTEM)
#: Tests that compare files without running their lines.
COMPARING = ("tests/unit/plugins/test_", "tests/unit/test_")
#: The files that determine which lines the tests run.
SOURCES = (
    *("plugins", "pyproject.toml", "tests/conftest.py", "tests/mutants/contexts.py"),
    *("tests/system", "tests/unit", "tests/workspace"),
)
CACHE = collection_tree.BUILD / "mutants/lines"
#: This many tests may fail without a mutation on a busy machine; they are then not used.
MAX_FAILED = 10


class CoverageMap:
    """The tests that run each line. Lines that run at import have an empty context."""

    def __init__(self, place: Path, data: CoverageData, seconds: dict[str, float]) -> None:
        self._place = place
        self._data = data
        self._seconds = seconds

    def tests(self, mutation: Mutation) -> list[str]:
        """Return the IDs of the tests that run the mutated line, the fastest to notice first.

        Lines that run once, at import or in a cached function, concern every test that runs other lines of their file,
        and tests that compare files.
        """
        contexts = self._data.contexts_by_lineno(str(self._place / mutation.file))
        tree = ast.parse((self._place / mutation.file).read_text())
        statement = [lines for lines in _statements(tree) if mutation.line in lines][-1]
        running = [contexts[line] for line in statement if line in contexts]
        tests = _get_tests(running)
        if running and (not tests or _is_cached(tree, mutation.line)):
            comparing = {test for test in self._seconds if test.startswith(COMPARING)}
            tests = comparing | (_get_tests(contexts.values()) or set(self._seconds))
        mirrored = f"{mutation.file.with_name(f'test_{mutation.file.name}')}::"
        tests &= set(self._seconds)
        return sorted(tests, key=lambda test: (is_system(test), mirrored not in test, self._seconds[test], test))


def _get_tests(contexts: Iterable[list[str]]) -> set[str]:
    """Return the tests with these contexts, without those that ran the line at import."""
    return {test for tests in contexts if "" not in tests for test in tests}


def _is_cached(tree: ast.AST, line: int) -> bool:
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    around = [node for node in functions if node.lineno <= line <= (node.end_lineno or node.lineno)]
    return any(ast.unparse(decorator).endswith("cache") for node in around for decorator in node.decorator_list)


def _statements(node: ast.AST) -> Iterator[range]:
    """Yield the lines of each statement, outer ones first."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.stmt, ast.excepthandler)):
            first = min(inner.lineno for inner in (child, *getattr(child, "decorator_list", ())))
            yield range(first, (child.end_lineno or child.lineno) + 1)
        yield from _statements(child)


def is_system(test: str) -> bool:
    return test.startswith(SYSTEM)


def measure(place: Path, workers: int) -> CoverageMap:
    """Measure the lines of all tests, unless the same files were measured before."""
    cached = CACHE / _digest(place)
    if not cached.exists():
        shutil.rmtree(CACHE, ignore_errors=True)
        _run_all(place, cached.with_suffix(".new"), workers)
        cached.with_suffix(".new").rename(cached)
    data = CoverageData(str(cached / "data"))
    data.read()
    seconds = {test: took for test, took in json.loads((cached / "seconds").read_text()).items() if took is not None}
    return CoverageMap(place, data, seconds)


def _digest(place: Path) -> str:
    digest = hashlib.sha256()
    for source in SOURCES:
        for file in sorted(path for path in (place / source, *(place / source).rglob("*")) if path.is_file()):
            if file.suffix != ".pyc":
                digest.update(f"{file.relative_to(place)} {file.stat().st_size} ".encode() + file.read_bytes())
    return digest.hexdigest()


def _run_all(place: Path, folder: Path, workers: int) -> None:
    folder.mkdir(parents=True)
    options = ["--quiet", "-p", "mutants.contexts", "-n", str(workers)]
    done = _coverage(place, folder, "run", "-m", "pytest", *options, *TESTS)
    ran = done.returncode in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)
    took = json.loads((folder / "seconds").read_text()) if ran else {}
    failed = [test for test, seconds in took.items() if seconds is None]
    if not ran or len(failed) > MAX_FAILED:
        sys.exit(f"The tests fail without a mutation:\n{done.stdout}{done.stderr}")
    for test in failed:
        print(f"fails without a mutation, not used: {test}", flush=True)
    _coverage(place, folder, "combine", "--quiet", str(folder))


def _coverage(place: Path, folder: Path, command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, SECONDS: str(folder / "seconds")}
    line = [sys.executable, "-m", "coverage", command, f"--data-file={folder / 'data'}", *arguments]
    return subprocess.run(line, cwd=place, env=environ, capture_output=True, text=True, check=False)
